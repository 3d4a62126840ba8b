// Package uitest is what the tests of pages have in common: an application on
// a Redis, whose clock the test moves, and hostile names.
package uitest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/gorilla/securecookie"
	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/clock"
	"github.com/ticketstore/ticketstore/internal/redistest"
)

// Two user agents.
const (
	Firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"
	IPhone  = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
)

// Hostile are names that a client, a user or a database of places may have.
var Hostile = []string{
	"<script>alert(1)</script>/1.0", `"><img src=x onerror=alert(1)>/1`, "'; DROP TABLE users; --", "{{.Style}}", "&lt;b&gt;",
	"\u202eelpmaxe/1.0", "\u2066\u2067\u061c\u200f", "a\x00b\x1b[31m\r\nSet-Cookie: x=y", "\xff\xfe\xfd", "\u2028\u2029\ufeff\u00ad",
	"Z" + strings.Repeat("\u0301", 500), strings.Repeat("A", 10<<10), strings.Repeat("(", 10<<10), strings.Repeat("Android;", 1280), strings.Repeat("\U0001F4A9", 2500),
	"This device/1.0", "Mozilla/5.0 (This device) This device", "</style><script>", "javascript:alert(1)", "Mozilla/5.0 (\u202e; Android",
}

var own = regexp.MustCompile(`(?s)<style>.*?</style>|<script>addEventListener.*?</script>`)

// Body returns a page without the style sheet and the script that all pages have.
func Body(page string) string { return own.ReplaceAllString(page, "") }

var hashKey = bytes.Repeat([]byte("h"), 32)

// A Site is an application with /login?user=, where a test mounts a handler.
type Site struct {
	T       *testing.T
	Mini    *miniredis.Miniredis // nil on a real Redis
	Store   *ticketstore.RedisStore
	Manager *ticketstore.Manager
	Mux     *http.ServeMux
	Logger  *slog.Logger // to Logs
	Logs    *Buffer
	Now     time.Time // stands still
	Seen    []string  // all that clients were sent
}

// New returns a Site on miniredis, of which tune may change the Manager.
func New(t *testing.T, tune ...func(*ticketstore.Config)) *Site {
	t.Helper()
	mini := redistest.StartMini(t)
	s := NewAt(t, mini.Addr(), tune...)
	s.Mini = mini
	mini.SetTime(s.Now)
	return s
}

