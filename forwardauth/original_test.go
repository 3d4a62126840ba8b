package forwardauth

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/returnurl"
)

func discardLog() *log.Logger { return log.New(io.Discard, "", 0) }

func TestReturnURL(t *testing.T) {
	f := newFixture(t, ticketstore.Config{}, Config{LoginURL: "https://login.example.com/", Origins: []string{"https://app.example.com", "http://dev.example.com:8080"}})
	for back, want := range map[string]string{
		"":                                       "/",
		"/orders?id=1":                           "/orders?id=1",
		"//evil.example":                         "/",
		"https://app.example.com":                "https://app.example.com/",
		"https://app.example.com/orders?id=1#x":  "https://app.example.com/orders?id=1",
		"https://app.example.com:443/":           "https://app.example.com/",
		"HTTPS://App.Example.Com/A":              "https://app.example.com/A",
		"http://dev.example.com:8080/x":          "http://dev.example.com:8080/x",
		"http://app.example.com/":                "/",
		"https://app.example.com:8443/":          "/",
		"https://app.example.com.evil.example/":  "/",
		"https://evil.example/?app.example.com":  "/",
		"https://app.example.com@evil.example/":  "/",
		"https://a:b@app.example.com/":           "https://app.example.com/",
		`https://app.example.com\@evil.example/`: "/",
		"https://app.example.com//evil.example/": "/",
		`https://app.example.com/\evil.example`:  "https://app.example.com/%5Cevil.example",
		"https://app.example.com/?a=\\":          "/",
		"https:app.example.com/":                 "/",
		"https:///app.example.com/":              "/",
		"javascript:alert(1)":                    "/",
		"data://app.example.com/x":               "/",
		"https://app.example.com/\r\nX: y":       "/",
		"\thttps://app.example.com/":             "/",
		"https://app.example.com\t/":             "/",
		"https://app%2eexample.com/":             "/",
	} {
		for _, r := range []*http.Request{
			httptest.NewRequest("GET", "/?ReturnUrl="+url.QueryEscape(back), nil),
			form(back),
		} {
			if got := f.ReturnURL(r); got != want {
				t.Errorf("%s %q: got %q, want %q", r.Method, back, got, want)
			}
		}
	}
}

