package oidc

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/clock"
)

// Login returns the handler that sends a browser to the provider, for
// LoginPath of the Manager. It takes ReturnUrl as [ticketstore.Manager.ReturnURL]
// does. With the parameter reauth=1, which RequireRecent sends, the provider is
// asked to have the user prove who they are (prompt=login, max_age=0), and a
// sign-in that does not say so, by auth_time, fails.
//
// Up to 5 sign-ins may be under way in one browser, each for a quarter of an
// hour.
func (p *Provider) Login() http.Handler {
	return p.guard(methods(p.login, http.MethodGet, http.MethodPost))
}

func (p *Provider) login(w http.ResponseWriter, r *http.Request) {
	now := clock.Now(r.Context())
	a := newAttempt(now)
	r.Body = http.MaxBytesReader(w, r.Body, maxFormBytes)
	if a.Return = p.manager.ReturnURL(r); len(a.Return) > maxReturn {
		a.Return = "/"
	}
	a.Reauth = r.FormValue("reauth") == "1"
	options := []oauth2.AuthCodeOption{gooidc.Nonce(a.Nonce), oauth2.S256ChallengeOption(a.Verifier)}
	for name, value := range p.cfg.Params {
		options = append(options, oauth2.SetAuthURLParam(name, value))
	}
	if a.Reauth {
		options = append(options, oauth2.SetAuthURLParam("prompt", "login"), oauth2.SetAuthURLParam("max_age", "0"))
	}
	if p.cfg.FormPost {
		options = append(options, oauth2.SetAuthURLParam("response_mode", "form_post"))
		// The form comes without the cookie of the session that it replaces.
		t, err := p.manager.Resolve(r)
		switch {
		case err == nil && t.ID != "":
			a.Replaces = &replaced{t.Subject, t.ID}
		case err != nil && !errors.Is(err, ticketstore.ErrNotFound):
			p.fail(w, r, &failure{status: http.StatusServiceUnavailable, code: "store", message: textOurs, err: err}, a.Return)
			return
		}
	}
	err := p.attempts.start(w, r, a, now)
	if err != nil { // it may be too long
		a.Return = "/"
		err = p.attempts.start(w, r, a, now)
	}
	if err != nil {
		p.fail(w, r, &failure{status: http.StatusInternalServerError, code: "cookie", message: textOurs, err: err}, a.Return)
		return
	}
	http.Redirect(w, r, p.oauth.AuthCodeURL(a.State, options...), http.StatusSeeOther)
}

// Callback returns the handler of RedirectURL. It starts the session, and sends
// the browser to where Login was asked to. If that fails, it answers with a
// page; see [Config].Template.
//
// It includes [ticketstore.Manager.Wrap]: the sign-in counts from when the
// request arrived, and an account that is disabled while it talks to the
// provider stays so. A Manager with SameSite Strict needs a page of its own in
// between: browsers send no such cookie when another site has sent them.
func (p *Provider) Callback() http.Handler {
	method := http.MethodGet
	if p.cfg.FormPost {
		method = http.MethodPost
	}
	return p.guard(p.manager.Wrap(methods(p.callback, method)))
}

const (
	maxFormBytes = 64 << 10
	reauthSkew   = time.Minute // of the provider's clock
)

func (p *Provider) callback(w http.ResponseWriter, r *http.Request) {
	values := r.URL.Query()
	if p.cfg.FormPost {
		r.Body = http.MaxBytesReader(w, r.Body, maxFormBytes)
		if err := r.ParseForm(); err != nil {
			p.fail(w, r, &failure{status: http.StatusBadRequest, code: "form", message: textAnswer, err: err}, "")
			return
		}
		values = r.PostForm
	}
	now := clock.Now(r.Context())
	a := p.attempts.find(r, values.Get("state"), now)
	if a == nil {
		// Nothing of what came is shown: anybody could have made this request.
		p.fail(w, r, &failure{status: http.StatusBadRequest, code: "state", message: textStale}, "")
		return
	}
	p.attempts.end(w, a)
	code, f := p.code(values)
	if f == nil {
		f = p.signIn(w, r, a, code)
	}
	if f != nil {
		p.fail(w, r, f, a.Return)
		return
	}
	http.Redirect(w, r, a.Return, http.StatusSeeOther)
}

