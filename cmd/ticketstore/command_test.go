package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/clock"
)

// What the commands say as JSON is what the store has.
func TestCommandsEverywhere(t *testing.T) {
	everywhere(t, remembered, func(t *testing.T, s *site) {
		s.signIn(t, "alice", firefox, time.Hour)
		first := s.signIn(t, "alice", iPhone, 2*time.Hour)
		s.signIn(t, "bob", "", time.Minute)

		if got := decode[ticketstore.Counts](t, s, "count", "-history", "720h"); got != (ticketstore.Counts{Subjects: 2, Sessions: 3}) {
			t.Errorf("count: got %+v", got)
		}
		stdout, _ := s.want(t, 0, "users")
		names := strings.Fields(stdout)
		slices.Sort(names)
		if !slices.Equal(names, []string{"alice", "bob"}) {
			t.Errorf("users: got %q", stdout)
		}
		if stdout, _ = s.want(t, 0, "users", "-json"); strings.Count(stdout, "\n") != 2 || !strings.Contains(stdout, `{"subject":"bob"}`+"\n") {
			t.Errorf("users: got %q, want two lines", stdout)
		}
		want, err := s.store.Sessions(s.ctx, "alice")
		if err != nil {
			t.Fatal(err)
		}
		if got := decode[[]ticketstore.Session](t, s, "sessions", "alice"); !slices.Equal(got, want) || len(got) != 2 {
			t.Errorf("sessions: got %+v, want %+v", got, want)
		}
		type topped struct {
			Sessions         int64
			Devices, Schemes []counted
			Oldest           []ticketstore.Session
		}
		if got := decode[topped](t, s, "top"); got.Sessions != 3 || len(got.Devices) != 3 || !slices.Equal(got.Schemes, []counted{{"password", 3}}) ||
			len(got.Oldest) != 3 || got.Oldest[0].ID != first {
			t.Errorf("top: got %+v", got)
		}

		// Nothing has ended yet, so that Redis does not tell History.
		if _, stderr := s.want(t, statusUsage, "revoke", "alice", first); !strings.Contains(stderr, "-history") {
			t.Errorf("without -history: got %q", stderr)
		}
		if got := *decode[result](t, s, "revoke", "alice", first, "-history", remembered.String()).Ended; got != 1 {
			t.Errorf("revoke: got %d, want 1", got)
		}
		endings := decode[[]ticketstore.Ending](t, s, "history", "alice")
		if len(endings) != 1 || endings[0].Session.ID != first || endings[0].Cause != "operator" || endings[0].By != "olga" {
			t.Errorf("history: got %+v, want one by olga", endings)
		}
		s.want(t, statusNothing, "revoke", "alice", first)
		s.want(t, statusNothing, "history", "carol")
		s.want(t, statusNothing, "sessions", "carol")
		s.want(t, statusNothing, "export", "carol")

		var exported struct {
			Subject           string
			Sessions, History []json.RawMessage
		}
		stdout, _ = s.want(t, 0, "export", "alice")
		if err := json.Unmarshal([]byte(stdout), &exported); err != nil || exported.Subject != "alice" || len(exported.Sessions) != 1 || len(exported.History) != 1 {
			t.Errorf("export: got %s, %v", stdout, err)
		}
		if got := *decode[result](t, s, "forget", "alice", "-yes").Ended; got != 1 {
			t.Errorf("forget: got %d, want 1", got)
		}
		s.want(t, statusNothing, "forget", "alice", "-yes")
		s.want(t, statusNothing, "history", "alice")

		if got := *decode[result](t, s, "revoke-everybody").Ended; got != 1 || s.left(t) != 0 {
			t.Errorf("revoke-everybody: got %d, %d are left", got, s.left(t))
		}
		if endings, _, err := s.store.Endings(s.ctx, "", 10); err != nil || len(endings) != 2 || !slices.ContainsFunc(endings, func(e ticketstore.Ending) bool {
			return e.Session.Subject == "bob" && e.Cause == "operator" && e.By == "olga"
		}) {
			t.Errorf("the application is told %+v, %v; want bob's, by olga", endings, err)
		}
		s.want(t, statusNothing, "revoke-everybody")
		s.want(t, statusNothing, "users")
		if s.mini == nil { // which has no INFO to speak of
			if got := decode[struct {
				OK       bool
				Warnings []string
			}](t, s, "check"); !got.OK {
				t.Errorf("check: got %+v", got)
			}
		}
	})
}

// Without History, all but what is about endings is the same.
func TestWithoutHistory(t *testing.T) {
	everywhere(t, 0, func(t *testing.T, s *site) {
		id := s.signIn(t, "alice", firefox, time.Hour)
		s.signIn(t, "alice", firefox, 2*time.Hour)
		s.signIn(t, "bob", firefox, time.Hour)
		for _, command := range [][]string{{"history", "alice"}, {"watch"}} {
			if _, stderr := s.want(t, statusUsage, command...); !strings.Contains(stderr, "-history") {
				t.Errorf("%s: got %q", command, stderr)
			}
		}
		s.want(t, 0, "revoke", "alice", id)
		s.want(t, 0, "revoke", "alice")
		s.want(t, 0, "export", "bob")
		s.want(t, 0, "forget", "bob", "-yes")
		if n := s.left(t); n != 0 {
			t.Errorf("%d sessions are left", n)
		}
	})
}

