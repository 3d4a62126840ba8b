package oidc_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/clock"
	"github.com/ticketstore/ticketstore/internal/redistest"
	"github.com/ticketstore/ticketstore/oidc"
	"github.com/ticketstore/ticketstore/tickettest"
)

// A testClock is the clock of everything in a test, the provider's included.
type testClock struct {
	mu  sync.Mutex
	now time.Time
	at  *miniredis.Miniredis
}

func (c *testClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *testClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	c.at.SetTime(c.now)
}

func (c *testClock) context(ctx context.Context) context.Context {
	return clock.NewContext(ctx, c.Now)
}

func (c *testClock) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(c.context(r.Context())))
	})
}

var cookieKeys = []ticketstore.CookieKey{{Hash: bytes.Repeat([]byte{7}, 32)}}

// A world has a Redis, a provider, and a clock for both.
type world struct {
	t      testing.TB
	clock  *testClock
	redis  *miniredis.Miniredis
	client *redis.Client
	idp    *idp
	log    *logged
	out    atomic.Pointer[string] // the command that Redis refuses, if any; empty, all
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, redis: redistest.StartMini(t), log: &logged{}}
	w.redis.ClockTTL(true)
	w.clock = &testClock{now: time.Now().Truncate(time.Millisecond), at: w.redis}
	w.clock.advance(0)
	w.client = redis.NewClient(redistest.Options(w.redis.Addr()))
	w.client.AddHook(outage{w})
	t.Cleanup(func() { w.client.Close() })
	w.idp = newIDP(t, w.clock)
	return w
}

// logged is what a Logger got.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A site is one instance of an application.
type site struct {
	*world
	server  *httptest.Server
	store   *ticketstore.RedisStore
	manager *ticketstore.Manager
	oidc    *oidc.Provider
	mux     *http.ServeMux
}

// newSite starts an instance. change may change its configuration.
func (w *world) newSite(change ...func(*oidc.Config, *ticketstore.RedisConfig)) *site {
	w.t.Helper()
	s := &site{world: w, mux: http.NewServeMux()}
	s.server = httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.clock.handler(s.mux).ServeHTTP(rw, r)
	}))
	w.t.Cleanup(s.server.Close)
	logger := slog.New(slog.NewTextHandler(w.log, nil))
	cfg := oidc.Config{
		Issuer:        w.idp.URL,
		ClientID:      "shop",
		ClientSecret:  "geheim",
		RedirectURL:   s.server.URL + "/callback",
		PostLogoutURL: s.server.URL + "/logout",
		CookieKeys:    cookieKeys,
		Redis:         w.client,
		Logger:        logger,
	}
	storeCfg := ticketstore.RedisConfig{}
	for _, f := range change {
		f(&cfg, &storeCfg)
	}
	var err error
	if s.store, err = ticketstore.NewRedisStore(w.client, storeCfg); err != nil {
		w.t.Fatal(err)
	}
	s.manager, err = ticketstore.NewManager(s.store, ticketstore.Config{
		CookieKeys: cookieKeys, LoginPath: "/login", StoreTimeout: time.Minute, Logger: logger,
		DangerouslyAllowInsecureCookie: cfg.DangerouslyAllowInsecureCookie,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if s.oidc, err = oidc.New(w.clock.context(w.t.Context()), s.manager, s.store, cfg); err != nil {
		w.t.Fatal(err)
	}
	s.mux.Handle("/login", s.oidc.Login())
	s.mux.Handle("/callback", s.oidc.Callback())
	s.mux.Handle("/logout", s.oidc.Logout())
	s.mux.Handle("/backchannel-logout", s.oidc.BackChannelLogout())
	s.mux.Handle("/frontchannel-logout", s.oidc.FrontChannelLogout())
	s.mux.Handle("/global-token-revocation", s.oidc.GlobalTokenRevocation(s.server.URL+"/global-token-revocation"))
	s.mux.Handle("/events", s.oidc.SecurityEvents(oidc.Transmitter{}))
	s.mux.Handle("/me", s.manager.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t, _ := ticketstore.FromContext(r.Context())
		io.WriteString(w, t.Subject)
	})))
	s.mux.Handle("/", s.manager.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "at "+r.URL.RequestURI())
	})))
	return s
}

