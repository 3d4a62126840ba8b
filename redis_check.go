package ticketstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore/internal/clock"
)

// checkLua runs every command of the store on a key that does not exist, so
// that none has an effect. It fails as the store would: where an ACL refuses
// one, on a replica, when memory or the disk is full. SET is first, as Redis
// lets a script that has written go on when memory is full.
const checkLua = `
local k = KEYS[1]
for _, command in ipairs({
  {'SET', k, '', 'XX'}, {'GET', k}, {'MGET', k}, {'EXISTS', k}, {'DEL', k}, {'PEXPIREAT', k, 1}, {'TIME'},
  {'ZADD', k, 'XX', 0, ''}, {'ZREM', k, ''}, {'ZREMRANGEBYSCORE', k, 0, 0}, {'ZSCORE', k, ''}, {'ZCOUNT', k, 0, 0},
  {'ZRANGE', k, 0, 0}, {'ZREVRANGE', k, 0, 0}, {'ZRANGEBYSCORE', k, 0, 0}, {'ZSCAN', k, 0},
}) do
  local reply = redis.pcall(unpack(command))
  if type(reply) == 'table' and reply.err then return redis.error_reply(command[1] .. ': ' .. reply.err) end
end
return 'OK'`

var checkScript = redis.NewScript(checkLua)

// Check reports how fit Redis is for the store, in words that an operator can
// act on. It takes one round trip; in a Cluster one to learn the masters, then
// one to each that keeps tickets, whose address begins the message. It changes
// nothing.
//
// The error joins what keeps the store from serving: Redis is "unreachable",
// "refused" a command or a write, is a "replica" or "too old". The warnings
// are what to look at while it serves: "context deadlines" that the client
// ignores, "maxmemory-policy" if it may evict tickets or indexes (it evicts
// nothing without a maxmemory), no "persistence", a "clock" over a second off;
// "unknown" where the server does not say. Log them, but fail no readiness
// probe over them: they do not go away by themselves.
func (s *RedisStore) Check(ctx context.Context) (warnings []string, err error) {
	heeded := true
	switch c := s.client.(type) {
	case *redis.Client:
		heeded = c.Options().ContextTimeoutEnabled
	case *redis.ClusterClient:
		heeded = c.Options().ContextTimeoutEnabled
	default:
		warnings = append(warnings, fmt.Sprintf("context deadlines: unknown: the client is a %T", c))
	}
	if !heeded {
		warnings = append(warnings, "context deadlines: ignored: an outage takes long to tell; set ContextTimeoutEnabled in the client's options")
	}
	var nodes []redisNode
	err = await(ctx, func() (err error) {
		nodes, err = s.nodes(ctx)
		return err
	})
	if err != nil {
		return warnings, fmt.Errorf("ticketstore: check: unreachable: %w", err)
	}
	var wg sync.WaitGroup
	for i := range nodes {
		wg.Go(func() { nodes[i].check(ctx) })
	}
	wg.Wait()
	var errs []error
	for _, n := range nodes {
		warnings, errs = append(warnings, n.warnings...), append(errs, n.errs...)
	}
	if len(errs) > 0 {
		return warnings, fmt.Errorf("ticketstore: check: %w", errors.Join(errs...))
	}
	return warnings, nil
}

// A redisNode is one Redis to look at, and what was found.
type redisNode struct {
	name     string // "address: " in a Cluster; begins what was found
	client   redis.UniversalClient
	key      string // in a slot of this node; nothing is ever there
	warnings []string
	errs     []error
}

