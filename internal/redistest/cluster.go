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

// StartClusterWithReplicas is StartCluster with a replica each of the first
// masters, which takes over some four seconds after its master has hung or
// ended.
func StartClusterWithReplicas(tb testing.TB, n, withReplica int) (masters, replicas []*Server) {
	tb.Helper()
	const nodeTimeout = 2 * time.Second
	masters = startMasters(tb, tb.Cleanup, n, nodeTimeout)
	for i, master := range masters[:withReplica] {
		replica := startNode(tb, tb.Cleanup, nodeTimeout)
		replicas = append(replicas, replica)
		meet(tb, replica, master)
		check(tb, awaitCluster(replica, n+i+1))
		replicate(tb, replica, master)
	}
	for _, s := range masters {
		check(tb, awaitCluster(s, n+withReplica))
	}
	return masters, replicas
}

func meet(tb testing.TB, s, other *Server) {
	tb.Helper()
	c := s.client()
	defer c.Close()
	host, port, err := net.SplitHostPort(other.Addr)
	check(tb, err)
	check(tb, c.ClusterMeet(context.Background(), host, port).Err())
}

func replicate(tb testing.TB, replica, master *Server) {
	tb.Helper()
	ctx, c, m := context.Background(), replica.client(), master.client()
	defer c.Close()
	defer m.Close()
	check(tb, c.ClusterReplicate(ctx, m.ClusterMyID(ctx).Val()).Err())
	check(tb, replica.await(func(ctx context.Context) error {
		info, err := c.Info(ctx, "replication").Result()
		if err == nil && !strings.Contains(info, "master_link_status:up\r\n") {
			err = errors.New(info)
		}
		return err
	}))
}

// Detach has a replica lose its master, as if the network between them were
// cut: it goes on with what it has, and can be promoted.
func (s *Server) Detach() {
	s.tb.Helper()
	ctx, c := context.Background(), s.client()
	defer c.Close()
	// A master without a password refuses one.
	check(s.tb, c.ConfigSet(ctx, "masterauth", "x").Err())
	check(s.tb, c.ClientKillByFilter(ctx, "type", "master").Err())
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
