package aspnetcore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/admin"
)

// A seed is a session of the application to begin with.
type seed struct {
	key     ticketstore.Key
	subject string
	expires time.Time
	data    []byte // if not nil, instead of a ticket
	items   []pair
}

// sow puts sessions of the application into Redis, many at a time.
func (s *site) sow(seeds []seed) {
	s.tb.Helper()
	pipe := s.client.Pipeline()
	for _, one := range seeds {
		data := one.data
		if data == nil {
			data = dotnetTicket(s.tb, one.subject, s.now(), one.expires, one.items...)
		}
		for _, args := range s.setCommands(one.key, data, one.expires, 0) {
			pipe.Do(s.ctx(s.tb), args...)
		}
	}
	if _, err := pipe.Exec(s.ctx(s.tb)); err != nil {
		s.tb.Fatal(err)
	}
}

func (s *site) reindexed() Reindexed {
	s.tb.Helper()
	got, err := s.Reindex(s.ctx(s.tb), nil)
	if err != nil {
		s.tb.Fatalf("Reindex: %v", err)
	}
	return got
}

// Reindex finds the application's sessions among much else, and says exactly
// what it did.
func TestReindex(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		sessions, users := 3000, 700
		if b.mini != nil { // whose scripts are slow
			sessions, users = 300, 70
		}
		s := newSite(t, b, StoreConfig{})
		ctx, now := s.ctx(t), s.now().Truncate(time.Second)
		if got := s.reindexed(); got != (Reindexed{}) {
			t.Errorf("empty: got %+v", got)
		}
		var seeds []seed
		want := Reindexed{}
		keys := map[string][]string{} // the IDs of each subject
		var seen, ended, again, cut []ticketstore.Key
		for i := range sessions {
			one := seed{key: keyNo(i), subject: fmt.Sprint("user ", i%users), expires: now.Add(time.Hour + time.Duration(i%7)*time.Minute)}
			switch {
			case i%50 == 0:
				one.data = []byte("value of alice")
				want.Sessions, want.Undecodable = want.Sessions+1, want.Undecodable+1
			case i%50 == 1:
				one.items = []pair{{itemEndsAt, formatOwnTime(now.Add(-time.Minute))}}
			case i%50 == 2:
				ended = append(ended, one.key)
			case i%50 == 3:
				ended, again = append(ended, one.key), append(again, one.key)
			case i%50 == 4:
				cut = append(cut, one.key)
			default:
				want.Sessions++
				if i%10 == 9 {
					seen = append(seen, one.key)
				} else {
					want.Added++
				}
				keys[one.subject] = append(keys[one.subject], sessionID(one.key))
			}
			seeds = append(seeds, one)
		}
		s.sow(seeds)
		for _, key := range seen {
			s.retrieve(key)
		}
		for _, key := range ended {
			if err := s.Remove(ctx, key); err != nil {
				t.Fatal(err)
			}
		}
		for _, key := range again {
			s.signIn(key, "user 1", time.Time{})
		}
		for _, key := range cut {
			s.do("HDEL", s.recordKey(key), "data")
		}
		// What is no record of this application.
		for _, name := range []string{"AuthSessionStore", "authsessionstore-1", "xAuthSessionStore-1", "SessionTicket-1", ""} {
			s.do("HSET", s.Store.instance+name, "data", dotnetTicket(t, "mallory", now, now.Add(time.Hour)))
		}
		s.do("HSET", "x"+s.recordKey(dotnetKey), "data", dotnetTicket(t, "mallory", now, now.Add(time.Hour)))
		s.do("SET", s.recordKey(dotnetKey), "a string")
		s.do("RPUSH", s.recordKey(dotnetKey+"1"), "a list")

		each := sessions / 50
		if n := want.Added; n != 40*each || len(seen) != 5*each || want.Undecodable != each || len(ended) != 2*each || len(again) != each || len(cut) != each {
			t.Fatalf("%d to add, %d seen, %d undecodable, %d written again, %d cut: the setup is not what it says", n, len(seen), want.Undecodable, len(again), len(cut))
		}
		calls, last := 0, Reindexed{}
		got, err := s.Reindex(ctx, func(r Reindexed) {
			calls++
			if r.Sessions < last.Sessions || r.Added < last.Added || r.Undecodable < last.Undecodable {
				t.Errorf("progress: got %+v after %+v", r, last)
			}
			last = r
		})
		if err != nil || got != want || last != want {
			t.Errorf("got %+v, %v, progress %+v, want %+v", got, err, last, want)
		}
		if calls < 1 || b.mini == nil && calls < 3 {
			t.Errorf("progress: got %d calls", calls)
		}
		s.wantCount("reindexed", int64(len(keys)), int64(want.Added+len(seen)))
		for subject, ids := range keys {
			slices.Sort(ids)
			if got := s.listed(subject); !slices.Equal(got, ids) {
				t.Errorf("sessions of %s: got %q, want %q", subject, got, ids)
			}
		}
		want.Added = 0
		if again := s.reindexed(); again != want {
			t.Errorf("again: got %+v, want %+v", again, want)
		}
		if subjects := s.subjects(); len(subjects) != len(keys) {
			t.Errorf("Subjects: got %d, want %d", len(subjects), len(keys))
		}

		// It follows what the application has changed since.
		s.slide(seen[0], now.Add(3*time.Hour))
		s.signIn(seen[1], "new user", now.Add(time.Hour))
		want.Added = 1 // the other one was there
		if again := s.reindexed(); again != want {
			t.Errorf("after two changes: got %+v, want %+v", again, want)
		}
		s.wantListed("after two changes", "new user", seen[1])

		for _, key := range again {
			if _, ok := s.get(key); ok {
				t.Error("the application still reads what it has brought back")
			}
		}

		// The index can be lost, and made anew.
		s.do("DEL", s.indexKeys("new user")[0])
		s.wantListed("lost", "new user")
		want.Added = 1
		if again := s.reindexed(); again != want {
			t.Errorf("after a loss: got %+v, want %+v", again, want)
		}
		s.wantListed("after a loss", "new user", seen[1])
	})
}

