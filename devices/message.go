package devices

import (
	"net/http"
	"slices"
	"sync"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/ui"
)

// message returns what the last request has done, as this one's query says in
// one of a few words, or by the ID of a session that has ended. Another site's
// link says nothing: a user must not take devices for signed out because it
// says so.
func (h *handler) message(r *http.Request, v *view, endings []ticketstore.Ending) string {
	if !ui.SameOrigin(r) {
		return ""
	}
	q := r.URL.Query()
	switch done := q.Get("done"); {
	case done == reported && h.cfg.Report != nil:
		return v.text.DoneNotMe
	case done == others:
		return v.text.DoneOthers
	case done == alikes:
		return v.text.DoneAlike
	case done == one:
		return v.text.DoneOne("", "")
	case done != "" && v.ticket != nil:
		if s, ok := h.hasEnded(v.ticket.Subject, done, endings); ok {
			row := v.describer.Row(s, "")
			if row.Device == v.text.UnknownDevice {
				return v.text.DoneOne("", "")
			}
			return v.text.DoneOne(row.Device, row.Place)
		}
	case q.Has("confirm") && h.cfg.RecentSignIn > 0:
		return v.text.Confirmed
	}
	return ""
}

// hasEnded returns the session of subject that has ended, as far as the history
// or this process knows of it.
func (h *handler) hasEnded(subject, id string, endings []ticketstore.Ending) (ticketstore.Session, bool) {
	if i := slices.IndexFunc(endings, func(e ticketstore.Ending) bool { return e.Session.ID == id }); i >= 0 {
		return endings[i].Session, true
	}
	return h.ended.find(subject, id)
}

const maxMemory = 100 // sessions

// A memory has the sessions that this process has ended last, for the page that
// comes next to say which.
type memory struct {
	mu       sync.Mutex
	sessions []ticketstore.Session
}

func (m *memory) add(s ticketstore.Session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.sessions) == maxMemory {
		m.sessions = slices.Delete(m.sessions, 0, 1)
	}
	m.sessions = append(m.sessions, s)
}

func (m *memory) find(subject, id string) (ticketstore.Session, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.IndexFunc(m.sessions, func(s ticketstore.Session) bool { return s.ID == id && s.Subject == subject })
	if i < 0 {
		return ticketstore.Session{}, false
	}
	return m.sessions[i], true
}
