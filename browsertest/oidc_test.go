package browsertest

import (
	"bufio"
	"bytes"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/ticketstore/ticketstore/examples/oidc/provider"
)

// Two applications and a certified provider, in one browser.
func TestCertifiedProvider(t *testing.T) {
	issuer, register := provider.Start(t)
	shop, support, _ := startOpenID(t, "-provider", issuer)
	register(shop)
	register(support)
	testOpenID(t, shop, support, func(b *browser) {
		b.call("type", chromedp.SendKeys(chromedp.CSS("[name=login]"), "alice"))
	}, issuer+"/session/end", "button[name=logout]")
}

// The same with the provider that is in the example.
func TestDemonstrationProvider(t *testing.T) {
	shop, support, logout := startOpenID(t)
	b := testOpenID(t, shop, support, func(b *browser) {
		b.check("sign in at the provider", nil)
		b.call("type", chromedp.SendKeys(chromedp.CSS("#user"), "alice"))
	}, logout, "button")
	b.wantText("Nobody is signed in here.")
	b.check("signed out at the provider", nil)
}

// testOpenID signs in at the shop, with the form of the provider that typed fills
// in, and out at the provider, by the button of its logout page: both applications
// are out, and a page of each that is open says so. It returns the tab that is at
// the provider then.
func testOpenID(t *testing.T, shop, support string, typed func(*browser), logout, button string) *browser {
	const hello, said = "Hello, alice! You are signed in.", "You have been signed out."
	at := newBrowser(t, shop, linux)
	at.open("/")
	at.wantText("Nobody is signed in.")
	at.check("nobody", nil)
	at.click(`a[href="/login"]`)
	typed(at)
	at.lead("press Enter", chromedp.KeyEvent(kb.Enter))
	at.arrive()
	at.wantText(hello)
	at.check("signed in", nil)

	other := at.newTab(support)
	other.open("/")
	other.click(`a[href="/login"]`) // single sign-on
	other.arrive()
	other.wantText(hello)

	away := at.newTab(strings.TrimSuffix(logout, "/logout"))
	away.call("open "+logout, chromedp.Navigate(logout))
	away.waitText("ign") // "Sign out", "do you want to sign-out"
	begun := time.Now()
	away.click(button)
	at.waitText(said)
	other.waitText(said)
	t.Logf("both pages say so after %v", time.Since(begun).Round(time.Millisecond))
	at.check("told", nil)
	for _, b := range []*browser{at, other} {
		if got := eval[int](b, `fetch("/me").then(r => r.status)`); got != 401 {
			t.Errorf("%s/me: got %d, want 401", b.url, got)
		}
		b.open("/")
		b.wantText("Nobody is signed in.")
	}
	return away
}

// arrive tries again where the way back from the provider has failed, as that has
// no time on a busy machine.
func (b *browser) arrive() {
	b.t.Helper()
	for begin := time.Now(); eval[string](b, "location.pathname") == "/callback" && time.Since(begin) < patience; {
		b.open("/login")
	}
	b.wantPath("/")
}

// newTab returns a tab of the same browser, for the site at url.
func (b *browser) newTab(url string) *browser {
	b.t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx)
	b.t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		b.t.Fatal(err)
	}
	return &browser{b.t, url, ctx}
}

// startOpenID runs examples/oidc until the test ends. It returns the URLs of its
// applications and, if the provider is in it, where to sign out there.
func startOpenID(t *testing.T, args ...string) (shop, support, logout string) {
	t.Helper()
	m := startModule(t, "../examples/oidc", openIDSaid, args...)
	return m[1], m[2], m[3]
}

var openIDSaid = regexp.MustCompile(`(?s)Open (\S+) \(shop\).*Open (\S+) \(support\).*at the provider(?:: (\S+))?,`)

// startModule runs the program in dir, which is a module of its own, until the
// test ends, and returns what said finds in its output.
func startModule(t *testing.T, dir string, said *regexp.Regexp, args ...string) []string {
	t.Helper()
	exe := filepath.Join(t.TempDir(), filepath.Base(dir))
	if out, err := exec.Command("go", "-C", filepath.FromSlash(dir), "build", "-o", exe, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cmd := exec.Command(exe, args...)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("the program says:\n%s", &log)
		}
	})
	all := ""
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		all += lines.Text() + "\n"
		if m := said.FindStringSubmatch(all); m != nil {
			return m
		}
	}
	t.Fatalf("got %q, want %s", all, said)
	return nil
}
