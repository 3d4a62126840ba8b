package ticketstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore/internal/redistest"
)

// endings are the ways to end the only session of alice.
var endings = map[string]func(ctx context.Context, s *RedisStore, key Key, tk *Ticket) error{
	"Remove": func(ctx context.Context, s *RedisStore, key Key, _ *Ticket) error { return s.Remove(ctx, key) },
	"Revoke": func(ctx context.Context, s *RedisStore, _ Key, tk *Ticket) error {
		return s.Revoke(ctx, "alice", tk.ID)
	},
	"RevokeAll": func(ctx context.Context, s *RedisStore, _ Key, _ *Ticket) error {
		_, err := s.RevokeAll(ctx, "alice")
		return err
	},
}

// A revocation that Redis refuses leaves the session in the list: it can be
// tried again.
func TestEndingRefused(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	admin := openRedis(t, redisOptions(server.Addr))
	allow := func(rule string) {
		t.Helper()
		if err := admin.Do(t.Context(), "acl", "setuser", "app", "on", ">pw", "~*", "+@all", rule).Err(); err != nil {
			t.Fatal(err)
		}
	}
	allow("+del")
	o := redisOptions(server.Addr)
	o.Username, o.Password = "app", "pw"
	b := &backend{testClock: &testClock{}, client: openRedis(t, o), prefix: randomPrefix()}
	s := b.store(t, RedisConfig{})
	for name, end := range endings {
		tk := newTicket(b, "alice")
		key := mustStore(t, b, s, tk)
		allow("-del")
		for range 2 {
			if err := end(b.ctx(t), s, key, tk); err == nil || errors.Is(err, ErrNotFound) {
				t.Errorf("%s without DEL: got %v, want an error of its own", name, err)
			}
			wantSessions(t, b, s, "alice", tk.ID)
		}
		allow("+del")
		if err := end(b.ctx(t), s, key, tk); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if keys := b.keys(t); len(keys) != 0 {
			t.Errorf("%s: got keys %q, want none", name, keys)
		}
	}
}

