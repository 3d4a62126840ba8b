package ticketstore

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"
)

// stubStore is a TicketStore some of whose operations are replaced.
type stubStore struct {
	TicketStore
	store    func(context.Context, *Ticket) (Key, error)
	renew    func(context.Context, Key, *Ticket) error
	retrieve func(context.Context, Key) (*Ticket, error)
	remove   func(context.Context, Key) error
}

func (s *stubStore) Store(ctx context.Context, t *Ticket) (Key, error) {
	if s.store != nil {
		return s.store(ctx, t)
	}
	return s.TicketStore.Store(ctx, t)
}

func (s *stubStore) Renew(ctx context.Context, key Key, t *Ticket) error {
	if s.renew != nil {
		return s.renew(ctx, key, t)
	}
	return s.TicketStore.Renew(ctx, key, t)
}

func (s *stubStore) Retrieve(ctx context.Context, key Key) (*Ticket, error) {
	if s.retrieve != nil {
		return s.retrieve(ctx, key)
	}
	return s.TicketStore.Retrieve(ctx, key)
}

func (s *stubStore) Remove(ctx context.Context, key Key) error {
	if s.remove != nil {
		return s.remove(ctx, key)
	}
	return s.TicketStore.Remove(ctx, key)
}

var errOut = errors.New("no answer")

func TestSignInResolveSignOut(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := newSite(t, b, Config{})
		res := s.get(t, "/me")
		wantStatus(t, res, http.StatusUnauthorized)
		wantNoCookie(t, res)
		c := s.login(t, "alice")
		if c.MaxAge != 0 || !c.Expires.IsZero() {
			t.Errorf("got a cookie with Max-Age %d, Expires %v, want one that ends with the browser", c.MaxAge, c.Expires)
		}
		res = s.get(t, "/me", c)
		wantStatus(t, res, http.StatusOK)
		wantNoCookie(t, res)
		if got := body(res); !strings.Contains(got, `"subject":"alice"`) {
			t.Errorf("got %s, want alice's ticket", got)
		}
		out := s.get(t, "/logout", c)
		wantStatus(t, out, http.StatusOK)
		if gone := onlyCookie(t, out); gone.Value != "" || gone.MaxAge != -1 || gone.Name != c.Name || gone.Path != c.Path || gone.SameSite != c.SameSite || !gone.Secure || !gone.HttpOnly {
			t.Errorf("got %v, want the cookie deleted with the attributes it was set with", gone)
		}
		wantStatus(t, s.get(t, "/me", c), http.StatusUnauthorized)
		if keys := b.keys(t); len(keys) != 0 {
			t.Errorf("got keys %q, want none", keys)
		}
	})
}

