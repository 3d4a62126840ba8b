package ticketstore

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore/internal/clock"
	"github.com/ticketstore/ticketstore/internal/redistest"
	"github.com/ticketstore/ticketstore/internal/unsent"
)

var seedFlag = flag.Int64("seed", 0, "seed of the first round of the model tests; 0 for a random one")

// 5. Counts are exact after any sequence of operations and expiries.
func TestInvariant05CountsAreExact(t *testing.T) {
	eachMode(t, func(t *testing.T, b *backend) {
		runModel(t, b, 4, 12, 2, nil)
	})
}

// Thousands of sequences on a real Redis; they must meet every outcome there
// is, or the test shows too little.
func TestModel(t *testing.T) {
	t.Parallel()
	b := realBackend(t)
	if testing.Short() {
		runModel(t, b, 8, 30, 1, nil)
		return
	}
	runModel(t, b, 8, 60, 8, []string{
		"Store: ok", "Store: replaces", "Store: evicts 1", "Store: evicts 2", "Store: names a stranger's", "Store: too many sessions", "Store: invalid ticket",
		"Renew: ok", "Renew: conflict", "Renew: not found", "Renew: invalid ticket", "Renew: expires earlier",
		"Rotate: ok", "Rotate: conflict", "Rotate: not found", "Rotate: invalid ticket", "Rotate: expires earlier",
		"Renew: unsent key", "Renew: key of a lost response's request", "Rotate: unsent key", "Rotate: key of a lost response's request",
		"Remove: current key", "Remove: rotated key", "Remove: key past its grace", "Remove: nothing", "Remove: superseded key",
		"Revoke: ok", "Revoke: not found", "RevokeOthers: ok", "RevokeOthers: not found", "RevokeAll: ok", "RevokeAll: nothing",
		"Retrieve: current key", "Retrieve: rotated key", "Retrieve: not found", "Retrieve: unsent key", "Retrieve: key of a lost response's request", "Retrieve: superseded key",
		"Retrieve: key past its grace", "Session: ok", "Session: not found", "Sessions: ok",
		"expired", "expired while others stay",
	})
}

// 5. While sessions are renewed and replaced, but neither come nor go, no count
// is off at any moment.
func TestInvariant05CountsUnderWrites(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		const writers, users, counts = 4, 8, 20
		stores := []*RedisStore{b.store(t, RedisConfig{MaxSessions: 1}), b.another(t).store(t, RedisConfig{MaxSessions: 1})}
		tickets := make([]*Ticket, writers*users)
		keys := make([]Key, len(tickets))
		for i := range tickets {
			tickets[i] = newTicket(b, crowdedSubject(fmt.Sprint("user-", i)))
			keys[i] = mustStore(t, b, stores[0], tickets[i])
		}
		var wg sync.WaitGroup
		var enough atomic.Bool
		var writes atomic.Int64
		for w := range writers {
			s := stores[w%2]
			wg.Go(func() {
				for i := 0; !enough.Load(); i++ {
					n := w*users + i%users
					tk := tickets[n]
					var err error
					switch i / users % 3 {
					case 0:
						tk.ID = "" // evicts it
						keys[n], err = s.Store(b.ctx(t), tk)
					case 1:
						err = s.Renew(b.ctx(t), keys[n], tk)
					case 2:
						keys[n], err = s.Rotate(b.ctx(t), keys[n], tk, time.Minute)
					}
					if err != nil {
						t.Error(err)
						return
					}
					writes.Add(1)
				}
			})
		}
		want := Counts{Subjects: int64(len(tickets)), Sessions: int64(len(tickets))}
		for i := 0; (i < counts || writes.Load() < counts) && !t.Failed(); i++ { // a busy machine may do all counts before a write
			if c, err := stores[i%2].Count(b.ctx(t)); err != nil || c != want {
				t.Errorf("count %d: got %+v, %v, want %+v", i, c, err, want)
				break
			}
		}
		enough.Store(true)
		wg.Wait()
	})
}

// A model says what a store has to hold, and answer, after what was done to
// it. Each user belongs to one goroutine; they share partitions.
type model struct {
	t      *testing.T
	b      *backend
	stores [][2]*RedisStore // by policy, on two clients
	unit   time.Duration    // of short lives; an operation on a real Redis takes less
	margin time.Duration    // an expiry as close as this is not decided
	users  []*modelUser
	seed   int64
	broken atomic.Bool

	mu   sync.Mutex
	seen map[string]int // outcomes
}

