package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9/logging"

	"github.com/ticketstore/ticketstore/internal/redistest"
)

func TestMain(m *testing.M) {
	logging.Disable()
	os.Exit(m.Run())
}

var opened = regexp.MustCompile(`Open (http://\S+)`)

// start runs the program on a free port, with args, until the test ends, and
// returns its URL.
func start(t *testing.T, args ...string) string {
	t.Helper()
	return launch(t, append([]string{"-addr", "127.0.0.1:0"}, args...)...)
}

// launch runs the program until the test ends and returns its URL.
func launch(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	stdout, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, args, w)
		w.Close()
		ended <- err
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("run: got %v, want nil", err)
			}
		case <-time.After(redistest.Patience):
			t.Error("run does not end")
		}
	})
	var said []string
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		said = append(said, lines.Text())
		if m := opened.FindStringSubmatch(lines.Text()); m != nil {
			if len(said) == 1 {
				t.Error("it does not say first that it starts Redis")
			}
			go io.Copy(io.Discard, stdout)
			return m[1]
		}
	}
	t.Fatalf("got %q, want the address", said)
	return ""
}

// A browser sends its cookie by hand: Go's cookie jar sends no Secure cookie
// over http.
type browser struct {
	t                  *testing.T
	url, agent, cookie string
}

// want sends a request and checks the status of the answer. It returns the
// header and the body. On a busy machine, Redis does not always answer in the
// time that the program gives it: then it does as that says, and tries again.
func (b *browser) want(status int, method, path string, form url.Values, header ...string) (http.Header, string) {
	b.t.Helper()
	res, body := b.try(method, path, form, header...)
	for begin := time.Now(); res.StatusCode == 503 && time.Since(begin) < redistest.Patience; {
		time.Sleep(100 * time.Millisecond)
		res, body = b.try(method, path, form, header...)
	}
	if res.StatusCode != status {
		b.t.Fatalf("%s %s: got %d, want %d: %s", method, path, res.StatusCode, status, body)
	}
	for _, c := range res.Cookies() {
		b.cookie = c.Name + "=" + c.Value
		if c.MaxAge < 0 {
			b.cookie = ""
		}
	}
	return res.Header, body
}

func (b *browser) try(method, path string, form url.Values, header ...string) (*http.Response, string) {
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
	req.Header.Set("User-Agent", b.agent)
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
	return res, string(body)
}

func (b *browser) signIn(user string) {
	b.t.Helper()
	b.want(303, "POST", "/login", url.Values{"user": {user}})
	if b.cookie == "" {
		b.t.Fatal("sign-in sets no cookie")
	}
}

func (b *browser) wantPage(path string, texts ...string) string {
	b.t.Helper()
	_, body := b.want(200, "GET", path, nil)
	for _, text := range texts {
		if !strings.Contains(body, text) {
			b.t.Errorf("GET %s: want %q in it: %s", path, text, body)
		}
	}
	return body
}

// wantSignedIn asks for the status, as session.js does.
func (b *browser) wantSignedIn(want bool) {
	b.t.Helper()
	text := `{"signedIn":false}`
	if want {
		text = `{"signedIn":true,"sinceSignIn":`
	}
	if body := b.wantPage("/session"); !strings.HasPrefix(body, text) {
		b.t.Errorf("/session: got %s, want %s", body, text)
	}
}

var endOne = regexp.MustCompile(`name="revoke" value="([0-9a-f-]{36})"`)

func TestOneSignsOutTheOther(t *testing.T) {
	site := start(t)
	phone, laptop := &browser{t: t, url: site, agent: iphone}, &browser{t: t, url: site, agent: windows}
	if body := phone.wantPage("/", "Who are you?", "there is no password"); strings.Contains(body, "session.js") {
		t.Error("the page asks for a session that is not there")
	}
	header, _ := phone.want(302, "GET", "/account/sessions/", nil, "Accept", "text/html")
	if got, want := header.Get("Location"), "/?ReturnUrl=%2Faccount%2Fsessions%2F"; got != want {
		t.Errorf("a browser is sent to %q, want %q", got, want)
	}
	phone.wantPage("/"+strings.TrimPrefix(header.Get("Location"), "/"), `name="ReturnUrl" value="/account/sessions/"`)
	phone.wantSignedIn(false)

	phone.signIn("alice")
	laptop.signIn("alice")
	phone.wantPage("/", "Hello, <bdi>alice</bdi>!", `href="/account/sessions/"`, `src="/static/session.js"`)
	phone.wantPage("/static/session.js", `"/session"`)
	phone.wantSignedIn(true)

	m := endOne.FindAllStringSubmatch(laptop.wantPage("/account/sessions/", "Safari on iPhone", "Edge on Windows"), -1)
	if len(m) != 2 {
		t.Fatalf("got %d devices to sign out, want 2, the laptop first", len(m))
	}
	laptop.want(303, "POST", "/account/sessions/", url.Values{"revoke": {m[1][1]}})
	phone.wantSignedIn(false)
	phone.wantPage("/?ended", "You are no longer signed in")
	laptop.wantSignedIn(true)
	laptop.want(303, "POST", "/logout", url.Values{})
	laptop.wantSignedIn(false)
}

