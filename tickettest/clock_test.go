package tickettest_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/tickettest"
)

// get returns the status and the body of the answer to a request that has c.
func get(h http.Handler, c *http.Cookie) (int, string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, request(c))
	return w.Code, w.Body.String()
}

func TestClock(t *testing.T) {
	clock := tickettest.NewClock()
	m := clock.NewManager(t)
	h := clock.Handler(site(m))
	idle, active := clock.Cookie(t, m, ticketstore.NewTicket("idle")), clock.Cookie(t, m, ticketstore.NewTicket("active"))
	want := func(after string, c *http.Cookie, want string) {
		t.Helper()
		if status, got := get(h, c); status != 200 || got != want {
			t.Errorf("after %s: got %d, %s, want %s", after, status, got, want)
		}
	}
	clock.Advance(20 * time.Minute)
	want("20 minutes", active, "active")
	clock.Advance(10*time.Minute - time.Millisecond)
	if tk, err := m.Resolve(request(idle).WithContext(clock.Context(t.Context()))); err != nil || tk.Subject != "idle" {
		t.Errorf("at the last moment: got %v, %v", tk, err)
	}
	clock.Advance(time.Millisecond)
	want("30 idle minutes", idle, "-")
	want("30 minutes", active, "active")
	for range 46 {
		clock.Advance(15 * time.Minute)
		get(h, active)
	}
	want("12 hours", active, "-")

	// The Clock is now half a day ahead; a sign-in is of its time.
	late := clock.Cookie(t, m, ticketstore.NewTicket("late"))
	want("no time", late, "late")
	if tk, err := m.Resolve(request(late).WithContext(clock.Context(t.Context()))); err != nil || !tk.SignedInAt.Equal(clock.Now()) {
		t.Errorf("got %v, %v, want a sign-in at %v", tk, err, clock.Now())
	}
}

// Redis itself has forgotten what the Clock has ended.
func TestClockMovesRedis(t *testing.T) {
	clock := tickettest.NewClock()
	store := clock.NewStore(t)
	ctx := clock.Context(t.Context())
	tk := ticketstore.NewTicket("alice")
	tk.ExpiresAt = clock.Now().Add(time.Hour)
	key, err := store.Store(ctx, tk)
	if err != nil {
		t.Fatal(err)
	}
	clock.Advance(time.Hour)
	tk.ExpiresAt = clock.Now().Add(time.Hour)
	if err := store.Renew(ctx, key, tk); err != ticketstore.ErrNotFound {
		t.Errorf("Renew: got %v, want ErrNotFound", err)
	}
	if counts, err := store.Count(ctx); err != nil || counts.Sessions != 0 {
		t.Errorf("Count: got %v, %v, want none", counts, err)
	}
}

// A call that does not carry the Clock says so.
func TestClockIsNotCarried(t *testing.T) {
	clock := tickettest.NewClock()
	m := clock.NewManager(t)
	c := clock.Cookie(t, m, ticketstore.NewTicket("alice"))
	if status, _ := get(site(m), c); status != http.StatusServiceUnavailable {
		t.Errorf("without Handler: got %d, want 503", status)
	}
	if status, _ := get(tickettest.NewClock().Handler(site(m)), c); status != http.StatusServiceUnavailable {
		t.Errorf("with the Handler of another: got %d, want 503", status)
	}
	if status, _ := get(m.Wrap(clock.Handler(http.NotFoundHandler())), c); status != http.StatusServiceUnavailable {
		t.Errorf("with Handler inside of Wrap: got %d, want 503", status)
	}
	store := clock.NewStore(t)
	if _, err := store.Count(clock.Context(t.Context())); err != nil { // it is connected
		t.Fatal(err)
	}
	for call, err := range map[string]error{
		"Resolve": second(m.Resolve(request(c))),
		"Count":   second(store.Count(t.Context())), // a pipeline
	} {
		if err == nil || !strings.Contains(err.Error(), "Clock.Handler") {
			t.Errorf("%s: got %v, want to be told what to do", call, err)
		}
	}
	if got := message(t, func(tb tickettest.TB) { tickettest.Cookie(tb, m, ticketstore.NewTicket("alice")) }); !strings.Contains(got, "Clock.Cookie") {
		t.Errorf("Cookie: got %q, want to be told what to do", got)
	}
	if status, body := get(clock.Handler(site(m)), c); status != 200 || body != "alice" {
		t.Errorf("with Handler: got %d, %s, want alice", status, body)
	}
}

func second[T any](_ T, err error) error { return err }
