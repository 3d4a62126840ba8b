package devices

import (
	_ "embed"
	"html/template"
	"net/http"
	"strings"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/ui"
)

//go:embed page.html
var pageHTML string

// A Page is what a [Config].Template is executed with. The template is a layout
// of the application around what the built-in page has in it:
//
//	<html lang="{{.Text.Language}}">
//	<head><title>{{.Title}} – Shop</title><link rel="stylesheet" href="/shop.css">{{.Head}}</head>
//	<body><nav>{{with .Ticket}}{{.Subject}}{{end}}</nav><main>{{.Content}}</main></body>
//	</html>
//
// Content is within the class ticketstore, whose custom properties have the
// colours: .ticketstore { --accent: teal } changes one. Where the layout sets
// color-scheme, they follow that.
//
// Or else the template shows all by itself: Notice, if there is one; or Message
// and Rows. Its forms post to the address that the page is at, so that they need no
// action; the field revoke says what to end,
// the field report what to end and to report:
//
//	<form method="post">
//	<button name="revoke" value="{{.ID}}">Sign out</button>
//	<button name="report" value="{{.ID}}">This wasn’t me</button>
//	<button name="revoke" value="others">Sign out all other devices</button>
//	<button name="revoke" value="all">Sign out everywhere</button>
//	</form>
type Page struct {
	Text Text

	// Ticket is the request's, and read-only; nil if nobody is signed in, as a
	// Notice may say.
	Ticket *ticketstore.Ticket

	Site Site // what Config.Site has returned

	// Notice is set if there is nothing on the page but that. Where the template
	// does not show its text, or fails, the built-in page does.
	Notice *Notice

	// Message says what the last request did; empty if it was no action.
	// Failed is set if it did not do it.
	Message string
	Failed  bool

	Rows   []Row // the present device first, then newest sign-in first
	Others int   // how many of Rows are not the present device
	Report bool  // whether Config.Report is set

	// Ended are sessions that have ended, the last one first. History is set if
	// they are known.
	Ended   []Ended
	History bool

	content *template.Template
}

// A Notice is what a page says instead of what it is for, and a way on: that
// there is no such page, that the store cannot answer, or that sign-in is
// required.
type Notice struct {
	Title string
	Text  string
	Link  string // what Href is
	Href  string
}

// Title returns what the page is, for <title>.
func (p Page) Title() string {
	switch {
	case p.Notice != nil:
		return p.Notice.Title
	case p.Message != "":
		return p.Message + " – " + p.Text.Title
	}
	return p.Text.Title
}

// Head returns what Content needs in <head>: the style sheet; a script that
// writes the times in the reader's time zone, unless Site.Zone does; and that
// robots keep out.
func (p Page) Head() template.HTML { return ui.Head(ui.Style, p.Site.Zone == nil) }

// Content returns what the built-in page has in <main>.
func (p Page) Content() (template.HTML, error) {
	var b strings.Builder
	if p.content == nil {
		p.content = ui.Template("devices", pageHTML)
	}
	err := p.content.ExecuteTemplate(&b, "content", p)
	return template.HTML(b.String()), err
}

func (h *handler) newPage(v *view, rows []Row, ended []Ended) Page {
	p := Page{
		Text: v.text, Ticket: v.ticket, Site: v.site, Rows: rows, Report: h.cfg.Report != nil,
		Ended: ended, History: ended != nil, content: h.BuiltIn,
	}
	for _, row := range rows {
		if !row.Current {
			p.Others++
		}
	}
	return p
}

func (h *handler) noticePage(r *http.Request, n ui.Notice) any {
	p := h.newPage(h.view(r), nil, nil)
	notice := Notice(n)
	p.Notice, p.Failed = &notice, true
	return p
}

// try executes the template with a page that has one of everything.
func (h *handler) try() error {
	v := &view{text: h.cfg.Text, ticket: ticketstore.NewTicket("alice")}
	words := ui.WordsOf(v.text)
	var rows []Row
	for _, row := range ui.Examples(&words) {
		rows = append(rows, Row(row))
	}
	ended := []Ended{}
	for _, e := range ui.ExamplesEnded(&words) {
		ended = append(ended, Ended(e))
	}
	p := h.newPage(v, rows, ended)
	p.Message, p.Failed = v.text.DoneOne, true
	return h.Try(p, h.cfg.Site != nil)
}
