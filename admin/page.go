package admin

import (
	_ "embed"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/devices"
	"github.com/ticketstore/ticketstore/internal/ui"
)

//go:embed page.html
var pageHTML string

//go:embed style.css
var ownCSS string

//go:embed parts.html
var partsHTML string

// content is the template of what the built-in pages have in <main>.
func content() *template.Template { return ui.Template("admin", partsHTML+pageHTML) }

func style() string { return ui.Style + ownCSS }

// A Page is what a [Config].Template is executed with. The template is a layout
// of the application around {{.Content}}, with {{.Head}} in its head: as that of
// [devices.Page]. One serves both.
//
// Or else the template shows all by itself: Notice, if there is one; the page of
// one user if Subject is set, which asks whether all sessions are to end if Sure
// is; or else, if People is set, of those who were found; if These is, of sessions
// that may end; if History is, of all that have ended; or one of all sessions.
//
// Its forms and links go to the address that the page is at:
//
//	<form method="get"><input name="find">…</form>, if Finds is set; or name="subject"
//	<a href="?subject={{.Subject}}">, <a href="{{.Next}}">, <a href="?">, <a href="?ended=all">
//	<form method="get"><input name="device">, <input name="network">
//	<select name="cause">…<input name="since" type="date">, <input name="before" type="date">, of Filter
//	<a href="?subject={{.Subject}}&amp;sure=all">Sign out everywhere</a>
//	<form method="post"><input type="hidden" name="subject" value="{{.Subject}}">
//	<button name="revoke" value="{{.ID}}">Sign out</button>
//	<button name="revoke" value="all">Sign out everywhere</button>
//	</form>
//	<form method="get">…of Filter…<button name="these" value="preview">
//	<form method="post">…of Filter; until, cursor and n, of These…<button name="these" value="end">
type Page struct {
	Text Text

	// Ticket is the request's, and read-only; nil if nobody is signed in, as a
	// Notice may say.
	Ticket *ticketstore.Ticket

	Site Site // what Config.Site has returned

	// Notice is set if there is nothing on the page but that. Where the template
	// does not show its text, or fails, the built-in page does.
	Notice *devices.Notice

	// Message says what the last request did; empty if it was no action. About
	// is what it did that to, such as a device and its place, and Whom the user.
	// Failed is set if it did not do it.
	Message string
	About   []string
	Whom    *User
	Failed  bool

	User

	// Sure is set if the page asks whether all sessions of the user are to end.
	Sure bool

	Counts ticketstore.Counts // not on a user's page

	// Rows are of a user, the last used first; of all, those of a user who is on
	// the page together, and who was there last first.
	Rows []Row

	// First, Previous and Next are the addresses of other pages; empty where
	// there are none, or nobody knows.
	First, Previous, Next string

	// Filter is what Rows, on the page of all sessions, and History are chosen by.
	Filter Filter

	// Endings is set on the page of all sessions if there may be one of all that
	// have ended.
	Endings bool

	// History is set on a user's page if the store remembers what has ended.
	History *History

	These  *These
	People *People
	Finds  bool // whether Config.Find is set

	content *template.Template
}

// Title returns what the page is, for <title>.
func (p Page) Title() string {
	title := p.Text.Title
	switch {
	case p.Notice != nil:
		return p.Notice.Title
	case p.Sure:
		title = p.Text.SureAll
	case p.Subject != "":
		title = p.Text.UserTitle + " " + p.Called()
	case p.People != nil:
		title = p.Text.Found
	case p.These != nil:
		title = p.Text.Sure
	case p.History != nil:
		title = p.Text.Ending
	}
	if p.Message == "" {
		return title
	}
	message := append([]string{p.Message}, p.About...)
	if p.Whom != nil {
		message = append(message, p.Whom.Called())
	}
	return strings.Join(message, " ") + " – " + title
}

// Head returns what Content needs in <head>: the style sheet; a script that
// writes the times in the reader's time zone, unless Site.Zone does; and that
// robots keep out.
func (p Page) Head() template.HTML { return ui.Head(style(), p.Site.Zone == nil) }

// Content returns what the built-in page has in <main>.
func (p Page) Content() (template.HTML, error) {
	var b strings.Builder
	if p.content == nil {
		p.content = content()
	}
	err := p.content.ExecuteTemplate(&b, "content", p)
	return template.HTML(b.String()), err
}

// A Row is one session on the page and in JSON. Its Current means the
// operator's own.
type Row struct {
	User
	devices.Row

	// FirstDevice is what the session began with, if it was last used from
	// something else.
	FirstDevice string `json:"firstDevice,omitempty"`

	EndsAt time.Time `json:"endsAt,omitzero"` // however it is used

	// Actor is the operator whose session it really is; nil if that is its user.
	Actor *Actor `json:"actor,omitempty"`

	// Again is set if the row above is of the same user.
	Again bool `json:"-"`
}

// rows returns sessions as the page shows them.
func (v *visit) rows(sessions []ticketstore.Session) []Row {
	current := v.own()
	rows := make([]Row, len(sessions))
	for i, s := range sessions {
		rows[i] = v.row(s, current)
	}
	order(rows)
	return rows
}

// All returns how many sessions are on the page: of a user, how many "Sign out
// everywhere" would end.
func (p Page) All() int64 { return int64(len(p.Rows)) }

// Own reports whether the operator's own session is among Rows.
func (p Page) Own() bool {
	return slices.ContainsFunc(p.Rows, func(row Row) bool { return row.Current })
}

func (v *visit) newPage() Page {
	return Page{Text: v.text, Ticket: v.ticket, Site: v.site, Finds: v.cfg.Find != nil, content: v.BuiltIn}
}

func (h *handler) noticePage(r *http.Request, n ui.Notice) any {
	p := h.visit(nil, r).newPage()
	p.Notice, p.Failed = &devices.Notice{Title: n.Title, Text: n.Text, Link: n.Link, Href: n.Href}, !n.Done
	return p
}
