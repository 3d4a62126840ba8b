package forwardauth

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore"
)

func (s *outStore) Retrieve(ctx context.Context, key ticketstore.Key) (*ticketstore.Ticket, error) {
	if s.err != nil {
		return nil, s.err
	}
	return s.RedisStore.Retrieve(ctx, key)
}

const (
	page     = "Accept: text/html"
	navigate = "Sec-Fetch-Mode: navigate"
)

// https://doc.traefik.io/traefik/reference/routing-configuration/http/middlewares/forwardauth:
// a GET of the address, with the request's headers and these five.
func TestAsTraefik(t *testing.T) {
	f := newFixture(t, ticketstore.Config{}, Config{Headers: all(), LoginURL: "https://app.example.com/login", Origins: []string{"https://app.example.com"}})
	c := f.clock.Cookie(t, f.m, ann())
	described := func(method, uri string, more ...string) []string {
		return append([]string{"X-Forwarded-Method: " + method, "X-Forwarded-Proto: https", "X-Forwarded-Host: app.example.com", "X-Forwarded-Uri: " + uri, "X-Forwarded-For: 192.0.2.1"}, more...)
	}
	const check200 = "GET http://127.0.0.1:8080/forwardauth"
	check(t, f.ask(t, check200, c, described("POST", "/orders?id=1")...), 200, "", "ann@example.com")
	check(t, f.ask(t, check200, nil, described("GET", "/orders?id=1", page)...), 303, "https://app.example.com/login?ReturnUrl=https%3A%2F%2Fapp.example.com%2Forders%3Fid%3D1", "")
	check(t, f.ask(t, check200, nil, described("GET", "/orders?id=1")...), 401, "", "")
	check(t, f.ask(t, check200, nil, described("GET", "/orders", page, "Sec-Fetch-Mode: cors")...), 401, "", "")
	check(t, f.ask(t, check200, nil, described("GET", "/socket", page, "Sec-Fetch-Mode: websocket", "Upgrade: websocket", "Connection: Upgrade")...), 401, "", "")
	check(t, f.ask(t, check200, nil, described("PUT", "/orders", page, navigate)...), 401, "", "")
	check(t, f.ask(t, check200, nil, described("OPTIONS", "/orders", "Origin: https://x.example", "Access-Control-Request-Method: PUT")...), 401, "", "")
	check(t, f.ask(t, check200, nil, described("GET", "/login", page)...), 401, "", "")
	check(t, f.ask(t, check200, nil, described("GET", "/./login?x=1", page)...), 401, "", "")
	form := "Referer: https://app.example.com/orders/edit"
	check(t, f.ask(t, check200, nil, described("POST", "/orders", page, form, "Sec-Fetch-Site: same-origin")...), 303, "https://app.example.com/login?ReturnUrl=https%3A%2F%2Fapp.example.com%2Forders%2Fedit", "")
	check(t, f.ask(t, check200, nil, described("POST", "/orders", page, form)...), 303, "https://app.example.com/login?ReturnUrl=https%3A%2F%2Fapp.example.com%2Forders%2Fedit", "")
	check(t, f.ask(t, check200, nil, described("POST", "/orders", page, "Referer: https://evil.example/x")...), 303, "https://app.example.com/login?ReturnUrl=https%3A%2F%2Fapp.example.com%2F", "")
	check(t, f.ask(t, check200, nil, described("POST", "/orders", page, form, "Sec-Fetch-Site: cross-site")...), 303, "https://app.example.com/login?ReturnUrl=https%3A%2F%2Fapp.example.com%2F", "")
}

// https://www.envoyproxy.io/docs/envoy/latest/api-v3/extensions/filters/http/ext_authz/v3/ext_authz.proto:
// the request itself, with its method, host and path, behind path_prefix if
// there is one, without its body and with allowed_headers alone.
func TestAsEnvoy(t *testing.T) {
	f := newFixture(t, ticketstore.Config{}, Config{Headers: all(), LoginURL: "/login"})
	c := f.clock.Cookie(t, f.m, ann())
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"} {
		check(t, f.ask(t, method+" http://app.example.com/orders?id=1", c, "X-Forwarded-Proto: https"), 200, "", "ann@example.com")
		check(t, f.ask(t, method+" http://app.example.com/orders?id=1", nil, "X-Forwarded-Proto: https"), 401, "", "")
	}
	check(t, f.ask(t, "GET http://app.example.com/orders?id=1", nil, page), 303, "/login?ReturnUrl=%2Forders%3Fid%3D1", "")
	check(t, f.ask(t, "GET http://app.example.com//evil.example/", nil, page), 303, "/login?ReturnUrl=%2F", "")
	check(t, f.ask(t, "GET http://app.example.com/login", nil, page), 401, "", "")

	h := http.StripPrefix("/check", f.Handler)
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "http://app.example.com/check/orders?id=1", nil)
	r.Header.Set("Accept", "text/html")
	h.ServeHTTP(w, r)
	check(t, w.Result(), 303, "/login?ReturnUrl=%2Forders%3Fid%3D1", "")
}

