package ticketstore

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestErrorHandlerOfGuards(t *testing.T) {
	b := miniBackend(t)
	s := newSite(t, b, Config{LoginPath: "/login", ErrorHandler: func(w http.ResponseWriter, r *http.Request, status int, err error) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		w.Write([]byte(`{"error":"sign in"}`))
	}})
	c := s.login(t, "alice")
	guarded := func(h http.Handler, accept string, cookies ...*http.Cookie) *http.Response {
		w, r := httptest.NewRecorder(), s.request(t, "GET", "/orders", cookies...)
		r.Header.Set("Accept", accept)
		h.ServeHTTP(w, r)
		return w.Result()
	}
	never := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the handler ran") })
	for _, test := range []struct {
		name   string
		res    *http.Response
		status int
	}{
		{"Require", guarded(s.manager.Require(never), "application/json"), 401},
		{"RequireRecent, anonymous", guarded(s.manager.RequireRecent(time.Hour, never), "application/json"), 401},
		{"RequireRecent, too old", guarded(s.manager.RequireRecent(0, never), "application/json", c), 403},
	} {
		wantStatus(t, test.res, test.status)
		if got := body(test.res); got != `{"error":"sign in"}` || test.res.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: got %q, %q, want the handler's", test.name, got, test.res.Header.Get("Content-Type"))
		}
		if challenge := test.res.Header.Get("WWW-Authenticate"); (challenge != "") != (test.status == 401) {
			t.Errorf("%s: got challenge %q with %d", test.name, challenge, test.status)
		}
		if test.res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: got Cache-Control %q, want no-store", test.name, test.res.Header.Get("Cache-Control"))
		}
	}
	// A browser's navigation still goes to LoginPath.
	wantStatus(t, guarded(s.manager.Require(never), "text/html"), http.StatusFound)
}

// Each error has its status, with a handler or without, and the text says nothing
// of the error.
func TestError(t *testing.T) {
	for _, test := range []struct {
		err    error
		status int
		logged bool
	}{
		{ErrNotFound, 401, false},
		{fmt.Errorf("%w: %w", ErrNotFound, ErrUndecodable), 401, false},
		{ErrSuperseded, 409, false},
		{fmt.Errorf("hush: %w", ErrConflict), 409, false},
		{ErrTooManySessions, 403, false},
		{invalid("hush"), 500, true},
		{fmt.Errorf("hush: %w", errors.ErrUnsupported), 500, true},
		{errors.New("hush"), 503, true},
	} {
		b := miniBackend(t)
		var logs strings.Builder
		cfg := Config{Logger: slog.New(slog.NewTextHandler(&logs, nil))}
		w, s := httptest.NewRecorder(), newSite(t, b, cfg)
		s.manager.Error(w, s.request(t, "GET", "/"), test.err)
		if w.Code != test.status || w.Body.Len() == 0 || strings.Contains(w.Body.String(), "hush") {
			t.Errorf("%v: got %d %q, want %d and a text without the error", test.err, w.Code, w.Body, test.status)
		}
		if got := strings.Contains(logs.String(), test.err.Error()); got != test.logged {
			t.Errorf("%v: logged %q", test.err, &logs)
		}
		h := w.Header()
		if h.Get("Cache-Control") != "no-store" || len(h["Set-Cookie"]) != 0 ||
			(h.Get("Retry-After") != "") != (test.status == 503) || (h.Get("WWW-Authenticate") != "") != (test.status == 401) {
			t.Errorf("%v: got headers %v", test.err, h)
		}

		cfg.ErrorHandler = func(w http.ResponseWriter, r *http.Request, status int, err error) {
			if !errors.Is(err, test.err) {
				t.Errorf("the handler got %v, want %v", err, test.err)
			}
			w.WriteHeader(status)
		}
		w, s = httptest.NewRecorder(), newSite(t, b, cfg)
		s.manager.Error(w, s.request(t, "GET", "/"), test.err)
		if w.Code != test.status || w.Body.Len() != 0 {
			t.Errorf("%v, own handler: got %d %q, want %d", test.err, w.Code, w.Body, test.status)
		}
	}
}

// A form whose session has ended while it was handled goes to sign in, as one
// whose session had ended before.
func TestErrorSendsToSignIn(t *testing.T) {
	s := newSite(t, miniBackend(t), Config{LoginPath: "/login"})
	r := s.request(t, "POST", "/account")
	r.Header.Set("Accept", "text/html")
	w := httptest.NewRecorder()
	s.manager.Error(w, r, ErrNotFound)
	if got := w.Header().Get("Location"); w.Code != http.StatusSeeOther || got != "/login?ReturnUrl=%2F&ended=1" {
		t.Errorf("got %d to %q, want 303 to the login page", w.Code, got)
	}
}

// Whoever has kept a key from before a change of password reads for the grace, and
// changes nothing that RequireRecent guards.
func TestRequireRecentByARotatedKey(t *testing.T) {
	s := newSite(t, miniBackend(t), Config{})
	old := s.login(t, "alice")
	w := httptest.NewRecorder()
	if _, err := s.manager.Rotate(w, s.request(t, "POST", "/", old), nil); err != nil {
		t.Fatal(err)
	}
	key := w.Result().Cookies()[0]
	for _, used := range []bool{false, true} {
		for _, test := range []struct {
			method string
			cookie *http.Cookie
			status int
		}{
			{"GET", old, 200}, {"POST", old, 409}, {"DELETE", old, 409}, {"GET", key, 200}, {"POST", key, 200},
		} {
			if !used && test.cookie == key {
				continue
			}
			w, ran := httptest.NewRecorder(), false
			s.manager.RequireRecent(time.Hour, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ran = true })).
				ServeHTTP(w, s.request(t, test.method, "/", test.cookie))
			if w.Code != test.status || ran != (test.status == 200) {
				t.Errorf("used %t, %s: got %d, ran %t, want %d", used, test.method, w.Code, ran, test.status)
			}
		}
		s.who(t, key)
	}
}
