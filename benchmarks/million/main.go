// Command million measures a RedisStore that is full: how long it takes to find
// one session, a user's, a page of everybody's and their number, and how much
// memory a session takes.
//
//	go run ./million
//
// It starts a redis-server of its own, which ends with it, and needs 2 GB of
// memory. It first checks that the store answers correctly, and ends with
// status 1 if not; how long that took never fails it. docs/benchmarks.md has
// figures.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/benchmarks/internal/rig"
	"github.com/ticketstore/ticketstore/compact"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "million:", err)
		os.Exit(1)
	}
}

// A bench is one run of the tool.
type bench struct {
	sessions, subjects, samples, workers int
	addr, prefix                         string
	compact                              bool
	progress                             io.Writer

	config ticketstore.RedisConfig
	client *redis.Client
	store  *ticketstore.RedisStore
	rand   *rand.Rand

	people  []person
	stored  []session // by person, newest first
	cursors []string  // of all pages
	linked  bool      // all have link
	perEach int       // bytes that a session takes
	rows    [3][]row  // of calls, totals, weights
}

// link is that of all sessions, if they have one.
const link = "client"

// run does what args say, writes the table to stdout and progress to stderr.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	b := &bench{progress: stderr, rand: rand.New(rand.NewPCG(1, 1))}
	f := flag.NewFlagSet("million", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.IntVar(&b.sessions, "sessions", 1_000_000, "how many sessions to store")
	f.IntVar(&b.subjects, "subjects", 300_000, "of how many users: 1 to 10 each, one has 1,000")
	f.IntVar(&b.samples, "samples", 2_000, "how many calls to time of each kind; a tenth of it for Count")
	f.IntVar(&b.workers, "workers", 32, "how many clients store at once")
	f.StringVar(&b.addr, "redis", "", "host:port of a Redis to fill instead; what is stored there expires within a day")
	f.StringVar(&b.prefix, "prefix", "", "prefix of the keys; needed if that Redis is not empty")
	f.BoolVar(&b.compact, "compact", false, "keep tickets in the format of the module compact")
	f.DurationVar(&b.config.History, "history", 0, "remember endings for so long")
	revoke := f.Bool("revoke", false, "time RevokeEverybody, which ends them all, and nothing else")
	f.BoolVar(&b.linked, "linked", false, "give all sessions one link; time RevokeLinked, which ends them all, and nothing else")
	timeout := f.Duration("timeout", 20*time.Minute, "when to give up")
	if err := f.Parse(args); err != nil {
		return err
	}
	few, many := capped+b.subjects-1, capped+perPerson*(b.subjects-1)
	if f.NArg() > 0 || b.subjects < 2 || b.samples < 10 || b.workers < 1 || b.sessions < few || b.sessions > many {
		return fmt.Errorf("want no arguments, 2 subjects, 10 samples, 1 worker and, for %d subjects, %d to %d sessions", b.subjects, few, many)
	}
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()

	if b.addr == "" {
		addr, stop, err := rig.StartRedis(ctx)
		defer stop()
		if err != nil {
			return err
		}
		b.addr = addr
	}
	b.client = newClient(b.addr, 1)
	defer b.client.Close()
	if err := checkEmpty(ctx, b.client, b.prefix); err != nil {
		return err
	}
	b.prefix = cmp.Or(b.prefix, "AuthSessionStore-") // RedisConfig's own default
	b.config.Prefix = b.prefix
	b.config.Serializer = ticketstore.JSONSerializer{}
	if b.compact {
		b.config.Serializer = compact.NewSerializer()
	}
	if b.store, err = ticketstore.NewRedisStore(b.client, b.config); err != nil {
		return err
	}
	steps := []func(context.Context) error{b.fill, b.verify, b.measure, b.weigh}
	revokeLinked := func(ctx context.Context, progress func(int)) (int, error) {
		return b.store.RevokeLinked(ctx, link, time.Time{}, progress)
	}
	switch {
	case *revoke:
		steps = []func(context.Context) error{b.fill, b.revokeAll("RevokeEverybody", b.store.RevokeEverybody)}
	case b.linked:
		steps = []func(context.Context) error{b.fill, b.revokeAll("RevokeLinked", revokeLinked)}
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	version, err := rig.RedisVersion(ctx, b.client)
	if err != nil {
		return err
	}
	b.print(stdout, version, args)
	return nil
}

// newClient sets what the README says.
func newClient(addr string, pool int) *redis.Client {
	return redis.NewClient(&redis.Options{Addr: addr, PoolSize: pool, ContextTimeoutEnabled: true})
}

// checkEmpty refuses a Redis with keys, but for those with another prefix.
func checkEmpty(ctx context.Context, c *redis.Client, prefix string) error {
	n, err := c.DBSize(ctx).Result()
	if err != nil || n == 0 {
		return err
	}
	if prefix == "" {
		return fmt.Errorf("that Redis has %d keys; give a -prefix that is not among them, or an empty one", n)
	}
	match := strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(prefix) + "*"
	keys := c.Scan(ctx, 0, match, 10_000).Iterator()
	if keys.Next(ctx) {
		return fmt.Errorf("that Redis has keys that begin with %q", prefix)
	}
	return keys.Err()
}

const (
	calls = iota
	totals
	weights
)

// A row is a line of the table.
type row struct {
	what, samples, median, p99, cpu, required string
}

func (b *bench) add(kind int, r row) {
	b.rows[kind] = append(b.rows[kind], r)
	fmt.Fprintln(b.progress, r.what, r.median, r.p99, r.cpu)
}

// required says whether what was measured meets the requirement on it.
func required[T int | time.Duration](got, limit T, text string) string {
	switch {
	case text == "":
		return ""
	case got > limit:
		return text + ": **not met**"
	default:
		return text + ": met"
	}
}

func (b *bench) print(w io.Writer, version string, args []string) {
	fmt.Fprintf(w, "`%s`, %s\n\n", strings.Join(append([]string{"go run ./million"}, args...), " "), time.Now().Format(time.DateOnly))
	fmt.Fprintf(w, "%s; %s %s/%s; Redis %s, over loopback; load averages at the end %s\n\n",
		rig.Processor(), runtime.Version(), runtime.GOOS, runtime.GOARCH, version, rig.Load())
	fmt.Fprintf(w, "| %s sessions of %s users | samples | median | p99 | CPU | required |\n|---|--:|--:|--:|--:|---|\n", rig.Group(b.sessions), rig.Group(b.subjects))
	for _, r := range slices.Concat(b.rows[:]...) {
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s |\n", r.what, r.samples, r.median, r.p99, r.cpu, r.required)
	}
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2f ms", d.Seconds()*1000) }

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
