package aspnetcore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/clock"
)

// A site is a Go service and an ASP.NET Core application on one Redis. The
// application has the ticket store that most have, over RedisCache, and sends
// what that sends: TestAppIsDotNet compares it with the real one.
type site struct {
	*backend
	*Store
	client redis.UniversalClient // of both
	tb     testing.TB
}

func newSite(t testing.TB, b *backend, cfg StoreConfig) *site {
	t.Helper()
	return &site{b, b.store(t, cfg), b.client, t}
}

// do sends a command, as somebody by hand or the application.
func (s *site) do(args ...any) *redis.Cmd { return s.client.Do(s.ctx(s.tb), args...) }

// dotnetTicket is what an application has serialized for a user.
func dotnetTicket(t testing.TB, subject string, issued, expires time.Time, items ...pair) []byte {
	t.Helper()
	w := &wireTicket{
		scheme:     "Cookies",
		identities: []wireIdentity{{authenticationType: "pwd", nameType: defaultNameType, roleType: defaultRoleType, claims: []wireClaim{Serializer{}.claimOf(subject)}}},
		items:      append(slices.Clip(items), pair{itemIssued, formatDate(issued)}, pair{itemExpires, formatDate(expires)}),
	}
	b, err := w.bytes()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// ticks0 is what absexp and sldexp have for none.
const ticks0 = "-1"

// set is IDistributedCache.Set. A zero absolute or sliding is none.
func (s *site) set(key ticketstore.Key, data []byte, absolute time.Time, sliding time.Duration) {
	s.tb.Helper()
	for _, args := range s.setCommands(key, data, absolute, sliding) {
		if err := s.do(args...).Err(); err != nil {
			s.tb.Fatal(err)
		}
	}
}

func (s *site) setCommands(key ticketstore.Key, data []byte, absolute time.Time, sliding time.Duration) [][]any {
	absexp, sldexp, ttl := ticks0, ticks0, time.Duration(0)
	if !absolute.IsZero() {
		absexp, ttl = strconv.FormatInt(ticks(absolute), 10), absolute.Sub(s.now())
	}
	if sliding > 0 {
		sldexp = strconv.FormatInt(int64(sliding/100), 10)
		if ttl == 0 || sliding < ttl {
			ttl = sliding
		}
	}
	commands := [][]any{{"HMSET", s.recordKey(key), "absexp", absexp, "sldexp", sldexp, "data", data}}
	if ttl > 0 {
		commands = append(commands, []any{"EXPIRE", s.recordKey(key), strconv.Itoa(int(ttl / time.Second))})
	}
	return commands
}

// signIn is a sign-in at the application, for an hour if expires is zero.
func (s *site) signIn(key ticketstore.Key, subject string, expires time.Time, items ...pair) {
	s.tb.Helper()
	if expires.IsZero() {
		expires = s.now().Truncate(time.Second).Add(time.Hour)
	}
	s.set(key, dotnetTicket(s.tb, subject, s.now(), expires, items...), expires, 0)
}

// get is IDistributedCache.Get of a record without a sliding expiration.
func (s *site) get(key ticketstore.Key) (data []byte, ok bool) {
	s.tb.Helper()
	fields, err := s.client.HMGet(s.ctx(s.tb), s.recordKey(key), "absexp", "sldexp", "data").Result()
	if err != nil {
		s.tb.Fatal(err)
	}
	text, ok := fields[2].(string)
	return []byte(text), ok
}

// slide is the renewal by activity: the items stay as they are, but for two.
func (s *site) slide(key ticketstore.Key, expires time.Time) {
	s.tb.Helper()
	data, ok := s.get(key)
	if !ok {
		s.tb.Fatal("the application has no session to renew")
	}
	s.set(key, slid(s.tb, data, s.now(), expires), expires, 0)
}

func slid(t testing.TB, data []byte, issued, expires time.Time) []byte {
	t.Helper()
	w, err := readTicket(data)
	if err != nil {
		t.Fatal(err)
	}
	for i, it := range w.items {
		switch it.key {
		case itemIssued:
			w.items[i].value = formatDate(issued)
		case itemExpires:
			w.items[i].value = formatDate(expires)
		}
	}
	if data, err = w.bytes(); err != nil {
		t.Fatal(err)
	}
	return data
}

// unlink is IDistributedCache.Remove.
func (s *site) unlink(key ticketstore.Key) {
	s.tb.Helper()
	if err := s.do("UNLINK", s.recordKey(key)).Err(); err != nil {
		s.tb.Fatal(err)
	}
}

func (s *site) fields(key ticketstore.Key) map[string]string {
	s.tb.Helper()
	m, err := s.client.HGetAll(s.ctx(s.tb), s.recordKey(key)).Result()
	if err != nil {
		s.tb.Fatal(err)
	}
	return m
}

func (s *site) ttl(key ticketstore.Key) time.Duration {
	s.tb.Helper()
	d, err := s.client.PTTL(s.ctx(s.tb), s.recordKey(key)).Result()
	if err != nil {
		s.tb.Fatal(err)
	}
	return d
}

// slack is by how much a real Redis may be ahead of the application.
func (b *backend) slack() time.Duration {
	if b.mini != nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Since(b.fixed)
}

// wantTTL checks it to the second, as .NET keeps it.
func (s *site) wantTTL(what string, key ticketstore.Key, want time.Duration) {
	s.tb.Helper()
	if got := s.ttl(key); got > want+time.Second || got < want-1500*time.Millisecond-s.slack() {
		s.tb.Errorf("%s: got a TTL of %v, want %v", what, got, want)
	}
}

func (s *site) retrieve(key ticketstore.Key) *ticketstore.Ticket {
	s.tb.Helper()
	tk, err := s.Retrieve(s.ctx(s.tb), key)
	if err != nil {
		s.tb.Fatalf("Retrieve: %v", err)
	}
	return tk
}

// listed returns the IDs of the sessions of subject, sorted.
func (s *site) listed(subject string) []string {
	s.tb.Helper()
	sessions, err := s.Sessions(s.ctx(s.tb), subject)
	if err != nil {
		s.tb.Fatalf("Sessions of %q: %v", subject, err)
	}
	var ids []string
	for _, one := range sessions {
		if one.Subject != subject {
			s.tb.Errorf("sessions of %q: got one of %q", subject, one.Subject)
		}
		ids = append(ids, one.ID)
	}
	slices.Sort(ids)
	return ids
}

func (s *site) wantListed(what, subject string, keys ...ticketstore.Key) {
	s.tb.Helper()
	var want []string
	for _, k := range keys {
		want = append(want, sessionID(k))
	}
	slices.Sort(want)
	if got := s.listed(subject); !slices.Equal(got, want) {
		s.tb.Errorf("%s: sessions of %q: got %q, want %q", what, subject, got, want)
	}
}

func (s *site) wantCount(what string, subjects, sessions int64) {
	s.tb.Helper()
	got, err := s.Count(s.ctx(s.tb))
	if want := (ticketstore.Counts{Subjects: subjects, Sessions: sessions}); err != nil || got != want {
		s.tb.Errorf("%s: got %+v, %v, want %+v", what, got, err, want)
	}
}

// wantDead checks that a session is alive for neither runtime, that nobody can
// renew it, and that it stays so when the application writes it once more.
func (s *site) wantDead(what, subject string, key ticketstore.Key) {
	s.tb.Helper()
	ctx := s.ctx(s.tb)
	if tk, err := s.Retrieve(ctx, key); !errors.Is(err, ticketstore.ErrNotFound) {
		s.tb.Errorf("%s: Retrieve: got %+v, %v, want ErrNotFound", what, tk, err)
	}
	if data, ok := s.get(key); ok {
		s.tb.Errorf("%s: the application still reads %q", what, data)
	}
	tk := ticketstore.NewTicket(subject)
	tk.ExpiresAt = s.now().Add(time.Hour)
	if err := s.Renew(ctx, key, tk); !errors.Is(err, ticketstore.ErrNotFound) {
		s.tb.Errorf("%s: Renew: got %v, want ErrNotFound", what, err)
	}
	if slices.Contains(s.listed(subject), sessionID(key)) {
		s.tb.Errorf("%s: it is listed", what)
	}
	if _, err := s.Session(ctx, subject, sessionID(key)); !errors.Is(err, ticketstore.ErrNotFound) {
		s.tb.Errorf("%s: Session: got %v, want ErrNotFound", what, err)
	}
	if err := s.Revoke(ctx, subject, sessionID(key)); !errors.Is(err, ticketstore.ErrNotFound) {
		s.tb.Errorf("%s: Revoke: got %v, want ErrNotFound", what, err)
	}
	all, _, err := s.SessionPage(ctx, "", maxSessionPage)
	if err != nil || slices.ContainsFunc(all, func(one ticketstore.Session) bool { return one.ID == sessionID(key) }) {
		s.tb.Errorf("%s: SessionPage: got %+v, %v, want it without", what, all, err)
	}
	if got, err := s.Reindex(ctx, nil); err != nil || got.Added != 0 {
		s.tb.Errorf("%s: Reindex: got %+v, %v, want none added", what, got, err)
	}
}

const dotnetKey = ticketstore.Key("AuthSessionStore-0f8fad5b-d9cb-469f-a165-70867728950e")

// keyNo is a key as the application makes it.
func keyNo(n int) ticketstore.Key {
	return ticketstore.Key(fmt.Sprintf("AuthSessionStore-%08x-d9cb-469f-a165-70867728950e", n))
}

// A counter is a go-redis hook that counts round trips by command.
type counter struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *counter) add(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n[name]++
}

