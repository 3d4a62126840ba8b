package oidc

import (
	"cmp"
	_ "embed"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/ticketstore/ticketstore/internal/ui"
)

// A Page tells a person why a sign-in or a sign-out failed.
type Page struct {
	Title   string
	Message string

	// Code is what is wrong, for support: of the provider's, such as
	// "access_denied" (RFC 6749, section 4.1.2.1; OpenID Connect Core 1.0,
	// section 3.1.2.6), or of this package, such as "state".
	Code string

	// Description is the provider's own words, if it has any: hostile text.
	Description string

	// Retry is the path that begins anew; empty if that is of no use.
	Retry string

	Style template.CSS
}

var examplePage = Page{Title: "Title", Message: "Message", Code: "code", Description: "Description", Retry: "/login"}

//go:embed page.html
var pageHTML string

func builtIn() *template.Template { return template.Must(template.New("oidc").Parse(pageHTML)) }

const (
	titleFailed  = "You are not signed in"
	titleNotOut  = "You are not signed out"
	textStale    = "This sign-in was begun in another browser, is already finished, or has taken too long."
	textProvider = "The sign-in service cannot be used right now. Please try again in a moment."
	textOurs     = "Something is wrong on our side. Please try again in a moment."
	textAnswer   = "The sign-in service has sent an answer that cannot be used."
	textEnded    = "The sign-in service has ended your session there meanwhile."
	textRefused  = "You may not use this application."
	textDenied   = "The sign-in was not finished, or was refused."
	textReauth   = "The sign-in service has not asked you to prove who you are again."
)

// A failure is why a sign-in fails, for people and, in err, for the log.
type failure struct {
	status      int
	title       string // if empty, titleFailed
	code        string
	message     string
	description string // the provider's
	final       bool   // trying again is of no use
	err         error
}

func (f *failure) Error() string { return f.code }

// fail answers with a page.
func (p *Provider) fail(w http.ResponseWriter, r *http.Request, f *failure, back string) {
	level := slog.LevelInfo
	if f.status >= 500 {
		level = slog.LevelError
	}
	title := cmp.Or(f.title, titleFailed)
	p.log(r.Context(), level, "oidc: "+title, "code", f.code, "description", f.description, "error", f.err)
	page := Page{Title: title, Message: f.message, Code: f.code, Description: f.description, Style: template.CSS(ui.Style)}
	if !f.final {
		page.Retry = p.retry(back)
	}
	if f.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	p.pages.Page(w, r, f.status, page)
}

// retry returns the path of Login, on the way to back.
func (p *Provider) retry(back string) string {
	if back == "" || back == "/" {
		return p.cfg.LoginPath
	}
	u, err := url.Parse(p.cfg.LoginPath)
	if err != nil {
		return p.cfg.LoginPath
	}
	q := u.Query()
	q.Set("ReturnUrl", back)
	u.RawQuery = q.Encode()
	return u.String()
}

// guard sets the headers of pages. The URL of a callback has a code in it, which
// no other page is to see.
func (p *Provider) guard(next http.Handler) http.Handler {
	return ui.Guard(ui.Style, p.custom, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Referrer-Policy", "no-referrer")
		next.ServeHTTP(w, r)
	}))
}

// errorText returns what of a provider's text may be shown: the characters of
// RFC 6749, section 4.1.2.1, and those of other languages; n bytes at most.
func errorText(s string, n int) string {
	s = strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c == 0xfffd || 0x202a <= c && c <= 0x202e || 0x2066 <= c && c <= 0x2069 {
			return -1
		}
		return c
	}, s)
	if len(s) > n {
		s = strings.ToValidUTF8(s[:n], "") + "…"
	}
	return s
}
