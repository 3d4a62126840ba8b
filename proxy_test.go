package ticketstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore/internal/redistest"
)

// A proxy stands between a client and a Redis. When armed, it loses the replies
// to scripts: Redis has run them, and the client sees its connection close and
// sends the command again.
type proxy struct {
	addr, server string
	valve        *valve // unless nil

	mu    sync.Mutex
	skip  int    // scripts to let pass before
	cuts  int    // replies to lose
	onCut func() // runs before the client can tell; not nil
	conns []net.Conn
}

func startProxy(t testing.TB, server string) *proxy {
	p := &proxy{server: server}
	p.start(t)
	return p
}

func (p *proxy) start(t testing.TB) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.addr = l.Addr().String()
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { p.serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.mu.Lock()
		for _, c := range p.conns {
			c.Close()
		}
		p.mu.Unlock()
		wg.Wait()
	})
}

// arm makes the proxy lose the next cuts replies after skip more scripts.
func (p *proxy) arm(skip, cuts int, onCut func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.skip, p.cuts, p.onCut = skip, cuts, onCut
}

// cut returns what to do before the reply to a script is lost, nil if it is to
// arrive.
func (p *proxy) cut() func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.cuts == 0:
		return nil
	case p.skip > 0:
		p.skip--
		return nil
	}
	p.cuts--
	return p.onCut
}

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer server.Close()
	p.mu.Lock()
	p.conns = append(p.conns, client, server)
	p.mu.Unlock()
	if p.valve != nil {
		go p.valve.pass(server, client, false)
		p.valve.pass(client, server, true)
		return
	}
	// A connection has one command under way at a time, whose start comes in
	// one piece. So if there is a cut to make, the next bytes from the server
	// are the reply to lose.
	cuts := make(chan func(), 1)
	go func() {
		defer server.Close()
		pass(server, client, func(request []byte) bool {
			if bytes.Contains(request, []byte("\r\nevalsha\r\n")) {
				if onCut := p.cut(); onCut != nil {
					cuts <- onCut
				}
			}
			return true
		})
	}()
	pass(client, server, func([]byte) bool {
		select {
		case onCut := <-cuts:
			onCut()
			return false
		default:
			return true
		}
	})
}

