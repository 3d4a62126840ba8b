package main

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/ticketstore/ticketstore/internal/redistest"
)

// As a child process, the test binary is the program.
const asProgram = "MINIMAL_TEST_RUN_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

const goodKey = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

// program returns the program, with no more in its environment than given.
func program(t *testing.T, env ...string) *exec.Cmd {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(env, asProgram+"=1")
	return cmd
}

var opened = regexp.MustCompile(`Open (http://\S+)`)

// A browser is the running program and what a browser knows of it. It sends the
// cookie by hand: Go's cookie jar sends no Secure cookie over http.
type browser struct {
	t           *testing.T
	url, cookie string
}

func start(t *testing.T, redis *miniredis.Miniredis) *browser {
	t.Helper()
	cmd := program(t, "COOKIE_KEY="+goodKey, "REDIS_URL=redis://"+redis.Addr())
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	var said strings.Builder
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		said.WriteString(lines.Text() + "\n")
		if m := opened.FindStringSubmatch(lines.Text()); m != nil {
			go io.Copy(io.Discard, stderr)
			return &browser{t: t, url: m[1]}
		}
	}
	t.Fatalf("it ends and says %q", said.String())
	return nil
}

// send sends a request and returns the answer and its body. The program asks to
// try again if Redis has not answered in time, as on a busy machine: unless the
// test wants that, send does.
func (b *browser) send(want int, method, path, form string, header http.Header) (*http.Response, string) {
	b.t.Helper()
	for begin := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		r, err := http.NewRequest(method, b.url+path, strings.NewReader(form))
		if err != nil {
			b.t.Fatal(err)
		}
		r.Header = header
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Cookie", b.cookie)
		res, err := http.DefaultTransport.RoundTrip(r) // follows no redirects
		if err != nil {
			b.t.Fatal(err)
		}
		text, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			b.t.Fatal(err)
		}
		if res.StatusCode != 503 || want == 503 || time.Since(begin) > redistest.Patience {
			return res, string(text)
		}
	}
}

// want sends a request, checks the status of the answer, and returns where it
// sends the browser and its body.
func (b *browser) want(status int, method, path string, form url.Values, header ...string) (location, body string) {
	b.t.Helper()
	h := http.Header{"Accept": {"text/html"}}
	if len(header) == 2 {
		h.Set(header[0], header[1])
	}
	res, text := b.send(status, method, path, form.Encode(), h)
	if res.StatusCode != status || strings.Contains(text, "ticketstore") {
		b.t.Fatalf("%s %s: got %d, want %d: %s", method, path, res.StatusCode, status, text)
	}
	for _, c := range res.Cookies() {
		b.cookie = c.Name + "=" + c.Value
		if c.MaxAge < 0 {
			b.cookie = ""
		}
	}
	return res.Header.Get("Location"), text
}

func TestInABrowser(t *testing.T) {
	redis := miniredis.RunT(t)
	b := start(t, redis)
	wantAt := func(want, location string) {
		t.Helper()
		if location != want {
			t.Errorf("the browser is sent to %q, want %q", location, want)
		}
	}
	alice := url.Values{"user": {"alice"}}
	_, form := b.want(200, "GET", "/", nil)
	if !strings.Contains(form, `<form method="post">`) || !strings.Contains(form, `name="user"`) {
		t.Errorf("got no form to sign in: %s", form)
	}
	login, _ := b.want(302, "GET", "/me", nil)
	wantAt("/?ReturnUrl=%2Fme", login)
	back, _ := b.want(303, "POST", login, alice)
	wantAt("/me", back)
	if _, me := b.want(200, "GET", back, nil); !strings.Contains(me, "alice") {
		t.Errorf("got %q, want alice's page", me)
	}
	if _, home := b.want(200, "GET", "/", nil); !strings.Contains(home, "Hello, alice!") || !strings.Contains(home, `action="/logout"`) {
		t.Errorf("got no greeting, or no way to sign out: %s", home)
	}
	home, _ := b.want(303, "POST", "/logout", nil)
	wantAt("/", home)
	if b.cookie != "" || len(redis.Keys()) > 0 {
		t.Errorf("after sign-out the browser has %q, Redis has %q, want nothing", b.cookie, redis.Keys())
	}
	home, _ = b.want(303, "POST", "/", alice)
	wantAt("/", home)

	b.want(403, "POST", "/", alice, "Sec-Fetch-Site", "same-site")
	for _, name := range []string{"", " ", "a\x00b", strings.Repeat("x", 65), "<script>"} {
		if _, said := b.want(400, "POST", "/", url.Values{"user": {name}}); !strings.Contains(said, "letters and digits") {
			t.Errorf("the name %.20q: got %q", name, said)
		}
	}
	redis.SetError("LOADING Redis is loading the dataset in memory")
	kept, stranger := b.cookie, &browser{t: t, url: b.url}
	for _, said := range []string{
		second(b.want(503, "GET", "/", nil)), second(b.want(503, "POST", "/logout", nil)), second(stranger.want(503, "POST", "/", alice)),
	} {
		if !strings.Contains(said, "try again") {
			t.Errorf("in an outage: got %q", said)
		}
	}
	redis.SetError("")
	if _, home := b.want(200, "GET", "/", nil); b.cookie != kept || !strings.Contains(home, "Hello, alice!") {
		t.Errorf("an outage signed alice out: %s", home)
	}
}