func (s *site) subjects() map[string]int {
	s.tb.Helper()
	m := map[string]int{}
	for subject, err := range s.Subjects(s.ctx(s.tb)) {
		if err != nil {
			s.tb.Fatalf("Subjects: %v", err)
		}
		m[subject]++
	}
	return m
}

// An instance name is a name, not a pattern.
func TestReindexNames(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		base, tag := b.another(t), "{"+strings.Trim(b.instance, "{}:")+"}"
		for name, others := range map[string][]string{
			`a*[b]:`:   {"axyzb:", "ab:", "a*b:", "aAuthSessionStore-1b:"},
			`a?:`:      {"ab:", "aa:"},
			`a\b:`:     {"ab:", `a\\b:`},
			`[^x]:`:    {"y:", "x:"},
			`[a-z]`:    {"b", "a"},
			`a\*:`:     {"a*:", "ab:", `a\b:`},
			"shop one": {"shop", "shop  one"},
			"":         {"x", "xx:"},
		} {
			with := func(name string) *site {
				return newSite(t, &backend{client: base.client, instance: tag + name, mini: base.mini, fixed: base.fixed}, StoreConfig{})
			}
			s := with(name)
			var all []*site
			for _, other := range others {
				all = append(all, with(other))
				all[len(all)-1].signIn(keyNo(1), "mallory", time.Time{})
			}
			s.signIn(dotnetKey, "alice", time.Time{})
			if got, want := s.reindexed(), (Reindexed{Sessions: 1, Added: 1}); got != want {
				t.Errorf("%q beside %q: got %+v, want %+v", name, others, got, want)
			}
			s.wantListed(name, "alice", dotnetKey)
			s.wantListed(name, "mallory")
			for _, o := range all {
				o.unlink(keyNo(1))
			}
			s.Remove(s.ctx(t), dotnetKey)
			s.unlink(dotnetKey)
		}
	})
}

