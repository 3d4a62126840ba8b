package main

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ticketstore/ticketstore"
)

//go:embed page.html style.css
var files embed.FS

var pageTemplate = template.Must(template.ParseFS(files, "page.html"))

type app struct {
	manager  *ticketstore.Manager
	store    *ticketstore.RedisStore
	redisCLI string
}

func (a *app) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", a.manager.Wrap(http.HandlerFunc(a.home)))
	mux.Handle("GET /me", a.manager.Require(http.HandlerFunc(a.me)))
	mux.HandleFunc("GET /stats", a.stats)
	mux.Handle("GET /style.css", http.FileServerFS(files))
	mux.HandleFunc("POST /login", a.login)
	mux.HandleFunc("POST /logout", a.logout)
	limited := http.MaxBytesHandler(mux, 16<<10)
	// The cookie's SameSite=Lax lets sibling hosts through; this does not.
	return secureHeaders(http.NewCrossOriginProtection().Handler(limited))
}

func secureHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

func (a *app) home(w http.ResponseWriter, r *http.Request) { a.page(w, r, http.StatusOK, "") }

func (a *app) login(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, "The form cannot be read. Please go back and try again.", http.StatusBadRequest)
		return
	}
	user := strings.TrimSpace(r.PostForm.Get("user"))
	if problem := nameProblem(user); problem != "" {
		a.page(w, r, http.StatusBadRequest, problem)
		return
	}
	// This is where to check the password. Only then:
	t := ticketstore.NewTicket(user, ticketstore.Claim{Type: "name", Value: user})
	t.Persistent = r.PostForm.Has("remember")
	if err := a.manager.SignIn(w, r, t); err != nil {
		a.manager.Error(w, r, err)
		return
	}
	http.Redirect(w, r, a.manager.ReturnURL(r), http.StatusSeeOther)
}

const maxName = 64 // characters; a subject may be longer

// nameProblem returns what is wrong with a name that nobody can sign in by, in
// words for whoever typed it.
func nameProblem(name string) string {
	switch {
	case name == "":
		return "Please enter a user name."
	case utf8.RuneCountInString(name) > maxName:
		return fmt.Sprintf("That name is too long. Please enter one of at most %d characters.", maxName)
	case !utf8.ValidString(name), strings.ContainsFunc(name, unicode.IsControl):
		return "Please enter a user name without tabs, line breaks and other control characters."
	}
	return ""
}

func (a *app) logout(w http.ResponseWriter, r *http.Request) {
	if err := a.manager.SignOut(w, r); err != nil {
		a.manager.Error(w, r, err)
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (a *app) me(w http.ResponseWriter, r *http.Request) {
	t, _ := ticketstore.FromContext(r.Context()) // Require has made sure of it
	writeJSON(w, r, t)
}

func (a *app) stats(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	counts, err := a.store.Count(ctx)
	if err != nil {
		a.manager.Error(w, r, err)
		return
	}
	writeJSON(w, r, counts)
}

func (a *app) page(w http.ResponseWriter, r *http.Request, status int, problem string) {
	t, _ := ticketstore.FromContext(r.Context())
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store") // or Back shows it after sign-out
	w.WriteHeader(status)
	err := pageTemplate.Execute(w, struct {
		Ticket                       *ticketstore.Ticket // nil if nobody is signed in
		Problem, RedisCLI, ReturnURL string
		MaxName                      int
	}{t, problem, a.redisCLI, a.manager.ReturnURL(r), maxName})
	if err != nil {
		slog.WarnContext(r.Context(), "page not written", "error", err)
	}
}

func writeJSON(w http.ResponseWriter, r *http.Request, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		slog.WarnContext(r.Context(), "JSON not written", "error", err)
	}
}