func second(_, body string) string { return body }

// What the README's console shows happens.
func TestREADMEConsole(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, console, _ := strings.Cut(string(readme), "```console\n")
	console, _, _ = strings.Cut(console, "```")
	redis := miniredis.RunT(t)
	b := start(t, redis)
	requests, deleted := 0, false
	for _, said := range strings.Split(console, "$ ")[1:] {
		command, said, _ := strings.Cut(said, "\n")
		if strings.HasPrefix(command, "redis-cli --raw DEL ") {
			redis.FlushAll()
			deleted = true
		}
		_, path, ok := strings.Cut(command, "http://127.0.0.1:8080")
		if !ok {
			continue
		}
		requests++
		method, form := "GET", ""
		if strings.Contains(command, " -d user=alice ") {
			method, form = "POST", "user=alice"
		}
		res, got := b.send(0, method, path, form, http.Header{})
		for _, c := range res.Cookies() {
			b.cookie = c.Name + "=" + c.Value
		}
		if strings.HasPrefix(command, "curl -si ") {
			got = res.Proto + " " + res.Status + "\n"
		}
		if !strings.HasPrefix(said, got) {
			t.Errorf("%s: got %q, the README has %q", command, got, said)
		}
	}
	if requests != 3 || !deleted {
		t.Errorf("found %d requests, a deletion: %t; want 3 and one", requests, deleted)
	}
}

func TestPortTaken(t *testing.T) {
	if l, err := net.Listen("tcp", "127.0.0.1:8080"); err == nil { // else somebody has it
		defer l.Close()
	}
	b := start(t, miniredis.RunT(t))
	if strings.HasSuffix(b.url, ":8080") {
		t.Errorf("it is at %s, which is taken", b.url)
	}
	b.want(200, "GET", "/", nil)
}

func TestStartErrors(t *testing.T) {
	for _, test := range []struct {
		name string
		env  []string
		want []string
	}{
		{"nothing set", nil, []string{"COOKIE_KEY", "openssl rand -base64 32"}},
		{"no base64", []string{"COOKIE_KEY=secret"}, []string{"COOKIE_KEY", "openssl rand -base64 32"}},
		{"a short key", []string{"COOKIE_KEY=c2VjcmV0"}, []string{"COOKIE_KEY", "32 random bytes"}},
		{"no Redis set", []string{"COOKIE_KEY=" + goodKey}, []string{"REDIS_URL", "redis://127.0.0.1:6379"}},
		{"no URL", []string{"COOKIE_KEY=" + goodKey, "REDIS_URL=127.0.0.1:6379"}, []string{"REDIS_URL", "redis://127.0.0.1:6379"}},
		{"a URL with a mistake", []string{"COOKIE_KEY=" + goodKey, "REDIS_URL=redis://:secret@127.0.0.1:port"}, []string{"REDIS_URL"}},
		{"no Redis there", []string{"COOKIE_KEY=" + goodKey, "REDIS_URL=redis://:secret@127.0.0.1:1"}, []string{"REDIS_URL", "127.0.0.1:1", "refused"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cmd := program(t, test.env...)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			timer := time.AfterFunc(redistest.Patience, func() { cmd.Process.Kill() })
			defer timer.Stop()
			cmd.Run() // the exit code says it
			said := stderr.String()
			if code := cmd.ProcessState.ExitCode(); code != 1 || strings.Count(said, "\n") != 1 {
				t.Errorf("got the exit code %d and %q, want 1 and one line", code, said)
			}
			for _, want := range test.want {
				if !strings.Contains(said, want) {
					t.Errorf("got %q, want %q in it", said, want)
				}
			}
			if strings.Contains(said, "secret") || strings.Contains(said, "c2VjcmV0") {
				t.Errorf("it tells the secret: %q", said)
			}
		})
	}
}
