package aspnetcore

import (
	"context"
	_ "embed"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore/internal/lostreply"
	"github.com/ticketstore/ticketstore/internal/redischeck"
)

// Go writes records by these scripts alone. Each is atomic and declares every
// key that it touches. RedisTicketStore.cs, in the example, runs the same.
var (
	//go:embed scripts/census.lua
	censusLua string
	//go:embed scripts/common.lua
	commonLua string
	//go:embed scripts/store.lua
	storeLua string
	//go:embed scripts/renew.lua
	renewLua string
	//go:embed scripts/index.lua
	indexLua string
	//go:embed scripts/remove.lua
	removeLua string
	//go:embed scripts/revoke.lua
	revokeLua string
	//go:embed scripts/prune.lua
	pruneLua string

	renewSource  = censusLua + commonLua + renewLua
	revokeSource = censusLua + commonLua + revokeLua

	storeScript  = redischeck.NewScript(censusLua + commonLua + storeLua)
	renewScript  = redischeck.NewScript(renewSource)
	indexScript  = redischeck.NewScript(censusLua + commonLua + indexLua)
	removeScript = redischeck.NewScript(censusLua + commonLua + removeLua)
	revokeScript = redischeck.NewScript(revokeSource)
	pruneScript  = redischeck.NewScript(censusLua + commonLua + pruneLua)
)

func (s *Store) run(ctx context.Context, script *redis.Script, keys []string, args ...any) *redis.Cmd {
	cmd := script.Run(ctx, s.client, keys, args...)
	cmd.SetErr(s.wrongType(redact(cmd.Err())))
	return cmd
}

// runUnclear is run for a script whose answer to a repetition may be another
// than that which was lost: unclear is set if it was repeated.
func (s *Store) runUnclear(ctx context.Context, script *redis.Script, source string, keys []string, args ...any) (cmd *redis.Cmd, unclear bool) {
	cmd, unclear = lostreply.Repeat(ctx, lostreply.Repetitions(s.client), func() *redis.Cmd {
		return lostreply.Once(ctx, s.client, script, source, keys, args...)
	})
	cmd.SetErr(s.wrongType(redact(cmd.Err())))
	return cmd, unclear
}
