package browsertest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/admin"
	"github.com/ticketstore/ticketstore/devices"
	"github.com/ticketstore/ticketstore/internal/clock"
	"github.com/ticketstore/ticketstore/internal/redistest"
)

const mount = "/account/sessions/"

// now is when the tests are: what a page says does not depend on the day.
var now = time.Date(2026, 11, 20, 9, 41, 0, 0, time.UTC)

// A site has a login page and the pages under test. It is served over plain
// http: Chromium keeps and sends Secure cookies to 127.0.0.1.
type site struct {
	t     *testing.T
	url   string
	store *recorder
	redis *miniredis.Miniredis
}

// issued returns the keys of all sessions there were.
func (s *site) issued() []string {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	if len(s.store.keys) == 0 {
		s.t.Error("there are no keys")
	}
	return slices.Clone(s.store.keys)
}

// A recorder is a RedisStore that remembers the keys it has handed out.
type recorder struct {
	*ticketstore.RedisStore
	mu   sync.Mutex
	keys []string
}

func (r *recorder) Store(ctx context.Context, t *ticketstore.Ticket) (ticketstore.Key, error) {
	key, err := r.RedisStore.Store(ctx, t)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys = append(r.keys, string(key))
	return key, err
}

func newSite(t *testing.T) *site {
	t.Helper()
	mini := miniredis.RunT(t)
	mini.SetTime(now)
	opt := redistest.Options(mini.Addr())
	opt.MaxRetries, opt.DialerRetries = -1, 1
	client := redis.NewClient(opt)
	t.Cleanup(func() { client.Close() })
	store, err := ticketstore.NewRedisStore(client, ticketstore.RedisConfig{History: 30 * day})
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, redis: mini, store: &recorder{RedisStore: store}}
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	m, err := ticketstore.NewManager(s.store, ticketstore.Config{
		CookieKeys: []ticketstore.CookieKey{{Hash: bytes.Repeat([]byte("h"), 32)}},
		LoginPath:  "/login", StoreTimeout: redistest.Patience,
		ClientAddr: func(*http.Request) netip.Addr { return netip.MustParseAddr("203.0.113.7") },
		Logger:     quiet,
	})
	if err != nil {
		t.Fatal(err)
	}
	own, err := devices.New(m, devices.Config{
		SignedOutPath: "/login?bye", Locate: locate, Logger: quiet,
		History: store.History, Report: func(*http.Request, ticketstore.Session) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(mount, http.StripPrefix(strings.TrimSuffix(mount, "/"), own))
	pages, err := admin.New(s.store, func(r *http.Request) bool {
		t, ok := ticketstore.FromContext(r.Context())
		return ok && t.HasRole("admin")
	}, admin.Config{Locate: locate, Name: name, Find: find, Logger: quiet, StoreTimeout: redistest.Patience})
	if err != nil {
		t.Fatal(err)
	}
	mux.Handle("/admin/", m.Require(http.StripPrefix("/admin", pages)))
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, loginPage, m.ReturnURL(r)) // which is safe in a URL, and was typed by nobody
	})
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		t := ticketstore.NewTicket(r.PostFormValue("user"), ticketstore.Claim{Type: "role", Value: r.PostFormValue("user")})
		if err := m.SignIn(w, r, t); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		http.Redirect(w, r, m.ReturnURL(r), http.StatusSeeOther)
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mux.ServeHTTP(w, r.WithContext(clock.NewContext(r.Context(), func() time.Time { return now })))
	}))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

const loginPage = `<!doctype html>
<html lang="en">
<head>
<title>Sign in</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
</head>
<body>
<main>
<h1>Sign in</h1>
<form method="post">
<input type="hidden" name="ReturnUrl" value="%s">
<label>User <input id="user" name="user"></label>
<button>Sign in</button>
</form>
</main>
</body>
</html>
`

func locate(addr netip.Addr) string {
	switch addr.String() {
	case "203.0.113.7", "2001:db8:7::1a":
		return "Lisbon, Portugal"
	case "198.51.100.4":
		return "Porto, Portugal"
	}
	return ""
}

