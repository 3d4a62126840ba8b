package ticketstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore/internal/clock"
	"github.com/ticketstore/ticketstore/internal/redistest"
)

// What Check says, in full: tests compare all of it, so that one warning too
// many fails.
const (
	noDeadlines        = "context deadlines: ignored: an outage takes long to tell; set ContextTimeoutEnabled in the client's options"
	noPersistence      = "persistence: none: a restart of Redis signs everyone out; set appendonly yes, or save"
	slowFailover       = "failover: slow: the client may wait for ReadTimeout, 2m0s (0: for ever), for a master that hangs before it finds the one that took over; set a second"
	unknownPersistence = "persistence: unknown: the server does not say (INFO, CONFIG GET save)"
	unknownPolicy      = "maxmemory-policy: unknown: the server does not say (INFO)"
	unknownVersion     = "version: unknown: the server does not say (INFO)"
)

func evicts(policy string) string {
	return "maxmemory-policy: " + policy + ": Redis may evict tickets and indexes; set noeviction"
}

// openRedis returns a client that the test closes.
func openRedis(t *testing.T, o *redis.Options) *redis.Client {
	c := redis.NewClient(o)
	t.Cleanup(func() { c.Close() })
	return c
}

// wantCheck runs Check on client and compares the warnings. The error, if one
// is wanted, begins with wantErr[0] and has the others in it, which are of
// Redis and differ between versions; without wantErr there is none.
func wantCheck(t *testing.T, ctx context.Context, client redis.UniversalClient, want []string, wantErr ...string) error {
	t.Helper()
	s, err := NewRedisStore(client, RedisConfig{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Check(ctx)
	if !slices.Equal(got, want) {
		t.Errorf("got warnings\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	text := fmt.Sprint(err)
	if len(wantErr) == 0 {
		if err != nil {
			t.Errorf("got error %v, want none", err)
		}
		return nil
	}
	if rest, ok := strings.CutPrefix(text, "ticketstore: check: "+wantErr[0]); !ok || !containsAll(rest, wantErr[1:]) {
		t.Errorf("got error %v, want %q", text, wantErr)
	}
	return err
}

func containsAll(s string, parts []string) bool {
	return !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(s, p) })
}

func TestCheckServer(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want []string
		err  []string
	}{
		"default":         {nil, []string{noPersistence}, nil},
		"append-only":     {[]string{"--appendonly", "yes"}, nil, nil},
		"snapshots":       {[]string{"--save", "60 1"}, nil, nil},
		"both":            {[]string{"--appendonly", "yes", "--save", "60 1", "--maxmemory", "100mb", "--maxmemory-policy", "noeviction"}, nil, nil},
		"allkeys":         {[]string{"--appendonly", "yes", "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"}, []string{evicts("allkeys-lru")}, nil},
		"volatile":        {[]string{"--appendonly", "yes", "--maxmemory", "100mb", "--maxmemory-policy", "volatile-ttl"}, []string{evicts("volatile-ttl")}, nil},
		"no limit":        {[]string{"--appendonly", "yes", "--maxmemory", "0", "--maxmemory-policy", "allkeys-lru"}, nil, nil},
		"two warnings":    {[]string{"--maxmemory", "100mb", "--maxmemory-policy", "volatile-lru"}, []string{evicts("volatile-lru"), noPersistence}, nil},
		"renamed CONFIG":  {[]string{"--rename-command", "CONFIG", ""}, []string{unknownPersistence}, nil},
		"renamed, append": {[]string{"--appendonly", "yes", "--rename-command", "CONFIG", ""}, nil, nil},
		"renamed EVAL":    {[]string{"--rename-command", "EVAL", ""}, []string{noPersistence}, []string{"refused: ERR unknown command", "eval"}},
		"out of memory":   {[]string{"--maxmemory", "1"}, []string{noPersistence}, []string{"refused: SET: OOM "}},
		"too few copies":  {[]string{"--min-replicas-to-write", "1"}, []string{noPersistence}, []string{"refused: SET: NOREPLICAS "}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t, test.args...)
			wantCheck(t, t.Context(), openRedis(t, redisOptions(s.Addr)), test.want, test.err...)
		})
	}
}