// A sign-in at the cap that Redis refuses, as it may not delete or has no memory,
// has ended nothing, and leaves nothing.
func TestStoreRefusedAtTheCap(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	admin := openRedis(t, redisOptions(server.Addr))
	must := func(args ...any) {
		t.Helper()
		if err := admin.Do(t.Context(), args...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	must("acl", "setuser", "app", "on", ">pw", "~*", "+@all")
	o := redisOptions(server.Addr)
	o.Username, o.Password = "app", "pw"
	b := &backend{testClock: &testClock{}, client: openRedis(t, o), prefix: randomPrefix()}
	s := b.store(t, RedisConfig{MaxSessions: 2})
	older, newer := newTicket(b, "alice"), newTicket(b, "alice")
	mustStore(t, b, s, older)
	mustStore(t, b, s, newer)
	for what, refuse := range map[string][2][]any{
		"no DEL":    {{"acl", "setuser", "app", "-del"}, {"acl", "setuser", "app", "+del"}},
		"no memory": {{"config", "set", "maxmemory", "1"}, {"config", "set", "maxmemory", "0"}},
	} {
		keys := len(b.keys(t))
		must(refuse[0]...)
		key, err := s.Store(b.ctx(t), newTicket(b, "alice"))
		must(refuse[1]...)
		if err == nil || key != "" {
			t.Errorf("%s: got %v, want an error", what, err)
		}
		wantSessions(t, b, s, "alice", newer.ID, older.ID)
		if got := len(b.keys(t)); got != keys {
			t.Errorf("%s: got %d keys, want %d", what, got, keys)
		}
	}
}

// Somebody has put something else in place of an index, the census or a record.
// What ends a session does so, whatever it is; the index, from which the user's
// other sessions would be missing, comes back.
func TestEndingWithABrokenIndex(t *testing.T) {
	eachMode(t, func(t *testing.T, b *backend) {
		s := b.store(t, RedisConfig{})
		ctx := b.ctx(t)
		neighbour := "alice" // of alice in her partition, with a longer name
		for neighbour == "alice" || partition(neighbour) != partition("alice") {
			neighbour += "x"
		}
		for i := range 3 {
			for name, end := range endings {
				for range 2 { // of others in the partition
					mustStore(t, b, s, newTicket(b, neighbour))
				}
				other := newTicket(b, "alice")
				otherKey := mustStore(t, b, s, other)
				tk := newTicket(b, "alice")
				key := mustStore(t, b, s, tk)
				broken := append(s.indexKeys(partition("alice"), "alice"), s.recordKey(partition("alice"), tk.ID))[i]
				if err := errors.Join(b.client.Del(ctx, broken).Err(), b.client.LPush(ctx, broken, "x").Err()); err != nil {
					t.Fatal(err)
				}
				sess, err := s.Session(ctx, "alice", tk.ID)
				if (i == 0 || i == 1) && (err != nil || sess.Undecodable) || i == 2 && (err != nil || !sess.Undecodable) {
					t.Errorf("%s is broken: Session: got %+v, %v", broken, sess, err)
				}
				if err := end(ctx, s, key, tk); err != nil {
					t.Errorf("%s, %s is broken: %v", name, broken, err)
				}
				if _, err := s.Retrieve(ctx, key); !errors.Is(err, ErrNotFound) {
					t.Errorf("%s, %s is broken: Retrieve: got %v, want ErrNotFound", name, broken, err)
				}
				if _, err := s.Retrieve(ctx, otherKey); errors.Is(err, ErrNotFound) != (name == "RevokeAll") {
					t.Errorf("%s, %s is broken: Retrieve of the other: got %v", name, broken, err)
				}
				if name != "RevokeAll" {
					wantSessions(t, b, s, "alice", other.ID)
				}
				if n, err := s.RevokeAll(ctx, "alice"); err != nil || n != map[bool]int{true: 0, false: 1}[name == "RevokeAll"] {
					t.Errorf("%s, %s is broken: then RevokeAll: got %d, %v", name, broken, n, err)
				}
				for _, k := range b.keys(t) {
					if err := b.client.Del(ctx, k).Err(); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	})
}

// If neither the index nor the census is one, nothing says which sessions there
// are: RevokeAll fails, and says what to delete. A key ends its session still.
func TestEndingWithNeitherIndexNorCensus(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := b.store(t, RedisConfig{})
		ctx := b.ctx(t)
		tk := newTicket(b, "alice")
		key := mustStore(t, b, s, tk)
		for _, broken := range s.indexKeys(partition("alice"), "alice") {
			if err := errors.Join(b.client.Del(ctx, broken).Err(), b.client.Set(ctx, broken, "x", time.Hour).Err()); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if n, err := s.RevokeAll(ctx, "alice"); n != 0 || err == nil || !strings.Contains(err.Error(), "subject:alice and ") {
				t.Errorf("RevokeAll: got %d, %v, want an error that names both", n, err)
			}
		}
		if _, err := s.Store(ctx, newTicket(b, "alice")); err == nil {
			t.Error("Store: got no error")
		}
		_ = s.Remove(ctx, key)
		if _, err := s.Retrieve(ctx, key); !errors.Is(err, ErrNotFound) {
			t.Errorf("after Remove: got %v, want ErrNotFound", err)
		}
	})
}

// A sign-in puts a broken index right, too.
func TestStoreWithABrokenIndex(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		for i := range 2 {
			s := b.store(t, RedisConfig{})
			ctx := b.ctx(t)
			subject := fmt.Sprint("alice", i)
			old, tk := newTicket(b, subject), newTicket(b, subject)
			mustStore(t, b, s, old)
			broken := s.indexKeys(partition(subject), subject)[i]
			if err := errors.Join(b.client.Del(ctx, broken).Err(), b.client.Set(ctx, broken, "x", time.Hour).Err()); err != nil {
				t.Fatal(err)
			}
			mustStore(t, b, s, tk)
			wantSessions(t, b, s, subject, tk.ID, old.ID)
		}
	})
}

// A census that is lost does not keep sessions from ending, and comes back.
func TestEndingWithoutACensus(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := b.store(t, RedisConfig{})
		ctx := b.ctx(t)
		for name, end := range endings {
			tk, last := newTicket(b, "alice"), newTicket(b, "alice")
			last.ExpiresAt = last.ExpiresAt.Add(time.Minute)
			key := mustStore(t, b, s, tk)
			mustStore(t, b, s, last)
			if err := b.client.Del(ctx, s.censusKey(partition("alice"))).Err(); err != nil {
				t.Fatal(err)
			}
			if err := end(ctx, s, key, tk); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			want := Counts{1, 1}
			if name == "RevokeAll" {
				want = Counts{}
			}
			if got, err := s.Count(ctx); err != nil || got != want {
				t.Errorf("%s: Count: got %+v, %v, want %+v", name, got, err, want)
			}
			if _, err := s.RevokeAll(ctx, "alice"); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if keys := b.keys(t); len(keys) != 0 {
				t.Errorf("%s: got keys %q, want none", name, keys)
			}
		}
	})
}

