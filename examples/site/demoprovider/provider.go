// Package demoprovider is an OAuth 2.0 authorization server for a demonstration,
// just enough to try an application without another. It is NOT for production: it
// asks for no password, and keeps all it knows in memory.
package demoprovider

import (
	"crypto/rand"
	"crypto/subtle"
	"embed"
	"encoding/json"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
)

//go:embed page.html style.css
var files embed.FS

var page = template.Must(template.ParseFS(files, "page.html"))

// Config says who uses the provider.
type Config struct {
	Users []string // may sign in, by a click

	// The one application, and where its users come back to.
	ClientID, ClientSecret, RedirectURL string

	Insecure bool // drop the cookie's Secure attribute, for Safari

	Now func() time.Time // if nil, time.Now
}

// New returns the provider: /authorize, /token, and /userinfo, which says who has
// signed in, and when.
func New(cfg Config) http.Handler {
	p := &provider{
		cfg: cfg, logins: map[string]login{}, grants: map[string]grant{}, tokens: map[string]login{},
		cookie: http.Cookie{Name: "__Host-demo-provider", Path: "/", HttpOnly: true, Secure: true, SameSite: http.SameSiteLaxMode},
	}
	if p.cfg.Now == nil {
		p.cfg.Now = time.Now
	}
	if cfg.Insecure {
		p.cookie.Name, p.cookie.Secure = "demo-provider", false
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/authorize", p.authorize)
	mux.HandleFunc("POST /token", p.token)
	mux.HandleFunc("GET /userinfo", p.userinfo)
	mux.Handle("GET /style.css", http.FileServerFS(files))
	protected := http.NewCrossOriginProtection().Handler(http.MaxBytesHandler(mux, 16<<10))
	application, _ := url.JoinPath(cfg.RedirectURL, "/") // a fit URL, or the policy lets the form lead nowhere
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The form leads on to the application: Chromium asks form-action about that, too.
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src data:; form-action 'self' "+application+"; base-uri 'none'; frame-ancestors 'none'")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		protected.ServeHTTP(w, r)
	})
}

type provider struct {
	cfg    Config
	cookie http.Cookie

	mu     sync.Mutex
	logins map[string]login // by cookie
	grants map[string]grant // by code
	tokens map[string]login // by access token
}

type login struct {
	user string
	at   time.Time
}

type grant struct {
	login     login
	challenge string
	expires   time.Time
}

// authorize asks who the user is, unless the browser has told already and the
// application does not insist.
func (p *provider) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("client_id") != p.cfg.ClientID || q.Get("redirect_uri") != p.cfg.RedirectURL || q.Get("response_type") != "code" ||
		q.Get("code_challenge_method") != "S256" || q.Get("code_challenge") == "" {
		http.Error(w, "The application's request is wrong.", http.StatusBadRequest)
		return
	}
	back := url.Values{"state": {q.Get("state")}}
	l, ok := p.known(r)
	switch user := r.PostFormValue("user"); {
	case r.Method == http.MethodPost && user == "":
		back.Set("error", "access_denied")
	case r.Method == http.MethodPost && slices.Contains(p.cfg.Users, user):
		back.Set("code", p.grant(p.remember(w, user), q.Get("code_challenge")))
	case ok && q.Get("prompt") != "login":
		back.Set("code", p.grant(l, q.Get("code_challenge")))
	default:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if err := page.Execute(w, p.cfg); err != nil {
			slog.WarnContext(r.Context(), "page not written", "error", err)
		}
		return
	}
	http.Redirect(w, r, p.cfg.RedirectURL+"?"+back.Encode(), http.StatusSeeOther)
}

func (p *provider) known(r *http.Request) (l login, ok bool) {
	c, err := r.Cookie(p.cookie.Name)
	if err != nil {
		return l, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	l, ok = p.logins[c.Value]
	return l, ok
}

func (p *provider) remember(w http.ResponseWriter, user string) login {
	l := login{user, p.cfg.Now()}
	cookie := p.cookie
	cookie.Value = rand.Text()
	http.SetCookie(w, &cookie)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.logins[cookie.Value] = l
	return l
}

func (p *provider) grant(l login, challenge string) (code string) {
	code = rand.Text()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.grants[code] = grant{l, challenge, p.cfg.Now().Add(time.Minute)}
	return code
}

func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	id, secret, _ := r.BasicAuth()
	if id != p.cfg.ClientID || subtle.ConstantTimeCompare([]byte(secret), []byte(p.cfg.ClientSecret)) != 1 {
		writeJSON(w, http.StatusUnauthorized, map[string]any{"error": "invalid_client"})
		return
	}
	code, token := r.PostFormValue("code"), rand.Text()
	p.mu.Lock()
	defer p.mu.Unlock()
	g, ok := p.grants[code]
	delete(p.grants, code) // a code is good once
	if !ok || p.cfg.Now().After(g.expires) || r.PostFormValue("redirect_uri") != p.cfg.RedirectURL ||
		oauth2.S256ChallengeFromVerifier(r.PostFormValue("code_verifier")) != g.challenge {
		writeJSON(w, http.StatusBadRequest, map[string]any{"error": "invalid_grant"})
		return
	}
	p.tokens[token] = g.login
	writeJSON(w, http.StatusOK, map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": 300})
}

func (p *provider) userinfo(w http.ResponseWriter, r *http.Request) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	p.mu.Lock()
	l, ok := p.tokens[token]
	p.mu.Unlock()
	if !ok {
		writeJSON(w, http.StatusUnauthorized, map[string]any{"error": "invalid_token"})
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"sub": l.user, "auth_time": l.at.Unix()})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client may be gone
}
