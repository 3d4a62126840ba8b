package ticketstore

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore/internal/redistest"
)

// A takeover is a Redis whose master can be killed, and be replaced by the
// replica.
type takeover struct {
	client  func() redis.UniversalClient // with the options that docs/tour.md has
	detach  func()                       // cuts the replica off
	kill    func()
	whole   func(ctx context.Context) bool // after kill: the replica has taken over, as all know
	subject func(i int) string             // of the master's
}

func clusterFailover(t *testing.T) takeover {
	masters, replicas := redistest.StartClusterWithReplicas(t, 3, 3)
	var addrs []string
	var others []*redis.Client
	for i, s := range append(masters, replicas...) {
		addrs = append(addrs, s.Addr)
		if i > 0 {
			others = append(others, openRedis(t, redisOptions(s.Addr)))
		}
	}
	// One of the 256 tags in three is the first master's.
	first := openRedis(t, redisOptions(addrs[1]))
	return takeover{
		client: func() redis.UniversalClient {
			return redis.NewClusterClient(&redis.ClusterOptions{Addrs: append([]string{}, addrs...), ContextTimeoutEnabled: true})
		},
		detach: replicas[0].Detach,
		kill:   masters[0].Stop,
		whole: func(ctx context.Context) bool {
			for _, c := range others {
				known := false
				for line := range strings.Lines(c.ClusterNodes(ctx).Val()) {
					f := strings.Fields(line) // ID, address, flags, …, slots
					known = known || len(f) > 8 && strings.HasPrefix(f[1], replicas[0].Addr+"@") && strings.Contains(f[2], "master")
				}
				if !known || !strings.Contains(c.ClusterInfo(ctx).Val(), "cluster_state:ok\r\n") {
					return false
				}
			}
			return true
		},
		subject: func(i int) string {
			for n := 0; ; n++ {
				subject := fmt.Sprint("user-", i, "-", n)
				if slot := first.ClusterKeySlot(t.Context(), fmt.Sprintf("{%02x}", partition(subject))).Val(); slot < 16384/3 {
					return subject
				}
			}
		},
	}
}

func sentinelFailover(t *testing.T) takeover {
	sentinels, master, replica := redistest.StartSentinels(t)
	direct := openRedis(t, redisOptions(replica.Addr))
	return takeover{
		client: func() redis.UniversalClient {
			return redis.NewFailoverClient(&redis.FailoverOptions{MasterName: "mymaster", SentinelAddrs: sentinels, ContextTimeoutEnabled: true})
		},
		detach: replica.Detach,
		kill:   master.Stop,
		whole: func(ctx context.Context) bool {
			return strings.Contains(direct.Info(ctx, "replication").Val(), "role:master\r\n")
		},
		subject: func(i int) string { return fmt.Sprint("user-", i) },
	}
}

// Signed-in users get 503 until the replica has taken over, and not much longer;
// a revocation that was acknowledged with RevokeReplicas is not undone by a
// replica that has been cut off for a second, while others are.
func TestFailoverUnderLoad(t *testing.T) {
	for name, start := range map[string]func(*testing.T) takeover{"cluster": clusterFailover, "sentinel": sentinelFailover} {
		t.Run(name, func(t *testing.T) { testFailover(t, start(t)) })
	}
}

func testFailover(t *testing.T, f takeover) {
	// An ending that is sure, and one that Redis has acknowledged.
	sure, quick := newCrowd(t, f, RedisConfig{RevokeReplicas: 1}), newCrowd(t, f, RedisConfig{})
	visitors := newVisitors(t, f)
	var wg sync.WaitGroup
	var stop atomic.Bool
	for _, run := range []func(stop *atomic.Bool){sure.run, quick.run, visitors.run} {
		wg.Go(func() { run(&stop) })
	}
	if !eventually(func() bool { return quick.acknowledged() > 100 && sure.acknowledged() > 100 }) {
		t.Fatal("nothing is acknowledged")
	}
	f.detach()
	cut := time.Now()
	if !eventually(func() bool { return time.Since(cut) > time.Second && quick.acknowledged() > sure.acknowledged() }) {
		t.Error("nothing is acknowledged while the replica is cut off")
	}
	f.kill()
	killed := time.Now()
	if !eventually(func() bool { return f.whole(t.Context()) }) {
		t.Fatal("the replica did not take over")
	}
	whole := time.Now()
	answered := visitors.awaitAll()
	last, failed := visitors.lastFailure()
	stop.Store(true)
	wg.Wait()
	if !answered {
		t.Error("some are never answered again")
	}

	t.Logf("whole after %v; the last 503, of %d, %v later", whole.Sub(killed).Round(time.Millisecond), failed, last.Sub(whole).Round(time.Millisecond))
	// Go-redis alone takes up to a minute; with us it is a second or so.
	if late := last.Sub(whole); late > 10*time.Second {
		t.Errorf("503 for %v after the replica had taken over", late)
	}
	undone, ended, lost := sure.result()
	t.Logf("RevokeReplicas 1: %d revocations undone of %d that were acknowledged; %d sessions lost", undone, ended, lost)
	if undone > 0 || ended == 0 {
		t.Errorf("RevokeReplicas: %d revocations undone of %d", undone, ended)
	}
	undone, ended, lost = quick.result()
	t.Logf("without: %d undone of %d; %d sessions lost", undone, ended, lost)
	if undone == 0 {
		t.Error("without RevokeReplicas no revocation is undone: the replica was not cut off")
	}
}