// Check costs a program's readiness probe two round trips and leaves no trace.
func TestCheckChangesNothing(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--save", "3600 1000")
	client := openRedis(t, redisOptions(s.Addr))
	before := client.LastSave(t.Context()).Val()
	wantCheck(t, t.Context(), client, nil) // connects: pipelines have connections of their own
	count := &counter{n: map[string]int{}}
	client.AddHook(count)
	for range 3 {
		wantCheck(t, t.Context(), client, nil)
	}
	if got := count.take(); got != "config=3 eval=3 evalsha=3 get=3 info=3 pipeline=3 time=3" {
		t.Errorf("got commands %s, want one pipeline and a GET each", got)
	}
	info := client.InfoMap(t.Context(), "persistence").Val()["Persistence"]
	if n := client.DBSize(t.Context()).Val(); n != 0 || info["rdb_changes_since_last_save"] != "0" || client.LastSave(t.Context()).Val() != before {
		t.Errorf("got %d keys, %s changes, want none", n, info["rdb_changes_since_last_save"])
	}
}

func TestCheckUnreachable(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	heeds, ignores := redisOptions(s.Addr), redisOptions(s.Addr)
	ignores.ContextTimeoutEnabled = false
	wantCheck(t, t.Context(), openRedis(t, heeds), []string{noPersistence})
	wantCheck(t, t.Context(), openRedis(t, ignores), []string{noDeadlines, noPersistence})

	// A hung server, which is found out in time even by a client that does not
	// heed deadlines, and one that is not there.
	s.Pause()
	for _, test := range []struct {
		options *redis.Options
		want    []string
	}{{heeds, nil}, {ignores, []string{noDeadlines}}} {
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		err := wantCheck(t, ctx, openRedis(t, test.options), test.want, "unreachable: ")
		if took := time.Since(start); took > redistest.Patience/2 { // that of the client is twice as long
			t.Errorf("took %v, want 100ms", took)
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want a deadline exceeded", err)
		}
	}
	s.Stop()
	wantCheck(t, t.Context(), openRedis(t, heeds), nil, "unreachable: ", s.Addr, "refused")
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := wantCheck(t, canceled, openRedis(t, heeds), nil, "unreachable: "); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want canceled", err)
	}
}

func TestCheckClock(t *testing.T) {
	t.Parallel()
	said := func(client redis.UniversalClient, now func() time.Time) (off time.Duration, direction string) {
		t.Helper()
		store, err := NewRedisStore(client, RedisConfig{})
		if err != nil {
			t.Fatal(err)
		}
		warnings, err := store.Check(clock.NewContext(t.Context(), now))
		what := `expiries and counts are off by as much`
		if err != nil {
			warnings, what = []string{strings.TrimPrefix(err.Error(), "ticketstore: check: ")}, `beyond a minute nothing is written`
		}
		for _, w := range warnings {
			m := regexp.MustCompile(`^clock: the application's is (\S+) (ahead of|behind) that of Redis: ` + what + `; synchronize them$`).FindStringSubmatch(w)
			if m != nil {
				off, perr := time.ParseDuration(m[1])
				if perr != nil || (off > time.Minute) != (err != nil) {
					t.Errorf("got %q", w)
				}
				return off, m[2]
			}
		}
		return 0, ""
	}
	client := openRedis(t, redisOptions(redistest.Start(t, "--appendonly", "yes").Addr))
	for off, want := range map[time.Duration]string{
		0: "", 500 * time.Millisecond: "", -500 * time.Millisecond: "", time.Hour: "ahead of", -time.Hour: "behind",
		30 * time.Second: "ahead of", -30 * time.Second: "behind",
	} {
		start := time.Now()
		got, direction := said(client, func() time.Time { return time.Now().Add(off) })
		// Half of a slow round trip may be missing or too much.
		trip := time.Since(start) + 100*time.Millisecond
		if direction != want || want != "" && (off.Abs()-got).Abs() > trip {
			t.Errorf("off by %v: got %v %q that of Redis in %v, want %q", off, got, direction, trip, want)
		}
	}
	// Where clocks stand still, to the millisecond.
	b := miniBackend(t)
	for off, want := range map[time.Duration]string{time.Second: "", time.Second + time.Millisecond: "ahead of"} {
		if got, direction := said(b.client, func() time.Time { return b.now().Add(off) }); direction != want {
			t.Errorf("off by %v: got %v %q that of Redis, want %q", off, got, direction, want)
		}
	}
}

// slowPipelines is a network on which what is sent takes its time.
type slowPipelines time.Duration

func (d slowPipelines) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (d slowPipelines) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (d slowPipelines) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		time.Sleep(time.Duration(d))
		return next(ctx, cmds)
	}
}

