package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/ticketstore/ticketstore"
)

// ticket returns a ticket of subject that has something in every field a
// caller may set. Its times are as far as can be above a multiple of the unit.
func (c *checker) ticket(subject string) *ticketstore.Ticket {
	now := c.now().Truncate(c.unit).Add(-time.Nanosecond)
	return &ticketstore.Ticket{
		Subject: subject,
		Scheme:  "Cookies",
		Identities: []ticketstore.Identity{
			{
				AuthenticationType: "pwd",
				NameClaimType:      "sub",
				RoleClaimType:      "roles",
				BootstrapContext:   "eyJhbGciOiJub25lIn0..",
				Claims: []ticketstore.Claim{
					{Type: "sub", Value: "1"},
					{Type: "roles", Value: "admin", ValueType: "string", Issuer: "https://a.example", OriginalIssuer: "https://b.example",
						Properties: map[string]string{"source": "ldap", "empty": ""}},
					{Type: "roles", Value: "admin"},
					{Type: "note", Value: "two\nlines, \"quotes\", <b> and ünïcode 🎫"},
					{Type: "empty"},
				},
				Actor: &ticketstore.Identity{
					AuthenticationType: "delegated",
					Claims:             []ticketstore.Claim{{Type: "sub", Value: "2", Properties: map[string]string{"k": "v"}}},
					Actor:              &ticketstore.Identity{Claims: []ticketstore.Claim{{Type: "sub", Value: "3"}}},
				},
			},
			{AuthenticationType: "mfa"},
		},
		Properties:      map[string]string{".redirect": "/", "tenant": "ä\n{0}"},
		Device:          ticketstore.Device{UserAgent: "Mozilla/5.0 \"<x>\"", Addr: netip.MustParseAddr("192.0.2.1")},
		SeenFrom:        ticketstore.Device{UserAgent: "curl/8", Addr: netip.MustParseAddr("2001:db8::1")},
		SignedInAt:      now.Add(-3 * far),
		AuthenticatedAt: now.Add(-4 * far),
		IssuedAt:        now.Add(-2 * far),
		ExpiresAt:       now.Add(far),
		EndsAt:          now.Add(2 * far),
		IdleTimeout:     2 * far,
		Persistent:      true,
	}
}

// otherwise returns a copy of t with another value in every field but subject,
// ID and revision.
func otherwise(t *ticketstore.Ticket) *ticketstore.Ticket {
	t = t.Clone()
	t.Scheme = "Other"
	t.Identities = append(t.Identities[1:], ticketstore.Identity{Claims: []ticketstore.Claim{{Type: "new", Value: "claim"}}})
	t.Properties = map[string]string{"other": "property"}
	t.Device = ticketstore.Device{UserAgent: "other"}
	t.SeenFrom = ticketstore.Device{Addr: netip.MustParseAddr("192.0.2.2")}
	t.SignedInAt = t.SignedInAt.Add(far)
	t.AuthenticatedAt = t.AuthenticatedAt.Add(far / 2)
	t.IssuedAt = t.IssuedAt.Add(far)
	t.ExpiresAt = t.ExpiresAt.Add(-far / 2)
	t.EndsAt = t.EndsAt.Add(-far / 2)
	t.IdleTimeout /= 2
	t.Persistent = false
	return t
}

// deface changes t in place, in whatever it points to as well.
func deface(t *ticketstore.Ticket) {
	for i := range t.Identities {
		for id := &t.Identities[i]; id != nil; id = id.Actor {
			id.AuthenticationType = "defaced"
			for j := range id.Claims {
				id.Claims[j].Value = "defaced"
				defaceMap(id.Claims[j].Properties)
			}
		}
	}
	defaceMap(t.Properties)
	t.ID, t.Revision, t.Subject, t.Scheme, t.Persistent = "defaced", "defaced", "defaced", "defaced", false
	t.ExpiresAt = t.ExpiresAt.Add(-far / 2)
}

