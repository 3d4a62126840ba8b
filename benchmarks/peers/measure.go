package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/ticketstore/ticketstore/benchmarks/internal/rig"
)

// Figures are what one contestant did in one round; what is not a time of the
// round is per operation, and the mean.
type figures struct {
	n        int
	took     time.Duration // by the clock: of all, divided by their number
	bytes    float64       // allocated
	allocs   float64
	self     time.Duration // processor time of the tool
	redis    time.Duration // the same of Redis
	commands map[string]float64

	p50, p99 time.Duration // of the time until an answer, where it is measured
	rate     float64       // answers per second
}

// measure has run do n operations, and checks what they have asked of Redis.
func (b *bench) measure(ctx context.Context, s *system, o operation, run func() (n int, err error)) (f figures, err error) {
	runtime.GC()
	before, err := b.read(ctx)
	if err != nil {
		return f, err
	}
	mine := local()
	n, err := run()
	used := local().minus(mine)
	if err != nil {
		return f, err
	}
	after, err := b.read(ctx)
	if err != nil {
		return f, err
	}
	ran := map[string]int{}
	for command, calls := range after.commands {
		if calls -= before.commands[command]; calls > 0 && command != "info" {
			ran[command] = calls
		}
	}
	if err := s.costs[o].check(n, ran, s.cached); err != nil {
		return f, fmt.Errorf("%s: %w", o, err)
	}
	if few := max(n/10, 2*b.sessions); s.cached && b.settle > 0 && o == request && ran["get"] > few {
		return f, fmt.Errorf("%d cached requests cost %d GETs", n, ran["get"])
	}
	if missed := after.missed - before.missed; missed > 0 && o == request {
		return f, fmt.Errorf("%s: %d of %d were not in Redis", o, missed, n)
	}
	per := func(d time.Duration) time.Duration { return d / time.Duration(n) }
	f = figures{
		n:        n,
		took:     per(used.clock),
		bytes:    float64(used.bytes) / float64(n),
		allocs:   float64(used.allocs) / float64(n),
		self:     per(used.self),
		redis:    per(after.redis - before.redis),
		commands: map[string]float64{},
		rate:     float64(n) / used.clock.Seconds(),
	}
	for command, calls := range ran {
		f.commands[command] = float64(calls) / float64(n)
	}
	others := after.busy - before.busy - used.self - (after.redis - before.redis)
	b.others = append(b.others, max(0, others.Seconds()/max(rig.Tick, after.all-before.all).Seconds()))
	return f, nil
}

// A reading is of what counts up outside of this process.
type reading struct {
	commands  map[string]int
	missed    int // keys that were read and not there
	redis     time.Duration
	busy, all time.Duration // of the machine
}

func (b *bench) read(ctx context.Context) (r reading, err error) {
	var errs [4]error
	r.commands, errs[0] = rig.RedisCommands(ctx, b.client)
	r.redis, errs[1] = rig.RedisCPU(ctx, b.client)
	stats, err := b.client.InfoMap(ctx, "stats").Result()
	errs[2] = err
	_, errs[3] = fmt.Sscan(stats["Stats"]["keyspace_misses"], &r.missed)
	r.busy, r.all = rig.CPU()
	return r, errors.Join(errs[:]...)
}

// A usage is of what counts up in this process.
type usage struct {
	clock, self   time.Duration
	bytes, allocs uint64
}

func local() usage {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return usage{time.Duration(time.Now().UnixNano()), rig.SelfCPU(), m.TotalAlloc, m.Mallocs}
}

func (u usage) minus(v usage) usage {
	return usage{u.clock - v.clock, u.self - v.self, u.bytes - v.bytes, u.allocs - v.allocs}
}
