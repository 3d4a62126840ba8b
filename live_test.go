package ticketstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore/internal/redistest"
)

// live opens something that goes on for as long as its session does.
func (s *site) live(t testing.TB, c *http.Cookie) context.Context {
	t.Helper()
	ctx, err := s.manager.Live(s.request(t, "GET", "/", c))
	if err != nil {
		t.Fatal(err)
	}
	return ctx
}

func wantDone(t testing.TB, what string, ctx context.Context) {
	t.Helper()
	select {
	case <-ctx.Done():
	case <-time.After(redistest.Patience):
		t.Fatalf("%s: it goes on", what)
	}
	if err := context.Cause(ctx); !errors.Is(err, ErrNotFound) {
		t.Errorf("%s: got the cause %v, want ErrNotFound", what, err)
	}
}

func wantLive(t testing.TB, what string, ctxs ...context.Context) {
	t.Helper()
	for i, ctx := range ctxs {
		if ctx.Err() != nil {
			t.Errorf("%s: %d has ended: %v", what, i, context.Cause(ctx))
		}
	}
}

// round does what is due now, and returns when it is done.
func (s *site) round(t testing.TB) {
	t.Helper()
	s.manager.live.mu.Lock()
	w := s.manager.live.watch
	s.manager.live.mu.Unlock()
	if w == nil {
		return
	}
	w.tick()
	if !eventually(func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, one := range w.sessions {
			if one.due {
				return false
			}
		}
		return true
	}) {
		t.Fatal("it reads on and on")
	}
}

// passes moves the clock by d, in steps in which all that are open are read.
func (s *site) passes(t testing.TB, d time.Duration) {
	t.Helper()
	for ; d > 0; d -= liveInterval {
		s.advance(min(d, liveInterval))
		s.round(t)
	}
}

// liveSites returns two processes over one Redis.
func liveSites(t *testing.T, b *backend, cfg RedisConfig) (here, there *site) {
	other := b.another(t)
	return newSiteOn(t, b, b.store(t, cfg), Config{}), newSiteOn(t, other, other.store(t, cfg), Config{})
}

// The clocks stand still: whatever ends is told of.
func TestLiveEndsAtOnce(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		for name, cfg := range map[string]RedisConfig{"here": {MaxSessions: 3}, "anywhere": {MaxSessions: 3, History: time.Hour}} {
			here, there := liveSites(t, b, cfg)
			by := []*site{here}
			if cfg.History > 0 {
				by = []*site{here, there}
				wantSubscribers(t, b, here.store, 0)
			}
			stays := here.live(t, here.login(t, "bob"))
			if cfg.History > 0 {
				wantSubscribers(t, b, here.store, 1)
			}
			for _, s := range by {
				for end, do := range map[string]func(c *http.Cookie) error{
					"SignOut": func(c *http.Cookie) error {
						return s.manager.SignOut(httptest.NewRecorder(), s.request(t, "POST", "/", c))
					},
					"SignOut by another key": func(c *http.Cookie) error {
						res := s.serve(s.request(t, "POST", "/rotate", c))
						return s.manager.SignOut(httptest.NewRecorder(), s.request(t, "POST", "/", onlyCookie(t, res)))
					},
					"signed in anew": func(c *http.Cookie) error {
						s.login(t, "carol", c)
						_, err := s.store.RevokeAll(b.ctx(t), "carol")
						return err
					},
					"Revoke": func(c *http.Cookie) error { return s.store.Revoke(b.ctx(t), "alice", s.ticket(t, c).ID) },
					"Manager.RevokeAll": func(c *http.Cookie) error {
						_, err := s.manager.RevokeAll(httptest.NewRecorder(), s.request(t, "POST", "/", c))
						return err
					},
					"RevokeOthers": func(*http.Cookie) error {
						b.advance(time.Millisecond)
						_, err := s.manager.RevokeOthers(s.request(t, "POST", "/", s.login(t, "alice")))
						return err
					},
					"evicted": func(*http.Cookie) error {
						for range 3 {
							s.login(t, "alice")
						}
						_, err := s.store.RevokeAll(b.ctx(t), "alice")
						return err
					},
				} {
					what := fmt.Sprintf("%s, by %v: %s", name, s == there, end)
					c := here.login(t, "alice")
					first, second := here.live(t, c), here.live(t, c)
					if err := do(c); err != nil {
						t.Fatalf("%s: %v", what, err)
					}
					wantDone(t, what, first)
					wantDone(t, what, second)
					b.advance(time.Millisecond) // RevokeAll has left a mark
				}
			}
			wantLive(t, name+": another's", stays)
			if _, err := here.store.RevokeEverybody(b.ctx(t), nil); err != nil {
				t.Fatal(err)
			}
			wantDone(t, name+": RevokeEverybody", stays)
			b.advance(time.Millisecond)
		}
	})
}

