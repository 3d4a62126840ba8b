package main

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/ticketstore/ticketstore"
)

// mayActAs reports whether an operator may act as the user with that ID. Not as
// another operator: that would be a way to more rights, and to let somebody else
// have done it.
func (a *app) mayActAs(id string) bool {
	who, ok := a.users.byID(id)
	return ok && who.Role != operator
}

// signInAs has an operator act as a user. It is within RequireRecent.
func (a *app) signInAs(w http.ResponseWriter, r *http.Request) {
	who, _ := a.users.byID(r.PostForm.Get("subject"))
	if !a.mayActAs(who.ID) {
		a.problem(w, r, http.StatusForbidden, "That is not possible", "You can sign in as users, but not as operators.", "All sessions", "/operator/")
		return
	}
	back := "/operator/?subject=" + url.QueryEscape(who.ID)
	reason := strings.TrimSpace(r.PostForm.Get("reason"))
	switch err := a.manager.Impersonate(w, r, newTicket(who, "operator"), reason); {
	case errors.Is(err, ticketstore.ErrInvalidTicket):
		a.problem(w, r, http.StatusBadRequest, "Please give a reason", "One line is enough, such as the number of a support case.", "Back", back)
	case err != nil:
		a.manager.Error(w, r, err)
	default:
		http.Redirect(w, r, "/", http.StatusSeeOther)
	}
}

// backToMyself ends that.
func (a *app) backToMyself(w http.ResponseWriter, r *http.Request) {
	// ErrNotFound: it has ended already, or the operator's own session has.
	if err := a.manager.EndImpersonation(w, r); err != nil && !errors.Is(err, ticketstore.ErrNotFound) {
		a.manager.Error(w, r, err)
		return
	}
	to := "/operator/"
	if who := subject(r); who != "" {
		to += "?subject=" + url.QueryEscape(who)
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}
