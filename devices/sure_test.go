package devices

import (
	"errors"
	"html"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/ui/uitest"
)

func (s *site) alike(me string) string { return url.Values{"alike": {me}}.Encode() }

// Before many sessions end, a page asks, and changes nothing.
func TestSure(t *testing.T) {
	eachBackend(t, func(t *testing.T, s *site) {
		me, a, b, curl := s.Login("alice", uitest.Firefox, ""), s.Login("alice", uitest.IPhone, ""), s.Login("alice", uitest.IPhone, ""), s.Login("alice", "curl/8", "")
		mine, bob := s.Login("alice", uitest.Firefox, ""), s.Login("bob", uitest.IPhone, "")
		for _, test := range []struct {
			what, title, text, button string
		}{
			{"others", "Sign out all other devices?", "4 sessions will end.<", `name="revoke" value="others"`},
			{"all", "Sign out everywhere?", "5 sessions will end. This device is signed out, too.<", `name="revoke" value="all"`},
			{s.ID(a), "Sign out all sessions of Safari on iPhone?", "2 sessions will end.<", `name="alike" value="` + s.ID(a) + `"`},
			{s.ID(mine), "Sign out all sessions of Firefox on Linux?", "1 session will end.<", `name="alike" value="` + s.ID(mine) + `"`},
		} {
			body := s.page(me, "?sure="+test.what).Text
			for _, want := range []string{"<h1>" + test.title + "</h1>", "<title>" + test.title + "</title>", test.text, test.button, `href="?"`} {
				if !strings.Contains(body, want) {
					t.Errorf("%s: no %q in %s", test.what, want, body)
				}
			}
			if strings.Count(body, "<button") != 1 || len(forms.FindAllString(body, -1)) != 1 {
				t.Errorf("%s: want one button, in a form: %s", test.what, body)
			}
		}
		for _, id := range []string{s.ID(me), s.ID(bob), "x", "", "<script>"} {
			res := s.Request("GET", mount+"/?"+url.Values{"sure": {id}}.Encode(), me).Want(404)
			if !strings.Contains(res.Text, english().NotFound) {
				t.Errorf("%q: got %s", id, res.Text)
			}
			if id != "" {
				s.Request("POST", mount+"/", me, s.alike(id)).Want(404)
			}
		}
		if got := s.Alive(me, a, b, curl, mine, bob); got != "111111" {
			t.Fatalf("got %s alive, want all: who is asked has ended nothing", got)
		}
		for _, body := range []string{"alike=" + s.ID(a) + "&revoke=all", "alike=" + s.ID(a) + "&revoke=" + s.ID(curl)} {
			s.Request("POST", mount+"/", me, body).Want(400)
		}
		s.Request("POST", mount+"/", me, s.alike(s.ID(a))).With("Sec-Fetch-Site", "cross-site").Want(403)
		res := s.Request("POST", mount+"/", me, s.alike(s.ID(b))).Want(303)
		wantNoCookie(t, res)
		if got := s.Alive(me, a, b, curl, mine, bob); got != "100111" || res.Header.Get("Location") != "?done=alike" {
			t.Errorf("got %s alive, want 100111, at %s", got, res.Header.Get("Location"))
		}
		if body := s.page(me, "?done=alike").Text; !strings.Contains(body, english().DoneAlike) {
			t.Errorf("got %s", body)
		}
	})
}

func TestSureOutage(t *testing.T) {
	s := newSite(t, Config{})
	faulty := &faultyStore{RedisStore: s.Store}
	s.on(faulty, Config{})
	me, other := s.Login("alice", uitest.Firefox, ""), s.Login("alice", uitest.IPhone, "")
	id := s.ID(other)
	faulty.revoked = errors.New("LOADING")
	s.Request("POST", mount+"/", me, s.alike(id)).Want(503)
	faulty.revoked = ticketstore.ErrNotFound // it has ended meanwhile, which is as well
	s.Request("POST", mount+"/", me, s.alike(id)).Want(303)
	faulty.index = errors.New("LOADING")
	s.Request("GET", mount+"/?sure=all", me).Want(503)
	s.Request("POST", mount+"/", me, s.alike(id)).Want(503)
	if s.Alive(me, other) != "11" {
		t.Error("an outage has ended a session")
	}
}

