package oidc_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// An idp is a small provider. It signs everybody in as its user, asks nobody
// anything, and detects when a refresh token is redeemed twice.
type idp struct {
	*httptest.Server
	t     testing.TB
	clock *testClock
	rsa   *rsa.PrivateKey
	ec    *ecdsa.PrivateKey

	mu        sync.Mutex
	metadata  map[string]any        // added to its own, or nil to take out
	user      map[string]any        // claims of the ID token
	change    func(map[string]any)  // of the claims of an ID token
	requests  []url.Values          // authentication requests
	codes     map[string]url.Values // code -> its request
	answer    func(v url.Values)    // of an authentication response
	token     func(http.ResponseWriter, *http.Request) bool
	jwks      func(http.ResponseWriter) bool
	fetched   int            // how often the keys were
	rotates   bool           // refresh tokens
	refresh   string         // that is good
	redeemed  map[string]int // refresh token -> how often
	tokens    int            // issued
	expiresIn int
}

// Keys are slow to make, and no secret of a test.
var testKeys = sync.OnceValues(func() (*rsa.PrivateKey, *ecdsa.PrivateKey) {
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return r, e
})

func newIDP(t testing.TB, c *testClock) *idp {
	p := &idp{
		t: t, clock: c, codes: map[string]url.Values{}, redeemed: map[string]int{}, rotates: true, expiresIn: 300,
		user: map[string]any{"sub": "248289761001", "sid": "08a5019c-17e1-4977-8f42-65a12843ea02", "name": "Jane Doe"},
	}
	p.rsa, p.ec = testKeys()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.configuration)
	mux.HandleFunc("GET /jwks", p.keys)
	mux.HandleFunc("GET /authorize", p.authorize)
	mux.HandleFunc("POST /token", p.issue)
	mux.HandleFunc("GET /userinfo", p.userinfo)
	mux.HandleFunc("GET /logout", func(w http.ResponseWriter, r *http.Request) {
		if back := r.FormValue("post_logout_redirect_uri"); back != "" {
			http.Redirect(w, r, back+"?state="+url.QueryEscape(r.FormValue("state")), http.StatusSeeOther)
		}
	})
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

// set changes p while nobody reads it.
func (p *idp) set(f func(*idp)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(p)
}

// asked returns how often the provider was asked for its keys.
func (p *idp) asked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fetched
}

// request returns the authentication request of a number, the last one's if that
// is negative.
func (p *idp) request(i int) url.Values {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i < 0 {
		i += len(p.requests)
	}
	return p.requests[i]
}

func (p *idp) configuration(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := map[string]any{
		"issuer":                                p.URL,
		"authorization_endpoint":                p.URL + "/authorize",
		"token_endpoint":                        p.URL + "/token",
		"jwks_uri":                              p.URL + "/jwks",
		"userinfo_endpoint":                     p.URL + "/userinfo",
		"end_session_endpoint":                  p.URL + "/logout",
		"id_token_signing_alg_values_supported": []string{"RS256", "ES256", "HS256", "none"},
		"authorization_response_iss_parameter_supported": true,
	}
	for k, v := range p.metadata {
		if m[k] = v; v == nil {
			delete(m, k)
		}
	}
	json.NewEncoder(w).Encode(m)
}

func (p *idp) keys(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.fetched++
	hook := p.jwks
	p.mu.Unlock()
	if hook != nil && hook(w) {
		return
	}
	json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: p.rsa.Public(), KeyID: "rsa", Algorithm: "RS256", Use: "sig"},
		{Key: p.ec.Public(), KeyID: "ec", Algorithm: "ES256", Use: "sig"},
	}})
}

func (p *idp) authorize(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := r.URL.Query()
	p.requests = append(p.requests, q)
	code := fmt.Sprintf("code-%d", len(p.requests))
	p.codes[code] = q
	v := url.Values{"code": {code}, "state": {q.Get("state")}, "iss": {p.URL}}
	if p.answer != nil {
		p.answer(v)
	}
	if q.Get("response_mode") == "form_post" {
		fmt.Fprint(w, v.Encode()) // for the test to post
		return
	}
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+v.Encode(), http.StatusFound)
}

func (p *idp) issue(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	hook := p.token
	p.mu.Unlock()
	if hook != nil && hook(w, r) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	refuse := func(code string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"error":%q,"secret":"geheim"}`, code)
	}
	if id, secret, ok := r.BasicAuth(); !ok || id != "shop" || secret != "geheim" {
		refuse("invalid_client")
		return
	}
	p.tokens++
	res := map[string]any{"access_token": fmt.Sprintf("access-%d", p.tokens), "token_type": "Bearer", "expires_in": p.expiresIn}
	switch r.FormValue("grant_type") {
	case "authorization_code":
		req, ok := p.codes[r.FormValue("code")]
		delete(p.codes, r.FormValue("code"))
		sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
		if !ok || req.Get("code_challenge_method") != "S256" || req.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(sum[:]) {
			refuse("invalid_grant")
			return
		}
		now := p.clock.Now()
		claims := map[string]any{
			"iss": p.URL, "aud": "shop", "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "nonce": req.Get("nonce"),
			"auth_time": now.Unix(),
		}
		maps.Copy(claims, p.user)
		if p.change != nil {
			p.change(claims)
		}
		res["id_token"] = p.sign(claims)
		p.refresh = fmt.Sprintf("refresh-%d", p.tokens)
		res["refresh_token"] = p.refresh
	case "refresh_token":
		token := r.FormValue("refresh_token")
		p.redeemed[token]++
		if token != p.refresh {
			p.refresh = "" // reuse: the whole family goes (RFC 9700, section 4.14)
			refuse("invalid_grant")
			return
		}
		if p.rotates {
			p.refresh = fmt.Sprintf("refresh-%d", p.tokens)
			res["refresh_token"] = p.refresh
		}
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(res)
}

func (p *idp) userinfo(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.Header.Get("Authorization") != fmt.Sprintf("Bearer access-%d", p.tokens) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"sub": p.user["sub"], "email": "jane@example.com"})
}

// sign signs claims as the provider does.
func (p *idp) sign(claims map[string]any) string { return p.signAs("", claims) }

// signAs signs a token of a type.
func (p *idp) signAs(typ string, claims map[string]any) string {
	return p.signWith(jose.SigningKey{Algorithm: jose.RS256, Key: p.rsa}, "rsa", typ, claims)
}

func (p *idp) signWith(key jose.SigningKey, keyID, typ string, claims map[string]any) string {
	payload, err := json.Marshal(claims)
	if err != nil {
		p.t.Fatal(err)
	}
	opt := (&jose.SignerOptions{}).WithHeader("kid", keyID)
	if typ != "" {
		opt = opt.WithType(jose.ContentType(typ))
	}
	signer, err := jose.NewSigner(key, opt)
	if err != nil {
		p.t.Fatal(err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		p.t.Fatal(err)
	}
	s, err := jws.CompactSerialize()
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}
