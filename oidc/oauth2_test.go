package oidc_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/tickettest"
)

// The recipe "Sign-in by OAuth 2.0" of docs/recipes.md.

const attempt = "__Host-oauth"

// toProvider sends the browser to the provider.
func toProvider(conf *oauth2.Config, m *ticketstore.Manager) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		state, verifier, next := rand.Text(), oauth2.GenerateVerifier(), m.ReturnURL(r)
		if len(next) > 1000 {
			next = "/" // a browser drops a cookie of over 4,096 bytes
		}
		value := url.Values{"state": {state}, "verifier": {verifier}, "next": {next}}.Encode()
		http.SetCookie(w, &http.Cookie{Name: attempt, Value: value, Path: "/", MaxAge: 600, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, conf.AuthCodeURL(state, oauth2.S256ChallengeOption(verifier)), http.StatusSeeOther)
	}
}

// fromProvider signs in whom the provider sends back. who asks the provider's
// API, with a client that has the token, for what never changes of a user: an ID.
func fromProvider(conf *oauth2.Config, m *ticketstore.Manager, who func(context.Context, *http.Client) (id string, err error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var begun url.Values
		if c, err := r.Cookie(attempt); err == nil {
			begun, _ = url.ParseQuery(c.Value)
		}
		http.SetCookie(w, &http.Cookie{Name: attempt, Path: "/", MaxAge: -1, Secure: true, HttpOnly: true}) // it is for one use
		q := r.URL.Query()
		if state := begun.Get("state"); state == "" || q.Get("state") != state || q.Get("code") == "" {
			http.Error(w, "The sign-in has failed. Please try again.", http.StatusForbidden)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
		defer cancel()
		token, err := conf.Exchange(ctx, q.Get("code"), oauth2.VerifierOption(begun.Get("verifier")))
		var id string
		if err == nil {
			id, err = who(ctx, conf.Client(ctx, token))
		}
		if err == nil {
			err = m.SignIn(w, r, ticketstore.NewTicket("github "+id))
		}
		if err != nil { // log it
			m.Error(w, r, err)
			return
		}
		http.Redirect(w, r, begun.Get("next"), http.StatusSeeOther)
	}
}

// oauthSite is a site with a provider, which has asked its user and answers with
// the code "yes". It redeems that for whoever knows the verifier.
func oauthSite(t *testing.T) (m *ticketstore.Manager, site http.Handler) {
	challenge := ""
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
		if r.FormValue("code") != "yes" || base64.RawURLEncoding.EncodeToString(sum[:]) != challenge {
			http.Error(w, `{"error":"invalid_grant"}`, http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]any{"access_token": "a1", "token_type": "Bearer"})
	})
	mux.HandleFunc("GET /user", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer a1" {
			io.WriteString(w, `{"id":17}`)
		}
	})
	provider := httptest.NewServer(mux)
	t.Cleanup(provider.Close)
	conf := &oauth2.Config{ClientID: "shop", Endpoint: oauth2.Endpoint{AuthURL: provider.URL + "/authorize", TokenURL: provider.URL + "/token", AuthStyle: oauth2.AuthStyleInParams}}
	who := func(ctx context.Context, c *http.Client) (string, error) {
		r, err := http.NewRequestWithContext(ctx, "GET", provider.URL+"/user", nil)
		if err != nil {
			return "", err
		}
		res, err := c.Do(r)
		if err != nil {
			return "", err
		}
		defer res.Body.Close()
		var user struct{ ID json.Number }
		err = json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&user)
		if err == nil && user.ID == "" {
			err = errors.New("no ID")
		}
		return user.ID.String(), err
	}
	m = tickettest.NewManager(t)
	to := toProvider(conf, m)
	routes := http.NewServeMux()
	routes.HandleFunc("GET /login", func(w http.ResponseWriter, r *http.Request) {
		to(w, r)
		if u, err := url.Parse(w.Header().Get("Location")); err == nil {
			challenge = u.Query().Get("code_challenge")
		}
	})
	routes.HandleFunc("GET /callback", fromProvider(conf, m, who))
	return m, routes
}

// visit serves a GET, and returns the answer.
func visit(h http.Handler, path string, cookies []*http.Cookie) *http.Response {
	r := httptest.NewRequest("GET", path, nil)
	for _, c := range cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func stateOf(t *testing.T, res *http.Response) string {
	t.Helper()
	u, err := res.Location()
	if err != nil || u.Query().Get("code_challenge_method") != "S256" || u.Query().Get("state") == "" {
		t.Fatalf("got %v, %v, want a state and a challenge", u, err)
	}
	return u.Query().Get("state")
}

func TestOAuth(t *testing.T) {
	m, h := oauthSite(t)
	begun := visit(h, "/login?ReturnUrl=%2Forders%3Fpage%3D2", nil)
	res := visit(h, "/callback?code=yes&state="+stateOf(t, begun), begun.Cookies())
	if got := res.Header.Get("Location"); res.StatusCode != http.StatusSeeOther || got != "/orders?page=2" {
		t.Fatalf("got %d to %q, want 303 to the page before", res.StatusCode, got)
	}
	r := httptest.NewRequest("GET", "/", nil)
	for _, c := range res.Cookies() {
		if c.Name == attempt && c.MaxAge >= 0 {
			t.Error("the state is good once more")
		}
		r.AddCookie(c)
	}
	if got, err := m.Resolve(r); err != nil || got.Subject != "github 17" {
		t.Errorf("got %v, %v, want github 17", got, err)
	}
}

// A long way back does not cost the sign-in.
func TestOAuthLongReturnURL(t *testing.T) {
	_, h := oauthSite(t)
	begun := visit(h, "/login?ReturnUrl=%2F"+strings.Repeat("%25", 5000), nil)
	if c := begun.Cookies()[0]; len(c.String()) > 4096 {
		t.Errorf("got a cookie of %d bytes, want at most 4096", len(c.String()))
	}
	res := visit(h, "/callback?code=yes&state="+stateOf(t, begun), begun.Cookies())
	if got := res.Header.Get("Location"); res.StatusCode != http.StatusSeeOther || got != "/" {
		t.Errorf("got %d to %q, want 303 to /", res.StatusCode, got)
	}
}

// What does not come from this browser's own attempt signs nobody in.
func TestOAuthForged(t *testing.T) {
	_, h := oauthSite(t)
	begun := visit(h, "/login", nil)
	state, cookies := stateOf(t, begun), begun.Cookies()
	other := []*http.Cookie{{Name: attempt, Value: "state=" + state + "&verifier=" + oauth2.GenerateVerifier()}}
	for _, test := range []struct {
		name, query string
		cookies     []*http.Cookie
		status      int
	}{
		{"another's link", "code=yes&state=" + state, nil, http.StatusForbidden},
		{"another state", "code=yes&state=x", cookies, http.StatusForbidden},
		{"no state", "code=yes", []*http.Cookie{{Name: attempt, Value: "state="}}, http.StatusForbidden},
		{"no code: the user has refused", "error=access_denied&state=" + state, cookies, http.StatusForbidden},
		{"a code of one's own", "code=no&state=" + state, cookies, http.StatusServiceUnavailable},
		{"another verifier", "code=yes&state=" + state, other, http.StatusServiceUnavailable},
	} {
		res := visit(h, "/callback?"+test.query, test.cookies)
		if res.StatusCode != test.status || len(res.Cookies()) != 1 || res.Cookies()[0].Name != attempt {
			t.Errorf("%s: got %d with %d cookies, want %d and no session", test.name, res.StatusCode, len(res.Cookies()), test.status)
		}
	}
}
