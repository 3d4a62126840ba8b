package faults

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	mathrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/redistest"
)

var (
	operations = flag.Int("ops", 100_000, "how many operations to check, a quarter of them in each mode and a quarter with faults")
	seed       = flag.Uint64("seed", 0, "of what happens, and of the first simulation; random if 0")
)

// seeded returns the seed, which it logs.
func seeded(t *testing.T) uint64 {
	if *seed == 0 {
		*seed = mathrand.Uint64()
	}
	t.Logf("-seed %d", *seed)
	return *seed
}

const lanes = 4

// linear runs lanes until they have seen enough, and checks what they saw. wrap,
// if not nil, is what the first process of each lane uses instead of its store;
// meanwhile, what happens until done.
func linear(t *testing.T, first order, enough func(seen int) bool, wrap func(*lane) sessionStore, meanwhile func(done <-chan struct{})) (seen int, counts map[string]int, err error) {
	t.Helper()
	seed := seeded(t)
	stale := time.Duration(0)
	if first.Mode == cached {
		stale = staleness
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	var total atomic.Int64
	var mu sync.Mutex
	counts = map[string]int{}
	var group sync.WaitGroup
	for i := range lanes {
		l := openLane(t, first)
		if wrap != nil {
			l.store = wrap(l)
		}
		group.Go(func() {
			for n := 0; !enough(int(total.Load())) && ctx.Err() == nil; n++ {
				user := fmt.Sprintf("user-%d-%d", i, n)
				history, err := l.round(ctx, user, seed+uint64(i)<<32+uint64(2*n))
				if err == nil {
					err = linearizable(history, stale)
				}
				if err != nil {
					cancel(fmt.Errorf("%s: %w", user, err))
					return
				}
				total.Add(int64(len(history)))
				mu.Lock()
				for _, o := range history {
					counts[string(o.Kind)+": "+string(o.Result)]++
				}
				mu.Unlock()
			}
		})
	}
	if meanwhile != nil {
		done := make(chan struct{})
		go func() {
			group.Wait()
			close(done)
		}()
		meanwhile(done)
	}
	group.Wait()
	return int(total.Load()), counts, context.Cause(ctx)
}

func atLeast(n int) func(int) bool { return func(seen int) bool { return seen >= n } }

// want checks that the outcomes that make a history worth checking came.
func want(t *testing.T, counts map[string]int, outcomes ...string) {
	t.Helper()
	for _, o := range outcomes {
		if counts[o] == 0 {
			t.Errorf("%s never came: the test looks at too little", o)
		}
	}
}

func TestLinearizable(t *testing.T) {
	for _, m := range []mode{direct, batched, cached, sealed} {
		t.Run(string(m), func(t *testing.T) {
			server := redistest.Start(t)
			seen, counts, err := linear(t, order{Mode: m, Addr: server.Addr, Prefix: rand.Text() + "-", Patience: redistest.Patience}, atLeast(*operations/4), nil, nil)
			t.Logf("%d operations: %v", seen, counts)
			if err != nil {
				t.Fatal(err)
			}
			note(string(m), seen, counts, nil)
			want(t, counts, "Store: ok", "Retrieve: ok", "Retrieve: not found", "Renew: ok", "Renew: conflict", "Renew: not found",
				"Rotate: ok", "Rotate: conflict", "Remove: ok", "Revoke: ok", "Revoke: not found", "RevokeAll: ok", "Session: ok", "Session: not found")
			for outcome := range counts {
				if outcome == "Retrieve: "+string(unknown) {
					t.Errorf("the store could not answer, without faults")
				}
			}
		})
	}
}

// Histories that no store may have are found.
func TestFindsViolations(t *testing.T) {
	for name, wrap := range map[string]func(*lane) sessionStore{
		"a renewal creates":            func(l *lane) sessionStore { return upsert{l.store, l} },
		"a late repetition of Store":   func(l *lane) sessionStore { return repeated{l.store, l} },
		"an ending that ended nothing": func(l *lane) sessionStore { return kept{l.store} },
		"a renewal of what is stale":   func(l *lane) sessionStore { return blind{l.store, l} },
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t)
			start := time.Now()
			seen, counts, err := linear(t, order{Mode: direct, Addr: server.Addr, Prefix: rand.Text() + "-", Patience: redistest.Patience}, atLeast(*operations/4), wrap, nil)
			if err == nil {
				t.Fatalf("%d operations, and nothing found: %v", seen, counts)
			}
			t.Logf("found after %d operations and %v", seen, time.Since(start).Round(time.Millisecond))
		})
	}
}

// record returns what Redis has of a session, by its key's ID.
func (l *lane) record(ctx context.Context, id string) (key, value string) {
	keys := l.client.Scan(ctx, 0, l.Prefix+"*"+id, 1000).Iterator()
	for keys.Next(ctx) {
		key = keys.Val()
		value = l.client.Get(ctx, key).Val()
	}
	return key, value
}

// upsert writes the record again that a renewal found gone.
type upsert struct {
	sessionStore
	lane *lane
}

func (s upsert) Renew(ctx context.Context, key ticketstore.Key, t *ticketstore.Ticket) error {
	name, before := s.lane.record(ctx, t.ID)
	err := s.sessionStore.Renew(ctx, key, t)
	if err != nil && before != "" {
		s.lane.client.SetNX(ctx, name, before, time.Hour)
	}
	return err
}

// repeated writes the record again that Remove has ended.
type repeated struct {
	sessionStore
	lane *lane
}

func (s repeated) Remove(ctx context.Context, key ticketstore.Key) error {
	t, err := s.Retrieve(ctx, key)
	if err != nil {
		return nil
	}
	name, before := s.lane.record(ctx, t.ID)
	err = s.sessionStore.Remove(ctx, key)
	if before != "" {
		s.lane.client.SetNX(ctx, name, before, time.Hour)
	}
	return err
}

// kept says that it has revoked what it has left.
type kept struct{ sessionStore }

func (s kept) RevokeAll(context.Context, string) (int, error) { return 0, nil }

// blind renews whatever is there.
type blind struct {
	sessionStore
	lane *lane
}

func (s blind) Renew(ctx context.Context, key ticketstore.Key, t *ticketstore.Ticket) error {
	now, err := s.Retrieve(ctx, key)
	if err == nil && now.Revision != "" {
		t.Revision = now.Revision
	}
	return s.sessionStore.Renew(ctx, key, t)
}