func TestReindexStops(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := newSite(t, b, StoreConfig{})
		var seeds []seed
		n := 2500
		if b.mini != nil {
			n = 100
		}
		for i := range n {
			seeds = append(seeds, seed{key: keyNo(i), subject: "alice", expires: s.now().Add(time.Hour)})
		}
		s.sow(seeds)
		canceled, cancel := context.WithCancel(s.ctx(t))
		cancel()
		if got, err := s.Reindex(canceled, nil); !errors.Is(err, context.Canceled) || got != (Reindexed{}) || !strings.HasPrefix(err.Error(), "aspnetcore: reindex: ") {
			t.Errorf("canceled: got %+v, %v, want context.Canceled", got, err)
		}
		// On miniredis a SCAN is one step.
		ctx, cancel := context.WithCancel(s.ctx(t))
		defer cancel()
		got, err := s.Reindex(ctx, func(Reindexed) { cancel() })
		if b.mini == nil && (!errors.Is(err, context.Canceled) || got.Sessions == 0 || got.Sessions >= len(seeds) || got.Added != got.Sessions) {
			t.Errorf("canceled in the first step: got %+v, %v, want context.Canceled and what was done", got, err)
		}
		// It goes on where it was: what was done stays done.
		if n := s.reindexed().Added; n+got.Added != len(seeds) {
			t.Errorf("got %d, then %d, want %d in all", got.Added, n, len(seeds))
		}
	})
	s := newSite(t, miniBackend(t), StoreConfig{})
	s.mini.SetError("LOADING Redis is loading")
	if _, err := s.Reindex(s.ctx(t), nil); err == nil || !strings.Contains(err.Error(), "LOADING") {
		t.Errorf("outage: got %v", err)
	}
}

// pages returns how often each session is on a page. between, if not nil, is
// called with the IDs of a page.
func (s *site) pages(limit int, between func(ids []string)) map[string]int {
	s.tb.Helper()
	seen := map[string]int{}
	for cursor, n := "", 0; ; n++ {
		sessions, next, err := s.SessionPage(s.ctx(s.tb), cursor, limit)
		if err != nil || len(sessions) > limit {
			s.tb.Fatalf("cursor %q: got %d sessions, %v, want at most %d", cursor, len(sessions), err, limit)
		}
		var ids []string
		for _, one := range sessions {
			seen[one.ID]++
			ids = append(ids, one.ID)
		}
		if next == "" {
			return seen
		}
		if next == cursor || n > 10_000 {
			s.tb.Fatalf("the pages do not end: cursor %q again", next)
		}
		if strings.Contains(next, "AuthSession") || len(next) > 60 {
			s.tb.Errorf("got cursor %q", next)
		}
		cursor = next
		if between != nil {
			between(ids)
		}
	}
}

func TestSessionPage(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := newSite(t, b, StoreConfig{})
		if seen := s.pages(10, nil); len(seen) != 0 {
			t.Errorf("empty: got %d sessions", len(seen))
		}
		now := s.now().Truncate(time.Second)
		var seeds []seed
		want := map[string]int{}
		for i := range 450 {
			one := seed{key: keyNo(i), subject: fmt.Sprint("user ", i%40), expires: now.Add(time.Hour)} // two thirds in one second
			if i%3 == 0 {
				one.expires = now.Add(time.Hour + time.Duration(i%17-8)*time.Second)
			}
			seeds = append(seeds, one)
			want[sessionID(one.key)] = 1
		}
		s.sow(seeds)
		s.reindexed()
		for _, limit := range []int{1, 2, 7, 299, 300, 301, 449, 450, 451, 1000} {
			if limit == 1 && b.mini == nil {
				continue // 450 round trips, and more
			}
			if seen := s.pages(limit, nil); !maps.Equal(seen, want) {
				t.Errorf("limit %d: got %d sessions, want each of %d once", limit, len(seen), len(want))
			}
		}
		page, _, err := s.SessionPage(s.ctx(t), "", 1000)
		if err != nil || !slices.IsSortedFunc(page, func(a, b ticketstore.Session) int { return a.ExpiresAt.Compare(b.ExpiresAt) }) {
			t.Errorf("got %v, or not by expiry: %+v", err, page)
		}
		for _, one := range page[:30] {
			if same, err := s.Session(s.ctx(t), one.Subject, one.ID); err != nil || same != one {
				t.Errorf("got %+v, Session says %+v, %v", one, same, err)
			}
		}
		if got, want := s.subjects(), 40; len(got) != want || slices.Max(slices.Collect(maps.Values(got))) != 1 {
			t.Errorf("Subjects: got %v, want %d, each once", got, want)
		}
		s.wantCount("all", 40, 450)

		// The session at the cursor ends, before the next page is asked for. The
		// others are not missed.
		left, ended := maps.Clone(want), 0
		seen := s.pages(50, func(ids []string) {
			if ended == 5 { // each time, the rest of that second comes again
				return
			}
			ended++
			id := ids[len(ids)-1]
			delete(left, id)
			for _, one := range seeds {
				if sessionID(one.key) == id {
					if err := s.Remove(s.ctx(t), one.key); err != nil {
						t.Fatal(err)
					}
				}
			}
		})
		if len(left) != 445 {
			t.Errorf("%d are left: the setup is not what it says", len(left))
		}
		for id := range left {
			if seen[id] == 0 {
				t.Errorf("%s is missed", id)
			}
		}
	})
}

