package aspnetcore

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/admin"
	"github.com/ticketstore/ticketstore/devices"
	"github.com/ticketstore/ticketstore/internal/redistest"
	"github.com/ticketstore/ticketstore/storetest"
)

// A RedisStore that keeps tickets as ASP.NET Core does tells of endings, and
// leaves marks, as any other does.
func TestStoreWithHistory(t *testing.T) {
	storetest.Run(t, func(t testing.TB) storetest.Fixture {
		return newFixtureWith(t, ticketstore.RedisConfig{History: time.Hour})
	})
}

// What such a store tells of an ending has device, times and cause of it, and
// none of the claims.
func TestEndingsOfSerializer(t *testing.T) {
	for name, s := range map[string]Serializer{"nameidentifier": {}, "sub": {SubjectClaim: "sub"}} {
		f := newFixtureWith(t, ticketstore.RedisConfig{History: time.Hour, Serializer: s})
		store := f.Store.(*ticketstore.RedisStore)
		device := ticketstore.Device{UserAgent: "curl/8", Addr: netip.MustParseAddr("192.0.2.1")}
		want := map[string]string{}
		begin := func(expires, ends time.Duration) (ticketstore.Key, *ticketstore.Ticket) {
			t.Helper()
			now := f.Now().Truncate(time.Second)
			tk := ticketstore.NewTicket("alice", ticketstore.Claim{Type: "email", Value: "alice@example.com"})
			tk.Scheme, tk.Device = "Cookies", device
			tk.SignedInAt, tk.IssuedAt, tk.ExpiresAt, tk.EndsAt = now, now, now.Add(expires), now.Add(ends)
			key, err := store.Store(f.Context, tk)
			if err != nil {
				t.Fatal(err)
			}
			return key, tk
		}
		_, tk := begin(time.Minute, time.Hour)
		want[tk.ID] = "idle "
		_, tk = begin(time.Minute, time.Minute)
		want[tk.ID] = "lifetime "
		key, tk := begin(time.Hour, time.Hour)
		want[tk.ID] = "signed-out "
		if err := store.Remove(f.Context, key); err != nil {
			t.Fatal(err)
		}
		_, tk = begin(time.Hour, time.Hour)
		want[tk.ID] = "disabled root"
		f.Advance(time.Minute)
		if _, err := store.RevokeAll(ticketstore.WithCause(f.Context, "disabled", "root"), "alice"); err != nil {
			t.Fatal(err)
		}
		endings, err := store.History(f.Context, "alice")
		if err != nil || len(endings) != len(want) {
			t.Fatalf("%s: got %+v, %v, want %d endings", name, endings, err, len(want))
		}
		for _, e := range endings {
			sess := e.Session
			if got := e.Cause + " " + e.By; got != want[sess.ID] {
				t.Errorf("%s: %s: got the cause %q, want %q", name, sess.ID, got, want[sess.ID])
			}
			if sess.Undecodable || sess.Subject != "alice" || sess.Scheme != "Cookies" || sess.Device != device || sess.SignedInAt.IsZero() || sess.ExpiresAt.IsZero() {
				t.Errorf("%s: got %+v, want it as it began", name, sess)
			}
		}
	}
}

