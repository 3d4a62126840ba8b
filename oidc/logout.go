package oidc

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/clock"
)

// Logout returns the handler that signs users out here and at the provider
// (OpenID Connect RP-Initiated Logout 1.0). A form posts to it:
//
//	<form method="post" action="/logout"><button>Sign out</button></form>
//
// The session here ends first, whatever becomes of the rest. Then the provider
// is asked, if it has an end_session_endpoint, with id_token_hint, client_id
// and, if PostLogoutURL is set, post_logout_redirect_uri and state: it may ask
// the user, and sends the browser back to this handler by GET. From there the
// way leads to the ReturnUrl of the form, as [ticketstore.Manager.ReturnURL] has
// it.
//
// Posts from other sites are refused. Where the application's pages have a
// Content-Security-Policy with form-action, that has to allow the provider.
func (p *Provider) Logout() http.Handler {
	protection := http.NewCrossOriginProtection()
	return p.guard(methods(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			p.loggedOut(w, r)
			return
		}
		if err := protection.Check(r); err != nil {
			http.Error(w, "Cross-origin requests are refused.", http.StatusForbidden)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxFormBytes)
		p.signOut(w, r)
	}, http.MethodGet, http.MethodPost))
}

func (p *Provider) signOut(w http.ResponseWriter, r *http.Request) {
	back := p.manager.ReturnURL(r)
	var hint string
	if t, err := p.manager.Resolve(r); err == nil {
		hint = t.Properties[tokenPrefix+idToken]
	}
	// A session that goes on by another key is not this browser's to end.
	if err := p.manager.SignOut(w, r); err != nil && !errors.Is(err, ticketstore.ErrSuperseded) {
		p.fail(w, r, &failure{status: http.StatusServiceUnavailable, code: "store", title: titleNotOut, message: textOurs, final: true, err: err}, "")
		return
	}
	end, err := url.Parse(p.metadata.EndSessionEndpoint)
	if err != nil || p.metadata.EndSessionEndpoint == "" {
		http.Redirect(w, r, back, http.StatusSeeOther)
		return
	}
	q := end.Query()
	q.Set("client_id", p.cfg.ClientID)
	if hint != "" {
		q.Set("id_token_hint", hint)
	}
	if p.cfg.PostLogoutURL != "" {
		a := newAttempt(clock.Now(r.Context()))
		if a.Return = back; len(back) > maxReturn {
			a.Return = "/"
		}
		if err := p.leaving.start(w, r, a, clock.Now(r.Context())); err != nil {
			p.fail(w, r, &failure{status: http.StatusInternalServerError, code: "cookie", title: titleNotOut, message: textOurs, final: true, err: err}, "")
			return
		}
		q.Set("post_logout_redirect_uri", p.cfg.PostLogoutURL)
		q.Set("state", a.State)
	}
	end.RawQuery = q.Encode()
	http.Redirect(w, r, end.String(), http.StatusSeeOther)
}

// loggedOut is where the provider sends a browser back to.
func (p *Provider) loggedOut(w http.ResponseWriter, r *http.Request) {
	back := "/"
	if a := p.leaving.find(r, r.URL.Query().Get("state"), clock.Now(r.Context())); a != nil {
		p.leaving.end(w, a)
		back = a.Return
	}
	http.Redirect(w, r, back, http.StatusSeeOther)
}
