package aspnetcore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/redistest"
)

// A full Redis refuses sign-ins and renewals; it still reads, also what the
// application has begun and renewed, and ends sessions.
func TestFullRedis(t *testing.T) {
	server := redistest.Start(t)
	client := redis.NewClient(redistest.Options(server.Addr))
	defer client.Close()
	s := newSite(t, &backend{client: client, instance: "shop:"}, StoreConfig{MaxSessions: 4})
	ctx, now := s.ctx(t), s.now().Truncate(time.Second)
	memory := func(limit string) {
		t.Helper()
		if err := client.ConfigSet(ctx, "maxmemory", limit).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for _, as := range []string{"seen", "unseen", "renewed", "another user's before"} {
		memory("0")
		client.FlushDB(ctx)
		for i := range 8 {
			s.signIn(keyNo(i), "alice", now.Add(time.Hour))
			switch as {
			case "another user's before":
				s.signIn(keyNo(i), "bob", now.Add(time.Hour))
				s.retrieve(keyNo(i))
				s.signIn(keyNo(i), "alice", now.Add(time.Hour))
			case "renewed":
				s.retrieve(keyNo(i))
				s.slide(keyNo(i), now.Add(2*time.Hour))
			case "seen":
				s.retrieve(keyNo(i))
			}
		}
		seen := s.retrieve(keyNo(0))
		memory("1")

		tk := ticketstore.NewTicket("alice")
		tk.ExpiresAt = now.Add(time.Hour)
		if key, err := s.Store.Store(ctx, tk); err == nil || key != "" || !strings.Contains(err.Error(), "OOM") || !strings.HasPrefix(err.Error(), "aspnetcore: store: ") {
			t.Errorf("%s: Store: got %v, want OOM", as, err)
		}
		if err := s.Renew(ctx, keyNo(0), seen); err == nil || !strings.Contains(err.Error(), "OOM") || !strings.HasPrefix(err.Error(), "aspnetcore: renew: ") {
			t.Errorf("%s: Renew: got %v, want OOM", as, err)
		}
		for i := range 2 {
			if tk, err := s.Retrieve(ctx, keyNo(i)); err != nil || tk.Subject != "alice" {
				t.Errorf("%s: Retrieve: got %+v, %v, want alice's", as, tk, err)
			}
		}
		if err := s.Remove(ctx, keyNo(2)); err != nil {
			t.Errorf("%s: Remove: %v", as, err)
		}
		dead := []int{2}
		if as != "unseen" && as != "another user's before" {
			if sessions, err := s.Sessions(ctx, "alice"); err != nil || len(sessions) != 7 {
				t.Errorf("%s: Sessions: got %d, %v, want 7", as, len(sessions), err)
			}
			if err := s.Revoke(ctx, "alice", sessionID(keyNo(3))); err != nil {
				t.Errorf("%s: Revoke: %v", as, err)
			}
			if n, err := s.RevokeOthers(ctx, "alice", sessionID(keyNo(0))); err != nil || n != 5 {
				t.Errorf("%s: RevokeOthers: got %d, %v, want 5", as, n, err)
			}
			if n, err := s.RevokeAll(ctx, "alice"); err != nil || n != 1 {
				t.Errorf("%s: RevokeAll: got %d, %v, want 1", as, n, err)
			}
			dead = []int{0, 1, 2, 3, 4, 5, 6, 7}
		}
		for _, i := range dead {
			if _, err := s.Retrieve(ctx, keyNo(i)); !errors.Is(err, ticketstore.ErrNotFound) {
				t.Errorf("%s: session %d: got %v, want ErrNotFound", as, i, err)
			}
			if _, ok := s.get(keyNo(i)); ok {
				t.Errorf("%s: session %d: the application still reads it", as, i)
			}
		}
		if _, err := s.Check(ctx); err == nil || !strings.Contains(err.Error(), "OOM") {
			t.Errorf("%s: Check: got %v, want OOM", as, err)
		}
	}
}

// Nobody notices SCRIPT FLUSH.
func TestScriptFlush(t *testing.T) {
	server := redistest.Start(t)
	client := redis.NewClient(redistest.Options(server.Addr))
	defer client.Close()
	s := newSite(t, &backend{client: client, instance: "shop:"}, StoreConfig{})
	flush := func() { client.ScriptFlush(t.Context()) }
	s.signIn(dotnetKey, "alice", time.Time{})
	flush()
	tk := s.retrieve(dotnetKey)
	flush()
	if err := s.Renew(s.ctx(t), dotnetKey, tk); err != nil {
		t.Errorf("Renew: %v", err)
	}
	s.signIn(keyNo(1), "alice", time.Time{})
	flush()
	if got := s.reindexed(); got.Added != 1 {
		t.Errorf("Reindex: got %+v, want one added", got)
	}
	flush()
	if n, err := s.RevokeAll(s.ctx(t), "alice"); n != 2 || err != nil {
		t.Errorf("RevokeAll: got %d, %v, want 2", n, err)
	}
}

// What go-redis sends again, after a reply is lost, does no harm.
func TestRepeatedCommands(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := newSite(t, b, StoreConfig{MaxSessions: 1})
		ctx := s.ctx(t)
		s.count() // loads the scripts
		twice := &repeater{}
		s.client.AddHook(twice)
		tk := ticketstore.NewTicket("alice")
		tk.ExpiresAt = s.now().Add(time.Hour)
		key, err := s.Store.Store(ctx, tk)
		if err != nil {
			t.Fatalf("Store: %v", err)
		}
		s.wantListed("stored", "alice", key)
		if got := s.retrieve(key); got.Revision != tk.Revision {
			t.Errorf("Store: got revision %s, want %s", got.Revision, tk.Revision)
		}
		tk.ExpiresAt = s.now().Add(2 * time.Hour)
		if err := s.Renew(ctx, key, tk); err != nil {
			t.Errorf("Renew: %v", err)
		}
		if got := s.retrieve(key); got.Revision != tk.Revision {
			t.Errorf("Renew: got revision %s, want %s", got.Revision, tk.Revision)
		}
		s.signIn(dotnetKey, "bob", time.Time{})
		if got := s.retrieve(dotnetKey); got.Subject != "bob" {
			t.Errorf("Retrieve: got %+v, want bob's", got)
		}
		s.wantListed("seen", "bob", dotnetKey)
		newer := ticketstore.NewTicket("alice")
		newer.ID, newer.ExpiresAt = tk.ID, s.now().Add(time.Hour)
		second, err := s.Store.Store(ctx, newer)
		if err != nil {
			t.Fatalf("Store: %v", err)
		}
		if err := s.Remove(ctx, key); err != nil {
			t.Errorf("Remove: %v", err)
		}
		s.wantListed("replaced", "alice", second)
		if err := s.Remove(ctx, second); err != nil {
			t.Errorf("Remove: %v", err)
		}
		if err := s.Revoke(ctx, "bob", sessionID(dotnetKey)); err != nil && !errors.Is(err, ticketstore.ErrNotFound) {
			t.Errorf("Revoke: %v", err)
		}
		if n := twice.n; n < 6 {
			t.Errorf("%d commands were repeated: the setup is not what it says", n)
		}
		for who, key := range map[string]ticketstore.Key{"alice": second, "bob": dotnetKey} {
			if _, err := s.Retrieve(ctx, key); !errors.Is(err, ticketstore.ErrNotFound) {
				t.Errorf("%s: got %v, want ErrNotFound", who, err)
			}
		}
		s.wantCount("at the end", 0, 0)
	})
}