func TestRequire(t *testing.T) {
	b := miniBackend(t)
	s := newSite(t, b, Config{LoginPath: "/login?tenant=a"})
	ran := false
	h := s.manager.Require(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ran = true }))
	c := s.login(t, "alice")
	for _, test := range []struct {
		method, target string
		header         map[string]string
		status         int
		location       string
	}{
		{"GET", "/orders?id=1", map[string]string{"Sec-Fetch-Mode": "navigate"}, 302, "/login?ReturnUrl=%2Forders%3Fid%3D1&tenant=a"},
		{"HEAD", "/orders", map[string]string{"Sec-Fetch-Mode": "navigate"}, 302, "/login?ReturnUrl=%2Forders&tenant=a"},
		{"GET", "/orders", map[string]string{"Accept": "text/html,*/*"}, 302, "/login?ReturnUrl=%2Forders&tenant=a"},
		{"GET", "//evil.example", map[string]string{"Accept": "text/html"}, 302, "/login?ReturnUrl=%2F&tenant=a"},
		{"GET", "/orders", map[string]string{"Accept": "text/html", "Sec-Fetch-Mode": "cors"}, 401, ""},
		{"GET", "/orders", map[string]string{"Accept": "application/json"}, 401, ""},
		{"GET", "/orders", nil, 401, ""},
		{"POST", "/orders", map[string]string{"Sec-Fetch-Mode": "navigate", "Accept": "text/html"}, 303, "/login?ReturnUrl=%2F&tenant=a"},
		{"POST", "/orders", map[string]string{"Sec-Fetch-Mode": "cors", "Accept": "text/html"}, 401, ""},
		{"PUT", "/orders", map[string]string{"Sec-Fetch-Mode": "navigate", "Accept": "text/html"}, 401, ""},
		{"GET", "/login?x=1", map[string]string{"Sec-Fetch-Mode": "navigate"}, 401, ""}, // no loop
	} {
		r := httptest.NewRequestWithContext(s.ctx(t), test.method, test.target, nil)
		for k, v := range test.header {
			r.Header.Set(k, v)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		res := w.Result()
		if res.StatusCode != test.status || res.Header.Get("Location") != test.location {
			t.Errorf("%s %s %v: got %d, %q, want %d, %q", test.method, test.target, test.header, res.StatusCode, res.Header.Get("Location"), test.status, test.location)
		}
		if res.StatusCode == 401 && res.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s %s: got 401 without a challenge", test.method, test.target)
		}
		if res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("Vary") != "Cookie" {
			t.Errorf("%s %s: got Cache-Control %q, Vary %q, want no-store, Cookie", test.method, test.target, res.Header.Get("Cache-Control"), res.Header.Get("Vary"))
		}
		if ran {
			t.Fatalf("%s %s: the handler ran", test.method, test.target)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, s.request(t, "GET", "/orders", c))
	if !ran || w.Code != 200 || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("signed in: got %d, ran %v, Cache-Control %q", w.Code, ran, w.Header().Get("Cache-Control"))
	}
}

// The login URL is what the browser asked for, not what a mux made of it.
func TestLoginURLUnderStripPrefix(t *testing.T) {
	b := miniBackend(t)
	m := newSite(t, b, Config{LoginPath: "/app/login"}).manager
	h := http.StripPrefix("/app", m.Require(http.NotFoundHandler()))
	for target, want := range map[string]string{
		"/app/orders":    "/app/login?ReturnUrl=%2Fapp%2Forders",
		"/app/app/login": "/app/login?ReturnUrl=%2Fapp%2Fapp%2Flogin",
		"/app/login":     "",
	} {
		r := httptest.NewRequestWithContext(b.ctx(t), "GET", target, nil)
		r.Header.Set("Sec-Fetch-Mode", "navigate")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if got := w.Header().Get("Location"); got != want {
			t.Errorf("%s: got %q, want %q", target, got, want)
		}
	}
}

func TestRequireRecent(t *testing.T) {
	b := miniBackend(t)
	s := newSite(t, b, Config{LoginPath: "/login"})
	ran := 0
	h := s.manager.RequireRecent(10*time.Minute, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ran++ }))
	ask := func(navigate bool, cookies ...*http.Cookie) *http.Response {
		r := s.request(t, "GET", "/password", cookies...)
		if navigate {
			r.Header.Set("Sec-Fetch-Mode", "navigate")
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Result()
	}
	wantStatus(t, ask(false), http.StatusUnauthorized)
	if got := ask(true).Header.Get("Location"); got != "/login?ReturnUrl=%2Fpassword" {
		t.Errorf("anonymous: got %q", got)
	}
	c := s.login(t, "alice")
	b.advance(10*time.Minute - time.Millisecond)
	wantStatus(t, ask(false, c), http.StatusOK)
	b.advance(time.Millisecond)
	wantStatus(t, ask(false, c), http.StatusForbidden)
	if got := ask(true, c).Header.Get("Location"); got != "/login?ReturnUrl=%2Fpassword&reauth=1" {
		t.Errorf("too long ago: got %q", got)
	}
	// Rotation is no sign-in; signing in again is.
	c = onlyCookie(t, s.get(t, "/rotate", c))
	wantStatus(t, ask(false, c), http.StatusForbidden)
	c = s.login(t, "alice", c)
	wantStatus(t, ask(false, c), http.StatusOK)
	if ran != 2 {
		t.Errorf("the handler ran %d times, want 2", ran)
	}
}

