package ticketstore

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore/internal/redischeck"
)

// EndingPage returns up to limit endings of all subjects, limit being 1 to 1,000,
// those that were told last first, and the cursor of the next page, empty after
// the last one. The cursor of the first page is "". Of what was told before
// since, the pages have at most a second, so that all is there that has ended
// since; if since is zero, all that is remembered.
//
// It is the operator's, to look at: what is told meanwhile is on no later page.
// To deal with each ending, use Endings. It returns [errors.ErrUnsupported]
// without [RedisConfig].History, and ErrNotFound for a cursor that it has not
// made. A page reads a few endings of each of the 256 partitions, in one
// pipeline, rarely more.
func (s *RedisStore) EndingPage(ctx context.Context, since time.Time, cursor string, limit int) (endings []Ending, next string, err error) {
	if s.history == 0 {
		return nil, "", errNoHistory
	}
	at, err := parseEndingPosition(cursor)
	if err != nil {
		return nil, "", err
	}
	if limit < 1 || limit > maxEndings {
		return nil, "", fmt.Errorf("ticketstore: ending page: limit %d; want 1 to %d", limit, maxEndings)
	}
	if cursor == "" {
		all := make([]byte, partitions)
		for p := range all {
			all[p] = byte(p)
		}
		if _, _, err := s.told(ctx, all, endingsCursor{}, 0); err != nil {
			return nil, "", fmt.Errorf("ticketstore: ending page: %w", err)
		}
	}
	from := "-"
	if ms := since.UnixMilli() - 1000; ms > 0 { // a script's TIME may be later than the ID that it gives
		from = strconv.FormatInt(ms, 10)
	}
	var heads [partitions]endingsBackwards
	for p := range heads {
		heads[p].to = at.before(byte(p))
	}
	for batch := limit/128 + 3; len(endings) < limit; batch = limit - len(endings) {
		if err := s.readBackwards(ctx, &heads, from, batch); err != nil {
			return nil, "", fmt.Errorf("ticketstore: ending page: %w", err)
		}
		for len(endings) < limit {
			p := latest(&heads)
			if p < 0 {
				return endings, "", nil
			}
			h := &heads[p]
			at = endingPosition{h.entries[0].id, byte(p)}
			endings = append(endings, s.ending(h.entries[0].values))
			if h.entries = h.entries[1:]; len(h.entries) == 0 && !h.done {
				break
			}
		}
	}
	return endings, at.String(), nil
}

// endingsBackwards are the endings of a partition, the last one first.
type endingsBackwards struct {
	entries []toldEntry
	to      string // where those behind them begin, as XREVRANGE wants it
	done    bool   // there are none behind them
}

// readBackwards reads up to batch endings of each partition of which it has none
// left.
func (s *RedisStore) readBackwards(ctx context.Context, heads *[partitions]endingsBackwards, from string, batch int) error {
	pipe := s.client.Pipeline()
	var cmds [partitions]*redis.XMessageSliceCmd
	for p := range heads {
		if h := &heads[p]; len(h.entries) == 0 && !h.done {
			cmds[p] = pipe.XRevRangeN(ctx, s.tags[p]+"ended", h.to, from, int64(batch))
		}
	}
	if pipe.Len() == 0 {
		return nil
	}
	redischeck.Exec(ctx, pipe)
	for p, cmd := range cmds {
		if cmd == nil {
			continue
		}
		found, err := cmd.Result()
		if err != nil {
			return err
		}
		h := &heads[p]
		h.done = len(found) < batch
		for _, message := range found {
			id, err := parseStreamID(message.ID)
			if err != nil {
				return err
			}
			h.entries = append(h.entries, toldEntry{id, message.Values})
			h.to = "(" + message.ID
		}
	}
	return nil
}

// latest returns the partition of the ending that was told last, the first one of
// several; -1 if there is none.
func latest(heads *[partitions]endingsBackwards) int {
	last := -1
	for p := range heads {
		if e := heads[p].entries; len(e) > 0 && (last < 0 || heads[last].entries[0].id.before(e[0].id)) {
			last = p
		}
	}
	return last
}

// An endingPosition is that of an ending among all; zero, it is behind the last.
type endingPosition struct {
	id        streamID
	partition byte
}

// before returns where the endings of a partition begin that are before it, as
// XREVRANGE wants that.
func (at endingPosition) before(partition byte) string {
	switch {
	case at == endingPosition{}:
		return "+"
	case partition > at.partition:
		return at.id.String()
	}
	return "(" + at.id.String()
}

func (at endingPosition) String() string { return fmt.Sprintf("%02x.%v", at.partition, at.id) }

func parseEndingPosition(cursor string) (endingPosition, error) {
	if cursor == "" {
		return endingPosition{}, nil
	}
	tag, id, _ := strings.Cut(cursor, ".")
	p, err1 := strconv.ParseUint(tag, 16, 8)
	at, err2 := parseStreamID(id)
	if pos := (endingPosition{at, byte(p)}); err1 == nil && err2 == nil && at.ms > 0 && at.seq >= 0 && pos.String() == cursor {
		return pos, nil
	}
	return endingPosition{}, fmt.Errorf("%w: that is no cursor of EndingPage", ErrNotFound)
}
