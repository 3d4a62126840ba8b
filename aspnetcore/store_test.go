package aspnetcore

import (
	"context"
	"crypto/rand"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore/internal/clock"
	"github.com/ticketstore/ticketstore/internal/redistest"
	"github.com/ticketstore/ticketstore/storetest"
)

const testCap = 4

// A backend is a Redis with keys of one test alone, and the application's
// clock, which stands still until the test moves it. The clock of a real Redis
// goes on by itself.
type backend struct {
	client   redis.UniversalClient
	instance string
	mini     *miniredis.Miniredis

	mu    sync.Mutex
	moved time.Duration
	fixed time.Time // that of the first reading, if it is not set
}

func (b *backend) now() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fixed.IsZero() {
		b.fixed = time.Now()
	}
	return b.fixed.Add(b.moved)
}

func (b *backend) advance(d time.Duration) {
	b.mu.Lock()
	b.moved += d
	b.mu.Unlock()
	if b.mini != nil {
		b.mini.SetTime(b.now())
		b.mini.FastForward(d)
	}
}

func (b *backend) ctx(t testing.TB) context.Context {
	ctx := clock.NewContext(t.Context(), b.now)
	if b.mini == nil {
		ctx = clock.WithServer(ctx, time.Now)
	}
	return ctx
}

func (b *backend) store(t testing.TB, cfg StoreConfig) *Store {
	t.Helper()
	cfg.InstanceName = b.instance
	s, err := NewStore(b.client, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func miniBackend(t testing.TB) *backend {
	server := miniredis.RunT(t)
	client := redis.NewClient(redistest.Options(server.Addr()))
	t.Cleanup(func() { client.Close() })
	b := &backend{client: client, instance: "shop:", mini: server}
	server.SetTime(b.now())
	return b
}

func redisBackend(t testing.TB) *backend {
	client := redis.NewClient(redistest.Options(redistest.Shared(t).Addr))
	t.Cleanup(func() { client.Close() })
	return (&backend{client: client}).another(t)
}

func clusterBackend(t testing.TB) *backend {
	client := redis.NewClusterClient(redistest.ClusterOptions(redistest.SharedCluster(t)))
	t.Cleanup(func() { client.Close() })
	return (&backend{client: client}).another(t)
}

// another returns b with keys and a clock of its own.
func (b *backend) another(t testing.TB) *backend {
	if b.mini != nil {
		return miniBackend(t)
	}
	name := strings.ToLower(rand.Text()) + ":"
	if _, ok := b.client.(*redis.ClusterClient); ok {
		name = "{" + name + "}"
	}
	return &backend{client: b.client, instance: name}
}

// eachBackend runs a test on miniredis, a real Redis and a real Cluster, in
// parallel to others.
func eachBackend(t *testing.T, test func(t *testing.T, b *backend)) {
	t.Parallel()
	t.Run("miniredis", func(t *testing.T) { t.Parallel(); test(t, miniBackend(t)) })
	t.Run("redis", func(t *testing.T) { t.Parallel(); test(t, redisBackend(t)) })
	t.Run("cluster", func(t *testing.T) { t.Parallel(); test(t, clusterBackend(t)) })
}

// On real servers time passes by itself, a second at least: for all rules at
// once, and they share the two ways to be full.
func TestContract(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		open   func(testing.TB) *backend
		refuse bool
	}{
		{"miniredis/evict", miniBackend, false},
		{"miniredis/refuse", miniBackend, true},
		{"redis/evict", redisBackend, false},
		{"cluster/refuse", clusterBackend, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := test.open(t)
			if testing.Short() && b.mini == nil {
				t.Skip("it waits for a minute and more")
			}
			storetest.Run(t, func(t testing.TB) storetest.Fixture {
				b := b.another(t)
				f := storetest.Fixture{
					Store: b.store(t, StoreConfig{MaxSessions: testCap, RefuseNew: test.refuse}),
					Unit:  time.Second,
					Cap:   testCap,
				}
				if b.mini != nil {
					f.Context, f.Now, f.Advance = clock.NewContext(context.Background(), b.now), b.now, b.advance
				} else {
					t.(*testing.T).Parallel()
				}
				return f
			})
		})
	}
}
