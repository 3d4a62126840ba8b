package oidc_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/oidc"
)

func TestSignIn(t *testing.T) {
	w := newWorld(t)
	w.idp.user["auth_time"] = w.clock.Now().Add(-time.Hour).Unix()
	w.idp.user["acr"], w.idp.user["amr"] = "urn:mace:incommon:iap:silver", []string{"pwd", "otp"}
	w.idp.user["email"], w.idp.user["email_verified"] = "Jane@Example.com", true
	s := w.newSite()
	b := s.browser()
	if a := s.get(b, "/login?ReturnUrl=%2Fme%3Fa%3Db"); a.status != 200 || a.path != "/me?a=b" {
		t.Fatalf("got %d at %s: %s", a.status, a.path, a.body)
	}
	q := w.idp.request(0)
	for name, want := range map[string]string{
		"response_type": "code", "client_id": "shop", "scope": "openid profile email", "code_challenge_method": "S256",
		"redirect_uri": s.server.URL + "/callback", "prompt": "", "response_mode": "",
	} {
		if q.Get(name) != want {
			t.Errorf("%s: got %q, want %q", name, q.Get(name), want)
		}
	}
	for _, name := range []string{"state", "nonce", "code_challenge"} {
		if len(q.Get(name)) != 43 {
			t.Errorf("%s: got %q, want 256 bits", name, q.Get(name))
		}
	}
	tk := s.resolve(b)
	if want := w.idp.URL + " 248289761001"; tk.Subject != want {
		t.Errorf("subject: got %q, want %q", tk.Subject, want)
	}
	want := []string{
		"oidc-sub " + w.idp.URL + " 248289761001", "oidc-client " + w.idp.URL + " shop",
		"oidc-sid " + w.idp.URL + " 08a5019c-17e1-4977-8f42-65a12843ea02", "oidc-email " + w.idp.URL + " jane@example.com",
	}
	if !slices.Equal(tk.Links, want) {
		t.Errorf("links: got %q, want %q", tk.Links, want)
	}
	if got := tk.LinkedAt.Unix(); got != w.clock.Now().Unix() {
		t.Errorf("LinkedAt: got %v, want iat", tk.LinkedAt)
	}
	if got := w.clock.Now().Sub(tk.AuthenticatedAt).Round(time.Minute); got != time.Hour {
		t.Errorf("AuthenticatedAt: got %v ago, want an hour, as auth_time has it", got)
	}
	var claims []string
	for _, c := range tk.Identities[0].Claims {
		claims = append(claims, c.Type+"="+c.Value)
		if c.Issuer != w.idp.URL {
			t.Errorf("%s: got issuer %q", c.Type, c.Issuer)
		}
	}
	wantClaims := []string{
		"acr=urn:mace:incommon:iap:silver", "amr=pwd", "amr=otp", "email=Jane@Example.com", "email_verified=true",
		"name=Jane Doe", "sub=248289761001",
	}
	if !slices.Equal(claims, wantClaims) {
		t.Errorf("claims: got %q, want %q", claims, wantClaims)
	}
	for name := range tk.Properties {
		if name != ".Token.id_token" && name != ".TokenNames" {
			t.Errorf("without KeepTokens the ticket has %s", name)
		}
	}
	if strings.Contains(w.log.String(), "SealKeys") {
		t.Error("without KeepTokens there is a warning about sealing")
	}
}

// Each attempt has a cookie that is the host's, encrypted and short-lived, and
// that is gone after it.
func TestAttemptCookie(t *testing.T) {
	w := newWorld(t)
	s := w.newSite()
	b := s.browser()
	b.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	a := s.get(b, "/login?ReturnUrl=%2Fwhere")
	c, err := http.ParseSetCookie(a.header.Get("Set-Cookie"))
	if err != nil || !strings.HasPrefix(c.Name, "__Host-oidc-in-") || !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" ||
		c.SameSite != http.SameSiteLaxMode || c.MaxAge != 900 {
		t.Fatalf("got %v, %v", c, err)
	}
	if a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("got Cache-Control %q", a.header.Get("Cache-Control"))
	}
	at, err := url.Parse(a.header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(c.Name, at.Query().Get("state")[:16]) {
		t.Errorf("got name %s, want the beginning of the state in it", c.Name)
	}
	if strings.Contains(c.Value, "where") {
		t.Error("the cookie is not encrypted")
	}
	a = s.get(b, at.String())
	a = s.get(b, a.header.Get("Location")) // the callback
	if a.status != http.StatusSeeOther || a.header.Get("Location") != "/where" {
		t.Fatalf("got %d to %s: %s", a.status, a.header.Get("Location"), a.body)
	}
	for _, c := range s.request(b).Cookies() {
		if strings.HasPrefix(c.Name, "__Host-oidc") {
			t.Errorf("%s is left", c.Name)
		}
	}
}