func (c *counter) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *counter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.add(cmd.Name())
		return next(ctx, cmd)
	}
}

func (c *counter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		c.add("pipeline")
		return next(ctx, cmds)
	}
}

// take returns the counts since the last call, as "evalsha=1 hmget=1".
func (c *counter) take() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(c.n)) {
		parts = append(parts, fmt.Sprintf("%s=%d", name, c.n[name]))
	}
	c.n = map[string]int{}
	return strings.Join(parts, " ")
}

func (s *site) count() *counter {
	// The scripts are loaded, or each would be sent twice at first.
	for _, script := range []*redis.Script{storeScript, renewScript, indexScript, removeScript, revokeScript, pruneScript} {
		if err := script.Load(s.tb.Context(), s.client).Err(); err != nil {
			s.tb.Fatal(err)
		}
	}
	c := &counter{n: map[string]int{}}
	s.client.AddHook(c)
	return c
}

// A session of the application is in the index once Go has seen it, which
// takes one script, and only the first time.
func TestSeeing(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := newSite(t, b, StoreConfig{})
		expires := s.now().Truncate(time.Second).Add(time.Hour)
		s.signIn(dotnetKey, "alice", expires)
		s.wantListed("unseen", "alice")
		s.wantCount("unseen", 0, 0)

		c := s.count()
		tk := s.retrieve(dotnetKey)
		if got, want := c.take(), "evalsha=1 hmget=1"; got != want {
			t.Errorf("seen first: got %s, want %s", got, want)
		}
		if tk.ID != sessionID(dotnetKey) || tk.Subject != "alice" || !tk.ExpiresAt.Equal(expires) || tk.Revision == "" {
			t.Errorf("got %+v, want alice's, until %v", tk, expires)
		}
		for range 3 {
			if again := s.retrieve(dotnetKey); again.Revision != tk.Revision {
				t.Errorf("read again: got revision %s, want %s", again.Revision, tk.Revision)
			}
			if got, want := c.take(), "hmget=1"; got != want {
				t.Errorf("read again: got %s, want %s", got, want)
			}
		}
		s.wantListed("seen", "alice", dotnetKey)
		if got, want := c.take(), "pipeline=1 zrange=1"; got != want {
			t.Errorf("listed: got %s, want %s", got, want)
		}
		s.wantCount("seen", 1, 1)
		// Of .NET's fields none has changed, nor when the record goes.
		fields := s.fields(dotnetKey)
		want := map[string]string{
			"absexp": strconv.FormatInt(ticks(expires), 10), "sldexp": "-1", "data": fields["data"],
			"ticketstore": fmt.Sprintf("1 0 %d alice", expires.UnixMilli()),
		}
		if !maps.Equal(fields, want) {
			t.Errorf("got %q, want %q", fields, want)
		}
		s.wantTTL("seen", dotnetKey, expires.Sub(s.now()).Truncate(time.Second))

		// The application ends it: listing notices.
		s.unlink(dotnetKey)
		s.wantCount("ended by the application", 1, 1)
		c.take()
		s.wantListed("ended by the application", "alice")
		if got, want := c.take(), "evalsha=1 pipeline=1 zrange=1"; got != want {
			t.Errorf("repaired: got %s, want %s", got, want)
		}
		s.wantCount("listed since", 0, 0)
		c.take()
		s.wantListed("listed again", "alice")
		if got, want := c.take(), "zrange=1"; got != want {
			t.Errorf("listed again: got %s, want %s", got, want)
		}
	})
}

// What is refused or no session costs no script.
func TestRetrieveCosts(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := newSite(t, b, StoreConfig{})
		c := s.count()
		for _, test := range []struct {
			what, want string
			key        ticketstore.Key
		}{
			{"no session", "hmget=1", dotnetKey},
			{"no key", "", ""},
			{"another's key", "", "SessionTicket-1"},
			{"the prefix alone", "", "AuthSessionStore-"},
			{"257 bytes", "", ticketstore.Key("AuthSessionStore-" + strings.Repeat("x", 240))},
		} {
			if tk, err := s.Retrieve(s.ctx(t), test.key); !errors.Is(err, ticketstore.ErrNotFound) {
				t.Errorf("%s: got %+v, %v, want ErrNotFound", test.what, tk, err)
			}
			if got := c.take(); got != test.want {
				t.Errorf("%s: got %q, want %q", test.what, got, test.want)
			}
		}
		// One that has ended there is not written again and again.
		s.signIn(dotnetKey, "alice", time.Time{})
		s.retrieve(dotnetKey)
		if err := s.Remove(s.ctx(t), dotnetKey); err != nil {
			t.Fatal(err)
		}
		c.take()
		s.Retrieve(s.ctx(t), dotnetKey)
		if got, want := c.take(), "hmget=1"; got != want {
			t.Errorf("removed: got %q, want %q", got, want)
		}
	})
}

// A renewal by the application moves the expiry; the index follows.
func TestSlidingByDotNet(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := newSite(t, b, StoreConfig{})
		first := s.now().Truncate(time.Second).Add(time.Hour)
		second, third := first.Add(time.Hour), first.Add(2*time.Hour)
		indexed := func(what string, want time.Time) {
			t.Helper()
			for _, set := range []string{s.indexKeys("alice")[0], s.indexKeys("")[1]} {
				if got := s.client.ZScore(s.ctx(t), set, string(dotnetKey)).Val(); int64(got) != want.UnixMilli() {
					t.Errorf("%s: %s: got %.0f, want %d", what, set, got, want.UnixMilli())
				}
			}
			if got := s.client.ZScore(s.ctx(t), s.indexKeys("")[2], "alice").Val(); int64(got) != want.UnixMilli() {
				t.Errorf("%s: subjects: got %.0f, want %d", what, got, want.UnixMilli())
			}
		}
		s.signIn(dotnetKey, "alice", first, pair{"theme", "dark"}, pair{itemRefresh, "True"})
		tk := s.retrieve(dotnetKey)
		indexed("seen", first)

		s.slide(dotnetKey, second)
		indexed("renewed unseen", first)
		if got := s.retrieve(dotnetKey); !got.ExpiresAt.Equal(second) || got.Properties["theme"] != "dark" || got.Revision == tk.Revision {
			t.Errorf("got %+v, want the theme, until %v, another revision than %s", got, second, tk.Revision)
		}
		indexed("renewed and seen", second)

		s.slide(dotnetKey, third)
		sessions, err := s.Sessions(s.ctx(t), "alice")
		if err != nil || len(sessions) != 1 || !sessions[0].ExpiresAt.Equal(third) {
			t.Errorf("got %+v, %v, want one until %v", sessions, err, third)
		}
		indexed("renewed and listed", third)

		// Also to an earlier time, as by a sign-in of another user for less.
		s.slide(dotnetKey, second)
		s.retrieve(dotnetKey)
		indexed("made earlier", second)
	})
}

