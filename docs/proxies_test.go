package docs_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/forwardauth"
	"github.com/ticketstore/ticketstore/internal/redistest"
)

// portal signs users in and out, and tells the proxy who they are.
func portal(m *ticketstore.Manager, pages http.Handler) (http.Handler, error) {
	guard, err := forwardauth.New(m, forwardauth.Config{
		Headers: map[string]func(*ticketstore.Ticket) []string{
			"Remote-User":    forwardauth.Subject,
			"Remote-Name":    forwardauth.Claim("name"),
			"Remote-Roles":   forwardauth.Roles,
			"Remote-Session": forwardauth.SessionID,
		},
		LoginURL: "/login",
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/forwardauth", guard) // outside of Wrap: it counts the proxied request, not its own
	mux.Handle("/", http.NewCrossOriginProtection().Handler(m.Wrap(pages)))
	return mux, nil
}

// severalHosts is for wiki.example.com and dash.example.com, whose users sign in
// at login.example.com. Its Manager has the CookieDomain example.com.
func severalHosts(m *ticketstore.Manager) (*forwardauth.Handler, error) {
	return forwardauth.New(m, forwardauth.Config{
		Headers:  map[string]func(*ticketstore.Ticket) []string{"Remote-User": forwardauth.Subject},
		LoginURL: "https://login.example.com/",
		Origins:  []string{"https://wiki.example.com", "https://dash.example.com"},
	})
}

func TestSeveralHosts(t *testing.T) {
	m, _ := site(t, miniredis.RunT(t).Addr(), ticketstore.Config{CookieDomain: "example.com"})
	guard, err := severalHosts(m)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "http://127.0.0.1:8080/forwardauth", nil)
	r.Header = http.Header{"Accept": {"text/html"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"wiki.example.com"}, "X-Forwarded-Uri": {"/page?a=1"}}
	w := httptest.NewRecorder()
	guard.ServeHTTP(w, r)
	login := w.Header().Get("Location")
	if want := "https://login.example.com/?ReturnUrl=https%3A%2F%2Fwiki.example.com%2Fpage%3Fa%3D1"; login != want {
		t.Errorf("got %q, want %q", login, want)
	}
	if got, want := guard.ReturnURL(httptest.NewRequest("GET", login, nil)), "https://wiki.example.com/page?a=1"; got != want {
		t.Errorf("and back: got %q, want %q", got, want)
	}
}

// A behind is what a proxy guards: it notes what comes.
type behind struct {
	*httptest.Server
	mu   sync.Mutex
	seen []*http.Request
}

func newBehind(t *testing.T) *behind {
	b := &behind{}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		b.seen = append(b.seen, r)
		b.mu.Unlock()
		if r.Header.Get("Upgrade") != "" {
			conn, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
			line, _ := rw.ReadString('\n')
			fmt.Fprint(conn, line)
			return
		}
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/broken" {
			w.WriteHeader(http.StatusInternalServerError)
		}
		fmt.Fprintf(w, "%s %s %s", r.Method, r.RequestURI, body)
	}))
	t.Cleanup(b.Close)
	return b
}

// take returns the requests that came since the last call.
func (b *behind) take() []*http.Request {
	b.mu.Lock()
	defer b.mu.Unlock()
	seen := b.seen
	b.seen = nil
	return seen
}

// A proxyRun is a proxy that asks portal and guards behind.
type proxyRun struct {
	addr   string // of the proxy, 127.0.0.1:port
	m      *ticketstore.Manager
	redis  *miniredis.Miniredis
	portal *httptest.Server
	behind *behind
	client *http.Client
	active []string // methods and URLs that Config.Activity got, under mu
	mu     sync.Mutex
}

const appHost = "app.example.com"

func newProxyRun(t *testing.T) *proxyRun {
	p := &proxyRun{addr: freeAddr(t), redis: miniredis.RunT(t), behind: newBehind(t)}
	p.m, _ = site(t, p.redis.Addr(), ticketstore.Config{RenewAfter: time.Nanosecond, Activity: func(r *http.Request) bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.active = append(p.active, r.Method+" "+r.Host+r.URL.String())
		return false
	}})
	pages := http.NewServeMux()
	pages.HandleFunc("GET /login", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "Sign in") })
	pages.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		tk := ticketstore.NewTicket("alice@example.com", ticketstore.Claim{Type: "name", Value: "Müller, Ann\r\nRemote-Roles: admin"},
			ticketstore.Claim{Type: "role", Value: "dev"}, ticketstore.Claim{Type: "role", Value: "x,admin"})
		if r.FormValue("user") == "bob" {
			tk = ticketstore.NewTicket("bob")
		}
		if err := p.m.SignIn(w, r, tk); err != nil {
			p.m.Error(w, r, err)
			return
		}
		http.Redirect(w, r, p.m.ReturnURL(r), http.StatusSeeOther)
	})
	h, err := portal(p.m, pages)
	if err != nil {
		t.Fatal(err)
	}
	p.portal = httptest.NewServer(h)
	t.Cleanup(p.portal.Close)
	return p
}