// visitors are signed in, and look at a page one after the other.
type visitors struct {
	*site
	t       *testing.T
	cookies []*http.Cookie
	mu      sync.Mutex
	failed  int
	last    time.Time
	round   int // of visits by all of them, all of which were answered
}

func newVisitors(t *testing.T, f takeover) *visitors {
	b := &backend{testClock: &testClock{runs: true}, prefix: randomPrefix(), client: f.client()}
	t.Cleanup(func() { b.client.Close() })
	v := &visitors{t: t, site: newSite(t, b, Config{StoreTimeout: 2 * time.Second})}
	for i := range 40 {
		v.cookies = append(v.cookies, v.login(t, f.subject(i)))
	}
	return v
}

func (v *visitors) run(stop *atomic.Bool) {
	for !stop.Load() {
		var wg sync.WaitGroup
		var failed atomic.Int32
		for _, c := range v.cookies {
			wg.Go(func() {
				res := v.get(v.t, "/me", c)
				if res.StatusCode == http.StatusServiceUnavailable {
					failed.Add(1)
				}
			})
		}
		wg.Wait()
		v.mu.Lock()
		if n := failed.Load(); n > 0 {
			v.failed, v.last, v.round = v.failed+int(n), time.Now(), 0
		} else {
			v.round++
		}
		v.mu.Unlock()
		time.Sleep(50 * time.Millisecond)
	}
}

// awaitAll waits until all have been answered for a while.
func (v *visitors) awaitAll() bool {
	return eventually(func() bool {
		v.mu.Lock()
		defer v.mu.Unlock()
		return v.round > 40
	})
}

func (v *visitors) lastFailure() (last time.Time, failed int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.last, v.failed
}

// A crowd signs in and, a while later, out, and knows what it was told.
type crowd struct {
	*backend
	t       *testing.T
	store   *RedisStore
	subject func(i int) string

	mu          sync.Mutex
	ended, live []Key
}

func newCrowd(t *testing.T, f takeover, cfg RedisConfig) *crowd {
	b := &backend{testClock: &testClock{runs: true}, prefix: randomPrefix(), client: f.client()}
	t.Cleanup(func() { b.client.Close() })
	return &crowd{backend: b, t: t, store: b.store(t, cfg), subject: f.subject}
}

func (c *crowd) run(stop *atomic.Bool) {
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			var inside []visit
			for i := 0; !stop.Load(); i++ {
				if v, err := c.signIn(c.subject(100_000*w + i)); err == nil {
					inside = append(inside, v)
				}
				if len(inside) > 500 {
					c.signOut(inside[0], i)
					inside = inside[1:]
				}
			}
		})
	}
	wg.Wait()
}

type visit struct {
	key Key
	tk  *Ticket
}

func (c *crowd) signIn(subject string) (visit, error) {
	ctx, cancel := context.WithTimeout(c.ctx(c.t), 500*time.Millisecond)
	defer cancel()
	tk := newTicket(c.backend, subject)
	key, err := c.store.Store(ctx, tk)
	return visit{key, tk}, err
}

// signOut ends a session in one of the ways there are, but for every fifth.
func (c *crowd) signOut(v visit, i int) {
	ctx, cancel := context.WithTimeout(c.ctx(c.t), 500*time.Millisecond)
	defer cancel()
	var err error
	subject, key := v.tk.Subject, v.key
	switch i % 5 {
	case 0:
		err = c.store.Remove(ctx, key)
	case 1:
		err = c.store.Revoke(ctx, subject, v.tk.ID)
	case 2:
		_, err = c.store.RevokeAll(ctx, subject)
	case 3:
		var other visit
		if other, err = c.signIn(subject); err == nil {
			_, err = c.store.RevokeOthers(ctx, subject, other.tk.ID)
		}
	case 4:
		c.mu.Lock()
		c.live = append(c.live, key)
		c.mu.Unlock()
		return
	}
	if err == nil {
		c.mu.Lock()
		c.ended = append(c.ended, key)
		c.mu.Unlock()
	}
}

func (c *crowd) acknowledged() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.ended)
}

// result returns how many of the ended sessions are live, and how many of those
// that were not ended are gone.
func (c *crowd) result() (undone, ended, lost int) {
	for _, key := range c.ended {
		if _, err := c.store.Retrieve(c.ctx(c.t), key); err == nil {
			undone++
		} else if !errors.Is(err, ErrNotFound) {
			c.t.Fatal(err)
		}
	}
	for _, key := range c.live {
		if _, err := c.store.Retrieve(c.ctx(c.t), key); errors.Is(err, ErrNotFound) {
			lost++
		} else if err != nil {
			c.t.Fatal(err)
		}
	}
	return undone, len(c.ended), lost
}
