package ticketstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore/internal/redischeck"
)

const (
	maxHistory     = 400 * 24 * time.Hour
	maxEndings     = 1000
	endingsBatch   = 16   // endings of a partition that are read at once in a Cluster
	sweepBatch     = 100  // sessions that a script ends, so that others do not wait long
	sweepPage      = 4096 // of which those of a subject are ended together
	maxSweepRounds = 50   // of a partition, by a call that reads endings
	sweepsAtOnce   = 8
)

// telling returns keys and args as a script wants them that tells of endings, if
// there are any to be told: see scripts/telling.lua.
func (s *RedisStore) telling(c cause, p byte, subject string, keys []string, args []any) ([]string, []any) {
	if s.history == 0 {
		return keys, args
	}
	tag := s.tags[p]
	return append(slices.Clip(keys), tag+"ended", tag+"history:"+subject, tag+"begun:"+subject),
		append(slices.Clip(args), s.history.Milliseconds(), c.cause, c.by, s.EndingsChannel())
}

// begins returns how a session begins, as its ending tells it: until when it may
// last, and its ticket without what is of no use once it has ended.
func (s *RedisStore) begins(t *Ticket) (string, error) {
	if s.history == 0 {
		return "", nil
	}
	begun := &Ticket{
		ID: t.ID, Subject: t.Subject, Scheme: t.Scheme, Device: t.Device, Persistent: t.Persistent,
		SignedInAt: t.SignedInAt, AuthenticatedAt: t.AuthenticatedAt, IssuedAt: t.IssuedAt, ExpiresAt: t.ExpiresAt, EndsAt: t.EndsAt,
	}
	if a, ok := t.Actor(); ok {
		begun.Identities = []Identity{{Actor: a.identity()}}
	}
	data, err := s.serializer.Serialize(begun)
	if err == nil {
		data, err = s.seal.sealFor(forEnding, t.ID, t.Subject, data)
	}
	ends := int64(0)
	if !t.EndsAt.IsZero() {
		ends = t.EndsAt.UnixMilli()
	}
	return strconv.FormatInt(ends, 10) + " " + s.seal.mark() + "\n" + string(data), err
}

// EndingsChannel returns the channel of Redis in which the IDs of sessions are
// published as they end, with [RedisConfig].History, those that one script has
// ended in one message, with spaces between: a hint, which may be lost, to look
// sooner.
func (s *RedisStore) EndingsChannel() string { return s.prefix + "ended" }

var errNoHistory = fmt.Errorf("ticketstore: RedisConfig.History is not set: %w", errors.ErrUnsupported)

// sweep ends sessions of a partition, by what its census has of them; if which is
// "expired", only those that have. It returns how many records there were.
func (s *RedisStore) sweep(ctx context.Context, p byte, which string, members []string) (n int, err error) {
	type listed struct {
		position
		member string
	}
	found := make([]listed, 0, len(members))
	for _, one := range members {
		entry, err := parseEntry(int(p), []string{one, "0"})
		if err != nil { // put there by hand: it is no session
			if err := s.client.ZRem(ctx, s.censusKey(p), one).Err(); err != nil {
				return n, err
			}
			continue
		}
		found = append(found, listed{entry, one})
	}
	slices.SortStableFunc(found, func(a, b listed) int { return strings.Compare(a.subject, b.subject) })
	for batch := range slices.Chunk(found, sweepBatch) {
		keys, args := []string{s.censusKey(p)}, []any{which}
		for i, entry := range batch {
			if i == 0 || entry.subject != batch[i-1].subject {
				keys = append(keys, s.indexKeys(p, entry.subject)[0])
				if s.history > 0 {
					keys = append(keys, s.tags[p]+"history:"+entry.subject, s.tags[p]+"begun:"+entry.subject)
				}
			}
			keys = append(keys, s.recordKey(p, entry.id))
			args = append(args, entry.member)
		}
		if s.history > 0 {
			keys = append(keys, s.tags[p]+"ended")
			c := causeIn(ctx, "revoked")
			args = append(args, s.history.Milliseconds(), c.cause, c.by, s.EndingsChannel())
		}
		var cmd *redis.Cmd
		if which == "expired" {
			cmd = s.run(ctx, s.scripts.sweep, keys, args...)
		} else {
			cmd, _ = s.runEnding(ctx, s.scripts.sweep, keys, args...)
		}
		ended, err := cmd.Int()
		if err != nil {
			return n, err
		}
		n += ended
	}
	return n, nil
}

