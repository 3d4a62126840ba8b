package ticketstore

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore/internal/clock"
	"github.com/ticketstore/ticketstore/internal/redistest"
)

func TestNewRedisStoreBadInput(t *testing.T) {
	client := redis.NewClient(&redis.Options{})
	defer client.Close()
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"a": "127.0.0.1:1"}})
	defer ring.Close()
	autoPipeliner := func(make func() (*redis.AutoPipeliner, error)) *redis.AutoPipeliner {
		ap, err := make()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ap.Close() })
		return ap
	}
	cluster := func(o redis.ClusterOptions) redis.UniversalClient {
		o.Addrs = []string{"127.0.0.1:1"}
		c := redis.NewClusterClient(&o)
		t.Cleanup(func() { c.Close() })
		return c
	}
	for name, test := range map[string]struct {
		client redis.UniversalClient
		cfg    RedisConfig
		want   []string // parts of the error; none if valid
	}{
		"zero config":    {client, RedisConfig{}, nil},
		"cluster":        {cluster(redis.ClusterOptions{}), RedisConfig{MaxSessions: 10_000, RefuseNew: true}, nil},
		"nil":            {nil, RedisConfig{}, []string{"client"}},
		"nil pointer":    {(*redis.Client)(nil), RedisConfig{}, []string{"client"}},
		"ring":           {ring, RedisConfig{}, []string{"Ring"}},
		"blocking":       {autoPipeliner(client.AutoPipeline), RedisConfig{}, []string{"AutoPipeliner does not heed contexts", "BatchReads"}},
		"deferred":       {autoPipeliner(client.AsyncAutoPipeline), RedisConfig{}, []string{"AutoPipeliner does not heed contexts", "BatchReads"}},
		"ReadOnly":       {cluster(redis.ClusterOptions{ReadOnly: true}), RedisConfig{}, []string{"replicas"}},
		"RouteByLatency": {cluster(redis.ClusterOptions{RouteByLatency: true}), RedisConfig{}, []string{"replicas"}},
		"RouteRandomly":  {cluster(redis.ClusterOptions{RouteRandomly: true}), RedisConfig{}, []string{"replicas"}},
		"all of it":      {nil, RedisConfig{Prefix: "a{b", MaxSessions: -1}, []string{"client", "Prefix", "MaxSessions"}},
		"nil serializer": {client, RedisConfig{Serializer: (*brokenSerializer)(nil)}, []string{"Serializer"}},
		"closing brace":  {client, RedisConfig{Prefix: "a}"}, []string{"Prefix"}},
		"cap too high":   {client, RedisConfig{MaxSessions: 10_001}, []string{"MaxSessions: 10001"}},
		"ticket limits":  {client, RedisConfig{MaxTicketBytes: 1<<20 + 1}, []string{"MaxTicketBytes: 1048577"}},
		"replicas":       {client, RedisConfig{RevokeReplicas: 2}, nil},
		"no replicas":    {client, RedisConfig{RevokeReplicas: -1}, []string{"RevokeReplicas: -1"}},
		"other client":   {struct{ redis.UniversalClient }{client}, RedisConfig{RevokeReplicas: 1}, []string{"RevokeReplicas: it needs one connection"}},
		"negative limit": {client, RedisConfig{MaxTicketBytes: -1}, []string{"MaxTicketBytes: -1"}},
	} {
		s, err := NewRedisStore(test.client, test.cfg)
		if len(test.want) == 0 {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err == nil || s != nil {
			t.Errorf("%s: got %v, %v, want an error", name, s, err)
			continue
		}
		for _, part := range test.want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: got %v, want %q in it", name, err, part)
			}
		}
	}
}

