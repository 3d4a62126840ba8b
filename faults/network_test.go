package faults

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// A network is between the instances of a site and their Redis. All that is sent
// over it takes its time, which says who comes first where two do something at
// once. While it is bad, it may be late, or lost, on its way there or back. All of
// that by a seed, so that it is so again when a simulation is repeated.
type network struct {
	redis *miniredis.Miniredis
	seed  uint64

	bad    atomic.Bool
	hangs  atomic.Int64 // until when Redis answers nobody, Unix nanoseconds
	faults atomic.Int64 // what has gone wrong so far
}

var errDown = errors.New("the network is bad")

// settled is how long after a time that was bad nothing is under way any more.
const settled = 100 * time.Second

func (n *network) hanging() time.Duration { return time.Until(time.Unix(0, n.hangs.Load())) }

// unfit reports whether calls may fail.
func (n *network) unfit() bool { return n.bad.Load() || n.hanging() > 0 }

// dialer returns what makes the connections of an instance. What happens to one
// depends on the seed, and on how many there were before.
func (n *network) dialer(instance int) func(context.Context, string, string) (net.Conn, error) {
	var conns atomic.Uint64
	return func(context.Context, string, string) (net.Conn, error) {
		number := uint64(instance)<<32 + 2*conns.Add(1)
		return n.dial(rand.New(rand.NewPCG(n.seed, number)), rand.New(rand.NewPCG(n.seed, number+1)))
	}
}

// trip is how long what is sent takes.
func trip(random *rand.Rand) { time.Sleep(time.Duration(10_000 + random.IntN(1_000_000))) }

func (n *network) dial(asked, answered *rand.Rand) (net.Conn, error) {
	trip(asked)
	if n.bad.Load() && asked.IntN(10) == 0 {
		n.faults.Add(1)
		return nil, errDown
	}
	server, err := n.redis.Dial()
	if err != nil {
		return nil, err
	}
	client, here := net.Pipe()
	queue := make(chan []byte, 1000) // more than anyone sends without reading
	go func() {
		defer close(queue)
		chunks(here, func(p []byte) error {
			queue <- p
			return nil
		})
	}()
	go func() {
		defer server.Close() // what is queued runs before
		lost := false
		for p := range queue {
			trip(asked)
			if n.bad.Load() {
				lost = n.hurt(asked, here) || lost
			}
			if wait := n.hanging(); wait > 0 {
				n.faults.Add(1)
				time.Sleep(wait)
			}
			if !lost {
				if _, err := server.Write(p); err != nil {
					lost = true
					here.Close()
				}
			}
		}
	}()
	go func() {
		defer here.Close()
		chunks(server, func(p []byte) error {
			trip(answered)
			if n.bad.Load() && answered.IntN(10) == 0 {
				n.faults.Add(1)
				here.Close()
			}
			here.Write(p) // nobody may read it any more, but what is queued still runs
			return nil
		})
	}()
	return client, nil
}

// hurt does something, or nothing, to what is being sent: it is late, so late
// that nobody waits for it, over a minute late, or lost.
func (n *network) hurt(random *rand.Rand, conn net.Conn) (lost bool) {
	between := func(from, to int) { time.Sleep(time.Duration(from+random.IntN(to-from)) * time.Millisecond) }
	what := random.IntN(48)
	if what < 11 {
		n.faults.Add(1)
	}
	switch {
	case what < 3:
		between(1, 300)
	case what < 6:
		between(2000, 8000)
	case what < 7:
		between(61_000, 90_000)
	case what < 11:
		conn.Close()
		return true
	}
	return false
}

// chunks gives f all that can be read, until there is no more.
func chunks(from io.Reader, f func([]byte) error) {
	p := make([]byte, 16<<10)
	for {
		n, err := from.Read(p)
		if err == nil {
			err = f(bytes.Clone(p[:n]))
		}
		if err != nil {
			return
		}
	}
}
