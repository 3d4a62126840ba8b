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

// finalEndings are endings, and Rotate, which ends a key.
func finalEndings() map[string]func(ctx context.Context, s *RedisStore, key Key, tk *Ticket) error {
	all := map[string]func(ctx context.Context, s *RedisStore, key Key, tk *Ticket) error{
		"RevokeOthers": func(ctx context.Context, s *RedisStore, _ Key, tk *Ticket) error {
			kept := tk.Clone()
			kept.ID = ""
			if _, err := s.Store(ctx, kept); err != nil {
				return err
			}
			_, err := s.RevokeOthers(ctx, "alice", kept.ID)
			return err
		},
		"Rotate": func(ctx context.Context, s *RedisStore, key Key, tk *Ticket) error {
			_, err := s.Rotate(ctx, key, tk.Clone(), 0)
			return err
		},
	}
	for name, end := range endings {
		all[name] = end
	}
	return all
}

// A pair is a master and its replica.
type pair struct {
	*backend
	replica *redistest.Server
	direct  *redis.Client // to the replica
}

func newPair(t *testing.T) *pair {
	t.Helper()
	master, replica := redistest.StartReplicated(t)
	b := &backend{testClock: &testClock{}, prefix: randomPrefix(), addrs: []string{master.Addr}, client: openRedis(t, redisOptions(master.Addr))}
	return &pair{b, replica, openRedis(t, redisOptions(replica.Addr))}
}

// What has returned is on the replica; what is not on the replica has not
// returned, also if there was nothing left to end.
func TestRevokeReplicas(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	s := p.store(t, RedisConfig{RevokeReplicas: 1})
	sealed := p.store(t, RedisConfig{RevokeReplicas: 1, SealKeys: []SealKey{testSealKey(0)}})
	for name, end := range finalEndings() {
		if err := p.client.ScriptFlush(t.Context()).Err(); err != nil { // so that the first is an EVAL
			t.Fatal(err)
		}
		for _, s := range []*RedisStore{s, s, sealed} {
			tk := newTicket(p.backend, "alice")
			key := mustStore(t, p.backend, s, tk)
			if err := end(p.ctx(t), s, key, tk); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			there, err := p.direct.Get(t.Context(), s.recordKey(partition("alice"), tk.ID)).Result()
			if e, _ := parseEnvelope([]byte(there)); name == "Rotate" && e.previous == "-" || name != "Rotate" && !errors.Is(err, redis.Nil) {
				t.Errorf("%s: the replica has %q, %v", name, there, err)
			}
			if _, err := s.RevokeAll(p.ctx(t), "alice"); err != nil {
				t.Fatal(err)
			}
		}
	}

	s = p.store(t, RedisConfig{RevokeReplicas: 2}) // one more than there is
	for name, end := range finalEndings() {
		tk := newTicket(p.backend, "alice")
		key := mustStore(t, p.backend, s, tk)
		for i := range 2 {
			if name == "Rotate" && i > 0 {
				continue // of a ticket that has changed
			}
			ctx, cancel := context.WithTimeout(p.ctx(t), 2*time.Second)
			defer cancel()
			err := end(ctx, s, key, tk)
			if err == nil || !strings.Contains(err.Error(), "1 replicas have it, want 2") {
				t.Errorf("%s: got %v, want that one replica has it", name, err)
			}
			_, err = s.Retrieve(p.ctx(t), key)
			if name == "Rotate" { // nobody got the new key
				if err != nil {
					t.Errorf("%s: Retrieve: %v", name, err)
				}
			} else if !errors.Is(err, ErrNotFound) {
				t.Errorf("%s: Retrieve: got %v, want ErrNotFound", name, err)
			}
		}
	}

	s = p.store(t, RedisConfig{RevokeReplicas: 1})
	for name, end := range finalEndings() {
		if name == "Rotate" || name == "RevokeOthers" {
			continue // they need a live session
		}
		tk := newTicket(p.backend, "alice")
		key := mustStore(t, p.backend, s, tk)
		replicaHas(t, p, s.recordKey(partition("alice"), tk.ID))
		p.replica.Pause()
		for range 2 {
			// A connection of its own, which has written nothing yet.
			o := p.another(t)
			ctx, cancel := context.WithTimeout(p.ctx(t), 2*time.Second)
			defer cancel()
			if err := end(ctx, o.store(t, RedisConfig{RevokeReplicas: 1}), key, tk); err == nil || !strings.Contains(err.Error(), "0 replicas have it") {
				t.Errorf("%s while the replica hangs: got %v, want that none has it", name, err)
			}
		}
		p.replica.Resume()
		if err := end(p.ctx(t), s, key, tk); err != nil && !errors.Is(err, ErrNotFound) {
			t.Errorf("%s afterwards: %v", name, err)
		}
		if n := p.direct.Exists(t.Context(), s.recordKey(partition("alice"), tk.ID)).Val(); n != 0 {
			t.Errorf("%s: the replica still has the session", name)
		}
	}
}

