package ticketstore

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/ticketstore/ticketstore/internal/clock"
	"github.com/ticketstore/ticketstore/internal/redistest"
)

func TestMain(m *testing.M) {
	if of, ok := os.LookupEnv(writerEnv); ok {
		addr, prefix, _ := strings.Cut(of, " ")
		os.Exit(writerProcess(addr, prefix))
	}
	os.Exit(redistest.Main(m))
}

// A backend is a Redis, and a clock for the application that uses it. A real
// Redis goes by its own: the application's is behind as the test goes on, and
// once it is moved refuses what Redis still has.
type backend struct {
	*testClock
	addrs   []string
	cluster bool
	cached  *recentWrites // of all stores, if they read from the client's cache
	client  redis.UniversalClient
	prefix  string        // of this test alone
	batched bool          // stores read in batches, even a single record
	sealed  *atomic.Int32 // how many stores there have been, if they seal
}

// A testClock moves when it is told to, that of miniredis with it, and stands
// still otherwise: two readings of it are the same, however slow the machine.
type testClock struct {
	mini  *miniredis.Miniredis
	runs  bool     // as real clocks do, for tests of what a real Redis does by itself
	marks ownMarks // of all stores, which are of one process
	mu    sync.Mutex
	moved time.Duration
	fixed time.Time // that of the first reading, if it is not set
}

func (c *testClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.runs {
		return time.Now().Add(c.moved)
	}
	if c.fixed.IsZero() {
		c.fixed = time.Now().Truncate(time.Millisecond)
	}
	return c.fixed.Add(c.moved)
}

func (c *testClock) advance(d time.Duration) {
	c.mu.Lock()
	c.moved += d
	c.mu.Unlock()
	if c.mini != nil {
		c.mini.SetTime(c.now())
		c.mini.FastForward(d)
	}
}

func (b *backend) context(ctx context.Context) context.Context {
	ctx = clock.NewContext(ctx, b.now)
	if b.mini == nil {
		ctx = clock.WithServer(ctx, time.Now)
	}
	return ctx
}

func (b *backend) ctx(t testing.TB) context.Context { return b.context(t.Context()) }