// Several tabs sign in at once, and the oldest of too many gives way.
func TestTabs(t *testing.T) {
	w := newWorld(t)
	s := w.newSite()
	b := s.browser()
	var ways []string
	stop := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for i := range 7 {
		b.CheckRedirect = stop
		a := s.get(b, fmt.Sprintf("/login?ReturnUrl=%%2Ftab%d", i))
		ways = append(ways, a.header.Get("Location"))
		w.clock.advance(2 * time.Second)
	}
	b.CheckRedirect = nil
	for i, way := range ways {
		a := s.get(b, way)
		if want := fmt.Sprintf("/tab%d", i); i >= 2 && (a.status != 200 || a.path != want) {
			t.Errorf("tab %d: got %d at %s: %s", i, a.status, a.path, a.body)
		} else if i < 2 && (a.status != 400 || !strings.Contains(a.body, "For support: state")) {
			t.Errorf("tab %d, beyond 5: got %d at %s: %s", i, a.status, a.path, a.body)
		}
	}
	if n := len(s.sessions("248289761001")); n != 1 {
		t.Errorf("got %d sessions, want that of the last tab", n)
	}
}

// A way back that does not fit into a cookie is given up, not the sign-in.
func TestLongReturn(t *testing.T) {
	w := newWorld(t)
	s := w.newSite()
	for back, want := range map[string]string{
		"/a?" + strings.Repeat("b", 1000):  "/a?" + strings.Repeat("b", 1000),
		"/a?" + strings.Repeat("b", 1100):  "/",
		"/a?" + strings.Repeat("&", 1000):  "/", // each is 6 bytes in JSON
		"//evil.example":                   "/",
		"/\\evil.example":                  "/",
		"https://evil.example/a?ReturnUrl": "/",
	} {
		b := s.browser()
		if a := s.get(b, "/login?"+url.Values{"ReturnUrl": {back}}.Encode()); a.status != 200 || a.path != want || !s.signedIn(b) {
			t.Errorf("%.40q: got %d at %.40q, want %.40q", back, a.status, a.path, want)
		}
	}
}

// callback returns the URL of a callback of b that has not been called yet.
func (s *site) callback(b *http.Client, login string) string {
	s.t.Helper()
	var callback string
	b.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Path == "/callback" {
			callback = r.URL.String()
			return http.ErrUseLastResponse
		}
		return nil
	}
	s.get(b, login)
	b.CheckRedirect = nil
	if callback == "" {
		s.t.Fatal("no callback")
	}
	return callback
}

