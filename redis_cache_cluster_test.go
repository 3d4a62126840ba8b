package ticketstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/ticketstore/ticketstore/internal/redistest"
)

// cachedCluster returns a store on b's Cluster, each of whose nodes has a cache
// in its client.
func cachedCluster(t testing.TB, b *backend, maxStaleness, readTimeout time.Duration) (*RedisStore, *redis.ClusterClient) {
	t.Helper()
	o := cachedClusterOptions(b.addrs, maxStaleness)
	o.DialTimeout, o.ReadTimeout, o.MaintNotificationsConfig.RelaxedTimeout = readTimeout, readTimeout, readTimeout
	client := redis.NewClusterClient(o)
	t.Cleanup(func() { client.Close() })
	s, err := NewRedisStore(client, RedisConfig{Prefix: b.prefix, MaxStaleness: maxStaleness + o.ReadTimeout})
	if err != nil {
		t.Fatal(err)
	}
	return s, client
}

func cachedClusterOptions(addrs []string, maxStaleness time.Duration) *redis.ClusterOptions {
	return &redis.ClusterOptions{
		Addrs: slices.Clip(addrs), ContextTimeoutEnabled: true, DialerRetries: 1, DialTimeout: time.Second, ReadTimeout: time.Second,
		ClusterStateReloadInterval: time.Second,
		MaintNotificationsConfig:   &maintnotifications.Config{Mode: maintnotifications.ModeDisabled, RelaxedTimeout: time.Second},
		NewClient: func(o *redis.Options) *redis.Client {
			o.ClientSideCacheConfig = &redis.ClientSideCacheConfig{MaxStaleness: maxStaleness}
			return redis.NewClient(o)
		},
	}
}