// History returns the sessions of subject that have ended within
// [RedisConfig].History, those that ended last first, up to 1,000. It returns
// [errors.ErrUnsupported] without it.
func (s *RedisStore) History(ctx context.Context, subject string) ([]Ending, error) {
	if s.history == 0 {
		return nil, errNoHistory
	}
	if validateSubject(subject) != nil {
		return nil, nil
	}
	p := partition(subject)
	if _, _, err := s.told(ctx, []byte{p}, endingsCursor{}, 0); err != nil {
		return nil, fmt.Errorf("ticketstore: history: %w", err)
	}
	pipe := s.client.Pipeline()
	entries := pipe.ZRangeArgs(ctx, redis.ZRangeArgs{Key: s.tags[p] + "history:" + subject, Start: 0, Stop: maxEndings - 1, Rev: true})
	redischeck.Exec(ctx, pipe)
	ids, err := entries.Result()
	if err != nil && !redis.HasErrorPrefix(err, "WRONGTYPE") {
		return nil, fmt.Errorf("ticketstore: history: %w", err)
	}
	pipe = s.client.Pipeline()
	cmds := make([]*redis.XMessageSliceCmd, len(ids))
	for i, id := range ids {
		cmds[i] = pipe.XRange(ctx, s.tags[p]+"ended", id, id)
	}
	if len(ids) > 0 {
		redischeck.Exec(ctx, pipe)
	}
	var endings []Ending
	for _, cmd := range cmds {
		found, err := cmd.Result()
		if err != nil {
			return nil, fmt.Errorf("ticketstore: history: %w", err)
		}
		for _, message := range found {
			endings = append(endings, s.ending(message.Values))
		}
	}
	slices.SortStableFunc(endings, func(a, b Ending) int { return b.EndedAt.Compare(a.EndedAt) })
	return endings, nil
}

// Endings returns up to limit endings of all subjects that a cursor has not
// read, limit being 0 to 1,000, and the cursor behind them, of about 3 KB: keep
// that once they are dealt with, and nothing is missed and, if nothing crashes
// in between, nothing comes twice. A cursor of "" begins with the oldest that
// is remembered; with a limit of 0 next is behind all there are. Fewer than limit
// are all there were. Within each of 256 parts of the subjects, endings come in
// the order in which they were told; a session that expires is told of when
// somebody reads, or signs in.
//
// Each reader has a cursor of its own; two processes with one cursor read the
// same. It returns ErrEndingsLost beside the endings if there may have been
// others, [errors.ErrUnsupported] without [RedisConfig].History, and ErrNotFound
// for a cursor that it has not made. A call costs Redis a few milliseconds.
func (s *RedisStore) Endings(ctx context.Context, cursor string, limit int) (endings []Ending, next string, err error) {
	if s.history == 0 {
		return nil, "", errNoHistory
	}
	if limit < 0 || limit > maxEndings {
		return nil, "", fmt.Errorf("ticketstore: endings: limit %d; want 0 to %d", limit, maxEndings)
	}
	at, err := parseEndingsCursor(cursor)
	if err != nil {
		return nil, "", err
	}
	order := make([]byte, partitions)
	for i := range order {
		order[i] = at.first + byte(i)
	}
	endings, at, err = s.told(ctx, order, at, limit)
	if err != nil && !errors.Is(err, ErrEndingsLost) {
		return nil, "", fmt.Errorf("ticketstore: endings: %w", err)
	}
	return endings, at.String(), err
}

// told tells of what has expired in partitions, and reads on from a cursor; all,
// without reading, if limit is 0.
func (s *RedisStore) told(ctx context.Context, order []byte, at endingsCursor, limit int) (endings []Ending, next endingsCursor, err error) {
	var replies []toldReply
	var now int64
	for rounds := maxSweepRounds; ; rounds-- {
		if replies, now, err = s.readEndings(ctx, order, at, limit); err != nil {
			return nil, at, err
		}
		if rounds == 0 {
			break
		}
		some, more, err := s.sweepExpired(ctx, order, replies)
		if err != nil {
			return nil, at, err
		}
		if !some {
			break
		}
		if !more { // what has expired since then is for the next call
			rounds = 1
		}
	}
	lost := at.read > 0 && now-at.read > s.history.Milliseconds()
	next = at
	caughtUp := true
	for i, r := range replies {
		p := order[i]
		seen := at.seen[p]
		switch {
		case r.given == (streamID{}): // nothing was told for as long as is remembered
			lost = lost || now-seen.ms < s.history.Milliseconds()
			seen = streamID{}
		case r.given.before(seen):
			lost = true
			seen = streamID{}
		case limit == 0:
			seen = r.given
		}
		next.seen[p] = seen
		for _, e := range r.entries {
			if len(endings) == limit {
				break
			}
			endings = append(endings, s.ending(e.values))
			next.seen[p], next.first = e.id, p+1
		}
		caughtUp = caughtUp && len(r.entries) < endingsBatch && (limit == 0 || len(endings) < limit)
	}
	if lost || caughtUp || at.read == 0 {
		next.read = now
	}
	if lost {
		err = ErrEndingsLost
	}
	return endings, next, err
}

