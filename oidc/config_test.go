package oidc_test

import (
	"context"
	"encoding/json"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/oidc"
)

// One error names every problem.
func TestNewChecksConfig(t *testing.T) {
	w := newWorld(t)
	s := w.newSite()
	_, err := oidc.New(t.Context(), nil, nil, oidc.Config{
		Issuer:        "http://id.example.com",
		RedirectURL:   "/callback",
		PostLogoutURL: "ftp://shop.example.com",
		Params:        map[string]string{"state": "1"},
		CookieKeys:    []ticketstore.CookieKey{{Hash: []byte("short")}, {Hash: []byte("short")}},
		Prefix:        "{a}",
		LoginPath:     "//evil.example",
		Template:      template.Must(template.New("").Parse("{{.Nothing}}")),
	})
	for _, want := range []string{
		"m: ", "store: ", "Issuer: ", "is not https", "ClientID: ", "RedirectURL: ", "PostLogoutURL: ", `Params: "state"`,
		"CookieKeys[0].Hash: ", "CookieKeys[1].Hash: an earlier one", "Redis: ", "Prefix: ", "LoginPath: ", "Template: ",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
	cfg := oidc.Config{Issuer: w.idp.URL, ClientID: "shop", RedirectURL: "https://shop.example.com/callback", CookieKeys: cookieKeys, Redis: w.client}
	if _, err := oidc.New(t.Context(), s.manager, s.store, cfg); err != nil {
		t.Errorf("what is required: got %v", err)
	}
	cfg.CookieKeys = nil
	if _, err := oidc.New(t.Context(), s.manager, s.store, cfg); err == nil || !strings.Contains(err.Error(), "CookieKeys") {
		t.Errorf("got %v", err)
	}
}

// The provider's metadata is not what it should be.
func TestNewChecksMetadata(t *testing.T) {
	for name, tt := range map[string]struct {
		metadata map[string]any
		want     string
	}{
		"another issuer":            {map[string]any{"issuer": "https://evil.example"}, "did not match"},
		"only symmetric algorithms": {map[string]any{"id_token_signing_alg_values_supported": []string{"HS256", "none"}}, "has none of RS256"},
		"keys by http":              {map[string]any{"jwks_uri": "http://id.example.com/jwks"}, "jwks_uri"},
		"no token endpoint":         {map[string]any{"token_endpoint": nil}, "token_endpoint"},
	} {
		w := newWorld(t)
		s := w.newSite()
		w.idp.set(func(p *idp) { p.metadata = tt.metadata })
		_, err := oidc.New(t.Context(), s.manager, s.store, oidc.Config{
			Issuer: w.idp.URL, ClientID: "shop", RedirectURL: "https://shop.example.com/callback", CookieKeys: cookieKeys, Redis: w.client,
		})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
		w.idp.Close()
		_, err = oidc.New(t.Context(), s.manager, s.store, oidc.Config{
			Issuer: w.idp.URL, ClientID: "shop", RedirectURL: "https://shop.example.com/callback", CookieKeys: cookieKeys, Redis: w.client,
		})
		if err == nil {
			t.Error("the provider is gone, and there is no error")
		}
	}
}

func TestConfigStartsWithNoComparison(t *testing.T) {
	if f := reflect.TypeFor[oidc.Config]().Field(0); f.Name != "_" || f.Type != reflect.TypeFor[[0]func()]() {
		t.Errorf("got %s %s", f.Name, f.Type)
	}
}

func TestSecretIsRedacted(t *testing.T) {
	s := oidc.Secret("geheim")
	b, _ := json.Marshal(s)
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("", "secret", s)
	for _, got := range []string{fmt.Sprint(s), fmt.Sprintf("%+v %#v %s %q", s, s, s, s), string(b), log.String(), fmt.Sprintf("%+v", oidc.Config{ClientSecret: s})} {
		if strings.Contains(got, "geheim") || !strings.Contains(got, "REDACTED") {
			t.Errorf("got %s", got)
		}
	}
}

func TestLink(t *testing.T) {
	const iss = "https://id.example.com"
	long := strings.Repeat("x", 1024)
	for _, tt := range []struct{ got, want string }{
		{oidc.Subject(iss, "7"), "https://id.example.com 7"},
		{oidc.Link("sid", iss, "08a5 019c"), "oidc-sid https://id.example.com 08a5 019c"},
		{oidc.Link("email", iss, "Jane@Example.com"), "oidc-email https://id.example.com jane@example.com"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
	seen := map[string]bool{}
	for _, name := range []string{
		oidc.Subject(iss, long), oidc.Subject(iss, long+"x"), oidc.Subject(iss, "\n"), oidc.Subject(iss, "\xff"),
		oidc.Link("sid", iss, long), oidc.Link("sub", iss, long),
	} {
		tk := ticketstore.NewTicket(name)
		tk.Links = []string{name}
		w := httptest.NewRecorder()
		if seen[name] || len(name) > 100 {
			t.Errorf("got %q", name)
		}
		seen[name] = true
		if err := newWorld(t).newSite().manager.SignIn(w, httptest.NewRequest("POST", "/", nil), tk); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// A page of one's own, without the Secure attribute, for development.
func TestTemplateAndInsecureCookie(t *testing.T) {
	w := newWorld(t)
	s := w.newSite(func(c *oidc.Config, _ *ticketstore.RedisConfig) {
		c.Template = template.Must(template.New("").Parse(`<p>{{.Code}}: {{.Message}}</p>`))
		c.DangerouslyAllowInsecureCookie = true
		c.Params = map[string]string{"audience": "https://api.example.com"}
	})
	b := s.signIn()
	if w.idp.request(0).Get("audience") != "https://api.example.com" {
		t.Errorf("got %v", w.idp.request(0))
	}
	a := s.get(b, "/callback?state=none")
	if a.status != 400 || !strings.HasPrefix(a.body, "<p>state: ") || !strings.Contains(a.header.Get("Content-Security-Policy"), "img-src 'self'") {
		t.Errorf("got %d, %v: %s", a.status, a.header, a.body)
	}
	b.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if c := s.get(b, "/login").header.Get("Set-Cookie"); !strings.HasPrefix(c, "oidc-in-") || strings.Contains(c, "Secure") {
		t.Errorf("got %s", c)
	}
}

// The keys of cookies change: a sign-in under way by the old one goes on; and one
// at another provider, or for another client, is none of ours.
func TestAttemptKeys(t *testing.T) {
	w := newWorld(t)
	var s *site
	login := func(change ...func(*oidc.Config, *ticketstore.RedisConfig)) (*http.Client, string) {
		s = w.newSite(change...)
		b := s.browser()
		return b, s.callback(b, "/login")
	}
	take := func(b *http.Client, way string, change func(*oidc.Config)) int {
		t.Helper()
		u, _ := url.Parse(way)
		other := w.newSite(func(c *oidc.Config, _ *ticketstore.RedisConfig) {
			c.RedirectURL = s.server.URL + "/callback"
			change(c)
		})
		r, _ := http.NewRequest("GET", other.url(u.RequestURI()), nil)
		for _, c := range s.request(b).Cookies() {
			r.AddCookie(c)
		}
		client := &http.Client{Transport: other.server.Client().Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		return other.do(client, r).status
	}
	newer := ticketstore.CookieKey{Hash: []byte(strings.Repeat("n", 32))}
	b, way := login()
	if got := take(b, way, func(c *oidc.Config) { c.CookieKeys = []ticketstore.CookieKey{newer, cookieKeys[0]} }); got != 303 {
		t.Errorf("with a new key in front: got %d", got)
	}
	b, way = login()
	if got := take(b, way, func(c *oidc.Config) { c.CookieKeys = []ticketstore.CookieKey{newer} }); got != 400 {
		t.Errorf("without the old key: got %d", got)
	}
	if got := take(b, way, func(c *oidc.Config) { c.ClientID = "bank" }); got != 400 {
		t.Errorf("for another client: got %d", got)
	}
}

func FuzzAttemptCookie(f *testing.F) {
	w := newWorld(f)
	s := w.newSite()
	b := s.browser()
	u, _ := url.Parse(s.callback(b, "/login"))
	state := u.Query().Get("state")
	var name, good string
	for _, c := range s.request(b).Cookies() {
		if strings.HasPrefix(c.Name, "__Host-oidc-in-") {
			name, good = c.Name, c.Value
		}
	}
	if good == "" {
		f.Fatal("there is no cookie")
	}
	f.Add(state, good[:len(good)-1])
	f.Add(state[:16], good)
	f.Add("", "")
	f.Fuzz(func(t *testing.T, state2, value string) {
		if state2 == state && value == good {
			t.Skip()
		}
		r := httptest.NewRequestWithContext(w.clock.context(context.Background()), "GET", "/callback?"+url.Values{"state": {state2}, "error": {"access_denied"}, "iss": {w.idp.URL}}.Encode(), nil)
		r.Header.Set("Cookie", name+"="+value)
		rec := httptest.NewRecorder()
		s.oidc.Callback().ServeHTTP(rec, r)
		if rec.Code != 400 || !strings.Contains(rec.Body.String(), "For support: state") {
			t.Errorf("got %d for the cookie %q and the state %q", rec.Code, value, state2)
		}
	})
}
