package ticketstore

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore/internal/unsent"
)

func TestRotate(t *testing.T) {
	eachMode(t, func(t *testing.T, b *backend) {
		s := newSite(t, b, Config{})
		old := s.login(t, "alice")
		before := s.ticket(t, old)
		w := httptest.NewRecorder()
		got, err := s.manager.Rotate(w, s.request(t, "POST", "/", old), func(tk *Ticket) error {
			tk.Identities = []Identity{{Claims: []Claim{{Type: "role", Value: "admin"}}}}
			return nil
		})
		if err != nil || !got.HasRole("admin") || got.ID != before.ID || !got.IssuedAt.Equal(before.IssuedAt) || !got.ExpiresAt.Equal(before.ExpiresAt) {
			t.Fatalf("got %+v, %v, want the session of %+v", got, err, before)
		}
		next := onlyCookie(t, w.Result())
		readsOnly := func(when string) {
			t.Helper()
			if tk := s.ticket(t, old); tk.Revision != "" || !tk.HasRole("admin") {
				t.Errorf("%s, old key: got %+v, want the ticket without a revision", when, tk)
			}
			r := s.request(t, "POST", "/", old)
			_, renewErr := s.manager.Renew(r, func(*Ticket) error { return nil })
			_, rotateErr := s.manager.Rotate(httptest.NewRecorder(), r, nil)
			_, othersErr := s.manager.RevokeOthers(r)
			_, allErr := s.manager.RevokeAll(httptest.NewRecorder(), r)
			for name, err := range map[string]error{
				"Renew": renewErr, "Rotate": rotateErr, "RevokeOthers": othersErr, "RevokeAll": allErr, "Revoke": s.manager.Revoke(r, before.ID),
			} {
				if !errors.Is(err, ErrConflict) {
					t.Errorf("%s, %s with the old key: got %v, want ErrConflict", when, name, err)
				}
			}
			if list, _, err := s.manager.Sessions(r); err != nil || len(list) != 1 {
				t.Errorf("%s, Sessions with the old key: got %v, %v", when, list, err)
			}
		}
		readsOnly("before the new key is used")
		if tk := s.ticket(t, next); tk.ID != before.ID || !tk.HasRole("admin") || tk.Revision != got.Revision {
			t.Errorf("new key: got %+v", tk)
		}
		readsOnly("in the grace")
		b.passGrace(t, s.store, "alice", before.ID)
		for range 2 {
			if got := s.who(t, old); got != "-" {
				t.Errorf("old key after its grace: got %q, want nobody", got)
			}
		}
		if n := strings.Count(s.logs.String(), "a key that has been rotated away was used"); n != 1 {
			t.Errorf("that it came is logged %d times, want once", n)
		}
		if _, err := s.manager.Resolve(s.request(t, "GET", "/", old)); !errors.Is(err, ErrNotFound) {
			t.Errorf("Resolve with the old key: got %v, want ErrNotFound", err)
		}
		if got := s.who(t, next); got != "alice" {
			t.Errorf("new key: got %q, want alice", got)
		}
		wantSessions(t, b, s.store, "alice", before.ID)
		// It still signs out.
		wantStatus(t, s.get(t, "/logout", old), http.StatusOK)
		wantSessions(t, b, s.store, "alice")
	})
}

// 12. The response with the new cookie is lost. The old key reads, and after
// the grace is good for everything again, for as long as nobody has the new one.
func TestInvariant12RotateResponseIsLost(t *testing.T) {
	eachMode(t, func(t *testing.T, b *backend) {
		other := b.another(t)
		for name, use := range map[string]func(s *site, old *http.Cookie) *http.Cookie{
			"Renew": func(s *site, old *http.Cookie) *http.Cookie {
				wantStatus(t, s.get(t, "/renew?set=x", old), http.StatusOK)
				return old
			},
			"Rotate": func(s *site, old *http.Cookie) *http.Cookie { return onlyCookie(t, s.get(t, "/rotate", old)) },
			"RevokeOthers": func(s *site, old *http.Cookie) *http.Cookie {
				if _, err := s.manager.RevokeOthers(s.request(t, "POST", "/", old)); err != nil {
					t.Error(err)
				}
				return old
			},
		} {
			s, theirs := newSite(t, b, Config{}), newSite(t, other, Config{})
			old := s.login(t, "alice")
			id := s.ticket(t, old).ID
			lost := onlyCookie(t, s.get(t, "/rotate", old))
			if got := theirs.who(t, old); got != "alice" {
				t.Errorf("%s: in the grace: got %q, want alice", name, got)
			}
			wantStatus(t, s.get(t, "/rotate", old), http.StatusConflict)
			b.passGrace(t, s.store, "alice", id)
			now := use(theirs, old)
			if got := s.who(t, now); got != "alice" {
				t.Errorf("%s: after it: got %q, want alice", name, got)
			}
			if got, want := s.who(t, lost), map[bool]string{true: "-", false: "alice"}[name == "Rotate"]; got != want {
				t.Errorf("%s: the key that was lost: got %q, want %q", name, got, want)
			}
			// Whoever comes with the key before all that has it end, at any time.
			wantStatus(t, s.get(t, "/logout", old), http.StatusOK)
			wantSessions(t, b, s.store, "alice")
		}
	})
}

