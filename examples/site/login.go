package main

import (
	"net/http"
	"strings"

	"github.com/ticketstore/ticketstore"
)

type loginForm struct {
	ReturnURL string
	Again     bool // the user is signed in, and has to confirm that
	Ended     bool // a form was sent after its session had ended
	Problem   string
	Login     string
	Password  string // of the demonstration
}

// loginPage is Config.LoginPath. Require and RequireRecent send users here; the
// latter with reauth=1, to have them confirm who they are.
func (a *app) loginPage(w http.ResponseWriter, r *http.Request) {
	t, signedIn := ticketstore.FromContext(r.Context())
	again := signedIn && r.URL.Query().Get("reauth") == "1"
	if signedIn && !again {
		http.Redirect(w, r, a.manager.ReturnURL(r), http.StatusSeeOther)
		return
	}
	if !signedIn && a.manager.EndImpersonation(w, r) == nil {
		// An operator has sent a form as a user whose session had ended. The
		// operator's own has not.
		http.Redirect(w, r, a.manager.ReturnURL(r), http.StatusSeeOther)
		return
	}
	f := loginForm{Again: again, Ended: r.URL.Query().Has("ended")}
	if again {
		who, _ := a.users.byID(t.Subject)
		f.Login = who.Login
	}
	a.showLogin(w, r, http.StatusOK, f)
}

func (a *app) showLogin(w http.ResponseWriter, r *http.Request, status int, f loginForm) {
	title := "Sign in"
	if f.Again {
		title = "Confirm that it is you"
	}
	f.ReturnURL, f.Password = a.manager.ReturnURL(r), demoPassword
	a.show(w, r, status, "", title, "login.html", f)
}

// login checks a password. Your site also limits how often that may be tried.
func (a *app) login(w http.ResponseWriter, r *http.Request) {
	f := loginForm{Login: strings.TrimSpace(r.PostForm.Get("login"))}
	t, signedIn := ticketstore.FromContext(r.Context())
	remember := r.PostForm.Has("remember")
	if signedIn {
		// Who confirms is who is signed in, whatever the form says.
		was, _ := a.users.byID(t.Subject)
		f.Again, f.Login, remember = true, was.Login, t.Persistent
	}
	who, ok := a.users.check(f.Login, r.PostForm.Get("password"))
	if !ok {
		f.Problem = "That password is wrong."
		if !signedIn {
			f.Problem = "User name or password is wrong."
		}
		a.showLogin(w, r, http.StatusBadRequest, f)
		return
	}
	ticket := newTicket(who, "password")
	ticket.Persistent = remember
	a.signIn(w, r, ticket, a.manager.ReturnURL(r))
}

// signIn starts a session for t, and leads to returnURL.
func (a *app) signIn(w http.ResponseWriter, r *http.Request, t *ticketstore.Ticket, returnURL string) {
	if err := a.manager.SignIn(w, r, t); err != nil {
		a.manager.Error(w, r, err)
		return
	}
	http.Redirect(w, r, returnURL, http.StatusSeeOther)
}

// newTicket returns a ticket for who. What is in it can be read without the
// database; it stays as it is until the user signs in again.
func newTicket(who user, scheme string) *ticketstore.Ticket {
	t := ticketstore.NewTicket(who.ID, ticketstore.Claim{Type: "name", Value: who.Name})
	if who.Role != "" {
		t.Identities[0].Claims = append(t.Identities[0].Claims, ticketstore.Claim{Type: "role", Value: who.Role})
	}
	t.Scheme = scheme
	return t
}

func (a *app) logout(w http.ResponseWriter, r *http.Request) {
	if err := a.manager.SignOut(w, r); err != nil {
		a.manager.Error(w, r, err)
		return
	}
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}
