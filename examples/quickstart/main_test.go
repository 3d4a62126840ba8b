package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/ticketstore/ticketstore/internal/redistest"
)

// As a child process, the test binary is the program.
const asProgram = "QUICKSTART_TEST_RUN_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	logging.Disable()
	os.Exit(m.Run())
}

// A browser is a running quickstart and what a browser knows of it. It sends
// the cookie by hand: Go's cookie jar sends no Secure cookie over http.
type browser struct {
	t      *testing.T
	url    string
	cookie string
	redis  *redis.Client
	outage bool // is expected
	ended  chan error
	cancel context.CancelFunc
}

var welcomed = regexp.MustCompile(`(?s)Open (http://\S+).*The tickets are in Redis at (\S+)\. .*redis-cli -p (\d+) DEL`)

// start runs the program on a free port, with args, until the test ends.
func start(t *testing.T, args ...string) *browser {
	t.Helper()
	b, stdout := launch(t, append([]string{"-addr", "127.0.0.1:0"}, args...)...)
	redisAddr := ""
	b.url, redisAddr = readWelcome(t, stdout)
	b.redis = redis.NewClient(redistest.Options(redisAddr))
	t.Cleanup(func() { b.redis.Close() })
	return b
}

// launch runs the program until the test ends and returns what it prints.
func launch(t *testing.T, args ...string) (*browser, io.Reader) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	stdout, w := io.Pipe()
	b := &browser{t: t, ended: make(chan error, 1), cancel: cancel}
	go func() {
		err := run(ctx, args, w)
		w.Close()
		b.ended <- err
	}()
	t.Cleanup(func() {
		if err := b.stop(); err != nil {
			t.Errorf("run: got %v, want nil", err)
		}
	})
	return b, stdout
}

// readWelcome returns the addresses of the program and its Redis.
func readWelcome(t *testing.T, stdout io.Reader) (url, redisAddr string) {
	t.Helper()
	var text strings.Builder
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		text.WriteString(lines.Text() + "\n")
		if m := welcomed.FindStringSubmatch(text.String()); m != nil {
			go io.Copy(io.Discard, stdout)
			if _, port, _ := net.SplitHostPort(m[2]); port != m[3] {
				t.Errorf("redis-cli is told port %s, want %s", m[3], port)
			}
			return m[1], m[2]
		}
	}
	t.Fatalf("got no welcome, but %q", text.String())
	return "", ""
}

func (b *browser) stop() error {
	b.cancel()
	select {
	case err := <-b.ended:
		b.ended <- err
		return err
	case <-time.After(redistest.Patience):
		return errors.New("it does not end")
	}
}

type response struct {
	*http.Response
	body string
}

// do sends a request, again if the program says so: on a busy machine, Redis
// does not always answer in the time that the program gives it.
func (b *browser) do(method, path string, form url.Values, header ...string) response {
	b.t.Helper()
	res := b.try(method, path, form, header...)
	for begin := time.Now(); res.StatusCode == 503 && !b.outage && time.Since(begin) < redistest.Patience; {
		time.Sleep(100 * time.Millisecond)
		res = b.try(method, path, form, header...)
	}
	return res
}

