package main

import (
	"embed"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/admin"
	"github.com/ticketstore/ticketstore/devices"
)

//go:embed page.html static
var files embed.FS

var pageTemplate = template.Must(template.ParseFS(files, "page.html"))

type app struct {
	manager *ticketstore.Manager
	store   *ticketstore.RedisStore
	recent  time.Duration // how recent a sign-in has to be to end other sessions
}

func (a *app) routes() (http.Handler, error) {
	own, err := devices.New(a.manager, devices.Config{RecentSignIn: a.recent, Locate: place, History: a.store.History})
	if err != nil {
		return nil, err
	}
	all, err := admin.New(a.store, func(r *http.Request) bool {
		t, ok := ticketstore.FromContext(r.Context())
		return ok && t.HasRole("admin")
	}, admin.Config{Name: names, Find: find, Locate: place})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", a.manager.Wrap(http.HandlerFunc(a.home)))
	mux.Handle("/account/sessions/", http.StripPrefix("/account/sessions", own))
	mux.Handle("/admin/", a.manager.Require(http.StripPrefix("/admin", all)))
	mux.Handle("GET /session", a.manager.Status()) // outside of Wrap: asking does not count as use
	mux.Handle("GET /static/", http.FileServerFS(files))
	mux.HandleFunc("POST /login", a.login)
	mux.Handle("POST /confirm", a.manager.Require(http.HandlerFunc(a.confirm)))
	mux.HandleFunc("POST /logout", a.logout)
	// The cookie's SameSite=Lax lets sibling hosts through; this does not.
	protected := http.NewCrossOriginProtection().Handler(http.MaxBytesHandler(mux, 16<<10))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The pages of devices and admin have a policy of their own.
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		protected.ServeHTTP(w, r)
	}), nil
}

func (a *app) home(w http.ResponseWriter, r *http.Request) { a.page(w, r, http.StatusOK, "") }

func (a *app) login(w http.ResponseWriter, r *http.Request) {
	user := strings.TrimSpace(r.PostFormValue("user"))
	if problem := nameProblem(user); problem != "" {
		a.page(w, r, http.StatusBadRequest, problem)
		return
	}
	// This is where to check the password. Only then:
	a.signIn(w, r, user)
}

// confirm answers the form that asks those to sign in again who are signed in,
// but not recently. The user is whoever the session is of, not what a form says.
func (a *app) confirm(w http.ResponseWriter, r *http.Request) {
	t, _ := ticketstore.FromContext(r.Context())
	// This is where to check the password of t.Subject. Only then:
	a.signIn(w, r, t.Subject)
}

func (a *app) signIn(w http.ResponseWriter, r *http.Request, user string) {
	t := ticketstore.NewTicket(user, ticketstore.Claim{Type: "name", Value: user})
	if user == "admin" { // your users' roles are in your database, not in their names
		t.Identities[0].Claims = append(t.Identities[0].Claims, ticketstore.Claim{Type: "role", Value: "admin"})
	}
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

func (a *app) page(w http.ResponseWriter, r *http.Request, status int, problem string) {
	t, _ := ticketstore.FromContext(r.Context())
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store") // or Back shows it after sign-out
	w.WriteHeader(status)
	err := pageTemplate.Execute(w, struct {
		Ticket             *ticketstore.Ticket // nil if nobody is signed in
		Ended              bool                // session.js has found the session gone
		Confirm            bool                // a page asks for a recent sign-in
		Problem, ReturnURL string
		MaxName            int
	}{t, r.URL.Query().Has("ended"), r.URL.Query().Has("reauth"), problem, a.manager.ReturnURL(r), maxName})
	if err != nil {
		slog.WarnContext(r.Context(), "page not written", "error", err)
	}
}
