package main

import (
	"html/template"
	"net/http"
	"strings"

	"github.com/gorilla/csrf"

	"github.com/ticketstore/ticketstore"
)

// asField is in every form: whom the page was for.
const asField = "as"

// formFields is in every form that changes something: a CSRF token, and who the
// page was for.
func formFields(r *http.Request) template.HTML {
	return csrf.TemplateField(r) + template.HTML(`<input type="hidden" name="`+asField+`" value="`+template.HTMLEscapeString(subject(r))+`">`)
}

// subject returns who r is signed in as; "" if nobody.
func subject(r *http.Request) string {
	if t, ok := ticketstore.FromContext(r.Context()); ok {
		return t.Subject
	}
	return ""
}

// protectForms refuses what changes something, but for forms of this site that
// were made for the user who is signed in now: next is within it, and it is
// within Wrap.
func (a *app) protectForms(next http.Handler) http.Handler {
	name := "__Host-site-csrf" // or a sibling host could plant a token
	if a.cfg.insecure {
		name = "site-csrf" // the prefix needs Secure
	}
	protect := csrf.Protect(a.cfg.csrfKey,
		csrf.CookieName(name), csrf.Path("/"), csrf.Secure(!a.cfg.insecure),
		csrf.MaxAge(0), // as long as the browser is open: a page may be open for longer than the default, 12 hours
		csrf.ErrorHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			a.problem(w, r, http.StatusForbidden, "This form has expired", "Nothing has been changed. Please open the page again and repeat what you did.", "Go on", "/")
		})),
	)(a.sameUser(next))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(a.cfg.url, "http://") {
			// Else csrf takes the site's own Origin, which is http, for another's. Behind
			// a proxy that does TLS, cfg.url is https, though r.TLS is nil.
			r = csrf.PlaintextHTTPRequest(r)
		}
		protect.ServeHTTP(w, r)
	})
}

// sameUser refuses a form that was filled in as somebody else: in another tab, an
// operator has begun or ended to act as a user. The CSRF token, which belongs to
// the browser, would let it through.
func (a *app) sameUser(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := subject(r)
		ended := now == "" && r.URL.Path != "/login" // Require says so, better
		if r.Method == http.MethodPost && r.PostFormValue(asField) != now && !ended {
			a.problem(w, r, http.StatusConflict, "That page is out of date",
				"You were signed in as somebody else, or not at all, when it was opened. Nothing has been changed.", "Go on", "/")
			return
		}
		next.ServeHTTP(w, r)
	})
}
