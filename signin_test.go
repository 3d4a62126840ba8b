package ticketstore

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore/internal/clock"
)

func TestIdleTimeoutAndRenewal(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := newSite(t, b, Config{IdleTimeout: 20 * time.Minute, Lifetime: 2 * time.Hour, RenewAfter: 5 * time.Minute})
		c := s.login(t, "alice")
		start := s.ticket(t, c)
		if got := start.ExpiresAt.Sub(start.IssuedAt); got != 20*time.Minute {
			t.Errorf("got %v to expiry, want 20 minutes", got)
		}
		if got := start.EndsAt.Sub(start.SignedInAt); got != 2*time.Hour {
			t.Errorf("got %v to the end, want 2 hours", got)
		}
		b.advance(4 * time.Minute)
		s.who(t, c)
		if got := s.ticket(t, c); got.Revision != start.Revision {
			t.Error("renewed before RenewAfter")
		}
		b.advance(time.Minute + time.Second)
		r := s.request(t, "GET", "/", c)
		r.Header.Set("User-Agent", "second")
		r.RemoteAddr = "192.0.2.77:1"
		res := s.serve(r)
		wantNoCookie(t, res)
		got := s.ticket(t, c)
		if got.Revision == start.Revision || got.ID != start.ID {
			t.Error("not renewed after RenewAfter, or another session")
		}
		if d := got.IssuedAt.Sub(start.IssuedAt); d < 5*time.Minute || d > 6*time.Minute {
			t.Errorf("got a last use %v after sign-in, want some 5 minutes", d)
		}
		if got.ExpiresAt.Sub(got.IssuedAt) != 20*time.Minute || !got.SignedInAt.Equal(start.SignedInAt) || !got.EndsAt.Equal(start.EndsAt) {
			t.Errorf("got %+v, want only the idle deadline moved", got)
		}
		if got.SeenFrom.UserAgent != "second" || got.SeenFrom.Addr.String() != "192.0.2.77" || got.Device != start.Device {
			t.Errorf("got seen from %v, device %v", got.SeenFrom, got.Device)
		}
		b.advance(6 * time.Minute)
		s.who(t, c)
		if got := s.ticket(t, c); got.SeenFrom != (Device{}) || got.Device != start.Device {
			t.Errorf("back on the first device: got seen from %v, device %v", got.SeenFrom, got.Device)
		}
		b.advance(20*time.Minute - time.Millisecond)
		if got := s.who(t, c); got != "alice" {
			t.Errorf("just before the idle timeout: got %q, want alice", got)
		}
		b.advance(20 * time.Minute)
		if got := s.who(t, c); got != "-" {
			t.Errorf("at the idle timeout: got %q, want nobody", got)
		}
	})
}

// RenewAfter is never more than half the idle timeout, or a session in use
// could end.
func TestRenewAfterIsBounded(t *testing.T) {
	b := miniBackend(t)
	s := newSite(t, b, Config{IdleTimeout: 4 * time.Minute, RenewAfter: time.Hour})
	c := s.login(t, "alice")
	for range 20 {
		b.advance(2 * time.Minute)
		if got := s.who(t, c); got != "alice" {
			t.Fatalf("got %q, want alice", got)
		}
	}
}

func TestActivity(t *testing.T) {
	b := miniBackend(t)
	s := newSite(t, b, Config{Activity: func(r *http.Request) bool { return r.URL.Path != "/poll" }})
	c := s.login(t, "alice")
	for range 5 {
		b.advance(6 * time.Minute)
		s.get(t, "/poll", c)
	}
	if got := s.who(t, c); got != "-" {
		t.Errorf("polling kept the session alive: got %q", got)
	}
}

// StatusEndpointDoesNotSlide: NIST SP 800-63B-4, 5.2: a warning before the
// session ends must not prolong it.
func TestStatusEndpointDoesNotSlide(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := newSite(t, b, Config{})
		c := s.login(t, "alice")
		before := s.ticket(t, c)
		for range 4 {
			b.advance(7 * time.Minute)
			got, err := s.manager.Resolve(s.request(t, "GET", "/status", c))
			if err != nil || got.Revision != before.Revision {
				t.Fatalf("got %v, %v, want revision %s", got, err, before.Revision)
			}
		}
		b.advance(2 * time.Minute)
		if _, err := s.manager.Resolve(s.request(t, "GET", "/status", c)); !errors.Is(err, ErrNotFound) {
			t.Errorf("got %v, want ErrNotFound", err)
		}
	})
}