// What an answer to nobody's question, or to another's, comes to.
func TestCallbackOfAnother(t *testing.T) {
	w := newWorld(t)
	s := w.newSite()
	attacker, victim := s.browser(), s.browser()

	// Login CSRF: the attacker's code in the victim's browser.
	way := s.callback(attacker, "/login")
	s.callback(victim, "/login") // who is signing in as well
	if a := s.get(victim, way); a.status != 400 || s.signedIn(victim) {
		t.Errorf("another's answer: got %d, signed in %t: %s", a.status, s.signedIn(victim), a.body)
	}
	// It is still good for whom it was made.
	if a := s.get(attacker, way); a.status != 200 || !s.signedIn(attacker) {
		t.Errorf("one's own answer: got %d: %s", a.status, a.body)
	}
	// Once.
	before := s.sessions("248289761001")
	if a := s.get(attacker, way); a.status != 400 {
		t.Errorf("twice: got %d: %s", a.status, a.body)
	}
	if after := s.sessions("248289761001"); len(after) != len(before) || after[0].ID != before[0].ID {
		t.Errorf("twice: got %v, want the session as it was", after)
	}
	if !s.signedIn(attacker) {
		t.Error("a repeated callback has signed the user out")
	}

	// The same state, and something else in it.
	way = s.callback(victim, "/login")
	state := regexpState(way)
	for name, way := range map[string]string{
		"no state":       strings.Replace(way, "state="+state, "state=", 1),
		"a short state":  strings.Replace(way, "state="+state, "state=a", 1),
		"another state":  strings.Replace(way, "state="+state, "state="+state[:42]+"_", 1),
		"a script in it": "/callback?state=%3Cscript%3E&error=%3Cscript%3Ealert(1)%3C/script%3E&error_description=%3Cscript%3E",
	} {
		a := s.get(victim, way)
		if a.status != 400 || s.signedIn(victim) || strings.Contains(a.body, "<script") || strings.Contains(a.body, "alert(1)") {
			t.Errorf("%s: got %d: %s", name, a.status, a.body)
		}
	}
	// Too late.
	w.clock.advance(15 * time.Minute)
	if a := s.get(victim, way); a.status != 400 {
		t.Errorf("too late: got %d: %s", a.status, a.body)
	}
}

func regexpState(way string) string {
	u, _ := url.Parse(way)
	return u.Query().Get("state")
}

// What the provider may answer, and what people see then.
func TestProviderErrors(t *testing.T) {
	w := newWorld(t)
	s := w.newSite()
	for _, tt := range []struct {
		name   string
		answer func(v url.Values)
		status int
		code   string
		text   string
	}{
		{"denied", func(v url.Values) { v.Del("code"); v.Set("error", "access_denied") }, 403, "access_denied", "not finished, or was refused"},
		{"described", func(v url.Values) {
			v.Del("code")
			v.Set("error", "invalid_scope")
			v.Set("error_description", "<b>No</b> such scope\x00\u202e")
		}, 400, "invalid_scope", "&lt;b&gt;No&lt;/b&gt; such scope</q>"},
		{"a hostile code", func(v url.Values) { v.Set("error", "<img src=x>") }, 400, "&lt;img src=x&gt;", ""},
		{"busy", func(v url.Values) { v.Set("error", "temporarily_unavailable") }, 503, "temporarily_unavailable", "try again"},
		{"no code", func(v url.Values) { v.Del("code") }, 400, "code", ""},
		{"two codes", func(v url.Values) { v.Add("code", "2") }, 400, "repeated", ""},
		{"no iss", func(v url.Values) { v.Del("iss") }, 400, "iss", ""},
		{"another iss", func(v url.Values) { v.Set("iss", "https://evil.example") }, 400, "iss", ""},
		{"an error of another", func(v url.Values) {
			v.Set("iss", "https://evil.example")
			v.Set("error", "x")
			v.Set("error_description", "call us")
		}, 400, "iss", ""},
		{"an unknown code", func(v url.Values) { v.Set("code", "none") }, 400, "invalid_grant", "taken too long"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.idp.set(func(p *idp) { p.answer = tt.answer })
			b := s.browser()
			a := s.get(b, "/login?ReturnUrl=%2Fme")
			if a.status != tt.status || !strings.Contains(a.body, "For support: "+tt.code+"<") || !strings.Contains(a.body, tt.text) {
				t.Errorf("got %d, want %d with %s and %q: %s", a.status, tt.status, tt.code, tt.text, a.body)
			}
			if strings.Contains(a.body, "call us") {
				t.Error("it shows what no provider of ours has said")
			}
			if !strings.Contains(a.body, `<a href="/login?ReturnUrl=%2Fme">Try again</a>`) {
				t.Errorf("there is no way on: %s", a.body)
			}
			h := a.header
			if h.Get("Cache-Control") != "no-store" || h.Get("Referrer-Policy") != "no-referrer" || !strings.HasPrefix(h.Get("Content-Security-Policy"), "default-src 'none'") {
				t.Errorf("got header %v", h)
			}
			w.idp.set(func(p *idp) { p.answer = nil })
			if s.signedIn(b) {
				t.Error("signed in")
			}
		})
	}
}

