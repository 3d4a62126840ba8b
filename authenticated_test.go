package ticketstore

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// A ssoSite lets in by single sign-on, and has a page that demands that the
// user proved who they are less than ten minutes ago.
type ssoSite struct{ *site }

func newSSOSite(t *testing.T, b *backend) *ssoSite {
	return &ssoSite{newSite(t, b, Config{LoginPath: "/login", Lifetime: 2 * time.Hour})}
}

// signIn signs tk in, and returns the cookie.
func (s *ssoSite) signIn(t *testing.T, tk *Ticket, cookies ...*http.Cookie) *http.Cookie {
	t.Helper()
	w := httptest.NewRecorder()
	if err := s.manager.SignIn(w, s.request(t, "POST", "/callback", cookies...), tk); err != nil {
		t.Fatal(err)
	}
	return onlyCookie(t, w.Result())
}

// recent reports whether the page lets a request in, and not merely after
// another sign-in.
func (s *ssoSite) recent(t *testing.T, r *http.Request) bool {
	t.Helper()
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	w := httptest.NewRecorder()
	s.manager.RequireRecent(10*time.Minute, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, r)
	if w.Code == http.StatusOK {
		return true
	}
	if got := w.Header().Get("Location"); w.Code != http.StatusFound || !strings.Contains(got, "reauth=1") {
		t.Fatalf("got %d to %q, want a page to sign in again", w.Code, got)
	}
	return false
}

// sinceSignIn returns what Status says.
func (s *ssoSite) sinceSignIn(t *testing.T, c *http.Cookie) string {
	t.Helper()
	w := httptest.NewRecorder()
	s.manager.Status().ServeHTTP(w, s.request(t, "GET", "/status", c))
	_, rest, _ := strings.Cut(w.Body.String(), `"sinceSignIn":`)
	seconds, _, _ := strings.Cut(rest, ",")
	return seconds
}

// A sign-in is as recent as the proof that it rests on; the session is as old
// as the sign-in.
func TestAuthenticatedAt(t *testing.T) {
	b := miniBackend(t)
	s := newSSOSite(t, b)
	for _, test := range []struct {
		ago    time.Duration // before the sign-in
		kept   time.Duration
		recent time.Duration // how much longer it is, in whole minutes
	}{
		{8 * time.Hour, 8 * time.Hour, 0},
		{10 * time.Minute, 10 * time.Minute, 0},
		{7 * time.Minute, 7 * time.Minute, 3 * time.Minute},
		{7*time.Minute - time.Microsecond, 7 * time.Minute, 3 * time.Minute}, // times are cut to the millisecond
		{0, 0, 10 * time.Minute},
		{-time.Second, 0, 10 * time.Minute}, // the provider's clock is ahead
		{-24 * time.Hour, 0, 10 * time.Minute},
	} {
		tk := NewTicket("alice")
		tk.AuthenticatedAt = b.now().Add(-test.ago).In(time.FixedZone("", 3600))
		c := s.signIn(t, tk)
		got := s.ticket(t, c)
		if want := b.now().Add(-test.kept); !got.AuthenticatedAt.Equal(want) || !tk.AuthenticatedAt.Equal(want) || tk.AuthenticatedAt.Location() != time.UTC {
			t.Errorf("%v ago: got %v, the caller's ticket %v, want %v", test.ago, got.AuthenticatedAt, tk.AuthenticatedAt, want)
		}
		if !got.SignedInAt.Equal(b.now()) || !got.EndsAt.Equal(b.now().Add(2*time.Hour)) {
			t.Errorf("%v ago: got a sign-in at %v until %v, want now and two hours", test.ago, got.SignedInAt, got.EndsAt)
		}
		if got, want := s.sinceSignIn(t, c), fmt.Sprint(int(test.kept.Seconds())); got != want {
			t.Errorf("%v ago: got sinceSignIn %s, want %s", test.ago, got, want)
		}
		var recent time.Duration
		for s.recent(t, s.request(t, "GET", "/password", c)) && recent < time.Hour {
			b.advance(time.Minute)
			recent += time.Minute
		}
		if recent != test.recent {
			t.Errorf("%v ago: got a sign-in that is recent for %v, want %v", test.ago, recent, test.recent)
		}
		// Neither use nor another key makes it recent again.
		b.advance(10 * time.Minute)
		wantStatus(t, s.get(t, "/renew?set=x", c), http.StatusOK)
		c = onlyCookie(t, s.get(t, "/rotate", c))
		if s.recent(t, s.request(t, "GET", "/password", c)) || !s.ticket(t, c).AuthenticatedAt.Equal(tk.AuthenticatedAt) {
			t.Errorf("%v ago: recent again, by %v", test.ago, s.ticket(t, c).AuthenticatedAt)
		}
	}
	if got := s.ticket(t, s.login(t, "bob")).AuthenticatedAt; !got.IsZero() {
		t.Errorf("by password: got %v, want none", got)
	}
}

