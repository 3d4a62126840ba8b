package ticketstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore/internal/redistest"
)

// A slotted is a Cluster of two masters, and the one slot that all its users
// are in.
type slotted struct {
	*backend
	from, to *redis.Client
	slot     int
	next     atomic.Int64
}

func newSlotted(t *testing.T) *slotted {
	addrs := redistest.StartCluster(t, 2)
	s := &slotted{backend: (&backend{testClock: &testClock{runs: true}, addrs: addrs, prefix: randomPrefix(), cluster: true}).another(t)}
	s.slot = int(s.client.ClusterKeySlot(t.Context(), fmt.Sprintf("{%02x}", partition(s.subject()))).Val())
	s.from, s.to = openRedis(t, redisOptions(addrs[0])), openRedis(t, redisOptions(addrs[1]))
	if s.slot >= 1<<13 {
		s.from, s.to = s.to, s.from
	}
	return s
}

// subject returns a new user of the slot.
func (s *slotted) subject() string {
	for {
		if subject := fmt.Sprint("user-", s.next.Add(1)); partition(subject) == 0x42 {
			return subject
		}
	}
}

func (s *slotted) move(t *testing.T) {
	t.Helper()
	if err := moveSlot(t.Context(), s.from, s.to, s.slot); err != nil {
		t.Fatal(err)
	}
	s.from, s.to = s.to, s.from
}

// begin begins a move, of nothing yet.
func (s *slotted) begin(t *testing.T) {
	t.Helper()
	id := func(c *redis.Client) string { return c.ClusterMyID(t.Context()).Val() }
	if err := errors.Join(
		s.to.Do(t.Context(), "cluster", "setslot", s.slot, "importing", id(s.from)).Err(),
		s.from.Do(t.Context(), "cluster", "setslot", s.slot, "migrating", id(s.to)).Err(),
	); err != nil {
		t.Fatal(err)
	}
}

// While a slot of thousands of keys moves, its users sign in and out, only
// later, and all is counted.
func TestSlotMovesUnderLoad(t *testing.T) {
	t.Parallel()
	s := newSlotted(t)
	store := s.store(t, RedisConfig{})
	const idle = 3000
	for range idle {
		mustStore(t, s.backend, store, newTicket(s.backend, s.subject()))
	}
	ctx, cancel := context.WithTimeout(s.ctx(t), redistest.Patience) // that of a move on a busy machine
	defer cancel()
	var stop atomic.Bool
	var done, kept, slowest atomic.Int64
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := 0; !stop.Load(); i++ {
				start := time.Now()
				err := visitSlot(ctx, s, store, i+w)
				if err != nil {
					t.Errorf("%d: %v", (i+w)%4, err)
					return
				}
				if (i+w)%4 == 3 {
					kept.Add(1)
				}
				done.Add(1)
				slowest.Store(max(slowest.Load(), int64(time.Since(start))))
			}
		})
	}
	var moving time.Duration
	for range 6 {
		before := done.Load()
		if !eventually(func() bool { return done.Load() > before+100 || t.Failed() }) {
			t.Error("no user is served")
		}
		start := time.Now()
		s.move(t)
		moving += time.Since(start)
	}
	stop.Store(true)
	wg.Wait()
	t.Logf("%d visits, the slowest %v, while a slot of %d keys moved six times, in %v", done.Load(), time.Duration(slowest.Load()), 2*idle, moving)
	want := Counts{Subjects: idle + kept.Load(), Sessions: idle + kept.Load()}
	if got, err := store.Count(s.ctx(t)); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

