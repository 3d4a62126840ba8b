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

// unanswered reports whether a command has failed without a reply of Redis, but
// for those that their caller has given up.
func unanswered(err error) bool {
	var answer redis.Error
	return err != nil && !errors.As(err, &answer) && !errors.Is(err, context.Canceled)
}

// reload has a Cluster's client learn anew who has which slots, as failover.Watch
// does, which does not see what goes to a node alone.
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

// again reports whether to repeat what was begun and ended with err, as a
// Cluster has not executed it, after a pause.
func (s *RedisStore) again(ctx context.Context, begun time.Time, err error) bool {
	_, cluster := s.client.(*redis.ClusterClient)
	return cluster && notExecuted(err) && pause(ctx, repeatDeadline(ctx, begun))
}

// repeatDeadline returns until when to repeat what was begun.
func repeatDeadline(ctx context.Context, begun time.Time) time.Time {
	if deadline, ok := ctx.Deadline(); ok {
		return deadline
	}
	return begun.Add(repeatFor)
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
