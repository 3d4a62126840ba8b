package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ticketstore/ticketstore"
)

var renewMutants = []mutant{
	{name: "renew merges properties", breaks: "Renew/every_field", change: func(m *memory) {
		m.do.renew = func(ctx context.Context, k key, t *ticket) error {
			r, _ := m.find(k)
			err := m.renew(ctx, k, t)
			if err == nil {
				maps.Copy(r.Properties, map[string]string{"tenant": "kept"})
			}
			return err
		}
	}},
	{name: "renew keeps the expiry", breaks: "Renew/every_field Renew/moves_expiry Sessions/expired Sessions/renewed", change: func(m *memory) {
		m.do.renew = func(ctx context.Context, k key, t *ticket) error {
			r, _ := m.find(k)
			if r == nil {
				return m.renew(ctx, k, t)
			}
			expiry := r.ExpiresAt
			err := m.renew(ctx, k, t)
			r.ExpiresAt = expiry
			return err
		}
	}},
	{name: "renew only prolongs", breaks: "Renew/every_field Renew/moves_expiry Sessions/renewed", change: func(m *memory) {
		m.do.renew = func(ctx context.Context, k key, t *ticket) error {
			r, _ := m.find(k)
			if r == nil {
				return m.renew(ctx, k, t)
			}
			expiry := r.ExpiresAt
			err := m.renew(ctx, k, t)
			if expiry.After(r.ExpiresAt) {
				r.ExpiresAt = expiry
			}
			return err
		}
	}},
	{name: "renew takes the ID of its argument", breaks: "Renew/every_field", change: func(m *memory) {
		m.do.renew = func(ctx context.Context, k key, t *ticket) error {
			r, _ := m.find(k)
			id := t.ID
			err := m.renew(ctx, k, t)
			if err == nil && id != "" && id != r.ID {
				delete(m.sessions, r.ID)
				r.ID, m.sessions[id] = id, r
			}
			return err
		}
	}},
	{name: "renew sets no Revision", breaks: "Renew/sets_ID_and_Revision Rotate/unsent", change: func(m *memory) {
		m.do.renew = func(ctx context.Context, k key, t *ticket) error {
			u := t.Clone()
			err := m.renew(ctx, k, u)
			t.ID = u.ID
			return err
		}
	}},
	{name: "renew keeps its argument", breaks: "Renew/keeps_no_argument", change: func(m *memory) {
		m.do.renew = func(ctx context.Context, k key, t *ticket) error {
			r, _ := m.find(k)
			err := m.renew(ctx, k, t)
			if err == nil {
				r.Properties = t.Properties
			}
			return err
		}
	}},
	{name: "renew creates", breaks: "Remove/final Renew/expired Renew/removed Renew/unknown_key Revoke/final Rotate/first_use Rotate/first_use_renews Rotate/first_use_rotates Rotate/grace_ends Rotate/lost_and_rotation Rotate/no_grace Rotate/second Rotate/unsent", change: func(m *memory) {
		m.do.renew = func(ctx context.Context, k key, t *ticket) error {
			if r, _ := m.find(k); r == nil {
				return m.create(k, t)
			}
			return m.renew(ctx, k, t)
		}
	}},
	{name: "renew creates under malformed keys", breaks: "Renew/unknown_key", change: func(m *memory) {
		m.do.renew = func(ctx context.Context, k key, t *ticket) error {
			if len(k) < 10 {
				return m.create(k, t)
			}
			return m.renew(ctx, k, t)
		}
	}},
	{name: "renew revives the expired", breaks: "Renew/expired", change: func(m *memory) {
		m.do.renew = func(ctx context.Context, k key, t *ticket) error {
			for _, r := range m.sessions {
				if r.key == k && !m.live(r) {
					m.replace(r, t)
					return nil
				}
			}
			return m.renew(ctx, k, t)
		}
	}},
	{name: "renew restores what was removed meanwhile", breaks: "concurrent/Renew_and_Remove", change: func(m *memory) {
		m.do.renew = func(ctx context.Context, k key, t *ticket) error {
			r, _ := m.find(k)
			m.pause()
			if r != nil {
				m.sessions[r.ID] = r
			}
			return m.renew(ctx, k, t)
		}
	}},
	{name: "renew checks the revision too early", breaks: "Renew/at_once Rotate/at_once", change: func(m *memory) {
		m.do.current = func(r *record, t *ticket) bool {
			ok := m.current(r, t)
			m.pause()
			return ok
		}
	}},
	{name: "a stale revision is accepted", breaks: "Renew/at_once Renew/stale_revision Rotate/argument Rotate/stale_revision", change: func(m *memory) {
		m.do.current = func(r *record, t *ticket) bool { return t.Revision != "" }
	}},
	{name: "an empty revision is accepted", breaks: "Renew/empty_revision Rotate/stale_revision", change: func(m *memory) {
		m.do.current = func(r *record, t *ticket) bool { return t.Revision == "" || m.current(r, t) }
	}},
	{name: "a stale revision is not found", breaks: "Renew/at_once Renew/stale_revision Rotate/first_use_rotates Rotate/old_key_renews_not Rotate/unused", change: func(m *memory) {
		m.do.renew = func(ctx context.Context, k key, t *ticket) error {
			err := m.renew(ctx, k, t)
			if errors.Is(err, ticketstore.ErrConflict) && t.Revision != "" {
				return ticketstore.ErrNotFound
			}
			return err
		}
	}},
	{name: "a failed renewal sets the Revision", breaks: "Renew/fails", change: func(m *memory) {
		m.do.renew = func(ctx context.Context, k key, t *ticket) error {
			err := m.renew(ctx, k, t)
			if err != nil {
				t.Revision = "failed"
			}
			return err
		}
	}},
	{name: "renew moves the subject", breaks: "Renew/subject", change: func(m *memory) {
		m.do.renew = func(ctx context.Context, k key, t *ticket) error {
			if r, _ := m.find(k); r != nil && t.Subject == bob {
				r.Subject = bob
			}
			return m.renew(ctx, k, t)
		}
	}},
	{name: "renew checks no expiry", breaks: "Renew/invalid", change: func(m *memory) {
		m.do.renew = func(ctx context.Context, k key, t *ticket) error {
			if r, _ := m.find(k); r != nil && t.EndsAt.Before(t.ExpiresAt) && m.current(r, t) {
				m.replace(r, t)
				return nil
			}
			return m.renew(ctx, k, t)
		}
	}},
	{name: "a canceled renewal is not found", breaks: "Renew/canceled", change: func(m *memory) {
		m.do.renew = func(ctx context.Context, k key, t *ticket) error {
			if ctx.Err() != nil {
				return ticketstore.ErrNotFound
			}
			return m.renew(ctx, k, t)
		}
	}},
}