func freeAddr(t *testing.T) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// certificate writes one for appHost to dir, and has the client trust it.
func (p *proxyRun) certificate(t *testing.T, dir string) (certFile, keyFile string) {
	srv := httptest.NewTLSServer(nil)
	defer srv.Close()
	cert := srv.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	write(t, certFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})))
	write(t, keyFile, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	p.client = &http.Client{
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "example.com"},
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "tcp", p.addr)
			},
			DisableKeepAlives: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(p.client.CloseIdleConnections)
	return certFile, keyFile
}

func write(t *testing.T, file, content string) {
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// shown returns the only block of proxies.md in language, with the addresses of
// p in place of those on the page.
func (p *proxyRun) shown(t *testing.T, language string, replace ...string) string {
	blocks := strings.Split(read(t, "proxies.md"), "```"+language+"\n")
	if len(blocks) != 2 {
		t.Fatalf("proxies.md has %d blocks of %s, want one", len(blocks)-1, language)
	}
	config, _, _ := strings.Cut(blocks[1], "```")
	replace = append(replace, "127.0.0.1:8080", strings.TrimPrefix(p.portal.URL, "http://"), "127.0.0.1:9000", strings.TrimPrefix(p.behind.URL, "http://"))
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(config, replace[i]) {
			t.Fatalf("the configuration does not have %q", replace[i])
		}
		config = strings.ReplaceAll(config, replace[i], replace[i+1])
	}
	return config
}

// start runs a program of the proxy until the end of the test, and waits until it answers.
func (p *proxyRun) start(t *testing.T, name string, env []string, args ...string) {
	var out bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan error, 1)
	go func() { gone <- cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt) // which nginx's workers get, too
		select {
		case <-gone:
		case <-time.After(redistest.Patience):
			cmd.Process.Kill()
			t.Errorf("%s does not end", name)
		}
		if t.Failed() {
			t.Logf("%s said:\n%s", name, &out)
		}
	})
	for begin := time.Now(); ; {
		conn, err := net.Dial("tcp", p.addr)
		if err == nil {
			conn.Close()
			return
		}
		select {
		case err := <-gone:
			gone <- err
			t.Fatalf("%s has ended: %v\n%s", name, err, &out)
		case <-time.After(10 * time.Millisecond):
		}
		if time.Since(begin) > redistest.Patience {
			t.Fatalf("%s does not listen: %v", name, err)
		}
	}
}

// needs skips the test without a program, but fails it under CI=true.
func needs(t *testing.T, name string) {
	if _, err := exec.LookPath(name); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is not on the PATH", name)
		}
		t.Skipf("%s is not on the PATH", name)
	}
}

func TestNginx(t *testing.T) {
	needs(t, "nginx")
	p := newProxyRun(t)
	dir := t.TempDir()
	cert, key := p.certificate(t, dir)
	temp := ""
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		temp += fmt.Sprintf("%s_temp_path %s;\n", kind, filepath.Join(dir, kind))
	}
	write(t, filepath.Join(dir, "nginx.conf"), fmt.Sprintf("daemon off; master_process off; pid %s; error_log stderr; events {}\nhttp { access_log off; %s\n%s}",
		filepath.Join(dir, "nginx.pid"), temp,
		p.shown(t, "nginx", "listen 443 ssl", "listen "+p.addr+" ssl", "/etc/ssl/app.example.com.pem", cert, "/etc/ssl/app.example.com.key", key)))
	p.start(t, "nginx", nil, "-p", dir, "-e", "stderr", "-c", filepath.Join(dir, "nginx.conf"))
	p.test(t)
}

