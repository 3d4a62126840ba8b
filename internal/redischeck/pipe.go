package redischeck

import (
	"context"
	"slices"

	"github.com/redis/go-redis/v9"
)

// Exec sends pipe. The error is that of a command, too, also if nothing was
// sent: when AUTH is refused, go-redis leaves commands without one.
func Exec(ctx context.Context, pipe redis.Pipeliner) {
	cmds, err := pipe.Exec(ctx)
	if err == nil || slices.ContainsFunc(cmds, func(cmd redis.Cmder) bool { return cmd.Err() != nil }) {
		return
	}
	for _, cmd := range cmds {
		cmd.SetErr(err)
	}
}
