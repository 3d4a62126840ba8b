package ticketstore

import (
	"context"
	_ "embed"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore/internal/census"
)

// The scripts are the only writers. Each is atomic and declares every key that
// it touches, all in one slot of a Redis Cluster.
var (
	//go:embed scripts/common.lua
	commonLua string
	//go:embed scripts/store.lua
	storeLua string
	//go:embed scripts/renew.lua
	renewLua string
	//go:embed scripts/remove.lua
	removeLua string
	//go:embed scripts/revoke.lua
	revokeLua string
	//go:embed scripts/prune.lua
	pruneLua string

	storeSource = census.Lua + commonLua + storeLua

	storeScript  = redis.NewScript(storeSource)
	renewScript  = redis.NewScript(census.Lua + commonLua + renewLua)
	removeScript = redis.NewScript(census.Lua + commonLua + removeLua)
	revokeScript = redis.NewScript(census.Lua + commonLua + revokeLua)
	pruneScript  = redis.NewScript(census.Lua + commonLua + pruneLua)
)

// runOnce runs a script that go-redis must not repeat when the reply is lost.
func runOnce(ctx context.Context, client redis.UniversalClient, script *redis.Script, source string, keys []string, args ...any) *redis.Cmd {
	run := func(command, script string) *redis.Cmd {
		all := appendStrings([]any{command, script, len(keys)}, keys)
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

// withRecords returns keys with the keys of the records of ids behind them.
func (s *RedisStore) withRecords(keys []string, partition byte, ids []string) []string {
	keys = slices.Clip(keys)
	for _, id := range ids {
		keys = append(keys, s.recordKey(partition, id))
	}
	return keys
}