// pass copies what arrives, each piece if look says so, and ends otherwise.
func pass(to, from net.Conn, look func([]byte) bool) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil || !look(buf[:n]) {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// cutting is a Redis of its own, reached through a proxy; direct is the same
// without it.
type cutting struct {
	*backend
	proxy  *proxy
	direct *backend
}

func cuttingBackend(t testing.TB, maxRetries int) *cutting {
	server := redistest.Start(t)
	c := &cutting{
		direct: (&backend{testClock: &testClock{}, addrs: []string{server.Addr}, prefix: randomPrefix()}).another(t),
		proxy:  startProxy(t, server.Addr),
	}
	b := *c.direct
	opt := redisOptions(c.proxy.addr)
	opt.MaxRetries = maxRetries
	b.client = redis.NewClient(opt)
	t.Cleanup(func() { b.client.Close() })
	c.backend = &b
	// A script that Redis does not have yet is sent twice anyway.
	for _, script := range []script{silent.store, silent.renew, silent.remove, silent.revoke, silent.prune} {
		if err := script.Load(t.Context(), c.direct.client).Err(); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

var evalshaCalls = regexp.MustCompile(`cmdstat_evalsha:calls=(\d+)`)

// scripts returns how many scripts Redis has run.
func (c *cutting) scripts(t testing.TB) int {
	t.Helper()
	info, err := c.direct.client.Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	if match := evalshaCalls.FindStringSubmatch(info); match != nil {
		n, _ = strconv.Atoi(match[1])
	}
	return n
}

// wantScripts runs f, with so many replies of scripts lost after the first
// skip, and checks how many Redis ran.
func (c *cutting) wantScripts(t testing.TB, want, skip, cuts int, f func()) {
	t.Helper()
	before := c.scripts(t)
	c.proxy.arm(skip, cuts, func() {})
	f()
	if got := c.scripts(t) - before; got != want {
		t.Errorf("Redis ran %d scripts, want %d", got, want)
	}
}

func wantReads(t testing.TB, c *cutting, s *RedisStore, key Key, want *Ticket) {
	t.Helper()
	got, err := s.Retrieve(c.ctx(t), key)
	if err != nil || got.ID != want.ID || got.Revision != want.Revision || got.Scheme != want.Scheme {
		t.Errorf("Retrieve: got %+v, %v, want %+v", got, err, want)
	}
}

func wantGone(t testing.TB, c *cutting, s *RedisStore, keys ...Key) {
	t.Helper()
	for _, key := range keys {
		if got, err := s.Retrieve(c.ctx(t), key); !errors.Is(err, ErrNotFound) {
			t.Errorf("Retrieve: got %+v, %v, want ErrNotFound", got, err)
		}
	}
}

// A write whose replies are lost, and that go-redis repeats, means what it
// says.
func TestProxyRepeatedWrites(t *testing.T) {
	tests := map[string]func(t *testing.T, c *cutting, cuts int){
		"Store": func(t *testing.T, c *cutting, cuts int) {
			s := c.store(t, RedisConfig{})
			tk := newTicket(c.backend, "alice")
			var key Key
			c.wantScripts(t, 1, 0, cuts, func() { key = mustStore(t, c.backend, s, tk) })
			wantReads(t, c, s, key, tk)
			wantSessions(t, c.direct, s, "alice", tk.ID)
			if n, err := s.Count(c.ctx(t)); err != nil || n != (Counts{1, 1}) {
				t.Errorf("got %+v, %v, want one session", n, err)
			}
		},
		"Store replaces": func(t *testing.T, c *cutting, cuts int) {
			s := c.store(t, RedisConfig{})
			kept, tk := newTicket(c.backend, "alice"), newTicket(c.backend, "alice")
			mustStore(t, c.backend, s, kept)
			old := mustStore(t, c.backend, s, tk)
			var key Key
			replaced := tk.ID
			c.wantScripts(t, 1, 0, cuts, func() { key = mustStore(t, c.backend, s, tk) })
			wantReads(t, c, s, key, tk)
			wantSessions(t, c.direct, s, "alice", tk.ID, replaced, kept.ID) // which the caller ends
			if err := s.Remove(c.ctx(t), old); err != nil {
				t.Error(err)
			}
			wantSessions(t, c.direct, s, "alice", tk.ID, kept.ID)
		},
		// At the cap a Store is two scripts. One session has to go, however
		// often they are repeated.
		"Store asks whom to evict": func(t *testing.T, c *cutting, cuts int) { testCutEviction(t, c, 0, cuts) },
		"Store evicts":             func(t *testing.T, c *cutting, cuts int) { testCutEviction(t, c, 1, cuts) },
		// Its repetition meets a cap that it has itself filled.
		"Store takes the last place": func(t *testing.T, c *cutting, cuts int) {
			s := c.store(t, RedisConfig{MaxSessions: 2, RefuseNew: true})
			first, last := newTicket(c.backend, "alice"), newTicket(c.backend, "alice")
			mustStore(t, c.backend, s, first)
			var key Key
			c.wantScripts(t, 1, 0, cuts, func() { key = mustStore(t, c.backend, s, last) })
			wantReads(t, c, s, key, last)
			wantSessions(t, c.direct, s, "alice", last.ID, first.ID)
		},
		"Renew": func(t *testing.T, c *cutting, cuts int) {
			s := c.store(t, RedisConfig{})
			tk := newTicket(c.backend, "alice")
			key := mustStore(t, c.backend, s, tk)
			was := tk.Revision
			tk.Scheme = "renewed"
			c.wantScripts(t, 1+cuts, 0, cuts, func() {
				if err := s.Renew(c.ctx(t), key, tk); err != nil {
					t.Fatal(err)
				}
			})
			if tk.Revision == was {
				t.Error("the revision is the old one")
			}
			wantReads(t, c, s, key, tk)
			// The revision that it set is good for the next.
			if err := s.Renew(c.ctx(t), key, tk); err != nil {
				t.Errorf("the next Renew: %v", err)
			}
		},
		"Rotate": func(t *testing.T, c *cutting, cuts int) {
			s := c.store(t, RedisConfig{})
			tk := newTicket(c.backend, "alice")
			old := mustStore(t, c.backend, s, tk)
			tk.Scheme = "rotated"
			var key Key
			c.wantScripts(t, 1+cuts, 0, cuts, func() {
				var err error
				if key, err = s.Rotate(c.ctx(t), old, tk, time.Hour); err != nil {
					t.Fatal(err)
				}
			})
			wantReads(t, c, s, key, tk)
			inGrace := tk.Clone()
			inGrace.Revision = ""
			wantReads(t, c, s, old, inGrace)
			if key == old {
				t.Error("the key is the old one")
			}
			if err := s.Renew(c.ctx(t), old, tk.Clone()); !errors.Is(err, ErrConflict) {
				t.Errorf("Renew with the old key: got %v, want ErrConflict", err)
			}
			if err := s.Renew(c.ctx(t), key, tk); err != nil {
				t.Errorf("Renew with the new key: %v", err)
			}
		},
		"Remove": func(t *testing.T, c *cutting, cuts int) {
			s := c.store(t, RedisConfig{})
			tk := newTicket(c.backend, "alice")
			key := mustStore(t, c.backend, s, tk)
			c.wantScripts(t, 1+cuts, 0, cuts, func() {
				if err := s.Remove(c.ctx(t), key); err != nil {
					t.Errorf("got %v, want nil", err)
				}
			})
			wantGone(t, c, s, key)
			wantSessions(t, c.direct, s, "alice")
		},
		"Revoke": func(t *testing.T, c *cutting, cuts int) {
			s := c.store(t, RedisConfig{})
			tk := newTicket(c.backend, "alice")
			key := mustStore(t, c.backend, s, tk)
			c.wantScripts(t, 1+cuts, 0, cuts, func() {
				// The repetition finds nothing left to end.
				if err := s.Revoke(c.ctx(t), "alice", tk.ID); err != nil && !errors.Is(err, ErrNotFound) {
					t.Errorf("got %v, want nil or ErrNotFound", err)
				}
			})
			wantGone(t, c, s, key)
			wantSessions(t, c.direct, s, "alice")
		},
		"RevokeAll": func(t *testing.T, c *cutting, cuts int) {
			s := c.store(t, RedisConfig{})
			keys := []Key{mustStore(t, c.backend, s, newTicket(c.backend, "alice")), mustStore(t, c.backend, s, newTicket(c.backend, "alice"))}
			c.wantScripts(t, 2+cuts, 0, cuts, func() {
				if n, err := s.RevokeAll(c.ctx(t), "alice"); err != nil || n < 0 || n > 2 {
					t.Errorf("got %d, %v, want at most 2", n, err)
				}
			})
			wantGone(t, c, s, keys...)
			wantSessions(t, c.direct, s, "alice")
		},
		"RevokeOthers": func(t *testing.T, c *cutting, cuts int) {
			s := c.store(t, RedisConfig{})
			kept := newTicket(c.backend, "alice")
			keys := []Key{mustStore(t, c.backend, s, newTicket(c.backend, "alice")), mustStore(t, c.backend, s, newTicket(c.backend, "alice"))}
			key := mustStore(t, c.backend, s, kept)
			c.wantScripts(t, 2+cuts, 0, cuts, func() {
				if n, err := s.RevokeOthers(c.ctx(t), "alice", kept.ID); err != nil || n < 0 || n > 2 {
					t.Errorf("got %d, %v, want at most 2", n, err)
				}
			})
			wantGone(t, c, s, keys...)
			wantReads(t, c, s, key, kept)
			wantSessions(t, c.direct, s, "alice", kept.ID)
		},
	}
	for _, mode := range []struct {
		name       string
		max, count int
		batched    bool
	}{{"MaxRetries 1", 1, 1, false}, {"default", 0, 3, false}, {"batched", 1, 1, true}} {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			for name, test := range tests {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					c := cuttingBackend(t, mode.max)
					c.batched, c.direct.batched = mode.batched, mode.batched
					test(t, c, mode.count)
				})
			}
		})
	}
}