// The layout is part of the product: operators look at it, and other programs
// of a rolling deployment read it.
func TestRedisLayout(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := b.store(t, RedisConfig{})
		ctx := b.ctx(t)
		tk := newTicket(b, "alice")
		key := mustStore(t, b, s, tk)
		tag := b.prefix + "{2b}"
		want := []string{tag + tk.ID, tag + "sessions", tag + "subject:alice"}
		if got := b.keys(t); !sameSet(got, want) {
			t.Fatalf("got keys %q, want %q", got, want)
		}
		record, err := b.client.Get(ctx, tag+tk.ID).Result()
		if err != nil {
			t.Fatal(err)
		}
		head, payload, _ := strings.Cut(record, "\n")
		k, _ := parseRedisKey(key)
		if want := "2 u " + tk.Revision + " " + k.verifier() + " - 0 alice"; head != want {
			t.Errorf("got envelope %q, want %q", head, want)
		}
		if want := `{"v":1,"identities":[{"claims":[{"type":"role","value":"user"}]}],"signedInAt":`; !strings.HasPrefix(payload, want) {
			t.Errorf("got ticket %q, want %q…", payload, want)
		}
		for _, key := range want {
			ttl, err := b.client.PTTL(ctx, key).Result()
			if err != nil || ttl <= 30*time.Minute || ttl > time.Hour+time.Second {
				t.Errorf("%s expires in %v, %v, want an hour", key, ttl, err)
			}
		}
		wantSet := func(key string, want map[string]int64) {
			t.Helper()
			got := map[string]int64{}
			pipe := b.client.Pipeline() // past a cache
			members := pipe.ZRangeWithScores(ctx, key, 0, -1)
			if _, err := pipe.Exec(ctx); err != nil {
				t.Fatal(err)
			}
			for _, z := range members.Val() {
				got[z.Member.(string)] = int64(z.Score)
			}
			if !maps.Equal(got, want) {
				t.Errorf("%s: got %v, want %v", key, got, want)
			}
		}
		at := tk.ExpiresAt.UnixMilli()
		wantSet(tag+"subject:alice", map[string]int64{tk.ID: at})
		wantSet(tag+"sessions", map[string]int64{base64ID(t, tk.ID) + "alice": 1e14 + at})

		// Of each subject the session that expires last is set apart.
		shorter, longer := newTicket(b, "alice"), newTicket(b, "alice")
		shorter.ExpiresAt, longer.ExpiresAt = tk.ExpiresAt.Add(-time.Minute), tk.ExpiresAt.Add(time.Minute)
		mustStore(t, b, s, shorter)
		mustStore(t, b, s, longer)
		wantSet(tag+"subject:alice", map[string]int64{tk.ID: at, shorter.ID: at - 60_000, longer.ID: at + 60_000})
		wantSet(tag+"sessions", map[string]int64{base64ID(t, tk.ID) + "alice": at, base64ID(t, shorter.ID) + "alice": at - 60_000, base64ID(t, longer.ID) + "alice": 1e14 + at + 60_000})

		// The envelope after a rotation, within the grace and after it.
		old := k
		key, err = s.Rotate(ctx, key, tk, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		k, _ = parseRedisKey(key)
		for _, state := range []string{"n60000", "u"} {
			before := b.serverTime(t)
			if state == "u" {
				if _, err := s.Retrieve(ctx, key); err != nil {
					t.Fatal(err)
				}
			}
			record, err = b.getPastCache(ctx, tag+tk.ID)
			if err != nil {
				t.Fatal(err)
			}
			head, _, _ = strings.Cut(record, "\n")
			f := strings.Fields(head)
			if len(f) != 7 {
				t.Fatalf("after a rotation: got envelope %q", head)
			}
			if want := fmt.Sprintf("2 %s %s %s %s %s alice", state, tk.Revision, k.verifier(), old.verifier(), f[5]); head != want {
				t.Errorf("after a rotation: got envelope %q, want %q", head, want)
			}
			until, _ := strconv.ParseInt(f[5], 10, 64)
			if state == "u" && until < before+60_000 || until > b.serverTime(t)+60_000 {
				t.Errorf("%s: the grace ends at %d, want a minute from %d", state, until, before)
			}
		}
	})
}

func base64ID(t *testing.T, id string) string {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(id, "-", ""))
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func sameSet(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}

// Once the last session has ended, by removal or by time, Redis is empty;
// until then every key has an expiry.
func TestRedisIsEmptyAfterwards(t *testing.T) {
	ends := map[string]func(t *testing.T, b *backend, s *RedisStore, keys []Key){
		"Remove": func(t *testing.T, b *backend, s *RedisStore, keys []Key) {
			for _, k := range keys {
				if err := s.Remove(b.ctx(t), k); err != nil {
					t.Fatal(err)
				}
			}
		},
		"RevokeAll": func(t *testing.T, b *backend, s *RedisStore, keys []Key) {
			for _, subject := range []string{"alice", "bob"} {
				if n, err := s.RevokeAll(b.ctx(t), subject); err != nil || n != 3 {
					t.Fatalf("got %d, %v, want 3", n, err)
				}
			}
		},
		"time": func(t *testing.T, b *backend, s *RedisStore, keys []Key) {
			if b.mini != nil {
				b.advance(time.Hour)
			}
		},
	}
	eachBackend(t, func(t *testing.T, b *backend) {
		for name, end := range ends {
			t.Run(name, func(t *testing.T) {
				s := b.store(t, RedisConfig{})
				var keys []Key
				store := mustStore
				if b.mini == nil && name == "time" {
					store = storeBriefly
				}
				for i := range 6 {
					keys = append(keys, store(t, b, s, newTicket(b, []string{"alice", "bob"}[i%2])))
				}
				for _, key := range b.keys(t) {
					if ttl := b.client.PTTL(t.Context(), key).Val(); ttl <= 0 && name != "time" {
						t.Errorf("%s: got TTL %v, want an expiry", key, ttl)
					}
				}
				end(t, b, s, keys)
				if !eventually(func() bool { return len(b.keys(t)) == 0 }) {
					t.Errorf("got keys %q, want none", b.keys(t))
				}
			})
		}
	})
}

// storeBriefly is mustStore for a ticket that expires soon by the clock of a real
// Redis, but not before the machine gets round to storing it.
func storeBriefly(t testing.TB, b *backend, s TicketStore, tk *Ticket) Key {
	t.Helper()
	for life := 300 * time.Millisecond; ; life *= 2 {
		tk.ExpiresAt = time.Now().Add(life).Truncate(time.Millisecond)
		key, err := s.Store(clock.NewContext(t.Context(), time.Now), tk)
		if err == nil {
			return key
		}
		if !errors.Is(err, ErrInvalidTicket) || life > redistest.Patience {
			t.Fatal(err)
		}
	}
}