// What Go has put into a ticket outlives the application's renewal.
func TestItemsSurvive(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := newSite(t, b, StoreConfig{})
		now := s.now().Truncate(time.Second)
		s.signIn(dotnetKey, "alice", now.Add(time.Hour), pair{itemPersistent, ""}, pair{".Token.access", "secret"})
		tk := s.retrieve(dotnetKey)
		tk.SignedInAt, tk.AuthenticatedAt = now.Add(-time.Hour), now.Add(-9*time.Hour)
		tk.EndsAt, tk.IdleTimeout = now.Add(90*time.Minute), 20*time.Minute
		tk.Device.UserAgent = "curl/8"
		tk.Properties["cart"] = "7"
		if err := s.Renew(s.ctx(t), dotnetKey, tk); err != nil {
			t.Fatal(err)
		}
		before := s.now().Truncate(time.Second)
		s.slide(dotnetKey, now.Add(80*time.Minute))
		got := s.retrieve(dotnetKey)
		if got.IssuedAt.Before(before) || got.IssuedAt.After(s.now()) {
			t.Errorf("got .issued %v, want the time of the renewal, after %v", got.IssuedAt, before)
		}
		want := tk.Clone()
		want.ExpiresAt, want.IssuedAt, want.Revision = now.Add(80*time.Minute), got.IssuedAt, got.Revision
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", utc(want)) {
			t.Errorf("got  %+v\nwant %+v", got, utc(want))
		}

		// Of EndsAt the application knows nothing.
		s.slide(dotnetKey, now.Add(3*time.Hour))
		if got := s.retrieve(dotnetKey); !got.ExpiresAt.Equal(tk.EndsAt) || !got.EndsAt.Equal(tk.EndsAt) {
			t.Errorf("past EndsAt: got until %v, want %v", got.ExpiresAt, tk.EndsAt)
		}
		if one, err := s.Session(s.ctx(t), "alice", tk.ID); err != nil || !one.ExpiresAt.Equal(tk.EndsAt) {
			t.Errorf("past EndsAt: got %+v, %v, want until %v", one, err, tk.EndsAt)
		}
	})
}

func utc(t *ticketstore.Ticket) *ticketstore.Ticket {
	c := t.Clone()
	for _, at := range []*time.Time{&c.SignedInAt, &c.AuthenticatedAt, &c.IssuedAt, &c.ExpiresAt, &c.EndsAt} {
		*at = at.UTC()
	}
	return c
}

// A ticket past EndsAt is no session, however long the application keeps it.
func TestPastEndsAt(t *testing.T) {
	b := miniBackend(t)
	s := newSite(t, b, StoreConfig{})
	now := s.now().Truncate(time.Second)
	s.signIn(dotnetKey, "alice", now.Add(3*time.Hour), pair{itemEndsAt, formatOwnTime(now.Add(time.Hour))})
	tk := s.retrieve(dotnetKey)
	s.wantListed("before EndsAt", "alice", dotnetKey)
	b.advance(now.Add(time.Hour).Sub(s.now()))
	if tk, err := s.Retrieve(s.ctx(t), dotnetKey); !errors.Is(err, ticketstore.ErrNotFound) {
		t.Errorf("got %+v, %v, want ErrNotFound", tk, err)
	}
	s.wantListed("at EndsAt", "alice")
	s.wantCount("at EndsAt", 0, 0)
	if err := s.Revoke(s.ctx(t), "alice", tk.ID); !errors.Is(err, ticketstore.ErrNotFound) {
		t.Errorf("Revoke: got %v, want ErrNotFound", err)
	}
	if got, err := s.Reindex(s.ctx(t), nil); err != nil || got != (Reindexed{}) {
		t.Errorf("Reindex: got %+v, %v, want none", got, err)
	}
	if sessions, _, err := s.SessionPage(s.ctx(t), "", 10); err != nil || len(sessions) != 0 {
		t.Errorf("SessionPage: got %+v, %v, want none", sessions, err)
	}
	// It is over: no renewal brings it back, as TicketStore says.
	tk.ExpiresAt, tk.EndsAt = now.Add(2*time.Hour), time.Time{}
	if err := s.Renew(s.ctx(t), dotnetKey, tk); !errors.Is(err, ticketstore.ErrNotFound) {
		t.Errorf("Renew: got %v, want ErrNotFound", err)
	}
	// Remove still ends it for the application.
	if err := s.Remove(s.ctx(t), dotnetKey); err != nil {
		t.Fatal(err)
	}
	s.wantDead("removed", "alice", dotnetKey)
}

// A session that outlives its ticket in Redis, by PERSIST, say, has expired.
func TestRecordOutlivesTicket(t *testing.T) {
	b := miniBackend(t)
	s := newSite(t, b, StoreConfig{})
	s.signIn(dotnetKey, "alice", time.Time{})
	tk := s.retrieve(dotnetKey)
	s.do("PERSIST", s.recordKey(dotnetKey))
	b.advance(time.Hour)
	if tk, err := s.Retrieve(s.ctx(t), dotnetKey); !errors.Is(err, ticketstore.ErrNotFound) {
		t.Errorf("Retrieve: got %+v, %v, want ErrNotFound", tk, err)
	}
	tk.ExpiresAt = s.now().Add(time.Hour)
	if err := s.Renew(s.ctx(t), dotnetKey, tk); !errors.Is(err, ticketstore.ErrNotFound) {
		t.Errorf("Renew: got %v, want ErrNotFound", err)
	}
	if tk, err := s.Retrieve(s.ctx(t), dotnetKey); !errors.Is(err, ticketstore.ErrNotFound) {
		t.Errorf("Retrieve after Renew: got %+v, %v, want ErrNotFound", tk, err)
	}
}

// Go renews only what it has read.
func TestRenewBesideDotNet(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := newSite(t, b, StoreConfig{})
		ctx, now := s.ctx(t), s.now().Truncate(time.Second)
		s.signIn(dotnetKey, "alice", now.Add(time.Hour), pair{"theme", "dark"})
		renew := func(what string, tk *ticketstore.Ticket, want error) {
			t.Helper()
			before := fmt.Sprint(s.fields(dotnetKey))
			revision := tk.Revision
			err := s.Renew(ctx, dotnetKey, tk)
			if !errors.Is(err, want) || want == nil && err != nil {
				t.Fatalf("%s: got %v, want %v", what, err, want)
			}
			if want != nil && (fmt.Sprint(s.fields(dotnetKey)) != before || tk.Revision != revision) {
				t.Errorf("%s: got %q, revision %s, want no change of %q", what, s.fields(dotnetKey), tk.Revision, before)
			}
		}
		stale := s.retrieve(dotnetKey)
		s.slide(dotnetKey, now.Add(2*time.Hour))
		renew("after .NET's renewal", stale.Clone(), ticketstore.ErrConflict)
		if got := s.retrieve(dotnetKey); !got.ExpiresAt.Equal(now.Add(2 * time.Hour)) {
			t.Errorf("got %+v, want .NET's renewal", got)
		}
		fresh := s.retrieve(dotnetKey)
		empty, other := fresh.Clone(), fresh.Clone()
		empty.Revision = ""
		renew("no revision", empty, ticketstore.ErrConflict)
		other.Subject, other.Identities = "bob", nil
		renew("another subject", other, ticketstore.ErrInvalidTicket)
		other.Revision = ""
		renew("another subject, no revision", other, ticketstore.ErrInvalidTicket)

		fresh.Properties["cart"] = "7"
		fresh.ExpiresAt = now.Add(90 * time.Minute)
		old := fresh.Clone()
		renew("fresh", fresh, nil)
		if got := s.retrieve(dotnetKey); got.Properties["cart"] != "7" || got.Properties["theme"] != "dark" || got.Revision != fresh.Revision || !got.ExpiresAt.Equal(fresh.ExpiresAt) {
			t.Errorf("got %+v, want %+v", got, fresh)
		}
		renew("the revision before", old, ticketstore.ErrConflict)
		s.wantTTL("renewed", dotnetKey, fresh.ExpiresAt.Sub(s.now()))
		renew("again", fresh, nil)

		// Unseen by this Go service: Renew puts it into the index itself.
		unseen := keyNo(1)
		s.signIn(unseen, "carol", now.Add(time.Hour))
		data, _ := s.get(unseen)
		tk := ticketstore.NewTicket("carol")
		tk.ExpiresAt, tk.Revision = now.Add(2*time.Hour), revision(data, "0")
		if err := s.Renew(ctx, unseen, tk); err != nil {
			t.Errorf("unseen: got %v, want none", err)
		}
		s.wantListed("unseen", "carol", unseen)
		s.wantListed("of alice", "alice", dotnetKey)

		// Signed out and in again under this key, for the same user.
		before := s.retrieve(dotnetKey)
		s.unlink(dotnetKey)
		s.signIn(dotnetKey, "alice", now.Add(3*time.Hour))
		renew2 := before.Clone()
		if err := s.Renew(ctx, dotnetKey, renew2); !errors.Is(err, ticketstore.ErrConflict) {
			t.Errorf("signed in again: got %v, want ErrConflict", err)
		}
		s.unlink(dotnetKey)
		if err := s.Renew(ctx, dotnetKey, renew2); !errors.Is(err, ticketstore.ErrNotFound) {
			t.Errorf("signed out: got %v, want ErrNotFound", err)
		}
	})
}

