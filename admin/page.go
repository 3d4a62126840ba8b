package admin

import (
	_ "embed"
	"html/template"
	"net/http"
	"strconv"
	"strings"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/devices"
	"github.com/ticketstore/ticketstore/internal/clock"
	"github.com/ticketstore/ticketstore/internal/ui"
)

//go:embed page.html
var pageHTML string

//go:embed style.css
var ownCSS string

func style() string { return ui.Style + ownCSS }

// A Page is what a [Config].Template is executed with: the page of one user if
// Subject is set; or else, if These is set, of sessions that may end; if History
// is, of all that have ended; or one of all sessions.
//
// Its forms and links go to the address that the page is at:
//
//	<form method="get"><input name="subject" value="{{.Subject}}">…</form>
//	<a href="?subject={{.Subject}}">, <a href="?cursor={{.Next}}">, <a href="?">, <a href="?ended=all">
//	<form method="get"><input name="device">, <input name="network">
//	<select name="cause">…<input name="since" type="date">, <input name="before" type="date">, of Filter
//	<form method="post"><input type="hidden" name="subject" value="{{.Subject}}">
//	<button name="revoke" value="{{.ID}}">Sign out</button>
//	<button name="revoke" value="all">Sign out everywhere</button>
//	</form>
//	<form method="get">…of Filter…<button name="these" value="preview">
//	<form method="post">…of Filter; until, cursor and n, of These…<button name="these" value="end">
type Page struct {
	Text Text

	// Message says what the last request did; empty if it was no action.
	// Failed is set if it did not do it.
	Message string
	Failed  bool

	User

	Counts ticketstore.Counts // not on a user's page
	Rows   []Row              // of a user, newest sign-in first
	Later  bool               // this is not the first page
	Next   string             // the cursor of the next page; empty on the last

	// Filter is what Rows, on the page of all sessions, and History are chosen by.
	Filter Filter

	// Endings is set on the page of all sessions if there may be one of all that
	// have ended.
	Endings bool

	// History is set on a user's page if the store remembers what has ended.
	History *History

	These *These

	// Notice is set if there is nothing on the page but that. Where the template
	// does not show its text, or fails, the built-in page does.
	Notice *devices.Notice

	content *template.Template
}

// Title returns what the page is, for <title>.
func (p Page) Title() string {
	title := p.Text.Title
	switch {
	case p.Notice != nil:
		return p.Notice.Title
	case p.Subject != "":
		title = p.Text.UserTitle + " " + p.Name
	case p.These != nil:
		title = p.Text.Sure
	case p.History != nil:
		title = p.Text.Ending
	}
	if p.Message != "" {
		return p.Message + " – " + title
	}
	return title
}

// Head returns what Content needs in <head>: the style sheet; a script that
// writes the times in the reader's time zone; and that robots keep out.
func (p Page) Head() template.HTML { return ui.Head(style(), true) }

// Content returns what the built-in page has in <main>.
func (p Page) Content() (template.HTML, error) {
	var b strings.Builder
	if p.content == nil {
		p.content = ui.Template("admin", pageHTML)
	}
	err := p.content.ExecuteTemplate(&b, "content", p)
	return template.HTML(b.String()), err
}

// A User is the user of a session.
type User struct {
	// Subject is exact; it may have any character but control characters. It
	// is empty if the session cannot be read at all.
	Subject string `json:"subject"`

	// Name is Subject as it may be shown: in one line, without marks that
	// reverse the text around them. Put it in <bdi>.
	Name string `json:"-"`

	// Hidden is set if Name is not all of Subject, so that two users may look
	// like one.
	Hidden bool `json:"-"`
}

// A Row is one session on the page and in JSON. Its Current means the
// operator's own.
type Row struct {
	User
	devices.Row
}

// newUser returns the user of subject. No name is cut: a store allows 1,024 bytes.
func newUser(subject string) User {
	name := ui.Clean(subject, maxName)
	if name == "" && subject != "" {
		name = strconv.QuoteToASCII(subject) // a link needs a text
	}
	return User{Subject: subject, Name: name, Hidden: name != subject}
}

const maxName = 1024 // runes

// rows returns sessions as r's page shows them.
func (h *handler) rows(r *http.Request, sessions []ticketstore.Session) []Row {
	current := ""
	if t, ok := ticketstore.FromContext(r.Context()); ok {
		current = t.ID
	}
	describer := h.describer(r)
	rows := make([]Row, len(sessions))
	for i, s := range sessions {
		rows[i] = Row{newUser(s.Subject), devices.Row(describer.Row(s, current))}
	}
	return rows
}

func (h *handler) describer(r *http.Request) *ui.Describer {
	return ui.NewDescriber(&h.words, h.cfg.Locate, nil, clock.Now(r.Context()))
}

// All returns how many sessions are on the page: of a user, how many "Sign out
// everywhere" would end.
func (p Page) All() int64 { return int64(len(p.Rows)) }

func (h *handler) newPage() Page {
	return Page{Text: h.cfg.Text, content: h.BuiltIn}
}

func (h *handler) noticePage(_ *http.Request, n ui.Notice) any {
	p := h.newPage()
	p.Notice, p.Failed = &devices.Notice{Title: n.Title, Text: n.Text, Link: n.Link, Href: n.Href}, !n.Done
	return p
}

// examples have one of everything, to try a template on.
func (h *handler) examples() []Page {
	all, user := h.newPage(), h.newPage()
	user.User, user.Message, user.Failed = newUser("bob\u202e"), h.cfg.Text.DoneOne, true
	all.Next, all.Later, all.Endings, all.Filter = "cursor", true, true, Filter{Device: "x", Network: "::1", Since: "1970-01-01"}
	user.History = &History{Found: 3, Causes: []Cause{{"x", "x"}}}
	user.Filter = Filter{Cause: "x", Before: "1970-01-01"}
	for _, e := range ui.ExamplesEnded(&h.words) {
		user.History.Ended = append(user.History.Ended, Ended{newUser("alice"), devices.Ended(e), "root"})
	}
	ended, end := h.newPage(), h.newPage()
	ended.History, ended.Filter, ended.Next = user.History, user.Filter, "cursor"
	end.Filter = all.Filter
	end.These = &These{Sessions: 3, Users: 2, Of: []UserSessions{{newUser("alice"), 2}}, Ended: 1, More: true}
	for _, row := range ui.Examples(&h.words) {
		all.Rows = append(all.Rows, Row{newUser("alice"), devices.Row(row)})
		user.Rows = append(user.Rows, Row{user.User, devices.Row(row)})
	}
	all.Rows = append(all.Rows, Row{Row: devices.Row{ID: "4", Undecodable: true, Kind: "unknown"}})
	return []Page{all, user, ended, end}
}
