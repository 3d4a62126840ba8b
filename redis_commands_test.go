package ticketstore

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore/internal/redistest"
)

// commandsUsed are the commands of the store and, each with its command, their
// options, with the version of Redis that they came with: none after 6.2. (Check
// also runs CONFIG GET, of 2.0.0, which MONITOR does not show.)
// Sources: https://redis.io/docs/latest/commands/, "Available since" and
// "History" of each.
var commandsUsed = map[string]string{
	"del": "1.0.0", "eval": "2.6.0", "evalsha": "2.6.0", "exists": "1.0.0", "get": "1.0.0",
	"getrange": "2.4.0", "info": "1.0.0", "mget": "1.0.0", "pexpireat": "2.6.0", "time": "2.6.0", "wait": "3.0.0",
	"set": "1.0.0", "set ex": "2.6.12", "set px": "2.6.12", "set pxat": "6.2.0", "set xx": "2.6.12",
	"zadd": "1.2.0", "zadd xx": "3.0.2", "zcard": "1.2.0", "zcount": "2.0.0", "zmscore": "6.2.0",
	"zrange": "1.2.0", "zrange byscore": "6.2.0", "zrange withscores": "2.0.0", "zrangebyscore": "1.0.5", "zrangebyscore limit": "1.0.5",
	"zrem": "1.2.0", "zrevrange": "1.2.0", "zrevrange withscores": "1.2.0",
	"zscan": "2.8.0", "zscan count": "2.8.0", "zscore": "1.2.0",

	// With History.
	"hdel": "2.0.0", "hmget": "2.0.0", "hset": "2.0.0", "pttl": "2.6.0", "publish": "2.0.0", "subscribe": "2.0.0",
	"xadd": "5.0.0", "xadd minid": "6.2.0", "xadd nomkstream": "6.2.0", "xdel": "5.0.0", "xinfo": "5.0.0",
	"xrange": "5.0.0", "xrange count": "5.0.0", "xrevrange": "5.0.0", // ( since 6.2.0
	"zrange rev": "6.2.0", "zremrangebyscore": "1.2.0",
}

// options are what an argument may be that is more than a value, of whichever
// command and version.
var options = regexp.MustCompile(`^(?i:ex|px|exat|pxat|persist|keepttl|nx|xx|gt|lt|ch|incr|get|byscore|bylex|rev|limit|withscores|withscore|count|match|noscores|novalues|any|ifeq|ifgt|byte|bit|minid|maxlen|nomkstream)$`)

// The store uses nothing that Redis 6.2 does not have.
func TestCommandsOfRedis62(t *testing.T) {
	t.Parallel()
	master, _ := redistest.StartReplicated(t)
	b := &backend{testClock: &testClock{}, prefix: randomPrefix(), client: openRedis(t, redisOptions(master.Addr))}
	monitor, err := net.Dial("tcp", master.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer monitor.Close()
	lines := bufio.NewScanner(monitor)
	fmt.Fprint(monitor, "MONITOR\r\n")
	if !lines.Scan() || lines.Text() != "+OK" {
		t.Fatalf("MONITOR: got %q", lines.Text())
	}

	for replicas := range 2 {
		s := b.store(t, RedisConfig{RevokeReplicas: replicas, MaxSessions: 3, History: time.Hour * time.Duration(replicas)})
		for range 5 { // two are evicted
			mustStore(t, b, s, newTicket(b, "bob"))
		}
		for _, op := range outageOperations(t, b, s) {
			if err := op.run(b.ctx(t)); err != nil {
				t.Errorf("%s: %v", op.name, err)
			}
		}
		odd := newTicket(b, "eve") // a record that cannot be read
		key := mustStore(t, b, s, odd)
		if err := b.client.Set(b.ctx(t), s.recordKey(partition("eve"), odd.ID), "x", time.Hour+time.Millisecond).Err(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Sessions(b.ctx(t), "eve"); err != nil {
			t.Error(err)
		}
		if err := s.Remove(b.ctx(t), key); err != nil {
			t.Error(err)
		}
		if _, err := s.Sessions(b.ctx(t), "eve"); err != nil { // prunes
			t.Error(err)
		}
		if replicas > 0 {
			_, err1 := s.History(b.ctx(t), "bob")
			_, _, err2 := s.Endings(b.ctx(t), "", 10)
			_, err3 := s.Forget(b.ctx(t), "bob")
			_, err4 := s.Export(b.ctx(t), "alice")
			_, err5 := s.RevokeEverybody(b.ctx(t), nil)
			if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
				t.Error(err)
			}
		}
		if _, err := s.Check(b.ctx(t)); err != nil {
			t.Error(err)
		}
	}
	used := map[string]bool{}
	b.client.Echo(context.Background(), "the end")
	for lines.Scan() && !strings.Contains(lines.Text(), `"the end"`) {
		words := regexp.MustCompile(`"((?:[^"\\]|\\.)*)"`).FindAllStringSubmatch(lines.Text(), -1)
		if len(words) == 0 {
			continue
		}
		command := strings.ToLower(words[0][1])
		switch command {
		case "hello", "client", "auth", "ping", "replconf", "psync": // of go-redis, and of the replica
			continue
		case "eval", "evalsha":
			words = words[:1]
		}
		used[command] = true
		for _, word := range words[1:] {
			if command == "xadd" && word[1] == "Count" {
				continue // the name of a user
			}
			if options.MatchString(word[1]) {
				used[command+" "+strings.ToLower(word[1])] = true
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(used)) {
		if commandsUsed[name] == "" {
			t.Errorf("%q is used: add it, if Redis 6.2 has it", name)
		}
	}
	for name, since := range commandsUsed {
		if !used[name] {
			t.Errorf("%q is not used", name)
		}
		if since > "6.2.0" {
			t.Errorf("%q came with %s, after 6.2", name, since)
		}
	}
}
