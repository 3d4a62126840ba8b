package aspnetcore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/clock"
	"github.com/ticketstore/ticketstore/internal/lostreply"
	"github.com/ticketstore/ticketstore/internal/redischeck"
)

const revokeBatch = 1000 // records in one script

// Sessions implements [ticketstore.SessionIndex]. It takes two round trips,
// and more to repair the index where ASP.NET Core has ended or changed
// sessions. Where Redis reads and does not write, that is left for later.
func (s *Store) Sessions(ctx context.Context, subject string) ([]ticketstore.Session, error) {
	list, err := s.list(ctx, subject)
	if err != nil && !refusesWrites(err) {
		return nil, fmt.Errorf("aspnetcore: sessions: %w", err)
	}
	now := clock.Now(ctx)
	var sessions []ticketstore.Session
	for _, l := range list {
		if now.Before(l.ExpiresAt) {
			sessions = append(sessions, l.Session)
		}
	}
	return sessions, nil
}

// Session implements [ticketstore.SessionIndex]. It takes two round trips.
func (s *Store) Session(ctx context.Context, subject, id string) (ticketstore.Session, error) {
	l, err := s.find(ctx, subject, id)
	if refusesWrites(err) {
		err = nil
	}
	return l.Session, err
}

// Revoke implements [ticketstore.SessionIndex].
func (s *Store) Revoke(ctx context.Context, subject, id string) error {
	l, err := s.find(ctx, subject, id)
	if err != nil {
		return err
	}
	n, unclear, err := s.revoke(ctx, subject, "", []ticketstore.Key{l.key})
	if err == nil && n == 0 {
		return lostreply.Answered(ticketstore.ErrNotFound, unclear)
	}
	return err
}

// RevokeAll implements [ticketstore.SessionIndex].
func (s *Store) RevokeAll(ctx context.Context, subject string) (revoked int, err error) {
	return s.revokeListed(ctx, subject, "")
}

// RevokeOthers implements [ticketstore.SessionIndex].
func (s *Store) RevokeOthers(ctx context.Context, subject, keep string) (revoked int, err error) {
	l, err := s.find(ctx, subject, keep)
	if err != nil {
		return 0, err
	}
	return s.revokeListed(ctx, subject, l.key)
}

// revokeListed ends all sessions of subject but keep. That keep is live is
// checked in the step that ends the first ones.
func (s *Store) revokeListed(ctx context.Context, subject string, keep ticketstore.Key) (revoked int, err error) {
	list, err := s.list(ctx, subject)
	if err != nil {
		return 0, fmt.Errorf("aspnetcore: revoke: %w", err)
	}
	var keys []ticketstore.Key
	for _, l := range list {
		if l.key != keep {
			keys = append(keys, l.key)
		}
	}
	for {
		batch := keys[:min(len(keys), revokeBatch)]
		n, _, err := s.revoke(ctx, subject, keep, batch)
		revoked += n
		keys, keep = keys[len(batch):], ""
		if err != nil || len(keys) == 0 {
			return revoked, err
		}
	}
}

// revoke ends sessions of subject in one script, if keep is live. If unclear is
// set, there may have been more of them than n.
func (s *Store) revoke(ctx context.Context, subject string, keep ticketstore.Key, sessions []ticketstore.Key) (n int, unclear bool, err error) {
	keys := s.indexKeys(subject)
	if keep == "" {
		keys = append(keys, keys[0])
	} else {
		keys = append(keys, s.recordKey(keep))
	}
	cmd, unclear := s.runUnclear(ctx, revokeScript, revokeSource, s.withRecords(keys, sessions), withKeys([]any{subject, string(keep)}, sessions)...)
	if n, err = cmd.Int(); err != nil {
		return 0, unclear, fmt.Errorf("aspnetcore: revoke: %w", err)
	}
	if n < 0 {
		return 0, unclear, lostreply.Answered(ticketstore.ErrNotFound, unclear)
	}
	return n, unclear, nil
}

// A listed session is one with its key.
type listed struct {
	key ticketstore.Key
	ticketstore.Session
}

