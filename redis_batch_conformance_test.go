package ticketstore_test

import (
	"crypto/rand"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/redistest"
	"github.com/ticketstore/ticketstore/storetest"
)

// A store that reads in batches is a store like any other.
func TestBatchedStoreConforms(t *testing.T) {
	for name, client := range map[string]redis.UniversalClient{
		"redis":   redis.NewClient(&redis.Options{Addr: redistest.Shared(t).Addr, ContextTimeoutEnabled: true}),
		"cluster": redis.NewClusterClient(&redis.ClusterOptions{Addrs: redistest.SharedCluster(t), ContextTimeoutEnabled: true}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			t.Cleanup(func() { client.Close() })
			storetest.Run(t, func(t testing.TB) storetest.Fixture {
				s, err := ticketstore.NewRedisStore(client, ticketstore.RedisConfig{
					Prefix: rand.Text() + "-", MaxSessions: 4, RefuseNew: name == "cluster", BatchReads: true,
				})
				if err != nil {
					t.Fatal(err)
				}
				s.ReadTogether()
				return storetest.Fixture{Store: s, Cap: 4}
			})
		})
	}
}
