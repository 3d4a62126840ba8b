package ticketstore

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore/internal/redistest"
)

// endings are the ways to end the only session of alice.
var endings = map[string]func(ctx context.Context, s *RedisStore, key Key, tk *Ticket) error{
	"Remove": func(ctx context.Context, s *RedisStore, key Key, _ *Ticket) error { return s.Remove(ctx, key) },
	"Revoke": func(ctx context.Context, s *RedisStore, _ Key, tk *Ticket) error {
		return s.Revoke(ctx, "alice", tk.ID)
	},
	"RevokeAll": func(ctx context.Context, s *RedisStore, _ Key, _ *Ticket) error {
		_, err := s.RevokeAll(ctx, "alice")
		return err
	},
}

// A revocation that Redis refuses leaves the session in the list: it can be
// tried again.
func TestEndingRefused(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	admin := openRedis(t, redisOptions(server.Addr))
	allow := func(rule string) {
		t.Helper()
		if err := admin.Do(t.Context(), "acl", "setuser", "app", "on", ">pw", "~*", "+@all", rule).Err(); err != nil {
			t.Fatal(err)
		}
	}
	allow("+del")
	o := redisOptions(server.Addr)
	o.Username, o.Password = "app", "pw"
	b := &backend{testClock: &testClock{}, client: openRedis(t, o), prefix: randomPrefix()}
	s := b.store(t, RedisConfig{})
	for name, end := range endings {
		tk := newTicket(b, "alice")
		key := mustStore(t, b, s, tk)
		allow("-del")
		for range 2 {
			if err := end(b.ctx(t), s, key, tk); err == nil || errors.Is(err, ErrNotFound) {
				t.Errorf("%s without DEL: got %v, want an error of its own", name, err)
			}
			wantSessions(t, b, s, "alice", tk.ID)
		}
		allow("+del")
		if err := end(b.ctx(t), s, key, tk); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if keys := b.keys(t); len(keys) != 0 {
			t.Errorf("%s: got keys %q, want none", name, keys)
		}
	}
}

// What ends a session does so even if an index is broken, and says that it is.
func TestEndingWithABrokenIndex(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := b.store(t, RedisConfig{})
		ctx := b.ctx(t)
		for i, broken := range s.indexKeys(partition("alice"), "alice") {
			for name, end := range endings {
				if name == "RevokeAll" && i == 0 {
					continue // it needs the index
				}
				tk := newTicket(b, "alice")
				key := mustStore(t, b, s, tk)
				if err := errors.Join(b.client.Del(ctx, broken).Err(), b.client.Set(ctx, broken, "x", time.Hour).Err()); err != nil {
					t.Fatal(err)
				}
				if err := end(ctx, s, key, tk); err == nil || !strings.Contains(err.Error(), "WRONGTYPE") {
					t.Errorf("%s, %s is broken: got %v, want WRONGTYPE", name, broken, err)
				}
				if _, err := s.Retrieve(ctx, key); !errors.Is(err, ErrNotFound) {
					t.Errorf("%s, %s is broken: Retrieve: got %v, want ErrNotFound", name, broken, err)
				}
				for _, k := range b.keys(t) {
					if err := b.client.Del(ctx, k).Err(); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	})
}

// A script that has emptied a set does not look at it again: Redis aborts it
// for that while the slot migrates.
func TestEndingWhileTheSlotMigrates(t *testing.T) {
	t.Parallel()
	addrs := redistest.StartCluster(t, 2)
	b := (&backend{testClock: &testClock{}, addrs: addrs, prefix: randomPrefix(), cluster: true}).another(t)
	s := b.store(t, RedisConfig{})
	ctx := b.ctx(t)
	slot := int(b.client.ClusterKeySlot(ctx, s.censusKey(partition("alice"))).Val())
	nodes := []*redis.Client{openRedis(t, redisOptions(addrs[0])), openRedis(t, redisOptions(addrs[1]))}
	from, to := nodes[0], nodes[1]
	if slot >= 1<<13 {
		from, to = to, from
	}
	id := func(c *redis.Client) string { return c.Do(ctx, "cluster", "myid").Val().(string) }
	set := func(c *redis.Client, state ...any) {
		t.Helper()
		if err := c.Do(ctx, append([]any{"cluster", "setslot", slot}, state...)...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for name, end := range endings {
		tk := newTicket(b, "alice")
		key := mustStore(t, b, s, tk)
		set(to, "importing", id(from))
		set(from, "migrating", id(to))
		if err := end(ctx, s, key, tk); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if keys := b.keys(t); len(keys) != 0 {
			t.Errorf("%s: got keys %q, want none", name, keys)
		}
		set(from, "stable")
		set(to, "stable")
	}
}