// wantSubscribers waits until as many connections listen for endings.
func wantSubscribers(t testing.TB, b *backend, s *RedisStore, want int64) {
	t.Helper()
	var got int64
	if !eventually(func() bool {
		got = 0
		count := func(ctx context.Context, c *redis.Client) error {
			n, err := c.PubSubNumSub(ctx, s.EndingsChannel()).Result()
			got += n[s.EndingsChannel()]
			return err
		}
		var err error
		if cluster, ok := b.client.(*redis.ClusterClient); ok {
			for _, addr := range b.addrs {
				c := redis.NewClient(redisOptions(addr))
				err = errors.Join(err, count(t.Context(), c), c.Close())
			}
			_ = cluster
		} else {
			err = count(t.Context(), b.client.(*redis.Client))
		}
		if err != nil {
			t.Fatal(err)
		}
		return got == want
	}) {
		t.Fatalf("got %d subscriptions, want %d", got, want)
	}
}

// What nobody tells of is noticed at the next reading, but not before.
func TestLiveReadsAgain(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		here, there := liveSites(t, b, RedisConfig{})
		plain := newSiteOn(t, b, &stubStore{TicketStore: here.store}, Config{})
		index := newSiteOn(t, b, struct {
			TicketStore
			SessionIndex
		}{here.store, here.store}, Config{})
		for name, end := range map[string]func(id string, c *http.Cookie) error{
			"revoked elsewhere": func(id string, _ *http.Cookie) error { return there.store.Revoke(b.ctx(t), "alice", id) },
			"deleted by hand": func(id string, _ *http.Cookie) error {
				return b.client.Del(b.ctx(t), here.store.recordKey(partition("alice"), id)).Err()
			},
			"overwritten by hand": func(id string, _ *http.Cookie) error {
				return b.client.Set(b.ctx(t), here.store.recordKey(partition("alice"), id), "x", time.Hour).Err()
			},
		} {
			for kind, s := range map[string]*site{"RedisStore": here, "TicketStore": plain, "SessionIndex": index} {
				what := kind + ", " + name
				c := here.login(t, "alice")
				ctx, stays := s.live(t, c), s.live(t, here.login(t, "bob"))
				if err := end(here.ticket(t, c).ID, c); err != nil {
					t.Fatal(err)
				}
				s.round(t)
				wantLive(t, what+", just now", ctx)
				s.advance(liveInterval)
				s.round(t)
				wantDone(t, what, ctx)
				wantLive(t, what, stays)
				if got := errors.Is(context.Cause(ctx), ErrUndecodable); got != (name == "overwritten by hand") {
					t.Errorf("%s: got the cause %v", what, context.Cause(ctx))
				}
			}
		}
	})
}

// A session ends at its expiry, unless others keep it alive; to be open is no
// activity.
func TestLiveExpires(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		for kind, wrap := range map[string]func(*RedisStore) TicketStore{
			"RedisStore":  func(s *RedisStore) TicketStore { return s },
			"TicketStore": func(s *RedisStore) TicketStore { return &stubStore{TicketStore: s} },
		} {
			store := b.store(t, RedisConfig{})
			s := newSiteOn(t, b, wrap(store), Config{IdleTimeout: 3 * time.Minute, Lifetime: 10 * time.Minute, RenewAfter: time.Second})
			idle, active := s.login(t, "idle"), s.login(t, "active")
			first, second := s.live(t, idle), s.live(t, active)
			s.passes(t, 2*time.Minute)
			if got := s.who(t, active); got != "active" {
				t.Fatalf("got %q", got)
			}
			s.passes(t, 59*time.Second)
			wantLive(t, kind+", before the expiry", first, second)
			s.passes(t, time.Second)
			wantDone(t, kind+", idle", first)
			wantLive(t, kind+", kept alive by another request", second)
			for range 3 {
				s.passes(t, 2*time.Minute-30*time.Second)
				s.who(t, active)
			}
			s.passes(t, 2*time.Minute+29*time.Second)
			wantLive(t, kind+", before the end of its lifetime", second)
			s.passes(t, time.Second)
			wantDone(t, kind+", at the end of its lifetime", second)
		}
	})
}