// nodes returns the masters of the slots that the store uses.
func (s *RedisStore) nodes(ctx context.Context) ([]redisNode, error) {
	cluster, ok := s.client.(*redis.ClusterClient)
	if !ok {
		return []redisNode{{client: s.client, key: s.recordKey(0, "check")}}, nil
	}
	// Has the client learn the masters anew, for MasterForKey.
	if err := cluster.ForEachMaster(ctx, func(context.Context, *redis.Client) error { return nil }); err != nil {
		return nil, err
	}
	masters := map[string]redisNode{}
	for p := range partitions {
		key := s.recordKey(byte(p), "check")
		c, err := cluster.MasterForKey(ctx, key)
		if err != nil {
			return nil, err
		}
		name := c.Options().Addr + ": "
		masters[name] = redisNode{name: name, client: c, key: key}
	}
	var nodes []redisNode
	for _, n := range masters {
		nodes = append(nodes, n)
	}
	slices.SortFunc(nodes, func(a, b redisNode) int { return strings.Compare(a.name, b.name) })
	return nodes, nil
}

func (n *redisNode) check(ctx context.Context) {
	pipe := n.client.Pipeline()
	serverTime, info, save := pipe.Time(ctx), pipe.Info(ctx), pipe.ConfigGet(ctx, "save")
	eval := checkScript.Eval(ctx, pipe, []string{n.key})
	evalSHA := checkScript.EvalSha(ctx, pipe, []string{n.key})
	now, start := clock.Now(ctx), time.Now()
	err := await(ctx, func() error {
		_, err := pipe.Exec(ctx)
		return err
	})
	trip := time.Since(start)
	if reply := redis.Error(nil); err != nil && !errors.As(err, &reply) {
		n.fail("unreachable: %w", err)
		return
	}
	refused := cmp.Or(eval.Err(), evalSHA.Err())
	if refused == nil && eval.Val() == nil {
		refused = err // of AUTH, say: go-redis has sent no command
	}
	fields := parseInfo(info.Val())
	if fields["role"] == "slave" {
		n.fail("replica: writes belong on its master, %s:%s; connect to that", fields["master_host"], fields["master_port"])
	} else if refused != nil {
		n.fail("refused: %w", refused)
	}
	if refused != nil && len(fields) == 0 {
		return // that nothing else is known goes without saying
	}
	n.judge(fields, save.Val())
	if skew := now.Add(trip / 2).Sub(serverTime.Val()); serverTime.Err() == nil && skew.Abs() > time.Second+trip/2 {
		direction := "ahead of"
		if skew < 0 {
			direction = "behind"
		}
		n.warn("clock: the application's is %v %s that of Redis: expiries and counts are off by as much; synchronize them", skew.Abs().Round(100*time.Millisecond), direction)
	}
}

// judge looks at what INFO and CONFIG GET save have answered.
func (n *redisNode) judge(info, config map[string]string) {
	var major, minor int
	if _, err := fmt.Sscanf(info["redis_version"], "%d.%d", &major, &minor); err != nil {
		n.warn("version: unknown: the server does not say (INFO)")
	} else if major < 6 || major == 6 && minor < 2 {
		n.fail("too old: Redis %s; 6.2 or newer is needed", info["redis_version"])
	}
	policy := info["maxmemory_policy"]
	if policy == "" {
		n.warn("maxmemory-policy: unknown: the server does not say (INFO)")
	} else if policy != "noeviction" && info["maxmemory"] != "0" {
		// Every key has an expiry: volatile-* evicts them all the same.
		n.warn("maxmemory-policy: %s: Redis may evict tickets and indexes; set noeviction", policy)
	}
	if save, known := config["save"]; info["aof_enabled"] != "1" && save == "" {
		if known && info["aof_enabled"] == "0" {
			n.warn("persistence: none: a restart of Redis signs everyone out; set appendonly yes, or save")
		} else {
			n.warn("persistence: unknown: the server does not say (INFO, CONFIG GET save)")
		}
	}
}

func (n *redisNode) warn(format string, a ...any) {
	n.warnings = append(n.warnings, n.name+fmt.Sprintf(format, a...))
}

func (n *redisNode) fail(format string, a ...any) {
	n.errs = append(n.errs, fmt.Errorf("%s"+format, append([]any{n.name}, a...)...))
}

func parseInfo(text string) map[string]string {
	fields := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[name] = value
		}
	}
	return fields
}

// await returns when f does or ctx is done, which go-redis may not heed: f then
// goes on, and what it writes must not be read.
func await(ctx context.Context, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
