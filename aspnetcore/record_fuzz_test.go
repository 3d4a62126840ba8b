package aspnetcore

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore"
)

// FuzzRecord: whatever the fields of a record are, the store and its scripts agree
// about them, say what it is, and end it for good.
func FuzzRecord(f *testing.F) {
	b := miniBackend(f)
	expires := b.now().Truncate(time.Second).Add(time.Hour)
	data := dotnetTicket(f, "alice", b.now(), expires)
	f.Add(data, "", "-1", "-1")
	f.Add(data, gone, "-1", "-1")
	f.Add(data, "1 0123456789abcdef 1790000000000 alice", "639400000000000000", "18000000000")
	f.Add(data, "1 0 1 bob", "", "0")
	f.Add(data, "", "630400000000900000", "18000000000")
	f.Add([]byte{}, "1 a 1 alice smith", "x", "-2")
	f.Fuzz(func(t *testing.T, data []byte, ours, absolute, sliding string) {
		s := newSite(t, b, StoreConfig{})
		ctx := s.ctx(t)
		b.mini.FlushAll()
		s.do("HSET", s.recordKey(dotnetKey), "data", data, "absexp", absolute, "sldexp", sliding)
		if ours != "" {
			s.do("HSET", s.recordKey(dotnetKey), "ticketstore", ours)
		}
		known := func(what string, err error, answers ...error) {
			t.Helper()
			if err != nil && !slices.ContainsFunc(answers, func(a error) bool { return errors.Is(err, a) }) {
				t.Errorf("%s: %v", what, err)
			}
		}
		tk, err := s.Retrieve(ctx, dotnetKey)
		known("Retrieve", err, ticketstore.ErrNotFound, ticketstore.ErrUndecodable)
		if !b.mini.Exists(s.recordKey(dotnetKey)) {
			return // absexp is past: as with RedisCache, a read ends it
		}
		if err == nil {
			s.wantListed("served", tk.Subject, dotnetKey)
			known("Renew", s.Renew(ctx, dotnetKey, tk), ticketstore.ErrNotFound, ticketstore.ErrConflict, ticketstore.ErrInvalidTicket)
		}
		known("Remove", s.Remove(ctx, dotnetKey))
		if got, err := s.Retrieve(ctx, dotnetKey); !errors.Is(err, ticketstore.ErrNotFound) {
			t.Errorf("after Remove: got %+v, %v, want ErrNotFound", got, err)
		}
		s.wantCount("after Remove", 0, 0)
	})
}