// What is renewed between two pages, by either, may come again; nothing is
// missed.
func TestSessionPageWhileRenewing(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := newSite(t, b, StoreConfig{})
		now := s.now().Truncate(time.Second)
		var seeds []seed
		for i := range 120 {
			seeds = append(seeds, seed{key: keyNo(i), subject: fmt.Sprint("user ", i%5), expires: now.Add(time.Hour + time.Duration(i/4)*time.Second)})
		}
		s.sow(seeds)
		s.reindexed()
		n := 0
		seen := s.pages(7, func([]string) {
			for range 3 {
				key := seeds[n*37%len(seeds)].key
				n++
				tk := s.retrieve(key)
				s.slide(key, tk.ExpiresAt.Add(time.Minute))
				if n%2 == 0 {
					tk = s.retrieve(key)
					tk.ExpiresAt = tk.ExpiresAt.Add(time.Minute)
					if err := s.Renew(s.ctx(t), key, tk); err != nil {
						t.Fatal(err)
					}
				}
			}
		})
		if len(seen) != len(seeds) || n < 20 {
			t.Errorf("got %d sessions with %d renewals, want %d", len(seen), n, len(seeds))
		}
	})
}

func TestSessionPageBadInput(t *testing.T) {
	b := miniBackend(t)
	s := newSite(t, b, StoreConfig{})
	ctx := s.ctx(t)
	good := fmt.Sprintf("%d.%s", s.now().UnixMilli(), sessionID(dotnetKey))
	if sessions, next, err := s.SessionPage(ctx, good, 10); err != nil || len(sessions) != 0 || next != "" {
		t.Errorf("%q: got %v, %q, %v, want none", good, sessions, next, err)
	}
	at, id, _ := strings.Cut(good, ".")
	for _, cursor := range []string{
		"x", ".", "..", "0", "0.", at, at + ".", id, "." + id, good + ".", good + "x", " " + good, "+" + good, "0" + good, at + "." + id[1:], at + "." + id + id,
		"99999999999999999999." + id, "1e3." + id, "0x1." + id, "07.1790000000000.019c5e7f-0000-7000-8000-000000000000", strings.Repeat("0", 1<<16),
	} {
		if sessions, _, err := s.SessionPage(ctx, cursor, 10); !errors.Is(err, ticketstore.ErrNotFound) {
			t.Errorf("%.60q: got %v, %v, want ErrNotFound", cursor, sessions, err)
		}
	}
	for _, limit := range []int{-1, 0, 1001} {
		if _, _, err := s.SessionPage(ctx, "", limit); err == nil || errors.Is(err, ticketstore.ErrNotFound) {
			t.Errorf("limit %d: got %v, want an error of its own", limit, err)
		}
	}
	b.mini.SetError("LOADING Redis is loading")
	_, _, err1 := s.SessionPage(ctx, "", 10)
	_, err2 := s.Count(ctx)
	var err3 error
	n := 0
	for _, err := range s.Subjects(ctx) {
		n++
		err3 = err
	}
	for _, err := range []error{err1, err2, err3} {
		if err == nil || errors.Is(err, ticketstore.ErrNotFound) || !strings.Contains(err.Error(), "LOADING") || !strings.HasPrefix(err.Error(), "aspnetcore: ") {
			t.Errorf("outage: got %v", err)
		}
	}
	wantCount(t, "errors of Subjects", n, 1)
}