func testCutEviction(t *testing.T, c *cutting, skip, cuts int) {
	s := c.store(t, RedisConfig{MaxSessions: 3})
	var old []*Ticket
	var keys []Key
	for range 3 {
		tk := newTicket(c.backend, "alice")
		keys = append(keys, mustStore(t, c.backend, s, tk))
		old = append(old, tk)
	}
	tk := newTicket(c.backend, "alice")
	var key Key
	// Asking writes nothing: it is done again, with another ID; that of the
	// first is removed, as if it could yet be written.
	c.wantScripts(t, []int{4, 2}[skip], skip, 1, func() { key = mustStore(t, c.backend, s, tk) })
	wantReads(t, c, s, key, tk)
	wantGone(t, c, s, keys[0])
	wantSessions(t, c.direct, s, "alice", tk.ID, old[2].ID, old[1].ID)
}

// If the reply to the last repetition is lost as well, the operation has
// failed: nothing says that the session is not there. What it did stands.
func TestProxyRepetitionLostToo(t *testing.T) {
	for name, test := range map[string]struct {
		do    func(ctx context.Context, s *RedisStore, key Key, tk *Ticket) error
		after func(t *testing.T, c *cutting, s *RedisStore, key Key, tk *Ticket)
	}{
		"Renew": {
			func(ctx context.Context, s *RedisStore, key Key, tk *Ticket) error {
				next := tk.Clone()
				next.Scheme = "renewed"
				err := s.Renew(ctx, key, next)
				if next.Revision != tk.Revision {
					return fmt.Errorf("the revision has changed: %v: %w", err, ErrNotFound)
				}
				return err
			},
			func(t *testing.T, c *cutting, s *RedisStore, key Key, tk *Ticket) {
				if err := s.Renew(c.ctx(t), key, tk.Clone()); !errors.Is(err, ErrConflict) {
					t.Errorf("the next Renew: got %v, want ErrConflict", err)
				}
				got, err := s.Retrieve(c.ctx(t), key)
				if err != nil || got.Scheme != "renewed" {
					t.Fatalf("got %+v, %v, want what Renew wrote", got, err)
				}
				if err := s.Renew(c.ctx(t), key, got); err != nil {
					t.Errorf("Renew of what was read again: %v", err)
				}
			},
		},
		"Rotate": {
			func(ctx context.Context, s *RedisStore, key Key, tk *Ticket) error {
				next, err := s.Rotate(ctx, key, tk.Clone(), time.Hour)
				if next != "" {
					return fmt.Errorf("got a key: %v: %w", err, ErrNotFound)
				}
				return err
			},
			func(t *testing.T, c *cutting, s *RedisStore, key Key, tk *Ticket) {
				// Nobody has the new key; the old one is good for the grace.
				inGrace := tk.Clone()
				inGrace.Revision = ""
				wantReads(t, c, s, key, inGrace)
				wantSessions(t, c.direct, s, "alice", tk.ID)
				if err := s.Remove(c.ctx(t), key); err != nil {
					t.Errorf("Remove: %v", err)
				}
				wantGone(t, c, s, key)
			},
		},
		"Remove": {
			func(ctx context.Context, s *RedisStore, key Key, _ *Ticket) error { return s.Remove(ctx, key) },
			wantEnded,
		},
		"Revoke": {
			func(ctx context.Context, s *RedisStore, _ Key, tk *Ticket) error {
				return s.Revoke(ctx, "alice", tk.ID)
			},
			wantEnded,
		},
		"RevokeAll": {
			func(ctx context.Context, s *RedisStore, _ Key, _ *Ticket) error {
				_, err := s.RevokeAll(ctx, "alice")
				return err
			},
			// What was lost is the mark, which comes first.
			func(t *testing.T, c *cutting, s *RedisStore, key Key, tk *Ticket) {
				wantReads(t, c, s, key, tk)
				wantSessions(t, c.direct, s, "alice", tk.ID)
			},
		},
		"RevokeOthers": {
			func(ctx context.Context, s *RedisStore, _ Key, tk *Ticket) error {
				_, err := s.RevokeOthers(ctx, "alice", tk.ID)
				return err
			},
			func(t *testing.T, c *cutting, s *RedisStore, key Key, tk *Ticket) {
				wantReads(t, c, s, key, tk)
				if got, err := s.Sessions(c.ctx(t), "alice"); err != nil || len(got) != 2 {
					t.Errorf("got %v, %v, want both sessions: what was lost is the mark, which comes first", got, err)
				}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := cuttingBackend(t, 1)
			s := c.store(t, RedisConfig{})
			tk := newTicket(c.backend, "alice")
			key := mustStore(t, c.backend, s, tk)
			if name == "RevokeOthers" {
				mustStore(t, c.backend, s, newTicket(c.backend, "alice"))
			}
			c.wantScripts(t, 2, 0, 2, func() {
				err := test.do(c.ctx(t), s, key, tk)
				for _, answer := range []error{nil, ErrNotFound, ErrConflict, ErrInvalidTicket, ErrUndecodable, ErrTooManySessions} {
					if errors.Is(err, answer) {
						t.Errorf("got %v, want an error of its own", err)
					}
				}
			})
			test.after(t, c, s, key, tk)
		})
	}
}

