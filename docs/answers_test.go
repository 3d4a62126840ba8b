package docs_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/ticketstore/ticketstore"
)

// besideFiles is for pages and static files in one mux.
func besideFiles(cfg ticketstore.Config) ticketstore.Config {
	cfg.Skip = func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/static/") }
	return cfg
}

// answersInJSON is for an API whose clients read JSON.
func answersInJSON(cfg ticketstore.Config) ticketstore.Config {
	cfg.ErrorHandler = func(w http.ResponseWriter, r *http.Request, status int, err error) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(map[string]string{"error": http.StatusText(status)})
	}
	return cfg
}

func TestAnswersInJSON(t *testing.T) {
	redis := miniredis.RunT(t)
	m, _ := site(t, redis.Addr(), besideFiles(answersInJSON(ticketstore.Config{})))
	alice := login(t, m, ticketstore.NewTicket("alice"))
	never := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the handler ran") })
	check := func(h http.Handler, path string, cookie *http.Cookie, status int, body string) {
		t.Helper()
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", path, nil)
		if cookie != nil {
			r.AddCookie(cookie)
		}
		h.ServeHTTP(w, r)
		if w.Code != status || w.Body.String() != body {
			t.Errorf("%s: got %d %q, want %d %q", path, w.Code, w.Body, status, body)
		}
	}
	check(m.Require(never), "/api", nil, 401, `{"error":"Unauthorized"}`+"\n")
	check(m.RequireRecent(0*time.Second, never), "/api", alice, 403, `{"error":"Forbidden"}`+"\n")
	redis.Close()
	check(m.Require(never), "/api", alice, 503, `{"error":"Service Unavailable"}`+"\n")
	check(m.Require(never), "/static/secret.pdf", alice, 503, `{"error":"Service Unavailable"}`+"\n")
	file := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "body{}") })
	check(m.Wrap(file), "/static/a.css", alice, 200, "body{}")
}