func TestZeroManagerFailsClosed(t *testing.T) {
	for name, r := range map[string]*http.Request{
		"plain":      httptest.NewRequest("GET", "/", nil),
		"NewContext": httptest.NewRequest("GET", "/", nil).WithContext(NewContext(t.Context(), NewTicket("alice"))),
	} {
		t.Run(name, func(t *testing.T) { testZeroManager(t, r) })
	}
}

func testZeroManager(t *testing.T, r *http.Request) {
	ran := false
	next := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ran = true })
	var m Manager
	for name, h := range map[string]http.Handler{"Wrap": m.Wrap(next), "Require": m.Require(next)} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if ran || w.Code != http.StatusServiceUnavailable {
			t.Errorf("%s: got %d, ran %v, want 503", name, w.Code, ran)
		}
	}
	w := httptest.NewRecorder()
	_, _, sessionsErr := m.Sessions(r)
	_, resolveErr := m.Resolve(r)
	_, renewErr := m.Renew(r, func(*Ticket) error { return nil })
	_, rotateErr := m.Rotate(w, r, nil)
	for name, err := range map[string]error{
		"SignIn": m.SignIn(w, r, NewTicket("alice")), "SignOut": m.SignOut(w, r), "Impersonate": m.Impersonate(w, r, NewTicket("bob"), "x"), "EndImpersonation": m.EndImpersonation(w, r),
		"Sessions": sessionsErr, "Resolve": resolveErr, "Renew": renewErr, "Rotate": rotateErr,
	} {
		if !errors.Is(err, errZeroManager) {
			t.Errorf("%s: got %v, want %v", name, err, errZeroManager)
		}
	}
}

func TestNewContextSatisfiesAnyManager(t *testing.T) {
	b := miniBackend(t)
	s := newSite(t, b, Config{})
	r := s.request(t, "GET", "/me")
	r = r.WithContext(NewContext(r.Context(), NewTicket("tester")))
	wantStatus(t, s.serve(r), http.StatusOK)
	if got, err := s.manager.Resolve(r); err != nil || got.Subject != "tester" {
		t.Errorf("Resolve: got %v, %v, want the ticket", got, err)
	}
	if _, err := s.manager.Renew(r, func(*Ticket) error { return nil }); !errors.Is(err, ErrNotFound) {
		t.Errorf("Renew: got %v, want ErrNotFound", err)
	}
	if got, ok := FromContext(context.Background()); ok || got != nil {
		t.Errorf("no Manager: got %v, want none", got)
	}
}

// Two Managers: customers and staff, each with its own cookie and store.
func TestTwoManagers(t *testing.T) {
	b := miniBackend(t)
	customers := newSite(t, b, Config{})
	other := b.another(t)
	other.prefix = randomPrefix()
	staff := newSite(t, other, Config{CookieName: "__Host-staff"})
	customer, worker := customers.login(t, "alice"), staff.login(t, "bob")
	var inner, fromStaff, fromCustomers string
	subject := func(tk *Ticket, err error) string {
		if err != nil {
			return "-"
		}
		return tk.Subject
	}
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner = "-"
		if tk, ok := FromContext(r.Context()); ok {
			inner = tk.Subject
		}
		fromCustomers = subject(customers.manager.Resolve(r))
		fromStaff = subject(staff.manager.Resolve(r))
	})
	for _, test := range []struct {
		name    string
		handler http.Handler
		cookies []*http.Cookie
		status  int
		inner   string
	}{
		{"staff inside, both", customers.manager.Wrap(staff.manager.Wrap(page)), []*http.Cookie{customer, worker}, 200, "bob"},
		{"customers inside, both", staff.manager.Wrap(customers.manager.Wrap(page)), []*http.Cookie{customer, worker}, 200, "alice"},
		{"staff inside, customer only", customers.manager.Wrap(staff.manager.Wrap(page)), []*http.Cookie{customer}, 200, "-"},
		{"staff required, customer only", customers.manager.Wrap(staff.manager.Require(page)), []*http.Cookie{customer}, 401, ""},
		{"customers required again inside", customers.manager.Wrap(staff.manager.Wrap(customers.manager.Require(page))), []*http.Cookie{customer, worker}, 200, "alice"},
	} {
		inner = ""
		w := httptest.NewRecorder()
		test.handler.ServeHTTP(w, customers.request(t, "GET", "/", test.cookies...))
		if w.Code != test.status || inner != test.inner {
			t.Errorf("%s: got %d, %q, want %d, %q", test.name, w.Code, inner, test.status, test.inner)
		}
		if len(test.cookies) == 2 && (fromCustomers != "alice" || fromStaff != "bob") {
			t.Errorf("%s: Resolve: got %s and %s, want alice and bob", test.name, fromCustomers, fromStaff)
		}
		if got := w.Header().Values("Vary"); len(got) != 1 {
			t.Errorf("%s: got Vary %q, want it once", test.name, got)
		}
	}
}

