package ticketstore

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var remembering = RedisConfig{History: time.Hour, MaxSessions: 3}

// readEndings reads until as many have come as are wanted.
func readEndings(t *testing.T, b *backend, s *RedisStore, cursor string, want int) (all []Ending, next string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		page, after, err := s.Endings(b.ctx(t), cursor, 2)
		if err != nil {
			t.Fatal(err)
		}
		all, cursor = append(all, page...), after
		if len(page) == 0 && (len(all) >= want || time.Now().After(deadline)) {
			return all, cursor
		}
	}
}

// storeShort stores a session that expires by itself, soon on a real Redis.
func storeShort(t *testing.T, b *backend, s *RedisStore, subject string, lifetime bool) *Ticket {
	t.Helper()
	for {
		tk := newTicket(b, subject)
		now := b.now()
		if b.mini == nil {
			now = time.Now()
		}
		tk.ExpiresAt = now.Truncate(time.Millisecond).Add(300 * time.Millisecond)
		if lifetime {
			tk.EndsAt = tk.ExpiresAt
		}
		if _, err := s.Store(b.ctx(t), tk); err == nil {
			return tk
		} else if !errors.Is(err, ErrInvalidTicket) { // the machine was too slow
			t.Fatal(err)
		}
	}
}

// 13. Every ending is told once, with its cause.
func TestInvariant13EveryEndingIsTold(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := b.store(t, remembering)
		site := newSiteOn(t, b, s, Config{})
		ctx := b.ctx(t)
		want := map[string]string{} // ID: cause and who
		live := func(subject string) (Key, string) {
			tk := newTicket(b, subject)
			return mustStore(t, b, s, tk), tk.ID
		}
		check := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}

		key, id := live("removed")
		check(s.Remove(ctx, key))
		want[id] = "signed-out "
		check(s.Remove(ctx, key))

		_, id = live("revoked")
		check(s.Revoke(ctx, "revoked", id))
		want[id] = "revoked "

		_, id = live("disabled")
		_, err := s.RevokeAll(WithCause(ctx, "disabled", "root"), "disabled")
		check(err)
		want[id] = "disabled root"

		_, id = live("others")
		_, kept := live("others")
		_, err = s.RevokeOthers(ctx, "others", kept)
		check(err)
		want[id] = "revoked "

		_, id = live("full")
		for range remembering.MaxSessions {
			live("full")
		}
		want[id] = "evicted "

		c := site.login(t, "browser")
		id = site.ticket(t, c).ID
		c = onlyCookie(t, site.get(t, "/login?user=browser", c))
		want[id] = "replaced "
		id = site.ticket(t, c).ID
		site.get(t, "/logout", c)
		want[id] = "signed-out "

		tk := newTicket(b, "deleted")
		mustStore(t, b, s, tk)
		check(b.client.Del(ctx, s.recordKey(partition("deleted"), tk.ID)).Err())
		_, err = s.Sessions(ctx, "deleted")
		check(err)
		want[tk.ID] = "deleted "

		idle, old := storeShort(t, b, s, "idle", false), storeShort(t, b, s, "old", true)
		want[idle.ID], want[old.ID] = "idle ", "lifetime "
		if b.mini != nil {
			b.advance(time.Second)
		}

		all, cursor := readEndings(t, b, s, "", len(want))
		got := map[string]string{}
		for _, e := range all {
			if _, twice := got[e.Session.ID]; twice {
				t.Errorf("%s was told twice", e.Session.ID)
			}
			got[e.Session.ID] = e.Cause + " " + e.By
			if e.Session.Undecodable || e.Session.Subject == "" || e.Session.SignedInAt.IsZero() || e.EndedAt.Before(e.Session.SignedInAt.Add(-time.Minute)) {
				t.Errorf("got %+v", e)
			}
		}
		if !maps.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		if all, _ = readEndings(t, b, s, cursor, 0); len(all) != 0 {
			t.Errorf("got %v again", all)
		}
		if e := one(t, b, s, "idle"); !e.EndedAt.Equal(idle.ExpiresAt) {
			t.Errorf("got an end at %v, want %v", e.EndedAt, idle.ExpiresAt)
		}
		if e := one(t, b, s, "disabled"); e.By != "root" || e.Session.Subject != "disabled" {
			t.Errorf("got %+v", e)
		}
		if n := counted(t, b, s); n != (Counts{Subjects: 2, Sessions: int64(1 + remembering.MaxSessions)}) {
			t.Errorf("got %+v", n)
		}
	})
}

