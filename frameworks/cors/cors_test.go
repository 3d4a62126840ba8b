// Package cors_test has the recipe for a single-page application on another
// origin, docs/recipes-requests.md.
package cors_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/rs/cors"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/frameworks/internal/fwtest"
)

// forApp serves api to the pages of app, such as "https://app.example.com".
// CORS is outermost: a script cannot read what is answered outside of it.
func forApp(app string, m *ticketstore.Manager, api http.Handler) (http.Handler, error) {
	p := http.NewCrossOriginProtection()
	if err := p.AddTrustedOrigin(app); err != nil {
		return nil, err
	}
	c := cors.New(cors.Options{
		AllowedOrigins:   []string{app},
		AllowedMethods:   []string{"GET", "POST", "PUT", "PATCH", "DELETE"},
		AllowedHeaders:   []string{"Content-Type"},
		ExposedHeaders:   []string{"Retry-After"},
		AllowCredentials: true,
	})
	return c.Handler(p.Handler(m.Wrap(api))), nil
}

const app, old = "https://app.example.com", "https://old.example.com"

func TestForApp(t *testing.T) {
	m, _, redis := fwtest.NewManager(t, ticketstore.Config{LoginPath: "/login"})
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		if err := m.SignIn(w, r, ticketstore.NewTicket("alice")); err != nil {
			m.Error(w, r, err)
		}
	})
	mux.Handle("/me", m.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t, _ := ticketstore.FromContext(r.Context())
		io.WriteString(w, t.Subject)
	})))
	h, err := forApp(app, m, mux)
	if err != nil {
		t.Fatal(err)
	}

	// What the browser makes of fetch(…, {credentials: "include"}).
	send := func(h http.Handler, method, path, origin string, headers ...string) *http.Response {
		r := httptest.NewRequest(method, "https://api.example.com"+path, nil)
		r.Header.Set("Origin", origin)
		r.Header.Set("Sec-Fetch-Site", "same-site")
		r.Header.Set("Sec-Fetch-Mode", "cors")
		for _, h := range headers {
			k, v, _ := strings.Cut(h, ": ")
			r.Header.Set(k, v)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Result()
	}
	check := func(what string, res *http.Response, status int, readable bool) {
		t.Helper()
		if got := res.Header.Get("Access-Control-Allow-Origin") == app && res.Header.Get("Access-Control-Allow-Credentials") == "true"; res.StatusCode != status || got != readable {
			t.Errorf("%s: got %d, readable for the page: %t, want %d, %t", what, res.StatusCode, got, status, readable)
		}
	}
	preflight := []string{"Access-Control-Request-Method: DELETE", "Access-Control-Request-Headers: content-type"}

	check("preflight", send(h, "OPTIONS", "/me", app, preflight...), http.StatusNoContent, true)
	check("signed out", send(h, "GET", "/me", app), http.StatusUnauthorized, true)
	res := send(h, "POST", "/login", app)
	check("sign-in", res, http.StatusOK, true)
	if len(res.Cookies()) != 1 {
		t.Fatalf("got cookies %v, want one", res.Cookies())
	}
	cookie := "Cookie: " + res.Cookies()[0].Name + "=" + res.Cookies()[0].Value
	res = send(h, "DELETE", "/me", app, cookie)
	check("signed in", res, http.StatusOK, true)
	if vary := res.Header.Values("Vary"); !slices.Contains(vary, "Origin") || !slices.Contains(vary, "Cookie") {
		t.Errorf("got Vary %q, want Origin and Cookie", vary)
	}

	check("preflight of another origin", send(h, "OPTIONS", "/me", old, preflight...), http.StatusNoContent, false)
	check("another origin reads", send(h, "GET", "/me", old, cookie), http.StatusOK, false)
	check("another origin writes", send(h, "DELETE", "/me", old, cookie), http.StatusForbidden, false)

	redis.Close()
	res = send(h, "GET", "/me", app, cookie)
	check("outage", res, http.StatusServiceUnavailable, true)
	if got := res.Header.Get("Access-Control-Expose-Headers"); got != "Retry-After" || res.Header.Get(got) == "" {
		t.Errorf("got exposed headers %q, want Retry-After", got)
	}

	// In the wrong order.
	inside := m.Require(cors.New(cors.Options{AllowedOrigins: []string{app}, AllowCredentials: true}).Handler(mux))
	check("CORS inside, preflight", send(inside, "OPTIONS", "/me", app, preflight...), http.StatusUnauthorized, false)
	check("CORS inside, signed out", send(inside, "GET", "/me", app), http.StatusUnauthorized, false)
	check("CORS inside, outage", send(inside, "GET", "/me", app, cookie), http.StatusServiceUnavailable, false)
}
