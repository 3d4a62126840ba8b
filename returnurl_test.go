package ticketstore

import (
	"bytes"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore/internal/returnurl"
)

func TestReturnURL(t *testing.T) {
	m := &Manager{}
	for target, want := range map[string]string{
		"":                       "/",
		"/":                      "/",
		"/orders?id=1&x=%2F#top": "/orders?id=1&x=%2F#top",
		"/ä":                     "/ä",
		"/a//b":                  "/a//b",
		"//evil.example":         "/",
		"///evil.example":        "/",
		`/\evil.example`:         "/",
		`\/evil.example`:         "/",
		`/./\evil.example`:       "/",
		"/\t/evil.example":       "/",
		"/\n/evil.example":       "/",
		"/\x00":                  "/",
		"https://evil.example/":  "/",
		"javascript:alert(1)":    "/",
		"evil.example":           "/",
		" /x":                    "/",
		"/%zz":                   "/",
	} {
		q := "/login?" + url.Values{"ReturnUrl": {target}}.Encode()
		if got := m.ReturnURL(httptest.NewRequest("GET", q, nil)); got != want {
			t.Errorf("query %q: got %q, want %q", target, got, want)
		}
		r := httptest.NewRequest("POST", "/login", strings.NewReader(url.Values{"ReturnUrl": {target}}.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if got := m.ReturnURL(r); got != want {
			t.Errorf("form %q: got %q, want %q", target, got, want)
		}
	}
	body, contentType := multipartForm(t, "ReturnUrl", "/orders")
	upload := httptest.NewRequest("POST", "/login", body)
	upload.Header.Set("Content-Type", contentType)
	if got := m.ReturnURL(upload); got != "/orders" {
		t.Errorf("multipart form: got %q, want /orders", got)
	}
	r := httptest.NewRequest("POST", "/login?ReturnUrl=/query", strings.NewReader("ReturnUrl=/form"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if got := m.ReturnURL(r); got != "/query" {
		t.Errorf("both: got %q, want the query's", got)
	}
}

func multipartForm(t *testing.T, name, value string) (body io.Reader, contentType string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	if err := errors.Join(w.WriteField(name, value), w.Close()); err != nil {
		t.Fatal(err)
	}
	return &b, w.FormDataContentType()
}

// navigate returns where a browser on its way to target is sent to sign in.
func navigate(h http.Handler, r *http.Request) (status int, location string) {
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Header().Get("Location")
}

// Behind a proxy that takes off a prefix, the way back is the browser's, and
// the login page is known for what it is.
func TestPathPrefix(t *testing.T) {
	b := miniBackend(t)
	forwarded := func(r *http.Request) string { return r.Header.Get("X-Forwarded-Prefix") }
	for _, test := range []struct {
		prefix         func(*http.Request) string
		header, target string
		want           string // "" if the login page itself
	}{
		{nil, "/app", "/orders?id=1", "/app/login?ReturnUrl=%2Forders%3Fid%3D1"}, // not configured: the client's word
		{func(*http.Request) string { return "/app" }, "", "/orders", "/app/login?ReturnUrl=%2Fapp%2Forders"},
		{func(*http.Request) string { return "/app/" }, "", "/", "/app/login?ReturnUrl=%2Fapp%2F"},
		{forwarded, "/app", "/orders", "/app/login?ReturnUrl=%2Fapp%2Forders"},
		{forwarded, "", "/orders", "/app/login?ReturnUrl=%2Forders"},
		{forwarded, "//evil.example", "/orders", "/app/login?ReturnUrl=%2Forders"},
		{forwarded, "https://evil.example", "/orders", "/app/login?ReturnUrl=%2Forders"},
		{forwarded, "/app?x=", "/orders", "/app/login?ReturnUrl=%2Forders"},
		{forwarded, "/app", "/login", ""},
		{forwarded, "/app", "/login/?x=1", ""},
		{forwarded, "/app", "/x/../%6Cogin", ""},
	} {
		m := newSite(t, b, Config{LoginPath: "/app/login", PathPrefix: test.prefix}).manager
		r := httptest.NewRequestWithContext(b.ctx(t), "GET", test.target, nil)
		r.Header.Set("X-Forwarded-Prefix", test.header)
		status, location := navigate(m.Require(http.NotFoundHandler()), r)
		if location != test.want || status == http.StatusFound != (test.want != "") {
			t.Errorf("prefix %q, %s: got %d, %q, want %q", test.header, test.target, status, location, test.want)
		}
	}
}

func TestLoginURLIsBounded(t *testing.T) {
	b := miniBackend(t)
	h := newSite(t, b, Config{LoginPath: "/login"}).manager.Require(http.NotFoundHandler())
	long := strings.Repeat("a", 18<<10)
	for target, want := range map[string]string{
		"/orders?q=" + long:  "/login?ReturnUrl=%2Forders",
		"/" + long + "?q=1":  "/login?ReturnUrl=%2F",
		"http://a.example/x": "/login?ReturnUrl=%2Fx", // the form that a client of a proxy sends
	} {
		if _, got := navigate(h, httptest.NewRequestWithContext(b.ctx(t), "GET", target, nil)); got != want {
			t.Errorf("%.40s: got %.80q, want %q", target, got, want)
		}
	}
}

// A form whose session has ended while it was open is not answered with a bare
// 401: the user gets to the login page, told what happened, and back.
func TestFormAfterTheEnd(t *testing.T) {
	b := miniBackend(t)
	s := newSite(t, b, Config{LoginPath: "/login"})
	dead, live := s.login(t, "alice"), s.login(t, "alice")
	wantStatus(t, s.get(t, "/logout", dead), http.StatusOK)
	guarded := s.manager.Require(http.NotFoundHandler())
	recent := s.manager.RequireRecent(time.Minute, http.NotFoundHandler())
	b.advance(time.Minute)
	for _, test := range []struct {
		h                   http.Handler
		cookie              *http.Cookie
		site, referer, want string
	}{
		{guarded, dead, "same-origin", "https://example.com/orders?id=1#x", "/login?ReturnUrl=%2Forders%3Fid%3D1&ended=1"},
		{guarded, dead, "", "https://example.com/orders", "/login?ReturnUrl=%2Forders&ended=1"},
		{guarded, dead, "same-origin", "https://public.example/orders", "/login?ReturnUrl=%2Forders&ended=1"}, // a proxy changed Host
		{guarded, dead, "", "https://evil.example/orders", "/login?ReturnUrl=%2F&ended=1"},
		{guarded, dead, "cross-site", "https://example.com/orders", "/login?ReturnUrl=%2F&ended=1"},
		{guarded, dead, "", "", "/login?ReturnUrl=%2F&ended=1"},
		{guarded, dead, "", "https://example.com/login?x=1", "/login?ReturnUrl=%2F&ended=1"},
		{guarded, dead, "", "https://example.com//evil.example/", "/login?ReturnUrl=%2F&ended=1"},
		{guarded, nil, "same-origin", "https://example.com/orders", "/login?ReturnUrl=%2Forders"},
		{recent, live, "same-origin", "https://example.com/password", "/login?ReturnUrl=%2Fpassword&reauth=1"},
	} {
		r := httptest.NewRequestWithContext(b.ctx(t), "POST", "/change", nil)
		if test.cookie != nil {
			r.AddCookie(test.cookie)
		}
		r.Header.Set("Sec-Fetch-Site", test.site)
		r.Header.Set("Referer", test.referer)
		if status, got := navigate(test.h, r); status != http.StatusSeeOther || got != test.want {
			t.Errorf("%q from %q: got %d, %q, want 303, %q", test.site, test.referer, status, got, test.want)
		}
	}
}

func FuzzHostRelative(f *testing.F) {
	for _, s := range []string{"/", "//x", `/\x`, "/a?b=c", "/\t/x", "http://x", "/.//x", "/%2f/x"} {
		f.Add(s)
	}
	base, _ := url.Parse("https://good.example/dir/")
	f.Fuzz(func(t *testing.T, s string) {
		if !returnurl.HostRelative(s) {
			return
		}
		u, err := base.Parse(s)
		if err != nil || u.Host != base.Host || u.Scheme != base.Scheme {
			t.Errorf("%q leads to %v, %v", s, u, err)
		}
	})
}
