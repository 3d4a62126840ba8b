package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"golang.org/x/oauth2"
)

var providerTemplate = template.Must(template.ParseFS(files, "provider.html"))

// A demoProvider is an OpenID provider that is just enough to try the
// applications without another. It is not for production: it asks for no
// password, and keeps all it knows in memory.
type demoProvider struct {
	issuer  string
	clients map[string]client // by ID
	cookie  http.Cookie
	key     jose.JSONWebKey
	http    http.Client

	mu       sync.Mutex
	sessions map[string]*login // by cookie
	codes    map[string]grant
}

type client struct{ secret, url string }

// A login is a session at the provider.
type login struct {
	user, sid string
	at        time.Time
	clients   map[string]bool // that have to be told of its end
}

type grant struct {
	login   *login
	request url.Values // of the authentication
	expires time.Time
}

func newDemoProvider(issuer string, clients map[string]client, insecure bool) (*demoProvider, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	p := &demoProvider{
		issuer: issuer, clients: clients, sessions: map[string]*login{}, codes: map[string]grant{},
		cookie: http.Cookie{Name: "__Host-provider", Path: "/", HttpOnly: true, Secure: true, SameSite: http.SameSiteLaxMode},
		key:    jose.JSONWebKey{Key: key, KeyID: rand.Text(), Algorithm: "ES256", Use: "sig"},
		http:   http.Client{Timeout: 5 * time.Second},
	}
	if insecure {
		p.cookie.Name, p.cookie.Secure = "provider", false
	}
	return p, nil
}

func (p *demoProvider) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.configuration)
	mux.HandleFunc("GET /jwks", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{p.key.Public()}})
	})
	mux.HandleFunc("/authorize", p.authorize)
	mux.HandleFunc("POST /token", p.token)
	mux.HandleFunc("GET /logout", func(w http.ResponseWriter, r *http.Request) { p.page(w, r, false) })
	mux.HandleFunc("POST /logout", p.logout)
	mux.Handle("GET /static/", http.FileServerFS(files))
	formAction := "'self'" // the forms lead back to the applications
	for _, c := range p.clients {
		formAction += " " + c.url
	}
	return secure(http.MaxBytesHandler(mux, 16<<10), formAction)
}

func (p *demoProvider) configuration(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{
		"issuer": p.issuer, "authorization_endpoint": p.issuer + "/authorize", "token_endpoint": p.issuer + "/token",
		"jwks_uri": p.issuer + "/jwks", "end_session_endpoint": p.issuer + "/logout",
		"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
		"id_token_signing_alg_values_supported": []string{"ES256"}, "code_challenge_methods_supported": []string{"S256"},
		"token_endpoint_auth_methods_supported":          []string{"client_secret_basic"},
		"authorization_response_iss_parameter_supported": true,
		"backchannel_logout_supported":                   true, "backchannel_logout_session_supported": true,
	})
}

// session returns the login that the browser of r has, or nil.
func (p *demoProvider) session(r *http.Request) *login {
	c, err := r.Cookie(p.cookie.Name)
	if err != nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sessions[c.Value]
}

// authorize shows the login form, unless the browser has signed in already:
// single sign-on.
func (p *demoProvider) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	c, ok := p.clients[q.Get("client_id")]
	if !ok || q.Get("redirect_uri") != c.url+"/callback" || q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" {
		http.Error(w, "The application's request is wrong.", http.StatusBadRequest)
		return
	}
	s := p.session(r)
	if user := strings.TrimSpace(r.PostFormValue("user")); r.Method == http.MethodPost && user != "" && len(user) <= 64 {
		s = p.signIn(w, r, user)
	} else if s == nil || q.Get("prompt") == "login" {
		p.page(w, r, true)
		return
	}
	code := rand.Text()
	p.mu.Lock()
	s.clients[q.Get("client_id")] = true
	p.codes[code] = grant{s, q, time.Now().Add(time.Minute)}
	p.mu.Unlock()
	back := url.Values{"code": {code}, "state": {q.Get("state")}, "iss": {p.issuer}}
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+back.Encode(), http.StatusSeeOther)
}