// code returns the code in an answer to the attempt that its state names.
func (p *Provider) code(values url.Values) (string, *failure) {
	for _, name := range []string{"state", "code", "iss", "error"} {
		if len(values[name]) > 1 { // RFC 6749, section 3.1
			return "", &failure{status: http.StatusBadRequest, code: "repeated", message: textAnswer}
		}
	}
	// RFC 9207, section 2.4: an answer of another provider, also one of its
	// errors, is no answer.
	if iss := values.Get("iss"); iss != p.cfg.Issuer && (iss != "" || p.metadata.SendsIssuer) {
		return "", &failure{status: http.StatusBadRequest, code: "iss", message: textAnswer}
	}
	if code := values.Get("error"); code != "" {
		f := &failure{
			status: http.StatusBadRequest, code: errorText(code, 64), message: textAnswer,
			description: errorText(values.Get("error_description"), 300),
		}
		switch code { // RFC 6749, section 4.1.2.1
		case "access_denied":
			f.status, f.message = http.StatusForbidden, textDenied
		case "server_error", "temporarily_unavailable":
			f.status, f.message = http.StatusServiceUnavailable, textProvider
		}
		return "", f
	}
	code := values.Get("code")
	if code == "" {
		return "", &failure{status: http.StatusBadRequest, code: "code", message: textAnswer}
	}
	return code, nil
}

// signIn redeems a code and starts the session.
func (p *Provider) signIn(w http.ResponseWriter, r *http.Request, a *attempt, code string) *failure {
	ctx := r.Context()
	s, c, f := p.exchange(ctx, a, code)
	if f != nil {
		return f
	}
	if p.cfg.Accept != nil {
		err := p.cfg.Accept(ctx, s)
		switch {
		case errors.Is(err, ErrRefused):
			return &failure{status: http.StatusForbidden, code: "refused", message: textRefused, err: err}
		case err == nil && s.Ticket == nil:
			err = errors.New("oidc: Accept left no ticket")
			fallthrough
		case err != nil:
			return &failure{status: http.StatusServiceUnavailable, code: "accept", message: textOurs, err: err}
		}
	}
	p.bind(s.Ticket, s.IDToken, c)
	p.keep(ctx, s.Ticket, s.Token)
	err := p.manager.SignIn(w, r, s.Ticket)
	if errors.Is(err, ticketstore.ErrTooManySessions) && a.Replaces != nil { // the one that it replaces counts
		p.replace(ctx, a, s.Ticket)
		err = p.manager.SignIn(w, r, s.Ticket)
	}
	switch {
	case errors.Is(err, ticketstore.ErrConflict):
		return &failure{status: http.StatusConflict, code: "ended", message: textEnded, err: err}
	case err != nil:
		return &failure{status: http.StatusServiceUnavailable, code: "store", message: textOurs, err: err}
	}
	p.replace(ctx, a, s.Ticket)
	return nil
}

// exchange redeems a code and verifies what comes of it.
func (p *Provider) exchange(ctx context.Context, a *attempt, code string) (*SignIn, claims, *failure) {
	var c claims
	ctx, cancel := context.WithTimeout(p.client(ctx), callTimeout+keysPatience)
	defer cancel()
	ctx, cause := watched(ctx)
	token, err := p.oauth.Exchange(ctx, code, oauth2.VerifierOption(a.Verifier))
	if err != nil {
		var refused *oauth2.RetrieveError
		if errors.As(err, &refused) && refused.ErrorCode == "invalid_grant" { // used, or too old
			return nil, c, &failure{status: http.StatusBadRequest, code: refused.ErrorCode, message: textStale, err: withoutBody(err)}
		}
		return nil, c, &failure{status: http.StatusServiceUnavailable, code: "token", message: textProvider, err: withoutBody(err)}
	}
	raw, _ := token.Extra("id_token").(string)
	now := clock.Now(ctx)
	id, c, err := p.verifyIDToken(ctx, raw, a, now)
	if err := cause(err); errors.Is(err, errUnavailable) {
		return nil, c, &failure{status: http.StatusServiceUnavailable, code: "keys", message: textProvider, err: err}
	}
	if err == nil && id.AccessTokenHash != "" {
		err = id.VerifyAccessToken(token.AccessToken)
	}
	s := &SignIn{IDToken: id, Token: token, provider: p}
	if err == nil {
		s.Ticket, err = ticket(p.cfg.Issuer, id)
	}
	if err != nil {
		return nil, c, &failure{status: http.StatusBadGateway, code: "id_token", message: textAnswer, err: err}
	}
	// Somebody may have taken prompt=login out of the request on its way.
	if a.Reauth && c.AuthTime.Unix() < a.Began-int64(reauthSkew.Seconds()) {
		return nil, c, &failure{status: http.StatusForbidden, code: "auth_time", message: textReauth}
	}
	token.Expiry = expiry(ctx, token)
	return s, c, nil
}

// replace ends the session that the browser had when it set out, if it has come
// back without its cookie.
func (p *Provider) replace(ctx context.Context, a *attempt, now *ticketstore.Ticket) {
	index, ok := p.store.(ticketstore.SessionIndex)
	if !ok || a.Replaces == nil || a.Replaces.ID == now.ID {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	err := index.Revoke(ticketstore.WithCause(ctx, "replaced", ""), a.Replaces.Subject, a.Replaces.ID)
	if err != nil && !errors.Is(err, ticketstore.ErrNotFound) {
		p.log(ctx, slog.LevelError, "oidc: a sign-in did not end an old session", "session", a.Replaces.ID, "error", err)
	}
}