// nginx passes a 401 on and no redirect: Location is for error_page. So what
// X-Original-URL says is nginx's.
func TestAsNginx(t *testing.T) {
	f := newFixture(t, ticketstore.Config{}, Config{Headers: all(), LoginURL: "https://login.example.com/?tenant=a", Origins: []string{"https://app.example.com", "http://dev.example.com:8080"}})
	c := f.clock.Cookie(t, f.m, ann())
	const sub = "GET http://127.0.0.1:8080/forwardauth"
	login := func(back string) string {
		return "https://login.example.com/?" + strings.TrimPrefix("&ReturnUrl="+back+"&tenant=a", "&")
	}
	check(t, f.ask(t, sub, c, "X-Original-URL: https://app.example.com/orders?id=1", page), 200, "", "ann@example.com")
	check(t, f.ask(t, sub, nil, "X-Original-URL: https://app.example.com/orders?id=1"), 401, "", "")
	for original, want := range map[string]string{
		"https://app.example.com/orders?id=1":      login("https%3A%2F%2Fapp.example.com%2Forders%3Fid%3D1"),
		"HTTPS://APP.example.com:443/orders":       login("https%3A%2F%2Fapp.example.com%2Forders"),
		"http://dev.example.com:8080":              login("http%3A%2F%2Fdev.example.com%3A8080%2F"),
		"http://dev.example.com/":                  "https://login.example.com/?tenant=a",
		"http://app.example.com/":                  "https://login.example.com/?tenant=a",
		"https://app.example.com.evil.example/":    "https://login.example.com/?tenant=a",
		"https://app.example.com@evil.example/":    "https://login.example.com/?tenant=a",
		"https://evil.example/":                    "https://login.example.com/?tenant=a",
		"https://evil.example#@app.example.com/":   "https://login.example.com/?tenant=a",
		`https://evil.example\@app.example.com/`:   "https://login.example.com/?tenant=a",
		"//app.example.com/":                       "https://login.example.com/?tenant=a",
		"https:app.example.com/":                   "https://login.example.com/?tenant=a",
		"javascript://app.example.com/%0aalert(1)": "https://login.example.com/?tenant=a",
		"x":                                     "https://login.example.com/?tenant=a",
		"https://app.example.com//evil.example": login("https%3A%2F%2Fapp.example.com%2F"),
		"https://app.example.com/%zz":           "https://login.example.com/?tenant=a",
		"https://app.example.com/a%0d%0aSet-Cookie:x":                   login("https%3A%2F%2Fapp.example.com%2Fa%250d%250aSet-Cookie%3Ax"),
		"https://app.example.com/q?" + strings.Repeat("x", 5000):        login("https%3A%2F%2Fapp.example.com%2Fq"),
		"https://app.example.com/" + strings.Repeat("x", 5000):          login("https%3A%2F%2Fapp.example.com%2F"),
		"https://app.example.com/?next=https://evil.example/" + "#frag": login("https%3A%2F%2Fapp.example.com%2F%3Fnext%3Dhttps%3A%2F%2Fevil.example%2F"),
	} {
		res := f.ask(t, sub, nil, "X-Original-URL: "+original, "X-Original-Method: GET", page, "X-Forwarded-Uri: /spoofed", "X-Forwarded-Host: app.example.com", "X-Forwarded-Proto: https")
		t.Run(original[:min(40, len(original))], func(t *testing.T) { check(t, res, 401, want, "") })
	}
	// Without the method, and with two URLs, one of which the client may have written.
	check(t, f.ask(t, sub, nil, "X-Original-URL: https://app.example.com/", page, navigate), 401, login("https%3A%2F%2Fapp.example.com%2F"), "")
	check(t, f.ask(t, sub, nil, "X-Original-URL: https://app.example.com/a", "X-Original-URL: https://app.example.com/b", page), 303, "https://login.example.com/?tenant=a", "")
	check(t, f.ask(t, sub, nil, "X-Original-URL: https://app.example.com/save", "X-Original-Method: POST", page), 401, login("https%3A%2F%2Fapp.example.com%2F"), "")
}

