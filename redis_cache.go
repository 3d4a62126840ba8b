package ticketstore

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore/internal/redischeck"
)

// maxWritten bounds the IDs that recentWrites remembers, some 40 bytes each.
const maxWritten = 100_000

// recentWrites knows what this process is writing, and what it has written in
// the last window, which is at least as long as the client's cache can go on
// with an answer from before: such a record is read past the cache. Beyond
// maxWritten it remembers [uuid.Nil], which stands for all records.
type recentWrites struct {
	window time.Duration

	mu         sync.RWMutex
	open       map[uuid.UUID]int // how many writes are under way
	young, old map[uuid.UUID]struct{}
	turned     time.Time // when young was begun
	last       time.Time // when the last write ended
}

// begin says that a script which declares keys is about to be sent, and returns
// what says that it has ended, however it has. The records among them begin
// with as many bytes as tag has. A nil recentWrites does nothing.
func (w *recentWrites) begin(tag string, keys []string) (end func()) {
	if w == nil {
		return func() {}
	}
	var ids []uuid.UUID
	for _, key := range keys {
		if id, err := uuid.Parse(key[len(tag):]); err == nil {
			ids = append(ids, id)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turn(time.Now())
	if len(w.open)+len(w.young)+len(w.old)+len(ids) > maxWritten {
		ids = []uuid.UUID{uuid.Nil}
	}
	if w.open == nil {
		w.open = make(map[uuid.UUID]int)
	}
	for _, id := range ids {
		w.open[id]++
	}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		now := time.Now()
		w.turn(now)
		w.last = now
		for _, id := range ids {
			if w.open[id]--; w.open[id] == 0 {
				delete(w.open, id)
			}
			w.young[id] = struct{}{}
		}
	}
}

// turn forgets what ended before the window, if that is due.
func (w *recentWrites) turn(now time.Time) {
	if now.Sub(w.last) > w.window {
		w.young, w.old = nil, nil
	}
	if w.young == nil || now.Sub(w.turned) > w.window {
		w.young, w.old, w.turned = make(map[uuid.UUID]struct{}), w.young, now
	}
}

// has reports whether the record of id is not to be read from the cache.
func (w *recentWrites) has(id uuid.UUID) bool {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if len(w.open) > 0 && w.open[id]+w.open[uuid.Nil] > 0 {
		return true
	}
	if len(w.young)+len(w.old) == 0 || time.Since(w.last) > w.window {
		return false
	}
	for _, ended := range [...]map[uuid.UUID]struct{}{w.young, w.old} {
		for _, id := range [...]uuid.UUID{id, uuid.Nil} {
			if _, ok := ended[id]; ok {
				return true
			}
		}
	}
	return false
}

// pastCache has Redis itself answer a command that only reads: go-redis answers
// no pipeline from its cache.
func (s *RedisStore) pastCache(ctx context.Context, command func(redis.Cmdable)) {
	if s.writes == nil {
		command(s.client)
		return
	}
	pipe := s.client.Pipeline()
	command(pipe)
	redischeck.Exec(ctx, pipe)
}

// getPastCache is client.Get, but go-redis keeps no answers for a *string.
func getPastCache(ctx context.Context, client redis.UniversalClient, key string) (string, error) {
	cmd := redis.NewStringCmd(ctx, "get", &key)
	_ = client.Process(ctx, cmd) // the error is cmd's, too
	return cmd.Result()
}

type freshKey struct{}

// fresh returns a copy of r for which no cache answers.
func fresh(r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), freshKey{}, true))
}

func isFresh(ctx context.Context) bool { return ctx.Value(freshKey{}) != nil }