func (p *demoProvider) signIn(w http.ResponseWriter, r *http.Request, user string) *login {
	p.end(r) // who signs in again is another user, perhaps
	s := &login{user: user, sid: rand.Text(), at: time.Now(), clients: map[string]bool{}}
	cookie := p.cookie
	cookie.Value = rand.Text()
	http.SetCookie(w, &cookie)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sessions[cookie.Value] = s
	return s
}

func (p *demoProvider) token(w http.ResponseWriter, r *http.Request) {
	id, secret, _ := r.BasicAuth()
	if c, ok := p.clients[id]; !ok || secret != c.secret {
		writeJSON(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client"})
		return
	}
	p.mu.Lock()
	g, ok := p.codes[r.PostFormValue("code")]
	delete(p.codes, r.PostFormValue("code"))
	p.mu.Unlock()
	if !ok || time.Now().After(g.expires) || g.request.Get("client_id") != id || g.request.Get("redirect_uri") != r.PostFormValue("redirect_uri") ||
		oauth2.S256ChallengeFromVerifier(r.PostFormValue("code_verifier")) != g.request.Get("code_challenge") {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": "invalid_grant"})
		return
	}
	idToken, err := p.sign("JWT", id, map[string]any{
		"sub": g.login.user, "sid": g.login.sid, "name": g.login.user, "auth_time": g.login.at.Unix(), "nonce": g.request.Get("nonce"),
	})
	if err != nil {
		http.Error(w, "The token cannot be signed.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusOK, map[string]any{"access_token": rand.Text(), "token_type": "Bearer", "expires_in": 300, "id_token": idToken})
}

// logout ends the session here and at all applications, and sends the browser
// back to the one that it came from.
func (p *demoProvider) logout(w http.ResponseWriter, r *http.Request) {
	p.end(r)
	back := "/logout"
	q := r.URL.Query()
	if c, ok := p.clients[q.Get("client_id")]; ok && q.Get("post_logout_redirect_uri") == c.url+"/logout" {
		back = c.url + "/logout?" + url.Values{"state": {q.Get("state")}}.Encode()
	}
	http.Redirect(w, r, back, http.StatusSeeOther)
}

// end ends the session of r's browser, and returns when all applications have
// been told: Back-Channel Logout 1.0.
func (p *demoProvider) end(r *http.Request) {
	s := p.session(r)
	if s == nil {
		return
	}
	c, _ := r.Cookie(p.cookie.Name)
	p.mu.Lock()
	delete(p.sessions, c.Value)
	var wg sync.WaitGroup
	for id := range s.clients {
		wg.Go(func() { p.tell(id, s) })
	}
	p.mu.Unlock()
	wg.Wait()
}

func (p *demoProvider) tell(id string, s *login) {
	token, err := p.sign("logout+jwt", id, map[string]any{
		"sub": s.user, "sid": s.sid, "jti": rand.Text(),
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": struct{}{}},
	})
	if err == nil {
		var res *http.Response
		if res, err = p.http.PostForm(p.clients[id].url+"/backchannel-logout", url.Values{"logout_token": {token}}); err == nil {
			res.Body.Close()
		}
	}
	slog.Info("the provider has sent a logout token", "client", id, "error", err)
}

func (p *demoProvider) sign(typ, audience string, claims map[string]any) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: p.key}, (&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
	if err != nil {
		return "", err
	}
	now := time.Now()
	claims["iss"], claims["aud"], claims["iat"], claims["exp"] = p.issuer, audience, now.Unix(), now.Add(2*time.Minute).Unix()
	return jwt.Signed(signer).Claims(claims).Serialize()
}

func (p *demoProvider) page(w http.ResponseWriter, r *http.Request, form bool) {
	data := struct {
		Login bool
		User  string
		Query template.URL
	}{Login: form, Query: template.URL(r.URL.Query().Encode())} // encoded: no markup is in it
	if s := p.session(r); s != nil {
		data.User = s.user
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if err := providerTemplate.Execute(w, data); err != nil {
		slog.WarnContext(r.Context(), "page not written", "error", err)
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client may be gone
}
