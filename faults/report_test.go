package faults

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

var into = flag.String("write", "", "the document that the results go into as well, if nothing has failed")

// notes are the lines of the table.
var notes struct {
	sync.Mutex
	rows   []string
	faults map[string]int
}

// note notes histories that were checked, and found to be right.
func note(what string, seen int, counts, faults map[string]int) {
	notes.Lock()
	defer notes.Unlock()
	unclear, hurt := 0, 0
	for outcome, n := range counts {
		if strings.HasSuffix(outcome, string(unknown)) {
			unclear += n
		}
	}
	for _, n := range faults {
		hurt += n
	}
	notes.rows = append(notes.rows, fmt.Sprintf("| %s | %d | %d | %d | %d | 0 |", what, counts["Store: ok"], seen, unclear, hurt))
	if notes.faults == nil {
		notes.faults = map[string]int{}
	}
	for fault, n := range faults {
		notes.faults[fault] += n
	}
}

const (
	beginMark = "<!-- Written by go test . -write, in faults -->\n"
	endMark   = "<!-- The end of what it has written -->\n"
)

// write replaces what is between the marks of the document.
func write(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, ok1 := bytes.Cut(text, []byte(beginMark))
	_, after, ok2 := bytes.Cut(rest, []byte(endMark))
	if !ok1 || !ok2 {
		return errors.New(file + " has no marks")
	}
	server, err := exec.Command("redis-server", "--version").Output()
	if err != nil {
		return err
	}
	client, err := exec.Command("go", "list", "-m", "github.com/redis/go-redis/v9").Output()
	if err != nil {
		return err
	}
	var b bytes.Buffer
	b.Write(before)
	fmt.Fprintf(&b, "%s\n%s, `go test . -ops %d`, seed %d: %s, %d processors, %s, %s.\n\n", beginMark, time.Now().Format(time.DateOnly),
		*operations, *seed, runtime.Version(), runtime.NumCPU(), strings.TrimSpace(string(client)), strings.Join(strings.Fields(string(server))[:3], " "))
	b.WriteString("| mode | sessions | operations | of these, outcome unknown | faults | violations |\n|---|--:|--:|--:|--:|--:|\n")
	b.WriteString(strings.Join(notes.rows, "\n") + "\n\n")
	var faults []string
	for _, fault := range slices.Sorted(maps.Keys(notes.faults)) {
		faults = append(faults, fmt.Sprintf("%s %d", fault, notes.faults[fault]))
	}
	fmt.Fprintf(&b, "The faults: %s.\n\n%s", strings.Join(faults, ", "), endMark)
	b.Write(after)
	return os.WriteFile(file, b.Bytes(), 0o644)
}
