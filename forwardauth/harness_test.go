package forwardauth

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/redistest"
	"github.com/ticketstore/ticketstore/tickettest"
)

// A fixture is a Handler with a store and a clock of its own.
type fixture struct {
	*Handler
	m     *ticketstore.Manager
	store *outStore
	clock *tickettest.Clock
	logs  *lockedBuffer
}

// An outStore is a store that can be out.
type outStore struct {
	*ticketstore.RedisStore
	err error
}

func newFixture(t *testing.T, mcfg ticketstore.Config, cfg Config) *fixture {
	t.Helper()
	f := &fixture{clock: tickettest.NewClock(), logs: new(lockedBuffer)}
	f.store = &outStore{RedisStore: f.clock.NewStore(t)}
	mcfg.CookieKeys = []ticketstore.CookieKey{{Hash: bytes.Repeat([]byte("k"), 32)}}
	mcfg.StoreTimeout = redistest.Patience
	mcfg.Logger = slog.New(slog.NewTextHandler(f.logs, nil))
	var err error
	if f.m, err = ticketstore.NewManager(f.store, mcfg); err != nil {
		t.Fatal(err)
	}
	cfg.Logger = mcfg.Logger
	if f.Handler, err = New(f.m, cfg); err != nil {
		t.Fatal(err)
	}
	return f
}

// all are the headers that the tests choose.
func all() map[string]func(*ticketstore.Ticket) []string {
	return map[string]func(*ticketstore.Ticket) []string{
		"Remote-User": Subject, "Remote-Name": Claim("name"), "Remote-Roles": Roles, "Remote-Session": SessionID,
	}
}

func ann() *ticketstore.Ticket {
	return ticketstore.NewTicket("ann@example.com", ticketstore.Claim{Type: "name", Value: "Ann"},
		ticketstore.Claim{Type: "role", Value: "dev"}, ticketstore.Claim{Type: "role", Value: "ops"})
}

// ask sends h a request of a proxy, "GET http://host/path", with headers
// "Name: value".
func (f *fixture) ask(t *testing.T, request string, cookie *http.Cookie, headers ...string) *http.Response {
	t.Helper()
	method, target, _ := strings.Cut(request, " ")
	r := httptest.NewRequestWithContext(f.clock.Context(t.Context()), method, target, nil)
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	if cookie != nil {
		r.Header.Add("Cookie", cookie.Name+"="+cookie.Value)
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w.Result()
}

func check(t *testing.T, res *http.Response, status int, location, user string) {
	t.Helper()
	if res.StatusCode != status || res.Header.Get("Location") != location {
		t.Errorf("got %d, Location %q, want %d, %q", res.StatusCode, res.Header.Get("Location"), status, location)
	}
	for name := range all() {
		if got := res.Header.Values(name); len(got) != 1 || user == "" && got[0] != "" || name == "Remote-User" && got[0] != user {
			t.Errorf("got %s %q, want the user %q", name, got, user)
		}
	}
	if res.Header.Get("Cache-Control") != "no-store" || len(res.Header["Set-Cookie"]) > 0 {
		t.Errorf("got Cache-Control %q and cookies %q, want no-store and none", res.Header.Get("Cache-Control"), res.Header["Set-Cookie"])
	}
	if challenge := res.Header.Get("WWW-Authenticate"); (challenge != "") != (status == http.StatusUnauthorized) {
		t.Errorf("got %d with the challenge %q", status, challenge)
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