// people are those whom the operator's pages know by name.
var people = map[string]string{"alice": "Alice Example", "bob": "Bob Example", "0195563e-a102-7c4d-9e21-5b0f3a6c8d12": "Carol Example"}

func name(context.Context, []string) (map[string]string, error) { return people, nil }

func find(_ context.Context, query string) (subjects []string, err error) {
	for _, subject := range slices.Sorted(maps.Keys(people)) {
		if strings.Contains(strings.ToLower(people[subject]), strings.ToLower(query)) {
			subjects = append(subjects, subject)
		}
	}
	return subjects, nil
}

const day = 24 * time.Hour

// somewhere are devices to sign in from, newest sign-in first.
var somewhere = []struct {
	agent, addr    string
	signedIn, used time.Duration // ago
}{
	{iphone, "203.0.113.7", 50 * time.Hour, 40 * time.Minute},
	{"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0", "198.51.100.4", 77*time.Hour + 12*time.Minute, 26 * time.Hour},
	{"Mozilla/5.0 (Android 14; Tablet; rv:140.0) Gecko/140.0 Firefox/140.0", "2001:db8:7::1a", 9*day + 38*time.Minute, 6 * day},
	{"curl/8.9.1", "192.0.2.200", 10 * day, 10 * day},
	{"", "", 11 * day, 4 * day},
	{"Mozilla/5.0 (Linux; Android 14; SAMSUNG SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile Safari/537.36", "2001:db8:1234:5678:9abc:def0:1234:5678", 13 * day, 13 * day},
}

// signIn signs user in on n devices that no test has.
func (s *site) signIn(user string, n int) {
	s.t.Helper()
	for i := range n { // the last one first
		d := somewhere[(n-1-i)%len(somewhere)]
		t := ticketstore.NewTicket(user)
		addr, _ := netip.ParseAddr(d.addr)
		t.Device = ticketstore.Device{UserAgent: d.agent, Addr: addr}
		t.SeenFrom = t.Device
		t.SignedInAt, t.IssuedAt = now.Add(-d.signedIn), now.Add(-d.used)
		t.ExpiresAt, t.EndsAt = t.IssuedAt.Add(14*day), t.SignedInAt.Add(30*day)
		t.Persistent = true
		if _, err := s.store.Store(s.ctx(), t); err != nil {
			s.t.Fatal(err)
		}
	}
}

// act signs operator in as user, to act as that.
func (s *site) act(user, operator, reason string) {
	s.t.Helper()
	t := ticketstore.NewTicket(user)
	t.Device = ticketstore.Device{UserAgent: somewhere[1].agent, Addr: netip.MustParseAddr(somewhere[1].addr)}
	t.SignedInAt, t.IssuedAt, t.ExpiresAt, t.EndsAt = now, now, now.Add(time.Hour), now.Add(time.Hour)
	t.Identities = []ticketstore.Identity{{Actor: &ticketstore.Identity{AuthenticationType: "ticketstore.impersonation", Claims: []ticketstore.Claim{
		{Type: "sub", Value: operator}, {Type: "sid", Value: "01a20f9d-251e-7b83-a905-97752a4ab701"}, {Type: "reason", Value: reason},
	}}}}
	if _, err := s.store.Store(s.ctx(), t); err != nil {
		s.t.Fatal(err)
	}
}

// spoil replaces the ticket of the session by what is none.
func (s *site) spoil(id string) {
	s.t.Helper()
	for _, key := range s.redis.Keys() {
		if strings.HasSuffix(key, id) {
			value, _ := s.redis.Get(key)
			envelope, _, _ := strings.Cut(value, "\n")
			ttl := s.redis.TTL(key)
			s.redis.Set(key, envelope+"\n{")
			s.redis.SetTTL(key, ttl)
			return
		}
	}
	s.t.Fatalf("there is no session %s", id)
}

func (s *site) ctx() context.Context {
	return clock.NewContext(s.t.Context(), func() time.Time { return now })
}

// sessions returns the IDs of user's sessions, newest first.
func (s *site) sessions(user string) (ids []string) {
	s.t.Helper()
	sessions, err := s.store.Sessions(s.ctx(), user)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, sess := range sessions {
		ids = append(ids, sess.ID)
	}
	return ids
}