// find returns the live session of subject that has the ID id; with an error of
// look, too.
func (s *Store) find(ctx context.Context, subject, id string) (listed, error) {
	entry, err := s.entry(ctx, subject, id)
	if err != nil {
		return listed{}, err
	}
	list, err := s.look(ctx, subject, []redis.Z{entry})
	if err != nil {
		err = fmt.Errorf("aspnetcore: session %s: %w", id, err)
		if !refusesWrites(err) {
			return listed{}, err
		}
	}
	if len(list) == 0 || !clock.Now(ctx).Before(list[0].ExpiresAt) {
		return listed{}, ticketstore.ErrNotFound
	}
	return list[0], err
}

// entry returns what the index of subject has for the ID id.
func (s *Store) entry(ctx context.Context, subject, id string) (redis.Z, error) {
	entries, err := s.client.ZRangeWithScores(ctx, s.indexKeys(subject)[0], 0, -1).Result()
	if err != nil {
		return redis.Z{}, fmt.Errorf("aspnetcore: session %s: %w", id, s.wrongType(err))
	}
	for _, z := range entries {
		if sessionID(keyOf(z)) == id {
			return z, nil
		}
	}
	return redis.Z{}, ticketstore.ErrNotFound
}

func keyOf(entry redis.Z) ticketstore.Key { return ticketstore.Key(entry.Member.(string)) }

// list returns the sessions in the index of subject, newest sign-in first,
// also those that have expired by the clock of the application alone.
func (s *Store) list(ctx context.Context, subject string) ([]listed, error) {
	entries, err := s.client.ZRangeWithScores(ctx, s.indexKeys(subject)[0], 0, -1).Result()
	if err != nil {
		return nil, s.wrongType(err)
	}
	return s.look(ctx, subject, entries)
}

// look reads the sessions of entries of the index of subject. It repairs the
// index where ASP.NET Core has ended a session or given it to another user. If
// Redis refuses that, it returns them with the error: who only reads can go on.
func (s *Store) look(ctx context.Context, subject string, entries []redis.Z) ([]listed, error) {
	records, err := s.records(ctx, entries)
	if err != nil {
		return nil, err
	}
	var list []listed
	var gone []ticketstore.Key
	var refused error
	for i, r := range records {
		t, err := s.ticket(r)
		switch {
		case !r.live(), err != nil && r.subject != subject:
			gone = append(gone, r.key)
			continue
		case err != nil:
			list = append(list, listed{r.key, undecodable(r, entries[i])})
			continue
		case !r.indexes(t):
			if _, err := s.index(ctx, r, t); refusesWrites(err) {
				refused = err
			} else if err != nil {
				return nil, err
			}
		}
		if t.Subject == subject {
			list = append(list, listed{r.key, t.Session()})
		} else {
			gone = append(gone, r.key)
		}
	}
	if len(gone) > 0 {
		if err := s.run(ctx, pruneScript, s.withRecords(s.indexKeys(subject), gone), withKeys([]any{subject}, gone)...).Err(); refusesWrites(err) {
			refused = err
		} else if err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(list, func(a, b listed) int { return b.SignedInAt.Compare(a.SignedInAt) })
	return list, refused
}

// records returns the records of entries, in one round trip.
func (s *Store) records(ctx context.Context, entries []redis.Z) ([]*record, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	pipe := s.client.Pipeline()
	replies := make([]*redis.SliceCmd, len(entries))
	for i, z := range entries {
		replies[i] = pipe.HMGet(ctx, s.recordKey(keyOf(z)), recordFields...)
	}
	redischeck.Exec(ctx, pipe)
	records := make([]*record, len(entries))
	for i, z := range entries {
		reply, err := replies[i].Result()
		if records[i], err = parseRecord(keyOf(z), reply, err); err != nil {
			return nil, err
		}
	}
	return records, nil
}

// undecodable returns what is known of a record whose ticket cannot be read.
func undecodable(r *record, entry redis.Z) ticketstore.Session {
	return ticketstore.Session{
		ID:          sessionID(r.key),
		Subject:     r.subject,
		ExpiresAt:   time.UnixMilli(int64(entry.Score)),
		Undecodable: true,
	}
}