// A -history that is too short would make Redis forget what it remembers.
func TestShortHistory(t *testing.T) {
	everywhere(t, remembered, func(t *testing.T, s *site) {
		s.signIn(t, "alice", firefox, time.Hour)
		if _, err := s.store.RevokeAll(s.ctx, "alice"); err != nil {
			t.Fatal(err)
		}
		s.signIn(t, "bob", firefox, time.Hour)
		if s.mini != nil {
			s.at(s.now.Add(time.Hour))
		}
		_, stderr := s.want(t, statusUsage, "revoke", "bob", "-history", "1h")
		if !strings.Contains(stderr, remembered.String()) || s.left(t) != 1 {
			t.Errorf("got %q and %d sessions; want to read %v, and one", stderr, s.left(t), remembered)
		}
		s.want(t, 0, "revoke", "bob")
		if got := decode[[]ticketstore.Ending](t, s, "history", "alice"); len(got) != 1 {
			t.Errorf("alice's history: got %+v, want one", got)
		}
	})
}

// A session is asked about, or refused, before more than one ends.
func TestConfirmation(t *testing.T) {
	for _, test := range []struct {
		name    string
		command string
		console
		status int
	}{
		{"yes", "revoke alice", console{types: "y\n", terminal: true}, 0},
		{"YES", "revoke-everybody", console{types: " YES \n", terminal: true}, 0},
		{"no", "revoke alice", console{types: "n\n", terminal: true}, statusDeclined},
		{"enter", "revoke-everybody", console{types: "\n", terminal: true}, statusDeclined},
		{"end of input", "revoke alice", console{terminal: true}, statusDeclined},
		{"something else", "forget alice", console{types: "yesterday\n", terminal: true}, statusDeclined},
		{"no terminal", "revoke alice", console{types: "y\n"}, statusDeclined},
		{"no terminal, everybody", "revoke-everybody", console{types: "y\n"}, statusDeclined},
		{"no terminal, forget", "forget alice", console{types: "y\n"}, statusDeclined},
		{"forget one", "forget bob", console{types: "n\n", terminal: true}, statusDeclined},
		{"no terminal, -yes", "revoke -yes alice", console{}, 0},
		{"dry run", "revoke alice -dry-run", console{}, 0},
		{"dry run with -yes", "revoke alice -dry-run -yes", console{}, 0},
		{"dry run, one", "revoke bob ID -dry-run", console{}, 0},
		{"dry run, everybody", "revoke-everybody -dry-run -yes", console{}, 0},
		{"dry run, forget", "forget alice -dry-run -yes", console{}, 0},
		{"dry run, nobody", "revoke carol -dry-run", console{}, statusNothing},
		{"one needs none", "revoke bob", console{}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := onMini(t, 0)
			s.signIn(t, "alice", firefox, time.Hour)
			s.signIn(t, "alice", iPhone, time.Hour)
			args := strings.Fields(strings.Replace(test.command, "ID", s.signIn(t, "bob", firefox, time.Hour), 1))
			keys := s.mini.Dump()
			status, stdout, stderr := s.run(test.console, args...)
			if status != test.status {
				t.Errorf("got status %d, want %d: %s%s", status, test.status, stdout, stderr)
			}
			ends := status == 0 && !strings.Contains(test.command, "-dry-run")
			if changed := s.mini.Dump() != keys; changed != ends {
				t.Errorf("Redis has changed: %t, want %t", changed, ends)
			}
			if asked := strings.Contains(stderr, "[y/N]"); asked != test.terminal {
				t.Errorf("asked: %t, want %t: %s", asked, test.terminal, stderr)
			}
		})
	}
}

func TestDryRunJSON(t *testing.T) {
	s := onMini(t, 0)
	s.signIn(t, "alice", firefox, time.Hour)
	s.signIn(t, "alice", firefox, time.Hour)
	for _, command := range []string{"revoke", "forget"} {
		if got := decode[result](t, s, command, "alice", "-dry-run"); got.Ended != nil || *got.WouldEnd != 2 {
			t.Errorf("%s: got %+v, want 2 that would end", command, got)
		}
	}
	if got := decode[result](t, s, "revoke-everybody", "-dry-run"); got.Ended != nil || *got.WouldEnd != 2 {
		t.Errorf("everybody: got %+v, want 2 that would end", got)
	}
}

// RevokeAll also refuses sign-ins that are under way: the command does it even
// if there is no session yet.
func TestRevokeOfNoSession(t *testing.T) {
	s := onMini(t, 0)
	began := clock.Now(s.ctx).Add(-time.Second)
	s.want(t, statusNothing, "revoke", "alice")
	tk := ticketstore.NewTicket("alice")
	tk.SignedInAt, tk.ExpiresAt = began, began.Add(time.Hour)
	if _, err := s.store.Store(s.ctx, tk); err == nil {
		t.Error("a sign-in that was under way survives")
	}
}

// Operators who act as users are in the list, with their reason.
func TestSessionsOfOperators(t *testing.T) {
	everywhere(t, remembered, func(t *testing.T, s *site) {
		s.actAs(t, "olga", "alice")
		if stdout, _ := s.want(t, 0, "sessions", "alice"); !strings.Contains(stdout, "OPERATOR") || !strings.Contains(stdout, "olga") || !strings.Contains(stdout, "ticket 4711") {
			t.Errorf("of alice: got %q, want the operator and the reason", stdout)
		}
		if stdout, _ := s.want(t, 0, "sessions", "olga"); strings.Contains(stdout, "OPERATOR") {
			t.Errorf("of olga: got %q, want no operator", stdout)
		}
		if got := decode[[]ticketstore.Session](t, s, "sessions", "alice"); len(got) != 1 || got[0].Actor == nil || got[0].Actor.Reason != "ticket 4711" {
			t.Errorf("of alice, in JSON: got %+v", got)
		}
	})
}
