package ticketstore

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// repeatAfter is how long a Cluster has before it is asked again what it
	// has not done.
	repeatAfter = 50 * time.Millisecond
	// repeatFor is how long it is asked without a deadline.
	repeatFor = 5 * time.Second
)

// A slotWatch is a hook that has a Cluster's client learn anew who has which
// slots when one does not answer. By itself go-redis does so when it is told
// MOVED or ASK, which a dead master does not say, and once a minute.
type slotWatch struct{ client *redis.ClusterClient }

// DialHook implements [redis.Hook].
func (slotWatch) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook implements [redis.Hook].
func (w slotWatch) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		w.look(ctx, err)
		return err
	}
}

// ProcessPipelineHook implements [redis.Hook].
func (w slotWatch) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		w.look(ctx, err)
		for _, cmd := range cmds {
			if err == nil || cmd.Err() != nil && cmd.Err() != err {
				w.look(ctx, cmd.Err())
			}
		}
		return err
	}
}

// look has the client reload if err is no answer, or that of a node which the
// others have left. It does not wait; go-redis reloads once for many calls.
func (w slotWatch) look(ctx context.Context, err error) {
	if unanswered(err) || redis.HasErrorPrefix(err, "CLUSTERDOWN") {
		w.client.ReloadState(ctx)
	}
}

// unanswered reports whether a command has failed without a reply of Redis, but
// for those that their caller has given up.
func unanswered(err error) bool {
	var answer redis.Error
	return err != nil && !errors.As(err, &answer) && !errors.Is(err, context.Canceled)
}

// reload is what look does, for what has gone to a node past the hooks of client.
func (s *RedisStore) reload(ctx context.Context) {
	if cluster, ok := s.client.(*redis.ClusterClient); ok {
		cluster.ReloadState(ctx)
	}
}

// notExecuted reports whether a Cluster has said that it has not begun with a
// command, as its slot is moving or has nobody.
func notExecuted(err error) bool {
	return slices.ContainsFunc([]string{"TRYAGAIN", "ASK", "MOVED", "CLUSTERDOWN"}, func(prefix string) bool {
		return redis.HasErrorPrefix(err, prefix)
	})
}

// repeatDeadline returns until when to repeat what a Cluster has not done.
func repeatDeadline(ctx context.Context) time.Time {
	if deadline, ok := ctx.Deadline(); ok {
		return deadline
	}
	return time.Now().Add(repeatFor)
}

// executed calls run until a Cluster has begun with its command, or no time is
// left.
func (s *RedisStore) executed(ctx context.Context, run func() *redis.Cmd) *redis.Cmd {
	cmd := run()
	if _, ok := s.client.(*redis.ClusterClient); !ok {
		return cmd
	}
	for end := repeatDeadline(ctx); notExecuted(cmd.Err()) && pause(ctx, end); {
		cmd = run()
	}
	return cmd
}

// pause waits before a repetition, or reports that there is no time for one.
func pause(ctx context.Context, end time.Time) bool {
	if time.Until(end) <= repeatAfter {
		return false
	}
	select {
	case <-time.After(repeatAfter):
		return true
	case <-ctx.Done():
		return false
	}
}
