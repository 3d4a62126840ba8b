// Package lostreply repeats scripts whose reply is lost, as go-redis does by
// itself, for who has to know that they were repeated: the answer may then be
// another than that which was lost.
package lostreply

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Repetitions returns how often client would repeat a command whose reply is lost.
func Repetitions(client redis.UniversalClient) int {
	switch c := client.(type) {
	case *redis.Client:
		return c.Options().MaxRetries
	case *redis.ClusterClient:
		return c.Options().MaxRedirects
	default:
		return 3 // the default of both
	}
}

// Once runs script, of that source, which go-redis does not repeat then.
func Once(ctx context.Context, client redis.UniversalClient, script *redis.Script, source string, keys []string, args ...any) *redis.Cmd {
	run := func(command, script string) *redis.Cmd {
		all := []any{command, script, len(keys)}
		for _, key := range keys {
			all = append(all, key)
		}
		cmd := onceCmd{redis.NewCmd(ctx, append(all, args...)...)}
		_ = client.Process(ctx, cmd) // the error is cmd's, too
		return cmd.Cmd
	}
	cmd := run("evalsha", script.Hash())
	if redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
		cmd = run("eval", source)
	}
	return cmd
}

type onceCmd struct{ *redis.Cmd }

// NoRetry implements [redis.Cmder].
func (onceCmd) NoRetry() bool { return true }

// Repeat returns what once does, which it calls so many times more at most,
// until Redis answers. unclear is set if it has called it again.
func Repeat(ctx context.Context, times int, once func() *redis.Cmd) (cmd *redis.Cmd, unclear bool) {
	for n := 0; ; n++ {
		cmd = once()
		var answer redis.Error
		if err := cmd.Err(); err == nil || errors.As(err, &answer) || n >= times {
			return cmd, n > 0
		}
		select {
		case <-ctx.Done():
			return cmd, true
		case <-time.After(8 * time.Millisecond << min(n, 6)): // up to half a second, as go-redis
		}
	}
}

var errUnclear = errors.New("a reply was lost, and the command may have been executed before")

// Answered returns err, an answer that says what is so now, and if unclear is
// set, that a reply was lost.
func Answered(err error, unclear bool) error {
	if unclear {
		return fmt.Errorf("%w: %w", err, errUnclear)
	}
	return err
}