// A session whose key changes goes on, and to watch it uses no key.
func TestLiveRotates(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		store := b.store(t, RedisConfig{})
		for kind, over := range map[string]TicketStore{"RedisStore": store, "KeyRotator": struct {
			TicketStore
			KeyRotator
		}{store, store}} {
			s := newSiteOn(t, b, over, Config{RotateGrace: redistest.Patience})
			s.store = store
			old := s.login(t, "alice")
			id := s.ticket(t, old).ID
			first := s.live(t, old)
			next := onlyCookie(t, s.serve(s.request(t, "POST", "/rotate", old)))
			s.passes(t, 2*time.Minute)
			wantLive(t, kind+", with an unused key", first)
			record, err := b.getPastCache(b.ctx(t), store.recordKey(partition("alice"), id))
			if e, _ := parseEnvelope([]byte(record)); err != nil || e.state == keyInUse {
				t.Errorf("%s: got state %q, %v: to watch used the key", kind, e.state, err)
			}
			if got := s.who(t, next); got != "alice" {
				t.Fatalf("%s: got %q", kind, got)
			}
			b.passGrace(t, store, "alice", id)
			s.passes(t, time.Minute)
			wantLive(t, kind+", with an old key", first)
			second := s.live(t, next)
			s.passes(t, time.Minute)
			wantLive(t, kind+", with a new key", first, second)

			// A promoted replica may not know that the key is in use: only a
			// request says so again.
			at := store.recordKey(partition("alice"), id)
			record, err = b.getPastCache(b.ctx(t), at)
			e, err2 := parseEnvelope([]byte(record))
			e.state = "n1000"
			if err := errors.Join(err, err2, b.client.Set(b.ctx(t), at, e.String()+string(e.ticket), redis.KeepTTL).Err()); err != nil {
				t.Fatal(err)
			}
			s.passes(t, time.Minute)
			wantLive(t, kind+", with a key that is unused again", first, second)
			record, err = b.getPastCache(b.ctx(t), at)
			if e, _ := parseEnvelope([]byte(record)); err != nil || e.state == keyInUse {
				t.Errorf("%s: got state %q, %v: to watch used the key again", kind, e.state, err)
			}
			if got := s.who(t, next); got != "alice" {
				t.Fatalf("%s: got %q", kind, got)
			}
			b.passGrace(t, store, "alice", id)
			if got := s.who(t, old); got != "-" {
				t.Errorf("%s: by the old key: got %q", kind, got)
			}
			if err := store.Revoke(b.ctx(t), "alice", id); err != nil {
				t.Fatal(err)
			}
			s.passes(t, liveInterval)
			wantDone(t, kind, first)
			wantDone(t, kind, second)
		}
	})
}

// An outage ends nobody before the lifetime does, and what has ended meanwhile
// is noticed after it.
func TestLiveInAnOutage(t *testing.T) {
	b := miniBackend(t)
	s := newSite(t, b, Config{IdleTimeout: 10 * time.Minute, Lifetime: time.Hour})
	stays, goes := s.login(t, "alice"), s.login(t, "bob")
	first, second := s.live(t, stays), s.live(t, goes)
	id := s.ticket(t, goes).ID
	b.mini.SetError("LOADING")
	if _, err := s.manager.Live(s.request(t, "GET", "/", stays)); err == nil || errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want an error of its own", err)
	}
	s.passes(t, 5*time.Minute)
	b.mini.SetError("")
	b.mini.Del(s.store.recordKey(partition("bob"), id))
	b.mini.SetError("LOADING")
	s.passes(t, 2*time.Minute)
	wantLive(t, "in an outage", first, second)
	if n := strings.Count(s.logs.String(), "the store cannot say"); n < 1 || n > 8 {
		t.Errorf("got %d lines of log in 7 minutes:\n%s", n, s.logs)
	}
	b.mini.SetError("")
	s.passes(t, liveInterval)
	wantLive(t, "after an outage", first)
	wantDone(t, "after an outage", second)
	b.mini.SetError("LOADING")
	s.passes(t, 12*time.Minute)
	wantLive(t, "past the expiry, in an outage", first)
	s.passes(t, time.Minute)
	b.mini.SetError("")
	s.passes(t, liveRetry)
	wantDone(t, "past the expiry", first)

	third := s.live(t, s.login(t, "alice"))
	b.mini.SetError("LOADING")
	s.passes(t, time.Hour-time.Second)
	wantLive(t, "before the end of its lifetime, in an outage", third)
	s.passes(t, time.Second)
	wantDone(t, "at the end of its lifetime, in an outage", third)
}

