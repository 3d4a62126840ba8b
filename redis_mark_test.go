package ticketstore

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func markRounds() int {
	if raceEnabled || testing.Short() {
		return 500
	}
	return 10_000 // CI also runs this without the race detector
}

// 16. No sign-in that began before it survives RevokeAll, whichever comes first
// at Redis, and whatever the clock of either process.
func TestInvariant16RevokeAllAgainstSignIn(t *testing.T) {
	rounds := markRounds()
	for name, open := range map[string]func(testing.TB) *backend{"redis": realBackend, "cluster": clusterBackend} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t)
			b.testClock = &testClock{runs: true}
			here, there := b.store(t, RedisConfig{}), b.store(t, RedisConfig{})
			there.marks = new(ownMarks)
			refused, ended := 0, 0
			for i := range rounds {
				subject := fmt.Sprint("user-", i)
				tk := newTicket(b, subject)
				tk.SignedInAt = b.now() // the request has arrived
				var group sync.WaitGroup
				var key Key
				var err error
				group.Go(func() { key, err = there.Store(b.ctx(t), tk) })
				group.Go(func() {
					if _, err := here.RevokeAll(b.ctx(t), subject); err != nil {
						t.Error(err)
					}
				})
				group.Wait()
				storeErr := err
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
				if sessions, err := here.Sessions(b.ctx(t), subject); err != nil || len(sessions) > 0 {
					t.Fatalf("round %d: got %v, %v, want no session; Store: %v", i, sessions, err, storeErr)
				}
			}
			t.Logf("refused %d, ended %d", refused, ended)
			if refused == 0 || ended == 0 {
				t.Error("want some of both")
			}
		})
	}
}

// The request that has revoked may sign in; another that began before may not,
// and one that begins later may.
func TestMarks(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := b.store(t, RedisConfig{})
		elsewhere := b.store(t, RedisConfig{})
		elsewhere.marks = new(ownMarks)
		var before, during func(r *http.Request)
		m := newSiteOn(t, b, s, Config{}).manager
		h := m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b.advance(10 * time.Millisecond)
			if before != nil {
				before(r)
			}
			b.advance(10 * time.Millisecond)
			if during != nil {
				during(r)
			}
			b.advance(10 * time.Millisecond)
			if err := m.SignIn(w, r, NewTicket("alice")); errors.Is(err, ErrConflict) {
				w.WriteHeader(http.StatusConflict)
			} else if err != nil {
				t.Error(err)
			}
		}))
		site := newSiteOn(t, b, s, Config{})
		site.handler = h
		revoke := func(s *RedisStore) func(*http.Request) {
			return func(r *http.Request) {
				if _, err := s.RevokeAll(r.Context(), "alice"); err != nil {
					t.Error(err)
				}
			}
		}
		strangers := func(s *RedisStore) func(*http.Request) {
			return func(*http.Request) {
				if _, err := s.RevokeAll(b.ctx(t), "alice"); err != nil {
					t.Error(err)
				}
			}
		}
		everybody := func(*http.Request) {
			if _, err := elsewhere.RevokeEverybody(b.ctx(t), nil); err != nil {
				t.Error(err)
			}
		}
		if b.mini == nil {
			return // a real clock cannot be moved
		}
		for _, test := range []struct {
			name           string
			before, during func(*http.Request)
			want           int
		}{
			{"nothing", nil, nil, 200},
			{"its own", nil, revoke(s), 200},
			{"its own, twice", revoke(s), revoke(s), 200},
			{"another's", nil, strangers(s), 409},
			{"another process'", nil, strangers(elsewhere), 409},
			{"another's, then its own", strangers(s), revoke(s), 409},
			{"another process', then its own", strangers(elsewhere), revoke(s), 409},
			{"everybody", nil, everybody, 409},
			{"nothing, again", nil, nil, 200},
		} {
			before, during = test.before, test.during
			b.advance(time.Second)
			if res := site.get(t, "/"); res.StatusCode != test.want {
				t.Errorf("%s: got %d, want %d", test.name, res.StatusCode, test.want)
			}
		}
	})
}