// An outage is not a sign-out: 503 with Retry-After, the cookie stays, and
// anonymous requests go on.
func TestInvariant03OutageAnsweredWithErrors(t *testing.T) {
	b := miniBackend(t)
	s := newSite(t, b, Config{})
	c := s.login(t, "alice")
	b.mini.SetError("LOADING")
	for _, page := range []string{"/", "/me", "/logout"} {
		res := s.get(t, page, c)
		wantStatus(t, res, http.StatusServiceUnavailable)
		wantNoCookie(t, res)
		if got := res.Header.Get("Retry-After"); got == "" {
			t.Errorf("%s: got no Retry-After", page)
		}
		if strings.Contains(body(res), "LOADING") {
			t.Errorf("%s: the answer has the error", page)
		}
	}
	wantStatus(t, s.get(t, "/"), http.StatusOK)
	wantStatus(t, s.get(t, "/", &http.Cookie{Name: c.Name, Value: "forged"}), http.StatusOK)
	wantNoCookie(t, s.get(t, "/login?user=bob"))
	if logs := s.logs.String(); !strings.Contains(logs, "LOADING") || !strings.Contains(logs, "level=ERROR") {
		t.Errorf("the outage is not in the log: %s", logs)
	}
	b.mini.SetError("")
	if got := s.who(t, c); got != "alice" {
		t.Errorf("after the outage: got %q, want alice", got)
	}
}

func TestErrorHandler(t *testing.T) {
	b := miniBackend(t)
	var got error
	s := newSiteOn(t, b, &stubStore{TicketStore: b.store(t, RedisConfig{}), retrieve: func(context.Context, Key) (*Ticket, error) { return nil, errOut }}, Config{
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, status int, err error) {
			got = err
			if status == http.StatusServiceUnavailable {
				status = http.StatusTeapot
			}
			w.WriteHeader(status)
		},
	})
	wantStatus(t, s.get(t, "/", s.login(t, "alice")), http.StatusTeapot)
	if !errors.Is(got, errOut) {
		t.Errorf("got %v, want %v", got, errOut)
	}
}

// A store that hangs is given up after StoreTimeout, for each operation.
func TestStoreTimeout(t *testing.T) {
	b := miniBackend(t)
	real := b.store(t, RedisConfig{})
	stub := &stubStore{TicketStore: real}
	c := newSiteOn(t, b, stub, Config{}).login(t, "alice")
	s := newSiteOn(t, b, stub, Config{StoreTimeout: 50 * time.Millisecond})
	hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	stub.retrieve = func(ctx context.Context, _ Key) (*Ticket, error) { return nil, hang(ctx) }
	wantStatus(t, s.get(t, "/", c), http.StatusServiceUnavailable)
	// What does not hang takes as long as it likes.
	stub.retrieve = func(_ context.Context, key Key) (*Ticket, error) { return real.Retrieve(b.ctx(t), key) }
	stub.remove = func(ctx context.Context, _ Key) error { return hang(ctx) }
	res := s.get(t, "/logout", c)
	wantStatus(t, res, http.StatusServiceUnavailable)
	wantNoCookie(t, res)
	stub.store = func(ctx context.Context, _ *Ticket) (Key, error) { return "", hang(ctx) }
	res = s.get(t, "/login?user=bob")
	wantStatus(t, res, http.StatusServiceUnavailable)
	wantNoCookie(t, res)
	stub.renew = func(ctx context.Context, _ Key, _ *Ticket) error { return hang(ctx) }
	b.advance(6 * time.Minute)
	if got := s.who(t, c); got != "alice" {
		t.Errorf("a renewal that hangs: got %q, want alice", got)
	}
}

