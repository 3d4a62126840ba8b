package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9/logging"

	"github.com/ticketstore/ticketstore/examples/oidc/provider"
	"github.com/ticketstore/ticketstore/internal/redistest"
)

func TestMain(m *testing.M) {
	logging.Disable()
	os.Exit(m.Run())
}

var opened = regexp.MustCompile(`(?s)Open (http://\S+) \(shop\).*Open (http://\S+) \(support\)`)

// start runs the program until the test ends. It returns the URLs of the two
// applications, and what it said.
func start(t *testing.T, args ...string) (shop, support, said string) {
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
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		said += lines.Text() + "\n"
		if strings.HasPrefix(lines.Text(), "(Safari") {
			go io.Copy(io.Discard, stdout)
			urls := opened.FindStringSubmatch(said)
			if urls == nil {
				break
			}
			return urls[1], urls[2], said
		}
	}
	t.Fatalf("got %q, want two addresses", said)
	return "", "", ""
}

// A browser has a cookie jar, and follows redirects.
type browser struct {
	t *testing.T
	http.Client
}

func newBrowser(t *testing.T) *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t, http.Client{Jar: jar, Timeout: redistest.Patience}}
}

// read returns where the browser ended, the status and the body.
func (b *browser) read(res *http.Response, err error) (*url.URL, int, string) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return res.Request.URL, res.StatusCode, string(body)
}

func (b *browser) get(url string) (*url.URL, int, string) {
	b.t.Helper()
	return b.read(b.Get(url))
}

// wantUser checks whom an application takes the browser for; nobody is 401.
func (b *browser) wantUser(app, want string) {
	b.t.Helper()
	_, status, body := b.get(app + "/me")
	got := strings.TrimSpace(body)
	if status == http.StatusUnauthorized {
		got = ""
	} else if status != http.StatusOK {
		b.t.Fatalf("%s/me: got %d %q", app, status, body)
	}
	if got != want {
		b.t.Fatalf("%s/me: got %q, want %q", app, got, want)
	}
}

var action = regexp.MustCompile(`<form[^>]*?(?: action="([^"]*)")?>`)
var hidden = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)

// submit fills the form of a page in and sends it.
func (b *browser) submit(at *url.URL, page string, fields ...string) (*url.URL, int, string) {
	b.t.Helper()
	found := action.FindStringSubmatch(page)
	if found == nil {
		b.t.Fatalf("%s: got %q, want a form", at, page)
	}
	to, err := at.Parse(html.UnescapeString(found[1]))
	if err != nil {
		b.t.Fatal(err)
	}
	form := url.Values{}
	for _, field := range hidden.FindAllStringSubmatch(page, -1) {
		form.Set(field[1], field[2])
	}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return b.read(b.PostForm(to.String(), form))
}

// openPage returns the events that an open page of an application gets.
func (b *browser) openPage(app string) <-chan string {
	b.t.Helper()
	client := http.Client{Jar: b.Jar} // without a timeout
	ctx, cancel := context.WithCancel(context.Background())
	b.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "GET", app+"/events", nil)
	if err != nil {
		b.t.Fatal(err)
	}
	res, err := client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	events := make(chan string, 10)
	go func() {
		defer close(events)
		defer res.Body.Close()
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			if event, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				events <- event
			}
		}
	}()
	return events
}

func wantEvent(t *testing.T, events <-chan string, want string) {
	t.Helper()
	select {
	case got := <-events:
		if got != want {
			t.Fatalf("got event %q, want %q", got, want)
		}
	case <-time.After(redistest.Patience):
		t.Fatalf("no event %q", want)
	}
}

// soon is what the sign-out and all that follows from it may take.
const soon = time.Second

// testTogether signs in at the shop and out at the provider, whose login form
// has the fields and whose logout page and form lead out.
func testTogether(t *testing.T, shop, support, logout string, login, out []string) {
	b, other := newBrowser(t), newBrowser(t)
	for _, b := range []*browser{other, b} {
		b.wantUser(shop, "")
		at, status, page := b.get(shop + "/login?ReturnUrl=%2Fme")
		if status != http.StatusOK || strings.HasPrefix(at.String(), shop) {
			t.Fatalf("got to %s with %d, want the provider's form: %s", at, status, page)
		}
		at, status, page = b.submit(at, page, login...)
		if at.String() != shop+"/me" || status != http.StatusOK || page != "alice\n" {
			t.Fatalf("sign-in: got to %s with %d: %s", at, status, page)
		}
		b.wantUser(support, "")
		if at, _, page := b.get(support + "/login?ReturnUrl=%2Fme"); at.String() != support+"/me" || page != "alice\n" {
			t.Fatalf("single sign-on: got to %s: %s", at, page)
		}
	}
	pages := []<-chan string{b.openPage(shop), b.openPage(support)}
	for _, p := range pages {
		wantEvent(t, p, "hello")
	}

	at, _, page := b.get(logout)
	begun := time.Now()
	if at, status, page := b.submit(at, page, out...); status != http.StatusOK {
		t.Fatalf("sign-out: got to %s with %d: %s", at, status, page)
	}
	b.wantUser(shop, "")
	b.wantUser(support, "")
	for _, p := range pages {
		wantEvent(t, p, "signed-out")
	}
	took := time.Since(begun)
	t.Logf("both are out, and both pages know, after %v", took.Round(time.Millisecond))
	if took > soon {
		t.Errorf("that took %v, want at most %v", took, soon)
	}
	other.wantUser(shop, "alice") // another session of hers at the provider
	other.wantUser(support, "alice")
	if at, status, _ := b.get(shop + "/login"); status != http.StatusOK || strings.HasPrefix(at.String(), shop) {
		t.Errorf("the provider still knows the browser: got to %s with %d", at, status)
	}

	// The other way: out at the shop leads to the provider, and back.
	at, _, page = other.get(shop + "/")
	at, _, page = other.submit(at, page)
	if strings.HasPrefix(at.String(), shop) {
		t.Fatalf("sign-out at the shop: got to %s, want the provider", at)
	}
	if at, status, _ := other.submit(at, page, out...); at.String() != shop+"/" || status != http.StatusOK {
		t.Errorf("sign-out at the shop: got to %s with %d, want %s/", at, status, shop)
	}
	other.wantUser(shop, "")
	other.wantUser(support, "")
}