// Subjects stops when it is told to.
func TestSubjectsBreak(t *testing.T) {
	s := newSite(t, miniBackend(t), StoreConfig{})
	for i := range 5 {
		s.signIn(keyNo(i), fmt.Sprint("user ", i), time.Time{})
	}
	s.reindexed()
	n := 0
	for _, err := range s.Subjects(s.ctx(t)) {
		if n++; err != nil || n == 2 {
			break
		}
	}
	wantCount(t, "subjects", n, 2)
}

// What the census says is over is so by the clock, without a write in between.
func TestCountExpires(t *testing.T) {
	b := miniBackend(t)
	s := newSite(t, b, StoreConfig{})
	now := s.now().Truncate(time.Second)
	s.signIn(keyNo(1), "alice", now.Add(time.Hour))
	s.signIn(keyNo(2), "alice", now.Add(2*time.Hour))
	s.signIn(keyNo(3), "bob", now.Add(time.Hour))
	s.reindexed()
	s.wantCount("at first", 2, 3)
	b.advance(now.Add(time.Hour).Sub(s.now()))
	s.wantCount("an hour later", 1, 1)
	if got := s.subjects(); !maps.Equal(got, map[string]int{"alice": 1}) {
		t.Errorf("got %v, want alice", got)
	}
	if seen := s.pages(1, nil); len(seen) != 1 {
		t.Errorf("got %v, want one", seen)
	}
	b.advance(time.Hour)
	s.wantCount("two hours later", 0, 0)
	if keys := b.mini.Keys(); len(keys) != 0 {
		t.Errorf("got %q, want nothing left", keys)
	}
}

// A batch of a revocation is a thousand.
func TestRevokeMany(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := newSite(t, b, StoreConfig{})
		ctx := s.ctx(t)
		for _, n := range []int{999, 1000, 1001, 2001} {
			if b.mini != nil {
				n -= 980
			}
			var seeds []seed
			for i := range n {
				seeds = append(seeds, seed{key: keyNo(n*10000 + i), subject: "alice", expires: s.now().Add(time.Hour)})
			}
			seeds = append(seeds, seed{key: keyNo(1), subject: "bob", expires: s.now().Add(time.Hour)})
			s.sow(seeds)
			s.reindexed()
			keep := seeds[n/2].key
			if got, err := s.RevokeOthers(ctx, "alice", sessionID(keep)); err != nil || got != n-1 {
				t.Errorf("RevokeOthers of %d: got %d, %v, want %d", n, got, err, n-1)
			}
			s.wantListed("kept", "alice", keep)
			if got, err := s.RevokeAll(ctx, "alice"); err != nil || got != 1 {
				t.Errorf("RevokeAll: got %d, %v, want 1", got, err)
			}
			s.wantListed("none", "alice")
			s.retrieve(keyNo(1))
			for _, i := range []int{0, n / 2, n - 1} {
				if tk, err := s.Retrieve(ctx, seeds[i].key); !errors.Is(err, ticketstore.ErrNotFound) {
					t.Errorf("%d of %d: got %+v, %v, want ErrNotFound", i, n, tk, err)
				}
			}
		}
	})
}

