package ticketstore

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore/internal/redistest"
)

// An outageCase is a row of the table in docs/operations.md. What reads, changes
// and ends sessions gives an error with these words in it, or works if there are
// none.
type outageCase struct {
	args                  []string // of the server
	tune                  func(t *testing.T, o *outage, opt *redis.Options)
	begin, end            func(t *testing.T, o *outage)
	reads, changes, stops []string
}

// An outage is a Redis that can be had to fail.
type outage struct {
	*backend
	server *redistest.Server
	admin  *redis.Conn // a connection of its own, with all rights
	broken atomic.Bool // for what tune has done
	valve  *valve
	undo   func()
}

func (o *outage) do(t *testing.T, args ...any) {
	t.Helper()
	if err := o.admin.Do(context.Background(), args...).Err(); err != nil {
		t.Fatal(err)
	}
}

// disconnect has Redis close all connections but that of admin.
func (o *outage) disconnect(t *testing.T) {
	t.Helper()
	o.do(t, "client", "kill", "type", "normal", "skipme", "yes")
}

var durable = []string{"--appendonly", "yes", "--appendfsync", "always"}

func outageCases() map[string]outageCase {
	row := func(c outageCase, words ...string) outageCase {
		c.reads, c.changes, c.stops = words, words, words
		return c
	}
	appUser := func(t *testing.T, o *outage, opt *redis.Options) {
		opt.Username, opt.Password = "app", "pw"
		o.do(t, "acl", "setuser", "app", "on", ">pw", "~*", "&*", "+@all")
	}
	restart := func(_ *testing.T, o *outage) { o.server.Restart() }
	follow := func(t *testing.T, o *outage) { o.do(t, "replicaof", "127.0.0.1", "1") }
	lead := func(t *testing.T, o *outage) { o.do(t, "replicaof", "no", "one") }
	return map[string]outageCase{
		"stopped": row(outageCase{args: durable, begin: func(_ *testing.T, o *outage) {
			o.admin.Shutdown(context.Background()) // the reply is that the connection closes
			o.server.Stop()
		}, end: restart}, "connection refused"),
		"killed": row(outageCase{args: durable, begin: func(_ *testing.T, o *outage) { o.server.Stop() }, end: restart}, "connection refused"),
		"paused": row(outageCase{
			begin: func(_ *testing.T, o *outage) { o.server.Pause() },
			end:   func(_ *testing.T, o *outage) { o.server.Resume() },
		}, "deadline exceeded", "i/o timeout"),
		"full": {
			begin:   func(t *testing.T, o *outage) { o.do(t, "config", "set", "maxmemory", "1") },
			end:     func(t *testing.T, o *outage) { o.do(t, "config", "set", "maxmemory", "0") },
			changes: []string{"OOM"},
		},
		"loading": row(outageCase{
			// It answers every 1,024 bytes, and takes 1 ms for each key.
			args: []string{"--loading-process-events-interval-bytes", "1024", "--enable-debug-command", "yes"},
			begin: func(t *testing.T, o *outage) {
				o.do(t, "debug", "populate", "2000", "filler", "100")
				o.do(t, "config", "set", "key-load-delay", "1000")
				done := make(chan struct{})
				reloading := openRedis(t, redisOptions(o.server.Addr))
				go func() {
					defer close(done)
					reloading.Do(context.Background(), "debug", "reload")
				}()
				if !eventually(func() bool { return redis.HasErrorPrefix(o.admin.Ping(context.Background()).Err(), "LOADING") }) {
					t.Error("it does not load")
				}
				o.undo = func() { <-done; reloading.Close() }
			},
			end: func(_ *testing.T, o *outage) { o.undo() },
		}, "LOADING"),
		"read-only":  {begin: follow, end: lead, changes: []string{"READONLY"}, stops: []string{"READONLY"}},
		"MASTERDOWN": row(outageCase{args: []string{"--replica-serve-stale-data", "no"}, begin: follow, end: lead}, "MASTERDOWN"),
		"few replicas": {
			begin:   func(t *testing.T, o *outage) { o.do(t, "config", "set", "min-replicas-to-write", "1") },
			end:     func(t *testing.T, o *outage) { o.do(t, "config", "set", "min-replicas-to-write", "0") },
			changes: []string{"NOREPLICAS"}, stops: []string{"NOREPLICAS"},
		},
		"wrong password": row(outageCase{
			tune: appUser,
			begin: func(t *testing.T, o *outage) {
				o.do(t, "acl", "setuser", "app", "resetpass", ">other")
				o.disconnect(t)
			},
			end: func(t *testing.T, o *outage) { o.do(t, "acl", "setuser", "app", "resetpass", ">pw") },
		}, "WRONGPASS"),
		"ACL": row(outageCase{
			tune:  appUser,
			begin: func(t *testing.T, o *outage) { o.do(t, "acl", "setuser", "app", "resetkeys", "~other:*") },
			end:   func(t *testing.T, o *outage) { o.do(t, "acl", "setuser", "app", "resetkeys", "~*") },
		}, "NOPERM"),
		"TLS mismatch": row(outageCase{
			tune: func(_ *testing.T, o *outage, opt *redis.Options) {
				opt.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
					if o.broken.Load() {
						return (&tls.Dialer{}).DialContext(ctx, network, addr)
					}
					return (&net.Dialer{}).DialContext(ctx, network, addr)
				}
			},
			begin: func(t *testing.T, o *outage) { o.broken.Store(true); o.disconnect(t) },
			end:   func(_ *testing.T, o *outage) { o.broken.Store(false) },
		}, ""),
		"BUSY": row(outageCase{
			args: []string{"--lua-time-limit", "10"},
			begin: func(t *testing.T, o *outage) {
				busy := openRedis(t, redisOptions(o.server.Addr))
				go busy.Eval(context.Background(), "while true do end", nil)
				if !eventually(func() bool { return redis.HasErrorPrefix(o.admin.Ping(context.Background()).Err(), "BUSY") }) {
					t.Error("it is not busy")
				}
				o.undo = func() { busy.Close() }
			},
			end: func(t *testing.T, o *outage) {
				o.do(t, "script", "kill")
				o.undo()
			},
		}, "BUSY"),
		"maxclients": row(outageCase{
			begin: func(t *testing.T, o *outage) {
				o.do(t, "config", "set", "maxclients", "1")
				o.disconnect(t)
			},
			end: func(t *testing.T, o *outage) { o.do(t, "config", "set", "maxclients", "1000") },
		}, "max number of clients", "broken pipe", "reset by peer", "EOF"),
		"pool of one": row(outageCase{
			tune: func(_ *testing.T, _ *outage, opt *redis.Options) { opt.PoolSize, opt.PipelinePoolSize = 1, 1 },
			begin: func(t *testing.T, o *outage) {
				var wg sync.WaitGroup
				ctx, cancel := context.WithCancel(context.Background())
				wg.Go(func() { o.client.BLPop(ctx, 0, "nothing") })
				wg.Go(func() {
					pipe := o.client.Pipeline()
					pipe.BLPop(ctx, 0, "nothing")
					pipe.Exec(ctx)
				})
				if !eventually(func() bool {
					return strings.Contains(o.admin.Info(context.Background(), "clients").Val(), "blocked_clients:2\r\n")
				}) {
					t.Error("the pool is not in use")
				}
				o.undo = func() { cancel(); wg.Wait() }
			},
			end: func(t *testing.T, o *outage) {
				o.do(t, "rpush", "nothing", "a", "b")
				o.undo()
			},
		}, ""),
		"half-open connection": row(outageCase{
			tune: func(t *testing.T, o *outage, opt *redis.Options) {
				o.valve = startValve(t, o.server.Addr)
				opt.Addr = o.valve.addr
			},
			begin: func(_ *testing.T, o *outage) { o.valve.set("black hole") },
			end:   func(_ *testing.T, o *outage) { o.valve.set("") },
		}, ""),
	}
}

