package ui

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"html"
	"html/template"
	"log/slog"
	"net/http"
	"strings"
)

// A Responder writes answers.
type Responder struct {
	Package  string             // that it answers for, in its logs
	Template *template.Template // if nil, BuiltIn
	BuiltIn  *template.Template
	Logger   *slog.Logger // if nil, slog.Default

	// Words are those of r's page, and Notice the page that says n, with nothing
	// else on it. A Responder of pages only has neither.
	Words  func(r *http.Request) *Words
	Notice func(r *http.Request, n Notice) any

	// Leave is the path that somebody goes to who can do nothing here.
	Leave string
}

// Try executes the template without an answer. If some of what it needs comes
// with a request only, it fails for what no request can bring: a field that the
// page has not, or HTML that nothing can be put into safely.
func (p *Responder) Try(page any, some bool) error {
	err := p.template().Execute(new(bytes.Buffer), page)
	var unsafe *template.Error
	if err == nil || some && !errors.As(err, &unsafe) && !strings.Contains(err.Error(), "can't evaluate field") {
		return nil
	}
	return Problem("Template", "%w", err)
}

func (p *Responder) template() *template.Template {
	if p.Template != nil {
		return p.Template
	}
	return p.BuiltIn
}

// Page answers with the template: all of it, or none.
func (p *Responder) Page(w http.ResponseWriter, r *http.Request, status int, page any) {
	switch {
	case p.write(w, r, p.template(), status, page, ""):
	case p.Notice != nil:
		p.Refuse(w, r, Failed, Notice{})
	default:
		http.Error(w, "Internal server error", http.StatusInternalServerError)
	}
}

// write reports whether it has answered: with a page that has text on it.
func (p *Responder) write(w http.ResponseWriter, r *http.Request, t *template.Template, status int, page any, text string) bool {
	var b bytes.Buffer
	if err := t.Execute(&b, page); err != nil {
		p.Log(r, slog.LevelError, "the template failed", "error", err)
		return false
	}
	if !strings.Contains(html.UnescapeString(b.String()), text) {
		return false
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if _, err := w.Write(b.Bytes()); err != nil {
		p.Log(r, slog.LevelDebug, "the page was not written", "error", err)
	}
	return true
}

// JSON answers with v.
func (p *Responder) JSON(w http.ResponseWriter, r *http.Request, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		p.Log(r, slog.LevelDebug, "the JSON was not written", "error", err)
	}
}

// Refuse answers with what there is to say, one of the constants, and its
// status. The fields of n that are empty are what Words has, and a way on.
func (p *Responder) Refuse(w http.ResponseWriter, r *http.Request, what string, n Notice) {
	p.RefuseAs(w, r, status(what), what, n)
}

// RefuseAs is Refuse with another status.
func (p *Responder) RefuseAs(w http.ResponseWriter, r *http.Request, status int, what string, n Notice) {
	words := p.Words(r)
	title, text := words.Notice(what)
	if title == "" && text == "" {
		title, text = notice(what)
	}
	link, href := words.Back, Home(r)
	switch what {
	case Everywhere:
		link, n.Done = words.SignIn, true
	case SignedOut:
		link, href = words.SignIn, p.Leave
	case Forbidden, Failed:
		link, href = words.Leave, p.Leave
	case Unavailable:
		link = words.TryAgain
	}
	p.Say(w, r, status, Notice{cmp.Or(n.Title, title), cmp.Or(n.Text, text), cmp.Or(n.Link, link), cmp.Or(n.Href, href), n.Done})
}

// Say answers with n: as a page, or as JSON to a program.
func (p *Responder) Say(w http.ResponseWriter, r *http.Request, status int, n Notice) {
	if !forPage(r) {
		p.JSON(w, r, status, struct {
			Error string `json:"error"`
		}{n.Text})
		return
	}
	page := p.Notice(r, n)
	if p.Template != nil && p.write(w, r, p.Template, status, page, n.Text) {
		return
	}
	if !p.write(w, r, p.BuiltIn, status, page, "") {
		http.Error(w, n.Text, status)
	}
}

// forPage reports whether r's client shows a page: forms know two methods.
func forPage(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost:
		return !WantsJSON(r)
	}
	return false
}

// Fail answers for a store that has returned err.
func (p *Responder) Fail(w http.ResponseWriter, r *http.Request, err error) {
	if context.Cause(r.Context()) == context.Canceled { // see Manager.fail
		p.Log(r, slog.LevelDebug, "the client hung up", "error", err)
	} else {
		p.Log(r, slog.LevelError, "the store cannot answer", "error", err)
	}
	w.Header().Set("Retry-After", "5")
	p.Refuse(w, r, Unavailable, Notice{})
}

// Answer is a refusal.Func for a Manager.
func (p *Responder) Answer(w http.ResponseWriter, r *http.Request, status int) {
	switch status {
	case http.StatusUnauthorized:
		p.Refuse(w, r, SignedOut, Notice{})
	case http.StatusForbidden:
		p.Refuse(w, r, Stale, Notice{})
	default:
		p.Refuse(w, r, Unavailable, Notice{})
	}
}

// Log logs msg.
func (p *Responder) Log(r *http.Request, level slog.Level, msg string, args ...any) {
	logger := p.Logger
	if logger == nil {
		logger = slog.Default()
	}
	logger.Log(r.Context(), level, p.Package+": "+msg, args...)
}
