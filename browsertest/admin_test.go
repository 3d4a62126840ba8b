package browsertest

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// signsOut is the selector of the button that ends a session.
func signsOut(id string) string { return fmt.Sprintf("button[value=%q]", id) }

const (
	asksFirst = `a[href$="sure=all"]`
	endsAll   = `button[name=revoke][value=all]`
)

// The operator finds alice by her name and signs her phone out, then all that she
// has, without scripts. Alice is no operator.
func TestAdmin(t *testing.T) {
	s := newSite(t)
	operator, phone := newBrowser(t, s.url, linux), newBrowser(t, s.url, iphone)
	s.signIn("alice", 2)
	phone.signIn("alice", mount)
	if status := phone.open("/admin/"); status != http.StatusForbidden {
		t.Errorf("alice gets %d, want 403", status)
	}
	phone.wantText("You are not allowed to see this page.", "Home page")

	operator.withoutScripts()
	operator.signIn("admin", "/admin/")
	operator.wantText("Users signed in\n2", "Sessions\n4")
	operator.call("find", chromedp.SendKeys(chromedp.CSS("#subject"), "alice ex"))
	operator.lead("press Enter", chromedp.KeyEvent(kb.Enter))
	operator.wantText("Sessions of Alice Example alice", "Safari on iPhone", "Edge on Windows")
	if status := operator.click(signsOut(s.sessions("alice")[0])); status != http.StatusOK {
		t.Fatalf("got %d, want 200", status)
	}
	operator.wantText("Signed out: Safari on iPhone, Lisbon, Portugal – Alice Example alice")
	if got := len(s.sessions("alice")); got != 2 {
		t.Errorf("alice has %d sessions, want 2", got)
	}
	phone.open(mount)
	phone.wantPath("/login")

	phone.signIn("alice", mount)
	operator.open("/admin/?subject=alice")
	operator.click(asksFirst)
	operator.wantText("Sign this user out everywhere?", "Alice Example alice", "3 sessions will end.")
	if got := len(s.sessions("alice")); got != 3 {
		t.Errorf("the question leaves %d sessions, want 3", got)
	}
	operator.click(endsAll)
	operator.wantText("Signed out everywhere (3 sessions): Alice Example alice", "This user has no sessions.")
	phone.open(mount)
	phone.wantPath("/login")
	operator.click(`a[href="?"]`)
	operator.wantText("Users signed in\n1", "Sessions\n1", "Your session")
}

// The operator signs out from the list, without scripts, and stays there.
func TestAdminSignsOutFromTheList(t *testing.T) {
	s := newSite(t)
	s.signIn("alice", 3)
	s.signIn("bob", 60)
	operator := newBrowser(t, s.url, linux)
	operator.withoutScripts()
	operator.signIn("admin", "/admin/")
	operator.click("a[rel=next]")
	operator.wantText("Previous page")
	id := eval[string](operator, `document.querySelector(".act input[value=bob] + button").value`)
	if status := operator.click(signsOut(id)); status != http.StatusOK {
		t.Fatalf("got %d, want 200", status)
	}
	operator.wantText("Signed out: ", " – Bob Example bob", "Previous page")
	if slices.Contains(s.sessions("bob"), id) || len(s.sessions("bob")) != 59 {
		t.Errorf("got %d sessions, want 59", len(s.sessions("bob")))
	}
	operator.click("a[rel=prev]")
	operator.wantText("Alice Example", "Next page")
	if got := eval[bool](operator, `document.body.innerText.includes("Previous page")`); got {
		t.Error("there is a page before the first one")
	}
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
	operator.call("open the filter", chromedp.Click(chromedp.CSS(".filtering summary")))
	operator.call("network", chromedp.SendKeys(chromedp.CSS("input[name=network]"), "198.51.100.0/24"))
	operator.lead("press Enter", chromedp.KeyEvent(kb.Enter))
	operator.wantText("Alice Example alice", "Bob Example bob", "Edge on Windows")
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
	operator.wantText("Ended sessions", "Alice Example", "Bob Example", "signed out by an administrator – admin")
	operator.click(`a[href="?subject=bob"]`)
	operator.wantText("Sessions of Bob Example bob", "Ended sessions 1")
}

