package aspnetcore

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/clock"
)

const reindexBatch = 1000 // keys that a SCAN looks at

// A Reindexed says how far a [Store.Reindex] is.
type Reindexed struct {
	Sessions    int // live sessions read
	Added       int // of them, put into the index of their subject
	Undecodable int // of them, not readable: if that is all, check SubjectClaim
}

// Reindex reads every session in Redis and puts those into the index that are
// not there: those that ASP.NET Core has begun, or given to another user, and
// Go has not seen since; all of them, if the index has been lost. One that has
// ended and that ASP.NET Core has brought back ends there, too. It calls
// progress, unless that is nil, after each step, and returns what it did.
//
// It is the operator's, after the Go service has been added to a running
// application: it scans the whole database, a step at a time, while everything
// goes on. Run again, it adds what is new. An ACL user needs SCAN and SCRIPT
// LOAD for it.
func (s *Store) Reindex(ctx context.Context, progress func(Reindexed)) (Reindexed, error) {
	var done Reindexed
	if err := s.scan(ctx, func(names []string) error {
		if err := s.reindex(ctx, names, &done); err != nil {
			return err
		}
		if progress != nil {
			progress(done)
		}
		return nil
	}); err != nil {
		return done, fmt.Errorf("aspnetcore: reindex: %w", err)
	}
	return done, nil
}

// scan calls step with the names of all records, some at a time.
func (s *Store) scan(ctx context.Context, step func(names []string) error) error {
	node := redis.Cmdable(s.client)
	if cluster, ok := s.client.(*redis.ClusterClient); ok {
		var err error
		if node, err = cluster.MasterForKey(ctx, s.indexKeys("")[1]); err != nil { // all are in its slot
			return err
		}
	}
	pattern := globEscape(s.recordKey(ticketstore.Key(s.prefix))) + "*"
	for cursor, more := uint64(0), true; more; more = cursor != 0 {
		var names []string
		var err error
		names, cursor, err = node.ScanType(ctx, cursor, pattern, reindexBatch, "hash").Result()
		if err != nil {
			return err
		}
		if err := step(names); err != nil {
			return err
		}
	}
	return nil
}

// reindex puts into the index what of the records called names is not there.
func (s *Store) reindex(ctx context.Context, names []string, done *Reindexed) error {
	var entries []redis.Z
	for _, name := range names {
		if key := strings.TrimPrefix(name, s.instance); s.wellFormed(ticketstore.Key(key)) {
			entries = append(entries, redis.Z{Member: key})
		}
	}
	records, err := s.records(ctx, entries)
	if err != nil {
		return err
	}
	if err := indexScript.Load(ctx, s.client).Err(); err != nil { // a pipeline runs it by its hash
		return err
	}
	now := clock.Now(ctx)
	pipe := s.client.Pipeline()
	var indexed []*redis.Cmd
	for _, r := range records {
		switch {
		case r.gone && r.data != nil:
			if err := s.end(ctx, r); err != nil {
				return err
			}
			continue
		case !r.live():
			continue
		}
		t, err := s.ticket(r)
		if err == nil && !now.Before(t.ExpiresAt) {
			continue
		}
		done.Sessions++
		if err != nil {
			done.Undecodable++
			continue
		}
		indexed = append(indexed, indexScript.EvalSha(ctx, pipe, s.indexScriptKeys(r, t), indexArgs(r, t)...))
	}
	if len(indexed) == 0 {
		return nil
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return redact(err)
	}
	for _, cmd := range indexed {
		if n, _ := cmd.Int(); n == 2 {
			done.Added++
		}
	}
	return nil
}

// globEscape returns a pattern of SCAN that matches s alone.
func globEscape(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(s)
}