// eventually polls for what Redis does by its own clock.
func eventually(done func() bool) bool {
	for deadline := time.Now().Add(redistest.Patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if done() {
			return true
		}
	}
	return done()
}

// off returns the context of an application whose clock is off.
func (b *backend) off(t testing.TB, by time.Duration) context.Context {
	now := func() time.Time { return b.now().Add(by) }
	ctx := clock.NewContext(t.Context(), now)
	if b.mini == nil {
		ctx = clock.WithServer(ctx, func() time.Time { return time.Now().Add(by) })
	}
	return ctx
}

// An application whose clock is behind must not write what is past by Redis'
// clock: go-redis and Redis would take some of it for "for ever".
func TestClockBehind(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := b.store(t, RedisConfig{})
		tk := newTicket(b, "alice")
		key := mustStore(t, b, s, tk)
		before := len(b.keys(t))
		tk.ExpiresAt = b.now().Add(-20 * time.Second)
		if _, err := s.Store(b.off(t, -40*time.Second), tk); !errors.Is(err, ErrInvalidTicket) {
			t.Errorf("Store: got %v, want ErrInvalidTicket", err)
		}
		if err := s.Renew(b.off(t, -40*time.Second), key, tk); !errors.Is(err, ErrInvalidTicket) {
			t.Errorf("Renew: got %v, want ErrInvalidTicket", err)
		}
		if got := len(b.keys(t)); got != before {
			t.Errorf("got %d keys, want %d", got, before)
		}
	})
}

// An application whose clock runs ahead refuses tickets early, but must not
// trim live sessions out of the index.
func TestClockAhead(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := b.store(t, RedisConfig{})
		tk := newTicket(b, "alice")
		tk.ExpiresAt = b.now().Add(40 * time.Second)
		key := mustStore(t, b, s, tk)
		if _, err := s.Retrieve(b.off(t, 50*time.Second), key); !errors.Is(err, ErrNotFound) {
			t.Errorf("got %v, want ErrNotFound", err)
		}
		if _, err := s.Store(b.off(t, 50*time.Second), newTicket(b, "alice")); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Sessions(b.ctx(t), "alice"); err != nil || len(got) != 2 {
			t.Errorf("got %d sessions, %v, want 2", len(got), err)
		}
	})
}

// Over a minute off, or as late, nothing is written, and the error is no
// verdict on the ticket.
func TestClockOff(t *testing.T) {
	eachMode(t, func(t *testing.T, b *backend) {
		s := b.store(t, RedisConfig{})
		tk := newTicket(b, "alice")
		key := mustStore(t, b, s, tk)
		const far = 10 * time.Minute
		before := len(b.keys(t))
		for _, by := range []time.Duration{far, -far} {
			ctx := b.off(t, by)
			_, storeErr := s.Store(ctx, newTicket(b, "alice"))
			next := tk.Clone()
			renewErr := s.Renew(ctx, key, next)
			_, rotateErr := s.Rotate(ctx, key, next, time.Minute)
			for name, err := range map[string]error{"Store": storeErr, "Renew": renewErr, "Rotate": rotateErr} {
				if err == nil || !strings.Contains(err.Error(), "clock") || errors.Is(err, ErrInvalidTicket) || errors.Is(err, ErrNotFound) || errors.Is(err, ErrConflict) {
					t.Errorf("%s, %v off: got %v, want an error about the clock", name, by, err)
				}
			}
			if next.Revision != tk.Revision {
				t.Errorf("%v off: the ticket has a new revision", by)
			}
		}
		if got := len(b.keys(t)); got != before {
			t.Errorf("got %d keys, want %d", got, before)
		}
		got, err := s.Retrieve(b.ctx(t), key)
		if err != nil || got.Revision != tk.Revision {
			t.Errorf("got %+v, %v, want the ticket as it was", got, err)
		}
		for _, by := range []time.Duration{30 * time.Second, -30 * time.Second} {
			if err := s.Renew(b.off(t, by), key, tk); err != nil {
				t.Errorf("%v off: %v", by, err)
			}
			// A grace goes by the clock of Redis all the same.
			before := b.serverTime(t)
			if key, err = s.Rotate(b.off(t, by), key, tk, time.Minute); err != nil {
				t.Fatalf("%v off: %v", by, err)
			}
			record, err := b.getPastCache(t.Context(), s.recordKey(partition("alice"), tk.ID))
			if err != nil {
				t.Fatal(err)
			}
			if e, err := parseEnvelope([]byte(record)); err != nil || e.until < before+60_000 || e.until > b.serverTime(t)+60_000 {
				t.Errorf("%v off: got %+v, %v, want a grace of a minute from %d", by, e, err, before)
			}
		}
	})
}

