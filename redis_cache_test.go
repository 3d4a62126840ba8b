package ticketstore

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/auth"
	"github.com/redis/go-redis/v9/push"

	"github.com/ticketstore/ticketstore/internal/redistest"
)

// cachedStore returns a store on b's Redis that reads from the cache of a
// client of its own: another process.
func cachedStore(t testing.TB, b *backend, o *redis.Options) *RedisStore {
	t.Helper()
	client := redis.NewClient(o)
	t.Cleanup(func() { client.Close() })
	s, err := NewRedisStore(client, RedisConfig{
		Prefix: b.prefix, MaxSessions: 2, MaxStaleness: o.ClientSideCacheConfig.MaxStaleness + o.ReadTimeout,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// cachedSession signs a user in, in another process, and has reader read the
// ticket into its cache.
func cachedSession(t testing.TB, b *backend, writer, reader *RedisStore, subject string) (Key, *Ticket) {
	t.Helper()
	tk := newTicket(b, subject)
	key := mustStore(t, b, writer, tk)
	if got, err := reader.Retrieve(b.ctx(t), key); err != nil || got.Revision != tk.Revision {
		t.Fatalf("got %v, %v, want the ticket", got, err)
	}
	return key, tk
}

var commandCalls = regexp.MustCompile(`cmdstat_([a-z|]+):calls=(\d+)`)

// commands returns what Redis was asked but for INFO.
func commands(t testing.TB, client redis.UniversalClient) string {
	t.Helper()
	info, err := client.Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	var calls []string
	for _, m := range commandCalls.FindAllStringSubmatch(info, -1) {
		if m[1] != "info" {
			calls = append(calls, m[1]+"="+m[2])
		}
	}
	return strings.Join(calls, " ")
}

// Requests of sessions that are in the cache ask Redis nothing, and each gets
// its own ticket.
func TestCachedReadsAskNothing(t *testing.T) {
	t.Parallel()
	b := (&backend{testClock: &testClock{}, addrs: []string{redistest.Start(t).Addr}, prefix: randomPrefix()}).another(t)
	reader := cachedStore(t, b, cachedOptions(b.addrs[0], time.Hour))
	writing, reading := newSite(t, b, Config{}), newSiteOn(t, b, reader, Config{})
	var cookies []*http.Cookie
	for i := range 50 {
		cookies = append(cookies, writing.login(t, fmt.Sprint("user-", i)))
	}
	var before string
	for round := range 10 {
		for i, c := range cookies {
			if got, want := reading.who(t, c), fmt.Sprint("user-", i); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		if round == 0 {
			before = commands(t, b.client)
		}
	}
	if after := commands(t, b.client); after != before {
		t.Errorf("got %s, want %s", after, before)
	}
}

// A process never reads what it has itself overwritten: without the detour
// around the cache, it does nearly every time.
func TestCachedOwnWrites(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	b := (&backend{testClock: &testClock{}, addrs: []string{server.Addr}, prefix: randomPrefix()}).another(t)
	writer := b.store(t, RedisConfig{})
	// One that hears of writes late: no connection is used twice in a row, nor
	// looked at in between.
	late := func(addr string) *RedisStore {
		o := cachedOptions(addr, 30*time.Second)
		o.ClientSideCacheConfig.DrainInterval = time.Hour
		o.PoolFIFO, o.MinIdleConns, o.MaxRetries = true, 8, -1
		s := cachedStore(t, b, o)
		if !eventually(func() bool { return s.client.PoolStats().IdleConns >= 8 }) {
			t.Fatal("it does not connect")
		}
		return s
	}
	reader := late(server.Addr)
	lossy := startProxy(t, server.Addr)
	unsure := late(lossy.addr)
	for _, script := range []script{silent.renew, silent.revoke} {
		if err := script.Load(t.Context(), b.client).Err(); err != nil {
			t.Fatal(err)
		}
	}
	ctx := b.ctx(t)
	for name, write := range map[string]func(s *RedisStore, key Key, tk *Ticket) error{
		"Renew": func(s *RedisStore, key Key, tk *Ticket) error { return s.Renew(ctx, key, tk) },
		"Rotate": func(s *RedisStore, key Key, tk *Ticket) error {
			_, err := s.Rotate(ctx, key, tk, time.Hour)
			return err
		},
		"Remove": func(s *RedisStore, key Key, tk *Ticket) error { return s.Remove(ctx, key) },
		"Remove what is undecodable": func(s *RedisStore, key Key, tk *Ticket) error {
			record := s.recordKey(partition(tk.Subject), tk.ID)
			if err := b.client.Set(ctx, record, "x", time.Hour).Err(); err != nil {
				return err
			}
			return s.Remove(ctx, key)
		},
		"Revoke": func(s *RedisStore, _ Key, tk *Ticket) error { return s.Revoke(ctx, tk.Subject, tk.ID) },
		"RevokeAll": func(s *RedisStore, _ Key, tk *Ticket) error {
			_, err := s.RevokeAll(ctx, tk.Subject)
			return err
		},
		"RevokeOthers": func(s *RedisStore, _ Key, tk *Ticket) error {
			other := newTicket(b, tk.Subject)
			mustStore(t, b, writer, other)
			_, err := s.RevokeOthers(ctx, tk.Subject, other.ID)
			return err
		},
		"Store at the cap": func(s *RedisStore, _ Key, tk *Ticket) error {
			mustStore(t, b, s, newTicket(b, tk.Subject))
			mustStore(t, b, s, newTicket(b, tk.Subject))
			return nil
		},
		"lost reply": func(_ *RedisStore, key Key, tk *Ticket) error {
			lossy.arm(0, 1, func() {})
			if err := unsure.Renew(ctx, key, tk.Clone()); err == nil {
				return errors.New("the reply was not lost: the test shows nothing")
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := reader
			if name == "lost reply" {
				s = unsure
			}
			for i := range 20 {
				key, tk := cachedSession(t, b, writer, s, fmt.Sprint(name, i))
				if err := write(s, key, tk.Clone()); err != nil {
					t.Fatal(err)
				}
				if got, err := s.Retrieve(ctx, key); err == nil && got.Revision == tk.Revision {
					t.Fatalf("round %d: the old ticket came back", i)
				} else if err != nil && !errors.Is(err, ErrNotFound) {
					t.Fatal(err)
				}
			}
		})
	}
}

// The lists of sessions, too, are what this process has made of them.
func TestCachedListsAreFresh(t *testing.T) {
	t.Parallel()
	b := realBackend(t)
	writer, reader := b.store(t, RedisConfig{}), cachedStore(t, b, cachedOptions(b.addrs[0], 30*time.Second))
	ctx := b.ctx(t)
	for i := range 20 {
		subject := fmt.Sprint("user-", i)
		for want := range 3 {
			for range 2 {
				if got, err := reader.Sessions(ctx, subject); err != nil || len(got) != want {
					t.Fatalf("got %d sessions, %v, want %d", len(got), err, want)
				}
			}
			mustStore(t, b, writer, newTicket(b, subject))
		}
		if n, err := reader.RevokeAll(ctx, subject); err != nil || n != 3 {
			t.Fatalf("got %d revoked, %v, want 3", n, err)
		}
		tk := newTicket(b, subject)
		mustStore(t, b, writer, tk)
		if _, err := reader.Session(ctx, subject, tk.ID); err != nil {
			t.Fatal(err)
		}
		if n, err := reader.RevokeAll(ctx, subject); err != nil || n != 1 {
			t.Fatalf("got %d revoked, %v, want 1", n, err)
		}
		if _, err := reader.Session(ctx, subject, tk.ID); !errors.Is(err, ErrNotFound) {
			t.Fatalf("got %v, want ErrNotFound", err)
		}
	}
}

// What the cache has refuses nobody, as Redis may by now have better.
func TestCachedAnswerNeverRefuses(t *testing.T) {
	t.Parallel()
	b := realBackend(t)
	writer, reader := b.store(t, RedisConfig{}), cachedStore(t, b, cachedOptions(b.addrs[0], 30*time.Second))
	ctx := b.ctx(t)
	set := func(tk *Ticket, record string) {
		t.Helper()
		if err := b.client.Set(ctx, writer.recordKey(partition(tk.Subject), tk.ID), record, time.Hour).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for name, spoil := range map[string]func(key Key, tk *Ticket){
		"no record": func(_ Key, tk *Ticket) {
			if err := b.client.Del(ctx, writer.recordKey(partition(tk.Subject), tk.ID)).Err(); err != nil {
				t.Fatal(err)
			}
		},
		"undecodable": func(_ Key, tk *Ticket) { set(tk, "x") },
		"unknown key": func(key Key, tk *Ticket) {
			for range 2 { // the first would leave the key as the previous one
				next, err := writer.Rotate(ctx, key, tk, 0)
				if err != nil {
					t.Fatal(err)
				}
				key = next
			}
		},
		"previous key": func(key Key, tk *Ticket) {
			if _, err := writer.Rotate(ctx, key, tk, time.Hour); err != nil {
				t.Fatal(err)
			}
		},
		"expired": func(key Key, tk *Ticket) {
			past := tk.Clone()
			past.ExpiresAt = b.now().Add(-time.Hour)
			data, err := JSONSerializer{}.Serialize(past)
			if err != nil {
				t.Fatal(err)
			}
			k, _ := parseRedisKey(key)
			set(tk, envelope{state: keyInUse, revision: newRevision(), verifier: k.verifier(), previous: "-", subject: tk.Subject}.String()+string(data))
		},
	} {
		t.Run(name, func(t *testing.T) {
			for i := range 20 {
				tk := newTicket(b, fmt.Sprint(name, i))
				key := mustStore(t, b, writer, tk)
				good, err := b.client.Get(ctx, writer.recordKey(partition(tk.Subject), tk.ID)).Result()
				if err != nil {
					t.Fatal(err)
				}
				spoil(key, tk.Clone())
				if got, err := reader.Retrieve(ctx, key); err == nil && got.Revision != "" {
					t.Fatalf("got %v, want it refused: the test shows nothing", got)
				}
				set(tk, good)
				if got, err := reader.Retrieve(ctx, key); err != nil || got.Revision != tk.Revision {
					t.Fatalf("round %d: got %v, %v, want the ticket", i, got, err)
				}
			}
		})
	}
}

// What a Manager would refuse by a cached ticket it reads again: one that
// another process has just prolonged, and one that has just ended beside one of
// another user.
func TestCachedAnswerNeverRefusesRequest(t *testing.T) {
	t.Parallel()
	b := realBackend(t)
	reader := cachedStore(t, b, cachedOptions(b.addrs[0], 30*time.Second))
	writing, reading := newSite(t, b, Config{}), newSiteOn(t, b, reader, Config{IdleTimeout: 10 * time.Minute})
	for i := range 20 {
		c := writing.login(t, fmt.Sprint("user-", i))
		if got := reading.who(t, c); got == "-" {
			t.Fatal("got nobody")
		}
		b.advance(20 * time.Minute) // idle for too long, but for the writer
		if got := writing.who(t, c); got == "-" {
			t.Fatal("got nobody")
		}
		if got := reading.who(t, c); got == "-" {
			t.Fatalf("round %d: a session that was used elsewhere is refused", i)
		}
		other := writing.login(t, fmt.Sprint("other-", i))
		if got := reading.who(t, other); got == "-" {
			t.Fatal("got nobody")
		}
		if err := writing.store.Remove(b.ctx(t), writing.key(t, other)); err != nil {
			t.Fatal(err)
		}
		if got, want := reading.who(t, other, c), fmt.Sprint("user-", i); got != want {
			t.Fatalf("round %d: got %q, want %q: the other session has ended", i, got, want)
		}
	}
	if logs := reading.logs.String(); strings.Contains(logs, "two subjects") {
		t.Errorf("a cached answer was logged as the truth: %s", logs)
	}
}

// What decides about more than one request reads past the cache.
func TestCachedNotAsked(t *testing.T) {
	t.Parallel()
	b := realBackend(t)
	reader := cachedStore(t, b, cachedOptions(b.addrs[0], 30*time.Second))
	writing, reading := newSite(t, b, Config{}), newSiteOn(t, b, reader, Config{})
	for name, ask := range map[string]func(r *http.Request) error{
		"Resolve": func(r *http.Request) error { _, err := reading.manager.Resolve(r); return err },
		"Sessions": func(r *http.Request) error {
			_, _, err := reading.manager.Sessions(r)
			return err
		},
		"Renew": func(r *http.Request) error {
			_, err := reading.manager.Renew(r, func(*Ticket) error { return nil })
			return err
		},
		"Status": func(r *http.Request) error {
			w := httptest.NewRecorder()
			reading.manager.Status().ServeHTTP(w, r)
			if !strings.Contains(w.Body.String(), `"signedIn":true`) {
				return ErrNotFound
			}
			return nil
		},
	} {
		for i := range 20 {
			c := writing.login(t, fmt.Sprint(name, i))
			if got := reading.who(t, c); got == "-" {
				t.Fatal("got nobody")
			}
			if err := ask(reading.request(t, "GET", "/", c)); err != nil {
				t.Fatal(err)
			}
			c = writing.login(t, fmt.Sprint(name, i))
			if got := reading.who(t, c); got == "-" {
				t.Fatal("got nobody")
			}
			if err := writing.store.Remove(b.ctx(t), writing.key(t, c)); err != nil {
				t.Fatal(err)
			}
			if err := ask(reading.request(t, "GET", "/", c)); !errors.Is(err, ErrNotFound) {
				t.Fatalf("%s, round %d: got %v, want ErrNotFound", name, i, err)
			}
		}
	}
}

// A change of a ticket begins with what it is now, not with what the cache has.
func TestCachedRenewReadsAfresh(t *testing.T) {
	t.Parallel()
	b := realBackend(t)
	reader := cachedStore(t, b, cachedOptions(b.addrs[0], 30*time.Second))
	writing, reading := newSite(t, b, Config{}), newSiteOn(t, b, reader, Config{})
	for i := range 20 {
		c := writing.login(t, fmt.Sprint("user-", i))
		if got := reading.who(t, c); got == "-" {
			t.Fatal("got nobody")
		}
		wantStatus(t, writing.get(t, "/renew?set=changed", c), http.StatusOK)
		var saw []string
		if _, err := reading.manager.Renew(reading.request(t, "POST", "/", c), func(tk *Ticket) error {
			saw = append(saw, tk.Properties["set"])
			return nil
		}); err != nil || !slices.Equal(saw, []string{"changed"}) {
			t.Fatalf("round %d: got %q, %v, want one change of what was written", i, saw, err)
		}
	}
}

// What another process does is heard of, long before the bound.
func TestCachedHearsOfWrites(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	b := (&backend{testClock: &testClock{}, addrs: []string{server.Addr}, prefix: randomPrefix()}).another(t)
	writer, reader := b.store(t, RedisConfig{}), cachedStore(t, b, cachedOptions(server.Addr, time.Hour))
	ctx := b.ctx(t)
	for _, test := range []struct {
		name  string
		write func(key Key, tk *Ticket) error
	}{
		{"Revoke", func(_ Key, tk *Ticket) error { return writer.Revoke(ctx, tk.Subject, tk.ID) }},
		{"Renew", func(key Key, tk *Ticket) error { return writer.Renew(ctx, key, tk) }},
		{"Rotate", func(key Key, tk *Ticket) error { _, err := writer.Rotate(ctx, key, tk, 0); return err }},
		{"DEL", func(_ Key, tk *Ticket) error {
			return b.client.Del(ctx, writer.recordKey(partition(tk.Subject), tk.ID)).Err()
		}},
		{"FLUSHALL", func(Key, *Ticket) error { return b.client.FlushAll(ctx).Err() }},
		{"CLIENT KILL", func(_ Key, tk *Ticket) error {
			if err := b.client.ClientKillByFilter(ctx, "TYPE", "normal", "SKIPME", "yes").Err(); err != nil {
				return err
			}
			return writer.Revoke(ctx, tk.Subject, tk.ID)
		}},
		{"after it", func(_ Key, tk *Ticket) error { return writer.Revoke(ctx, tk.Subject, tk.ID) }},
	} {
		var delays []time.Duration
		for i := range 15 {
			key, tk := cachedSession(t, b, writer, reader, fmt.Sprint(test.name, i))
			if err := test.write(key, tk.Clone()); err != nil {
				t.Fatal(err)
			}
			wrote := time.Now()
			for {
				got, err := reader.Retrieve(ctx, key)
				if err == nil && got.Revision != tk.Revision || errors.Is(err, ErrNotFound) {
					break
				}
				if time.Since(wrote) > redistest.Patience {
					t.Fatalf("%s: the old ticket still came after %v: %v", test.name, redistest.Patience, err)
				}
			}
			delays = append(delays, time.Since(wrote))
		}
		slices.Sort(delays)
		t.Logf("%s: median %v, most %v", test.name, delays[len(delays)/2], delays[len(delays)-1])
	}
}

// A valve is a proxy whose connections can be cut, and lose what is sent.
type valve struct {
	*proxy
	mu    sync.Mutex
	fault string
	held  chan struct{} // closed when a reply is held up
	flow  chan struct{} // closed when it may go on
}

func startValve(t testing.TB, server string) *valve {
	v := &valve{proxy: &proxy{server: server}, held: make(chan struct{}), flow: make(chan struct{})}
	v.proxy.valve = v
	v.start(t)
	return v
}

func (v *valve) set(fault string) {
	v.mu.Lock()
	v.fault = fault
	v.mu.Unlock()
	if fault == "cut" {
		v.proxy.mu.Lock()
		defer v.proxy.mu.Unlock()
		for _, c := range v.conns {
			c.Close()
		}
	}
}

// pass copies what arrives, but for what the fault says.
func (v *valve) pass(to, from net.Conn, fromServer bool) {
	defer to.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		v.mu.Lock()
		fault := v.fault
		if fault == "reply held up" && fromServer && buf[0] == '$' { // of GET, and of nothing before it
			v.fault = "black hole" // for all that comes after it
			close(v.held)
			v.mu.Unlock()
			<-v.flow
		} else {
			v.mu.Unlock()
		}
		switch {
		case fault == "cut":
			return
		case fault == "black hole" && fromServer, fault == "half open" && !fromServer:
			continue
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// Whatever becomes of the connection, no call that began later than the bound
// after the end of a write of another process serves what was there before.
func TestInvariant14CachedIsNeverOlderThanItsBound(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	b := (&backend{testClock: &testClock{}, addrs: []string{server.Addr}, prefix: randomPrefix()}).another(t)
	writer := b.store(t, RedisConfig{})
	for _, fault := range []string{"cut", "black hole", "half open", "reply held up"} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			for tries := 1; ; tries++ {
				// The machine may have been too slow for the cache to answer
				// in time: then once more, with twice that.
				maxStaleness, readTimeout := 300*time.Millisecond<<(tries-1), 2*time.Second<<(tries-1)
				bound := maxStaleness + readTimeout
				v := startValve(t, server.Addr)
				o := cachedOptions(v.addr, maxStaleness)
				o.ReadTimeout, o.MaintNotificationsConfig.RelaxedTimeout = readTimeout, readTimeout
				reader := cachedStore(t, b, o)
				tk := newTicket(b, fmt.Sprint(fault, tries))
				key := mustStore(t, b, writer, tk)
				v.set(fault)
				if fault == "reply held up" {
					go reader.Retrieve(t.Context(), key)
					<-v.held
				} else {
					v.set("")
					if _, err := reader.Retrieve(t.Context(), key); err != nil && tries < 7 {
						continue
					} else if err != nil {
						t.Fatal(err)
					}
					v.set(fault)
				}
				if err := writer.Renew(b.ctx(t), key, tk.Clone()); err != nil {
					t.Fatal(err)
				}
				wrote, old := time.Now(), time.Duration(-1)
				time.AfterFunc(readTimeout/2, func() { close(v.flow) })
				for began := wrote; began.Before(wrote.Add(bound + time.Second)); began = time.Now() {
					ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond<<(tries-1))
					got, err := reader.Retrieve(ctx, key)
					cancel()
					if err == nil && got.Revision == tk.Revision {
						old = began.Sub(wrote)
					}
				}
				if old > bound {
					t.Fatalf("a call that began %v after the write got the old ticket; the bound is %v", old, bound)
				}
				v.set("")
				if !eventually(func() bool {
					got, err := reader.Retrieve(t.Context(), key)
					return err == nil && got.Revision != tk.Revision
				}) {
					t.Error("after the fault the new ticket does not come")
				}
				// A half-open connection still hears of the write.
				if old >= 0 || fault == "cut" || fault == "half open" {
					t.Logf("the old ticket last came %v after the write", old)
					return
				}
				if tries == 7 {
					t.Fatal("the old ticket never came: the test shows nothing")
				}
			}
		})
	}
}

// Renewals of other processes against an end by this one, which has the ticket
// in its cache: once it has returned, no read has the ticket.
func TestCachedRaceNeverResurrects(t *testing.T) {
	t.Parallel()
	rounds := 300
	if testing.Short() {
		rounds = 30
	}
	b := realBackend(t)
	ctx := b.ctx(t)
	renewing, ending := b.store(t, RedisConfig{}), cachedStore(t, b, cachedOptions(b.addrs[0], 30*time.Second))
	for name, end := range map[string]func(key Key, tk *Ticket) error{
		"Remove": func(key Key, _ *Ticket) error { return ending.Remove(ctx, key) },
		"Revoke": func(_ Key, tk *Ticket) error { return ending.Revoke(ctx, tk.Subject, tk.ID) },
		"RevokeAll": func(_ Key, tk *Ticket) error {
			_, err := ending.RevokeAll(ctx, tk.Subject)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			for i := range rounds {
				key, tk := cachedSession(t, b, renewing, ending, fmt.Sprint(name, i))
				var wg sync.WaitGroup
				wg.Go(func() {
					if err := renewing.Renew(ctx, key, tk.Clone()); err != nil && !errors.Is(err, ErrNotFound) {
						t.Error(err)
					}
				})
				wg.Go(func() {
					for range 3 { // fills the cache while the end is under way
						ending.Retrieve(ctx, key)
					}
				})
				err := end(key, tk)
				after := readTwice(ctx, ending, key)
				wg.Wait()
				if err != nil {
					t.Fatal(err)
				}
				if after == nil || readTwice(ctx, ending, key) == nil {
					t.Fatalf("round %d: the ticket is alive after its end", i)
				}
			}
		})
	}
}

// A cache that is too small for what is read still gives each its own.
func TestCachedEviction(t *testing.T) {
	t.Parallel()
	b := realBackend(t)
	o := cachedOptions(b.addrs[0], time.Hour)
	o.ClientSideCacheConfig.MaxEntries = 10
	reader := cachedStore(t, b, o)
	writer := b.store(t, RedisConfig{})
	keys := make([]Key, 50)
	for i := range keys {
		keys[i], _ = cachedSession(t, b, writer, reader, fmt.Sprint("user-", i))
	}
	for range 3 {
		for i, key := range keys {
			if got, err := reader.Retrieve(b.ctx(t), key); err != nil || got.Subject != fmt.Sprint("user-", i) {
				t.Fatalf("got %v, %v, want user-%d", got, err, i)
			}
		}
	}
	if stats := reader.client.(*redis.Client).CSCStats(); stats.Entries > 10 {
		t.Errorf("got %+v, want at most 10 entries", stats)
	}
}

const writerEnv = "TICKETSTORE_TEST_WRITER"

// writerProcess is what another process of this test binary does: it changes
// the sessions that it is told of, one a line, and says when it has.
func writerProcess(addr, prefix string) int {
	client := redis.NewClient(redistest.Options(addr))
	defer client.Close()
	s, err := NewRedisStore(client, RedisConfig{Prefix: prefix})
	for in := bufio.NewScanner(os.Stdin); err == nil && in.Scan(); fmt.Println("done") {
		f := strings.Fields(in.Text())
		key := Key(f[1])
		var t *Ticket
		if t, err = s.Retrieve(context.Background(), key); err != nil {
			break
		}
		switch f[0] {
		case "renew":
			err = s.Renew(context.Background(), key, t)
		case "rotate":
			// The new key's first use ends the old one.
			if key, err = s.Rotate(context.Background(), key, t, 0); err == nil {
				_, err = s.Retrieve(context.Background(), key)
			}
		case "remove":
			err = s.Remove(context.Background(), key)
		case "revoke":
			_, err = s.RevokeAll(context.Background(), t.Subject)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// Two processes: what one has ended or changed, the other one's cache gives up.
func TestCachedTwoProcesses(t *testing.T) {
	t.Parallel()
	b := realBackend(t)
	b.testClock = &testClock{runs: true} // as the other process' does
	writer, reader := b.store(t, RedisConfig{}), cachedStore(t, b, cachedOptions(b.addrs[0], time.Hour))
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), writerEnv+"="+b.addrs[0]+" "+b.prefix)
	cmd.Stderr = os.Stderr
	stdin, err1 := cmd.StdinPipe()
	stdout, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	done := bufio.NewScanner(stdout)
	for _, what := range []string{"renew", "rotate", "remove", "revoke"} {
		for i := range 10 {
			key, tk := cachedSession(t, b, writer, reader, fmt.Sprint(what, i))
			fmt.Fprintln(stdin, what, string(key))
			if !done.Scan() {
				t.Fatalf("%s: the other process has ended", what)
			}
			if !eventually(func() bool {
				got, err := reader.Retrieve(b.ctx(t), key)
				return what == "renew" && err == nil && got.Revision != tk.Revision || what != "renew" && errors.Is(err, ErrNotFound)
			}) {
				t.Fatalf("%s: the old ticket still comes", what)
			}
		}
	}
	stdin.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// Beyond what it can remember, everything counts as written; after the window
// nothing does.
func TestRecentWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &recentWrites{window: time.Second}
		want := func(when string, want bool, ids ...uuid.UUID) {
			t.Helper()
			for _, id := range ids {
				if got := w.has(id); got != want {
					t.Errorf("%s: got %v, want %v", when, got, want)
				}
			}
		}
		a, b := uuid.New(), uuid.New()
		end1 := w.begin("{00}", []string{"{00}" + a.String(), "{00}subject:x", "{00}sessions"})
		want("under way", true, a)
		want("not written", false, b)
		end2 := w.begin("{00}", []string{"{00}" + a.String()})
		end1()
		time.Sleep(time.Hour)
		want("a second under way", true, a)
		end2()
		for range 4 { // others go on meanwhile
			want("just ended", true, a)
			time.Sleep(250 * time.Millisecond)
			w.begin("{00}", []string{"{00}" + b.String()})()
		}
		want("at the end of the window", true, a)
		want("written again and again", true, b)
		for range 3 {
			time.Sleep(1001 * time.Millisecond)
			w.begin("{00}", []string{"{00}" + b.String()})()
		}
		want("long ended, while others go on", false, a)
		time.Sleep(1001 * time.Millisecond)
		want("long ended", false, b)
		w.begin("{00}", []string{"{00}" + a.String()})()
		want("long ended, and then another", false, b)
		want("the other", true, a)

		for range maxWritten {
			w.begin("{00}", []string{"{00}" + uuid.NewString()})()
		}
		end := w.begin("{00}", []string{"{00}" + a.String()})
		want("full", true, a, b)
		time.Sleep(time.Hour)
		want("full, and under way", true, a, b)
		end()
		time.Sleep(time.Second)
		want("full", true, a, b)
		time.Sleep(time.Millisecond)
		want("after it", false, a, b)
		if n := len(w.open) + len(w.young) + len(w.old); n > maxWritten+1 {
			t.Errorf("got %d IDs, want at most %d", n, maxWritten)
		}
	})
}

// What cannot cache, or has no bound, is refused, and so is a cache that is not
// asked for. Nothing is dialed for that.
func TestNewRedisStoreCache(t *testing.T) {
	t.Parallel()
	providers := []func(o *redis.Options){
		func(o *redis.Options) { o.CredentialsProvider = func() (string, string) { return "", "" } },
		func(o *redis.Options) {
			o.CredentialsProviderContext = func(context.Context) (string, string, error) { return "", "", nil }
		},
		func(o *redis.Options) { o.StreamingCredentialsProvider = noCredentials{} },
	}
	const bound = 3 * time.Second
	const age = "its cache may answer with what is "
	for name, test := range map[string]struct {
		maxStaleness time.Duration
		change       func(o *redis.Options)
		want         string // "" if it is good
	}{
		"good":          {bound, func(o *redis.Options) {}, ""},
		"just under":    {bound + 1, func(o *redis.Options) {}, ""},
		"past it":       {bound, func(o *redis.Options) { o.ClientSideCacheConfig.MaxStaleness++ }, age + "3.000000001s old"},
		"ReadTimeout":   {bound, func(o *redis.Options) { o.ReadTimeout++ }, "a reply may take 1.000000001s (ReadTimeout)"},
		"its default":   {bound, func(o *redis.Options) { o.ReadTimeout = 0 }, age + "7s old"},
		"none":          {bound, func(o *redis.Options) { o.ReadTimeout = -1 }, "without ReadTimeout"},
		"none at all":   {bound, func(o *redis.Options) { o.ReadTimeout = -2 }, "without ReadTimeout"},
		"maintenance":   {bound, func(o *redis.Options) { o.MaintNotificationsConfig = nil }, "10s (RelaxedTimeout in MaintNotificationsConfig)"},
		"negative":      {-1, func(o *redis.Options) {}, "MaxStaleness: -1ns is negative"},
		"no cache":      {bound, func(o *redis.Options) { o.ClientSideCacheConfig = nil }, "the client has no client-side cache"},
		"no bound":      {bound, func(o *redis.Options) { o.ClientSideCacheConfig.MaxStaleness = 0 }, "may be of any age"},
		"a given cache": {bound, func(o *redis.Options) { o.ClientSideCache = redis.NewLocalCache(*o.ClientSideCacheConfig) }, "does not say how old"},
		"RESP2":         {bound, func(o *redis.Options) { o.Protocol = 2 }, "with Protocol 2"},
		"DB":            {bound, func(o *redis.Options) { o.DB = 1 }, "with DB 1"},
		"provider":      {bound, providers[0], "with a credentials provider"},
		"provider 2":    {bound, providers[1], "with a credentials provider"},
		"provider 3":    {bound, providers[2], "with a credentials provider"},
		"coalesces":     {bound, func(o *redis.Options) { o.ClientSideCacheCoalesceMisses = true }, "beyond ReadTimeout"},
		"refreshes":     {bound, func(o *redis.Options) { o.ClientSideCacheRefreshOnInvalidate = true }, "beyond ReadTimeout"},
		"processor": {bound, func(o *redis.Options) {
			o.PushNotificationProcessor = struct{ push.NotificationProcessor }{push.NewProcessor()}
		}, "PushNotificationProcessor"},
		"not asked for": {0, func(o *redis.Options) {}, "it has a client-side cache"},
		"given, not asked for": {0, func(o *redis.Options) {
			o.ClientSideCacheConfig, o.ClientSideCache = nil, redis.NewLocalCache(redis.CacheConfig{})
		}, "it has a client-side cache"},
		"neither": {0, func(o *redis.Options) { o.ClientSideCacheConfig = nil }, ""},
	} {
		change := func() *redis.Options {
			o := cachedOptions("127.0.0.1:1", 2*time.Second)
			o.ReadTimeout, o.MaintNotificationsConfig.RelaxedTimeout = time.Second, time.Second
			o.Dialer = func(context.Context, string, string) (net.Conn, error) {
				t.Errorf("%s: dialed", name)
				return nil, errors.New("no")
			}
			test.change(o)
			return o
		}
		client := redis.NewClient(change())
		defer client.Close()
		cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}, NewClient: func(*redis.Options) *redis.Client {
			return redis.NewClient(change())
		}})
		defer cluster.Close()
		for _, c := range []redis.UniversalClient{client, cluster} {
			_, err := NewRedisStore(c, RedisConfig{MaxStaleness: test.maxStaleness})
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("%s, %T: got %v, want %q", name, c, err, test.want)
			}
		}
	}

	// What the nodes of a Cluster get, its own options say as well.
	o := cachedClusterOptions([]string{"127.0.0.1:1"}, 2*time.Second)
	o.ReadTimeout, o.PushNotificationProcessor, o.Protocol = -1, push.NewProcessor(), 2
	o.CredentialsProvider = func() (string, string) { return "", "" }
	cluster := redis.NewClusterClient(o)
	defer cluster.Close()
	_, err := NewRedisStore(cluster, RedisConfig{MaxStaleness: bound})
	for _, want := range []string{"without ReadTimeout", "with Protocol 2", "with a credentials provider"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	o = cachedClusterOptions([]string{"127.0.0.1:1"}, 2*time.Second)
	o.PushNotificationProcessor = push.NewProcessor()
	shared := redis.NewClusterClient(o)
	defer shared.Close()
	if _, err := NewRedisStore(shared, RedisConfig{MaxStaleness: bound}); err == nil || !strings.Contains(err.Error(), "PushNotificationProcessor") {
		t.Errorf("got %v, want the processor refused, which is all nodes'", err)
	}

	// A client of Sentinel and one that hides what it is.
	sentinel := redis.NewFailoverClient(&redis.FailoverOptions{MasterName: "m", SentinelAddrs: []string{"127.0.0.1:1"}})
	defer sentinel.Close()
	client := redis.NewClient(cachedOptions("127.0.0.1:1", 2*time.Second))
	defer client.Close()
	for _, c := range []redis.UniversalClient{sentinel, struct{ redis.UniversalClient }{client}} {
		if _, err := NewRedisStore(c, RedisConfig{MaxStaleness: bound}); err == nil || !strings.Contains(err.Error(), "has no client-side cache that can be seen") {
			t.Errorf("%T: got %v, want it refused", c, err)
		}
	}
}

