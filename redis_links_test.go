package ticketstore

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
)

func linkedTicket(b *backend, subject string, links ...string) *Ticket {
	tk := newTicket(b, subject)
	tk.Links = links
	tk.EndsAt = tk.ExpiresAt.Add(time.Hour)
	return tk
}

func mustRevokeLinked(t testing.TB, b *backend, s *RedisStore, link string, before time.Time, want int) {
	t.Helper()
	if n, err := s.RevokeLinked(b.ctx(t), link, before, nil); err != nil || n != want {
		t.Errorf("RevokeLinked(%q): got %d, %v, want %d", link, n, err, want)
	}
}

// linked returns the IDs of the sessions of link, sorted.
func linked(t testing.TB, b *backend, s *RedisStore, link string) []string {
	t.Helper()
	var ids []string
	for sess, err := range s.Linked(b.ctx(t), link) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, sess.ID)
	}
	slices.Sort(ids)
	return ids
}

func TestLinks(t *testing.T) {
	eachMode(t, func(t *testing.T, b *backend) {
		s := b.store(t, RedisConfig{})
		one, two := linkedTicket(b, "alice", "sid 1", "client {a}"), linkedTicket(b, "bob b", "sid 2", "client {a}")
		keyOne, keyTwo := mustStore(t, b, s, one), mustStore(t, b, s, two)
		unlinked := mustStore(t, b, s, newTicket(b, "alice"))
		both := []string{one.ID, two.ID}
		slices.Sort(both)
		if got := linked(t, b, s, "client {a}"); !slices.Equal(got, both) {
			t.Errorf("got %q, want %q", got, both)
		}
		read, err := s.Retrieve(b.ctx(t), keyOne)
		if err != nil || !slices.Equal(read.Links, one.Links) {
			t.Errorf("got links %q, %v, want %q", read.Links, err, one.Links)
		}
		for _, link := range []string{"sid", "", "a\nb", "client {b}"} {
			mustRevokeLinked(t, b, s, link, time.Time{}, 0)
		}
		mustRevokeLinked(t, b, s, "sid 1", time.Time{}, 1)
		if _, err := s.Retrieve(b.ctx(t), keyOne); !errors.Is(err, ErrNotFound) {
			t.Errorf("the session of the link: got %v, want ErrNotFound", err)
		}
		for _, key := range []Key{keyTwo, unlinked} {
			if _, err := s.Retrieve(b.ctx(t), key); err != nil {
				t.Errorf("the session of another link, or none: %v", err)
			}
		}
		if got := linked(t, b, s, "client {a}"); !slices.Equal(got, []string{two.ID}) {
			t.Errorf("got %q, want %q", got, two.ID)
		}
		wantSessions(t, b, s, "bob b", two.ID)
		var told []int
		if n, err := s.RevokeLinked(b.ctx(t), "client {a}", time.Time{}, func(n int) { told = append(told, n) }); err != nil || n != 1 || !slices.Equal(told, []int{1}) {
			t.Errorf("got %d, %v, and was told %v, want 1", n, err, told)
		}
		wantSessions(t, b, s, "bob b")
		mustRevokeLinked(t, b, s, "sid 2", time.Time{}, 0) // which takes its pointer out
		if n, err := s.RevokeAll(b.ctx(t), "alice"); err != nil || n != 1 {
			t.Errorf("RevokeAll: got %d, %v, want 1", n, err)
		}
		if keys := b.keys(t); len(keys) != 0 {
			t.Errorf("left in Redis: %q", keys)
		}
	})
}

