package tickettest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/storetest"
	"github.com/ticketstore/ticketstore/tickettest"
)

// On a running clock the rules would be waited for; in TestSynctest they are
// not.
func TestContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t testing.TB) storetest.Fixture {
		clock := tickettest.NewClock()
		return storetest.Fixture{
			Store: clock.NewStore(t), Context: clock.Context(t.Context()), Now: clock.Now, Advance: clock.Advance,
		}
	})
}

func request(cookies ...*http.Cookie) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	for _, c := range cookies {
		r.AddCookie(c)
	}
	return r
}

// who says who sends c: a subject, or "-" if nobody is signed in.
func who(t *testing.T, m *ticketstore.Manager, c *http.Cookie) string {
	t.Helper()
	tk, err := m.Resolve(request(c))
	switch {
	case errors.Is(err, ticketstore.ErrNotFound):
		return "-"
	case err != nil:
		t.Fatal(err)
	}
	return tk.Subject
}

func TestCookie(t *testing.T) {
	m := tickettest.NewManager(t)
	alice := ticketstore.NewTicket("alice", ticketstore.Claim{Type: "role", Value: "admin"})
	alice.Device.Addr = netip.MustParseAddr("203.0.113.9")
	r := request(tickettest.Cookie(t, m, alice), tickettest.Cookie(t, tickettest.NewManager(t), ticketstore.NewTicket("bob")))
	got, err := m.Resolve(r)
	if err != nil || got.Subject != "alice" || !got.HasRole("admin") || got.Device != alice.Device {
		t.Errorf("got %v, %v, want alice's ticket", got, err)
	}
	if got.ID != alice.ID || !got.SignedInAt.Equal(alice.SignedInAt) {
		t.Errorf("Cookie has set %q and %v, the session has %q and %v", alice.ID, alice.SignedInAt, got.ID, got.SignedInAt)
	}
}

func TestStoresAreIndependent(t *testing.T) {
	clock := tickettest.NewClock()
	for name, newStore := range map[string]func() *ticketstore.RedisStore{
		"running": func() *ticketstore.RedisStore { return tickettest.NewStore(t) },
		"clock":   func() *ticketstore.RedisStore { return clock.NewStore(t) },
	} {
		one, other, ctx := newStore(), newStore(), clock.Context(t.Context())
		tk := ticketstore.NewTicket("alice")
		tk.ExpiresAt = time.Now().Add(time.Hour)
		key, err := one.Store(ctx, tk)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := other.Retrieve(ctx, key); !errors.Is(err, ticketstore.ErrNotFound) {
			t.Errorf("%s: the other store answers %v, want ErrNotFound", name, err)
		}
		if _, err := one.Retrieve(ctx, key); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The default idle timeout is 30 minutes, the lifetime 12 hours.
func TestSynctest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := tickettest.NewStore(t)
		m, err := ticketstore.NewManager(store, ticketstore.Config{CookieKeys: []ticketstore.CookieKey{{Hash: make([]byte, 32)}}})
		if err != nil {
			t.Fatal(err)
		}
		idle, active := tickettest.Cookie(t, m, ticketstore.NewTicket("idle")), tickettest.Cookie(t, m, ticketstore.NewTicket("active"))
		site := m.Wrap(http.NotFoundHandler())
		visit := func() { site.ServeHTTP(httptest.NewRecorder(), request(active)) }
		time.Sleep(29 * time.Minute)
		if got := who(t, m, idle); got != "idle" {
			t.Errorf("after 29 minutes: got %s", got)
		}
		visit()
		time.Sleep(time.Minute)
		if got := who(t, m, idle); got != "-" {
			t.Errorf("after 30 minutes: got %s", got)
		}
		// Count is one pipeline of hundreds of commands.
		if counts, err := store.Count(t.Context()); err != nil || counts != (ticketstore.Counts{Subjects: 1, Sessions: 1}) {
			t.Errorf("after 30 minutes: got %v, %v, want one user", counts, err)
		}
		for range 45 {
			time.Sleep(15 * time.Minute)
			visit()
		}
		if got := who(t, m, active); got != "active" {
			t.Errorf("after 11:45 hours: got %s", got)
		}
		time.Sleep(15 * time.Minute)
		if got := who(t, m, active); got != "-" {
			t.Errorf("after 12 hours: got %s", got)
		}
	})
}

