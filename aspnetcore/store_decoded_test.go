package aspnetcore

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore"
)

type countingSerializer struct {
	Serializer
	decoded atomic.Int64
}

func (s *countingSerializer) Deserialize(id string, data []byte) (*ticketstore.Ticket, error) {
	s.decoded.Add(1)
	return s.Serializer.Deserialize(id, data)
}

// A record is decoded once, however often it is read, and again when anybody
// has written it.
func TestDecodedOnce(t *testing.T) {
	b := miniBackend(t)
	serializer := &countingSerializer{}
	store := b.store(t, StoreConfig{Serializer: serializer})
	serializer.decoded.Store(0) // NewStore has tried it
	tk := ticketstore.NewTicket("alice", ticketstore.Claim{Type: "role", Value: "user"})
	now := b.now().Truncate(time.Second)
	tk.SignedInAt, tk.IssuedAt, tk.ExpiresAt = now, now, now.Add(time.Hour)
	key, err := store.Store(b.ctx(t), tk)
	if err != nil {
		t.Fatal(err)
	}
	read := func(wantDecoded int64) *ticketstore.Ticket {
		t.Helper()
		got, err := store.Retrieve(b.ctx(t), key)
		if err != nil {
			t.Fatal(err)
		}
		if n := serializer.decoded.Load(); n != wantDecoded {
			t.Errorf("decoded %d times, want %d", n, wantDecoded)
		}
		return got
	}
	first := read(1)
	first.Identities[0].Claims[0].Value = "admin"
	if again := read(1); again.HasRole("admin") || again.Revision != first.Revision {
		t.Errorf("got %+v, changed by whoever read it before", again)
	}

	// The same ticket written again has the same bytes and another revision.
	same := read(1)
	if err := store.Renew(b.ctx(t), key, same); err != nil {
		t.Fatal(err)
	}
	if got := read(2); got.Revision != same.Revision || got.Revision == first.Revision {
		t.Errorf("after a renewal: got revision %s, want %s", got.Revision, same.Revision)
	}

	// ASP.NET Core writes the field data, and knows nothing of ours.
	next := read(2)
	next.Properties = map[string]string{"by": ".NET"}
	data, err := serializer.Serialize(next)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.client.HSet(t.Context(), store.recordKey(key), "data", data).Err(); err != nil {
		t.Fatal(err)
	}
	if got := read(3); got.Properties["by"] != ".NET" || got.Revision == next.Revision {
		t.Errorf("after ASP.NET Core has written: got %+v", got)
	}
	if err := store.Remove(b.ctx(t), key); err != nil {
		t.Fatal(err)
	}
	if got, err := store.Retrieve(b.ctx(t), key); err != ticketstore.ErrNotFound {
		t.Errorf("after a removal: got %v, %v, want ErrNotFound", got, err)
	}
}