func TestNoIdleTimeout(t *testing.T) {
	b := miniBackend(t)
	s := newSite(t, b, Config{IdleTimeout: -1, Lifetime: time.Hour})
	c := s.login(t, "alice")
	b.advance(59 * time.Minute)
	if got := s.who(t, c); got != "alice" {
		t.Errorf("got %q, want alice", got)
	}
	if got := s.ticket(t, c); !got.ExpiresAt.Equal(got.EndsAt) || got.IssuedAt.Sub(got.SignedInAt) != 59*time.Minute {
		t.Errorf("got %+v, want the last use recorded and the expiry at the end", got)
	}
	b.advance(time.Minute)
	if got := s.who(t, c); got != "-" {
		t.Errorf("got %q, want nobody", got)
	}
}

func TestPersistent(t *testing.T) {
	b := miniBackend(t)
	s := newSite(t, b, Config{})
	res := s.get(t, "/login?user=alice&remember=1")
	c := onlyCookie(t, res)
	if want := 30 * 24 * 3600; c.MaxAge != want {
		t.Errorf("got Max-Age %d, want %d", c.MaxAge, want)
	}
	tk := s.ticket(t, c)
	if tk.ExpiresAt.Sub(tk.IssuedAt) != 14*24*time.Hour || tk.EndsAt.Sub(tk.SignedInAt) != 30*24*time.Hour {
		t.Errorf("got %v, %v, want 14 and 30 days", tk.ExpiresAt.Sub(tk.IssuedAt), tk.EndsAt.Sub(tk.SignedInAt))
	}
	b.advance(13 * 24 * time.Hour)
	if got := s.who(t, c); got != "alice" {
		t.Errorf("got %q, want alice", got)
	}
	// securecookie would have refused a value of 30 days.
	b.advance(13 * 24 * time.Hour)
	if got := s.who(t, c); got != "alice" {
		t.Errorf("got %q, want alice", got)
	}
	if rotated := onlyCookie(t, s.get(t, "/rotate", c)); rotated.MaxAge != 4*24*3600 {
		t.Errorf("got Max-Age %d after 26 days, want 4 days", rotated.MaxAge)
	}
	b.advance(4 * 24 * time.Hour)
	if got := s.who(t, c); got != "-" {
		t.Errorf("got %q, want nobody", got)
	}
	s = newSite(t, b, Config{PersistentLifetime: 1000 * 24 * time.Hour, PersistentIdleTimeout: -1})
	if c := onlyCookie(t, s.get(t, "/login?user=alice&remember=1")); c.MaxAge != 34_560_000 {
		t.Errorf("got Max-Age %d, want 400 days", c.MaxAge)
	}
}

// A lowered Config acts at once on sessions that exist.
func TestLoweredConfig(t *testing.T) {
	b := miniBackend(t)
	s := newSite(t, b, Config{})
	c := s.login(t, "alice")
	b.advance(4 * time.Minute)
	for name, cfg := range map[string]Config{
		"IdleTimeout": {IdleTimeout: 4 * time.Minute},
		"Lifetime":    {Lifetime: 4 * time.Minute},
	} {
		if got := newSite(t, b, cfg).who(t, c); got != "-" {
			t.Errorf("%s: got %q, want nobody", name, got)
		}
	}
	if got := s.who(t, c); got != "alice" {
		t.Errorf("got %q, want alice", got)
	}
}