// A client that hangs up is neither an outage nor a sign-out.
func TestClientHangsUp(t *testing.T) {
	b := miniBackend(t)
	stub := &stubStore{TicketStore: b.store(t, RedisConfig{})}
	s := newSiteOn(t, b, stub, Config{})
	c := s.login(t, "alice")
	hungUp := func(target string) *http.Request {
		ctx, cancel := context.WithCancel(s.ctx(t))
		cancel()
		return s.request(t, "POST", target, c).WithContext(ctx)
	}
	res := s.serve(hungUp("/me"))
	wantStatus(t, res, http.StatusServiceUnavailable)
	wantNoCookie(t, res)
	if logs := s.logs.String(); !strings.Contains(logs, "level=DEBUG") || strings.Contains(logs, "level=ERROR") || strings.Contains(logs, "level=WARN") {
		t.Errorf("got log %s, want debug only", logs)
	}
	// A renewal that is cut short serves what was read.
	b.advance(6 * time.Minute)
	ctx, cancel := context.WithCancel(s.ctx(t))
	stub.renew = func(ctx context.Context, _ Key, _ *Ticket) error { cancel(); return ctx.Err() }
	if got := body(s.serve(s.request(t, "GET", "/", c).WithContext(ctx))); got != "alice" {
		t.Errorf("got %q, want alice", got)
	}
	if logs := s.logs.String(); strings.Contains(logs, "level=ERROR") {
		t.Errorf("got log %s, want debug only", logs)
	}
	stub.renew = nil
	// Sign-out goes on to its end.
	w := httptest.NewRecorder()
	if err := s.manager.SignOut(w, hungUp("/logout")); err != nil {
		t.Fatal(err)
	}
	if got := s.who(t, c); got != "-" {
		t.Errorf("after sign-out: got %q, want nobody", got)
	}
}

// Several cookies of our name, which a browser sends once Domain or Path is
// set or has changed.
func TestDuplicateCookies(t *testing.T) {
	b := miniBackend(t)
	s := newSite(t, b, Config{CookiePath: "/app"})
	first, second := s.login(t, "alice"), s.login(t, "alice")
	bob, dead := s.login(t, "bob"), s.login(t, "alice")
	wantStatus(t, s.get(t, "/logout", dead), http.StatusOK)
	forged := &http.Cookie{Name: first.Name, Value: "forged"}
	for _, test := range []struct {
		name    string
		cookies []*http.Cookie
		want    *http.Cookie // whose session counts
	}{
		{"live, live", []*http.Cookie{first, second}, first},
		{"the other order", []*http.Cookie{second, first}, second},
		{"dead, live", []*http.Cookie{dead, first}, first},
		{"forged, live", []*http.Cookie{forged, first}, first},
		{"many forged, live", []*http.Cookie{forged, forged, forged, forged, forged, first}, first},
		{"live, dead, forged", []*http.Cookie{second, dead, forged}, second},
		{"twice the same", []*http.Cookie{first, first}, first},
		{"two subjects", []*http.Cookie{first, bob}, nil},
		{"two subjects, the other order", []*http.Cookie{bob, first}, nil},
		{"two subjects among three", []*http.Cookie{first, second, bob}, nil},
		{"four times dead, live", []*http.Cookie{dead, dead, dead, dead, first}, first},
		{"two subjects, one four times", []*http.Cookie{bob, bob, bob, bob, first}, nil},
	} {
		got, err := s.manager.Resolve(s.request(t, "GET", "/", test.cookies...))
		if test.want == nil {
			if !errors.Is(err, ErrNotFound) {
				t.Errorf("%s: got %v, %v, want ErrNotFound", test.name, got, err)
			}
		} else if want := s.ticket(t, test.want); err != nil || got.ID != want.ID {
			t.Errorf("%s: got %v, %v, want session %s", test.name, got, err, want.ID)
		}
	}
	if logs := s.logs.String(); !strings.Contains(logs, "cookies of two subjects") {
		t.Errorf("tossed cookies are not in the log: %s", logs)
	}
	wantStatus(t, s.get(t, "/logout", first, forged, second, bob), http.StatusOK)
	for _, c := range []*http.Cookie{first, second, bob} {
		if got := s.who(t, c); got != "-" {
			t.Errorf("after sign-out with all of them: got %q, want nobody", got)
		}
	}
}