// A hint is not believed: it has one session read, if that is open.
func TestLiveHintThatLies(t *testing.T) {
	b := miniBackend(t)
	count := &counter{n: map[string]int{}}
	s := newSiteOn(t, b, b.store(t, RedisConfig{History: time.Hour}), Config{})
	c := s.login(t, "alice")
	ctx, other := s.live(t, c), s.live(t, s.login(t, "bob"))
	wantSubscribers(t, b, s.store, 1)
	id := s.ticket(t, c).ID
	s.round(t)
	b.client.AddHook(count)
	publish := func(payload string) {
		t.Helper()
		b.mini.Publish(s.store.EndingsChannel(), payload)
	}
	for _, lie := range []string{"", "x", "01890000-0000-7000-8000-000000000000", strings.Repeat("x", 100_000)} {
		publish(lie)
	}
	publish("01890000-0000-7000-8000-000000000000 " + id) // two that a script has ended
	gets := func() int { return count.commands("get") }
	if !eventually(func() bool { return gets() > 0 }) {
		t.Fatal("a hint has nothing read")
	}
	s.round(t)
	if got := gets(); got != 1 {
		t.Errorf("got %d GETs, want one", got)
	}
	wantLive(t, "after a lie", ctx, other)
}

// The channel is lost and comes back: what ended meanwhile is noticed then.
func TestLiveChannelLost(t *testing.T) {
	b := realBackend(t)
	here, there := liveSites(t, b, RedisConfig{History: time.Hour})
	stays := here.live(t, here.login(t, "bob"))
	wantSubscribers(t, b, here.store, 1)
	for range 20 {
		c := here.login(t, "alice")
		ctx := here.live(t, c)
		if err := b.client.ClientKillByFilter(t.Context(), "TYPE", "pubsub").Err(); err != nil {
			t.Fatal(err)
		}
		if err := there.store.Revoke(b.ctx(t), "alice", there.ticket(t, c).ID); err != nil {
			t.Fatal(err)
		}
		wantDone(t, "revoked while the channel is lost", ctx)
	}
	wantLive(t, "another's", stays)
}

// However many are open, there is one subscription, and each session is read
// once in half a minute, many at once.
func TestLiveMany(t *testing.T) {
	const sessions, rounds = 10_000, 3
	b := realBackend(t)
	s := newSite(t, b, Config{})
	var cookies []*http.Cookie
	for i := range sessions {
		cookies = append(cookies, s.login(t, fmt.Sprint("user-", i)))
	}
	store := b.store(t, RedisConfig{History: time.Hour})
	s = newSiteOn(t, b, store, Config{})
	count := &counter{n: map[string]int{}}
	for i, c := range cookies {
		s.live(t, c)
		if i == 0 {
			wantSubscribers(t, b, store, 1)
		}
	}
	s.live(t, cookies[0]) // once more
	s.round(t)
	b.client.AddHook(count)
	most := 0
	for range rounds * int(liveInterval/time.Second) {
		s.advance(time.Second)
		before := count.commands("get")
		s.round(t)
		most = max(most, count.commands("get")-before)
	}
	gets, pipelines := count.commands("get"), count.commands("pipeline")
	t.Logf("%d GETs in %d pipelines in three half minutes, at most %d in a second", gets, pipelines, most)
	if gets != rounds*sessions {
		t.Errorf("got %d GETs, want %d", gets, rounds*sessions)
	}
	if pipelines > rounds*30*(sessions/30/liveBatch+2) {
		t.Errorf("got %d pipelines", pipelines)
	}
	if most > 2*sessions/30 {
		t.Errorf("got %d GETs in a second: they are not spread", most)
	}
	if got := count.take(); got != fmt.Sprintf("get=%d pipeline=%d", gets, pipelines) {
		t.Errorf("got %s, want nothing else", got)
	}
	wantSubscribers(t, b, store, 1)
	if n, err := store.RevokeEverybody(b.ctx(t), nil); err != nil || n != sessions {
		t.Fatalf("got %d, %v", n, err)
	}
	if !eventually(func() bool {
		s.manager.live.mu.Lock()
		defer s.manager.live.mu.Unlock()
		return s.manager.live.watch == nil
	}) {
		t.Error("everybody is revoked, but something goes on")
	}
}

