// Package fwtest is what Wrap and Require promise, as tests that every
// framework has to pass.
package fwtest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/redistest"
)

const cookieName = "__Host-session"

// A Site is what a framework serves, all of it behind Wrap:
//
//	GET  /public   calls Reach; answers with the subject, or "nobody"
//	POST /signin   calls SignIn for NewTicket twice, the second time in the
//	               same response
//	POST /signout  calls SignOut
//	POST /see      is behind See, with no handler of its own
//
// and behind Require too:
//
//	GET  /me       calls Reach; answers with the subject
//	GET  /events   calls Reach, sends "data: <subject>\n\n", flushes, and
//	               returns once Release is closed
//	GET  /hijack   calls Reach; ends with Hijack (not if there is no hijacking)
//
// Where SignIn and SignOut return an error, the answer is 503.
type Site struct {
	Manager *ticketstore.Manager
	Release chan struct{}

	reached atomic.Int32
}

// Reach notes that a handler runs and returns the subject of ctx.
func (s *Site) Reach(ctx context.Context) string {
	s.reached.Add(1)
	if t, ok := ticketstore.FromContext(ctx); ok {
		return t.Subject
	}
	return "nobody"
}

// NewTicket returns a ticket to sign in with.
func NewTicket() *ticketstore.Ticket { return ticketstore.NewTicket("alice") }

// Hijack takes over the connection, as a WebSocket does, and echoes a line.
func Hijack(t *testing.T, w http.ResponseWriter) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Errorf("hijack: %v", err)
		return
	}
	defer conn.Close()
	fmt.Fprint(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	rw.Flush()
	line, _ := rw.ReadString('\n')
	rw.WriteString(line)
	rw.Flush()
}

// A Framework serves a Site.
type Framework struct {
	// Serve starts a TLS server and returns its URL and a client of it.
	Serve func(*testing.T, *Site) (url string, client *http.Client)

	NoHijack bool
}

// ServeHTTP is Serve for an http.Handler.
func ServeHTTP(t *testing.T, h http.Handler) (url string, client *http.Client) {
	srv := httptest.NewTLSServer(h)
	t.Cleanup(srv.Close)
	return srv.URL, srv.Client()
}

// Run tests f.
func Run(t *testing.T, f Framework) {
	t.Run("seen", f.seen)
	t.Run("refused", f.refused)
	t.Run("signIn", f.signIn)
	t.Run("impersonation", f.impersonation)
	t.Run("outage", f.outage)
	t.Run("stream", f.stream)
	if !f.NoHijack {
		t.Run("hijack", f.hijack)
	}
}

func (f Framework) refused(t *testing.T) {
	e := f.start(t)
	for _, path := range []string{"/me", "/events", "/hijack"} {
		res, body := e.do(t, e.client, "GET", path)
		checkStatus(t, res, body, http.StatusUnauthorized)
		checkHeader(t, res, "Cache-Control", "no-store")
		checkHeader(t, res, "Vary", "Cookie")

		res, body = e.do(t, e.client, "GET", path, "Accept: text/html")
		checkStatus(t, res, body, http.StatusFound)
		checkHeader(t, res, "Location", "/login?ReturnUrl=%2F"+path[1:])
	}
	e.checkReached(t, 0)

	res, body := e.do(t, e.client, "GET", "/public")
	checkStatus(t, res, body, http.StatusOK)
	checkHeader(t, res, "Vary", "Cookie")
	checkBody(t, body, "nobody")
	e.checkReached(t, 1)
}

func (f Framework) signIn(t *testing.T) {
	e := f.start(t)
	signedIn := e.signIn(t)
	if n := e.sessions(t); n != 1 {
		t.Errorf("got %d sessions after signing in twice, want 1", n)
	}
	for _, path := range []string{"/me", "/public"} {
		res, body := e.do(t, e.client, "GET", path)
		checkStatus(t, res, body, http.StatusOK)
		checkBody(t, body, "alice")
		if c := ours(res); len(c) != 0 {
			t.Errorf("GET %s sets cookies %v, want none", path, c)
		}
	}
	e.checkReached(t, 2)

	// The same connection, which the client keeps, without the cookie.
	res, body := e.do(t, e.stranger(), "GET", "/me")
	checkStatus(t, res, body, http.StatusUnauthorized)
	e.checkReached(t, 2)

	res, body = e.do(t, e.client, "POST", "/signout")
	checkStatus(t, res, body, http.StatusOK)
	checkHeader(t, res, "Cache-Control", "no-store")
	if c := ours(res); len(c) != 1 || c[0].MaxAge >= 0 {
		t.Errorf("sign-out sets cookies %v, want one that deletes", c)
	}
	if n := e.sessions(t); n != 0 {
		t.Errorf("got %d sessions after sign-out, want 0", n)
	}
	res, body = e.do(t, e.stranger(), "GET", "/me", "Cookie: "+cookieName+"="+signedIn.Value)
	checkStatus(t, res, body, http.StatusUnauthorized)
	e.checkReached(t, 2)
}

