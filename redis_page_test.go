package ticketstore

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// pages returns the IDs of all pages, and fails if a page is too long.
func pages(t *testing.T, b *backend, s *RedisStore, limit int, between func()) map[string]int {
	t.Helper()
	seen := map[string]int{}
	for cursor, n := "", 0; ; n++ {
		sessions, next, err := s.SessionPage(b.ctx(t), cursor, limit)
		if err != nil || len(sessions) > limit {
			t.Fatalf("cursor %q: got %d sessions, %v, want at most %d", cursor, len(sessions), err, limit)
		}
		for _, sess := range sessions {
			seen[sess.ID]++
		}
		if next == "" {
			return seen
		}
		if next == cursor || n > 10_000 {
			t.Fatalf("the pages do not end: cursor %q again", next)
		}
		cursor = next
		if between != nil {
			between()
		}
	}
}

func TestSessionPage(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := b.store(t, RedisConfig{})
		if seen := pages(t, b, s, 10, nil); len(seen) != 0 {
			t.Errorf("empty store: got %d sessions", len(seen))
		}
		want := map[string]string{}
		for i := range 150 {
			tk := newTicket(b, fmt.Sprint("user-", i%40))
			// Many have one expiry, in one partition, too.
			tk.ExpiresAt = tk.IssuedAt.Add(time.Hour + time.Duration(i%3)*time.Minute)
			mustStore(t, b, s, tk)
			want[tk.ID] = tk.Subject
		}
		for range 30 {
			tk := newTicket(b, "alice")
			tk.ExpiresAt = tk.IssuedAt.Truncate(time.Minute).Add(time.Hour)
			mustStore(t, b, s, tk)
			want[tk.ID] = "alice"
		}
		for _, limit := range []int{1, 2, 3, 7, 29, 30, 31, 1000} {
			seen := pages(t, b, s, limit, nil)
			if len(seen) != len(want) {
				t.Errorf("limit %d: got %d sessions, want %d", limit, len(seen), len(want))
			}
			for id, n := range seen {
				if n != 1 || want[id] == "" {
					t.Errorf("limit %d: got %s of %q %d times, want once", limit, id, want[id], n)
				}
			}
		}
		sessions, _, err := s.SessionPage(b.ctx(t), "", 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, sess := range sessions {
			if one, err := s.Session(b.ctx(t), want[sess.ID], sess.ID); err != nil || one != sess {
				t.Errorf("got %+v, Session says %+v, %v", sess, one, err)
			}
		}
	})
}

// What is renewed between two pages may come again; nothing is missed.
func TestSessionPageWhileRenewing(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := b.store(t, RedisConfig{})
		type session struct {
			key Key
			tk  *Ticket
		}
		var live []session
		for i := range 120 {
			tk := newTicket(b, fmt.Sprint("user-", i%5))
			tk.ExpiresAt = tk.ExpiresAt.Add(time.Duration(i) * time.Millisecond)
			live = append(live, session{mustStore(t, b, s, tk), tk})
		}
		n := 0
		seen := pages(t, b, s, 7, func() {
			for range 3 {
				one := live[n*37%len(live)]
				n++
				one.tk.ExpiresAt = one.tk.ExpiresAt.Add(time.Minute)
				if err := s.Renew(b.ctx(t), one.key, one.tk); err != nil {
					t.Fatal(err)
				}
			}
		})
		if len(seen) != len(live) || n < 20 {
			t.Errorf("got %d sessions with %d renewals, want %d", len(seen), n, len(live))
		}
	})
}

func TestSessionPageOfOddRecords(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := b.store(t, RedisConfig{})
		ctx := b.ctx(t)
		gone, torn, unreadable, whole := newTicket(b, "alice"), newTicket(b, "alice"), newTicket(b, "alice"), newTicket(b, "alice")
		for _, tk := range []*Ticket{gone, torn, unreadable, whole} {
			mustStore(t, b, s, tk)
		}
		at := func(tk *Ticket) string { return s.recordKey(partition("alice"), tk.ID) }
		head, _, _ := strings.Cut(b.client.Get(ctx, at(torn)).Val(), "\n")
		b.client.Del(ctx, at(gone))
		b.client.Set(ctx, at(torn), head+"\n{", time.Hour)
		b.client.Set(ctx, at(unreadable), "hello", time.Hour)
		sessions, next, err := s.SessionPage(ctx, "", 100)
		if err != nil || next != "" || len(sessions) != 3 {
			t.Fatalf("got %d sessions, %q, %v, want 3", len(sessions), next, err)
		}
		for _, sess := range sessions {
			want := Session{ID: sess.ID, Subject: "alice"}
			want.Undecodable = sess.ID != whole.ID
			if sess.Subject != want.Subject || sess.Undecodable != want.Undecodable || !sess.ExpiresAt.Equal(whole.ExpiresAt) {
				t.Errorf("got %+v, want %+v", sess, want)
			}
		}
		b.advance(time.Hour)
		if seen := pages(t, b, s, 10, nil); len(seen) != 0 {
			t.Errorf("after their end: got %d sessions", len(seen))
		}
	})
}

