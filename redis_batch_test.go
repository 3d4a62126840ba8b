package ticketstore

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore/internal/redistest"
)

// A trip is something that reads have under way. It waits at a gate for an
// error, or nil, to go on.
type trip struct {
	ctx   context.Context
	reads int
	batch bool
	on    chan error
}

// A gate is a hook that stops whatever reads.
type gate chan trip

var errPanic = errors.New("panic")

func (g gate) stop(ctx context.Context, cmds []redis.Cmder, batch bool) error {
	if cmds[0].Name() != "get" {
		return nil
	}
	t := trip{ctx, len(cmds), batch, make(chan error, 1)}
	g <- t
	err := <-t.on
	if err == errPanic {
		panic(err)
	}
	return err
}

func (g gate) DialHook(next redis.DialHook) redis.DialHook { return next }

func (g gate) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if err := g.stop(ctx, []redis.Cmder{cmd}, false); err != nil {
			return err
		}
		return next(ctx, cmd)
	}
}

func (g gate) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if err := g.stop(ctx, cmds, true); err != nil {
			return err
		}
		return next(ctx, cmds)
	}
}

// gated is a store that reads in batches, through a gate.
type gated struct {
	*backend
	t     testing.TB
	gate  gate
	store *RedisStore
	keys  []Key // of sessions of one user
	ids   []string
	wg    sync.WaitGroup
	trips []trip
}

func newGated(t testing.TB, b *backend) *gated {
	b = b.another(t)
	g := &gated{backend: b, t: t, gate: make(gate), store: b.store(t, RedisConfig{BatchReads: true})}
	g.store.batcher.maxStall = time.Hour // a busy machine is not stalled
	for range 8 {
		tk := newTicket(b, "alice")
		g.keys = append(g.keys, mustStore(t, b, g.store, tk))
		g.ids = append(g.ids, tk.ID)
	}
	b.client.AddHook(g.gate)
	t.Cleanup(g.open)
	return g
}

// open lets everything go, if the test has not.
func (g *gated) open() {
	for _, trip := range g.trips {
		select {
		case trip.on <- nil:
		default:
		}
	}
	done := make(chan struct{})
	go func() {
		g.wg.Wait()
		close(done)
	}()
	for {
		select {
		case trip := <-g.gate:
			trip.on <- nil
		case <-done:
			return
		}
	}
}

// read begins n reads, which all have to be answered in the end.
func (g *gated) read(n int) {
	for i := range n {
		i %= len(g.keys)
		g.wg.Go(func() {
			if tk, err := g.store.Retrieve(g.ctx(g.t), g.keys[i]); err != nil || tk.ID != g.ids[i] {
				g.t.Errorf("got %+v, %v, want session %s", tk, err, g.ids[i])
			}
		})
	}
}

// arrives returns the next trip at the gate, which has to be so.
func (g *gated) arrives(reads int, batch bool) trip {
	g.t.Helper()
	select {
	case trip := <-g.gate:
		g.trips = append(g.trips, trip)
		if trip.reads != reads || trip.batch != batch {
			g.t.Fatalf("got %d reads under way, in a batch: %v; want %d, %v", trip.reads, trip.batch, reads, batch)
		}
		return trip
	case <-time.After(redistest.Patience):
		g.t.Fatal("nothing is under way")
		return trip{}
	}
}

// alone begins n reads, each of which has to go alone.
func (g *gated) alone(n int) (trips []trip) {
	g.t.Helper()
	g.read(n)
	for range n {
		trips = append(trips, g.arrives(1, false))
	}
	return trips
}

// gathers begins n reads, which have to gather.
func (g *gated) gathers(n int) {
	g.t.Helper()
	g.read(n)
	g.wantGathered(n)
}

func (g *gated) wantGathered(n int) {
	g.t.Helper()
	if !eventually(func() bool { _, gathered := g.count(); return gathered == n }) {
		_, gathered := g.count()
		g.t.Fatalf("got %d reads gathered, want %d", gathered, n)
	}
}