// A repeater sends each script twice.
type repeater struct {
	mu sync.Mutex
	n  int
}

func (r *repeater) DialHook(next redis.DialHook) redis.DialHook { return next }

func (r *repeater) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "evalsha" {
			r.mu.Lock()
			r.n++
			r.mu.Unlock()
			if err := next(ctx, cmd); err != nil {
				return err
			}
		}
		return next(ctx, cmd)
	}
}

func (r *repeater) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// On each of many rounds, a renewal and an end come at once: the session is
// dead afterwards, whoever was first.
func TestRace(t *testing.T) {
	const rounds = 2000
	s := newSite(t, redisBackend(t), StoreConfig{})
	ctx := s.ctx(t)
	later := s.now().Truncate(time.Second).Add(2 * time.Hour)
	var mu sync.Mutex
	happened := map[string]int{}
	note := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		happened[what]++
	}
	round := func(i int) {
		subject, key := fmt.Sprint("user ", i), keyNo(i)
		byGo := i%2 == 0
		s.signIn(key, subject, time.Time{})
		tk := s.retrieve(key)
		data, _ := s.get(key)
		data = slid(t, data, s.now(), later)
		var wg sync.WaitGroup
		wg.Go(func() {
			if !byGo {
				s.set(key, data, later, 0)
				return
			}
			for range 2 {
				tk := tk.Clone()
				tk.ExpiresAt = later
				switch err := s.Renew(ctx, key, tk); {
				case err == nil:
					note("Go renewed")
				case errors.Is(err, ticketstore.ErrNotFound):
					note("Go was late")
				case !errors.Is(err, ticketstore.ErrConflict):
					t.Errorf("round %d: Renew: %v", i, err)
				}
			}
		})
		wg.Go(func() {
			var err error
			switch i / 2 % 3 {
			case 0:
				err = s.Remove(ctx, key)
			case 1:
				err = s.Revoke(ctx, subject, tk.ID)
			case 2:
				_, err = s.RevokeAll(ctx, subject)
			}
			if err != nil {
				t.Errorf("round %d: %v", i, err)
			}
		})
		wg.Wait()
		if fields := s.fields(key); fields["ticketstore"] != gone {
			t.Errorf("round %d: got %q, want a tombstone", i, fields)
		} else if fields["data"] != "" {
			note(".NET brought it back")
		} else if !byGo {
			note(".NET was first")
		}
		if tk, err := s.Retrieve(ctx, key); !errors.Is(err, ticketstore.ErrNotFound) {
			t.Errorf("round %d: got %+v, %v, want ErrNotFound", i, tk, err)
		}
		if data, ok := s.get(key); ok {
			t.Errorf("round %d: the application reads %q", i, data)
		}
	}
	next := make(chan int)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range next {
				round(i)
			}
		})
	}
	for i := range rounds {
		next <- i
	}
	close(next)
	wg.Wait()
	for _, what := range []string{"Go renewed", "Go was late", ".NET brought it back", ".NET was first"} {
		if happened[what] == 0 {
			t.Errorf("%s: never: the setup is not what it says", what)
		}
	}
	s.wantCount("all ended", 0, 0)
}

