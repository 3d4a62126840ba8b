package admin

import (
	"context"
	"slices"
	"strconv"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/ui"
)

// done has p say what the last request has done, as this one's query says in one
// of a few words, or by the ID of a session; endings are those of the user on p,
// if there is one. Another site's link says nothing.
func (v *visit) done(p *Page, endings []ticketstore.Ending) {
	q := v.r.URL.Query()
	if !ui.SameOrigin(v.r) {
		return
	}
	subject := p.Subject
	if subject == "" {
		subject = q.Get("of")
	}
	n, _ := strconv.ParseInt(q.Get("n"), 10, 64)
	switch q.Get("done") {
	case "one":
		p.Message = v.text.DoneOne
		if s, known := v.hasEnded(subject, q.Get("session"), endings); known {
			p.About = v.about(s)
		}
	case all:
		p.Message = v.text.DoneAll(max(n, 0))
	case these:
		p.Message = v.text.DoneThese(max(n, 0))
		return
	default:
		return
	}
	if subject != "" {
		user := newUser(subject)
		p.Whom = &user
	}
}

// hasEnded returns a session of subject that an operator has ended, as far as this
// process or the user's history knows of it. If endings is nil, that is asked.
func (v *visit) hasEnded(subject, id string, endings []ticketstore.Ending) (ticketstore.Session, bool) {
	if s, known := v.memory.Find(subject, id); known || subject == "" || id == "" {
		return s, known
	}
	if endings == nil {
		endings, _ = v.endingsOf(subject) // the message can do without
	}
	i := slices.IndexFunc(endings, func(e ticketstore.Ending) bool { return e.Session.ID == id && e.Cause == byOperator })
	if i < 0 {
		return ticketstore.Session{}, false
	}
	return endings[i].Session, true
}

// about returns what a message says of a session: its device and place.
func (v *visit) about(s ticketstore.Session) []string {
	if s.Undecodable {
		return nil
	}
	row := v.describer.Row(s, "")
	about := []string{row.Device}
	if row.Place != "" {
		about = append(about, row.Place)
	} else if row.Addr != "" {
		about = append(about, row.Addr)
	}
	return about
}

// look returns a session that is about to end, for the message about it; it can do
// without.
func (v *visit) look(subject, id string) (s ticketstore.Session, known bool) {
	err := v.ask(context.WithoutCancel(v.r.Context()), func(ctx context.Context) (err error) {
		s, err = v.store.Session(ctx, subject, id)
		return err
	})
	return s, err == nil
}