// A caller may set stricter limits for one sign-in, and only stricter ones.
func TestTicketLimits(t *testing.T) {
	b := miniBackend(t)
	s := newSite(t, b, Config{})
	now := b.now().UTC()
	for _, test := range []struct {
		name          string
		endsAt        time.Duration // from now; 0: unset
		idle          time.Duration
		persistent    bool
		end, expiry   time.Duration
		storedTimeout time.Duration
	}{
		{"none", 0, 0, false, 12 * time.Hour, 30 * time.Minute, 0},
		{"earlier end", time.Hour, 0, false, time.Hour, 30 * time.Minute, 0},
		{"end before the idle timeout", time.Minute, 0, false, time.Minute, time.Minute, 0},
		{"later end", 24 * time.Hour, 0, false, 12 * time.Hour, 30 * time.Minute, 0},
		{"the same idle", 0, 30 * time.Minute, false, 12 * time.Hour, 30 * time.Minute, 30 * time.Minute},
		{"shorter idle", 0, 5 * time.Minute, false, 12 * time.Hour, 5 * time.Minute, 5 * time.Minute},
		{"longer idle", 0, time.Hour, false, 12 * time.Hour, 30 * time.Minute, 0},
		{"persistent, shorter idle", 0, time.Hour, true, 30 * 24 * time.Hour, time.Hour, time.Hour},
	} {
		tk := NewTicket("alice")
		if test.endsAt != 0 {
			tk.EndsAt = now.Add(test.endsAt)
		}
		tk.IdleTimeout, tk.Persistent = test.idle, test.persistent
		// What the caller sets of the rest does not count.
		tk.ID, tk.SignedInAt, tk.ExpiresAt, tk.SeenFrom.UserAgent = "x", now.Add(-time.Hour), now.Add(100*time.Hour), "x"
		w := httptest.NewRecorder()
		if err := s.manager.SignIn(w, s.request(t, "POST", "/"), tk); err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		got := s.ticket(t, onlyCookie(t, w.Result()))
		if got.EndsAt.Sub(now) != test.end || got.ExpiresAt.Sub(now) != test.expiry || got.IdleTimeout != test.storedTimeout || !got.SignedInAt.Equal(now) || got.SeenFrom != (Device{}) {
			t.Errorf("%s: got end %v, expiry %v, idle %v, signed in %v", test.name, got.EndsAt.Sub(now), got.ExpiresAt.Sub(now), got.IdleTimeout, got.SignedInAt)
		}
		if tk.ID != got.ID || tk.Revision != got.Revision || !tk.ExpiresAt.Equal(got.ExpiresAt) {
			t.Errorf("%s: the caller's ticket is %+v, the stored one %+v", test.name, tk, got)
		}
	}
	none := newSite(t, b, Config{IdleTimeout: -1})
	tk := NewTicket("alice")
	tk.IdleTimeout = 5 * time.Minute
	if err := none.manager.SignIn(httptest.NewRecorder(), s.request(t, "POST", "/"), tk); err != nil || tk.IdleTimeout != 5*time.Minute || !tk.ExpiresAt.Equal(now.Add(5*time.Minute)) {
		t.Errorf("an idle timeout where Config has none: got %+v, %v", tk, err)
	}
	tk = NewTicket("alice")
	tk.EndsAt = now
	w := httptest.NewRecorder()
	if err := s.manager.SignIn(w, s.request(t, "POST", "/"), tk); !errors.Is(err, ErrInvalidTicket) || len(w.Header()["Set-Cookie"]) != 0 {
		t.Errorf("an end that is past: got %v, want ErrInvalidTicket and no cookie", err)
	}
}

func TestSignInBadTicket(t *testing.T) {
	b := miniBackend(t)
	s := newSite(t, b, Config{})
	for name, tk := range map[string]*Ticket{
		"nil":           nil,
		"no subject":    NewTicket(""),
		"long subject":  NewTicket(strings.Repeat("x", 1025)),
		"large":         NewTicket("alice", Claim{Type: "x", Value: strings.Repeat("x", 65<<10)}),
		"invalid UTF-8": NewTicket("alice", Claim{Type: "x", Value: "\xff"}),
	} {
		w := httptest.NewRecorder()
		if err := s.manager.SignIn(w, s.request(t, "POST", "/"), tk); !errors.Is(err, ErrInvalidTicket) || len(w.Header()["Set-Cookie"]) != 0 {
			t.Errorf("%s: got %v, want ErrInvalidTicket and no cookie", name, err)
		}
	}
	if keys := b.keys(t); len(keys) != 0 {
		t.Errorf("got keys %q, want none", keys)
	}
}

