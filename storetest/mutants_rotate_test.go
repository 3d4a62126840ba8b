package storetest

import (
	"context"
	"slices"
	"time"

	"github.com/ticketstore/ticketstore"
)

var rotateMutants = []mutant{
	{name: "a rotation keeps the key", breaks: "Rotate/grace_ends Rotate/new_key Rotate/no_grace Rotate/old_key_opens Rotate/old_key_renews_not Rotate/second", change: func(m *memory) {
		m.do.rotate = func(k key, t *ticket, _ time.Duration) (key, error) {
			if err := m.renew(context.TODO(), k, t); err != nil {
				return "", err
			}
			return k, nil
		}
	}},
	{name: "a rotation starts a session", breaks: "Rotate/listing Rotate/old_key_removes", change: func(m *memory) {
		m.do.rotate = func(k key, t *ticket, grace time.Duration) (key, error) {
			next, err := m.rotate(k, t, grace)
			if err == nil {
				r := *m.sessions[t.ID]
				r.ticket = r.ticket.Clone()
				r.ID, r.key, r.previous = m.newID(t), m.newKey(t), m.newKey(t)
				m.sessions[r.ID] = &r
			}
			return next, err
		}
	}},
	{name: "a rotation keeps the ticket", breaks: "Rotate/every_field", change: func(m *memory) {
		m.do.rotate = func(k key, t *ticket, grace time.Duration) (key, error) {
			r, _ := m.find(k)
			if r == nil {
				return m.rotate(k, t, grace)
			}
			was := r.Scheme
			next, err := m.rotate(k, t, grace)
			r.Scheme = was
			return next, err
		}
	}},
	{name: "a rotation keeps its argument", breaks: "Rotate/argument", change: func(m *memory) {
		m.do.rotate = func(k key, t *ticket, grace time.Duration) (key, error) {
			next, err := m.rotate(k, t, grace)
			if err == nil {
				m.sessions[t.ID].Properties = t.Properties
			}
			return next, err
		}
	}},
	{name: "a rotation sets no Revision", breaks: "Rotate/argument", change: func(m *memory) {
		m.do.rotate = func(k key, t *ticket, grace time.Duration) (key, error) {
			u := t.Clone()
			next, err := m.rotate(k, u, grace)
			t.ID = u.ID
			return next, err
		}
	}},
	{name: "the old key outlives its session", breaks: "Rotate/old_key_removes Rotate/removed", change: func(m *memory) {
		old := map[key]*record{}
		m.do.rotate = func(k key, t *ticket, grace time.Duration) (key, error) {
			r, _ := m.find(k)
			next, err := m.rotate(k, t, grace)
			if err == nil {
				old[k] = r
			}
			return next, err
		}
		m.do.retrieve = func(ctx context.Context, k key) (*ticket, error) {
			if r := old[k]; r != nil && m.sessions[r.ID] == nil {
				return r.ticket.Clone(), nil
			}
			return m.retrieve(ctx, k)
		}
	}},
	{name: "a failed rotation sets the Revision", breaks: "Rotate/argument", change: func(m *memory) {
		m.do.rotate = func(k key, t *ticket, grace time.Duration) (key, error) {
			next, err := m.rotate(k, t, grace)
			if err != nil {
				t.Revision = "failed"
			}
			return next, err
		}
	}},
	{name: "the old key opens for ever", breaks: "Rotate/grace_ends", change: func(m *memory) {
		m.do.rotate = func(k key, t *ticket, grace time.Duration) (key, error) {
			if grace > 0 {
				grace = 1000 * far
			}
			return m.rotate(k, t, grace)
		}
	}},
	{name: "there is always some grace", breaks: "Rotate/no_grace", change: func(m *memory) {
		m.do.rotate = func(k key, t *ticket, grace time.Duration) (key, error) {
			return m.rotate(k, t, max(grace, brief))
		}
	}},
	{name: "there is no grace", breaks: "Rotate/at_once Rotate/old_key_and_renewal Rotate/old_key_opens Rotate/old_key_removes Rotate/old_key_renews_not Rotate/second", change: func(m *memory) {
		m.do.rotate = func(k key, t *ticket, grace time.Duration) (key, error) { return m.rotate(k, t, 0) }
	}},
	{name: "renewal ends the grace", breaks: "Rotate/old_key_and_renewal", change: func(m *memory) {
		m.do.renew = func(ctx context.Context, k key, t *ticket) error {
			err := m.renew(ctx, k, t)
			if err == nil {
				m.sessions[t.ID].until = time.Time{}
			}
			return err
		}
	}},
	{name: "the old key tells the revision", breaks: "Rotate/old_key_opens", change: func(m *memory) {
		m.do.retrieve = func(ctx context.Context, k key) (*ticket, error) {
			t, err := m.retrieve(ctx, k)
			if r, _ := m.find(k); r != nil {
				t.Revision = r.Revision
			}
			return t, err
		}
	}},
	{name: "the old key renews", breaks: "Rotate/old_key_renews_not", change: func(m *memory) {
		m.do.renew = func(ctx context.Context, k key, t *ticket) error {
			r, rotated := m.find(k)
			if rotated && m.valid(t) == nil && m.current(r, t) {
				m.replace(r, t)
				return nil
			}
			return m.renew(ctx, k, t)
		}
	}},
	{name: "the old key rotates", breaks: "Rotate/old_key_renews_not", change: func(m *memory) {
		m.do.rotate = func(k key, t *ticket, grace time.Duration) (key, error) {
			if r, rotated := m.find(k); rotated {
				k = r.key
			}
			return m.rotate(k, t, grace)
		}
	}},
	{name: "the old key is not found in a renewal", breaks: "Rotate/old_key_renews_not", change: func(m *memory) {
		m.do.renew = func(ctx context.Context, k key, t *ticket) error {
			if _, rotated := m.find(k); rotated {
				return ticketstore.ErrNotFound
			}
			return m.renew(ctx, k, t)
		}
	}},
	{name: "the old key does not remove", breaks: "Rotate/old_key_removes", change: func(m *memory) {
		m.do.remove = func(k key) error {
			if _, rotated := m.find(k); rotated {
				return nil
			}
			return m.remove(k)
		}
	}},
	{name: "the old key removes after the grace", breaks: "Rotate/grace_ends", change: func(m *memory) {
		m.do.remove = func(k key) error {
			for _, r := range m.sessions {
				if k != "" && r.previous == k {
					m.end(r)
				}
			}
			return m.remove(k)
		}
	}},
	{name: "a second rotation leaves the grace of the first", breaks: "Rotate/second", change: func(m *memory) {
		old := map[key]string{}
		m.do.rotate = func(k key, t *ticket, grace time.Duration) (key, error) {
			next, err := m.rotate(k, t, grace)
			if err == nil && grace == far {
				old[k] = t.ID
			}
			return next, err
		}
		openAlso(m, func(r *record, k key) bool { return old[k] == r.ID })
	}},
	{name: "a rotation accepts any revision", breaks: "Rotate/argument Rotate/stale_revision", change: func(m *memory) {
		m.do.rotate = func(k key, t *ticket, grace time.Duration) (key, error) {
			if r, _ := m.find(k); r != nil {
				t.Revision = r.Revision
			}
			return m.rotate(k, t, grace)
		}
	}},
	{name: "a rotation creates", breaks: "Rotate/gone Rotate/grace_ends", change: func(m *memory) {
		m.do.rotate = func(k key, t *ticket, grace time.Duration) (key, error) {
			if r, _ := m.find(k); r == nil {
				return m.newKey(t), m.create(m.newKey(t), t)
			}
			return m.rotate(k, t, grace)
		}
	}},
	{name: "a rotation checks no ticket", breaks: "Rotate/invalid", change: func(m *memory) {
		m.do.rotate = func(k key, t *ticket, grace time.Duration) (key, error) {
			if r, rotated := m.find(k); r != nil && !rotated && m.current(r, t) && t.Subject != r.Subject {
				return m.newKey(t), nil
			}
			return m.rotate(k, t, grace)
		}
	}},
}

