package storetest_test

import (
	"context"
	"crypto/rand"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/clock"
	"github.com/ticketstore/ticketstore/internal/redistest"
	"github.com/ticketstore/ticketstore/storetest"
)

func TestMain(m *testing.M) { os.Exit(redistest.Main(m)) }

const redisCap = 4

// redisStore returns a store with keys of its own on client.
func redisStore(t testing.TB, client redis.UniversalClient, refuse bool, maxStaleness time.Duration) *ticketstore.RedisStore {
	s, err := ticketstore.NewRedisStore(client, ticketstore.RedisConfig{
		Prefix: rand.Text() + "-", MaxSessions: redisCap, RefuseNew: refuse, MaxStaleness: maxStaleness,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestMiniredis(t *testing.T) {
	for name, refuse := range map[string]bool{"evict": false, "refuse": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, func(t testing.TB) storetest.Fixture { return miniredisFixture(t, refuse) })
		})
	}
}

// miniredisFixture gives server and store one clock, which stands still.
func miniredisFixture(t testing.TB, refuse bool) storetest.Fixture {
	server := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), ContextTimeoutEnabled: true})
	t.Cleanup(func() { client.Close() })
	var mu sync.Mutex
	current := time.Now()
	now := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return current
	}
	server.SetTime(current)
	return storetest.Fixture{
		Store:   redisStore(t, client, refuse, 0),
		Context: clock.NewContext(context.Background(), now),
		Now:     now,
		Advance: func(d time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			current = current.Add(d)
			server.SetTime(current)
			server.FastForward(d)
		},
		Cap: redisCap,
	}
}

// On real servers time passes by itself.

func TestRedis(t *testing.T) {
	t.Parallel()
	client := redis.NewClient(&redis.Options{Addr: redistest.Shared(t).Addr, ContextTimeoutEnabled: true})
	defer client.Close()
	storetest.Run(t, func(t testing.TB) storetest.Fixture {
		return storetest.Fixture{Store: redisStore(t, client, false, 0), Cap: redisCap}
	})
}

// A process that reads from its client's cache keeps the rules for what it has
// itself written.
func TestRedisCached(t *testing.T) {
	t.Parallel()
	client := redis.NewClient(&redis.Options{
		Addr: redistest.Shared(t).Addr, ContextTimeoutEnabled: true,
		ClientSideCacheConfig: &redis.ClientSideCacheConfig{MaxStaleness: time.Minute},
	})
	defer client.Close()
	storetest.Run(t, func(t testing.TB) storetest.Fixture {
		return storetest.Fixture{Store: redisStore(t, client, false, 2*time.Minute), Cap: redisCap}
	})
}

func TestRedisCluster(t *testing.T) {
	t.Parallel()
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: redistest.SharedCluster(t), ContextTimeoutEnabled: true})
	defer client.Close()
	storetest.Run(t, func(t testing.TB) storetest.Fixture {
		return storetest.Fixture{Store: redisStore(t, client, true, 0), Cap: redisCap}
	})
}