// NewContext has a ticket, but the cookies are the request's.
func TestSignInWithinNewContext(t *testing.T) {
	b := miniBackend(t)
	s := newSite(t, b, Config{})
	c := s.login(t, "alice")
	r := s.request(t, "POST", "/", c)
	w := httptest.NewRecorder()
	if err := s.manager.SignIn(w, r.WithContext(NewContext(r.Context(), NewTicket("bob"))), NewTicket("bob")); err != nil {
		t.Fatal(err)
	}
	if got := s.who(t, c); got != "-" {
		t.Errorf("old session: got %q, want nobody", got)
	}
	if got := s.who(t, onlyCookie(t, w.Result())); got != "bob" {
		t.Errorf("got %q, want bob", got)
	}
}

// If the old session cannot be removed, tried twice, the user is signed in all
// the same, and the log says what is left. What only failed once is not.
func TestSignInThatCannotEndTheOldSession(t *testing.T) {
	b := miniBackend(t)
	real := b.store(t, RedisConfig{})
	for _, failures := range []int{1, 2} {
		stub := &stubStore{TicketStore: real}
		s := newSiteOn(t, b, stub, Config{})
		s.store = real
		bob := s.login(t, "bob")
		old := s.key(t, bob)
		tries := 0
		stub.remove = func(ctx context.Context, key Key) error {
			if key == old {
				if tries++; tries <= failures {
					return errOut
				}
			}
			return real.Remove(ctx, key)
		}
		alice := s.login(t, "alice", bob)
		if got := s.who(t, alice); got != "alice" || tries != 2 {
			t.Errorf("%d failures: got %q after %d tries, want alice and 2", failures, got, tries)
		}
		left := failures == 2
		if logged := strings.Contains(s.logs.String(), "did not end an old session"); logged != left {
			t.Errorf("%d failures: logged %v: %s", failures, logged, s.logs)
		}
		if got := s.who(t, bob); (got == "bob") != left {
			t.Errorf("%d failures: the old session is %q", failures, got)
		}
	}
}

// What has expired by the clock of one process lives by that of another.
func TestSignInEndsWhatHasExpiredHere(t *testing.T) {
	b := miniBackend(t)
	s := newSite(t, b, Config{IdleTimeout: 30 * time.Minute})
	old := s.login(t, "alice")
	b.advance(30*time.Minute - time.Second)
	r := s.request(t, "POST", "/login?user=alice", old)
	ahead := func() time.Time { return b.now().Add(2 * time.Second) }
	s.serve(r.WithContext(clock.NewContext(r.Context(), ahead)))
	if got := s.who(t, old); got != "-" {
		t.Errorf("the old session: got %q, want nobody", got)
	}
	if list, err := s.store.Sessions(b.ctx(t), "alice"); err != nil || len(list) != 1 {
		t.Errorf("got %d sessions, %v, want 1", len(list), err)
	}
}

// A session that Retrieve cannot tell about is no reason to leave it behind.
func TestSignInDuringAnOutage(t *testing.T) {
	b := miniBackend(t)
	stub := &stubStore{TicketStore: b.store(t, RedisConfig{})}
	s := newSiteOn(t, b, stub, Config{})
	c := s.login(t, "alice")
	stub.retrieve = func(context.Context, Key) (*Ticket, error) { return nil, errOut }
	w := httptest.NewRecorder()
	if err := s.manager.SignIn(w, s.request(t, "POST", "/", c), NewTicket("bob")); !errors.Is(err, errOut) || len(w.Header()["Set-Cookie"]) != 0 {
		t.Errorf("got %v, want %v and no cookie", err, errOut)
	}
	if _, err := s.manager.Renew(s.request(t, "POST", "/", c), func(*Ticket) error { return nil }); !errors.Is(err, errOut) {
		t.Errorf("Renew: got %v, want %v", err, errOut)
	}
}