func (b *browser) try(method, path string, form url.Values, header ...string) response {
	b.t.Helper()
	req, err := http.NewRequest(method, b.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if b.cookie != "" {
		req.Header.Set("Cookie", b.cookie)
	}
	for pair := range slices.Chunk(header, 2) {
		req.Header.Set(pair[0], pair[1])
	}
	res, err := http.DefaultTransport.RoundTrip(req) // follows no redirects
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range res.Cookies() {
		b.cookie = c.Name + "=" + c.Value
		if c.MaxAge < 0 {
			b.cookie = ""
		}
	}
	return response{res, string(body)}
}

// want sends a request and checks the status of the answer.
func (b *browser) want(status int, method, path string, form url.Values, header ...string) response {
	b.t.Helper()
	res := b.do(method, path, form, header...)
	if res.StatusCode != status {
		b.t.Fatalf("%s %s: got %d, want %d: %s", method, path, res.StatusCode, status, res.body)
	}
	return res
}

func (b *browser) signIn(user string) {
	b.t.Helper()
	res := b.want(303, "POST", "/login", url.Values{"user": {user}, "ReturnUrl": {"/me"}})
	if got := res.Header.Get("Location"); got != "/me" {
		b.t.Errorf("sign-in sends to %q, want %q", got, "/me")
	}
	if b.cookie == "" {
		b.t.Fatal("sign-in sets no cookie")
	}
}

// keys returns all keys in Redis, sorted: the ticket's, if any, comes first.
func (b *browser) keys() []string {
	b.t.Helper()
	keys, err := b.redis.Keys(b.t.Context(), "*").Result()
	if err != nil {
		b.t.Fatal(err)
	}
	slices.Sort(keys)
	return keys
}

var allKeys = regexp.MustCompile(`^(AuthSessionStore-\{[0-9a-f]{2}\}[0-9a-f-]{36}) \S+\}sessions \S+\}subject:alice$`)

// ticketKey checks what a session of alice leaves in Redis and returns the key
// of her ticket.
func (b *browser) ticketKey() string {
	b.t.Helper()
	m := allKeys.FindStringSubmatch(strings.Join(b.keys(), " "))
	if m == nil {
		b.t.Fatalf("got the keys %q, want a ticket and its two index keys", b.keys())
	}
	return m[1]
}

func TestWalk(t *testing.T) {
	b := start(t)
	if res := b.want(200, "GET", "/", nil); !strings.Contains(res.body, "there is no password") {
		t.Errorf("the page does not say that there is no password: %s", res.body)
	}
	b.want(401, "GET", "/me", nil)
	res := b.want(302, "GET", "/me", nil, "Accept", "text/html")
	if got, want := res.Header.Get("Location"), "/?ReturnUrl=%2Fme"; got != want {
		t.Errorf("a browser is sent to %q, want %q", got, want)
	}
	if res := b.want(200, "GET", "/?ReturnUrl=%2Fme", nil); !strings.Contains(res.body, `name="ReturnUrl" value="/me"`) {
		t.Errorf("the form forgets the way back: %s", res.body)
	}

	b.signIn("alice")
	if res := b.want(200, "GET", "/me", nil); !strings.Contains(res.body, `"subject":"alice"`) {
		t.Errorf("/me: got %s, want alice", res.body)
	}
	if res := b.want(200, "GET", "/", nil); !strings.Contains(res.body, "Hello, <bdi>alice</bdi>!") {
		t.Errorf("/ does not greet alice: %s", res.body)
	}
	if got, want := b.want(200, "GET", "/stats", nil).body, `{"subjects":1,"sessions":1}`+"\n"; got != want {
		t.Errorf("/stats: got %s, want %s", got, want)
	}
	key := b.ticketKey()
	ticket, err := b.redis.Get(t.Context(), key).Result()
	if err != nil || !strings.Contains(ticket, " alice\n{\"v\":1,") {
		t.Errorf("GET %s: got %q, %v, want alice's ticket", key, ticket, err)
	}

	if res := b.want(303, "POST", "/logout", nil); res.Header.Get("Location") != "/" || b.cookie != "" {
		t.Errorf("sign-out sends to %q with the cookie %q, want / and none", res.Header.Get("Location"), b.cookie)
	}
	if keys := b.keys(); len(keys) > 0 {
		t.Errorf("after sign-out Redis has %q, want nothing", keys)
	}

	b.signIn("alice")
	if err := b.redis.Del(t.Context(), b.ticketKey()).Err(); err != nil {
		t.Fatal(err)
	}
	b.want(401, "GET", "/me", nil)
	if res := b.want(200, "GET", "/", nil); !strings.Contains(res.body, "Who are you?") {
		t.Errorf("/ after DEL is not the form: %s", res.body)
	}
	b.signIn("alice")
	b.want(200, "GET", "/me", nil)
}

func TestRemember(t *testing.T) {
	b := start(t)
	for _, remember := range []bool{false, true} {
		form := url.Values{"user": {"alice"}}
		if remember {
			form.Set("remember", "on")
		}
		res := b.want(303, "POST", "/login", form)
		if got := res.Cookies()[0].MaxAge > 0; got != remember {
			t.Errorf("remember %v: got a Max-Age %v, want %v", remember, got, remember)
		}
	}
}

func TestRefused(t *testing.T) {
	b := start(t)
	b.signIn("alice")
	alice := url.Values{"user": {"alice"}}
	for _, test := range []struct {
		name, method, path string
		form               url.Values
		header             []string
		status             int
		body               string
	}{
		{"other site", "POST", "/login", alice, []string{"Origin", "https://evil.example"}, 403, ""},
		{"cross-site", "POST", "/login", alice, []string{"Sec-Fetch-Site", "cross-site"}, 403, ""},
		{"cross-site sign-out", "POST", "/logout", nil, []string{"Sec-Fetch-Site", "cross-site"}, 403, ""},
		{"same site", "POST", "/login", alice, []string{"Sec-Fetch-Site", "same-site"}, 403, ""},
		{"no user", "POST", "/login", url.Values{}, nil, 400, "Please enter a user name."},
		{"blank user", "POST", "/login", url.Values{"user": {"  "}}, nil, 400, "Please enter a user name."},
		{"long user", "POST", "/login", url.Values{"user": {strings.Repeat("é", 65)}}, nil, 400, "at most 64 characters"},
		{"control character", "POST", "/login", url.Values{"user": {"a\x00b"}}, nil, 400, "without tabs, line breaks"},
		{"no text", "POST", "/login", url.Values{"user": {"a\xffb"}}, nil, 400, "without tabs, line breaks"},
		{"huge form", "POST", "/login", url.Values{"user": {strings.Repeat("x", 20<<10)}}, nil, 400, "cannot be read"},
		{"sign-out by link", "GET", "/logout", nil, nil, 405, ""},
		{"other path", "GET", "/other", nil, nil, 404, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			res := b.do(test.method, test.path, test.form, test.header...)
			if res.StatusCode != test.status || !strings.Contains(res.body, test.body) || strings.Contains(res.body, "ticketstore:") {
				t.Errorf("got %d and %q, want %d and %q", res.StatusCode, res.body, test.status, test.body)
			}
			if len(res.Cookies()) > 0 {
				t.Errorf("it sets %v, want no cookie", res.Cookies())
			}
		})
	}
	b.want(200, "GET", "/me", nil)
}

