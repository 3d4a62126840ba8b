package aspnetcore

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/clock"
)

const (
	maxSessionPage = 1000
	subjectPage    = 1000 // members that a ZSCAN looks at
)

// Count returns how many subjects are signed in and how many sessions they
// have, of those in the index. A session that ASP.NET Core has ended counts
// until it is listed or would have expired.
func (s *Store) Count(ctx context.Context) (ticketstore.Counts, error) {
	keys := s.indexKeys("")
	from := "(" + strconv.FormatInt(clock.Now(ctx).UnixMilli(), 10)
	pipe := s.client.Pipeline()
	sessions, subjects := pipe.ZCount(ctx, keys[1], from, "+inf"), pipe.ZCount(ctx, keys[2], from, "+inf")
	if _, err := pipe.Exec(ctx); err != nil {
		return ticketstore.Counts{}, fmt.Errorf("aspnetcore: count: %w", err)
	}
	return ticketstore.Counts{Sessions: sessions.Val(), Subjects: subjects.Val()}, nil
}

// Subjects returns the subjects in the index that are signed in, each once, in
// no particular order. One that is signed in throughout is not missed. After
// an error it ends. It is the operator's: it reads a page at a time, but all
// of them.
func (s *Store) Subjects(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		seen := map[string]bool{} // ZSCAN may repeat a member
		for cursor, more := uint64(0), true; more; more = cursor != 0 {
			var page []string
			var err error
			page, cursor, err = s.client.ZScan(ctx, s.indexKeys("")[2], cursor, "", subjectPage).Result()
			if err != nil {
				yield("", fmt.Errorf("aspnetcore: subjects: %w", err))
				return
			}
			now := clock.Now(ctx).UnixMilli()
			for pair := range slices.Chunk(page, 2) {
				expiry, _ := strconv.ParseFloat(pair[1], 64)
				if seen[pair[0]] || int64(expiry) <= now {
					continue
				}
				seen[pair[0]] = true
				if !yield(pair[0], nil) {
					return
				}
			}
		}
	}
}

// SessionPage returns up to limit live sessions of all subjects in the index,
// limit being 1 to 1,000, by expiry, and the cursor of the next page, empty
// after the last one. The cursor of the first page is "".
//
// It is the operator's. A session that is renewed meanwhile may come again; one
// that lives throughout is not missed, unless its expiry is made earlier
// meanwhile. A page may be short where sessions have ended, and the last one
// empty. It returns ErrNotFound for a cursor that it has not made.
func (s *Store) SessionPage(ctx context.Context, cursor string, limit int) (sessions []ticketstore.Session, next string, err error) {
	from, id, err := parseCursor(cursor)
	if err != nil {
		return nil, "", err
	}
	if limit < 1 || limit > maxSessionPage {
		return nil, "", fmt.Errorf("aspnetcore: session page: limit %d; want 1 to %d", limit, maxSessionPage)
	}
	now := clock.Now(ctx)
	entries, err := s.censusPage(ctx, max(from, now.UnixMilli()+1), id, limit+1)
	if err != nil {
		return nil, "", fmt.Errorf("aspnetcore: session page: %w", err)
	}
	if len(entries) > limit {
		entries = entries[:limit]
		last := entries[limit-1]
		next = fmt.Sprintf("%d.%s", int64(last.Score), sessionID(keyOf(last)))
	}
	records, err := s.records(ctx, entries)
	if err != nil {
		return nil, "", fmt.Errorf("aspnetcore: session page: %w", err)
	}
	for i, r := range records {
		if !r.live() {
			continue
		}
		session := undecodable(r, entries[i])
		if t, err := s.ticket(r); err == nil {
			session = t.Session()
		}
		if now.Before(session.ExpiresAt) {
			sessions = append(sessions, session)
		}
	}
	return sessions, next, nil
}

// censusPage returns up to limit entries of the census that expire at from or
// later; of those that expire at from, the ones behind that of the session
// after, if it is still there.
func (s *Store) censusPage(ctx context.Context, from int64, after string, limit int) ([]redis.Z, error) {
	key, at := s.indexKeys("")[1], strconv.FormatInt(from, 10)
	var entries []redis.Z
	if after != "" {
		var err error
		entries, err = s.client.ZRangeByScoreWithScores(ctx, key, &redis.ZRangeBy{Min: at, Max: at}).Result()
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(entries, func(z redis.Z) bool { return sessionID(keyOf(z)) == after })
		entries, at = entries[i+1:], "("+at
	}
	if len(entries) < limit {
		more, err := s.client.ZRangeByScoreWithScores(ctx, key, &redis.ZRangeBy{Min: at, Max: "+inf", Count: int64(limit - len(entries))}).Result()
		if err != nil {
			return nil, err
		}
		entries = append(entries, more...)
	}
	return entries[:min(len(entries), limit)], nil
}

// parseCursor returns the expiry, in Unix milliseconds, and the ID of the last
// session of a page.
func parseCursor(cursor string) (expiry int64, id string, err error) {
	if cursor == "" {
		return 0, "", nil
	}
	at, id, _ := strings.Cut(cursor, ".")
	expiry, err = strconv.ParseInt(at, 10, 64)
	if err != nil || len(id) != len(sessionID("")) || fmt.Sprintf("%d.%s", expiry, id) != cursor {
		return 0, "", fmt.Errorf("%w: that is no cursor of SessionPage", ticketstore.ErrNotFound)
	}
	return expiry, id, nil
}
