package main

import (
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/oidc"
)

//go:embed page.html provider.html static
var files embed.FS

var pageTemplate = template.Must(template.ParseFS(files, "page.html"))

// An app is one of the applications. In a company each would be a program of
// its own; they share nothing here but the Redis.
type app struct {
	name    string // "shop"
	manager *ticketstore.Manager
	oidc    *oidc.Provider
}

type appConfig struct {
	name, url        string
	issuer           string
	clientID, secret string
	redis            redis.UniversalClient
	insecure         bool
}

func newApp(ctx context.Context, cfg appConfig) (*app, error) {
	prefix := "oidc-" + cfg.name + "-"
	store, err := ticketstore.NewRedisStore(cfg.redis, ticketstore.RedisConfig{
		Prefix:  prefix,
		History: time.Hour, // with it, open pages at other instances notice within a second
	})
	if err != nil {
		return nil, err
	}
	if _, err := store.Check(ctx); err != nil {
		return nil, err
	}
	key := make([]byte, 32) // a new one each time: examples/quickstart keeps it
	rand.Read(key)          // never fails, see crypto/rand
	keys := []ticketstore.CookieKey{{Hash: key}}
	cookie := "__Host-" + cfg.name // cookies know hosts, not ports
	if cfg.insecure {
		cookie = cfg.name // the prefix needs Secure
	}
	m, err := ticketstore.NewManager(store, ticketstore.Config{
		CookieKeys:                     keys,
		CookieName:                     cookie,
		LoginPath:                      "/login",
		DangerouslyAllowInsecureCookie: cfg.insecure,
	})
	if err != nil {
		return nil, err
	}
	p, err := oidc.New(ctx, m, store, oidc.Config{
		Issuer:                         cfg.issuer,
		ClientID:                       cfg.clientID,
		ClientSecret:                   oidc.Secret(cfg.secret),
		RedirectURL:                    cfg.url + "/callback",
		PostLogoutURL:                  cfg.url + "/logout",
		Scopes:                         []string{"profile"},
		CookieKeys:                     keys,
		Redis:                          cfg.redis,
		Prefix:                         prefix,
		DangerouslyAllowInsecureCookie: cfg.insecure,
	})
	if err != nil {
		return nil, err
	}
	return &app{cfg.name, m, p}, nil
}

func (a *app) routes(issuer string) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/login", a.oidc.Login())
	mux.Handle("/callback", a.oidc.Callback())
	mux.Handle("/logout", a.oidc.Logout())
	mux.Handle("/backchannel-logout", a.oidc.BackChannelLogout()) // the provider calls it
	mux.Handle("GET /{$}", a.manager.Wrap(http.HandlerFunc(a.home)))
	mux.Handle("GET /me", a.manager.Require(http.HandlerFunc(a.me)))
	mux.HandleFunc("GET /events", a.events) // outside of Wrap: an open page does not count as use
	mux.Handle("GET /static/", http.FileServerFS(files))
	// The form of Logout leads on to the provider.
	return secure(mux, "'self' "+origin(issuer))
}

// secure protects what h answers and, from other sites, what it is sent.
func secure(h http.Handler, formAction string) http.Handler {
	protected := http.NewCrossOriginProtection().Handler(h)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; form-action "+formAction+"; base-uri 'none'; frame-ancestors 'none'")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		protected.ServeHTTP(w, r)
	})
}

func origin(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

func (a *app) home(w http.ResponseWriter, r *http.Request) {
	t, _ := ticketstore.FromContext(r.Context())
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store") // or Back shows it after sign-out
	err := pageTemplate.Execute(w, struct {
		Name, User string
		Ticket     *ticketstore.Ticket // nil if nobody is signed in
	}{a.name, user(t), t})
	if err != nil {
		slog.WarnContext(r.Context(), "page not written", "error", err)
	}
}

func (a *app) me(w http.ResponseWriter, r *http.Request) {
	t, _ := ticketstore.FromContext(r.Context())
	fmt.Fprintln(w, user(t))
}

// user returns what to call the user of t, who may be nobody.
func user(t *ticketstore.Ticket) string {
	if t == nil {
		return ""
	}
	if name, ok := t.Claim("name"); ok {
		return name
	}
	return t.Subject
}

// events tells an open page when its session has ended.
func (a *app) events(w http.ResponseWriter, r *http.Request) {
	live, err := a.manager.Live(r)
	if err != nil && !errors.Is(err, ticketstore.ErrNotFound) {
		a.manager.Error(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	send := func(event string) {
		fmt.Fprintf(w, "event: %s\ndata:\n\n", event)
		http.NewResponseController(w).Flush()
	}
	if err == nil {
		send("hello")
		<-live.Done()
		err = context.Cause(live)
	}
	if errors.Is(err, ticketstore.ErrNotFound) {
		send("signed-out")
	}
}