// A sign-in an hour long is not held against a revocation before.
func TestMarkEnds(t *testing.T) {
	b := miniBackend(t)
	s := b.store(t, RedisConfig{})
	tk := newTicket(b, "alice")
	b.advance(time.Second)
	if _, err := s.RevokeAll(b.ctx(t), "alice"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Store(b.ctx(t), tk); !errors.Is(err, ErrConflict) {
		t.Errorf("got %v, want ErrConflict", err)
	}
	b.advance(59 * time.Minute)
	tk.ExpiresAt = b.now().Add(time.Minute)
	if _, err := s.Store(b.ctx(t), tk); !errors.Is(err, ErrConflict) {
		t.Errorf("got %v, want ErrConflict", err)
	}
	b.advance(2 * time.Minute)
	tk.ExpiresAt = b.now().Add(time.Minute)
	if _, err := s.Store(b.ctx(t), tk); err != nil {
		t.Error(err)
	}
}

func TestRevokeEverybody(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		for _, cfg := range []RedisConfig{{}, {History: time.Hour}} {
			s := b.store(t, cfg)
			var keys []Key
			for i := range 150 {
				keys = append(keys, mustStore(t, b, s, newTicket(b, fmt.Sprint("user-", i%40))))
			}
			// What is no session, put there by hand, ends nothing, nor holds anything up.
			if err := b.client.ZAdd(t.Context(), s.censusKey(partition("user-1")), redis.Z{Score: 1, Member: "x"}).Err(); err != nil {
				t.Fatal(err)
			}
			var told []int
			n, err := s.RevokeEverybody(WithCause(b.ctx(t), "breach", "root"), func(n int) { told = append(told, n) })
			if err != nil || n != 150 || told[len(told)-1] != 150 {
				t.Errorf("got %d, %v, progress %v", n, err, told)
			}
			for _, key := range keys {
				if _, err := s.Retrieve(b.ctx(t), key); !errors.Is(err, ErrNotFound) {
					t.Errorf("got %v, want ErrNotFound", err)
				}
			}
			if c := counted(t, b, s); c != (Counts{}) {
				t.Errorf("got %+v", c)
			}
			if cfg.History > 0 {
				all, _ := readEndings(t, b, s, "", 150)
				if len(all) != 150 || all[0].Cause != "breach" || all[0].By != "root" {
					t.Errorf("got %d endings, %+v", len(all), all[0])
				}
			} else if keys := b.keys(t); len(keys) > 0 {
				t.Errorf("got keys %q, want none", keys)
			}
			b.advance(time.Second)
		}
	})
}

// Nothing of a subject is left once it is forgotten, of others everything.
func TestForget(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := b.store(t, RedisConfig{History: time.Hour})
		subjects := []string{"secret-alice"}
		for i := 0; len(subjects) < 2; i++ { // one of the same partition
			if other := fmt.Sprint("user-", i); partition(other) == partition(subjects[0]) {
				subjects = append(subjects, other)
			}
		}
		for _, subject := range subjects {
			for range 3 {
				if err := s.Remove(b.ctx(t), mustStore(t, b, s, newTicket(b, subject))); err != nil {
					t.Fatal(err)
				}
			}
			mustStore(t, b, s, newTicket(b, subject))
		}
		data, err := s.Export(b.ctx(t), subjects[0])
		var export struct {
			Sessions, History []json.RawMessage
		}
		if err != nil || json.Unmarshal(data, &export) != nil || len(export.Sessions) != 1 || len(export.History) != 3 {
			t.Errorf("got %s, %v", data, err)
		}
		if n, err := s.Forget(b.ctx(t), subjects[0]); err != nil || n != 1 {
			t.Errorf("got %d, %v, want 1", n, err)
		}
		for _, key := range b.keys(t) {
			if b.mini == nil && strings.HasSuffix(key, "}ended") {
				continue // Redis keeps the bytes of a deleted entry, see Forget
			}
			dump, err := b.client.Dump(t.Context(), key).Result()
			if b.mini != nil {
				dump, err = b.mini.Dump(), nil
			}
			// The mark stays, in miniredis' dump of everything, too.
			left := strings.Count(key+dump, "secret-alice") - strings.Count(dump, "revoked:secret-alice")
			if err != nil || left > 0 {
				t.Errorf("%s has it: %v", key, err)
			}
		}
		all, _ := readEndings(t, b, s, "", 4)
		causes := map[string]int{}
		for _, e := range all {
			causes[e.Cause+" "+e.Session.Subject]++
		}
		if causes["forgotten "] != 1 || causes["signed-out "+subjects[1]] != 3 || len(all) != 4 {
			t.Errorf("got %v", causes)
		}
		if history, err := s.History(b.ctx(t), subjects[1]); err != nil || len(history) != 3 {
			t.Errorf("got %v, %v, want three endings", history, err)
		}
		if data, err = s.Export(b.ctx(t), subjects[0]); err != nil || strings.Count(string(data), "\n") != 3 {
			t.Errorf("got %s, %v, want nothing", data, err)
		}
	})
}