// impersonation has both cookies go through a framework, and come back from it.
func (f Framework) impersonation(t *testing.T) {
	e := f.start(t)
	r := httptest.NewRequest("POST", "/", nil)
	r.AddCookie(e.signIn(t))
	w := httptest.NewRecorder()
	if err := e.site.Manager.Impersonate(w, r, ticketstore.NewTicket("bob"), "ticket 4711"); err != nil {
		t.Fatal(err)
	}
	set := w.Result().Cookies()
	if len(set) != 2 || set[0].Name != cookieName {
		t.Fatalf("got cookies %v, want two, ours first", set)
	}
	alone := "Cookie: " + cookieName + "=" + set[0].Value
	both := alone + "; " + set[1].Name + "=" + set[1].Value
	for _, path := range []string{"/me", "/public"} {
		res, body := e.do(t, e.stranger(), "GET", path, both)
		checkStatus(t, res, body, http.StatusOK)
		checkBody(t, body, "bob")
	}
	e.checkReached(t, 2)
	res, body := e.do(t, e.stranger(), "GET", "/me", alone)
	checkStatus(t, res, body, http.StatusUnauthorized)

	// When the user has ended it, the next page brings the operator back.
	if _, err := e.store.RevokeAll(t.Context(), "bob"); err != nil {
		t.Fatal(err)
	}
	res, body = e.do(t, e.stranger(), "GET", "/me", both, "Sec-Fetch-Mode: navigate")
	checkStatus(t, res, body, http.StatusSeeOther)
	checkHeader(t, res, "Location", "/me")
	e.checkReached(t, 2)
	back := res.Cookies()
	if len(back) != 2 || back[0].Name != cookieName || back[1].MaxAge >= 0 {
		t.Fatalf("got cookies %v, want the operator's, and the other deleted", back)
	}
	res, body = e.do(t, e.stranger(), "GET", "/me", "Cookie: "+cookieName+"="+back[0].Value)
	checkStatus(t, res, body, http.StatusOK)
	checkBody(t, body, "alice")
}

func (f Framework) outage(t *testing.T) {
	e := f.start(t)
	e.signIn(t)
	e.redis.Close()
	for _, request := range []string{"GET /me", "GET /events", "GET /hijack", "GET /public", "POST /signin", "POST /signout"} {
		method, path, _ := strings.Cut(request, " ")
		res, body := e.do(t, e.client, method, path, "Accept: text/html")
		checkStatus(t, res, body, http.StatusServiceUnavailable)
		checkHeader(t, res, "Retry-After", "5")
		if c := res.Cookies(); len(c) != 0 {
			t.Errorf("%s sets cookies %v in an outage, want none", request, c)
		}
	}
	e.checkReached(t, 0)

	// Wrap lets these pass; SignIn has to fail.
	res, body := e.do(t, e.stranger(), "POST", "/signin")
	checkStatus(t, res, body, http.StatusServiceUnavailable)
	if c := res.Cookies(); len(c) != 0 {
		t.Errorf("sign-in sets cookies %v in an outage, want none", c)
	}
	res, body = e.do(t, e.stranger(), "GET", "/public")
	checkStatus(t, res, body, http.StatusOK)
	checkBody(t, body, "nobody")
}

func (f Framework) stream(t *testing.T) {
	e := f.start(t)
	e.signIn(t)
	res := e.send(t, e.client, "GET", "/events")
	defer res.Body.Close()
	in := bufio.NewReader(res.Body)
	line, err := in.ReadString('\n') // before the handler returns
	if line != "data: alice\n" {
		t.Errorf("got %q, %v, want the first event", line, err)
	}
	checkHeader(t, res, "Cache-Control", "no-store")
	e.release()
	if rest, err := io.ReadAll(in); string(rest) != "\n" || err != nil {
		t.Errorf("got %q, %v after the first event, want its end", rest, err)
	}
}

func (f Framework) hijack(t *testing.T) {
	e := f.start(t)
	e.signIn(t)
	res := e.send(t, e.client, "GET", "/hijack", "Connection: Upgrade", "Upgrade: echo")
	defer res.Body.Close()
	checkStatus(t, res, "", http.StatusSwitchingProtocols)
	conn, ok := res.Body.(io.ReadWriter)
	if !ok {
		t.Fatal("the connection was not handed over")
	}
	fmt.Fprintln(conn, "hello")
	if line, err := bufio.NewReader(conn).ReadString('\n'); line != "hello\n" {
		t.Errorf("got %q, %v, want the echo", line, err)
	}
	e.checkReached(t, 1)
}

