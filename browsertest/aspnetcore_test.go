package browsertest

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/storage"
	"github.com/chromedp/chromedp"

	"github.com/ticketstore/ticketstore/internal/redistest"
)

// Two devices at examples/aspnetcore: a real ASP.NET Core application and a Go
// service, which one reverse proxy makes one origin of.
func TestAspNetCore(t *testing.T) {
	dotnet, err := exec.LookPath("dotnet")
	if err != nil { // also under CI=true: few have the SDK
		t.Skip("dotnet is not on the PATH: no ASP.NET Core to share sessions with")
	}
	dir := t.TempDir()
	buildShop(t, dotnet, dir)
	for _, sessionStore := range []string{"usual", "redis"} {
		t.Run(sessionStore, func(t *testing.T) {
			url := startShop(t, dotnet, dir, sessionStore)
			testAspNetCore(t, url, sessionStore)
		})
	}
}

const (
	toDotnet  = `a[href="/"]`
	toLogin   = `a[href="/login"]`
	toPrivate = `a[href="/private"]`
	toGo      = `a[href="/go/"]`
	toDevices = `a[href="/go/sessions/"]`

	dotnetLogin  = `form[action="/login"] `
	dotnetLogout = `form[action="/logout"] `
	goLogin      = `form[action="/go/login"] `
	goLogout     = `form[action="/go/logout"] `
	button       = "button"

	nobody    = "Nobody is signed in"
	hello     = "Hello, Alice"
	helloOfGo = "Hello, alice, from Go"
)

func testAspNetCore(t *testing.T, url, sessionStore string) {
	// The usual class does not say from where a sign-in at ASP.NET Core came.
	laptop, phone := "Unknown device", "Unknown device"
	if sessionStore == "redis" {
		laptop, phone = "Chrome on Linux", "Safari on iPhone"
	}
	a, b := newDevice(t, url, linux), newDevice(t, url, iphone)

	// A signs in at ASP.NET Core; Go knows her.
	a.see("/", nobody)
	a.press(toLogin)
	a.wantAccessible("the login page")
	a.logIn(dotnetLogin, "/", hello)
	a.wantAccessible("the page of ASP.NET Core")
	first := a.sessionCookie()
	a.press(toGo)
	a.wantText(helloOfGo, "department")
	a.wantAccessible("the page of Go")
	a.press(toDevices)
	a.wantDevices(laptop + " This device")

	// B signs in at Go; ASP.NET Core knows her. The cookies differ in nothing
	// but their values.
	b.see("/go/", nobody)
	b.wantAccessible("the login form of Go")
	b.logIn(goLogin, "/go/", helloOfGo)
	b.press(toDotnet)
	b.wantText(hello)
	second := b.sessionCookie()
	if got, want := attributes(second), attributes(first); got != want || second.Value == first.Value {
		t.Errorf("Go sets the cookie %s, ASP.NET Core %s; want the same but for the value", got, want)
	}

	// A signs B out, who is anonymous at the next click, here and there.
	signOutB := func(device string) {
		t.Helper()
		a.see("/", hello)
		a.press(`a[href="/go/sessions"]`)
		a.wantDevices(laptop+" This device", device)
		a.press(one)
		a.wantText("has been signed out.")
		a.wantDevices(laptop + " This device")

		b.press(toPrivate) // of the page that still greets her
		b.wantPath("/login")
		b.see("/", nobody)
		b.see("/go/", nobody)
		a.see("/", hello)
		a.press(toGo)
		a.wantText(helloOfGo)
	}
	a.lead("reload", chromedp.Reload())
	a.wantDevices(laptop+" This device", "Safari on iPhone")
	a.check("devices", nil)
	signOutB("Safari on iPhone")

	// The cookie of B's ended session is still there. What ASP.NET Core sets
	// replaces that of Go, and the other way round.
	b.see("/login")
	b.logIn(dotnetLogin, "/", hello)
	third := b.sessionCookie()
	if third.Value == second.Value {
		t.Error("the cookie is that of the session before, want another one")
	}
	b.press(toGo) // which lists what the usual class has begun once it has seen it
	b.wantText(helloOfGo)
	b.press(toDotnet)
	signOutB(phone)
	b.see("/go/")
	b.logIn(goLogin, "/go/", helloOfGo)
	if c := b.sessionCookie(); c.Value == third.Value {
		t.Error("the cookie is that of the session before, want another one")
	}

	// A signs out at ASP.NET Core; B, who is signed in at Go, does so too.
	a.see("/", hello)
	a.press(dotnetLogout + button)
	a.wantSignedOut()
	b.see("/", hello)
	b.press(dotnetLogout + button)
	b.wantSignedOut()

	// What ASP.NET Core has begun, Go can end.
	a.see("/login")
	a.logIn(dotnetLogin, "/", hello)
	a.see("/go/", helloOfGo)
	a.press(goLogout + button)
	a.wantSignedOut()
}