// Stores with different caps work on the same users, as they do while a cap is
// being changed.
var policies = []RedisConfig{{MaxSessions: 2}, {MaxSessions: 4}, {MaxSessions: 3, RefuseNew: true}, {}}

// runModel runs rounds of workers*users sequences, as many as begin within ten
// seconds, and more until each of outcomes has come.
func runModel(t *testing.T, b *backend, workers, users, rounds int, outcomes []string) {
	if b.mini == nil {
		b.testClock = &testClock{runs: true}
	}
	other := b.another(t)
	m := &model{t: t, b: b, unit: 50 * time.Millisecond, seen: map[string]int{}, seed: *seedFlag}
	if m.seed == 0 {
		m.seed = rand.Int64N(1e9)
	}
	for _, p := range policies {
		m.stores = append(m.stores, [2]*RedisStore{b.store(t, p), other.store(t, p)})
	}
	missing := func() []string {
		return slices.DeleteFunc(slices.Clone(outcomes), func(what string) bool { return m.seen[what] > 0 })
	}
	first, start := m.seed, time.Now()
	for more := true; more && !m.broken.Load(); m.seed++ {
		if b.mini == nil {
			m.margin = m.unit
		}
		slow := m.seen["too slow"]
		m.round(workers, users)
		if m.seen["too slow"]-slow > workers*users/10 {
			m.unit *= 2
		}
		n, took := m.seed+1-first, time.Since(start)
		more = n < int64(rounds) && took < 10*time.Second || len(missing()) > 0 && took < 3*redistest.Patience
	}
	t.Logf("-seed=%d, %d sequences, unit %v: %v", first, (m.seed-first)*int64(workers*users), m.unit, m.seen)
	if what := missing(); len(what) > 0 && !m.broken.Load() {
		t.Errorf("%q never came: the test looks at too little", what)
	}
}

func (m *model) errorf(format string, args ...any) {
	m.t.Helper()
	m.broken.Store(true)
	m.t.Errorf("-seed=%d: "+format, append([]any{m.seed}, args...)...)
}

func (m *model) saw(what string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seen[what]++
}

// round runs one sequence per user, compares everything there is in Redis, and
// lets all expire.
func (m *model) round(workers, users int) {
	newRand := func(stream int) *rand.Rand { return rand.New(rand.NewPCG(uint64(m.seed), uint64(stream))) }
	crews, rngs := make([][]*modelUser, workers), make([]*rand.Rand, workers)
	m.users = nil
	for w := range crews {
		rngs[w] = newRand(-1 - w)
		for i := range users {
			u := &modelUser{m: m, subject: crowdedSubject(fmt.Sprintf("user-%d-%d-%d", m.seed, w, i)), crew: &crews[w], rng: newRand(w*users + i)}
			u.left = 3 + u.rng.IntN(35)
			crews[w] = append(crews[w], u)
		}
		m.users = append(m.users, crews[w]...)
	}
	rng := newRand(workers * users)
	for !m.broken.Load() && slices.ContainsFunc(m.users, func(u *modelUser) bool { return u.left > 0 }) {
		var wg sync.WaitGroup
		for w, crew := range crews {
			wg.Go(func() { m.work(crew, rngs[w]) })
		}
		wg.Wait()
		if m.b.mini != nil {
			m.letTimePass(rng)
		}
	}
	if m.broken.Load() {
		return
	}
	m.await(time.Minute) // what is left lives for an hour
	m.check(false)
	for i, u := range m.users {
		// A call that ends nothing, but trims what has expired.
		if err := m.stores[0][i%2].Revoke(m.b.ctx(m.t), u.subject, uuid.NewString()); !errors.Is(err, ErrNotFound) {
			m.errorf("%s: Revoke of an unknown ID: got %v, want ErrNotFound", u.subject, err)
		}
	}
	m.check(true)
	m.drain()
}

