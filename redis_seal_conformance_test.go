package ticketstore_test

import (
	"bytes"
	"crypto/rand"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/redistest"
	"github.com/ticketstore/ticketstore/storetest"
)

// A store that seals is a store like any other.
func TestSealedStoreConforms(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: redistest.Shared(t).Addr, ContextTimeoutEnabled: true})
	t.Cleanup(func() { client.Close() })
	storetest.Run(t, func(t testing.TB) storetest.Fixture {
		s, err := ticketstore.NewRedisStore(client, ticketstore.RedisConfig{
			Prefix: rand.Text() + "-", MaxSessions: 4, SealKeys: []ticketstore.SealKey{bytes.Repeat([]byte("k"), 32)},
		})
		if err != nil {
			t.Fatal(err)
		}
		return storetest.Fixture{Store: s, Cap: 4}
	})
}
