package browsertest

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

const (
	own        = "li.current form button"
	sure       = `button[name="revoke"]` // of the page that asks
	one        = "li:not(.current) form button"
	notMe      = `li button[name="report"]`
	others     = `button[name="sure"][value="others"]`
	everywhere = `button[value="all"]`
)

// Two browsers are signed in; the laptop signs the phone out, in each way there
// is. The phone is anonymous at its next click.
func TestSignOut(t *testing.T) {
	s := newSite(t)
	laptop, phone := newBrowser(t, s.url, linux), newBrowser(t, s.url, iphone)
	for _, test := range []struct {
		name, button, asks, message string
		left                        int
	}{
		{"one", one, "", "Safari on iPhone in Lisbon, Portugal has been signed out.", 1},
		{"others", others, "1 session will end.", "All other devices have been signed out.", 1},
		{"everywhere", everywhere, "2 sessions will end. This device is signed out, too.", "You are signed out everywhere", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			laptop.t, phone.t = t, t
			phone.signIn("alice", mount)
			phone.wantText("Safari on iPhone", "This device")
			laptop.open(mount)
			if laptop.path() == "/login" {
				laptop.signIn("alice", mount)
			}
			laptop.wantText("Chrome on Linux", "Safari on iPhone")
			if c := laptop.cookies()[0]; c.Name != "__Host-session" || !c.Secure || !c.HTTPOnly {
				t.Errorf("got the cookie %s, Secure %v, HttpOnly %v, want __Host-session with both", c.Name, c.Secure, c.HTTPOnly)
			}

			if status := laptop.click(test.button); status != http.StatusOK {
				t.Fatalf("got %d, want 200", status)
			}
			if test.asks != "" {
				laptop.wantText(test.asks)
				if got := len(s.sessions("alice")); got != 2 {
					t.Errorf("alice has %d sessions, want 2 until she is sure", got)
				}
				laptop.click(sure)
			}
			laptop.wantText(test.message)
			if got := len(s.sessions("alice")); got != test.left {
				t.Errorf("alice has %d sessions, want %d", got, test.left)
			}
			if test.left == 0 {
				laptop.click("a.button")
				laptop.wantPath("/login")
			}

			// A form of a page that has been open since then does nothing,
			// and leads to sign in.
			if status := phone.click(own); status != http.StatusOK {
				t.Errorf("got %d, want 200", status)
			}
			phone.wantPath("/login")
			if got := len(s.sessions("alice")); got != test.left {
				t.Errorf("alice has %d sessions, want %d", got, test.left)
			}
			phone.open(mount)
			phone.wantPath("/login")
		})
	}
}

// Tab goes through the buttons in the order of the page, each of which shows
// that it has the focus; Enter presses.
func TestKeyboard(t *testing.T) {
	s := newSite(t)
	s.signIn("alice", 3)
	b := newBrowser(t, s.url, linux)
	b.signIn("alice", mount)
	b.wantText("Where you’re logged in")
	ids := s.sessions("alice")
	if len(ids) != 4 {
		t.Fatalf("alice has %d sessions, want 4", len(ids))
	}
	// Two buttons for each, but one for the present device.
	for _, want := range []string{"Details", ids[0], "Details", ids[1], ids[1], "Details", ids[2], ids[2], "Details", ids[3], ids[3], "others", "all"} {
		b.tab()
		b.wantFocus(want)
	}
	for range 3 {
		b.call("press Shift+Tab", chromedp.KeyEvent(kb.Tab, chromedp.KeyModifiers(kb.ModifierShift)))
	}
	b.wantFocus(ids[3])
	if status := b.lead("press Enter", chromedp.KeyEvent(kb.Enter)); status != http.StatusOK {
		t.Fatalf("got %d, want 200", status)
	}
	b.wantText("Firefox on Android in Lisbon, Portugal has been signed out.")
	if got := s.sessions("alice"); !slices.Equal(got, ids[:3]) {
		t.Errorf("got the sessions %q, want %q", got, ids[:3])
	}
	// The message gets the focus, so that it is read out; Tab goes on from it.
	eval[bool](b, `new Promise(done => (function look() {
		document.activeElement.getAttribute("role") === "status" ? done(true) : requestAnimationFrame(look)
	})())`)
	b.tab()
	b.wantFocus("Details")
	b.call("press Enter", chromedp.KeyEvent(kb.Enter))
	b.wantText("Chrome/156.0.0.0", "Ends if unused")
	for range 8 {
		b.tab()
	}
	b.wantFocus("others")
	b.lead("press Space", chromedp.KeyEvent(" "))
	b.wantText("2 sessions will end.")
	b.tab()
	b.wantFocus("others")
	b.lead("press Enter", chromedp.KeyEvent(kb.Enter))
	b.wantText("All other devices have been signed out.")
	if got := s.sessions("alice"); !slices.Equal(got, ids[:1]) {
		t.Errorf("got the sessions %q, want %q", got, ids[:1])
	}
}

func (b *browser) tab() { b.t.Helper(); b.call("press Tab", chromedp.KeyEvent(kb.Tab)) }

