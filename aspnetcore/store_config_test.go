package aspnetcore

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/redistest"
)

func TestNewStore(t *testing.T) {
	single := redis.NewClient(&redis.Options{})
	cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}})
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"a": "127.0.0.1:1"}})
	replicas := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}, ReadOnly: true})
	cached := redis.NewClient(&redis.Options{ClientSideCacheConfig: &redis.ClientSideCacheConfig{MaxStaleness: time.Second}})
	batching, err := single.AutoPipeline()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { single.Close(); cluster.Close(); ring.Close(); replicas.Close(); cached.Close() }()
	var noSerializer *pointerSerializer
	for _, test := range []struct {
		what   string
		client redis.UniversalClient
		cfg    StoreConfig
		want   []string // each problem; none: a store
	}{
		{"the zero config", single, StoreConfig{}, nil},
		{"an instance name without a tag", single, StoreConfig{InstanceName: "shop:"}, nil},
		{"all there is", single, StoreConfig{InstanceName: "{shop}:", Prefix: "auth-", Serializer: nameSerializer, MaxSessions: 10_000, RefuseNew: true}, nil},
		{"one session", single, StoreConfig{MaxSessions: 1}, nil},
		{"a prefix like the index", single, StoreConfig{Prefix: "ticketstore-"}, nil},
		{"a prefix of 128 bytes", single, StoreConfig{Prefix: strings.Repeat("p", 128)}, nil},
		{"no client", nil, StoreConfig{}, []string{"client: it is nil"}},
		{"a nil client", (*redis.Client)(nil), StoreConfig{}, []string{"client: it is nil"}},
		{"a nil cluster", (*redis.ClusterClient)(nil), StoreConfig{InstanceName: "{shop}:"}, []string{"client: it is nil"}},
		{"a cache", cached, StoreConfig{}, []string{"client: it has a client-side cache"}},
		{"a ring", ring, StoreConfig{}, []string{"client: a Ring "}},
		{"an autopipeliner", batching, StoreConfig{}, []string{"client: an AutoPipeliner does not heed contexts"}},
		{"reads of replicas", replicas, StoreConfig{InstanceName: "{shop}:"}, []string{"client: ReadOnly"}},
		{"a cluster, {shop}:", cluster, StoreConfig{InstanceName: "{shop}:"}, nil},
		{"a cluster, a{b}c:", cluster, StoreConfig{InstanceName: "a{b}c:"}, nil},
		{"a cluster, {{a}:", cluster, StoreConfig{InstanceName: "{{a}:"}, nil},
		{"a cluster, }{a}:", cluster, StoreConfig{InstanceName: "}{a}:"}, nil},
		{"a cluster, two lines", cluster, StoreConfig{InstanceName: "a\n{b\n}:"}, nil},
		{"a cluster, none", cluster, StoreConfig{}, []string{`InstanceName: "" has no hash tag`}},
		{"a cluster, shop:", cluster, StoreConfig{InstanceName: "shop:"}, []string{`InstanceName: "shop:" has no hash tag`}},
		{"a cluster, {}:", cluster, StoreConfig{InstanceName: "{}:"}, []string{`InstanceName: "{}:" has no hash tag`}},
		{"a cluster, }{:", cluster, StoreConfig{InstanceName: "}{:"}, []string{`InstanceName: "}{:" has no hash tag`}},
		{"a cluster, {}{a}:", cluster, StoreConfig{InstanceName: "{}{a}:"}, []string{`InstanceName: "{}{a}:" has no hash tag`}},
		{"a cluster, {shop:", cluster, StoreConfig{InstanceName: "{shop:"}, []string{`InstanceName: "{shop:" has no hash tag`}},
		{"prefix t", single, StoreConfig{Prefix: "t"}, []string{`Prefix: "t" is taken`}},
		{"prefix ticketstore:", single, StoreConfig{Prefix: "ticketstore:"}, []string{`Prefix: "ticketstore:" is taken`}},
		{"prefix ticketstore:x", single, StoreConfig{Prefix: "ticketstore:x"}, []string{`Prefix: "ticketstore:x" is taken`}},
		{"a prefix of 129 bytes", single, StoreConfig{Prefix: strings.Repeat("p", 129)}, []string{"Prefix: it has 129 bytes; at most 128"}},
		{"a nil serializer", single, StoreConfig{Serializer: noSerializer}, []string{"Serializer: it is a nil pointer"}},
		{"a serializer without the subject", single, StoreConfig{Serializer: ticketstore.JSONSerializer{}}, []string{"Serializer: it leaves out the subject"}},
		{"the same, to read", single, StoreConfig{Serializer: ticketstore.ReadAlso(Serializer{}, ticketstore.JSONSerializer{})}, nil},
		{"too few sessions", single, StoreConfig{MaxSessions: -1}, []string{"MaxSessions: -1; want 1 to 10000"}},
		{"too many sessions", single, StoreConfig{MaxSessions: 10_001}, []string{"MaxSessions: 10001; want 1 to 10000"}},
		{"a negative limit", single, StoreConfig{MaxTicketBytes: -1}, []string{"MaxTicketBytes: -1; want 1 to 1048576"}},
		{"too large a limit", single, StoreConfig{MaxTicketBytes: 1<<20 + 1}, []string{"MaxTicketBytes: 1048577; want 1 to 1048576"}},
		{"all at once", cluster, StoreConfig{InstanceName: "shop:", Prefix: "ticketstore:" + strings.Repeat("p", 128), Serializer: noSerializer, MaxSessions: -1},
			[]string{"InstanceName: ", "Prefix: ", "is taken", "Prefix: it has 140 bytes", "Serializer: ", "MaxSessions: "}},
		{"ring and more", ring, StoreConfig{MaxSessions: -1}, []string{"client: ", "MaxSessions: "}},
	} {
		s, err := NewStore(test.client, test.cfg)
		if len(test.want) == 0 {
			if err != nil || s == nil {
				t.Errorf("%s: got %v, want a store", test.what, err)
			}
			continue
		}
		if s != nil || err == nil || !strings.HasPrefix(err.Error(), "aspnetcore: invalid store: ") {
			t.Errorf("%s: got %v, %v, want an error", test.what, s, err)
			continue
		}
		for _, want := range test.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want %q in it", test.what, err, want)
			}
		}
		if got := strings.Count(err.Error(), "\n") + 1; len(test.want) == 1 && got != 1 {
			t.Errorf("%s: got %d problems, %v, want one", test.what, got, err)
		}
	}
	if c := reflect.TypeOf(StoreConfig{}); c.Comparable() || c.Field(0).Name != "_" {
		t.Errorf("a StoreConfig can be compared or written without names")
	}
}

