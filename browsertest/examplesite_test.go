package browsertest

import (
	"net/http"
	"regexp"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

var siteSaid = regexp.MustCompile(`Open (\S+)`)

// startSite runs examples/site until the test ends and returns its URL.
func startSite(t *testing.T) string {
	t.Helper()
	return startModule(t, "../examples/site", siteSaid)[1]
}

const (
	sitePassword = "correct horse"
	alicesPage   = "/operator/?subject=0197a3c0-5b1e-7d20-9c41-3f6a0c8e1d01"
	acting       = "You, Olivia Berg, are signed in as Alice Martin: Ticket 4711"
	signInAs     = ".as button"
	back         = ".in-the-name-of button"
)

// fill types text in place of what is in an input.
func (b *browser) fill(selector, text string) {
	b.t.Helper()
	eval[bool](b, "document.querySelector('"+selector+"').value = '', true")
	b.call("type", chromedp.SendKeys(chromedp.CSS(selector), text))
}

// siteSignIn ends on the home page.
func (b *browser) siteSignIn(login string) {
	b.t.Helper()
	b.open("/login")
	b.fill("#login", login)
	b.fill("#password", sitePassword)
	b.lead("press Enter", chromedp.KeyEvent(kb.Enter))
	b.wantPath("/")
}

// actAs ends on the home page of alice.
func (b *browser) actAs() {
	b.t.Helper()
	b.open(alicesPage)
	b.fill("#reason", "Ticket 4711")
	b.click(signInAs)
	b.wantPath("/")
	b.wantText(acting, "Hello, Alice Martin")
}

// All pages of the site, its own and those of devices and admin, look right, and
// nothing on them is refused by a policy: the console would say so.
func TestExampleSite(t *testing.T) {
	b := newBrowser(t, startSite(t), linux)
	b.open("/")
	b.wantPath("/login")
	b.check("sign in", nil)
	b.fill("#login", "alice")
	b.fill("#password", "wrong")
	if status := b.click(".primary"); status != http.StatusBadRequest {
		t.Errorf("a wrong password: got %d, want 400", status)
	}
	b.check("wrong password", nil)
	b.click(`a[href^="/login/provider"]`)
	b.wantText("Not for production")
	b.check("provider", nil)
	b.click(`button[value="olivia"]`)
	b.wantPath("/")
	b.wantText("Hello, Olivia Berg", "at the provider")
	b.check("home", nil)
	for path, text := range map[string]string{
		"/account/sessions/": "Chrome on Linux", "/account/password": "Change password", "/login?reauth=1": "Confirm that it is you",
		"/operator/": "Daniel Okafor", alicesPage: "Sign in as Alice Martin", "/operator/?ended=all": "Edge on Windows",
		"/nowhere": "There is no such page", "/account/sessions/nowhere": "Marginalia",
	} {
		b.open(path)
		b.wantText(text, "Olivia Berg", "Marginalia")
		b.check(path, nil)
	}
	b.actAs()
	b.check("acting", nil)
	b.open("/account/sessions/")
	b.wantText(acting, "Safari on iPhone", "Lisbon, Portugal")
	b.check("acting, devices", nil)
	b.open("/operator/")
	b.wantText(acting, "This page is for operators")
	b.check("acting, refused", nil)
}

// All of it works without scripts, and what one browser does another sees.
func TestExampleSiteWithoutScripts(t *testing.T) {
	url := startSite(t)
	alice, olivia := newBrowser(t, url, iphone), newBrowser(t, url, linux)
	alice.withoutScripts()
	olivia.withoutScripts()
	alice.siteSignIn("alice")
	olivia.siteSignIn("olivia")
	olivia.click(`a[href="/operator/"]`)
	olivia.fill("#subject", "martin")
	olivia.lead("press Enter", chromedp.KeyEvent(kb.Enter))
	olivia.wantText("Alice Martin", "Safari on iPhone")
	olivia.actAs()
	alice.open("/account/sessions/")
	alice.wantText("staff", "This computer")

	alice.open("/account/password")
	alice.fill("#new", "quite another one")
	alice.click(".primary")
	alice.wantText("Your password has been changed.")
	olivia.open("/account/password")
	olivia.wantText("Olivia Berg", "Change password")
	olivia.actAs()
	olivia.click(back)
	olivia.wantText("Olivia Berg", "Sign in as Alice Martin")
}

// An operator goes to work and back with no mouse: what has the focus shows it,
// and is in the order of the page.
func TestExampleSiteKeyboard(t *testing.T) {
	b := newBrowser(t, startSite(t), linux)
	b.open("/login")
	b.tab()
	b.wantFocus("Skip to content")
	b.call("press Enter", chromedp.KeyEvent(kb.Enter))
	b.tab()
	b.wantFocus("login")
	b.call("type", chromedp.KeyEvent("olivia"))
	b.tab()
	b.wantFocus("password")
	b.call("type", chromedp.KeyEvent(sitePassword))
	b.tab()
	b.wantFocus("on") // stay signed in
	b.tab()
	b.wantFocus("Sign in")
	b.lead("press Enter", chromedp.KeyEvent(kb.Enter))
	b.wantPath("/")
	b.actAs()
	for _, want := range []string{"Skip to content", "Back to yourself", "Marginalia", "Account", "Devices", "Password", "Sign out", "Where you’re logged in", "Change password"} {
		b.tab()
		b.wantFocus(want)
	}
	b.open("/")
	b.tab()
	b.tab()
	b.lead("press Enter", chromedp.KeyEvent(kb.Enter))
	b.wantText("Olivia Berg", "Sign in as Alice Martin")
}