// Signing in again with the ticket at hand ends the demand to sign in again.
func TestAuthenticatedAtOfUsedTicket(t *testing.T) {
	b := miniBackend(t)
	s := newSSOSite(t, b)
	fresh := func() *Ticket {
		tk := NewTicket("alice")
		tk.AuthenticatedAt = b.now().Add(-8 * time.Hour)
		return tk
	}
	for name, again := range map[string]func(c *http.Cookie, signedIn *Ticket) *Ticket{
		"the ticket that was signed in": func(_ *http.Cookie, tk *Ticket) *Ticket { return tk },
		"a ticket that was read":        func(c *http.Cookie, _ *Ticket) *Ticket { return s.ticket(t, c) },
		"its copy":                      func(c *http.Cookie, _ *Ticket) *Ticket { return s.ticket(t, c).Clone() },
		"read with a rotated-away key": func(c *http.Cookie, _ *Ticket) *Ticket {
			s.get(t, "/rotate", c)
			return s.ticket(t, c)
		},
	} {
		tk := fresh()
		c := s.signIn(t, tk)
		if s.recent(t, s.request(t, "GET", "/password", c)) {
			t.Fatalf("%s: recent at first", name)
		}
		c = s.signIn(t, again(c, tk), c)
		if got := s.ticket(t, c).AuthenticatedAt; !got.IsZero() || !s.recent(t, s.request(t, "GET", "/password", c)) {
			t.Errorf("%s: got %v, want none, and a recent sign-in", name, got)
		}
	}

	// The return from an impersonation proves nothing: a new ticket says so.
	c := s.signIn(t, fresh())
	before := s.ticket(t, c)
	c = s.signIn(t, NewTicket("bob"), c)
	back := NewTicket(before.Subject)
	back.AuthenticatedAt = before.AuthenticatedAt
	if c = s.signIn(t, back, c); s.recent(t, s.request(t, "GET", "/password", c)) {
		t.Error("back from an impersonation: recent")
	}
}

// What is in a ticket, however it came there.
func TestRecentByTicket(t *testing.T) {
	b := miniBackend(t)
	s := newSSOSite(t, b)
	old, now, ahead := b.now().Add(-time.Hour), b.now(), b.now().Add(time.Hour)
	var never time.Time
	for _, test := range []struct {
		authenticated, signedIn time.Time
		want                    bool
		since                   string
	}{
		{never, now, true, "0"},
		{never, old, false, "3600"},
		{old, now, false, "3600"},
		{now, old, false, "3600"},
		{now, never, true, "0"},
		{never, ahead, true, "0"}, // by another instance's clock
		{ahead, now, true, "0"},
		{ahead, old, false, "3600"},
		{never, never, false, ""},
	} {
		tk := NewTicket("alice")
		tk.AuthenticatedAt, tk.SignedInAt = test.authenticated, test.signedIn
		r := s.request(t, "GET", "/password")
		if got := s.recent(t, r.WithContext(NewContext(r.Context(), tk))); got != test.want {
			t.Errorf("authenticated %v, signed in %v: got recent %v, want %v", test.authenticated, test.signedIn, got, test.want)
		}
		if test.since == "" {
			continue
		}
		tk.ExpiresAt = b.now().Add(30 * time.Minute)
		key := mustStore(t, b, s.store, tk)
		value, err := s.manager.cfg.Codec.Encode(t.Context(), s.manager.cfg.CookieName, key)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.sinceSignIn(t, &http.Cookie{Name: s.manager.cfg.CookieName, Value: value}); got != test.since {
			t.Errorf("authenticated %v, signed in %v: got sinceSignIn %q, want %s", test.authenticated, test.signedIn, got, test.since)
		}
	}
}
