package redischeck

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/push"
)

// noCache returns an error if client has a cache.
func noCache(client redis.UniversalClient) error {
	if o := options(client); o != nil && (o.ClientSideCacheConfig != nil || o.ClientSideCache != nil) {
		return errors.New("client: it has a client-side cache, which may still hold a revoked ticket")
	}
	return nil
}

// cacheWithin returns why client's own cache cannot answer, or might with what
// is older than maxStaleness.
func cacheWithin(client redis.UniversalClient, maxStaleness time.Duration) error {
	o := options(client)
	if o == nil || o.ClientSideCacheConfig == nil && o.ClientSideCache == nil {
		return errors.New("MaxStaleness: the client has no client-side cache that can be seen; set ClientSideCacheConfig (in a Cluster by NewClient; go-redis's clients of Sentinel have none)")
	}
	var errs []error
	refuse := func(refused bool, format string, a ...any) {
		if refused {
			errs = append(errs, fmt.Errorf("client: "+format, a...))
		}
	}
	refuse(o.Protocol != 3, "with Protocol %d go-redis caches nothing; set 3", o.Protocol)
	refuse(o.DB != 0, "with DB %d go-redis caches nothing", o.DB)
	refuse(o.CredentialsProvider != nil || o.CredentialsProviderContext != nil || o.StreamingCredentialsProvider != nil,
		"with a credentials provider go-redis caches nothing; set Username and Password")
	_, builtin := o.PushNotificationProcessor.(*push.Processor)
	if c, ok := client.(*redis.ClusterClient); ok && c.Options().PushNotificationProcessor != nil {
		builtin = false // all nodes have the same, which knows of one cache
	}
	refuse(o.Protocol == 3 && !builtin, "PushNotificationProcessor takes the place of what tells the cache of changes")
	refuse(o.ClientSideCacheCoalesceMisses || o.ClientSideCacheRefreshOnInvalidate,
		"ClientSideCacheCoalesceMisses and ClientSideCacheRefreshOnInvalidate wait for a reply beyond ReadTimeout")
	refuse(o.ReadTimeout <= 0, "without ReadTimeout a reply, and so an answer from the cache, may be of any age")
	switch cache := o.ClientSideCacheConfig; {
	case o.ClientSideCache != nil:
		refuse(true, "ClientSideCache does not say how old its answers may be; set ClientSideCacheConfig")
	case cache.MaxStaleness <= 0:
		refuse(true, "without MaxStaleness in ClientSideCacheConfig its answers may be of any age")
	default:
		// The cache counts from when a reply has arrived.
		wait, of := o.ReadTimeout, "ReadTimeout"
		if m := o.MaintNotificationsConfig; m != nil && m.RelaxedTimeout > wait {
			wait, of = m.RelaxedTimeout, "RelaxedTimeout in MaintNotificationsConfig"
		}
		refuse(cache.MaxStaleness+wait > maxStaleness,
			"its cache may answer with what is %v old, more than MaxStaleness, %v: its own MaxStaleness is %v, and a reply may take %v (%s)",
			cache.MaxStaleness+wait, maxStaleness, cache.MaxStaleness, wait, of)
	}
	return errors.Join(errs...)
}

// options returns the options of client, in a Cluster those that its nodes will
// have; nil if they cannot be known.
func options(client redis.UniversalClient) *redis.Options {
	switch c := client.(type) {
	case *redis.Client:
		return c.Options()
	case *redis.ClusterClient:
		o := c.Options()
		readTimeout := o.ReadTimeout
		if readTimeout == 0 { // by now: none
			readTimeout = -1
		}
		node := o.NewClient(&redis.Options{
			Addr: "node",
			Dialer: func(context.Context, string, string) (net.Conn, error) {
				return nil, errors.New("this client only shows its options")
			},
			Protocol:                     o.Protocol,
			CredentialsProvider:          o.CredentialsProvider,
			CredentialsProviderContext:   o.CredentialsProviderContext,
			StreamingCredentialsProvider: o.StreamingCredentialsProvider,
			PushNotificationProcessor:    o.PushNotificationProcessor,
			MaintNotificationsConfig:     o.MaintNotificationsConfig,
			ReadTimeout:                  readTimeout,
		})
		defer node.Close()
		return node.Options()
	}
	return nil
}

// checkCache reads the same twice, which a cache that works answers.
func (n *node) checkCache(ctx context.Context) {
	c, ok := n.client.(*redis.Client)
	if !ok {
		return
	}
	var hits uint64
	err := await(ctx, func() error {
		before := c.CSCStats().Hits
		for range 10 { // what was read may be evicted at once
			if err := c.Get(ctx, n.key).Err(); err != nil && !errors.Is(err, redis.Nil) {
				return err
			}
			if hits = c.CSCStats().Hits - before; hits > 0 {
				break
			}
		}
		return nil
	})
	if err == nil && hits == 0 {
		n.warn("cache: it does not work, so that each read asks Redis: go-redis, whose log has the reason, has turned it off, as for a user who may not run CLIENT TRACKING")
	}
}