func form(back string) *http.Request {
	r := httptest.NewRequest("POST", "/", strings.NewReader("ReturnUrl="+url.QueryEscape(back)))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// Whatever a client writes, the browser is sent to the login page, and from
// there back to an origin that the operator has named, or on its own host.
func FuzzOriginal(f *testing.F) {
	f.Add("GET", "https://app.example.com/a?b=c", "", "", "", "/check", "")
	f.Add("POST", "", "https", "app.example.com:443", "//evil.example", "/", "https://app.example.com/form")
	f.Add("GET", "", "", "", "", "/a/b?c", "")
	f.Add("HEAD", `https://app.example.com\@evil.example/`, "http", "evil.example", `/\evil.example`, "//x", "https://app.example.com//evil.example")
	f.Add("GET", "https://app.example.com@evil.example/", "HTTPS", "APP.example.com", "/%0d%0a", "/x", "")
	origins := []string{"https://app.example.com", "http://dev.example.com:8080"}
	var handlers []*Handler
	for _, cfg := range []Config{{LoginURL: "/login"}, {LoginURL: "https://login.example.com/in?x=1", Origins: origins}} {
		h, err := New(new(ticketstore.Manager), cfg)
		if err != nil {
			f.Fatal(err)
		}
		handlers = append(handlers, h)
	}
	f.Fuzz(func(t *testing.T, method, whole, proto, host, uri, own, referer string) {
		u, err := url.ParseRequestURI(own)
		if err != nil {
			return
		}
		r := &http.Request{Method: method, URL: u, Host: "own.example", RequestURI: own, Header: http.Header{
			"Accept": {"text/html"}, "Referer": {referer}, "X-Original-Url": {whole}, "X-Original-Method": {method},
			"X-Forwarded-Proto": {proto}, "X-Forwarded-Host": {host}, "X-Forwarded-Uri": {uri}, "X-Forwarded-Method": {method},
		}}
		for _, h := range handlers {
			o := originalOf(r)
			applied := o.apply(r)
			if applied.URL == nil || applied.Method == "" && method != "" || r.URL != u {
				t.Fatalf("got %+v", applied)
			}
			login := h.loginURL(applied, o)
			if login == "" {
				continue
			}
			at, err := url.Parse(login)
			if err != nil || at.Scheme != h.login.Scheme || at.Host != h.login.Host || at.Path != h.login.Path || strings.ContainsFunc(login, func(c rune) bool { return c <= ' ' || c > '~' || c == '\\' }) {
				t.Fatalf("got %q, %v, want the login page", login, err)
			}
			back := at.Query().Get(returnurl.Parameter)
			checkBack(t, h, back)
			if again := h.ReturnURL(&http.Request{Method: "GET", URL: at}); back != "" && again != back {
				t.Errorf("the login page sends back to %q, not to %q", again, back)
			}
		}
	})
}

// Whatever a link says, the login page sends nobody elsewhere.
func FuzzReturnURL(f *testing.F) {
	for _, s := range []string{"/", "//x", "https://app.example.com/", "https://app.example.com@x/", `https:\\x`, "https://app.example.com\x00.x/"} {
		f.Add(s)
	}
	h, err := New(new(ticketstore.Manager), Config{LoginURL: "https://login.example.com/", Origins: []string{"https://app.example.com", "http://dev.example.com:8080"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, back string) {
		r := &http.Request{Method: "GET", URL: &url.URL{Path: "/", RawQuery: url.Values{returnurl.Parameter: {back}}.Encode()}}
		got := h.ReturnURL(r)
		if got == "" {
			t.Fatal("got nothing")
		}
		checkBack(t, h, got)
	})
}

func checkBack(t *testing.T, h *Handler, back string) {
	t.Helper()
	base, _ := url.Parse("https://login.example.com/")
	u, err := base.Parse(back)
	if err != nil {
		t.Fatalf("%q: %v", back, err)
	}
	at := u.Scheme + "://" + u.Host
	if own := at == "https://login.example.com"; u.User != nil || !own && !slices.Contains(h.origins, at) || !own && !strings.HasPrefix(back, at+"/") {
		t.Fatalf("%q leads to %s", back, u)
	}
	if strings.Contains(back, `\`) || strings.ContainsAny(back, "\r\n\t\x00") {
		t.Fatalf("got %q", back)
	}
}

func TestEncode(t *testing.T) {
	for _, tt := range []struct {
		values []string
		want   string
	}{
		{nil, ""},
		{[]string{""}, ""},
		{[]string{"ann@example.com"}, "ann@example.com"},
		{[]string{"Ann Müller"}, "Ann M%C3%BCller"},
		{[]string{" ann", "ann ", " "}, "%20ann,ann%20,%20"},
		{[]string{"dev", "", "ops"}, "dev,ops"},
		{[]string{"x,admin"}, "x%2Cadmin"},
		{[]string{"100%", "%2C"}, "100%25,%252C"},
		{[]string{"a\r\nRemote-User: root"}, "a%0D%0ARemote-User: root"},
		{[]string{"\x00\x7f\xff"}, "%00%7F%FF"},
	} {
		if got := encode(tt.values); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.values, got, tt.want)
		}
	}
	tk := ticketstore.NewTicket("ann", ticketstore.Claim{Type: "role", Value: "dev"}, ticketstore.Claim{Type: "group", Value: "admin"})
	tk.Identities = append(tk.Identities, ticketstore.Identity{RoleClaimType: "group", Claims: []ticketstore.Claim{{Type: "role", Value: "no"}, {Type: "group", Value: "ops"}},
		Actor: &ticketstore.Identity{Claims: []ticketstore.Claim{{Type: "role", Value: "admin"}}}})
	got := Roles(tk)
	if want := []string{"dev", "ops"}; !slices.Equal(got, want) {
		t.Errorf("Roles: got %q, want %q", got, want)
	}
	for _, role := range []string{"dev", "ops", "admin", "no"} {
		if tk.HasRole(role) != slices.Contains(got, role) {
			t.Errorf("Roles has %s: %t, HasRole says otherwise", role, slices.Contains(got, role))
		}
	}
}

// What is encoded is a header's value, and comes back as it was.
func FuzzEncode(f *testing.F) {
	f.Add("a", "b,c")
	f.Add(" ä%", "\r\n")
	f.Fuzz(func(t *testing.T, a, b string) {
		got := encode([]string{a, b})
		if strings.ContainsFunc(got, func(c rune) bool { return c < ' ' || c > '~' }) || strings.TrimSpace(got) != got {
			t.Fatalf("got %q", got)
		}
		var values []string
		for v := range strings.SplitSeq(got, ",") {
			v, err := url.PathUnescape(v)
			if err != nil {
				t.Fatal(err)
			}
			values = append(values, v)
		}
		want := slices.DeleteFunc([]string{a, b}, func(s string) bool { return s == "" })
		if len(want) == 0 {
			want = []string{""}
		}
		if fmt.Sprintf("%q", values) != fmt.Sprintf("%q", want) {
			t.Errorf("got %q, want %q", values, want)
		}
	})
}