// Whoever revokes what has ended by itself has not ended it.
func TestNobodyEndsWhatHasEnded(t *testing.T) {
	b := miniBackend(t)
	s := b.store(t, remembering)
	idle, deleted, live := storeShort(t, b, s, "alice", false), newTicket(b, "alice"), newTicket(b, "alice")
	mustStore(t, b, s, deleted)
	mustStore(t, b, s, live)
	if err := b.client.Del(t.Context(), s.recordKey(partition("alice"), deleted.ID)).Err(); err != nil {
		t.Fatal(err)
	}
	b.advance(time.Second)
	if n, err := s.RevokeAll(WithCause(b.ctx(t), "disabled", "root"), "alice"); err != nil || n != 1 {
		t.Fatalf("got %d, %v, want 1", n, err)
	}
	history, err := s.History(b.ctx(t), "alice")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, e := range history {
		got[e.Session.ID] = e.Cause + " " + e.By
	}
	if want := map[string]string{idle.ID: "idle ", deleted.ID: "deleted ", live.ID: "disabled root"}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func counted(t *testing.T, b *backend, s *RedisStore) Counts {
	t.Helper()
	c, err := s.Count(b.ctx(t))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// one returns the only ending in a subject's history.
func one(t *testing.T, b *backend, s *RedisStore, subject string) Ending {
	t.Helper()
	history, err := s.History(b.ctx(t), subject)
	if err != nil || len(history) != 1 {
		t.Fatalf("%s: got %v, %v, want one ending", subject, history, err)
	}
	return history[0]
}

// A session that expires is in the history, though nobody has read endings, and
// those that ended last come first.
func TestHistory(t *testing.T) {
	b := miniBackend(t)
	s := b.store(t, remembering)
	var want []string
	for range 3 {
		tk := storeShort(t, b, s, "alice", false)
		want = append([]string{tk.ID}, want...)
		b.advance(time.Second)
	}
	history, err := s.History(b.ctx(t), "alice")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range history {
		got = append(got, e.Session.ID)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, subject := range []string{"bob", "", strings.Repeat("x", 10_000)} {
		if history, err := s.History(b.ctx(t), subject); err != nil || len(history) > 0 {
			t.Errorf("%.10q: got %v, %v, want none", subject, history, err)
		}
	}

	// Nothing outlives the last ending by more than History.
	b.advance(remembering.History + time.Second)
	if keys := b.keys(t); len(keys) > 0 {
		t.Errorf("got keys %q, want none", keys)
	}
}

// What is older than History is gone from lists that are still in use.
func TestHistoryIsBounded(t *testing.T) {
	b := miniBackend(t)
	s := b.store(t, remembering)
	end := func() {
		tk := newTicket(b, "alice")
		if err := s.Remove(b.ctx(t), mustStore(t, b, s, tk)); err != nil {
			t.Fatal(err)
		}
	}
	end()
	b.advance(remembering.History / 2)
	end()
	b.advance(remembering.History * 2 / 3)
	end()
	if history, err := s.History(b.ctx(t), "alice"); err != nil || len(history) != 2 {
		t.Errorf("got %v, %v, want two endings", history, err)
	}
	if all, _ := readEndings(t, b, s, "", 2); len(all) != 2 {
		t.Errorf("got %v, want two endings", all)
	}
}

// A cursor that cannot tell whether it has missed something says so, once.
func TestEndingsLost(t *testing.T) {
	b := miniBackend(t)
	s := b.store(t, remembering)
	end := func() {
		if err := s.Remove(b.ctx(t), mustStore(t, b, s, newTicket(b, "alice"))); err != nil {
			t.Fatal(err)
		}
	}
	end()
	_, cursor := readEndings(t, b, s, "", 1)
	for name, lose := range map[string]func(){
		"not used for long": func() { end(); b.advance(remembering.History + time.Minute) },
		"Redis lost all":    func() { b.mini.FlushAll() },
		"Redis lost the last writes": func() {
			b.mini.FlushAll()
			b.mini.SetTime(b.now().Add(-time.Minute))
			end()
			b.mini.SetTime(b.now())
		},
	} {
		t.Run(name, func(t *testing.T) {
			end()
			_, cursor, _ = s.Endings(b.ctx(t), cursor, 100)
			lose()
			all, next, err := s.Endings(b.ctx(t), cursor, 100)
			if !errors.Is(err, ErrEndingsLost) {
				t.Fatalf("got %v, %v, want ErrEndingsLost", all, err)
			}
			tk := newTicket(b, "alice")
			if err := s.Remove(b.ctx(t), mustStore(t, b, s, tk)); err != nil {
				t.Fatal(err)
			}
			if all, next, err = s.Endings(b.ctx(t), next, 100); err != nil || len(all) == 0 || all[len(all)-1].Session.ID != tk.ID {
				t.Errorf("then got %v, %v, want that of %s last", all, err, tk.ID)
			}
			cursor = next
		})
	}
	if _, _, err := s.Endings(b.ctx(t), "x", 1); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	if _, _, err := s.Endings(b.ctx(t), "", maxEndings+1); err == nil {
		t.Error("a limit too high was taken")
	}
}

// A limit of 0 begins with what comes.
func TestEndingsFromNow(t *testing.T) {
	b := miniBackend(t)
	s := b.store(t, remembering)
	for _, user := range []string{"alice", "bob"} {
		if err := s.Remove(b.ctx(t), mustStore(t, b, s, newTicket(b, user))); err != nil {
			t.Fatal(err)
		}
	}
	all, cursor, err := s.Endings(b.ctx(t), "", 0)
	if err != nil || len(all) > 0 {
		t.Fatalf("got %v, %v", all, err)
	}
	tk := newTicket(b, "alice")
	if err := s.Remove(b.ctx(t), mustStore(t, b, s, tk)); err != nil {
		t.Fatal(err)
	}
	if all, _ = readEndings(t, b, s, cursor, 1); len(all) != 1 || all[0].Session.ID != tk.ID {
		t.Errorf("got %v, want that of %s", all, tk.ID)
	}
}

// Without History nothing is remembered, and the methods say so.
func TestWithoutHistory(t *testing.T) {
	b := miniBackend(t)
	s := b.store(t, RedisConfig{})
	if err := s.Remove(b.ctx(t), mustStore(t, b, s, newTicket(b, "alice"))); err != nil {
		t.Fatal(err)
	}
	if keys := b.keys(t); len(keys) > 0 {
		t.Errorf("got keys %q, want none", keys)
	}
	_, err := s.History(b.ctx(t), "alice")
	_, _, err2 := s.Endings(b.ctx(t), "", 1)
	for _, err := range []error{err, err2} {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("got %v, want ErrUnsupported", err)
		}
	}
	for _, history := range []time.Duration{-1, time.Second, 401 * 24 * time.Hour} {
		if _, err := NewRedisStore(b.client, RedisConfig{History: history}); err == nil {
			t.Errorf("a History of %v was taken", history)
		}
	}
}

// How a session began is sealed as its ticket is, and for no other use.
func TestSealedHistory(t *testing.T) {
	b := miniBackend(t)
	keys := []SealKey{SealKey(strings.Repeat("k", 32))}
	s := b.store(t, RedisConfig{History: time.Hour, SealKeys: keys})
	tk := newTicket(b, "alice")
	tk.Device.UserAgent = "a browser"
	mustStore(t, b, s, tk)
	began := b.client.HGet(t.Context(), s.tags[partition("alice")]+"begun:alice", tk.ID).Val()
	record := b.client.Get(t.Context(), s.recordKey(partition("alice"), tk.ID)).Val()
	if strings.Contains(b.mini.Dump(), "a browser") || began == "" {
		t.Errorf("%q is there to be read", began)
	}
	if err := s.Revoke(b.ctx(t), "alice", tk.ID); err != nil {
		t.Fatal(err)
	}
	if e := one(t, b, s, "alice"); e.Session.Device.UserAgent != "a browser" {
		t.Errorf("got %+v", e)
	}
	if e := one(t, b, b.store(t, RedisConfig{History: time.Hour}), "alice"); !e.Session.Undecodable || e.Cause != "revoked" {
		t.Errorf("without the key: got %+v", e)
	}
	envelopeLine, _, _ := strings.Cut(record, "\n")
	_, sealed, _ := strings.Cut(began, "\n")
	if err := b.client.Set(t.Context(), s.recordKey(partition("alice"), tk.ID), envelopeLine+"\n"+sealed, time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	if sess, err := s.Session(b.ctx(t), "alice", tk.ID); err == nil && !sess.Undecodable {
		t.Errorf("what a session began with was taken for its ticket: %+v", sess)
	}
}

// Another type in place of what endings are kept in is put right, and ends no
// ending.
func TestHistoryOfAnotherType(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := b.store(t, remembering)
		tag := s.tags[partition("alice")]
		for _, key := range []string{"ended", "history:alice", "begun:alice"} {
			if err := s.Remove(b.ctx(t), mustStore(t, b, s, newTicket(b, "alice"))); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(b.client.Del(t.Context(), tag+key).Err(), b.client.Set(t.Context(), tag+key, "x", 0).Err()); err != nil {
				t.Fatal(err)
			}
			tk := newTicket(b, "alice")
			if err := s.Remove(b.ctx(t), mustStore(t, b, s, tk)); err != nil {
				t.Errorf("%s: %v", key, err)
			}
			history, err := s.History(b.ctx(t), "alice")
			if err != nil || len(history) == 0 || history[0].Session.ID != tk.ID {
				t.Errorf("%s: got %v, %v, want that of %s first", key, history, err, tk.ID)
			}
		}
	})
}

// Whoever reads while sessions end, in every way at once, and however often a
// reader begins anew at its last cursor, sees each ending once.
func TestEndingsExactlyOnce(t *testing.T) {
	for name, open := range map[string]func(testing.TB) *backend{"redis": realBackend, "cluster": clusterBackend} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t)
			b.testClock = &testClock{runs: true}
			s := b.store(t, RedisConfig{History: time.Hour, MaxSessions: 20})
			const writers, each, users = 8, 250, 24
			var mu sync.Mutex
			began := map[string]bool{}
			var group sync.WaitGroup
			for w := range writers {
				group.Go(func() {
					random := rand.New(rand.NewPCG(1, uint64(w)))
					for range each {
						user := fmt.Sprint("user-", random.IntN(users))
						tk := newTicket(b, user)
						tk.SignedInAt = time.Time{}
						if random.IntN(3) == 0 {
							tk.ExpiresAt = b.now().Add(time.Duration(50+random.IntN(200)) * time.Millisecond)
						}
						key, err := s.Store(b.ctx(t), tk)
						if errors.Is(err, ErrConflict) {
							continue // RevokeAll came between; what began is told, too
						}
						if errors.Is(err, ErrInvalidTicket) {
							continue // the machine was too slow
						}
						if err != nil {
							t.Error(err)
							return
						}
						mu.Lock()
						began[tk.ID] = true
						mu.Unlock()
						switch random.IntN(8) {
						case 0:
							err = s.Remove(b.ctx(t), key)
						case 1, 2:
							if err = s.Revoke(b.ctx(t), user, tk.ID); errors.Is(err, ErrNotFound) {
								err = nil
							}
						case 3:
							_, err = s.RevokeAll(b.ctx(t), user)
						case 4:
							if tk.ExpiresAt = b.now().Add(300 * time.Millisecond); s.Renew(b.ctx(t), key, tk) != nil {
								continue // it has ended
							}
						}
						if err != nil {
							t.Error(err)
						}
					}
				})
			}
			done := make(chan struct{})
			go func() {
				group.Wait()
				for i := range users {
					_, err := s.RevokeAll(b.ctx(t), fmt.Sprint("user-", i))
					if err != nil {
						t.Error(err)
					}
				}
				close(done)
			}()
			for range 3 {
				seen, cursor := map[string]int{}, ""
				for finished := false; ; {
					select {
					case <-done:
						finished = true
					default:
					}
					page, next, err := s.Endings(b.ctx(t), cursor, 50)
					if err != nil {
						t.Fatal(err)
					}
					if rand.IntN(4) == 0 {
						continue // the reader crashes before it has kept the cursor
					}
					for _, e := range page {
						seen[e.Session.ID]++
					}
					cursor = next
					if finished && len(page) == 0 && counted(t, b, s) == (Counts{}) {
						break
					}
				}
				for id := range began {
					if seen[id] != 1 {
						t.Errorf("%s was told %d times", id, seen[id])
					}
				}
				for id, n := range seen {
					if n != 1 {
						t.Errorf("%s was told %d times", id, n)
					}
				}
			}
		})
	}
}

func FuzzEndingsCursor(f *testing.F) {
	c := endingsCursor{read: 1764371234567, first: 3}
	c.seen[7] = streamID{1764371234567, 2}
	f.Add(c.String())
	f.Add("")
	f.Add("AQ")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseEndingsCursor(text)
		if err == nil && text != "" && c.String() != text {
			t.Errorf("%q became %q", text, c.String())
		}
	})
}