// A slow network is not taken for a clock that is off.
func TestCheckSlowNetwork(t *testing.T) {
	t.Parallel()
	client := openRedis(t, redisOptions(redistest.Start(t, "--appendonly", "yes").Addr))
	wantCheck(t, t.Context(), client, nil) // connects
	client.AddHook(slowPipelines(2200 * time.Millisecond))
	wantCheck(t, t.Context(), client, nil)
}

// Managed Redis refuses much; what the store itself needs is told from what
// would only be good to know.
func TestCheckACL(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	admin := openRedis(t, redisOptions(s.Addr))
	const password = "correct-horse"
	unknown := []string{unknownVersion, unknownPolicy, unknownPersistence}
	for name, test := range map[string]struct {
		rules string
		want  []string
		err   []string
	}{
		"all":         {"~* +@all", []string{noPersistence}, nil},
		"no-config":   {"~* +@all -config", []string{unknownPersistence}, nil},
		"no-info":     {"~* +@all -info", unknown, nil},
		"neither":     {"~* +@all -info -config", unknown, nil},
		"own-prefix":  {"~" + defaultPrefix + "* +@all", []string{noPersistence}, nil},
		"other-keys":  {"~other* +@all", []string{noPersistence}, []string{"refused: NOPERM ", "key"}},
		"no-eval":     {"~* +@all -eval", []string{noPersistence}, []string{"refused: NOPERM ", "'eval'"}},
		"no-evalsha":  {"~* +@all -evalsha", []string{noPersistence}, []string{"refused: NOPERM ", "'evalsha'"}},
		"no-time":     {"~* +@all -time", []string{noPersistence}, []string{"refused: TIME: "}},
		"no-zadd":     {"~* +@all -zadd", []string{noPersistence}, []string{"refused: ZADD: "}},
		"no-write":    {"~* +@all -@write", []string{noPersistence}, []string{"refused: SET: "}},
		"neither-one": {"~* +@all -info -config -eval", nil, []string{"refused: NOPERM ", "'eval'"}},
		"nothing":     {"~*", nil, []string{"refused: NOPERM ", "'eval'"}},
	} {
		args := []any{"acl", "setuser", name, "on", ">" + password}
		for _, rule := range strings.Fields(test.rules) {
			args = append(args, rule)
		}
		if err := admin.Do(t.Context(), args...).Err(); err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) {
			o := redisOptions(s.Addr)
			o.Username, o.Password = name, password
			wantCheck(t, t.Context(), openRedis(t, o), test.want, test.err...)
			o.Password = "wrong-" + password
			err := wantCheck(t, t.Context(), openRedis(t, o), nil, "refused: WRONGPASS ")
			if strings.Contains(fmt.Sprint(err), password) {
				t.Errorf("got %v, which has the password in it", err)
			}
		})
	}
	locked := redistest.Start(t, "--requirepass", password)
	wantCheck(t, t.Context(), openRedis(t, redisOptions(locked.Addr)), nil, "refused: NOAUTH ")
}