// Tab goes through the pages in their order; Enter finds, follows, opens and ends.
func TestAdminKeyboard(t *testing.T) {
	s := newSite(t)
	s.signIn("admin", 1)
	b := newBrowser(t, s.url, linux)
	b.signIn("admin", "/admin/")
	ids := s.sessions("admin")
	for _, want := range []string{"subject", "Find", "Ended sessions", "Filter", "admin", "Details", ids[0], "admin", "Details", ids[1]} {
		b.tab()
		b.wantFocus(want)
	}
	b.open("/admin/")
	for range 4 {
		b.tab()
	}
	b.call("open the filter", chromedp.KeyEvent(kb.Enter))
	for _, want := range []string{"device", "network", "since", "since", "since", "", "before", "before", "before", "", "Filter", "admin"} {
		b.tab()
		if want != "" { // the button of a calendar is within its field
			b.wantFocus(want)
		}
	}
	b.lead("press Enter", chromedp.KeyEvent(kb.Enter))
	b.wantText("Sessions of admin")
	for _, want := range []string{"All sessions", "admin", "Find", "Sign out everywhere (2)", "Details"} {
		b.tab()
		b.wantFocus(want)
	}
	b.call("press Enter", chromedp.KeyEvent(kb.Enter))
	if !eval[bool](b, `document.querySelector(".act details").open`) {
		t.Error("Enter does not open the details")
	}
	for _, want := range []string{ids[0], "Details", ids[1]} {
		b.tab()
		b.wantFocus(want)
	}
	b.lead("press Enter", chromedp.KeyEvent(kb.Enter))
	b.wantText("Signed out: ")
	if got := s.sessions("admin"); !slices.Equal(got, ids[:1]) {
		t.Errorf("got the sessions %q, want %q", got, ids[:1])
	}
}

// A window of 1280 by 900 pixels shows 25 sessions in a table, in lines of their
// own; a phone shows cards. Nothing scrolls sideways, with details open or not.
func TestAdminTable(t *testing.T) {
	s := newSite(t)
	for i := range 10 {
		s.signIn(fmt.Sprintf("user%d@example.com", i), 3)
	}
	b := newBrowser(t, s.url, linux)
	b.signIn("admin", "/admin/")
	b.as(look{"", 1280, "light"}, 1)
	b.call("window", chromedp.EmulateViewport(1280, 900))
	const rows = `[...document.querySelectorAll(".sessions tbody tr")]`
	if got := eval[int](b, rows+`.filter(tr => tr.getBoundingClientRect().bottom <= innerHeight).length`); got < 25 {
		t.Errorf("got %d sessions in the window, want 25", got)
	}
	if got := eval[string](b, `[...document.querySelectorAll(".sessions th[scope=col]")].map(th => th.innerText.trim()).join()`); got != "User,Device,Where,Last used,Signed in,Expires,Sign out" {
		t.Errorf("got the columns %s", got)
	}
	for _, width := range []int64{1280, 1100, 1000, 961, 960, 800, 500, 360, 320} {
		b.as(look{"", width, "light"}, 1)
		table := eval[bool](b, `getComputedStyle(document.querySelector(".sessions thead")).position == "static"`)
		if table != (width > 960) {
			t.Errorf("%d pixels: got a table: %v", width, table)
		}
		for _, open := range []string{"false", "true"} {
			eval[bool](b, `document.querySelectorAll(".act details")[2].open = `+open+`, true`)
			if got := eval[int64](b, "document.documentElement.scrollWidth"); got > width {
				t.Errorf("%d pixels: the page has %d, with details open: %s", width, got, open)
			}
		}
	}
	// One opens, the other closes.
	eval[bool](b, `document.querySelectorAll(".act details")[3].open = true`)
	if got := eval[int](b, `document.querySelectorAll(".act details[open]").length`); got != 1 {
		t.Errorf("got %d details open, want 1", got)
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
	s.signIn("0195563e-a102-7c4d-9e21-5b0f3a6c8d12", 1)
	s.spoil(s.sessions("alice")[1])
	s.act("alice", "bob", "cannot pay")
	b.open("/admin/")
	b.wantText("Users signed in\n5", "Sessions\n11", "by operator Bob Example bob: cannot pay")
	b.check("all", s.issued())
	eval[bool](b, `document.querySelectorAll(".act details")[2].open = true`)
	b.wantText("User agent", "Session ID")
	b.check("details", s.issued())

	b.open("/admin/?subject=alice")
	b.wantText("Sessions of Alice Example alice")
	b.check("user", s.issued())
	b.click(asksFirst)
	b.wantText("7 sessions will end.")
	b.check("sure", s.issued())
	b.open("/admin/?subject=alice")
	id := eval[string](b, `document.querySelector(".act button").value`)
	if err := s.store.Revoke(s.ctx(), "alice", id); err != nil {
		t.Fatal(err)
	}
	if status := b.click(signsOut(id)); status != http.StatusNotFound {
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
	b.wantText("Ended sessions", "Alice Example", "signed out from elsewhere")
	b.check("all ended", s.issued())
	b.open("/admin/?ended=all&cause=evicted&before=2026-11-20")
	b.wantText("None.")
	b.check("none ended", s.issued())
	b.open("/admin/?find=example")
	b.wantText("Users found", "Alice Example alice", "Bob Example bob", "Carol Example")
	b.check("found", s.issued())
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
	if status := b.open("/admin/nothing"); status != http.StatusNotFound {
		t.Errorf("no page: got %d, want 404", status)
	}
	b.wantText("There is no such page.")
	b.check("nothing", s.issued())

	s.signIn("alice", 60)
	b.open("/admin/")
	b.click("a[rel=next]")
	b.wantText("First page", "Previous page")
	b.check("last page", s.issued())
}