// Sign-ins at once keep to the cap, whatever the application has begun.
func TestCapRace(t *testing.T) {
	s := newSite(t, redisBackend(t), StoreConfig{MaxSessions: 5})
	for i := range 5 {
		s.signIn(keyNo(i), "alice", time.Time{})
	}
	s.reindexed()
	var mu sync.Mutex
	var wg sync.WaitGroup
	alive := map[ticketstore.Key]bool{}
	for range 60 {
		wg.Go(func() {
			tk := ticketstore.NewTicket("alice")
			tk.SignedInAt, tk.ExpiresAt = s.now(), s.now().Add(time.Hour)
			key, err := s.Store.Store(s.ctx(t), tk)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			alive[key] = true
		})
	}
	wg.Wait()
	n := 0
	for key := range alive {
		if _, err := s.Retrieve(s.ctx(t), key); err == nil {
			n++
		}
	}
	if got := s.listed("alice"); len(got) != 5 || n != 5 || len(alive) != 60 {
		t.Errorf("got %d listed and %d alive of %d, want 5", len(got), n, len(alive))
	}
	s.wantCount("at the cap", 1, 5)
}

var checkedCommand = regexp.MustCompile(`\{'([A-Z]+)'`)

func checked() (names []string) {
	for _, m := range checkedCommand.FindAllStringSubmatch(checkCommands, -1) {
		names = append(names, m[1])
	}
	return names
}

