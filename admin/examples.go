package admin

import (
	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/devices"
	"github.com/ticketstore/ticketstore/internal/ui"
)

// try executes the template with pages that have one of everything.
func (h *handler) try() error {
	for _, page := range h.examples() {
		if err := h.Try(page, h.cfg.Site != nil); err != nil {
			return err
		}
	}
	return nil
}

// examples have one of everything, to try a template on.
func (h *handler) examples() []Page {
	v := &visit{handler: h, text: h.cfg.Text, words: ui.WordsOf(h.cfg.Text), ticket: ticketstore.NewTicket("root")}
	alice, bob := newUser("alice"), newUser("bob\u202e")
	alice.Name = "Alice"

	list := v.newPage()
	list.Endings, list.Filter = true, Filter{Device: "x", Network: "::1", Since: "1970-01-01"}
	list.First, list.Previous, list.Next = "?", "?", "?cursor=x"
	list.Message, list.About, list.Whom = v.text.DoneOne, []string{"x"}, &alice
	user := v.newPage()
	user.User, user.Message, user.Failed = bob, v.text.NotFound, true
	user.History, user.Filter = &History{Found: 3, Causes: []Cause{{"x", "x"}}}, Filter{Cause: "x", Before: "1970-01-01"}
	for _, e := range ui.ExamplesEnded(&v.words) {
		user.History.Ended = append(user.History.Ended, Ended{User: alice, Ended: devices.Ended(e), By: "root", ByName: "Root"})
	}
	for _, row := range ui.Examples(&v.words) {
		list.Rows = append(list.Rows, Row{User: alice, Row: devices.Row(row)})
		user.Rows = append(user.Rows, Row{User: bob, Row: devices.Row(row)})
	}
	list.Rows = append(list.Rows, Row{Row: devices.Row{ID: "4", Undecodable: true, Kind: "unknown"}})
	sure := user
	sure.Sure = true
	ended, these, people := v.newPage(), v.newPage(), v.newPage()
	ended.History, ended.Filter, ended.Next = user.History, user.Filter, "?ended=all&cursor=x"
	these.Filter = list.Filter
	these.These = &These{Sessions: 3, Users: 2, Of: []UserSessions{{alice, 2}}, Ended: 1, More: true}
	people.People = &People{Query: "x", Of: []UserSessions{{alice, 2}, {bob, 0}}, More: true}
	return []Page{list, user, sure, ended, these, people}
}
