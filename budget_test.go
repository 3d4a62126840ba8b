package ticketstore

import (
	"fmt"
	"math"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// What an operation costs is in a file: a change that costs more shows there.
const (
	budgetFile = "testdata/budget.txt"
	budgetGo   = "go1.26" // another release of Go allocates otherwise
	budgetHead = "# What an operation costs: its allocations, those of go-redis included, with\n" +
		"# " + budgetGo + ", and the commands that Redis gets. If it is meant to change:\n" +
		"# " + budgetUpdate + "\n"
	budgetUpdate = "go test -run PerRequest . -update"
	ifMeant      = "; if that is meant: " + budgetUpdate
)

type cost struct {
	allocations int
	commands    string // as of [counter]
}

// An operation is what a program does with the library. Once prepared, it can
// be repeated for as long as Redis gives the same answers.
type operation struct {
	name    string
	prepare func(t *testing.T, s *site) (do func() error)
}

var operations = []operation{
	{"request without a cookie", func(t *testing.T, s *site) func() error { return s.wrapped(t, "") }},
	{"request with a forged cookie", func(t *testing.T, s *site) func() error {
		c := s.login(t, "alice")
		c.Value += "x"
		return s.wrapped(t, "", c)
	}},
	{"request with another cookie", func(t *testing.T, s *site) func() error {
		return s.wrapped(t, "", &http.Cookie{Name: "other", Value: "x"})
	}},
	{"request", func(t *testing.T, s *site) func() error { return s.wrapped(t, "alice", s.login(t, "alice")) }},
	{"request that is skipped", func(t *testing.T, s *site) func() error {
		skipping := newSiteOn(t, s.backend, s.store, Config{Skip: func(*http.Request) bool { return true }})
		return skipping.wrapped(t, "", skipping.login(t, "alice"))
	}},
	{"request that renews", func(t *testing.T, s *site) func() error {
		renewing := newSiteOn(t, s.backend, s.store, Config{RenewAfter: time.Millisecond})
		c := renewing.login(t, "alice")
		s.advance(2 * time.Millisecond)
		return renewing.wrapped(t, "alice", c)
	}},
	{"request of an impersonation", func(t *testing.T, s *site) func() error {
		return s.wrapped(t, "alice", s.get(t, "/as?user=alice", s.login(t, "bob")).Cookies()...)
	}},
	{"SignIn", func(t *testing.T, s *site) func() error { return s.signIn(t, "alice") }},
	{"SignIn again", func(t *testing.T, s *site) func() error { return s.signIn(t, "alice", s.login(t, "alice")) }},
	{"SignIn over another's session", func(t *testing.T, s *site) func() error {
		return s.signIn(t, "alice", s.login(t, "bob"))
	}},
	{"SignIn at MaxSessions", func(t *testing.T, s *site) func() error {
		full := newSiteOn(t, s.backend, s.backend.store(t, RedisConfig{MaxSessions: 2}), Config{})
		full.login(t, "alice")
		full.login(t, "alice")
		return full.signIn(t, "alice")
	}},
	{"SignOut", func(t *testing.T, s *site) func() error {
		return s.within(t, s.manager.SignOut, s.login(t, "alice"))
	}},
	{"Manager.Renew", func(t *testing.T, s *site) func() error {
		return s.within(t, func(_ http.ResponseWriter, r *http.Request) error {
			_, err := s.manager.Renew(r, func(tk *Ticket) error { tk.Scheme = "x"; return nil })
			return err
		}, s.login(t, "alice"))
	}},
	{"Manager.Rotate", func(t *testing.T, s *site) func() error {
		return s.within(t, func(w http.ResponseWriter, r *http.Request) error {
			_, err := s.manager.Rotate(w, r, nil)
			return err
		}, s.login(t, "alice"))
	}},
	{"Store", func(t *testing.T, s *site) func() error {
		ctx, tk := s.ctx(t), newTicket(s.backend, "alice")
		return func() error {
			tk.ID, tk.Revision = "", ""
			_, err := s.store.Store(ctx, tk)
			return err
		}
	}},
	{"Retrieve", func(t *testing.T, s *site) func() error {
		ctx, key := s.ctx(t), s.sessions(t, 1)[0].key
		return func() error {
			tk, err := s.store.Retrieve(ctx, key)
			return wantSubject(tk, err)
		}
	}},
	{"Renew", func(t *testing.T, s *site) func() error {
		ctx, sess := s.ctx(t), s.sessions(t, 1)[0]
		id, revision := sess.ID, sess.Revision
		return func() error {
			sess.ID, sess.Revision = id, revision
			return s.store.Renew(ctx, sess.key, sess.Ticket)
		}
	}},
	{"Rotate", func(t *testing.T, s *site) func() error {
		ctx, sess := s.ctx(t), s.sessions(t, 1)[0]
		id, revision := sess.ID, sess.Revision
		return func() error {
			sess.ID, sess.Revision = id, revision
			_, err := s.store.Rotate(ctx, sess.key, sess.Ticket, time.Minute)
			return err
		}
	}},
	{"Remove", func(t *testing.T, s *site) func() error {
		ctx, key := s.ctx(t), s.sessions(t, 1)[0].key
		return func() error { return s.store.Remove(ctx, key) }
	}},
	{"Session", func(t *testing.T, s *site) func() error {
		ctx, id := s.ctx(t), s.sessions(t, 1)[0].ID
		return func() error {
			_, err := s.store.Session(ctx, "alice", id)
			return err
		}
	}},
	{"Sessions, of ten", func(t *testing.T, s *site) func() error {
		ctx := s.ctx(t)
		s.sessions(t, 10)
		return func() error {
			list, err := s.store.Sessions(ctx, "alice")
			return wantTen(len(list), err)
		}
	}},
	{"Revoke", func(t *testing.T, s *site) func() error {
		ctx, id := s.ctx(t), s.sessions(t, 10)[0].ID
		return func() error { return s.store.Revoke(ctx, "alice", id) }
	}},
	{"RevokeOthers, ten", func(t *testing.T, s *site) func() error {
		ctx, keep := s.ctx(t), s.sessions(t, 11)[0].ID
		return func() error { return wantTen(s.store.RevokeOthers(ctx, "alice", keep)) }
	}},
	{"RevokeAll, ten", func(t *testing.T, s *site) func() error {
		ctx := s.ctx(t)
		s.sessions(t, 10)
		return func() error { return wantTen(s.store.RevokeAll(ctx, "alice")) }
	}},
	{"Count", func(t *testing.T, s *site) func() error {
		ctx := s.ctx(t)
		s.sessions(t, 10)
		return func() error {
			n, err := s.store.Count(ctx)
			return wantTen(int(n.Sessions), err)
		}
	}},
	{"SessionPage, of ten", func(t *testing.T, s *site) func() error {
		ctx := s.ctx(t)
		s.sessions(t, 10)
		return func() error {
			page, _, err := s.store.SessionPage(ctx, "", 10)
			return wantTen(len(page), err)
		}
	}},
}

type storedTicket struct {
	*Ticket
	key Key
}

// sessions stores n sessions of alice.
func (s *site) sessions(t *testing.T, n int) (stored []storedTicket) {
	for range n {
		tk := newTicket(s.backend, "alice")
		stored = append(stored, storedTicket{tk, mustStore(t, s.backend, s.store, tk)})
	}
	return stored
}

func wantTen(n int, err error) error {
	if err == nil && n != 10 {
		err = fmt.Errorf("got %d sessions, want 10", n)
	}
	return err
}

func wantSubject(tk *Ticket, err error) error {
	if err == nil && tk.Subject != "alice" {
		err = fmt.Errorf("got a ticket of %q", tk.Subject)
	}
	return err
}

// wrapped returns a request to a handler in Wrap, which finds want there.
func (s *site) wrapped(t *testing.T, want string, cookies ...*http.Cookie) func() error {
	return s.within(t, func(_ http.ResponseWriter, r *http.Request) error {
		if tk, ok := FromContext(r.Context()); ok != (want != "") || ok && tk.Subject != want {
			return fmt.Errorf("got %v, want %q", tk, want)
		}
		return nil
	}, cookies...)
}

// within returns a request that does what do says in Wrap.
func (s *site) within(t *testing.T, do func(http.ResponseWriter, *http.Request) error, cookies ...*http.Cookie) func() error {
	var err error
	h := s.manager.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { err = do(w, r) }))
	w, r := discard{}, s.request(t, "GET", "/", cookies...)
	return func() error {
		clear(w)
		err = fmt.Errorf("the handler has not run")
		h.ServeHTTP(w, r)
		return err
	}
}