func TestSessionCap(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		t.Run("evict", func(t *testing.T) {
			s := b.store(t, RedisConfig{MaxSessions: 3})
			var ids []string
			for range 5 {
				tk := newTicket(b, "evict")
				mustStore(t, b, s, tk)
				ids = append(ids, tk.ID)
			}
			wantSessions(t, b, s, "evict", ids[4], ids[3], ids[2])
		})
		t.Run("refuse", func(t *testing.T) {
			s := b.store(t, RedisConfig{MaxSessions: 2, RefuseNew: true})
			one, two := newTicket(b, "refuse"), newTicket(b, "refuse")
			oneKey := mustStore(t, b, s, one)
			mustStore(t, b, s, two)
			if key, err := s.Store(b.ctx(t), newTicket(b, "refuse")); !errors.Is(err, ErrTooManySessions) || key != "" {
				t.Fatalf("got %v, want ErrTooManySessions", err)
			}
			wantSessions(t, b, s, "refuse", two.ID, one.ID)
			// Signing in again takes the place of the session that it ends.
			again := newTicket(b, "refuse")
			again.ID = one.ID
			mustStore(t, b, s, again)
			wantSessions(t, b, s, "refuse", again.ID, two.ID, one.ID)
			if err := s.Remove(b.ctx(t), oneKey); err != nil {
				t.Fatal(err)
			}
			wantSessions(t, b, s, "refuse", again.ID, two.ID)
			// A record that an operator has deleted makes room at once.
			if err := b.client.Del(t.Context(), s.recordKey(partition("refuse"), two.ID)).Err(); err != nil {
				t.Fatal(err)
			}
			third := newTicket(b, "refuse")
			mustStore(t, b, s, third)
			wantSessions(t, b, s, "refuse", third.ID, again.ID)
		})
		t.Run("lowered", func(t *testing.T) {
			s := b.store(t, RedisConfig{MaxSessions: 50})
			var last *Ticket
			for range 50 {
				last = newTicket(b, "lowered")
				mustStore(t, b, s, last)
			}
			next := newTicket(b, "lowered")
			mustStore(t, b, b.store(t, RedisConfig{MaxSessions: 2}), next)
			wantSessions(t, b, s, "lowered", next.ID, last.ID)
		})
		t.Run("parallel", func(t *testing.T) {
			for name, cfg := range map[string]RedisConfig{"evict": {MaxSessions: 5}, "refuse": {MaxSessions: 5, RefuseNew: true}} {
				s := b.store(t, cfg)
				var wg sync.WaitGroup
				var mu sync.Mutex
				refused := 0
				for range 100 {
					wg.Go(func() {
						_, err := s.Store(b.ctx(t), newTicket(b, "parallel-"+name))
						mu.Lock()
						defer mu.Unlock()
						if errors.Is(err, ErrTooManySessions) {
							refused++
						} else if err != nil {
							t.Error(err)
						}
					})
				}
				wg.Wait()
				got, err := s.Sessions(b.ctx(t), "parallel-"+name)
				if err != nil || len(got) != 5 {
					t.Errorf("%s: got %d sessions, %v, want 5", name, len(got), err)
				}
				if want := map[string]int{"evict": 0, "refuse": 95}[name]; refused != want {
					t.Errorf("%s: got %d refused, want %d", name, refused, want)
				}
			}
		})
	})
}

func wantSessions(t *testing.T, b *backend, s *RedisStore, subject string, ids ...string) {
	t.Helper()
	sessions, err := s.Sessions(b.ctx(t), subject)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, sess := range sessions {
		got = append(got, sess.ID)
	}
	if !slices.Equal(got, ids) {
		t.Errorf("%s: got sessions %q, want %q", subject, got, ids)
	}
}

// Two applications on one Redis share their users' sessions, unless each has a
// prefix of its own. One may begin with the other.
func TestTwoApplications(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		for name, test := range map[string]struct {
			prefix string
			shared bool
		}{
			"one prefix":                {b.prefix, true},
			"two prefixes":              {randomPrefix(), false},
			"one begins like the other": {b.prefix + "2-", false},
		} {
			shop := b.store(t, RedisConfig{})
			other := b.another(t)
			other.prefix = test.prefix
			forum := other.store(t, RedisConfig{})
			mustStore(t, b, shop, newTicket(b, "alice"))
			key := mustStore(t, b, forum, newTicket(b, "alice"))

			sessions, err := shop.Sessions(b.ctx(t), "alice")
			if err != nil || len(sessions) == 2 != test.shared {
				t.Errorf("%s: got %d sessions, %v, want those of both: %v", name, len(sessions), err, test.shared)
			}
			if _, err := shop.RevokeAll(b.ctx(t), "alice"); err != nil {
				t.Fatal(err)
			}
			if _, err := forum.Retrieve(b.ctx(t), key); errors.Is(err, ErrNotFound) != test.shared {
				t.Errorf("%s: after RevokeAll in the other: got %v, want it ended: %v", name, err, test.shared)
			}
			if _, err := forum.RevokeAll(b.ctx(t), "alice"); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// Two subjects in 256 share a partition, and nothing else.
func TestSubjectsShareAPartition(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := b.store(t, RedisConfig{})
		other := ""
		for i := 0; other == ""; i++ {
			if name := fmt.Sprint("user", i); partition(name) == partition("alice") {
				other = name
			}
		}
		mine, theirs := newTicket(b, "alice"), newTicket(b, other)
		mustStore(t, b, s, mine)
		key := mustStore(t, b, s, theirs)
		ctx := b.ctx(t)
		if _, err := s.Session(ctx, "alice", theirs.ID); !errors.Is(err, ErrNotFound) {
			t.Errorf("Session: got %v, want ErrNotFound", err)
		}
		if err := s.Revoke(ctx, "alice", theirs.ID); !errors.Is(err, ErrNotFound) {
			t.Errorf("Revoke: got %v, want ErrNotFound", err)
		}
		if _, err := s.RevokeOthers(ctx, "alice", theirs.ID); !errors.Is(err, ErrNotFound) {
			t.Errorf("RevokeOthers: got %v, want ErrNotFound", err)
		}
		again := newTicket(b, "alice")
		again.ID = theirs.ID
		mustStore(t, b, s, again)
		if _, err := s.Retrieve(ctx, key); err != nil {
			t.Errorf("%s was signed out: %v", other, err)
		}
		wantSessions(t, b, s, "alice", again.ID, mine.ID)
		if c, err := s.Count(ctx); err != nil || c != (Counts{Subjects: 2, Sessions: 3}) {
			t.Errorf("got %+v, %v, want 2 subjects and 3 sessions", c, err)
		}
	})
}