func defaceMap(m map[string]string) {
	for k := range m {
		m[k] = "defaced"
	}
}

// sameFields compares what a caller may set, but the times. The absent and the
// empty are the same.
func sameFields(got, wanted *ticketstore.Ticket) error {
	g, err1 := fields(got)
	w, err2 := fields(wanted)
	return errors.Join(err1, err2, equal("ticket", g, w), equal("IdleTimeout", got.IdleTimeout, wanted.IdleTimeout))
}

func fields(t *ticketstore.Ticket) (string, error) {
	u := *t
	u.ID = ""
	u.SignedInAt, u.AuthenticatedAt, u.IssuedAt, u.ExpiresAt, u.EndsAt, u.LinkedAt = time.Time{}, time.Time{}, time.Time{}, time.Time{}, time.Time{}, time.Time{}
	b, err := json.Marshal(u)
	return string(b), err
}

// sameTimes compares the times to the unit.
func sameTimes(got, wanted *ticketstore.Ticket, unit time.Duration) error {
	return errors.Join(
		sameTime("SignedInAt", got.SignedInAt, wanted.SignedInAt, unit),
		sameTime("AuthenticatedAt", got.AuthenticatedAt, wanted.AuthenticatedAt, unit),
		sameTime("LinkedAt", got.LinkedAt, wanted.LinkedAt, unit),
		sameTime("IssuedAt", got.IssuedAt, wanted.IssuedAt, unit),
		sameEnd("ExpiresAt", got.ExpiresAt, wanted.ExpiresAt, unit),
		sameEnd("EndsAt", got.EndsAt, wanted.EndsAt, unit))
}

func sameTime(what string, got, wanted time.Time, unit time.Duration) error {
	if got.IsZero() != wanted.IsZero() || got.Sub(wanted).Abs() >= unit {
		return fmt.Errorf("%s: got %v, want %v to within %v", what, got, wanted, unit)
	}
	return nil
}

// sameEnd compares when something ends, which must not become later.
func sameEnd(what string, got, wanted time.Time, unit time.Duration) error {
	if got.After(wanted) {
		return fmt.Errorf("%s: got %v, want %v and not later", what, got, wanted)
	}
	return sameTime(what, got, wanted, unit)
}

// same compares the ticket that was stored and the one that was read.
func (c *checker) same(got, wanted *ticketstore.Ticket) error {
	return errors.Join(sameFields(got, wanted), sameTimes(got, wanted, c.unit))
}

// sameSession compares the ticket that was stored and the session listed.
func (c *checker) sameSession(got ticketstore.Session, t *ticketstore.Ticket) error {
	wanted := ticketstore.Session{
		ID: t.ID, Subject: t.Subject, Scheme: t.Scheme, Device: t.Device, SeenFrom: t.SeenFrom, Persistent: t.Persistent,
		SignedInAt: got.SignedInAt, IssuedAt: got.IssuedAt, ExpiresAt: got.ExpiresAt, EndsAt: got.EndsAt,
	}
	times := &ticketstore.Ticket{SignedInAt: got.SignedInAt, AuthenticatedAt: t.AuthenticatedAt, IssuedAt: got.IssuedAt, ExpiresAt: got.ExpiresAt, EndsAt: got.EndsAt, LinkedAt: t.LinkedAt}
	return errors.Join(equal("session", got, wanted), sameTimes(times, t, c.unit))
}

// identical reports what differs between two tickets, besides ID and Revision.
func identical(got, wanted *ticketstore.Ticket) error {
	return errors.Join(sameFields(got, wanted), sameTimes(got, wanted, time.Nanosecond))
}

// untouched reports what a failed call has changed of its argument.
func untouched(t, was *ticketstore.Ticket) error {
	if err := errors.Join(equal("ID", t.ID, was.ID), equal("Revision", t.Revision, was.Revision), identical(t, was)); err != nil {
		return fmt.Errorf("argument of a call that failed: %w", err)
	}
	return nil
}
