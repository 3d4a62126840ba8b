package ticketstore

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/ticketstore/ticketstore/internal/clock"
	"github.com/ticketstore/ticketstore/internal/redischeck"
)

// A mark in Redis says when the sessions of a subject, or of everybody, were
// ended. It is there for an hour, and Store refuses what began before it: see
// scripts/mark.lua and scripts/store.lua.

// An ownMark is one that this process has left. Two sign-ins can ignore it: that
// of the request which has left it, as after a change of password; and one that
// began after it here, which the clock of Redis may not tell.
type ownMark struct {
	mark   string
	before string    // what was there before, which they heed
	done   time.Time // when the call that left it was done
}

// over returns m with what was there before it, if that is prev, of prev.
func (m ownMark) over(prev ownMark) ownMark {
	if prev.mark != "" && prev.mark == m.before {
		m.before = prev.before
	}
	return m
}

// A leftMark is one that a request has left.
type leftMark struct {
	subject string
	ownMark
	next *leftMark
}

func (l *leftMark) of(subject string) ownMark {
	for ; l != nil; l = l.next {
		if l.subject == subject {
			return l.ownMark
		}
	}
	return ownMark{}
}

// marksOfProcess is what all stores of a process share: a mark is told from all
// others, whichever of them has left it.
var marksOfProcess ownMarks

// ownMarks are the marks that a process has left lately, by their key in Redis.
type ownMarks struct {
	mu         sync.Mutex
	young, old map[string]ownMark
}

const maxOwnMarks = 1000

func (o *ownMarks) leave(key string, m ownMark) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.young) >= maxOwnMarks || o.young == nil {
		o.young, o.old = map[string]ownMark{}, o.young
	}
	o.young[key] = m.over(o.of(key))
}

func (o *ownMarks) of(key string) ownMark {
	if m, ok := o.young[key]; ok {
		return m
	}
	return o.old[key]
}

// before returns the mark that was left at key, if that was before began.
func (o *ownMarks) before(key string, began time.Time) ownMark {
	o.mu.Lock()
	defer o.mu.Unlock()
	if m := o.of(key); !began.Before(m.done) {
		return m
	}
	return ownMark{}
}

// mark marks that the sessions of subject end.
func (s *RedisStore) mark(ctx context.Context, subject string) error {
	key := s.markKey(partition(subject), subject)
	reply, err := s.run(ctx, markScript, []string{key}, newRevision()).StringSlice()
	if err == nil && len(reply) != 2 {
		err = fmt.Errorf("unexpected reply %q", reply)
	}
	if err != nil {
		return err
	}
	m := ownMark{mark: reply[1], before: reply[0], done: clock.Now(ctx)}
	s.marks.leave(key, m)
	attached(ctx).leave(subject, m)
	return nil
}

// leave notes a mark.
func (res *resolution) leave(subject string, m ownMark) {
	if res = res.outermost(); res == nil {
		return
	}
	for {
		first := res.left.Load()
		if res.left.CompareAndSwap(first, &leftMark{subject, m.over(first.of(subject)), first}) {
			return
		}
	}
}

// leftIn returns the mark that the request of ctx has left for subject.
func leftIn(ctx context.Context, subject string) ownMark {
	if res := attached(ctx).outermost(); res != nil {
		return res.left.Load().of(subject)
	}
	return ownMark{}
}

// underWay is where the arguments of scripts/store.lua say for how long a sign-in
// has been.
const underWay = 8

var errRevokedMeanwhile = fmt.Errorf("%w: the subject's sessions were revoked while this one was under way", ErrConflict)

// markedWithin reports whether a sign-in, of which since says in ms for how long
// there had been a mark when it began, may have begun before that, as far as the
// clock of Redis can tell from here: its call took that long.
func markedWithin(since string, took time.Duration) bool {
	ms, err := strconv.ParseInt(since, 10, 64)
	return err == nil && took > 0 && ms <= ceilMilliseconds(took)
}

// noMarks returns an error if there is a mark but own.
func (s *RedisStore) noMarks(ctx context.Context, p byte, subject string, own ownMark) error {
	pipe := s.client.Pipeline()
	marks := pipe.MGet(ctx, s.markKey(p, subject), s.markOfAll(p))
	redischeck.Exec(ctx, pipe)
	there, err := marks.Result()
	if err != nil {
		return fmt.Errorf("ticketstore: store: %w", err)
	}
	for _, mark := range there {
		if mark != nil && (mark != own.mark || own.before != "") {
			return errRevokedMeanwhile
		}
	}
	return nil
}

func ceilMilliseconds(d time.Duration) int64 {
	return int64((max(0, d) + time.Millisecond - 1) / time.Millisecond)
}

func (s *RedisStore) markKey(partition byte, subject string) string {
	return s.tags[partition] + "revoked:" + subject
}

// markOfAll is the mark of all sessions of a partition.
func (s *RedisStore) markOfAll(partition byte) string { return s.tags[partition] + "revoked" }
