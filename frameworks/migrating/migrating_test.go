// Package migrating_test has the code of docs/migrating.md, and moves users
// with it.
package migrating_test

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/boj/redistore"
	"github.com/gorilla/sessions"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/frameworks/internal/fwtest"
)

// fromSCS lets in whoever has an old session and no ticket. With move it also
// gives them a ticket when they open a page, and ends the old session.
func fromSCS(old *scs.SessionManager, m *ticketstore.Manager, move bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, now := r.Context(), time.Now().Unix()
		user, moved := old.GetString(ctx, "userID"), old.GetInt64(ctx, "moved")
		_, signedIn := ticketstore.FromContext(ctx)
		switch {
		case user == "":
		case moved > 0 && now > moved+60: // requests of other tabs have ended
			if err := old.Destroy(ctx); err != nil {
				slog.ErrorContext(ctx, "an old session did not end", "error", err)
			}
		case signedIn && moved == 0:
			old.Put(ctx, "moved", now)
		case !signedIn:
			t := ticketstore.NewTicket(user) // and the claims, from the user database
			t.EndsAt, t.Persistent = old.Deadline(ctx), old.Cookie.Persist
			t.Properties = map[string]string{"moved": "yes"}
			if move && moved == 0 && opensPage(r) {
				if err := m.SignIn(w, r, t); err != nil {
					slog.ErrorContext(ctx, "an old session was not moved", "error", err)
				} else {
					old.Put(ctx, "moved", now)
				}
			}
			r = r.WithContext(ticketstore.NewContext(ctx, t))
		}
		next.ServeHTTP(w, r)
	})
}

// opensPage: not a script's request, of which a page sends several at once.
func opensPage(r *http.Request) bool {
	return r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Dest") == "document"
}

func fromGorilla(old sessions.Store, m *ticketstore.Manager, move bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, now := r.Context(), time.Now().Unix()
		session, err := old.Get(r, "session") // the old cookie's name
		user, _ := session.Values["user"].(string)
		moved, _ := session.Values["moved"].(int64)
		mark := func() error { session.Values["moved"] = now; return session.Save(r, w) }
		_, signedIn := ticketstore.FromContext(ctx)
		switch {
		case err != nil || user == "":
		case moved > 0 && now > moved+60: // requests of other tabs have ended
			session.Options.MaxAge = -1
			err = session.Save(r, w)
		case signedIn && moved == 0:
			err = mark()
		case !signedIn:
			t := ticketstore.NewTicket(user) // and the claims, from the user database
			t.Persistent = session.Options.MaxAge > 0
			t.Properties = map[string]string{"moved": "yes"}
			if move && moved == 0 && opensPage(r) {
				if err = m.SignIn(w, r, t); err == nil {
					err = mark()
				}
			}
			r = r.WithContext(ticketstore.NewContext(ctx, t))
		}
		if err != nil {
			slog.ErrorContext(ctx, "an old session was not read, moved or ended", "error", err)
		}
		next.ServeHTTP(w, r)
	})
}

func logout(old *scs.SessionManager, m *ticketstore.Manager) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := errors.Join(m.SignOut(w, r), old.Destroy(r.Context())); err != nil {
			m.Error(w, r, err)
		}
	}
}

// recent is RequireRecent for as long as tickets may have been moved: when
// their users signed in is not known.
func recent(m *ticketstore.Manager, maxAge time.Duration, next http.Handler) http.Handler {
	return m.RequireRecent(maxAge, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if t, _ := ticketstore.FromContext(r.Context()); t.Properties["moved"] != "" {
			http.Error(w, "Please sign in again.", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	}))
}

// An application has sessions of another library.
type application struct {
	login http.HandlerFunc // by the old library
	user  http.Handler     // answers with the user of the old session; not for wrap
	age   http.HandlerFunc // says that the old session was moved two minutes ago
	wrap  func(move bool, next http.Handler) http.Handler
}

func TestFromSCS(t *testing.T) {
	m, store, _ := fwtest.NewManager(t, ticketstore.Config{})
	old := scs.New()
	b := testMove(t, m, store, application{
		login: func(w http.ResponseWriter, r *http.Request) { old.Put(r.Context(), "userID", "alice") },
		user: old.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, old.GetString(r.Context(), "userID"))
		})),
		age: func(w http.ResponseWriter, r *http.Request) { old.Put(r.Context(), "moved", twoMinutesAgo()) },
		wrap: func(move bool, next http.Handler) http.Handler {
			mux := http.NewServeMux()
			mux.Handle("POST /logout", logout(old, m))
			mux.Handle("/", next)
			return old.LoadAndSave(m.Wrap(fromSCS(old, m, move, mux)))
		},
	})

	b.send("POST", "/login", "")
	b.send("GET", "/", "document")
	b.send("POST", "/logout", "")
	b.check("after sign-out", "document", "")
	b.checkSessions("after sign-out", 0)
}