// work does operations in random order on users that nobody else works on:
// until all sequences are done, or time has to pass on miniredis.
func (m *model) work(users []*modelUser, rng *rand.Rand) {
	todo := slices.DeleteFunc(slices.Clone(users), func(u *modelUser) bool { return u.left == 0 })
	for steps := 0; len(todo) > 0 && !m.broken.Load(); steps++ {
		if m.b.mini != nil && steps == 2*len(users) {
			return
		}
		from := rng.IntN(len(todo))
		next := -1
		now := m.b.now()
		for i := range todo {
			if j := (from + i) % len(todo); !todo[j].undecided(now, m.margin) {
				next = j
				break
			}
		}
		if next < 0 {
			eventually(func() bool {
				now := m.b.now()
				return slices.ContainsFunc(todo, func(u *modelUser) bool { return !u.undecided(now, m.margin) })
			})
			continue
		}
		u := todo[next]
		u.step(now)
		if u.left--; u.left == 0 {
			todo = slices.Delete(todo, next, next+1)
		}
	}
}

// letTimePass moves the clock of miniredis, often to the very end of a session
// or to the last instant before it.
func (m *model) letTimePass(rng *rand.Rand) {
	d := time.Duration(rng.IntN(100)) * time.Millisecond
	u := m.users[rng.IntN(len(m.users))]
	if len(u.live) > 0 && rng.IntN(2) == 0 {
		left := u.live[rng.IntN(len(u.live))].ticket.ExpiresAt.Sub(m.b.now()) - time.Duration(rng.IntN(2))*time.Millisecond
		if left < time.Minute {
			d = max(0, left)
		}
	}
	m.b.advance(d)
}

// await waits until no session ends before ahead has passed.
func (m *model) await(ahead time.Duration) {
	m.t.Helper()
	if m.b.mini != nil {
		return
	}
	if !eventually(func() bool {
		now := m.b.now()
		return !slices.ContainsFunc(m.users, func(u *modelUser) bool { return u.undecided(now, ahead) })
	}) {
		m.errorf("sessions that should have ended have not")
	}
}

// drain lets every session end by time, and nothing may be left.
func (m *model) drain() {
	var last time.Time
	for _, u := range m.users {
		for _, s := range u.live {
			if m.b.mini == nil {
				u.shorten(s)
			}
			if s.ticket.ExpiresAt.After(last) {
				last = s.ticket.ExpiresAt
			}
		}
	}
	if m.b.mini != nil && !last.IsZero() {
		m.b.advance(last.Sub(m.b.now()) - time.Millisecond)
		m.check(false)
		m.b.advance(time.Millisecond)
	}
	m.await(time.Minute)
	m.check(false)
	for _, u := range m.users {
		if len(u.live) > 0 {
			m.errorf("%s: %d sessions in the model are still live", u.subject, len(u.live))
		}
	}
	if keys := m.b.keys(m.t); len(keys) != 0 {
		m.errorf("after the last expiry: got keys %q, want none", keys)
	}
}

// check compares all there is to see. Nothing writes meanwhile, and no session
// is about to end. Members of sorted sets that have expired may linger until
// the next write, and not if trimmed.
func (m *model) check(trimmed bool) {
	m.t.Helper()
	now := m.b.now()
	ctx := m.b.ctx(m.t)
	want := map[string]any{} // key to record or sorted set
	set := func(key, member string, score int64) {
		if want[key] == nil {
			want[key] = map[string]int64{}
		}
		z := want[key].(map[string]int64)
		z[member] = score
	}
	var counts Counts
	var subjects []string
	for i, u := range m.users {
		u.expire(now)
		s := m.stores[i%len(policies)][i%2]
		if got, err := s.Sessions(ctx, u.subject); err != nil || !slices.Equal(summaries(got), u.summaries()) {
			m.errorf("%s: got sessions %v, %v\nwant %v\nafter %s", u.subject, summaries(got), err, u.summaries(), u.trace())
		}
		if len(u.live) > 0 {
			counts.Subjects++
			subjects = append(subjects, u.subject)
		}
		p := partition(u.subject)
		keys := s.indexKeys(p, u.subject)
		var last *modelSession
		for _, l := range u.live {
			counts.Sessions++
			want[s.recordKey(p, l.ticket.ID)] = l
			set(keys[0], l.ticket.ID, l.ticket.ExpiresAt.UnixMilli())
			set(keys[1], shortID(l.ticket.ID)+u.subject, l.ticket.ExpiresAt.UnixMilli())
			if last == nil || cmp.Or(l.ticket.ExpiresAt.Compare(last.ticket.ExpiresAt), strings.Compare(l.ticket.ID, last.ticket.ID)) > 0 {
				last = l
			}
		}
		if last != nil {
			set(keys[1], shortID(last.ticket.ID)+u.subject, lastToExpire+last.ticket.ExpiresAt.UnixMilli())
		}
	}
	for _, s := range m.stores[0] {
		if got, err := s.Count(ctx); err != nil || got != counts {
			m.errorf("Count: got %+v, %v, want %+v", got, err, counts)
		}
	}
	var got []string
	for subject, err := range m.stores[0][1].Subjects(ctx) {
		if err != nil {
			m.errorf("Subjects: %v", err)
		}
		got = append(got, subject)
	}
	if !sameSet(got, subjects) {
		m.errorf("Subjects: got %q, want %q", got, subjects)
	}
	left := m.b.keys(m.t)
	if !sameSet(left, slices.Collect(maps.Keys(want))) {
		for _, key := range left {
			if want[key] == nil {
				m.errorf("%s is left", key)
			}
		}
		for key := range want {
			if !slices.Contains(left, key) {
				m.errorf("%s is missing", key)
			}
		}
		return
	}
	m.checkKeys(ctx, now, want, trimmed)
}