// create keeps t under a key it was not given.
func (m *memory) create(k key, t *ticket) error {
	r := &record{ticket: m.own(t), key: k}
	r.ID, r.Revision = m.newID(t), m.newID(t)
	m.sessions[r.ID] = r
	return nil
}

// openAlso has the store find a record for keys that open none.
func openAlso(m *memory, opens func(r *record, k key) bool) {
	m.do.retrieve = func(ctx context.Context, k key) (*ticket, error) {
		t, err := m.retrieve(ctx, k)
		for _, r := range m.sessions {
			if err != nil && opens(r, k) {
				return r.ticket.Clone(), nil
			}
		}
		return t, err
	}
}

var retrieveMutants = []mutant{
	{name: "expiry is ignored", breaks: "Renew/expired Renew/moves_expiry Retrieve/expired Rotate/gone", change: func(m *memory) {
		openAlso(m, func(r *record, k key) bool { return r.key == k })
	}},
	{name: "expiry is ignored everywhere", breaks: "Renew/expired Renew/moves_expiry Retrieve/expired Revoke/expired RevokeAll/expired RevokeOthers/expired_keep Rotate/gone Session/expired Sessions/expired", change: func(m *memory) {
		m.do.live = func(*record) bool { return true }
	}},
	{name: "the ID opens the ticket", breaks: "Retrieve/unknown_key", change: func(m *memory) {
		openAlso(m, func(r *record, k key) bool { return r.ID == string(k) })
	}},
	{name: "half a key opens the ticket", breaks: "Renew/unknown_key Retrieve/unknown_key", change: func(m *memory) {
		openAlso(m, func(r *record, k key) bool {
			return len(k) > 1 && len(k) < len(r.key) && strings.HasPrefix(string(r.key), string(k))
		})
	}},
	{name: "returned tickets are shared", breaks: "Retrieve/own", change: func(m *memory) {
		m.do.retrieve = func(ctx context.Context, k key) (*ticket, error) {
			t, err := m.retrieve(ctx, k)
			if r, _ := m.find(k); r != nil {
				t.Identities = r.Identities
			}
			return t, err
		}
	}},
	{name: "a ticket that is read twice has two revisions", breaks: "Retrieve/revision Rotate/first_use Rotate/lost Rotate/lost_and_renewal Rotate/new_key Rotate/unsent", change: func(m *memory) {
		var last key // read, with nothing written since
		reads := 0
		m.do.valid = func(t *ticket) error {
			last = ""
			return m.valid(t)
		}
		m.do.retrieve = func(ctx context.Context, k key) (*ticket, error) {
			t, err := m.retrieve(ctx, k)
			if err == nil && k == last {
				reads++
				t.Revision += fmt.Sprint(reads)
			}
			last = k
			return t, err
		}
	}},
	{name: "a canceled read is not found", breaks: "Retrieve/canceled", change: func(m *memory) {
		m.do.retrieve = func(ctx context.Context, k key) (*ticket, error) {
			if ctx.Err() != nil {
				return nil, ticketstore.ErrNotFound
			}
			return m.retrieve(ctx, k)
		}
	}},
}

