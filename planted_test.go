package ticketstore

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// With a CookieDomain, a sibling host can plant cookies: of its own live
// session, of dead ones, and as many as it likes. None of that makes the
// request somebody else's, nor keeps the user from signing in and out.
func TestPlantedCookies(t *testing.T) {
	b := miniBackend(t)
	s := newSite(t, b, Config{CookieDomain: "example.com"})
	mallory := s.login(t, "mallory")
	var planted []*http.Cookie // one key, signed several times
	for range 4 {
		value, err := s.manager.cfg.Codec.Encode(t.Context(), mallory.Name, s.key(t, mallory))
		if err != nil {
			t.Fatal(err)
		}
		planted = append(planted, &http.Cookie{Name: mallory.Name, Value: value})
	}
	alice := s.login(t, "alice")
	if got := s.who(t, append(planted, alice)...); got != "-" {
		t.Errorf("mallory's cookies before alice's: got %q, want nobody", got)
	}
	if logs := s.logs.String(); !strings.Contains(logs, "cookies of two subjects") {
		t.Errorf("it is not in the log: %s", logs)
	}
	wantStatus(t, s.get(t, "/logout", append(planted, alice)...), http.StatusOK)
	for _, c := range []*http.Cookie{alice, mallory} {
		if got := s.who(t, c); got != "-" {
			t.Errorf("after alice's sign-out: got %q, want nobody", got)
		}
	}
	mallory = s.login(t, "mallory")
	next := s.login(t, "alice", mallory)
	if got := s.who(t, mallory, next); got != "alice" {
		t.Errorf("after alice's sign-in: got %q, want alice", got)
	}
}

func TestTooManyKeys(t *testing.T) {
	b := miniBackend(t)
	s := newSite(t, b, Config{CookieDomain: "example.com"})
	var cookies []*http.Cookie
	for range maxKeys - 1 {
		c := s.login(t, "mallory")
		wantStatus(t, s.get(t, "/logout", c), http.StatusOK)
		cookies = append(cookies, c)
	}
	alice := s.login(t, "alice")
	cookies = append(cookies, alice)
	if got := s.who(t, cookies...); got != "alice" {
		t.Errorf("%d keys: got %q, want alice", len(cookies), got)
	}
	cookies = slices.Insert(cookies, 0, s.login(t, "mallory"))
	if got := s.who(t, cookies...); got != "-" {
		t.Errorf("%d keys: got %q, want nobody", len(cookies), got)
	}
	if logs := s.logs.String(); !strings.Contains(logs, "more than 16 session cookies") {
		t.Errorf("it is not in the log: %s", logs)
	}
	if _, err := s.manager.Resolve(s.request(t, "GET", "/", cookies...)); !errors.Is(err, ErrNotFound) || !errors.Is(err, errTooManyKeys) {
		t.Errorf("Resolve: got %v, want ErrNotFound and the reason", err)
	}
	// What cannot be ended, all of it, is no sign-in and no sign-out, whether
	// within Wrap or outside.
	for _, page := range []string{"/login?user=alice", "/logout", "/rotate"} {
		res := s.get(t, page, cookies...)
		wantStatus(t, res, http.StatusServiceUnavailable)
		wantNoCookie(t, res)
	}
	w := httptest.NewRecorder()
	r := s.request(t, "POST", "/", cookies...)
	if err := s.manager.SignIn(w, r, NewTicket("alice")); !errors.Is(err, errTooManyKeys) {
		t.Errorf("SignIn outside of Wrap: got %v, want %v", err, errTooManyKeys)
	}
	if err := s.manager.SignOut(w, r); !errors.Is(err, errTooManyKeys) {
		t.Errorf("SignOut outside of Wrap: got %v, want %v", err, errTooManyKeys)
	}
	if got := s.who(t, alice); got != "alice" {
		t.Errorf("her session: got %q, want alice", got)
	}
}

