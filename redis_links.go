package ticketstore

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore/internal/clock"
	"github.com/ticketstore/ticketstore/internal/redischeck"
	"github.com/ticketstore/ticketstore/internal/subjects"
)

// A link has keys of its own, in a slot of its own: pointers to its sessions, see
// scripts/link.lua, and for an hour a mark, see scripts/linkmark.lua. Store first
// points to a session that is about to begin, then begins it, and then reads the
// marks; RevokeLinked first marks, then reads the pointers. So one of the two
// sees the other, whatever comes between.

const linkPage = 2000 // pointers that RevokeLinked reads at once

// linkTag is how the keys of a link begin. A hash is short, and has no braces.
func (s *RedisStore) linkTag(link string) string {
	sum := sha256.Sum256([]byte(link))
	return s.prefix + "{" + base64.RawURLEncoding.EncodeToString(sum[:16]) + "}"
}

func (s *RedisStore) pointersKey(link string) string { return s.linkTag(link) + "linked" }

func (s *RedisStore) linkMark(link string) string { return s.linkTag(link) + "unlinked" }

// A pointer leads from a link to a session.
type pointer struct {
	entry string
	began int64 // ms, by the clock of Redis or of whoever issued it
	position
}

// pointerTo returns the pointers to a session up to when it began.
func pointerTo(partition byte, id, subject string) string {
	return fmt.Sprintf("%02x", partition) + shortID(id) + subject + " "
}

func parsePointer(entry, till string) (p pointer, err error) {
	space := strings.LastIndexByte(entry, ' ')
	if space < 2 {
		return p, errBadPointer
	}
	number, err1 := strconv.ParseUint(entry[:2], 16, 8)
	began, err2 := strconv.ParseInt(entry[space+1:], 10, 64)
	at, err3 := parseEntry(int(number), []string{entry[2:space], till})
	if err1 != nil || err2 != nil || err3 != nil {
		return p, errBadPointer
	}
	at.expiry -= pointerMargin
	return pointer{entry, began, at}, nil
}

const pointerMargin = 60_000 // ms that a pointer outlives its session, as in scripts/link.lua

var errBadPointer = errors.New("it is no pointer to a session")

// link points from the links of t to its session, of k, and returns when its
// sign-in began at the earliest, by the clock of each link.
func (s *RedisStore) link(ctx context.Context, t *Ticket, k redisKey, began time.Time) ([]int64, error) {
	to, linkedAt := pointerTo(k.partition, t.ID, t.Subject), ""
	if !t.LinkedAt.IsZero() {
		linkedAt = strconv.FormatInt(t.LinkedAt.UnixMilli(), 10)
	}
	arrived := make([]int64, len(t.Links))
	for i, link := range t.Links {
		sent := clock.Now(ctx)
		cmd, _ := s.runEnding(ctx, linkScript, []string{s.pointersKey(link)}, to, t.EndsAt.UnixMilli(), linkedAt, ceilMilliseconds(sent.Sub(began)))
		at, err := cmd.Int64()
		if err != nil {
			return nil, fmt.Errorf("ticketstore: store: links: %w", err)
		}
		arrived[i] = at - ceilMilliseconds(clock.Now(ctx).Sub(sent)) // for which the command may have been held up
	}
	return arrived, nil
}

// checkLinks returns an error if one of t's links has been revoked up to when its
// session began, or if that cannot be told.
func (s *RedisStore) checkLinks(ctx context.Context, t *Ticket, arrived []int64) error {
	if len(t.Links) == 0 {
		return nil
	}
	pipe := s.client.Pipeline()
	marks := make([]*redis.StringCmd, len(t.Links))
	for i, link := range t.Links {
		marks[i] = pipe.Get(ctx, s.linkMark(link))
	}
	redischeck.Exec(ctx, pipe)
	for i, mark := range marks {
		text, err := mark.Result()
		if errors.Is(err, redis.Nil) {
			continue
		}
		var upTo, all int64
		if err == nil {
			_, err = fmt.Sscanf(text, "%d %d", &upTo, &all)
		}
		if err != nil {
			return fmt.Errorf("ticketstore: store: links: %w", err)
		}
		began := arrived[i]
		if !t.LinkedAt.IsZero() {
			began = t.LinkedAt.UnixMilli()
		}
		if began <= upTo || arrived[i] <= all {
			return errRevokedMeanwhile
		}
	}
	return nil
}

