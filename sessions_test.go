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

func TestManagerSessions(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := newSite(t, b, Config{})
		m := s.manager
		mine, second, third := s.login(t, "alice"), s.login(t, "alice"), s.login(t, "alice")
		bob := s.login(t, "bob")
		r := s.request(t, "POST", "/", mine)
		sessions, current, err := m.Sessions(r)
		if err != nil || len(sessions) != 3 || current != s.ticket(t, mine).ID || sessions[2].ID != current || sessions[0].ID != s.ticket(t, third).ID {
			t.Fatalf("got %+v, %s, %v, want alice's three, newest first", sessions, current, err)
		}
		if err := m.Revoke(r, s.ticket(t, bob).ID); !errors.Is(err, ErrNotFound) || s.who(t, bob) != "bob" {
			t.Errorf("revoking bob's: got %v, want ErrNotFound", err)
		}
		if err := m.Revoke(r, s.ticket(t, second).ID); err != nil || s.who(t, second) != "-" {
			t.Errorf("revoking another: %v", err)
		}
		if n, err := m.RevokeOthers(r); err != nil || n != 1 || s.who(t, third) != "-" || s.who(t, mine) != "alice" {
			t.Errorf("revoking the others: got %d, %v", n, err)
		}
		another := s.login(t, "alice")
		w := httptest.NewRecorder()
		if n, err := m.RevokeAll(w, r); err != nil || n != 2 || s.who(t, mine) != "-" || s.who(t, another) != "-" {
			t.Errorf("revoking all: got %d, %v", n, err)
		}
		if c := onlyCookie(t, w.Result()); c.MaxAge != -1 || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("got %v, want the cookie deleted", c)
		}
		if got := s.who(t, bob); got != "bob" {
			t.Errorf("got %q, want bob still there", got)
		}
	})
}

// What the request arrived with does not count: its session may have ended.
func TestManagerSessionsAfterTheEnd(t *testing.T) {
	b := miniBackend(t)
	s := newSite(t, b, Config{})
	m := s.manager
	check := func(name string, r *http.Request, want error) {
		t.Helper()
		w := httptest.NewRecorder()
		_, _, sessionsErr := m.Sessions(r)
		_, othersErr := m.RevokeOthers(r)
		_, allErr := m.RevokeAll(w, r)
		for call, err := range map[string]error{"Sessions": sessionsErr, "Revoke": m.Revoke(r, "x"), "RevokeOthers": othersErr, "RevokeAll": allErr} {
			if !errors.Is(err, want) {
				t.Errorf("%s, %s: got %v, want %v", name, call, err, want)
			}
		}
		wantNoCookie(t, w.Result())
	}
	check("anonymous", s.request(t, "POST", "/"), ErrNotFound)
	c := s.login(t, "alice")
	m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := s.store.RevokeAll(r.Context(), "alice"); err != nil {
			t.Fatal(err)
		}
		check("revoked meanwhile", r, ErrNotFound)
	})).ServeHTTP(httptest.NewRecorder(), s.request(t, "POST", "/", c))
	c = s.login(t, "alice")
	m = newSiteOn(t, b, &stubStore{TicketStore: s.store}, Config{}).manager
	check("a store that cannot list", s.request(t, "POST", "/", c), errors.ErrUnsupported)
	m = &Manager{}
	check("zero Manager", s.request(t, "POST", "/", c), errZeroManager)
}

// Revoking goes on if the client hangs up meanwhile.
func TestRevokeGoesOn(t *testing.T) {
	b := miniBackend(t)
	s := newSite(t, b, Config{})
	c, other := s.login(t, "alice"), s.login(t, "alice")
	ctx, cancel := context.WithCancel(s.ctx(t))
	real := s.store
	s.manager.store = &revokingStore{RedisStore: real, before: cancel}
	if n, err := s.manager.RevokeOthers(s.request(t, "POST", "/", c).WithContext(ctx)); err != nil || n != 1 {
		t.Errorf("got %d, %v, want 1", n, err)
	}
	if got := s.who(t, other); got != "-" {
		t.Errorf("got %q, want nobody", got)
	}
}

type revokingStore struct {
	*RedisStore
	before func()
}

func (s *revokingStore) RevokeOthers(ctx context.Context, subject, keep string) (int, error) {
	s.before()
	return s.RedisStore.RevokeOthers(ctx, subject, keep)
}

func TestStatus(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := newSite(t, b, Config{Activity: func(*http.Request) bool { return false }})
		status := s.manager.Status()
		ask := func(method string, cookies ...*http.Cookie) string {
			t.Helper()
			w := httptest.NewRecorder()
			status.ServeHTTP(w, s.request(t, method, "/status", cookies...))
			wantStatus(t, w.Result(), http.StatusOK)
			wantNoCookie(t, w.Result())
			if h := w.Header(); h.Get("Cache-Control") != "no-store" || h.Get("Content-Type") != "application/json" || h.Get("Vary") != "Cookie" {
				t.Errorf("got headers %v", h)
			}
			return strings.TrimSpace(w.Body.String())
		}
		check := func(got, want string) {
			t.Helper()
			if got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
		check(ask("GET"), `{"signedIn":false}`)
		c := s.login(t, "alice")
		check(ask("GET", c), `{"signedIn":true,"sinceSignIn":0,"untilIdle":1800,"untilEnd":43200}`)
		b.advance(10 * time.Minute)
		for range 3 {
			check(ask("GET", c), `{"signedIn":true,"sinceSignIn":600,"untilIdle":1200,"untilEnd":42600}`)
			check(ask("HEAD", c), `{"signedIn":true,"sinceSignIn":600,"untilIdle":1200,"untilEnd":42600}`)
		}
		check(ask("POST", c), `{"signedIn":true,"sinceSignIn":600,"untilIdle":1800,"untilEnd":42600}`)
		b.advance(time.Minute) // within RenewAfter: the user has asked for it
		check(ask("POST", c), `{"signedIn":true,"sinceSignIn":660,"untilIdle":1800,"untilEnd":42540}`)
		b.advance(30 * time.Minute)
		check(ask("GET", c), `{"signedIn":false}`)
		check(ask("POST", c), `{"signedIn":false}`)

		s = newSite(t, b, Config{IdleTimeout: -1, Lifetime: time.Hour})
		status = s.manager.Status()
		check(ask("GET", s.login(t, "alice")), `{"signedIn":true,"sinceSignIn":0,"untilEnd":3600}`)
	})
}

func TestStatusRefuses(t *testing.T) {
	b := miniBackend(t)
	s := newSite(t, b, Config{})
	c := s.login(t, "alice")
	w := httptest.NewRecorder()
	s.manager.Status().ServeHTTP(w, s.request(t, "DELETE", "/status", c))
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") == "" {
		t.Errorf("DELETE: got %d", w.Code)
	}
	w = httptest.NewRecorder()
	s.manager.Wrap(s.manager.Status()).ServeHTTP(w, s.request(t, "GET", "/status", c))
	if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "outside of Wrap") {
		t.Errorf("inside Wrap: got %d, %s", w.Code, w.Body)
	}
	b.mini.SetError("LOADING")
	w = httptest.NewRecorder()
	s.manager.Status().ServeHTTP(w, s.request(t, "GET", "/status", c))
	wantStatus(t, w.Result(), http.StatusServiceUnavailable)
	wantNoCookie(t, w.Result())
}