// The scripts and methods of the store use no command that checkCommands leaves
// out: a user who may run exactly its commands can do all that a store does.
func TestCheckCoversCommands(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--appendonly", "yes")
	args := []any{"acl", "setuser", "app", "on", "nopass", "~" + defaultPrefix + "*", "&" + defaultPrefix + "ended", "+eval", "+evalsha", "+info", "+config|get"}
	for _, m := range regexp.MustCompile(`\{'([A-Z]+)'`).FindAllStringSubmatch(checkCommands+historyCommands, -1) {
		args = append(args, "+"+strings.ToLower(m[1]))
	}
	if err := openRedis(t, redisOptions(server.Addr)).Do(t.Context(), args...).Err(); err != nil {
		t.Fatal(err)
	}
	o := redisOptions(server.Addr)
	o.Username, o.Password = "app", "any"
	client := openRedis(t, o)
	wantCheck(t, t.Context(), client, nil)

	b := &backend{testClock: &testClock{}, client: client}
	s, err := NewRedisStore(client, RedisConfig{MaxSessions: 2, History: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	tk := newTicket(b, "alice")
	var key Key
	for range 4 { // the cap ends two
		tk = newTicket(b, "alice")
		key = mustStore(t, b, s, tk)
	}
	_, err1 := s.Sessions(ctx, "alice")
	_, err2 := s.Session(ctx, "alice", tk.ID)
	_, err3 := s.Count(ctx)
	err4 := s.Renew(ctx, key, tk)
	key, err5 := s.Rotate(ctx, key, tk, time.Second)
	_, err6 := s.Retrieve(ctx, key)
	_, err7 := s.RevokeOthers(ctx, "alice", tk.ID)
	err8 := client.Set(ctx, s.recordKey(partition("alice"), tk.ID), "x", time.Minute).Err()
	err9 := s.Remove(ctx, key) // undecodable
	_, err10 := s.Sessions(ctx, "alice")
	mustStore(t, b, s, newTicket(b, "alice"))
	_, err11 := s.RevokeAll(ctx, "alice")
	for _, err := range s.Subjects(ctx) {
		err11 = errors.Join(err11, err)
	}
	if _, _, err := s.SessionPage(ctx, "", 1); err != nil {
		t.Error(err)
	}
	if err := errors.Join(err1, err2, err3, err4, err5, err6, err7, err8, err9, err10, err11); err != nil {
		t.Error(err)
	}
}

func TestCheckReplica(t *testing.T) {
	t.Parallel()
	master := redistest.Start(t)
	host, port, _ := net.SplitHostPort(master.Addr)
	for _, readOnly := range []string{"yes", "no"} {
		s := redistest.Start(t, "--replicaof", host, port, "--replica-read-only", readOnly)
		wantCheck(t, t.Context(), openRedis(t, redisOptions(s.Addr)), []string{noPersistence},
			"replica: writes belong on its master, "+host+":"+port+"; connect to that")
	}
}

func TestCheckSentinel(t *testing.T) {
	t.Parallel()
	sentinel, _ := redistest.StartSentinel(t)
	for _, heeded := range []bool{true, false} {
		client := redis.NewFailoverClient(&redis.FailoverOptions{
			MasterName: "mymaster", SentinelAddrs: []string{sentinel}, ContextTimeoutEnabled: heeded, ReadTimeout: redistest.Patience,
		})
		defer client.Close()
		want := []string{noDeadlines, noPersistence}
		if heeded {
			want = want[1:]
		}
		wantCheck(t, t.Context(), client, want)
	}
}

func TestCheckCluster(t *testing.T) {
	t.Parallel()
	addrs := slices.Sorted(slices.Values(redistest.SharedCluster(t)))
	cluster := func(o redis.ClusterOptions) redis.UniversalClient {
		o.Addrs, o.DialerRetries, o.ReadTimeout = addrs, 1, redistest.Patience
		c := redis.NewClusterClient(&o)
		t.Cleanup(func() { c.Close() })
		return c
	}
	want := []string{slowFailover}
	for _, addr := range addrs {
		want = append(want, addr+": "+noPersistence)
	}
	wantCheck(t, t.Context(), cluster(redis.ClusterOptions{ContextTimeoutEnabled: true}), want)
	wantCheck(t, t.Context(), cluster(redis.ClusterOptions{}), slices.Insert(slices.Clone(want), 1, noDeadlines))
	quick := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs, ContextTimeoutEnabled: true, ReadTimeout: 2 * time.Second})
	defer quick.Close()
	if s, err := NewRedisStore(quick, RedisConfig{}); err != nil {
		t.Error(err)
	} else if got, _ := s.Check(t.Context()); slices.ContainsFunc(got, func(w string) bool { return strings.HasPrefix(w, "failover") }) {
		t.Errorf("got %q, want nothing about a failover", got)
	}

	// One node of three is cut off, then all.
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		if addr == addrs[1] {
			return nil, errors.New("cut off")
		}
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	wantCheck(t, t.Context(), cluster(redis.ClusterOptions{ContextTimeoutEnabled: true, Dialer: dial}),
		[]string{want[0], want[1], want[3]}, addrs[1]+": unreachable: cut off")
	dial = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("cut off") }
	wantCheck(t, t.Context(), cluster(redis.ClusterOptions{ContextTimeoutEnabled: true, Dialer: dial}), want[:1], "unreachable: cut off")

	// A client that is not a cluster's works for the slots of its node alone.
	refused := 0
	for _, addr := range addrs {
		s, err := NewRedisStore(openRedis(t, redisOptions(addr)), RedisConfig{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Check(t.Context()); err != nil && strings.HasPrefix(err.Error(), "ticketstore: check: refused: MOVED ") {
			refused++
		}
	}
	if refused != 2 {
		t.Errorf("%d nodes refuse, want 2", refused)
	}
}

// miniredis, which tests and examples run on, serves and says nothing.
func TestCheckMiniredis(t *testing.T) {
	t.Parallel()
	b := miniBackend(t)
	wantCheck(t, b.ctx(t), b.client, []string{unknownVersion, unknownPolicy, unknownPersistence})
	wrapped := struct{ redis.UniversalClient }{b.client}
	wantCheck(t, b.ctx(t), wrapped, []string{
		"context deadlines: unknown: the client is a struct { redis.UniversalClient }", unknownVersion, unknownPolicy, unknownPersistence,
	})
}

// What servers say that the tests cannot run; miniredis says it for them.
func TestCheckInfo(t *testing.T) {
	t.Parallel()
	const fine = "maxmemory:0\r\nmaxmemory_policy:noeviction\r\n# Persistence\r\naof_enabled:1\r\nrole:master\r\n"
	const redis6 = "redis_version:6.2.0\r\n"
	for name, test := range map[string]struct {
		info string
		want []string
		err  []string
	}{
		"Redis 6.0":      {"# Server\r\nredis_version:6.0.16\r\n" + fine, nil, []string{"too old: Redis 6.0.16; 6.2 or newer is needed"}},
		"Redis 5":        {"redis_version:5.0.14\r\n" + fine, nil, []string{"too old: Redis 5.0.14; "}},
		"Redis 6.2":      {redis6 + fine, nil, nil},
		"Redis 7":        {"redis_version:7.0.15\r\n" + fine, nil, nil},
		"Redis 10":       {"redis_version:10.0.0\r\n" + fine, nil, nil},
		"unstable":       {"redis_version:255.255.255\r\n" + fine, nil, nil},
		"Valkey 8":       {"# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.0.1\r\n" + fine, nil, nil},
		"odd version":    {"redis_version:unknown\r\n" + fine, []string{unknownVersion}, nil},
		"no version":     {fine, []string{unknownVersion}, nil},
		"old and evicts": {"redis_version:4.0.0\r\nmaxmemory:1\r\nmaxmemory_policy:allkeys-lfu\r\n", []string{evicts("allkeys-lfu"), unknownPersistence}, []string{"too old: "}},
		"policy alone":   {redis6 + "maxmemory_policy:allkeys-lru\r\naof_enabled:1\r\n", []string{evicts("allkeys-lru")}, nil},
		"no policy":      {redis6 + "maxmemory:1\r\naof_enabled:1\r\n", []string{unknownPolicy}, nil},
		"no append-only": {redis6 + "maxmemory_policy:noeviction\r\naof_enabled:0\r\n", []string{unknownPersistence}, nil},
		"old replica": {"redis_version:6.0.1\r\n" + fine[:len(fine)-8] + "slave\r\nmaster_host:a\r\nmaster_port:1\r\n", nil,
			[]string{"replica: writes belong on its master, a:1; connect to that\ntoo old: Redis 6.0.1; "}},
	} {
		t.Run(name, func(t *testing.T) {
			mini := redistest.StartMini(t)
			mini.Server().SetPreHook(func(c *server.Peer, cmd string, _ ...string) bool {
				if cmd != "INFO" {
					return false
				}
				c.WriteBulk(test.info)
				return true
			})
			wantCheck(t, t.Context(), openRedis(t, redisOptions(mini.Addr())), test.want, test.err...)
		})
	}
}

// A process that has another History than the one before says so, as long as both
// are there; a change that has been rolled out is no warning any more.
func TestCheckHistory(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		long, short, none := b.store(t, RedisConfig{History: 720 * time.Hour}), b.store(t, RedisConfig{History: time.Hour}), b.store(t, RedisConfig{})
		key := long.tags[0] + "check-history"
		want := func(what string, s *RedisStore, warning string) {
			t.Helper()
			b.advance(time.Minute)
			warnings, err := s.Check(b.context(t.Context()))
			if err != nil && b.mini != nil { // elsewhere the clock is soon too far off
				t.Fatalf("%s: %v", what, err)
			}
			if err != nil {
				warning2, err := s.checkHistory(b.ctx(t))
				if err != nil {
					t.Fatal(err)
				}
				warnings = []string{warning2}
			}
			got := ""
			for _, w := range warnings {
				if strings.HasPrefix(w, "history: ") {
					got = w
				}
			}
			if before, _, _ := strings.Cut(got, " in a process"); before != warning {
				t.Errorf("%s: got %q, want %q", what, got, warning)
			}
		}
		want("nobody has one", none, "")
		if n := b.client.Exists(t.Context(), key).Val(); n != 0 {
			t.Error("without History it is noted")
		}
		want("the first", long, "")
		want("the same", long, "")
		want("none", none, "history: 0s here, 720h0m0s")
		want("none, which is not noted", long, "")
		want("another", short, "history: 1h0m0s here, 720h0m0s")
		want("while both are there", long, "history: 720h0m0s here, 1h0m0s")
		want("while both are there", short, "history: 1h0m0s here, 720h0m0s")
		want("rolled out", short, "")
		almost := b.store(t, RedisConfig{History: time.Hour - 3*time.Millisecond})
		want("almost the same", almost, "")
		for _, text := range []string{"", "x", "5", "-5 1", "0 1", "99999999999999999999 1", "999999999999999 1", "3600000 x"} {
			if err := b.client.Set(t.Context(), key, text, time.Hour).Err(); err != nil {
				t.Fatal(err)
			}
			want("by hand: "+text, short, "")
			want("noted over "+text, long, "history: 720h0m0s here, 1h0m0s")
		}
		if err := errors.Join(b.client.Del(t.Context(), key).Err(), b.client.HSet(t.Context(), key, "a", "b").Err()); err != nil {
			t.Fatal(err)
		}
		want("of another type", short, "")
		if ttl := b.client.PTTL(t.Context(), key).Val(); ttl <= 0 || ttl > maxHistory {
			t.Errorf("got a TTL of %v, want one", ttl)
		}
	})
}