// newDevice returns a browser in which the console has to stay empty: not even
// an icon or a style may be missing, which newBrowser lets pass.
func newDevice(t *testing.T, url, agent string) *browser {
	t.Helper()
	b := newBrowser(t, url, agent)
	if err := chromedp.Listen(b.ctx, func(event any) {
		if e, ok := event.(*cdplog.EventEntryAdded); ok && e.Entry.Source == cdplog.EntrySourceNetwork {
			t.Errorf("on the console: %s (%s)", e.Entry.Text, e.Entry.URL)
		}
	}); err != nil {
		t.Fatal(err)
	}
	return b
}

// see opens the page at path.
func (b *browser) see(path string, texts ...string) {
	b.t.Helper()
	if status := b.open(path); status != http.StatusOK {
		b.t.Fatalf("%s: got %d %q, want 200", path, status, b.text())
	}
	b.wantPath(path)
	b.wantText(texts...)
}

// press clicks on what leads to another page.
func (b *browser) press(selector string) {
	b.t.Helper()
	if !eval[bool](b, fmt.Sprintf("document.querySelector(%q) !== null", selector)) {
		b.t.Fatalf("%s: got %q, want %s in it", b.path(), b.text(), selector)
	}
	if status := b.click(selector); status != http.StatusOK {
		b.t.Fatalf("click %s: got %d %q, want 200", selector, status, b.text())
	}
}

// logIn signs alice in with the form of the page, and ends at path.
func (b *browser) logIn(form, path, text string) {
	b.t.Helper()
	b.call("type at "+b.path(),
		chromedp.SendKeys(chromedp.CSS(form+"[name=name]"), "alice"),
		chromedp.SendKeys(chromedp.CSS(form+"[name=password]"), "wonderland"))
	b.press(form + button)
	b.wantPath(path)
	b.wantText(text)
}

// wantDevices checks what the page of the devices lists.
func (b *browser) wantDevices(want ...string) {
	b.t.Helper()
	got := eval[[]string](b, `Array.from(document.querySelectorAll("li h2"), e => e.textContent)`)
	if !slices.Equal(got, want) {
		b.t.Fatalf("%s: got the devices %q, want %q: %s", b.path(), got, want, b.text())
	}
}

// wantAccessible is check for pages that have no style of their own.
func (b *browser) wantAccessible(page string) {
	b.t.Helper()
	eval[bool](b, axe+"; true")
	result := eval[axeResult](b, runAxe)
	if result.Passes < 10 {
		b.t.Errorf("%s: axe finds only %d of its rules kept, want most", page, result.Passes)
	}
	for _, v := range result.Violations {
		b.t.Errorf("%s: axe: %s", page, v)
	}
}

// wantSignedOut makes sure that nobody is signed in at either.
func (b *browser) wantSignedOut() {
	b.t.Helper()
	b.wantText(nobody)
	if got := b.sessionCookies(); len(got) != 0 {
		b.t.Errorf("got %d session cookies, want none", len(got))
	}
	b.see("/", nobody)
	b.see("/go/", nobody)
}

// sessionCookies returns those of the whole browser, for whatever path, with
// the parts of one that is split.
func (b *browser) sessionCookies() []*network.Cookie {
	b.t.Helper()
	res := run(b, "cookies", func(ctx context.Context, _ *chromedp.Target) (storage.GetCookiesResult, error) {
		return chromedp.Call(ctx, storage.GetCookies, storage.GetCookiesParams{})
	})
	return slices.DeleteFunc(res.Cookies, func(c *network.Cookie) bool {
		return !strings.HasPrefix(c.Name, ".AspNetCore.Cookies")
	})
}

