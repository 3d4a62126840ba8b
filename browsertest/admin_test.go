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

// Tab goes through the pages in their order; Enter finds, follows and ends.
func TestAdminKeyboard(t *testing.T) {
	s := newSite(t)
	s.signIn("admin", 1)
	b := newBrowser(t, s.url, linux)
	b.signIn("admin", "/admin/")
	for _, want := range []string{"subject", "Find", "admin", "admin"} {
		b.tab()
		b.wantFocus(want)
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
