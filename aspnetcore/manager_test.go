package aspnetcore

import (
	"bytes"
	"context"
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/clock"
	"github.com/ticketstore/ticketstore/internal/redistest"
	"github.com/ticketstore/ticketstore/storetest"
)

// newFixture returns a RedisStore that keeps tickets as ASP.NET Core does.
// Server and store have one clock, which stands still.
func newFixture(t testing.TB) storetest.Fixture { return newFixtureWith(t, ticketstore.RedisConfig{}) }

func newFixtureWith(t testing.TB, cfg ticketstore.RedisConfig) storetest.Fixture {
	server := miniredis.RunT(t)
	client := redis.NewClient(redistest.Options(server.Addr()))
	t.Cleanup(func() { client.Close() })
	cfg.Prefix = rand.Text() + "-"
	if cfg.Serializer == nil {
		cfg.Serializer = Serializer{}
	}
	store, err := ticketstore.NewRedisStore(client, cfg)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	current := time.Now()
	now := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return current
	}
	server.SetTime(current)
	return storetest.Fixture{
		Store:   store,
		Context: clock.NewContext(context.Background(), now),
		Now:     now,
		Advance: func(d time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			current = current.Add(d)
			server.SetTime(current)
			server.FastForward(d)
		},
		Unit:  time.Second,
		Marks: true,
	}
}

func TestStore(t *testing.T) { storetest.Run(t, newFixture) }

