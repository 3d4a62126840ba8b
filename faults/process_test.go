package faults

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/redistest"
)

// second makes the test program the second process of a lane.
const second = "FAULTS_SECOND_PROCESS"

func TestMain(m *testing.M) {
	if os.Getenv(second) != "" {
		redis.SetLogger(silent{})
		if err := serve(context.Background(), os.Stdin, os.Stdout); err != nil && !errors.Is(err, io.EOF) {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if text := os.Getenv(readerOrder); text != "" {
		redis.SetLogger(silent{})
		var p place
		err := json.Unmarshal([]byte(text), &p)
		if err == nil {
			err = p.read(context.Background())
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	code := redistest.Main(m)
	if code == 0 && *into != "" {
		if err := write(*into); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

type silent struct{}

// Printf does nothing: that connections fail is what is meant to happen.
func (silent) Printf(context.Context, string, ...any) {}

// A mode is how stores read.
type mode string

const (
	direct  mode = "direct"
	batched mode = "batched"
	sealed  mode = "sealed" // and with a history
	cached  mode = "cached"

	staleness = 2 * time.Second // of a cached read, at most
)

// open returns a store of the Redis at addr, whose calls wait as long as
// patience.
func (m mode) open(addr, prefix string, patience time.Duration) (*redis.Client, *ticketstore.RedisStore, error) {
	timeout := min(patience, staleness/2)
	o := &redis.Options{Addr: addr, ContextTimeoutEnabled: true, DialTimeout: timeout, ReadTimeout: timeout, WriteTimeout: timeout, PoolSize: workers}
	if m == cached {
		o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled, RelaxedTimeout: timeout}
		o.ClientSideCacheConfig = &redis.ClientSideCacheConfig{MaxStaleness: staleness - timeout}
	}
	client := redis.NewClient(o)
	s, err := ticketstore.NewRedisStore(client, m.config(prefix))
	return client, s, err
}

func (m mode) config(prefix string) ticketstore.RedisConfig {
	cfg := ticketstore.RedisConfig{Prefix: prefix, BatchReads: m == batched}
	if m == cached {
		cfg.MaxStaleness = staleness
	}
	if m == sealed {
		cfg.SealKeys, cfg.History = []ticketstore.SealKey{bytes.Repeat([]byte("k"), 32)}, time.Hour
	}
	return cfg
}

// An order is what the second process is told: first where, then each round.
type order struct {
	Mode         mode          `json:",omitempty"`
	Addr, Prefix string        `json:",omitempty"`
	Patience     time.Duration `json:",omitempty"`

	User     string
	Seed     uint64
	Sessions []*session
}

// serve is the second process.
func serve(ctx context.Context, in io.Reader, out io.Writer) error {
	orders, answers := json.NewDecoder(in), json.NewEncoder(out)
	var o order
	if err := orders.Decode(&o); err != nil {
		return err
	}
	client, store, err := o.Mode.open(o.Addr, o.Prefix, o.Patience)
	if err != nil {
		return err
	}
	defer client.Close()
	for {
		next := order{Patience: o.Patience}
		if err := orders.Decode(&next); err != nil {
			return err
		}
		r := &round{store: store, user: next.User, seed: next.Seed, patience: next.Patience, sessions: next.Sessions}
		if err := answers.Encode(r.run(ctx)); err != nil {
			return err
		}
	}
}

// A lane is two processes, which work at one user after the other.
type lane struct {
	order
	client *redis.Client
	store  sessionStore
	orders *json.Encoder
	answer *json.Decoder
}

func openLane(tb testing.TB, first order) *lane {
	tb.Helper()
	l := &lane{order: first}
	client, store, err := first.Mode.open(first.Addr, first.Prefix, first.Patience)
	if err != nil {
		tb.Fatal(err)
	}
	l.client, l.store = client, store
	cmd := exec.CommandContext(tb.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), second+"=1")
	cmd.Stderr = os.Stderr
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		in.Close()
		cmd.Wait()
		client.Close()
	})
	l.orders, l.answer = json.NewEncoder(in), json.NewDecoder(bufio.NewReader(out))
	if err := l.orders.Encode(first); err != nil {
		tb.Fatal(err)
	}
	return l
}

// round has both processes work at a new user's sessions at the same time, and
// returns what they saw.
func (l *lane) round(ctx context.Context, user string, seed uint64) ([]operation, error) {
	r := &round{store: l.store, user: user, seed: seed, patience: l.Patience}
	r.begin(ctx)
	var given []*session
	for _, s := range r.sessions {
		given = append(given, new(*s))
	}
	if err := l.orders.Encode(order{User: user, Seed: seed + 1, Sessions: given}); err != nil {
		return nil, err
	}
	mine := r.run(ctx)
	var others []operation
	if err := l.answer.Decode(&others); err != nil {
		return nil, err
	}
	return append(mine, others...), nil
}