func TestAdmin(t *testing.T) {
	site := start(t, "-demo")
	alice, admin := &browser{t: t, url: site}, &browser{t: t, url: site}
	alice.want(401, "GET", "/admin/", nil)
	alice.signIn("alice")
	alice.want(403, "GET", "/admin/", nil)
	alice.want(403, "POST", "/admin/", url.Values{"subject": {"bob"}, "revoke": {"all"}})
	if body := alice.wantPage("/"); strings.Contains(body, "/admin/") {
		t.Error("alice is shown the way to /admin/")
	}
	admin.signIn("admin")
	admin.wantPage("/", `href="/admin/"`)
	admin.wantPage("/admin/", "<bdi>Alice Archer</bdi></a> <small><bdi>alice</bdi></small>", "Bob Baker", "Chrome on Android")
	admin.wantPage("/admin/?find=a", "Ada Min", "Alice Archer", "Bob Baker")
	admin.want(303, "POST", "/admin/", url.Values{"subject": {"alice"}, "revoke": {"all"}})
	alice.wantSignedIn(false)
	admin.wantPage("/admin/?subject=bob", "Chrome on Android")
}

func TestDemo(t *testing.T) {
	b := &browser{t: t, url: start(t, "-demo"), agent: "curl/8.9.1"}
	b.signIn("alice")
	body := b.wantPage("/account/sessions/", "Safari on iPhone", "Edge on Windows")
	if !regexp.MustCompile(`about 4\d minutes ago`).MatchString(body) { // 40, and what this takes
		t.Errorf("nothing was last used 40 minutes ago: %s", body)
	}
	if got := strings.Count(body, "<li"); got != 3 {
		t.Errorf("alice has %d sessions, want 3", got)
	}
}

func TestRefused(t *testing.T) {
	b := &browser{t: t, url: start(t)}
	b.want(403, "POST", "/login", url.Values{"user": {"alice"}}, "Origin", "https://evil.example")
	for name, want := range map[string]string{
		" ": "Please enter a user name.", strings.Repeat("é", 65): "at most 64 characters", "a\x00b": "without tabs", "a\xffb": "without tabs",
	} {
		if _, body := b.want(400, "POST", "/login", url.Values{"user": {name}}); !strings.Contains(body, want) || strings.Contains(body, "ticketstore:") {
			t.Errorf("the name %q: want %q in %s", name, want, body)
		}
	}
	b.want(400, "POST", "/login", url.Values{"user": {strings.Repeat("x", 20<<10)}})
	b.want(405, "GET", "/logout", nil)
	b.signIn("<script>alert(1)</script>")
	if body := b.wantPage("/"); strings.Contains(body, "<script>") {
		t.Errorf("the page has the name as it is: %s", body)
	}
}

// Two programs on one host share its cookies: each needs a name of its own.
func TestCookieName(t *testing.T) {
	for args, name := range map[string]string{"-insecure=false": "__Host-devices", "-insecure=true": "devices"} {
		b := &browser{t: t, url: start(t, args)}
		b.signIn("alice")
		if got, _, _ := strings.Cut(b.cookie, "="); got != name {
			t.Errorf("%s: got the cookie %s, want %s", args, got, name)
		}
	}
}

func TestPortTaken(t *testing.T) {
	if l, err := net.Listen("tcp", "127.0.0.1:8080"); err == nil { // else somebody has it
		defer l.Close()
	}
	b := &browser{t: t, url: launch(t)}
	if strings.HasSuffix(b.url, ":8080") {
		t.Errorf("it is at %s, which is taken", b.url)
	}
	b.wantPage("/", "Who are you?")
}

// The home page runs the one script, and none that is in the page.
func TestContentSecurityPolicy(t *testing.T) {
	b := &browser{t: t, url: start(t)}
	header, body := b.want(200, "GET", "/", nil)
	policy := header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || strings.Contains(body, "style=") {
		t.Errorf("got %q", policy)
	}
	b.signIn("alice")
	header, _ = b.want(200, "GET", "/account/sessions/", nil)
	if policy := header.Get("Content-Security-Policy"); !strings.Contains(policy, "script-src 'sha256-") || strings.Contains(policy, "unsafe") {
		t.Errorf("/account/sessions/: got %q, want no script but the one in the page", policy)
	}
}

func TestStartErrors(t *testing.T) {
	for want, args := range map[string][]string{
		"-bogus":       {"-bogus"},
		`"extra"`:      {"extra"},
		"start it":     {"-redis", "127.0.0.1:1"},
		"host:port":    {"-redis", "nowhere"},
		"-addr":        {"-addr", "127.0.0.1:99999"},
		"IdleTimeout:": {"-idle", "2h", "-lifetime", "1h"},
	} {
		if err := run(t.Context(), args, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q in it", args, err, want)
		}
	}
}
