package ticketstore

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore/internal/clock"
	"github.com/ticketstore/ticketstore/internal/lostreply"
	"github.com/ticketstore/ticketstore/internal/redischeck"
)

const (
	partitions  = 256
	scanPage    = 1000 // members that a ZSCAN looks at
	scriptBatch = 100  // records that a script ends, so that others do not wait long

	// lastToExpire is added to the expiry, in the census, of the session of
	// each subject that expires last.
	lastToExpire = 100_000_000_000_000
)

// Sessions implements [SessionIndex]. It takes two round trips; more for more
// than 16 sessions, which it reads a megabyte or so at a time; one where some
// cannot be read, and one to repair the index where records have been deleted
// by hand.
func (s *RedisStore) Sessions(ctx context.Context, subject string) ([]Session, error) {
	if validateSubject(subject) != nil {
		return nil, nil
	}
	p := partition(subject)
	keys := s.indexKeys(p, subject)
	ids, err := s.listed(ctx, keys, subject, after(clock.Now(ctx)))
	if err != nil {
		return nil, fmt.Errorf("ticketstore: sessions: %w", err)
	}
	// IDs are UUIDv7: the newest sign-in has the greatest.
	slices.SortFunc(ids, func(a, b string) int { return strings.Compare(b, a) })
	found := make([]position, len(ids))
	for i, id := range ids {
		found[i] = position{partition: int(p), id: id, subject: subject}
	}
	sessions, gone, err := s.read(ctx, found)
	if err == nil {
		sessions, err = s.expiries(ctx, keys[0], sessions)
	}
	if err != nil {
		return nil, fmt.Errorf("ticketstore: sessions: %w", err)
	}
	for ids := range slices.Chunk(gone, scriptBatch) {
		keys, args := s.telling(cause{}, p, subject, s.withRecords(keys, p, ids), appendIDs([]any{subject}, ids))
		if err := s.run(ctx, s.scripts.prune, keys, args...).Err(); err != nil {
			return nil, fmt.Errorf("ticketstore: sessions: %w", err)
		}
	}
	return sessions, nil
}

// listed returns the sessions in an index that expire at from or later. Their
// expiries, which Redis would have to write out, are left out: they would take
// it six times as long. If something else is there in place of the index, a
// script first puts that right.
func (s *RedisStore) listed(ctx context.Context, keys []string, subject, from string) ([]string, error) {
	read := func() ([]string, error) {
		var ids *redis.StringSliceCmd
		s.pastCache(ctx, func(c redis.Cmdable) {
			ids = c.ZRangeArgs(ctx, redis.ZRangeArgs{Key: keys[0], Start: from, Stop: "+inf", ByScore: true})
		})
		return ids.Result()
	}
	ids, err := read()
	if redis.HasErrorPrefix(err, "WRONGTYPE") {
		keys, args := s.telling(cause{}, partition(subject), subject, keys, []any{subject})
		if err := s.run(ctx, s.scripts.prune, keys, args...).Err(); err != nil {
			return nil, err
		}
		return read()
	}
	return ids, err
}

// expiries returns the sessions that are live, once it knows from the index
// when those expire whose tickets do not say.
func (s *RedisStore) expiries(ctx context.Context, index string, sessions []Session) ([]Session, error) {
	var silent []*Session
	for i := range sessions {
		if sessions[i].Undecodable {
			silent = append(silent, &sessions[i])
		}
	}
	for batch := range slices.Chunk(silent, maxSessionPage) {
		ids := make([]string, len(batch))
		for i, sess := range batch {
			ids[i] = sess.ID
		}
		var found *redis.FloatSliceCmd
		s.pastCache(ctx, func(c redis.Cmdable) { found = c.ZMScore(ctx, index, ids...) })
		scores, err := found.Result()
		if err != nil {
			return nil, err
		}
		for i, sess := range batch {
			sess.ExpiresAt = time.UnixMilli(int64(scores[i])) // 1970 if it has ended
		}
	}
	now := clock.Now(ctx)
	return slices.DeleteFunc(sessions, func(sess Session) bool { return !now.Before(sess.ExpiresAt) }), nil
}