// What somebody has put into an index by hand is nobody's session, and in
// nobody's way.
func TestIndexWithOtherMembers(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := b.store(t, RedisConfig{MaxSessions: 2})
		ctx := b.ctx(t)
		id := uuid.NewString()
		for _, other := range []string{
			"", "x", "#", "not-a-session-of-36-characters-at-all", strings.Repeat("z", 36), strings.Repeat("é", 18), strings.Repeat("y", 58),
			strings.ReplaceAll(id, "-", ""), "urn:uuid:" + id, "{" + id + "}", strings.ToUpper(id), id + "x",
		} {
			index := s.indexKeys(partition("alice"), "alice")[0]
			for name, end := range endings {
				tk := newTicket(b, "alice")
				key := mustStore(t, b, s, tk)
				for offset, member := range map[time.Duration]string{time.Hour: other, -time.Hour: "dead" + other} {
					z := redis.Z{Score: float64(b.now().Add(offset).UnixMilli()), Member: member}
					if err := b.client.ZAdd(ctx, index, z).Err(); err != nil {
						t.Fatal(err)
					}
				}
				if err := end(ctx, s, key, tk); err != nil {
					t.Errorf("%q: %s: %v", other, name, err)
				}
				if _, err := s.Retrieve(ctx, key); !errors.Is(err, ErrNotFound) {
					t.Errorf("%q: %s: got %v, want ErrNotFound", other, name, err)
				}
				mustStore(t, b, s, newTicket(b, "alice"))
				if got, err := s.Sessions(ctx, "alice"); err != nil || len(got) == 0 || len(got) > 2 {
					t.Errorf("%q: %s: Sessions: got %d, %v, want those that there are", other, name, len(got), err)
				}
				if _, err := s.RevokeAll(ctx, "alice"); err != nil {
					t.Errorf("%q: %s: RevokeAll: %v", other, name, err)
				}
				if got, err := s.Count(ctx); err != nil || got != (Counts{}) {
					t.Errorf("%q: %s: Count: got %+v, %v, want none", other, name, got, err)
				}
				if keys := b.keys(t); len(keys) != 0 {
					t.Errorf("%q: %s: got keys %q, want none", other, name, keys)
				}
			}
		}
	})
}