// RevokeOthers but what is not live, or not the subject's, changes nothing.
func TestRevokeOthersBut(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := newSite(t, b, StoreConfig{})
		ctx := s.ctx(t)
		for i, subject := range []string{"alice", "alice", "alice", "bob", "alice"} {
			s.signIn(keyNo(i), subject, time.Time{})
		}
		s.reindexed()
		s.unlink(keyNo(2))
		s.do("HDEL", s.recordKey(keyNo(4)), "data")
		for _, keep := range []string{sessionID(keyNo(2)), sessionID(keyNo(3)), sessionID(dotnetKey), "", string(keyNo(0))} {
			if n, err := s.RevokeOthers(ctx, "alice", keep); n != 0 || !errors.Is(err, ticketstore.ErrNotFound) {
				t.Errorf("keep %q: got %d, %v, want ErrNotFound", keep, n, err)
			}
		}
		s.wantListed("untouched", "alice", keyNo(0), keyNo(1))

		// That it is live is checked by the script, too: it may end in between.
		for _, keep := range []ticketstore.Key{keyNo(2), keyNo(4)} {
			if n, _, err := s.revoke(ctx, "alice", keep, []ticketstore.Key{keyNo(0)}); n != 0 || !errors.Is(err, ticketstore.ErrNotFound) {
				t.Errorf("ended in between: got %d, %v, want ErrNotFound", n, err)
			}
		}
		if n, _, err := s.revoke(ctx, "alice", keyNo(3), []ticketstore.Key{keyNo(0)}); n != 0 || !errors.Is(err, ticketstore.ErrNotFound) {
			t.Errorf("of another: got %d, %v, want ErrNotFound", n, err)
		}
		// And whose each is.
		if n, _, err := s.revoke(ctx, "alice", "", []ticketstore.Key{keyNo(3), keyNo(1)}); n != 1 || err != nil {
			t.Errorf("one of another among them: got %d, %v, want 1", n, err)
		}
		s.wantListed("bob's", "bob", keyNo(3))
		s.wantListed("alice's", "alice", keyNo(0))
	})
}

// The pages of package admin work on a Store.
func TestAdmin(t *testing.T) {
	s := newSite(t, miniBackend(t), StoreConfig{})
	s.signIn(dotnetKey, "alice", time.Time{})
	s.retrieve(dotnetKey)
	h, err := admin.New(s.Store, func(*http.Request) bool { return true }, admin.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(method, target string) (int, string) {
		w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(s.ctx(t), method, target, nil)
		r.Header.Set("Accept", "application/json")
		h.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	for _, target := range []string{"/", "/?subject=alice"} {
		if code, body := ask("GET", target); code != http.StatusOK || !strings.Contains(body, "alice") || !strings.Contains(body, sessionID(dotnetKey)) || strings.Contains(body, string(dotnetKey)) {
			t.Errorf("%s: got %d, %s, want alice's session, without its key", target, code, body)
		}
	}
	if code, body := ask("DELETE", "/?subject=alice&session="+sessionID(dotnetKey)); code != http.StatusNoContent {
		t.Errorf("DELETE: got %d, %s, want 204", code, body)
	}
	s.wantDead("ended by an operator", "alice", dotnetKey)
}

// A member that some other program has put into an index is no harm.
func TestForeignMembers(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := newSite(t, b, StoreConfig{MaxSessions: 2})
		ctx := s.ctx(t)
		s.signIn(dotnetKey, "alice", time.Time{})
		s.retrieve(dotnetKey)
		index := s.indexKeys("alice")
		for _, member := range []string{"", "x", "AuthSessionStore-", strings.Repeat("x", 1000)} {
			for _, set := range index[:2] {
				s.client.ZAdd(ctx, set, redis.Z{Score: float64(s.now().Add(time.Minute).UnixMilli()), Member: member})
			}
		}
		s.wantListed("with strangers", "alice", dotnetKey)
		s.wantCount("listed", 1, 1)
		for i := range 3 {
			tk := ticketstore.NewTicket("alice")
			tk.ExpiresAt = s.now().Add(time.Hour)
			if _, err := s.Store.Store(ctx, tk); err != nil {
				t.Errorf("sign-in %d: %v", i, err)
			}
		}
		if got := s.listed("alice"); len(got) != 2 {
			t.Errorf("got %q, want two", got)
		}
	})
}