// browser returns a browser without cookies.
func (s *site) browser() *http.Client {
	return tickettest.Browser(noCleanup{s.t}, s.server)
}

// noCleanup keeps Browser from closing the server at the end of a subtest.
type noCleanup struct{ testing.TB }

func (noCleanup) Cleanup(func()) {}

// answer is what a browser got in the end.
type answer struct {
	status int
	path   string // and query
	body   string
	header http.Header
}

func (s *site) do(b *http.Client, r *http.Request) answer {
	s.t.Helper()
	res, err := b.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{res.StatusCode, res.Request.URL.RequestURI(), string(body), res.Header}
}

func (s *site) get(b *http.Client, path string) answer {
	s.t.Helper()
	r, err := http.NewRequest("GET", s.url(path), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.do(b, r)
}

func (s *site) post(b *http.Client, path string, form url.Values) answer {
	s.t.Helper()
	r, err := http.NewRequest("POST", s.url(path), strings.NewReader(form.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return s.do(b, r)
}

func (s *site) url(path string) string {
	if strings.Contains(path, "://") {
		return path
	}
	return s.server.URL + path
}

// signIn signs a browser in as the user and session that the provider has, and
// returns it.
func (s *site) signIn() *http.Client {
	s.t.Helper()
	b := s.browser()
	if a := s.get(b, "/login?ReturnUrl=%2Fme"); a.status != 200 || a.path != "/me" {
		s.t.Fatalf("sign-in: got %d at %s: %s", a.status, a.path, a.body)
	}
	return b
}

// signedIn reports whether a browser is signed in.
func (s *site) signedIn(b *http.Client) bool {
	s.t.Helper()
	switch a := s.get(b, "/me"); a.status {
	case 200:
		return true
	case 401:
		return false
	default:
		s.t.Fatalf("/me: got %d: %s", a.status, a.body)
		return false
	}
}

// ticketOf returns the one ticket of the user.
func (s *site) sessions(subject string) []ticketstore.Session {
	s.t.Helper()
	sessions, err := s.store.Sessions(s.clock.context(s.t.Context()), oidc.Subject(s.idp.URL, subject))
	if err != nil {
		s.t.Fatal(err)
	}
	return sessions
}

// resolve returns the ticket that a browser has.
func (s *site) resolve(b *http.Client) *ticketstore.Ticket {
	s.t.Helper()
	t, err := s.manager.Resolve(s.request(b))
	if err != nil {
		s.t.Fatal(err)
	}
	return t
}

// request returns a request of b at this instance, with its cookies.
func (s *site) request(b *http.Client) *http.Request {
	u, err := url.Parse(s.server.URL)
	if err != nil {
		s.t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(s.clock.context(s.t.Context()), "GET", "/", nil)
	for _, c := range b.Jar.Cookies(u) {
		r.AddCookie(c)
	}
	return r
}

func decodeJSON(t *testing.T, s string) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(s), &m); err != nil {
		t.Fatalf("%v: %s", err, s)
	}
	return m
}

// outage refuses commands of w as if Redis were out: scripts by what they do.
type outage struct{ w *world }

func (o outage) check(cmd redis.Cmder) error {
	out := o.w.out.Load()
	if out == nil || *out != "" && !strings.EqualFold(cmd.Name(), *out) {
		return nil
	}
	err := errors.New("redis is out")
	cmd.SetErr(err)
	return err
}

func (o outage) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (o outage) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if err := o.check(cmd); err != nil {
			return err
		}
		return next(ctx, cmd)
	}
}

func (o outage) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			if err := o.check(cmd); err != nil {
				return err
			}
		}
		return next(ctx, cmds)
	}
}

// refuse has Redis refuse a command until f has returned; all, if it is empty.
func (w *world) refuse(command string, f func()) {
	w.out.Store(&command)
	defer w.out.Store(nil)
	f()
}