func TestOptional(t *testing.T) {
	f := newFixture(t, ticketstore.Config{}, Config{Headers: all(), Optional: true})
	c := f.clock.Cookie(t, f.m, ann())
	check(t, f.ask(t, "GET /", c), 200, "", "ann@example.com")
	check(t, f.ask(t, "GET /", nil, page), 200, "", "")
	f.store.err = errors.New("out")
	check(t, f.ask(t, "GET /", c), 503, "", "")
}

func TestAllow(t *testing.T) {
	f := newFixture(t, ticketstore.Config{}, Config{Headers: all(), LoginURL: "/login", Allow: func(t *ticketstore.Ticket) bool { return t.HasRole("ops") }})
	check(t, f.ask(t, "GET /", f.clock.Cookie(t, f.m, ann())), 200, "", "ann@example.com")
	check(t, f.ask(t, "GET /", f.clock.Cookie(t, f.m, ticketstore.NewTicket("bob")), page), 403, "", "")
	check(t, f.ask(t, "GET /", nil, page), 303, "/login?ReturnUrl=%2F", "")
}

// An operator who acts as a user passes for them, with both cookies.
func TestImpersonation(t *testing.T) {
	f := newFixture(t, ticketstore.Config{}, Config{Headers: all(), LoginURL: "/login"})
	r := httptest.NewRequestWithContext(f.clock.Context(t.Context()), "POST", "/", nil)
	operator := f.clock.Cookie(t, f.m, ticketstore.NewTicket("olga"))
	r.AddCookie(operator)
	w := httptest.NewRecorder()
	if err := f.m.Impersonate(w, r, ann(), "ticket 4711"); err != nil {
		t.Fatal(err)
	}
	var main, second *http.Cookie
	for _, c := range w.Result().Cookies() {
		if c.Name == operator.Name {
			main = c
		} else {
			second = c
		}
	}
	both := "Cookie: " + second.Name + "=" + second.Value
	res := f.ask(t, "GET /orders", main, both)
	check(t, res, 200, "", "ann@example.com")
	if name, roles := res.Header.Get("Remote-Name"), res.Header.Get("Remote-Roles"); name != "Ann" || roles != "dev,ops" {
		t.Errorf("got the name %q and roles %q, want the user's", name, roles)
	}
	check(t, f.ask(t, "GET /orders", main), 401, "", "")
	check(t, f.ask(t, "GET /orders", main, page), 303, "/login?ReturnUrl=%2Forders", "")
	check(t, f.ask(t, "GET /orders", nil, both), 401, "", "")

	// Nor does it pass for the operator, once it has ended.
	if _, err := f.store.RevokeAll(f.clock.Context(t.Context()), "ann@example.com"); err != nil {
		t.Fatal(err)
	}
	check(t, f.ask(t, "GET /orders", main, both), 401, "", "")
	check(t, f.ask(t, "GET /orders", main, both, page, navigate), 303, "/login?ReturnUrl=%2Forders", "")
}