func TestHostileNameIsEscaped(t *testing.T) {
	b := start(t)
	b.signIn(`<script>alert(1)</script>`)
	if res := b.want(200, "GET", "/", nil); strings.Contains(res.body, "<script") {
		t.Errorf("the page has the name as it is: %s", res.body)
	}
}

func TestIdleTimeout(t *testing.T) {
	b := start(t, "-idle", "300ms", "-lifetime", "1h")
	b.try("POST", "/login", url.Values{"user": {"alice"}})
	for idle := 600 * time.Millisecond; len(b.keys()) == 0; idle *= 2 { // the machine is busy: it is over already
		if idle > redistest.Patience {
			t.Fatal("the embedded Redis has no ticket")
		}
		b = start(t, "-idle", idle.String(), "-lifetime", "1h")
		b.try("POST", "/login", url.Values{"user": {"alice"}})
	}
	for end := time.Now().Add(2 * redistest.Patience); len(b.keys()) > 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the embedded Redis still has %q", b.keys())
		}
	}
	b.want(401, "GET", "/me", nil)
}

func TestInsecure(t *testing.T) {
	for _, insecure := range []string{"-insecure=false", "-insecure=true"} {
		b := start(t, insecure)
		res := b.want(303, "POST", "/login", url.Values{"user": {"alice"}})
		c, secure := res.Cookies()[0], insecure == "-insecure=false"
		if c.Secure != secure || strings.HasPrefix(c.Name, "__Host-") != secure || !strings.Contains(c.Name, "quickstart") {
			t.Errorf("%s: got the cookie %s, Secure %v", insecure, c.Name, c.Secure)
		}
	}
}

