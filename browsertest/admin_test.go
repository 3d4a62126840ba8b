package browsertest

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// The operator finds alice and signs her phone out, then all that she has,
// without scripts. Alice is no operator.
func TestAdmin(t *testing.T) {
	s := newSite(t)
	operator, phone := newBrowser(t, s.url, linux), newBrowser(t, s.url, iphone)
	s.signIn("alice", 2)
	phone.signIn("alice", mount)
	if status := phone.open("/admin/"); status != http.StatusForbidden {
		t.Errorf("alice gets %d, want 403", status)
	}

	operator.withoutScripts()
	operator.signIn("admin", "/admin/")
	operator.wantText("Users signed in\n2", "Sessions\n4")
	operator.call("find", chromedp.SendKeys(chromedp.CSS("#subject"), "alice"))
	operator.lead("press Enter", chromedp.KeyEvent(kb.Enter))
	operator.wantText("Sessions of\nalice", "Safari on iPhone", "Edge on Windows")
	id := s.sessions("alice")[0]
	if status := operator.click(fmt.Sprintf("button[value=%q]", id)); status != http.StatusOK {
		t.Fatalf("got %d, want 200", status)
	}
	operator.wantText("The session has been ended.")
	if got := len(s.sessions("alice")); got != 2 {
		t.Errorf("alice has %d sessions, want 2", got)
	}
	phone.open(mount)
	phone.wantPath("/login")

	phone.signIn("alice", mount)
	operator.click(everywhere)
	operator.wantText("All sessions of this user have been ended.", "This user has no sessions.")
	phone.open(mount)
	phone.wantPath("/login")
	operator.click(`a[href="?"]`)
	operator.wantText("Users signed in\n1", "Sessions\n1", "Your session")
}

// The operator finds all sessions of a network, looks at what would end, and ends
// that, without scripts; then sees it among all that have ended.
func TestAdminEndsThese(t *testing.T) {
	s := newSite(t)
	s.signIn("alice", 3)
	s.signIn("bob", 4)
	operator := newBrowser(t, s.url, linux)
	operator.withoutScripts()
	operator.signIn("admin", "/admin/")
	operator.call("network", chromedp.SendKeys(chromedp.CSS("input[name=network]"), "198.51.100.0/24"))
	operator.lead("press Enter", chromedp.KeyEvent(kb.Enter))
	operator.wantText("alice", "bob", "Edge on Windows")
	operator.click("button[name=these]")
	operator.wantText("End these sessions?", "2 sessions of 2 users", "198.51.100.0/24", "Your own session does not end")
	if got := len(s.sessions("alice")) + len(s.sessions("bob")); got != 7 {
		t.Errorf("the preview leaves %d sessions, want 7", got)
	}
	if status := operator.click("button[value=end]"); status != http.StatusOK {
		t.Fatalf("got %d, want 200", status)
	}
	operator.wantText("2 sessions have been ended.", "No sessions match this filter.")
	if got := len(s.sessions("alice")) + len(s.sessions("bob")); got != 5 {
		t.Errorf("got %d sessions, want 5", got)
	}
	operator.click(`a[href="?ended=all"]`)
	operator.wantText("Ended sessions", "alice", "bob", "signed out by an administrator", "admin")
	operator.click(`a[href="?subject=bob"]`)
	operator.wantText("Sessions of\nbob", "Ended sessions 1")
}

// Tab goes through the pages in their order; Enter finds, follows and ends.
func TestAdminKeyboard(t *testing.T) {
	s := newSite(t)
	s.signIn("admin", 1)
	b := newBrowser(t, s.url, linux)
	b.signIn("admin", "/admin/")
	for _, want := range []string{"subject", "Find", "Ended sessions", "device", "network", "since", "since", "since", "", "before", "before", "before", "", "Filter", "admin", "admin"} {
		b.tab()
		if want != "" { // the button of a calendar is within its field
			b.wantFocus(want)
		}
	}
	b.lead("press Enter", chromedp.KeyEvent(kb.Enter))
	b.wantText("Sessions of\nadmin")
	ids := s.sessions("admin")
	for _, want := range []string{"All sessions", "admin", "Find", ids[0], ids[1]} {
		b.tab()
		b.wantFocus(want)
	}
	b.lead("press Enter", chromedp.KeyEvent(kb.Enter))
	b.wantText("The session has been ended.")
	if got := s.sessions("admin"); !slices.Equal(got, ids[:1]) {
		t.Errorf("got the sessions %q, want %q", got, ids[:1])
	}
}

// The pages of the operator, in each state and look.
func TestAdminPages(t *testing.T) {
	s := newSite(t)
	b := newBrowser(t, s.url, linux)
	b.signIn("admin", "/admin/")
	b.check("one session", s.issued())
	s.signIn("alice", 6)
	s.signIn("bob\u202egnp.exe", 1) // a name with a mark that reverses the rest
	s.signIn("somebody-with-a-very-long-name-without-any-place-to-break-it@an-organisation-with-a-long-name.example", 1)
	s.spoil(s.sessions("alice")[1])
	b.open("/admin/")
	b.wantText("Users signed in\n4", "Sessions\n9")
	b.check("all", s.issued())

	b.open("/admin/?subject=alice")
	b.wantText("Sessions of\nalice")
	b.check("user", s.issued())
	if err := s.store.Revoke(s.ctx(), "alice", s.sessions("alice")[0]); err != nil {
		t.Fatal(err)
	}
	if status := b.click(one); status != http.StatusNotFound {
		t.Errorf("a session that has ended: got %d, want 404", status)
	}
	b.wantText("This user has no such session, or no longer.", "Ended sessions", "signed out from elsewhere")
	b.check("not found", s.issued())
	b.click(".filter button")
	b.wantText("Ended sessions 1", "signed out from elsewhere")
	b.open("/admin/?subject=alice&cause=idle")
	b.wantText("Ended sessions 0", "None.")
	b.check("filtered", s.issued())
	b.open("/admin/?ended=all")
	b.wantText("Ended sessions", "alice", "signed out from elsewhere")
	b.check("all ended", s.issued())
	b.open("/admin/?ended=all&cause=evicted&before=2026-11-20")
	b.wantText("None.")
	b.check("none ended", s.issued())
	b.open("/admin/?device=o&since=2026-10-01")
	b.wantText("End all of these")
	b.check("some of all", s.issued())
	b.click("button[name=these]")
	b.wantText("End these sessions?", "somebody-with-a-very-long-name")
	b.check("preview", s.issued())
	b.open("/admin/?these=preview&device=curl")
	b.click("button[value=end]")
	b.wantText("1 session has been ended.")
	b.check("done", s.issued())
	if status := b.open("/admin/?network=x"); status != http.StatusBadRequest {
		t.Errorf("no network: got %d, want 400", status)
	}
	b.wantText("That filter can’t be read.")
	b.check("no filter", s.issued())
	b.open("/admin/?subject=nobody")
	b.wantText("This user has no sessions.")
	b.check("no sessions", s.issued())
	if status := b.open("/admin/?cursor=none"); status != http.StatusBadRequest {
		t.Errorf("a cursor of no page: got %d, want 400", status)
	}
	b.check("no page", s.issued())

	s.signIn("alice", 60)
	b.open("/admin/")
	b.click("a[rel=next]")
	b.wantText("First page")
	b.check("last page", s.issued())
}