func TestEmbeddedProvider(t *testing.T) {
	shop, support, said := start(t, "-insecure")
	m := regexp.MustCompile(`at the provider: (\S+),`).FindStringSubmatch(said)
	if m == nil || !strings.Contains(said, "not for production") {
		t.Fatalf("got %q, want where to sign out, and what not to use it for", said)
	}
	testTogether(t, shop, support, m[1], []string{"user", "alice"}, nil)
}

// A certified provider: npm's oidc-provider, in provider/.
func TestCertifiedProvider(t *testing.T) {
	issuer, register := provider.Start(t)
	shop, support, _ := start(t, "-insecure", "-provider", issuer)
	register(shop)
	register(support)
	testTogether(t, shop, support, issuer+"/session/end",
		[]string{"login", "alice"}, []string{"logout", "yes"})
}

// What the small provider must refuse, or it would not show that the
// applications ask for it.
func TestEmbeddedProviderRefuses(t *testing.T) {
	p, err := newDemoProvider("http://127.0.0.1:1", map[string]client{"shop": {"geheim", "http://127.0.0.1:2"}}, true)
	if err != nil {
		t.Fatal(err)
	}
	good := url.Values{
		"client_id": {"shop"}, "redirect_uri": {"http://127.0.0.1:2/callback"}, "response_type": {"code"},
		"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"}, // RFC 7636, appendix B
	}
	const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	authorize := func(q url.Values) (int, url.Values) {
		w := post(p, "/authorize?"+q.Encode(), url.Values{"user": {"alice"}}, "")
		to, err := url.Parse(w.Header.Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		return w.StatusCode, to.Query()
	}
	for name, value := range map[string]string{"client_id": "other", "redirect_uri": "http://127.0.0.1:3/callback", "response_type": "token", "code_challenge_method": "plain"} {
		q := url.Values{}
		for k, v := range good {
			q[k] = v
		}
		q.Set(name, value)
		if status, back := authorize(q); status != http.StatusBadRequest || back.Has("code") {
			t.Errorf("%s=%s: got %d, want 400", name, value, status)
		}
	}
	for _, tt := range []struct {
		name, secret, redirect, verifier string
		want                             int
	}{
		{"good", "geheim", good.Get("redirect_uri"), verifier, 200},
		{"wrong secret", "other", good.Get("redirect_uri"), verifier, 401},
		{"wrong redirect_uri", "geheim", "http://127.0.0.1:3/callback", verifier, 400},
		{"wrong verifier", "geheim", good.Get("redirect_uri"), verifier[1:], 400},
	} {
		_, back := authorize(good)
		form := url.Values{"grant_type": {"authorization_code"}, "code": back["code"], "redirect_uri": {tt.redirect}, "code_verifier": {tt.verifier}}
		if got := post(p, "/token", form, tt.secret).StatusCode; got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, got, tt.want)
		}
		if tt.want == 200 {
			if got := post(p, "/token", form, tt.secret).StatusCode; got != 400 {
				t.Errorf("the code again: got %d, want 400", got)
			}
		}
	}
}

// post sends a form to p, as the client shop if there is a secret.
func post(p *demoProvider, target string, form url.Values, secret string) *http.Response {
	r := httptest.NewRequest("POST", target, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if secret != "" {
		r.SetBasicAuth("shop", secret)
	}
	w := httptest.NewRecorder()
	p.routes().ServeHTTP(w, r)
	return w.Result()
}

func TestFlags(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-help"}, &out); err != nil || !strings.Contains(out.String(), "-provider URL") {
		t.Errorf("-help: got %q, %v, want the flags", out.String(), err)
	}
	for want, args := range map[string][]string{
		"-help lists the flags": {"-no-such-flag"},
		"unexpected argument":   {"https://id.example.com"},
		"want id:secret":        {"-shop", "shop"},
		"Issuer":                {"-provider", "http://id.example.com"},
	} {
		if err := run(t.Context(), args, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q in it", args, err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(ctx, nil, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped while it starts: got %v, want that", err)
	}
}