// A provider that does not say that it sends iss need not.
func TestIssIsOptional(t *testing.T) {
	w := newWorld(t)
	w.idp.metadata = map[string]any{"authorization_response_iss_parameter_supported": nil}
	w.idp.answer = func(v url.Values) { v.Del("iss") }
	s := w.newSite()
	s.signIn()
	w.idp.set(func(p *idp) { p.answer = func(v url.Values) { v.Set("iss", "https://evil.example") } })
	if a := s.get(s.browser(), "/login"); a.status != 400 {
		t.Errorf("another iss: got %d: %s", a.status, a.body)
	}
}

// OpenID Connect Core 1.0, section 3.1.3.7.
func TestIDTokenValidation(t *testing.T) {
	w := newWorld(t)
	s := w.newSite()
	now := w.clock.Now()
	for _, tt := range []struct {
		name string
		set  map[string]any
		want string // of the log
	}{
		{"2: another issuer", map[string]any{"iss": "https://evil.example"}, "different provider"},
		{"3: another audience", map[string]any{"aud": "bank"}, "expected audience"},
		{"4: several audiences, no azp", map[string]any{"aud": []string{"shop", "bank"}}, "no azp"},
		{"5: another azp", map[string]any{"aud": []string{"shop", "bank"}, "azp": "bank"}, "issued to"},
		{"9: expired", map[string]any{"exp": now.Add(-time.Second).Unix()}, "expired"},
		{"10: iat in the future", map[string]any{"iat": now.Add(10 * time.Minute).Unix()}, "check the clocks"},
		{"10: no iat", map[string]any{"iat": nil}, "no iat"},
		{"11: another nonce", map[string]any{"nonce": "n-0S6_WzA2Mj"}, "nonce"},
		{"11: no nonce", map[string]any{"nonce": nil}, "nonce"},
		{"no sub", map[string]any{"sub": nil}, "no sub"},
		{"another at_hash", map[string]any{"at_hash": "77QmUPtjPfzWtF2AnpK9RQ"}, "hash"},
		{"the session has ended", map[string]any{"session_expiry": now.Unix()}, "session_expiry"},
		{"auth_time is no time", map[string]any{"auth_time": "yesterday"}, "no time"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.idp.set(func(p *idp) {
				p.change = func(c map[string]any) {
					for k, v := range tt.set {
						if c[k] = v; v == nil {
							delete(c, k)
						}
					}
				}
			})
			b := s.browser()
			a := s.get(b, "/login")
			if a.status != 502 || !strings.Contains(a.body, "For support: id_token") || s.signedIn(b) {
				t.Errorf("got %d: %s", a.status, a.body)
			}
			if log := w.log.String(); !strings.Contains(log[strings.LastIndex(log, "level="):], tt.want) {
				t.Errorf("the log does not say %q: %s", tt.want, log)
			}
		})
	}
	w.idp.set(func(p *idp) {
		p.change = func(c map[string]any) { c["aud"], c["azp"] = []string{"shop", "bank"}, "shop" }
	})
	s.signIn()
}

// The session ends when the provider says, and not with the ID token.
func TestLifetime(t *testing.T) {
	w := newWorld(t)
	s := w.newSite()
	b := s.signIn()
	w.clock.advance(10 * time.Minute) // the ID token's exp is past
	if !s.signedIn(b) {
		t.Error("the session ended with the ID token")
	}
	end := w.clock.Now().Add(20 * time.Minute).Truncate(time.Second)
	w.idp.set(func(p *idp) { p.user["session_expiry"] = end.Unix() })
	b = s.signIn()
	if tk := s.resolve(b); !tk.EndsAt.Equal(end) {
		t.Errorf("EndsAt: got %v, want session_expiry, %v", tk.EndsAt, end)
	}
	w.clock.advance(15 * time.Minute)
	if !s.signedIn(b) {
		t.Error("the session ended before session_expiry")
	}
	w.clock.advance(5 * time.Minute)
	if s.signedIn(b) {
		t.Error("the session outlives session_expiry")
	}
}

