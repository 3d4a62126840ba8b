package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// commands is how often Redis gets each command.
type commands map[string]int

// some is a number that is not known before.
const some = -1

// connecting is what clients send when they connect, or to see whether a
// connection is alive, and what the tool itself reads.
var connecting = []string{"info", "ping", "hello", "select", "client|setinfo", "client|setname", "client|id", "client|tracking", "client|maint_notifications"}

// check checks what Redis has run for n operations. Each command is as often
// there as w says; PING, which a new connection spares, at most as often, and
// everything if atMost. No other command is there, unless a script has run it.
func (w commands) check(n int, ran map[string]int, atMost bool) error {
	for command, each := range w {
		got, want := ran[command], n*each
		switch {
		case each == some && got == 0,
			each != some && !w.scripts() && got > want,
			each != some && got < want && !atMost && command != "ping",
			command == evalsha && got > want:
			return fmt.Errorf("%d operations cost %d %s; want %s each", n, got, command, w)
		}
	}
	for command, got := range ran {
		if _, ok := w[command]; !ok && got > 0 && !w.scripts() && !slices.Contains(connecting, command) {
			return fmt.Errorf("%d operations cost %d %s; want %s each", n, got, command, w)
		}
	}
	return nil
}

const evalsha = "evalsha"

func (w commands) scripts() bool { return w[evalsha] != 0 }

// String returns w for people.
func (w commands) String() string {
	var parts []string
	for _, command := range slices.Sorted(maps.Keys(w)) {
		if w[command] == some {
			parts = append(parts, "some "+command)
		} else {
			parts = append(parts, fmt.Sprintf("%d %s", w[command], command))
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}
