package faults

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/redistest"
)

var toEnd = flag.Int("sessions", 5000, "how many sessions to end, three quarters of them with faults and a quarter in a Cluster")

const (
	readers   = 3
	enders    = 32
	everybody = "everybody" // the cause of what is left at the end
)

// A place is where sessions end, and for a reader what it keeps.
type place struct {
	Addrs    []string
	Cluster  bool `json:",omitempty"`
	Prefix   string
	Patience time.Duration
	Lives    time.Duration // how long until a reader is killed, on average
	File     string        `json:",omitempty"`
	Bug      string        `json:",omitempty"`
}

func (p place) open() (redis.UniversalClient, *ticketstore.RedisStore, error) {
	o := redis.UniversalOptions{
		Addrs: p.Addrs, IsClusterMode: p.Cluster, ContextTimeoutEnabled: true,
		DialTimeout: p.Patience, ReadTimeout: p.Patience, WriteTimeout: p.Patience, PoolSize: enders,
	}
	client := redis.NewUniversalClient(&o)
	store, err := ticketstore.NewRedisStore(client, ticketstore.RedisConfig{Prefix: p.Prefix, History: time.Hour, MaxSessions: atCap})
	return client, store, err
}

func (p place) faulty() bool { return p.Patience == patience }

// A telling is how a session has ended, as the stream or a reader has it.
type telling struct {
	ID      string
	Subject string
	Cause   string
	By      string `json:",omitempty"`
	At      int64  `json:",omitempty"` // Unix milliseconds

	Page    int    `json:",omitempty"` // of the reader
	Process int    `json:",omitempty"` // that has read it
	Wrong   string `json:",omitempty"` // in place of all that: what a reader found to be wrong
}