// Who is asked for a recent sign-in comes back to the question; to sign oneself
// out asks for none.
func TestSureRecent(t *testing.T) {
	s := newSite(t, Config{RecentSignIn: 10 * time.Minute}, func(cfg *ticketstore.Config) { cfg.LoginPath = "/login" })
	me, other := s.Login("alice", uitest.Firefox, ""), s.Login("alice", uitest.IPhone, "")
	s.Advance(10 * time.Minute)
	for _, what := range []string{"all", "others", s.ID(other)} {
		got := s.Request("GET", mount+"/?sure="+what, me).With("Sec-Fetch-Mode", "navigate").Want(302).Header.Get("Location")
		if want := "/login?ReturnUrl=%2Faccount%2Fsessions%2F%3Fsure%3D" + what + "&reauth=1"; got != want {
			t.Errorf("got Location %q, want %q", got, want)
		}
	}
	if got, want := s.Request("POST", mount+"/", me, s.alike(s.ID(other))).Want(303).Header.Get("Location"), "?sure="+s.ID(other); got != want || s.Alive(other) != "1" {
		t.Errorf("got Location %q, want %q", got, want)
	}
	if body := html.UnescapeString(s.Request("GET", mount+"/?sure=all", me).With("Sec-Fetch-Mode", "cors").Want(403).Text); !strings.Contains(body, "A recent sign-in is required.") {
		t.Errorf("got %s", body)
	}
	third := s.Login("alice", "curl/8", "")
	s.Advance(10 * time.Minute)
	wantDeleted(t, s.Request("DELETE", mount+"/"+s.ID(third), third).Want(204))
	wantDeleted(t, s.revoke(me, s.ID(me)).Want(303))
	if got := s.Alive(me, other, third); got != "010" {
		t.Errorf("got %s alive, want 010", got)
	}
}

// An operator who acts as the user cannot prove to be the user.
func TestRecentSignInOfStaff(t *testing.T) {
	s := newSite(t, Config{RecentSignIn: time.Hour})
	other := s.Login("alice", uitest.IPhone, "")
	operator := s.Login("root", uitest.Firefox, "")
	s.Mux.HandleFunc("/act", func(w http.ResponseWriter, r *http.Request) {
		if err := s.Manager.Impersonate(w, r, ticketstore.NewTicket("alice"), "ticket 7"); err != nil {
			t.Error(err)
		}
	})
	cookies := s.Request("POST", "/act", operator).Want(200).Cookies()
	acting := func(method, path string, body ...string) uitest.Call {
		c := s.Request(method, mount+path, cookies[0], body...)
		for _, cookie := range cookies[1:] {
			c.AddCookie(&http.Cookie{Name: cookie.Name, Value: cookie.Value})
		}
		return c
	}
	if body := acting("GET", "/").Want(200).Text; strings.Count(body, english().Staff) != 1 {
		t.Errorf("got %s", body)
	}
	for _, body := range []string{"revoke=" + s.ID(other), "revoke=all", s.alike(s.ID(other))} {
		acting("POST", "/", body).Want(303)
	}
	acting("GET", "/?sure=all").Want(403)
	acting("DELETE", "/all").Want(403)
	if s.Alive(other) != "1" {
		t.Error("an operator has ended the user's session")
	}
}

// A ticket without a session, as of a test, has no ID: nothing is its own.
func TestSureOfNoSession(t *testing.T) {
	s := newSite(t, Config{RecentSignIn: time.Minute})
	other := s.Login("alice", uitest.Firefox, "")
	c := s.Request("POST", mount+"/", nil, s.alike(s.ID(other)))
	c.Request = c.WithContext(ticketstore.NewContext(c.Context(), ticketstore.NewTicket("alice")))
	c.Want(303)
	if s.Alive(other) != "1" {
		t.Error("a sign-in of no known time has ended a session")
	}
}