// A script that has emptied a set does not look at it again: Redis aborts it
// for that while the slot migrates.
func TestEndingWhileTheSlotMigrates(t *testing.T) {
	t.Parallel()
	addrs := redistest.StartCluster(t, 2)
	b := (&backend{testClock: &testClock{}, addrs: addrs, prefix: randomPrefix(), cluster: true}).another(t)
	s := b.store(t, RedisConfig{})
	ctx := b.ctx(t)
	slot := int(b.client.ClusterKeySlot(ctx, s.censusKey(partition("alice"))).Val())
	nodes := []*redis.Client{openRedis(t, redisOptions(addrs[0])), openRedis(t, redisOptions(addrs[1]))}
	from, to := nodes[0], nodes[1]
	if slot >= 1<<13 {
		from, to = to, from
	}
	id := func(c *redis.Client) string { return c.Do(ctx, "cluster", "myid").Val().(string) }
	set := func(c *redis.Client, state ...any) {
		t.Helper()
		if err := c.Do(ctx, append([]any{"cluster", "setslot", slot}, state...)...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for name, end := range endings {
		tk := newTicket(b, "alice")
		key := mustStore(t, b, s, tk)
		set(to, "importing", id(from))
		set(from, "migrating", id(to))
		if err := end(ctx, s, key, tk); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if keys := b.keys(t); len(keys) != 0 {
			t.Errorf("%s: got keys %q, want none", name, keys)
		}
		set(from, "stable")
		set(to, "stable")
	}
}

// A subject with many sessions: whom the cap ends is the oldest sign-in,
// whatever expires first and whatever else ends, and the index has what it
// should have, by expiry and by sign-in.
func TestManySessionsOfASubject(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		const most = 150
		s := b.store(t, RedisConfig{MaxSessions: most})
		ctx := b.ctx(t)
		type session struct {
			key Key
			tk  *Ticket
		}
		var live []session // by sign-in
		seed := rand.Uint64()
		rng := rand.New(rand.NewPCG(seed, 0))
		expiry := func() time.Time {
			return b.now().Add(time.Hour + time.Duration(rng.IntN(3600))*time.Second).Truncate(time.Millisecond)
		}
		check := func(step int) {
			t.Helper()
			got := map[string]int64{}
			ordered := false
			pipe := b.client.Pipeline() // past a cache
			index := pipe.ZRangeWithScores(ctx, s.indexKeys(partition("alice"), "alice")[0], 0, -1)
			if _, err := pipe.Exec(ctx); err != nil {
				t.Fatal(err)
			}
			for _, z := range index.Val() {
				got[z.Member.(string)] = int64(z.Score)
				ordered = ordered || z.Score == 0
			}
			want := map[string]int64{}
			for _, l := range live {
				want[l.tk.ID] = l.tk.ExpiresAt.UnixMilli()
				if ordered {
					want["#"+l.tk.ID] = 0
				}
			}
			if !ordered && len(live) > 128 {
				t.Fatalf("seed %d, step %d: the index of %d sessions is not by sign-in", seed, step, len(live))
			}
			if !maps.Equal(got, want) {
				maps.DeleteFunc(got, func(member string, score int64) bool { return want[member] == score })
				t.Fatalf("seed %d, step %d: got an index with %v, want %d entries", seed, step, got, len(want))
			}
		}
		for step := range 700 {
			var err error
			i := -1
			if n := len(live); n > 0 {
				i = rng.IntN(n)
			}
			switch n := rng.IntN(20); {
			case n < 14 || i < 0:
				tk := newTicket(b, "alice")
				tk.ExpiresAt = expiry()
				replaced := n == 0 && i >= 0
				if replaced {
					tk.ID = live[i].tk.ID // takes its place
				}
				next := session{mustStore(t, b, s, tk), tk}
				if replaced {
					err = s.Remove(ctx, live[i].key)
					live = slices.Delete(live, i, i+1)
				}
				live = append(live, next)
				live = live[max(0, len(live)-most):]
			case n < 17:
				live[i].tk.ExpiresAt = expiry()
				err = s.Renew(ctx, live[i].key, live[i].tk)
			case n == 17:
				err = s.Remove(ctx, live[i].key)
				live = slices.Delete(live, i, i+1)
			case n == 18:
				err = s.Revoke(ctx, "alice", live[i].tk.ID)
				live = slices.Delete(live, i, i+1)
			case rng.IntN(10) == 0:
				_, err = s.RevokeOthers(ctx, "alice", live[i].tk.ID)
				live = live[i : i+1]
			}
			if err != nil {
				t.Fatalf("seed %d, step %d: %v", seed, step, err)
			}
			if step%10 == 0 || len(live) > 126 && len(live) < 131 {
				check(step)
			}
		}
		for len(live) < most { // after RevokeOthers
			tk := newTicket(b, "alice")
			tk.ExpiresAt = expiry()
			live = append(live, session{mustStore(t, b, s, tk), tk})
		}
		check(-1)

		// An index that has been evicted comes back with renewals, here from
		// the newest to the oldest.
		if err := b.client.Del(ctx, s.indexKeys(partition("alice"), "alice")[0]).Err(); err != nil {
			t.Fatal(err)
		}
		for _, l := range slices.Backward(live) {
			if err := s.Renew(ctx, l.key, l.tk); err != nil {
				t.Fatal(err)
			}
		}
		check(-2)
		for range 2 {
			tk := newTicket(b, "alice")
			live = append(live, session{mustStore(t, b, s, tk), tk})[1:]
			check(-3)
		}
		if n, err := s.RevokeAll(ctx, "alice"); err != nil || n != most {
			t.Errorf("RevokeAll: got %d, %v, want %d", n, err, most)
		}
		if keys := b.keys(t); len(keys) != 0 {
			t.Errorf("got keys %q, want none", keys)
		}
	})
}