// Whatever is the matter with Redis, what needs it fails in time and with an
// error of its own, nobody is signed out, and all is well again afterwards.
func TestOutages(t *testing.T) {
	for name, c := range outageCases() {
		t.Run(name, func(t *testing.T) { testOutage(t, c) })
	}
}

const outageTimeout = 3 * time.Second // StoreTimeout, and what a caller gives

func testOutage(t *testing.T, c outageCase) {
	o := &outage{server: redistest.Start(t, c.args...)}
	admin := redis.NewClient(redisOptions(o.server.Addr))
	defer admin.Close()
	o.admin = admin.Conn()
	opt := redisOptions(o.server.Addr)
	opt.DialTimeout, opt.ReadTimeout, opt.WriteTimeout, opt.PoolTimeout = outageTimeout, outageTimeout, outageTimeout, 0
	if c.tune != nil {
		c.tune(t, o, opt)
	}
	o.backend = &backend{testClock: &testClock{}, prefix: randomPrefix(), client: openRedis(t, opt)}
	// Those that know the Redis to be well are more patient.
	well, ill := newSite(t, o.backend, Config{}), newSite(t, o.backend, Config{StoreTimeout: outageTimeout})
	alice, leaving := well.login(t, "alice"), well.login(t, "leaving")
	well.get(t, "/me", alice)
	operations := outageOperations(t, o.backend, well.store)
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	goroutines := runtime.NumGoroutine()

	c.begin(t, o)
	var wg sync.WaitGroup
	var slowest atomic.Int64
	for _, op := range operations {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(o.ctx(t), outageTimeout)
			defer cancel()
			start := time.Now()
			err := op.run(ctx)
			took := time.Since(start)
			slowest.Store(max(slowest.Load(), int64(took)))
			if took > redistest.Patience/4 {
				t.Errorf("%s: took %v", op.name, took)
			}
			wantOutage(t, op.name, err, map[string][]string{"reads": c.reads, "changes": c.changes, "stops": c.stops}[op.kind])
		})
	}
	page := func(target string, words []string, cookies ...*http.Cookie) {
		want := http.StatusOK
		if words != nil {
			want = http.StatusServiceUnavailable
		}
		res := ill.get(t, target, cookies...)
		if res.StatusCode != want || want != http.StatusOK && len(res.Header["Set-Cookie"]) > 0 {
			t.Errorf("%s: got status %d, Set-Cookie %q, want %d: %s", target, res.StatusCode, res.Header["Set-Cookie"], want, body(res))
		}
	}
	wg.Go(func() { page("/login?user=bob", c.changes) })
	wg.Go(func() { page("/logout", c.stops, leaving) })
	wg.Go(func() { page("/renew?set=x", c.changes, alice) })
	wg.Go(func() { page("/", nil) })
	for range 100 {
		wg.Go(func() { page("/me", c.reads, alice) })
	}
	wg.Wait()
	t.Logf("the slowest operation took %v", time.Duration(slowest.Load()).Round(time.Millisecond))
	c.end(t, o)

	if !eventually(func() bool { return well.get(t, "/me", alice).StatusCode == http.StatusOK }) || well.who(t, alice) != "alice" {
		t.Error("alice is not there any more")
	}
	carol := well.login(t, "carol")
	wantStatus(t, well.get(t, "/renew?set=y", carol), http.StatusOK)
	wantStatus(t, well.get(t, "/logout", carol), http.StatusOK)
	wantStatus(t, well.get(t, "/logout", alice), http.StatusOK)
	if got := well.who(t, alice); got != "-" {
		t.Errorf("after the sign-out: got %q", got)
	}
	var after runtime.MemStats
	if !eventually(func() bool {
		o.disconnectAll()
		runtime.GC()
		runtime.ReadMemStats(&after)
		return runtime.NumGoroutine() <= goroutines && after.HeapAlloc < before.HeapAlloc+8<<20
	}) {
		t.Errorf("got %d goroutines, %d before, and %d bytes, %d before", runtime.NumGoroutine(), goroutines, after.HeapAlloc, before.HeapAlloc)
	}
}

