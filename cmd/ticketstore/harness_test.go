package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/clock"
	"github.com/ticketstore/ticketstore/internal/redistest"
	"github.com/ticketstore/ticketstore/internal/ui/uitest"
)

func TestMain(m *testing.M) { os.Exit(redistest.Main(m)) }

// A site is an application's store, and the command line that reaches it.
type site struct {
	url, prefix string
	cluster     bool
	ctx         context.Context
	client      redis.UniversalClient
	store       *ticketstore.RedisStore
	mini        *miniredis.Miniredis
	now         time.Time // of miniredis, and of ctx there
}

const remembered = 30 * 24 * time.Hour

func newSite(t *testing.T, s site, history time.Duration) *site {
	t.Helper()
	t.Cleanup(func() { s.client.Close() })
	var err error
	if s.store, err = ticketstore.NewRedisStore(s.client, ticketstore.RedisConfig{Prefix: s.prefix, History: history}); err != nil {
		t.Fatal(err)
	}
	return &s
}

// onMini returns a site on a miniredis, with a clock that stands still.
func onMini(t *testing.T, history time.Duration) *site {
	t.Helper()
	mini := redistest.StartMini(t)
	s := newSite(t, site{url: "redis://" + mini.Addr(), mini: mini, client: redis.NewClient(redistest.Options(mini.Addr()))}, history)
	s.ctx = clock.NewContext(t.Context(), func() time.Time { return s.now })
	s.at(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC))
	return s
}

func (s *site) at(now time.Time) {
	if !s.now.IsZero() {
		s.mini.FastForward(now.Sub(s.now))
	}
	s.now = now
	s.mini.SetTime(now)
}

// everywhere runs f on miniredis, Redis and a Cluster.
func everywhere(t *testing.T, history time.Duration, f func(*testing.T, *site)) {
	t.Run("miniredis", func(t *testing.T) { f(t, onMini(t, history)) })
	t.Run("redis", func(t *testing.T) {
		addr := redistest.Shared(t).Addr
		f(t, newSite(t, site{url: "redis://" + addr, prefix: uuid.NewString(), ctx: t.Context(), client: redis.NewClient(redistest.Options(addr))}, history))
	})
	t.Run("cluster", func(t *testing.T) {
		addrs := redistest.SharedCluster(t)
		f(t, newSite(t, site{
			url: "redis://" + addrs[0] + "?addr=" + strings.Join(addrs[1:], "&addr="), cluster: true,
			prefix: uuid.NewString(), ctx: t.Context(), client: redis.NewClusterClient(redistest.ClusterOptions(addrs)),
		}, history))
	})
}

// signIn stores a session of subject that began ago.
func (s *site) signIn(t *testing.T, subject, userAgent string, ago time.Duration) (id string) {
	t.Helper()
	tk := ticketstore.NewTicket(subject, ticketstore.Claim{Type: "name", Value: subject})
	now := clock.Now(s.ctx)
	tk.Scheme = "password"
	tk.Device = ticketstore.Device{UserAgent: userAgent, Addr: netip.MustParseAddr("198.51.100.7")}
	tk.SignedInAt = now.Add(-ago)
	tk.IssuedAt = tk.SignedInAt.Add(ago / 2)
	tk.ExpiresAt, tk.EndsAt = tk.IssuedAt.Add(24*time.Hour), tk.SignedInAt.Add(48*time.Hour)
	if _, err := s.store.Store(s.ctx, tk); err != nil {
		t.Fatal(err)
	}
	return tk.ID
}

// actAs begins a session of subject in which operator acts.
func (s *site) actAs(t *testing.T, operator, subject string) {
	t.Helper()
	m, err := ticketstore.NewManager(s.store, ticketstore.Config{
		CookieKeys: []ticketstore.CookieKey{{Hash: make([]byte, 32)}}, StoreTimeout: redistest.Patience, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(s.ctx, "POST", "/", nil)
	if err := m.SignIn(w, r, ticketstore.NewTicket(operator)); err != nil {
		t.Fatal(err)
	}
	r.AddCookie(w.Result().Cookies()[0])
	if err := m.Impersonate(httptest.NewRecorder(), r, ticketstore.NewTicket(subject), "ticket 4711"); err != nil {
		t.Fatal(err)
	}
}

func (s *site) left(t *testing.T) int64 {
	t.Helper()
	n, err := s.store.Count(s.ctx)
	if err != nil {
		t.Fatal(err)
	}
	return n.Sessions
}

// A console is who runs the command.
type console struct {
	types    string // at the standard input
	terminal bool   // whether that is one
	env      map[string]string
}

// run runs the command, and returns what it says.
func (s *site) run(c console, args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	stdin := strings.NewReader(c.types)
	p := &program{stdin, &out, &errs, func(name string) string { return c.env[name] }, func(v any) bool { return c.terminal && v == stdin }}
	status = p.run(s.ctx, append(s.flags(), args...))
	return status, out.String(), errs.String()
}

func (s *site) flags() []string {
	flags := []string{"-redis", s.url, "-prefix", s.prefix, "-timeout", redistest.Patience.String(), "-by", "olga"}
	if s.cluster {
		flags = append(flags, "-cluster")
	}
	return flags
}

// want runs the command as a script does, and checks the status.
func (s *site) want(t *testing.T, status int, args ...string) (stdout, stderr string) {
	t.Helper()
	got, stdout, stderr := s.run(console{}, args...)
	if got != status {
		t.Fatalf("%q: got status %d, want %d: %s%s", args, got, status, stdout, stderr)
	}
	return stdout, stderr
}

// decode runs the command with -json, and decodes what it says.
func decode[T any](t *testing.T, s *site, args ...string) (v T) {
	t.Helper()
	stdout, _ := s.want(t, 0, append(args, "-json")...)
	d := json.NewDecoder(strings.NewReader(stdout))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%q: %v in %s", args, err, stdout)
	}
	if d.More() {
		t.Fatalf("%q: more than one value: %s", args, stdout)
	}
	return v
}

// A buffer is what a command that goes on writes to.
type buffer struct {
	mu   sync.Mutex
	text strings.Builder
	more chan struct{}
}

func newBuffer() *buffer { return &buffer{more: make(chan struct{}, 1)} }

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case b.more <- struct{}{}:
	default:
	}
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// await waits until b has n lines.
func (b *buffer) await(t *testing.T, n int) {
	t.Helper()
	end := time.After(redistest.Patience)
	for strings.Count(b.String(), "\n") < n {
		select {
		case <-b.more:
		case <-end:
			t.Fatalf("got %q, want %d lines", b, n)
		}
	}
}

const firefox, iPhone = uitest.Firefox, uitest.IPhone
