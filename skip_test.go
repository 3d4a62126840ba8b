package ticketstore

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func skipStatic(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/static/") }

// For what is skipped the store is not asked, and so may be out.
func TestSkip(t *testing.T) {
	b := miniBackend(t)
	var calls int
	real := b.store(t, RedisConfig{})
	store := &stubStore{TicketStore: real}
	store.retrieve = func(ctx context.Context, key Key) (*Ticket, error) {
		calls++
		return real.Retrieve(ctx, key)
	}
	s := newSiteOn(t, b, store, Config{Skip: skipStatic, RenewAfter: time.Minute})
	c := s.login(t, "alice")
	b.advance(2 * time.Minute) // a renewal is due

	res := s.get(t, "/static/app.css", c)
	if got := body(res); got != "-" || calls != 0 {
		t.Errorf("skipped: got %q after %d reads, want an anonymous request after none", got, calls)
	}
	if vary := res.Header.Values("Vary"); len(vary) != 0 {
		t.Errorf("skipped: got Vary %q, want none", vary)
	}
	if tk, err := real.Retrieve(s.ctx(t), s.key(t, c)); err != nil || !tk.IssuedAt.Equal(tk.SignedInAt) {
		t.Errorf("skipped: got %v, %v, want it not renewed", tk, err)
	}
	if got := s.who(t, c); got != "alice" || calls != 1 {
		t.Errorf("not skipped: got %q after %d reads, want alice after 1", got, calls)
	}
	if tk, err := real.Retrieve(s.ctx(t), s.key(t, c)); err != nil || tk.IssuedAt.Equal(tk.SignedInAt) {
		t.Errorf("not skipped: got %v, %v, want it renewed", tk, err)
	}
	store.retrieve = func(context.Context, Key) (*Ticket, error) { return nil, errOut }
	wantStatus(t, s.get(t, "/static/app.css", c), http.StatusOK)
	wantStatus(t, s.get(t, "/", c), http.StatusServiceUnavailable)
}

// A guard reads what Wrap skips: it refuses nobody who is signed in, and lets in
// nobody who is not.
func TestSkipHoldsForNoGuard(t *testing.T) {
	b := miniBackend(t)
	s := newSite(t, b, Config{Skip: skipStatic})
	c := s.login(t, "alice")
	forged := &http.Cookie{Name: c.Name, Value: c.Value + "x"}
	var got string
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = "-"
		if tk, ok := FromContext(r.Context()); ok {
			got = tk.Subject
		}
	})
	m := s.manager
	for _, test := range []struct {
		name   string
		h      http.Handler
		cookie *http.Cookie
		status int
		user   string
	}{
		{"Require in Wrap", m.Wrap(m.Require(page)), c, 200, "alice"},
		{"Require in Wrap, anonymous", m.Wrap(m.Require(page)), forged, 401, ""},
		{"Require", m.Require(page), c, 200, "alice"},
		{"Require, anonymous", m.Require(page), forged, 401, ""},
		{"Require, Wrap within", m.Require(m.Wrap(page)), c, 200, "alice"},
		{"Wrap twice", m.Wrap(m.Wrap(page)), c, 200, "-"},
		{"RequireRecent in Wrap", m.Wrap(m.RequireRecent(time.Minute, page)), c, 200, "alice"},
		{"RequireRecent in Wrap, too old", m.Wrap(m.RequireRecent(0, page)), c, 403, ""},
		{"RequireRecent in Wrap, anonymous", m.Wrap(m.RequireRecent(time.Minute, page)), forged, 401, ""},
	} {
		got = ""
		w := httptest.NewRecorder()
		test.h.ServeHTTP(w, s.request(t, "GET", "/static/report.pdf", test.cookie))
		if w.Code != test.status || got != test.user {
			t.Errorf("%s: got %d, %q, want %d, %q", test.name, w.Code, got, test.status, test.user)
		}
		if strings.HasPrefix(test.name, "Require") && w.Header().Get("Vary") != "Cookie" {
			t.Errorf("%s: got Vary %q, want Cookie", test.name, w.Header().Get("Vary"))
		}
	}
}

// A customer is not taken for staff because staff's Manager has not looked.
func TestSkipHidesTheOuterManagersTicket(t *testing.T) {
	b := miniBackend(t)
	customers := newSite(t, b, Config{})
	staff := newSite(t, b, Config{CookieName: "__Host-staff", Skip: skipStatic})
	c := customers.login(t, "alice")
	w := httptest.NewRecorder()
	customers.manager.Wrap(staff.manager.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if tk, ok := FromContext(r.Context()); ok {
			t.Errorf("got the ticket of %s, want none", tk.Subject)
		}
		if tk, err := customers.manager.Resolve(r); err != nil || tk.Subject != "alice" {
			t.Errorf("Resolve: got %v, %v, want alice", tk, err)
		}
	}))).ServeHTTP(w, customers.request(t, "GET", "/static/", c))
	wantStatus(t, w.Result(), http.StatusOK)
}

// In a skipped request the Manager's methods do what they do without Wrap.
func TestSkippedRequestUsesTheManager(t *testing.T) {
	b := miniBackend(t)
	store := b.store(t, RedisConfig{})
	s := newSiteOn(t, b, store, Config{Skip: func(*http.Request) bool { return true }})
	c := s.login(t, "alice")
	if again := s.login(t, "alice", c); again.Value == c.Value {
		t.Error("SignIn kept the key")
	} else {
		c = again
	}
	if list, err := store.Sessions(s.ctx(t), "alice"); err != nil || len(list) != 1 {
		t.Errorf("got %d sessions, %v, want 1: SignIn ends the one presented", len(list), err)
	}
	wantStatus(t, s.get(t, "/renew?set=x", c), http.StatusOK)
	if tk := s.ticket(t, c); tk.Properties["set"] != "x" {
		t.Errorf("Renew: got properties %v, want set", tk.Properties)
	}
	rotated := onlyCookie(t, s.get(t, "/rotate", c))
	s.who(t, rotated)
	wantStatus(t, s.get(t, "/me", rotated), http.StatusOK) // which uses the new key

	// The key that was rotated away only reads, skipped or not.
	w := httptest.NewRecorder()
	s.manager.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := s.manager.RevokeAll(w, r); !errors.Is(err, ErrConflict) {
			t.Errorf("RevokeAll with a key that was rotated away: got %v, want ErrConflict", err)
		}
	})).ServeHTTP(w, s.request(t, "POST", "/", c))

	wantStatus(t, s.get(t, "/logout", rotated), http.StatusOK)
	wantStatus(t, s.get(t, "/me", rotated), http.StatusUnauthorized)
}