func wantEnded(t *testing.T, c *cutting, s *RedisStore, key Key, _ *Ticket) {
	t.Helper()
	wantGone(t, c, s, key)
	wantSessions(t, c.direct, s, "alice")
	if keys := c.keys(t); len(keys) != 0 {
		t.Errorf("got keys %q, want none", keys)
	}
}

// A repetition does not bring back what another process ended between the two.
func TestProxyRepetitionAfterRevoke(t *testing.T) {
	for name, write := range map[string]func(ctx context.Context, s *RedisStore, key Key, tk *Ticket) error{
		"Renew": func(ctx context.Context, s *RedisStore, key Key, tk *Ticket) error { return s.Renew(ctx, key, tk) },
		"Rotate": func(ctx context.Context, s *RedisStore, key Key, tk *Ticket) error {
			_, err := s.Rotate(ctx, key, tk, time.Hour)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := cuttingBackend(t, 1)
			s, theirs := c.store(t, RedisConfig{}), c.direct.store(t, RedisConfig{})
			tk := newTicket(c.backend, "alice")
			key := mustStore(t, c.backend, s, tk)
			c.proxy.arm(0, 1, func() {
				if err := theirs.Revoke(c.ctx(t), "alice", tk.ID); err != nil {
					t.Error(err)
				}
			})
			if err := write(c.ctx(t), s, key, tk.Clone()); !errors.Is(err, ErrNotFound) {
				t.Errorf("got %v, want ErrNotFound", err)
			}
			wantEnded(t, c, s, key, tk)
		})
	}
}

