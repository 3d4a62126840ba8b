// Command peers measures this library beside others that keep sessions in
// Redis, and beside the parts that each of them is made of: what a request, a
// sign-in and a sign-out cost, and to list a user's sessions and count them all.
//
//	go run ./peers
//	go run ./peers -write ../docs
//
// It needs Linux and a redis-server, which it starts and which ends with it. In
// every round each contestant takes its turn, and what counts is the ratio to
// another in the same round. Before it measures, it checks that each one keeps
// its sessions apart; and in every round that each request was answered with its
// user, and what Redis was asked for. docs/benchmarks.md has figures, and says
// what is measured.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore/benchmarks/internal/rig"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

// A bench is one run of the tool.
type bench struct {
	sessions, rounds, signIns, crowd int
	goroutines, rates                []int
	duration                         time.Duration
	settle                           time.Duration // until a cache has what its own process has written
	progress                         io.Writer

	client       *redis.Client // of what reads the server's figures
	redisVersion string
	contenders   []*contender
	loads        [2]string // load averages, at the start and at the end
	others       []float64 // how much of the processors others used, each time
}

// A contender is a contestant of this run.
type contender struct {
	contestant
	*system
	sessions []session
	results  map[cell][]figures // one of each round
}

// A cell is what is measured at once: an operation at a number of goroutines or,
// if there is a rate, at so many a second.
type cell struct {
	operation
	goroutines, rate int
}

// run does what args say, writes the report to stdout and progress to stderr.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	b := &bench{progress: stderr}
	f := flag.NewFlagSet("peers", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.IntVar(&b.sessions, "sessions", 1_000, "how many sessions requests are made with; at most 10,000")
	f.IntVar(&b.signIns, "signins", 2_000, "how many sign-ins, and then sign-outs, in a round")
	f.IntVar(&b.crowd, "crowd", 100_000, "how many more sessions there are when one user's are listed, four of each user")
	f.IntVar(&b.rounds, "rounds", 7, "how many rounds, each of all contestants")
	f.DurationVar(&b.duration, "duration", 300*time.Millisecond, "how long requests are made in a round")
	f.Func("goroutines", "how many make requests, each its next one once it has an answer; the last is the headline (default 1,4,16,64)", numbers(&b.goroutines))
	f.Func("rates", "how many requests are made a second, whether there are answers or not (default 1000,4000,16000)", numbers(&b.rates))
	into := f.String("write", "", "directory of benchmarks.md and images, where the report goes as well")
	short := f.Bool("short", false, "do little of everything, to see that it works; figures mean nothing")
	timeout := f.Duration("timeout", 20*time.Minute, "when to give up")
	b.goroutines, b.rates, b.settle = []int{1, 4, 16, 64}, []int{1_000, 4_000, 16_000}, 2*staleness
	if err := f.Parse(args); err != nil {
		return err
	}
	if *short {
		b.sessions, b.signIns, b.crowd, b.rounds, b.duration = 20, 20, 80, 2, 5*time.Millisecond
		b.goroutines, b.rates, b.settle = []int{1, 4}, []int{1_000}, 0
	}
	if f.NArg() > 0 || b.sessions < 1 || b.sessions > 10_000 || b.signIns < 1 || b.crowd < perVisitor || b.rounds < 1 || b.duration <= 0 {
		return errors.New("want no arguments, 1 to 10,000 sessions, 1 sign-in, a crowd of 4, 1 round and a duration")
	}
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()

	b.loads[0] = rig.Load()
	stop, err := b.open(ctx)
	defer stop()
	if err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{b.verify, b.warmUp, b.measureRounds, b.fill, b.measureLists} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	b.loads[1] = rig.Load()
	report := b.report(args)
	for _, s := range report {
		fmt.Fprintln(stdout, s.text)
	}
	if *into != "" {
		return write(*into, report)
	}
	return nil
}

// numbers parses a list of them.
func numbers(to *[]int) func(string) error {
	return func(text string) error {
		*to = nil
		for part := range strings.SplitSeq(text, ",") {
			n, err := strconv.Atoi(part)
			if err != nil || n < 1 || n > 100_000 {
				return fmt.Errorf("%q: want numbers of 1 to 100,000", part)
			}
			*to = append(*to, n)
		}
		return nil
	}
}

// headline is how many goroutines most figures are of.
func (b *bench) headline() int { return b.goroutines[len(b.goroutines)-1] }

// open starts Redis, and the contestants. stop ends what it has started, and is
// never nil.
func (b *bench) open(ctx context.Context) (stop func(), err error) {
	addr, stopRedis, err := rig.StartRedis(ctx)
	stop = func() {
		for _, c := range b.contenders {
			if c.close != nil {
				c.close()
			}
		}
		if b.client != nil {
			b.client.Close()
		}
		stopRedis()
	}
	if err != nil {
		return stop, err
	}
	b.client = redis.NewClient((&place{addr: addr}).options())
	if b.redisVersion, err = rig.RedisVersion(ctx, b.client); err != nil {
		return stop, err
	}
	for i, c := range contestants {
		s, err := c.open(ctx, &place{addr: addr, db: i + 1})
		if err != nil {
			return stop, fmt.Errorf("%s: %w", c.name, err)
		}
		b.contenders = append(b.contenders, &contender{contestant: c, system: s, results: map[cell][]figures{}})
	}
	return stop, nil
}

// inTurn calls do for each contestant that has the operation, in an order that
// each round begins with another.
func (b *bench) inTurn(round int, o operation, do func(*contender) error) error {
	first := round % len(b.contenders)
	for _, c := range slices.Concat(b.contenders[first:], b.contenders[:first]) {
		if c.costs[o] == nil {
			continue
		}
		if err := do(c); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return nil
}