func TestSignInEndsEveryPresentedSession(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := newSite(t, b, Config{CookiePath: "/app"})
		one, two, bob := s.login(t, "alice"), s.login(t, "alice"), s.login(t, "bob")
		elsewhere := s.login(t, "alice")
		next := s.login(t, "alice", one, two, bob)
		for _, c := range []*http.Cookie{one, two, bob} {
			if got := s.who(t, c); got != "-" {
				t.Errorf("a presented session: got %q, want nobody", got)
			}
		}
		for _, c := range []*http.Cookie{next, elsewhere} {
			if got := s.who(t, c); got != "alice" {
				t.Errorf("another session: got %q, want alice", got)
			}
		}
		if c, err := s.store.Count(s.ctx(t)); err != nil || c != (Counts{1, 2}) {
			t.Errorf("got %+v, %v, want 1 subject, 2 sessions", c, err)
		}
	})
}

// 11. See TestUndecodableRecord for the store.
func TestInvariant11UndecodableTicketIsAnonymous(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := newSite(t, b, Config{})
		c := s.login(t, "alice")
		id := s.ticket(t, c).ID
		spoil := func() {
			t.Helper()
			if err := b.client.Set(t.Context(), s.store.recordKey(partition("alice"), id), "spoilt", time.Hour).Err(); err != nil {
				t.Fatal(err)
			}
		}
		spoil()
		res := s.get(t, "/", c)
		wantStatus(t, res, http.StatusOK)
		wantNoCookie(t, res)
		if got := body(res); got != "-" {
			t.Errorf("got %q, want nobody", got)
		}
		if _, err := s.manager.Resolve(s.request(t, "GET", "/", c)); !errors.Is(err, ErrNotFound) || !errors.Is(err, ErrUndecodable) {
			t.Errorf("Resolve: got %v, want both ErrNotFound and ErrUndecodable", err)
		}
		if logs := s.logs.String(); !strings.Contains(logs, id) {
			t.Errorf("the session ID is not in the log: %s", logs)
		}
		next := s.login(t, "alice", c)
		if got := s.who(t, next); got != "alice" {
			t.Errorf("after sign-in: got %q, want alice", got)
		}
		if _, err := s.store.Session(s.ctx(t), "alice", id); !errors.Is(err, ErrNotFound) {
			t.Errorf("sign-in left the old session: %v", err)
		}
		id = s.ticket(t, next).ID
		spoil()
		wantStatus(t, s.get(t, "/logout", next), http.StatusOK)
		wantSessions(t, b, s.store, "alice")
		if keys := b.keys(t); len(keys) != 0 {
			t.Errorf("got keys %q, want none", keys)
		}
	})
}

// The writer is the one that came in: streaming and hijacking work.
func TestStreamingAndHijacking(t *testing.T) {
	b := miniBackend(t)
	m := newSite(t, b, Config{}).manager
	release := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: one\n\n")
		if err := errors.Join(rc.SetWriteDeadline(time.Now().Add(time.Minute)), rc.Flush()); err != nil {
			t.Error(err)
		}
		<-release
		fmt.Fprint(w, "data: two\n\n")
	})
	mux.HandleFunc("/raw", func(w http.ResponseWriter, r *http.Request) {
		conn, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		buf.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: raw\r\nConnection: Upgrade\r\n\r\nhello\n")
		buf.Flush()
	})
	srv := httptest.NewServer(m.Wrap(mux))
	defer srv.Close()
	res, err := http.Get(srv.URL + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewReader(res.Body)
	if line, err := lines.ReadString('\n'); err != nil || line != "data: one\n" {
		t.Errorf("got %q, %v before the handler has returned", line, err)
	}
	close(release)
	if rest, err := io.ReadAll(lines); err != nil || !strings.Contains(string(rest), "two") {
		t.Errorf("got %q, %v", rest, err)
	}
	req, _ := http.NewRequest("GET", srv.URL+"/raw", nil)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "raw")
	res, err = http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if line, err := bufio.NewReader(res.Body).ReadString('\n'); res.StatusCode != 101 || err != nil || line != "hello\n" {
		t.Errorf("got %d, %q, %v, want hello", res.StatusCode, line, err)
	}
}