// visitSlot signs a user in, twice, and ends that in the i-th way; the last is
// to end one session of the two.
func visitSlot(ctx context.Context, s *slotted, store *RedisStore, i int) error {
	subject := s.subject()
	one, other := newTicket(s.backend, subject), newTicket(s.backend, subject)
	key, err := store.Store(ctx, one)
	if err != nil {
		return err
	}
	otherKey, err := store.Store(ctx, other)
	if err != nil {
		return err
	}
	if list, err := store.Sessions(ctx, subject); err != nil || len(list) != 2 {
		return fmt.Errorf("got %d sessions, %w, want 2", len(list), err)
	}
	switch i % 4 {
	case 0:
		err = errors.Join(store.Remove(ctx, key), store.Remove(ctx, otherKey))
	case 1:
		err = errors.Join(store.Revoke(ctx, subject, one.ID), store.Revoke(ctx, subject, other.ID))
	case 2:
		var n int
		if n, err = store.RevokeAll(ctx, subject); err == nil && n != 2 {
			err = fmt.Errorf("RevokeAll ended %d sessions", n)
		}
	case 3:
		var n int
		if n, err = store.RevokeOthers(ctx, subject, one.ID); err == nil && n != 1 {
			err = fmt.Errorf("RevokeOthers ended %d sessions", n)
		}
		err = errors.Join(err, store.Renew(ctx, key, one))
	}
	return err
}

// While the move of a slot stands still, what is all in one place is read,
// renewed and ended as ever; nobody can sign in.
func TestSlotMoveStandsStill(t *testing.T) {
	t.Parallel()
	s := newSlotted(t)
	store := s.store(t, RedisConfig{})
	tk := newTicket(s.backend, s.subject())
	key := mustStore(t, s.backend, store, tk)
	s.begin(t)
	ctx, cancel := context.WithTimeout(s.ctx(t), 500*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := store.Store(ctx, newTicket(s.backend, s.subject())); !redis.HasErrorPrefix(err, "TRYAGAIN") && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Store: got %v, want TRYAGAIN, or the end of its time", err)
	}
	if took := time.Since(start); took < 500*time.Millisecond-2*repeatAfter {
		t.Errorf("Store gave up after %v, before its caller", took)
	}
	if got, err := store.Retrieve(s.ctx(t), key); err != nil || got.Subject != tk.Subject {
		t.Errorf("Retrieve: got %+v, %v", got, err)
	}
	if err := store.Renew(s.ctx(t), key, tk); err != nil {
		t.Errorf("Renew: %v", err)
	}
	if n, err := store.RevokeAll(s.ctx(t), tk.Subject); err != nil || n != 1 {
		t.Errorf("RevokeAll: got %d, %v, want 1", n, err)
	}
	s.move(t)
	mustStore(t, s.backend, store, newTicket(s.backend, s.subject()))
	if got, err := store.Count(s.ctx(t)); err != nil || got != (Counts{1, 1}) {
		t.Errorf("got %+v, %v, want one session", got, err)
	}
}

// A script touches no set again that it has emptied: Redis would abort it half-way
// while the slot moves, and what it has ended would not be told.
func TestSlotMoveStandsStillForEverybody(t *testing.T) {
	t.Parallel()
	s := newSlotted(t)
	for _, cfg := range []RedisConfig{{}, {History: time.Hour}} {
		store := s.store(t, cfg)
		_, cursor, _ := store.Endings(s.ctx(t), "", 0)
		for range 3 {
			subject := s.subject()
			for i := range 3 {
				key := mustStore(t, s.backend, store, newTicket(s.backend, subject))
				if i > 0 {
					continue // they are there; history and stream are, too
				}
				if err := store.Remove(s.ctx(t), key); err != nil {
					t.Fatal(err)
				}
			}
		}
		s.begin(t)
		if n, err := store.RevokeEverybody(s.ctx(t), nil); err != nil || n != 6 {
			t.Errorf("History %v: got %d, %v, want 6", cfg.History, n, err)
		}
		s.move(t)
		if got, err := store.Count(s.ctx(t)); err != nil || got != (Counts{}) {
			t.Errorf("History %v: got %+v, %v, want no session", cfg.History, got, err)
		}
		if cfg.History > 0 {
			if all, _ := readEndings(t, s.backend, store, cursor, 9); len(all) != 9 {
				t.Errorf("got %d endings, want 9", len(all))
			}
		}
		clear := s.from.Del(s.ctx(t), store.markOfAll(0x42))
		if err := clear.Err(); err != nil {
			t.Fatal(err)
		}
	}
}
