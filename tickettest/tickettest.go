// Package tickettest has what tests of an application need: a store without a
// server, a Manager over one, the cookie of a user who has signed in without a
// login page, and a browser for a whole site. [Open] has the same store for
// development.
//
//	m := tickettest.NewManager(t)
//	r.AddCookie(tickettest.Cookie(t, m, ticketstore.NewTicket("alice")))
//	browser := tickettest.Browser(t, httptest.NewTLSServer(site(m)))
//
// A test of one handler needs none of it: see [ticketstore.NewContext].
//
// # Time
//
// The clock of a store runs. There are two ways to test what happens in half an
// hour. In a bubble of testing/synctest, everything here is in the bubble, and
// time.Sleep moves the clock of the application and that of Redis; but nothing
// in a bubble can wait for a socket, which rules out Browser and most
// databases. There, a [Clock] is moved by hand.
//
// The Redis is miniredis, which goes with this process: it is neither fast nor
// durable, nor is it the Redis that will run in production. Test on that, too.
package tickettest

import (
	"context"
	"crypto/rand"
	"net"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/ticketstore/ticketstore"
)

// TB is what this package needs of a testing.TB. With an interface of its own,
// a program that calls Open has no package testing in it.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Cleanup(func())
}

// NewStore returns an empty store, which no other test shares, until the end of
// the test.
func NewStore(tb TB) *ticketstore.RedisStore {
	tb.Helper()
	return newStore(tb, nil)
}

// NewManager returns a Manager over a [NewStore] of its own, with the zero
// Config but for random CookieKeys, and a StoreTimeout of a minute, as test
// machines can be slow. To test with the Config of your application, which is
// better, give its own constructor a NewStore.
func NewManager(tb TB) *ticketstore.Manager {
	tb.Helper()
	return newManager(tb, NewStore(tb))
}

// Cookie signs t.Subject in, as [ticketstore.Manager.SignIn] does for a login
// page, and returns the cookie: add it to a request, or give it to [Browser].
// It sets the ID and the times of t. Each call is a session of its own, from
// the device t.Device if that is set.
//
// It works for any Manager; with a [Clock], use [Clock.Cookie].
func Cookie(tb TB, m *ticketstore.Manager, t *ticketstore.Ticket) *http.Cookie {
	tb.Helper()
	return signIn(context.Background(), tb, m, t)
}

// Open returns an empty store for development, and a function that closes it:
// a program can be tried with no Redis installed. When the program ends, the
// sessions are gone. In production use [ticketstore.NewRedisStore].
func Open() (store *ticketstore.RedisStore, close func(), err error) {
	return open(nil)
}

// open returns a store on the time of clock or, if that is nil, of the process.
func open(clock *Clock) (*ticketstore.RedisStore, func(), error) {
	server := miniredis.NewMiniRedis()
	clock.add(server)
	server.ClockTTL(true) // or nothing would ever expire
	client := redis.NewClient(&redis.Options{
		Dialer:                func(context.Context, string, string) (net.Conn, error) { return dial(server) },
		ContextTimeoutEnabled: true,
		ReadTimeout:           time.Minute, // unless the context ends earlier
		WriteTimeout:          time.Minute,
		// They look a name up, which crashes the second bubble of a process.
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	if clock != nil {
		client.AddHook(guard{clock})
	}
	store, err := ticketstore.NewRedisStore(client, ticketstore.RedisConfig{})
	return store, func() { client.Close(); server.Close() }, err
}

func newStore(tb TB, clock *Clock) *ticketstore.RedisStore {
	tb.Helper()
	store, done, err := open(clock)
	if err != nil {
		tb.Fatalf("tickettest: %v", err)
	}
	tb.Cleanup(done)
	return store
}

func newManager(tb TB, store *ticketstore.RedisStore) *ticketstore.Manager {
	tb.Helper()
	key := make([]byte, 32)
	rand.Read(key) // never fails, see crypto/rand
	m, err := ticketstore.NewManager(store, ticketstore.Config{
		CookieKeys:   []ticketstore.CookieKey{{Hash: key}},
		StoreTimeout: time.Minute,
	})
	if err != nil {
		tb.Fatalf("tickettest: %v", err)
	}
	return m
}

func signIn(ctx context.Context, tb TB, m *ticketstore.Manager, t *ticketstore.Ticket) *http.Cookie {
	tb.Helper()
	w := httptest.NewRecorder()
	if err := m.SignIn(w, httptest.NewRequestWithContext(ctx, "POST", "/", nil), t); err != nil {
		tb.Fatalf("tickettest: sign-in: %v", err)
	}
	return w.Result().Cookies()[0]
}