func TestTooManySessions(t *testing.T) {
	b := miniBackend(t)
	s := newSiteOn(t, b, b.store(t, RedisConfig{MaxSessions: 1, RefuseNew: true}), Config{})
	c := s.login(t, "alice")
	w := httptest.NewRecorder()
	if err := s.manager.SignIn(w, s.request(t, "POST", "/"), NewTicket("alice")); !errors.Is(err, ErrTooManySessions) || len(w.Header()["Set-Cookie"]) != 0 {
		t.Errorf("got %v, want ErrTooManySessions and no cookie", err)
	}
	if got := s.who(t, s.login(t, "alice", c)); got != "alice" {
		t.Errorf("signing in again: got %q, want alice", got)
	}
}

// ExactlyOneSetCookiePerResponse: RFC 6265, 4.1.1. Whatever happens within
// one request, the last word is the only one, and no session is left behind.
func TestExactlyOneSetCookiePerResponse(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := newSite(t, b, Config{})
		m := s.manager
		in := func(subject string) func(http.ResponseWriter, *http.Request) error {
			return func(w http.ResponseWriter, r *http.Request) error { return m.SignIn(w, r, NewTicket(subject)) }
		}
		rotate := func(w http.ResponseWriter, r *http.Request) error { _, err := m.Rotate(w, r, nil); return err }
		for name, test := range map[string]struct {
			steps []func(http.ResponseWriter, *http.Request) error
			want  string
		}{
			"out, in":          {[]func(http.ResponseWriter, *http.Request) error{m.SignOut, in("bob")}, "bob"},
			"in, out":          {[]func(http.ResponseWriter, *http.Request) error{in("bob"), m.SignOut}, "-"},
			"in, in":           {[]func(http.ResponseWriter, *http.Request) error{in("bob"), in("carol")}, "carol"},
			"in, in the same":  {[]func(http.ResponseWriter, *http.Request) error{in("alice"), in("alice")}, "alice"},
			"rotate":           {[]func(http.ResponseWriter, *http.Request) error{rotate}, "alice"},
			"rotate, rotate":   {[]func(http.ResponseWriter, *http.Request) error{rotate, rotate}, "alice"},
			"rotate, out":      {[]func(http.ResponseWriter, *http.Request) error{rotate, m.SignOut}, "-"},
			"in, rotate":       {[]func(http.ResponseWriter, *http.Request) error{in("bob"), rotate}, "bob"},
			"out, in, rotate":  {[]func(http.ResponseWriter, *http.Request) error{m.SignOut, in("bob"), rotate}, "bob"},
			"rotate, in, out":  {[]func(http.ResponseWriter, *http.Request) error{rotate, in("bob"), m.SignOut}, "-"},
			"out, in, in, out": {[]func(http.ResponseWriter, *http.Request) error{m.SignOut, in("bob"), in("bob"), m.SignOut}, "-"},
		} {
			for _, wrapped := range []bool{true, false} {
				c := s.login(t, "alice")
				var h http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					http.SetCookie(w, &http.Cookie{Name: "other", Value: "kept"})
					for i, step := range test.steps {
						if err := step(w, r); err != nil {
							t.Errorf("%s, step %d: %v", name, i, err)
						}
					}
				})
				if wrapped {
					h = m.Wrap(h)
				}
				w := httptest.NewRecorder()
				h.ServeHTTP(w, s.request(t, "POST", "/", c))
				var ours []*http.Cookie
				for _, c := range w.Result().Cookies() {
					if c.Name != "other" {
						ours = append(ours, c)
					}
				}
				if len(ours) != 1 || len(w.Result().Cookies()) != 2 {
					t.Errorf("%s: got %q, want one of ours and the other", name, w.Header()["Set-Cookie"])
					continue
				}
				if got := s.who(t, ours[0]); got != test.want {
					t.Errorf("%s: got %q, want %q", name, got, test.want)
				}
				want := Counts{Subjects: 1, Sessions: 1}
				if test.want == "-" {
					want = Counts{}
				}
				if got, err := s.store.Count(s.ctx(t)); err != nil || got != want {
					t.Errorf("%s: got %+v, %v, want %+v", name, got, err, want)
				}
				s.get(t, "/logout", ours[0])
			}
		}
	})
}

