package storetest_test

import (
	"context"
	"crypto/rand"
	"os"
	"sync"
	"testing"
	"time"

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
		Prefix: rand.Text() + "-", MaxSessions: redisCap, RefuseNew: refuse, MaxStaleness: maxStaleness, History: time.Hour,
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
	server := redistest.StartMini(t)
	client := redis.NewClient(redistest.Options(server.Addr()))
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
		Cap:   redisCap,
		Marks: true,
	}
}

// On real servers time passes by itself, for all rules at once.

func TestRedis(t *testing.T) {
	t.Parallel()
	client := redis.NewClient(redistest.Options(redistest.Shared(t).Addr))
	t.Cleanup(func() { client.Close() })
	storetest.Run(t, func(t testing.TB) storetest.Fixture {
		t.(*testing.T).Parallel()
		return storetest.Fixture{Store: redisStore(t, client, false, 0), Cap: redisCap, Marks: true}
	})
}

// A process that reads from its client's cache keeps the rules for what it has
// itself written.
func TestRedisCached(t *testing.T) {
	t.Parallel()
	opt := redistest.Options(redistest.Shared(t).Addr)
	opt.ClientSideCacheConfig = &redis.ClientSideCacheConfig{MaxStaleness: time.Minute}
	client := redis.NewClient(opt)
	t.Cleanup(func() { client.Close() })
	storetest.Run(t, func(t testing.TB) storetest.Fixture {
		t.(*testing.T).Parallel()
		return storetest.Fixture{Store: redisStore(t, client, false, time.Minute+opt.ReadTimeout), Cap: redisCap, Marks: true}
	})
}

func TestRedisCluster(t *testing.T) {
	t.Parallel()
	client := redis.NewClusterClient(redistest.ClusterOptions(redistest.SharedCluster(t)))
	t.Cleanup(func() { client.Close() })
	storetest.Run(t, func(t testing.TB) storetest.Fixture {
		t.(*testing.T).Parallel()
		return storetest.Fixture{Store: redisStore(t, client, true, 0), Cap: redisCap, Marks: true}
	})
}