type noCredentials struct{}

func (noCredentials) Subscribe(auth.CredentialsListener) (auth.Credentials, auth.UnsubscribeFunc, error) {
	return auth.NewBasicCredentials("", ""), func() error { return nil }, nil
}

// Even a cache that cannot be seen is not asked without MaxStaleness.
func TestHiddenCacheIsNotAsked(t *testing.T) {
	t.Parallel()
	b := realBackend(t)
	writer := b.store(t, RedisConfig{})
	client := redis.NewClient(cachedOptions(b.addrs[0], time.Hour))
	defer client.Close()
	hidden, err := NewRedisStore(struct{ redis.UniversalClient }{client}, RedisConfig{Prefix: b.prefix})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		key, tk := cachedSession(t, b, writer, hidden, fmt.Sprint("user-", i))
		if err := writer.Revoke(b.ctx(t), tk.Subject, tk.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := hidden.Retrieve(b.ctx(t), key); !errors.Is(err, ErrNotFound) {
			t.Fatalf("got %v, want ErrNotFound", err)
		}
	}
}

const noCaching = "cache: it does not work, so that each read asks Redis: go-redis, whose log has the reason, has turned it off, as for a user who may not run CLIENT TRACKING"

// That an ACL forbids what the cache needs can only be seen on Redis, and
// Check does.
func TestCheckCache(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--appendonly", "yes")
	admin := openRedis(t, redisOptions(s.Addr))
	for name, test := range map[string]struct {
		rules string
		want  []string
	}{
		"all":         {"+@all", nil},
		"no-tracking": {"+@all -client|tracking", []string{noCaching}},
		"documented":  {"+get +getrange +set +mget +del +exists +pexpireat +time +zadd +zrem +zcard +zcount +zscore +zmscore +zrange +zrevrange +zrangebyscore +zscan +eval +evalsha +info +config|get +client|tracking", nil},
	} {
		args := []any{"acl", "setuser", name, "on", ">pw", "~*"}
		for _, rule := range strings.Fields(test.rules) {
			args = append(args, rule)
		}
		if err := admin.Do(t.Context(), args...).Err(); err != nil {
			t.Fatal(err)
		}
		o := cachedOptions(s.Addr, time.Hour)
		o.Username, o.Password = name, "pw"
		b := &backend{testClock: &testClock{}, addrs: []string{s.Addr}, prefix: randomPrefix()}
		store := cachedStore(t, b, o)
		for range 2 {
			if got, err := store.Check(t.Context()); err != nil || !slices.Equal(got, test.want) {
				t.Errorf("%s: got %q, %v, want %q", name, got, err, test.want)
			}
		}
		// It serves all the same.
		key := mustStore(t, b, store, newTicket(b, "alice"))
		if _, err := store.Retrieve(t.Context(), key); err != nil {
			t.Error(err)
		}
	}
	// A client whose listener is another's, of which nothing tells.
	shared := push.NewProcessor()
	for i, want := range [][]string{nil, {noCaching}} {
		o := cachedOptions(s.Addr, time.Hour)
		o.PushNotificationProcessor = shared
		store := cachedStore(t, &backend{prefix: randomPrefix()}, o)
		if got, err := store.Check(t.Context()); err != nil || !slices.Equal(got, want) {
			t.Errorf("client %d: got %q, %v, want %q", i, got, err, want)
		}
	}
}