// Sign in, stay signed in by activity, be listed, and be signed out at last.
func TestManager(t *testing.T) {
	f := newFixture(t)
	m, err := ticketstore.NewManager(f.Store, ticketstore.Config{
		CookieKeys:  []ticketstore.CookieKey{{Hash: bytes.Repeat([]byte("h"), 32)}},
		IdleTimeout: 30 * time.Minute, Lifetime: time.Hour, StoreTimeout: redistest.Patience,
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
		tk := ticketstore.NewTicket("alice", ticketstore.Claim{Type: "role", Value: "admin"})
		tk.Scheme = "Cookies"
		if err := m.SignIn(w, r, tk); err != nil {
			t.Error(err)
		}
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if tk, ok := ticketstore.FromContext(r.Context()); ok && tk.HasRole("admin") {
			w.Write([]byte(tk.Subject))
		}
	})
	handler := m.Wrap(mux)
	get := func(path string, cookies ...*http.Cookie) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(f.Context, "GET", "https://example.com"+path, nil)
		r.Header.Set("User-Agent", "curl/8")
		for _, c := range cookies {
			r.AddCookie(c)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	list := func() ticketstore.Session {
		t.Helper()
		sessions, err := f.Store.(ticketstore.SessionIndex).Sessions(f.Context, "alice")
		if err != nil || len(sessions) != 1 {
			t.Fatalf("got sessions %+v, %v, want one", sessions, err)
		}
		return sessions[0]
	}

	cookies := get("/login").Result().Cookies()
	if len(cookies) != 1 {
		t.Fatalf("got cookies %v, want one", cookies)
	}
	first, signedIn := list(), f.Now()
	if d := signedIn.Sub(first.SignedInAt); d < 0 || d >= time.Second || first.Device.UserAgent != "curl/8" || first.Scheme != "Cookies" {
		t.Errorf("got %+v, want one of %v", first, signedIn)
	}
	for i := range 3 {
		f.Advance(19 * time.Minute)
		if got := get("/", cookies...).Body.String(); got != "alice" {
			t.Fatalf("request %d: got %q, want alice", i, got)
		}
		s := list()
		if d := f.Now().Sub(s.IssuedAt); d < 0 || d >= time.Second || !s.SignedInAt.Equal(first.SignedInAt) || !s.EndsAt.Equal(first.EndsAt) || s.ExpiresAt.After(s.EndsAt) {
			t.Errorf("request %d: got %+v, want a renewal of %+v at %v", i, s, first, f.Now())
		}
	}
	f.Advance(4 * time.Minute) // the lifetime is over
	if got := get("/", cookies...).Body.String(); got != "" {
		t.Errorf("after the lifetime: got %q, want no one", got)
	}
}

// Who acts in a session is in its ticket, as .NET has it: also with the cookies and
// the records of .NET.
func TestImpersonation(t *testing.T) {
	f := newFixture(t)
	keys := directoryRing(t, keyElement(firstKey, time.Now()))
	cfg, err := ManagerConfig(Options{KeyRing: keys, ApplicationName: "app", Lifetime: 2 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(redistest.Options(miniredis.RunT(t).Addr()))
	t.Cleanup(func() { client.Close() })
	shared, err := NewStore(client, StoreConfig{InstanceName: "app:"})
	if err != nil {
		t.Fatal(err)
	}
	for name, store := range map[string]ticketstore.TicketStore{"Serializer": f.Store, "Store": shared} {
		ctx := t.Context()
		if name == "Serializer" {
			ctx = f.Context
		}
		cfg.StoreTimeout, cfg.RotateGrace = redistest.Patience, redistest.Patience
		m, err := ticketstore.NewManager(store, cfg)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequestWithContext(ctx, "POST", "/", nil)
		w := httptest.NewRecorder()
		if err := m.SignIn(w, r, ticketstore.NewTicket("olga")); err != nil {
			t.Fatal(err)
		}
		r.AddCookie(w.Result().Cookies()[0])
		w = httptest.NewRecorder()
		if err := m.Impersonate(w, r, ticketstore.NewTicket("alice"), "ticket 4711"); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		r = httptest.NewRequestWithContext(ctx, "POST", "/", nil)
		for _, c := range w.Result().Cookies() {
			r.AddCookie(c)
		}
		tk, err := m.Renew(r, func(tk *ticketstore.Ticket) error { tk.Scheme = "Cookies"; return nil })
		if err == nil {
			tk, err = m.Resolve(r)
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if a, ok := tk.Actor(); !ok || tk.Subject != "alice" || a.Subject != "olga" || a.Reason != "ticket 4711" {
			t.Errorf("%s: got %+v, %v of %+v", name, a, ok, tk)
		}
		w = httptest.NewRecorder()
		if err := m.EndImpersonation(w, r); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		r = httptest.NewRequestWithContext(ctx, "GET", "/", nil)
		r.AddCookie(w.Result().Cookies()[0])
		if tk, err := m.Resolve(r); err != nil || tk.Subject != "olga" {
			t.Errorf("%s: got %+v, %v, want olga", name, tk, err)
		}
	}
}

// A ticket that .NET made for an hour slides by an hour, also in a service
// whose own window is longer.
func TestWindowOfTicket(t *testing.T) {
	issued := pair{itemIssued, "Mon, 03 Mar 2031 09:00:00 GMT"}
	expires := pair{itemExpires, "Mon, 03 Mar 2031 10:00:00 GMT"}
	for _, test := range []struct {
		items []pair
		want  time.Duration
	}{
		{[]pair{issued, expires}, time.Hour},
		{[]pair{issued, expires, {itemIdleTimeout, ""}}, 0},
		{[]pair{issued, expires, {itemIdleTimeout, "20m0s"}}, 20 * time.Minute},
		{[]pair{{itemIssued, expires.value}, {itemExpires, issued.value}}, 0},
		{[]pair{issued}, 0},
		{[]pair{expires}, 0},
	} {
		tk, err := readItems(t, test.items...)
		if err != nil {
			t.Fatal(err)
		}
		data, err := Serializer{}.Serialize(tk)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Serializer{}.Deserialize("id", data)
		if err != nil {
			t.Fatal(err)
		}
		if tk.IdleTimeout != test.want || again.IdleTimeout != test.want {
			t.Errorf("%v: got IdleTimeout %v, and %v once written, want %v", test.items, tk.IdleTimeout, again.IdleTimeout, test.want)
		}
	}
}