// After everything has ended, a page says so to the browser that has done it, and
// to no other.
func TestEverywhere(t *testing.T) {
	s := newSite(t, Config{}, func(cfg *ticketstore.Config) { cfg.LoginPath = "/login" })
	me := s.Login("alice", uitest.Firefox, "")
	res := s.revoke(me, "all").Want(303)
	wantDeleted(t, res)
	location := mount + "/" + res.Header.Get("Location")
	page := s.Request("GET", location, nil).With("Sec-Fetch-Site", "same-origin").With("Sec-Fetch-Mode", "navigate").Want(200)
	for _, want := range []string{"<h1>You are signed out everywhere</h1>", `role="status"`, `href="?">Sign in</a>`} {
		if !strings.Contains(page.Text, want) {
			t.Errorf("no %s in %s", want, page.Text)
		}
	}
	if got := page.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("got Cache-Control %q", got)
	}
	s.Request("GET", location, nil).With("Sec-Fetch-Site", "cross-site").With("Sec-Fetch-Mode", "navigate").Want(302)
	s.Request("GET", location, nil).With("Accept", asJSON).Want(401)
	s.Request("POST", location, nil, "x=y").Want(303)
	if body := s.page(s.Login("alice", uitest.Firefox, ""), res.Header.Get("Location")).Text; strings.Contains(body, "everywhere</h1>") || !strings.Contains(body, english().ThisDevice) {
		t.Errorf("somebody who is signed in reads that they are not: %s", body)
	}
}

// The message says which device was signed out, by what this process or the
// history knows of it, and nothing by what a link says.
func TestDoneNamesTheDevice(t *testing.T) {
	locate := func(netip.Addr) string { return "Porto <b>" }
	s := newSite(t, Config{Locate: locate})
	for name, cfg := range map[string]Config{"memory": {Locate: locate}, "history": {Locate: locate, History: s.Store.History}} {
		s.on(s.Store, cfg)
		me, other, bob := s.Login("alice", uitest.Firefox, ""), s.Login("alice", uitest.IPhone, "192.0.2.1"), s.Login("bob", "curl/8", "")
		id, bobs := s.ID(other), s.ID(bob)
		location := s.revoke(me, id).Want(303).Header.Get("Location")
		if name == "history" {
			s.on(s.Store, cfg) // another process
		}
		s.Request("POST", mount+"/", bob, "revoke="+bobs).Want(303)
		if body := s.page(me, location).Text; !strings.Contains(body, `role="status" tabindex="-1" autofocus>Safari on iPhone in Porto &lt;b&gt; has been signed out.</p>`) {
			t.Errorf("%s: got %s", name, body)
		}
		for _, query := range []string{"?done=" + bobs, "?done=" + s.ID(me), "?done=Safari+on+iPhone", "?done=%3Cscript%3E", "?done="} {
			if body := s.page(me, query).Text; strings.Contains(body, `<p class="message`) {
				t.Errorf("%s: %s: got %s", name, query, body)
			}
		}
		if body := s.Request("GET", mount+"/"+location, me).With("Sec-Fetch-Site", "cross-site").Want(200).Text; strings.Contains(body, `<p class="message`) {
			t.Errorf("%s: another site's link says what was done: %s", name, body)
		}
	}
}

// Of a device that nobody can name it says no more than that.
func TestDoneWithoutAName(t *testing.T) {
	s := newSite(t, Config{})
	me, other := s.Login("alice", uitest.Firefox, ""), s.Login("alice", "", "")
	location := s.revoke(me, s.ID(other)).Want(303).Header.Get("Location")
	if body := s.page(me, location).Text; !strings.Contains(body, "autofocus>The device has been signed out.</p>") {
		t.Errorf("got %s", body)
	}
}