// However Go has ended a session, what the application writes afterwards, in a
// request that had read it before, stays dead: for Go at once, for the
// application once Go has met it.
func TestUpsertAfterEnd(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		for _, by := range []string{".NET", "Go"} {
			ends := map[string]func(s *site, key ticketstore.Key, id string) error{
				"Remove": func(s *site, key ticketstore.Key, id string) error { return s.Remove(s.ctx(t), key) },
				"Revoke": func(s *site, key ticketstore.Key, id string) error { return s.Revoke(s.ctx(t), "alice", id) },
				"RevokeAll": func(s *site, key ticketstore.Key, id string) error {
					n, err := s.RevokeAll(s.ctx(t), "alice")
					if n != 1 {
						t.Errorf("RevokeAll: got %d, want 1", n)
					}
					return err
				},
				"RevokeOthers": func(s *site, key ticketstore.Key, id string) error {
					keep := keyNo(2)
					s.signIn(keep, "alice", time.Time{})
					kept := s.retrieve(keep)
					n, err := s.RevokeOthers(s.ctx(t), "alice", kept.ID)
					if n != 1 {
						t.Errorf("RevokeOthers: got %d, want 1", n)
					}
					s.retrieve(keep)
					s.unlink(keep)
					return err
				},
				"eviction": func(s *site, key ticketstore.Key, id string) error {
					for range 2 { // the cap
						newer := ticketstore.NewTicket("alice")
						newer.SignedInAt = s.now().Add(time.Minute)
						newer.ExpiresAt = s.now().Add(time.Hour)
						if _, err := s.Store.Store(s.ctx(t), newer); err != nil {
							return err
						}
					}
					return nil
				},
			}
			for _, end := range slices.Sorted(maps.Keys(ends)) {
				what := by + "'s, after " + end
				s := newSite(t, b.another(t), StoreConfig{MaxSessions: 2})
				expires := s.now().Truncate(time.Second).Add(time.Hour)
				key := dotnetKey
				if by == ".NET" {
					s.signIn(key, "alice", expires)
				} else {
					tk := ticketstore.NewTicket("alice")
					tk.SignedInAt, tk.IssuedAt, tk.ExpiresAt = s.now(), s.now(), expires
					var err error
					if key, err = s.Store.Store(s.ctx(t), tk); err != nil {
						t.Fatal(err)
					}
				}
				tk := s.retrieve(key)
				data, _ := s.get(key)
				if err := ends[end](s, key, tk.ID); err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				if got, want := s.fields(key), map[string]string{"ticketstore": "gone"}; !maps.Equal(got, want) {
					t.Errorf("%s: got %q, want %q", what, got, want)
				}
				s.wantTTL(what, key, expires.Sub(s.now()))
				s.wantDead(what, "alice", key)

				later := expires.Add(time.Hour)
				upsert := func() { s.set(key, slid(t, data, s.now(), later), later, 0) }
				for name, f := range map[string]func() error{
					"Retrieve": func() error { _, err := s.Retrieve(s.ctx(t), key); return err },
					"Renew": func() error {
						again := tk.Clone()
						again.Revision = revision(slid(t, data, s.now(), later), "0")
						again.ExpiresAt = later
						return s.Renew(s.ctx(t), key, again)
					},
					"Revoke":  func() error { return s.Revoke(s.ctx(t), "alice", tk.ID) },
					"Session": func() error { _, err := s.Session(s.ctx(t), "alice", tk.ID); return err },
				} {
					upsert()
					if err := f(); !errors.Is(err, ticketstore.ErrNotFound) {
						t.Errorf("%s, upsert: %s: got %v, want ErrNotFound", what, name, err)
					}
				}
				upsert()
				if slices.Contains(s.listed("alice"), tk.ID) {
					t.Errorf("%s, upsert: it is listed", what)
				}
				if got, err := s.Reindex(s.ctx(t), nil); err != nil || got.Added != 0 {
					t.Errorf("%s, upsert: Reindex: got %+v, %v, want none", what, got, err)
				}
				s.wantDead(what+", upsert", "alice", key) // Retrieve comes first
				s.wantTTL(what+", upsert", key, later.Sub(s.now()))
				if err := s.Remove(s.ctx(t), key); err != nil {
					t.Errorf("%s: Remove again: %v", what, err)
				}
				upsert()
				if err := s.Remove(s.ctx(t), key); err != nil {
					t.Errorf("%s: Remove of what was written again: %v", what, err)
				}
				if data, ok := s.get(key); ok {
					t.Errorf("%s, upsert, Remove: the application reads %q", what, data)
				}
			}
		}
	})
}

// What is left of a session lasts as long as it would have, an hour at least,
// and not for ever.
func TestTombstones(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		const day = 24 * time.Hour
		for what, test := range map[string]struct {
			absolute time.Duration
			sliding  time.Duration
			then     []any // a command on the record
			want     time.Duration
		}{
			"an hour":             {absolute: time.Hour, want: time.Hour},
			"sliding":             {absolute: 8 * time.Hour, sliding: time.Minute, want: 8 * time.Hour},
			"sliding alone":       {sliding: time.Minute, want: time.Hour},
			"no TTL":              {absolute: time.Hour, then: []any{"PERSIST"}, want: time.Hour},
			"no TTL, no absexp":   {want: time.Hour},
			"TTL longer":          {absolute: time.Hour, then: []any{"EXPIRE", 7200}, want: 2 * time.Hour},
			"10 years":            {absolute: 3650 * day, want: 400 * day},
			"absexp is past":      {absolute: time.Hour, then: []any{"HSET", "absexp", ticks(s2000)}, want: time.Hour},
			"absexp is past, ...": {then: []any{"HSET", "absexp", ticks(s2000)}, want: time.Hour},
			"absexp is text":      {absolute: time.Hour, then: []any{"HSET", "absexp", "soon"}, want: time.Hour},
			"absexp is nan":       {absolute: time.Hour, then: []any{"HSET", "absexp", "nan"}, want: time.Hour},
			"absexp is huge":      {absolute: time.Hour, then: []any{"HSET", "absexp", "9223372036854775807"}, want: 400 * day},
			"a string":            {absolute: time.Hour, then: []any{"SET", "x", "KEEPTTL"}, want: time.Hour},
			"a string, no TTL":    {absolute: time.Hour, then: []any{"SET", "x"}, want: time.Hour},
			"a minute":            {absolute: time.Minute, want: time.Hour},
		} {
			s := newSite(t, b.another(t), StoreConfig{})
			now := s.now().Truncate(time.Second)
			var at time.Time
			if test.absolute > 0 {
				at = now.Add(test.absolute)
			}
			s.set(dotnetKey, dotnetTicket(t, "alice", now, now.Add(time.Hour)), at, test.sliding)
			if len(test.then) > 0 {
				args := append([]any{test.then[0], s.recordKey(dotnetKey)}, test.then[1:]...)
				if err := s.do(args...).Err(); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Remove(s.ctx(t), dotnetKey); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			// EXPIRE cuts to the second, and now was cut.
			if got := s.ttl(dotnetKey); got > test.want+time.Second || got < test.want-2*time.Second-s.slack() {
				t.Errorf("%s: got a TTL of %v, want %v", what, got, test.want)
			}
			if got, want := s.fields(dotnetKey), map[string]string{"ticketstore": "gone"}; !maps.Equal(got, want) {
				t.Errorf("%s: got %q, want %q", what, got, want)
			}
			s.wantDead(what, "alice", dotnetKey)
		}
	})
	b := miniBackend(t)
	s := newSite(t, b, StoreConfig{})
	s.signIn(dotnetKey, "alice", time.Time{})
	s.Remove(s.ctx(t), dotnetKey)
	b.advance(time.Hour)
	if n := len(b.mini.Keys()); n != 0 {
		t.Errorf("after its time: got %q, want nothing", b.mini.Keys())
	}
	if err := s.Remove(s.ctx(t), dotnetKey); err != nil || len(b.mini.Keys()) != 0 {
		t.Errorf("Remove of nothing: got %v, %q, want nothing", err, b.mini.Keys())
	}
}