func (b *backend) store(t testing.TB, cfg RedisConfig) *RedisStore {
	t.Helper()
	cfg.Prefix = b.prefix
	if b.cached != nil {
		cfg.MaxStaleness = b.cached.window
	}
	cfg.BatchReads = cfg.BatchReads || b.batched
	if b.sealed != nil {
		// As while a key is being changed: each writes what the next has to open.
		n := b.sealed.Add(1)
		cfg.SealKeys = []SealKey{testSealKey(n % 2), testSealKey((n + 1) % 2)}
	}
	s, err := NewRedisStore(b.client, cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.writes, s.marks = b.cached, &b.marks
	if b.batched {
		s.batcher.together = true
	}
	return s
}

// keys returns what the test has left in Redis, but for marks.
func (b *backend) keys(t testing.TB) []string {
	t.Helper()
	var keys []string
	scan := func(ctx context.Context, c redis.Cmdable) error {
		found, err := c.Keys(ctx, b.prefix+"*").Result()
		keys = append(keys, slices.DeleteFunc(found, isMark)...)
		return err
	}
	var err error
	if cluster, ok := b.client.(*redis.ClusterClient); ok {
		var mu sync.Mutex
		err = cluster.ForEachMaster(t.Context(), func(ctx context.Context, c *redis.Client) error {
			mu.Lock()
			defer mu.Unlock()
			return scan(ctx, c)
		})
	} else {
		err = scan(t.Context(), b.client)
	}
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// serverTime returns the time in Redis, in Unix milliseconds.
func (b *backend) serverTime(t testing.TB) int64 {
	t.Helper()
	if b.mini != nil {
		return b.now().UnixMilli()
	}
	return time.Now().UnixMilli()
}

// passGrace sets until when the previous key of a session only reads to the
// past: the clock of a real Redis cannot be moved.
func (b *backend) passGrace(t testing.TB, s *RedisStore, subject, id string) {
	t.Helper()
	at := s.recordKey(partition(subject), id)
	record, err := b.getPastCache(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	e, err := parseEnvelope([]byte(record))
	if err != nil || e.previous == "-" {
		t.Fatalf("got %+v, %v, want a record with a previous key", e, err)
	}
	e.until = b.serverTime(t) - 1
	if err := b.client.Set(t.Context(), at, e.String()+string(e.ticket), redis.KeepTTL).Err(); err != nil {
		t.Fatal(err)
	}
}

// getPastCache reads a string as Redis has it: no cache answers a pipeline.
func (b *backend) getPastCache(ctx context.Context, key string) (string, error) {
	pipe := b.client.Pipeline()
	value := pipe.Get(ctx, key)
	_, err := pipe.Exec(ctx)
	return value.Val(), err
}

func randomPrefix() string { return "test-" + strings.ToLower(rand.Text()) + "-" }

func redisOptions(addr string) *redis.Options {
	opt := redistest.Options(addr)
	opt.MaxRetries, opt.DialerRetries = 1, 1
	return opt
}

func miniBackend(t testing.TB) *backend {
	mini := redistest.StartMini(t)
	clock := &testClock{mini: mini}
	mini.SetTime(clock.now())
	return (&backend{testClock: clock, addrs: []string{mini.Addr()}, prefix: randomPrefix()}).another(t)
}

func realBackend(t testing.TB) *backend {
	addrs := []string{redistest.Shared(t).Addr}
	return (&backend{testClock: &testClock{}, addrs: addrs, prefix: randomPrefix()}).another(t)
}

func clusterBackend(t testing.TB) *backend {
	addrs := redistest.SharedCluster(t)
	return (&backend{testClock: &testClock{}, addrs: addrs, prefix: randomPrefix(), cluster: true}).another(t)
}

// cachedBackend is a Redis whose client has a cache. All is one process there,
// which never reads its own old value.
func cachedBackend(t testing.TB) *backend {
	b := realBackend(t)
	b.cached = &recentWrites{window: time.Minute}
	b.client = redis.NewClient(cachedOptions(b.addrs[0], 30*time.Second))
	t.Cleanup(func() { b.client.Close() })
	return b
}

// cachedOptions are those of a client whose cache may answer with what is
// maxStaleness and half a minute old.
func cachedOptions(addr string, maxStaleness time.Duration) *redis.Options {
	o := redisOptions(addr)
	o.ReadTimeout = 30 * time.Second
	o.ClientSideCacheConfig = &redis.ClientSideCacheConfig{MaxStaleness: maxStaleness}
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled, RelaxedTimeout: o.ReadTimeout}
	return o
}

// another returns b as a second process sees it, by a client of its own.
func (b *backend) another(t testing.TB) *backend {
	c := *b
	if c.cached != nil {
		return &c
	}
	if c.cluster {
		c.client = redis.NewClusterClient(redistest.ClusterOptions(c.addrs))
	} else {
		c.client = redis.NewClient(redisOptions(c.addrs[0]))
	}
	t.Cleanup(func() { c.client.Close() })
	return &c
}

// eachBackend runs a test on miniredis, a real Redis, with a cache and without,
// and a real Cluster, in parallel to others.
func eachBackend(t *testing.T, test func(t *testing.T, b *backend)) {
	t.Parallel()
	t.Run("miniredis", func(t *testing.T) { t.Parallel(); test(t, miniBackend(t)) })
	t.Run("redis", func(t *testing.T) { t.Parallel(); test(t, realBackend(t)) })
	t.Run("cached", func(t *testing.T) { t.Parallel(); test(t, cachedBackend(t)) })
	t.Run("cluster", func(t *testing.T) { t.Parallel(); test(t, clusterBackend(t)) })
}

func testSealKey[T int | int32](n T) SealKey { return bytes.Repeat([]byte{byte('a' + n)}, 32) }

// eachMode runs a test as eachBackend does, and where stores read in batches, or
// seal.
func eachMode(t *testing.T, test func(t *testing.T, b *backend)) {
	eachBackend(t, test)
	t.Run("redis, batched", func(t *testing.T) {
		t.Parallel()
		b := realBackend(t)
		b.batched = true
		test(t, b)
	})
	t.Run("miniredis, sealed", func(t *testing.T) {
		t.Parallel()
		b := miniBackend(t)
		b.sealed = &atomic.Int32{}
		test(t, b)
	})
}

// A site is a Manager over a store, behind a few pages: / says who is there,
// /me demands to know, /login?user= and /logout do what they say, and so do
// /as?user= and /back, which begin and end an impersonation.
type site struct {
	*backend
	store   *RedisStore
	manager *Manager
	handler http.Handler
	logs    *syncBuffer
}

var testKeys = []CookieKey{{Hash: bytes.Repeat([]byte("h"), 32)}}

func newSite(t *testing.T, b *backend, cfg Config) *site {
	t.Helper()
	return newSiteOn(t, b, b.store(t, RedisConfig{}), cfg)
}

func newSiteOn(t *testing.T, b *backend, store TicketStore, cfg Config) *site {
	t.Helper()
	s := &site{backend: b, logs: &syncBuffer{}}
	s.store, _ = store.(*RedisStore)
	if cfg.CookieKeys == nil && cfg.Codec == nil {
		cfg.CookieKeys = testKeys
	}
	if cfg.StoreTimeout == 0 {
		cfg.StoreTimeout = redistest.Patience
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(s.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	m, err := NewManager(store, cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.manager = m
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if tk, ok := FromContext(r.Context()); ok {
			fmt.Fprint(w, tk.Subject)
		} else {
			fmt.Fprint(w, "-")
		}
	})
	mux.Handle("/me", m.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tk, _ := FromContext(r.Context())
		json.NewEncoder(w).Encode(tk)
	})))
	mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
		tk := NewTicket(r.FormValue("user"))
		tk.Persistent = r.FormValue("remember") != ""
		answer(w, m.SignIn(w, r, tk))
	})
	mux.HandleFunc("/logout", func(w http.ResponseWriter, r *http.Request) { answer(w, m.SignOut(w, r)) })
	mux.HandleFunc("/renew", func(w http.ResponseWriter, r *http.Request) {
		_, err := m.Renew(r, func(tk *Ticket) error {
			tk.Properties = map[string]string{"set": r.FormValue("set")}
			return nil
		})
		answer(w, err)
	})
	mux.HandleFunc("/rotate", func(w http.ResponseWriter, r *http.Request) {
		_, err := m.Rotate(w, r, nil)
		answer(w, err)
	})
	mux.HandleFunc("/as", func(w http.ResponseWriter, r *http.Request) {
		answer(w, m.Impersonate(w, r, NewTicket(r.FormValue("user")), "ticket 4711"))
	})
	mux.HandleFunc("/back", func(w http.ResponseWriter, r *http.Request) { answer(w, m.EndImpersonation(w, r)) })
	s.handler = m.Wrap(mux)
	return s
}

