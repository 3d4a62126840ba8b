package redistest

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const slots = 16384

// StartCluster starts n masters as a Redis Cluster that covers all slots, and
// stops them at the end of the test. It returns their addresses once every node
// knows all the others. It takes two seconds, the time Redis has a new master
// wait before it accepts writes. A node that a busy machine keeps from running
// is not taken for a dead one: for that, set cluster-node-timeout.
func StartCluster(tb testing.TB, n int) []string {
	tb.Helper()
	return startCluster(tb, tb.Cleanup, n)
}

// SharedCluster returns the addresses of one cluster of three masters for the
// whole test binary, started at first use. TestMain must have called Main.
func SharedCluster(tb testing.TB) []string {
	tb.Helper()
	defer lockShared(tb)()
	if shared.cluster == nil {
		shared.cluster = startCluster(tb, cleanupShared, 3)
	}
	return shared.cluster
}

// StartClusterWithReplica is StartCluster with a replica of the first master,
// which takes over some four seconds after that has hung.
func StartClusterWithReplica(tb testing.TB, n int) (masters []*Server, replica *Server) {
	tb.Helper()
	const nodeTimeout = 2 * time.Second
	masters = startMasters(tb, tb.Cleanup, n, nodeTimeout)
	replica = startNode(tb, tb.Cleanup, nodeTimeout)
	ctx, c := context.Background(), replica.client()
	defer c.Close()
	host, port, err := net.SplitHostPort(masters[0].Addr)
	check(tb, err)
	check(tb, c.ClusterMeet(ctx, host, port).Err())
	check(tb, awaitCluster(replica, n+1))
	first := masters[0].client()
	defer first.Close()
	check(tb, c.ClusterReplicate(ctx, first.ClusterMyID(ctx).Val()).Err())
	check(tb, replica.await(func(ctx context.Context) error {
		info, err := c.Info(ctx, "replication").Result()
		if err == nil && !strings.Contains(info, "master_link_status:up\r\n") {
			err = errors.New(info)
		}
		return err
	}))
	return masters, replica
}

func startCluster(tb testing.TB, cleanup func(func()), n int) (addrs []string) {
	tb.Helper()
	for _, s := range startMasters(tb, cleanup, n, Patience) {
		addrs = append(addrs, s.Addr)
	}
	return slices.Clip(addrs) // clients append to it
}

func startMasters(tb testing.TB, cleanup func(func()), n int, nodeTimeout time.Duration) (nodes []*Server) {
	tb.Helper()
	var addrs []string
	for i := range n {
		s := startNode(tb, cleanup, nodeTimeout)
		join(tb, s, addrs, i, n)
		nodes, addrs = append(nodes, s), append(addrs, s.Addr)
	}
	for _, s := range nodes {
		check(tb, awaitCluster(s, n))
	}
	return nodes
}

func startNode(tb testing.TB, cleanup func(func()), nodeTimeout time.Duration) *Server {
	tb.Helper()
	return start(tb, cleanup, nil, "--cluster-enabled", "yes",
		"--cluster-node-timeout", strconv.FormatInt(nodeTimeout.Milliseconds(), 10), "--cluster-announce-ip", "127.0.0.1")
}

// join gives node i of n its slots and introduces it to the nodes before it.
func join(tb testing.TB, s *Server, addrs []string, i, n int) {
	tb.Helper()
	ctx, c := context.Background(), s.client()
	defer c.Close()
	// Redis would settle equal epochs by itself, but only some time later.
	check(tb, c.Do(ctx, "cluster", "set-config-epoch", i+1).Err())
	check(tb, c.ClusterAddSlotsRange(ctx, slots*i/n, slots*(i+1)/n-1).Err())
	for _, addr := range addrs {
		host, port, err := net.SplitHostPort(addr)
		check(tb, err)
		check(tb, c.ClusterMeet(ctx, host, port).Err())
	}
}

// awaitCluster waits until the node knows all n nodes and finds the cluster
// well, which it does only when it knows an owner for every slot.
func awaitCluster(s *Server, n int) error {
	c := s.client()
	defer c.Close()
	return s.await(func(ctx context.Context) error {
		info, err := c.ClusterInfo(ctx).Result()
		if err == nil && (!strings.Contains(info, "cluster_state:ok\r\n") ||
			!strings.Contains(info, "cluster_known_nodes:"+strconv.Itoa(n)+"\r\n")) {
			err = errors.New(info)
		}
		return err
	})
}