// A cap that is lowered ends more sessions than one script takes, and those
// that are past do not count.
func TestLoweredCapOfMany(t *testing.T) {
	t.Parallel()
	b := realBackend(t)
	b.testClock = &testClock{runs: true}
	s := b.store(t, RedisConfig{MaxSessions: 10_000})
	const n, most = 3 * scriptBatch, 50
	var ids []string
	for i := range n {
		tk := newTicket(b, "alice")
		tk.ExpiresAt = tk.ExpiresAt.Add(-time.Duration(i) * time.Second) // the oldest expires last
		mustStore(t, b, s, tk)
		ids = append(ids, tk.ID)
	}
	soon := newTicket(b, "alice")
	soon.ExpiresAt = b.now().Add(time.Second)
	mustStore(t, b, s, soon)
	if !eventually(func() bool { return !b.now().Before(soon.ExpiresAt) }) {
		t.Fatal("the clock stands still")
	}
	count := &counter{n: map[string]int{}}
	counted := b.another(t)
	counted.client.Ping(t.Context()) // connects
	counted.client.AddHook(count)
	next := newTicket(b, "alice")
	mustStore(t, counted, counted.store(t, RedisConfig{MaxSessions: most}), next)
	if got := count.take(); got != "evalsha=4" { // one asks, two end a hundred each, one the rest
		t.Errorf("got commands %s, want evalsha=4", got)
	}
	want := append(ids[n-most+1:], next.ID)
	slices.Reverse(want)
	wantSessions(t, b, s, "alice", want...)
	if c, err := s.Count(b.ctx(t)); err != nil || c != (Counts{1, most}) {
		t.Errorf("got %+v, %v, want %d sessions", c, err, most)
	}
}

// Whoever refuses at a high cap does not look at each of the others.
func TestRefusedAmongMany(t *testing.T) {
	b := realBackend(t)
	const most = 130
	s := b.store(t, RedisConfig{MaxSessions: most, RefuseNew: true})
	var first *Ticket
	for i := range most {
		tk := newTicket(b, "alice")
		mustStore(t, b, s, tk)
		if i == 0 {
			first = tk
		}
	}
	count := &counter{n: map[string]int{}}
	client := b.another(t)
	counted := client.store(t, RedisConfig{MaxSessions: most, RefuseNew: true})
	client.client.Ping(t.Context()) // connects
	client.client.AddHook(count)
	if _, err := counted.Store(b.ctx(t), newTicket(b, "alice")); !errors.Is(err, ErrTooManySessions) {
		t.Errorf("got %v, want ErrTooManySessions", err)
	}
	if got := count.take(); got != "evalsha=1" {
		t.Errorf("got commands %s, want evalsha=1", got)
	}
	// What has been deleted by hand counts until it is listed.
	if err := b.client.Del(b.ctx(t), s.recordKey(partition("alice"), first.ID)).Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Store(b.ctx(t), newTicket(b, "alice")); !errors.Is(err, ErrTooManySessions) {
		t.Errorf("got %v, want ErrTooManySessions", err)
	}
	if list, err := s.Sessions(b.ctx(t), "alice"); err != nil || len(list) != most-1 {
		t.Errorf("got %d sessions, %v, want %d", len(list), err, most-1)
	}
	mustStore(t, b, s, newTicket(b, "alice"))
}