// No ErrorHandler lets a request in, as one does that forgets its status.
func TestOutage(t *testing.T) {
	for name, test := range map[string]struct {
		handler func(http.ResponseWriter, *http.Request, int, error)
		status  int
		body    string
	}{
		"none":      {nil, 503, "The service is temporarily unavailable. Please try again.\n"},
		"silent":    {func(http.ResponseWriter, *http.Request, int, error) {}, 503, ""},
		"no status": {func(w http.ResponseWriter, _ *http.Request, _ int, _ error) { io.WriteString(w, "Sorry.") }, 503, "Sorry."},
		"200": {func(w http.ResponseWriter, _ *http.Request, _ int, _ error) {
			w.WriteHeader(200)
			io.WriteString(w, "Sorry.")
		}, 503, "Sorry."},
		"204": {func(w http.ResponseWriter, _ *http.Request, _ int, _ error) { w.WriteHeader(204) }, 503, ""},
		"its own": {func(w http.ResponseWriter, _ *http.Request, _ int, _ error) {
			http.Error(w, "Sorry.", http.StatusBadGateway)
		}, 502, "Sorry.\n"},
		"hint": {func(w http.ResponseWriter, _ *http.Request, _ int, _ error) { w.WriteHeader(103) }, 503, ""},
	} {
		f := newFixture(t, ticketstore.Config{ErrorHandler: test.handler}, Config{Headers: all(), LoginURL: "/login"})
		c := f.clock.Cookie(t, f.m, ann())
		f.store.err = errors.New("out")
		res := f.ask(t, "GET /", c, page)
		body, _ := io.ReadAll(res.Body)
		t.Run(name, func(t *testing.T) { check(t, res, test.status, "", "") })
		if string(body) != test.body {
			t.Errorf("%s: got %q, want %q", name, body, test.body)
		}
		check(t, f.ask(t, "GET /", nil, page), 303, "/login?ReturnUrl=%2F", "") // anonymous requests go on
	}
	var zero ticketstore.Manager
	h, err := New(&zero, Config{Headers: all()})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	check(t, w.Result(), 503, "", "")
}

// Activity goes by the request that the proxy has, not by the one it sends.
func TestActivity(t *testing.T) {
	var got []string
	f := newFixture(t, ticketstore.Config{IdleTimeout: 30 * time.Minute, RenewAfter: time.Minute, Activity: func(r *http.Request) bool {
		got = append(got, r.Method+" "+r.Host+r.URL.Path)
		return r.URL.Path != "/poll"
	}}, Config{Headers: all()})
	for _, tt := range []struct {
		headers []string
		want    string
	}{
		{[]string{"X-Original-URL: https://app.example.com/PATH?x=1", "X-Original-Method: POST"}, "POST app.example.com/"},
		{[]string{"X-Original-URL: https://app.example.com/PATH?x=1"}, "GET app.example.com/"},
		{[]string{"X-Forwarded-Uri: /PATH?x=1", "X-Forwarded-Host: app.example.com", "X-Forwarded-Method: PUT"}, "PUT app.example.com/"},
		{nil, "GET other.example/"},
	} {
		for _, path := range []string{"poll", "page"} {
			c := f.clock.Cookie(t, f.m, ann())
			got = nil
			var headers []string
			for _, line := range tt.headers {
				headers = append(headers, strings.Replace(line, "PATH", path, 1))
			}
			request := "GET http://127.0.0.1:8080/forwardauth"
			if tt.headers == nil {
				request = "GET http://other.example/" + path
			}
			f.clock.Advance(20 * time.Minute)
			check(t, f.ask(t, request, c, headers...), 200, "", "ann@example.com")
			if want := []string{tt.want + path}; !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
			f.clock.Advance(20 * time.Minute)
			if res := f.ask(t, request, c, headers...); (res.StatusCode == 200) != (path == "page") {
				t.Errorf("%s, 20 minutes later: got %d", path, res.StatusCode)
			}
		}
	}
}

