package admin

import (
	_ "embed"
	"html/template"
	"slices"
	"strings"

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

const shell = `<!doctype html>
<html lang="{{.Text.Language}}" dir="auto">
<head>
<title>{{.Title}}</title>
{{template "head" .}}
</head>
<body>
<main>
{{template "content" .}}
</main>
</body>
</html>`

func builtIn() *template.Template { return ui.Template("admin", partsHTML+pageHTML+shell) }

func style() string { return ui.Style + ownCSS }

// A Page is what a [Config].Template is executed with: the page of one user if
// Subject is set, which asks whether all sessions are to end if Sure is; or else,
// if People is set, of those who were found; if These is, of sessions that may
// end; if History is, of all that have ended; or one of all sessions.
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

	// Style is the built-in style sheet.
	Style template.CSS

	Site struct{ Form template.HTML }
}

// Title returns what the page is, for <title>.
func (p Page) Title() string {
	title := p.Text.Title
	switch {
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

// A Row is one session on the page and in JSON. Its Current means the
// operator's own.
type Row struct {
	User
	devices.Row

	// Again is set if the row above is of the same user.
	Again bool `json:"-"`
}

// rows returns sessions as the page shows them.
func (v *visit) rows(sessions []ticketstore.Session) []Row {
	current := v.own()
	rows := make([]Row, len(sessions))
	for i, s := range sessions {
		rows[i] = Row{User: newUser(s.Subject), Row: devices.Row(v.describer.Row(s, current))}
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
	return Page{Text: v.text, Finds: v.cfg.Find != nil, Style: template.CSS(style())}
}
