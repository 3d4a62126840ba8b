package ticketstore

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func impersonatedTicket(subject string) *Ticket {
	tk := NewTicket(subject, Claim{Type: "name", Value: "Alice"})
	tk.Identities[0].Actor = Actor{"olga", "0190b2f4-0000-7000-8000-000000000001", "ticket 4711"}.identity()
	return tk
}

func TestActor(t *testing.T) {
	want := Actor{Subject: "olga", SessionID: "0190b2f4-0000-7000-8000-000000000001", Reason: "ticket 4711"}
	tk := impersonatedTicket("alice")
	if a, ok := tk.Actor(); !ok || a != want {
		t.Errorf("got %+v, %v, want %+v", a, ok, want)
	}
	if s := tk.Session(); s.Actor == nil || *s.Actor != want {
		t.Errorf("got the session %+v, want it to have %+v", s, want)
	}
	if s := NewTicket("alice").Session(); s.Actor != nil {
		t.Errorf("got the actor %+v of a ticket without one", s.Actor)
	}
	delegated := NewTicket("alice", Claim{Type: "name", Value: "Alice"})
	delegated.Identities[0].Actor = &Identity{AuthenticationType: "Federation", Claims: []Claim{{Type: "sub", Value: "service"}}}
	if a, ok := delegated.Actor(); ok || delegated.impersonated() {
		t.Errorf("got %+v of a ticket with an actor of another's", a)
	}
}

func TestActorIsStrict(t *testing.T) {
	for name, change := range map[string]func(*Ticket){
		"no claims": func(tk *Ticket) { tk.Identities[0].Actor.Claims = nil },
		"one claim more": func(tk *Ticket) {
			a := tk.Identities[0].Actor
			a.Claims = append(a.Claims, Claim{Type: "sub", Value: "x"})
		},
		"another order":        func(tk *Ticket) { slices.Reverse(tk.Identities[0].Actor.Claims) },
		"another issuer":       func(tk *Ticket) { tk.Identities[0].Actor.Claims[0].Issuer = "x" },
		"properties":           func(tk *Ticket) { tk.Identities[0].Actor.Claims[1].Properties = map[string]string{"a": "b"} },
		"an actor of its own":  func(tk *Ticket) { tk.Identities[0].Actor.Actor = &Identity{} },
		"no operator":          func(tk *Ticket) { tk.Identities[0].Actor.Claims[0].Value = "" },
		"themselves":           func(tk *Ticket) { tk.Identities[0].Actor.Claims[0].Value = tk.Subject },
		"no session":           func(tk *Ticket) { tk.Identities[0].Actor.Claims[1].Value = "" },
		"two lines":            func(tk *Ticket) { tk.Identities[0].Actor.Claims[2].Value = "a\nb" },
		"in a second identity": func(tk *Ticket) { tk.Identities = append([]Identity{{}}, tk.Identities...) },
		"in two identities":    func(tk *Ticket) { tk.Identities = append(tk.Identities, tk.Identities[0]) },
	} {
		tk := impersonatedTicket("alice")
		change(tk)
		if a, ok := tk.Actor(); ok {
			t.Errorf("%s: got %+v, want none", name, a)
		}
		if !tk.impersonated() {
			t.Errorf("%s: the ticket passes for its user's", name)
		}
	}
}

func TestReason(t *testing.T) {
	for _, reason := range []string{"x", "Ticket 4711: „Rechnung fehlt“", strings.Repeat("x", 256)} {
		if err := (Actor{"olga", "1", reason}).validate(); err != nil {
			t.Errorf("%.20q: %v", reason, err)
		}
	}
	for _, reason := range []string{"", "  ", strings.Repeat("x", 257), "a\nb", "a\rb", "a\u2028b", "a\x00", "\xff"} {
		if err := (Actor{"olga", "1", reason}).validate(); !errors.Is(err, ErrInvalidTicket) {
			t.Errorf("%.20q: got %v, want ErrInvalidTicket", reason, err)
		}
	}
}
