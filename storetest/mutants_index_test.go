package storetest

import (
	"context"
	"slices"
	"strings"

	"github.com/ticketstore/ticketstore"
)

var indexMutants = []mutant{
	{name: "a session lacks its device", breaks: "Session/one Sessions/every_field Sessions/renewed", change: func(m *memory) {
		m.do.session = func(r *record) ticketstore.Session {
			s := m.session(r)
			s.Device = ticketstore.Device{}
			return s
		}
	}},
	{name: "a session is listed as it was at sign-in", breaks: "Sessions/renewed", change: func(m *memory) {
		first := map[string]*ticket{}
		m.do.session = func(r *record) ticketstore.Session {
			if first[r.ID] == nil {
				first[r.ID] = r.ticket
			}
			return m.session(&record{ticket: first[r.ID]})
		}
		m.do.store = func(ctx context.Context, t *ticket) (key, error) {
			k, err := m.store(ctx, t)
			if err == nil {
				first[t.ID] = m.sessions[t.ID].ticket
			}
			return k, err
		}
	}},
	{name: "the oldest sign-in comes first", breaks: "Sessions/order", change: func(m *memory) {
		m.do.list = func(subject string) []*record {
			rs := m.list(subject)
			slices.Reverse(rs)
			return rs
		}
	}},
	{name: "the last used comes first", breaks: "Sessions/order", change: func(m *memory) {
		m.do.list = func(subject string) []*record {
			rs := m.list(subject)
			slices.SortStableFunc(rs, func(a, b *record) int { return b.IssuedAt.Compare(a.IssuedAt) })
			return rs
		}
	}},
	{name: "the last to expire comes first", breaks: "Sessions/order", change: func(m *memory) {
		m.do.list = func(subject string) []*record {
			rs := m.list(subject)
			slices.SortStableFunc(rs, func(a, b *record) int { return b.ExpiresAt.Compare(a.ExpiresAt) })
			return rs
		}
	}},
	{name: "the listing forgets a session", breaks: "Sessions/live Sessions/order Sessions/replaced", change: func(m *memory) {
		m.do.list = func(subject string) []*record {
			rs := m.list(subject)
			return rs[:min(len(rs), 2)]
		}
	}},
	{name: "the listing shows the expired", breaks: "Sessions/expired", change: func(m *memory) {
		m.do.list = func(subject string) (rs []*record) {
			for _, r := range m.sessions {
				if r.Subject == subject {
					rs = append(rs, r)
				}
			}
			slices.SortFunc(rs, func(a, b *record) int { return b.nth - a.nth })
			return rs
		}
	}},
	{name: "the listing ignores case", breaks: "Sessions/of_subject", change: func(m *memory) {
		m.do.list = func(subject string) (rs []*record) {
			for _, r := range m.sessions {
				if strings.EqualFold(r.Subject, subject) {
					rs = append(rs, m.list(r.Subject)...)
				}
			}
			slices.SortFunc(rs, func(a, b *record) int { return b.nth - a.nth })
			return slices.Compact(rs)
		}
	}},
	{name: "the listing takes patterns", breaks: "Sessions/none", change: func(m *memory) {
		m.do.list = func(subject string) []*record {
			if subject == "*" {
				return m.list(alice)
			}
			return m.list(subject)
		}
	}},
	{name: "Session finds the expired", breaks: "Session/expired", change: func(m *memory) {
		m.do.one = func(subject, id string) *record {
			if r := m.sessions[id]; r != nil && r.Subject == subject {
				return r
			}
			return nil
		}
	}},
	{name: "Session finds another subject's", breaks: "Session/none", change: func(m *memory) {
		m.do.one = func(subject, id string) *record {
			if r := m.sessions[id]; r != nil && m.live(r) {
				return r
			}
			return nil
		}
	}},
	{name: "Session finds only the newest", breaks: "Session/one", change: func(m *memory) {
		m.do.one = func(subject, id string) *record {
			rs := m.list(subject)
			if len(rs) > 0 && rs[0].ID == id {
				return rs[0]
			}
			return nil
		}
	}},
	{name: "a canceled look is not found", breaks: "Session/canceled", change: func(m *memory) {
		m.do.look = func(ctx context.Context, subject, id string) (ticketstore.Session, error) {
			if ctx.Err() != nil {
				return ticketstore.Session{}, ticketstore.ErrNotFound
			}
			return m.look(ctx, subject, id)
		}
	}},
	{name: "revoke crosses subjects", breaks: "Revoke/none", change: func(m *memory) {
		m.do.revoke = func(subject, id string) error {
			r := m.sessions[id]
			if r == nil || !m.live(r) {
				return ticketstore.ErrNotFound
			}
			m.end(r)
			return nil
		}
	}},
	{name: "revoke of a missing session succeeds", breaks: "Revoke/expired Revoke/none", change: func(m *memory) {
		m.do.revoke = func(subject, id string) error {
			m.revoke(subject, id)
			return nil
		}
	}},
	{name: "revoke finds the expired", breaks: "Revoke/expired", change: func(m *memory) {
		m.do.revoke = func(subject, id string) error {
			if r := m.sessions[id]; r == nil || r.Subject != subject {
				return ticketstore.ErrNotFound
			}
			delete(m.sessions, id)
			return nil
		}
	}},
	{name: "revoke ends all sessions", breaks: "Revoke/ends Revoke/none", change: func(m *memory) {
		m.do.revoke = func(subject, id string) error {
			if m.one(subject, id) == nil {
				return ticketstore.ErrNotFound
			}
			m.revokeAll(subject)
			return nil
		}
	}},
	{name: "revoke leaves the ticket", breaks: "Revoke/ends", change: func(m *memory) {
		hidden := map[string]bool{}
		m.do.revoke = func(subject, id string) error {
			if m.one(subject, id) == nil || hidden[id] {
				return ticketstore.ErrNotFound
			}
			hidden[id] = true
			return nil
		}
		m.do.list = func(subject string) []*record {
			return slices.DeleteFunc(m.list(subject), func(r *record) bool { return hidden[r.ID] })
		}
	}},
	{name: "what was revoked can be renewed", breaks: "Revoke/final", change: func(m *memory) {
		revoked := map[key]bool{}
		m.do.revokeAll = func(subject string) int {
			for _, r := range m.list(subject) {
				revoked[r.key] = true
			}
			return m.revokeAll(subject)
		}
		m.do.renew = func(ctx context.Context, k key, t *ticket) error {
			if revoked[k] {
				return m.create(k, t)
			}
			return m.renew(ctx, k, t)
		}
	}},
	{name: "revoke-all forgets a session", breaks: "RevokeAll/count RevokeAll/ends", change: func(m *memory) {
		m.do.revokeAll = func(subject string) int {
			rs := m.list(subject)
			for _, r := range rs[:min(len(rs), 2)] {
				m.end(r)
			}
			return len(rs)
		}
	}},
	{name: "revoke-all miscounts", breaks: "RevokeAll/count RevokeAll/expired", change: func(m *memory) {
		m.do.revokeAll = func(subject string) int { return min(m.revokeAll(subject), 1) }
	}},
	{name: "revoke-all counts the expired", breaks: "RevokeAll/expired", change: func(m *memory) {
		m.do.revokeAll = func(subject string) int {
			n := m.revokeAll(subject)
			for id, r := range m.sessions {
				if r.Subject == subject {
					delete(m.sessions, id)
					n++
				}
			}
			return n
		}
	}},
	{name: "revoke-others ends everything", breaks: "Revoke/final RevokeOthers/count RevokeOthers/ends", change: func(m *memory) {
		m.do.revokeOthers = func(subject, keep string) (int, error) {
			if m.one(subject, keep) == nil {
				return 0, ticketstore.ErrNotFound
			}
			return max(0, m.revokeAll(subject)-1), nil
		}
	}},
	{name: "revoke-others counts the one it keeps", breaks: "RevokeOthers/count", change: func(m *memory) {
		m.do.revokeOthers = func(subject, keep string) (int, error) {
			n, err := m.revokeOthers(subject, keep)
			if err == nil {
				n++
			}
			return n, err
		}
	}},
	{name: "revoke-others with an empty keep ends everything", breaks: "RevokeOthers/empty_keep", change: func(m *memory) {
		m.do.revokeOthers = func(subject, keep string) (int, error) {
			if keep == "" {
				return m.revokeAll(subject), nil
			}
			return m.revokeOthers(subject, keep)
		}
	}},
	{name: "revoke-others with an unknown keep ends everything", breaks: "RevokeOthers/unknown_keep", change: func(m *memory) {
		m.do.revokeOthers = func(subject, keep string) (int, error) {
			if keep != "" && m.sessions[keep] == nil {
				return m.revokeAll(subject), nil
			}
			return m.revokeOthers(subject, keep)
		}
	}},
	{name: "revoke-others keeps another subject's", breaks: "RevokeOthers/unknown_keep", change: func(m *memory) {
		m.do.revokeOthers = func(subject, keep string) (int, error) {
			if r := m.sessions[keep]; r != nil && r.Subject != subject {
				return m.revokeAll(subject), nil
			}
			return m.revokeOthers(subject, keep)
		}
	}},
	{name: "revoke-others with an expired keep ends everything", breaks: "RevokeOthers/expired_keep", change: func(m *memory) {
		m.do.revokeOthers = func(subject, keep string) (int, error) {
			if r := m.sessions[keep]; r != nil && !m.live(r) {
				return m.revokeAll(subject), nil
			}
			return m.revokeOthers(subject, keep)
		}
	}},
}