func (g *gated) wantUnderWay(n int) {
	g.t.Helper()
	if !eventually(func() bool { underWay, _ := g.count(); return underWay == n }) {
		underWay, _ := g.count()
		g.t.Fatalf("got %d reads and batches under way, want %d", underWay, n)
	}
}

// count returns how much is under way, and how many reads have gathered.
func (g *gated) count() (underWay, gathered int) {
	b := g.store.batcher
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, node := range b.nodes {
		underWay += node.underWay
		if node.gathering != nil {
			gathered += node.gathering.pipe.Len()
		}
	}
	return underWay, gathered
}

// rests waits for all reads, and checks that nothing is left of them.
func (g *gated) rests() {
	g.t.Helper()
	g.wg.Wait()
	idle := func() bool {
		g.store.batcher.mu.Lock()
		defer g.store.batcher.mu.Unlock()
		return len(g.store.batcher.nodes) == 0
	}
	if !eventually(idle) {
		g.t.Error("all reads are answered, but something is under way")
	}
}

// Few reads go alone, many together.
func TestBatchReads(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		g := newGated(t, b)
		for range 3 {
			g.alone(1)[0].on <- nil
			g.rests()
		}
		alone := g.alone(maxAlone)
		g.gathers(5)
		alone[0].on <- nil
		batch := g.arrives(5, true)
		// Now one batch at a time does.
		g.gathers(3)
		for i, trip := range []trip{batch, alone[1], alone[2]} {
			trip.on <- nil
			g.wantUnderWay(3 - i)
			g.wantGathered(3) // no second batch goes
		}
		alone[3].on <- nil
		batch = g.arrives(3, true)
		// A read is better off alone than in a batch by itself.
		g.gathers(1)
		batch.on <- nil
		single := g.arrives(1, true)
		alone = g.alone(2*maxAlone - 1)
		// A full batch goes at once.
		g.gathers(maxBatchedReads - 1)
		g.read(1)
		full := g.arrives(maxBatchedReads, true)
		g.gathers(2)
		for _, trip := range append(alone, single, full) {
			trip.on <- nil
		}
		g.arrives(2, true).on <- nil
		g.rests()
	})
}

// A read waits no longer than its context allows, whatever is under way, and a
// batch is under way as long as any of its reads may be.
func TestBatchedReadDeadline(t *testing.T) {
	g := newGated(t, miniBackend(t))
	within := func(d time.Duration) (context.Context, context.CancelFunc) {
		return context.WithTimeout(g.ctx(t), d)
	}
	gather := func(ctx context.Context) chan error {
		got := make(chan error, 1)
		g.wg.Go(func() {
			_, err := g.store.Retrieve(ctx, g.keys[0])
			got <- err
		})
		return got
	}
	ends := func(read chan error, want error) {
		t.Helper()
		select {
		case err := <-read:
			if !errors.Is(err, want) || errors.Is(err, ErrNotFound) {
				t.Errorf("got %v, want %v", err, want)
			}
		case <-time.After(redistest.Patience):
			t.Fatalf("it goes on after %v", want)
		}
	}
	alone := g.alone(maxAlone)
	short, cancel := within(time.Millisecond)
	defer cancel()
	long, hangUp := within(time.Hour)
	early, late := gather(short), gather(long)
	ends(early, context.DeadlineExceeded)
	g.wantGathered(2)
	hangUp()
	ends(late, context.Canceled)
	alone[0].on <- nil
	batch := g.arrives(2, true)
	want, _ := long.Deadline()
	if got, ok := batch.ctx.Deadline(); !ok || !got.Equal(want) || batch.ctx.Err() != nil {
		t.Errorf("got a batch until %v, %v, want until %v", got, batch.ctx.Err(), want)
	}
	g.gathers(1) // without a deadline
	short, cancel = within(time.Millisecond)
	defer cancel()
	early = gather(short)
	g.wantGathered(2)
	ends(early, context.DeadlineExceeded)
	for _, trip := range append(alone[1:], batch) {
		trip.on <- nil
	}
	batch = g.arrives(2, true)
	if got, ok := batch.ctx.Deadline(); ok {
		t.Errorf("got a batch until %v, want one without end", got)
	}
	batch.on <- nil
	g.rests()
}