func TestSessionPageBadInput(t *testing.T) {
	b := miniBackend(t)
	s := b.store(t, RedisConfig{})
	good := position{partition: 7, expiry: 1_790_000_000_000, id: "019c5e7f-0000-7000-8000-000000000000"}.String()
	if _, _, err := s.SessionPage(b.ctx(t), good, 10); err != nil {
		t.Errorf("%q: %v", good, err)
	}
	for _, cursor := range []string{"x", ".", "..", "00.0", "7." + good[3:], "100" + good[2:], good + "x", good + ".", "07.01." + good[17:], strings.ToUpper(good), strings.Repeat("0", 1<<16)} {
		if _, _, err := s.SessionPage(b.ctx(t), cursor, 10); !errors.Is(err, ErrNotFound) {
			t.Errorf("%.60q: got %v, want ErrNotFound", cursor, err)
		}
	}
	for _, limit := range []int{-1, 0, 1001} {
		if _, _, err := s.SessionPage(b.ctx(t), "", limit); err == nil {
			t.Errorf("limit %d: got no error", limit)
		}
	}
	mustStore(t, b, s, newTicket(b, "alice"))
	b.mini.SetError("LOADING")
	if _, _, err := s.SessionPage(b.ctx(t), "", 10); err == nil || errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "LOADING") {
		t.Errorf("outage: got %v", err)
	}
}

// Another's session that was entered by hand in an index is not listed, and taken
// out of it; it goes on, nobody is told that it has ended, and its own user still
// has it.
func TestAnothersSessionInAnIndex(t *testing.T) {
	eachMode(t, func(t *testing.T, b *backend) {
		for _, cfg := range []RedisConfig{{}, {History: time.Hour}} {
			s := b.store(t, cfg)
			alice, other := fmt.Sprint("alice", cfg.History), ""
			for i := 0; other == ""; i++ { // of the same partition
				if name := fmt.Sprint("user-", i, cfg.History); partition(name) == partition(alice) {
					other = name
				}
			}
			own, theirs := newTicket(b, alice), newTicket(b, other)
			mustStore(t, b, s, own)
			key := mustStore(t, b, s, theirs)
			index := s.indexKeys(partition(alice), alice)[0]
			score := float64(theirs.ExpiresAt.UnixMilli())
			if err := b.client.ZAdd(t.Context(), index, redis.Z{Score: score, Member: theirs.ID}).Err(); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if sessions, err := s.Sessions(b.ctx(t), alice); err != nil || len(sessions) != 1 || sessions[0].ID != own.ID {
					t.Errorf("got %+v, %v, want her own", sessions, err)
				}
			}
			if members, err := b.client.ZRange(t.Context(), index, 0, -1).Result(); err != nil || !slices.Equal(members, []string{own.ID}) {
				t.Errorf("the index has %q, %v, want her own", members, err)
			}
			if _, err := s.Retrieve(b.ctx(t), key); err != nil {
				t.Errorf("the other one has ended: %v", err)
			}
			if sessions, err := s.Sessions(b.ctx(t), other); err != nil || len(sessions) != 1 {
				t.Errorf("the other user has %+v, %v", sessions, err)
			}
			if c := counted(t, b, s); c.Sessions != 2 || c.Subjects != 2 {
				t.Errorf("got %+v, want two of two", c)
			}
			if cfg.History > 0 {
				if all, _ := readEndings(t, b, s, "", 0); len(all) > 0 {
					t.Errorf("got endings %+v", all)
				}
			}
			if _, err := s.RevokeAll(b.ctx(t), alice); err != nil {
				t.Fatal(err)
			}
			if err := s.Remove(b.ctx(t), key); err != nil {
				t.Fatal(err)
			}
		}
	})
}
