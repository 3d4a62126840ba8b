package redischeck

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/redis/go-redis/v9"
)

// Client returns why a store cannot use client. Of the client's own cache it
// takes answers that are at most maxStaleness old; if that is zero, none.
func Client(client redis.UniversalClient, maxStaleness time.Duration) error {
	if IsNil(client) {
		return errors.New("client: it is nil")
	}
	switch c := client.(type) {
	case *redis.Ring:
		return errors.New("client: a Ring spreads one subject's keys over servers; use a Cluster")
	case *redis.AutoPipeliner:
		return errors.New("client: an AutoPipeliner does not heed contexts, so that an outage outlasts StoreTimeout; give the client that it was made from, and a RedisStore BatchReads")
	case *redis.ClusterClient:
		if o := c.Options(); o.ReadOnly || o.RouteByLatency || o.RouteRandomly {
			return errors.New("client: ReadOnly, RouteByLatency and RouteRandomly read from replicas, which may still hold a revoked ticket")
		}
	}
	switch {
	case maxStaleness < 0:
		return fmt.Errorf("MaxStaleness: %v is negative", maxStaleness)
	case maxStaleness > 0:
		return cacheWithin(client, maxStaleness)
	}
	return noCache(client)
}

// IsNil also finds the nil pointer in an interface, which would panic later.
func IsNil(v any) bool {
	r := reflect.ValueOf(v)
	return !r.IsValid() || r.Kind() == reflect.Pointer && r.IsNil()
}