func replicaHas(t *testing.T, p *pair, key string) {
	t.Helper()
	if !eventually(func() bool { return p.direct.Exists(t.Context(), key).Val() == 1 }) {
		t.Fatal("the replica is not in step")
	}
}

// An ending is one round trip, and without RevokeReplicas the script alone.
func TestRevokeReplicasCost(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	count := &counter{n: map[string]int{}}
	for replicas, want := range []string{"evalsha=1", "evalsha=1 pipeline=1 set=1 wait=1"} {
		s := p.store(t, RedisConfig{RevokeReplicas: replicas})
		for _, measured := range []bool{false, true} {
			tk := newTicket(p.backend, "alice")
			mustStore(t, p.backend, s, tk)
			if measured && replicas == 0 {
				p.client.AddHook(count)
			}
			count.take()
			if err := s.Revoke(p.ctx(t), "alice", tk.ID); err != nil {
				t.Fatal(err)
			}
			if got := count.take(); measured && got != want {
				t.Errorf("RevokeReplicas %d: got commands %s, want %s", replicas, got, want)
			}
		}
	}
}

// A full Redis still ends sessions, on replicas, too.
func TestRevokeReplicasOfAFullRedis(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	s := p.store(t, RedisConfig{RevokeReplicas: 1})
	for name, end := range endings {
		tk := newTicket(p.backend, "alice")
		key := mustStore(t, p.backend, s, tk)
		if err := p.client.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
			t.Fatal(err)
		}
		if err := end(p.ctx(t), s, key, tk); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := p.client.ConfigSet(t.Context(), "maxmemory", "0").Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// A refused WAIT is no acknowledgement.
func TestRevokeReplicasRefused(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	if err := p.client.Do(t.Context(), "acl", "setuser", "app", "on", ">pw", "~*", "+@all", "-wait").Err(); err != nil {
		t.Fatal(err)
	}
	o := *p.client.(*redis.Client).Options()
	o.Username, o.Password = "app", "pw"
	b := *p.backend
	b.client = openRedis(t, &o)
	s := b.store(t, RedisConfig{RevokeReplicas: 1})
	for name, end := range finalEndings() {
		tk := newTicket(&b, "alice")
		key := mustStore(t, &b, s, tk)
		if err := end(b.ctx(t), s, key, tk); !redis.HasErrorPrefix(err, "NOPERM") {
			t.Errorf("%s: got %v, want NOPERM", name, err)
		}
	}
}

// In a Cluster endings find the master of the slot, wherever that has gone.
func TestRevokeReplicasInACluster(t *testing.T) {
	t.Parallel()
	masters, _ := redistest.StartClusterWithReplicas(t, 2, 2)
	addrs := []string{masters[0].Addr, masters[1].Addr}
	b := (&backend{testClock: &testClock{}, addrs: addrs, prefix: randomPrefix(), cluster: true}).another(t)
	s := b.store(t, RedisConfig{RevokeReplicas: 1})
	slot := int(b.client.ClusterKeySlot(b.ctx(t), s.recordKey(partition("alice"), "")).Val())
	from, to := openRedis(t, redisOptions(addrs[0])), openRedis(t, redisOptions(addrs[1]))
	if slot >= 1<<13 {
		from, to = to, from
	}
	for name, end := range finalEndings() {
		tk := newTicket(b, "alice")
		key := mustStore(t, b, s, tk)
		if err := moveSlot(t.Context(), from, to, slot); err != nil {
			t.Fatal(err)
		}
		if err := end(b.ctx(t), s, key, tk); err != nil {
			t.Errorf("%s after the slot has moved: %v", name, err)
		}
		if _, err := s.RevokeAll(b.ctx(t), "alice"); err != nil {
			t.Error(err)
		}
		from, to = to, from
	}
}