// What is open ends in a bubble as everything does: at the expiry, or at once.
func TestSynctestLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := tickettest.NewManager(t)
		idle, gone := tickettest.Cookie(t, m, ticketstore.NewTicket("idle")), tickettest.Cookie(t, m, ticketstore.NewTicket("gone"))
		first, err1 := m.Live(request(idle))
		second, err2 := m.Live(request(gone))
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		if err := m.SignOut(httptest.NewRecorder(), request(gone)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := context.Cause(second); !errors.Is(err, ticketstore.ErrNotFound) {
			t.Errorf("after the sign-out: got %v, want ErrNotFound", err)
		}
		time.Sleep(19 * time.Minute)
		if first.Err() != nil {
			t.Errorf("after 29 minutes: got %v", context.Cause(first))
		}
		time.Sleep(time.Minute + time.Second)
		if err := context.Cause(first); !errors.Is(err, ticketstore.ErrNotFound) {
			t.Errorf("after 30 minutes: got %v, want ErrNotFound", err)
		}
		// Nothing may be left: the bubble waits for all that runs in it.
	})
}

func TestOpen(t *testing.T) {
	store, done, err := tickettest.Open()
	if err != nil {
		t.Fatal(err)
	}
	m, err := ticketstore.NewManager(store, ticketstore.Config{
		CookieKeys: []ticketstore.CookieKey{{Hash: make([]byte, 32)}}, StoreTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	c := tickettest.Cookie(t, m, ticketstore.NewTicket("alice"))
	if got := who(t, m, c); got != "alice" {
		t.Errorf("got %s, want alice", got)
	}
	if _, err := store.Check(t.Context()); err != nil {
		t.Errorf("Check: %v", err)
	}
	done()
	if _, err := m.Resolve(request(c)); err == nil || errors.Is(err, ticketstore.ErrNotFound) {
		t.Errorf("closed: got %v, want an error of its own", err)
	}
}

// A program that calls Open has neither package testing nor its flags in it,
// and one that uses the root package alone no miniredis.
func TestDependencies(t *testing.T) {
	for dir, unwanted := range map[string]string{".": "testing", "..": "github.com/alicebob/miniredis/v2"} {
		deps, err := exec.Command("go", "list", "-deps", dir).Output()
		if err != nil {
			t.Fatal(err)
		}
		packages := strings.Fields(string(deps))
		if len(packages) < 50 {
			t.Fatalf("%s: got %d packages: this test looks at too little", dir, len(packages))
		}
		if slices.Contains(packages, unwanted) {
			t.Errorf("%s depends on %s", dir, unwanted)
		}
	}
}

// site answers who is there, and signs in and out.
func site(m *ticketstore.Manager) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		if t, ok := ticketstore.FromContext(r.Context()); ok {
			fmt.Fprint(w, t.Subject)
		} else {
			fmt.Fprint(w, "-")
		}
	})
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		if err := m.SignIn(w, r, ticketstore.NewTicket(r.FormValue("user"))); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		http.Redirect(w, r, "/", http.StatusSeeOther)
	})
	mux.HandleFunc("POST /others", func(w http.ResponseWriter, r *http.Request) {
		if _, err := m.RevokeOthers(r); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	return m.Wrap(mux)
}

// A stopped is what becomes of a test that has failed.
type stopped string

// A failing test notes what it is told.
type failing struct{ testing.TB }

func (failing) Fatalf(format string, args ...any) { panic(stopped(fmt.Sprintf(format, args...))) }

// message returns what a test is told that fails in f.
func message(t *testing.T, f func(tb tickettest.TB)) (text string) {
	t.Helper()
	defer func() {
		if s, ok := recover().(stopped); ok {
			text = string(s)
		} else {
			t.Error("it does not fail")
		}
	}()
	f(failing{t})
	return ""
}

func TestFailures(t *testing.T) {
	m := tickettest.NewManager(t)
	if got := message(t, func(tb tickettest.TB) { tickettest.Cookie(tb, m, ticketstore.NewTicket("")) }); !strings.Contains(got, "the subject is empty") {
		t.Errorf("Cookie: got %q", got)
	}
	plain := httptest.NewServer(site(m))
	defer plain.Close()
	if got := message(t, func(tb tickettest.TB) { tickettest.Browser(tb, plain) }); !strings.Contains(got, "NewTLSServer") {
		t.Errorf("Browser: got %q", got)
	}
}

// Stores and clocks are used by many goroutines at once.
func TestConcurrent(t *testing.T) {
	clock := tickettest.NewClock()
	m := clock.NewManager(t)
	handler := clock.Handler(site(m))
	var wg sync.WaitGroup
	for i := range 8 {
		c := clock.Cookie(t, m, ticketstore.NewTicket(fmt.Sprint(i)))
		wg.Go(func() {
			for range 20 {
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, request(c))
				if got := w.Body.String(); got != fmt.Sprint(i) {
					t.Errorf("got %s, want %d", got, i)
				}
			}
		})
	}
	for range 20 {
		clock.Advance(time.Minute)
	}
	wg.Wait()
}
