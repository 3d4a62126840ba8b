package devices

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/ui"
	"github.com/ticketstore/ticketstore/internal/ui/uitest"
)

const asJSON = "application/json"

func TestEnd(t *testing.T) {
	eachBackend(t, func(t *testing.T, s *site) {
		for _, test := range []struct {
			name     string
			html     bool
			what     func(ids []string) string
			status   int
			location string
			body     string
			deleted  bool
			alive    string // the caller, two others, another user
		}{
			{"one", true, func(ids []string) string { return ids[1] }, 303, "?done=ID", "", false, "1011"},
			{"others", true, func([]string) string { return "others" }, 303, "?done=others", "", false, "1001"},
			{"all", true, func([]string) string { return "all" }, 303, "?done=all", "", true, "0001"},
			{"own", true, func(ids []string) string { return ids[0] }, 303, "/", "", true, "0111"},
			{"one", false, func(ids []string) string { return ids[1] }, 204, "", "", false, "1011"},
			{"others", false, func([]string) string { return "others" }, 200, "", `{"revoked":2}`, false, "1001"},
			{"all", false, func([]string) string { return "all" }, 200, "", `{"revoked":3}`, true, "0001"},
			{"own", false, func(ids []string) string { return ids[0] }, 204, "", "", true, "0111"},
		} {
			me, a, b := s.Login("alice", uitest.Firefox, ""), s.Login("alice", uitest.IPhone, ""), s.Login("alice", "curl/8", "")
			bob := s.Login("bob", uitest.Firefox, "")
			what := test.what([]string{s.ID(me), s.ID(a), s.ID(b)})
			test.location = strings.ReplaceAll(test.location, "ID", what)
			c := s.Request("DELETE", mount+"/"+what, me).With("Accept", asJSON)
			if test.html {
				c = s.revoke(me, what)
			}
			res := c.Want(test.status)
			if got := res.Header.Get("Location"); got != test.location || strings.TrimSpace(res.Text) != test.body {
				t.Errorf("%s: got Location %q and %q, want %q and %q", test.name, got, res.Text, test.location, test.body)
			}
			if test.deleted {
				wantDeleted(t, res)
			} else {
				wantNoCookie(t, res)
			}
			if got := s.Alive(me, a, b, bob); got != test.alive {
				t.Errorf("%s: got %s alive, want %s", test.name, got, test.alive)
			}
			if _, err := s.Store.RevokeAll(s.Ctx(), "alice"); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestUnknownID(t *testing.T) {
	eachBackend(t, func(t *testing.T, s *site) {
		me, other, bob := s.Login("alice", uitest.Firefox, ""), s.Login("alice", uitest.IPhone, ""), s.Login("bob", uitest.Firefox, "")
		ended := s.ID(other)
		s.revoke(me, ended).Want(303)
		for _, id := range []string{s.ID(bob), ended, "01a20f9d-251e-7b83-a905-97752a4ab701", "x", "alice", "../alice",
			"%00", "OTHERS", "all/", "others/", "*", "{a7}sessions", strings.Repeat("9", 3000), strings.ToUpper(s.ID(bob))} {
			res := s.revoke(me, id).Want(404)
			if !strings.Contains(res.Text, english().NotFound) || !strings.Contains(res.Text, `role="alert"`) {
				t.Errorf("%q: the page does not say that there is none: %s", id, res.Text)
			}
			wantNoCookie(t, res)
			c := s.Request("DELETE", mount+"/x", me)
			c.URL.Path = mount + "/" + id
			s.Mux.ServeHTTP(httptest.NewRecorder(), c.Request) // ServeMux cleans paths
			w := httptest.NewRecorder()
			c.URL.Path = "/" + id
			h, _ := New(s.Manager, Config{})
			h.ServeHTTP(w, c.Request)
			if w.Code != 404 {
				t.Errorf("DELETE %q: got %d, want 404", id, w.Code)
			}
			if got := s.Alive(me, bob); got != "11" {
				t.Fatalf("%q: got %s alive, want 11", id, got)
			}
		}
		s.revoke(me, "").Want(400)
		s.Request("POST", mount+"/", me, "%zz").Want(400)
		s.Request("POST", mount+"/", me, "revoke=all&x="+strings.Repeat("x", ui.MaxForm)).Want(400)
		s.Request("POST", mount+"/?revoke=all", me, "x=y").Want(400)
		s.Request("POST", mount+"/", me).With("Content-Type", asJSON).Want(400)
		s.Request("DELETE", mount+"/", me).Want(405)
		s.Request("PUT", mount+"/", me).Want(405)
		if got := s.Alive(me, bob); got != "11" {
			t.Errorf("got %s alive, want 11", got)
		}
	})
}

func TestGETChangesNothing(t *testing.T) {
	s := newSite(t, Config{})
	me, other := s.Login("alice", uitest.Firefox, ""), s.Login("alice", uitest.IPhone, "")
	s.WantNoChange(me, mount+"/", mount+"/?revoke=all", mount+"/?revoke=others", mount+"/?done=others", mount+"/?confirm=1", mount+"/?_method=DELETE", mount+"/all", mount+"/others", mount+"/"+s.ID(other))
}

func TestCrossSite(t *testing.T) {
	s := newSite(t, Config{TrustedOrigins: []string{"https://app.example.com"}})
	me, other := s.Login("alice", uitest.Firefox, ""), s.Login("alice", uitest.IPhone, "")
	for _, header := range [][2]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}, {"Origin", "null"}} {
		for _, what := range []string{"all", "others", s.ID(other), s.ID(me)} {
			wantNoCookie(t, s.revoke(me, what).With(header[0], header[1]).Want(403))
			wantNoCookie(t, s.Request("DELETE", mount+"/"+what, me).With(header[0], header[1]).Want(403))
		}
	}
	if got := s.Alive(me, other); got != "11" {
		t.Fatalf("got %s alive, want 11", got)
	}
	s.revoke(me, s.ID(other)).With("Origin", "https://app.example.com").With("Sec-Fetch-Site", "same-site").Want(303)
	s.revoke(me, "all").With("Origin", "http://example.com").With("Sec-Fetch-Site", "same-origin").Want(303)
}

func TestAnonymous(t *testing.T) {
	s := newSite(t, Config{}, func(cfg *ticketstore.Config) { cfg.LoginPath = "/login" })
	for _, method := range []string{"GET", "POST", "DELETE"} {
		wantNoCookie(t, s.Request(method, mount+"/all", nil).Want(401))
	}
	res := s.Request("GET", mount+"/", nil).With("Sec-Fetch-Mode", "navigate").Want(302)
	if got, want := res.Header.Get("Location"), "/login?ReturnUrl=%2Faccount%2Fsessions%2F"; got != want {
		t.Errorf("got Location %q, want %q", got, want)
	}
	// A button of a page whose session has ended since leads to sign in, too.
	res = s.revoke(nil, "all").Want(303)
	wantNoCookie(t, res)
	if got := res.Header.Get("Location"); got != "?" {
		t.Errorf("got Location %q, want the page itself", got)
	}
}

func TestRecentSignIn(t *testing.T) {
	s := newSite(t, Config{RecentSignIn: 10 * time.Minute}, func(cfg *ticketstore.Config) { cfg.LoginPath = "/login" })
	me, other := s.Login("alice", uitest.Firefox, ""), s.Login("alice", uitest.IPhone, "")
	s.Advance(10 * time.Minute)
	s.page(me) // looking is free
	for what, want := range map[string]string{"all": "?sure=all", "others": "?sure=others", s.ID(other): "?confirm=1"} {
		res := s.revoke(me, what).Want(303)
		if got := res.Header.Get("Location"); got != want {
			t.Errorf("%s: got Location %q, want %s", what, got, want)
		}
		wantNoCookie(t, res)
		wantNoCookie(t, s.Request("DELETE", mount+"/"+what, me).Want(403))
	}
	if got := s.Alive(me, other); got != "11" {
		t.Fatalf("got %s alive, want 11", got)
	}
	res := s.Request("GET", mount+"/?confirm=1", me).With("Sec-Fetch-Mode", "navigate").Want(302)
	if got, want := res.Header.Get("Location"), "/login?ReturnUrl=%2Faccount%2Fsessions%2F%3Fconfirm%3D1&reauth=1"; got != want {
		t.Errorf("got Location %q, want %q", got, want)
	}
	me = s.Request("POST", "/login?user=alice", me).Want(200).Cookies()[0]
	if res := s.page(me, "?confirm=1"); !strings.Contains(res.Text, english().Confirmed) {
		t.Errorf("the page does not say that the user may go on: %s", res.Text)
	}
	s.Advance(10*time.Minute - time.Millisecond)
	s.revoke(me, s.ID(other)).Want(303)
	if got := s.Alive(me, other); got != "10" {
		t.Errorf("got %s alive, want 10", got)
	}
	s.Request("DELETE", mount+"/all", me).Want(200)
}

// Single sign-on is as recent as the password that it rests on.
func TestRecentSignInBySSO(t *testing.T) {
	s := newSite(t, Config{RecentSignIn: 10 * time.Minute}, func(cfg *ticketstore.Config) { cfg.LoginPath = "/login" })
	s.Mux.HandleFunc("/sso", func(w http.ResponseWriter, r *http.Request) {
		tk := ticketstore.NewTicket("alice")
		ago, err := time.ParseDuration(r.FormValue("ago"))
		tk.AuthenticatedAt = s.Now.Add(-ago)
		if err := errors.Join(err, s.Manager.SignIn(w, r, tk)); err != nil {
			t.Error(err)
		}
	})
	other := s.Login("alice", uitest.IPhone, "")
	me := s.Request("POST", "/sso?ago=8h", nil).Want(200).Cookies()[0]
	if got := s.revoke(me, s.ID(other)).Want(303).Header.Get("Location"); got != "?confirm=1" {
		t.Errorf("got Location %q, want ?confirm=1", got)
	}
	s.Request("DELETE", mount+"/"+s.ID(other), me).Want(403)
	s.Request("GET", mount+"/?confirm=1", me).With("Sec-Fetch-Mode", "navigate").Want(302)
	if got := s.Alive(me, other); got != "11" {
		t.Fatalf("got %s alive, want 11", got)
	}
	me = s.Request("POST", "/sso?ago=9m", me).Want(200).Cookies()[0]
	s.page(me, "?confirm=1")
	s.revoke(me, s.ID(other)).Want(303)
	if got := s.Alive(me, other); got != "10" {
		t.Errorf("got %s alive, want 10", got)
	}
}

// What a link says must not stand on the page, unless the page itself made it.
func TestMessage(t *testing.T) {
	s := newSite(t, Config{})
	me := s.Login("alice", uitest.Firefox, "")
	for _, test := range []struct{ query, site, want string }{
		{"", "same-origin", ""},
		{"?done=one", "same-origin", "The device has been signed out."},
		{"?done=alike", "same-origin", english().DoneAlike},
		{"?done=" + s.ID(me), "same-origin", ""}, // which goes on
		{"?done=others", "", english().DoneOthers},
		{"?done=others", "cross-site", ""},
		{"?done=others", "none", ""},
		{"?done=Call+0900", "same-origin", ""},
		{"?confirm=1", "same-origin", ""}, // nobody asks for it
	} {
		c := s.Request("GET", mount+"/"+test.query, me)
		if test.site != "" {
			c.With("Sec-Fetch-Site", test.site)
		}
		res := c.Want(200)
		if strings.Contains(res.Text, "<p class=\"message") != (test.want != "") || !strings.Contains(res.Text, test.want) || strings.Contains(res.Text, "0900") {
			t.Errorf("%s from %q: want %q on the page: %s", test.query, test.site, test.want, res.Text)
		}
		if test.want != "" && !strings.Contains(res.Text, `role="status"`) {
			t.Errorf("%s: no role=status", test.query)
		}
	}
}

func TestHeaders(t *testing.T) {
	s := newSite(t, Config{})
	me := s.Login("alice", uitest.Firefox, "")
	for _, c := range []uitest.Call{
		s.Request("GET", mount+"/", me), s.Request("GET", mount+"/", me).With("Accept", asJSON), s.Request("GET", mount+"/", nil),
		s.Request("POST", mount+"/", me), s.revoke(me, "all").With("Sec-Fetch-Site", "cross-site"), s.Request("GET", mount+"/nothing", me),
		s.Request("DELETE", mount+"/nothing", me), s.revoke(me, "others"), s.revoke(me, "all"),
	} {
		c.WantGuarded()
	}
}

func TestMount(t *testing.T) {
	s := newSite(t, Config{})
	h, err := New(s.Manager, Config{})
	if err != nil {
		t.Fatal(err)
	}
	// A router that has taken the prefix off entirely, and one behind a proxy.
	bare := func(prefix string) http.Handler { return http.StripPrefix(prefix, h) }
	mux := http.NewServeMux()
	mux.Handle("/", h)
	for name, test := range map[string]struct {
		handler http.Handler
		path    string
	}{
		"at the root":           {h, "/"},
		"at the root of a mux":  {mux, "/"},
		"prefix":                {bare("/a/b"), "/a/b/"},
		"without a slash":       {bare("/a/b"), "/a/b"},
		"prefix with the slash": {bare("/a/b/"), "/a/b/"},
	} {
		server := httptest.NewTLSServer(test.handler)
		client := server.Client()
		me := s.Login("alice", uitest.Firefox, "")
		other := s.Login("alice", uitest.IPhone, "")
		do := func(method, url, body string) *http.Response {
			t.Helper()
			r, err := http.NewRequest(method, url, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			r.AddCookie(me)
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			res, err := client.Do(r) // follows redirects, as a browser would
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			return res
		}
		if res := do("GET", server.URL+test.path, ""); res.StatusCode != 200 || res.Request.URL.Path != test.path {
			t.Errorf("%s: got %d at %s", name, res.StatusCode, res.Request.URL)
		}
		id := s.ID(other)
		res := do("POST", server.URL+test.path+"?done=one", "revoke="+id)
		if got, want := res.Request.URL.String(), server.URL+test.path+"?done="+id; res.StatusCode != 200 || got != want || s.ID(other) != "" {
			t.Errorf("%s: got %d at %s, want 200 at %s", name, res.StatusCode, got, want)
		}
		other = s.Login("alice", uitest.IPhone, "")
		if res := do("DELETE", server.URL+strings.TrimSuffix(test.path, "/")+"/"+s.ID(other), ""); res.StatusCode != 204 || s.Alive(me, other) != "10" {
			t.Errorf("%s: DELETE: got %d", name, res.StatusCode)
		}
		server.Close()
		s.Store.RevokeAll(s.Ctx(), "alice")
	}
}

func TestOutage(t *testing.T) {
	s := newSite(t, Config{})
	faulty := &faultyStore{RedisStore: s.Store}
	s.on(faulty, Config{})
	me, other := s.Login("alice", uitest.Firefox, ""), s.Login("alice", uitest.IPhone, "")
	calls := func() []uitest.Call {
		return []uitest.Call{
			s.Request("GET", mount+"/", me), s.Request("GET", mount+"/", me).With("Accept", asJSON),
			s.revoke(me, "all"), s.revoke(me, "others"), s.revoke(me, s.ID(other)), s.revoke(me, s.ID(me)),
			s.Request("DELETE", mount+"/all", me), s.Request("DELETE", mount+"/others", me), s.Request("DELETE", mount+"/"+s.ID(other), me),
		}
	}
	check := func(calls []uitest.Call) {
		t.Helper()
		for _, c := range calls {
			res := c.Want(503)
			wantNoCookie(t, res)
			if res.Header.Get("Retry-After") == "" || !strings.Contains(res.Text, "try again") || strings.Contains(res.Text, "LOADING") {
				t.Errorf("%s %s: got %v, %q", c.Method, c.URL, res.Header, res.Text)
			}
		}
	}
	faulty.index = errors.New("LOADING") // after Require
	check(calls())
	if !strings.Contains(s.Logs.String(), "LOADING") {
		t.Error("the outage is not logged")
	}
	c := calls()
	s.Mini.SetError("LOADING") // before it
	check(c)
	s.Mini.SetError("")
	faulty.index = nil
	if got := s.Alive(me, other); got != "11" {
		t.Errorf("got %s alive, want 11", got)
	}
}

// A session that ends between Require and the answer is anonymous.
func TestRevokedMeanwhile(t *testing.T) {
	s := newSite(t, Config{})
	faulty := &faultyStore{RedisStore: s.Store}
	s.on(faulty, Config{})
	me := s.Login("alice", uitest.Firefox, "")
	for _, test := range []struct {
		call     uitest.Call
		status   int
		location string
	}{
		{s.Request("GET", mount+"/", me), 303, "?"},
		{s.Request("GET", mount+"/", me).With("Accept", asJSON), 303, "?"},
		{s.revoke(me, "all"), 303, "?"},
		{s.revoke(me, "others"), 303, "?"},
		{s.revoke(me, "x"), 303, "?"},
		{s.Request("DELETE", mount+"/others", me), 401, ""},
		{s.Request("DELETE", mount+"/all", me), 401, ""},
		{s.Request("DELETE", mount+"/x", me), 404, ""},
	} {
		reads := 0
		faulty.retrieve = func(tk *ticketstore.Ticket, err error) (*ticketstore.Ticket, error) {
			if reads++; reads > 1 {
				return nil, ticketstore.ErrNotFound
			}
			return tk, err
		}
		res := test.call.Want(test.status)
		wantNoCookie(t, res)
		if got := res.Header.Get("Location"); got != test.location {
			t.Errorf("%s %s: got Location %q, want %q", test.call.Method, test.call.URL, got, test.location)
		}
	}
}

func TestClientHangsUp(t *testing.T) {
	s := newSite(t, Config{})
	faulty := &faultyStore{RedisStore: s.Store}
	s.on(faulty, Config{})
	me := s.Login("alice", uitest.Firefox, "")
	ctx, cancel := context.WithCancel(s.Ctx())
	reads := 0
	faulty.retrieve = func(tk *ticketstore.Ticket, err error) (*ticketstore.Ticket, error) {
		if reads++; reads > 1 {
			cancel()
			return nil, context.Canceled
		}
		return tk, err
	}
	c := s.Request("GET", mount+"/", me)
	c.Request = c.WithContext(ctx)
	wantNoCookie(t, c.Want(503))
	if strings.Contains(s.Logs.String(), "level=ERROR") {
		t.Errorf("it is logged as an outage: %s", s.Logs)
	}
}

// Everything that clients are sent, and the logs, are searched for every form
// of every key that was handed out.
func TestNoSecret(t *testing.T) {
	s := newSite(t, Config{})
	me, other, third := s.Login("alice", uitest.Firefox, "192.0.2.1"), s.Login("alice", uitest.IPhone, "192.0.2.2"), s.Login("alice", "curl/8", "")
	cookies := []*http.Cookie{me, other, third}
	id := s.ID(other)
	s.page(me)
	s.Request("GET", mount+"/", me).With("Accept", asJSON).Want(200)
	s.revoke(me, id).Want(303)
	s.page(me, "?done=one")
	s.revoke(me, id).Want(404)
	s.Request("DELETE", mount+"/"+id, me).Want(404)
	s.Request("DELETE", mount+"/"+s.ID(third), me).Want(204)
	s.Mini.SetError("LOADING")
	s.Request("GET", mount+"/", me).Want(503)
	s.Mini.SetError("")
	s.Request("DELETE", mount+"/others", me).Want(200)
	s.revoke(me, "all").Want(303)

	s.WantNoSecret(id, cookies...)
}

func TestJSON(t *testing.T) {
	eachBackend(t, func(t *testing.T, s *site) {
		other := s.Login("alice", uitest.IPhone, "192.0.2.2")
		s.Advance(time.Minute)
		me := s.Login("alice", uitest.Firefox, "2001:db8::1")
		s.Advance(time.Minute)
		res := s.Request("GET", mount+"/", me).With("Accept", asJSON).Want(200)
		if got := res.Header.Get("Content-Type"); got != asJSON {
			t.Errorf("got Content-Type %q", got)
		}
		stamp := func(d time.Duration) string {
			return s.Now.Add(d).UTC().Format("2006-01-02T15:04:05.999Z07:00")
		}
		want := `{"sessions":[` +
			`{"id":"` + s.ID(me) + `","current":true,"kind":"computer","device":"Firefox on Linux","userAgent":"` + uitest.Firefox + `","addr":"2001:db8::1","firstAddr":"2001:db8::1",` +
			`"signedInAt":"` + stamp(-time.Minute) + `","lastUsedAt":"` + stamp(0) + `","expiresAt":"` + stamp(200*time.Hour-time.Minute) + `"},` +
			`{"id":"` + s.ID(other) + `","current":false,"kind":"phone","device":"Safari on iPhone","userAgent":"` + uitest.IPhone + `","addr":"192.0.2.2","firstAddr":"192.0.2.2",` +
			`"signedInAt":"` + stamp(-2*time.Minute) + `","lastUsedAt":"` + stamp(-2*time.Minute) + `","expiresAt":"` + stamp(200*time.Hour-2*time.Minute) + `"}]}`
		if got := strings.TrimSpace(res.Text); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		var list struct{ Sessions []Row }
		if err := json.Unmarshal([]byte(res.Text), &list); err != nil || len(list.Sessions) != 2 || !list.Sessions[0].Current {
			t.Errorf("got %+v, %v", list, err)
		}
		for accept, want := range map[string]string{
			"": "text/html", "*/*": "text/html", "text/html,application/xhtml+xml,*/*;q=0.8": "text/html",
			"text/html, application/json": "text/html", "application/json, text/plain, */*": asJSON,
		} {
			if got := s.Request("GET", mount+"/", me).With("Accept", accept).Want(200).Header.Get("Content-Type"); !strings.HasPrefix(got, want) {
				t.Errorf("Accept %q: got %s, want %s", accept, got, want)
			}
		}
	})
}