// A logout ends what began before it, by the provider's clock, also if that is
// stored later, and nothing that began after it, however often it comes.
func TestLinkedAt(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := b.store(t, RedisConfig{})
		logout := b.now().Add(-20 * time.Second) // as the provider's clock is behind
		store := func(linkedAt time.Time) (Key, error) {
			tk := linkedTicket(b, "alice", "sub")
			tk.LinkedAt = linkedAt
			return s.Store(b.ctx(t), tk)
		}
		before, err1 := store(logout.Add(-time.Second))
		after, err2 := store(logout.Add(time.Second))
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		mustRevokeLinked(t, b, s, "sub", logout, 1)
		mustRevokeLinked(t, b, s, "sub", logout, 0)
		if _, err := s.Retrieve(b.ctx(t), before); !errors.Is(err, ErrNotFound) {
			t.Errorf("what began before: got %v, want ErrNotFound", err)
		}
		if _, err := s.Retrieve(b.ctx(t), after); err != nil {
			t.Errorf("what began after: %v", err)
		}
		for linkedAt, want := range map[time.Time]error{logout.Add(-time.Second): ErrConflict, logout: ErrConflict, logout.Add(time.Millisecond): nil} {
			if _, err := store(linkedAt); !errors.Is(err, want) {
				t.Errorf("%v after the logout: got %v, want %v", linkedAt.Sub(logout), err, want)
			}
		}
		mustRevokeLinked(t, b, s, "sub", logout.Add(-time.Hour), 0) // an older one changes nothing
		if _, err := store(logout); !errors.Is(err, ErrConflict) {
			t.Errorf("after an older logout: got %v, want ErrConflict", err)
		}
		if n := len(linked(t, b, s, "sub")); n != 2 {
			t.Errorf("got %d sessions, want 2", n)
		}
		// Without a time, all end, whatever the provider's clock said.
		if _, err := store(b.now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		mustRevokeLinked(t, b, s, "sub", time.Time{}, 3)
		tk := linkedTicket(b, "alice", "sub")
		tk.SignedInAt, tk.LinkedAt = b.now().Add(-time.Second), b.now().Add(time.Minute)
		if _, err := s.Store(b.ctx(t), tk); !errors.Is(err, ErrConflict) {
			t.Errorf("a sign-in that had arrived before: got %v, want ErrConflict", err)
		}
	})
}

// turns is a hook that has a process send its commands one at a time, when it is
// its turn.
type turns struct {
	turn, taken, crashed chan struct{}
}

type takenKey struct{}

func (h turns) take(ctx context.Context, do func(context.Context) error) error {
	if ctx.Value(takenKey{}) != nil {
		return do(ctx) // what a new connection begins with
	}
	select {
	case <-h.turn:
	case <-h.crashed:
		return context.Canceled
	}
	defer func() { h.taken <- struct{}{} }()
	return do(context.WithValue(ctx, takenKey{}, true))
}

func (h turns) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h turns) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := h.take(ctx, func(ctx context.Context) error { return next(ctx, cmd) })
		if cmd.Err() == nil {
			cmd.SetErr(err)
		}
		return err
	}
}

func (h turns) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := h.take(ctx, func(ctx context.Context) error { return next(ctx, cmds) })
		for _, cmd := range cmds {
			if err == context.Canceled && cmd.Err() == nil {
				cmd.SetErr(err)
			}
		}
		return err
	}
}

// A player is what a process does, one command at each turn, until it crashes.
type player struct {
	turns
	done chan struct{}
}

// interleave has players take turns in order: a player's index, or ^index for a
// crash. Those that are not done go on at the end.
func interleave(order []int, players []player) {
	for _, i := range order {
		if i < 0 {
			close(players[^i].crashed)
			<-players[^i].done
			continue
		}
		players[i].step()
	}
	for _, p := range players {
		for p.step() {
		}
	}
}

// step lets a player send a command, and reports whether it is not done.
func (p player) step() bool {
	select {
	case <-p.done:
		return false
	case p.turn <- struct{}{}:
		<-p.taken
		return true
	}
}

// orders yields all orders of so many turns of two players.
func orders(a, b int) [][]int {
	if a == 0 && b == 0 {
		return [][]int{nil}
	}
	var all [][]int
	for who, left := range []int{a, b} {
		if left == 0 {
			continue
		}
		rest := orders(a-1+who, b-who)
		for _, o := range rest {
			all = append(all, append([]int{who}, o...))
		}
	}
	return all
}