var removeMutants = []mutant{
	{name: "remove leaves the older sessions", breaks: "Remove/ends Rotate/grace_ends Rotate/second Sessions/live Sessions/replaced Store/replaces cap/replaces", change: func(m *memory) {
		m.do.remove = func(k key) error {
			if r, _ := m.find(k); r != nil && r == m.list(r.Subject)[0] {
				m.end(r)
			}
			return nil
		}
	}},
	{name: "remove ends all sessions", breaks: "Remove/ends Remove/none RevokeOthers/unknown_keep Rotate/gone Rotate/grace_ends Rotate/second Sessions/live Sessions/replaced Store/other_IDs Store/replaces cap/replaces", change: func(m *memory) {
		m.do.remove = func(k key) error {
			if r, _ := m.find(k); r != nil {
				m.revokeAll(r.Subject)
			}
			return nil
		}
	}},
	{name: "remove of a missing key fails", breaks: "Remove/none Rotate/grace_ends Rotate/second", change: func(m *memory) {
		m.do.remove = func(k key) error {
			if r, _ := m.find(k); r == nil {
				return ticketstore.ErrNotFound
			}
			return m.remove(k)
		}
	}},
	{name: "remove of a malformed key fails", breaks: "Remove/none", change: func(m *memory) {
		m.do.remove = func(k key) error {
			if len(k) < 10 {
				return errors.New("malformed key")
			}
			return m.remove(k)
		}
	}},
	{name: "what was removed is listed", breaks: "Renew/removed Rotate/old_key_removes Sessions/live Sessions/replaced", change: func(m *memory) {
		var removed []*record
		m.do.remove = func(k key) error {
			if r, _ := m.find(k); r != nil {
				removed = append(removed, r)
			}
			return m.remove(k)
		}
		m.do.list = func(subject string) []*record {
			return slices.DeleteFunc(append(m.list(subject), removed...), func(r *record) bool { return r.Subject != subject })
		}
	}},
	{name: "a sign-in with the ticket brings back a removed one", breaks: "Remove/final Store/other_IDs", change: func(m *memory) {
		ended := map[string]*record{}
		m.do.remove = func(k key) error {
			if r, _ := m.find(k); r != nil {
				ended[r.ID] = r
			}
			return m.remove(k)
		}
		m.do.store = func(ctx context.Context, t *ticket) (key, error) {
			r := ended[t.ID]
			k, err := m.store(ctx, t)
			if r != nil && r.Subject == t.Subject {
				m.sessions[r.ID] = r
			}
			return k, err
		}
	}},
}
