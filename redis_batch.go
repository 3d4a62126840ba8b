package ticketstore

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// maxAlone is how many reads of a node may be under way singly before what
	// comes gathers.
	maxAlone = 4
	// maxBatchedReads is how many reads do not wait for more. Larger batches
	// save no more work, and what waits, waits for the network.
	maxBatchedReads = 32
	// maxStall is how long nothing may have come back from a node for reads to
	// wait for it.
	maxStall = 100 * time.Millisecond
)

// A batcher reads strings, in batches when there are many to read. While some
// are under way, what comes gathers, and goes in one pipeline as soon as one of
// them is back. So a read waits for a part of a round trip, never for a timer.
// Reads share the way, not the answer: each is asked for after it was called.
//
// Each node of a Cluster has its own batches: one that does not answer holds up
// no other.
type batcher struct {
	client   redis.UniversalClient
	maxStall time.Duration
	together bool // no read goes alone, for tests

	mu    sync.Mutex
	nodes map[*redis.Client]*batchNode // where reads are under way; outside of a Cluster the key is nil
}

type batchNode struct {
	master    *redis.Client
	underWay  int        // reads alone, and batches
	most      int        // may be under way before what comes gathers
	moved     time.Time  // when something last went, or was back
	gathering *readBatch // goes when something is back
}

type readBatch struct {
	pipe     redis.Pipeliner
	deadline time.Time // the latest of its reads
	endless  bool      // one has none
	done     chan struct{}
	err      error // of a hook that no command has
	panicked any   // by a hook
}

func newBatcher(client redis.UniversalClient) *batcher {
	return &batcher{client: client, maxStall: maxStall, nodes: map[*redis.Client]*batchNode{}}
}

// get is client.Get.
func (b *batcher) get(ctx context.Context, key string) (string, error) {
	var master *redis.Client
	if cluster, ok := b.client.(*redis.ClusterClient); ok {
		var err error
		if master, err = cluster.MasterForKey(ctx, key); err != nil {
			return getPastCache(ctx, b.client, key)
		}
	}
	n, r, cmd := b.join(ctx, master, key)
	if r == nil {
		defer b.back(n)
		return getPastCache(ctx, b.client, key)
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if r.panicked != nil {
		panic(r.panicked) // as if the read had gone alone
	}
	if r.err != nil {
		return "", r.err
	}
	return cmd.Result()
}

// join returns the batch that a read is in, nil if it goes alone.
func (b *batcher) join(ctx context.Context, master *redis.Client, key string) (*batchNode, *readBatch, *redis.StringCmd) {
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.nodes[master]
	if n == nil || now.Sub(n.moved) > b.maxStall {
		n = &batchNode{master: master, most: maxAlone, moved: now}
		b.nodes[master] = n
	}
	free := n.underWay < n.most
	if free && !b.together {
		n.underWay, n.moved = n.underWay+1, now
		return n, nil, nil
	}
	r := n.gathering
	if r == nil {
		r = &readBatch{pipe: b.client.Pipeline(), done: make(chan struct{})}
		n.gathering = r
	}
	cmd := r.pipe.Get(ctx, key)
	if deadline, ok := ctx.Deadline(); !ok {
		r.endless = true
	} else if deadline.After(r.deadline) {
		r.deadline = deadline
	}
	if free || r.pipe.Len() == maxBatchedReads {
		n.underWay, n.moved, n.gathering = n.underWay+1, now, nil
		go b.run(n, r)
	}
	return n, r, cmd
}

// back ends what a read had under way at n, and has what gathered go.
func (b *batcher) back(n *batchNode) {
	if r := b.next(n); r != nil {
		go b.run(n, r)
	}
}

func (b *batcher) run(n *batchNode, r *readBatch) {
	for ; r != nil; r = b.next(n) {
		r.exec()
		runtime.Gosched() // what was answered may bring the next reads
	}
}

// next returns what goes in place of something that is back from n, if any.
func (b *batcher) next(n *batchNode) *readBatch {
	b.mu.Lock()
	defer b.mu.Unlock()
	n.moved = time.Now()
	r := n.gathering
	if r == nil || n.underWay > n.most {
		n.underWay--
		if n.underWay == 0 && b.nodes[n.master] == n {
			delete(b.nodes, n.master)
		}
		return nil
	}
	n.gathering = nil
	// One batch at a time is the largest that way. But a read that goes in a
	// batch by itself takes longer than alone: better a few more alone.
	n.most = 1
	if r.pipe.Len() == 1 {
		n.most = 2 * maxAlone
	}
	return r
}

func (r *readBatch) exec() {
	defer close(r.done)
	defer func() { r.panicked = recover() }()
	ctx := context.Background()
	if !r.endless {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, r.deadline)
		defer cancel()
	}
	cmds, err := r.pipe.Exec(ctx)
	if !slices.ContainsFunc(cmds, func(c redis.Cmder) bool { return c.Err() != nil }) {
		r.err = err
	}
}
