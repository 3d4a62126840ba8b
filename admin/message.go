package admin

import (
	"slices"
	"strconv"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/ui"
)

// done has p say what the last request has done, as this one's query says in one
// of a few words. What it says of a session is what endings, those of the user
// on p, tell of it; on other pages they are looked up. Another site's link says
// nothing.
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
		if p.Subject == "" && subject != "" {
			endings, _ = v.endingsOf(subject) // the message can do without
		}
		p.Message, p.About = v.text.DoneOne, v.about(endings, q.Get("session"))
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

// about returns what endings tell of a session that an operator has ended: its
// device and place.
func (v *visit) about(endings []ticketstore.Ending, id string) []string {
	i := slices.IndexFunc(endings, func(e ticketstore.Ending) bool { return e.Session.ID == id && e.Cause == byOperator })
	if i < 0 || endings[i].Session.Undecodable {
		return nil
	}
	e := v.describer.Ended(endings[i])
	about := []string{e.Device}
	if e.Place != "" {
		about = append(about, e.Place)
	} else if e.Addr != "" {
		about = append(about, e.Addr)
	}
	return about
}
