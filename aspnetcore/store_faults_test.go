package aspnetcore

import (
	"errors"
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

// Redis answers reads and refuses writes: who has a ticket is served, also where
// the read would bring the index, or a sliding expiry, up to date.
func TestRetrieveWhereNothingCanBeWritten(t *testing.T) {
	t.Parallel()
	for what, refuse := range map[string][]any{
		"a replica":           {"replicaof", "127.0.0.1", "1"},
		"not enough replicas": {"config", "set", "min-replicas-to-write", "1"},
		"no memory":           {"config", "set", "maxmemory", "1"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			client := redis.NewClient(redistest.Options(redistest.Start(t).Addr))
			defer client.Close()
			s := newSite(t, &backend{client: client, instance: "shop:"}, StoreConfig{})
			expires := s.now().Truncate(time.Second).Add(time.Hour)
			s.signIn(keyNo(0), "alice", expires)
			s.set(keyNo(1), dotnetTicket(t, "bob", s.now(), expires), expires, 30*time.Minute)
			s.retrieve(keyNo(1))
			if err := client.Do(t.Context(), refuse...).Err(); err != nil {
				t.Fatal(err)
			}
			if err := client.HSet(t.Context(), "x", "y", "z").Err(); err == nil {
				t.Fatal("Redis writes: the test shows nothing")
			}
			for i, subject := range []string{"alice", "bob"} {
				if got, err := s.Retrieve(s.ctx(t), keyNo(i)); err != nil || got.Subject != subject {
					t.Errorf("%s: got %+v, %v", subject, got, err)
				}
			}
		})
	}
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