// Nor does a Store whose reply was lost: it takes another ID, and if that is
// lost as well, has failed.
func TestProxyStoreAfterRevoke(t *testing.T) {
	for cuts := 1; cuts <= 2; cuts++ {
		t.Run(fmt.Sprint(cuts, " replies lost"), func(t *testing.T) {
			t.Parallel()
			c := cuttingBackend(t, 1)
			s, theirs := c.store(t, RedisConfig{}), c.direct.store(t, RedisConfig{})
			var mu sync.Mutex
			var ended []string
			c.proxy.arm(0, cuts, func() {
				sessions, err := theirs.Sessions(c.ctx(t), "alice")
				if err != nil || len(sessions) != 1 {
					t.Errorf("got %+v, %v, want the session whose reply is about to be lost", sessions, err)
					return
				}
				if err := theirs.Revoke(c.ctx(t), "alice", sessions[0].ID); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				ended = append(ended, sessions[0].ID)
			})
			tk := newTicket(c.backend, "alice")
			key, err := s.Store(c.ctx(t), tk)
			mu.Lock()
			defer mu.Unlock()
			if len(ended) != cuts {
				t.Fatalf("%d sessions were ended, want %d", len(ended), cuts)
			}
			for _, id := range ended {
				if _, err := theirs.Session(c.ctx(t), "alice", id); !errors.Is(err, ErrNotFound) {
					t.Errorf("session %s is back: %v", id, err)
				}
			}
			if cuts == 1 {
				if err != nil {
					t.Fatal(err)
				}
				wantReads(t, c, s, key, tk)
				wantSessions(t, c.direct, s, "alice", tk.ID)
				return
			}
			if err == nil || key != "" || tk.ID != "" || errors.Is(err, ErrNotFound) {
				t.Errorf("got %v, ID %q, want an error of its own and no session", err, tk.ID)
			}
			wantSessions(t, c.direct, s, "alice")
		})
	}
}

