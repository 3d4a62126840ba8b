package ticketstore

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// FuzzRecord: whatever somebody has put in place of a record, the store and its
// scripts agree about it, say what it is, and end it.
func FuzzRecord(f *testing.F) {
	b := miniBackend(f)
	s := b.store(f, RedisConfig{})
	tk := newTicket(b, "alice")
	current, _ := newRedisKey("alice")
	previous := current
	previous.secret = newSecret()
	keys := strings.NewReplacer("<current>", current.verifier(), "<previous>", previous.verifier())
	ticket, err := JSONSerializer{}.Serialize(tk)
	if err != nil {
		f.Fatal(err)
	}
	for _, envelope := range []string{
		"2 u Abcdefghi-_ <current> - 0 alice\n", "2 u Abcdefghi-_ <current> <previous> 1790000000000 alice\n",
		"2 n10000 Abcdefghi-_ <current> <previous> 1790000000000 alice\n", "2 n0 Abcdefghi-_ <previous> <current> 0 alice\n",
		"2 x Abcdefghi-_ <current> - 0 alice\n", "1 Abcdefghi-_ <current> - 0 alice\n", "2 u Abcdefghi-_ <current> - 0 bob\n",
		"2 n0 Abcdefghi-_ <current> <\r> 0 alice\n", "2 n0 Abcdefghi-_ <current>  0 alice\n",
	} {
		f.Add(envelope + string(ticket))
	}
	f.Fuzz(func(t *testing.T, record string) {
		ctx := b.ctx(t)
		b.mini.FlushAll()
		mustStore(t, b, s, newTicket(b, "alice")) // another
		id := current.id.String()
		b.mini.Set(s.recordKeyOf(current), keys.Replace(record))
		b.mini.SetTTL(s.recordKeyOf(current), time.Hour)
		index := s.indexKeys(partition("alice"), "alice")[0]
		b.mini.ZAdd(index, float64(b.now().Add(time.Hour).UnixMilli()), id)

		known := func(what string, err error, answers ...error) {
			t.Helper()
			if err != nil && !slices.ContainsFunc(answers, func(a error) bool { return errors.Is(err, a) }) {
				t.Errorf("%s: %v", what, err)
			}
		}
		for _, k := range []redisKey{previous, current} {
			got, err := s.Retrieve(ctx, k.key())
			known("Retrieve", err, ErrNotFound, ErrUndecodable)
			if err != nil {
				continue
			}
			if again, err := s.Retrieve(ctx, k.key()); err != nil || again.Revision != got.Revision {
				t.Errorf("read again: got %+v, %v, want %+v", again, err, got)
			}
			known("Renew", s.Renew(ctx, k.key(), got), ErrNotFound, ErrConflict, ErrInvalidTicket)
		}
		_, err := s.Session(ctx, "alice", id)
		known("Session", err, ErrNotFound)
		_, err = s.Sessions(ctx, "alice")
		known("Sessions", err)
		known("Remove", s.Remove(ctx, current.key()), ErrSuperseded)
		if n, err := s.RevokeAll(ctx, "alice"); err != nil || n < 1 {
			t.Errorf("RevokeAll: got %d, %v", n, err)
		}
		line, _, _ := strings.Cut(record, "\n")
		if parts := strings.SplitN(line, " ", 7); len(parts) == 7 && parts[6] != "alice" {
			return // another's, which alice does not end
		}
		if got, err := s.Sessions(ctx, "alice"); err != nil || len(got) > 0 {
			t.Errorf("then Sessions: got %+v, %v, want none", got, err)
		}
		if b.mini.Exists(s.recordKeyOf(current)) {
			t.Error("the record is still there")
		}
	})
}
