package aspnetcore

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/clock"
	"github.com/ticketstore/ticketstore/internal/redistest"
)

// An application whose clock is over a minute from that of Redis writes nothing,
// and the error is no verdict on the ticket.
func TestClockOff(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := newSite(t, b, StoreConfig{})
		tk := ticketstore.NewTicket("alice")
		tk.ExpiresAt = s.now().Add(time.Hour)
		key, err := s.Store.Store(s.ctx(t), tk)
		if err != nil {
			t.Fatal(err)
		}
		for _, by := range []time.Duration{10 * time.Minute, -10 * time.Minute} {
			ctx := clock.NewContext(t.Context(), func() time.Time { return s.now().Add(by) })
			ctx = clock.WithServer(ctx, func() time.Time { return clock.AtServer(s.ctx(t)).Add(by) })
			next := ticketstore.NewTicket("alice")
			next.ExpiresAt = s.now().Add(time.Hour)
			_, storeErr := s.Store.Store(ctx, next)
			for what, err := range map[string]error{"Store": storeErr, "Renew": s.Renew(ctx, key, tk.Clone())} {
				if err == nil || !strings.Contains(err.Error(), "clock") || errors.Is(err, ticketstore.ErrInvalidTicket) || errors.Is(err, ticketstore.ErrNotFound) {
					t.Errorf("%s, %v off: got %v, want an error about the clock", what, by, err)
				}
			}
		}
		s.wantListed("as before", "alice", key)
		if got := s.retrieve(key); got.Revision != tk.Revision {
			t.Errorf("got revision %s, want %s", got.Revision, tk.Revision)
		}
	})
}

// whereNothingCanBeWritten calls test with Redis servers that answer reads, and
// refuse writes once refuse has been called.
func whereNothingCanBeWritten(t *testing.T, test func(t *testing.T, s *site, refuse func())) {
	t.Parallel()
	for what, how := range map[string][]any{
		"a replica":           {"replicaof", "127.0.0.1", "1"},
		"not enough replicas": {"config", "set", "min-replicas-to-write", "1"},
		"no memory":           {"config", "set", "maxmemory", "1"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			client := redis.NewClient(redistest.Options(redistest.Start(t).Addr))
			defer client.Close()
			test(t, newSite(t, &backend{client: client, instance: "shop:"}, StoreConfig{}), func() {
				t.Helper()
				if err := client.Do(t.Context(), how...).Err(); err != nil {
					t.Fatal(err)
				}
				if err := client.HSet(t.Context(), "x", "y", "z").Err(); err == nil {
					t.Fatal("Redis writes: the test shows nothing")
				}
			})
		})
	}
}

// Who has a ticket is served, also where the read would bring the index, or a
// sliding expiry, up to date.
func TestRetrieveWhereNothingCanBeWritten(t *testing.T) {
	whereNothingCanBeWritten(t, func(t *testing.T, s *site, refuse func()) {
		expires := s.now().Truncate(time.Second).Add(time.Hour)
		s.signIn(keyNo(0), "alice", expires)
		s.set(keyNo(1), dotnetTicket(t, "bob", s.now(), expires), expires, 30*time.Minute)
		s.retrieve(keyNo(1))
		refuse()
		for i, subject := range []string{"alice", "bob"} {
			if got, err := s.Retrieve(s.ctx(t), keyNo(i)); err != nil || got.Subject != subject {
				t.Errorf("%s: got %+v, %v", subject, got, err)
			}
		}
	})
}

// Sessions are listed, also where ASP.NET Core has changed, ended or given away
// some.
func TestSessionsWhereNothingCanBeWritten(t *testing.T) {
	whereNothingCanBeWritten(t, func(t *testing.T, s *site, refuse func()) {
		expires := s.now().Truncate(time.Second).Add(time.Hour)
		for i := range 4 {
			s.signIn(keyNo(i), "alice", expires)
			s.retrieve(keyNo(i))
		}
		later := expires.Add(time.Minute)
		s.signIn(keyNo(1), "alice", later)
		s.signIn(keyNo(2), "bob", expires)
		s.unlink(keyNo(3))
		refuse()
		s.wantListed("what there is", "alice", keyNo(0), keyNo(1))
		for i, want := range []error{nil, nil, ticketstore.ErrNotFound, ticketstore.ErrNotFound} {
			got, err := s.Session(s.ctx(t), "alice", sessionID(keyNo(i)))
			if !errors.Is(err, want) || i == 1 && !got.ExpiresAt.Equal(later) {
				t.Errorf("session %d: got %+v, %v, want %v", i, got, err, want)
			}
		}
		// It ends all, as it may where memory is full, or says that it has not.
		n, err := s.RevokeAll(s.ctx(t), "alice")
		for _, key := range []ticketstore.Key{keyNo(0), keyNo(1)} {
			if _, read := s.Retrieve(s.ctx(t), key); errors.Is(read, ticketstore.ErrNotFound) != (err == nil && n == 2) {
				t.Errorf("RevokeAll: got %d, %v; then Retrieve: %v", n, err, read)
			}
		}
	})
}