var capMutants = []mutant{
	{name: "there is no cap", breaks: "cap/at_once cap/one_more", change: func(m *memory) {
		m.do.makeRoom = func(string, *record) error { return nil }
	}},
	{name: "a sign-in at the cap evicts another device", breaks: "cap/replaces", change: func(m *memory) {
		m.do.makeRoom = func(subject string, _ *record) error { return m.makeRoom(subject, nil) }
	}},
	{name: "a sign-in at the cap is refused", breaks: "cap/replaces", refuse: true, change: func(m *memory) {
		m.do.makeRoom = func(subject string, _ *record) error { return m.makeRoom(subject, nil) }
	}},
	{name: "the first to expire goes", breaks: "cap/one_more", change: func(m *memory) {
		m.do.makeRoom = func(subject string, replaced *record) error {
			rs := slices.DeleteFunc(m.list(subject), func(r *record) bool { return r == replaced })
			if len(rs) >= m.cap {
				slices.SortStableFunc(rs, func(a, b *record) int { return a.ExpiresAt.Compare(b.ExpiresAt) })
				m.end(rs[0])
			}
			return nil
		}
	}},
	{name: "the expired count", breaks: "cap/expired", refuse: true, change: func(m *memory) {
		m.do.makeRoom = func(subject string, replaced *record) error {
			n := 0
			for _, r := range m.sessions {
				if r.Subject == subject && r != replaced {
					n++
				}
			}
			if n >= m.cap {
				return ticketstore.ErrTooManySessions
			}
			return nil
		}
	}},
	{name: "the cap is checked too early", breaks: "cap/at_once", change: func(m *memory) {
		m.do.makeRoom = func(subject string, replaced *record) error {
			err := m.makeRoom(subject, replaced)
			m.pause()
			return err
		}
	}},
	{name: "a refused sign-in ends a session", breaks: "cap/one_more", refuse: true, change: func(m *memory) {
		m.do.makeRoom = func(subject string, replaced *record) error {
			err := m.makeRoom(subject, replaced)
			if err != nil {
				m.end(m.list(subject)[0])
			}
			return err
		}
	}},
}