func TestEndsWithItsContext(t *testing.T) {
	b := start(t)
	b.signIn("alice")
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := http.Get(b.url); err == nil {
		t.Error("it still answers")
	}
}

func TestCookieKeyOutlivesRestart(t *testing.T) {
	t.Setenv("COOKIE_KEY", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
	server := redistest.Start(t)
	b := start(t, "-redis", server.Addr)
	b.signIn("alice")
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	again := start(t, "-redis", server.Addr)
	again.cookie = b.cookie
	again.want(200, "GET", "/me", nil)
}

func TestRealRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	b := start(t, "-redis", server.Addr)
	b.signIn("alice")
	key := b.ticketKey()
	ticket, err := b.redis.Get(t.Context(), key).Result()
	if err != nil || !strings.Contains(ticket, " alice\n{\"v\":1,") {
		t.Errorf("GET %s: got %q, %v, want alice's ticket", key, ticket, err)
	}
	b.want(200, "GET", "/me", nil)
	if err := b.redis.Del(t.Context(), key).Err(); err != nil {
		t.Fatal(err)
	}
	b.want(401, "GET", "/me", nil)

	b.signIn("alice")
	server.Pause()
	b.wantOutage("GET", "/me", nil)
	server.Resume()
	b.want(200, "GET", "/me", nil)

	server.Stop()
	b.wantOutage("GET", "/", nil)
	b.wantOutage("GET", "/me", nil)
	b.wantOutage("GET", "/stats", nil)
	b.wantOutage("POST", "/login", url.Values{"user": {"alice"}})
	b.wantOutage("POST", "/logout", nil)
	anonymous := &browser{t: t, url: b.url}
	anonymous.want(200, "GET", "/", nil)
	anonymous.want(200, "GET", "/style.css", nil)
	anonymous.want(401, "GET", "/me", nil)
	anonymous.want(303, "POST", "/logout", nil)
	anonymous.wantOutage("POST", "/login", url.Values{"user": {"bob"}})

	server.Restart()
	b.want(401, "GET", "/me", nil) // this Redis saves nothing
	b.signIn("alice")
	b.want(200, "GET", "/me", nil)
	b.want(303, "POST", "/logout", nil)
	if keys := b.keys(); len(keys) > 0 {
		t.Errorf("after sign-out Redis has %q, want nothing", keys)
	}
}

// wantOutage sends a request that Redis does not answer. An answer that takes
// ten seconds does not arrive, for the server's WriteTimeout.
func (b *browser) wantOutage(method, path string, form url.Values) {
	b.t.Helper()
	b.outage = true
	res := b.want(503, method, path, form)
	b.outage = false
	if res.Header.Get("Retry-After") == "" || len(res.Header["Set-Cookie"]) > 0 {
		b.t.Errorf("%s %s: got %v, want Retry-After and no Set-Cookie", method, path, res.Header)
	}
}