// checkKeys compares what each key holds and when it expires.
func (m *model) checkKeys(ctx context.Context, now time.Time, want map[string]any, trimmed bool) {
	m.t.Helper()
	records, sets, ttls := map[string]*redis.StringCmd{}, map[string]*redis.ZSliceCmd{}, map[string]*redis.DurationCmd{}
	pipe := m.b.client.Pipeline()
	for key, what := range want {
		ttls[key] = pipe.PTTL(ctx, key)
		if _, ok := what.(*modelSession); ok {
			records[key] = pipe.Get(ctx, key)
		} else {
			sets[key] = pipe.ZRangeWithScores(ctx, key, 0, -1)
		}
	}
	before := m.b.now()
	if _, err := pipe.Exec(ctx); err != nil {
		m.errorf("reading what is left: %v", err)
		return
	}
	after := m.b.now()
	for key, what := range want {
		var expiry time.Time
		switch want := what.(type) {
		case *modelSession:
			expiry = want.ticket.ExpiresAt
			k, _ := parseRedisKey(want.key)
			r, _, err := m.stores[0][0].parse(k, records[key].Val())
			e := r.envelope
			if current, _ := r.has(k); err != nil || e.revision != want.ticket.Revision || e.subject != want.ticket.Subject || !current || (e.state != keyInUse) != want.unused || e.sealed != (m.b.sealed != nil) {
				m.errorf("%s: got envelope %+v, %v, want that of %+v", key, e, err, want.ticket)
			}
		case map[string]int64:
			expiry = time.UnixMilli(slices.Max(slices.Collect(maps.Values(want))) % lastToExpire)
			got := map[string]int64{}
			for _, z := range sets[key].Val() {
				if score := int64(z.Score); trimmed || score%lastToExpire > now.UnixMilli() {
					got[z.Member.(string)] = score
				}
			}
			if !maps.Equal(got, want) {
				m.errorf("%s: got %v, want %v", key, got, want)
			}
		}
		ttl := ttls[key].Val()
		if ttl <= 0 || before.Add(ttl-time.Millisecond).After(expiry) || after.Add(ttl+time.Millisecond).Before(expiry) {
			m.errorf("%s: expires in %v, want in %v", key, ttl, expiry.Sub(after))
		}
	}
}

// A modelUser is what there ought to be of one user.
type modelUser struct {
	m       *model
	subject string
	rng     *rand.Rand
	crew    *[]*modelUser // all of the same goroutine
	left    int           // operations to do
	live    []*modelSession
	dead    []*modelSession
	done    []string
}

// A modelSession is in the order of sign-ins in live.
type modelSession struct {
	ticket *Ticket // as it was last written
	key    Key
	unused bool          // key
	old    Key           // rotated away
	until  time.Time     // when old stops reading only
	grace  time.Duration // after the first use of key
	spent  []Key         // rotated away before that, or never used
}

// use is what a call with the current key does, unless it is unsent.
func (s *modelSession) use(now time.Time) {
	if s.unused {
		s.unused, s.until = false, now.Add(s.grace)
	}
}

// rotated is what a rotation by key does.
func (s *modelSession) rotated(now time.Time, opens string, key, next Key, grace time.Duration) {
	if opens == "current key" {
		s.use(now)
	}
	if s.unused { // is replaced
		s.spent = append(s.spent, s.key)
	} else {
		if s.old != "" {
			s.spent = append(s.spent, s.old)
		}
		s.old = key
	}
	s.key, s.unused, s.until, s.grace = next, true, now.Add(grace), grace
}

