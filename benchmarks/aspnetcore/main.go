// Command aspnetcore measures a Go service and a real ASP.NET Core application
// that share their sessions in Redis, side by side: authenticated requests per
// second, and the processor time of each.
//
//	go run ./aspnetcore
//
// It publishes examples/aspnetcore/webapp, so it needs the .NET 10 SDK, Linux,
// and a redis-server, which it starts. All that it starts ends with it. Before
// it measures, it checks that every server answers what it should; and in every
// round that each request was answered with its user and cost Redis one read,
// and nothing else. docs/benchmarks.md has figures.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"runtime"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/ticketstore/ticketstore/benchmarks/internal/rig"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "aspnetcore:", err)
		os.Exit(1)
	}
}

// serveCommand makes the program the Go service, in a process of its own.
const serveCommand = "serve"

func command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 3 && args[0] == serveCommand {
		return serve(ctx, args[1], args[2], stdout)
	}
	return run(ctx, args, stdout, stderr)
}

// A bench is one run of the tool.
type bench struct {
	sessions, connections, rounds int
	duration, warmup              time.Duration
	progress                      io.Writer

	dir    string // temporary
	redis  string // host:port
	client *redis.Client

	contenders []*contender // the first is what the others are compared to
	signedIn   time.Time    // when all sessions had begun
	versions   string
	loads      [2]string // load averages, at the start and at the end
	others     []float64 // how much of the processors others used, in each round of each
}