// A real browser's cookie jar, over TLS.
func TestWithCookieJar(t *testing.T) {
	b := miniBackend(t)
	s := newSite(t, b, Config{})
	srv := httptest.NewTLSServer(s.handler)
	defer srv.Close()
	client := srv.Client()
	client.Jar, _ = cookiejar.New(nil)
	get := func(page string) string {
		t.Helper()
		res, err := client.Get(srv.URL + page)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return body(res)
	}
	for _, step := range []struct{ page, want string }{
		{"/", "-"}, {"/login?user=alice", "ok"}, {"/", "alice"}, {"/login?user=bob&remember=1", "ok"},
		{"/", "bob"}, {"/rotate", "ok"}, {"/", "bob"}, {"/logout", "ok"}, {"/", "-"},
	} {
		if got := get(step.page); got != step.want {
			t.Errorf("%s: got %q, want %q", step.page, got, step.want)
		}
	}
	u, _ := url.Parse(srv.URL)
	if left := client.Jar.Cookies(u); len(left) != 0 {
		t.Errorf("got %d cookies left, want none", len(left))
	}
}

func TestClientAddrAndUserAgent(t *testing.T) {
	b := miniBackend(t)
	behindProxy := func(r *http.Request) netip.Addr {
		a, _ := netip.ParseAddr(r.Header.Get("X-Real-Ip"))
		return a
	}
	for _, test := range []struct {
		clientAddr   func(*http.Request) netip.Addr
		remote, real string
		want         string
	}{
		{nil, "192.0.2.1:1234", "203.0.113.9", "192.0.2.1"},
		{nil, "[2001:db8::1%eth0]:1234", "", "2001:db8::1"},
		{nil, "[::ffff:192.0.2.1]:1234", "", "192.0.2.1"},
		{nil, "@", "", "invalid IP"},
		{nil, "192.0.2.1", "", "192.0.2.1"}, // as gorilla's ProxyHeaders and chi's RealIP leave it
		{nil, "::ffff:192.0.2.1", "", "192.0.2.1"},
		{nil, "[2001:db8::1]", "", "2001:db8::1"},
		{behindProxy, "192.0.2.1:1234", "203.0.113.9", "203.0.113.9"},
		{behindProxy, "192.0.2.1:1234", "", "invalid IP"},
	} {
		s := newSite(t, b, Config{ClientAddr: test.clientAddr})
		r := s.request(t, "POST", "/login?user=alice")
		r.RemoteAddr = test.remote
		r.Header.Set("X-Real-Ip", test.real)
		r.Header.Set("User-Agent", strings.Repeat("ü", 300))
		res := s.serve(r)
		wantStatus(t, res, http.StatusOK)
		d := s.ticket(t, onlyCookie(t, res)).Device
		if d.Addr.String() != test.want || d.UserAgent != strings.Repeat("ü", 256) {
			t.Errorf("%s, %s: got %v and %d bytes, want %s and 512 bytes", test.remote, test.real, d.Addr, len(d.UserAgent), test.want)
		}
	}
}

