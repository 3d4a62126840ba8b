// Command many measures a RedisStore where one user has many sessions, or large
// ones: how long a call takes, how long it keeps Redis from everybody else, and
// how much memory it takes here.
//
//	go run ./many
//
// It starts a redis-server of its own, which ends with it, and needs 2 GB of
// memory. It ends with status 1 if a call gives a wrong answer; how long that
// took never fails it. docs/benchmarks.md has figures.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/benchmarks/internal/rig"
)

func main() {
	if addr := os.Getenv(probeEnv); addr != "" {
		ping(addr)
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "many:", err)
		os.Exit(1)
	}
}

// A bench is one run of the tool.
type bench struct {
	many, large int
	progress    io.Writer
	client      *redis.Client
	probe       *probe
	rows        []row
}

// A row is a line of the table: of calls that did the same.
type row struct {
	what                           string
	calls                          int
	median, longest, command, ping time.Duration
	heap                           uint64
}

// run does what args say, writes the table to stdout and progress to stderr.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	b := &bench{progress: stderr}
	f := flag.NewFlagSet("many", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.IntVar(&b.many, "sessions", maxSessions, "how many sessions the user has who has most")
	f.IntVar(&b.large, "bytes", 60_000, "how large a large ticket is")
	timeout := f.Duration("timeout", 20*time.Minute, "when to give up")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 || b.many < 200 || b.many > maxSessions || b.large < 1 || b.large > 60_000 {
		return fmt.Errorf("want no arguments, 200 to %d sessions of 1 to 60,000 bytes", maxSessions)
	}
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	addr, stop, err := rig.StartRedis(ctx)
	defer stop()
	if err != nil {
		return err
	}
	b.client = redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true})
	defer b.client.Close()
	if b.probe, err = startProbe(addr); err != nil {
		return err
	}
	defer b.probe.stop()
	if err := errors.Join(
		b.client.ConfigSet(ctx, "slowlog-log-slower-than", "100").Err(),
		b.client.ConfigSet(ctx, "slowlog-max-len", "100000").Err(),
	); err != nil {
		return err
	}
	if err := b.measure(ctx); err != nil {
		return err
	}
	version, err := rig.RedisVersion(ctx, b.client)
	if err != nil {
		return err
	}
	b.print(stdout, version, args)
	return nil
}

func (b *bench) store(cfg ticketstore.RedisConfig) (*ticketstore.RedisStore, error) {
	return ticketstore.NewRedisStore(b.client, cfg)
}

func (b *bench) print(w io.Writer, version string, args []string) {
	fmt.Fprintf(w, "`%s`, %s\n\n", strings.Join(append([]string{"go run ./many"}, args...), " "), time.Now().Format(time.DateOnly))
	fmt.Fprintf(w, "%s; %s %s/%s; Redis %s, over loopback; load averages at the end %s\n\n",
		rig.Processor(), runtime.Version(), runtime.GOOS, runtime.GOARCH, version, rig.Load())
	fmt.Fprintf(w, "| call | calls | median | longest | longest command | longest PING | heap |\n|---|--:|--:|--:|--:|--:|--:|\n")
	for _, r := range b.rows {
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s | %.1f MB |\n", r.what, rig.Group(r.calls), ms(r.median), ms(r.longest), ms(r.command), ms(r.ping), float64(r.heap)/1e6)
	}
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2f ms", d.Seconds()*1000) }
