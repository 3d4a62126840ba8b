// Package failover has a Redis Cluster's client find the master that took over.
package failover

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"
)

// Watch has client, if it is one of a Cluster, learn anew who has which slots
// when a command is not answered. By itself go-redis does so when it is told
// MOVED or ASK, which a dead master does not say, and once a minute.
func Watch(client redis.UniversalClient) {
	if cluster, ok := client.(*redis.ClusterClient); ok {
		cluster.AddHook(hook{cluster})
	}
}

type hook struct{ client *redis.ClusterClient }

// DialHook implements [redis.Hook].
func (hook) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook implements [redis.Hook].
func (w hook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		w.look(ctx, err)
		return err
	}
}

// ProcessPipelineHook implements [redis.Hook].
func (w hook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
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
func (w hook) look(ctx context.Context, err error) {
	var answer redis.Error
	if err == nil || errors.Is(err, context.Canceled) || errors.As(err, &answer) && !redis.HasErrorPrefix(err, "CLUSTERDOWN") {
		return
	}
	w.client.ReloadState(ctx)
}