func answer(w http.ResponseWriter, err error) {
	switch {
	case err == nil:
		fmt.Fprint(w, "ok")
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrConflict), errors.Is(err, ErrInvalidTicket), errors.Is(err, ErrTooManySessions):
		http.Error(w, err.Error(), http.StatusConflict)
	default:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	}
}

func (s *site) request(t testing.TB, method, target string, cookies ...*http.Cookie) *http.Request {
	r := httptest.NewRequestWithContext(s.ctx(t), method, target, nil)
	for _, c := range cookies {
		r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
	}
	return r
}

func (s *site) serve(r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w.Result()
}

func (s *site) get(t testing.TB, target string, cookies ...*http.Cookie) *http.Response {
	return s.serve(s.request(t, "GET", target, cookies...))
}

// login signs user in and returns the cookie.
func (s *site) login(t testing.TB, user string, cookies ...*http.Cookie) *http.Cookie {
	t.Helper()
	res := s.serve(s.request(t, "POST", "/login?user="+user, cookies...))
	wantStatus(t, res, http.StatusOK)
	return onlyCookie(t, res)
}

// who returns the subject of a request with cookies, "-" if it is anonymous.
func (s *site) who(t testing.TB, cookies ...*http.Cookie) string {
	t.Helper()
	res := s.get(t, "/", cookies...)
	wantStatus(t, res, http.StatusOK)
	return body(res)
}

