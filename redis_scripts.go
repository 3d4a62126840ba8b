package ticketstore

import (
	_ "embed"

	"github.com/redis/go-redis/v9"
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

	storeScript  = redis.NewScript(commonLua + storeLua)
	renewScript  = redis.NewScript(commonLua + renewLua)
	removeScript = redis.NewScript(commonLua + removeLua)
	revokeScript = redis.NewScript(commonLua + revokeLua)
	pruneScript  = redis.NewScript(commonLua + pruneLua)
)