// On every master the cache answers, hears of what others write, and is passed
// by for what this process has written.
func TestCachedCluster(t *testing.T) {
	t.Parallel()
	b := clusterBackend(t)
	writer := b.store(t, RedisConfig{})
	reader, client := cachedCluster(t, b, time.Hour, redistest.Patience)
	ctx := b.ctx(t)
	for i := range 60 {
		key, tk := cachedSession(t, b, writer, reader, fmt.Sprint("user-", i))
		if _, err := reader.Retrieve(ctx, key); err != nil {
			t.Fatal(err)
		}
		s := writer
		if i%2 == 0 {
			s = reader
		}
		if err := s.Revoke(ctx, tk.Subject, tk.ID); err != nil {
			t.Fatal(err)
		}
		gone := func() bool {
			_, err := reader.Retrieve(ctx, key)
			return errors.Is(err, ErrNotFound)
		}
		if s == reader && !gone() || !eventually(gone) {
			t.Fatalf("session %d is alive after its end", i)
		}
	}
	if err := client.ForEachMaster(ctx, func(_ context.Context, c *redis.Client) error {
		if hits := c.CSCStats().Hits; hits == 0 {
			return fmt.Errorf("%s: the cache has answered nothing", c.Options().Addr)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// Check names the masters whose cache does not work.
func TestCheckCachedCluster(t *testing.T) {
	t.Parallel()
	b := clusterBackend(t)
	reader, _ := cachedCluster(t, b, time.Hour, redistest.Patience)
	got, err := reader.Check(t.Context())
	if err != nil || len(got) != 4 { // ReadTimeout, and no persistence, of each
		t.Errorf("got %q, %v, want nothing about a cache", got, err)
	}
	o := cachedClusterOptions(b.addrs, time.Hour)
	o.ReadTimeout = redistest.Patience
	o.NewClient = func(o *redis.Options) *redis.Client {
		if o.Addr == b.addrs[1] {
			o.Protocol = 2
		}
		o.ClientSideCacheConfig = &redis.ClientSideCacheConfig{MaxStaleness: time.Hour}
		return redis.NewClient(o)
	}
	client := redis.NewClusterClient(o)
	defer client.Close()
	s, err := NewRedisStore(client, RedisConfig{MaxStaleness: 2 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	got, err = s.Check(t.Context())
	if err != nil || !slices.Contains(got, b.addrs[1]+": "+noCaching) || len(got) != 5 {
		t.Errorf("got %q, %v, want that the cache of %s does not work", got, err, b.addrs[1])
	}
}

// A watched ticket is renewed and read until stop is set.
type watched struct {
	stop            atomic.Bool
	renewals, reads atomic.Int64
}

// enough reports whether the test shows something.
func (w *watched) enough() bool { return w.renewals.Load() >= 10 && w.reads.Load() >= 100 }

// watch has reader read a ticket that writer renews all the time, and fails if
// a call that began later than the bound after the end of a renewal gets what
// was there before.
func (w *watched) watch(t *testing.T, b *backend, writer, reader *RedisStore, key Key, tk *Ticket, bound time.Duration) {
	var mu sync.Mutex
	number := map[string]int{tk.Revision: 0}
	ended := []time.Time{time.Now()} // by number
	var wg sync.WaitGroup
	wg.Go(func() {
		for !w.stop.Load() {
			// One that is lost is found out, and taken over, by reading.
			if err := writer.Renew(b.ctx(t), key, tk); err != nil {
				if got, err := writer.Retrieve(b.ctx(t), key); err == nil {
					tk = got
				} else {
					continue
				}
			}
			mu.Lock()
			if _, known := number[tk.Revision]; !known {
				number[tk.Revision] = len(ended)
				ended = append(ended, time.Now())
				w.renewals.Add(1)
			}
			mu.Unlock()
			time.Sleep(5 * time.Millisecond)
		}
	})
	for !w.stop.Load() {
		began := time.Now()
		ctx, cancel := context.WithTimeout(b.ctx(t), 100*time.Millisecond)
		got, err := reader.Retrieve(ctx, key)
		cancel()
		if errors.Is(err, ErrNotFound) {
			t.Errorf("a live session was refused: %v", err)
			w.stop.Store(true)
		}
		if err != nil {
			continue
		}
		w.reads.Add(1)
		mu.Lock()
		if n, known := number[got.Revision]; known && n+1 < len(ended) && began.After(ended[n+1].Add(bound)) {
			t.Errorf("a call that began %v after a renewal got what was there before; the bound is %v", began.Sub(ended[n+1]), bound)
			w.stop.Store(true)
		}
		mu.Unlock()
	}
	wg.Wait()
	t.Logf("%d renewals, %d reads", w.renewals.Load(), w.reads.Load())
	if !w.enough() {
		t.Error("the test shows too little")
	}
}

// While slots move to and fro under load, the bound holds, and an absence that
// is cached refuses nobody.
func TestCachedClusterReshards(t *testing.T) {
	t.Parallel()
	addrs := redistest.StartCluster(t, 2)
	b := (&backend{testClock: &testClock{}, addrs: addrs, prefix: randomPrefix(), cluster: true}).another(t)
	writer := b.store(t, RedisConfig{})
	const maxStaleness, readTimeout = 300 * time.Millisecond, time.Second
	reader, _ := cachedCluster(t, b, maxStaleness, readTimeout)
	tk := newTicket(b, "alice")
	key := mustStore(t, b, writer, tk)

	// A session that the reader knows as gone comes back where its slot is now.
	lost := newTicket(b, "alice")
	lostKey := mustStore(t, b, writer, lost)
	record := writer.recordKey(partition("alice"), lost.ID)
	value, err := b.client.Get(t.Context(), record).Result()
	if err == nil {
		err = b.client.Del(t.Context(), record).Err()
	}
	if err != nil {
		t.Fatal(err)
	}
	if !eventually(func() bool { // in the reader's time
		_, err = reader.Retrieve(b.ctx(t), lostKey)
		return errors.Is(err, ErrNotFound)
	}) {
		t.Fatalf("got %v, want ErrNotFound", err)
	}

	var w watched
	moves, moved := 0, make(chan struct{})
	go func() {
		defer close(moved)
		defer w.stop.Store(true)
		slot := int(b.client.ClusterKeySlot(t.Context(), record).Val())
		nodes := []*redis.Client{openRedis(t, redisOptions(addrs[0])), openRedis(t, redisOptions(addrs[1]))}
		from := 0
		if slot >= 8192 {
			from = 1
		}
		for start := time.Now(); time.Since(start) < 3*time.Second || (moves < 2 || !w.enough()) && time.Since(start) < redistest.Patience; {
			// A node that moves a slot on before it has heard of the other's
			// last epoch would lose it, with all that is in it.
			if !eventually(func() bool { return clusterView(t, nodes[0]) == clusterView(t, nodes[1]) }) {
				t.Error("the nodes do not agree")
				return
			}
			if err := moveSlot(t.Context(), nodes[from], nodes[1-from], slot); err != nil {
				t.Error(err)
				return
			}
			from = 1 - from
			if moves++; moves == 1 {
				if err := b.client.Set(t.Context(), record, value, time.Hour).Err(); err != nil {
					t.Error(err)
				} else if !eventually(func() bool { // in the reader's time
					_, err = reader.Retrieve(b.ctx(t), lostKey)
					return err == nil || errors.Is(err, ErrNotFound)
				}) || err != nil {
					t.Errorf("got %v, want the session that is back", err)
				}
			}
		}
	}()
	w.watch(t, b, writer, reader, key, tk, maxStaleness+readTimeout)
	<-moved
	if moves < 2 {
		t.Errorf("got %d moves: the test shows too little", moves)
	}
}

// clusterView returns the nodes with their epochs and slots, as c sees them.
func clusterView(t *testing.T, c *redis.Client) string {
	var nodes []string
	for line := range strings.Lines(c.ClusterNodes(t.Context()).Val()) {
		if f := strings.Fields(line); len(f) >= 8 {
			nodes = append(nodes, f[0]+" "+f[6]+" "+strings.Join(f[8:], " "))
		}
	}
	slices.Sort(nodes)
	return strings.Join(nodes, "\n")
}

// moveSlot moves a slot and its keys, ten at a time, as redis-cli does.
func moveSlot(ctx context.Context, from, to *redis.Client, slot int) error {
	id := func(c *redis.Client) string { return c.ClusterMyID(ctx).Val() }
	if err := errors.Join(
		to.Do(ctx, "cluster", "setslot", slot, "importing", id(from)).Err(),
		from.Do(ctx, "cluster", "setslot", slot, "migrating", id(to)).Err(),
	); err != nil {
		return err
	}
	for {
		keys, err := from.ClusterGetKeysInSlot(ctx, slot, 10).Result()
		if err != nil {
			return err
		}
		if len(keys) == 0 {
			break
		}
		host, port, _ := strings.Cut(to.Options().Addr, ":")
		args := []any{"migrate", host, port, "", 0, 1000, "keys"}
		for _, k := range keys {
			args = append(args, k)
		}
		if err := from.Do(ctx, args...).Err(); err != nil {
			return err
		}
	}
	return errors.Join(
		to.Do(ctx, "cluster", "setslot", slot, "node", id(to)).Err(),
		from.Do(ctx, "cluster", "setslot", slot, "node", id(to)).Err(),
	)
}

// When a master hangs, and its replica takes over, the bound holds.
func TestCachedClusterFailover(t *testing.T) {
	t.Parallel()
	masters, replicas := redistest.StartClusterWithReplicas(t, 3, 1)
	replica := replicas[0]
	var addrs []string
	for _, m := range masters {
		addrs = append(addrs, m.Addr)
	}
	b := (&backend{testClock: &testClock{}, addrs: addrs, prefix: randomPrefix(), cluster: true}).another(t)
	hasty := *b
	hasty.client = redis.NewClusterClient(&redis.ClusterOptions{Addrs: slices.Clip(addrs[1:]), ContextTimeoutEnabled: true,
		ReadTimeout: 300 * time.Millisecond, DialTimeout: 300 * time.Millisecond, ClusterStateReloadInterval: time.Second})
	defer hasty.client.Close()
	writer := hasty.store(t, RedisConfig{})
	const maxStaleness, readTimeout = 300 * time.Millisecond, time.Second
	reader, _ := cachedCluster(t, b, maxStaleness, readTimeout)
	var key Key
	var tk *Ticket
	for i := 0; ; i++ { // one of the first master's
		subject := fmt.Sprint("user-", i)
		if slot := b.client.ClusterKeySlot(t.Context(), writer.recordKey(partition(subject), "")).Val(); slot < 16384/3 {
			tk = newTicket(b, subject)
			key = mustStore(t, b, b.store(t, RedisConfig{}), tk)
			break
		}
	}
	replicated(t, masters[0], writer.recordKey(partition(tk.Subject), ""))
	var w watched
	go func() {
		defer w.stop.Store(true)
		if !eventually(w.enough) {
			return
		}
		masters[0].Pause()
		c := openRedis(t, redisOptions(replica.Addr))
		for start := time.Now(); time.Since(start) < redistest.Patience; time.Sleep(50 * time.Millisecond) {
			if strings.Contains(c.Info(t.Context(), "replication").Val(), "role:master") {
				time.Sleep(3 * time.Second)
				w.renewals.Store(0) // enough of them since
				w.reads.Store(0)
				if !eventually(w.enough) {
					return
				}
				masters[0].Resume()
				time.Sleep(time.Second)
				return
			}
		}
		t.Error("the replica did not take over")
	}()
	w.watch(t, b, writer, reader, key, tk, maxStaleness+readTimeout)
}

// replicated returns when the replica of master has all that is there. It writes
// to key.
func replicated(t *testing.T, master *redistest.Server, key string) {
	t.Helper()
	conn := openRedis(t, redisOptions(master.Addr)).Conn() // WAIT is for its own writes
	defer conn.Close()
	if err := conn.Set(t.Context(), key, "", time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Do(t.Context(), "wait", 1, redistest.Patience.Milliseconds()/2).Int(); n != 1 || err != nil {
		t.Fatalf("got %d replicas in step, %v, want 1", n, err)
	}
}
