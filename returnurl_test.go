package ticketstore

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
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
	r := httptest.NewRequest("POST", "/login?ReturnUrl=/query", strings.NewReader("ReturnUrl=/form"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if got := m.ReturnURL(r); got != "/query" {
		t.Errorf("both: got %q, want the query's", got)
	}
}

func FuzzHostRelative(f *testing.F) {
	for _, s := range []string{"/", "//x", `/\x`, "/a?b=c", "/\t/x", "http://x", "/.//x", "/%2f/x"} {
		f.Add(s)
	}
	base, _ := url.Parse("https://good.example/dir/")
	f.Fuzz(func(t *testing.T, s string) {
		if !hostRelative(s) {
			return
		}
		u, err := base.Parse(s)
		if err != nil || u.Host != base.Host || u.Scheme != base.Scheme {
			t.Errorf("%q leads to %v, %v", s, u, err)
		}
	})
}