// 16. In whatever order the commands of a sign-in and of RevokeLinked reach
// Redis, and wherever either of them crashes: once RevokeLinked has returned,
// the session is not live, or nobody has its key.
func TestInvariant16LinksInEveryOrder(t *testing.T) {
	t.Parallel()
	b := miniBackend(t)
	warm := b.store(t, RedisConfig{})
	mustStore(t, b, warm, linkedTicket(b, "warm", "one", "two")) // the scripts are known
	mustRevokeLinked(t, b, warm, "two", time.Time{}, 1)
	const signIn, revoke = 4, 4 // commands at most: two pointers, Store, the marks; a mark, a page, a script, ZREM
	var all [][]int
	for _, order := range orders(signIn, revoke) {
		all = append(all, order)
		if raceEnabled {
			continue // for which they take long
		}
		for at, who := range order {
			crash := slices.Clone(order)
			crash[at] = ^who
			all = append(all, crash)
		}
	}
	outcomes := map[string]int{}
	for n, order := range all {
		for _, link := range []string{"one", "two"} {
			b.prefix = fmt.Sprintf("%d-%s-", n, link)
			outcomes[b.inOrder(t, order, link)]++
		}
	}
	t.Logf("%d orders: %v", len(all), outcomes)
	if raceEnabled {
		return
	}
	for _, outcome := range []string{"signed in, revoked: ended", "refused, revoked: none", "crashed, revoked: none", "signed in, crashed: live", "signed in, crashed: ended"} {
		if outcomes[outcome] == 0 {
			t.Errorf("nothing was %q", outcome)
		}
	}
}

// inOrder has a sign-in with two links and RevokeLinked of one take turns, and
// returns what came of it.
func (b *backend) inOrder(t *testing.T, order []int, link string) string {
	t.Helper()
	players := make([]player, 2)
	var key Key
	var errs [2]error
	for i := range players {
		process := b.another(t)
		p := player{turns{make(chan struct{}), make(chan struct{}), make(chan struct{})}, make(chan struct{})}
		s := process.store(t, RedisConfig{})
		if err := process.client.Ping(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		process.client.AddHook(p.turns)
		players[i] = p
		go func() {
			defer close(p.done)
			if i == 0 {
				key, errs[0] = s.Store(b.ctx(t), linkedTicket(b, "alice", "one", "two"))
			} else {
				_, errs[1] = s.RevokeLinked(b.ctx(t), link, time.Time{}, nil)
			}
		}()
	}
	interleave(order, players)
	s := b.store(t, RedisConfig{})
	name := func(err error, ok string) string {
		switch {
		case err == nil:
			return ok
		case errors.Is(err, ErrConflict):
			return "refused"
		case errors.Is(err, context.Canceled):
			return "crashed"
		}
		t.Fatalf("%v: %v", order, err)
		return ""
	}
	outcome := name(errs[0], "signed in") + ", " + name(errs[1], "revoked") + ": "
	if errs[0] != nil {
		return outcome + "none"
	}
	_, err := s.Retrieve(b.ctx(t), key)
	switch {
	case err == nil && errs[1] == nil:
		t.Fatalf("%v: the session is live", order)
	case err == nil:
		// Whoever calls again ends it.
		mustRevokeLinked(t, b, s, link, time.Time{}, 1)
		return outcome + "live"
	}
	return outcome + "ended"
}

// 16. As TestInvariant16LinksInEveryOrder, as fast as can be.
func TestInvariant16RevokeLinkedAgainstSignIn(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(testing.TB) *backend{"redis": realBackend, "cluster": clusterBackend} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t)
			b.testClock = &testClock{runs: true}
			here, there := b.store(t, RedisConfig{}), b.another(t).store(t, RedisConfig{})
			refused, ended := 0, 0
			for i := range markRounds() {
				link := fmt.Sprint("sid ", i)
				tk := linkedTicket(b, fmt.Sprint("user-", i%100), "client", link)
				tk.SignedInAt = b.now() // the request has arrived
				var group sync.WaitGroup
				var key Key
				var err error
				group.Go(func() { key, err = there.Store(b.ctx(t), tk) })
				group.Go(func() {
					time.Sleep(time.Duration(i%8) * 100 * time.Microsecond)
					if _, err := here.RevokeLinked(b.ctx(t), link, time.Time{}, nil); err != nil {
						t.Error(err)
					}
				})
				group.Wait()
				switch {
				case errors.Is(err, ErrConflict):
					refused++
				case err != nil:
					t.Fatal(err)
				default:
					ended++
					if _, err := here.Retrieve(b.ctx(t), key); !errors.Is(err, ErrNotFound) {
						t.Fatalf("round %d: got %v, want ErrNotFound", i, err)
					}
				}
			}
			t.Logf("refused %d, ended %d", refused, ended)
			if refused == 0 || ended == 0 {
				t.Error("want some of both")
			}
			if n := len(linked(t, b, here, "client")); n != 0 {
				t.Errorf("%d sessions are left", n)
			}
		})
	}
}