// undecided reports whether something of u ends before ahead has passed or has
// just ended: it depends on the server then which of the two comes first.
func (u *modelUser) undecided(now time.Time, ahead time.Duration) bool {
	near := func(at time.Time) bool { return at.After(now.Add(-u.m.margin)) && at.Before(now.Add(ahead)) }
	return slices.ContainsFunc(u.live, func(s *modelSession) bool {
		return near(s.ticket.ExpiresAt) || s.old != "" && near(s.until)
	})
}

func (u *modelUser) expire(now time.Time) {
	var ended []*modelSession
	for _, s := range u.live {
		if !now.Before(s.ticket.ExpiresAt) {
			ended = append(ended, s)
		}
	}
	if len(ended) > 0 {
		u.end(ended...)
		u.m.saw("expired")
		if len(u.live) > 0 {
			u.m.saw("expired while others stay")
		}
	}
}

func (u *modelUser) end(sessions ...*modelSession) {
	u.live = slices.DeleteFunc(u.live, func(s *modelSession) bool { return slices.Contains(sessions, s) })
	u.dead = append(u.dead, sessions...)
}

// An outcome is what an operation came to, what it should have come to, and
// what follows from that in the model.
type outcome struct {
	what      string // for the statistics, if it has none from want
	got, want error
	then      func()
}

// step does an operation and compares its outcome. At now, u was decided.
func (u *modelUser) step(now time.Time) {
	u.expire(now)
	// The application's clock stands still for the call: what depends on it
	// is known exactly.
	ctx := clock.NewContext(u.m.t.Context(), func() time.Time { return now })
	operations := []struct {
		weight int
		name   string
		do     func(context.Context, time.Time) outcome
	}{
		{36, "Store", u.signIn}, {16, "Renew", u.renew}, {14, "Rotate", u.rotate}, {7, "Remove", u.remove},
		{6, "Revoke", u.revoke}, {2, "RevokeOthers", u.revokeOthers}, {1, "RevokeAll", u.revokeAll},
		{8, "Retrieve", u.retrieve}, {5, "Session", u.session}, {5, "Sessions", u.sessions},
	}
	n := u.rng.IntN(100)
	i := 0
	for ; n >= operations[i].weight; i++ {
		n -= operations[i].weight
	}
	o := operations[i].do(ctx, now)
	what := operations[i].name + ": " + cmp.Or(map[error]string{ErrNotFound: "not found", ErrConflict: "conflict",
		ErrInvalidTicket: "invalid ticket", ErrTooManySessions: "too many sessions"}[o.want], o.what, "ok")
	u.done = append(u.done, what)
	if took := u.m.b.now().Sub(now); u.m.margin > 0 && took > u.m.margin {
		// Something may have ended meanwhile. Whatever has come of it, this
		// ends it.
		if _, err := u.m.stores[0][0].RevokeAll(u.m.b.ctx(u.m.t), u.subject); err != nil {
			u.m.errorf("%s: RevokeAll: %v", u.subject, err)
		}
		u.end(slices.Clone(u.live)...)
		u.m.saw("too slow")
		return
	}
	if !errors.Is(o.got, o.want) {
		u.m.errorf("%s: got error %v, want %v\nafter %s", u.subject, o.got, o.want, u.trace())
		return
	}
	u.m.saw(what)
	if o.then != nil {
		o.then()
	}
}

func (u *modelUser) errorf(format string, args ...any) {
	u.m.t.Helper()
	u.m.errorf("%s: %s\nafter %s", u.subject, fmt.Sprintf(format, args...), u.trace())
}

func (u *modelUser) trace() string { return strings.Join(u.done, "; ") }

