package aspnetcore_test

import (
	"context"
	"crypto/rand"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/aspnetcore"
	"github.com/ticketstore/ticketstore/internal/clock"
	"github.com/ticketstore/ticketstore/internal/redistest"
)

const (
	window     = 2 * time.Hour // ExpireTimeSpan
	cookieName = ".AspNetCore.Cookies"
)

// A world is an ASP.NET Core application and a Go service that share sessions,
// with keys in Redis and a clock that are theirs alone. The clock stands still
// but when a test moves it; so its tests run one after the other.
type world struct {
	sessionStore string // usual or redis: RedisCacheTicketStore.cs or RedisTicketStore.cs
	redis        string
	client       *redis.Client
	instance     string
	keyList      string
	start        time.Time    // the clock of both, before it is moved
	offset       atomic.Int64 // by how much it is moved, in ns

	dotnet, golang side
	service        *service
}

// newWorld starts a world.
func newWorld(t testing.TB, sessionStore string) *world {
	t.Helper()
	w := emptyWorld(t, sessionStore)
	w.startApp(t)
	w.startService(t, w.config())
	return w
}

// startApp starts the application of w, with more settings.
func (w *world) startApp(t testing.TB, settings ...string) {
	t.Helper()
	w.dotnet = side{"dotnet", startApp(t, w.redis, append([]string{
		"--Sessions:InstanceName=" + w.instance,
		"--Sessions:KeyList=" + w.keyList,
		"--Sessions:ApplicationName=live",
		"--Sessions:ExpireTimeSpan=02:00:00",
		"--Sessions:SessionStore=" + w.sessionStore,
	}, settings...)...)}
	if w.start.IsZero() {
		newBrowser().json(t, "GET", w.dotnet.base+"/protect?purposes=x&plaintext=", nil, nil) // makes the first key, which is good from now on
		w.start = time.Now().Truncate(time.Second)
	}
	w.setClock(t, time.Duration(w.offset.Load()))
}

// startService starts the Go service of w.
func (w *world) startService(t testing.TB, cfg serviceConfig) {
	t.Helper()
	w.service = startService(t, w.client, w.now, cfg)
	w.golang = w.service.side()
}

// emptyWorld returns a world without application and service.
func emptyWorld(t testing.TB, sessionStore string) *world {
	t.Helper()
	dotnet(t) // skip before Redis is started
	name := strings.ToLower(rand.Text()[:8])
	addr := redistest.Shared(t).Addr
	client := redis.NewClient(redistest.Options(addr))
	t.Cleanup(func() { client.Close() })
	return &world{
		sessionStore: sessionStore,
		redis:        addr,
		client:       client,
		instance:     name + ":",
		keyList:      "DataProtection-Keys-" + name,
	}
}

// config returns the settings of a Go service that are right in w.
func (w *world) config() serviceConfig {
	return serviceConfig{
		store:   aspnetcore.StoreConfig{InstanceName: w.instance},
		keys:    aspnetcore.KeyRingConfig{ListKey: w.keyList},
		options: aspnetcore.Options{ApplicationName: "live", ExpireTimeSpan: window},
	}
}

// ctx returns a context with the clock of w, for calls of the library.
func (w *world) ctx(t testing.TB) context.Context {
	return clock.WithServer(clock.NewContext(t.Context(), w.now), time.Now)
}

func (w *world) now() time.Time { return w.start.Add(time.Duration(w.offset.Load())) }

func (w *world) sides() []side { return []side{w.dotnet, w.golang} }

func (w *world) other(s side) side {
	if s == w.dotnet {
		return w.golang
	}
	return w.dotnet
}

// setClock moves the clock of both to so far ahead of its start.
func (w *world) setClock(t testing.TB, ahead time.Duration) {
	t.Helper()
	w.offset.Store(int64(ahead))
	newBrowser().json(t, "POST", w.dotnet.base+"/clock", map[string]any{"now": w.now()}, nil)
}

// key returns the key that is in b's cookie.
func (w *world) key(t testing.TB, b *browser) ticketstore.Key {
	t.Helper()
	keys, err := w.service.codec.Decode(w.ctx(t), cookieName, b.cookies(cookieName))
	if err != nil || len(keys) != 1 {
		t.Fatalf("got %d keys and error %v in %d cookies, want one key", len(keys), err, len(b.cookies(cookieName)))
	}
	return keys[0]
}

// A record is what Redis has of a session and both runtimes read.
type record struct{ data, expiry string }

// record returns the record of b's session.
func (w *world) record(t testing.TB, b *browser) record {
	t.Helper()
	reply, err := w.client.HMGet(t.Context(), w.instance+string(w.key(t, b)), "data", "absexp").Result()
	if err != nil {
		t.Fatal(err)
	}
	data, _ := reply[0].(string)
	expiry, _ := reply[1].(string)
	if data == "" || expiry == "" {
		t.Fatalf("got record %q, want one with data and absexp", reply)
	}
	return record{data, expiry}
}

// listed returns the sessions that Go's index has of subject.
func (w *world) listed(t testing.TB, subject string) []ticketstore.Session {
	t.Helper()
	sessions, err := w.service.store.Sessions(w.ctx(t), subject)
	if err != nil {
		t.Fatal(err)
	}
	return sessions
}

// wantListed checks how many sessions Go's index has of subject.
func (w *world) wantListed(t testing.TB, subject string, want int) {
	t.Helper()
	if got := len(w.listed(t, subject)); got != want {
		t.Errorf("got %d sessions of %s, want %d", got, subject, want)
	}
}

// wantCookie checks that b has one cookie, or none.
func (w *world) wantCookie(t testing.TB, b *browser, want int) {
	t.Helper()
	if got := len(b.cookies(cookieName)); got != want {
		t.Errorf("got %d cookies %s, want %d", got, cookieName, want)
	}
}

// somebody returns a name that no other test has.
func somebody() string { return "user-" + strings.ToLower(rand.Text()[:10]) }

// slow sends a request that the application answers only once release has been
// called; by then it has read the ticket. It returns when it has. Release
// returns the status.
func (w *world) slow(t testing.TB, b *browser) (release func() int) {
	t.Helper()
	type result struct {
		res *http.Response
		err error
	}
	name, done := rand.Text(), make(chan result, 1)
	go func() {
		res, _, err := b.try(t, "GET", w.dotnet.base+"/slow?name="+name, nil)
		done <- result{res, err}
	}()
	nobody := newBrowser()
	nobody.json(t, "GET", w.dotnet.base+"/reached?name="+name, nil, nil)
	return func() int {
		t.Helper()
		nobody.json(t, "POST", w.dotnet.base+"/release?name="+name, nil, nil)
		r := <-done
		if r.err != nil {
			t.Fatal(r.err)
		}
		return r.res.StatusCode
	}
}