// If a mark cannot be read, nobody is signed in.
func TestStoreCannotReadLinkMarks(t *testing.T) {
	b := miniBackend(t)
	s := b.store(t, RedisConfig{})
	if err := b.mini.Set(s.linkMark("sid"), "what is this"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Store(b.ctx(t), linkedTicket(b, "alice", "sid")); err == nil || errors.Is(err, ErrConflict) {
		t.Errorf("got %v, want an error of its own", err)
	}
	wantSessions(t, b, s, "alice")
	mustRevokeLinked(t, b, s, "sid", time.Time{}, 0) // which mends the mark
	b.advance(time.Second)
	mustStore(t, b, s, linkedTicket(b, "alice", "sid"))
}

// What is put in place of pointers by hand does not keep anybody from signing in,
// and ends nothing.
func TestPointersByHand(t *testing.T) {
	b := miniBackend(t)
	s := b.store(t, RedisConfig{})
	key := mustStore(t, b, s, newTicket(b, "bob"))
	far := float64(b.now().Add(time.Hour).UnixMilli())
	for _, entry := range []string{"", " ", "x", "zz", "00", "00 1", "00" + shortID("x") + " 1", "ff" + shortID(uuid.NewString()) + "bob 1", "00" + shortID(uuid.NewString()) + "bob x"} {
		if _, err := b.mini.ZAdd(s.pointersKey("sid"), far, entry); err != nil {
			t.Fatal(err)
		}
	}
	mustStore(t, b, s, linkedTicket(b, "alice", "sid"))
	if n := len(linked(t, b, s, "sid")); n != 1 {
		t.Errorf("got %d sessions, want 1", n)
	}
	mustRevokeLinked(t, b, s, "sid", time.Time{}, 1)
	if _, err := s.Retrieve(b.ctx(t), key); err != nil {
		t.Errorf("somebody else's session: %v", err)
	}
	if err := b.mini.Set(s.pointersKey("other"), "a string"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.RevokeLinked(b.ctx(t), "other", time.Time{}, nil); err == nil || !strings.Contains(err.Error(), "WRONGTYPE") {
		t.Errorf("got %v, want WRONGTYPE", err)
	}
	b.advance(time.Second)
	mustStore(t, b, s, linkedTicket(b, "carol", "other"))
	mustRevokeLinked(t, b, s, "other", time.Time{}, 1)
}

// A pointer that was written twice, as a reply was lost, is one session.
func TestLinkedOnce(t *testing.T) {
	b := miniBackend(t)
	s := b.store(t, RedisConfig{})
	tk := linkedTicket(b, "alice", "sid")
	mustStore(t, b, s, tk)
	if _, err := b.mini.ZAdd(s.pointersKey("sid"), float64(tk.EndsAt.UnixMilli()+pointerMargin), pointerTo(partition("alice"), tk.ID, "alice")+"1"); err != nil {
		t.Fatal(err)
	}
	if got := linked(t, b, s, "sid"); !slices.Equal(got, []string{tk.ID}) {
		t.Errorf("got %q, want %q once", got, tk.ID)
	}
	mustRevokeLinked(t, b, s, "sid", time.Time{}, 1)
}

// A session that has lost its place in the census, as one by hand may, ends all
// the same.
func TestRevokeLinkedOutOfTheCensus(t *testing.T) {
	b := miniBackend(t)
	s := b.store(t, RedisConfig{})
	key := mustStore(t, b, s, linkedTicket(b, "alice", "sid"))
	b.mini.Del(s.censusKey(partition("alice")))
	mustRevokeLinked(t, b, s, "sid", time.Time{}, 1)
	if _, err := s.Retrieve(b.ctx(t), key); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}

// Pages of pointers begin behind the last one, also among those that end at the
// same time.
func TestLinkedPages(t *testing.T) {
	b := miniBackend(t)
	s := b.store(t, RedisConfig{})
	for i := range 30 {
		tk := linkedTicket(b, fmt.Sprint("user-", i), "client")
		tk.EndsAt = tk.ExpiresAt.Add(time.Duration(i/10) * time.Hour)
		mustStore(t, b, s, tk)
	}
	for n := 1; n <= 31; n++ {
		seen := map[string]int{}
		for page, err := range s.pointers(b.ctx(t), "client", n) {
			if err != nil || len(page) > n {
				t.Fatalf("got %d pointers, %v, want at most %d", len(page), err, n)
			}
			for _, p := range page {
				seen[p.id]++
			}
		}
		if len(seen) != 30 {
			t.Errorf("pages of %d: got %d sessions, want 30", n, len(seen))
		}
		for id, times := range seen {
			if times != 1 {
				t.Errorf("pages of %d: %s came %d times", n, id, times)
			}
		}
	}
}

// Links leave nothing behind: at sign-out at once, otherwise a minute after the
// session would have ended.
func TestLinksLeaveNothing(t *testing.T) {
	b := miniBackend(t)
	s := newSite(t, b, Config{Lifetime: time.Hour, IdleTimeout: 10 * time.Minute})
	pointers := func(want int) {
		t.Helper()
		if n, err := b.client.ZCard(b.ctx(t), s.store.pointersKey("sid")).Result(); err != nil || int(n) != want {
			t.Errorf("got %d pointers, %v, want %d", n, err, want)
		}
	}
	signIn := func(cookies ...*http.Cookie) *http.Cookie {
		t.Helper()
		w := httptest.NewRecorder()
		tk := NewTicket("alice")
		tk.Links = []string{"sid", "client"}
		if err := s.manager.SignIn(w, s.request(t, "POST", "/", cookies...), tk); err != nil {
			t.Fatal(err)
		}
		return onlyCookie(t, w.Result())
	}
	c := signIn()
	pointers(1)
	c = signIn(c)
	pointers(1)
	wantStatus(t, s.get(t, "/logout", c), http.StatusOK)
	pointers(0)
	signIn()
	b.advance(59 * time.Minute)
	signIn()
	pointers(2)
	b.advance(2 * time.Minute)
	signIn()
	pointers(2)
	b.advance(61*time.Minute + time.Second)
	if keys := b.keys(t); len(keys) != 0 {
		t.Errorf("left in Redis: %q", keys)
	}
}

// Forget erases what leads to the sessions that it ends.
func TestForgetLinks(t *testing.T) {
	b := miniBackend(t)
	s := b.store(t, RedisConfig{})
	mustStore(t, b, s, linkedTicket(b, "alice", "sid"))
	mustStore(t, b, s, linkedTicket(b, "bob", "sid"))
	if n, err := s.Forget(b.ctx(t), "alice"); err != nil || n != 1 {
		t.Fatalf("got %d, %v, want 1", n, err)
	}
	if left, err := b.mini.ZMembers(s.pointersKey("sid")); err != nil || len(left) != 1 || strings.Contains(left[0], "alice") {
		t.Errorf("left: %q, %v, want bob's alone", left, err)
	}
}

// Links need a store that can end them.
func TestSignInWithoutLinkIndex(t *testing.T) {
	b := miniBackend(t)
	s := newSiteOn(t, b, struct{ TicketStore }{b.store(t, RedisConfig{})}, Config{})
	tk := NewTicket("alice")
	tk.Links = []string{"sid"}
	if err := s.manager.SignIn(httptest.NewRecorder(), s.request(t, "POST", "/"), tk); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v, want ErrUnsupported", err)
	}
}

// Links stay as they are; that they are fit is checked.
func TestLinksOfTickets(t *testing.T) {
	b := miniBackend(t)
	s := newSite(t, b, Config{})
	good := NewTicket("alice")
	good.Links, good.LinkedAt = []string{"sid"}, b.now().Add(-time.Minute)
	w := httptest.NewRecorder()
	if err := s.manager.SignIn(w, s.request(t, "POST", "/"), good); err != nil {
		t.Fatal(err)
	}
	c := onlyCookie(t, w.Result())
	if got := s.ticket(t, c); !slices.Equal(got.Links, good.Links) || !got.LinkedAt.Equal(good.LinkedAt) {
		t.Errorf("got %q, %v, want %q, %v", got.Links, got.LinkedAt, good.Links, good.LinkedAt)
	}
	for _, change := range []func(*Ticket){
		func(tk *Ticket) { tk.Links[0] = "other" },
		func(tk *Ticket) { tk.Links = nil },
		func(tk *Ticket) { tk.LinkedAt = time.Time{} },
	} {
		if _, err := s.manager.Renew(s.request(t, "POST", "/", c), func(tk *Ticket) error { change(tk); return nil }); !errors.Is(err, ErrInvalidTicket) {
			t.Errorf("a change: got %v, want ErrInvalidTicket", err)
		}
	}
	again := s.ticket(t, c) // who signs in once more does it now
	if err := s.manager.SignIn(httptest.NewRecorder(), s.request(t, "POST", "/", c), again); err != nil || !again.LinkedAt.IsZero() {
		t.Errorf("got LinkedAt %v, %v, want none", again.LinkedAt, err)
	}
	nine := []string{"1", "2", "3", "4", "5", "6", "7", "8", "9"}
	for _, links := range [][]string{{""}, {"a", "a"}, {"\x00"}, {"\xff"}, {strings.Repeat("x", 1025)}, nine} {
		tk := NewTicket("alice")
		tk.Links = links
		if err := s.manager.SignIn(httptest.NewRecorder(), s.request(t, "POST", "/"), tk); !errors.Is(err, ErrInvalidTicket) {
			t.Errorf("links %.20q: got %v, want ErrInvalidTicket", links, err)
		}
	}
	endless := newTicket(b, "alice")
	endless.Links, endless.EndsAt = []string{"sid"}, time.Time{}
	if _, err := s.store.Store(b.ctx(t), endless); !errors.Is(err, ErrInvalidTicket) {
		t.Errorf("no EndsAt: got %v, want ErrInvalidTicket", err)
	}
}

func FuzzParsePointer(f *testing.F) {
	id := uuid.NewString()
	for _, entry := range []string{pointerTo(0x2b, id, "alice") + "1", pointerTo(0, id, "a b") + "-1", "", " ", "zz" + shortID(id) + "a 1"} {
		f.Add(entry)
	}
	f.Fuzz(func(t *testing.T, entry string) {
		p, err := parsePointer(entry, "60001")
		if err != nil {
			return
		}
		again, err := parsePointer(pointerTo(byte(p.partition), p.id, p.subject)+fmt.Sprint(p.began), "60001")
		p.entry, again.entry = "", ""
		if err != nil || again != p || p.expiry != 1 || p.subject == "" {
			t.Errorf("%q: got %+v, then %+v, %v", entry, p, again, err)
		}
	})
}
