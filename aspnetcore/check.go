package aspnetcore

import (
	"context"
	"fmt"

	"github.com/ticketstore/ticketstore/internal/redischeck"
)

// checkCommands are all the commands of the store, on a key that does not
// exist and is gone again at the end. HSET is first, as Redis lets a script
// that has written go on when memory is full. Reindex, which is the operator's,
// needs SCAN and SCRIPT LOAD besides.
const checkCommands = `
  {'HSET', k, 'f', ''}, {'HMGET', k, 'f'}, {'HGET', k, 'f'}, {'TYPE', k}, {'PTTL', k}, {'PEXPIREAT', k, 1}, {'HDEL', k, 'f'},
  {'DEL', k}, {'TIME'}, {'ZADD', k, 'XX', 0, ''}, {'ZREM', k, ''}, {'ZREMRANGEBYSCORE', k, 0, 0}, {'ZCOUNT', k, 0, 0},
  {'ZRANGE', k, 0, 0}, {'ZREVRANGE', k, 0, 0}, {'ZRANGEBYSCORE', k, 0, 0}, {'ZSCAN', k, 0},
`

// Check reports how fit Redis is for the store, as RedisStore.Check does.
func (s *Store) Check(ctx context.Context) (warnings []string, err error) {
	warnings, err = redischeck.Servers(ctx, s.client, []string{s.instance + indexName + "check"}, checkCommands, false)
	if err != nil {
		err = fmt.Errorf("aspnetcore: check: %w", err)
	}
	return warnings, err
}
