package devices

import (
	"net/http"
	"slices"

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
	return h.ended.Find(subject, id)
}
