package ticketstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore/internal/clock"
	"github.com/ticketstore/ticketstore/internal/redischeck"
)

// endingHints tells those who listen which sessions may have ended: those whose
// records this process has written, and with History what Redis publishes, by one
// subscription for all of them.
type endingHints struct {
	some atomic.Bool // somebody listens

	mu        sync.Mutex
	listeners map[*listener]struct{}
	pubsub    *redis.PubSub // nil without History
}

type listener struct{ hint func(ids []string) }

// listen implements liveStore.
func (s *RedisStore) listen(hint func(ids []string)) (stop func()) {
	h := &s.hints
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.listeners) == 0 {
		h.listeners = map[*listener]struct{}{}
		h.some.Store(true)
		if s.history > 0 {
			h.pubsub = s.client.Subscribe(context.Background()) // to nothing yet, which contacts nobody
			go h.receive(h.pubsub, s.EndingsChannel())
		}
	}
	l := &listener{hint}
	h.listeners[l] = struct{}{}
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.listeners, l)
		if len(h.listeners) > 0 {
			return
		}
		h.some.Store(false)
		if h.pubsub != nil {
			go h.pubsub.Close() // which waits while it connects
			h.pubsub = nil
		}
	}
}

// receive passes on what is published. go-redis subscribes anew when its
// connection fails; what was published meanwhile is lost.
func (h *endingHints) receive(pubsub *redis.PubSub, channel string) {
	_ = pubsub.Subscribe(context.Background(), channel) // it is tried again below
	for received := range pubsub.ChannelWithSubscriptions() {
		switch m := received.(type) {
		case *redis.Message:
			h.tell(strings.Fields(m.Payload))
		case *redis.Subscription:
			h.tell(nil)
		}
	}
}

// tell has sessions read that may have ended; with nil, all.
func (h *endingHints) tell(ids []string) {
	h.mu.Lock()
	listeners := slices.Collect(maps.Keys(h.listeners))
	h.mu.Unlock()
	for _, l := range listeners {
		l.hint(ids)
	}
}

// recordsAmong returns the sessions whose records are among keys, which begin
// with as many bytes as tag has; never nil.
func recordsAmong(tag string, keys []string) []string {
	ids := []string{}
	for _, key := range keys {
		if id := key[len(tag):]; uuid.Validate(id) == nil {
			ids = append(ids, id)
		}
	}
	return ids
}

// readSessions implements liveStore. It is one pipeline of a GET for each; for a
// record that cannot be read, Session tells.
func (s *RedisStore) readSessions(ctx context.Context, refs []sessionRef) []sessionAnswer {
	pipe := s.client.Pipeline()
	records := make([]*redis.StringCmd, len(refs))
	for i, ref := range refs {
		records[i] = pipe.Get(ctx, s.recordKey(partition(ref.subject), ref.id))
	}
	redischeck.Exec(ctx, pipe)
	now := clock.Now(ctx)
	answers := make([]sessionAnswer, len(refs))
	for i, ref := range refs {
		a := &answers[i]
		data, err := records[i].Bytes()
		switch {
		case errors.Is(err, redis.Nil):
			a.err = ErrNotFound
			continue
		case err != nil && !redis.HasErrorPrefix(err, "WRONGTYPE"):
			a.err = fmt.Errorf("ticketstore: session %s: %w", ref.id, err)
			continue
		}
		a.session = s.session(ref.subject, ref.id, data, time.Time{})
		if a.session.Undecodable {
			a.session, a.err = s.Session(ctx, ref.subject, ref.id)
		} else if !now.Before(a.session.ExpiresAt) {
			a.err = ErrNotFound
		}
	}
	return answers
}
