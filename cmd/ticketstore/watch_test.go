package main

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/redistest"
)

// watching runs watch, and returns what it writes once it has begun.
func (s *site) watching(t *testing.T, args ...string) (out, errs *buffer, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(s.ctx)
	out, errs = newBuffer(), newBuffer()
	status := make(chan int)
	p := &program{strings.NewReader(""), out, errs, func(string) string { return "" }, func(any) bool { return false }}
	go func() {
		status <- p.run(ctx, append(s.flags(), append(args, "watch", "-history", remembered.String())...))
	}()
	out.await(t, 1)
	return out, errs, func() int { cancel(); return <-status }
}

func TestWatchEverywhere(t *testing.T) {
	everywhere(t, remembered, func(t *testing.T, s *site) {
		s.signIn(t, "alice", firefox, time.Hour)
		if _, err := s.store.RevokeAll(s.ctx, "alice"); err != nil {
			t.Fatal(err)
		}
		out, _, stop := s.watching(t)
		id := s.signIn(t, "bob", iPhone, 0)
		if err := s.store.Revoke(ticketstore.WithCause(s.ctx, "theft", "carol"), "bob", id); err != nil {
			t.Fatal(err)
		}
		out.await(t, 2)
		s.signIn(t, "dave", firefox, 0)
		if _, err := s.store.RevokeEverybody(s.ctx, nil); err != nil {
			t.Fatal(err)
		}
		out.await(t, 3)
		if status := stop(); status != 0 {
			t.Errorf("got status %d, want 0", status)
		}
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != 3 || !slices.Equal(strings.Fields(lines[1])[2:], []string{"theft", id, "bob", "Safari", "on", "iPhone", "carol"}) || !strings.Contains(lines[2], "dave") || strings.Contains(out.String(), "alice") {
			t.Errorf("got %s, want bob's and dave's ending, and not alice's, which was before", out)
		}
	})
}

// It goes on after an outage, and misses nothing.
func TestWatchThroughAnOutage(t *testing.T) {
	s := onMini(t, remembered)
	out, errs, stop := s.watching(t)
	s.mini.SetError("LOADING Redis is loading the dataset in memory")
	errs.await(t, 1)
	s.mini.SetError("")
	s.signIn(t, "bob", firefox, 0)
	if _, err := s.store.RevokeAll(s.ctx, "bob"); err != nil {
		t.Fatal(err)
	}
	out.await(t, 2)
	if status := stop(); status != 0 || !strings.Contains(out.String(), "bob") {
		t.Errorf("got status %d and %s", status, out)
	}
}

func TestWatchJSON(t *testing.T) {
	s := onMini(t, remembered)
	out := newBuffer()
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	p := &program{strings.NewReader(""), out, newBuffer(), func(string) string { return "" }, func(any) bool { return false }}
	j, err := p.open(ctx, &options{redis: s.url, timeout: time.Minute, json: true, history: remembered}, command{endings: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer j.client.Close()
	id := s.signIn(t, "bob", firefox, 0)
	if _, err := s.store.RevokeAll(s.ctx, "bob"); err != nil {
		t.Fatal(err)
	}
	next, more, err := j.look(ctx, "", newDescriber(ctx))
	var e ticketstore.Ending
	if err := json.Unmarshal([]byte(out.String()), &e); err != nil || e.Session.ID != id || e.Cause != "revoked" {
		t.Errorf("got %s, %v", out, err)
	}
	if more || err != nil {
		t.Errorf("got more %t, %v", more, err)
	}
	if _, _, err := j.look(ctx, next, newDescriber(ctx)); err != nil || strings.Count(out.String(), "\n") != 1 {
		t.Errorf("got it again: %s, %v", out, err)
	}
}

// A hint comes as a session ends.
func TestHints(t *testing.T) {
	everywhere(t, remembered, func(t *testing.T, s *site) {
		p := &program{env: func(string) string { return "" }}
		o, _, err := parse(append(s.flags(), "-history", remembered.String()), p.env)
		if err != nil {
			t.Fatal(err)
		}
		j, err := p.open(s.ctx, o, command{endings: true}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer j.client.Close()
		hints := j.hints(s.ctx)
		end := time.After(redistest.Patience)
		for { // until it has subscribed
			id := s.signIn(t, "bob", firefox, 0)
			if err := s.store.Revoke(s.ctx, "bob", id); err != nil {
				t.Fatal(err)
			}
			select {
			case <-hints:
				return
			case <-end:
				t.Fatal("no hint comes")
			default:
			}
		}
	})
}