func (u *modelUser) signIn(ctx context.Context, now time.Time) outcome {
	policy := u.rng.IntN(len(policies))
	tk := u.newTicket(now)
	o := outcome{}
	var replaced *modelSession
	switch n := u.rng.IntN(12); {
	case n < 4 && len(u.live) > 0:
		replaced = pick(u.rng, u.live)
		tk.ID = replaced.ticket.ID
		o.what = "replaces"
	case n == 5 && len(u.dead) > 0:
		tk.ID = pick(u.rng, u.dead).ticket.ID
	case n == 6:
		if tk.ID = u.strangersID(); tk.ID != "" {
			o.what = "names a stranger's"
		}
	case n == 7:
		tk.ID = "subject:" + u.subject
	case n == 8:
		tk.ExpiresAt = now.Add(-time.Duration(u.rng.IntN(1000)) * time.Millisecond)
		o.want = ErrInvalidTicket
	}
	others := slices.DeleteFunc(slices.Clone(u.live), func(s *modelSession) bool { return s == replaced })
	over := max(0, len(others)-cmp.Or(policies[policy].MaxSessions, defaultMaxSessions)+1)
	if over > 0 && o.want == nil {
		if policies[policy].RefuseNew {
			o.want = ErrTooManySessions
		} else {
			o.what = fmt.Sprint("evicts ", over)
		}
	}
	was := *tk
	var key Key
	key, o.got = u.store(policy).Store(ctx, tk)
	o.then = func() {
		if o.want != nil {
			if key != "" || tk.ID != was.ID || tk.Revision != was.Revision {
				u.errorf("a Store that failed returned a key, or changed the ticket: %+v", tk)
			}
			return
		}
		if tk.ID == was.ID || tk.ID == "" || tk.Revision == "" || key == "" {
			u.errorf("Store set ID %q, revision %q and returned %d bytes", tk.ID, tk.Revision, len(key))
		}
		u.end(others[:over]...)
		u.live = append(u.live, &modelSession{ticket: tk, key: key})
	}
	return o
}

func (u *modelUser) renew(ctx context.Context, now time.Time) outcome {
	return u.change(ctx, now, func(ctx context.Context, s *RedisStore, key Key, tk *Ticket) (Key, time.Duration, error) {
		return key, 0, s.Renew(ctx, key, tk)
	})
}

func (u *modelUser) rotate(ctx context.Context, now time.Time) outcome {
	grace := pick(u.rng, []time.Duration{-time.Second, 0, 3 * u.m.unit, time.Hour, time.Hour})
	return u.change(ctx, now, func(ctx context.Context, s *RedisStore, key Key, tk *Ticket) (Key, time.Duration, error) {
		next, err := s.Rotate(ctx, key, tk, grace)
		return next, max(0, grace), err
	})
}

// change renews or rotates a session, perhaps with a fault.
func (u *modelUser) change(ctx context.Context, now time.Time, write func(context.Context, *RedisStore, Key, *Ticket) (Key, time.Duration, error)) outcome {
	s, key, opens := u.pickKey(now)
	o := outcome{want: map[string]error{"nothing": ErrNotFound, "superseded key": ErrSuperseded, "key past its grace": ErrSuperseded, "rotated key": ErrConflict}[opens]}
	if opens == "unsent key" || opens == "key of a lost response's request" {
		o.what = opens
	}
	if s == nil {
		// A well-formed key that nobody has been given.
		k, _ := newRedisKey(u.subject)
		s, key = &modelSession{ticket: u.newTicket(now)}, k.key()
	}
	tk := s.ticket.Clone()
	fresh := u.newTicket(now)
	tk.Scheme, tk.ExpiresAt, tk.EndsAt = fresh.Scheme, fresh.ExpiresAt, fresh.EndsAt
	if tk.ExpiresAt.Before(s.ticket.ExpiresAt) {
		o.what = "expires earlier"
	}
	fault := func(want error) {
		if o.want == nil {
			o.want = want
		}
	}
	switch u.rng.IntN(12) {
	case 0:
		tk.Revision = newRevision()
		fault(ErrConflict)
	case 1:
		tk.Revision = ""
		fault(ErrConflict)
	case 2:
		tk.Subject = pick(u.rng, *u.crew).subject
		if tk.Subject != u.subject {
			fault(ErrInvalidTicket)
		}
	case 3:
		tk.ExpiresAt = now
		o.want = ErrInvalidTicket
	}
	was := *tk
	var next Key
	var grace time.Duration
	next, grace, o.got = write(modelContext(ctx, opens), u.store(u.rng.IntN(len(policies))), key, tk)
	o.then = func() {
		if o.want != nil {
			if tk.ID != was.ID || tk.Revision != was.Revision {
				u.errorf("a change that failed changed the ticket: %+v", tk)
			}
			return
		}
		if tk.ID != was.ID || tk.Revision == was.Revision || tk.Revision == "" {
			u.errorf("got ID %q, revision %q, want %q and a new one", tk.ID, tk.Revision, was.ID)
		}
		s.ticket = tk
		switch {
		case next != key:
			s.rotated(now, opens, key, next, grace)
		case opens == "current key":
			s.use(now)
		}
	}
	return o
}

