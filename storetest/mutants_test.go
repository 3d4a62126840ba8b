package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ticketstore/ticketstore"
)

// A mutant is a memory with one thing wrong.
type mutant struct {
	name   string
	breaks string // rules; those about concurrency may break as well, and if it has none about endings, these
	refuse bool   // sign-ins beyond the cap
	change func(m *memory)
}

func mutants() []mutant {
	return slices.Concat(storeMutants, renewMutants, retrieveMutants, removeMutants, indexMutants, rotateMutants, capMutants, endingsMutants, linkMutants)
}

// accept has the store keep tickets that are invalid for the one reason given.
func accept(m *memory, reason func(t *ticket) bool) {
	m.do.valid = func(t *ticket) error {
		if reason(t) {
			return nil
		}
		return m.valid(t)
	}
}

// alter has the store keep another ticket than the one it is given.
func alter(m *memory, f func(kept, t *ticket)) {
	m.do.own = func(t *ticket) *ticket {
		kept := m.own(t)
		f(kept, t)
		return kept
	}
}

var storeMutants = []mutant{
	{name: "a claim property is lost", breaks: "Store/every_field", change: func(m *memory) {
		alter(m, func(kept, _ *ticket) {
			for _, id := range kept.Identities {
				for _, c := range id.Claims {
					delete(c.Properties, "source")
				}
			}
		})
	}},
	{name: "the actor of the actor is lost", breaks: "Store/every_field", change: func(m *memory) {
		alter(m, func(kept, _ *ticket) {
			if len(kept.Identities) > 0 && kept.Identities[0].Actor != nil {
				kept.Identities[0].Actor.Actor = nil
			}
		})
	}},
	{name: "the idle timeout is lost", breaks: "Renew/every_field Rotate/every_field Store/every_field", change: func(m *memory) {
		alter(m, func(kept, _ *ticket) { kept.IdleTimeout = 0 })
	}},
	{name: "an expiry is rounded up", breaks: "Renew/every_field Rotate/every_field Session/one Sessions/every_field Sessions/renewed Store/times", change: func(m *memory) {
		alter(m, func(kept, t *ticket) { kept.ExpiresAt = t.ExpiresAt.Add(m.unit - 1).Truncate(m.unit) })
	}},
	{name: "times are kept to the second only", breaks: "Renew/every_field Rotate/every_field Session/one Sessions/every_field Sessions/renewed Store/times", change: func(m *memory) {
		alter(m, func(kept, t *ticket) { kept.IssuedAt = t.IssuedAt.Truncate(time.Second) })
	}},
	{name: "AuthenticatedAt is lost", breaks: "Renew/every_field Rotate/every_field Store/times", change: func(m *memory) {
		alter(m, func(kept, _ *ticket) { kept.AuthenticatedAt = time.Time{} })
	}},
	{name: "times are set", breaks: "Store/sets_no_times", change: func(m *memory) {
		alter(m, func(kept, t *ticket) {
			if t.SignedInAt.IsZero() {
				kept.SignedInAt = m.now
			}
		})
	}},
	{name: "times of the argument are set", breaks: "Store/sets_ID_and_Revision Store/sets_no_times", change: func(m *memory) {
		m.do.store = func(ctx context.Context, t *ticket) (key, error) {
			if t.IssuedAt.IsZero() {
				t.IssuedAt = m.now
			}
			return m.store(ctx, t)
		}
	}},
	{name: "the argument is cut to the unit", breaks: "Store/fails Store/sets_ID_and_Revision", change: func(m *memory) {
		m.do.store = func(ctx context.Context, t *ticket) (key, error) {
			k, err := m.store(ctx, t)
			t.EndsAt = t.EndsAt.Truncate(m.unit)
			return k, err
		}
	}},
	{name: "Store sets no ID", breaks: "Store/sets_ID_and_Revision", change: func(m *memory) {
		m.do.store = func(ctx context.Context, t *ticket) (key, error) {
			u := t.Clone()
			k, err := m.store(ctx, u)
			t.Revision = u.Revision
			return k, err
		}
	}},
	{name: "Store sets no Revision", breaks: "Store/sets_ID_and_Revision", change: func(m *memory) {
		m.do.store = func(ctx context.Context, t *ticket) (key, error) {
			u := t.Clone()
			k, err := m.store(ctx, u)
			t.ID = u.ID
			return k, err
		}
	}},
	{name: "Store keeps its argument", breaks: "Store/keeps_no_argument", change: func(m *memory) {
		m.do.store = func(ctx context.Context, t *ticket) (key, error) {
			k, err := m.store(ctx, t)
			if err == nil {
				m.sessions[t.ID].Identities = t.Identities
			}
			return k, err
		}
	}},
	{name: "keys repeat", breaks: "Store/new_key_and_ID Store/other_IDs cap/at_once cap/replaces", change: func(m *memory) {
		m.do.newKey = func(t *ticket) key { return key(fmt.Sprint("key ", t.Subject, m.count%6)) }
	}},
	{name: "IDs repeat", breaks: "Store/new_key_and_ID Store/other_IDs cap/replaces", change: func(m *memory) {
		m.do.newID = func(t *ticket) string { return fmt.Sprint("ID ", t.Subject, m.count%6) }
	}},
	{name: "the ID of the argument is adopted", breaks: "Store/new_key_and_ID Store/other_IDs", change: func(m *memory) {
		m.do.newID = func(t *ticket) string {
			if t.ID != "" && m.sessions[t.ID] == nil {
				return t.ID
			}
			return m.newID(t)
		}
	}},
	{name: "a sign-in ends the session it replaces", breaks: "Sessions/replaced Store/replaces cap/replaces", change: func(m *memory) {
		m.do.store = func(ctx context.Context, t *ticket) (key, error) {
			r := m.replaced(t)
			k, err := m.store(ctx, t)
			if err == nil && r != nil {
				m.end(r)
			}
			return k, err
		}
	}},
	{name: "a sign-in counts the session it replaces", breaks: "cap/replaces", change: func(m *memory) {
		m.do.replaced = func(*ticket) *record { return nil }
	}},
	{name: "a sign-in ends what others have", breaks: "Store/other_IDs", change: func(m *memory) {
		m.do.store = func(ctx context.Context, t *ticket) (key, error) {
			if r := m.sessions[t.ID]; r != nil && r.Subject != t.Subject {
				m.end(r)
			}
			return m.store(ctx, t)
		}
	}},
	{name: "a failed sign-in ends the session it would replace", breaks: "Store/fails", change: func(m *memory) {
		m.do.store = func(ctx context.Context, t *ticket) (key, error) {
			if r := m.replaced(t); r != nil && m.valid(t) != nil {
				m.end(r)
			}
			return m.store(ctx, t)
		}
	}},
	{name: "a failed sign-in sets the ID", breaks: "Store/fails", change: func(m *memory) {
		m.do.store = func(ctx context.Context, t *ticket) (key, error) {
			k, err := m.store(ctx, t)
			if err != nil {
				t.ID = m.newID(t)
			}
			return k, err
		}
	}},
	{name: "a failed sign-in gives a key", breaks: "Store/fails", change: func(m *memory) {
		m.do.store = func(ctx context.Context, t *ticket) (key, error) {
			u := t.Clone()
			u.ExpiresAt, u.EndsAt = m.now.Add(far), m.now.Add(far)
			if err := m.valid(t); errors.Is(err, ticketstore.ErrInvalidTicket) && m.valid(u) == nil {
				k, _ := m.store(ctx, u)
				return k, err
			}
			return m.store(ctx, t)
		}
	}},
	{name: "a canceled sign-in is an invalid ticket", breaks: "Store/canceled", change: func(m *memory) {
		m.do.store = func(ctx context.Context, t *ticket) (key, error) {
			if ctx.Err() != nil {
				return "", ticketstore.ErrInvalidTicket
			}
			return m.store(ctx, t)
		}
	}},
	{name: "no subject is accepted", breaks: "Store/invalid_subjects", change: func(m *memory) {
		accept(m, func(t *ticket) bool { return t.Subject == "" })
	}},
	{name: "long subjects are accepted", breaks: "Store/invalid_subjects", change: func(m *memory) {
		accept(m, func(t *ticket) bool { return len(t.Subject) == 1025 })
	}},
	{name: "invalid UTF-8 is accepted", breaks: "Store/invalid_subjects", change: func(m *memory) {
		accept(m, func(t *ticket) bool { return t.Subject == "a\xff" })
	}},
	{name: "control characters are accepted", breaks: "Store/invalid_subjects", change: func(m *memory) {
		accept(m, func(t *ticket) bool { return t.Subject == "a\u0085" })
	}},
	{name: "a subject of 1,024 bytes is refused", breaks: "Store/valid_subjects", change: func(m *memory) {
		m.do.valid = func(t *ticket) error {
			if len(t.Subject) == 1024 {
				return ticketstore.ErrInvalidTicket
			}
			return m.valid(t)
		}
	}},
	{name: "no expiry is accepted", breaks: "Renew/invalid Rotate/invalid Store/invalid_expiries", change: func(m *memory) {
		accept(m, func(t *ticket) bool { return t.ExpiresAt.IsZero() && t.Subject != "" })
	}},
	{name: "a past expiry is kept for ever", breaks: "Renew/invalid Rotate/invalid Store/invalid_expiries", change: func(m *memory) {
		past := func(t *ticket) bool {
			return !t.ExpiresAt.IsZero() && !t.ExpiresAt.After(m.now) && t.Subject != ""
		}
		accept(m, past)
		alter(m, func(kept, t *ticket) {
			if past(t) {
				kept.ExpiresAt = m.now.AddDate(1000, 0, 0)
			}
		})
	}},
	{name: "an expiry after the end is accepted", breaks: "Renew/invalid Rotate/invalid Store/invalid_expiries", change: func(m *memory) {
		accept(m, func(t *ticket) bool { return t.EndsAt.After(m.now) && t.ExpiresAt.After(t.EndsAt) })
	}},
	{name: "an expiry at the end is refused", breaks: "Store/valid_expiries", change: func(m *memory) {
		m.do.valid = func(t *ticket) error {
			if t.ExpiresAt.Equal(t.EndsAt) {
				return ticketstore.ErrInvalidTicket
			}
			return m.valid(t)
		}
	}},
	{name: "a sign-in that meets another gets lost", breaks: "cap/at_once concurrent/calls concurrent/listing", change: func(m *memory) {
		m.do.store = func(ctx context.Context, t *ticket) (key, error) {
			k, met, err := m.storeSlowly(ctx, t)
			if met {
				delete(m.sessions, t.ID)
			}
			return k, err
		}
	}},
	{name: "a sign-in that meets another is not listed", breaks: "concurrent/listing", change: func(m *memory) {
		unlisted := map[string]bool{}
		m.do.store = func(ctx context.Context, t *ticket) (key, error) {
			k, met, err := m.storeSlowly(ctx, t)
			unlisted[t.ID] = met
			return k, err
		}
		m.do.list = func(subject string) []*record {
			return slices.DeleteFunc(m.list(subject), func(r *record) bool { return unlisted[r.ID] })
		}
	}},
}

// storeSlowly also reports whether another sign-in came between.
func (m *memory) storeSlowly(ctx context.Context, t *ticket) (k key, met bool, err error) {
	before := m.count
	m.pause()
	met = m.count != before
	k, err = m.store(ctx, t)
	return k, met, err
}