type pointerSerializer struct{}

func (*pointerSerializer) Serialize(*ticketstore.Ticket) ([]byte, error) { panic("called") }
func (*pointerSerializer) Deserialize(string, []byte) (*ticketstore.Ticket, error) {
	panic("called")
}

// What a Serializer has written without the subject is nobody's.
func TestTicketWithoutSubject(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := newSite(t, b, StoreConfig{Serializer: ticketstore.ReadAlso(Serializer{}, ticketstore.JSONSerializer{})})
		tk := ticketstore.NewTicket("alice")
		tk.ExpiresAt = b.now().Add(time.Hour)
		key, err := s.Store.Store(s.ctx(t), tk)
		if err != nil {
			t.Fatal(err)
		}
		data, err := ticketstore.JSONSerializer{}.Serialize(tk)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.client.HSet(s.ctx(t), s.recordKey(key), "data", data).Err(); err != nil {
			t.Fatal(err)
		}
		got, err := s.Retrieve(s.ctx(t), key)
		if !errors.Is(err, ticketstore.ErrUndecodable) || !strings.Contains(err.Error(), "left out the subject") {
			t.Errorf("got %+v, %v, want ErrUndecodable: left out the subject", got, err)
		}
	})
}

// The application's keys are what it makes them, behind the prefix.
func TestKeys(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		for _, rest := range []string{"x", "0f8fad5b-d9cb-469f-a165-70867728950e", "{x}", "}{", "{}", "a*b?[c]", `\`, "a b", " ", "\n", "\x00", "\xff", "ü", "ticketstore:sessions", strings.Repeat("x", 239)} {
			s := newSite(t, b.another(t), StoreConfig{})
			key := ticketstore.Key(defaultPrefix + rest)
			s.signIn(key, "alice", time.Time{})
			if got, want := s.reindexed(), (Reindexed{Sessions: 1, Added: 1}); got != want {
				t.Errorf("%.20q: got %+v, want %+v", rest, got, want)
			}
			tk, err := s.Retrieve(s.ctx(t), key)
			if err != nil || tk.ID == string(key) || strings.Contains(tk.ID, rest) && len(rest) > 4 || len(tk.ID) != 43 {
				t.Errorf("%.20q: got %+v, %v", rest, tk, err)
				continue
			}
			s.wantListed(rest, "alice", key)
			if err := s.Renew(s.ctx(t), key, tk); err != nil {
				t.Errorf("%.20q: Renew: %v", rest, err)
			}
			if err := s.Revoke(s.ctx(t), "alice", tk.ID); err != nil {
				t.Errorf("%.20q: Revoke: %v", rest, err)
			}
			s.wantDead(rest, "alice", key)
		}
		// No key: nothing is asked for or written.
		s := newSite(t, b.another(t), StoreConfig{})
		for _, key := range []ticketstore.Key{"", "x", "AuthSessionStore", "AuthSessionStore-", "authsessionstore-1", " AuthSessionStore-1", "shop:AuthSessionStore-1", ticketstore.Key(defaultPrefix + strings.Repeat("x", 240))} {
			s.signIn(key, "mallory", time.Time{})
			c := s.count()
			tk := ticketstore.NewTicket("mallory")
			tk.ExpiresAt = s.now().Add(time.Hour)
			if tk, err := s.Retrieve(s.ctx(t), key); !errors.Is(err, ticketstore.ErrNotFound) || key != "" && strings.Contains(fmt.Sprint(err), string(key)) {
				t.Errorf("%.20q: Retrieve: got %+v, %v, want ErrNotFound", string(key), tk, err)
			}
			if err := s.Renew(s.ctx(t), key, tk); !errors.Is(err, ticketstore.ErrNotFound) {
				t.Errorf("%.20q: Renew: got %v, want ErrNotFound", string(key), err)
			}
			if err := s.Remove(s.ctx(t), key); err != nil {
				t.Errorf("%.20q: Remove: %v", string(key), err)
			}
			if got := c.take(); got != "" {
				t.Errorf("%.20q: got commands %s, want none", string(key), got)
			}
			if _, ok := s.get(key); !ok {
				t.Errorf("%.20q: what is there was removed", string(key))
			}
			s.unlink(key)
		}
	})
}

// A ticket that no store may keep changes nothing, and says why.
func TestInvalidTickets(t *testing.T) {
	b := miniBackend(t)
	s := newSite(t, b, StoreConfig{})
	s.signIn(dotnetKey, "alice", time.Time{})
	current := s.retrieve(dotnetKey)
	for what, spoil := range map[string]func(*ticketstore.Ticket){
		"no subject":         func(tk *ticketstore.Ticket) { tk.Subject = "" },
		"no expiry":          func(tk *ticketstore.Ticket) { tk.ExpiresAt = time.Time{} },
		"past":               func(tk *ticketstore.Ticket) { tk.ExpiresAt = s.now() },
		"past, cut":          func(tk *ticketstore.Ticket) { tk.ExpiresAt = s.now().Truncate(time.Second).Add(999 * time.Millisecond) },
		"after EndsAt":       func(tk *ticketstore.Ticket) { tk.EndsAt = tk.ExpiresAt.Add(-1) },
		"a year of no .NET":  func(tk *ticketstore.Ticket) { tk.ExpiresAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"too large":          func(tk *ticketstore.Ticket) { tk.Properties = map[string]string{"x": strings.Repeat("x", 72<<10)} },
		"a reserved item":    func(tk *ticketstore.Ticket) { tk.Properties = map[string]string{"ticketstore.x": ""} },
		"a subject not hers": func(tk *ticketstore.Ticket) { tk.Subject = "bob" },
	} {
		if what == "past, cut" && s.now().Truncate(time.Second).Add(999*time.Millisecond).Before(s.now()) {
			continue
		}
		before := fmt.Sprint(b.mini.Dump())
		tk := current.Clone()
		spoil(tk)
		spoiled := tk.Clone()
		if err := s.Renew(s.ctx(t), dotnetKey, tk); !errors.Is(err, ticketstore.ErrInvalidTicket) {
			t.Errorf("%s: Renew: got %v, want ErrInvalidTicket", what, err)
		}
		if key, err := s.Store.Store(s.ctx(t), tk); !errors.Is(err, ticketstore.ErrInvalidTicket) || key != "" {
			t.Errorf("%s: Store: got key %v, %v, want ErrInvalidTicket", what, key != "", err)
		}
		if !reflect.DeepEqual(tk, spoiled) {
			t.Errorf("%s: got %+v, want %+v", what, tk, spoiled)
		}
		if after := fmt.Sprint(b.mini.Dump()); after != before {
			t.Errorf("%s: got\n%s\nwant\n%s", what, after, before)
		}
	}
	for _, tk := range []*ticketstore.Ticket{nil} {
		if err := s.Renew(s.ctx(t), dotnetKey, tk); !errors.Is(err, ticketstore.ErrInvalidTicket) {
			t.Errorf("nil: Renew: got %v, want ErrInvalidTicket", err)
		}
		if _, err := s.Store.Store(s.ctx(t), tk); !errors.Is(err, ticketstore.ErrInvalidTicket) {
			t.Errorf("nil: Store: got %v, want ErrInvalidTicket", err)
		}
	}
}

// errorsOf returns what every method says about a session, by name.
func (s *site) errorsOf(ctx context.Context, key ticketstore.Key) map[string]error {
	tk := ticketstore.NewTicket("alice")
	tk.ID, tk.ExpiresAt = sessionID(key), s.now().Add(time.Hour)
	all := map[string]error{}
	_, all["Retrieve"] = s.Retrieve(ctx, key)
	all["Renew"] = s.Renew(ctx, key, tk.Clone())
	_, all["Sessions"] = s.Sessions(ctx, "alice")
	_, all["Session"] = s.Session(ctx, "alice", tk.ID)
	_, _, all["SessionPage"] = s.SessionPage(ctx, "", 10)
	_, all["Count"] = s.Count(ctx)
	_, all["Reindex"] = s.Reindex(ctx, nil)
	_, all["RevokeOthers"] = s.RevokeOthers(ctx, "alice", tk.ID)
	all["Revoke"] = s.Revoke(ctx, "alice", tk.ID)
	_, all["RevokeAll"] = s.RevokeAll(ctx, "alice")
	_, all["Store"] = s.Store.Store(ctx, tk.Clone())
	for _, err := range s.Subjects(ctx) {
		all["Subjects"] = err
	}
	_, all["Check"] = s.Check(ctx)
	all["Remove"] = s.Remove(ctx, key)
	return all
}

// wantNoKey checks that a text has nothing of a key in it.
func wantNoKey(t *testing.T, what, text string, key ticketstore.Key) {
	t.Helper()
	if secret := strings.TrimPrefix(string(key), defaultPrefix); strings.Contains(text, secret[:8]) {
		t.Errorf("%s: the key is in %q", what, text)
	}
}

// Whatever goes wrong, no error has a key in it.
func TestNoKeyInErrors(t *testing.T) {
	const key = ticketstore.Key("AuthSessionStore-S3CR3TS3CR3TS3CR3T")
	failed := 0
	look := func(t *testing.T, what string, all map[string]error) {
		t.Helper()
		for name, err := range all {
			if err != nil {
				failed++
				wantNoKey(t, what+", "+name, err.Error(), key)
			}
		}
	}
	t.Run("miniredis", func(t *testing.T) {
		s := newSite(t, miniBackend(t), StoreConfig{})
		look(t, "nothing there", s.errorsOf(s.ctx(t), key))
		s.signIn(key, "alice", time.Time{})
		s.retrieve(key)
		canceled, cancel := context.WithCancel(s.ctx(t))
		cancel()
		look(t, "canceled", s.errorsOf(canceled, key))
		s.mini.SetError("LOADING Redis is loading")
		look(t, "loading", s.errorsOf(s.ctx(t), key))
		s.mini.SetError("")
		s.do("HSET", s.recordKey(key), "data", "AuthSessionStore-S3CR3TS3CR3TS3CR3T")
		look(t, "undecodable", s.errorsOf(s.ctx(t), key))
		s.do("SET", s.recordKey(key), "x")
		look(t, "a string", s.errorsOf(s.ctx(t), key))
		client := redis.NewClient(&redis.Options{Addr: s.mini.Addr(), MaxRetries: -1, DialerRetries: 1})
		defer client.Close()
		s.mini.Close()
		look(t, "gone", newSite(t, &backend{client: client, instance: "shop:"}, StoreConfig{}).errorsOf(s.ctx(t), key))
	})
	t.Run("redis", func(t *testing.T) {
		s := newSite(t, redisBackend(t), StoreConfig{})
		s.signIn(key, "alice", time.Time{})
		s.retrieve(key)
		for i, name := range append(s.indexKeys("alice"), s.indexKeys("")[1:]...) {
			s.do("DEL", name)
			s.do("SET", name, "x")
			look(t, fmt.Sprint("index ", i), s.errorsOf(s.ctx(t), key))
			s.do("DEL", name)
			s.unlink(key)
			s.signIn(key, "alice", time.Time{})
		}
	})
	// Redis repeats the arguments of a command that it does not know.
	for _, command := range []string{"HMGET", "EVALSHA", "EVAL", "ZRANGE", "PEXPIREAT", "HSET", "HDEL", "ZADD"} {
		t.Run("without "+command, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t, "--rename-command", command, "")
			client := redis.NewClient(redistest.Options(server.Addr))
			defer client.Close()
			s := newSite(t, &backend{client: client, instance: "shop:"}, StoreConfig{})
			data := dotnetTicket(t, "alice", s.now(), s.now().Add(time.Hour))
			s.do("HMSET", s.recordKey(key), "absexp", "-1", "sldexp", "18000000000", "data", data)
			s.do("ZADD", s.indexKeys("alice")[0], s.now().Add(time.Hour).UnixMilli(), string(key))
			s.do("ZADD", s.indexKeys("alice")[1], s.now().Add(time.Hour).UnixMilli(), string(key))
			all := s.errorsOf(s.ctx(t), key)
			for _, err := range all {
				if err != nil {
					wantNoKey(t, command, err.Error(), key)
				}
			}
		})
	}
	if failed < 50 {
		t.Errorf("%d errors: the setup is not what it says", failed)
	}
}

// Neither does a cursor or what is shown of a session.
func TestNoKeyInAnswers(t *testing.T) {
	s := newSite(t, miniBackend(t), StoreConfig{})
	var keys []ticketstore.Key
	for i := range 5 {
		tk := ticketstore.NewTicket("alice")
		tk.ExpiresAt = s.now().Add(time.Duration(i+1) * time.Hour)
		key, err := s.Store.Store(s.ctx(t), tk)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	s.do("HSET", s.recordKey(keys[4]), "data", "x")
	var texts []string
	sessions, err := s.Sessions(s.ctx(t), "alice")
	if err != nil || len(sessions) != 5 {
		t.Fatalf("got %d sessions, %v, want 5", len(sessions), err)
	}
	texts = append(texts, fmt.Sprintf("%+v", sessions))
	for cursor, n := "", 0; n == 0 || cursor != ""; n++ {
		page, next, err := s.SessionPage(s.ctx(t), cursor, 1)
		if err != nil || n > 5 {
			t.Fatalf("page %d: %v", n, err)
		}
		texts = append(texts, next, fmt.Sprintf("%+v", page))
		cursor = next
	}
	wantCount(t, "texts", len(texts), 11)
	for _, key := range keys[:4] {
		texts = append(texts, fmt.Sprintf("%+v", s.retrieve(key)))
	}
	for _, text := range texts {
		for _, key := range keys {
			wantNoKey(t, "shown", text, key)
		}
	}
}