func TestCountAndSubjects(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := b.store(t, RedisConfig{})
		ctx := b.ctx(t)
		want := map[string]bool{}
		var keys []Key
		for i := range 300 {
			subject := fmt.Sprint("user-", i)
			want[subject] = true
			for range 1 + i%3 {
				keys = append(keys, mustStore(t, b, s, newTicket(b, subject)))
			}
		}
		check := func(subjects, sessions int64) {
			t.Helper()
			if c, err := s.Count(ctx); err != nil || c != (Counts{subjects, sessions}) {
				t.Errorf("got %+v, %v, want %d subjects, %d sessions", c, err, subjects, sessions)
			}
			n := int64(0)
			for subject, err := range s.Subjects(ctx) {
				if err != nil {
					t.Fatal(err)
				}
				if !want[subject] {
					t.Errorf("got subject %q", subject)
				}
				n++
			}
			if n != subjects {
				t.Errorf("got %d subjects, want %d", n, subjects)
			}
		}
		check(300, 600)
		if err := s.Remove(ctx, keys[0]); err != nil { // user-0 had one
			t.Fatal(err)
		}
		delete(want, "user-0")
		if err := s.Remove(ctx, keys[1]); err != nil { // user-1 had two
			t.Fatal(err)
		}
		check(299, 598)
		for range s.Subjects(ctx) {
			break // an iterator that stops early
		}
		b.advance(time.Hour)
		ctx = b.ctx(t)
		want = nil
		check(0, 0)
	})
}