// RequireRecent has the provider ask again, and does not take less for it.
func TestReauthentication(t *testing.T) {
	w := newWorld(t)
	s := w.newSite()
	s.mux.Handle("/secret", s.manager.RequireRecent(5*time.Minute, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {})))
	old := w.clock.Now().Add(-time.Hour).Unix()
	w.idp.set(func(p *idp) { p.user["auth_time"] = old })
	b := s.signIn()
	navigate := func() answer {
		r, _ := http.NewRequest("GET", s.url("/secret"), nil)
		r.Header.Set("Sec-Fetch-Mode", "navigate")
		return s.do(b, r)
	}
	// The provider, or somebody on the way, ignores it.
	if a := navigate(); a.status != 403 || !strings.Contains(a.body, "For support: auth_time") {
		t.Errorf("an old auth_time: got %d at %s: %s", a.status, a.path, a.body)
	}
	q := w.idp.request(-1)
	if q.Get("prompt") != "login" || q.Get("max_age") != "0" {
		t.Errorf("got prompt %q, max_age %q", q.Get("prompt"), q.Get("max_age"))
	}
	w.idp.set(func(p *idp) { p.change = func(c map[string]any) { delete(c, "auth_time") } })
	if a := navigate(); a.status != 403 {
		t.Errorf("no auth_time: got %d at %s: %s", a.status, a.path, a.body)
	}
	// Without auth_time nothing is recent.
	b = s.signIn()
	if a := navigate(); a.status != 403 {
		t.Errorf("a sign-in without auth_time: got %d at %s: %s", a.status, a.path, a.body)
	}
	w.idp.set(func(p *idp) { p.change = nil; delete(p.user, "auth_time") })
	if a := navigate(); a.status != 200 || a.path != "/secret" {
		t.Errorf("an auth_time of now: got %d at %s: %s", a.status, a.path, a.body)
	}
	if n := len(s.sessions("248289761001")); n != 2 { // of the first browser, and of this
		t.Errorf("got %d sessions, want 2", n)
	}
}