func (s *site) key(t testing.TB, c *http.Cookie) Key {
	t.Helper()
	keys, err := s.manager.cfg.Codec.Decode(t.Context(), s.manager.cfg.CookieName, []*http.Cookie{c})
	if err != nil || len(keys) != 1 {
		t.Fatalf("cookie %s: got %d keys, error %v, want one", c.Name, len(keys), err)
	}
	return keys[0]
}

// ticket returns the ticket of a cookie as the store has it.
func (s *site) ticket(t testing.TB, c *http.Cookie) *Ticket {
	t.Helper()
	tk, err := s.store.Retrieve(s.ctx(t), s.key(t, c))
	if err != nil {
		t.Fatal(err)
	}
	return tk
}

func body(res *http.Response) string {
	b, _ := io.ReadAll(res.Body)
	return strings.TrimSpace(string(b))
}

func wantStatus(t testing.TB, res *http.Response, want int) {
	t.Helper()
	if res.StatusCode != want {
		t.Fatalf("got status %d, want %d: %s", res.StatusCode, want, body(res))
	}
}

func onlyCookie(t testing.TB, res *http.Response) *http.Cookie {
	t.Helper()
	cookies := res.Cookies()
	if len(cookies) != 1 {
		t.Fatalf("got %d cookies, want 1: %q", len(cookies), res.Header["Set-Cookie"])
	}
	return cookies[0]
}

func wantNoCookie(t testing.TB, res *http.Response) {
	t.Helper()
	if got := res.Header["Set-Cookie"]; len(got) > 0 {
		t.Errorf("got Set-Cookie %q, want none", got)
	}
}

func newTicket(b *backend, subject string) *Ticket {
	tk := NewTicket(subject, Claim{Type: "role", Value: "user"})
	now := b.now().Truncate(time.Millisecond)
	// Rounded down, it would be before a revocation a moment ago.
	tk.SignedInAt, tk.IssuedAt = now.Add(time.Millisecond), now
	tk.ExpiresAt = now.Add(time.Hour)
	tk.EndsAt = now.Add(12 * time.Hour)
	return tk
}

func mustStore(t testing.TB, b *backend, s TicketStore, tk *Ticket) Key {
	t.Helper()
	key, err := s.Store(b.ctx(t), tk)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newKey() []byte {
	b := make([]byte, 32)
	rand.Read(b)
	return b
}

// secretOf returns the secret of a RedisStore's key.
func secretOf(t testing.TB, key Key) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(string(key))
	if err != nil {
		t.Fatal(err)
	}
	return b[17:]
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// counter is a go-redis hook that counts commands by name.
type counter struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *counter) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *counter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.mu.Lock()
		c.n[cmd.Name()]++
		c.mu.Unlock()
		return next(ctx, cmd)
	}
}

func (c *counter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		c.mu.Lock()
		c.n["pipeline"]++
		for _, cmd := range cmds {
			c.n[cmd.Name()]++
		}
		c.mu.Unlock()
		return next(ctx, cmds)
	}
}

// take returns the counts since the last call, as "evalsha=1 get=1"; a pipeline
// counts beside its commands.
func (c *counter) take() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(c.n)) {
		parts = append(parts, fmt.Sprintf("%s=%d", name, c.n[name]))
	}
	c.n = map[string]int{}
	return strings.Join(parts, " ")
}

// isMark reports whether a key is a mark, which stays for an hour whatever ends.
func isMark(key string) bool {
	_, name, _ := strings.Cut(key, "}")
	return name == "revoked" || name == "unlinked" || strings.HasPrefix(name, "revoked:")
}