// A codec may be out of reach, too, and is not trusted to bound its keys.
func TestCodec(t *testing.T) {
	b := miniBackend(t)
	codec := &stubCodec{CookieCodec: newSecureCodec(testKeys)}
	s := newSite(t, b, Config{Codec: codec})
	c := s.login(t, "alice")
	key := s.key(t, c)
	codec.decode = func() ([]Key, error) { return append(make([]Key, 100), key), nil }
	if got := s.who(t, c); got != "alice" {
		t.Errorf("a key behind a hundred equal ones: got %q, want alice", got)
	}
	codec.decode = func() ([]Key, error) { return nil, errOut }
	for _, page := range []string{"/", "/logout"} {
		res := s.get(t, page, c)
		wantStatus(t, res, http.StatusServiceUnavailable)
		wantNoCookie(t, res)
	}
	codec.decode = nil
	codec.encodeErr = errOut
	before := len(b.keys(t))
	res := s.get(t, "/login?user=bob")
	wantStatus(t, res, http.StatusServiceUnavailable)
	wantNoCookie(t, res)
	if got := len(b.keys(t)); got != before {
		t.Errorf("a session without a cookie was left: got %d keys, want %d", got, before)
	}
}

type stubCodec struct {
	CookieCodec
	decode    func() ([]Key, error)
	encodeErr error
}

func (c *stubCodec) Encode(ctx context.Context, name string, key Key) (string, error) {
	if c.encodeErr != nil {
		return "", c.encodeErr
	}
	return c.CookieCodec.Encode(ctx, name, key)
}

func (c *stubCodec) Decode(ctx context.Context, name string, cookies []*http.Cookie) ([]Key, error) {
	if c.decode != nil {
		return c.decode()
	}
	return c.CookieCodec.Decode(ctx, name, cookies)
}

func TestDefaultLogger(t *testing.T) {
	var logs syncBuffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&logs, nil)))
	defer slog.SetDefault(before)
	b := miniBackend(t)
	m, err := NewManager(&stubStore{retrieve: func(context.Context, Key) (*Ticket, error) { return nil, errOut }}, Config{CookieKeys: testKeys})
	if err != nil {
		t.Fatal(err)
	}
	k, _ := newRedisKey("alice")
	value, err := newSecureCodec(testKeys).Encode(t.Context(), "__Host-session", k.key())
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(b.ctx(t), "GET", "/", nil)
	r.AddCookie(&http.Cookie{Name: "__Host-session", Value: value})
	m.Wrap(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), r)
	if !strings.Contains(logs.String(), errOut.Error()) {
		t.Errorf("got log %q, want the outage", logs.String())
	}
}

func FuzzCookieValue(f *testing.F) {
	k := redisKey{partition: 1, secret: [32]byte{2}} // the same in every worker of the fuzzer
	codecs := []secureCodec{
		newSecureCodec(testKeys),
		newSecureCodec([]CookieKey{{Hash: bytes.Repeat([]byte("i"), 32), Block: testKeys[0].Hash}}),
	}
	for _, c := range codecs {
		value, err := c.Encode(f.Context(), "n", k.key())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(value)
	}
	f.Add("")
	f.Add(strings.Repeat("A", 5000))
	f.Fuzz(func(t *testing.T, value string) {
		for _, c := range codecs {
			keys, err := c.Decode(t.Context(), "n", []*http.Cookie{{Name: "n", Value: value}})
			if err != nil || len(keys) > 1 {
				t.Fatalf("got %d keys, %v", len(keys), err)
			}
			if len(keys) == 1 && keys[0] != k.key() {
				t.Fatalf("%q is a forgery", value)
			}
		}
	})
}

// A store whose Serializer leaves out the subject, and that forgets to set it,
// signs nobody in.
func TestStoreWithoutSubjects(t *testing.T) {
	b := miniBackend(t)
	real := b.store(t, RedisConfig{})
	stub := &stubStore{TicketStore: real}
	s := newSiteOn(t, b, stub, Config{})
	c := s.login(t, "alice")
	stub.retrieve = func(ctx context.Context, key Key) (*Ticket, error) {
		tk, err := real.Retrieve(ctx, key)
		if err == nil {
			tk.Subject = ""
		}
		return tk, err
	}
	wantStatus(t, s.get(t, "/me", c), http.StatusUnauthorized)
	if logs := s.logs.String(); !strings.Contains(logs, "the store has not set its subject") {
		t.Errorf("got the logs %s, want what is wrong", logs)
	}
}