var s2000 = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// The application signs another user in under the same key.
func TestAnotherUserUnderOneKey(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		for _, sees := range []string{"Retrieve", "Sessions of the old", "Session of the old", "RevokeAll of the old", "Renew", "Reindex"} {
			for _, how := range []string{"over it", "after UNLINK"} {
				what := sees + ", " + how
				s := newSite(t, b.another(t), StoreConfig{})
				ctx := s.ctx(t)
				s.signIn(dotnetKey, "alice", time.Time{})
				old := s.retrieve(dotnetKey)
				other := keyNo(1)
				s.signIn(other, "alice", time.Time{})
				s.retrieve(other)
				if how == "after UNLINK" {
					s.unlink(dotnetKey)
				}
				s.signIn(dotnetKey, "bob", s.now().Truncate(time.Second).Add(2*time.Hour))
				if tk, err := s.Session(ctx, "bob", old.ID); !errors.Is(err, ticketstore.ErrNotFound) {
					t.Errorf("%s: unseen, of bob: got %+v, %v, want ErrNotFound", what, tk, err)
				}
				switch sees {
				case "Retrieve":
					if tk := s.retrieve(dotnetKey); tk.Subject != "bob" || tk.ID != old.ID {
						t.Errorf("%s: got %+v, want bob's", what, tk)
					}
				case "Sessions of the old":
					s.wantListed(what, "alice", other)
				case "Session of the old":
					if one, err := s.Session(ctx, "alice", old.ID); !errors.Is(err, ticketstore.ErrNotFound) {
						t.Errorf("%s: got %+v, %v, want ErrNotFound", what, one, err)
					}
				case "RevokeAll of the old":
					if n, err := s.RevokeAll(ctx, "alice"); n != 1 || err != nil {
						t.Errorf("%s: got %d, %v, want 1", what, n, err)
					}
					s.signIn(other, "alice", time.Time{}) // dead, as it should be
					s.unlink(other)
					s.signIn(other, "alice", time.Time{})
					s.retrieve(other)
				case "Renew":
					if err := s.Renew(ctx, dotnetKey, old); !errors.Is(err, ticketstore.ErrInvalidTicket) && !errors.Is(err, ticketstore.ErrConflict) {
						t.Errorf("%s: got %v, want ErrInvalidTicket or, if the index was not up to date, ErrConflict", what, err)
					}
					s.retrieve(dotnetKey)
				case "Reindex":
					if got, err := s.Reindex(ctx, nil); err != nil || got != (Reindexed{Sessions: 2, Added: 1}) {
						t.Errorf("%s: got %+v, %v, want 1 of 2", what, got, err)
					}
				}
				s.wantListed(what, "bob", dotnetKey)
				s.wantListed(what, "alice", other)
				s.wantCount(what, 2, 2)
				if err := s.Revoke(ctx, "alice", old.ID); !errors.Is(err, ticketstore.ErrNotFound) {
					t.Errorf("%s: Revoke by the old: got %v, want ErrNotFound", what, err)
				}
				if _, err := s.RevokeOthers(ctx, "alice", old.ID); !errors.Is(err, ticketstore.ErrNotFound) {
					t.Errorf("%s: RevokeOthers but the old: got %v, want ErrNotFound", what, err)
				}
				s.retrieve(dotnetKey)
				s.retrieve(other)
				if err := s.Revoke(ctx, "bob", old.ID); err != nil {
					t.Errorf("%s: Revoke by the new: got %v, want none", what, err)
				}
				s.wantDead(what, "bob", dotnetKey)
				s.wantCount(what+", revoked", 1, 1)
			}
		}
	})
}

// A session that the application has signed out and in again under its key is
// the one that t.ID names.
func TestStoreReplacesWhatIsUnseen(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := newSite(t, b, StoreConfig{MaxSessions: 1, RefuseNew: true})
		s.signIn(dotnetKey, "alice", time.Time{})
		old := s.retrieve(dotnetKey)
		s.unlink(dotnetKey)
		s.signIn(dotnetKey, "alice", s.now().Add(2*time.Hour))
		tk := ticketstore.NewTicket("alice")
		tk.ID, tk.ExpiresAt = old.ID, s.now().Add(time.Hour)
		key, err := s.Store.Store(s.ctx(t), tk)
		if err != nil {
			t.Fatal(err)
		}
		s.wantListed("both", "alice", dotnetKey, key)
		if err := s.Remove(s.ctx(t), dotnetKey); err != nil {
			t.Fatal(err)
		}
		s.wantDead("replaced", "alice", dotnetKey)
		s.wantListed("replaced", "alice", key)
	})
}

// The application gives a session to another user: the cap of the first has
// nothing to do with it any more, and nor has Store.
func TestStoreLeavesAnothers(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := newSite(t, b, StoreConfig{MaxSessions: 1})
		s.signIn(dotnetKey, "alice", time.Time{})
		old := s.retrieve(dotnetKey)
		s.signIn(dotnetKey, "bob", time.Time{})
		tk := ticketstore.NewTicket("alice")
		tk.ID, tk.ExpiresAt = old.ID, s.now().Add(time.Hour)
		if _, err := s.Store.Store(s.ctx(t), tk); err != nil {
			t.Fatal(err)
		}
		if got := s.retrieve(dotnetKey); got.Subject != "bob" {
			t.Errorf("got %+v, want bob's", got)
		}
		if got := s.listed("alice"); len(got) != 1 || got[0] != tk.ID {
			t.Errorf("got %q, want %q alone", got, tk.ID)
		}
	})
}