// A form comes without the Lax cookie of the session that it replaces.
func TestFormPost(t *testing.T) {
	w := newWorld(t)
	s := w.newSite(func(c *oidc.Config, store *ticketstore.RedisConfig) {
		c.FormPost = true
		store.MaxSessions, store.RefuseNew = 1, true // the old one must not keep the user out
	})
	b := s.browser()
	signIn := func() answer {
		a := s.get(b, "/login?ReturnUrl=%2Fme") // the provider's page
		form, err := url.ParseQuery(a.body)
		if err != nil {
			t.Fatal(err)
		}
		// As a browser sends it: of the cookies, those with SameSite=None.
		r, _ := http.NewRequest("POST", s.url("/callback"), strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for _, c := range s.request(b).Cookies() {
			if strings.HasPrefix(c.Name, "__Host-oidc-in-") {
				r.AddCookie(c)
			}
		}
		cross := &http.Client{Transport: b.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		res, err := cross.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		u, _ := url.Parse(s.server.URL)
		b.Jar.SetCookies(u, res.Cookies())
		return answer{res.StatusCode, res.Header.Get("Location"), "", res.Header}
	}
	for i := range 3 {
		if a := signIn(); a.status != 303 || a.path != "/me" || !s.signedIn(b) {
			t.Fatalf("got %d to %s", a.status, a.path)
		}
		if n := len(s.sessions("248289761001")); n != 1 {
			t.Errorf("after sign-in %d: got %d sessions, want the new one alone", i, n)
		}
	}
	if w.idp.request(0).Get("response_mode") != "form_post" {
		t.Error("the provider was not asked for a form")
	}
	if a := s.get(b, "/callback?code=1&state=2"); a.status != 405 {
		t.Errorf("GET: got %d, want 405", a.status)
	}
	b.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if c := s.get(b, "/login").header.Get("Set-Cookie"); !strings.Contains(c, "SameSite=None") || !strings.Contains(c, "Secure") {
		t.Errorf("got %s, want SameSite=None", c)
	}
}

func TestAccept(t *testing.T) {
	w := newWorld(t)
	var accept func(context.Context, *oidc.SignIn) error
	s := w.newSite(func(c *oidc.Config, _ *ticketstore.RedisConfig) {
		c.Accept = func(ctx context.Context, s *oidc.SignIn) error { return accept(ctx, s) }
	})
	for _, tt := range []struct {
		err    error
		status int
		code   string
	}{
		{fmt.Errorf("not in the staff: %w", oidc.ErrRefused), 403, "refused"},
		{errors.New("the database is gone"), 503, "accept"},
	} {
		accept = func(context.Context, *oidc.SignIn) error { return tt.err }
		b := s.browser()
		if a := s.get(b, "/login"); a.status != tt.status || !strings.Contains(a.body, tt.code) || strings.Contains(a.body, tt.err.Error()) || s.signedIn(b) {
			t.Errorf("%v: got %d: %s", tt.err, a.status, a.body)
		}
	}
	accept = func(ctx context.Context, si *oidc.SignIn) error {
		info, err := si.UserInfo(ctx)
		if err != nil {
			return err
		}
		// A ticket of one's own: what makes it the provider's is added.
		si.Ticket = ticketstore.NewTicket("user 7", ticketstore.Claim{Type: "email", Value: info.Email})
		si.Ticket.Links = []string{"tenant 5"}
		return nil
	}
	b := s.browser()
	if a := s.get(b, "/login?ReturnUrl=%2Fme"); a.body != "user 7" {
		t.Fatalf("got %d: %s", a.status, a.body)
	}
	tk := s.resolve(b)
	if email, _ := tk.Claim("email"); email != "jane@example.com" || len(tk.Links) != 4 || tk.Links[3] != "tenant 5" || tk.LinkedAt.IsZero() {
		t.Errorf("got %q, %q, %v", email, tk.Links, tk.LinkedAt)
	}
	// The logout by sub ends it, whatever its subject is here.
	if a := s.logout(w.idp.logoutToken("logout+jwt", map[string]any{"sid": nil})); a.status != 200 || s.signedIn(b) {
		t.Errorf("logout: got %d, signed in %t", a.status, s.signedIn(b))
	}
	accept = func(_ context.Context, si *oidc.SignIn) error { si.Ticket = nil; return nil }
	if a := s.get(s.browser(), "/login"); a.status != 503 {
		t.Errorf("no ticket: got %d", a.status)
	}
}

// The provider is out, or our secret is wrong: people are told, the log is, and
// neither has a secret.
func TestTokenEndpointFails(t *testing.T) {
	w := newWorld(t)
	s := w.newSite(func(c *oidc.Config, _ *ticketstore.RedisConfig) { c.ClientSecret = "wrong" })
	if a := s.get(s.browser(), "/login"); a.status != 503 || !strings.Contains(a.body, "For support: token") {
		t.Errorf("got %d: %s", a.status, a.body)
	}
	if log := w.log.String(); !strings.Contains(log, "invalid_client") || strings.Contains(log, "geheim") || strings.Contains(log, "wrong") {
		t.Errorf("got log %s", log)
	}
	// x/oauth2 would try the secret in the form, too, and redeem a code twice.
	n := 0
	w.idp.set(func(p *idp) {
		p.token = func(w http.ResponseWriter, _ *http.Request) bool { n++; w.WriteHeader(500); return true }
	})
	if a := s.get(s.browser(), "/login"); a.status != 503 || n != 1 {
		t.Errorf("got %d after %d requests, want one", a.status, n)
	}
}

// The metadata says how the client proves who it is.
func TestAuthStyle(t *testing.T) {
	for _, tt := range []struct {
		methods any
		secret  oidc.Secret
		want    string
	}{
		{nil, "geheim", "basic"},
		{[]string{"client_secret_post", "client_secret_basic"}, "geheim", "basic"},
		{[]string{"client_secret_post"}, "geheim", "post"},
		{nil, "", "public"},
	} {
		w := newWorld(t)
		w.idp.metadata = map[string]any{"token_endpoint_auth_methods_supported": tt.methods}
		s := w.newSite(func(c *oidc.Config, _ *ticketstore.RedisConfig) { c.ClientSecret = tt.secret })
		got := ""
		w.idp.token = func(w http.ResponseWriter, r *http.Request) bool {
			switch _, _, ok := r.BasicAuth(); {
			case ok:
				got = "basic"
			case r.FormValue("client_secret") == "geheim":
				got = "post"
			case r.FormValue("client_id") == "shop":
				got = "public"
			}
			w.WriteHeader(500)
			return true
		}
		s.get(s.browser(), "/login")
		if got != tt.want {
			t.Errorf("%v, %t: got %s, want %s", tt.methods, tt.secret != "", got, tt.want)
		}
	}
}