func TestManagerRenew(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := newSite(t, b, Config{})
		c := s.login(t, "alice")
		before := s.ticket(t, c)
		b.advance(time.Minute)
		r := s.request(t, "POST", "/", c)
		got, err := s.manager.Renew(r, func(tk *Ticket) error {
			tk.Properties = map[string]string{"theme": "dark"}
			tk.EndsAt = tk.EndsAt.Add(-time.Hour)
			tk.IdleTimeout = 10 * time.Minute
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		stored := s.ticket(t, c)
		if got.Properties["theme"] != "dark" || stored.Properties["theme"] != "dark" || got.Revision != stored.Revision || got.Revision == before.Revision {
			t.Errorf("got %+v, stored %+v", got, stored)
		}
		if !stored.IssuedAt.Equal(before.IssuedAt) || !stored.SignedInAt.Equal(before.SignedInAt) || stored.ID != before.ID {
			t.Errorf("got %+v, want the times of %+v", stored, before)
		}
		if want := stored.IssuedAt.Add(10 * time.Minute); !stored.ExpiresAt.Equal(want) {
			t.Errorf("a shorter idle timeout: got expiry %v, want %v", stored.ExpiresAt, want)
		}
		change := errors.New("changed my mind")
		if _, err := s.manager.Renew(r, func(*Ticket) error { return change }); err != change {
			t.Errorf("got %v, want change's error as it is", err)
		}
		for name, change := range map[string]func(*Ticket){
			"ID":            func(tk *Ticket) { tk.ID = "x" },
			"Subject":       func(tk *Ticket) { tk.Subject = "bob" },
			"Persistent":    func(tk *Ticket) { tk.Persistent = true },
			"Revision":      func(tk *Ticket) { tk.Revision = "x" },
			"Device":        func(tk *Ticket) { tk.Device.UserAgent = "x" },
			"SeenFrom":      func(tk *Ticket) { tk.SeenFrom.UserAgent = "x" },
			"SignedInAt":    func(tk *Ticket) { tk.SignedInAt = tk.SignedInAt.Add(time.Hour) },
			"proved now":    func(tk *Ticket) { tk.AuthenticatedAt = b.now() },
			"IssuedAt":      func(tk *Ticket) { tk.IssuedAt = tk.IssuedAt.Add(time.Hour) },
			"ExpiresAt":     func(tk *Ticket) { tk.ExpiresAt = tk.ExpiresAt.Add(time.Hour) },
			"EndsAt later":  func(tk *Ticket) { tk.EndsAt = tk.EndsAt.Add(time.Hour) },
			"no EndsAt":     func(tk *Ticket) { tk.EndsAt = time.Time{} },
			"longer idle":   func(tk *Ticket) { tk.IdleTimeout *= 2 },
			"Config's idle": func(tk *Ticket) { tk.IdleTimeout = 0 },
			"past end":      func(tk *Ticket) { tk.EndsAt = b.now().Add(-time.Second) },
			"bad claim":     func(tk *Ticket) { tk.Identities = []Identity{{AuthenticationType: "\xff"}} },
		} {
			if _, err := s.manager.Renew(r, func(tk *Ticket) error { change(tk); return nil }); !errors.Is(err, ErrInvalidTicket) {
				t.Errorf("%s: got %v, want ErrInvalidTicket", name, err)
			}
		}
		if now := s.ticket(t, c); now.Revision != stored.Revision {
			t.Error("a refused change was written")
		}
		if _, err := s.manager.Renew(s.request(t, "POST", "/"), func(*Ticket) error { return nil }); !errors.Is(err, ErrNotFound) {
			t.Errorf("anonymous: got %v, want ErrNotFound", err)
		}
	})
}

