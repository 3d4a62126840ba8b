package ticketstore

import (
	"errors"
	"sync/atomic"
	"testing"
)

// countingSerializer counts what it decodes.
type countingSerializer struct {
	JSONSerializer
	decoded atomic.Int64
}

func (s *countingSerializer) Deserialize(id string, data []byte) (*Ticket, error) {
	s.decoded.Add(1)
	return s.JSONSerializer.Deserialize(id, data)
}

// A record is decoded once, however often it is read, and again when anybody
// has written it: what is remembered is never the answer.
func TestDecodedOnce(t *testing.T) {
	eachMode(t, func(t *testing.T, b *backend) {
		serializer := &countingSerializer{}
		store := b.store(t, RedisConfig{Serializer: serializer})
		elsewhere := b.another(t).store(t, RedisConfig{})
		key := mustStore(t, b, store, newTicket(b, "alice"))
		read := func() *Ticket {
			t.Helper()
			tk, err := store.Retrieve(b.ctx(t), key)
			if err != nil {
				t.Fatal(err)
			}
			return tk
		}
		first := read()
		first.Identities[0].Claims[0].Value = "admin"
		first.Properties = map[string]string{"a": "b"}
		first.Subject = "mallory"
		for range 3 {
			if got := read(); got.Subject != "alice" || got.HasRole("admin") || got.Properties != nil || got.Revision != first.Revision {
				t.Fatalf("got %+v, changed by whoever read it before", got)
			}
		}
		if n := serializer.decoded.Load(); n != 1 {
			t.Errorf("decoded %d times, want once", n)
		}
		next := read()
		next.Properties = map[string]string{"by": "another process"}
		if err := elsewhere.Renew(b.ctx(t), key, next); err != nil {
			t.Fatal(err)
		}
		if got := read(); got.Properties["by"] != "another process" || got.Revision != next.Revision {
			t.Errorf("after a renewal elsewhere: got %+v", got)
		}
		if n := serializer.decoded.Load(); n != 2 {
			t.Errorf("decoded %d times, want twice", n)
		}
		// The secret is compared each time.
		k, err := parseRedisKey(key)
		if err != nil {
			t.Fatal(err)
		}
		k.secret[0] ^= 1
		if tk, err := store.Retrieve(b.ctx(t), k.key()); !errors.Is(err, ErrNotFound) {
			t.Errorf("another secret: got %v, %v, want ErrNotFound", tk, err)
		}
		if err := elsewhere.Remove(b.ctx(t), key); err != nil {
			t.Fatal(err)
		}
		if tk, err := store.Retrieve(b.ctx(t), key); err != ErrNotFound {
			t.Errorf("after a removal elsewhere: got %v, %v, want ErrNotFound", tk, err)
		}
	})
}
