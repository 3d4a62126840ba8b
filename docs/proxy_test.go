package docs_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"github.com/ticketstore/ticketstore"
)

// ours matches the Manager's cookie, in a Set-Cookie header and between the
// semicolons of a Cookie header; an impersonation has a second one. ASP.NET Core
// adds C1, C2, … if it is long.
var ours = regexp.MustCompile(`^[\s=]*__Host-session(-operator)?(C[0-9]+)?\s*(=|;|$)`)

// reverseProxy passes requests on to upstream, and the Manager's cookie in
// neither direction. Other cookies stay as they are, byte for byte.
func reverseProxy(upstream *url.URL) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(upstream)
			lines := r.Out.Header["Cookie"]
			r.Out.Header.Del("Cookie")
			for _, line := range lines {
				rest := slices.DeleteFunc(strings.Split(line, ";"), ours.MatchString)
				if line = strings.TrimSpace(strings.Join(rest, ";")); line != "" {
					r.Out.Header.Add("Cookie", line)
				}
			}
		},
		ModifyResponse: func(res *http.Response) error {
			res.Header["Set-Cookie"] = slices.DeleteFunc(res.Header["Set-Cookie"], ours.MatchString)
			return nil
		},
	}
}

// What a server behind the proxy gets and sets, but for our cookie.
func TestReverseProxy(t *testing.T) {
	m, _ := site(t, miniredis.RunT(t).Addr(), ticketstore.Config{})
	cookie := login(t, m, ticketstore.NewTicket("alice")).Value
	var got []string
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header["Cookie"]
		w.Header()["Set-Cookie"] = r.Header["X-Set"]
		if r.Header.Get("Upgrade") != "" {
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Upgrade", "echo")
			w.WriteHeader(http.StatusSwitchingProtocols)
		}
	}))
	defer upstream.Close()
	u, err := url.Parse(upstream.URL)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(m.Require(reverseProxy(u)))
	defer front.Close()

	send := func(header http.Header) *http.Response {
		t.Helper()
		r, err := http.NewRequest("GET", front.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = header
		got = []string{"nothing came"}
		res, err := front.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res
	}
	for _, tt := range []struct{ sent, want []string }{
		{[]string{"__Host-session=KEY"}, nil},
		{[]string{"a=1; __Host-session=KEY; b=2"}, []string{"a=1; b=2"}},
		{[]string{"__Host-session=KEY; a=1;b=2"}, []string{"a=1;b=2"}},
		{[]string{"a=1;__Host-session=KEY"}, []string{"a=1"}},
		{[]string{"a=1; __Host-session=KEY; __Host-session=OLD"}, []string{"a=1"}},
		{[]string{"__Host-session=KEY", "a=1", "__Host-session=OLD; b=2"}, []string{"a=1", "b=2"}},
		{[]string{"a=1; \t__Host-session =KEY"}, []string{"a=1"}},
		{[]string{"__Host-session=KEY; =__Host-session=OLD; __Host-session"}, nil},
		{[]string{`__Host-session="KEY"; a=1`}, []string{"a=1"}},
		{[]string{"__Host-session=KEY; __Host-sessionC1=OLD; __Host-sessionC12=OLD"}, nil},
		{[]string{"__Host-session=KEY; __Host-session-operator=OLD; __Host-session-operatorC1=OLD; a=1"}, []string{"a=1"}},
		{[]string{`a="1 2"; __Host-session=KEY; b=3, 4; c; d=\; =e; f=é; g="`}, []string{`a="1 2"; b=3, 4; c; d=\; =e; f=é; g="`}},
		{[]string{"__Host-session=KEY; __Host-session2=1; x__Host-session=2; __Host-sessionCx=3; __host-session=4"},
			[]string{"__Host-session2=1; x__Host-session=2; __Host-sessionCx=3; __host-session=4"}},
	} {
		header := http.Header{}
		for _, line := range tt.sent {
			header.Add("Cookie", strings.ReplaceAll(line, "KEY", cookie))
		}
		if res := send(header); res.StatusCode != http.StatusOK || !slices.Equal(got, tt.want) {
			t.Errorf("%q: got %q upstream, status %d, want %q", tt.sent, got, res.StatusCode, tt.want)
		}
	}

	set := []string{
		"__Host-session=PLANTED; Path=/; Secure", "__Host-session=; Max-Age=0", "=__Host-session=PLANTED", "__Host-session; Path=/",
		" __Host-session =PLANTED", "__Host-sessionC1=PLANTED",
		"a=1; Path=/", `b="2 3"`, "__Host-session2=4",
	}
	header := http.Header{"Cookie": {"__Host-session=" + cookie}, "X-Set": set}
	if res := send(header); !slices.Equal(res.Header["Set-Cookie"], set[6:]) {
		t.Errorf("got Set-Cookie %q, want %q", res.Header["Set-Cookie"], set[6:])
	}
	header.Set("Connection", "Upgrade")
	header.Set("Upgrade", "echo")
	if res := send(header); res.StatusCode != http.StatusSwitchingProtocols || got != nil || !slices.Equal(res.Header["Set-Cookie"], set[6:]) {
		t.Errorf("WebSocket: got status %d, %q upstream, Set-Cookie %q, want %q", res.StatusCode, got, res.Header["Set-Cookie"], set[6:])
	}
}
