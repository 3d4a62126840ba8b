package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore/internal/redistest"
)

func mini(t *testing.T) string { return redistest.StartMini(t).Addr() }

func mustParse(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return u
}

func seedWorld(w *world) {
	w.t.Helper()
	if err := seed(w.t.Context(), w.store, w.users); err != nil {
		w.t.Fatal(err)
	}
}

// asProvider leaves for the provider and says there who the user is.
func (b *browser) asProvider(path, user string) screen {
	b.t.Helper()
	p := b.open(path)
	if p.at.Host != mustParse(b.provider.URL).Host || p.status != 200 {
		b.t.Fatalf("%s: got to %s with %d, want the provider: %s", path, p.at, p.status, p.body)
	}
	return b.submit(p, "Who are you?", "user", user)
}

func TestProvider(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		b := w.browser()
		b.want(b.asProvider("/login/provider?ReturnUrl=%2Faccount%2Fpassword", "alice"), "/account/password", 200, "Alice Martin")
		sessions, err := w.store.Sessions(t.Context(), id("alice"))
		if err != nil || len(sessions) != 1 || sessions[0].Scheme != "provider" {
			t.Errorf("got %+v, %v, want one session from the provider", sessions, err)
		}
		b.submit(b.open("/"), ">Sign out<")
		b.want(b.open("/login/provider"), "/", 200, "Alice Martin") // single sign-on
		b.submit(b.open("/"), ">Sign out<")

		other := w.browser()
		p := other.asProvider("/login/provider", "stranger")
		other.want(p, p.at.RequestURI(), 403, "Nobody here has that account")
		other.wantUser("")
	})
}

// By the browser's Back, after the sign-in.
func TestProviderOnceMore(t *testing.T) {
	b := newWorld(t, mini(t)).browser()
	way := b.way("alice")
	b.want(b.open(way), "/", 200, "Alice Martin")
	b.want(b.open(way), "/", 200, "Alice Martin")
	b.submit(b.open("/"), ">Sign out<")
	b.want(b.open(way), way, 403, "was not begun in this browser")
}

func TestProviderSaysNo(t *testing.T) {
	w := newWorld(t, mini(t))
	b := w.browser()
	p := b.asProvider("/login/provider", "")
	b.want(p, p.at.RequestURI(), 403, "You have not signed in at the provider", `href="/login"`)
	b.wantUser("")
}

// way is a browser on its way back from the provider, which does not follow.
func (b *browser) way(user string) string {
	b.t.Helper()
	p := b.open("/login/provider")
	follow := b.http.CheckRedirect
	defer func() { b.http.CheckRedirect = follow }()
	to := ""
	b.http.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		to = strings.TrimPrefix(r.URL.String(), b.site.URL)
		return http.ErrUseLastResponse
	}
	b.submit(p, "Who are you?", "user", user)
	if !strings.HasPrefix(to, "/login/callback?") {
		b.t.Fatalf("got to %q, want the way back", to)
	}
	return to
}

func TestWrongState(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		b, victim := w.browser(), w.browser()
		back := b.way("alice")
		refused := func(b *browser, path string) {
			t.Helper()
			b.want(b.open(path), path, 403, "not begun in this browser")
			b.wantUser("")
		}
		refused(victim, back) // who has begun nothing
		victim.way("bob")
		refused(victim, back) // who has begun something else
		u := mustParse(back)
		for name, value := range map[string]string{"state": "x"} {
			q := u.Query()
			q.Set(name, value)
			refused(b, "/login/callback?"+q.Encode())
			q.Del(name)
			refused(b, "/login/callback?"+q.Encode())
		}
		b.want(b.open(back), "/", 200, "Alice Martin")
		b.submit(b.open("/"), ">Sign out<")
		refused(b, back) // once
	})
}

// The code of another flow is of no use to who has its state: the verifier is
// another's.
func TestCodeOfAnotherFlow(t *testing.T) {
	w := newWorld(t, mini(t))
	b, thief := w.browser(), w.browser()
	stolen := mustParse(b.way("alice")).Query().Get("code")
	q := mustParse(thief.way("bob")).Query()
	q.Set("code", stolen)
	back := "/login/callback?" + q.Encode()
	thief.want(thief.open(back), back, 502, "did not answer as it should")
	thief.wantUser("")
}

func TestSpoiledFlow(t *testing.T) {
	w := newWorld(t, mini(t))
	b := w.browser()
	back := b.way("alice")
	for _, c := range b.http.Jar.Cookies(mustParse(w.site.URL)) {
		if c.Name == "__Host-site-flow" && c.Value != "" {
			c.Value += "x"
			c.Path, c.Secure = "/", true
			b.http.Jar.SetCookies(mustParse(w.site.URL), []*http.Cookie{c})
		}
	}
	b.want(b.open(back), back, 403, "not begun in this browser, or it took too long")
}

// Single sign-on proves nothing; prompt=login does.
func TestConfirmAtProvider(t *testing.T) {
	w := newWorld(t, mini(t))
	b := w.browser()
	b.want(b.asProvider("/login/provider", "alice"), "/", 200)
	w.advance(recently + time.Second)
	b.submit(b.open("/"), ">Sign out<")
	b.want(b.open("/login/provider"), "/", 200, "Alice Martin") // at the provider, she signed in long ago
	p := b.open("/account/password")
	p = b.want(b.submit(p, ">Change password<", "new", "quite another one"), "/login?ReturnUrl=%2Faccount%2Fpassword&reauth=1", 200)
	const provider = "/login/provider?ReturnUrl=%2Faccount%2Fpassword"
	b.want(p, p.at.RequestURI(), 200, `href="/login/provider?ReturnUrl=%2faccount%2fpassword"`)
	q := b.asProvider(provider, "bob")
	b.want(q, q.at.RequestURI(), 403, "you are somebody else", "Alice Martin")
	p = b.want(b.asProvider(provider, "alice"), "/account/password", 200, "Alice Martin")
	b.want(b.submit(p, ">Change password<", "new", "quite another one"), "/account/password?changed", 200)
}