// endAll has sessions end in every way, while readers read, and returns what is
// wrong with what they have read.
func (p place) endAll(t *testing.T, enough func(begun int) bool, direct place, meanwhile func(done <-chan struct{})) (wrong []string, seen endingsTally) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	client, store, err := p.open()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	l := &ledger{fates: map[string]fate{}, users: map[string]bool{}}
	seed := seeded(t)

	var reading []*reader
	for i := range readers {
		r := &reader{place: p}
		r.File = filepath.Join(t.TempDir(), fmt.Sprint("reader-", i))
		if err := r.start(ctx); err != nil {
			t.Fatal(err)
		}
		defer r.kill()
		reading = append(reading, r)
	}

	ended := make(chan struct{})
	calm := sync.OnceFunc(func() { close(ended) })
	defer calm()
	var group sync.WaitGroup
	caughtUp := make(chan struct{})
	group.Go(func() {
		defer close(caughtUp)
		random := mathrand.New(mathrand.NewPCG(seed, 1))
		for {
			live := slices.DeleteFunc(slices.Clone(reading), func(r *reader) bool { return r.done })
			if len(live) == 0 {
				return
			}
			select {
			case <-ended:
				return
			case <-time.After(p.Lives/5 + time.Duration(random.Int64N(int64(p.Lives/2)))):
			}
			r := live[random.IntN(len(live))]
			err := r.kill()
			if err == nil && !r.done {
				seen.kills++
				err = r.start(ctx)
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	group.Go(func() {
		if meanwhile != nil {
			meanwhile(ended)
		}
	})

	var begun atomic.Int64
	var work sync.WaitGroup
	for i := range enders {
		e, err := newEnder(client, store, p, l, &begun, mathrand.New(mathrand.NewPCG(seed, uint64(100+i))))
		if err != nil {
			t.Fatal(err)
		}
		work.Go(func() {
			for n := 0; !enough(int(begun.Load())) && ctx.Err() == nil; n++ {
				e.user = fmt.Sprintf("user-%d-%d", i, n)
				l.know(e.user)
				ways[n%len(ways)](e, ctx)
			}
		})
	}
	work.Wait()
	time.Sleep(time.Until(l.latest()) + 10*time.Millisecond) // what is idle ends by itself
	last := ticketstore.WithCause(ctx, everybody, "root")
	for tries, left := 0, int64(1); left > 0 && ctx.Err() == nil; tries++ {
		if tries == 10 {
			calm()
		}
		call, end := context.WithTimeout(last, max(p.Patience, 10*time.Second))
		if _, err := store.RevokeEverybody(call, nil); err == nil {
			if n, err := store.Count(call); err == nil {
				left = n.Sessions
			}
		}
		end()
	}
	for _, r := range reading {
		if err := os.WriteFile(r.File+".stop", nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-caughtUp:
	case <-time.After(time.Minute):
	}
	calm()
	group.Wait()
	for _, r := range reading {
		if err := r.finish(); err != nil {
			t.Fatal(err)
		}
	}
	stream, err := direct.stream(ctx)
	for redis.HasErrorPrefix(err, "LOADING") {
		time.Sleep(100 * time.Millisecond)
		stream, err = direct.stream(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	var logs [][]telling
	for _, r := range reading {
		log, err := r.log()
		if err != nil {
			t.Fatal(err)
		}
		logs = append(logs, log)
	}
	wrong, again, causes := l.check(stream, logs, meanwhile != nil)
	seen.sessions, seen.told, seen.again, seen.causes = len(l.fates), len(stream), again, causes
	return wrong, seen
}

// stream returns what the streams of all partitions tell.
func (p place) stream(ctx context.Context) (all []telling, err error) {
	client, _, err := p.open()
	if err != nil {
		return nil, err
	}
	defer client.Close()
	for tag := range 256 {
		entries, err := client.XRange(ctx, fmt.Sprintf("%s{%02x}ended", p.Prefix, tag), "-", "+").Result()
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			text := func(name string) string { return fmt.Sprint(e.Values[name]) }
			at, _ := e.Values["at"].(string)
			one := telling{ID: text("id"), Subject: text("subject"), Cause: text("cause"), By: text("by")}
			if _, err := fmt.Sscan(at, &one.At); err != nil {
				return nil, err
			}
			all = append(all, one)
		}
	}
	return all, nil
}

// A reader is a process that reads endings, and is killed.
type reader struct {
	place
	cmd  *exec.Cmd
	done bool // it has read all there is
}

func (r *reader) start(ctx context.Context) error {
	order, err := json.Marshal(r.place)
	if err != nil {
		return err
	}
	r.cmd = exec.CommandContext(ctx, os.Args[0])
	r.cmd.Env = append(os.Environ(), readerOrder+"="+string(order))
	r.cmd.Stderr = os.Stderr
	return r.cmd.Start()
}

// kill is kill -9. The process may have ended by itself, as all is read.
func (r *reader) kill() error {
	r.cmd.Process.Kill()
	err := r.cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && !exit.Exited() {
		return nil
	}
	r.done = true
	return err
}

// finish waits until the process has read all there is.
func (r *reader) finish() error {
	if r.done {
		return nil
	}
	r.done = true
	return r.cmd.Wait()
}

// An endingsTally is what has happened.
type endingsTally struct {
	sessions, told, kills, again int
	causes                       map[string]int
}

func reportEndings(t *testing.T, where string, wrong []string, seen endingsTally, faults map[string]int) {
	t.Helper()
	t.Logf("%+v; faults: %v", seen, faults)
	for _, w := range wrong[:min(len(wrong), 20)] {
		t.Error(w)
	}
	if len(wrong) > 20 {
		t.Errorf("and %d more", len(wrong)-20)
	}
	if t.Failed() {
		return
	}
	want(t, seen.causes, "signed-out", "replaced", "revoked", "theft", "evicted", "idle", "lifetime", "deleted", "forgotten", everybody)
	if seen.kills == 0 || seen.again == 0 {
		t.Errorf("readers were killed %d times, and have read %d endings again: the test looks at too little", seen.kills, seen.again)
	}
	noteEndings(where, seen, faults)
}

// Every reader reads each ending once, with its cause, however sessions end,
// whatever happens to connections and to a server that keeps what it has
// acknowledged, and whenever the reader itself is killed.
func TestEndingsThroughFaults(t *testing.T) {
	server := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	proxy := newProxy(t, server.Addr)
	m := &mishaps{server: server, proxy: proxy, between: 200 * time.Millisecond, happened: map[string]int{}}
	p := place{Addrs: []string{proxy.Listen}, Prefix: rand.Text() + "-", Patience: patience, Lives: time.Second}
	direct := p
	direct.Addrs, direct.Patience = []string{server.Addr}, redistest.Patience
	wrong, seen := p.endAll(t, func(begun int) bool { return begun >= *toEnd*3/4 && m.decks.Load() > 1 }, direct, func(done <-chan struct{}) { m.happen(t, done) })
	want(t, m.happened, "killed", "a reply cut", "a command cut")
	reportEndings(t, "one Redis, with faults", wrong, seen, m.happened)
}

func TestEndingsInACluster(t *testing.T) {
	p := place{Addrs: redistest.SharedCluster(t), Cluster: true, Prefix: rand.Text() + "-", Patience: redistest.Patience, Lives: time.Second}
	wrong, seen := p.endAll(t, atLeast(*toEnd/4), p, nil)
	reportEndings(t, "a Cluster of three", wrong, seen, nil)
}

// Readers that are wrong are found.
func TestEndingsFindsViolations(t *testing.T) {
	server := redistest.Start(t)
	for _, bug := range []string{"keeps its cursor first", "goes past one", "keeps its cursor late"} {
		t.Run(bug, func(t *testing.T) {
			p := place{Addrs: []string{server.Addr}, Prefix: rand.Text() + "-", Patience: redistest.Patience, Lives: 500 * time.Millisecond, Bug: bug}
			wrong, seen := p.endAll(t, atLeast(1000), p, nil)
			if len(wrong) == 0 {
				t.Fatalf("nothing found: %+v", seen)
			}
			t.Logf("%d violations, such as: %s", len(wrong), wrong[0])
		})
	}
}

// A ledger says what has begun, and how it must have ended.
type ledger struct {
	mu     sync.Mutex
	fates  map[string]fate // by session ID
	users  map[string]bool // true if one of theirs may have begun whose ID is not known
	newest time.Time       // of all expiries that are soon
}

type fate struct {
	user   string
	causes []string // that it may have; any, if there are none
	by     string
	at     time.Time // zero: any
}

func (l *ledger) know(user string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.users[user]; !ok {
		l.users[user] = false
	}
}

func (l *ledger) unsure(user string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.users[user] = true
}

func (l *ledger) note(id string, f fate) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fates[id] = f
}

func (l *ledger) expires(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at.After(l.newest) {
		l.newest = at
	}
}

func (l *ledger) latest() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.newest
}

// check returns what is wrong with what the stream and the readers tell; how
// often an ending was read again by a process whose predecessor was killed; and
// how many there are of each cause.
func (l *ledger) check(stream []telling, logs [][]telling, faulty bool) (wrong []string, again int, causes map[string]int) {
	say := func(format string, a ...any) { wrong = append(wrong, fmt.Sprintf(format, a...)) }
	told := map[string]telling{}
	causes = map[string]int{}
	for _, one := range stream {
		if _, twice := told[one.ID]; twice {
			say("%s is told twice", one.ID)
		}
		told[one.ID] = one
		causes[one.Cause]++
		f, known := l.fates[one.ID]
		unsure, user := l.users[one.Subject]
		switch {
		case one.Cause == "forgotten" && one.Subject != "":
			say("%s is forgotten, but not whose it was", one.ID)
		case !known && one.Subject == "" && faulty: // of one who is forgotten
		case !known && (!user || !unsure && !faulty):
			say("%s is told, of %q, which has not begun", one.ID, one.Subject)
		case !known:
		case one.Subject != f.user && one.Cause != "forgotten":
			say("%s is told of %q, and is %q's", one.ID, one.Subject, f.user)
		case len(f.causes) > 0 && !slices.Contains(f.causes, one.Cause):
			say("%s of %s has ended as %s; want %v", one.ID, f.user, one.Cause, f.causes)
		case f.by != "" && one.By != f.by:
			say("%s was ended by %q; want %q", one.ID, one.By, f.by)
		case !f.at.IsZero() && one.At != f.at.UnixMilli():
			say("%s has ended at %d; want %d", one.ID, one.At, f.at.UnixMilli())
		}
	}
	for _, id := range slices.Sorted(maps.Keys(l.fates)) {
		if _, ok := told[id]; !ok {
			say("%s of %s is not told; want %v", id, l.fates[id].user, l.fates[id].causes)
		}
	}
	for i, log := range logs {
		last := map[int]int{}  // the process that has read a page last: it has kept the cursor behind it
		under := map[int]int{} // the page that a process was at when it was killed
		for _, one := range log {
			last[one.Page] = one.Process
			under[one.Process] = one.Page
		}
		read := map[string]telling{}
		for _, one := range log {
			if one.Wrong != "" {
				say("reader %d: %s", i, one.Wrong)
				continue
			}
			if last[one.Page] != one.Process {
				again++
				if under[one.Process] != one.Page {
					say("reader %d: %s of page %d was read again, and page %d was under way", i, one.ID, one.Page, under[one.Process])
				}
				continue
			}
			if _, twice := read[one.ID]; twice {
				say("reader %d: %s comes twice, in pages %d and %d", i, one.ID, read[one.ID].Page, one.Page)
			}
			read[one.ID] = one
			there, ok := told[one.ID]
			switch {
			case !ok:
				say("reader %d: %s was never told", i, one.ID)
			case one.Cause != there.Cause || one.Subject != there.Subject || one.By != there.By || one.At != there.At:
				say("reader %d: got %+v, want %+v", i, one, there)
			}
		}
		for id := range told {
			if _, ok := read[id]; !ok {
				say("reader %d: %s of %s is missing", i, id, told[id].Subject)
			}
		}
	}
	return wrong, again, causes
}
