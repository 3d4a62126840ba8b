package browsertest

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

const (
	one        = "li button"
	notMe      = `li button[name="report"]`
	others     = `button[value="others"]`
	everywhere = `button[value="all"]`
)

// Two browsers are signed in; the laptop signs the phone out, in each way there
// is. The phone is anonymous at its next click.
func TestSignOut(t *testing.T) {
	s := newSite(t)
	laptop, phone := newBrowser(t, s.url, linux), newBrowser(t, s.url, iphone)
	for _, test := range []struct {
		name, button, message string
		left                  int
	}{
		{"one", one, "The device has been signed out.", 1},
		{"others", others, "All other devices have been signed out.", 1},
		{"everywhere", everywhere, "", 0},
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
			laptop.wantText(test.message)
			if got := len(s.sessions("alice")); got != test.left {
				t.Errorf("alice has %d sessions, want %d", got, test.left)
			}
			if test.left == 0 {
				laptop.wantPath("/login")
				laptop.open(mount)
				laptop.wantPath("/login")
			}

			// A form of a page that has been open since then does nothing,
			// and leads to sign in.
			if status := phone.click(everywhere); status != http.StatusOK {
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
	// Two buttons for each.
	for _, want := range []string{ids[1], ids[1], ids[2], ids[2], ids[3], ids[3], "others", "all"} {
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
	b.wantText("The device has been signed out.")
	if got := s.sessions("alice"); !slices.Equal(got, ids[:3]) {
		t.Errorf("got the sessions %q, want %q", got, ids[:3])
	}
	// The message gets the focus, so that it is read out; Tab goes on from it.
	eval[bool](b, `new Promise(done => (function look() {
		document.activeElement.getAttribute("role") === "status" ? done(true) : requestAnimationFrame(look)
	})())`)
	b.tab()
	b.wantFocus(ids[1])
	for range 4 {
		b.tab()
	}
	b.wantFocus("others")
	b.lead("press Space", chromedp.KeyEvent(" "))
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
	b.click(one)
	b.wantText("The device has been signed out.")
	b.wantText("Recently signed out", "signed out from elsewhere")
	b.click(notMe)
	b.wantText("The device has been signed out and reported. Change your password now", "reported as “This wasn’t me”")
	b.click(others)
	b.wantText("All other devices have been signed out.")
	b.click(everywhere)
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
	b.wantText("The device has been signed out.")
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
	if got := eval[int](b, "document.querySelectorAll('ul:not(.ended) li').length"); got != 30 {
		t.Fatalf("got %d devices, want 30", got)
	}
	b.check("30 sessions", s.issued())
	b.control()

	s.redis.SetError("LOADING Redis is loading the dataset in memory")
	if status := b.load("open "+mount, chromedp.Navigate(b.url+mount)); status != http.StatusServiceUnavailable {
		t.Errorf("an outage: got %d, want 503", status)
	}
	b.wantText("temporarily unavailable") // plain text, which has nothing for axe
	s.redis.SetError("")
	if status := b.open(mount); status != http.StatusOK {
		t.Errorf("after the outage: got %d, want 200", status)
	}
	b.wantText("This device")
}