// A partition with more sessions than a page of ZSCAN.
func TestSubjectsPages(t *testing.T) {
	b := realBackend(t)
	s := b.store(t, RedisConfig{})
	expiry := float64(b.now().Add(time.Hour).UnixMilli())
	want := 3001
	for i := range 2 * want {
		member := shortID(uuid.NewString()) + fmt.Sprint(i/2) // each has two sessions
		if err := b.client.ZAdd(t.Context(), s.censusKey(7), redis.Z{Score: expiry + float64(i%2*lastToExpire), Member: member}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	got := map[string]bool{}
	for subject, err := range s.Subjects(b.ctx(t)) {
		if err != nil || got[subject] {
			t.Fatalf("got %q again, or %v", subject, err)
		}
		got[subject] = true
	}
	if len(got) != want {
		t.Errorf("got %d subjects, want %d", len(got), want)
	}
}

// RevokeAll and RevokeOthers of more sessions than one script takes.
func TestRevokeManySessions(t *testing.T) {
	b := realBackend(t)
	s := b.store(t, RedisConfig{MaxSessions: 10_000})
	ids := make([]string, scriptBatch+5)
	for i := range ids {
		tk := newTicket(b, "alice")
		mustStore(t, b, s, tk)
		ids[i] = tk.ID
	}
	n, err := s.RevokeOthers(b.ctx(t), "alice", ids[3])
	if err != nil || n != len(ids)-1 {
		t.Errorf("RevokeOthers: got %d, %v, want %d", n, err, len(ids)-1)
	}
	wantSessions(t, b, s, "alice", ids[3])
	if n, err := s.RevokeAll(b.ctx(t), "alice"); err != nil || n != 1 {
		t.Errorf("RevokeAll: got %d, %v, want 1", n, err)
	}
	if keys := b.keys(t); len(keys) != 0 {
		t.Errorf("got %d keys, want none", len(keys))
	}
}

// Delete the record and the user is out; listing repairs the index.
func TestRecordDeletedByHand(t *testing.T) {
	eachMode(t, func(t *testing.T, b *backend) {
		s := b.store(t, RedisConfig{})
		ctx := b.ctx(t)
		gone, kept := newTicket(b, "alice"), newTicket(b, "alice")
		key := mustStore(t, b, s, gone)
		mustStore(t, b, s, kept)
		if err := b.client.Del(ctx, s.recordKey(partition("alice"), gone.ID)).Err(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Retrieve(ctx, key); !errors.Is(err, ErrNotFound) {
			t.Errorf("Retrieve: got %v, want ErrNotFound", err)
		}
		if err := s.Renew(ctx, key, gone); !errors.Is(err, ErrNotFound) {
			t.Errorf("Renew: got %v, want ErrNotFound", err)
		}
		if err := s.Remove(ctx, key); err != nil {
			t.Errorf("Remove: %v", err)
		}
		if c, _ := s.Count(ctx); c.Sessions != 2 {
			t.Errorf("before listing: got %d sessions, want the 2 of the index", c.Sessions)
		}
		wantSessions(t, b, s, "alice", kept.ID)
		if c, _ := s.Count(ctx); c != (Counts{1, 1}) {
			t.Errorf("after listing: got %+v, want 1 and 1", c)
		}
		if err := b.client.Del(ctx, s.recordKey(partition("alice"), kept.ID)).Err(); err != nil {
			t.Fatal(err)
		}
		if err := s.Revoke(ctx, "alice", kept.ID); !errors.Is(err, ErrNotFound) {
			t.Errorf("Revoke: got %v, want ErrNotFound", err)
		}
		if keys := b.keys(t); len(keys) != 0 {
			t.Errorf("got keys %q, want none", keys)
		}
	})
}

// What is in Redis is not always what this program wrote.
func TestUndecodableRecord(t *testing.T) {
	eachMode(t, func(t *testing.T, b *backend) {
		envelopeOf := func(record string) string { head, _, _ := strings.Cut(record, "\n"); return head + "\n" }
		for name, spoil := range map[string]func(record string) string{
			"empty":           func(string) string { return "" },
			"text":            func(string) string { return "hello" },
			"future envelope": func(r string) string { return "3" + r[1:] },
			"future state":    func(r string) string { return "2 n" + r[3:] },
			"future ticket":   func(r string) string { return strings.Replace(r, `"v":1`, `"v":2`, 1) },
			"cut ticket":      func(r string) string { return r[:len(r)-1] },
			"no ticket":       envelopeOf,
			"binary":          func(r string) string { return envelopeOf(r) + "\x00\xff" },
			"wrong type":      nil,
		} {
			if name == "future ticket" && b.sealed != nil {
				continue // is not to be seen there
			}
			t.Run(name, func(t *testing.T) {
				s := b.store(t, RedisConfig{})
				ctx := b.ctx(t)
				tk := newTicket(b, "alice")
				key := mustStore(t, b, s, tk)
				defer s.RevokeAll(ctx, "alice")
				at := s.recordKey(partition("alice"), tk.ID)
				if spoil == nil {
					if err := errors.Join(b.client.Del(ctx, at).Err(), b.client.LPush(ctx, at, "x").Err()); err != nil {
						t.Fatal(err)
					}
				} else if err := b.client.Set(ctx, at, spoil(b.client.Get(ctx, at).Val()), redis.KeepTTL).Err(); err != nil {
					t.Fatal(err)
				}
				if got, err := s.Retrieve(ctx, key); !errors.Is(err, ErrUndecodable) || errors.Is(err, ErrNotFound) || got != nil || !strings.Contains(err.Error(), tk.ID) {
					t.Errorf("Retrieve: got %v, %v, want ErrUndecodable with the session ID", got, err)
				}
				if n, err := b.client.Exists(ctx, at).Result(); err != nil || n != 1 {
					t.Errorf("the record was deleted: %d, %v", n, err)
				}
				if name != "wrong type" { // MGET takes it for missing
					want := Session{ID: tk.ID, Subject: "alice", ExpiresAt: tk.ExpiresAt.Local(), Undecodable: true}
					got, err := s.Sessions(ctx, "alice")
					if err != nil || len(got) != 1 || !got[0].ExpiresAt.Equal(want.ExpiresAt) || got[0].ID != want.ID || !got[0].Undecodable {
						t.Errorf("Sessions: got %+v, %v, want %+v", got, err, want)
					}
					if got, err := s.Session(ctx, "alice", tk.ID); err != nil || !got.Undecodable || !got.ExpiresAt.Equal(want.ExpiresAt) {
						t.Errorf("Session: got %+v, %v, want %+v", got, err, want)
					}
				}
				if _, err := s.Session(ctx, "bob", tk.ID); !errors.Is(err, ErrNotFound) {
					t.Errorf("Session of bob: got %v, want ErrNotFound", err)
				}
				if err := s.Revoke(ctx, "bob", tk.ID); !errors.Is(err, ErrNotFound) {
					t.Errorf("Revoke by bob: got %v, want ErrNotFound", err)
				}
				if err := s.Revoke(ctx, "alice", tk.ID); err != nil {
					t.Errorf("Revoke: %v", err)
				}
				if keys := b.keys(t); len(keys) != 0 {
					t.Errorf("got keys %q, want none", keys)
				}
			})
		}
	})
}

func TestRemoveUndecodableRecord(t *testing.T) {
	eachMode(t, func(t *testing.T, b *backend) {
		s := b.store(t, RedisConfig{})
		ctx := b.ctx(t)
		tk := newTicket(b, "alice")
		key := mustStore(t, b, s, tk)
		at := s.recordKey(partition("alice"), tk.ID)
		if err := b.client.Set(ctx, at, "hello", time.Hour).Err(); err != nil {
			t.Fatal(err)
		}
		if err := s.Renew(ctx, key, tk); !errors.Is(err, ErrUndecodable) {
			t.Errorf("Renew: got %v, want ErrUndecodable", err)
		}
		if err := s.Remove(ctx, key); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Retrieve(ctx, key); !errors.Is(err, ErrNotFound) {
			t.Errorf("got %v, want ErrNotFound", err)
		}
		wantSessions(t, b, s, "alice")
		if keys := b.keys(t); len(keys) != 0 {
			t.Errorf("got keys %q, want none", keys)
		}
	})
}

// Hostile IDs must not reach keys that are no records.
func TestHostileIDs(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := b.store(t, RedisConfig{})
		ctx := b.ctx(t)
		tk := newTicket(b, "alice")
		mustStore(t, b, s, tk)
		before := b.keys(t)
		for _, id := range []string{"", "sessions", "subjects", "subject:alice", strings.ToUpper(tk.ID), "{" + tk.ID + "}", "urn:uuid:" + tk.ID, strings.ReplaceAll(tk.ID, "-", ""), tk.ID + "\n", strings.Repeat("x", 1<<16)} {
			if err := s.Revoke(ctx, "alice", id); !errors.Is(err, ErrNotFound) {
				t.Errorf("Revoke(%.40q): got %v, want ErrNotFound", id, err)
			}
			if _, err := s.Session(ctx, "alice", id); !errors.Is(err, ErrNotFound) {
				t.Errorf("Session(%.40q): got %v, want ErrNotFound", id, err)
			}
			if n, err := s.RevokeOthers(ctx, "alice", id); !errors.Is(err, ErrNotFound) || n != 0 {
				t.Errorf("RevokeOthers(%.40q): got %d, %v, want ErrNotFound", id, n, err)
			}
		}
		for _, subject := range []string{"", "a\nb", "\xff", strings.Repeat("x", 1025)} {
			if got, err := s.Sessions(ctx, subject); err != nil || len(got) != 0 {
				t.Errorf("Sessions(%.40q): got %v, %v, want none", subject, got, err)
			}
			if _, err := s.Session(ctx, subject, tk.ID); !errors.Is(err, ErrNotFound) {
				t.Errorf("Session of %.40q: got %v, want ErrNotFound", subject, err)
			}
			if n, err := s.RevokeAll(ctx, subject); err != nil || n != 0 {
				t.Errorf("RevokeAll(%.40q): got %d, %v", subject, n, err)
			}
		}
		if got := b.keys(t); !sameSet(got, before) {
			t.Errorf("got keys %q, want %q", got, before)
		}
	})
}

func TestTicketRoundTrip(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := b.store(t, RedisConfig{})
		want := fullTicket()
		want.ExpiresAt = b.now().Add(time.Hour).UTC().Truncate(time.Millisecond)
		want.EndsAt = want.ExpiresAt
		key := mustStore(t, b, s, want)
		got, err := s.Retrieve(b.ctx(t), key)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
		sess, err := s.Session(b.ctx(t), want.Subject, want.ID)
		wantSession := Session{ID: want.ID, Subject: want.Subject, Scheme: want.Scheme, Device: want.Device, SeenFrom: want.SeenFrom,
			SignedInAt: want.SignedInAt, IssuedAt: want.IssuedAt, ExpiresAt: want.ExpiresAt, EndsAt: want.EndsAt, Persistent: true}
		if err != nil || sess != wantSession {
			t.Errorf("got %+v, %v, want %+v", sess, err, wantSession)
		}
	})
}

