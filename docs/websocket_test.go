package docs_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"github.com/ticketstore/ticketstore"
)

// fromHere refuses a WebSocket that another origin's page opens, unless p
// trusts that origin. By itself p lets it pass, as it does every GET.
func fromHere(p *http.CrossOriginProtection, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		post := *r
		post.Method = http.MethodPost
		if err := p.Check(&post); err != nil {
			http.Error(w, "This page may not open a WebSocket here.", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func TestFromHere(t *testing.T) {
	m, _ := site(t, miniredis.RunT(t).Addr(), ticketstore.Config{})
	cookie := login(t, m, ticketstore.NewTicket("alice"))
	p := http.NewCrossOriginProtection()
	if err := p.AddTrustedOrigin("https://trusted.example.com"); err != nil {
		t.Fatal(err)
	}
	socket := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		t, _ := ticketstore.FromContext(r.Context())
		fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-User: %s\r\n\r\n", t.Subject)
	})
	mux := http.NewServeMux()
	mux.Handle("GET /socket", m.Require(fromHere(p, socket)))
	mux.Handle("GET /unguarded", m.Require(socket))
	srv := httptest.NewTLSServer(p.Handler(m.Wrap(mux)))
	defer srv.Close()

	for _, tt := range []struct {
		path, headers string
		want          int
	}{
		{"/socket", "Origin: https://app.example.com", http.StatusSwitchingProtocols},
		{"/socket", "", http.StatusSwitchingProtocols}, // no browser
		{"/socket", "Origin: https://trusted.example.com", http.StatusSwitchingProtocols},
		{"/socket", "Origin: https://app.example.com\r\nSec-Fetch-Site: same-origin", http.StatusSwitchingProtocols},
		{"/socket", "Origin: https://old.example.com", http.StatusForbidden},
		{"/socket", "Origin: https://old.example.com\r\nSec-Fetch-Site: same-site", http.StatusForbidden},
		{"/socket", "Origin: https://example.com", http.StatusForbidden},
		{"/socket", "Origin: https://app.example.com.example.net", http.StatusForbidden},
		{"/socket", "Origin: https://app.example.com:8443", http.StatusForbidden},
		{"/socket", "Origin: null", http.StatusForbidden},
		{"/unguarded", "Origin: https://old.example.com", http.StatusSwitchingProtocols}, // why the recipe is there
	} {
		res := handshake(t, srv, tt.path, "Cookie: "+cookie.Name+"="+cookie.Value, tt.headers)
		if res.StatusCode != tt.want || (res.Header.Get("X-User") == "alice") != (tt.want == http.StatusSwitchingProtocols) {
			t.Errorf("%s, %q: got %d and user %q, want %d", tt.path, tt.headers, res.StatusCode, res.Header.Get("X-User"), tt.want)
		}
	}
}

// handshake asks srv, as app.example.com, for a WebSocket.
func handshake(t *testing.T, srv *httptest.Server, path string, headers ...string) *http.Response {
	t.Helper()
	conn, err := tls.Dial("tcp", srv.Listener.Addr().String(), srv.Client().Transport.(*http.Transport).TLSClientConfig)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	lines := append([]string{"GET " + path + " HTTP/1.1", "Host: app.example.com", "Connection: Upgrade", "Upgrade: websocket"}, headers...)
	fmt.Fprint(conn, strings.TrimSuffix(strings.Join(lines, "\r\n"), "\r\n")+"\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	return res
}
