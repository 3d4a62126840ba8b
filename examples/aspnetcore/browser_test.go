package aspnetcore_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore/internal/redistest"
)

// A side is one of the two runtimes: where it has /signin, /signout, /update
// and /me.
type side struct {
	name string
	base string
}

// A browser is a client with cookies of its own. It sends them to both sides,
// as cookies know of no ports: to it they are one site.
type browser struct {
	client *http.Client
	agent  string
}

var transport = &http.Transport{MaxIdleConnsPerHost: 16, IdleConnTimeout: 10 * time.Second}

// site is where cookies of all addresses on 127.0.0.1 are.
var site = &url.URL{Scheme: "http", Host: "127.0.0.1", Path: "/"}

func newBrowser() *browser {
	jar, _ := cookiejar.New(nil) // it has no errors
	return &browser{
		client: &http.Client{
			Transport:     transport,
			Jar:           jar,
			Timeout:       redistest.Patience,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		agent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
	}
}

// tab returns a browser that has the cookies that b has now, and keeps them
// whatever becomes of b's.
func (b *browser) tab() *browser {
	n := newBrowser()
	n.agent = b.agent
	n.client.Jar.SetCookies(site, b.client.Jar.Cookies(site))
	return n
}

// cookies returns the cookies of b that have a name.
func (b *browser) cookies(name string) []*http.Cookie {
	var cookies []*http.Cookie
	for _, c := range b.client.Jar.Cookies(site) {
		if c.Name == name {
			cookies = append(cookies, c)
		}
	}
	return cookies
}

// do sends a request with body as JSON, unless it is nil or an [io.Reader], and
// returns the response and its body.
func (b *browser) do(t testing.TB, method, url string, body any, header ...string) (*http.Response, []byte) {
	t.Helper()
	res, data, err := b.try(t, method, url, body, header...)
	if err != nil {
		t.Fatal(err)
	}
	return res, data
}

// try is do for other goroutines than the test's.
func (b *browser) try(t testing.TB, method, url string, body any, header ...string) (*http.Response, []byte, error) {
	reader, isReader := body.(io.Reader)
	if body != nil && !isReader {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, nil, err
		}
		reader = bytes.NewReader(data)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, url, reader)
	if err != nil {
		return nil, nil, err
	}
	r.Header.Set("User-Agent", b.agent)
	if body != nil && !isReader {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := b.client.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	return res, data, err
}

// json sends a request and decodes the answer to it into to, unless that is
// nil. It returns false for a 401.
func (b *browser) json(t testing.TB, method, url string, body, to any) bool {
	t.Helper()
	res, data := b.do(t, method, url, body)
	switch {
	case res.StatusCode == http.StatusUnauthorized:
		return false
	case res.StatusCode != http.StatusOK:
		t.Fatalf("%s %s: got %d %s, want 200", method, url, res.StatusCode, clip(string(data)))
	}
	if to != nil {
		if err := json.Unmarshal(data, to); err != nil {
			t.Fatalf("%s %s: %v: %s", method, url, err, clip(string(data)))
		}
	}
	return true
}

// signIn signs in at s. ASP.NET Core redirects to an item .redirect.
func (b *browser) signIn(t testing.TB, s side, in signIn) {
	t.Helper()
	res, data := b.do(t, "POST", s.base+"/signin", in)
	if _, redirects := in.Items[".redirect"]; res.StatusCode != http.StatusOK && (res.StatusCode != http.StatusFound || !redirects) {
		t.Fatalf("%s: sign in: got %d %s, want 200", s.name, res.StatusCode, clip(string(data)))
	}
}

func (b *browser) signOut(t testing.TB, s side) {
	t.Helper()
	b.json(t, "POST", s.base+"/signout", nil, nil)
}

// me returns who b is to s, or nil if that is nobody.
func (b *browser) me(t testing.TB, s side) *content {
	t.Helper()
	var c content
	if !b.json(t, "GET", s.base+"/me", nil, &c) {
		return nil
	}
	return &c
}

// mustBe is me for one that must be somebody.
func (b *browser) mustBe(t testing.TB, s side, subject string) *content {
	t.Helper()
	c := b.me(t, s)
	switch {
	case c == nil:
		t.Fatalf("%s: got anonymous, want %s", s.name, subject)
	case c.Subject != subject:
		t.Fatalf("%s: got %s, want %s", s.name, c.Subject, subject)
	}
	return c
}

// wantAnonymous reports each of sides that knows b, in this order.
func (b *browser) wantAnonymous(t testing.TB, sides ...side) {
	t.Helper()
	for _, s := range sides {
		if c := b.me(t, s); c != nil {
			t.Errorf("%s: got %s, want anonymous", s.name, c.Subject)
		}
	}
}

// wantUser reports each of sides to which b is not subject, in this order.
func (b *browser) wantUser(t testing.TB, subject string, sides ...side) {
	t.Helper()
	for _, s := range sides {
		switch c := b.me(t, s); {
		case c == nil:
			t.Errorf("%s: got anonymous, want %s", s.name, subject)
		case c.Subject != subject:
			t.Errorf("%s: got %s, want %s", s.name, c.Subject, subject)
		}
	}
}

// A row is a session on the page of devices.
type row struct {
	ID         string    `json:"id"`
	Current    bool      `json:"current"`
	Device     string    `json:"device"`
	Addr       string    `json:"addr"`
	SignedInAt time.Time `json:"signedInAt"`
}

// sessions returns what the page of devices shows b. To that end b must be
// known to Go.
func (b *browser) sessions(t testing.TB, s *service) []row {
	t.Helper()
	res, data := b.do(t, "GET", s.url+"/go/sessions/", nil, "Accept", "application/json")
	var page struct {
		Sessions []row `json:"sessions"`
	}
	if res.StatusCode != http.StatusOK || json.Unmarshal(data, &page) != nil {
		t.Fatalf("sessions: got %d %s", res.StatusCode, clip(string(data)))
	}
	return page.Sessions
}

// others returns the IDs of all sessions that b is shown but its own.
func (b *browser) others(t testing.TB, s *service) []string {
	t.Helper()
	var ids []string
	for _, r := range b.sessions(t, s) {
		if !r.Current {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

// submitRevoke sends the form of the page of devices.
func (b *browser) submitRevoke(t testing.TB, s *service, what string) (*http.Response, []byte) {
	t.Helper()
	return b.do(t, "POST", s.url+"/go/sessions/", strings.NewReader(url.Values{"revoke": {what}}.Encode()),
		"Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin")
}

// revoke ends a session on the page of devices.
func (b *browser) revoke(t testing.TB, s *service, id string) {
	t.Helper()
	res, data := b.submitRevoke(t, s, id)
	if got := res.Header.Get("Location"); res.StatusCode != http.StatusSeeOther || got != "?done="+id {
		t.Fatalf("revoke: got %d to %q %s, want 303 to the page that says so", res.StatusCode, got, clip(string(data)))
	}
}