// What has the key of a session and is no hash is no session, is reported, and
// can be removed.
func TestForeignTypes(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		for what, make := range map[string][]any{
			"string": {"SET", "x"}, "empty string": {"SET", ""}, "list": {"RPUSH", "x"}, "zset": {"ZADD", 1, "x"}, "set": {"SADD", "x"},
		} {
			s := newSite(t, b.another(t), StoreConfig{})
			ctx := s.ctx(t)
			s.signIn(dotnetKey, "alice", time.Time{})
			tk := s.retrieve(dotnetKey)
			s.unlink(dotnetKey)
			put := func() {
				s.unlink(dotnetKey)
				if err := s.do(append([]any{make[0], s.recordKey(dotnetKey)}, make[1:]...)...).Err(); err != nil {
					t.Fatal(err)
				}
			}
			put()
			if tk, err := s.Retrieve(ctx, dotnetKey); !errors.Is(err, ticketstore.ErrUndecodable) ||
				!strings.Contains(err.Error(), "InstanceName") || !strings.Contains(err.Error(), "Prefix") {
				t.Errorf("%s: Retrieve: got %+v, %v, want ErrUndecodable that says what to check", what, tk, err)
			}
			if err := s.Renew(ctx, dotnetKey, tk); !errors.Is(err, ticketstore.ErrUndecodable) {
				t.Errorf("%s: Renew: got %v, want ErrUndecodable", what, err)
			}
			if got := s.client.Type(ctx, s.recordKey(dotnetKey)).Val(); got == "hash" || got == "none" {
				t.Errorf("%s: got a %s, want it untouched", what, got)
			}
			if sessions, _, err := s.SessionPage(ctx, "", 10); err != nil || len(sessions) != 1 || !sessions[0].Undecodable {
				t.Errorf("%s: SessionPage: got %+v, %v, want one undecodable", what, sessions, err)
			}
			if got, err := s.Reindex(ctx, nil); err != nil || got != (Reindexed{}) {
				t.Errorf("%s: Reindex: got %+v, %v, want none", what, got, err)
			}
			if err := s.Revoke(ctx, "alice", tk.ID); !errors.Is(err, ticketstore.ErrNotFound) {
				t.Errorf("%s: Revoke: got %v, want ErrNotFound", what, err)
			}
			s.wantListed(what, "alice")
			s.wantCount(what, 0, 0)
			if n, err := s.RevokeAll(ctx, "alice"); n != 0 || err != nil {
				t.Errorf("%s: RevokeAll: got %d, %v, want none", what, n, err)
			}
			if err := s.Remove(ctx, dotnetKey); err != nil {
				t.Errorf("%s: Remove: got %v, want none", what, err)
			}
			s.wantDead(what, "alice", dotnetKey)
		}
	})
}

// Our own field is never wrong but by hand. Then a session is dead only if the
// field says exactly that, and one that is alive can be listed and ended.
func TestGarbageInOurField(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		for _, ours := range []string{
			"", "1", "1 ", "1 0", "1 0 1", "1 0 1 ", "1  1 alice", "2 x", "2 0 1 alice", "1 zz 1 alice", "1 0 x alice", "1 0 -1 alice", "1 0 1.5 alice",
			"1 0 99999999999999999999 alice", "1 0 1e3 alice", "1 0 1 bob", "1 0 1 alice ", "1 0 1 a\nb", "1 0x 1 alice", "1\t0\t1\talice", " 1 0 1 alice",
			"gone ", " gone", "Gone", "gone 1", "gone\n", "\x00", "\xff\xfe", strings.Repeat("1 ", 5000),
		} {
			what := fmt.Sprintf("%.40q", ours)
			s := newSite(t, b.another(t), StoreConfig{})
			ctx := s.ctx(t)
			s.signIn(dotnetKey, "alice", time.Time{})
			s.do("HSET", s.recordKey(dotnetKey), "ticketstore", ours)
			s.listed("alice")
			tk, err := s.Retrieve(ctx, dotnetKey)
			if err != nil || tk.Subject != "alice" {
				t.Errorf("%s: Retrieve: got %+v, %v, want alice's", what, tk, err)
				continue
			}
			s.wantListed(what, "alice", dotnetKey)
			s.wantCount(what, 1, 1)
			if again, err := s.Retrieve(ctx, dotnetKey); err != nil || again.Revision != tk.Revision {
				t.Errorf("%s: got %+v, %v, want revision %s", what, again, err, tk.Revision)
			}
			if err := s.Renew(ctx, dotnetKey, tk); err != nil {
				t.Errorf("%s: Renew: got %v, want none", what, err)
			}
			if err := s.Revoke(ctx, "alice", tk.ID); err != nil {
				t.Errorf("%s: Revoke: got %v, want none", what, err)
				if err := s.Remove(ctx, dotnetKey); err != nil {
					t.Errorf("%s: Remove: got %v, want none", what, err)
				}
			}
			s.wantDead(what, "alice", dotnetKey)
		}
	})
}

// Undecodable data is reported, listed and can be ended, and is not deleted.
func TestUndecodable(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		for what, data := range map[string]string{"cut": "\x05", "empty": "", "old": "\x04\x00\x00\x00\x00", "text": "value of alice"} {
			for _, end := range []string{"Revoke", "RevokeAll", "Remove", "eviction"} {
				what := what + ", " + end
				s := newSite(t, b.another(t), StoreConfig{MaxSessions: 1})
				ctx := s.ctx(t)
				expires := s.now().Truncate(time.Second).Add(time.Hour)
				s.signIn(dotnetKey, "alice", expires)
				tk := s.retrieve(dotnetKey)
				s.do("HSET", s.recordKey(dotnetKey), "data", data)
				if tk, err := s.Retrieve(ctx, dotnetKey); !errors.Is(err, ticketstore.ErrUndecodable) || !strings.Contains(fmt.Sprint(err), sessionID(dotnetKey)) {
					t.Errorf("%s: got %+v, %v, want ErrUndecodable of the session", what, tk, err)
				}
				want := ticketstore.Session{ID: tk.ID, Subject: "alice", ExpiresAt: expires, Undecodable: true}
				same := func(got ticketstore.Session) bool {
					got.ExpiresAt = got.ExpiresAt.In(expires.Location())
					return got == want
				}
				if got, err := s.Sessions(ctx, "alice"); err != nil || len(got) != 1 || !same(got[0]) {
					t.Errorf("%s: Sessions: got %+v, %v, want %+v", what, got, err, want)
				}
				if got, _, err := s.SessionPage(ctx, "", 10); err != nil || len(got) != 1 || !same(got[0]) {
					t.Errorf("%s: SessionPage: got %+v, %v, want %+v", what, got, err, want)
				}
				if err := s.Renew(ctx, dotnetKey, tk); !errors.Is(err, ticketstore.ErrConflict) {
					t.Errorf("%s: Renew: got %v, want ErrConflict", what, err)
				}
				if got, _ := s.get(dotnetKey); string(got) != data {
					t.Errorf("%s: got %q, want it untouched", what, got)
				}
				var err error
				switch end {
				case "Revoke":
					err = s.Revoke(ctx, "alice", tk.ID)
				case "RevokeAll":
					_, err = s.RevokeAll(ctx, "alice")
				case "Remove":
					err = s.Remove(ctx, dotnetKey)
				case "eviction":
					newer := ticketstore.NewTicket("alice")
					newer.ExpiresAt = expires
					_, err = s.Store.Store(ctx, newer)
				}
				if err != nil {
					t.Errorf("%s: %v", what, err)
				}
				s.wantDead(what, "alice", dotnetKey)
			}
		}
		// Without data there is no session; listing repairs the index.
		cut := newSite(t, b.another(t), StoreConfig{})
		cut.signIn(dotnetKey, "alice", time.Time{})
		cut.retrieve(dotnetKey)
		cut.do("HDEL", cut.recordKey(dotnetKey), "data")
		cut.wantListed("without data", "alice")
		cut.wantCount("without data, and listed", 0, 0)
		cut.wantDead("without data", "alice", dotnetKey)

		// Unseen, it is in no index, and Renew says what it is.
		s := newSite(t, b.another(t), StoreConfig{})
		s.set(dotnetKey, []byte{5}, s.now().Add(time.Hour), 0)
		tk := ticketstore.NewTicket("alice")
		tk.ExpiresAt = s.now().Add(time.Hour)
		if err := s.Renew(s.ctx(t), dotnetKey, tk); !errors.Is(err, ticketstore.ErrUndecodable) {
			t.Errorf("Renew, unseen: got %v, want ErrUndecodable", err)
		}
		if err := s.Remove(s.ctx(t), dotnetKey); err != nil {
			t.Error(err)
		}
		s.wantDead("unseen", "alice", dotnetKey)
	})
}