// After SignIn or Rotate the key that the request came with is no more, or
// reads only.
func TestRenewAfterSignInOnOneRequest(t *testing.T) {
	b := miniBackend(t)
	s := newSite(t, b, Config{})
	for name, test := range map[string]struct {
		first func(http.ResponseWriter, *http.Request) error
		want  error
	}{
		"SignIn": {func(w http.ResponseWriter, r *http.Request) error { return s.manager.SignIn(w, r, NewTicket("alice")) }, ErrNotFound},
		"Rotate": {func(w http.ResponseWriter, r *http.Request) error { _, err := s.manager.Rotate(w, r, nil); return err }, ErrConflict},
	} {
		c := s.login(t, "alice")
		h := s.manager.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := test.first(w, r); err != nil {
				t.Fatal(err)
			}
			if _, err := s.manager.Renew(r, func(*Ticket) error { return nil }); !errors.Is(err, test.want) {
				t.Errorf("after %s: got %v, want %v", name, err, test.want)
			}
		}))
		h.ServeHTTP(httptest.NewRecorder(), s.request(t, "POST", "/", c))
	}
}

func TestManagerRenewRetriesConflicts(t *testing.T) {
	b := miniBackend(t)
	s := newSite(t, b, Config{})
	c := s.login(t, "alice")
	key := s.key(t, c)
	for _, conflicts := range []int{1, 5, 6} {
		runs := 0
		_, err := s.manager.Renew(s.request(t, "POST", "/", c), func(tk *Ticket) error {
			runs++
			if runs <= conflicts { // somebody else is quicker
				other := s.ticket(t, c)
				other.Properties = map[string]string{"other": fmt.Sprint(conflicts, runs)}
				if err := s.store.Renew(s.ctx(t), key, other); err != nil {
					t.Fatal(err)
				}
			}
			tk.Scheme = fmt.Sprint("mine", conflicts)
			return nil
		})
		if conflicts <= 5 && err != nil || conflicts > 5 && !errors.Is(err, ErrConflict) {
			t.Errorf("%d conflicts: got %v", conflicts, err)
		}
		if want := min(conflicts+1, 6); runs != want {
			t.Errorf("%d conflicts: change ran %d times, want %d", conflicts, runs, want)
		}
		got := s.ticket(t, c)
		if wrote := got.Scheme == fmt.Sprint("mine", conflicts); wrote != (err == nil) || got.Properties["other"] != fmt.Sprint(conflicts, conflicts) {
			t.Errorf("%d conflicts: got %+v, want nobody's change lost", conflicts, got)
		}
	}
}

// A lastFirst prefers the last cookie of a request, as ASP.NET Core does.
type lastFirst struct{ secureCodec }

func (c lastFirst) Decode(ctx context.Context, name string, cookies []*http.Cookie) ([]Key, error) {
	cookies = slices.Clone(cookies)
	slices.Reverse(cookies)
	return c.secureCodec.Decode(ctx, name, cookies)
}

// A cookie set in this response counts before those of the request, whichever
// of them the codec prefers, and however many there are.
func TestCookieOfThisResponseFirst(t *testing.T) {
	b := miniBackend(t)
	s := newSite(t, b, Config{Codec: lastFirst{newSecureCodec(testKeys)}})
	old := s.login(t, "alice")
	r, w := s.request(t, "POST", "/", old, old, old, old), httptest.NewRecorder()
	for i := range 2 {
		if _, err := s.manager.Rotate(w, r, nil); err != nil {
			t.Fatalf("Rotate %d: %v", i+1, err)
		}
	}
	rotated := onlyCookie(t, w.Result())
	if got := s.who(t, rotated); got != "alice" {
		t.Errorf("rotated twice: got %q, want alice", got)
	}
	if err := s.manager.SignOut(w, r); err != nil {
		t.Fatal(err)
	}
	if got := s.who(t, rotated); got != "-" {
		t.Errorf("signed out: got %q, want nobody", got)
	}
}

// A key that has been rotated away does not slide the session.
func TestRotatedAwayKeyDoesNotSlide(t *testing.T) {
	b := miniBackend(t)
	s := newSite(t, b, Config{RotateGrace: 15 * time.Minute})
	old := s.login(t, "alice")
	next := onlyCookie(t, s.get(t, "/rotate", old))
	b.advance(10 * time.Minute)
	before := s.ticket(t, next)
	if got := s.who(t, old); got != "alice" {
		t.Errorf("got %q, want alice", got)
	}
	if got := s.ticket(t, next); got.Revision != before.Revision {
		t.Error("the old key renewed the ticket")
	}
	wantStatus(t, s.get(t, "/logout", old), http.StatusOK)
	if got := s.who(t, next); got != "-" {
		t.Errorf("sign-out with the old key: got %q, want nobody", got)
	}
}