func (c *counter) commands(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[name]
}

// Nothing is left when the last connection has closed, and it begins anew with
// the next one.
func TestLiveLeavesNothing(t *testing.T) {
	b := miniBackend(t)
	store := b.store(t, RedisConfig{History: time.Hour})
	one, two := newSiteOn(t, b, store, Config{}), newSiteOn(t, b, store, Config{})
	c := one.login(t, "alice")
	goroutines := func() (left []string) {
		stacks := make([]byte, 1<<22)
		for g := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
			if strings.Contains(g, "ticketstore.(*watch)") || strings.Contains(g, "ticketstore.(*endingHints)") || strings.Contains(g, "go-redis/v9.(*channel)") {
				left = append(left, g)
			}
		}
		return left
	}
	for range 3 {
		ctx, cancel := context.WithCancelCause(b.ctx(t))
		gone := errors.New("the connection has closed")
		var opened []context.Context
		for i := range 20 {
			s := []*site{one, two}[i%2]
			open, err := s.manager.Live(s.request(t, "GET", "/", c).WithContext(ctx))
			if err != nil {
				t.Fatal(err)
			}
			opened = append(opened, open)
		}
		wantSubscribers(t, b, store, 1)
		if n := len(goroutines()); n != 2*3+3 {
			t.Errorf("got %d goroutines, want three for each Manager, and three that listen:\n%s", n, strings.Join(goroutines(), "\n\n"))
		}
		cancel(gone)
		for _, open := range opened {
			if <-open.Done(); context.Cause(open) != gone {
				t.Errorf("got the cause %v, want that of the request", context.Cause(open))
			}
		}
		wantSubscribers(t, b, store, 0)
		if !eventually(func() bool { return len(goroutines()) == 0 }) {
			t.Fatalf("got goroutines\n%s", strings.Join(goroutines(), "\n\n"))
		}
		if store.hints.some.Load() {
			t.Error("writes still give hints")
		}
	}
}

func TestLiveWithoutASession(t *testing.T) {
	b := miniBackend(t)
	s := newSite(t, b, Config{})
	forged := &http.Cookie{Name: s.manager.cfg.CookieName, Value: "forged"}
	ended := s.login(t, "alice")
	if _, err := s.store.RevokeAll(b.ctx(t), "alice"); err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]*http.Request{
		"anonymous": s.request(t, "GET", "/"),
		"forged":    s.request(t, "GET", "/", forged),
		"ended":     s.request(t, "GET", "/", ended),
	} {
		for where, handler := range map[string]func(http.Handler) http.Handler{
			"Wrap": s.manager.Wrap, "without": func(h http.Handler) http.Handler { return h },
		} {
			handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if ctx, err := s.manager.Live(r); ctx != nil || !errors.Is(err, ErrNotFound) {
					t.Errorf("%s, %s: got %v, %v, want ErrNotFound", name, where, ctx, err)
				}
			})).ServeHTTP(httptest.NewRecorder(), r)
		}
	}
	b.advance(time.Millisecond)
	c := s.login(t, "alice")
	s.manager.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if _, err := s.store.RevokeAll(r.Context(), "alice"); err != nil {
			t.Fatal(err)
		}
		if ctx, err := s.manager.Live(r); ctx != nil || !errors.Is(err, ErrNotFound) {
			t.Errorf("ended since: got %v, %v, want ErrNotFound", ctx, err)
		}
	})).ServeHTTP(httptest.NewRecorder(), s.request(t, "GET", "/", c))
	r := s.request(t, "GET", "/")
	r = r.WithContext(NewContext(r.Context(), NewTicket("alice")))
	if ctx, err := s.manager.Live(r); err != nil || ctx != r.Context() {
		t.Errorf("NewContext: got %v, %v, want the request's context", ctx, err)
	}
	if s.manager.live.watch != nil {
		t.Error("something goes on")
	}
	if _, err := new(Manager).Live(r); !errors.Is(err, errZeroManager) {
		t.Errorf("zero Manager: got %v", err)
	}
	b.advance(time.Millisecond)
	c = s.login(t, "alice")
	ctx, cancel := context.WithCancel(b.ctx(t))
	cancel()
	if _, err := s.manager.Live(s.request(t, "GET", "/", c).WithContext(ctx)); err == nil || errors.Is(err, ErrNotFound) {
		t.Errorf("hung up: got %v, want an error of its own", err)
	}
}