// 12. Two rotations in one response, which is lost: the key that the first one
// made has never been anywhere, and does not take the place of the browser's.
func TestInvariant12RotatedTwiceInOneResponse(t *testing.T) {
	eachMode(t, func(t *testing.T, b *backend) {
		for _, arrives := range []bool{false, true} {
			s := newSite(t, b, Config{})
			old := s.login(t, "alice")
			id := s.ticket(t, old).ID
			r, w := s.request(t, "POST", "/", old), httptest.NewRecorder()
			for i := range 3 {
				if _, err := s.manager.Rotate(w, r, func(tk *Ticket) error { tk.Scheme = fmt.Sprint(i); return nil }); err != nil {
					t.Fatal(err)
				}
			}
			next := onlyCookie(t, w.Result())
			if arrives {
				if got := s.ticket(t, next); got.Scheme != "2" {
					t.Errorf("got %+v, want all changes", got)
				}
			}
			b.passGrace(t, s.store, "alice", id)
			if got, want := s.who(t, old), map[bool]string{true: "-", false: "alice"}[arrives]; got != want {
				t.Errorf("the new key arrives: %v: got %q with the old one, want %q", arrives, got, want)
			}
			wantStatus(t, s.get(t, "/logout", old), http.StatusOK)
			wantSessions(t, b, s.store, "alice")
		}
	})
}

// A lateReply has scripts run whose reply does not come, or not run, as often
// as it is told.
type lateReply struct {
	mu   sync.Mutex
	lose map[string]int // by hash of the script
	run  bool
	out  bool // once a Store's reply has been lost, no read is answered
}

func (l *lateReply) DialHook(next redis.DialHook) redis.DialHook { return next }

func (l *lateReply) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		l.mu.Lock()
		out := l.out
		l.mu.Unlock()
		if !out {
			return next(ctx, cmds)
		}
		for _, cmd := range cmds {
			cmd.SetErr(context.DeadlineExceeded)
		}
		return context.DeadlineExceeded
	}
}

func (l *lateReply) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		l.mu.Lock()
		hash := ""
		if cmd.Name() == "evalsha" {
			hash = cmd.Args()[1].(string)
		}
		lose := l.lose[hash] > 0
		if lose {
			l.lose[hash]--
		}
		l.out = l.out || lose && hash == silent.store.Hash()
		run, out := l.run, l.out && cmd.Name() == "get"
		l.mu.Unlock()
		if !lose && !out {
			return next(ctx, cmd)
		}
		if run && !out {
			if err := next(ctx, cmd); redis.HasErrorPrefix(err, "NOSCRIPT") {
				return err
			}
		}
		cmd.SetErr(context.DeadlineExceeded)
		return context.DeadlineExceeded
	}
}

// 12. Redis runs a rotation, or a sign-in, whose reply comes too late: the
// answer is 503, and the browser's cookie still opens the session.
func TestInvariant12ReplyIsLost(t *testing.T) {
	eachMode(t, func(t *testing.T, b *backend) {
		for _, page := range []string{"/rotate", "/login?user=alice"} {
			for _, run := range []bool{true, false} {
				s := newSite(t, b, Config{})
				c := s.login(t, "alice")
				id := s.ticket(t, c).ID
				warm := onlyCookie(t, s.get(t, "/rotate", s.login(t, "alice"))) // the scripts are known
				wantStatus(t, s.get(t, "/logout", warm), http.StatusOK)
				l := &lateReply{run: run, lose: map[string]int{silent.renew.Hash(): 10, silent.store.Hash(): 1}}
				b.client.AddHook(l)
				res := s.get(t, page, c)
				l.mu.Lock()
				l.lose, l.out = nil, false
				l.mu.Unlock()
				wantStatus(t, res, http.StatusServiceUnavailable)
				wantNoCookie(t, res)
				if page == "/rotate" && run {
					b.passGrace(t, s.store, "alice", id)
				}
				if got := s.who(t, c); got != "alice" {
					t.Errorf("%s, run %v: got %q, want alice", page, run, got)
				}
				wantStatus(t, s.get(t, "/renew?set=x", c), http.StatusOK)
				wantSessions(t, b, s.store, "alice", id) // and nothing that nobody has the key of
				wantStatus(t, s.get(t, "/logout", c), http.StatusOK)
			}
		}
	})
}

