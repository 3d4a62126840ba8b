package ticketstore

import (
	"context"
	_ "embed"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore/internal/lostreply"
	"github.com/ticketstore/ticketstore/internal/redischeck"
)

// The scripts are the only writers, but for what Remove does to a record that
// it cannot read, and Forget to what was told. Each is atomic and declares
// every key that it touches, all in one slot of a Redis Cluster.
var (
	//go:embed scripts/common.lua
	commonLua string
	//go:embed scripts/silent.lua
	silentLua string
	//go:embed scripts/telling.lua
	tellingLua string
	//go:embed scripts/settle.lua
	settleLua string
	//go:embed scripts/store.lua
	storeLua string
	//go:embed scripts/renew.lua
	renewLua string
	//go:embed scripts/arrive.lua
	arriveLua string
	//go:embed scripts/remove.lua
	removeLua string
	//go:embed scripts/mark.lua
	markLua string
	//go:embed scripts/revoke.lua
	revokeLua string
	//go:embed scripts/prune.lua
	pruneLua string
	//go:embed scripts/sweep.lua
	sweepLua string
	//go:embed scripts/link.lua
	linkLua string
	//go:embed scripts/linkmark.lua
	linkMarkLua string
	//go:embed scripts/count.lua
	countLua string
	//go:embed scripts/page.lua
	pageLua string
	//go:embed scripts/endings.lua
	endingsLua string

	silent  = newScripts(silentLua)
	telling = newScripts(tellingLua)

	arriveScript   = newScript(commonLua + arriveLua)
	markScript     = newScript(commonLua + markLua)
	linkScript     = newScript(commonLua + linkLua)
	linkMarkScript = newScript(commonLua + linkMarkLua)

	// These only read.
	countScript   = newScript(countLua)
	pageScript    = newScript(pageLua)
	endingsScript = newScript(endingsLua)
)

// scripts are those that end sessions, or keep up the indexes of those that have
// ended: without History, and with it.
type scripts struct{ store, renew, remove, revoke, prune, sweep script }

func newScripts(endings string) *scripts {
	of := func(source string) script { return newScript(commonLua + endings + settleLua + source) }
	return &scripts{of(storeLua), of(renewLua), of(removeLua), of(revokeLua), of(pruneLua), of(sweepLua)}
}

type script struct {
	*redis.Script
	source string
}

func newScript(source string) script { return script{redischeck.NewScript(source), source} }

// runEach makes calls of a script that only reads, each with its keys, in one
// pipeline; with args that depend on which call it is.
func runEach(ctx context.Context, client redis.UniversalClient, script script, calls [][]string, args func(i int) []any) ([]*redis.Cmd, error) {
	cmds := make([]*redis.Cmd, len(calls))
	for _, run := range []func(context.Context, redis.Scripter, []string, ...any) *redis.Cmd{script.EvalSha, script.Eval} {
		pipe := client.Pipeline()
		for i, keys := range calls {
			if cmds[i] == nil || redis.HasErrorPrefix(cmds[i].Err(), "NOSCRIPT") {
				cmds[i] = run(ctx, pipe, keys, args(i)...)
			}
		}
		if pipe.Len() > 0 {
			redischeck.Exec(ctx, pipe)
		}
	}
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil {
			return nil, err
		}
	}
	return cmds, nil
}

// run runs a script, which writes what it declares.
func (s *RedisStore) run(ctx context.Context, script script, keys []string, args ...any) *redis.Cmd {
	defer s.writing(keys)()
	for begun := time.Now(); ; {
		cmd := script.Run(ctx, s.client, keys, args...)
		if !s.again(ctx, begun, cmd.Err()) {
			return cmd
		}
	}
}

// runOnce is run for a script that go-redis must not repeat when the reply is
// lost.
func (s *RedisStore) runOnce(ctx context.Context, script script, keys []string, args ...any) *redis.Cmd {
	defer s.writing(keys)()
	for begun := time.Now(); ; {
		cmd := lostreply.Once(ctx, s.client, script.Script, script.source, keys, args...)
		if !s.again(ctx, begun, cmd.Err()) {
			return cmd
		}
	}
}

// runUnclear is run for a script whose answer to a repetition may be another
// than that which was lost: unclear is set if it was repeated.
func (s *RedisStore) runUnclear(ctx context.Context, script script, keys []string, args ...any) (cmd *redis.Cmd, unclear bool) {
	return lostreply.Repeat(ctx, s.repetitions, func() *redis.Cmd { return s.runOnce(ctx, script, keys, args...) })
}

// withRecords returns keys with the keys of the records of ids behind them.
func (s *RedisStore) withRecords(keys []string, partition byte, ids []string) []string {
	keys = slices.Clip(keys)
	for _, id := range ids {
		keys = append(keys, s.recordKey(partition, id))
	}
	return keys
}