// The scripts use no command that checkCommands leaves out, nor does it have
// one that nothing uses.
func TestCheckCommandsOfScripts(t *testing.T) {
	var text string
	err := fs.WalkDir(os.DirFS("scripts"), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile("scripts/" + path)
		text += string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{"ZCOUNT": true, "ZRANGE": true, "ZSCAN": true} // Count, Sessions, Subjects
	for _, m := range regexp.MustCompile(`redis\.p?call\('([A-Z]+)'`).FindAllStringSubmatch(text, -1) {
		used[m[1]] = true
	}
	if got, want := slices.Sorted(slices.Values(checked())), slices.Sorted(maps.Keys(used)); !slices.Equal(got, want) || len(want) < 15 {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A revocation that Redis refuses leaves the session in the list.
func TestEndingRefused(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	root := redis.NewClient(redistest.Options(server.Addr))
	defer root.Close()
	for rule, live := range map[string]int{"-hdel": 1, "-pttl": 1, "-hset": 1} {
		if err := root.Do(t.Context(), "acl", "setuser", rule[1:], "on", "nopass", "~shop:*", "+@all", rule).Err(); err != nil {
			t.Fatal(err)
		}
		opt := redistest.Options(server.Addr)
		opt.Username, opt.Password = rule[1:], "any"
		client := redis.NewClient(opt)
		defer client.Close()
		s := newSite(t, &backend{client: client, instance: "shop:"}, StoreConfig{})
		all := newSite(t, &backend{client: root, instance: "shop:"}, StoreConfig{})
		tk := ticketstore.NewTicket("alice")
		tk.ExpiresAt = s.now().Add(time.Hour)
		key, err := all.Store.Store(t.Context(), tk)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.RevokeAll(t.Context(), "alice"); err == nil {
			t.Errorf("%s: got no error", rule)
		}
		if _, err := all.Retrieve(t.Context(), key); (err == nil) != (live == 1) {
			t.Errorf("%s: Retrieve: got %v, want %d live session", rule, err, live)
		}
		if list, err := all.Sessions(t.Context(), "alice"); err != nil || len(list) != live {
			t.Errorf("%s: got %d sessions, %v, want %d", rule, len(list), err, live)
		}
		if _, err := all.RevokeAll(t.Context(), "alice"); err != nil {
			t.Fatal(err)
		}
	}
}

// A user who may run exactly the commands that Check runs can do all that a
// Store does, on the keys of its instance.
func TestCheckCoversCommands(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--appendonly", "yes")
	root := redis.NewClient(redistest.Options(server.Addr))
	defer root.Close()
	user := func(name string, rules ...string) *site {
		t.Helper()
		args := []any{"acl", "setuser", name, "on", "nopass", "~shop:*", "+eval", "+evalsha", "+info", "+config|get"}
		for _, command := range checked() {
			args = append(args, "+"+strings.ToLower(command))
		}
		for _, rule := range rules {
			args = append(args, rule)
		}
		if err := root.Do(t.Context(), args...).Err(); err != nil {
			t.Fatal(err)
		}
		opt := redistest.Options(server.Addr)
		opt.Username, opt.Password = name, "any"
		client := redis.NewClient(opt)
		t.Cleanup(func() { client.Close() })
		return newSite(t, &backend{client: client, instance: "shop:"}, StoreConfig{MaxSessions: 2})
	}
	s := user("app")
	if warnings, err := s.Check(t.Context()); err != nil || len(warnings) != 0 {
		t.Errorf("Check: got %q, %v, want nothing", warnings, err)
	}
	if n := root.DBSize(t.Context()).Val(); n != 0 {
		t.Errorf("Check left %d keys", n)
	}

	app := newSite(t, &backend{client: root, instance: "shop:"}, StoreConfig{})
	ctx := t.Context()
	app.signIn(dotnetKey, "alice", time.Time{})
	app.set(keyNo(1), dotnetTicket(t, "alice", s.now(), s.now().Add(time.Hour)), s.now().Add(time.Hour), time.Minute)
	app.do("SET", app.recordKey(keyNo(2)), "x")
	app.signIn(keyNo(3), "alice", time.Time{})
	_, err1 := s.Retrieve(ctx, dotnetKey)
	app.signIn(dotnetKey, "bob", time.Time{})
	_, err2 := s.Retrieve(ctx, dotnetKey)
	_, err3 := s.Retrieve(ctx, keyNo(1)) // sliding
	err4 := s.Remove(ctx, keyNo(2))      // a string
	_, err5 := s.Retrieve(ctx, keyNo(3))
	app.unlink(keyNo(3))
	_, err6 := s.Sessions(ctx, "alice") // repairs
	var tk *ticketstore.Ticket
	var key ticketstore.Key
	var err7 error
	for range 4 { // the cap ends two
		tk = ticketstore.NewTicket("alice")
		tk.ExpiresAt = s.now().Add(time.Hour)
		var err error
		key, err = s.Store.Store(ctx, tk)
		err7 = errors.Join(err7, err)
	}
	err8 := s.Renew(ctx, key, tk)
	_, err9 := s.Session(ctx, "alice", tk.ID)
	_, err10 := s.RevokeOthers(ctx, "alice", tk.ID)
	_, err11 := s.Count(ctx)
	_, _, err12 := s.SessionPage(ctx, "", 1)
	_, next, err13 := s.SessionPage(ctx, "", 1)
	_, _, err14 := s.SessionPage(ctx, next, 1)
	err15 := s.Revoke(ctx, "alice", tk.ID)
	_, err16 := s.RevokeAll(ctx, "bob")
	for _, err := range s.Subjects(ctx) {
		err16 = errors.Join(err16, err)
	}
	if err := errors.Join(err1, err2, err3, err4, err5, err6, err7, err8, err9, err10, err11, err12, err13, err14, err15, err16); err != nil {
		t.Error(err)
	}

	// SCAN and SCRIPT LOAD are the operator's.
	if _, err := s.Reindex(ctx, nil); err == nil || !strings.Contains(err.Error(), "NOPERM") {
		t.Errorf("Reindex: got %v, want NOPERM", err)
	}
	if _, err := user("operator", "+scan", "+script|load").Reindex(ctx, nil); err != nil {
		t.Errorf("the operator's Reindex: %v", err)
	}

	// Check finds out whatever is missing.
	for _, command := range checked() {
		_, err := user("no-"+strings.ToLower(command), "-"+strings.ToLower(command)).Check(ctx)
		if err == nil || !strings.HasPrefix(err.Error(), "aspnetcore: check: refused: "+command+": ") {
			t.Errorf("without %s: got %v, want it named", command, err)
		}
	}
	for _, command := range []string{"eval", "evalsha"} {
		if _, err := user("no-"+command, "-"+command).Check(ctx); err == nil || !strings.Contains(err.Error(), "'"+command+"'") {
			t.Errorf("without %s: got %v, want it named", command, err)
		}
	}
	if _, err := user("elsewhere", "resetkeys", "~other:*").Check(ctx); err == nil || !strings.Contains(err.Error(), "refused: NOPERM ") {
		t.Errorf("other keys: got %v, want NOPERM", err)
	}
}

// In a Cluster, Check looks at the one node that has the sessions.
func TestCheckCluster(t *testing.T) {
	t.Parallel()
	s := newSite(t, clusterBackend(t), StoreConfig{})
	cluster := s.client.(*redis.ClusterClient)
	node, err := cluster.MasterForKey(t.Context(), s.recordKey(dotnetKey))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"failover: slow: the client may wait for ReadTimeout, 2m0s (0: for ever), for a master that hangs before it finds the one that took over; set a second",
		node.Options().Addr + ": persistence: none: a restart of Redis signs everyone out; set appendonly yes, or save"}
	if got, err := s.Check(t.Context()); err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}
