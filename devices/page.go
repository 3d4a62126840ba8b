package devices

import (
	_ "embed"
	"errors"
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
// Or else the template shows all by itself: Notice, if there is one; Sure, if
// that is there; or Message and Rows. Its forms post to the address that the page
// is at, so that they need no action; the field revoke says what to end, the field
// report what to end and to report:
//
//	<form method="post">{{.Site.Form}}
//	<button name="revoke" value="{{.ID}}">Sign out</button>
//	<button name="report" value="{{.ID}}">This wasn’t me</button>
//	</form>
//	<form method="get">
//	<button name="sure" value="others">Sign out all other devices</button>
//	<button name="sure" value="all">Sign out everywhere</button>
//	</form>
//	<form method="post">{{.Site.Form}}<button name="{{.Sure.Name}}" value="{{.Sure.Value}}">
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

	// Sure is set if there is nothing on the page but that.
	Sure *Sure

	// Rows are those on this page, at most 50. The present device is the first of
	// all, then comes the newest sign-in; equal devices are side by side. Groups
	// are the same, but grouped.
	Rows   []Row
	Groups []Group
	Page   int // from 1 on
	Pages  int

	Others int  // how many sessions there are, on all pages, besides the present one
	Report bool // whether Config.Report is set

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

	// Done is set if it is no error: the user has signed out everywhere.
	Done bool
}

// Title returns what the page is, for <title>.
func (p Page) Title() string {
	switch {
	case p.Notice != nil:
		return p.Notice.Title
	case p.Sure != nil:
		return p.Sure.Title
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

// Many reports whether the page has more devices than are seen at one glance.
func (p Page) Many() bool { return len(p.Rows) > few }

func (h *handler) newPage(v *view) Page {
	return Page{Text: v.text, Ticket: v.ticket, Site: v.site, Report: h.cfg.Report != nil, Page: 1, Pages: 1, content: h.BuiltIn}
}

// list puts those of rows on p that are on the page with that number, as far as
// there is one.
func (p *Page) list(rows []Row, number int) {
	rows, sessions := sideBySide(rows)
	p.Others = countOthers(rows)
	p.Pages = max(1, (len(rows)+pageSize-1)/pageSize)
	p.Page = max(1, min(number, p.Pages))
	p.Rows = rows[(p.Page-1)*pageSize : min(p.Page*pageSize, len(rows))]
	p.Groups = group(p.Rows, sessions)
}

// Previous returns the number of the page before this one, 0 if there is none.
func (p Page) Previous() int { return p.Page - 1 }

// Next returns the number of the page after this one, 0 if there is none.
func (p Page) Next() int {
	if p.Page >= p.Pages {
		return 0
	}
	return p.Page + 1
}

func (h *handler) noticePage(r *http.Request, n ui.Notice) any {
	p := h.newPage(h.view(r))
	notice := Notice(n)
	p.Notice, p.Failed = &notice, !n.Done
	return p
}

// try executes the template with a page that has one of everything, and one that
// asks.
func (h *handler) try() error {
	v := &view{text: h.cfg.Text, ticket: ticketstore.NewTicket("alice")}
	words := ui.WordsOf(v.text)
	var rows []Row
	for _, row := range ui.Examples(&words) {
		rows = append(rows, Row(row))
	}
	rows = append(rows, rows...) // groups
	p := h.newPage(v)
	p.list(rows, 1)
	p.Page, p.Pages, p.History = 2, 3, true
	for _, e := range ui.ExamplesEnded(&words) {
		p.Ended = append(p.Ended, Ended(e))
	}
	p.Message, p.Failed = v.text.DoneOne("Firefox on Linux", "Lisbon"), true
	asks := h.newPage(v)
	asks.Sure = &Sure{"A title", "A text.", "A button", "revoke", all, 2, true}
	return errors.Join(h.Try(p, h.cfg.Site != nil), h.Try(asks, h.cfg.Site != nil))
}
