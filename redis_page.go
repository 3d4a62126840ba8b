package ticketstore

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore/internal/clock"
)

const (
	maxSessionPage = 1000
	censusBatch    = 250 // sessions that a script lists, so that others do not wait long
	idBytes        = 36  // of a session ID
	shortIDBytes   = 22  // of one in the census
)

// SessionPage returns up to limit live sessions of all subjects, limit being 1
// to 1,000, and the cursor of the next page, empty after the last one. The
// cursor of the first page is "". Sessions come by partition, and there by
// expiry.
//
// It is the operator's. A session that is renewed meanwhile may come again; one
// that lives throughout is not missed, unless its expiry is made earlier
// meanwhile. A page may be short where records have been deleted by hand, and
// the last one empty. It returns ErrNotFound for a cursor that it has not made.
func (s *RedisStore) SessionPage(ctx context.Context, cursor string, limit int) (sessions []Session, next string, err error) {
	at, err := parseCursor(cursor)
	if err != nil {
		return nil, "", err
	}
	if limit < 1 || limit > maxSessionPage {
		return nil, "", fmt.Errorf("ticketstore: session page: limit %d; want 1 to %d", limit, maxSessionPage)
	}
	// A page of a large store is part of one partition; of a small one, all
	// partitions have something. So more and more are asked at once.
	width := 1
	for at.partition < partitions && len(sessions) < limit {
		found, end, err := s.censusPage(ctx, at, width, min(limit-len(sessions), censusBatch))
		if err != nil {
			return nil, "", fmt.Errorf("ticketstore: session page: %w", err)
		}
		page, _, err := s.read(ctx, found)
		if err != nil {
			return nil, "", fmt.Errorf("ticketstore: session page: %w", err)
		}
		sessions, at = append(sessions, page...), end
		if width = min(4*width, 64); end.id != "" {
			width = 1
		}
	}
	if at.partition < partitions {
		next = at.String()
	}
	return sessions, next, nil
}

// A position is that of a session in the census, or before all of a partition
// if it has no ID.
type position struct {
	partition int
	expiry    int64 // Unix ms
	id        string
	subject   string // not in a cursor
}

func (p position) String() string { return fmt.Sprintf("%02x.%d.%s", p.partition, p.expiry, p.id) }

func parseCursor(cursor string) (position, error) {
	if cursor == "" {
		return position{}, nil
	}
	f := strings.Split(cursor, ".")
	if len(f) == 3 {
		partition, err1 := strconv.ParseUint(f[0], 16, 8)
		expiry, err2 := strconv.ParseInt(f[1], 10, 64)
		if p := (position{partition: int(partition), expiry: expiry, id: f[2]}); err1 == nil && err2 == nil && p.String() == cursor && (p.id == "" || isSessionID(p.id)) {
			return p, nil
		}
	}
	return position{}, fmt.Errorf("%w: that is no cursor of SessionPage", ErrNotFound)
}

// censusPage returns up to limit sessions behind at in the censuses of up to
// width partitions, and where the next page begins.
func (s *RedisStore) censusPage(ctx context.Context, at position, width, limit int) (found []position, end position, err error) {
	now := clock.Now(ctx).UnixMilli()
	var calls [][]string
	for p := at.partition; p < min(at.partition+width, partitions); p++ {
		calls = append(calls, []string{s.censusKey(byte(p))})
	}
	cmds, err := runEach(ctx, s.client, pageScript, calls, func(i int) []any {
		if i > 0 {
			return []any{now, 0, "", limit + 1}
		}
		return []any{now, at.expiry, shortID(at.id), limit + 1}
	})
	if err != nil {
		return nil, position{}, err
	}
	for i, cmd := range cmds {
		page, err := cmd.StringSlice()
		if err != nil {
			return nil, position{}, err
		}
		for entry := range slices.Chunk(page, 2) {
			if len(found) == limit {
				return found, found[limit-1], nil
			}
			pos, err := parseEntry(at.partition+i, entry)
			if err != nil {
				return nil, position{}, err
			}
			found = append(found, pos)
		}
	}
	return found, position{partition: at.partition + len(calls)}, nil
}

// parseEntry returns what the census of a partition says of a session: its ID
// and subject, in one, and its expiry.
func parseEntry(partition int, entry []string) (position, error) {
	if len(entry) == 2 && len(entry[0]) > shortIDBytes {
		id, err1 := base64.RawURLEncoding.DecodeString(entry[0][:shortIDBytes])
		expiry, err2 := strconv.ParseInt(entry[1], 10, 64)
		if err1 == nil && err2 == nil && len(id) == len(uuid.UUID{}) {
			return position{partition, expiry, uuid.UUID(id).String(), entry[0][shortIDBytes:]}, nil
		}
	}
	return position{}, fmt.Errorf("unexpected entry %q of the census", entry)
}

// shortID returns a session ID as the census has it.
func shortID(id string) string {
	if u, err := uuid.Parse(id); err == nil {
		return base64.RawURLEncoding.EncodeToString(u[:])
	}
	return ""
}

const (
	firstBatch = 16      // records to read at once, when nothing is known of their size
	maxBatch   = 128     // and when they are small
	batchBytes = 1 << 20 // to aim at
)

// read returns the live ones of the sessions that were found in the census or
// an index, and the IDs of those whose records are gone, or another subject's:
// such an entry was made by hand.
func (s *RedisStore) read(ctx context.Context, found []position) (sessions []Session, gone []string, err error) {
	var buf []byte
	for size := firstBatch; len(found) > 0; {
		batch := found[:min(len(found), size)]
		found = found[len(batch):]
		records, err := s.records(ctx, batch)
		if err != nil {
			return nil, nil, err
		}
		now, total := clock.Now(ctx), 0
		for i, f := range batch {
			record, ok := records[i].(string)
			if !ok {
				gone = append(gone, f.id)
				continue
			}
			total += len(record)
			buf = append(buf[:0], record...)
			sess := s.session(f.subject, f.id, buf, time.UnixMilli(f.expiry))
			if sess.Undecodable && anothers(buf, f.subject) {
				gone = append(gone, f.id)
				continue
			}
			if sess.Undecodable || now.Before(sess.ExpiresAt) {
				sessions = append(sessions, sess)
			}
		}
		fit := batchBytes * len(batch) / max(total, 1)
		size = max(1, min(2*size, fit, maxBatch))
	}
	return sessions, gone, nil
}

// anothers reports whether a record says that it is not of subject.
func anothers(record []byte, subject string) bool {
	e, err := parseEnvelope(record)
	return err == nil && e.subject != subject
}

// records returns the records of found, nil for one that is not there, in one
// round trip.
func (s *RedisStore) records(ctx context.Context, found []position) (records []any, err error) {
	var cmds []*redis.SliceCmd // one for each partition, each in one slot
	pipe := s.client.Pipeline()
	for i := 0; i < len(found); {
		var keys []string
		for p := found[i].partition; i < len(found) && found[i].partition == p; i++ {
			keys = append(keys, s.recordKey(byte(p), found[i].id))
		}
		if len(keys) == len(found) {
			for begun := time.Now(); ; {
				var records *redis.SliceCmd
				s.pastCache(ctx, func(c redis.Cmdable) { records = c.MGet(ctx, keys...) })
				if !s.again(ctx, begun, records.Err()) {
					return records.Result()
				}
			}
		}
		cmds = append(cmds, pipe.MGet(ctx, keys...))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, err
	}
	for _, cmd := range cmds {
		records = append(records, cmd.Val()...)
	}
	return records, nil
}
