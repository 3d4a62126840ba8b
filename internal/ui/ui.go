// Package ui is what the pages of packages devices and admin have in common:
// how a session is shown, how it looks, and what headers guard it.
package ui

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"html/template"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
)

// Style is the style sheet of all pages.
//
//go:embed style.css
var Style string

//go:embed parts.html
var parts string

// Template returns the template of a page: html, in which {{template}} knows
// the parts of all pages, and (both .Text .Row) hands them two things.
func Template(name, html string) *template.Template {
	t := template.New(name).Funcs(template.FuncMap{
		"both": func(text, row any) any { return struct{ Text, Row any }{text, row} },
	})
	return template.Must(template.Must(t.Parse(parts)).Parse(html))
}

// Guard returns a handler that sets the headers of a page with the inline style
// sheet style, and calls next. A custom page may load its site's own files.
func Guard(style string, custom bool, next http.Handler) http.Handler {
	policy := contentSecurityPolicy(style, custom)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Cache-Control", "no-store") // or Back shows it after sign-out
		header.Set("Content-Security-Policy", policy)
		// With no-referrer, a browser's POST would have the origin null.
		header.Set("Referrer-Policy", "same-origin")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Add("Vary", "Accept")
		next.ServeHTTP(w, r)
	})
}

// contentSecurityPolicy allows the one inline style sheet, by its hash: that
// needs no path of its own, and so works wherever the handler is mounted.
func contentSecurityPolicy(style string, custom bool) string {
	sum := sha256.Sum256([]byte(style))
	source, font := "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'", ""
	if custom {
		source, font = "'self' "+source, "font-src 'self'; "
	}
	return "default-src 'none'; style-src " + source + "; img-src 'self'; " + font +
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
}

// Trust tells protection the origins, and returns every problem with them.
func Trust(protection *http.CrossOriginProtection, origins []string) (problems []error) {
	for i, origin := range origins {
		if err := protection.AddTrustedOrigin(origin); err != nil {
			problems = append(problems, Problem("TrustedOrigins["+strconv.Itoa(i)+"]", "%w", err))
		}
	}
	return problems
}

// A Responder writes answers.
type Responder struct {
	Package     string // that it answers for, in its logs
	Template    *template.Template
	Unavailable string
	Logger      *slog.Logger // if nil, slog.Default
}

// Try executes the template without an answer.
func (p *Responder) Try(page any) error {
	if err := p.Template.Execute(new(bytes.Buffer), page); err != nil {
		return Problem("Template", "%w", err)
	}
	return nil
}

// Page answers with the template: all of it, or none.
func (p *Responder) Page(w http.ResponseWriter, r *http.Request, status int, page any) {
	var b bytes.Buffer
	if err := p.Template.Execute(&b, page); err != nil {
		p.Log(r, slog.LevelError, "the template failed", "error", err)
		http.Error(w, "Internal server error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if _, err := w.Write(b.Bytes()); err != nil {
		p.Log(r, slog.LevelDebug, "the page was not written", "error", err)
	}
}

// JSON answers with v.
func (p *Responder) JSON(w http.ResponseWriter, r *http.Request, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		p.Log(r, slog.LevelDebug, "the JSON was not written", "error", err)
	}
}

// Fail answers for a store that has returned err.
func (p *Responder) Fail(w http.ResponseWriter, r *http.Request, err error) {
	if context.Cause(r.Context()) == context.Canceled { // see Manager.fail
		p.Log(r, slog.LevelDebug, "the client hung up", "error", err)
	} else {
		p.Log(r, slog.LevelError, "the store cannot answer", "error", err)
	}
	w.Header().Set("Retry-After", "5")
	http.Error(w, p.Unavailable, http.StatusServiceUnavailable)
}

// Log logs msg.
func (p *Responder) Log(r *http.Request, level slog.Level, msg string, args ...any) {
	logger := p.Logger
	if logger == nil {
		logger = slog.Default()
	}
	logger.Log(r.Context(), level, p.Package+": "+msg, args...)
}

// ParseForm reads r's form, if that has at most MaxForm bytes.
func ParseForm(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, MaxForm)
	return r.ParseForm()
}

// MaxForm is how many bytes a form may have.
const MaxForm = 4 << 10

// SeeOther redirects to location as it stands. http.Redirect would complete it
// by the path that StripPrefix has cut.
func SeeOther(w http.ResponseWriter, location string) {
	w.Header().Set("Location", location)
	w.WriteHeader(http.StatusSeeOther)
}

// WantsJSON reports whether r's client asks for JSON and is no browser on its
// way to a page.
func WantsJSON(r *http.Request) bool {
	accept := strings.Join(r.Header.Values("Accept"), ",")
	return strings.Contains(accept, "application/json") && !strings.Contains(accept, "text/html")
}

// SameOrigin reports whether r, as far as it says, comes from a page of its own
// origin. Another site's link must not make a page say what has been done.
func SameOrigin(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return site == "" || site == "same-origin"
}
