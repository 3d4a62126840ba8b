package ticketstore

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore/internal/redischeck"
)

// lostEndings is how often an ending is repeated whose reply was lost, as
// go-redis does in a Cluster by itself.
const lostEndings = 3

// runEnding is runUnclear for a script that ends a session or a key. With
// [RedisConfig].RevokeReplicas it returns when that many replicas have what it
// did; otherwise the error says so.
func (s *RedisStore) runEnding(ctx context.Context, script script, keys []string, args ...any) (cmd *redis.Cmd, unclear bool) {
	if s.replicas == 0 {
		return s.runUnclear(ctx, script, keys, args...)
	}
	defer s.writing(keys)()
	return s.replicated(ctx, keys[0], func(pipe redis.Pipeliner, known bool) *redis.Cmd {
		if known {
			return script.EvalSha(ctx, pipe, keys, args...)
		}
		return script.Eval(ctx, pipe, keys, args...)
	})
}

// delete is runEnding for a record that is to be deleted whatever it is.
func (s *RedisStore) delete(ctx context.Context, record string) error {
	defer s.writing([]string{record})()
	if s.replicas == 0 {
		return s.client.Del(ctx, record).Err()
	}
	cmd, _ := s.replicated(ctx, record, func(pipe redis.Pipeliner, _ bool) *redis.Cmd {
		return pipe.Do(ctx, "del", record)
	})
	return cmd.Err()
}

// replicated sends what ends something to the master of record, and WAIT behind
// it on the same connection: WAIT looks only at what its connection has sent, and
// from Redis 7.2 on at what that has written. So between them goes a write that
// is always one, as what has been ended before may have reached no replica yet.
// known says whether to take it that Redis has the script. unclear is that of
// runUnclear.
func (s *RedisStore) replicated(ctx context.Context, record string, end func(pipe redis.Pipeliner, known bool) *redis.Cmd) (ended *redis.Cmd, unclear bool) {
	for deadline, known, lost := repeatDeadline(ctx, time.Now()), true, 0; ; {
		master, err := s.master(ctx, record)
		if err != nil {
			return redis.NewCmdResult(nil, err), lost > 0
		}
		wait := time.Until(deadline) / 2
		if timeout := master.Options().ReadTimeout; timeout > 0 {
			wait = min(wait, timeout/2)
		}
		wait = max(wait, time.Millisecond) // zero would be for ever
		pipe := master.Pipeline()
		cmd := end(pipe, known)
		mark := pipe.Set(ctx, record[:strings.IndexByte(record, '}')+1]+"wait", "", time.Millisecond)
		replicas := pipe.Do(ctx, "wait", s.replicas, wait.Milliseconds())
		redischeck.Exec(ctx, pipe)
		if known && redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
			known = false
			continue
		}
		if ended == nil && cmd.Err() == nil {
			ended, unclear = cmd, lost > 0
		}
		err = cmp.Or(cmd.Err(), replicas.Err())
		// Redis refuses the mark when it is full, or the slot is moving; it is not
		// needed if the script has ended a session.
		if n, _ := cmd.Int(); err == nil && n <= 0 {
			err = mark.Err()
		}
		again := notExecuted(err)
		if unanswered(err) {
			lost++
			again = lost <= lostEndings
		}
		if again && pause(ctx, deadline) {
			s.reload(ctx)
			continue
		}
		if n, _ := replicas.Int(); err == nil && n < s.replicas {
			err = fmt.Errorf("%d replicas have it, want %d", n, s.replicas)
		}
		switch {
		case err == nil:
			return ended, unclear
		case ended != nil:
			err = fmt.Errorf("done, but a failover may undo it: %w", err)
		}
		return redis.NewCmdResult(nil, err), lost > 0
	}
}

// checkReplicas returns what keeps RevokeReplicas from holding.
func (s *RedisStore) checkReplicas() error {
	if s.replicas < 0 {
		return problem("RevokeReplicas", "%d is negative", s.replicas)
	}
	switch s.client.(type) {
	case *redis.Client, *redis.ClusterClient:
		return nil
	}
	return problem("RevokeReplicas", "it needs one connection for two commands, of a *redis.Client or a *redis.ClusterClient; the client is a %T", s.client)
}

// master returns the client of the node that has key.
func (s *RedisStore) master(ctx context.Context, key string) (*redis.Client, error) {
	if cluster, ok := s.client.(*redis.ClusterClient); ok {
		return cluster.MasterForKey(ctx, key)
	}
	return s.client.(*redis.Client), nil // see checkReplicas
}
