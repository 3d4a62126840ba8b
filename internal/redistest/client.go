package redistest

import (
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// Patience bounds every wait of a test that could otherwise hang. It is not how
// long anything should take: a machine that is busy enough makes anything slow.
const Patience = 2 * time.Minute

// Options returns the options of a client of the server at addr. It waits for a
// busy machine: with shorter timeouts it would give up, or send a command again
// whose reply is under way.
func Options(addr string) *redis.Options {
	return &redis.Options{
		Addr: addr, ContextTimeoutEnabled: true,
		DialTimeout: Patience, ReadTimeout: Patience, WriteTimeout: Patience, PoolTimeout: Patience,
	}
}

// ClusterOptions is [Options] for the Cluster at addrs.
func ClusterOptions(addrs []string) *redis.ClusterOptions {
	return &redis.ClusterOptions{
		Addrs:                 slices.Clip(addrs), // go-redis appends to it
		ContextTimeoutEnabled: true,
		DialTimeout:           Patience, ReadTimeout: Patience, WriteTimeout: Patience, PoolTimeout: Patience,
	}
}
