// Package redischeck tells whether a Redis, and the client of it, are fit for a
// store.
package redischeck

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

// maxReadTimeout is how long a Cluster's client may wait for one that hangs, to
// learn in time who has its slots: it asks with no other deadline, anyone.
const maxReadTimeout = 2 * time.Second

// Servers reports how fit the masters of the slots of keys are, where nothing
// is ever kept. What it reports is said at RedisStore.Check. It runs commands,
// a list of Lua tables about a key k, so that none has an effect: it fails as
// the store would, where an ACL refuses one, on a replica, when memory or the
// disk is full. If cached, the client's own cache is tried, too.
func Servers(ctx context.Context, client redis.UniversalClient, keys []string, commands string, cached bool) (warnings []string, err error) {
	script := NewScript(`
local k = KEYS[1]
for _, command in ipairs({` + commands + `}) do
  local reply = redis.pcall(unpack(command))
  if type(reply) == 'table' and reply.err and not string.find(reply.err, 'no such key', 1, true) then return redis.error_reply(command[1] .. ': ' .. reply.err) end
end
return 'OK'`)
	heeded := true
	switch c := client.(type) {
	case *redis.Client:
		heeded = c.Options().ContextTimeoutEnabled
	case *redis.ClusterClient:
		heeded = c.Options().ContextTimeoutEnabled
		if wait := c.Options().ReadTimeout; wait == 0 || wait > maxReadTimeout {
			warnings = append(warnings, fmt.Sprintf("failover: slow: the client may wait for ReadTimeout, %v (0: for ever), for a master that hangs before it finds the one that took over; set a second", wait))
		}
	default:
		warnings = append(warnings, fmt.Sprintf("context deadlines: unknown: the client is a %T", c))
	}
	if !heeded {
		warnings = append(warnings, "context deadlines: ignored: an outage takes long to tell; set ContextTimeoutEnabled in the client's options")
	}
	var nodes []node
	err = await(ctx, func() (err error) {
		nodes, err = masters(ctx, client, keys)
		return err
	})
	if err != nil {
		return warnings, fmt.Errorf("unreachable: %w", err)
	}
	var wg sync.WaitGroup
	for i := range nodes {
		wg.Go(func() {
			nodes[i].check(ctx, script)
			if cached && len(nodes[i].errs) == 0 {
				nodes[i].checkCache(ctx)
			}
		})
	}
	wg.Wait()
	var errs []error
	for _, n := range nodes {
		warnings, errs = append(warnings, n.warnings...), append(errs, n.errs...)
	}
	if len(errs) > 0 {
		return warnings, errors.Join(errs...)
	}
	return warnings, nil
}

// A node is one Redis to look at, and what was found.
type node struct {
	name     string // "address: " in a Cluster; begins what was found
	client   redis.UniversalClient
	key      string // in a slot of this node; nothing is ever there
	warnings []string
	errs     []error
}

// masters returns the masters of the slots of keys.
func masters(ctx context.Context, client redis.UniversalClient, keys []string) ([]node, error) {
	cluster, ok := client.(*redis.ClusterClient)
	if !ok {
		return []node{{client: client, key: keys[0]}}, nil
	}
	// Has the client learn the masters anew, for MasterForKey.
	if err := cluster.ForEachMaster(ctx, func(context.Context, *redis.Client) error { return nil }); err != nil {
		return nil, err
	}
	found := map[string]node{}
	for _, key := range keys {
		c, err := cluster.MasterForKey(ctx, key)
		if err != nil {
			return nil, err
		}
		name := c.Options().Addr + ": "
		found[name] = node{name: name, client: c, key: key}
	}
	var nodes []node
	for _, n := range found {
		nodes = append(nodes, n)
	}
	slices.SortFunc(nodes, func(a, b node) int { return strings.Compare(a.name, b.name) })
	return nodes, nil
}

func (n *node) check(ctx context.Context, script *redis.Script) {
	pipe := n.client.Pipeline()
	serverTime, info, save := pipe.Time(ctx), pipe.Info(ctx), pipe.ConfigGet(ctx, "save")
	eval := script.Eval(ctx, pipe, []string{n.key})
	evalSHA := script.EvalSha(ctx, pipe, []string{n.key})
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
		const format = "clock: the application's is %v %s that of Redis: %s; synchronize them"
		off := skew.Abs().Round(100 * time.Millisecond)
		if skew.Abs() > time.Minute+trip/2 {
			n.fail(format, off, direction, "beyond a minute nothing is written")
		} else {
			n.warn(format, off, direction, "expiries and counts are off by as much")
		}
	}
}

// judge looks at what INFO and CONFIG GET save have answered.
func (n *node) judge(info, config map[string]string) {
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

func (n *node) warn(format string, a ...any) {
	n.warnings = append(n.warnings, n.name+fmt.Sprintf(format, a...))
}

func (n *node) fail(format string, a ...any) {
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
