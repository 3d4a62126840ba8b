package main

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/gorilla/securecookie"
	"golang.org/x/oauth2"

	"github.com/ticketstore/ticketstore"
)

// A flow is a sign-in at the provider that is under way. The browser keeps it, in
// a cookie that nobody can read or make: so whoever comes back with a state is the
// browser that left with it, and nobody else's code is of use here.
type flow struct {
	State     string
	Verifier  string // of PKCE
	ReturnURL string
	Again     bool // the user is signed in, and has to confirm that
}

const flowTime = 10 * time.Minute

func newFlowCodec(key []byte) *securecookie.SecureCookie {
	return securecookie.New(key[:32], key[32:]).MaxAge(int(flowTime.Seconds())).SetSerializer(securecookie.JSONEncoder{})
}

func (a *app) flowCookie(value string, maxAge int) *http.Cookie {
	c := &http.Cookie{Name: "__Host-site-flow", Value: value, Path: "/", MaxAge: maxAge, HttpOnly: true, Secure: true, SameSite: http.SameSiteLaxMode}
	if a.cfg.insecure {
		c.Name, c.Secure = "site-flow", false
	}
	return c
}

// leave sends the browser to the provider.
func (a *app) leave(w http.ResponseWriter, r *http.Request) {
	_, signedIn := ticketstore.FromContext(r.Context())
	f := flow{rand.Text(), oauth2.GenerateVerifier(), a.manager.ReturnURL(r), signedIn}
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(f.Verifier)}
	if f.Again {
		options = append(options, oauth2.SetAuthURLParam("prompt", "login")) // or single sign-on says yes at once
	}
	name := a.flowCookie("", 0).Name
	value, err := a.flows.Encode(name, f)
	if err != nil { // the URL is too long
		a.problem(w, r, http.StatusBadRequest, "Please sign in again", "The address that you came from is too long.", "Sign in", "/login")
		return
	}
	http.SetCookie(w, a.flowCookie(value, int(flowTime.Seconds())))
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, a.oauth.AuthCodeURL(f.State, options...), http.StatusSeeOther)
}

// comeBack is where the provider sends the browser.
func (a *app) comeBack(w http.ResponseWriter, r *http.Request) {
	var f flow
	name := a.flowCookie("", 0).Name
	c, err := r.Cookie(name)
	if err != nil && subject(r) != "" { // by the browser's Back, after the sign-in
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	if err == nil {
		err = a.flows.Decode(name, c.Value, &f)
	}
	q := r.URL.Query()
	if err != nil || subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(f.State)) != 1 {
		a.refuse(w, r, http.StatusForbidden, "This sign-in was not begun in this browser, or it took too long.")
		return
	}
	http.SetCookie(w, a.flowCookie("", -1)) // once
	if q.Get("error") != "" {
		a.refuse(w, r, http.StatusForbidden, "You have not signed in at the provider.")
		return
	}
	who, at, err := a.ask(r.Context(), q.Get("code"), f.Verifier)
	if err != nil {
		slog.ErrorContext(r.Context(), "a sign-in at the provider failed", "error", err)
		a.refuse(w, r, http.StatusBadGateway, "The provider did not answer as it should.")
		return
	}
	found, ok := a.users.byLogin(who)
	t, signedIn := ticketstore.FromContext(r.Context())
	switch {
	case !ok:
		a.refuse(w, r, http.StatusForbidden, "Nobody here has that account at the provider.")
	case f.Again && (!signedIn || t.Subject != found.ID):
		a.refuse(w, r, http.StatusForbidden, "At the provider you are somebody else.")
	default:
		ticket := newTicket(found, "provider")
		ticket.Persistent, ticket.AuthenticatedAt = signedIn && t.Persistent, at
		a.signIn(w, r, ticket, f.ReturnURL)
	}
}

func (a *app) refuse(w http.ResponseWriter, r *http.Request, status int, text string) {
	again := "/login"
	if subject(r) != "" {
		again += "?reauth=1"
	}
	a.problem(w, r, status, "The sign-in failed", text, "Try again", again)
}

// ask returns who has signed in at the provider, and when. With single sign-on
// that may be long ago: then it is no proof that the user is there now, and
// RequireRecent knows that by Ticket.AuthenticatedAt. If yours does not say, as
// GitHub, let users confirm who they are by something else.
func (a *app) ask(ctx context.Context, code, verifier string) (who string, at time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	ctx = context.WithValue(ctx, oauth2.HTTPClient, a.cfg.client)
	token, err := a.oauth.Exchange(ctx, code, oauth2.VerifierOption(verifier))
	if err != nil {
		return "", at, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.cfg.provider+"/userinfo", nil)
	if err != nil {
		return "", at, err
	}
	res, err := a.oauth.Client(ctx, token).Do(req)
	if err != nil {
		return "", at, err
	}
	defer res.Body.Close()
	var info struct {
		Sub      string `json:"sub"`
		AuthTime int64  `json:"auth_time"`
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, 64<<10)).Decode(&info); err != nil {
		return "", at, fmt.Errorf("userinfo: status %d: %w", res.StatusCode, err)
	}
	if res.StatusCode != http.StatusOK || info.Sub == "" || info.AuthTime == 0 {
		return "", at, fmt.Errorf("userinfo: status %d, or a member is missing", res.StatusCode)
	}
	return info.Sub, time.Unix(info.AuthTime, 0), nil
}

func oauthConfig(cfg config) oauth2.Config {
	return oauth2.Config{
		ClientID: cfg.clientID, ClientSecret: cfg.clientSecret, RedirectURL: cfg.url + "/login/callback",
		Endpoint: oauth2.Endpoint{AuthURL: cfg.provider + "/authorize", TokenURL: cfg.provider + "/token", AuthStyle: oauth2.AuthStyleInHeader},
	}
}
