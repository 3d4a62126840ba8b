package fwtest

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

// Seen is what a Manager may read of a request.
type Seen struct {
	Method, URI, Host string
	Header            http.Header
	Cookies           []*http.Cookie
	User              string // a field of its form
}

// See returns what r is for a Manager.
func See(r *http.Request) Seen {
	return Seen{r.Method, r.URL.String(), r.Host, r.Header, r.Cookies(), r.FormValue("user")}
}

// See is middleware, as Wrap is, that answers with what it sees as JSON.
func (s *Site) See(http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(See(r))
	})
}

// Heads are heads of requests, without their first line, that somebody may
// send to be read in two ways.
var Heads = []string{
	"Cookie: =__Host-session=V",
	"Cookie: a=1; =__Host-session=V",
	"Cookie: __Host-session",
	"Cookie: =; ==; ;; =a; a=; a",
	"Cookie: __Host-session =V",
	"Cookie: __Host-session= V",
	"Cookie: __Host-session=V ; a=b",
	"Cookie: __Host-session=\tV",
	"Cookie: \t__Host-session=V\t",
	`Cookie: __Host-session="V"`,
	`Cookie: __Host-session="V`,
	`Cookie: __Host-session=""V""`,
	`Cookie: a="; __Host-session=V; b="`,
	"Cookie: __Host-session=V=W",
	"Cookie: __Host-session=V,W",
	`Cookie: __Host-session=V\W`,
	"Cookie: __Host-session=V\x80",
	"Cookie: __Host-session\x80=V",
	"Cookie: __host-session=V; __HOST-SESSION=W",
	"Cookie: a[b]=1; (c)=2; __Host-session=V",
	"Cookie: a=1,__Host-session=V",
	"Cookie: $Version=1; __Host-session=V; $Path=/",
	"Cookie: __Host-session=V; __Host-session=W; __Host-session=V",
	"Cookie: __Host-session=V\r\nCookie: __Host-session=W",
	"cOOKIE: __Host-session=V\r\nCOOKIE: =__Host-session=W",
	"Cookie:__Host-session=V",
	"Cookie: a=1;\r\n __Host-session=V", // RFC 9112, section 5.2
	"Cookie: a=1\r\n\t; __Host-session=V",
	"Cookie:",
	"Cookie: " + strings.Repeat("a=1; ", 500) + "__Host-session=V",
	"Cookie : __Host-session=V",
	" Cookie: __Host-session=V",
	"Cookie\x00: __Host-session=V",
	"Cookie: __Host-session=V\x00",
	"Cookie; __Host-session=V",
	"Set-Cookie: __Host-session=V",

	"User-Agent: a\r\nUser-Agent: b",
	"User-Agent:\r\nUser-Agent: b",
	"Content-Type: text/plain\r\nContent-Type: application/x-www-form-urlencoded",
	"Content-Type: application/x-www-form-urlencoded\r\nContent-Type: text/plain",
	"Sec-Fetch-Site: cross-site\r\nSec-Fetch-Site: same-origin",
	"sec-fetch-mode: navigate\r\nSEC-FETCH-MODE: cors",
	"Origin: https://a.example\r\nOrigin: https://example.com",
	"X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 192.0.2.2, 192.0.2.3\r\nx-forwarded-for:",
	"Forwarded: for=192.0.2.1\r\nForwarded: for=192.0.2.2",
	"X_Forwarded_For: 192.0.2.1\r\nX-Forwarded_For: 192.0.2.2",
	"Accept: text/html\r\nAccept: */*",
	"Connection: Cookie",
	"Connection: keep-alive, Cookie\r\nConnection: close",
	"Host: other.example",
	"Pragma: no-cache",
	"X-Empty:",
}

// seen compares what a framework's middleware sees with what net/http's does.
func (f Framework) seen(t *testing.T) {
	e := f.start(t)
	site := new(Site)
	url, client := ServeHTTP(t, site.See(nil))
	for _, head := range Heads {
		want := ask(t, url, client, head)
		if got := ask(t, e.url, e.client, head); !reflect.DeepEqual(got, want) {
			t.Errorf("%q:\ngot  %+v\nwant %+v", head, got, want)
		}
	}
}

// ask returns what the site at url sees of a request with head, nil if it
// refuses the request.
func ask(t *testing.T, url string, client *http.Client, head string) *Seen {
	t.Helper()
	conn, err := tls.Dial("tcp", strings.TrimPrefix(url, "https://"), client.Transport.(*http.Transport).TLSClientConfig)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /see?a=%%20b HTTP/1.1\r\nHost: Example.com\r\nContent-Length: 6\r\n%s\r\n\r\nuser=x", head)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%q: %v", head, err)
	}
	defer res.Body.Close()
	if res.StatusCode >= 400 {
		return nil
	}
	seen := new(Seen)
	if err := json.NewDecoder(res.Body).Decode(seen); err != nil {
		t.Fatalf("%q: status %d: %v", head, res.StatusCode, err)
	}
	return seen
}