// BenchmarkLive says what an open connection takes, beside its request and what
// the server has of it.
func BenchmarkLive(b *testing.B) {
	const open = 10_000
	mini := miniBackend(b)
	store := mini.store(b, RedisConfig{})
	m, err := NewManager(store, Config{CookieKeys: testKeys, StoreTimeout: redistest.Patience})
	if err != nil {
		b.Fatal(err)
	}
	tk := newTicket(mini, "alice")
	key := mustStore(b, mini, store, tk)
	used := func() float64 {
		runtime.GC()
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return float64(s.HeapAlloc + s.StackInuse)
	}
	for b.Loop() {
		parents := make([]context.Context, open)
		cancels := make([]context.CancelFunc, open)
		sessions := make([]*resolution, open)
		for i := range open {
			one := tk.Clone()
			one.ID, one.Subject = fmt.Sprintf("%032d", i), fmt.Sprint("user-", i)
			parents[i], cancels[i] = context.WithCancel(b.Context())
			sessions[i] = &resolution{Context: parents[i], manager: m, ticket: one, key: key}
		}
		before := used()
		for i := range open {
			ctx, end := context.WithCancelCause(sessions[i])
			m.live.open(m, ctx, end, sessions[i])
		}
		b.ReportMetric((used()-before)/open, "B/conn")
		w := m.live.watch
		if len(w.sessions) != open {
			b.Fatalf("got %d sessions", len(w.sessions))
		}
		begun := time.Now()
		w.tick() // as each second; nothing is due
		b.ReportMetric(float64(time.Since(begun).Microseconds()), "µs/tick")
		for _, cancel := range cancels {
			cancel()
		}
		runtime.KeepAlive(sessions)
	}
}

// What comes and goes while everything ends is told the truth.
func TestLiveUnderLoad(t *testing.T) {
	const users, rounds = 16, 20
	eachBackend(t, func(t *testing.T, b *backend) {
		here, there := liveSites(t, b, RedisConfig{History: time.Hour})
		stays := here.live(t, here.login(t, "stays"))
		done := make(chan struct{})
		for i := range users {
			user := fmt.Sprint("user-", i)
			go func() {
				defer func() { done <- struct{}{} }()
				for range rounds {
					key, err := here.store.Store(b.ctx(t), newTicket(b, user))
					if err != nil {
						t.Error(err)
						return
					}
					value, err := here.manager.cfg.Codec.Encode(b.ctx(t), here.manager.cfg.CookieName, key)
					if err != nil {
						t.Error(err)
						return
					}
					c := &http.Cookie{Name: here.manager.cfg.CookieName, Value: value}
					ctx, err := here.manager.Live(here.request(t, "GET", "/", c))
					if err != nil {
						t.Error(err)
						return
					}
					if ctx.Err() != nil {
						t.Errorf("a live session has ended: %v", context.Cause(ctx))
					}
					if err := there.store.Remove(b.ctx(t), key); err != nil {
						t.Error(err)
					}
					select {
					case <-ctx.Done():
					case <-time.After(redistest.Patience):
						t.Error("it goes on")
						return
					}
				}
			}()
		}
		for range users {
			<-done
		}
		wantLive(t, "another's", stays)
		for _, s := range []*site{here, there} {
			if bytes.Contains([]byte(s.logs.String()), []byte("level=ERROR")) {
				t.Errorf("got %s", s.logs)
			}
		}
	})
}