// A sign-in whose reply is lost sets one cookie, which works, and leaves one
// session; one that fails sets none.
func TestProxySignIn(t *testing.T) {
	c := cuttingBackend(t, 1)
	s := newSite(t, c.backend, Config{})
	var cookie *http.Cookie
	c.wantScripts(t, 1, 0, 1, func() { cookie = s.login(t, "alice") })
	if got := s.who(t, cookie); got != "alice" {
		t.Errorf("got %q, want alice", got)
	}
	first := s.ticket(t, cookie).ID
	wantSessions(t, c.direct, s.store, "alice", first)

	// Again, in place of the first.
	c.wantScripts(t, 2, 0, 1, func() { cookie = s.login(t, "alice", cookie) })
	second := s.ticket(t, cookie).ID
	wantSessions(t, c.direct, s.store, "alice", second)

	// As somebody else: the second script removes alice's session.
	var bobs *http.Cookie
	c.wantScripts(t, 3, 1, 1, func() { bobs = s.login(t, "bob", cookie) })
	wantSessions(t, c.direct, s.store, "alice")
	wantSessions(t, c.direct, s.store, "bob", s.ticket(t, bobs).ID)

	c.wantScripts(t, 2, 0, 1, func() { wantStatus(t, s.get(t, "/logout", bobs), http.StatusOK) })
	if got := s.who(t, bobs); got != "-" {
		t.Errorf("after signing out: got %q, want nobody", got)
	}
	if keys := c.keys(t); len(keys) != 0 {
		t.Errorf("got keys %q, want none", keys)
	}
}

// A change whose reply is lost takes effect, once or once more.
func TestProxyManagerRenew(t *testing.T) {
	c := cuttingBackend(t, 1)
	s := newSite(t, c.backend, Config{})
	cookie := s.login(t, "alice")
	runs := 0
	change := func(tk *Ticket) error {
		runs++
		if tk.Properties == nil {
			tk.Properties = map[string]string{}
		}
		tk.Properties["mine"] = "set"
		return nil
	}
	renew := func() (tk *Ticket, err error) {
		runs = 0
		return s.manager.Renew(s.request(t, "POST", "/", cookie), change)
	}
	want := func(wantRuns int, tk *Ticket, err error, properties map[string]string) {
		t.Helper()
		if runs != wantRuns {
			t.Errorf("the change ran %d times, want %d", runs, wantRuns)
		}
		stored := s.ticket(t, cookie)
		if fmt.Sprint(stored.Properties) != fmt.Sprint(properties) {
			t.Errorf("got properties %v, want %v", stored.Properties, properties)
		}
		if err == nil && (tk.Revision != stored.Revision || fmt.Sprint(tk.Properties) != fmt.Sprint(stored.Properties)) {
			t.Errorf("got %+v, want what is stored, %+v", tk, stored)
		}
	}

	var tk *Ticket
	var err error
	c.wantScripts(t, 2, 0, 1, func() { tk, err = renew() })
	if err != nil {
		t.Error(err)
	}
	want(1, tk, err, map[string]string{"mine": "set"})

	// Somebody else changes the ticket between the two: the repetition meets
	// a conflict, and the change runs again on what is there.
	theirs, key := c.direct.store(t, RedisConfig{}), s.key(t, cookie)
	c.proxy.arm(0, 1, func() {
		tk, err := theirs.Retrieve(c.ctx(t), key)
		if err == nil {
			tk.Properties["theirs"] = "set"
			err = theirs.Renew(c.ctx(t), key, tk)
		}
		if err != nil {
			t.Error(err)
		}
	})
	if tk, err = renew(); err != nil {
		t.Error(err)
	}
	want(2, tk, err, map[string]string{"mine": "set", "theirs": "set"})

	// The repetition is lost too: whether it took effect is not known, and
	// doing it again is right.
	c.wantScripts(t, 2, 0, 2, func() {
		if tk, err := renew(); err == nil || errors.Is(err, ErrNotFound) || errors.Is(err, ErrConflict) {
			t.Errorf("got %+v, %v, want an error of its own", tk, err)
		}
	})
	if tk, err = renew(); err != nil {
		t.Error(err)
	}
	want(1, tk, err, map[string]string{"mine": "set", "theirs": "set"})
	if got := s.who(t, cookie); got != "alice" {
		t.Errorf("got %q, want alice", got)
	}

	// A rotation sets one cookie, that of the new key.
	old := cookie
	c.wantScripts(t, 2, 0, 1, func() { cookie = onlyCookie(t, s.get(t, "/rotate", cookie)) })
	if s.key(t, cookie) == s.key(t, old) || s.who(t, cookie) != "alice" {
		t.Error("the cookie of a rotation has the old key, or is not alice's")
	}
	wantSessions(t, c.direct, s.store, "alice", s.ticket(t, cookie).ID)
}