// A Redis that cannot be reached is an error of every operation, and never
// ErrNotFound.
func TestOutageIsAnError(t *testing.T) {
	t.Run("direct", func(t *testing.T) { testOutageIsAnError(t, miniBackend(t)) })
	t.Run("batched", func(t *testing.T) {
		b := miniBackend(t)
		b.batched = true
		testOutageIsAnError(t, b)
	})
}

func testOutageIsAnError(t *testing.T, b *backend) {
	s := b.store(t, RedisConfig{})
	tk := newTicket(b, "alice")
	key := mustStore(t, b, s, tk)
	b.mini.Close()
	ctx := b.ctx(t)
	_, storeErr := s.Store(ctx, newTicket(b, "alice"))
	_, retrieveErr := s.Retrieve(ctx, key)
	_, rotateErr := s.Rotate(ctx, key, tk, 0)
	_, sessionsErr := s.Sessions(ctx, "alice")
	_, sessionErr := s.Session(ctx, "alice", tk.ID)
	_, allErr := s.RevokeAll(ctx, "alice")
	_, othersErr := s.RevokeOthers(ctx, "alice", tk.ID)
	_, countErr := s.Count(ctx)
	var subjectsErr error
	for _, err := range s.Subjects(ctx) {
		subjectsErr = err
	}
	for name, err := range map[string]error{
		"Store": storeErr, "Retrieve": retrieveErr, "Renew": s.Renew(ctx, key, tk), "Rotate": rotateErr, "Remove": s.Remove(ctx, key),
		"Sessions": sessionsErr, "Session": sessionErr, "Revoke": s.Revoke(ctx, "alice", tk.ID), "RevokeAll": allErr,
		"RevokeOthers": othersErr, "Count": countErr, "Subjects": subjectsErr,
	} {
		if err == nil || errors.Is(err, ErrNotFound) || errors.Is(err, ErrUndecodable) || strings.Count(err.Error(), "ticketstore: ") != 1 {
			t.Errorf("%s: got %v, want an error of its own", name, err)
		}
	}
}

