// Package csrf_test has the recipes of docs/recipes-requests.md for other
// libraries that keep something about a browser.
package csrf_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/alexedwards/scs/v2/memstore"
	"github.com/gorilla/csrf"
	"github.com/justinas/nosurf"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/frameworks/internal/fwtest"
)

// withGorillaCSRF is for forms with csrf.TemplateField (github.com/gorilla/csrf).
func withGorillaCSRF(key []byte, m *ticketstore.Manager, next http.Handler) http.Handler {
	return csrf.Protect(key, csrf.Path("/"), csrf.CookieName("__Host-csrf"))(m.Wrap(next))
}

// withNosurf is for forms with nosurf.Token (github.com/justinas/nosurf).
func withNosurf(m *ticketstore.Manager, next http.Handler) http.Handler {
	h := nosurf.New(m.Wrap(next))
	h.SetBaseCookie(http.Cookie{Name: "__Host-csrf", Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	return h
}

// withFlashes has a bag of values beside the ticket, which lasts as long as the
// browser is open, also for those who are not signed in.
func withFlashes(store scs.Store, m *ticketstore.Manager, next func(*scs.SessionManager) http.Handler) http.Handler {
	bag := scs.New()
	bag.Store, bag.HashTokenInStore, bag.IdleTimeout = store, true, time.Hour
	bag.Cookie.Name, bag.Cookie.Secure, bag.Cookie.Persist = "__Host-bag", true, false
	return bag.LoadAndSave(m.Wrap(next(bag)))
}

// signOut ends the session, and empties the bag.
func signOut(bag *scs.SessionManager, m *ticketstore.Manager) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := errors.Join(m.SignOut(w, r), bag.Destroy(r.Context())); err != nil {
			m.Error(w, r, err)
			return
		}
		http.Redirect(w, r, "/", http.StatusSeeOther)
	}
}

func TestGorillaCSRF(t *testing.T) {
	checkTokens(t, "gorilla.csrf.Token", csrf.Token, func(m *ticketstore.Manager, h http.Handler) http.Handler {
		return withGorillaCSRF(bytes.Repeat([]byte{1}, 32), m, h)
	})
}

func TestNosurf(t *testing.T) { checkTokens(t, nosurf.FormFieldName, nosurf.Token, withNosurf) }

// checkTokens signs in by a form, and changes something by another, with a token
// and without.
func checkTokens(t *testing.T, field string, token func(*http.Request) string, with func(*ticketstore.Manager, http.Handler) http.Handler) {
	m, _, _ := fwtest.NewManager(t, ticketstore.Config{})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /form", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, token(r)) })
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		if err := m.SignIn(w, r, ticketstore.NewTicket("alice")); err != nil {
			t.Error(err)
		}
	})
	mux.Handle("POST /order", m.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t, _ := ticketstore.FromContext(r.Context())
		io.WriteString(w, "ordered by "+t.Subject)
	})))
	b := newBrowser(t, with(m, mux))
	b.want("POST", "/login", nil, 0, "")
	form := url.Values{field: {b.want("GET", "/form", nil, 200, "")}}
	b.want("POST", "/order", form, 401, "")
	b.want("POST", "/login", form, 200, "")
	b.want("POST", "/order", form, 200, "ordered by alice")
	b.want("POST", "/order", nil, 0, "")
}

func TestFlash(t *testing.T) {
	m, _, _ := fwtest.NewManager(t, ticketstore.Config{})
	b := newBrowser(t, withFlashes(memstore.New(), m, func(bag *scs.SessionManager) http.Handler {
		mux := http.NewServeMux()
		mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
			if err := errors.Join(bag.RenewToken(r.Context()), m.SignIn(w, r, ticketstore.NewTicket("alice"))); err != nil {
				t.Error(err)
			}
			bag.Put(r.Context(), "flash", "Welcome!")
		})
		mux.HandleFunc("POST /logout", signOut(bag, m))
		mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
			text := bag.PopString(r.Context(), "flash") + bag.GetString(r.Context(), "basket") // before anything is written
			if t, ok := ticketstore.FromContext(r.Context()); ok {
				text = t.Subject + " " + text
			}
			io.WriteString(w, text)
		})
		mux.HandleFunc("POST /basket", func(w http.ResponseWriter, r *http.Request) { bag.Put(r.Context(), "basket", "tea") })
		return mux
	}))
	b.want("POST", "/basket", nil, 200, "")
	b.want("GET", "/", nil, 200, "tea")
	b.want("POST", "/login", nil, 200, "")
	b.want("GET", "/", nil, 200, "alice Welcome!tea")
	b.want("GET", "/", nil, 200, "alice tea")
	b.want("POST", "/logout", nil, 303, "")
	b.want("GET", "/", nil, 200, "")
}

// A browser of a site behind TLS.
type browser struct {
	t      *testing.T
	url    string
	client *http.Client
}

func newBrowser(t *testing.T, h http.Handler) *browser {
	srv := httptest.NewTLSServer(h)
	t.Cleanup(srv.Close)
	client := srv.Client()
	client.Jar, _ = cookiejar.New(nil)
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	client.Timeout = time.Minute
	return &browser{t, srv.URL, client}
}

// want sends a form and checks the answer. A status of 0 is 400 or 403, as these
// libraries refuse with one of them. It returns the body.
func (b *browser) want(method, path string, form url.Values, status int, body string) string {
	b.t.Helper()
	r, err := http.NewRequest(method, b.url+path, bytes.NewBufferString(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", b.url)
	res, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	refused := res.StatusCode == 400 || res.StatusCode == 403
	if res.StatusCode != status && !(status == 0 && refused) || body != "" && string(text) != body || path == "/" && string(text) != body {
		b.t.Errorf("%s %s: got %d %q, want %d %q", method, path, res.StatusCode, text, status, body)
	}
	return string(text)
}
