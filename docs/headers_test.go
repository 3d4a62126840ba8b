package docs_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/ticketstore/ticketstore"
)

// What becomes of the headers that Require has set before the handler runs.
func TestHeadersUnderOtherHandlers(t *testing.T) {
	m, _ := site(t, miniredis.RunT(t).Addr(), ticketstore.Config{})
	cookie := login(t, m, ticketstore.NewTicket("alice"))

	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hints" {
			w.WriteHeader(http.StatusEarlyHints)
		}
		w.Header().Set("Vary", "Accept-Encoding")
		w.Header().Set("Cache-Control", "public")
	}))
	defer upstream.Close()
	u, err := url.Parse(upstream.URL)
	if err != nil {
		t.Fatal(err)
	}

	varies := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Header().Add("Vary", "Accept-Encoding") })
	plain := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })
	end := make(chan bool)
	defer close(end)
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-end })
	files := http.FileServerFS(fstest.MapFS{"a.txt": {Data: []byte("a")}, "dir/b.txt": {Data: []byte("b")}})
	after := func(d time.Duration, h http.Handler) http.Handler { return http.TimeoutHandler(h, d, "too slow") }

	for _, tt := range []struct {
		name          string
		h             http.Handler
		path, request string // a header of the request
		status        int
		vary, noStore bool // kept
	}{
		{"a handler", m.Require(plain), "/", "", 200, true, true},
		{"a handler that adds to Vary", m.Require(varies), "/", "", 200, true, true},
		{"NotFound", m.Require(http.NotFoundHandler()), "/", "", 404, true, true},
		{"Redirect", m.Require(http.RedirectHandler("/x", http.StatusSeeOther)), "/", "", 303, true, true},
		{"FileServer", m.Require(files), "/a.txt", "", 200, true, true},
		{"FileServer, directory", m.Require(files), "/dir", "", 301, true, true},
		{"FileServer, no such file", m.Require(files), "/b.txt", "", 404, true, false},
		{"FileServer, no such range", m.Require(files), "/a.txt", "Range: bytes=5-", 416, true, false},
		{"TimeoutHandler", m.Require(after(time.Minute, plain)), "/", "", 200, true, true},
		{"TimeoutHandler, too slow", m.Require(after(time.Nanosecond, slow)), "/", "", 503, true, true},
		{"TimeoutHandler, with a Vary", m.Require(after(time.Minute, varies)), "/", "", 200, false, true},
		{"TimeoutHandler outside", after(time.Minute, m.Require(varies)), "/", "", 200, true, true},
		{"ReverseProxy", m.Require(reverseProxy(u)), "/", "", 200, true, true},
		{"ReverseProxy, Early Hints", m.Require(reverseProxy(u)), "/hints", "", 200, false, false},
		{"ReverseProxy, Early Hints, set again", m.Require(setAgain(u)), "/hints", "", 200, true, true},
	} {
		res := get(t, tt.h, tt.path, cookie, tt.request)
		vary := slices.Contains(res.Header.Values("Vary"), "Cookie")
		noStore := slices.Contains(res.Header.Values("Cache-Control"), "no-store")
		if res.StatusCode != tt.status || vary != tt.vary || noStore != tt.noStore {
			t.Errorf("%s: got %d, Vary %q, Cache-Control %q; want %d, kept: %t, %t", tt.name,
				res.StatusCode, res.Header.Values("Vary"), res.Header.Values("Cache-Control"), tt.status, tt.vary, tt.noStore)
		}
	}

	t.Setenv("GODEBUG", "httpservecontentkeepheaders=1")
	if res := get(t, m.Require(files), "/b.txt", cookie, ""); res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("FileServer with httpservecontentkeepheaders=1: got Cache-Control %q, want no-store", res.Header.Get("Cache-Control"))
	}
}

// setAgain is a reverse proxy whose upstream may send 1xx responses, of which
// each takes away what was set before.
func setAgain(upstream *url.URL) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(upstream) },
		ModifyResponse: func(res *http.Response) error {
			res.Header.Add("Vary", "Cookie")
			res.Header.Add("Cache-Control", "no-store")
			return nil
		},
	}
}

// A session whose cookie TimeoutHandler has thrown away lives on.
func TestSignInUnderTimeoutHandler(t *testing.T) {
	m, store := site(t, miniredis.RunT(t).Addr(), ticketstore.Config{})
	signedIn, answered := make(chan error), make(chan bool)
	h := http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := m.SignIn(w, r.WithContext(t.Context()), ticketstore.NewTicket("alice"))
		<-answered
		signedIn <- err
	}), time.Nanosecond, "too slow")
	res := get(t, h, "/", nil, "")
	close(answered)
	if err := <-signedIn; err != nil {
		t.Fatal(err)
	}
	sessions, err := store.Sessions(t.Context(), "alice")
	if res.StatusCode != http.StatusServiceUnavailable || len(res.Cookies()) != 0 || len(sessions) != 1 || err != nil {
		t.Errorf("got %d, %d cookies, %d sessions, %v, want 503, none and one", res.StatusCode, len(res.Cookies()), len(sessions), err)
	}
}

func get(t *testing.T, h http.Handler, path string, cookie *http.Cookie, header string) *http.Response {
	t.Helper()
	srv := httptest.NewServer(h)
	defer srv.Close()
	r, err := http.NewRequest("GET", srv.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if cookie != nil {
		r.AddCookie(cookie)
	}
	if k, v, ok := strings.Cut(header, ": "); ok {
		r.Header.Set(k, v)
	}
	res, err := srv.Client().Transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return res
}
