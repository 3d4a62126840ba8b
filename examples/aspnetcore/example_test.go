package aspnetcore_test

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore/internal/redistest"
)

// The example itself: its three programs, and browsers without JavaScript that
// do what README.md says.
func TestExample(t *testing.T) {
	t.Parallel()
	for _, sessionStore := range []string{"usual", "redis"} {
		t.Run(sessionStore, func(t *testing.T) { testExample(t, sessionStore) })
	}
}

const iPhone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"

func testExample(t *testing.T, sessionStore string) {
	w := emptyWorld(t, sessionStore)
	app, service, proxy := published(t, "webapp"), command(t, "service"), command(t, "proxy")
	takeSlot(t)
	dotnetURL := start(t, "Now listening on: ", dotnet(t), app, "--urls", "http://127.0.0.1:0", patient,
		"--Sessions:Redis="+w.redis, "--Sessions:InstanceName="+w.instance, "--Sessions:KeyList="+w.keyList, "--Sessions:SessionStore="+sessionStore)
	if res, data := newBrowser().do(t, "GET", dotnetURL+"/healthz", nil); res.StatusCode != 200 { // makes the first key
		t.Fatalf("healthz: got %d %s, want 200", res.StatusCode, clip(string(data)))
	}
	settings := []string{"-redis", w.redis, "-instance-name", w.instance, "-key-list", w.keyList, "-insecure"}
	goURL := start(t, "Listening on ", service, append(settings, "-addr", "127.0.0.1:0")...)
	origin := start(t, "Open ", proxy, "-addr", "127.0.0.1:0", "-aspnetcore", dotnetURL, "-service", goURL)

	// At first nobody is signed in. Go sends to the login of ASP.NET Core, which
	// sends back.
	a := newVisitor(t, origin)
	a.see("/", "Nobody is signed in")
	a.see("/go/", "Nobody is signed in")
	a.see("/go/sessions/", "Sign in")
	if a.at != "/login?ReturnUrl=%2Fgo%2Fsessions%2F" {
		t.Errorf("got to %s, want the login page", a.at)
	}
	a.submit("/login", url.Values{"name": {"alice"}, "password": {"wrong"}}, 401, "password is wrong")
	device := map[string]string{"usual": "Unknown device", "redis": "Firefox on Linux"}[sessionStore]
	a.submit("/login", url.Values{"name": {"alice"}, "password": {"wonderland"}}, 200, device, "This device")
	if a.at != "/go/sessions/" {
		t.Errorf("got to %s, want the page that was asked for", a.at)
	}
	a.see("/", "Hello, Alice")
	a.see("/private", "as you are, Alice")
	a.see("/go/", "Hello, <bdi>alice</bdi>, from Go", "department", "books")

	// A second browser signs in at Go.
	b := newVisitor(t, origin)
	b.browser.agent = iPhone
	b.see("/go/", "Nobody is signed in")
	b.submit("/go/login", url.Values{"name": {"alice"}, "password": {"builder"}}, 401, "password is wrong")
	b.submit("/go/login", url.Values{"name": {"alice"}, "password": {"wonderland"}, "persistent": {"true"}}, 200, "Hello, <bdi>alice</bdi>, from Go")
	b.see("/", "Hello, Alice")
	b.see("/private", "as you are, Alice")
	mine, theirs := a.me(), b.me()
	if !theirs.Persistent || mine.Persistent {
		t.Errorf("got persistent %t and %t, want true of the one that asked for it", theirs.Persistent, mine.Persistent)
	}
	mine.Persistent = true
	if d := difference(theirs.withoutTimes(), mine.withoutTimes()); d != "" {
		t.Errorf("signed in at Go and at ASP.NET Core: %s", d)
	}

	// The first one sees both, and signs the other out.
	a.see("/go/sessions/", device, "This device", "iPhone", "127.0.0.1")
	ids := a.revocable()
	if len(ids) != 1 {
		t.Fatalf("got other sessions %q, want 1", ids)
	}
	a.submit("", url.Values{"revoke": ids}, 200)
	if a.at != "/go/sessions/?done="+ids[0] || !strings.Contains(a.page, "Safari on iPhone") || len(a.revocable()) != 0 {
		t.Errorf("got to %s %s, want the page to name the iPhone, and not to list it", a.at, a.page)
	}
	b.see("/", "Nobody is signed in")
	b.see("/go/", "Nobody is signed in")
	b.see("/private", "Sign in")
	if b.at != "/login?ReturnUrl=%2Fprivate" {
		t.Errorf("got to %s, want the login page", b.at)
	}

	// Sign out at ASP.NET Core, and in and out at Go.
	a.see("/", "Hello, Alice")
	a.submit("/logout", nil, 200, "Nobody is signed in")
	a.see("/go/", "Nobody is signed in")
	a.submit("/go/login", url.Values{"name": {"bob"}, "password": {"builder"}}, 200, "Hello, <bdi>bob</bdi>, from Go")
	a.see("/", "Hello, Bob")
	a.see("/go/", "Hello, <bdi>bob</bdi>")
	a.submit("/go/logout", nil, 200, "Nobody is signed in")
	a.see("/", "Nobody is signed in")

	// Another site's page signs nobody in.
	b.see("/go/", "Nobody is signed in")
	b.from = "cross-site"
	b.submit("/go/login", url.Values{"name": {"bob"}, "password": {"builder"}}, 403)
	b.from = "same-origin"

	// -reindex lists what Go has not seen.
	b.see("/login", "Sign in")
	b.submit("/login", url.Values{"name": {"bob"}, "password": {"builder"}}, 200, "Hello, Bob")
	added := map[string]int{"usual": 1, "redis": 0}[sessionStore]
	out, err := exec.CommandContext(t.Context(), service, append(settings, "-reindex")...).CombinedOutput()
	if want := fmt.Sprintf("1 sessions read, %d added\n", added); err != nil || !strings.HasSuffix(string(out), want) {
		t.Errorf("-reindex: got %s, %v, want %s", out, err, want)
	}
	w.startService(t, w.config()) // for its store alone
	w.wantListed(t, "bob", 1)
}