// NewAt returns a Site on the Redis at addr.
func NewAt(t *testing.T, addr string, tune ...func(*ticketstore.Config)) *Site {
	t.Helper()
	opt := redistest.Options(addr)
	opt.MaxRetries = -1
	client := redis.NewClient(opt)
	t.Cleanup(func() { client.Close() })
	store, err := ticketstore.NewRedisStore(client, ticketstore.RedisConfig{Prefix: "test-" + rand.Text() + "-", History: 1000 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	s := &Site{T: t, Store: store, Logs: &Buffer{}, Now: time.Now().Truncate(time.Millisecond)}
	s.On(store, tune...)
	return s
}

// On puts the site on store, with nothing mounted.
func (s *Site) On(store ticketstore.TicketStore, tune ...func(*ticketstore.Config)) {
	s.T.Helper()
	s.Logger = slog.New(slog.NewTextHandler(s.Logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	managerConfig := ticketstore.Config{
		CookieKeys: []ticketstore.CookieKey{{Hash: hashKey}},
		Logger:     s.Logger,
		ClientAddr: func(r *http.Request) netip.Addr {
			a, _ := netip.ParseAddr(r.Header.Get("X-Addr"))
			return a
		},
		IdleTimeout: 200 * time.Hour, Lifetime: 400 * time.Hour, StoreTimeout: redistest.Patience,
	}
	for _, f := range tune {
		f(&managerConfig)
	}
	m, err := ticketstore.NewManager(store, managerConfig)
	if err != nil {
		s.T.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
		if err := m.SignIn(w, r, ticketstore.NewTicket(r.FormValue("user"))); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	s.Manager, s.Mux = m, mux
}

// Advance moves the clock of the application and of miniredis.
func (s *Site) Advance(d time.Duration) {
	s.Now = s.Now.Add(d)
	if s.Mini != nil {
		s.Mini.SetTime(s.Now)
		s.Mini.FastForward(d)
	}
}

// Ctx returns a context with the site's clock.
func (s *Site) Ctx() context.Context {
	ctx := clock.NewContext(s.T.Context(), func() time.Time { return s.Now })
	if s.Mini == nil {
		ctx = clock.WithServer(ctx, time.Now)
	}
	return ctx
}

// A Call is a request in the making.
type Call struct {
	*http.Request
	s *Site
}

// Request makes a request, with the form body if there is one.
func (s *Site) Request(method, path string, cookie *http.Cookie, body ...string) Call {
	r := httptest.NewRequestWithContext(s.Ctx(), method, path, strings.NewReader(strings.Join(body, "")))
	if len(body) > 0 {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if cookie != nil {
		r.AddCookie(&http.Cookie{Name: cookie.Name, Value: cookie.Value})
	}
	return Call{r, s}
}

// With sets a header.
func (c Call) With(name, value string) Call {
	c.Header.Set(name, value)
	return c
}

// A Response has its body in Text.
type Response struct {
	*http.Response
	Text string
}

// Want sends the request, and demands the status of its answer.
func (c Call) Want(status int) Response {
	c.s.T.Helper()
	w := httptest.NewRecorder()
	c.s.Mux.ServeHTTP(w, c.Request)
	res := w.Result()
	body, _ := io.ReadAll(res.Body)
	if res.StatusCode != status {
		c.s.T.Fatalf("%s %s: got %d, want %d: %s", c.Method, c.URL, res.StatusCode, status, body)
	}
	var dump strings.Builder
	res.Header.Write(&dump)
	if c.URL.Path != "/login" {
		c.s.Seen = append(c.s.Seen, c.URL.String()+"\n"+dump.String()+"\n"+string(body))
	}
	return Response{res, string(body)}
}

// WantGuarded sends the request, and demands the headers of ui.Guard.
func (c Call) WantGuarded() {
	c.s.T.Helper()
	w := httptest.NewRecorder()
	c.s.Mux.ServeHTTP(w, c.Request)
	h := w.Header()
	policy := h.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "style-src 'sha256-", "script-src 'sha256-", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'"} {
		if !strings.Contains(policy, want) {
			c.s.T.Errorf("%s %s: got policy %q, want %s in it", c.Method, c.URL, policy, want)
		}
	}
	if strings.Contains(policy, "unsafe") || strings.Contains(policy, "nonce") || h.Get("Cache-Control") != "no-store" ||
		h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "same-origin" {
		c.s.T.Errorf("%s %s: got headers %v", c.Method, c.URL, h)
	}
}

// WantNoChange sends requests of cookie for the paths by all methods that are
// to change nothing, and demands that Redis is as it was.
func (s *Site) WantNoChange(cookie *http.Cookie, paths ...string) {
	s.T.Helper()
	before := s.Mini.Dump()
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "TRACE"} {
		for _, path := range paths {
			for _, accept := range []string{"text/html", "application/json", "*/*"} {
				c := s.Request(method, path, cookie).With("Accept", accept).With("X-HTTP-Method-Override", "DELETE")
				w := httptest.NewRecorder()
				s.Mux.ServeHTTP(w, c.Request)
				if len(w.Header()["Set-Cookie"]) > 0 || w.Code >= 500 || w.Code >= 300 && w.Code < 400 {
					s.T.Errorf("%s %s: got %d, %v", method, path, w.Code, w.Header())
				}
			}
		}
	}
	if got := s.Mini.Dump(); got != before {
		s.T.Errorf("Redis has changed: got\n%s\nwant\n%s", got, before)
	}
}

// Login signs user in from a device.
func (s *Site) Login(user, agent, addr string) *http.Cookie {
	s.T.Helper()
	res := s.Request("POST", "/login?user="+url.QueryEscape(user), nil).With("User-Agent", agent).With("X-Addr", addr).Want(200)
	return res.Cookies()[0]
}

// ID returns the session ID of a cookie; "" if it opens nothing.
func (s *Site) ID(c *http.Cookie) string {
	s.T.Helper()
	t, err := s.Manager.Resolve(s.Request("GET", "/", c).Request)
	if errors.Is(err, ticketstore.ErrNotFound) {
		return ""
	}
	if err != nil {
		s.T.Fatal(err)
	}
	return t.ID
}

// Alive says which of cookies open something, as "101".
func (s *Site) Alive(cookies ...*http.Cookie) string {
	s.T.Helper()
	var b strings.Builder
	for _, c := range cookies {
		if s.ID(c) == "" {
			b.WriteByte('0')
		} else {
			b.WriteByte('1')
		}
	}
	return b.String()
}

// WantNoSecret searches all that clients were sent, and the logs, for every form
// of every key in cookies; id is one that must be found, for the test's sake.
func (s *Site) WantNoSecret(id string, cookies ...*http.Cookie) {
	s.T.Helper()
	text := strings.Join(s.Seen, "\n") + s.Logs.String()
	if len(cookies) == 0 || !strings.Contains(text, id) {
		s.T.Fatal("the test looks at too little: it sees no ID")
	}
	for _, c := range cookies {
		var key []byte
		if err := securecookie.New(hashKey, nil).SetSerializer(securecookie.NopEncoder{}).Decode(c.Name, c.Value, &key); err != nil {
			s.T.Fatal(err)
		}
		raw, err := base64.RawURLEncoding.DecodeString(string(key))
		if err != nil || len(raw) != 49 {
			s.T.Fatalf("got a key of %d bytes, %v", len(raw), err)
		}
		verifier := sha256.Sum256(raw[17:])
		for _, secret := range [][]byte{key, raw, raw[17:], verifier[:], []byte(c.Value)} {
			for _, form := range []string{
				string(secret), hex.EncodeToString(secret), strings.ToUpper(hex.EncodeToString(secret)),
				base64.RawURLEncoding.EncodeToString(secret), base64.RawStdEncoding.EncodeToString(secret),
			} {
				if strings.Contains(text, form) {
					s.T.Fatalf("%q, a form of a key, was sent or logged", form)
				}
			}
		}
	}
}

// A Buffer is safe for concurrent use.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements [io.Writer].
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// String returns all that was written.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// Unscoped returns what in a style sheet is for more than what is within, or has,
// the class ticketstore or ticketstore-page.
func Unscoped(css string) (rules []string) {
	depth, begin := 0, 0
	for i, r := range css {
		switch r {
		case '{':
			if depth++; depth > 1 {
				continue
			}
			for selector := range strings.SplitSeq(css[begin:i], ",") {
				selector = strings.TrimPrefix(strings.TrimSpace(selector), ":where(")
				if name, _, _ := strings.Cut(strings.TrimRight(selector, ")"), " "); name != ".ticketstore" && name != ".ticketstore-page" {
					rules = append(rules, selector)
				}
			}
		case '}':
			depth--
			begin = i + 1
		case '&': // :root & {} in a nested rule would be for all of the page
			rules = append(rules, css[begin:i+1])
		}
	}
	return rules
}