func (s *site) signIn(t *testing.T, user string, cookies ...*http.Cookie) func() error {
	w, r, tk := discard{}, s.request(t, "POST", "/login", cookies...), NewTicket(user)
	return func() error {
		clear(w)
		*tk = Ticket{Subject: user, Identities: tk.Identities}
		return s.manager.SignIn(w, r, tk)
	}
}

// discard is a ResponseWriter that keeps the header alone.
type discard http.Header

func (d discard) Header() http.Header         { return http.Header(d) }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

// once prepares o and does it. It does so twice: at the first time, Redis may
// lack the scripts. before is called when o is prepared.
func (s *site) once(t *testing.T, o operation, before func()) (do func() error) {
	t.Helper()
	for range 2 {
		for _, user := range []string{"alice", "bob"} {
			if _, err := s.store.RevokeAll(s.ctx(t), user); err != nil {
				t.Fatal(err)
			}
			// The tape has left another mark in the store than in Redis.
			if err := s.client.Del(t.Context(), s.store.markKey(partition(user), user)).Err(); err != nil {
				t.Fatal(err)
			}
		}
		do = o.prepare(t, s)
		before()
		if err := do(); err != nil {
			t.Fatalf("%s: %v", o.name, err)
		}
	}
	return do
}

// commandsOf returns what was counted since the last call but for the number of
// pipelines: a command is one in a pipeline, too.
func commandsOf(count *counter) string {
	return strings.TrimSpace(pipelines.ReplaceAllString(count.take(), ""))
}