// sessionCookie returns the one there has to be, out of reach of scripts.
func (b *browser) sessionCookie() *network.Cookie {
	b.t.Helper()
	cookies := b.sessionCookies()
	if len(cookies) != 1 {
		b.t.Fatalf("got %d session cookies, want 1: %s", len(cookies), b.text())
	}
	if got := eval[string](b, "document.cookie"); got != "" || !cookies[0].HTTPOnly {
		b.t.Errorf("scripts see the cookies %q, HttpOnly %v; want none, and true", got, cookies[0].HTTPOnly)
	}
	return cookies[0]
}

func attributes(c *network.Cookie) string {
	return fmt.Sprintf("%s of %s%s, expires %v, HttpOnly %v, Secure %v, SameSite %s, priority %s",
		c.Name, c.Domain, c.Path, c.Expires, c.HTTPOnly, c.Secure, c.SameSite, c.Priority)
}

// buildShop builds the three programs of examples/aspnetcore in dir.
func buildShop(t *testing.T, dotnet, dir string) {
	t.Helper()
	const example = "github.com/ticketstore/ticketstore/examples/aspnetcore/"
	for _, args := range [][]string{
		{dotnet, "publish", filepath.FromSlash("../examples/aspnetcore/webapp"), "-c", "Release",
			"-o", filepath.Join(dir, "webapp"), "--artifacts-path", filepath.Join(dir, "artifacts"),
			"-v", "q", "-nologo", "-nodeReuse:false"},
		{"go", "build", "-o", filepath.Join(dir, "service"), example + "service"},
		{"go", "build", "-o", filepath.Join(dir, "proxy"), example + "proxy"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 5*patience)
		defer cancel()
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Env, cmd.WaitDelay = shopEnv(), patience
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
}

// shopEnv keeps build servers from staying behind.
func shopEnv() []string {
	return append(os.Environ(), "DOTNET_CLI_TELEMETRY_OPTOUT=1", "DOTNET_NOLOGO=1",
		"MSBUILDDISABLENODEREUSE=1", "DOTNET_CLI_USE_MSBUILD_SERVER=0", "UseSharedCompilation=false")
}

// startShop runs the programs in dir, with a Redis of their own, until the
// test ends. It returns the URL of the proxy.
func startShop(t *testing.T, dotnet, dir, sessionStore string) string {
	t.Helper()
	redis := redistest.Start(t).Addr
	app := startProgram(t, dir, "Now listening on: ", dotnet, filepath.Join("webapp", "webapp.dll"),
		"--urls", "http://127.0.0.1:0", "--Sessions:Redis="+redis, "--Sessions:SessionStore="+sessionStore,
		fmt.Sprint("--Sessions:RedisTimeout=", patience.Milliseconds()))
	res, err := http.Get(app + "/healthz") // makes the first key
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("healthz: got %s, want 200", res.Status)
	}
	service := startProgram(t, dir, "Listening on ", "./service", "-addr", "127.0.0.1:0", "-redis", redis, "-insecure")
	return startProgram(t, dir, "Open ", "./proxy", "-addr", "127.0.0.1:0", "-aspnetcore", app, "-service", service)
}

// supervise is a shell script that ends the program when its standard input
// does, which the test process holds open: so also when that is killed. The end
// of the output is the end of the program.
const supervise = `"$@" </dev/null & exec >&- 2>&-; read _; kill $!; wait $!`

// startProgram runs a program in dir until the test ends. It returns what
// stands behind marker in a line of its output.
func startProgram(t *testing.T, dir, marker string, args ...string) string {
	t.Helper()
	cmd := exec.Command("/bin/sh", append([]string{"-c", supervise, "sh"}, args...)...)
	cmd.Dir, cmd.Env = dir, shopEnv()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	found, done := make(chan string, 1), make(chan struct{})
	var log strings.Builder // read once done is closed
	go func() {
		defer close(done)
		for r := bufio.NewReader(stdout); ; {
			line, err := r.ReadString('\n')
			log.WriteString(line)
			if _, value, ok := strings.Cut(line, marker); ok {
				select {
				case found <- strings.TrimSpace(value):
				default:
				}
			}
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		stdin.Close()
		select {
		case <-done:
		case <-time.After(patience):
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // with the shell
			<-done
		}
		cmd.Wait() // its error only says how it was ended
		if t.Failed() {
			t.Logf("%v said:\n%s", args, &log)
		}
	})
	select {
	case value := <-found:
		return value
	case <-done:
		t.Fatalf("%v has ended before it said %q", args, marker)
	case <-time.After(patience):
		t.Fatalf("%v has not said %q in %v", args, marker, patience)
	}
	return ""
}