func TestRotateUnsupported(t *testing.T) {
	b := miniBackend(t)
	s := newSiteOn(t, b, &stubStore{TicketStore: b.store(t, RedisConfig{})}, Config{})
	_, err := s.manager.Rotate(httptest.NewRecorder(), s.request(t, "POST", "/", s.login(t, "alice")), nil)
	if !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v, want ErrUnsupported", err)
	}
}

func TestRotateFailures(t *testing.T) {
	b := miniBackend(t)
	codec := &stubCodec{CookieCodec: newSecureCodec(testKeys)}
	s := newSite(t, b, Config{Codec: codec})
	w := httptest.NewRecorder()
	if _, err := s.manager.Rotate(w, s.request(t, "POST", "/"), nil); !errors.Is(err, ErrNotFound) {
		t.Errorf("anonymous: got %v, want ErrNotFound", err)
	}
	c := s.login(t, "alice")
	codec.encodeErr = errOut
	if _, err := s.manager.Rotate(w, s.request(t, "POST", "/", c), nil); !errors.Is(err, errOut) {
		t.Errorf("no cookie to be had: got %v, want %v", err, errOut)
	}
	codec.decode = func() ([]Key, error) { return nil, errOut }
	if _, err := s.manager.Rotate(w, s.request(t, "POST", "/", c), nil); !errors.Is(err, errOut) {
		t.Errorf("no key to be had: got %v, want %v", err, errOut)
	}
	codec.decode = nil
	b.mini.SetError("LOADING")
	if _, err := s.manager.Rotate(w, s.request(t, "POST", "/", c), nil); err == nil || errors.Is(err, ErrNotFound) {
		t.Errorf("outage: got %v, want an error of its own", err)
	}
	if got := w.Header()["Set-Cookie"]; len(got) != 0 {
		t.Errorf("got Set-Cookie %q, want none", got)
	}
}

// A renewal that meets a conflict or an outage serves what it read; one that
// meets a revocation is anonymous.
func TestSlideMeets(t *testing.T) {
	b := miniBackend(t)
	real := b.store(t, RedisConfig{})
	stub := &stubStore{TicketStore: real}
	s := newSiteOn(t, b, stub, Config{})
	for _, test := range []struct {
		err  error
		want string
		log  bool
	}{
		{ErrConflict, "alice", false},
		{errOut, "alice", true},
		{fmt.Errorf("%w: too large", ErrInvalidTicket), "alice", true},
		{ErrNotFound, "-", false},
	} {
		c := s.login(t, "alice")
		b.advance(6 * time.Minute)
		before := len(s.logs.String())
		stub.renew = func(context.Context, Key, *Ticket) error { return test.err }
		if got := s.who(t, c); got != test.want {
			t.Errorf("%v: got %q, want %q", test.err, got, test.want)
		}
		if logged := len(s.logs.String()) > before; logged != test.log {
			t.Errorf("%v: logged %v, want %v", test.err, logged, test.log)
		}
		stub.renew = nil
	}
}

// Without SignedInAt the lifetime cannot be enforced: such a ticket is served
// until it expires, and not renewed.
func TestTicketOfAnotherWriter(t *testing.T) {
	b := miniBackend(t)
	s := newSite(t, b, Config{})
	tk := &Ticket{Subject: "alice", ExpiresAt: b.now().Add(40 * time.Minute)}
	key := mustStore(t, b, s.store, tk)
	value, err := s.manager.cfg.Codec.Encode(t.Context(), "__Host-session", key)
	if err != nil {
		t.Fatal(err)
	}
	c := &http.Cookie{Name: "__Host-session", Value: value}
	for range 3 {
		b.advance(13 * time.Minute)
		if got := s.who(t, c); got != "alice" {
			t.Errorf("got %q, want alice", got)
		}
	}
	if got := s.ticket(t, c); got.Revision != tk.Revision {
		t.Error("it was renewed")
	}
	b.advance(time.Minute)
	if got := s.who(t, c); got != "-" {
		t.Errorf("got %q, want nobody", got)
	}
}