var pipelines = regexp.MustCompile(` ?pipeline=\d+`)

func TestCommandsPerRequest(t *testing.T) {
	if *update {
		t.Skip("skipped: TestAllocationsPerRequest writes the commands down as well")
	}
	budget := readBudget(t)
	eachBackend(t, func(t *testing.T, b *backend) {
		count := &counter{n: map[string]int{}}
		b.client.AddHook(count)
		s := newSite(t, b, Config{})
		for _, o := range operations {
			s.once(t, o, func() { count.take() })
			want := budget[o.name].commands
			if b.cluster && o.name == "Count" {
				want = "evalsha=256" // partitions are on several nodes
			}
			if got := commandsOf(count); got != want {
				t.Errorf("%s: got %q, want %q%s", o.name, got, want, ifMeant)
			}
		}
	})
}

func TestAllocationsPerRequest(t *testing.T) {
	if raceEnabled {
		t.Skip("skipped: the race detector allocates, too; CI also runs this without it")
	}
	if !strings.HasPrefix(runtime.Version()+".", budgetGo+".") {
		if os.Getenv("CI") != "" {
			t.Fatalf("the figures are of %s, this is %s: set budgetGo and write them anew", budgetGo, runtime.Version())
		}
		t.Skipf("skipped: the figures are of %s, this is %s", budgetGo, runtime.Version())
	}
	b, tape := miniBackend(t).taped(t)
	count := &counter{n: map[string]int{}}
	b.client.AddHook(count)
	s := newSite(t, b, Config{})
	costs := map[string]cost{}
	for _, o := range operations {
		do := s.once(t, o, func() {
			count.take()
			tape.record()
		})
		c := cost{commands: commandsOf(count)}
		tape.play()
		c.allocations = allocations(t, o.name, do)
		tape.record()
		costs[o.name] = c
	}
	if *update {
		writeBudget(t, costs)
	}
	for _, o := range operations {
		got, want := costs[o.name].allocations, readBudget(t)[o.name].allocations
		if got > want {
			t.Errorf("%s: got %d allocations, want at most %d%s", o.name, got, want, ifMeant)
		} else if got < want {
			t.Logf("%s: got %d allocations, fewer than the %d of the budget: %s", o.name, got, want, budgetUpdate)
		}
	}
}

// allocations returns how often do allocates: the least of several averages,
// for what else goes on in this process may allocate as well.
func allocations(t *testing.T, name string, do func() error) int {
	least := math.MaxInt
	for range 5 {
		n := testing.AllocsPerRun(50, func() {
			if err := do(); err != nil {
				t.Fatalf("%s, again: %v", name, err)
			}
		})
		least = min(least, int(n))
	}
	return least
}

var budgetLine = regexp.MustCompile(`^(\S.*?) +(\d+)(?:  (.+))?$`)

func readBudget(t *testing.T) map[string]cost {
	t.Helper()
	data, err := os.ReadFile(budgetFile)
	if err != nil {
		t.Fatal(err)
	}
	costs := map[string]cost{}
	for line := range strings.Lines(strings.TrimPrefix(string(data), budgetHead)) {
		found := budgetLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if found == nil {
			t.Fatalf("%s: got the line %q", budgetFile, line)
		}
		n, _ := strconv.Atoi(found[2])
		costs[found[1]] = cost{n, found[3]}
	}
	if len(costs) != len(operations) {
		t.Fatalf("%s has %d operations, want %d", budgetFile, len(costs), len(operations))
	}
	return costs
}

func writeBudget(t *testing.T, costs map[string]cost) {
	t.Helper()
	var b strings.Builder
	b.WriteString(budgetHead)
	for _, o := range operations {
		c := costs[o.name]
		b.WriteString(strings.TrimSpace(fmt.Sprintf("%-32s %5d  %s", o.name, c.allocations, c.commands)) + "\n")
	}
	if err := os.WriteFile(budgetFile, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