func TestCaddy(t *testing.T) {
	needs(t, "caddy")
	p := newProxyRun(t)
	dir := t.TempDir()
	cert, key := p.certificate(t, dir)
	_, port, _ := strings.Cut(p.addr, ":")
	write(t, filepath.Join(dir, "Caddyfile"), "{\n\tadmin off\n\tdefault_bind 127.0.0.1\n\tauto_https disable_redirects\n\tdefault_sni app.example.com\n\tservers {\n\t\tprotocols h1\n\t}\n}\n"+
		p.shown(t, "caddyfile", "app.example.com {", fmt.Sprintf("https://app.example.com:%s {\n\ttls %s %s", port, cert, key)))
	env := []string{"HOME=" + dir, "XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir}
	p.start(t, "caddy", env, "run", "--config", filepath.Join(dir, "Caddyfile"), "--adapter", "caddyfile")
	p.test(t)
}

// test is what every proxy has to do.
func (p *proxyRun) test(t *testing.T) {
	host := appHost + strings.TrimPrefix(p.addr, "127.0.0.1")
	navigation := http.Header{"Accept": {"text/html"}, "Sec-Fetch-Mode": {"navigate"}}
	spoofed := http.Header{
		"Remote-User": {"root", "root2"}, "remote-roles": {"admin"}, "REMOTE-NAME": {"Root"}, "Remote-Session": {"x"},
		"Remote_User": {"root"}, "REMOTE_ROLES": {"admin"}, "remote_name": {"Root"}, "Remote_Session": {"x"},
		"X-Original-Url": {"https://evil.example/"}, "X-Forwarded-Uri": {"//evil.example"},
		"X-Forwarded-Host": {"evil.example"}, "X-Forwarded-Proto": {"gopher"}, "X-Forwarded-Method": {"DELETE"}, "X-Original-Method": {"DELETE"},
	}

	t.Run("signed out", func(t *testing.T) {
		for _, method := range []string{"GET", "POST", "HEAD", "OPTIONS", "PUT"} {
			res := p.send(t, method, "/wiki", nil, spoofed)
			if res.status != http.StatusUnauthorized || res.header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s: got %d, %v, want 401 and a challenge", method, res.status, res.header)
			}
		}
		for path, back := range map[string]string{
			"/wiki?a=1&b=%2F%2Fx":             "/wiki?a=1&b=%2F%2Fx",
			"/":                               "/",
			"//evil.example/":                 "/",
			"/%2F%2Fevil.example":             "/%2F%2Fevil.example",
			"/q?" + strings.Repeat("x", 3000): "/q",
			"/login/":                         "",
		} {
			res := p.send(t, "GET", path, nil, navigation, spoofed)
			want := "/login?ReturnUrl=" + url.QueryEscape(back)
			if back == "" && res.status == http.StatusUnauthorized {
				continue // the login page never sends to itself
			}
			if res.status != http.StatusSeeOther || res.header.Get("Location") != want {
				t.Errorf("%.40s: got %d, %q, want 303, %q", path, res.status, res.header.Get("Location"), want)
			}
		}
		// Another host's name, and a form whose session has ended.
		res := p.send(t, "POST", "/wiki/save", strings.NewReader("text=x"), navigation,
			http.Header{"Referer": {"https://" + host + "/wiki/edit?page=1"}, "Sec-Fetch-Site": {"same-origin"}})
		if want := "/login?ReturnUrl=%2Fwiki%2Fedit%3Fpage%3D1"; res.status != http.StatusSeeOther || res.header.Get("Location") != want {
			t.Errorf("POST: got %d, %q, want 303, %q", res.status, res.header.Get("Location"), want)
		}
		forged := http.Header{"Cookie": {"__Host-session=forged"}}
		if res := p.send(t, "GET", "/wiki", nil, forged); res.status != http.StatusUnauthorized {
			t.Errorf("a forged cookie: got %d, want 401", res.status)
		}
		if seen := p.behind.take(); len(seen) > 0 {
			t.Errorf("%d requests reached the server behind, the first one %s %s", len(seen), seen[0].Method, seen[0].URL)
		}
	})

	// There and back.
	res := p.send(t, "GET", "/wiki?a=1", nil, navigation)
	login := res.header.Get("Location")
	if page := p.send(t, "GET", login, nil, navigation); page.status != http.StatusOK || page.body != "Sign in" {
		t.Fatalf("the login page: got %d %q", page.status, page.body)
	}
	res = p.send(t, "POST", login+"&user=alice", nil, navigation)
	if res.status != http.StatusSeeOther || res.header.Get("Location") != "/wiki?a=1" {
		t.Fatalf("sign-in: got %d, %q, want 303, /wiki?a=1", res.status, res.header.Get("Location"))
	}
	cookies := (&http.Response{Header: res.header}).Cookies()
	if len(cookies) != 1 || cookies[0].Name != "__Host-session" {
		t.Fatalf("sign-in: got cookies %v, want ours", cookies)
	}
	key := cookies[0].Value
	alice := http.Header{"Cookie": {"a=1; __Host-session=" + key + "; b=2"}}

	t.Run("signed in", func(t *testing.T) {
		for _, method := range []string{"GET", "POST", "OPTIONS", "PUT"} {
			p.behind.take()
			res := p.send(t, method, "/wiki?x=%20y", strings.NewReader(strings.Repeat("body", 10_000)), alice, spoofed)
			if res.status != http.StatusOK || !strings.HasPrefix(res.body, method+" /wiki?x=%20y bodybody") {
				t.Fatalf("%s: got %d %.50q, want what the server behind says", method, res.status, res.body)
			}
			p.told(t, key, map[string]string{
				"Remote-User": "alice@example.com", "Remote-Name": "M%C3%BCller%2C Ann%0D%0ARemote-Roles: admin", "Remote-Roles": "dev,x%2Cadmin",
			})
		}
		if res := p.send(t, "GET", "/broken", nil, alice); res.status != http.StatusInternalServerError || res.body != "GET /broken " {
			t.Errorf("an error of the server behind: got %d %q, want it as it is", res.status, res.body)
		}
		if res := p.send(t, "GET", "/forwardauth", nil, alice); res.header["Remote-User"] != nil {
			t.Errorf("/forwardauth, from outside: got %d with %q", res.status, res.header["Remote-User"])
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		want := []string{"GET ", "POST ", "OPTIONS ", "PUT "}
		p.active = p.active[:4]
		for i := range want {
			want[i] += host + "/wiki?x=%20y"
		}
		if !slices.Equal(p.active, want) {
			t.Errorf("Activity: got %q, want %q", p.active, want)
		}
	})

	// A client that names a header there wants a proxy to drop it (RFC 9110,
	// section 7.6.1).
	t.Run("Connection", func(t *testing.T) {
		c := p.dial(t)
		fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close, Remote-User, Remote-Roles, X-Original-URL, Remote-Session, Remote-Name\r\nCookie: __Host-session=%s\r\n\r\n", host, key)
		if res, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("got %v, %v, want 200", res, err)
		}
		p.told(t, key, map[string]string{"Remote-User": "alice@example.com", "Remote-Roles": "dev,x%2Cadmin"})
	})

	t.Run("a ticket that has neither name nor roles", func(t *testing.T) {
		res := p.send(t, "POST", "/login?user=bob", nil, navigation)
		c := (&http.Response{Header: res.header}).Cookies()[0]
		if res := p.send(t, "GET", "/", nil, spoofed, http.Header{"Cookie": {c.String()}}); res.status != http.StatusOK {
			t.Fatalf("got %d, want 200", res.status)
		}
		p.told(t, c.Value, map[string]string{"Remote-User": "bob", "Remote-Name": "", "Remote-Roles": ""})
	})

	t.Run("the cookie stays in front", func(t *testing.T) {
		for _, tt := range []struct{ sent, want string }{
			{"__Host-session=KEY", ""},
			{"a=1; __Host-session=KEY", "a=1"},
			{"__Host-session=KEY; b=2", "b=2"},
			{"a=1; __Host-session=KEY; b=2", "a=1 b=2"},
			{"a=1;__Host-session=KEY;b=2", "a=1 b=2"},
			{`a=1; __Host-session="KEY"; b=2`, "a=1 b=2"},
		} {
			p.behind.take()
			res := p.send(t, "GET", "/", nil, http.Header{"Cookie": {strings.ReplaceAll(tt.sent, "KEY", key)}})
			seen := p.behind.take()
			if res.status != http.StatusOK || len(seen) != 1 {
				t.Errorf("%q: got %d", tt.sent, res.status)
				continue
			}
			var got []string
			for _, c := range seen[0].Cookies() {
				got = append(got, c.Name+"="+c.Value)
			}
			if strings.Join(got, " ") != tt.want || strings.Contains(fmt.Sprint(seen[0].Header), key) {
				t.Errorf("%q: got %q behind, want %q", tt.sent, strings.ReplaceAll(strings.Join(got, " "), key, "KEY"), tt.want)
			}
		}
		for _, sent := range []string{
			"__Host-session=KEY; __Host-session=x; a=1", "__Host-session=x; __Host-session=y; __Host-session=KEY", "__Host-session=KEY; =__Host-session=KEY",
			"__Host-session=KEY; __Host-session-operator=KEY; a=1", "a=1; __Host-session-operator=KEY; __Host-session=KEY",
			"a=__Host-session=x; __Host-session=KEY", "a=1; __Host-session=KEY; b=__Host-session=x;",
		} {
			p.send(t, "GET", "/", nil, http.Header{"Cookie": {strings.ReplaceAll(sent, "KEY", key)}})
			for _, r := range p.behind.take() {
				if strings.Contains(fmt.Sprint(r.Header), key) {
					t.Errorf("%q: the key is behind", sent)
				}
			}
		}
	})

	t.Run("WebSocket", func(t *testing.T) {
		for _, tt := range []struct {
			cookie string
			status int
		}{{"x", http.StatusUnauthorized}, {key, http.StatusSwitchingProtocols}} {
			c := p.dial(t)
			fmt.Fprintf(c, "GET /socket HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: echo\r\nRemote-User: root\r\nSec-Fetch-Mode: websocket\r\nCookie: __Host-session=%s\r\n\r\n", host, tt.cookie)
			in := bufio.NewReader(c)
			res, err := http.ReadResponse(in, nil)
			if err != nil || res.StatusCode != tt.status {
				t.Fatalf("got %v, %v, want %d", res, err, tt.status)
			}
			if tt.status != http.StatusSwitchingProtocols {
				continue
			}
			fmt.Fprintln(c, "hello")
			if line, err := in.ReadString('\n'); line != "hello\n" {
				t.Errorf("got %q, %v, want the echo", line, err)
			}
			p.told(t, key, map[string]string{"Remote-User": "alice@example.com"})
		}
	})

	t.Run("outage", func(t *testing.T) {
		p.redis.Close()
		p.behind.take()
		for _, header := range []http.Header{navigation, {}} {
			res := p.send(t, "GET", "/wiki", nil, alice, header)
			if res.status != http.StatusServiceUnavailable || res.header.Get("Retry-After") == "" || len(res.header["Set-Cookie"]) > 0 {
				t.Errorf("got %d, %v, want 503 with Retry-After and no cookie", res.status, res.header)
			}
		}
		p.portal.Close()
		if res := p.send(t, "GET", "/wiki", nil, alice); res.status < 500 {
			t.Errorf("without the program that is asked: got %d, want an error", res.status)
		}
		if seen := p.behind.take(); len(seen) > 0 {
			t.Errorf("%d requests reached the server behind", len(seen))
		}
	})
}