// wantFocus checks that what has that value, text, ID or name has the focus, and
// shows it.
func (b *browser) wantFocus(value string) {
	b.t.Helper()
	type focus struct {
		Value, Outline string
		Visible        bool
	}
	got := eval[focus](b, `(() => {
		const e = document.activeElement, style = getComputedStyle(e), box = e.getBoundingClientRect()
		return {Value: e.value || e.innerText.trim() || e.id || e.name, Outline: style.outlineStyle + " " + style.outlineWidth,
			Visible: e.matches(":focus-visible") && box.top >= 0 && Math.floor(box.bottom) <= innerHeight}
	})()`)
	if want := (focus{value, "solid 3px", true}); got != want {
		b.t.Errorf("got the focus %+v, want %+v", got, want)
	}
}

func TestWithoutScripts(t *testing.T) {
	s := newSite(t)
	s.signIn("alice", 3)
	b := newBrowser(t, s.url, linux)
	b.withoutScripts()
	b.signIn("alice", mount)
	b.wantText("This device", "Safari on iPhone", "Edge on Windows")
	b.wantText("20 Nov 2026, 09:41 UTC")
	b.click(one)
	b.wantText("Safari on iPhone in Lisbon, Portugal has been signed out.")
	b.wantText("Recently signed out", "signed out from elsewhere")
	b.click(notMe)
	b.wantText("The device has been signed out and reported. Change your password now", "reported as “This wasn’t me”")
	s.signIn("alice", 1)
	s.signIn("alice", 1)
	b.open(mount)
	b.click(".group .alike button") // is seen, as the group is open
	b.wantText("Sign out all sessions of Safari on iPhone?", "2 sessions will end.")
	b.click(`button[name="alike"]`)
	b.wantText("All of these devices have been signed out.")
	b.click(others)
	b.click(sure)
	b.wantText("All other devices have been signed out.")
	b.click(everywhere)
	b.click(sure)
	b.wantText("You are signed out everywhere")
	b.click("a.button")
	b.wantPath("/login")
	if got := len(s.sessions("alice")); got != 0 {
		t.Errorf("alice has %d sessions, want none", got)
	}
}

// The pages of the user, in each state and look.
func TestDevicesPages(t *testing.T) {
	s := newSite(t)
	b := newBrowser(t, s.url, linux)
	b.signIn("alice", mount)
	b.check("one session", s.issued())

	s.signIn("alice", 5)
	b.open(mount)
	gone := eval[string](b, fmt.Sprintf("document.querySelector(%q).value", one))
	if err := s.store.Revoke(s.ctx(), "alice", gone); err != nil {
		t.Fatal(err)
	}
	if status := b.click(one); status != http.StatusNotFound {
		t.Errorf("a session that has ended: got %d, want 404", status)
	}
	b.wantText("That device is no longer signed in.")
	b.check("not found", s.issued())
	b.click(one)
	b.wantText("has been signed out.")
	b.check("done", s.issued())
	b.click(notMe)
	b.wantText("Change your password now", "reported as “This wasn’t me”", "signed out from elsewhere")
	b.check("reported", s.issued())
	s.spoil(s.sessions("alice")[1])
	b.open(mount)
	b.wantText("The details of this session can’t be read.")
	b.check("undecodable", s.issued())

	s.signIn("alice", 27)
	b.open(mount)
	if got := eval[int](b, "document.querySelectorAll('button[name=revoke]').length"); got != 30 {
		t.Fatalf("got %d devices, want 30", got)
	}
	b.check("30 sessions", s.issued())
	eval[bool](b, "document.querySelectorAll('details').forEach(d => d.open = true), true")
	b.check("30 sessions, opened", s.issued())
	b.control()
	s.signIn("alice", 25)
	b.open(mount)
	b.click("a[rel=next]")
	b.wantText("Page 2 of 2")
	b.check("second page", s.issued())
	b.click(others)
	b.wantText("54 sessions will end.")
	b.check("sure", s.issued())
	if status := b.open(mount + "nothing"); status != http.StatusNotFound {
		t.Errorf("no page: got %d, want 404", status)
	}
	b.check("no page", s.issued())

	s.redis.SetError("LOADING Redis is loading the dataset in memory")
	if status := b.load("open "+mount, chromedp.Navigate(b.url+mount)); status != http.StatusServiceUnavailable {
		t.Errorf("an outage: got %d, want 503", status)
	}
	b.wantText("temporarily unavailable")
	b.check("outage", s.issued())
	s.redis.SetError("")
	if status := b.click("a.button"); status != http.StatusOK {
		t.Errorf("after the outage: got %d, want 200", status)
	}
	b.wantText("This device")
	b.click(everywhere)
	b.click(sure)
	b.check("everywhere", s.issued())
}

// The page has its times as the reader has them: in their zone, and as is usual
// where their language is spoken.
func TestTimes(t *testing.T) {
	s := newSite(t)
	s.signIn("alice", 1)
	b := newBrowser(t, s.url, linux)
	b.call("a zone", chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: "Asia/Kathmandu"})
		return err
	}))
	b.signIn("alice", mount)
	want := eval[string](b, `new Intl.DateTimeFormat(navigator.language, {dateStyle: "medium", timeStyle: "short", timeZone: "Asia/Kathmandu"}).format(new Date("2026-11-20T09:41:00Z"))`)
	if !strings.Contains(want, "3:26") {
		t.Fatalf("got %q, want 3:26 in the afternoon", want)
	}
	b.wantText("Signed in", want)
	if got := eval[string](b, `document.querySelector("time[title]").title`); got != want {
		t.Errorf("got the title %q, want %q", got, want)
	}
	if got := eval[string](b, `document.querySelector("time[title]").textContent`); got != "just now" {
		t.Errorf("got %q, want just now", got)
	}
}
