package aspnetcore

import (
	_ "embed"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore/internal/census"
)

// Go writes records by these scripts alone. Each is atomic and declares every
// key that it touches. RedisTicketStore.cs, in the example, runs the same.
var (
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

	storeScript  = redis.NewScript(census.Lua + commonLua + storeLua)
	renewScript  = redis.NewScript(census.Lua + commonLua + renewLua)
	indexScript  = redis.NewScript(census.Lua + commonLua + indexLua)
	removeScript = redis.NewScript(census.Lua + commonLua + removeLua)
	revokeScript = redis.NewScript(census.Lua + commonLua + revokeLua)
	pruneScript  = redis.NewScript(census.Lua + commonLua + pruneLua)
)