// sweepExpired tells of what has expired, if there is some, of several partitions
// at once; more is set if there may be more of it.
func (s *RedisStore) sweepExpired(ctx context.Context, order []byte, replies []toldReply) (some, more bool, err error) {
	var group sync.WaitGroup
	errs := make(chan error, len(replies))
	slots := make(chan struct{}, sweepsAtOnce)
	for i, r := range replies {
		if len(r.expired) == 0 {
			continue
		}
		some, more = true, more || len(r.expired) >= sweepBatch
		slots <- struct{}{}
		group.Go(func() {
			_, err := s.sweep(ctx, order[i], "expired", r.expired)
			errs <- err
			<-slots
		})
	}
	group.Wait()
	close(errs)
	for e := range errs {
		err = cmp.Or(err, e)
	}
	return some, more, err
}

type (
	toldReply struct {
		expired []string // members of the census
		given   streamID // the last that was given
		entries []toldEntry
	}
	toldEntry struct {
		id     streamID
		values map[string]any
	}
)

// readEndings calls scripts/endings.lua.
func (s *RedisStore) readEndings(ctx context.Context, order []byte, at endingsCursor, limit int) (replies []toldReply, now int64, err error) {
	var calls [][]string
	var seen [][]any
	for _, p := range order {
		keys, from := []string{s.censusKey(p), s.tags[p] + "ended"}, at.seen[p].String()
		if _, ok := s.client.(*redis.Client); ok && len(calls) > 0 { // whatever the slots
			calls[0], seen[0] = append(calls[0], keys...), append(seen[0], from)
			continue
		}
		calls, seen = append(calls, keys), append(seen, []any{from})
	}
	batch := limit
	if len(calls) > 1 {
		batch = min(limit, endingsBatch)
	}
	cmds, err := runEach(ctx, s.client, endingsScript, calls, func(i int) []any {
		return append([]any{batch, s.history.Milliseconds()}, seen[i]...)
	})
	if err != nil {
		return nil, 0, err
	}
	for i, cmd := range cmds {
		reply, err := cmd.Slice()
		if err != nil || len(reply) != 1+len(seen[i]) {
			return nil, 0, fmt.Errorf("unexpected reply %v", cmd.Val())
		}
		text, _ := reply[0].(string)
		t, _ := strconv.ParseInt(text, 10, 64)
		now = max(now, t)
		for _, one := range reply[1:] {
			r, err := parseTold(one)
			if err != nil {
				return nil, 0, err
			}
			replies = append(replies, r)
		}
	}
	return replies, now, nil
}

func parseTold(reply any) (r toldReply, err error) {
	parts, ok := reply.([]any)
	if !ok || len(parts) != 3 {
		return r, fmt.Errorf("unexpected reply %v", reply)
	}
	for _, one := range asSlice(parts[0]) {
		member, _ := one.(string)
		r.expired = append(r.expired, member)
	}
	if given, _ := parts[1].(string); given != "" {
		if r.given, err = parseStreamID(given); err != nil {
			return r, err
		}
	}
	for _, one := range asSlice(parts[2]) {
		entry := asSlice(one)
		if len(entry) != 2 {
			return r, fmt.Errorf("unexpected entry %v", one)
		}
		text, _ := entry[0].(string)
		e := toldEntry{values: map[string]any{}}
		if e.id, err = parseStreamID(text); err != nil {
			return r, err
		}
		for field := range slices.Chunk(asSlice(entry[1]), 2) {
			if name, ok := field[0].(string); ok && len(field) == 2 {
				e.values[name] = field[1]
			}
		}
		r.entries = append(r.entries, e)
	}
	return r, nil
}

func asSlice(v any) []any {
	s, _ := v.([]any)
	return s
}

// ending returns what an entry of the stream tells.
func (s *RedisStore) ending(values map[string]any) Ending {
	text := func(name string) string {
		v, _ := values[name].(string)
		return v
	}
	id, subject := text("id"), text("subject")
	ms, _ := strconv.ParseFloat(text("at"), 64)
	e := Ending{Cause: text("cause"), By: text("by"), EndedAt: time.UnixMilli(int64(ms)).UTC()}
	e.Session = Session{ID: id, Subject: subject, Undecodable: true}
	sealed, data, _ := strings.Cut(text("began"), "\n")
	began := envelope{sealed: sealed == "s", subject: subject, ticket: []byte(data)}
	if s.seal.openFor(forEnding, id, &began) != nil {
		return e
	}
	if t, err := s.deserialize(id, began); err == nil {
		e.Session = t.Session()
	}
	return e
}
