package admin

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/redistest"
	"github.com/ticketstore/ticketstore/internal/ui/uitest"
)

func TestMain(m *testing.M) { os.Exit(redistest.Main(m)) }

const (
	mount  = "/admin"
	asJSON = "application/json"
)

// A site has the pages at /admin/; its operator is root.
type site struct {
	*uitest.Site
	root *http.Cookie
}

func newSite(t *testing.T, cfg Config) *site {
	t.Helper()
	return operate(uitest.New(t), cfg)
}

func operate(u *uitest.Site, cfg Config) *site {
	u.T.Helper()
	s := &site{Site: u}
	s.Mux.Handle(mount+"/", s.Manager.Require(http.StripPrefix(mount, s.handler(s.Store, cfg))))
	s.root = s.Login("root", "", "")
	return s
}

// handler returns the pages of store, for root.
func (s *site) handler(store Store, cfg Config) http.Handler {
	s.T.Helper()
	cfg.Logger, cfg.StoreTimeout = s.Logger, redistest.Patience
	h, err := New(store, func(r *http.Request) bool {
		t, ok := ticketstore.FromContext(r.Context())
		return ok && t.Subject == "root"
	}, cfg)
	if err != nil {
		s.T.Fatal(err)
	}
	return h
}

// eachBackend runs a test on miniredis and on a real Redis.
func eachBackend(t *testing.T, cfg Config, test func(t *testing.T, s *site)) {
	t.Run("miniredis", func(t *testing.T) { test(t, newSite(t, cfg)) })
	t.Run("redis", func(t *testing.T) { test(t, operate(uitest.NewAt(t, redistest.Shared(t).Addr), cfg)) })
}

func (s *site) get(query string) uitest.Call { return s.Request("GET", mount+"/"+query, s.root) }

func (s *site) json(query string) uitest.Call { return s.get(query).With("Accept", asJSON) }

func (s *site) delete(query string) uitest.Call {
	return s.Request("DELETE", mount+"/"+query, s.root)
}

func (s *site) revoke(subject, session string) uitest.Call {
	return s.Request("POST", mount+"/", s.root, url.Values{"subject": {subject}, "revoke": {session}}.Encode())
}

// endThese ends what a filter lets through and began before now.
func (s *site) endThese(filter string) uitest.Call {
	return s.Request("POST", mount+"/", s.root, fmt.Sprint("these=end&until=", s.Now.UnixMilli(), "&", filter))
}

func of(subject string) string { return "?subject=" + url.QueryEscape(subject) }

// A spy records the calls of a store, and fails them with err.
type spy struct {
	*ticketstore.RedisStore
	mu    sync.Mutex
	calls []string
	err   func(method string) error
}

func (s *spy) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.calls)
}

func (s *spy) call(method string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, method)
	if s.err == nil {
		return nil
	}
	return s.err(method)
}

func (s *spy) Count(ctx context.Context) (ticketstore.Counts, error) {
	if err := s.call("Count"); err != nil {
		return ticketstore.Counts{}, err
	}
	return s.RedisStore.Count(ctx)
}

func (s *spy) SessionPage(ctx context.Context, cursor string, limit int) ([]ticketstore.Session, string, error) {
	if err := s.call("SessionPage"); err != nil {
		return nil, "", err
	}
	return s.RedisStore.SessionPage(ctx, cursor, limit)
}

func (s *spy) EndingPage(ctx context.Context, since time.Time, cursor string, limit int) ([]ticketstore.Ending, string, error) {
	if err := s.call("EndingPage"); err != nil {
		return nil, "", err
	}
	return s.RedisStore.EndingPage(ctx, since, cursor, limit)
}

func (s *spy) Sessions(ctx context.Context, subject string) ([]ticketstore.Session, error) {
	if err := s.call("Sessions"); err != nil {
		return nil, err
	}
	return s.RedisStore.Sessions(ctx, subject)
}

func (s *spy) Revoke(ctx context.Context, subject, id string) error {
	if err := s.call("Revoke"); err != nil {
		return err
	}
	return s.RedisStore.Revoke(ctx, subject, id)
}

func (s *spy) RevokeAll(ctx context.Context, subject string) (int, error) {
	if err := s.call("RevokeAll"); err != nil {
		return 0, err
	}
	return s.RedisStore.RevokeAll(ctx, subject)
}

// undecodable lists the session id as one that cannot be read; of whom, it
// knows only on a user's page.
type undecodable struct {
	*ticketstore.RedisStore
	id string
}

func (s *undecodable) spoil(sessions []ticketstore.Session, subject string) {
	if i := slices.IndexFunc(sessions, func(sess ticketstore.Session) bool { return sess.ID == s.id }); i >= 0 {
		sessions[i] = ticketstore.Session{ID: s.id, Subject: subject, ExpiresAt: sessions[i].ExpiresAt, Undecodable: true}
	}
}

func (s *undecodable) Sessions(ctx context.Context, subject string) ([]ticketstore.Session, error) {
	sessions, err := s.RedisStore.Sessions(ctx, subject)
	s.spoil(sessions, subject)
	return sessions, err
}

func (s *undecodable) SessionPage(ctx context.Context, cursor string, limit int) ([]ticketstore.Session, string, error) {
	sessions, next, err := s.RedisStore.SessionPage(ctx, cursor, limit)
	s.spoil(sessions, "")
	return sessions, next, err
}

func wantIn(t *testing.T, what, body string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(body, part) {
			t.Errorf("%s: no %q in %s", what, part, body)
		}
	}
}
