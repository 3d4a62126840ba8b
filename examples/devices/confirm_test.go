package main

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/clock"
	"github.com/ticketstore/ticketstore/internal/redistest"
)

// Whoever has signed in long ago signs in again, as the same user, to sign another
// device out, and comes back to the question.
func TestConfirm(t *testing.T) {
	mini := redistest.StartMini(t)
	now := time.Now().Truncate(time.Millisecond)
	mini.SetTime(now)
	client := redis.NewClient(redistest.Options(mini.Addr()))
	t.Cleanup(func() { client.Close() })
	store, err := ticketstore.NewRedisStore(client, ticketstore.RedisConfig{History: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	manager, err := ticketstore.NewManager(store, ticketstore.Config{
		CookieKeys: []ticketstore.CookieKey{{Hash: make([]byte, 32)}}, LoginPath: "/", StoreTimeout: redistest.Patience,
	})
	if err != nil {
		t.Fatal(err)
	}
	site, err := (&app{manager, store, 15 * time.Minute}).routes()
	if err != nil {
		t.Fatal(err)
	}
	send := func(status int, cookie *http.Cookie, method, path string, form url.Values) *http.Response {
		t.Helper()
		r := httptest.NewRequestWithContext(clock.NewContext(t.Context(), func() time.Time { return now }), method, path, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Accept", "text/html")
		r.Header.Set("User-Agent", windows)
		r.RemoteAddr = "198.51.100.4:1"
		if cookie != nil {
			r.AddCookie(&http.Cookie{Name: cookie.Name, Value: cookie.Value})
		}
		w := httptest.NewRecorder()
		site.ServeHTTP(w, r)
		if w.Code != status {
			t.Fatalf("%s %s: got %d, want %d: %s", method, path, w.Code, status, w.Body)
		}
		return w.Result()
	}
	body := func(res *http.Response) string {
		var b strings.Builder
		res.Write(&b)
		return b.String()
	}
	signIn := url.Values{"user": {"alice"}}
	other := send(303, nil, "POST", "/login", signIn).Cookies()[0]
	me := send(303, nil, "POST", "/login", signIn).Cookies()[0]
	if page := body(send(200, me, "GET", "/account/sessions/", nil)); strings.Count(page, "Porto, Portugal") < 2 {
		t.Errorf("no places on the page: %s", page)
	}
	now = now.Add(16 * time.Minute)
	mini.SetTime(now)

	login := send(302, me, "GET", "/account/sessions/?sure=others", nil).Header.Get("Location")
	if want := "/?ReturnUrl=%2Faccount%2Fsessions%2F%3Fsure%3Dothers&reauth=1"; login != want {
		t.Fatalf("got Location %q, want %q", login, want)
	}
	page := body(send(200, me, "GET", login, nil))
	if !strings.Contains(page, "confirm that it is you") || !strings.Contains(page, "<bdi>alice</bdi>") || strings.Contains(page, `name="user"`) {
		t.Errorf("want a form for alice alone: %s", page)
	}
	form := url.Values{"ReturnUrl": {"/account/sessions/?sure=others"}, "user": {"bob"}}
	if res := send(303, nil, "POST", "/confirm", form); !strings.HasPrefix(res.Header.Get("Location"), "/?") || len(res.Cookies()) > 0 {
		t.Errorf("nobody signs in as bob: got %v", res.Header)
	}
	res := send(303, me, "POST", "/confirm", form)
	if got := res.Header.Get("Location"); got != "/account/sessions/?sure=others" {
		t.Errorf("got Location %q", got)
	}
	me = res.Cookies()[0]
	if page := body(send(200, me, "GET", "/account/sessions/?sure=others", nil)); !strings.Contains(page, "1 session will end.") {
		t.Errorf("got %s", page)
	}
	send(303, me, "POST", "/account/sessions/", url.Values{"revoke": {"others"}})
	send(302, other, "GET", "/account/sessions/", nil)
	if sessions, err := store.Sessions(t.Context(), "alice"); err != nil || len(sessions) != 1 {
		t.Errorf("got %d sessions, %v, want the one", len(sessions), err)
	}
}

func TestPlace(t *testing.T) {
	for addr, want := range map[string]string{"192.0.2.17": "Lisbon, Portugal", "203.0.113.80": "Vigo, Spain", "8.8.8.8": "", "::1": "This computer"} {
		if got := place(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: got %q, want %q", addr, got, want)
		}
	}
}
