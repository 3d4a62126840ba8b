package storetest

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/ticketstore/ticketstore"
)

type ending = ticketstore.Ending

// A begun is a session that has begun, and may have ended.
type begun struct {
	session ticketstore.Session
	told    bool
}

// notice tells of the sessions that are no longer there: those that have expired,
// and others for the cause.
func (m *memory) notice(cause string) {
	for _, b := range m.begun {
		r := m.sessions[b.session.ID]
		switch {
		case b.told:
		case r == nil:
			b.told = true
			m.do.tell(ending{Session: b.session, EndedAt: m.now, Cause: cause})
		case m.live(r):
		default:
			b.told = true
			why := "idle"
			if r.ExpiresAt.Equal(r.EndsAt) {
				why = "lifetime"
			}
			m.do.tell(ending{Session: b.session, EndedAt: r.ExpiresAt, Cause: why})
		}
	}
}

func (m *memory) tell(e ending) { m.endings = append(m.endings, e) }

func (m *memory) History(_ context.Context, subject string) ([]ending, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.notice("")
	return m.do.past(subject), nil
}

func (m *memory) past(subject string) []ending {
	es := slices.DeleteFunc(slices.Clone(m.endings), func(e ending) bool { return e.Session.Subject != subject })
	slices.Reverse(es)
	return es
}

func (m *memory) Endings(_ context.Context, cursor string, limit int) ([]ending, string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.notice("")
	return m.do.read(cursor, limit)
}

func (m *memory) read(cursor string, limit int) ([]ending, string, error) {
	from, err := strconv.Atoi(cursor)
	if err != nil && cursor != "" || from > len(m.endings) {
		return nil, "", ticketstore.ErrNotFound
	}
	if limit == 0 {
		return nil, strconv.Itoa(len(m.endings)), nil
	}
	to := min(from+limit, len(m.endings))
	return slices.Clone(m.endings[from:to]), strconv.Itoa(to), nil
}

// marked reports whether t began before its subject's sessions were revoked.
func (m *memory) marked(t *ticket) bool {
	mark, ok := m.marks[t.Subject]
	return ok && m.now.Before(mark.Add(time.Hour)) && !t.SignedInAt.After(mark)
}
