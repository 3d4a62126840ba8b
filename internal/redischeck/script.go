package redischeck

import (
	"crypto/fips140"

	"github.com/redis/go-redis/v9"
)

// NewScript is redis.NewScript, also under GODEBUG=fips140=only: SHA-1 is
// Redis' name of a script, and nothing rests on its strength.
func NewScript(source string) (script *redis.Script) {
	fips140.WithoutEnforcement(func() { script = redis.NewScript(source) })
	return script
}
