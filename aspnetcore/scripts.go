package aspnetcore

import (
	_ "embed"

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

	storeScript  = redischeck.NewScript(censusLua + commonLua + storeLua)
	renewScript  = redischeck.NewScript(censusLua + commonLua + renewLua)
	indexScript  = redischeck.NewScript(censusLua + commonLua + indexLua)
	removeScript = redischeck.NewScript(censusLua + commonLua + removeLua)
	revokeScript = redischeck.NewScript(censusLua + commonLua + revokeLua)
	pruneScript  = redischeck.NewScript(censusLua + commonLua + pruneLua)
)