// The longest subject fits into what the scripts read of a record.
func TestLongestSubject(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		subject := "x"
		for validateSubject(subject+"x") == nil {
			subject += "x"
		}
		s := b.store(t, RedisConfig{MaxSessions: 2})
		ctx := b.ctx(t)
		var tk *Ticket
		var key Key
		for i := range 3 {
			last, lastKey := tk, key
			tk = newTicket(b, subject)
			if i == 2 {
				tk.ID = last.ID
			}
			key = mustStore(t, b, s, tk)
			if i == 2 {
				if err := s.Remove(ctx, lastKey); err != nil {
					t.Fatal(err)
				}
			}
		}
		for range 2 { // the second with a previous verifier, and a time of 13 digits
			var err error
			if key, err = s.Rotate(ctx, key, tk, time.Minute); err != nil {
				t.Fatal(err)
			}
		}
		record := b.client.Get(ctx, s.recordKey(partition(subject), tk.ID)).Val()
		if n := strings.IndexByte(record, '\n') + 1; n > maxEnvelope || n < len(subject)+100 {
			t.Errorf("got an envelope of %d bytes, want at most %d", n, maxEnvelope)
		}
		if err := s.Renew(ctx, key, tk); err != nil {
			t.Error(err)
		}
		if list, err := s.Sessions(ctx, subject); err != nil || len(list) != 2 || list[0].Undecodable {
			t.Errorf("got %+v, %v, want two sessions", list, err)
		}
		if page, _, err := s.SessionPage(ctx, "", 10); err != nil || len(page) != 2 || page[0].Subject != subject {
			t.Errorf("got %+v, %v, want two sessions", page, err)
		}
		if err := s.Remove(ctx, key); err != nil {
			t.Error(err)
		}
		if n, err := s.RevokeAll(ctx, subject); err != nil || n != 1 {
			t.Errorf("got %d, %v, want 1", n, err)
		}
		if keys := b.keys(t); len(keys) != 0 {
			t.Errorf("got %d keys, want none", len(keys))
		}
	})
}

// Sessions are read a batch at a time, the larger the fewer at once.
func TestSessionsInBatches(t *testing.T) {
	b := realBackend(t)
	s := b.store(t, RedisConfig{})
	for _, test := range []struct {
		n, size int
		want    string
	}{
		{1, 0, "mget=1 zrange=1"},
		{16, 60_000, "mget=1 zrange=1"},
		{17, 0, "mget=2 zrange=1"},
		{60, 0, "mget=3 zrange=1"},      // 16, 32, 12
		{60, 60_000, "mget=4 zrange=1"}, // 16, 17, 17, 10
	} {
		subject := fmt.Sprint("user-", test.n, "-", test.size)
		var ids []string
		for range test.n {
			tk := newTicket(b, subject)
			tk.Properties = map[string]string{"x": strings.Repeat("x", test.size)}
			mustStore(t, b, s, tk)
			ids = append(ids, tk.ID)
		}
		count := &counter{n: map[string]int{}}
		counted := b.another(t)
		counted.client.Ping(t.Context()) // connects
		counted.client.AddHook(count)
		slices.Reverse(ids)
		wantSessions(t, counted, counted.store(t, RedisConfig{}), subject, ids...)
		if got := count.take(); got != test.want {
			t.Errorf("%s: got commands %s, want %s", subject, got, test.want)
		}
		if test.n < 17 {
			continue
		}
		// The same, where some are deleted by hand.
		for _, id := range ids[:3] {
			if err := b.client.Del(t.Context(), s.recordKey(partition(subject), id)).Err(); err != nil {
				t.Fatal(err)
			}
		}
		wantSessions(t, b, s, subject, ids[3:]...)
		if n := b.client.ZCard(t.Context(), s.indexKeys(partition(subject), subject)[0]).Val(); int(n) != test.n-3 {
			t.Errorf("%s: got %d in the index, want %d", subject, n, test.n-3)
		}
	}
}