func (u *modelUser) remove(ctx context.Context, now time.Time) outcome {
	s, key, opens := u.pickKey(now)
	err := u.store(u.rng.IntN(len(policies))).Remove(modelContext(ctx, opens), key)
	if opens == "superseded key" {
		return outcome{what: opens, got: err, want: ErrSuperseded}
	}
	return outcome{what: opens, got: err, then: func() {
		if opens != "nothing" {
			u.end(s)
		}
	}}
}

func (u *modelUser) retrieve(ctx context.Context, now time.Time) outcome {
	s, key, opens := u.pickKey(now)
	tk, err := u.store(u.rng.IntN(len(policies))).Retrieve(modelContext(ctx, opens), key)
	switch opens {
	case "nothing":
		return outcome{got: err, want: ErrNotFound}
	case "superseded key", "key past its grace":
		return outcome{what: opens, got: err, want: ErrSuperseded}
	}
	return outcome{what: opens, got: err, then: func() {
		if opens == "current key" {
			s.use(now)
		}
		want := s.ticket.Clone()
		if opens == "rotated key" {
			want.Revision = ""
		}
		if tk.ID != want.ID || tk.Subject != want.Subject || tk.Scheme != want.Scheme || tk.Revision != want.Revision || !tk.ExpiresAt.Equal(want.ExpiresAt) {
			u.errorf("Retrieve: got %+v, want %+v", tk, want)
		}
	}}
}

func (u *modelUser) revoke(ctx context.Context, _ time.Time) outcome {
	s, id := u.pickID()
	o := outcome{got: u.store(0).Revoke(ctx, u.subject, id), then: func() { u.end(s) }}
	if s == nil {
		o.want, o.then = ErrNotFound, nil
	}
	return o
}

func (u *modelUser) revokeOthers(ctx context.Context, _ time.Time) outcome {
	keep, id := u.pickID()
	n, err := u.store(0).RevokeOthers(ctx, u.subject, id)
	if keep == nil {
		return outcome{got: err, want: ErrNotFound}
	}
	return outcome{got: err, then: func() {
		others := slices.DeleteFunc(slices.Clone(u.live), func(s *modelSession) bool { return s == keep })
		if n != len(others) {
			u.errorf("RevokeOthers: got %d, want %d", n, len(others))
		}
		u.end(others...)
	}}
}

func (u *modelUser) revokeAll(ctx context.Context, _ time.Time) outcome {
	n, err := u.store(0).RevokeAll(ctx, u.subject)
	o := outcome{got: err, then: func() {
		if n != len(u.live) {
			u.errorf("RevokeAll: got %d, want %d", n, len(u.live))
		}
		u.end(slices.Clone(u.live)...)
	}}
	if len(u.live) == 0 {
		o.what = "nothing"
	}
	return o
}

func (u *modelUser) session(ctx context.Context, _ time.Time) outcome {
	s, id := u.pickID()
	got, err := u.store(0).Session(ctx, u.subject, id)
	if s == nil {
		return outcome{got: err, want: ErrNotFound}
	}
	return outcome{got: err, then: func() {
		if summary(got) != s.summary() {
			u.errorf("Session: got %s, want %s", summary(got), s.summary())
		}
	}}
}

func (u *modelUser) sessions(ctx context.Context, _ time.Time) outcome {
	got, err := u.store(0).Sessions(ctx, u.subject)
	return outcome{got: err, then: func() {
		if !slices.Equal(summaries(got), u.summaries()) {
			u.errorf("Sessions: got %v, want %v", summaries(got), u.summaries())
		}
	}}
}

// shorten makes s end soon, but not before the machine gets round to it.
func (u *modelUser) shorten(s *modelSession) {
	for life := 100 * time.Millisecond; ; life *= 2 {
		tk := s.ticket.Clone()
		tk.ExpiresAt = u.m.b.now().Add(life).Truncate(time.Millisecond)
		err := u.store(0).Renew(u.m.b.ctx(u.m.t), s.key, tk)
		if err == nil {
			s.ticket = tk
			return
		}
		if !errors.Is(err, ErrInvalidTicket) || life > redistest.Patience {
			u.errorf("the last Renew: %v", err)
			return
		}
	}
}

