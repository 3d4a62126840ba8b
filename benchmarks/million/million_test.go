package main

import (
	"bytes"
	"context"
	"regexp"
	"strings"
	"testing"

	"github.com/ticketstore/ticketstore/internal/redistest"
)

var small = []string{"-sessions", "2000", "-subjects", "600", "-samples", "50"}

var lines = []string{
	"`Retrieve` | 50", "`Session` | 50", "`Sessions` of a user with 1 to 10 | 50", "`Sessions` of the user with 1,000 | 5",
	"`Store` | 50", "`Revoke` | 50", "`Renew` | 50", "`Count` | 5",
	"`SessionPage` of 50, the first | 5", "`SessionPage` of 50, from anywhere | 50",
	"`Store`, all, 32 clients at once | 1", "`SessionPage`, all 40 pages of 50 | 1", "`SessionPage`, all 2 pages of 1,000 | 1", "`Subjects`, all | 1",
	"memory of a session, with all indexes | 2,000", "the same once last used from another address | 50",
	"the same once last used in another browser, too | 50",
	"its record in Redis, with the key, before (mean) | 50", "the text in it (mean) | 50", "the ticket in that (mean) | 50",
}

func checkTable(t *testing.T, table string) {
	t.Helper()
	for _, line := range lines {
		if !regexp.MustCompile(`(?m)^\| ` + regexp.QuoteMeta(line) + ` \| [\d.,]+ (ms|s|B) \|`).MatchString(table) {
			t.Errorf("the table has no line %q with a figure", line)
		}
	}
	if got, want := strings.Count(table, "\n| "), len(lines)+1; got != want {
		t.Errorf("the table has %d lines; want %d", got, want)
	}
	if t.Failed() {
		t.Log(table)
	}
}

func TestGivenRedis(t *testing.T) {
	s := redistest.Start(t)
	var out, progress bytes.Buffer
	args := append([]string{"-redis", s.Addr}, small...)
	if err := run(t.Context(), args, &out, &progress); err != nil {
		t.Fatal(err)
	}
	checkTable(t, out.String())
	for _, prefix := range []string{"", "AuthSession"} {
		err := run(t.Context(), append([]string{"-prefix", prefix}, args...), &out, &progress)
		if err == nil || !strings.Contains(err.Error(), "that Redis has") {
			t.Errorf("prefix %q on a Redis with keys: got %v; want that it is refused", prefix, err)
		}
	}
	out.Reset()
	if err := run(t.Context(), append([]string{"-prefix", "new*", "-compact"}, args...), &out, &progress); err != nil {
		t.Fatal(err)
	}
	checkTable(t, out.String())
}

func TestOwnRedis(t *testing.T) {
	redistest.Start(t) // skips without redis-server
	var out, progress bytes.Buffer
	if err := run(t.Context(), small, &out, &progress); err != nil {
		t.Fatal(err)
	}
	checkTable(t, out.String())
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(ended, small, &out, &progress); err == nil {
		t.Error("an interrupted run reports success")
	}
}

func TestRevoke(t *testing.T) {
	redistest.Start(t) // skips without redis-server
	for args, call := range map[string]string{"-revoke -history 0": "RevokeEverybody", "-revoke -history 1h": "RevokeEverybody", "-linked": "RevokeLinked"} {
		var out, progress bytes.Buffer
		if err := run(t.Context(), append(strings.Fields(args), small...), &out, &progress); err != nil {
			t.Fatal(err)
		}
		for _, line := range []string{"`" + call + "` | 1", "`PING` of another client, during `" + call + "` | [0-9,]+"} {
			if !regexp.MustCompile(`(?m)^\| ` + line + ` \| [\d.]+ m?s \|`).MatchString(out.String()) {
				t.Errorf("the table has no line %s with a figure: %s", line, out.String())
			}
		}
	}
}

func TestWrongFlags(t *testing.T) {
	for _, args := range []string{"more", "-sessions 1000", "-sessions 2000 -subjects 1", "-samples 1", "-workers 0", "-unknown"} {
		if err := run(t.Context(), strings.Fields(args), &bytes.Buffer{}, &bytes.Buffer{}); err == nil {
			t.Errorf("%s: no error", args)
		}
	}
}
