package docs_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/tickettest"
)

// bearer takes a bearer token for the value of the cookie called name. Put it
// around Wrap. If a request has both, the token counts.
func bearer(name string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " "); strings.EqualFold(scheme, "Bearer") {
			r = r.Clone(r.Context())
			r.Header.Del("Cookie")
			r.AddCookie(&http.Cookie{Name: name, Value: token})
		}
		next.ServeHTTP(w, r)
	})
}

// nativeLogin answers with a token in place of the cookie called name.
func nativeLogin(m *ticketstore.Manager, name string, check func(*http.Request) (user string, ok bool)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		user, ok := check(r)
		if !ok {
			http.Error(w, "The name or the password is wrong.", http.StatusForbidden)
			return
		}
		t := ticketstore.NewTicket(user)
		t.Persistent = true
		if err := m.SignIn(w, r, t); err != nil {
			m.Error(w, r, err)
			return
		}
		set := http.Response{Header: http.Header{"Set-Cookie": w.Header()["Set-Cookie"]}}
		w.Header().Del("Set-Cookie")
		for _, c := range set.Cookies() {
			if c.Name == name {
				json.NewEncoder(w).Encode(map[string]string{"token": c.Value})
			}
		}
	}
}

func TestBearer(t *testing.T) {
	const name = "__Host-session"
	m := tickettest.NewManager(t)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", nativeLogin(m, name, func(r *http.Request) (string, bool) {
		return r.FormValue("user"), r.FormValue("password") == "right"
	}))
	mux.Handle("/me", m.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t, _ := ticketstore.FromContext(r.Context())
		io.WriteString(w, t.Subject)
	})))
	mux.HandleFunc("POST /logout", func(w http.ResponseWriter, r *http.Request) {
		if err := m.SignOut(w, r); err != nil {
			t.Error(err)
		}
	})
	h := http.NewCrossOriginProtection().Handler(bearer(name, m.Wrap(mux)))
	send := func(method, path, token, form string, cookies ...*http.Cookie) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, strings.NewReader(form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if token != "" {
			r.Header.Set("Authorization", "bearer "+token) // schemes have no case
		}
		for _, c := range cookies {
			r.AddCookie(c)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	want := func(w *httptest.ResponseRecorder, status int, body string) {
		t.Helper()
		if w.Code != status || status == 200 && w.Body.String() != body {
			t.Errorf("got %d %q, want %d %q", w.Code, w.Body, status, body)
		}
	}
	want(send("POST", "/login", "", "user=alice&password=wrong"), 403, "")
	w := send("POST", "/login", "", "user=alice&password=right")
	var answer struct{ Token string }
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Token == "" {
		t.Fatalf("got %q, %v, want a token", w.Body, err)
	}
	if cookies, cache := w.Result().Cookies(), w.Header().Get("Cache-Control"); len(cookies) > 0 || cache != "no-store" {
		t.Errorf("got cookies %v and Cache-Control %q, want none, and no-store", cookies, cache)
	}
	bob := tickettest.Cookie(t, m, ticketstore.NewTicket("bob"))
	want(send("GET", "/me", answer.Token, ""), 200, "alice")
	want(send("GET", "/me", answer.Token, "", bob), 200, "alice")
	want(send("GET", "/me", "forged", "", bob), 401, "")
	want(send("GET", "/me", "", "", bob), 200, "bob")
	want(send("POST", "/logout", answer.Token, ""), 200, "")
	want(send("GET", "/me", answer.Token, ""), 401, "")
	want(send("GET", "/me", "", "", bob), 200, "bob")
}