func TestStartErrors(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, test := range []struct {
		args []string
		env  string
		want []string
	}{
		{[]string{"-bogus"}, "", []string{"-bogus", "-help"}},
		{[]string{"-idle", "soon"}, "", []string{"soon", "-help"}},
		{[]string{"extra"}, "", []string{"extra", "-help"}},
		{[]string{"-addr", taken.Addr().String()}, "", []string{"in use", "-addr"}},
		{[]string{"-redis", "nowhere"}, "", []string{"-redis", "missing port"}},
		{[]string{"-redis", "127.0.0.1:1"}, "", []string{"127.0.0.1:1", "refused", "start it"}},
		{[]string{"-idle", "2h", "-lifetime", "1h"}, "", []string{"IdleTimeout: 2h0m0s is longer than Lifetime, 1h0m0s"}},
		{[]string{"-lifetime", "-1s", "-idle", "1m"}, "", []string{"Lifetime: -1s is negative", "IdleTimeout"}},
		{nil, "MTIzNA==", []string{"COOKIE_KEY", "32 bytes", "openssl"}},
		{nil, "not base64", []string{"COOKIE_KEY", "openssl"}},
	} {
		t.Run(strings.Join(append(test.args, test.env), " "), func(t *testing.T) {
			cmd := exec.Command(os.Args[0], test.args...)
			cmd.Env = append(os.Environ(), asProgram+"=1", "COOKIE_KEY="+test.env)
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			timer := time.AfterFunc(redistest.Patience, func() { cmd.Process.Kill() })
			defer timer.Stop()
			cmd.Run() // the exit code says it
			if code := cmd.ProcessState.ExitCode(); code != 1 {
				t.Errorf("exit code: got %d, want 1", code)
			}
			if strings.Contains(stdout.String(), "Open") || strings.Count(stderr.String(), "\n") != 1 {
				t.Errorf("got %q and %q on stderr, want one line on stderr", stdout.String(), stderr.String())
			}
			for _, want := range test.want {
				if !strings.Contains(stderr.String(), want) {
					t.Errorf("got %q, want %q in it", stderr.String(), want)
				}
			}
		})
	}
}

// It says at once what it does: that may take long.
func TestSaysWhatItWaitsFor(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // and so it stays
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, cancel := context.WithCancel(t.Context())
	stdout, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"-redis", silent.Addr().String()}, w)
		w.Close()
	}()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if !strings.Contains(line, "Redis at "+silent.Addr().String()) {
		t.Errorf("got %q, %v, want to be told that it looks for Redis", line, err)
	}
	cancel()
	if err := <-ended; err == nil {
		t.Error("it is content without Redis")
	}

	_, embedded := launch(t, "-addr", "127.0.0.1:0")
	lines := bufio.NewReader(embedded)
	if line, err := lines.ReadString('\n'); !strings.Contains(line, "Starting a Redis") {
		go io.Copy(io.Discard, lines)
		t.Fatalf("got %q, %v, want to be told that Redis starts", line, err)
	}
	readWelcome(t, lines)
}

func TestPortTaken(t *testing.T) {
	if l, err := net.Listen("tcp", "127.0.0.1:8080"); err == nil { // else somebody has it
		defer l.Close()
	}
	b, stdout := launch(t)
	b.url, _ = readWelcome(t, stdout)
	if strings.HasSuffix(b.url, ":8080") {
		t.Errorf("it is at %s, which is taken", b.url)
	}
	b.want(200, "GET", "/", nil)
}

func TestSignals(t *testing.T) {
	t.Parallel()
	for _, signal := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		cmd := exec.Command(os.Args[0], "-addr", "127.0.0.1:0")
		cmd.Env = append(os.Environ(), asProgram+"=1")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(redistest.Patience, func() { cmd.Process.Kill() })
		defer timer.Stop()
		b := &browser{t: t}
		b.url, _ = readWelcome(t, stdout)
		b.signIn("alice") // leaves a connection open
		if err := cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil || stderr.Len() > 0 {
			t.Errorf("%v: got %v and %q, want exit code 0 and nothing on stderr", signal, err, stderr.String())
		}
	}
}

func TestHelp(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-help"}, &out); err != nil || !strings.Contains(out.String(), "-lifetime duration") {
		t.Errorf("-help: got %q, %v, want the flags", out.String(), err)
	}
}
