package main

import (
	"bytes"
	"embed"
	"errors"
	"html/template"
	"log/slog"
	"net/http"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/devices"
)

//go:embed pages static
var files embed.FS

var (
	// layout is around every page: the site's own, and those of devices and admin.
	layout   = template.Must(template.ParseFS(files, "pages/layout.html"))
	contents = template.Must(template.ParseFS(files, "pages/content/*.html"))
)

// operatorLayout is layout with a form to sign in as the user whom a page of admin
// is about.
func (a *app) operatorLayout() (*template.Template, error) {
	t := template.New("layout.html").Funcs(template.FuncMap{"mayActAs": a.mayActAs})
	return t.ParseFS(files, "pages/layout.html", "pages/operator.html")
}

// A page of the site's own. The layout asks devices.Page and admin.Page for the
// same names.
type page struct {
	Title   string
	Head    template.HTML
	Content template.HTML
	Site    devices.Site
}

// chrome is what the layout needs to know: Site.Data.
type chrome struct {
	Section string // of the site, for the navigation
	User    user   // whom the request acts as
	Actor   *actor // who acts, if that is somebody else
}

type actor struct {
	user
	Reason string
}

// site returns what the layout needs around a page of the section: Config.Site of
// devices and admin, too.
func (a *app) site(section string) func(*http.Request) devices.Site {
	return func(r *http.Request) devices.Site {
		c := chrome{Section: section}
		if t, ok := ticketstore.FromContext(r.Context()); ok {
			c.User, _ = a.users.byID(t.Subject)
			if by, ok := t.Actor(); ok {
				who, _ := a.users.byID(by.Subject)
				c.Actor = &actor{who, by.Reason}
			}
		}
		return devices.Site{Form: formFields(r), Data: c}
	}
}

// show answers with the content of that name in the layout. The content is
// executed with data, and with what is in every form.
func (a *app) show(w http.ResponseWriter, r *http.Request, status int, section, title, name string, data any) {
	site := a.site(section)(r)
	var content, b bytes.Buffer
	err := contents.ExecuteTemplate(&content, name, struct {
		Site devices.Site
		User user
		Data any
	}{site, site.Data.(chrome).User, data})
	if err == nil {
		err = layout.Execute(&b, page{Title: title, Content: template.HTML(content.String()), Site: site})
	}
	if err != nil {
		slog.ErrorContext(r.Context(), "a template failed", "error", err)
		http.Error(w, "Internal server error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store") // or Back shows it after sign-out
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the client may be gone
}

// problem answers with a page that says what is wrong and leads on.
func (a *app) problem(w http.ResponseWriter, r *http.Request, status int, title, text, link, to string) {
	a.show(w, r, status, "", title, "problem.html", struct{ Title, Text, Link, To string }{title, text, link, to})
}

// failed is Config.ErrorHandler: the page for what the Manager refuses and for
// what Manager.Error is given, which says so to whoever runs the site, too.
func (a *app) failed(w http.ResponseWriter, r *http.Request, status int, err error) {
	title, text, link, to := "Please try again", "The service is unavailable for a moment. Your session is as it was.", "Try again", "/"
	switch {
	case errors.Is(err, ticketstore.ErrSuperseded):
		title, text, link, to = "Signed out here", "The session goes on in another browser. You can end it from the list of your devices.", "Sign in", "/login"
	case status == http.StatusUnauthorized:
		title, text, link, to = "Please sign in", "You are not signed in, or no longer.", "Sign in", "/login"
	case status == http.StatusForbidden:
		title, text, link = "This is for the user alone", "It needs a sign-in of the user’s own, a short while ago.", "Go on"
	case status == http.StatusConflict:
		// As when all sessions of the user have ended while a sign-in was under way: the
		// password that was checked may be the one before.
		text = "Something has changed in the meantime."
	case status == http.StatusInternalServerError:
		title, text, link = "Something is wrong", "That is our mistake. Nothing has been changed.", "Go on"
	case r.Method == http.MethodGet:
		to = r.URL.RequestURI()
	}
	a.problem(w, r, status, title, text, link, to)
}