// told compares what the last request told the server behind with want: of
// Remote- anything nothing more, and never the key.
func (p *proxyRun) told(t *testing.T, key string, want map[string]string) {
	t.Helper()
	seen := p.behind.take()
	if len(seen) == 0 {
		t.Error("nothing came")
		return
	}
	header := seen[len(seen)-1].Header
	for name, values := range header {
		plain := strings.ReplaceAll(strings.ToLower(name), "_", "-")
		if strings.HasPrefix(plain, "remote-") && (len(values) != 1 || slices.Contains([]string{"root", "root2", "admin", "Root", "x"}, values[0])) {
			t.Errorf("got %s %q behind: a client has written that", name, values)
		}
	}
	for name, value := range want {
		if got := strings.Join(header.Values(name), "|"); got != value {
			t.Errorf("got %s %q behind, want %q", name, got, value)
		}
	}
	if len(header.Get("Remote-Session")) != 36 {
		t.Errorf("got Remote-Session %q behind, want an ID", header.Get("Remote-Session"))
	}
	if strings.Contains(fmt.Sprint(header), key) {
		t.Error("the key is behind")
	}
}

func (p *proxyRun) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := tls.Dial("tcp", p.addr, p.client.Transport.(*http.Transport).TLSClientConfig)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

type proxyAnswer struct {
	status int
	header http.Header
	body   string
}

func (p *proxyRun) send(t *testing.T, method, target string, body io.Reader, headers ...http.Header) proxyAnswer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), redistest.Patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "https://"+appHost+strings.TrimPrefix(p.addr, "127.0.0.1"), body)
	if err != nil {
		t.Fatal(err)
	}
	r.URL.RawPath, r.URL.RawQuery, _ = strings.Cut(target, "?")
	if r.URL.Path, err = url.PathUnescape(r.URL.RawPath); err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		for name, values := range h {
			r.Header[name] = append(r.Header[name], values...)
		}
	}
	res, err := p.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return proxyAnswer{res.StatusCode, res.Header, string(b)}
}