// An answer to what was repeated, because the reply was lost, says so where it
// may be another than that which was lost.
func TestAnswerAfterALostReply(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := newSite(t, b, StoreConfig{})
		cut := &cutter{}
		s.client.AddHook(cut)
		ctx := s.ctx(t)
		lost := func(meanwhile func(), do func() error) error {
			t.Helper()
			cut.meanwhile = meanwhile
			err := do()
			if cut.meanwhile != nil {
				t.Fatal("no reply was lost: the test shows nothing")
			}
			return err
		}
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Error(err)
			}
		}
		tickets, keys := []*ticketstore.Ticket{}, []ticketstore.Key{}
		for range 3 {
			tk := ticketstore.NewTicket("alice")
			tk.ExpiresAt = s.now().Add(time.Hour)
			key, err := s.Store.Store(ctx, tk)
			must(err)
			tickets, keys = append(tickets, tk), append(keys, key)
		}
		wantUnclear := func(what string, err, want error) {
			t.Helper()
			if !errors.Is(err, want) || !strings.Contains(err.Error(), "a reply was lost") {
				t.Errorf("%s: got %v, want %v, and that a reply was lost", what, err, want)
			}
		}
		nothing := func() {}
		must(lost(nothing, func() error { return s.Renew(ctx, keys[0], tickets[0]) }))
		if got := s.retrieve(keys[0]); got.Revision != tickets[0].Revision {
			t.Errorf("Renew: got revision %s, want %s", got.Revision, tickets[0].Revision)
		}
		wantUnclear("Renew, and somebody else did", lost(func() { must(s.Renew(ctx, keys[0], s.retrieve(keys[0]))) }, func() error {
			return s.Renew(ctx, keys[0], tickets[0])
		}), ticketstore.ErrConflict)
		wantUnclear("Renew, and it has ended", lost(func() { must(s.Remove(ctx, keys[0])) }, func() error {
			return s.Renew(ctx, keys[0], s.retrieve(keys[0]))
		}), ticketstore.ErrNotFound)
		wantUnclear("Revoke", lost(nothing, func() error { return s.Revoke(ctx, "alice", tickets[1].ID) }), ticketstore.ErrNotFound)
		wantUnclear("RevokeOthers, and the one kept has ended", lost(func() { must(s.Remove(ctx, keys[2])) }, func() error {
			_, err := s.RevokeOthers(ctx, "alice", tickets[2].ID)
			return err
		}), ticketstore.ErrNotFound)
		if err := s.Revoke(ctx, "alice", tickets[1].ID); err != ticketstore.ErrNotFound {
			t.Errorf("Revoke again: got %v, want ErrNotFound alone", err)
		}
		s.wantCount("at the end", 0, 0)
	})
}

// A cutter loses the reply to the next script, once meanwhile has been done.
type cutter struct{ meanwhile func() }

func (c *cutter) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *cutter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if meanwhile := c.meanwhile; meanwhile != nil && err == nil && strings.HasPrefix(cmd.Name(), "eval") {
			c.meanwhile = nil
			meanwhile()
			err = io.EOF
			cmd.SetErr(err)
		}
		return err
	}
}

func (c *cutter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// What is wrong with an index is said; a session ends by its key all the same.
func TestBrokenIndex(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		for i := range 3 {
			s := newSite(t, b.another(t), StoreConfig{})
			tk := ticketstore.NewTicket("alice")
			tk.ExpiresAt = s.now().Add(time.Hour)
			key, err := s.Store.Store(s.ctx(t), tk)
			if err != nil {
				t.Fatal(err)
			}
			broken := s.indexKeys("alice")[i]
			if err := errors.Join(s.do("DEL", broken).Err(), s.do("SET", broken, "x").Err()); err != nil {
				t.Fatal(err)
			}
			if _, err := s.RevokeAll(s.ctx(t), "alice"); err == nil || !strings.Contains(err.Error(), "Reindex") {
				t.Errorf("%s: RevokeAll: got %v, want what to do", broken, err)
			}
			_ = s.Remove(s.ctx(t), key)
			if err := s.Remove(s.ctx(t), key); err != nil {
				t.Errorf("%s: Remove: %v", broken, err)
			}
			if _, err := s.Retrieve(s.ctx(t), key); !errors.Is(err, ticketstore.ErrNotFound) {
				t.Errorf("%s: got %v, want ErrNotFound", broken, err)
			}
		}
	})
}

// A serializer that answers neither a ticket nor an error has not decoded one.
func TestSerializerAnswersNothing(t *testing.T) {
	b := miniBackend(t)
	s := newSite(t, b, StoreConfig{Serializer: silentSerializer{}})
	s.signIn(dotnetKey, "alice", time.Time{})
	if got, err := s.Retrieve(s.ctx(t), dotnetKey); !errors.Is(err, ticketstore.ErrUndecodable) {
		t.Errorf("got %v, %v, want ErrUndecodable", got, err)
	}
}

type silentSerializer struct{ Serializer }

func (silentSerializer) Deserialize(string, []byte) (*ticketstore.Ticket, error) { return nil, nil }
