package ticketstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore/internal/clock"
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

// historyCommands are those that History takes.
const historyCommands = `
  {'HSET', k, 'a', ''}, {'HMGET', k, 'a'}, {'HDEL', k, 'a'}, {'PTTL', k}, {'XADD', k, 'NOMKSTREAM', '*', 'a', ''}, {'XRANGE', k, '-', '+'}, {'XREVRANGE', k, '+', '-'},
  {'XINFO', 'STREAM', k}, {'XDEL', k, '0-1'}, {'ZREMRANGEBYSCORE', k, 0, 0}, {'PUBLISH', string.match(k, '^[^{]*') .. 'ended', ''},
`

// Check reports how fit Redis is for the store, in words that an operator can
// act on. It takes two round trips; in a Cluster one to learn the masters, then
// one to each that keeps tickets, whose address begins the message; with
// [RedisConfig].MaxStaleness one or two more; with History a connection of its
// own. It changes nothing, but that with History it notes it, see
// docs/operations.md.
//
// The error joins what keeps the store from serving: Redis is "unreachable",
// "refused" a command or a write, is a "replica" or "too old", or has a "clock"
// that is over a minute from the application's. The warnings are what to look
// at while it serves: "context deadlines" that the client ignores, a "failover"
// that a Cluster's client finds late, "maxmemory-policy" if it may evict
// tickets or indexes (it evicts nothing without a maxmemory), no "persistence",
// a "clock" over a second off, the client's "cache" if it does not work, another
// "history" in another process, what "subscribe" is refused, which Manager.Live
// needs; "unknown" where the server does not say. Log them, but fail no readiness
// probe over them: they do not go away by themselves.
func (s *RedisStore) Check(ctx context.Context) (warnings []string, err error) {
	var keys []string
	for p := range partitions {
		keys = append(keys, s.recordKey(byte(p), "check"))
	}
	commands := checkCommands
	if s.history > 0 {
		commands += historyCommands
	}
	warnings, err = redischeck.Servers(ctx, s.client, keys, commands, s.writes != nil)
	if err == nil {
		var warning string
		if warning, err = s.checkHistory(ctx); warning != "" {
			warnings = append(warnings, warning)
		}
	}
	if err != nil {
		return warnings, fmt.Errorf("ticketstore: check: %w", err)
	}
	if s.history > 0 {
		if err := redischeck.Subscribe(ctx, s.client, s.EndingsChannel()); err != nil {
			warnings = append(warnings, fmt.Sprintf("subscribe: %v: Manager.Live learns within half a minute of what ends elsewhere, not at once; the ACL needs +subscribe +ping &%s", err, s.EndingsChannel()))
		}
	}
	return warnings, nil
}

// notedAgain is after how long a History is noted again that is the same.
const notedAgain = 24 * time.Hour

// checkHistory returns a warning if the process that was the last to note its
// History has another one, and notes that of this one, unless that is none.
func (s *RedisStore) checkHistory(ctx context.Context) (warning string, err error) {
	key := s.tags[0] + "check-history"
	var noted *redis.StringCmd
	s.pastCache(ctx, func(c redis.Cmdable) { noted = c.Get(ctx, key) })
	text, err := noted.Result()
	if err != nil && !errors.Is(err, redis.Nil) && !redis.HasErrorPrefix(err, "WRONGTYPE") {
		return "", err
	}
	now := clock.Now(ctx)
	history, at, ok := parseNoted(text)
	if ok && (history-s.history).Abs() >= time.Second { // the operator's command knows it from Redis, not as well
		warning = fmt.Sprintf("history: %v here, %v in a process that was checked at %s: some endings are not told, or soon forgotten; set the same RedisConfig.History in all",
			s.history, history, at.UTC().Format(time.RFC3339))
		if s.history == 0 {
			warning += ", or DEL " + key + " if no process has one any more"
		}
	}
	if s.history == 0 || ok && warning == "" && now.Sub(at).Abs() < notedAgain {
		return warning, nil
	}
	return warning, s.client.Set(ctx, key, fmt.Sprintf("%d %d", s.history.Milliseconds(), now.UnixMilli()), maxHistory).Err()
}

// parseNoted parses what checkHistory writes.
func parseNoted(text string) (history time.Duration, at time.Time, ok bool) {
	first, second, _ := strings.Cut(text, " ")
	ms, err1 := strconv.ParseInt(first, 10, 64)
	when, err2 := strconv.ParseInt(second, 10, 64)
	if err1 != nil || err2 != nil || ms <= 0 || ms > maxHistory.Milliseconds() {
		return 0, time.Time{}, false // put there by hand, or nothing
	}
	return time.Duration(ms) * time.Millisecond, time.UnixMilli(when), true
}