// run does what args say, writes the table to stdout and progress to stderr.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	b := &bench{progress: stderr}
	f := flag.NewFlagSet("aspnetcore", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.IntVar(&b.sessions, "sessions", 200, "how many sessions each server is asked for; at most 500")
	f.IntVar(&b.connections, "connections", 64, "how many requests are under way at once")
	f.IntVar(&b.rounds, "rounds", 21, "how many rounds, each of all servers")
	f.DurationVar(&b.duration, "duration", 2*time.Second, "how long a server is measured in a round")
	f.DurationVar(&b.warmup, "warmup", 10*time.Second, "how long each is warmed up, for .NET compiles while it runs")
	f.StringVar(&b.redis, "redis", "", "host:port of an empty Redis to use instead, with nobody else there")
	timeout := f.Duration("timeout", 20*time.Minute, "when to give up")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 || b.sessions < 1 || b.sessions > 500 || b.connections < 1 || b.rounds < 1 || b.duration <= 0 || b.warmup <= 0 {
		return errors.New("want no arguments, 1 to 500 sessions, 1 connection, 1 round and a duration of each")
	}
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // the load tool is to leave room for what it measures
	b.loads[0] = rig.Load()

	if b.dir, err = os.MkdirTemp("", "aspnetcore-bench"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	stop, err := b.startAll(ctx)
	defer stop()
	if err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{b.signInAll, b.verify, b.measure} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	b.loads[1] = rig.Load()
	b.print(stdout, args)
	return nil
}

// startAll starts the servers. stop ends what it has started, and is never nil.
func (b *bench) startAll(ctx context.Context) (stop func(), err error) {
	var stops []func()
	stop = func() {
		for i := range stops {
			stops[len(stops)-1-i]()
		}
	}
	start := func(marker string, args ...string) *process {
		if err != nil {
			return nil
		}
		p, failed := startProcess(ctx, b.dir, marker, args...)
		if failed != nil {
			err = failed
			return nil
		}
		stops = append(stops, p.stop)
		return p
	}

	dotnet, err := exec.LookPath("dotnet")
	if err != nil {
		return stop, errors.New("there is no dotnet on the PATH: the .NET 10 SDK is needed for the application that is measured")
	}
	self, err := os.Executable()
	if err != nil {
		return stop, err
	}
	if b.redis == "" {
		addr, stopRedis, err := rig.StartRedis(ctx)
		stops = append(stops, stopRedis)
		if err != nil {
			return stop, err
		}
		b.redis = addr
	}
	b.client = newClient(b.redis)
	stops = append(stops, func() { b.client.Close() })
	n, err := b.client.DBSize(ctx).Result()
	if err == nil && n > 0 {
		err = fmt.Errorf("that Redis has %d keys; give one that is empty", n)
	}
	if err != nil {
		return stop, err
	}
	stops = append(stops, b.clean)
	application, err := publish(ctx, dotnet, b.dir)
	if err != nil {
		return stop, err
	}

	app := func(sessionStore string) *process {
		p := start("Now listening on: ", dotnet, application, "--urls", "http://127.0.0.1:0",
			"--Sessions:Redis="+b.redis, "--Sessions:SessionStore="+sessionStore, "--Sessions:InstanceName="+instanceName,
			"--Sessions:KeyList="+keyList, "--Sessions:ApplicationName="+applicationName,
			"--Logging:LogLevel:Default=Warning", "--Logging:LogLevel:Microsoft.Hosting.Lifetime=Information")
		if err == nil {
			_, _, err = get(ctx, p.said+"/healthz", "") // it makes the keys
		}
		return p
	}
	service := func(store string) *process { return start("Listening on ", self, serveCommand, store, b.redis) }

	usual, ours := app("usual"), app("redis")
	shared, own, batched, cached := service(sharedStore), service(ownStore), service(batchedStore), service(cachedStore)
	if err != nil {
		return stop, err
	}
	dotnetSessions := func(ctx context.Context, user string) (session, error) { return signInToApp(ctx, usual.said, user) }
	at := func(p *process) func(context.Context, string) (session, error) {
		return func(ctx context.Context, user string) (session, error) { return signIn(ctx, client, p.said, user, "") }
	}
	b.contenders = []*contender{
		{name: "ASP.NET Core, `RedisCacheTicketStore.cs`, the usual class", server: usual, read: "hmget", signIn: dotnetSessions},
		{name: "ASP.NET Core, `RedisTicketStore.cs`", server: ours, read: "hmget", signIn: dotnetSessions},
		{name: "Go, `aspnetcore.Store`, the same sessions", server: shared, read: "hmget", signIn: dotnetSessions},
		{name: "Go, `aspnetcore.Store`, sessions begun in Go", server: shared, read: "hmget", signIn: at(shared)},
		{name: "Go, `RedisStore`", server: own, read: "get", signIn: at(own)},
		{name: "Go, `RedisStore`, batched", server: batched, read: "get", signIn: at(batched)},
		{name: "Go, `RedisStore`, cached", server: cached, read: "get", cached: true, signIn: at(cached)},
	}
	b.versions, err = b.versionsOf(ctx, dotnet)
	return stop, err
}

// versionsOf returns what is measured.
func (b *bench) versionsOf(ctx context.Context, dotnet string) (string, error) {
	redisVersion, err := rig.RedisVersion(ctx, b.client)
	if err != nil {
		return "", err
	}
	list, err := exec.CommandContext(ctx, dotnet, "--list-runtimes").Output()
	if err != nil {
		return "", err
	}
	version := "unknown"
	for _, found := range regexp.MustCompile(`Microsoft\.AspNetCore\.App (10\.\S+)`).FindAllStringSubmatch(string(list), -1) {
		version = found[1] // the last is the newest, which the application takes
	}
	return fmt.Sprintf("%s %s/%s; ASP.NET Core %s; Redis %s", runtime.Version(), runtime.GOOS, runtime.GOARCH, version, redisVersion), nil
}

// clean deletes what was stored, all of which begins with one name.
func (b *bench) clean() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for keys := b.client.Scan(ctx, 0, instanceName+"*", 1000).Iterator(); keys.Next(ctx); {
		b.client.Del(ctx, keys.Val())
	}
}

// newClient sets what the README says.
func newClient(addr string) *redis.Client {
	return redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true})
}

// staleness is how old an answer of a cache may be, and for how long a process
// reads what it has written past its cache.
const staleness = 10 * time.Second

// newCachedClient has a cache.
func newCachedClient(addr string) *redis.Client {
	return redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true, ReadTimeout: time.Second,
		MaintNotificationsConfig: &maintnotifications.Config{RelaxedTimeout: time.Second},
		ClientSideCacheConfig:    &redis.ClientSideCacheConfig{MaxEntries: 10_000, MaxStaleness: staleness - time.Second}})
}