// The first read of a new key notes that it is in use: if it cannot, it fails.
func TestFirstUseIsPartOfTheRead(t *testing.T) {
	eachMode(t, func(t *testing.T, b *backend) {
		s := newSite(t, b, Config{})
		old := s.login(t, "alice")
		next := onlyCookie(t, s.get(t, "/rotate", old))
		l := &lateReply{lose: map[string]int{arriveScript.Hash(): 1}}
		b.client.AddHook(l)
		wantStatus(t, s.get(t, "/", next), http.StatusServiceUnavailable)
		at := s.store.recordKey(partition("alice"), s.ticketUnsent(t, next).ID)
		envelopeOf := func() envelope {
			t.Helper()
			record, err := b.getPastCache(t.Context(), at)
			if err != nil {
				t.Fatal(err)
			}
			e, err := parseEnvelope([]byte(record))
			if err != nil {
				t.Fatal(err)
			}
			return e
		}
		before := envelopeOf()
		if got := s.who(t, next); got != "alice" || before.state == keyInUse {
			t.Errorf("got %q, and before that %+v, want alice, and an unused key", got, before)
		}
		after := envelopeOf()
		if after.state != keyInUse || after.revision != before.revision || string(after.ticket) != string(before.ticket) || after.verifier != before.verifier || after.previous != before.previous {
			t.Errorf("got %+v, want %+v, but used", after, before)
		}
		ttl := b.client.PTTL(t.Context(), at).Val()
		if ttl <= 0 {
			t.Errorf("the record expires in %v", ttl)
		}
	})
}

// ticketUnsent reads a ticket as the response does that sets its cookie.
func (s *site) ticketUnsent(t testing.TB, c *http.Cookie) *Ticket {
	t.Helper()
	tk, err := s.store.Retrieve(unsentKeys(s.request(t, "GET", "/")).Context(), s.key(t, c))
	if err != nil {
		t.Fatal(err)
	}
	return tk
}

