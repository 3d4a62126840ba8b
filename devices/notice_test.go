package devices

import (
	"encoding/json"
	"errors"
	"html"
	"net/http"
	"strings"
	"testing"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/ui/uitest"
)

// Each error is a page with a way on, or JSON to a program.
func TestNotices(t *testing.T) {
	s := newSite(t, Config{SignedOutPath: "/bye"})
	faulty := &faultyStore{RedisStore: s.Store}
	s.on(faulty, Config{SignedOutPath: "/bye"})
	me := s.Login("alice", uitest.Firefox, "")
	for _, test := range []struct {
		call   uitest.Call
		status int
		text   string
		href   string
	}{
		{s.Request("GET", mount+"/", nil), 401, "Sign-in is required.", "/bye"},
		{s.Request("GET", mount+"/nothing", nil), 401, "Sign-in is required.", "/bye"},
		{s.revoke(me, "others").With("Sec-Fetch-Site", "cross-site"), 403, "The request came from another site", "?"},
		{s.Request("GET", mount+"/nothing", me), 404, "There is no such page.", "./"},
		{s.Request("GET", mount+"/a/b", me), 404, "There is no such page.", "./../"},
		{s.Request("POST", mount+"/nothing", me, "revoke=all"), 404, "There is no such page.", "./"},
		{s.Request("POST", mount+"/", me, "%zz"), 400, "The form cannot be read", "?"},
	} {
		wantNotice(t, test.call, test.status, test.text, test.href)
	}
	faulty.index = errors.New("LOADING")
	for range 2 { // after Require, and before it
		for _, call := range []uitest.Call{s.Request("GET", mount+"/", me), s.revoke(me, "others")} {
			if res := wantNotice(t, call, 503, "Please try again", "?"); res.Header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		}
		s.Mini.SetError("LOADING")
	}
}

// wantNotice also asks for JSON, and by DELETE if the call is a GET.
func wantNotice(t *testing.T, c uitest.Call, status int, text, href string) uitest.Response {
	t.Helper()
	other := c
	other.Request = c.Clone(c.Context())
	res := c.Want(status)
	body := html.UnescapeString(res.Text)
	if !strings.Contains(body, `class="ticketstore-page"`) || !strings.Contains(body, text) || !strings.Contains(body, `href="`+href+`"`) ||
		!strings.Contains(body, `role="alert"`) || strings.Count(body, "<h1>") != 1 || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
		t.Errorf("%s %s: want %q and a link to %q in %s", c.Method, c.URL, text, href, body)
	}
	wantNoCookie(t, res)
	if c.Method != "GET" {
		return res
	}
	list := other.With("Accept", asJSON).Want(status)
	var got struct{ Error string }
	if err := json.Unmarshal([]byte(list.Text), &got); err != nil || !strings.Contains(got.Error, text) || list.Header.Get("Content-Type") != asJSON {
		t.Errorf("%s %s: got %s, %v, want %q as JSON", c.Method, c.URL, list.Text, err, text)
	}
	return res
}

// DELETE is no browser's: it gets JSON.
func TestNoticesOfDelete(t *testing.T) {
	s := newSite(t, Config{})
	me := s.Login("alice", uitest.Firefox, "")
	for path, want := range map[string]string{"/x": "That device is no longer signed in.", "/": "Nothing can be done here in this way."} {
		status := map[string]int{"/x": 404, "/": 405}[path]
		if got := s.Request("DELETE", mount+path, me).Want(status).Text; got != `{"error":"`+want+`"}`+"\n" {
			t.Errorf("%s: got %s", path, got)
		}
	}
	if got := s.Request("DELETE", mount+"/all", nil).Want(401).Text; got != `{"error":"Sign-in is required."}`+"\n" {
		t.Errorf("got %s", got)
	}
}

// What an application answers by itself stays its own.
func TestManagersAnswersWin(t *testing.T) {
	s := newSite(t, Config{}, func(cfg *ticketstore.Config) {
		cfg.Unauthorized = func(w http.ResponseWriter, _ *http.Request, status int) {
			http.Error(w, "the application's 401", status)
		}
		cfg.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { http.Error(w, "the application's 503", http.StatusServiceUnavailable) }
	})
	if got := s.Request("GET", mount+"/", nil).Want(401).Text; got != "the application's 401\n" {
		t.Errorf("got %s", got)
	}
	me := s.Login("alice", uitest.Firefox, "")
	s.Mini.SetError("LOADING")
	if got := s.Request("GET", mount+"/", me).Want(503).Text; got != "the application's 503\n" {
		t.Errorf("got %s", got)
	}
}
