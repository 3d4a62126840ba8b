package ui

import (
	"slices"
	"sync"

	"github.com/ticketstore/ticketstore"
)

// MaxMemory is how many sessions a Memory has.
const MaxMemory = 100

// A Memory has the sessions that this process has ended last, for the page that
// comes next to say which.
type Memory struct {
	mu       sync.Mutex
	sessions []ticketstore.Session
}

// Add remembers s, and forgets the oldest if there are too many.
func (m *Memory) Add(s ticketstore.Session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.sessions) == MaxMemory {
		m.sessions = slices.Delete(m.sessions, 0, 1)
	}
	m.sessions = append(m.sessions, s)
}

// Find returns the session of subject that is called id.
func (m *Memory) Find(subject, id string) (ticketstore.Session, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.IndexFunc(m.sessions, func(s ticketstore.Session) bool { return s.ID == id && s.Subject == subject })
	if i < 0 {
		return ticketstore.Session{}, false
	}
	return m.sessions[i], true
}