// A note that is a day old is made anew; until then Check writes nothing.
func TestCheckHistoryIsNotedAgain(t *testing.T) {
	b := miniBackend(t)
	s := b.store(t, RedisConfig{History: time.Hour})
	check := func() string {
		t.Helper()
		if warnings, err := s.Check(b.ctx(t)); err != nil || slices.ContainsFunc(warnings, func(w string) bool { return strings.HasPrefix(w, "history") || strings.HasPrefix(w, "subscribe") }) {
			t.Errorf("got %q, %v", warnings, err)
		}
		return b.client.Get(t.Context(), s.tags[0]+"check-history").Val()
	}
	first := check()
	b.advance(23 * time.Hour)
	if got := check(); got != first {
		t.Errorf("got %q, want %q still", got, first)
	}
	b.advance(time.Hour)
	if got := check(); got == first {
		t.Errorf("after a day it is still %q", got)
	}
}

// What Manager.Live needs and an ACL refuses is a warning, with History.
func TestCheckSubscribe(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--appendonly", "yes")
	admin := openRedis(t, redisOptions(server.Addr))
	channel := "&" + defaultPrefix + "ended"
	for name, test := range map[string]struct{ rules, refused string }{
		"all":          {"+@all " + channel, ""},
		"no-subscribe": {"+@all -subscribe " + channel, "subscribe"},
		"no-ping":      {"+@all -ping " + channel, "ping"},
	} {
		args := []any{"acl", "setuser", name, "on", "nopass", "~*", "resetchannels"}
		for _, rule := range strings.Fields(test.rules) {
			args = append(args, rule)
		}
		if err := admin.Do(t.Context(), args...).Err(); err != nil {
			t.Fatal(err)
		}
		for _, history := range []time.Duration{0, time.Hour} {
			o := redisOptions(server.Addr)
			o.Username, o.Password = name, "any"
			s, err := NewRedisStore(openRedis(t, o), RedisConfig{History: history})
			if err != nil {
				t.Fatal(err)
			}
			warnings, err := s.Check(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			warnings = slices.DeleteFunc(warnings, func(w string) bool { return strings.HasPrefix(w, "history: 0s here") })
			if test.refused == "" || history == 0 {
				if len(warnings) > 0 {
					t.Errorf("%s, %v: got %q, want none", name, history, warnings)
				}
			} else if len(warnings) != 1 || !strings.HasPrefix(warnings[0], "subscribe: NOPERM ") || !strings.Contains(warnings[0], "'"+test.refused+"'") || !strings.Contains(warnings[0], channel) {
				t.Errorf("%s, %v: got %q, want that it is refused", name, history, warnings)
			}
		}
	}
	if n := admin.PubSubNumSub(t.Context(), defaultPrefix+"ended").Val()[defaultPrefix+"ended"]; n != 0 && !eventually(func() bool {
		return admin.PubSubNumSub(t.Context(), defaultPrefix+"ended").Val()[defaultPrefix+"ended"] == 0
	}) {
		t.Errorf("got %d that listen still", n)
	}
}

func FuzzNotedHistory(f *testing.F) {
	f.Add("3600000 1764371234567")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if history, _, ok := parseNoted(text); ok && (history <= 0 || history > maxHistory) {
			t.Errorf("%q became %v", text, history)
		}
	})
}
