package oidc_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/oidc"
)

// OpenID Connect RP-Initiated Logout 1.0.
func TestLogout(t *testing.T) {
	w := newWorld(t)
	s := w.newSite()
	b := s.signIn()
	hint := s.resolve(b).Properties[".Token.id_token"]
	b.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	a := s.post(b, "/logout", url.Values{"ReturnUrl": {"/bye"}})
	at, err := url.Parse(a.header.Get("Location"))
	if err != nil || a.status != 303 || !strings.HasPrefix(at.String(), w.idp.URL+"/logout?") {
		t.Fatalf("got %d to %s", a.status, at)
	}
	q := at.Query()
	if q.Get("id_token_hint") != hint || hint == "" || q.Get("client_id") != "shop" ||
		q.Get("post_logout_redirect_uri") != s.server.URL+"/logout" || len(q.Get("state")) != 43 {
		t.Errorf("got %v", q)
	}
	// The session here has ended before anything else.
	if s.signedIn(b) || len(s.sessions("248289761001")) != 0 {
		t.Error("the session goes on")
	}
	b.CheckRedirect = nil
	if a := s.get(b, at.String()); a.status != 200 || a.path != "/bye" {
		t.Errorf("got %d at %s", a.status, a.path)
	}
	// A state that is not this browser's leads nowhere in particular.
	if a := s.get(s.browser(), "/logout?state="+q.Get("state")); a.path != "/" {
		t.Errorf("got %s, want /", a.path)
	}
	// Who is not signed in here may be there.
	if a := s.post(s.browser(), "/logout", url.Values{"ReturnUrl": {"//evil.example"}}); a.status != 200 || a.path != "/" {
		t.Errorf("got %d at %s", a.status, a.path)
	}
}

func TestLogoutOfOurSiteOnly(t *testing.T) {
	w := newWorld(t)
	s := w.newSite()
	b := s.signIn()
	r, _ := http.NewRequest("POST", s.url("/logout"), nil)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	if a := s.do(b, r); a.status != 403 || !s.signedIn(b) {
		t.Errorf("another site's form: got %d, signed in %t", a.status, s.signedIn(b))
	}
	if s.get(b, "/logout"); !s.signedIn(b) {
		t.Error("a link signs the user out")
	}
	var a answer
	w.refuse("", func() { a = s.post(b, "/logout", nil) })
	if a.status != 503 || !strings.Contains(a.body, "You are not signed out") || !s.signedIn(b) {
		t.Errorf("without store: got %d, signed in %t: %s", a.status, s.signedIn(b), a.body)
	}
}

func TestLogoutWithoutEndSession(t *testing.T) {
	w := newWorld(t)
	w.idp.metadata = map[string]any{"end_session_endpoint": nil}
	s := w.newSite(func(c *oidc.Config, _ *ticketstore.RedisConfig) { c.PostLogoutURL = "" })
	b := s.signIn()
	if p := s.resolve(b).Properties; p != nil {
		t.Errorf("got properties %v: an ID token is of no use", p)
	}
	if a := s.post(b, "/logout?ReturnUrl=%2Fbye", nil); a.status != 200 || a.path != "/bye" || s.signedIn(b) {
		t.Errorf("got %d at %s", a.status, a.path)
	}
}

// OpenID Connect Front-Channel Logout 1.0.
func TestFrontChannelLogout(t *testing.T) {
	w := newWorld(t)
	s := w.newSite()
	b := s.signIn()
	frame := &http.Client{Transport: s.server.Client().Transport} // without cookies
	call := func(iss, sid string) answer {
		return s.get(frame, "/frontchannel-logout?"+url.Values{"iss": {iss}, "sid": {sid}}.Encode())
	}
	sid := "08a5019c-17e1-4977-8f42-65a12843ea02"
	keys := len(w.redis.Keys())
	for name, tt := range map[string]struct {
		a    answer
		want int
	}{
		"another issuer":  {call("https://evil.example", sid), 400},
		"no sid":          {call(w.idp.URL, ""), 400},
		"neither":         {s.get(frame, "/frontchannel-logout"), 400},
		"two":             {s.get(frame, "/frontchannel-logout?iss="+url.QueryEscape(w.idp.URL)+"&sid="+sid+"&sid=2"), 400},
		"a guess":         {call(w.idp.URL, "08a5019c"), 200},
		"the user as sid": {call(w.idp.URL, "248289761001"), 200},
	} {
		if tt.a.status != tt.want || !s.signedIn(b) {
			t.Errorf("%s: got %d, want %d; signed in %t", name, tt.a.status, tt.want, s.signedIn(b))
		}
	}
	if n := len(w.redis.Keys()); n != keys {
		t.Errorf("guesses leave %d keys", n-keys)
	}
	if a := s.get(frame, "/frontchannel-logout?sid="+sid); a.status != 200 || s.signedIn(b) {
		t.Errorf("without iss, as Entra ID has it: got %d, signed in %t", a.status, s.signedIn(b))
	}
	w.idp.set(func(p *idp) { p.user["sid"] = "1" })
	b = s.signIn()
	a := call(w.idp.URL, "1")
	if a.status != 200 || s.signedIn(b) || a.header.Get("Cache-Control") != "no-store" || a.header.Get("X-Frame-Options") != "" ||
		strings.Contains(a.header.Get("Content-Security-Policy"), "frame-ancestors") {
		t.Errorf("got %d, signed in %t, %v", a.status, s.signedIn(b), a.header)
	}
	b = s.browser()
	w.idp.set(func(p *idp) { p.user["sid"] = "2" })
	s.get(b, "/login")
	w.refuse("", func() { a = call(w.idp.URL, "2") })
	if a.status != 503 || !s.signedIn(b) {
		t.Errorf("without store: got %d", a.status)
	}
}