func TestFromGorilla(t *testing.T) {
	m, store, redis := fwtest.NewManager(t, ticketstore.Config{})
	old, err := redistore.NewRediStore(1, "tcp", redis.Addr(), "", "", make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	set := func(w http.ResponseWriter, r *http.Request, key string, value any) {
		session, err := old.Get(r, "session")
		session.Values[key] = value
		if err := errors.Join(err, session.Save(r, w)); err != nil {
			t.Error(err)
		}
	}
	testMove(t, m, store, application{
		login: func(w http.ResponseWriter, r *http.Request) { set(w, r, "user", "alice") },
		user: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			session, _ := old.Get(r, "session")
			user, _ := session.Values["user"].(string)
			io.WriteString(w, user)
		}),
		age:  func(w http.ResponseWriter, r *http.Request) { set(w, r, "moved", twoMinutesAgo()) },
		wrap: func(move bool, next http.Handler) http.Handler { return m.Wrap(fromGorilla(old, m, move, next)) },
	})
}

func twoMinutesAgo() int64 { return time.Now().Add(-2 * time.Minute).Unix() }

// testMove moves a user, release by release, and returns their browser.
func testMove(t *testing.T, m *ticketstore.Manager, store *ticketstore.RedisStore, app application) *browser {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", app.login)
	mux.HandleFunc("POST /age", app.age)
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		if t, ok := ticketstore.FromContext(r.Context()); ok {
			io.WriteString(w, t.Subject)
		}
	})
	release := app.wrap(false, mux)
	site := http.NewServeMux()
	site.Handle("GET /old", app.user)
	site.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { release.ServeHTTP(w, r) })
	srv := httptest.NewTLSServer(site)
	t.Cleanup(srv.Close)
	b := &browser{t, store, srv.URL, srv.Client()}
	b.client.Jar, _ = cookiejar.New(nil)

	b.check("a stranger", "document", "")
	b.send("POST", "/login", "")
	b.check("a page, release 1", "document", "alice")
	b.checkSessions("release 1", 0)

	release = app.wrap(true, mux)
	b.check("a script, before a page", "empty", "alice")
	b.checkSessions("only pages move", 0)
	b.check("a page", "document", "alice")
	b.checkSessions("moved", 1)
	b.check("another page", "document", "alice")
	b.check("a script", "empty", "alice")
	b.checkSessions("moved once", 1)

	tab := b.oldCookies()
	tab.check("another tab, at once", "document", "alice")
	b.checkSessions("moved once", 1)
	b.send("POST", "/age", "")
	if user := tab.send("GET", "/old", ""); user != "alice" {
		t.Errorf("got an old session of %q, want alice's: the test shows nothing", user)
	}
	b.check("a page after a minute", "document", "alice")
	tab.check("another tab, after a minute", "document", "")
	if user := tab.send("GET", "/old", ""); user != "" {
		t.Errorf("the old session of %s has not ended", user)
	}
	return b
}

type browser struct {
	t      *testing.T
	store  *ticketstore.RedisStore
	url    string
	client *http.Client
}

// oldCookies returns a copy of b that does not have the new cookie.
func (b *browser) oldCookies() *browser {
	u, _ := url.Parse(b.url)
	client := *b.client
	client.Jar, _ = cookiejar.New(nil)
	client.Jar.SetCookies(u, slices.DeleteFunc(b.client.Jar.Cookies(u), func(c *http.Cookie) bool { return c.Name == "__Host-session" }))
	return &browser{b.t, b.store, b.url, &client}
}

func (b *browser) send(method, path, dest string) (body string) {
	b.t.Helper()
	r, err := http.NewRequest(method, b.url+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Sec-Fetch-Dest", dest)
	res, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		b.t.Errorf("%s %s: got %s %q, %v", method, path, res.Status, data, err)
	}
	return string(data)
}

func (b *browser) check(step, dest, want string) {
	b.t.Helper()
	if got := b.send("GET", "/", dest); got != want {
		b.t.Errorf("%s: got user %q, want %q", step, got, want)
	}
}

func (b *browser) checkSessions(step string, want int) {
	b.t.Helper()
	if sessions, err := b.store.Sessions(b.t.Context(), "alice"); err != nil || len(sessions) != want {
		b.t.Errorf("%s: got %d sessions, %v, want %d", step, len(sessions), err, want)
	}
}

func TestRecent(t *testing.T) {
	m, _, _ := fwtest.NewManager(t, ticketstore.Config{})
	h := recent(m, time.Hour, http.NotFoundHandler())
	for moved, want := range map[string]int{"": http.StatusNotFound, "yes": http.StatusForbidden} {
		tk := ticketstore.NewTicket("alice")
		tk.Properties = map[string]string{"moved": moved}
		w, r := httptest.NewRecorder(), httptest.NewRequest("POST", "/", nil)
		if err := m.SignIn(w, r, tk); err != nil {
			t.Fatal(err)
		}
		r.AddCookie(w.Result().Cookies()[0])
		w = httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("moved %q: got %d, want %d", moved, w.Code, want)
		}
	}
}