// A record with an idle timeout of its own, as some applications give it, keeps
// that: reading and renewing prolong it as RedisCache does.
func TestSlidingRecord(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := newSite(t, b, StoreConfig{})
		now := s.now().Truncate(time.Second)
		const idle = 30 * time.Minute
		expires := now.Add(8 * time.Hour)
		s.set(dotnetKey, dotnetTicket(t, "alice", now, expires), expires, idle)
		shorten := func() { s.do("EXPIRE", s.recordKey(dotnetKey), 100) }
		shorten()
		c := s.count()
		tk := s.retrieve(dotnetKey)
		s.wantTTL("read", dotnetKey, idle)
		shorten()
		c.take()
		s.retrieve(dotnetKey)
		if got, want := c.take(), "hmget=1 pexpireat=1"; got != want {
			t.Errorf("read again: got %s, want %s", got, want)
		}
		s.wantTTL("read again", dotnetKey, idle)

		shorten()
		s.wantListed("listed", "alice", dotnetKey)
		s.wantTTL("listed, which is no use", dotnetKey, 100*time.Second)

		tk.ExpiresAt = now.Add(9 * time.Hour)
		if err := s.Renew(s.ctx(t), dotnetKey, tk); err != nil {
			t.Fatal(err)
		}
		fields := s.fields(dotnetKey)
		if got, want := fields["sldexp"]+" "+fields["absexp"], fmt.Sprint(int64(idle/100), " ", ticks(tk.ExpiresAt)); got != want {
			t.Errorf("renewed: got sldexp and absexp %s, want %s", got, want)
		}
		s.wantTTL("renewed", dotnetKey, idle)
		tk.ExpiresAt = now.Add(10 * time.Minute)
		if err := s.Renew(s.ctx(t), dotnetKey, tk); err != nil {
			t.Fatal(err)
		}
		s.wantTTL("renewed for less", dotnetKey, 10*time.Minute)
		s.retrieve(dotnetKey)
		s.wantTTL("read, with less to go", dotnetKey, 10*time.Minute)
	})
	b := miniBackend(t)
	s := newSite(t, b, StoreConfig{})
	s.set(dotnetKey, dotnetTicket(t, "alice", s.now(), s.now().Add(8*time.Hour)), s.now().Add(8*time.Hour), time.Minute)
	for range 10 {
		s.retrieve(dotnetKey)
		b.advance(50 * time.Second)
	}
	b.advance(10 * time.Second)
	if tk, err := s.Retrieve(s.ctx(t), dotnetKey); !errors.Is(err, ticketstore.ErrNotFound) {
		t.Errorf("idle: got %+v, %v, want ErrNotFound", tk, err)
	}
	s.wantListed("idle", "alice")
	s.wantCount("idle, and listed", 0, 0)
}

