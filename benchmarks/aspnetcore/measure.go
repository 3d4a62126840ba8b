package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ticketstore/ticketstore/benchmarks/internal/rig"
)

// A round is what one server did in it. What is per request is the mean.
type round struct {
	rate        float64 // requests per second
	p50, p99    time.Duration
	cpu         time.Duration // of the server, per request
	redis, tool time.Duration // the same of Redis and of the load tool
	memory      int           // MB of the server, at the end
}

// measure asks one server after the other, in every round all of them.
func (b *bench) measure(ctx context.Context) error {
	for _, c := range b.contenders {
		fmt.Fprintf(b.progress, "%v to warm up: %s\n", b.warmup, c.name)
		if _, err := b.round(ctx, c, b.warmup); err != nil {
			return err
		}
	}
	b.others = nil
	for i := range b.rounds {
		for _, c := range b.contenders {
			r, err := b.round(ctx, c, b.duration)
			if err != nil {
				return err
			}
			c.rounds = append(c.rounds, r)
			fmt.Fprintf(b.progress, "%d of %d: %.0f/s, %v of CPU each: %s\n", i+1, b.rounds, r.rate, r.cpu, c.name)
		}
	}
	return nil
}

// A connection asks for one session after the other.
type connection struct {
	net.Conn
	in   *bufio.Reader
	body bytes.Buffer
	took []time.Duration
	rand *rand.Rand
}

// round has all connections ask c for so long. All requests must be answered,
// and have cost what they should.
func (b *bench) round(ctx context.Context, c *contender, d time.Duration) (r round, err error) {
	host := strings.TrimPrefix(c.url(), "http://")
	requests := make([][]byte, len(c.sessions))
	for i, s := range c.sessions {
		requests[i] = fmt.Appendf(nil, "GET /me HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\nAccept: application/json\r\nCookie: %s\r\n\r\n", host, userAgent, s.cookie)
	}
	ask := func(conn *connection) error {
		i := conn.rand.IntN(len(requests))
		return conn.ask(requests[i], c.sessions[i].subject())
	}

	ctx, cancel := context.WithTimeout(ctx, d+time.Minute)
	defer cancel()
	conns := make([]*connection, b.connections)
	defer func() {
		for _, conn := range conns {
			if conn != nil {
				conn.Close()
			}
		}
	}()
	err = each(conns, func(i int) error {
		raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", host)
		if err != nil {
			return err
		}
		conns[i] = &connection{Conn: raw, in: bufio.NewReader(raw), rand: rand.New(rand.NewPCG(uint64(i), uint64(len(c.rounds))))}
		context.AfterFunc(ctx, func() { raw.Close() }) // also at the end of the round
		return ask(conns[i])
	})
	if err != nil {
		return r, b.roundError(ctx, c, err)
	}

	runtime.GC()
	before, err := b.read(ctx, c)
	if err != nil {
		return r, err
	}
	err = each(conns, func(i int) error {
		for last := before.at; last.Sub(before.at) < d; {
			if err := ask(conns[i]); err != nil {
				return err
			}
			now := time.Now()
			conns[i].took, last = append(conns[i].took, now.Sub(last)), now
		}
		return nil
	})
	if err != nil {
		return r, b.roundError(ctx, c, err)
	}
	after, err := b.read(ctx, c)
	if err != nil {
		return r, err
	}

	var took []time.Duration
	for _, conn := range conns {
		took = append(took, conn.took...)
	}
	slices.Sort(took)
	n := len(took)
	least, most := n, n
	if c.cached {
		least = 0
		if before.at.Sub(b.signedIn) > staleness {
			most = n / 10
		}
	}
	if err := checkCommands(c.read, least, most, before.commands, after.commands); err != nil {
		return r, fmt.Errorf("%s: %w", c.name, err)
	}
	used := after.server - before.server + after.redis - before.redis + after.tool - before.tool
	b.others = append(b.others, max(0, (after.busy-before.busy-used).Seconds()/(after.all-before.all).Seconds()))
	per := func(d time.Duration) time.Duration { return d / time.Duration(n) }
	return round{
		rate:   float64(n) / after.at.Sub(before.at).Seconds(),
		p50:    took[(n-1)/2],
		p99:    took[(n-1)*99/100],
		cpu:    per(after.server - before.server),
		redis:  per(after.redis - before.redis),
		tool:   per(after.tool - before.tool),
		memory: after.memory,
	}, nil
}

func (b *bench) roundError(ctx context.Context, c *contender, err error) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx) // what the connections say is that they were closed
	}
	return fmt.Errorf("%s: %w", c.name, err)
}

// ask sends a request and reads the answer to it, which has subject in it.
func (c *connection) ask(request, subject []byte) error {
	if _, err := c.Write(request); err != nil {
		return err
	}
	res, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	c.body.Reset()
	if _, err := c.body.ReadFrom(res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK || !bytes.Contains(c.body.Bytes(), subject) {
		return fmt.Errorf("got %s %s; want 200 and %s", res.Status, c.body.Bytes(), subject)
	}
	return nil
}

// each calls do for every index of s, all at once.
func each[T any](s []T, do func(i int) error) error {
	var all sync.WaitGroup
	errs := make([]error, len(s))
	for i := range s {
		all.Go(func() { errs[i] = do(i) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// A reading is of all that counts up.
type reading struct {
	at                  time.Time
	server, redis, tool time.Duration // processor time
	busy, all           time.Duration // of the machine
	commands            map[string]int
	memory              int
}

func (b *bench) read(ctx context.Context, c *contender) (r reading, err error) {
	var errs [4]error
	r.commands, errs[0] = rig.RedisCommands(ctx, b.client)
	r.redis, errs[1] = rig.RedisCPU(ctx, b.client)
	r.memory, errs[2] = c.server.memory()
	r.server, errs[3] = c.server.cpu()
	r.tool = rig.SelfCPU()
	r.busy, r.all = rig.CPU()
	r.at = time.Now()
	return r, errors.Join(errs[:]...)
}

// idle is what clients of Redis send though nobody asks them for anything, and
// what the tool itself reads.
var idle = []string{"info", "ping", "echo", "hello", "client|setinfo", "client|setname", "client|id", "client|tracking"}

// checkCommands checks that requests cost as many reads as they should, and
// nothing else: nothing was renewed.
func checkCommands(read string, least, most int, before, after map[string]int) error {
	for command, calls := range after {
		calls -= before[command]
		switch {
		case command == read && (calls < least || calls > most):
			return fmt.Errorf("the requests cost %d %s; want %d to %d", calls, read, least, most)
		case command != read && calls > 0 && !slices.Contains(idle, command):
			return fmt.Errorf("the requests cost %d %s as well; want %s alone", calls, command, read)
		}
	}
	if after[read] == 0 {
		return fmt.Errorf("Redis has not seen one %s", read)
	}
	return nil
}