// newTicket returns a ticket that ends soon, or in an hour or more: each at a
// time of its own.
func (u *modelUser) newTicket(now time.Time) *Ticket {
	tk := newTicket(u.m.b, u.subject)
	tk.Scheme = fmt.Sprint("scheme-", u.rng.Uint32())
	life := time.Hour + time.Duration(u.rng.Int64N(int64(time.Hour)))
	if u.rng.IntN(5) < 2 {
		life = 2*u.m.unit + time.Duration(u.rng.Int64N(int64(4*u.m.unit)))
	}
	tk.ExpiresAt = now.Add(life).Truncate(time.Millisecond)
	return tk
}

func (u *modelUser) store(policy int) *RedisStore { return u.m.stores[policy][u.rng.IntN(2)] }

// pickKey returns a key that u was given at some time, or one like it, the
// session if it is u's, and what the key is: only the current and the rotated
// key open anything.
func (u *modelUser) pickKey(now time.Time) (s *modelSession, key Key, opens string) {
	if len(u.dead) > 0 && (len(u.live) == 0 || u.rng.IntN(6) == 0) {
		s = pick(u.rng, u.dead)
		return s, pick(u.rng, append([]Key{s.key, cmp.Or(s.old, s.key)}, s.spent...)), "nothing"
	}
	if len(u.live) == 0 {
		return nil, "malformed", "nothing"
	}
	s = pick(u.rng, u.live)
	switch n := u.rng.IntN(10); {
	case n < 4 && s.old != "" && now.Before(s.until):
		return s, s.old, "rotated key"
	case n < 4 && s.old != "" && s.unused:
		return s, s.old, "key of a lost response's request"
	case n < 4 && s.old != "":
		return s, s.old, "key past its grace"
	case n < 5 && len(s.spent) > 0:
		return s, pick(u.rng, s.spent), "superseded key"
	case n == 5:
		k, _ := parseRedisKey(s.key)
		k.secret = newSecret()
		return s, k.key(), "superseded key"
	case n == 6 && s.unused:
		return s, s.key, "unsent key"
	}
	return s, s.key, "current key"
}

// pickID returns the ID of a live session of u, or a nil session and another
// ID.
func (u *modelUser) pickID() (*modelSession, string) {
	switch n := u.rng.IntN(10); {
	case n < 7 && len(u.live) > 0:
		s := pick(u.rng, u.live)
		return s, s.ticket.ID
	case n < 9 && len(u.dead) > 0:
		return nil, pick(u.rng, u.dead).ticket.ID
	}
	return nil, cmp.Or(u.strangersID(), uuid.NewString())
}

// strangersID returns the ID of a session of another user in the same
// partition, "" if there is none.
func (u *modelUser) strangersID() string {
	start := u.rng.IntN(len(*u.crew))
	for i := range *u.crew {
		v := (*u.crew)[(start+i)%len(*u.crew)]
		if v != u && len(v.live) > 0 && partition(v.subject) == partition(u.subject) {
			return v.live[0].ticket.ID
		}
	}
	return ""
}

func modelContext(ctx context.Context, opens string) context.Context {
	if opens == "unsent key" {
		return unsent.NewContext(ctx)
	}
	return ctx
}

func pick[T any](rng *rand.Rand, from []T) T { return from[rng.IntN(len(from))] }

// Sessions are compared by what makes them out. UUIDv7 of one process rise, so
// that the newest sign-in is the last in the model.

func (u *modelUser) summaries() []string {
	var out []string
	for _, s := range slices.Backward(u.live) {
		out = append(out, s.summary())
	}
	return out
}

func (s *modelSession) summary() string {
	return summary(Session{ID: s.ticket.ID, Subject: s.ticket.Subject, Scheme: s.ticket.Scheme, ExpiresAt: s.ticket.ExpiresAt})
}

func summaries(sessions []Session) []string {
	var out []string
	for _, s := range sessions {
		out = append(out, summary(s))
	}
	return out
}

func summary(s Session) string {
	return fmt.Sprintf("%s of %s, %s, until %d, undecodable %v", s.ID, s.Subject, s.Scheme, s.ExpiresAt.UnixMilli(), s.Undecodable)
}

// crowdedSubject returns a subject that starts with name, in one of four
// partitions, so that users share them.
func crowdedSubject(name string) string {
	for i := 0; ; i++ {
		if s := fmt.Sprint(name, "-", i); partition(s) < 4 {
			return s
		}
	}
}