// What Go has read may have changed when a script comes: each looks again.
func TestScriptsLookAgain(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		later := b.now().Truncate(time.Second).Add(3 * time.Hour)
		t.Run("index", func(t *testing.T) {
			for what, change := range map[string]func(s *site){
				"renewed by .NET": func(s *site) { s.slide(dotnetKey, later) },
				"another user's":  func(s *site) { s.signIn(dotnetKey, "bob", time.Time{}) },
				"another's, seen": func(s *site) { s.signIn(dotnetKey, "bob", time.Time{}); s.retrieve(dotnetKey) },
				"ended by .NET":   func(s *site) { s.unlink(dotnetKey) },
				"ended by Go":     func(s *site) { s.Remove(s.ctx(t), dotnetKey) },
				"without data":    func(s *site) { s.do("HDEL", s.recordKey(dotnetKey), "data") },
				"brought back by .NET": func(s *site) {
					data, _ := s.get(dotnetKey)
					s.Remove(s.ctx(t), dotnetKey)
					s.set(dotnetKey, data, later, 0)
				},
				"a string": func(s *site) { s.do("SET", s.recordKey(dotnetKey), "x") },
			} {
				for _, seen := range []bool{false, true} {
					s := newSite(t, b.another(t), StoreConfig{})
					s.signIn(dotnetKey, "alice", time.Time{})
					if seen {
						s.retrieve(dotnetKey)
					}
					r, err := s.record(s.ctx(t), "test", dotnetKey)
					if err != nil {
						t.Fatal(err)
					}
					tk, err := s.ticket(r)
					if err != nil {
						t.Fatal(err)
					}
					change(s)
					before := fmt.Sprint(s.client.Type(s.ctx(t), s.recordKey(dotnetKey)), s.fieldsIfHash(dotnetKey))
					count, _ := s.Count(s.ctx(t))
					if done, err := s.index(s.ctx(t), r, tk); done || err != nil {
						t.Errorf("%s, seen %v: got %v, %v, want not done", what, seen, done, err)
					}
					if after := fmt.Sprint(s.client.Type(s.ctx(t), s.recordKey(dotnetKey)), s.fieldsIfHash(dotnetKey)); after != before {
						t.Errorf("%s, seen %v: got %s, want %s", what, seen, after, before)
					}
					s.wantCount(what, count.Subjects, count.Sessions)
				}
			}
			// Put there by another Go service in between.
			s := newSite(t, b.another(t), StoreConfig{})
			s.signIn(dotnetKey, "alice", time.Time{})
			unseen, _ := s.record(s.ctx(t), "test", dotnetKey)
			if done, err := s.index(s.ctx(t), unseen, s.retrieve(dotnetKey)); done || err != nil {
				t.Errorf("seen by another: got %v, %v, want not done", done, err)
			}
			s.wantListed("seen by another", "alice", dotnetKey)

			// Renewed by Go with the same data: the name of the write differs.
			s = newSite(t, b.another(t), StoreConfig{})
			s.signIn(dotnetKey, "alice", time.Time{})
			tk := s.retrieve(dotnetKey)
			if err := s.Renew(s.ctx(t), dotnetKey, tk); err != nil {
				t.Fatal(err)
			}
			r, _ := s.record(s.ctx(t), "test", dotnetKey)
			old := tk.Clone()
			if err := s.Renew(s.ctx(t), dotnetKey, tk); err != nil {
				t.Fatal(err)
			}
			if tk.Revision[:40] != old.Revision[:40] || tk.Revision == old.Revision {
				t.Fatalf("got revisions %s and %s: the setup is not what it says", old.Revision, tk.Revision)
			}
			if done, err := s.index(s.ctx(t), r, old); done || err != nil {
				t.Errorf("renewed with the same data: got %v, %v, want not done", done, err)
			}
			if err := s.Renew(s.ctx(t), dotnetKey, old); !errors.Is(err, ticketstore.ErrConflict) {
				t.Errorf("Renew with the revision before, of the same data: got %v, want ErrConflict", err)
			}
			// Seen anew, it keeps that name, or Go's next renewal would fail.
			s.slide(dotnetKey, later)
			if got := s.retrieve(dotnetKey); got.Revision[40:] != tk.Revision[40:] {
				t.Errorf("got revision %s, want the write of %s", got.Revision, tk.Revision)
			}
		})
		t.Run("prune", func(t *testing.T) {
			s := newSite(t, b.another(t), StoreConfig{})
			for i, subject := range []string{"alice", "alice", "bob", "alice"} {
				s.signIn(keyNo(i), subject, time.Time{})
				s.retrieve(keyNo(i))
			}
			s.unlink(keyNo(1))
			keys := []ticketstore.Key{keyNo(0), keyNo(1), keyNo(2)}
			n, err := pruneScript.Run(s.ctx(t), s.client, s.withRecords(s.indexKeys("alice"), keys), withKeys([]any{"alice"}, keys)...).Int()
			if n != 2 || err != nil { // the one that has ended, and bob's
				t.Errorf("got %d, %v, want 2", n, err)
			}
			s.wantCount("pruned", 2, 3)
			s.wantListed("pruned", "alice", keyNo(0), keyNo(3))
			s.wantListed("pruned", "bob", keyNo(2))
		})
		t.Run("remove", func(t *testing.T) {
			s := newSite(t, b.another(t), StoreConfig{})
			remove := func(what string, want int) {
				t.Helper()
				keys := append([]string{s.recordKey(dotnetKey)}, s.indexKeys("alice")...)
				if n, err := removeScript.Run(s.ctx(t), s.client, keys, string(dotnetKey), "alice").Int(); n != want || err != nil {
					t.Errorf("%s: got %d, %v, want %d ended", what, n, err, want)
				}
			}
			remove("nothing there", 0)
			if s.client.Exists(s.ctx(t), s.recordKey(dotnetKey)).Val() != 0 {
				t.Error("nothing there: got a tombstone")
			}
			s.signIn(dotnetKey, "alice", time.Time{})
			s.retrieve(dotnetKey)
			remove("a session", 1)
			s.wantCount("a session", 0, 0)
			remove("a tombstone", 0)
			s.wantTTL("a tombstone", dotnetKey, time.Hour)
			s.signIn(dotnetKey, "alice", later)
			data, _ := s.get(dotnetKey)
			keys := append([]string{s.recordKey(dotnetKey)}, s.indexKeys("alice")...)
			if got, err := renewScript.Run(s.ctx(t), s.client, keys, string(dotnetKey), "alice", revision(data, "0"), data, ticks(later), later.UnixMilli(), newWrite()).Text(); got != "GONE" || err != nil {
				t.Errorf("brought back, renew: got %s, %v, want GONE", got, err)
			}
			remove("brought back", 0)
			s.wantTTL("brought back", dotnetKey, later.Sub(s.now()))
			s.wantDead("brought back", "alice", dotnetKey)
		})
		store := func(s *site, key ticketstore.Key, replaced ticketstore.Key, again string, goes ...ticketstore.Key) string {
			t.Helper()
			data := dotnetTicket(t, "alice", s.now(), later)
			keys := append([]string{s.recordKey(key)}, s.indexKeys("alice")...)
			args := []any{string(key), "alice", data, ticks(later), later.UnixMilli(), 3, string(replaced), newWrite(), again, clock.AtServer(s.ctx(t)).UnixMilli()}
			status, err := storeScript.Run(s.ctx(t), s.client, s.withRecords(keys, goes), withKeys(args, goes)...).Text()
			if err != nil {
				t.Errorf("store: %v", err)
			}
			return status
		}
		full := func() *site {
			s := newSite(t, b.another(t), StoreConfig{MaxSessions: 3})
			for i, subject := range []string{"alice", "alice", "alice", "bob"} {
				s.signIn(keyNo(i), subject, time.Time{})
				s.retrieve(keyNo(i))
			}
			return s
		}
		t.Run("store at the cap", func(t *testing.T) {
			s := full()
			for what, goes := range map[string][]ticketstore.Key{"none": nil, "bob's": {keyNo(3)}, "strangers": {keyNo(8), keyNo(9)}} {
				if got := store(s, keyNo(10), "", "", goes...); got != "FULL" {
					t.Errorf("%s may go: got %s, want FULL", what, got)
				}
			}
			s.wantListed("full", "alice", keyNo(0), keyNo(1), keyNo(2))
			if got := store(s, keyNo(10), "", "", keyNo(3), keyNo(9), keyNo(1), keyNo(0), keyNo(2)); got != "OK" {
				t.Errorf("all may go: got %s, want OK", got)
			}
			s.wantListed("one went", "alice", keyNo(0), keyNo(2), keyNo(10))
			s.wantListed("not bob's", "bob", keyNo(3))
			s.wantDead("the first that might", "alice", keyNo(1))
			if got := store(s, keyNo(11), keyNo(0), ""); got != "OK" {
				t.Errorf("one is replaced: got %s, want OK", got)
			}
			s.wantListed("replaced, for its caller to end", "alice", keyNo(0), keyNo(2), keyNo(10), keyNo(11))
			if err := s.Remove(s.ctx(t), keyNo(0)); err != nil {
				t.Error(err)
			}
			s.wantListed("replaced", "alice", keyNo(2), keyNo(10), keyNo(11))
			if got := store(s, keyNo(12), keyNo(3), ""); got != "FULL" {
				t.Errorf("bob's is replaced: got %s, want FULL", got)
			}
			if got := store(s, keyNo(12), keyNo(3), "", keyNo(2)); got != "OK" {
				t.Errorf("bob's is replaced, one may go: got %s, want OK", got)
			}
			s.wantListed("not bob's", "bob", keyNo(3))
			s.retrieve(keyNo(3))
			s.wantCount("at the end", 2, 4)
		})
		t.Run("store on a key in use", func(t *testing.T) {
			s := full()
			s.Remove(s.ctx(t), keyNo(0))
			for what, test := range map[string]struct {
				key   ticketstore.Key
				again string
				want  string
			}{
				"in use":           {keyNo(3), "", "TAKEN"},
				"in use, again":    {keyNo(3), "again", "TAKEN"},
				"has ended":        {keyNo(0), "", "TAKEN"},
				"has ended, again": {keyNo(0), "again", "OK"},
			} {
				if what == "has ended, again" {
					continue // last
				}
				if got := store(s, test.key, "", test.again); got != test.want {
					t.Errorf("%s: got %s, want %s", what, got, test.want)
				}
			}
			s.wantListed("in use", "bob", keyNo(3))
			s.wantDead("has ended", "alice", keyNo(0))
			if got := store(s, keyNo(0), "", "again"); got != "OK" {
				t.Errorf("has ended, again: got %s, want OK", got)
			}
			s.wantListed("again", "alice", keyNo(0), keyNo(1), keyNo(2))
			s.retrieve(keyNo(0))
		})
		t.Run("past by the clock of Redis alone", func(t *testing.T) {
			s := full()
			behind := clock.NewContext(t.Context(), func() time.Time { return s.now().Add(-3 * time.Hour) })
			behind = clock.WithServer(behind, func() time.Time { return clock.AtServer(s.ctx(t)) })
			tk := ticketstore.NewTicket("alice")
			tk.ExpiresAt = s.now().Add(-time.Hour)
			if _, err := s.Store.Store(behind, tk); !errors.Is(err, ticketstore.ErrInvalidTicket) {
				t.Errorf("Store: got %v, want ErrInvalidTicket", err)
			}
			current := s.retrieve(keyNo(0))
			current.ExpiresAt = tk.ExpiresAt
			if err := s.Renew(behind, keyNo(0), current); !errors.Is(err, ticketstore.ErrInvalidTicket) {
				t.Errorf("Renew: got %v, want ErrInvalidTicket", err)
			}
			s.wantListed("as before", "alice", keyNo(0), keyNo(1), keyNo(2))
			s.retrieve(keyNo(0))
		})
	})
}

func (s *site) fieldsIfHash(key ticketstore.Key) map[string]string {
	m, _ := s.client.HGetAll(s.ctx(s.tb), s.recordKey(key)).Result()
	return m
}

// All sets of the index go with their last session, also what Go has only seen.
func TestNothingIsLeft(t *testing.T) {
	b := miniBackend(t)
	s := newSite(t, b, StoreConfig{})
	now := s.now().Truncate(time.Second)
	expires := now.Add(time.Hour)
	s.signIn(keyNo(0), "alice", expires)
	s.retrieve(keyNo(0))
	s.signIn(keyNo(1), "bob", expires)
	s.reindexed()
	s.signIn(keyNo(2), "carol", now.Add(10*time.Minute))
	tk := s.retrieve(keyNo(2))
	tk.ExpiresAt = expires
	if err := s.Renew(s.ctx(t), keyNo(2), tk); err != nil {
		t.Fatal(err)
	}
	tk = ticketstore.NewTicket("dave")
	tk.ExpiresAt = expires
	if _, err := s.Store.Store(s.ctx(t), tk); err != nil {
		t.Fatal(err)
	}
	s.signIn(keyNo(3), "erin", expires)
	s.retrieve(keyNo(3))
	s.signIn(keyNo(3), "frank", expires)
	s.retrieve(keyNo(3))
	s.wantCount("at first", 5, 5)
	for _, name := range b.mini.Keys() {
		if ttl := b.mini.TTL(name); ttl <= 0 || ttl > time.Hour {
			t.Errorf("%s: got a TTL of %v, want at most an hour", name, ttl)
		}
	}
	if b.mini.Exists(s.indexKeys("erin")[0]) {
		t.Error("erin's index is left")
	}
	b.advance(expires.Sub(s.now()) - time.Second)
	s.wantCount("a second before", 5, 5)
	b.advance(time.Second)
	if keys := b.mini.Keys(); len(keys) != 0 {
		t.Errorf("got %q, want nothing", keys)
	}
}
