package redistest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// StartSentinel starts a master, one replica of it and one sentinel that
// watches the master as "mymaster" with quorum 1, and stops them at the end of
// the test. Once it returns the sentinel's address, a failover is possible, by
// SENTINEL FAILOVER: of itself the sentinel begins one only after [Patience], as
// a master that a busy machine keeps from running is not down.
func StartSentinel(tb testing.TB) (sentinel string, master *Server) {
	tb.Helper()
	master, _ = StartReplicated(tb)
	return startSentinel(tb, master, 1, Patience).Addr, master
}

// StartSentinels is StartSentinel with three sentinels, of which two begin a
// failover when they have not heard of the master for a second.
func StartSentinels(tb testing.TB) (sentinels []string, master, replica *Server) {
	tb.Helper()
	master, replica = StartReplicated(tb)
	var servers []*Server
	for range 3 {
		s := startSentinel(tb, master, 2, time.Second)
		servers, sentinels = append(servers, s), append(sentinels, s.Addr)
	}
	for _, s := range servers { // they hear of each other through the master
		c := redis.NewSentinelClient(Options(s.Addr))
		defer c.Close()
		check(tb, s.await(func(ctx context.Context) error {
			others, err := c.Sentinels(ctx, "mymaster").Result()
			if err == nil && len(others) != len(sentinels)-1 {
				err = fmt.Errorf("the sentinel knows %d others", len(others))
			}
			return err
		}))
	}
	return sentinels, master, replica
}

// StartReplicated starts a master and a replica of it, and stops them at the end of
// the test.
func StartReplicated(tb testing.TB) (master, replica *Server) {
	tb.Helper()
	master = Start(tb, "--repl-diskless-sync-delay", "0")
	host, port, err := net.SplitHostPort(master.Addr)
	check(tb, err)
	replica = Start(tb, "--replicaof", host, port)
	// A sentinel asks the master for its replicas at once, then only every ten
	// seconds: the replica has to be there first.
	check(tb, awaitReplica(master))
	return master, replica
}

func startSentinel(tb testing.TB, master *Server, quorum int, downAfter time.Duration) *Server {
	tb.Helper()
	host, port, err := net.SplitHostPort(master.Addr)
	check(tb, err)
	s := Start(tb, "--sentinel")
	ctx, c := context.Background(), redis.NewSentinelClient(Options(s.Addr))
	defer c.Close()
	check(tb, c.Monitor(ctx, "mymaster", host, port, strconv.Itoa(quorum)).Err())
	check(tb, c.Set(ctx, "mymaster", "down-after-milliseconds", strconv.FormatInt(downAfter.Milliseconds(), 10)).Err())
	check(tb, s.await(func(ctx context.Context) error {
		addr, err1 := c.GetMasterAddrByName(ctx, "mymaster").Result()
		m, err2 := c.Master(ctx, "mymaster").Result()
		replicas, err3 := c.Replicas(ctx, "mymaster").Result()
		if err := errors.Join(err1, err2, err3); err != nil {
			return err
		}
		// That the link is ok the sentinel has from the replica itself; until
		// then it would not promote it.
		if len(addr) != 2 || net.JoinHostPort(addr[0], addr[1]) != master.Addr || m["num-slaves"] != "1" ||
			len(replicas) != 1 || replicas[0]["master-link-status"] != "ok" {
			return fmt.Errorf("the sentinel knows master %v with replicas %v", m, replicas)
		}
		return nil
	}))
	return s
}

// awaitReplica waits until one replica has a full copy of the master's data.
func awaitReplica(master *Server) error {
	c := master.client()
	defer c.Close()
	return master.await(func(ctx context.Context) error {
		n, err := c.Do(ctx, "wait", 1, 100).Int()
		if err == nil && n != 1 {
			err = fmt.Errorf("%d replicas in step", n)
		}
		return err
	})
}