// What the Manager skips nobody is signed in for: a guard does not let it in.
func TestSkip(t *testing.T) {
	f := newFixture(t, ticketstore.Config{Skip: func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/static/") }}, Config{Headers: all()})
	c := f.clock.Cookie(t, f.m, ann())
	check(t, f.ask(t, "GET /", c, "X-Forwarded-Uri: /static/a.css"), 401, "", "")
	check(t, f.ask(t, "GET /static/a.css", c, "X-Forwarded-Uri: /page"), 200, "", "ann@example.com")
}

// A function that panics, or is of too much, lets nobody in.
func TestHeaderThatFails(t *testing.T) {
	long := func(t *ticketstore.Ticket) []string { return []string{strings.Repeat("ä", maxHeader/6+1)} }
	headers := all()
	headers["Remote-Long"] = long
	f := newFixture(t, ticketstore.Config{}, Config{Headers: headers})
	c := f.clock.Cookie(t, f.m, ann())
	check(t, f.ask(t, "GET /", c), 500, "", "")
	if logged := f.logs.String(); !strings.Contains(logged, "Remote-Long has 4098 bytes; at most 4096 fit") || strings.Contains(logged, c.Value) {
		t.Errorf("logged %q, want what is too long, and no key", logged)
	}

	headers["Remote-Long"] = func(*ticketstore.Ticket) []string { panic("boom") }
	f = newFixture(t, ticketstore.Config{}, Config{Headers: headers})
	c = f.clock.Cookie(t, f.m, ann())
	srv := httptest.NewUnstartedServer(f.clock.Handler(f.Handler))
	srv.Config.ErrorLog = discardLog()
	srv.Start()
	defer srv.Close()
	r, err := http.NewRequest("GET", srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.AddCookie(c)
	if res, err := srv.Client().Do(r); err == nil {
		t.Errorf("got %d, want no answer", res.StatusCode)
	}
}

func TestConfigCannotBeComparedOrUnkeyed(t *testing.T) {
	typ := reflect.TypeFor[Config]()
	if f := typ.Field(0); typ.Comparable() || f.Name != "_" || f.Type.Size() != 0 {
		t.Errorf("%v: got comparable %t, first field %s, want a blank one", typ, typ.Comparable(), f.Name)
	}
}

func TestNewBadInput(t *testing.T) {
	m := newFixture(t, ticketstore.Config{}, Config{}).m
	named := func(names ...string) Config {
		cfg := Config{Headers: map[string]func(*ticketstore.Ticket) []string{}}
		for _, name := range names {
			cfg.Headers[name] = Subject
		}
		return cfg
	}
	for name, test := range map[string]struct {
		m    *ticketstore.Manager
		cfg  Config
		want []string
	}{
		"nil Manager":           {nil, Config{}, []string{"m: it is nil"}},
		"underscore":            {m, named("Remote_User"), []string{"Headers", `"Remote_User"`, "hyphens"}},
		"line feed":             {m, named("A\r\nB"), []string{"Headers", "hyphens"}},
		"no name":               {m, named(""), []string{"Headers", "hyphens"}},
		"Set-Cookie":            {m, named("set-cookie"), []string{"Headers", "already means"}},
		"Content-Length":        {m, named("Content-Length"), []string{"Headers", "already means"}},
		"nginx's own":           {m, named("X-Accel-Redirect"), []string{"Headers", "already means"}},
		"one twice":             {m, named("Remote-User", "remote-user"), []string{"Headers", "one header"}},
		"nil function":          {m, Config{Headers: map[string]func(*ticketstore.Ticket) []string{"X": nil}}, []string{"Headers", `"X"`, "nil"}},
		"LoginURL":              {m, Config{LoginURL: "login"}, []string{"LoginURL", `"login"`}},
		"LoginURL on a host":    {m, Config{LoginURL: "//login.example.com/"}, []string{"LoginURL"}},
		"LoginURL of ftp":       {m, Config{LoginURL: "ftp://login.example.com/", Origins: []string{"https://a.example"}}, []string{"LoginURL"}},
		"LoginURL with a user":  {m, Config{LoginURL: "https://a@login.example.com/", Origins: []string{"https://a.example"}}, []string{"LoginURL"}},
		"LoginURL with a #":     {m, Config{LoginURL: "/login#x"}, []string{"LoginURL"}},
		"no Origins":            {m, Config{LoginURL: "https://login.example.com/"}, []string{"Origins", "LoginURL"}},
		"origin with a path":    {m, Config{Origins: []string{"https://a.example/x"}}, []string{"Origins", "a.example/x"}},
		"origin without scheme": {m, Config{Origins: []string{"a.example"}}, []string{"Origins", "a.example"}},
		"origin of ftp":         {m, Config{Origins: []string{"ftp://a.example"}}, []string{"Origins", "ftp"}},
		"any origin":            {m, Config{Origins: []string{"*"}}, []string{"Origins"}},
		"Optional and LoginURL": {m, Config{Optional: true, LoginURL: "/login"}, []string{"Optional", "LoginURL"}},
		"Optional and Allow":    {m, Config{Optional: true, Allow: func(*ticketstore.Ticket) bool { return true }}, []string{"Optional", "Allow"}},
		"two problems":          {nil, Config{LoginURL: "login"}, []string{"m: ", "LoginURL: "}},
	} {
		h, err := New(test.m, test.cfg)
		if err == nil || h != nil {
			t.Errorf("%s: got no error", name)
			continue
		}
		for _, want := range append(test.want, "forwardauth: ") {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %q, want %q in it", name, err, want)
			}
		}
	}
	cfg := named("Remote-User")
	f, err := New(m, cfg)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Headers["Remote-Other"] = Subject
	w := httptest.NewRecorder()
	f.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Header()["Remote-Other"] != nil {
		t.Error("a change of the config afterwards has an effect")
	}
}
