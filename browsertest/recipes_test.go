package browsertest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// hosts serves every name below localhost, and says what came. To Chromium
// app.shop.localhost and old.shop.localhost are one site, idp.localhost is
// another.
type hosts struct {
	port string
	came chan arrival
}

type arrival struct{ where, cookies, origin string }

func newHosts(t *testing.T, serve func(h *hosts, where string, w http.ResponseWriter)) *hosts {
	h := &hosts{came: make(chan arrival, 100)}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		where := strings.Replace(r.Host, ":"+h.port, "", 1) + r.URL.Path
		h.came <- arrival{where, r.Header.Get("Cookie"), r.Header.Get("Origin")}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		serve(h, where, w)
	}))
	t.Cleanup(srv.Close)
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	h.port = u.Port()
	return h
}

func (h *hosts) url(host string) string { return "http://" + host + ":" + h.port }

// wait returns the next arrival at where.
func (h *hosts) wait(t *testing.T, where string) arrival {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case a := <-h.came:
			if a.where == where {
				return a
			}
		case <-timeout:
			t.Fatalf("nothing came to %s", where)
		}
	}
}

// docs/recipes.md, "The provider posts back": which cookies come back.
func TestProviderPostsBackInChromium(t *testing.T) {
	for _, tt := range []struct {
		sameSite, next string // from the callback to the next page
		finish         string // the cookies that come there
	}{
		{"Lax", "page", "session=S; state=T; signin=P"},
		{"Strict", "page", "session=S; state=T; signin=P"},
		{"Lax", "redirect", "session=S; state=T; signin=P"},
		{"Strict", "redirect", "state=T"},
	} {
		h := newHosts(t, func(h *hosts, where string, w http.ResponseWriter) {
			switch where {
			case "app.shop.localhost/":
				w.Header().Add("Set-Cookie", "__Host-session=S; Path=/; Secure; HttpOnly; SameSite="+tt.sameSite)
				w.Header().Add("Set-Cookie", "__Host-state=T; Path=/; Secure; HttpOnly; SameSite=None")
				io.WriteString(w, `<a href="`+h.url("idp.localhost")+`/">Sign in</a>`)
			case "idp.localhost/":
				io.WriteString(w, `<form method="post" action="`+h.url("app.shop.localhost")+`/auth/callback"><button>Allow</button></form>`)
			case "app.shop.localhost/auth/callback":
				w.Header().Add("Set-Cookie", "__Host-signin=P; Path=/; Secure; HttpOnly; SameSite="+tt.sameSite)
				if tt.next == "redirect" {
					w.Header().Set("Location", "/auth/finish")
					w.WriteHeader(http.StatusSeeOther)
				} else {
					io.WriteString(w, `<meta http-equiv="refresh" content="0; url=/auth/finish">`)
				}
			}
		})
		b := newBrowser(t, h.url("app.shop.localhost"), linux)
		b.open("/")
		b.click("a")
		b.click("button")
		if got, want := h.wait(t, "app.shop.localhost/auth/callback").cookies, "__Host-state=T"; got != want {
			t.Errorf("%s: at the callback: got cookies %q, want %q", tt.sameSite, got, want)
		}
		if got := strings.ReplaceAll(h.wait(t, "app.shop.localhost/auth/finish").cookies, "__Host-", ""); got != tt.finish {
			t.Errorf("%s, %s: got cookies %q, want %q", tt.sameSite, tt.next, got, tt.finish)
		}
	}
}

// docs/recipes-requests.md, "A WebSocket": a page of a sibling host opens one with the
// user's cookie, and only Origin tells.
func TestWebSocketInChromium(t *testing.T) {
	h := newHosts(t, func(h *hosts, where string, w http.ResponseWriter) {
		if where == "app.shop.localhost/" {
			w.Header().Add("Set-Cookie", "__Host-session=S; Path=/; Secure; HttpOnly; SameSite=Strict")
		}
	})
	b := newBrowser(t, h.url("app.shop.localhost"), linux)
	b.open("/")
	for host, cookies := range map[string]string{"old.shop.localhost": "__Host-session=S", "idp.localhost": ""} {
		b.call("open "+host, chromedp.Navigate(h.url(host)))
		eval[bool](b, `new Promise(done => new WebSocket("`+strings.Replace(h.url("app.shop.localhost"), "http", "ws", 1)+`/socket").onerror = () => done(true))`)
		if got, want := h.wait(t, "app.shop.localhost/socket"), (arrival{"app.shop.localhost/socket", cookies, h.url(host)}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

// docs/recipes-requests.md, "A single-page application on another origin": of one site,
// its pages get and send the cookie of the API's host; of another site, they do
// not.
func TestAppInChromium(t *testing.T) {
	for app, want := range map[string]string{"app.shop.localhost": "__Host-session=S", "app.localhost": ""} {
		h := newHosts(t, func(h *hosts, where string, w http.ResponseWriter) {
			if where == "api.shop.localhost/login" {
				w.Header().Set("Set-Cookie", "__Host-session=S; Path=/; Secure; HttpOnly; SameSite=Lax")
			}
			w.Header().Set("Access-Control-Allow-Origin", h.url(app))
			w.Header().Set("Access-Control-Allow-Credentials", "true")
		})
		b := newBrowser(t, h.url(app), linux)
		b.open("/")
		for _, path := range []string{"/login", "/me"} {
			eval[bool](b, `fetch("`+h.url("api.shop.localhost")+path+`", {method: "POST", credentials: "include"}).then(() => true)`)
		}
		if got := h.wait(t, "api.shop.localhost/me"); got.cookies != want || got.origin != h.url(app) {
			t.Errorf("from %s: got %+v, want cookies %q", app, got, want)
		}
	}
}
