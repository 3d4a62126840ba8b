package storetest

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/ticketstore/ticketstore"
)

// began returns when a session began, as links go by.
func (m *memory) began(t *ticket) time.Time {
	if !t.LinkedAt.IsZero() {
		return t.LinkedAt
	}
	return t.SignedInAt
}

func (m *memory) has(t *ticket, link string) bool { return slices.Contains(t.Links, link) }

// unlinked reports whether t began before one of its links was revoked.
func (m *memory) unlinked(t *ticket) bool {
	return slices.ContainsFunc(t.Links, func(link string) bool {
		mark, ok := m.linkMarks[link]
		return ok && m.now.Before(mark.at.Add(time.Hour)) && !m.began(t).After(mark.before)
	})
}

// A linkMark says up to when what began has been ended.
type linkMark struct{ at, before time.Time }

func (m *memory) RevokeLinked(_ context.Context, link string, before time.Time, progress func(int)) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	defer m.notice("revoked")
	if before.IsZero() {
		before = m.now
	}
	m.do.markLink(link, before)
	return m.do.revokeLinked(link, before, progress), nil
}

func (m *memory) markLink(link string, before time.Time) {
	if old := m.linkMarks[link].before; old.After(before) {
		before = old
	}
	m.linkMarks[link] = linkMark{m.now, before}
}

func (m *memory) revokeLinked(link string, before time.Time, progress func(int)) (n int) {
	for _, r := range m.sessions {
		if m.do.has(r.ticket, link) && m.live(r) && !m.began(r.ticket).After(before) {
			m.do.end(r)
			n++
			if progress != nil {
				progress(n)
			}
		}
	}
	return n
}

func (m *memory) Linked(_ context.Context, link string) iter.Seq2[ticketstore.Session, error] {
	return func(yield func(ticketstore.Session, error) bool) {
		m.mu.Lock()
		defer m.mu.Unlock()
		for _, r := range m.sessions {
			if m.do.has(r.ticket, link) && m.live(r) && !yield(m.session(r), nil) {
				return
			}
		}
	}
}