// A visitor is a person with a browser that shows HTML.
type visitor struct {
	t       *testing.T
	browser *browser
	origin  string
	from    string // Sec-Fetch-Site of forms

	at   string // path and query of the page shown
	page string
}

func newVisitor(t *testing.T, origin string) *visitor {
	v := &visitor{t: t, browser: newBrowser(), origin: origin, from: "same-origin"}
	v.browser.client.CheckRedirect = nil // follow
	return v
}

// see opens the page at path and expects status 200 and texts.
func (v *visitor) see(path string, texts ...string) {
	v.t.Helper()
	v.open("GET", path, nil, 200, texts)
}

func (v *visitor) open(method, path string, form url.Values, status int, texts []string) {
	v.t.Helper()
	header := []string{"Accept", "text/html"}
	var body any
	if method == "POST" {
		body = strings.NewReader(form.Encode())
		header = append(header, "Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", v.from, "Origin", v.origin)
	}
	res, data := v.browser.do(v.t, method, v.origin+path, body, header...)
	for begin := time.Now(); res.StatusCode == http.StatusServiceUnavailable && time.Since(begin) < redistest.Patience; {
		if method == "POST" { // the machine is busy: the visitor tries again
			body = strings.NewReader(form.Encode())
		}
		res, data = v.browser.do(v.t, method, v.origin+path, body, header...)
	}
	v.at, v.page = res.Request.URL.RequestURI(), html.UnescapeString(style.ReplaceAllString(string(data), ""))
	if res.StatusCode != status {
		v.t.Fatalf("%s %s: got %d %s, want %d", method, path, res.StatusCode, clip(v.page), status)
	}
	for _, text := range texts {
		if !strings.Contains(v.page, text) {
			v.t.Fatalf("%s %s: got %s, want it to say %q", method, path, v.page, text)
		}
	}
}

var (
	style   = regexp.MustCompile(`(?s)<style>.*?</style>`)
	forms   = regexp.MustCompile(`(?s)<form ([^>]*)>(.*?)</form>`)
	action  = regexp.MustCompile(`action="([^"]*)"`)
	hidden  = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
	current = regexp.MustCompile(`(?s)<li class="current">.*?</li>`)
	button  = regexp.MustCompile(`name="revoke" value="([^"]*)"`)
)

// submit sends the form of the page shown that has an action, with fields
// beside its hidden ones.
func (v *visitor) submit(to string, fields url.Values, status int, texts ...string) {
	v.t.Helper()
	for _, form := range forms.FindAllStringSubmatch(v.page, -1) {
		target := ""
		if m := action.FindStringSubmatch(form[1]); m != nil {
			target = m[1]
		}
		if target != to {
			continue
		}
		values := url.Values{}
		for _, in := range hidden.FindAllStringSubmatch(form[2], -1) {
			values.Set(in[1], in[2])
		}
		for k := range fields {
			values.Set(k, fields.Get(k))
		}
		if target == "" {
			target = v.at
		}
		v.open("POST", target, values, status, texts)
		return
	}
	v.t.Fatalf("%s: got no form for %q in %s", v.at, to, v.page)
}

// revocable returns the IDs of the sessions that the page shown can end, but
// for the visitor's own.
func (v *visitor) revocable() []string {
	var ids []string
	for _, m := range button.FindAllStringSubmatch(current.ReplaceAllString(v.page, ""), -1) {
		if m[1] != "others" && m[1] != "all" {
			ids = append(ids, m[1])
		}
	}
	return ids
}

// me returns all that the ASP.NET Core application says of the ticket.
func (v *visitor) me() *content {
	v.t.Helper()
	res, data := v.browser.do(v.t, "GET", v.origin+"/me", nil)
	var c content
	if err := json.Unmarshal(data, &c); err != nil || res.StatusCode != http.StatusOK {
		v.t.Fatalf("me: got %d %s, %v", res.StatusCode, clip(string(data)), err)
	}
	return &c
}