// Session implements [SessionIndex]. It takes one round trip.
func (s *RedisStore) Session(ctx context.Context, subject, id string) (Session, error) {
	if validateSubject(subject) != nil || !isSessionID(id) {
		return Session{}, ErrNotFound
	}
	p := partition(subject)
	pipe := s.client.Pipeline()
	record := pipe.Get(ctx, s.recordKey(p, id))
	score := pipe.ZScore(ctx, s.indexKeys(p, subject)[0], id)
	redischeck.Exec(ctx, pipe)
	for _, err := range []error{record.Err(), score.Err()} {
		// Another type there, put by hand, says as little as nothing there.
		if err != nil && !errors.Is(err, redis.Nil) && !redis.HasErrorPrefix(err, "WRONGTYPE") {
			return Session{}, fmt.Errorf("ticketstore: session %s: %w", id, err)
		}
	}
	if errors.Is(record.Err(), redis.Nil) {
		return Session{}, ErrNotFound
	}
	data, _ := record.Bytes()
	sess := s.session(subject, id, data, time.UnixMilli(int64(score.Val())))
	// A stranger's record in this partition, or an expired one.
	if sess.Undecodable && score.Err() != nil || !clock.Now(ctx).Before(sess.ExpiresAt) {
		return Session{}, ErrNotFound
	}
	return sess, nil
}

// session returns record as a Session of subject; expiry is what the index
// says of it.
func (s *RedisStore) session(subject, id string, record []byte, expiry time.Time) Session {
	e, err := parseEnvelope(record)
	var t *Ticket
	if err == nil {
		err = s.seal.open(id, &e)
	}
	if err == nil {
		t, err = s.deserialize(id, e)
	}
	if err != nil || e.subject != subject {
		return Session{ID: id, Subject: subject, ExpiresAt: expiry, Undecodable: true}
	}
	return t.Session()
}

// Revoke implements [SessionIndex].
func (s *RedisStore) Revoke(ctx context.Context, subject, id string) error {
	if validateSubject(subject) != nil || !isSessionID(id) {
		return ErrNotFound
	}
	n, unclear, err := s.revoke(ctx, subject, "", []string{id})
	if err == nil && n == 0 {
		return lostreply.Answered(ErrNotFound, unclear)
	}
	return err
}

// RevokeAll implements [SessionIndex].
func (s *RedisStore) RevokeAll(ctx context.Context, subject string) (revoked int, err error) {
	if validateSubject(subject) != nil {
		return 0, nil
	}
	return s.revokeListed(ctx, subject, "")
}

// RevokeOthers implements [SessionIndex].
func (s *RedisStore) RevokeOthers(ctx context.Context, subject, keep string) (revoked int, err error) {
	if validateSubject(subject) != nil || !isSessionID(keep) {
		return 0, ErrNotFound
	}
	return s.revokeListed(ctx, subject, keep)
}

// revokeListed ends all sessions of subject but keep. That keep is live is
// checked in the step that ends the first ones.
func (s *RedisStore) revokeListed(ctx context.Context, subject, keep string) (revoked int, err error) {
	if err := s.mark(ctx, subject); err != nil {
		return 0, fmt.Errorf("ticketstore: revoke: %w", err)
	}
	ids, err := s.listed(ctx, s.indexKeys(partition(subject), subject), subject, "(0")
	if err != nil {
		return 0, fmt.Errorf("ticketstore: revoke: %w", err)
	}
	ids = slices.DeleteFunc(ids, func(id string) bool { return id == keep })
	for {
		batch := ids[:min(len(ids), scriptBatch)]
		n, _, err := s.revoke(ctx, subject, keep, batch)
		revoked += n
		ids, keep = ids[len(batch):], ""
		if err != nil || len(ids) == 0 {
			return revoked, err
		}
	}
}