// What each request would log again comes once a minute, with the number of
// times that it did not.
func TestRepeatedLines(t *testing.T) {
	b := miniBackend(t)
	stub := &stubStore{TicketStore: b.store(t, RedisConfig{})}
	s := newSiteOn(t, b, stub, Config{})
	alice, bob := s.login(t, "alice"), s.login(t, "bob")
	ask := func(times int, cookies ...*http.Cookie) {
		for range times {
			s.who(t, cookies...)
		}
	}
	want := func(line string, times int, unlogged ...int) {
		t.Helper()
		logs := s.logs.String()
		if got := strings.Count(logs, line); got != times {
			t.Errorf("%q: got %d lines, want %d: %s", line, got, times, logs)
		}
		for _, n := range unlogged {
			if !strings.Contains(logs, fmt.Sprintf("unlogged=%d", n)) {
				t.Errorf("%q: got no unlogged=%d: %s", line, n, logs)
			}
		}
	}
	stub.retrieve = func(_ context.Context, key Key) (*Ticket, error) {
		k, err := parseRedisKey(key)
		return nil, errors.Join(err, undecodable(k.id.String(), "spoilt"))
	}
	ask(20, alice)
	ask(20, bob)
	want("a ticket cannot be read", 2)
	b.advance(time.Minute)
	ask(1, alice)
	want("a ticket cannot be read", 3, 19)

	stub.retrieve = nil
	stub.renew = func(context.Context, Key, *Ticket) error { return invalid("too large") }
	b.advance(6 * time.Minute)
	ask(20, alice)
	want("a ticket was not renewed", 1)

	stub.renew = nil
	ask(20, alice, bob)
	want("cookies of two subjects", 1)
}

func TestRepeatsAreBounded(t *testing.T) {
	var l repeats
	now := time.Unix(1e9, 0)
	for i := range 3 * maxRepeats {
		if _, ok := l.due(fmt.Sprint(i), now); !ok {
			t.Fatalf("line %d is new, but not due", i)
		}
	}
	if len(l.seen) > maxRepeats {
		t.Errorf("got %d lines in memory, want at most %d", len(l.seen), maxRepeats)
	}
	l.due("a line", now)
	if _, ok := l.due("a line", now.Add(-time.Hour)); !ok {
		t.Error("after the clock was set back by an hour: got nothing, want the line")
	}
}

// A prefetch is a browser's, not a user's: it keeps no session alive. What the
// page asks for once it is shown, does.
func TestPrefetchIsNoActivity(t *testing.T) {
	b := miniBackend(t)
	s := newSite(t, b, Config{})
	for header, value := range map[string]string{"Sec-Purpose": "prefetch;prerender", "Purpose": "prefetch"} {
		c, used := s.login(t, "alice"), s.login(t, "bob")
		for range 5 {
			b.advance(6 * time.Minute)
			r := s.request(t, "GET", "/", c)
			r.Header.Set(header, value)
			s.serve(r)
			s.get(t, "/", used)
		}
		if got := s.who(t, c); got != "-" {
			t.Errorf("%s kept the session alive: got %q", header, got)
		}
		if got := s.who(t, used); got != "bob" {
			t.Errorf("a session in use: got %q, want bob", got)
		}
	}
}

// A server that stops cancels what it serves; its clients are still there.
func TestStoppingServerIsAnOutage(t *testing.T) {
	b := miniBackend(t)
	asked := make(chan struct{})
	stub := &stubStore{TicketStore: b.store(t, RedisConfig{})}
	s := newSiteOn(t, b, stub, Config{StoreTimeout: time.Hour})
	c := s.login(t, "alice")
	stub.retrieve = func(ctx context.Context, _ Key) (*Ticket, error) {
		close(asked)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	base, stop := context.WithCancelCause(s.ctx(t))
	srv := httptest.NewUnstartedServer(s.handler)
	srv.Config.BaseContext = func(net.Listener) context.Context { return base }
	srv.Config.ErrorLog = log.New(s.logs, "", 0)
	srv.Start()
	defer srv.Close()
	go func() {
		<-asked
		stop(errors.New("the server stops"))
	}()
	r, err := http.NewRequest("GET", srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.AddCookie(c)
	res, err := srv.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	wantStatus(t, res, http.StatusServiceUnavailable)
	if res.Header.Get("Retry-After") == "" {
		t.Error("got no Retry-After")
	}
	wantNoCookie(t, res)
	if logs := s.logs.String(); !strings.Contains(logs, "level=ERROR") || strings.Contains(logs, "hung up") {
		t.Errorf("got log %s, want an error, and no client that hung up", logs)
	}
}