// A cache that knows the key as unused does not answer for it: its use would go
// unnoticed. Nor is the old one taken for the key of the session.
func TestCachedUnusedKey(t *testing.T) {
	t.Parallel()
	b := realBackend(t)
	writer, reader := b.store(t, RedisConfig{}), cachedStore(t, b, cachedOptions(b.addrs[0], time.Hour))
	tk := newTicket(b, "alice")
	old := mustStore(t, b, writer, tk)
	next, err := writer.Rotate(b.ctx(t), old, tk, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	hits := reader.client.(*redis.Client).CSCStats().Hits
	for range 3 { // as the response that sets the cookie would: the record is in the cache now
		if got, err := reader.Retrieve(unsent.NewContext(b.ctx(t)), next); err != nil || got.Revision != tk.Revision {
			t.Fatalf("new key, unsent: got %+v, %v", got, err)
		}
	}
	if reader.client.(*redis.Client).CSCStats().Hits == hits {
		t.Fatal("the cache has answered nothing: the test shows nothing")
	}
	if got, err := reader.Retrieve(b.ctx(t), next); err != nil || got.Revision != tk.Revision {
		t.Fatalf("new key: got %+v, %v", got, err)
	}
	record, err := b.getPastCache(t.Context(), writer.recordKey(partition("alice"), tk.ID))
	if err != nil {
		t.Fatal(err)
	}
	if e, err := parseEnvelope([]byte(record)); err != nil || e.state != keyInUse {
		t.Errorf("got %+v, %v, want the key to be in use", e, err)
	}
	if got, err := reader.Retrieve(b.ctx(t), old); err != nil || got.Revision != "" {
		t.Errorf("old key: got %+v, %v, want it to read only", got, err)
	}
}

// Signing out with a key that was rotated away twice deletes the cookie, and
// says that the session goes on.
func TestSignOutWithASupersededKey(t *testing.T) {
	eachMode(t, func(t *testing.T, b *backend) {
		s := newSite(t, b, Config{})
		first := s.login(t, "alice")
		second := onlyCookie(t, s.get(t, "/rotate", first))
		third := onlyCookie(t, s.get(t, "/rotate", second))
		w := httptest.NewRecorder()
		if err := s.manager.SignOut(w, s.request(t, "POST", "/", first)); !errors.Is(err, ErrSuperseded) {
			t.Errorf("got %v, want ErrSuperseded", err)
		}
		if c := onlyCookie(t, w.Result()); c.MaxAge >= 0 {
			t.Errorf("got %v, want the cookie deleted", c)
		}
		if got := s.who(t, third); got != "alice" {
			t.Errorf("got %q, want alice", got)
		}
		// Another session that is presented with it ends.
		bob := s.login(t, "bob")
		if err := s.manager.SignOut(httptest.NewRecorder(), s.request(t, "POST", "/", first, bob)); !errors.Is(err, ErrSuperseded) {
			t.Errorf("got %v, want ErrSuperseded", err)
		}
		if got := s.who(t, bob); got != "-" {
			t.Errorf("got %q, want nobody", got)
		}
	})
}

// Several cookies take no longer to sign out than one: each Remove waits here
// for all the others to have begun.
func TestSignOutOfSeveralAtOnce(t *testing.T) {
	b := miniBackend(t)
	stub := &stubStore{TicketStore: b.store(t, RedisConfig{})}
	s := newSiteOn(t, b, stub, Config{StoreTimeout: 10 * time.Second})
	cookies := []*http.Cookie{s.login(t, "alice"), s.login(t, "alice"), s.login(t, "alice")}
	var all sync.WaitGroup
	all.Add(len(cookies))
	together := make(chan struct{})
	go func() { all.Wait(); close(together) }()
	stub.remove = func(ctx context.Context, _ Key) error {
		all.Done()
		select {
		case <-together:
			return errOut
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	err := s.manager.SignOut(httptest.NewRecorder(), s.request(t, "POST", "/", cookies...))
	if !errors.Is(err, errOut) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want each to fail at once", err)
	}
}

// The client goes, as under http.TimeoutHandler, while the store begins the
// session: nobody gets its cookie. So nothing old ends, and nothing new is left.
func TestSignInThatNobodyWaitsFor(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		for _, when := range []string{"before", "after"} {
			real := b.store(t, RedisConfig{})
			stub := &stubStore{TicketStore: real}
			s := newSiteOn(t, b, stub, Config{})
			s.store = real
			c := s.login(t, "alice")
			id := s.ticket(t, c).ID
			ctx, cancel := context.WithCancel(t.Context())
			stub.store = func(storeCtx context.Context, tk *Ticket) (Key, error) {
				if when == "before" {
					cancel()
				}
				key, err := real.Store(storeCtx, tk)
				cancel()
				return key, err
			}
			r := s.request(t, "POST", "/", c)
			w := httptest.NewRecorder()
			err := s.manager.SignIn(w, r.WithContext(b.context(ctx)), NewTicket("alice"))
			if !errors.Is(err, context.Canceled) || len(w.Header()["Set-Cookie"]) != 0 {
				t.Errorf("%s: got %v, want it to fail and to set no cookie", when, err)
			}
			if got := s.who(t, c); got != "alice" {
				t.Errorf("%s: got %q, want alice", when, got)
			}
			wantSessions(t, b, real, "alice", id)
			wantStatus(t, s.get(t, "/logout", c), http.StatusOK)
		}
	})
}

// A serializer that answers neither a ticket nor an error has not decoded one.
func TestSerializerAnswersNothing(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := b.store(t, RedisConfig{Serializer: silentSerializer{}})
		tk := newTicket(b, "alice")
		key := mustStore(t, b, s, tk)
		if got, err := s.Retrieve(b.ctx(t), key); !errors.Is(err, ErrUndecodable) {
			t.Errorf("got %v, %v, want ErrUndecodable", got, err)
		}
		if list, err := s.Sessions(b.ctx(t), "alice"); err != nil || len(list) != 1 || !list[0].Undecodable {
			t.Errorf("got %+v, %v, want one that is undecodable", list, err)
		}
	})
}

type silentSerializer struct{ JSONSerializer }

func (silentSerializer) Deserialize(string, []byte) (*Ticket, error) { return nil, nil }