// A Store has neither endings nor marks: pages show none, and who is connected
// learns of an ending by asking.
func TestStoreTellsNoEndings(t *testing.T) {
	s := newSite(t, miniBackend(t), StoreConfig{})
	var store any = s.Store
	if _, ok := store.(interface {
		History(context.Context, string) ([]ticketstore.Ending, error)
	}); ok {
		t.Error("it has History: say so in the package comment")
	}
	if _, ok := store.(interface {
		Endings(context.Context, string, int) ([]ticketstore.Ending, string, error)
	}); ok {
		t.Error("it has Endings: say so in the package comment")
	}
	logger := slog.New(slog.DiscardHandler)
	m, err := ticketstore.NewManager(s.Store, ticketstore.Config{
		CookieKeys: []ticketstore.CookieKey{{Hash: []byte(strings.Repeat("h", 32))}}, StoreTimeout: redistest.Patience, Logger: logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	list, err := devices.New(m, devices.Config{Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := admin.New(s.Store, func(*http.Request) bool { return true }, admin.Config{Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	signIn := func() *http.Cookie {
		t.Helper()
		w := httptest.NewRecorder()
		if err := m.SignIn(w, httptest.NewRequestWithContext(s.ctx(t), "POST", "/", nil), ticketstore.NewTicket("alice")); err != nil {
			t.Fatal(err)
		}
		return w.Result().Cookies()[0]
	}
	request := func(target string, c *http.Cookie) *http.Request {
		r := httptest.NewRequestWithContext(s.ctx(t), "GET", target, nil)
		r.AddCookie(c)
		return r
	}
	ends, stays := signIn(), signIn()
	ctx, err := m.Live(request("/", ends))
	if err != nil {
		t.Fatal(err)
	}
	other, err := m.Live(request("/", stays))
	if err != nil {
		t.Fatal(err)
	}
	key, err := m.Resolve(request("/", ends))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Revoke(s.ctx(t), "alice", key.ID); err != nil {
		t.Fatal(err)
	}
	if ctx.Err() != nil {
		t.Error("it has ended though nobody has asked")
	}
	s.advance(30 * time.Second)
	select {
	case <-ctx.Done():
	case <-time.After(redistest.Patience):
		t.Error("half a minute after the end it goes on")
	}
	if other.Err() != nil {
		t.Errorf("another's has ended: %v", context.Cause(other))
	}
	for name, serve := range map[string]http.Handler{"devices": m.Require(list), "admin": pages} {
		w := httptest.NewRecorder()
		serve.ServeHTTP(w, request("/?subject=alice", stays))
		if body := w.Body.String(); w.Code != http.StatusOK || strings.Contains(body, `id="ended"`) || strings.Contains(body, "Ended") {
			t.Errorf("%s: got %d and something of endings: %s", name, w.Code, body)
		}
	}
}

// A sign-in that is under way while RevokeAll runs survives it, in Go and in
// .NET, and a second RevokeAll ends it; over a RedisStore it is refused.
func TestSignInDuringRevokeAll(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := newSite(t, b, StoreConfig{})
		revokes := map[string]func() (int, error){
			"RevokeAll": func() (int, error) { return s.RevokeAll(s.ctx(t), "alice") },
			"RevokeOthers": func() (int, error) {
				tk := s.underWay()
				if _, err := s.Store.Store(s.ctx(t), tk); err != nil {
					t.Fatal(err)
				}
				n, err := s.RevokeOthers(s.ctx(t), "alice", tk.ID)
				return n, errors.Join(err, s.Revoke(s.ctx(t), "alice", tk.ID))
			},
		}
		for what, revoke := range revokes {
			there := s.underWay()
			old, err := s.Store.Store(s.ctx(t), there)
			if err != nil {
				t.Fatal(err)
			}
			tk := s.underWay()
			if n, err := revoke(); err != nil || n != 1 {
				t.Fatalf("%s: got %d, %v, want one", what, n, err)
			}
			key, err := s.Store.Store(s.ctx(t), tk)
			if err != nil {
				t.Fatalf("%s: got %v: it has marks: say so in the package comment", what, err)
			}
			s.signIn(dotnetKey, "alice", time.Time{})
			s.retrieve(dotnetKey)
			s.retrieve(key)
			s.wantListed(what, "alice", key, dotnetKey)
			if n, err := s.RevokeAll(s.ctx(t), "alice"); err != nil || n != 2 {
				t.Errorf("%s: once more: got %d, %v, want two", what, n, err)
			}
			for _, key := range []ticketstore.Key{old, key, dotnetKey} {
				s.wantDead(what, "alice", key)
			}
			s.unlink(dotnetKey) // of its tombstone
		}
	})
	f := newFixture(t)
	tk := ticketstore.NewTicket("alice")
	tk.SignedInAt, tk.ExpiresAt = f.Now().Add(-time.Second), f.Now().Add(time.Hour)
	if _, err := f.Store.(*ticketstore.RedisStore).RevokeAll(f.Context, "alice"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Store.Store(f.Context, tk); !errors.Is(err, ticketstore.ErrConflict) {
		t.Errorf("RedisStore: got %v, want ErrConflict", err)
	}
}

// underWay returns a ticket for alice whose sign-in began a second ago.
func (s *site) underWay() *ticketstore.Ticket {
	tk := ticketstore.NewTicket("alice")
	now := s.now().Truncate(time.Second)
	tk.SignedInAt, tk.IssuedAt, tk.ExpiresAt = now.Add(-time.Second), now, now.Add(time.Hour)
	return tk
}

// .NET finds nothing where a RedisStore keeps its tickets.
func TestDotNetFindsNoRedisStore(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := newSite(t, b, StoreConfig{})
		store, err := ticketstore.NewRedisStore(b.client, ticketstore.RedisConfig{Prefix: strings.Trim(b.instance, "{}"), Serializer: Serializer{}})
		if err != nil {
			t.Fatal(err)
		}
		key, err := store.Store(s.ctx(t), s.underWay())
		if err != nil {
			t.Fatal(err)
		}
		if data, ok := s.get(key); ok {
			t.Errorf("got %q: say so in the package comment", data)
		}
	})
}
