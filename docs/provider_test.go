package docs_test

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/redistest"
)

// newPending returns a Manager that keeps who comes back from the provider,
// for the minute until their browser asks for the next page.
func newPending(client redis.UniversalClient, keys []ticketstore.CookieKey) (*ticketstore.Manager, error) {
	store, err := ticketstore.NewRedisStore(client, ticketstore.RedisConfig{Prefix: "SignIn-"})
	if err != nil {
		return nil, err
	}
	return ticketstore.NewManager(store, ticketstore.Config{
		CookieName: "__Host-signin", CookieKeys: keys, Lifetime: time.Minute, PersistentLifetime: time.Minute,
	})
}

// callback takes the provider's POST. The cookie of an old session does not
// come with it, so that SignIn would not end that session: see finish. verify
// checks the provider's answer, and that this browser asked for it.
func callback(pending *ticketstore.Manager, verify func(*http.Request) (*ticketstore.Ticket, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		t, err := verify(r)
		if err != nil {
			http.Error(w, "The sign-in has failed. Please try again.", http.StatusForbidden)
			return
		}
		if err := pending.SignIn(w, r, t); err != nil {
			pending.Error(w, r, err)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, `<!DOCTYPE html><html lang="en"><title>Signing in</title>
<meta http-equiv="refresh" content="0; url=/auth/finish"><p><a href="/auth/finish">Continue</a>`)
	}
}

// finish signs in whom callback has let in. A page of our own leads here, so
// the cookie of an old session comes along, and SignIn ends that session.
func finish(m, pending *ticketstore.Manager) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		t, err := pending.Resolve(r)
		if errors.Is(err, ticketstore.ErrNotFound) {
			http.Redirect(w, r, "/login", http.StatusSeeOther) // too late, or a second time
			return
		}
		if err == nil {
			err = pending.SignOut(w, r)
		}
		if err == nil {
			next := ticketstore.NewTicket(t.Subject)
			next.Identities, next.Properties, next.Persistent = t.Identities, t.Properties, t.Persistent
			err = m.SignIn(w, r, next)
		}
		if err != nil {
			m.Error(w, r, err)
			return
		}
		http.Redirect(w, r, "/", http.StatusSeeOther)
	}
}

// A browser keeps cookies, and sends them where SameSite lets it (RFC 6265bis,
// section 5.8.3).
type browser struct {
	t       *testing.T
	site    *httptest.Server
	cookies map[string]*http.Cookie
}