// An env is a Site that is served, and a browser.
type env struct {
	site    *Site
	redis   *miniredis.Miniredis
	store   *ticketstore.RedisStore
	url     string
	client  *http.Client
	release func()
}

func (f Framework) start(t *testing.T) *env {
	m, store, mr := NewManager(t, ticketstore.Config{LoginPath: "/login"})
	e := &env{site: &Site{Manager: m, Release: make(chan struct{})}, redis: mr, store: store}
	var released atomic.Bool
	e.release = func() {
		if released.CompareAndSwap(false, true) {
			close(e.site.Release)
		}
	}
	e.url, e.client = f.Serve(t, e.site)
	t.Cleanup(e.release) // before the server closes, which waits for handlers
	e.client.Jar, _ = cookiejar.New(nil)
	e.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return e
}

// NewManager returns a Manager on a Redis of its own.
func NewManager(t *testing.T, cfg ticketstore.Config) (*ticketstore.Manager, *ticketstore.RedisStore, *miniredis.Miniredis) {
	mr := miniredis.RunT(t)
	opt := redistest.Options(mr.Addr())
	opt.MaxRetries, opt.DialerRetries = -1, 1
	client := redis.NewClient(opt)
	t.Cleanup(func() { client.Close() })
	store, err := ticketstore.NewRedisStore(client, ticketstore.RedisConfig{})
	if err != nil {
		t.Fatal(err)
	}
	cfg.CookieKeys = []ticketstore.CookieKey{{Hash: bytes.Repeat([]byte("k"), 32)}}
	cfg.Logger, cfg.StoreTimeout = slog.New(slog.DiscardHandler), redistest.Patience
	m, err := ticketstore.NewManager(store, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m, store, mr
}

// stranger returns a client on the same connections, with no cookies.
func (e *env) stranger() *http.Client {
	c := *e.client
	c.Jar = nil
	return &c
}

func (e *env) send(t *testing.T, client *http.Client, method, path string, headers ...string) *http.Response {
	t.Helper()
	// Client.Timeout would hide the connection of a hijacked response.
	ctx, cancel := context.WithTimeout(t.Context(), redistest.Patience)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, method, e.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		k, v, _ := strings.Cut(h, ": ")
		r.Header.Set(k, v)
	}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func (e *env) do(t *testing.T, client *http.Client, method, path string, headers ...string) (*http.Response, string) {
	t.Helper()
	res := e.send(t, client, method, path, headers...)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func (e *env) signIn(t *testing.T) *http.Cookie {
	t.Helper()
	res, body := e.do(t, e.client, "POST", "/signin")
	checkStatus(t, res, body, http.StatusOK)
	checkHeader(t, res, "Cache-Control", "no-store")
	checkHeader(t, res, "Vary", "Cookie")
	c := ours(res)
	if len(c) != 1 || c[0].Value == "" || !c[0].Secure || !c[0].HttpOnly || c[0].Path != "/" {
		t.Fatalf("sign-in sets cookies %v, want one of ours", c)
	}
	return c[0]
}

func (e *env) sessions(t *testing.T) int {
	t.Helper()
	sessions, err := e.store.Sessions(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	return len(sessions)
}

func (e *env) checkReached(t *testing.T, want int32) {
	t.Helper()
	if got := e.site.reached.Load(); got != want {
		t.Errorf("handlers ran %d times, want %d", got, want)
	}
}

func ours(res *http.Response) (cookies []*http.Cookie) {
	for _, c := range res.Cookies() {
		if c.Name == cookieName {
			cookies = append(cookies, c)
		}
	}
	return cookies
}

// CheckStatuses sends the requests, "GET /path", to h.
func CheckStatuses(t *testing.T, h http.Handler, want map[string]int) {
	t.Helper()
	for request, status := range want {
		method, path, _ := strings.Cut(request, " ")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		if w.Code != status {
			t.Errorf("%s: got %d %q, want %d", request, w.Code, w.Body, status)
		}
	}
}

func checkStatus(t *testing.T, res *http.Response, body string, want int) {
	t.Helper()
	if res.StatusCode != want {
		t.Errorf("%s %s: got %d %q, want %d", res.Request.Method, res.Request.URL.Path, res.StatusCode, body, want)
	}
}

func checkHeader(t *testing.T, res *http.Response, name, want string) {
	t.Helper()
	if got := res.Header.Values(name); len(got) != 1 || got[0] != want {
		t.Errorf("%s %s: got %s %q, want %q", res.Request.Method, res.Request.URL.Path, name, got, want)
	}
}

func checkBody(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got body %q, want %q", got, want)
	}
}
