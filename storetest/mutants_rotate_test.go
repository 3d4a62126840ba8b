package storetest

import (
	"context"
	"crypto/rand"
	"slices"
	"time"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/unsent"
)

var rotateMutants = []mutant{
	{name: "a rotation keeps the key", breaks: "Rotate/first_use Rotate/first_use_renews Rotate/first_use_rotates Rotate/grace_ends Rotate/lost_and_rotation Rotate/new_key Rotate/no_grace Rotate/old_key_opens Rotate/old_key_renews_not Rotate/second Rotate/unsent Rotate/unused", change: func(m *memory) {
		m.do.rotate = func(ctx context.Context, k key, t *ticket, _ time.Duration) (key, error) {
			if err := m.renew(ctx, k, t); err != nil {
				return "", err
			}
			return k, nil
		}
	}},
	{name: "a rotation starts a session", breaks: "Rotate/listing Rotate/lost Rotate/old_key_removes", change: func(m *memory) {
		m.do.rotate = func(ctx context.Context, k key, t *ticket, grace time.Duration) (key, error) {
			next, err := m.rotate(ctx, k, t, grace)
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
		m.do.rotate = func(ctx context.Context, k key, t *ticket, grace time.Duration) (key, error) {
			r, _ := m.find(k)
			if r == nil {
				return m.rotate(ctx, k, t, grace)
			}
			was := r.Scheme
			next, err := m.rotate(ctx, k, t, grace)
			r.Scheme = was
			return next, err
		}
	}},
	{name: "a rotation keeps its argument", breaks: "Rotate/argument", change: func(m *memory) {
		m.do.rotate = func(ctx context.Context, k key, t *ticket, grace time.Duration) (key, error) {
			next, err := m.rotate(ctx, k, t, grace)
			if err == nil {
				m.sessions[t.ID].Properties = t.Properties
			}
			return next, err
		}
	}},
	{name: "a rotation sets no Revision", breaks: "Rotate/argument Rotate/first_use Rotate/first_use_renews Rotate/first_use_rotates Rotate/lost Rotate/lost_and_renewal Rotate/lost_and_rotation Rotate/unsent Rotate/unused", change: func(m *memory) {
		m.do.rotate = func(ctx context.Context, k key, t *ticket, grace time.Duration) (key, error) {
			u := t.Clone()
			next, err := m.rotate(ctx, k, u, grace)
			t.ID = u.ID
			return next, err
		}
	}},
	{name: "the old key outlives its session", breaks: "Rotate/lost_and_removal Rotate/old_key_removes Rotate/removed", change: func(m *memory) {
		old := map[key]*record{}
		m.do.rotate = func(ctx context.Context, k key, t *ticket, grace time.Duration) (key, error) {
			r, _ := m.find(k)
			next, err := m.rotate(ctx, k, t, grace)
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
		m.do.rotate = func(ctx context.Context, k key, t *ticket, grace time.Duration) (key, error) {
			next, err := m.rotate(ctx, k, t, grace)
			if err != nil {
				t.Revision = "failed"
			}
			return next, err
		}
	}},
	{name: "the old key opens for ever", breaks: "Rotate/first_use Rotate/first_use_renews Rotate/grace_ends Rotate/lost Rotate/lost_and_renewal Rotate/lost_and_rotation Rotate/unsent", change: func(m *memory) {
		m.do.rotate = func(ctx context.Context, k key, t *ticket, grace time.Duration) (key, error) {
			if grace > 0 {
				grace = 1000 * far
			}
			return m.rotate(ctx, k, t, grace)
		}
	}},
	{name: "there is always some grace", breaks: "Rotate/no_grace", change: func(m *memory) {
		m.do.rotate = func(ctx context.Context, k key, t *ticket, grace time.Duration) (key, error) {
			return m.rotate(ctx, k, t, max(grace, brief))
		}
	}},
	{name: "there is no grace", breaks: "Rotate/lost_and_rotation Rotate/old_key_and_renewal Rotate/old_key_opens Rotate/old_key_renews_not Rotate/second Rotate/unused", change: func(m *memory) {
		m.do.rotate = func(ctx context.Context, k key, t *ticket, grace time.Duration) (key, error) {
			return m.rotate(ctx, k, t, 0)
		}
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
	{name: "the old key tells the revision", breaks: "Rotate/old_key_opens Rotate/unused", change: func(m *memory) {
		m.do.retrieve = func(ctx context.Context, k key) (*ticket, error) {
			t, err := m.retrieve(ctx, k)
			if r, _ := m.find(k); r != nil {
				t.Revision = r.Revision
			}
			return t, err
		}
	}},
	{name: "the old key renews", breaks: "Rotate/old_key_renews_not Rotate/unused", change: func(m *memory) {
		m.do.renew = func(ctx context.Context, k key, t *ticket) error {
			r, rotated := m.find(k)
			if rotated && m.valid(t) == nil && m.current(r, t) {
				m.replace(r, t)
				return nil
			}
			return m.renew(ctx, k, t)
		}
	}},
	{name: "the old key rotates", breaks: "Rotate/old_key_renews_not Rotate/unused", change: func(m *memory) {
		m.do.rotate = func(ctx context.Context, k key, t *ticket, grace time.Duration) (key, error) {
			if r, rotated := m.find(k); rotated {
				k = r.key
			}
			return m.rotate(ctx, k, t, grace)
		}
	}},
	{name: "the old key is not found in a renewal", breaks: "Rotate/first_use_rotates Rotate/old_key_renews_not Rotate/unused", change: func(m *memory) {
		m.do.renew = func(ctx context.Context, k key, t *ticket) error {
			if _, rotated := m.find(k); rotated {
				return ticketstore.ErrNotFound
			}
			return m.renew(ctx, k, t)
		}
	}},
	{name: "the old key does not remove", breaks: "Rotate/lost_and_removal Rotate/old_key_removes", change: func(m *memory) {
		m.do.remove = func(k key) error {
			if _, rotated := m.find(k); rotated {
				return nil
			}
			return m.remove(k)
		}
	}},
	{name: "the old key does not remove after the grace", breaks: "Rotate/grace_ends", change: func(m *memory) {
		m.do.remove = func(k key) error {
			if r, _ := m.find(k); r == nil && m.unknown(k) == ticketstore.ErrSuperseded {
				return ticketstore.ErrSuperseded
			}
			return m.remove(k)
		}
	}},
	{name: "the old key does not remove while the new one is unused", breaks: "Rotate/lost_and_removal", change: func(m *memory) {
		m.do.remove = func(k key) error {
			if r, _ := m.find(k); r != nil && r.unused && r.previous == k {
				return nil
			}
			return m.remove(k)
		}
	}},
	{name: "any key there was removes", breaks: "Rotate/second", change: func(m *memory) {
		m.do.remove = func(k key) error {
			for _, r := range m.sessions {
				if k != "" && slices.Contains(r.spent, k) {
					m.end(r)
				}
			}
			return m.remove(k)
		}
	}},
	{name: "a new key counts as used at once", breaks: "Rotate/lost Rotate/lost_and_renewal Rotate/lost_and_rotation Rotate/unsent", change: func(m *memory) {
		m.do.rotate = func(ctx context.Context, k key, t *ticket, grace time.Duration) (key, error) {
			next, err := m.rotate(ctx, k, t, grace)
			if err == nil {
				m.sessions[t.ID].unused = false
			}
			return next, err
		}
	}},
	{name: "a new key is never used", breaks: "Rotate/at_once Rotate/first_use Rotate/first_use_renews Rotate/first_use_rotates Rotate/grace_ends Rotate/no_grace Rotate/second", change: func(m *memory) {
		m.do.use = func(context.Context, *record, key) {}
	}},
	{name: "what has not been sent counts as used", breaks: "Rotate/unsent", change: func(m *memory) {
		m.do.use = func(_ context.Context, r *record, k key) { m.use(context.Background(), r, k) }
	}},
	{name: "a renewal uses no key", breaks: "Rotate/first_use_renews", change: func(m *memory) {
		m.do.renew = func(ctx context.Context, k key, t *ticket) error { return m.renew(unsent.NewContext(ctx), k, t) }
	}},
	{name: "a rotation uses no key", breaks: "Rotate/first_use_rotates", change: func(m *memory) {
		m.do.rotate = func(ctx context.Context, k key, t *ticket, grace time.Duration) (key, error) {
			return m.rotate(unsent.NewContext(ctx), k, t, grace)
		}
	}},
	{name: "the first use changes the Revision", breaks: "Rotate/argument Rotate/first_use Rotate/lost_and_renewal Rotate/unused", change: func(m *memory) {
		m.do.use = func(ctx context.Context, r *record, k key) {
			was := r.unused
			if m.use(ctx, r, k); was && !r.unused {
				r.Revision = rand.Text()
			}
		}
	}},
	{name: "the old key is good at once", breaks: "Rotate/unused", change: func(m *memory) {
		m.do.find = func(k key) (*record, bool) {
			r, reads := m.find(k)
			return r, reads && !r.unused
		}
	}},
	{name: "the old key does not come back", breaks: "Rotate/lost Rotate/lost_and_renewal Rotate/lost_and_rotation Rotate/unsent", change: func(m *memory) {
		m.do.find = func(k key) (*record, bool) {
			r, reads := m.find(k)
			if r != nil && !reads && r.previous == k {
				return nil, false
			}
			return r, reads
		}
	}},
	{name: "a renewal by the old key drops the unused one", breaks: "Rotate/lost_and_renewal", change: func(m *memory) {
		m.do.renew = func(ctx context.Context, k key, t *ticket) error {
			err := m.renew(ctx, k, t)
			if r := m.sessions[t.ID]; err == nil && r.unused && r.previous == k {
				r.key, r.unused = k, false
			}
			return err
		}
	}},
	{name: "a rotation by the old key leaves the unused one", breaks: "Rotate/lost_and_rotation", change: func(m *memory) {
		left := map[key]string{}
		m.do.rotate = func(ctx context.Context, k key, t *ticket, grace time.Duration) (key, error) {
			if r, _ := m.find(k); r != nil && r.unused && r.previous == k {
				left[r.key] = r.ID
			}
			return m.rotate(ctx, k, t, grace)
		}
		openAlso(m, func(r *record, k key) bool { return left[k] == r.ID })
	}},
	{name: "a second rotation leaves the grace of the first", breaks: "Rotate/first_use_rotates Rotate/second", change: func(m *memory) {
		old := map[key]string{}
		m.do.rotate = func(ctx context.Context, k key, t *ticket, grace time.Duration) (key, error) {
			next, err := m.rotate(ctx, k, t, grace)
			if err == nil && grace == far {
				old[k] = t.ID
			}
			return next, err
		}
		openAlso(m, func(r *record, k key) bool { return old[k] == r.ID })
	}},
	{name: "a rotation accepts any revision", breaks: "Rotate/argument Rotate/stale_revision", change: func(m *memory) {
		m.do.rotate = func(ctx context.Context, k key, t *ticket, grace time.Duration) (key, error) {
			if r, _ := m.find(k); r != nil {
				t.Revision = r.Revision
			}
			return m.rotate(ctx, k, t, grace)
		}
	}},
	{name: "a rotation creates", breaks: "Rotate/first_use Rotate/first_use_renews Rotate/first_use_rotates Rotate/gone Rotate/grace_ends Rotate/lost_and_rotation Rotate/no_grace Rotate/second Rotate/unsent", change: func(m *memory) {
		m.do.rotate = func(ctx context.Context, k key, t *ticket, grace time.Duration) (key, error) {
			if r, _ := m.find(k); r == nil {
				return m.newKey(t), m.create(m.newKey(t), t)
			}
			return m.rotate(ctx, k, t, grace)
		}
	}},
	{name: "a rotation checks no ticket", breaks: "Rotate/invalid", change: func(m *memory) {
		m.do.rotate = func(ctx context.Context, k key, t *ticket, grace time.Duration) (key, error) {
			if r, rotated := m.find(k); r != nil && !rotated && m.current(r, t) && t.Subject != r.Subject {
				return m.newKey(t), nil
			}
			return m.rotate(ctx, k, t, grace)
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