// revoke ends the sessions ids of subject in one script, if keep is live. If
// unclear is set, there may have been more of them than n.
func (s *RedisStore) revoke(ctx context.Context, subject, keep string, ids []string) (n int, unclear bool, err error) {
	p := partition(subject)
	keys := s.indexKeys(p, subject)
	kept := keys[0]
	if keep != "" {
		kept = s.recordKey(p, keep)
	}
	keys, args := s.telling(causeIn(ctx, "revoked"), p, subject, s.withRecords(append(keys, kept), p, ids), appendIDs([]any{subject, keep}, ids))
	cmd, unclear := s.runEnding(ctx, s.scripts.revoke, keys, args...)
	if n, err = cmd.Int(); err != nil {
		return 0, unclear, fmt.Errorf("ticketstore: revoke: %w", err)
	}
	if n < 0 {
		return 0, unclear, lostreply.Answered(ErrNotFound, unclear)
	}
	return n, unclear, nil
}

// Count returns how many subjects are signed in and how many sessions they
// have. It takes one pipeline. It is exact when nothing is being written;
// otherwise each of the 256 partitions is exact at some instant of the call.
// A record deleted by hand counts until it is listed or would have expired.
func (s *RedisStore) Count(ctx context.Context) (Counts, error) {
	now := clock.Now(ctx).UnixMilli()
	var keys []string
	for p := range partitions {
		keys = append(keys, s.censusKey(byte(p)))
	}
	calls := slices.Collect(slices.Chunk(keys, 1))
	if _, ok := s.client.(*redis.Client); ok { // whatever the slots
		calls = [][]string{keys}
	}
	cmds, err := runEach(ctx, s.client, countScript, calls, func(int) []any { return []any{now, lastToExpire + now} })
	if err != nil {
		return Counts{}, fmt.Errorf("ticketstore: count: %w", err)
	}
	var c Counts
	for _, cmd := range cmds {
		n, err := cmd.Int64Slice()
		if err != nil || len(n) != 2 {
			return Counts{}, fmt.Errorf("ticketstore: count: unexpected reply %v", cmd.Val())
		}
		c.Sessions += n[0]
		c.Subjects += n[1]
	}
	return c, nil
}

// Subjects returns the subjects that are signed in, each once, in no
// particular order. One with a session that lives throughout is not missed.
// After an error it ends. It is the operator's: it reads a page at a time, but
// all of them.
func (s *RedisStore) Subjects(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for p := range partitions {
			seen := map[string]bool{}
			for cursor, more := uint64(0), true; more; more = cursor != 0 {
				page, next, err := s.client.ZScan(ctx, s.censusKey(byte(p)), cursor, "", scanPage).Result()
				if err != nil {
					yield("", fmt.Errorf("ticketstore: subjects: %w", err))
					return
				}
				now := clock.Now(ctx).UnixMilli()
				for entry := range slices.Chunk(page, 2) {
					if len(entry[0]) <= shortIDBytes {
						continue // put there by hand
					}
					subject := entry[0][shortIDBytes:]
					score, _ := strconv.ParseFloat(entry[1], 64)
					if seen[subject] || int64(score)%lastToExpire <= now {
						continue
					}
					seen[subject] = true
					if !yield(subject, nil) {
						return
					}
				}
				cursor = next
			}
		}
	}
}

// after returns the exclusive lower bound of scores that lie behind t.
func after(t time.Time) string { return "(" + strconv.FormatInt(t.UnixMilli(), 10) }

// isSessionID reports whether id is a UUID as Store writes it; anything else
// could name another key.
func isSessionID(id string) bool {
	u, err := uuid.Parse(id)
	return err == nil && u.String() == id
}

// namedID returns a session ID as an argument of a script, which has it twice:
// as it is, and behind = as the census has it.
func namedID(id string) string {
	u, err := uuid.Parse(id)
	if err != nil || len(id) != idBytes {
		return id // put into an index by hand
	}
	var b [idBytes + 1 + shortIDBytes]byte
	copy(b[:], id)
	b[idBytes] = '='
	base64.RawURLEncoding.Encode(b[idBytes+1:], u[:])
	return string(b[:])
}

func appendIDs(args []any, ids []string) []any {
	for _, id := range ids {
		args = append(args, namedID(id))
	}
	return args
}
