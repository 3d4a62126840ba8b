package ticketstore

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore/internal/redischeck"
)

// RevokeEverybody ends all sessions of all subjects, and returns how many there
// were. progress, if not nil, is told how many so far, from this goroutine. A
// sign-in that is under way is refused with ErrConflict, see [SessionIndex].
//
// It ends a hundred sessions at a time, so that others do not wait long: some 20
// seconds of Redis for a million, 40 with History, on all masters of a Cluster at
// once. One that begins meanwhile may end, too. Once it has returned, each that
// there was is ended for good. If it returns an error, some are left: call it
// again.
func (s *RedisStore) RevokeEverybody(ctx context.Context, progress func(revoked int)) (revoked int, err error) {
	for p := range partitions {
		if err := s.run(ctx, markScript, []string{s.markOfAll(byte(p))}, newRevision()).Err(); err != nil {
			return 0, fmt.Errorf("ticketstore: revoke: %w", err)
		}
	}
	lanes := map[*redis.Client][]byte{} // by master
	for p := range partitions {
		var master *redis.Client
		if cluster, ok := s.client.(*redis.ClusterClient); ok {
			master, _ = cluster.MasterForKey(ctx, s.censusKey(byte(p))) // nil is a lane, too
		}
		lanes[master] = append(lanes[master], byte(p))
	}
	type step struct {
		ended int
		err   error
	}
	steps := make(chan step)
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		for range steps { // if progress has panicked
		}
	}()
	var group sync.WaitGroup
	for _, lane := range lanes {
		group.Go(func() {
			for _, p := range lane {
				if err := s.empty(ctx, p, func(n int) { steps <- step{ended: n} }); err != nil {
					steps <- step{err: err}
					return
				}
			}
		})
	}
	go func() {
		group.Wait()
		close(steps)
	}()
	for done := range steps {
		revoked += done.ended
		if done.err != nil && err == nil {
			err = fmt.Errorf("ticketstore: revoke: %w", done.err)
			cancel()
		}
		if progress != nil && done.ended > 0 {
			progress(revoked)
		}
	}
	return revoked, err
}

// empty ends all sessions of a partition.
func (s *RedisStore) empty(ctx context.Context, p byte, ended func(n int)) error {
	for {
		members, err := s.members(ctx, p)
		if err != nil || len(members) == 0 {
			return err
		}
		n, err := s.sweep(ctx, p, "", members)
		ended(n)
		if err != nil {
			return err
		}
	}
}

// members returns what the census of a partition has first of all.
func (s *RedisStore) members(ctx context.Context, p byte) ([]string, error) {
	pipe := s.client.Pipeline()
	members := pipe.ZRange(ctx, s.censusKey(p), 0, sweepPage-1)
	redischeck.Exec(ctx, pipe)
	return members.Result()
}

// Forget ends all sessions of subject and erases what is kept about it, its
// history too: the right to erasure, article 17 of the GDPR. It returns how many
// sessions there were. Their endings are told without the subject, with the cause
// "forgotten". What stays is the mark that refuses sign-ins which are under way,
// for an hour; what the links of sessions that had ended before have of them,
// until their EndsAt; what readers of Endings have kept is theirs to erase. Redis itself
// keeps the bytes of what is deleted from a stream, which no command reads, until
// all of the same page, 100 entries, are gone: at the latest after History.
func (s *RedisStore) Forget(ctx context.Context, subject string) (revoked int, err error) {
	if validateSubject(subject) != nil {
		return 0, nil
	}
	tickets, _, err := s.tickets(ctx, subject) // which have links
	if err != nil {
		return 0, fmt.Errorf("ticketstore: forget: %w", err)
	}
	revoked, err = s.RevokeAll(WithCause(ctx, forgotten, ""), subject)
	for _, t := range tickets {
		if err == nil && len(t.Links) > 0 {
			s.unlink(ctx, t)
		}
	}
	if err != nil || s.history == 0 {
		return revoked, err
	}
	p := partition(subject)
	if _, _, err := s.told(ctx, []byte{p}, endingsCursor{}, 0); err != nil { // what has expired meanwhile
		return revoked, fmt.Errorf("ticketstore: forget: %w", err)
	}
	history, ended := s.tags[p]+"history:"+subject, s.tags[p]+"ended"
	for {
		pipe := s.client.Pipeline()
		entries := pipe.ZRange(ctx, history, 0, maxEndings-1)
		redischeck.Exec(ctx, pipe)
		ids, err := entries.Result()
		if err != nil && !redis.HasErrorPrefix(err, "WRONGTYPE") {
			return revoked, fmt.Errorf("ticketstore: forget: %w", err)
		}
		pipe = s.client.Pipeline()
		if len(ids) > 0 {
			pipe.XDel(ctx, ended, ids...)
			pipe.ZRem(ctx, history, anys(ids)...)
		} else {
			pipe.Del(ctx, history, s.tags[p]+"begun:"+subject)
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return revoked, fmt.Errorf("ticketstore: forget: %w", err)
		}
		if len(ids) == 0 {
			return revoked, nil
		}
	}
}

const forgotten = "forgotten" // as in scripts/telling.lua

func anys(texts []string) []any {
	all := make([]any, len(texts))
	for i, text := range texts {
		all[i] = text
	}
	return all
}

// Export returns all that is kept about subject as JSON: the tickets of its
// sessions with their claims, and its history. It is for the right of access,
// articles 15 and 20 of the GDPR. It has no keys.
func (s *RedisStore) Export(ctx context.Context, subject string) ([]byte, error) {
	export := struct {
		Subject     string    `json:"subject"`
		Sessions    []*Ticket `json:"sessions"`
		Undecodable []Session `json:"undecodable,omitempty"`
		History     []Ending  `json:"history,omitempty"`
	}{Subject: subject, Sessions: []*Ticket{}}
	var err error
	if export.Sessions, export.Undecodable, err = s.tickets(ctx, subject); err != nil {
		return nil, fmt.Errorf("ticketstore: export: %w", err)
	}
	if s.history > 0 {
		if export.History, err = s.History(ctx, subject); err != nil {
			return nil, err
		}
	}
	return json.MarshalIndent(export, "", "  ")
}

// tickets returns the tickets of subject's sessions, never nil, and the sessions
// whose tickets cannot be read.
func (s *RedisStore) tickets(ctx context.Context, subject string) (tickets []*Ticket, undecodable []Session, err error) {
	tickets = []*Ticket{}
	sessions, err := s.Sessions(ctx, subject)
	if err != nil {
		return nil, nil, err
	}
	p := partition(subject)
	for _, sess := range sessions {
		records, err := s.records(ctx, []position{{partition: int(p), id: sess.ID, subject: subject}})
		if err != nil {
			return nil, nil, err
		}
		record, ok := records[0].(string)
		if !ok {
			continue // it has ended meanwhile
		}
		e, err := parseEnvelope([]byte(record))
		if err == nil {
			err = s.seal.open(sess.ID, &e)
		}
		if err == nil {
			var t *Ticket
			if t, err = s.deserialize(sess.ID, e); err == nil {
				tickets = append(tickets, t)
			}
		}
		if err != nil {
			undecodable = append(undecodable, sess)
		}
	}
	return tickets, undecodable, nil
}