// If nothing comes back any more, reads go as if nothing were under way: what
// hangs may be one connection.
func TestBatchedReadsStall(t *testing.T) {
	g := newGated(t, miniBackend(t))
	stuck := g.alone(maxAlone)
	g.gathers(2)
	g.store.batcher.maxStall = 0
	fresh := g.alone(1)
	g.store.batcher.maxStall = time.Hour
	// What was stuck comes in the end, and changes nothing.
	for _, trip := range stuck {
		trip.on <- nil
	}
	g.arrives(2, true).on <- nil
	g.wantUnderWay(1)
	fresh = append(fresh, g.alone(maxAlone-1)...)
	g.gathers(2)
	for _, trip := range fresh {
		trip.on <- nil
	}
	g.arrives(2, true).on <- nil
	g.rests()
}

// A node of a Cluster that does not answer holds up no other.
func TestBatchedReadsOfOtherNodes(t *testing.T) {
	g := newGated(t, clusterBackend(t))
	elsewhere := ""
	cluster := g.client.(*redis.ClusterClient)
	master := func(subject string) *redis.Client {
		c, err := cluster.MasterForKey(t.Context(), g.store.recordKey(partition(subject), ""))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for i := 0; elsewhere == "" || master(elsewhere) == master("alice"); i++ {
		elsewhere = fmt.Sprint("bob-", i)
	}
	tk := newTicket(g.backend, elsewhere)
	key := mustStore(t, g.backend, g.store, tk)
	stuck := g.alone(maxAlone)
	g.gathers(3)
	g.wg.Go(func() {
		if got, err := g.store.Retrieve(g.ctx(t), key); err != nil || got.ID != tk.ID {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	g.arrives(1, false).on <- nil
	for _, trip := range stuck {
		trip.on <- nil
	}
	g.arrives(3, true).on <- nil
	g.rests()
}

// What a hook says to a batch is said to each read in it; one that panics
// panics where the read was called.
func TestBatchedReadsMeetAHook(t *testing.T) {
	for name, verdict := range map[string]error{"error": errOut, "panic": errPanic} {
		t.Run(name, func(t *testing.T) {
			g := newGated(t, miniBackend(t))
			alone := g.alone(maxAlone)
			got := make(chan any, 2)
			for range cap(got) {
				g.wg.Go(func() {
					defer func() {
						if p := recover(); p != nil {
							got <- p
						}
					}()
					_, err := g.store.Retrieve(g.ctx(t), g.keys[0])
					got <- err
				})
			}
			g.wantGathered(cap(got))
			alone[0].on <- nil
			g.arrives(cap(got), true).on <- verdict
			for range cap(got) {
				if err, ok := (<-got).(error); !ok || !errors.Is(err, verdict) || errors.Is(err, ErrNotFound) || errors.Is(err, ErrUndecodable) {
					t.Errorf("got %v, want %v", err, verdict)
				}
			}
			for _, trip := range alone[1:] {
				trip.on <- nil
			}
			g.rests()
		})
	}
}

// Under load, each read gets its own session, and none that had ended when it
// was called.
func TestBatchedReadsUnderLoad(t *testing.T) {
	const readers, rounds = 32, 100
	eachBackend(t, func(t *testing.T, b *backend) {
		b, other := b.another(t), b.another(t)
		count := &counter{n: map[string]int{}}
		b.client.AddHook(count)
		s, theirs := b.store(t, RedisConfig{BatchReads: true}), other.store(t, RedisConfig{})
		var wg sync.WaitGroup
		var enough atomic.Bool
		for i := range readers {
			tk := newTicket(b, fmt.Sprint("user-", i))
			key := mustStore(t, b, s, tk)
			wg.Go(func() {
				for !enough.Load() {
					if got, err := s.Retrieve(b.ctx(t), key); err != nil || got.ID != tk.ID {
						t.Errorf("got %+v, %v, want session %s", got, err, tk.ID)
						return
					}
				}
			})
		}
		for range rounds {
			tk := newTicket(b, "alice")
			key := mustStore(t, b, s, tk)
			if got, err := s.Retrieve(b.ctx(t), key); err != nil || got.ID != tk.ID {
				t.Errorf("got %+v, %v, want session %s", got, err, tk.ID)
			}
			if err := theirs.Revoke(b.ctx(t), "alice", tk.ID); err != nil {
				t.Error(err)
			}
			if got, err := s.Retrieve(b.ctx(t), key); !errors.Is(err, ErrNotFound) {
				t.Errorf("after its end: got %+v, %v, want ErrNotFound", got, err)
			}
		}
		enough.Store(true)
		wg.Wait()
		count.mu.Lock()
		defer count.mu.Unlock()
		if count.n["pipeline"] < rounds {
			t.Errorf("got %d batches: the test looks at too little", count.n["pipeline"])
		}
	})
}

// Whatever happens to a Redis under load, a read ends when its context does, is
// never taken for an answer, and leaves nothing behind.
func TestBatchedReadsThroughOutages(t *testing.T) {
	const readers, timeout = 32, 100 * time.Millisecond
	server := redistest.Start(t, "--appendonly", "yes")
	b := (&backend{testClock: &testClock{}, addrs: []string{server.Addr}, prefix: randomPrefix()}).another(t)
	s := b.store(t, RedisConfig{BatchReads: true})
	before := runtime.NumGoroutine()
	var wg sync.WaitGroup
	var enough atomic.Bool
	var read, failed atomic.Int64
	for i := range readers {
		tk := newTicket(b, fmt.Sprint("user-", i))
		key := mustStore(t, b, s, tk)
		wg.Go(func() {
			for !enough.Load() {
				ctx, cancel := context.WithTimeout(b.ctx(t), timeout)
				begun := time.Now()
				got, err := s.Retrieve(ctx, key)
				if d := time.Since(begun); d > redistest.Patience/4 {
					t.Errorf("a read with %v to go took %v", timeout, d)
				}
				cancel()
				switch {
				case err == nil && got.ID == tk.ID:
					read.Add(1)
				case err == nil, errors.Is(err, ErrNotFound), errors.Is(err, ErrUndecodable):
					t.Errorf("got %+v, %v, want session %s or an error of its own", got, err, tk.ID)
					return
				default:
					failed.Add(1)
					time.Sleep(time.Millisecond) // or it spins while nobody listens
				}
			}
		})
	}
	more := func(n *atomic.Int64, what string) {
		t.Helper()
		want := n.Load() + 3*readers
		if !eventually(func() bool { return n.Load() >= want }) {
			t.Errorf("%s: it does not go on", what)
		}
	}
	more(&read, "at first")
	server.Pause()
	more(&failed, "paused")
	server.Resume()
	more(&read, "resumed")
	for range 20 {
		killer := redis.NewClient(redisOptions(server.Addr))
		if err := killer.ClientKillByFilter(t.Context(), "TYPE", "normal", "SKIPME", "yes").Err(); err != nil {
			t.Error(err)
		}
		killer.Close()
	}
	more(&read, "with its connections closed")
	server.Stop()
	more(&failed, "stopped")
	server.Restart()
	more(&read, "restarted")
	enough.Store(true)
	wg.Wait()
	if !eventually(func() bool {
		s.batcher.mu.Lock()
		defer s.batcher.mu.Unlock()
		return len(s.batcher.nodes) == 0 && runtime.NumGoroutine() <= before
	}) {
		t.Errorf("got %d goroutines, %d before", runtime.NumGoroutine(), before)
	}
}