// The store works over each kind of connection that go-redis has.
func TestConnections(t *testing.T) {
	scenario := func(t *testing.T, client redis.UniversalClient) {
		t.Helper()
		defer client.Close()
		b := &backend{testClock: &testClock{}, client: client, prefix: randomPrefix()}
		s := b.store(t, RedisConfig{})
		tk := newTicket(b, "alice")
		key := mustStore(t, b, s, tk)
		b.batched = true
		for _, s := range []*RedisStore{s, b.store(t, RedisConfig{})} {
			if got, err := s.Retrieve(b.ctx(t), key); err != nil || got.ID != tk.ID {
				t.Fatalf("got %v, %v", got, err)
			}
		}
		got, err := s.Retrieve(b.ctx(t), key)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Renew(b.ctx(t), key, got); err != nil {
			t.Fatal(err)
		}
		if c, err := s.Count(b.ctx(t)); err != nil || c != (Counts{1, 1}) {
			t.Errorf("got %+v, %v", c, err)
		}
		wantSessions(t, b, s, "alice", tk.ID)
		if err := s.Remove(b.ctx(t), key); err != nil {
			t.Fatal(err)
		}
		if keys := b.keys(t); len(keys) != 0 {
			t.Errorf("got keys %q, want none", keys)
		}
	}
	t.Run("single", func(t *testing.T) {
		scenario(t, redis.NewClient(redisOptions(redistest.Shared(t).Addr)))
	})
	t.Run("universal cluster", func(t *testing.T) {
		scenario(t, redis.NewUniversalClient(&redis.UniversalOptions{Addrs: redistest.SharedCluster(t), ContextTimeoutEnabled: true, ReadTimeout: redistest.Patience}))
	})
	t.Run("TLS", func(t *testing.T) {
		server, conf := redistest.StartTLS(t)
		opt := redisOptions(server.Addr)
		opt.TLSConfig = conf
		scenario(t, redis.NewClient(opt))
	})
	t.Run("Sentinel", func(t *testing.T) {
		sentinel, _ := redistest.StartSentinel(t)
		scenario(t, redis.NewFailoverClient(&redis.FailoverOptions{MasterName: "mymaster", SentinelAddrs: []string{sentinel}, ContextTimeoutEnabled: true, ReadTimeout: redistest.Patience}))
	})
	t.Run("password", func(t *testing.T) {
		server := redistest.Start(t, "--requirepass", "x")
		opt := redisOptions(server.Addr)
		opt.Password = "x"
		scenario(t, redis.NewClient(opt))
	})
}

// A Redis that hangs costs no more than the context allows.
func TestHangingRedis(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	client := redis.NewClient(redisOptions(silent.Addr().String()))
	defer client.Close()
	s, err := NewRedisStore(client, RedisConfig{})
	if err != nil {
		t.Fatal(err)
	}
	k, _ := newRedisKey("alice")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Retrieve(ctx, k.key()); err == nil || errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want an error of its own", err)
	}
}

// A command that an ACL refuses is no unreadable record.
func TestGETRefused(t *testing.T) {
	server := redistest.Start(t)
	admin := redis.NewClient(redisOptions(server.Addr))
	defer admin.Close()
	if err := admin.Do(t.Context(), "ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all", "-get", "-getrange").Err(); err != nil {
		t.Fatal(err)
	}
	opt := redisOptions(server.Addr)
	opt.Username, opt.Password = "app", "pw"
	client := redis.NewClient(opt)
	defer client.Close()
	b := &backend{testClock: &testClock{}, client: client, prefix: randomPrefix()}
	s := b.store(t, RedisConfig{})
	tk := newTicket(b, "alice")
	key := mustStore(t, b, s, tk) // which reads no record
	_, retrieveErr := s.Retrieve(b.ctx(t), key)
	b.batched = true
	_, batchedErr := b.store(t, RedisConfig{}).Retrieve(b.ctx(t), key)
	for name, err := range map[string]error{"Retrieve": retrieveErr, "Retrieve, batched": batchedErr, "Renew": s.Renew(b.ctx(t), key, tk), "Remove": s.Remove(b.ctx(t), key)} {
		if err == nil || errors.Is(err, ErrNotFound) || errors.Is(err, ErrUndecodable) || !strings.Contains(err.Error(), "permissions") && !strings.Contains(err.Error(), "can't run this command") {
			t.Errorf("%s: got %v, want what Redis said", name, err)
		}
	}
}