// disconnectAll closes what a valve still has open.
func (o *outage) disconnectAll() {
	if o.valve != nil {
		o.valve.set("cut")
	}
}

func wantOutage(t *testing.T, name string, err error, words []string) {
	t.Helper()
	if words == nil {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		return
	}
	for _, answer := range []error{nil, ErrNotFound, ErrConflict, ErrInvalidTicket, ErrUndecodable, ErrTooManySessions} {
		if errors.Is(err, answer) {
			t.Errorf("%s: got %v, want an error of its own", name, err)
		}
	}
	if !slices.ContainsFunc(words, func(w string) bool { return strings.Contains(fmt.Sprint(err), w) }) {
		t.Errorf("%s: got %v, want %q", name, err, words)
	}
}

type outageOperation struct {
	name, kind string
	run        func(ctx context.Context) error
}

// outageOperations are all that a store does, each for a user of its own.
func outageOperations(t *testing.T, b *backend, s *RedisStore) []outageOperation {
	var list []outageOperation
	add := func(kind, name string, run func(ctx context.Context, key Key, tk *Ticket) error) {
		tk := newTicket(b, name)
		key := mustStore(t, b, s, tk)
		list = append(list, outageOperation{name, kind, func(ctx context.Context) error { return run(ctx, key, tk) }})
	}
	add("reads", "Retrieve", func(ctx context.Context, key Key, _ *Ticket) error { _, err := s.Retrieve(ctx, key); return err })
	add("reads", "Sessions", func(ctx context.Context, _ Key, tk *Ticket) error { _, err := s.Sessions(ctx, tk.Subject); return err })
	add("reads", "Session", func(ctx context.Context, _ Key, tk *Ticket) error {
		_, err := s.Session(ctx, tk.Subject, tk.ID)
		return err
	})
	add("reads", "SessionPage", func(ctx context.Context, _ Key, _ *Ticket) error { _, _, err := s.SessionPage(ctx, "", 10); return err })
	add("reads", "Count", func(ctx context.Context, _ Key, _ *Ticket) error { _, err := s.Count(ctx); return err })
	add("reads", "Subjects", func(ctx context.Context, _ Key, _ *Ticket) error {
		for _, err := range s.Subjects(ctx) {
			if err != nil {
				return err
			}
		}
		return nil
	})
	add("changes", "Store", func(ctx context.Context, _ Key, tk *Ticket) error { _, err := s.Store(ctx, tk.Clone()); return err })
	add("changes", "Renew", func(ctx context.Context, key Key, tk *Ticket) error { return s.Renew(ctx, key, tk.Clone()) })
	add("changes", "Rotate", func(ctx context.Context, key Key, tk *Ticket) error {
		_, err := s.Rotate(ctx, key, tk.Clone(), time.Minute)
		return err
	})
	add("stops", "Remove", func(ctx context.Context, key Key, _ *Ticket) error { return s.Remove(ctx, key) })
	add("stops", "Revoke", func(ctx context.Context, _ Key, tk *Ticket) error { return s.Revoke(ctx, tk.Subject, tk.ID) })
	add("stops", "RevokeAll", func(ctx context.Context, _ Key, tk *Ticket) error { _, err := s.RevokeAll(ctx, tk.Subject); return err })
	other := newTicket(b, "RevokeOthers")
	mustStore(t, b, s, other)
	add("stops", "RevokeOthers", func(ctx context.Context, _ Key, tk *Ticket) error {
		_, err := s.RevokeOthers(ctx, tk.Subject, tk.ID)
		return err
	})
	return list
}