// send makes a request that a page of from leads to, which is a value of
// Sec-Fetch-Site.
func (b *browser) send(from, method, path string, form url.Values) (status int, body string) {
	b.t.Helper()
	r, err := http.NewRequest(method, b.site.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", from)
	for _, c := range b.cookies {
		switch c.SameSite {
		case http.SameSiteNoneMode:
		case http.SameSiteLaxMode:
			if from == "cross-site" && method != "GET" {
				continue
			}
		default:
			if from == "cross-site" {
				continue
			}
		}
		r.AddCookie(c)
	}
	res, err := b.site.Client().Transport.RoundTrip(r)
	for begin := time.Now(); err == nil && res.StatusCode == http.StatusServiceUnavailable && time.Since(begin) < redistest.Patience; {
		res.Body.Close() // the machine is busy: the user tries again
		r.Body, _ = r.GetBody()
		res, err = b.site.Client().Transport.RoundTrip(r)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	for _, c := range res.Cookies() {
		b.cookies[c.Name] = c
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
	data, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return res.StatusCode, string(data)
}

// A site whose users a provider signs in. It answers a sign-in right away at
// POST /auth/direct, and by way of a page at POST /auth/callback.
func providerSite(t *testing.T, cfg ticketstore.Config, redisCfg ticketstore.RedisConfig) (*browser, *ticketstore.RedisStore) {
	client := redis.NewClient(redistest.Options(miniredis.RunT(t).Addr()))
	t.Cleanup(func() { client.Close() })
	store, err := ticketstore.NewRedisStore(client, redisCfg)
	if err != nil {
		t.Fatal(err)
	}
	cfg.StoreTimeout = redistest.Patience
	cfg.CookieKeys = []ticketstore.CookieKey{{Hash: make([]byte, 32)}}
	m, err := ticketstore.NewManager(store, cfg)
	if err != nil {
		t.Fatal(err)
	}
	pending, err := newPending(client, cfg.CookieKeys)
	if err != nil {
		t.Fatal(err)
	}
	verify := func(r *http.Request) (*ticketstore.Ticket, error) {
		if c, err := r.Cookie("__Host-state"); err != nil || c.Value != r.PostFormValue("state") {
			return nil, errors.New("this browser did not ask for it")
		}
		tk := ticketstore.NewTicket(r.PostFormValue("user"))
		tk.Properties = map[string]string{"asked": "yes"}
		return tk, nil
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /auth/start", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "__Host-state", Value: "S", Path: "/", MaxAge: 600, Secure: true, HttpOnly: true, SameSite: http.SameSiteNoneMode})
	})
	mux.HandleFunc("POST /auth/callback", callback(pending, verify))
	mux.HandleFunc("GET /auth/finish", finish(m, pending))
	mux.HandleFunc("POST /auth/direct", func(w http.ResponseWriter, r *http.Request) {
		tk, err := verify(r)
		if err == nil {
			err = m.SignIn(w, r, tk)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
		}
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if t, ok := ticketstore.FromContext(r.Context()); ok {
			io.WriteString(w, t.Subject+" "+t.Properties["asked"])
		}
	})
	protection := http.NewCrossOriginProtection()
	protection.AddInsecureBypassPattern("POST /auth/callback")
	protection.AddInsecureBypassPattern("POST /auth/direct")
	srv := httptest.NewTLSServer(protection.Handler(m.Wrap(mux)))
	t.Cleanup(srv.Close)
	return &browser{t, srv, map[string]*http.Cookie{}}, store
}

func TestProviderPostsBack(t *testing.T) {
	for _, sameSite := range []http.SameSite{http.SameSiteLaxMode, http.SameSiteStrictMode} {
		b, store := providerSite(t, ticketstore.Config{SameSite: sameSite}, ticketstore.RedisConfig{MaxSessions: 1, RefuseNew: true})
		checkSessions := func(want int) {
			t.Helper()
			if sessions, err := store.Sessions(t.Context(), "alice"); err != nil || len(sessions) != want {
				t.Errorf("got %d sessions, %v, want %d", len(sessions), err, want)
			}
		}
		form := url.Values{"user": {"alice"}, "state": {"S"}}
		b.send("same-origin", "GET", "/auth/start", nil)
		for range 3 {
			if status, body := b.send("cross-site", "POST", "/auth/callback", form); status != http.StatusOK || !strings.Contains(body, "/auth/finish") {
				t.Fatalf("callback: got %d %s", status, body)
			}
			kept := maps.Clone(b.cookies)
			if status, _ := b.send("same-origin", "GET", "/auth/finish", nil); status != http.StatusSeeOther {
				t.Errorf("finish: got %d, want 303", status)
			}
			if _, body := b.send("same-origin", "GET", "/", nil); body != "alice yes" {
				t.Errorf("got %q, want alice yes", body)
			}
			checkSessions(1)

			again := &browser{t, b.site, kept}
			delete(kept, "__Host-session")
			if status, _ := again.send("same-origin", "GET", "/auth/finish", nil); status != http.StatusSeeOther || again.cookies["__Host-session"] != nil {
				t.Errorf("finish a second time: got %d and %d cookies, want 303 and nobody signed in", status, len(again.cookies))
			}
		}

		// What happens without it.
		if status, body := b.send("cross-site", "POST", "/auth/direct", form); status != http.StatusForbidden || !strings.Contains(body, ticketstore.ErrTooManySessions.Error()) {
			t.Errorf("without the page: got %d %s, want %v", status, body, ticketstore.ErrTooManySessions)
		}
		checkSessions(1)
	}
}

func TestProviderPostsBackForged(t *testing.T) {
	b, _ := providerSite(t, ticketstore.Config{}, ticketstore.RedisConfig{})
	form := url.Values{"user": {"mallory"}, "state": {"S"}}
	if status, _ := b.send("cross-site", "POST", "/auth/callback", form); status != http.StatusForbidden || len(b.cookies) != 0 {
		t.Errorf("a browser that did not ask: got %d, %v, want 403 and no cookie", status, slices.Collect(maps.Keys(b.cookies)))
	}
	b.send("same-origin", "GET", "/auth/start", nil)
	for path, want := range map[string]int{"/": http.StatusForbidden, "/auth/callback/": http.StatusForbidden, "/auth/callback": http.StatusOK} {
		if status, _ := b.send("cross-site", "POST", path, form); status != want {
			t.Errorf("cross-site POST %s: got %d, want %d", path, status, want)
		}
	}
	if status, _ := b.send("cross-site", "GET", "/auth/finish", nil); status != http.StatusSeeOther || b.cookies["__Host-session"] == nil {
		t.Errorf("finish: got %d and %d cookies, want 303 and a session", status, len(b.cookies))
	}
}

func TestProviderSessionsWithout(t *testing.T) {
	b, store := providerSite(t, ticketstore.Config{}, ticketstore.RedisConfig{})
	b.send("same-origin", "GET", "/auth/start", nil)
	for range 3 {
		b.send("cross-site", "POST", "/auth/direct", url.Values{"user": {"alice"}, "state": {"S"}})
	}
	if sessions, err := store.Sessions(t.Context(), "alice"); err != nil || len(sessions) != 3 {
		t.Errorf("got %d sessions, %v, want 3: is the recipe needed?", len(sessions), err)
	}
}
