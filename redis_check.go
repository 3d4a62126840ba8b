package ticketstore

import (
	"context"
	"fmt"

	"github.com/ticketstore/ticketstore/internal/redischeck"
)

// checkCommands are all the commands of the store, on a key that does not
// exist. SET is first, as Redis lets a script that has written go on when
// memory is full.
const checkCommands = `
  {'SET', k, '', 'XX'}, {'GET', k}, {'GETRANGE', k, 0, 0}, {'MGET', k}, {'EXISTS', k}, {'DEL', k}, {'PEXPIREAT', k, 1}, {'TIME'},
  {'ZADD', k, 'XX', 0, ''}, {'ZREM', k, ''}, {'ZSCORE', k, ''}, {'ZMSCORE', k, ''}, {'ZCARD', k}, {'ZCOUNT', k, 0, 0},
  {'ZRANGE', k, 0, 0}, {'ZREVRANGE', k, 0, 0}, {'ZRANGEBYSCORE', k, 0, 0}, {'ZSCAN', k, 0},
`

// checkHistory are those that History takes.
const checkHistory = `
  {'HSET', k, 'a', ''}, {'HMGET', k, 'a'}, {'HDEL', k, 'a'}, {'PTTL', k}, {'XADD', k, 'NOMKSTREAM', '*', 'a', ''}, {'XRANGE', k, '-', '+'},
  {'XINFO', 'STREAM', k}, {'XDEL', k, '0-1'}, {'ZREMRANGEBYSCORE', k, 0, 0}, {'PUBLISH', string.match(k, '^[^{]*') .. 'ended', ''},
`

// Check reports how fit Redis is for the store, in words that an operator can
// act on. It takes one round trip; in a Cluster one to learn the masters, then
// one to each that keeps tickets, whose address begins the message; with
// [RedisConfig].MaxStaleness one or two more. It changes nothing.
//
// The error joins what keeps the store from serving: Redis is "unreachable",
// "refused" a command or a write, is a "replica" or "too old", or has a "clock"
// that is over a minute from the application's. The warnings are what to look
// at while it serves: "context deadlines" that the client ignores, a "failover"
// that a Cluster's client finds late, "maxmemory-policy" if it may evict
// tickets or indexes (it evicts nothing without a maxmemory), no "persistence",
// a "clock" over a second off, the client's "cache" if it does not work;
// "unknown" where the server does not say. Log them, but fail no readiness
// probe over them: they do not go away by themselves.
func (s *RedisStore) Check(ctx context.Context) (warnings []string, err error) {
	var keys []string
	for p := range partitions {
		keys = append(keys, s.recordKey(byte(p), "check"))
	}
	commands := checkCommands
	if s.history > 0 {
		commands += checkHistory
	}
	warnings, err = redischeck.Servers(ctx, s.client, keys, commands, s.writes != nil)
	if err != nil {
		err = fmt.Errorf("ticketstore: check: %w", err)
	}
	return warnings, err
}
