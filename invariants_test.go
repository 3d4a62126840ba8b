package ticketstore

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore/internal/redistest"
)

// The invariants are what doc.go guarantees. Each is a test here, on each kind
// of Redis, and with batched reads; those that take several processes use two
// clients at least.

// 1. Once a session has been ended, nothing brings its ticket back.
func TestInvariant01RevocationIsFinal(t *testing.T) {
	eachMode(t, func(t *testing.T, b *backend) {
		ends := map[string]func(s *RedisStore, key Key, tk, other *Ticket) error{
			"Remove": func(s *RedisStore, key Key, tk, _ *Ticket) error { return s.Remove(b.ctx(t), key) },
			"Revoke": func(s *RedisStore, _ Key, tk, _ *Ticket) error { return s.Revoke(b.ctx(t), tk.Subject, tk.ID) },
			"RevokeAll": func(s *RedisStore, _ Key, tk, _ *Ticket) error {
				_, err := s.RevokeAll(b.ctx(t), tk.Subject)
				return err
			},
			"RevokeOthers": func(s *RedisStore, _ Key, tk, other *Ticket) error {
				_, err := s.RevokeOthers(b.ctx(t), tk.Subject, other.ID)
				return err
			},
			"eviction": func(s *RedisStore, _ Key, tk, _ *Ticket) error {
				_, err := b.store(t, RedisConfig{MaxSessions: 1}).Store(b.ctx(t), newTicket(b, tk.Subject))
				return err
			},
			"DEL by hand": func(s *RedisStore, _ Key, tk, _ *Ticket) error {
				return b.client.Del(b.ctx(t), s.recordKey(partition(tk.Subject), tk.ID)).Err()
			},
		}
		other := b.another(t)
		for name, end := range ends {
			mine, theirs := newSite(t, b, Config{}), newSite(t, other, Config{})
			c := mine.login(t, "alice")
			key, tk := mine.key(t, c), mine.ticket(t, c)
			kept := newTicket(b, "alice")
			mustStore(t, b, mine.store, kept)
			// What a second process has under way: a change, a renewal by
			// activity, a rotation and a sign-in page with the cookie.
			late := theirs.ticket(t, c)
			slid := tk.Clone()
			slid.IssuedAt = b.now()
			if err := end(mine.store, key, tk, kept); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for range 2 { // a command may be repeated
				if err := theirs.store.Renew(b.ctx(t), key, late.Clone()); !errors.Is(err, ErrNotFound) {
					t.Errorf("%s, late Renew: got %v, want ErrNotFound", name, err)
				}
				if err := theirs.store.Renew(b.ctx(t), key, slid.Clone()); !errors.Is(err, ErrNotFound) {
					t.Errorf("%s, late renewal by activity: got %v, want ErrNotFound", name, err)
				}
				if _, err := theirs.store.Rotate(b.ctx(t), key, late.Clone(), time.Minute); !errors.Is(err, ErrNotFound) {
					t.Errorf("%s, late Rotate: got %v, want ErrNotFound", name, err)
				}
				for _, s := range []*site{mine, theirs} {
					if _, err := s.store.Retrieve(b.ctx(t), key); !errors.Is(err, ErrNotFound) {
						t.Errorf("%s, Retrieve: got %v, want ErrNotFound", name, err)
					}
					// LateSetCookieAfterLogoutIsHarmless
					if got := s.who(t, c); got != "-" {
						t.Errorf("%s, late cookie: got %q, want nobody", name, got)
					}
				}
				if _, err := theirs.store.Session(b.ctx(t), "alice", tk.ID); !errors.Is(err, ErrNotFound) {
					t.Errorf("%s, Session: got %v, want ErrNotFound", name, err)
				}
			}
			if _, err := mine.store.RevokeAll(b.ctx(t), "alice"); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// A request that has read its ticket, and renews it when that has just been
// revoked, is anonymous.
func TestRevokedWhileARequestRenews(t *testing.T) {
	eachMode(t, func(t *testing.T, b *backend) {
		real := b.store(t, RedisConfig{})
		stub := &stubStore{TicketStore: real}
		s := newSiteOn(t, b, stub, Config{})
		c := s.login(t, "alice")
		b.advance(6 * time.Minute)
		stub.renew = func(ctx context.Context, key Key, tk *Ticket) error {
			if err := real.Revoke(ctx, "alice", tk.ID); err != nil {
				t.Error(err)
			}
			return real.Renew(ctx, key, tk)
		}
		if got := s.who(t, c); got != "-" {
			t.Errorf("got %q, want nobody", got)
		}
	})
}

// RemoveThenReplayRejected: OWASP ASVS 5.0, 7.4.1.
func TestRemoveThenReplayRejected(t *testing.T) {
	eachMode(t, func(t *testing.T, b *backend) {
		s := newSite(t, b, Config{})
		c := s.login(t, "alice")
		wantStatus(t, s.get(t, "/me", c), http.StatusOK)
		wantStatus(t, s.get(t, "/logout", c), http.StatusOK)
		for range 3 {
			wantStatus(t, s.get(t, "/me", c), http.StatusUnauthorized)
		}
	})
}

// 2. A renewal by activity never overwrites a change of claims.
func TestInvariant02NoLostUpdate(t *testing.T) {
	eachMode(t, func(t *testing.T, b *backend) {
		other := b.another(t)
		real := b.store(t, RedisConfig{})
		stub := &stubStore{TicketStore: real}
		sliding, changing := newSiteOn(t, b, stub, Config{}), newSite(t, other, Config{})
		c := changing.login(t, "alice")
		b.advance(6 * time.Minute)
		stub.renew = func(ctx context.Context, key Key, tk *Ticket) error {
			stub.renew = nil
			wantStatus(t, changing.get(t, "/renew?set=changed", c), http.StatusOK)
			return real.Renew(ctx, key, tk)
		}
		if got := sliding.who(t, c); got != "alice" {
			t.Errorf("got %q, want alice", got)
		}
		if got := changing.ticket(t, c).Properties["set"]; got != "changed" {
			t.Errorf("the renewal overwrote the change: got %q", got)
		}
	})
}

// The same under load: a counter in the ticket loses no increment.
func TestInvariant02NoLostUpdateUnderLoad(t *testing.T) {
	eachMode(t, func(t *testing.T, b *backend) {
		sites := []*site{newSite(t, b, Config{RenewAfter: 1}), newSite(t, b.another(t), Config{RenewAfter: 1})}
		c := sites[0].login(t, "alice")
		var done atomic.Int64
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				s := sites[i%2]
				for range 25 {
					b.advance(time.Millisecond) // so that it is renewed each time
					s.who(t, c)
					r := s.request(t, "POST", "/", c)
					_, err := s.manager.Renew(r, func(tk *Ticket) error {
						n, _ := strconv.Atoi(tk.Properties["n"])
						tk.Properties = map[string]string{"n": strconv.Itoa(n + 1)}
						return nil
					})
					if err == nil {
						done.Add(1)
					} else if !errors.Is(err, ErrConflict) {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if got := sites[0].ticket(t, c).Properties["n"]; done.Load() == 0 || got != fmt.Sprint(done.Load()) {
			t.Errorf("got %s increments, want %d", got, done.Load())
		}
	})
}

// 3. An outage is not a sign-out: here of a real Redis that hangs, then goes.
// See TestInvariant03OutageAnsweredWithErrors for one that answers with errors.
func TestInvariant03OutageIsNotASignOut(t *testing.T) {
	t.Run("direct", func(t *testing.T) { t.Parallel(); testOutageIsNotASignOut(t, false) })
	t.Run("batched", func(t *testing.T) { t.Parallel(); testOutageIsNotASignOut(t, true) })
}

func testOutageIsNotASignOut(t *testing.T, batched bool) {
	server := redistest.Start(t)
	b := (&backend{testClock: &testClock{}, addrs: []string{server.Addr}, prefix: randomPrefix(), batched: batched}).another(t)
	s, hasty := newSite(t, b, Config{}), newSite(t, b, Config{StoreTimeout: 200 * time.Millisecond})
	c := s.login(t, "alice")
	refused := func(state string) {
		t.Helper()
		for _, page := range []string{"/", "/me", "/logout", "/rotate"} {
			res := hasty.get(t, page, c)
			wantStatus(t, res, http.StatusServiceUnavailable)
			wantNoCookie(t, res)
		}
		if got := hasty.who(t); got != "-" {
			t.Errorf("%s: anonymous requests: got %q", state, got)
		}
	}
	server.Pause()
	refused("it hangs")
	server.Resume()
	if !eventually(func() bool { return s.get(t, "/", c).StatusCode == http.StatusOK }) || s.who(t, c) != "alice" {
		t.Error("after it hung, alice is not there")
	}
	server.Stop()
	refused("it is gone")
	server.Restart() // empty
	if !eventually(func() bool { return s.get(t, "/me", c).StatusCode == http.StatusUnauthorized }) {
		t.Error("after it came back empty, the old cookie is not anonymous")
	}
	if got := s.who(t, s.login(t, "alice", c)); got != "alice" {
		t.Errorf("got %q, want alice signed in again", got)
	}
}

// 4. A session that was handed out is listed until it ends; a Store that
// failed has handed out none.
func TestInvariant04HandedOutIsListed(t *testing.T) {
	eachMode(t, func(t *testing.T, b *backend) {
		stores := []*RedisStore{b.store(t, RedisConfig{}), b.another(t).store(t, RedisConfig{})}
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				s := stores[i%2]
				for j := range 20 {
					tk := newTicket(b, "alice")
					key := mustStore(t, b, s, tk)
					if !listed(t, b, stores[1-i%2], "alice", tk.ID) {
						t.Errorf("session %s is not listed", tk.ID)
					}
					if err := s.Renew(b.ctx(t), key, tk); err != nil {
						t.Error(err)
					}
					if !listed(t, b, s, "alice", tk.ID) {
						t.Errorf("session %s is not listed after its renewal", tk.ID)
					}
					if j%2 == 0 {
						if err := s.Remove(b.ctx(t), key); err != nil {
							t.Error(err)
						}
						if listed(t, b, stores[1-i%2], "alice", tk.ID) {
							t.Errorf("session %s is listed after its end", tk.ID)
						}
					}
				}
			})
		}
		wg.Wait()
		if sessions, err := stores[0].Sessions(b.ctx(t), "alice"); err != nil || len(sessions) != 40 {
			t.Errorf("got %d sessions, %v, want 40", len(sessions), err)
		}
	})
}

func listed(t *testing.T, b *backend, s *RedisStore, subject, id string) bool {
	sessions, err := s.Sessions(b.ctx(t), subject)
	if err != nil {
		t.Error(err)
	}
	for _, sess := range sessions {
		if sess.ID == id {
			return true
		}
	}
	return false
}

// 6. The secret is nowhere but in the cookie.
func TestInvariant06SecretIsNowhere(t *testing.T) {
	eachMode(t, func(t *testing.T, b *backend) {
		real := b.store(t, RedisConfig{MaxSessions: 3})
		stub := &stubStore{TicketStore: real}
		s := newSiteOn(t, b, real, Config{})
		cookies := []*http.Cookie{s.login(t, "alice"), s.login(t, "alice"), s.login(t, "bob")}
		cookies = append(cookies, onlyCookie(t, s.get(t, "/rotate", cookies[0])))
		cookies = append(cookies, s.login(t, "alice", cookies[1]))
		var out strings.Builder
		dump := func() {
			t.Helper()
			for _, k := range b.keys(t) {
				fmt.Fprintln(&out, k, b.client.Get(t.Context(), k).Val(), b.client.ZRange(t.Context(), k, 0, -1).Val())
			}
		}
		dump()
		// Everything that says something: pages, errors, logs, JSON.
		failing := newSiteOn(t, b, stub, Config{CookiePath: "/app", CookieName: "__Host-session"[len("__Host-"):]})
		stub.retrieve = func(ctx context.Context, key Key) (*Ticket, error) {
			return nil, fmt.Errorf("stub: retrieve %v %s %q: %w", key, key, key, errOut)
		}
		for _, s := range []*site{s, failing} {
			for _, c := range cookies {
				c := &http.Cookie{Name: s.manager.cfg.CookieName, Value: c.Value}
				for _, page := range []string{"/", "/me", "/renew?set=x", "/logout?x", "/nowhere"} {
					if page == "/logout?x" && s != failing {
						continue
					}
					res := s.get(t, page, c)
					fmt.Fprintln(&out, res.Status, body(res), res.Header.Get("Location"))
				}
			}
			s.get(t, "/", cookies[0], cookies[2])
			fmt.Fprintln(&out, s.logs.String())
		}
		for _, c := range cookies {
			key := s.key(t, c)
			tk, err := real.Retrieve(b.ctx(t), key)
			session, sessionErr := real.Session(b.ctx(t), "alice", "x")
			j, _ := json.Marshal([]any{tk, session, key})
			fmt.Fprintf(&out, "%v %+v %#v %v %v %s %v\n", tk, tk, tk, err, sessionErr, j, real.Remove(b.ctx(t), key))
			spoilt := string(key[:60]) + "AAAAAA"
			_, err = real.Retrieve(b.ctx(t), Key(spoilt))
			fmt.Fprintln(&out, err, real.Renew(b.ctx(t), Key(spoilt), tk))
		}
		for i, c := range cookies {
			for form, text := range formsOf(t, s, c) {
				if strings.Contains(strings.ToLower(out.String()), strings.ToLower(text)) {
					t.Errorf("cookie %d: its %s is in the output", i, form)
				}
			}
		}
		if out.Len() < 2000 || !strings.Contains(out.String(), "REDACTED") {
			t.Errorf("got %d bytes of output: the test looks at too little", out.Len())
		}
	})
}

// OWASP ASVS 5.0, 16.2.5: at the most talkative level, through an outage and
// with a store that puts its arguments in its errors.
func TestLogsContainNoKey(t *testing.T) {
	b := miniBackend(t)
	real := b.store(t, RedisConfig{})
	stub := &stubStore{TicketStore: real}
	s := newSiteOn(t, b, stub, Config{CookiePath: "/app"})
	cookies := []*http.Cookie{s.login(t, "alice"), s.login(t, "bob")}
	s.get(t, "/", cookies...) // of two subjects
	fail := func(key Key, tk *Ticket) error {
		return fmt.Errorf("%v %s %q %x %#v of %v: %w", key, key, key, key, key, tk, errOut)
	}
	stub.retrieve = func(_ context.Context, key Key) (*Ticket, error) { return nil, fail(key, nil) }
	s.get(t, "/", cookies[0])
	stub.retrieve = nil
	stub.renew = func(_ context.Context, key Key, tk *Ticket) error { return fail(key, tk) }
	b.advance(6 * time.Minute)
	s.get(t, "/", cookies[0])
	if err := b.client.Set(t.Context(), real.recordKey(partition("alice"), s.storeTicket(t, real, cookies[0]).ID), "spoilt", time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	s.get(t, "/", cookies[0])
	b.mini.SetError("LOADING")
	s.get(t, "/", cookies[1])
	logs := s.logs.String()
	if n := strings.Count(logs, "\n"); n < 5 {
		t.Errorf("got %d lines, want one for each of five troubles: %s", n, logs)
	}
	for i, c := range cookies {
		for form, text := range formsOf(t, s, c) {
			if strings.Contains(strings.ToLower(logs), strings.ToLower(text)) {
				t.Errorf("cookie %d: its %s is in the log", i, form)
			}
		}
	}
}

func (s *site) storeTicket(t testing.TB, store TicketStore, c *http.Cookie) *Ticket {
	t.Helper()
	tk, err := store.Retrieve(s.ctx(t), s.key(t, c))
	if err != nil {
		t.Fatal(err)
	}
	return tk
}

// formsOf returns what must not be seen of a cookie.
func formsOf(t *testing.T, s *site, c *http.Cookie) map[string]string {
	key := s.key(t, c)
	secret := secretOf(t, key)
	return map[string]string{
		"value": c.Value, "key": string(key), "secret": string(secret), "secret in hex": hex.EncodeToString(secret),
		"secret in base64":    strings.TrimRight(base64.StdEncoding.EncodeToString(secret), "="),
		"secret in base64url": base64.RawURLEncoding.EncodeToString(secret),
		"key in hex":          hex.EncodeToString([]byte(key)),
	}
}

// 7. Sign-in always issues a new key; a key that we did not issue is never
// adopted.
func TestInvariant07PlantedKeyIsWorthless(t *testing.T) {
	t.Run("StrictModeUnknownKeyNotAdopted", func(t *testing.T) {
		eachMode(t, func(t *testing.T, b *backend) {
			s := newSite(t, b, Config{})
			k, _ := newRedisKey("alice")
			value, err := s.manager.cfg.Codec.Encode(t.Context(), "__Host-session", k.key())
			if err != nil {
				t.Fatal(err)
			}
			planted := &http.Cookie{Name: "__Host-session", Value: value}
			if got := s.who(t, planted); got != "-" {
				t.Errorf("unknown key: got %q, want nobody", got)
			}
			if keys := b.keys(t); len(keys) != 0 {
				t.Errorf("an unknown key left %q in Redis", keys)
			}
			c := s.login(t, "alice", planted)
			if s.key(t, c) == k.key() || s.who(t, planted) != "-" {
				t.Error("sign-in adopted a planted key")
			}
		})
	})
	// OWASP ASVS 5.0, 7.2.4.
	t.Run("SignInRotatesAndKillsOld", func(t *testing.T) {
		eachMode(t, func(t *testing.T, b *backend) {
			s := newSite(t, b, Config{})
			// A live session of the attacker's own, planted in the victim's
			// browser.
			mallory := s.login(t, "mallory")
			victim := s.login(t, "alice", mallory)
			if s.key(t, victim) == s.key(t, mallory) || s.who(t, mallory) != "-" || s.who(t, victim) != "alice" {
				t.Error("sign-in kept a session that was planted")
			}
			// In parallel, too: whoever signs in gets a key of their own.
			old := s.login(t, "carol")
			var wg sync.WaitGroup
			results := make([]*http.Cookie, 8)
			for i := range results {
				wg.Go(func() { results[i] = s.login(t, "carol", old) })
			}
			wg.Wait()
			if got := s.who(t, old); got != "-" {
				t.Errorf("old cookie: got %q, want nobody", got)
			}
			seen := map[Key]bool{}
			for _, c := range results {
				key := s.key(t, c)
				if seen[key] || s.who(t, c) != "carol" {
					t.Error("a parallel sign-in shares its key, or is not signed in")
				}
				seen[key] = true
			}
		})
	})
}

// 8. Nobody touches another's session. See TestSubjectsShareAPartition for
// the neighbour in Redis.
func TestInvariant08NobodyTouchesAnothers(t *testing.T) {
	eachMode(t, func(t *testing.T, b *backend) {
		s := newSite(t, b, Config{})
		c := s.login(t, "alice")
		id := s.ticket(t, c).ID
		s.login(t, "bob")
		ctx := b.ctx(t)
		if err := s.store.Revoke(ctx, "bob", id); !errors.Is(err, ErrNotFound) {
			t.Errorf("Revoke: got %v, want ErrNotFound", err)
		}
		if n, err := s.store.RevokeOthers(ctx, "bob", id); !errors.Is(err, ErrNotFound) || n != 0 {
			t.Errorf("RevokeOthers: got %d, %v, want ErrNotFound", n, err)
		}
		if _, err := s.store.Session(ctx, "bob", id); !errors.Is(err, ErrNotFound) {
			t.Errorf("Session: got %v, want ErrNotFound", err)
		}
		if n, err := s.store.RevokeAll(ctx, "bob"); err != nil || n != 1 {
			t.Errorf("RevokeAll: got %d, %v, want bob's only", n, err)
		}
		// A key moved to another partition, or with another secret, opens
		// nothing and ends nothing.
		k, _ := parseRedisKey(s.key(t, c))
		for name, k := range map[string]redisKey{"partition": {k.partition + 1, k.id, k.secret}, "secret": {k.partition, k.id, newSecret()}} {
			if _, err := s.store.Retrieve(ctx, k.key()); !errors.Is(err, ErrNotFound) {
				t.Errorf("another %s: Retrieve: got %v, want ErrNotFound", name, err)
			}
			if err := s.store.Remove(ctx, k.key()); err != nil && !errors.Is(err, ErrSuperseded) {
				t.Errorf("another %s: Remove: %v", name, err)
			}
			if err := s.store.Renew(ctx, k.key(), s.ticket(t, c)); !errors.Is(err, ErrNotFound) {
				t.Errorf("another %s: Renew: got %v, want ErrNotFound", name, err)
			}
		}
		if got := s.who(t, c); got != "alice" {
			t.Errorf("got %q, want alice", got)
		}
	})
}

// 9. Bad input costs little. See TestCommandsPerRequest for Redis, and the
// fuzz targets for what decodes.
func TestInvariant09BadInputCostsLittle(t *testing.T) {
	eachMode(t, func(t *testing.T, b *backend) {
		count := &counter{n: map[string]int{}}
		b.client.AddHook(count)
		s := newSite(t, b, Config{})
		big := strings.Repeat("A", 1<<20)
		many := s.request(t, "GET", "/")
		for range 2000 {
			many.AddCookie(&http.Cookie{Name: "__Host-session", Value: strings.Repeat("A", 176)})
		}
		for name, r := range map[string]*http.Request{
			"a megabyte":   s.request(t, "GET", "/", &http.Cookie{Name: "__Host-session", Value: big}),
			"2000 cookies": many,
			"binary":       s.request(t, "GET", "/", &http.Cookie{Name: "__Host-session", Value: "\x00\xff;\r\n"}),
		} {
			if got := body(s.serve(r)); got != "-" {
				t.Errorf("%s: got %q, want nobody", name, got)
			}
		}
		if got := count.take(); got != "" {
			t.Errorf("forged cookies reached Redis: %s", got)
		}
	})
}

// 10. No sequence of renewals outlives EndsAt, nor SignedInAt + lifetime.
// OWASP ASVS 5.0, 7.3.2; NIST SP 800-63B-4, 5.2.
func TestInvariant10AbsoluteDeadlineSurvivesRenewals(t *testing.T) {
	eachMode(t, func(t *testing.T, b *backend) {
		for _, page := range []string{"/", "/renew?set=x", "/rotate"} {
			s := newSite(t, b, Config{IdleTimeout: 30 * time.Minute, Lifetime: 2 * time.Hour})
			c := s.login(t, "alice")
			start := b.now()
			for b.now().Sub(start) < 2*time.Hour-5*time.Minute {
				b.advance(4 * time.Minute)
				res := s.get(t, page, c)
				wantStatus(t, res, http.StatusOK)
				if cookies := res.Cookies(); len(cookies) == 1 {
					c = cookies[0]
				}
				if tk := s.ticket(t, c); tk.ExpiresAt.After(tk.EndsAt) || tk.EndsAt.Sub(tk.SignedInAt) != 2*time.Hour {
					t.Fatalf("%s: got %+v", page, tk)
				}
			}
			b.advance(2*time.Hour - b.now().Sub(start) - time.Millisecond)
			if got := s.who(t, c); got != "alice" {
				t.Errorf("%s: just before the end: got %q, want alice", page, got)
			}
			b.advance(time.Millisecond)
			if got := s.who(t, c); got != "-" {
				t.Errorf("%s: at the end: got %q, want nobody", page, got)
			}
			// Re-authentication begins anew: NIST SP 800-63B-4, 5.2.
			if tk := s.ticket(t, s.login(t, "alice", c)); tk.EndsAt.Sub(b.now()) < 2*time.Hour-time.Minute {
				t.Errorf("%s: after signing in again: got an end in %v", page, tk.EndsAt.Sub(b.now()))
			}
		}
	})
}

// IdleDeadlineServerSide: OWASP ASVS 5.0, 7.3.1: even if Redis keeps the
// record, and whatever the browser does with its cookie.
func TestIdleDeadlineServerSide(t *testing.T) {
	eachMode(t, func(t *testing.T, b *backend) {
		s := newSite(t, b, Config{IdleTimeout: 10 * time.Minute})
		c := s.login(t, "alice")
		at := s.store.recordKey(partition("alice"), s.ticket(t, c).ID)
		if err := b.client.Persist(t.Context(), at).Err(); err != nil {
			t.Fatal(err)
		}
		b.advance(10*time.Minute - time.Millisecond)
		if _, err := s.manager.Resolve(s.request(t, "GET", "/", c)); err != nil {
			t.Errorf("just before: %v", err)
		}
		b.advance(time.Millisecond)
		if _, err := s.manager.Resolve(s.request(t, "GET", "/", c)); !errors.Is(err, ErrNotFound) {
			t.Errorf("at the idle timeout: got %v, want ErrNotFound", err)
		}
		if n := b.client.Exists(t.Context(), at).Val(); n != 1 {
			t.Errorf("the record is gone: the test shows nothing")
		}
	})
}

// Renew against Remove, and against Revoke, many times over: never a live
// ticket after the removal returned.
func TestRenewVsRemoveRaceNeverResurrects(t *testing.T) {
	rounds := 10_000 // CI also runs this without the race detector
	switch {
	case testing.Short():
		rounds = 500
	case raceEnabled:
		rounds = 2000
	}
	t.Parallel()
	t.Run("direct", func(t *testing.T) { testRenewVsRemove(t, false, rounds) })
	t.Run("batched", func(t *testing.T) { testRenewVsRemove(t, true, max(500, rounds/10)) })
}

func testRenewVsRemove(t *testing.T, batched bool, rounds int) {
	t.Parallel()
	for name, end := range map[string]func(context.Context, *RedisStore, Key, *Ticket) error{
		"Remove": func(ctx context.Context, s *RedisStore, key Key, _ *Ticket) error { return s.Remove(ctx, key) },
		"Revoke": func(ctx context.Context, s *RedisStore, _ Key, tk *Ticket) error {
			return s.Revoke(ctx, tk.Subject, tk.ID)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := realBackend(t)
			b.batched = batched
			other := b.another(t)
			b.client.AddHook(starter{})
			other.client.AddHook(starter{})
			renewing, ending := b.store(t, RedisConfig{}), other.store(t, RedisConfig{})
			ctx := b.ctx(t)
			renewedFirst := 0
			for i := range rounds {
				tk := newTicket(b, fmt.Sprint("user", i%100))
				key := mustStore(t, b, renewing, tk)
				r := newRace()
				renewed := make(chan error)
				late := tk.Clone()
				go func() {
					defer r.finish()
					renewed <- renewing.Renew(r.runner(ctx, i%2 == 0), key, late)
				}()
				endErr := end(r.runner(ctx, i%2 == 1), ending, key, tk)
				afterEnd := readTwice(ctx, ending, key)
				r.finish()
				err := <-renewed
				if endErr != nil {
					t.Fatal(endErr)
				}
				if err == nil {
					renewedFirst++
				} else if !errors.Is(err, ErrNotFound) {
					t.Fatal(err)
				}
				if afterEnd == nil || readTwice(ctx, renewing, key) == nil {
					t.Fatalf("round %d: the ticket is alive after its end", i)
				}
			}
			if renewedFirst < rounds/10 || renewedFirst > rounds-rounds/10 {
				t.Errorf("the renewal came first in %d of %d rounds: the race was not one", renewedFirst, rounds)
			}
			t.Logf("the renewal came first in %d of %d rounds", renewedFirst, rounds)
			if keys := b.keys(t); len(keys) != 0 {
				t.Errorf("got %d keys, want none", len(keys))
			}
		})
	}
}

// A race lets two scripts off at once: each waits, when it is about to be sent,
// for the other, by turns with a step to go after that. A lead in microseconds
// would mean something else on every machine.
type race struct {
	line   chan struct{}
	finish func() // for a runner that may not have come to the line
	over   chan struct{}
}

func newRace() *race {
	r := &race{line: make(chan struct{}), over: make(chan struct{})}
	r.finish = sync.OnceFunc(func() { close(r.over) })
	return r
}

type raceKey struct{}

// runner returns the context of one of the two, which gives way to the other, or
// the other does.
func (r *race) runner(ctx context.Context, givesWay bool) context.Context {
	return context.WithValue(ctx, raceKey{}, func() {
		if !givesWay {
			select {
			case r.line <- struct{}{}:
			case <-r.over:
			}
			return
		}
		select {
		case <-r.line:
		case <-r.over:
		}
		runtime.Gosched()
	})
}

// A starter is a go-redis hook for races.
type starter struct{}

func (starter) DialHook(next redis.DialHook) redis.DialHook { return next }

func (starter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if wait, ok := ctx.Value(raceKey{}).(func()); ok && cmd.Name() == "evalsha" {
			wait()
		}
		return next(ctx, cmd)
	}
}

func (starter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// readTwice returns nil if the ticket can be read.
func readTwice(ctx context.Context, s *RedisStore, key Key) error {
	_, first := s.Retrieve(ctx, key)
	_, second := s.Retrieve(ctx, key)
	if first == nil || second == nil {
		return nil
	}
	if !errors.Is(first, ErrNotFound) {
		return nil
	}
	return first
}

// Two renewals from one revision: one wins.
func TestTwoRenewalsOfOneRevision(t *testing.T) {
	eachMode(t, func(t *testing.T, b *backend) {
		stores := []*RedisStore{b.store(t, RedisConfig{}), b.another(t).store(t, RedisConfig{})}
		for range 100 {
			tk := newTicket(b, "alice")
			key := mustStore(t, b, stores[0], tk)
			var wg sync.WaitGroup
			errs := make([]error, 2)
			for i, s := range stores {
				c := tk.Clone()
				c.Scheme = fmt.Sprint(i)
				wg.Go(func() { errs[i] = s.Renew(b.ctx(t), key, c) })
			}
			wg.Wait()
			winner := 0
			if errs[0] != nil {
				winner = 1
			}
			if errs[winner] != nil || !errors.Is(errs[1-winner], ErrConflict) {
				t.Fatalf("got %v, want one to win and one ErrConflict", errs)
			}
			if got, err := stores[0].Retrieve(b.ctx(t), key); err != nil || got.Scheme != fmt.Sprint(winner) {
				t.Fatalf("got %v, %v, want the winner's", got, err)
			}
		}
	})
}