// unlink takes the pointers to a session that has ended out, which would stay
// until its EndsAt. It tries once.
func (s *RedisStore) unlink(ctx context.Context, t *Ticket) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), maxPatience)
	defer cancel()
	to := pointerTo(partition(t.Subject), t.ID, t.Subject)
	calls := make([][]string, len(t.Links))
	for i, link := range t.Links {
		calls[i] = []string{s.pointersKey(link)}
	}
	// What comes first behind what is less than all that begins with to.
	behind := to[:len(to)-1] + "\x1f"
	till := t.EndsAt.UnixMilli() + pointerMargin
	cmds, err := runEach(ctx, s.client, pageScript, calls, func(int) []any { return []any{0, till, behind, 1} })
	if err != nil {
		return
	}
	pipe := s.client.Pipeline()
	for i, cmd := range cmds {
		if found, _ := cmd.StringSlice(); len(found) > 0 && strings.HasPrefix(found[0], to) {
			pipe.ZRem(ctx, calls[i][0], found[0])
		}
	}
	if pipe.Len() > 0 {
		redischeck.Exec(ctx, pipe)
	}
}

// pointers yields the pointers of link, some at a time, in the order of when the
// sessions end at the latest.
func (s *RedisStore) pointers(ctx context.Context, link string, n int) iter.Seq2[[]pointer, error] {
	return func(yield func([]pointer, error) bool) {
		var till, behind any = 0, ""
		for {
			cmds, err := runEach(ctx, s.client, pageScript, [][]string{{s.pointersKey(link)}}, func(int) []any { return []any{-1, till, behind, n} })
			var entries []string
			if err == nil {
				entries, err = cmds[0].StringSlice()
			}
			if err != nil {
				yield(nil, err)
				return
			}
			var page []pointer
			for entry := range slices.Chunk(entries, 2) {
				p, err := parsePointer(entry[0], entry[1])
				if err != nil { // put there by hand
					continue
				}
				page = append(page, p)
			}
			if len(page) > 0 && !yield(page, nil) || len(entries) < 2*n {
				return
			}
			behind, till = entries[len(entries)-2], entries[len(entries)-1]
		}
	}
}

// RevokeLinked implements [LinkIndex]. It ends up to a hundred sessions at a
// time, so that others do not wait long, and needs no memory for the others.
func (s *RedisStore) RevokeLinked(ctx context.Context, link string, before time.Time, progress func(revoked int)) (revoked int, err error) {
	if subjects.CheckLink(link) != nil {
		return 0, nil
	}
	upTo := ""
	if !before.IsZero() {
		upTo = strconv.FormatInt(before.UnixMilli(), 10)
	}
	if cmd, _ := s.runEnding(ctx, linkMarkScript, []string{s.linkMark(link)}, upTo); cmd.Err() != nil {
		return 0, fmt.Errorf("ticketstore: revoke linked: %w", cmd.Err())
	}
	for page, err := range s.pointers(ctx, link, linkPage) {
		if err != nil {
			return revoked, fmt.Errorf("ticketstore: revoke linked: %w", err)
		}
		page = slices.DeleteFunc(page, func(p pointer) bool { return upTo != "" && p.began > before.UnixMilli() })
		n, err := s.revokePointed(ctx, link, page)
		if revoked += n; err != nil {
			return revoked, fmt.Errorf("ticketstore: revoke linked: %w", err)
		}
		if progress != nil {
			progress(revoked)
		}
	}
	return revoked, nil
}

// revokePointed ends the sessions that pointers lead to, and then takes these out.
func (s *RedisStore) revokePointed(ctx context.Context, link string, page []pointer) (revoked int, err error) {
	slices.SortFunc(page, func(a, b pointer) int { return a.partition - b.partition })
	for len(page) > 0 {
		var members []string
		var entries []any
		first := page[0].partition
		for len(page) > 0 && page[0].partition == first {
			members, entries = append(members, shortID(page[0].id)+page[0].subject), append(entries, page[0].entry)
			page = page[1:]
		}
		n, err := s.sweep(ctx, byte(first), "", members)
		if revoked += n; err != nil {
			return revoked, err
		}
		if err := s.client.ZRem(ctx, s.pointersKey(link), entries...).Err(); err != nil {
			return revoked, err
		}
	}
	return revoked, nil
}

// Linked implements [LinkIndex]. It reads some at a time.
func (s *RedisStore) Linked(ctx context.Context, link string) iter.Seq2[Session, error] {
	return func(yield func(Session, error) bool) {
		if subjects.CheckLink(link) != nil {
			return
		}
		last := "" // a pointer that was written again, as its reply was lost, is next to the first
		for page, err := range s.pointers(ctx, link, scanPage) {
			var sessions []Session
			if err == nil {
				page = slices.DeleteFunc(page, func(p pointer) bool {
					again := p.id == last
					last = p.id
					return again
				})
				found := make([]position, len(page))
				for i, p := range page {
					found[i] = p.position
				}
				slices.SortStableFunc(found, func(a, b position) int { return a.partition - b.partition })
				sessions, _, err = s.read(ctx, found)
			}
			if err != nil {
				yield(Session{}, fmt.Errorf("ticketstore: linked: %w", err))
				return
			}
			for _, sess := range sessions {
				if !yield(sess, nil) {
					return
				}
			}
		}
	}
}
