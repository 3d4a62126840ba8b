package tickettest

import (
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
)

// Browser returns a client for server with a jar of its own, which has cookies
// in it from the beginning: each call is another browser, of another user or of
// the same one. It follows redirects, as browsers do; set its CheckRedirect to
// see them. Paths are appended to server.URL. The end of the test closes server.
//
// The server is one of [httptest.NewTLSServer]: a jar keeps Secure cookies from
// plain http, and a site would look as if nobody could sign in.
func Browser(tb TB, server *httptest.Server, cookies ...*http.Cookie) *http.Client {
	tb.Helper()
	u, err := url.Parse(server.URL)
	if err != nil || u.Scheme != "https" {
		tb.Fatalf("tickettest: the server is at %q: no jar gives it a Secure cookie; use httptest.NewTLSServer", server.URL)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		tb.Fatalf("tickettest: %v", err)
	}
	jar.SetCookies(u, cookies)
	tb.Cleanup(server.Close)
	return &http.Client{Transport: server.Client().Transport, Jar: jar}
}
