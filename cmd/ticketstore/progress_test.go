package main

import (
	"strings"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore"
)

func TestProgress(t *testing.T) {
	for _, test := range []struct {
		terminal bool
		want     string
	}{
		{true, "\r20 of 1,000 sessions ended, 10 a second\r40 of 1,000 sessions ended, 10 a second\r2,000 of 2,000 sessions ended, 100 a second\r" + strings.Repeat(" ", 43) + "\r"},
		{false, "2,000 of 2,000 sessions ended, 100 a second\n"},
	} {
		now, out := time.Unix(0, 0), newBuffer()
		p := &progress{w: out, terminal: test.terminal, total: 1000, what: "sessions ended", now: func() time.Time { return now }, began: now, said: now}
		for _, at := range []struct {
			seconds float64
			n       int64
		}{{0.01, 10}, {2, 20}, {2.01, 30}, {4, 40}, {20, 2000}} {
			now = time.Unix(0, 0).Add(time.Duration(at.seconds * float64(time.Second)))
			p.show(at.n)
		}
		p.end()
		if got := out.String(); got != test.want {
			t.Errorf("on a terminal: %t: got %q, want %q", test.terminal, got, test.want)
		}
	}
}

func TestTally(t *testing.T) {
	names := tally{}
	for i := range 5 * maxNames {
		names.add("program-" + group(int64(i)))
		names.add("Firefox")
	}
	most := names.most()
	total := int64(0)
	for _, c := range most {
		total += c.Sessions
	}
	if len(names) > maxNames+1 || len(most) != topRows+1 || most[0] != (counted{"Firefox", 5 * maxNames}) || most[topRows].Name != others || total != 10*maxNames {
		t.Errorf("got %d names, of %d in all: %v", len(names), total, most)
	}
}

func TestOldest(t *testing.T) {
	var list []ticketstore.Session
	for _, i := range []int64{5, 0, 17, 3, 12, 8, 1, 19, 14, 10, 6, 2, 18, 15, 11, 7, 4, 16, 13, 9} {
		s := ticketstore.Session{SignedInAt: time.Unix(i, 0)}
		if i == 0 {
			s.SignedInAt = time.Time{} // unknown
		}
		list = oldest(list, s)
	}
	if len(list) != topRows {
		t.Fatalf("got %d, want %d", len(list), topRows)
	}
	for i, s := range list {
		if s.SignedInAt.Unix() != int64(i+1) {
			t.Errorf("number %d: got %v", i, s.SignedInAt)
		}
	}
}
