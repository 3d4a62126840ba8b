package devices

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/redistest"
	"github.com/ticketstore/ticketstore/internal/ui/uitest"
)

func TestMain(m *testing.M) { os.Exit(redistest.Main(m)) }

// A site has the handler at /account/sessions/.
type site struct{ *uitest.Site }

const mount = "/account/sessions"

// newSite returns a site on miniredis. tune may change what it is made of.
func newSite(t *testing.T, cfg Config, tune ...func(*ticketstore.Config)) *site {
	t.Helper()
	s := &site{uitest.New(t, tune...)}
	s.mount(cfg)
	return s
}

func newSiteAt(t *testing.T, addr string, cfg Config) *site {
	t.Helper()
	s := &site{uitest.NewAt(t, addr)}
	s.mount(cfg)
	return s
}

// on puts the site on store.
func (s *site) on(store ticketstore.TicketStore, cfg Config) {
	s.T.Helper()
	s.On(store)
	s.mount(cfg)
}

func (s *site) mount(cfg Config) {
	s.T.Helper()
	if cfg.Logger == nil {
		cfg.Logger = s.Logger
	}
	h, err := New(s.Manager, cfg)
	if err != nil {
		s.T.Fatal(err)
	}
	s.Mux.Handle(mount+"/", http.StripPrefix(mount, h))
}

func (s *site) page(c *http.Cookie, query ...string) uitest.Response {
	s.T.Helper()
	return s.Request("GET", mount+"/"+strings.Join(query, ""), c).Want(200)
}

func (s *site) revoke(c *http.Cookie, what string) uitest.Call {
	return s.Request("POST", mount+"/", c, url.Values{"revoke": {what}}.Encode())
}

func wantNoCookie(t *testing.T, res uitest.Response) {
	t.Helper()
	if got := res.Header["Set-Cookie"]; len(got) > 0 {
		t.Errorf("got Set-Cookie %q, want none", got)
	}
}

func wantDeleted(t *testing.T, res uitest.Response) {
	t.Helper()
	if c := res.Cookies(); len(c) != 1 || len(res.Header["Set-Cookie"]) != 1 || c[0].MaxAge >= 0 {
		t.Errorf("got Set-Cookie %q, want the cookie deleted, once", res.Header["Set-Cookie"])
	}
}

// eachBackend runs a test on miniredis and on a real Redis.
func eachBackend(t *testing.T, test func(t *testing.T, s *site)) {
	t.Run("miniredis", func(t *testing.T) { test(t, newSite(t, Config{})) })
	t.Run("redis", func(t *testing.T) { test(t, newSiteAt(t, redistest.Shared(t).Addr, Config{})) })
}

// A faultyStore is a RedisStore whose answers a test can spoil.
type faultyStore struct {
	*ticketstore.RedisStore
	retrieve func(*ticketstore.Ticket, error) (*ticketstore.Ticket, error)
	index    error
	revoked  error // Revoke's
}

func (s *faultyStore) Retrieve(ctx context.Context, key ticketstore.Key) (*ticketstore.Ticket, error) {
	t, err := s.RedisStore.Retrieve(ctx, key)
	if s.retrieve != nil {
		return s.retrieve(t, err)
	}
	return t, err
}

func (s *faultyStore) Sessions(ctx context.Context, subject string) ([]ticketstore.Session, error) {
	if s.index != nil {
		return nil, s.index
	}
	return s.RedisStore.Sessions(ctx, subject)
}

func (s *faultyStore) Revoke(ctx context.Context, subject, id string) error {
	if err := cmp.Or(s.index, s.revoked); err != nil {
		return err
	}
	return s.RedisStore.Revoke(ctx, subject, id)
}

func (s *faultyStore) RevokeAll(ctx context.Context, subject string) (int, error) {
	if s.index != nil {
		return 0, s.index
	}
	return s.RedisStore.RevokeAll(ctx, subject)
}

func (s *faultyStore) RevokeOthers(ctx context.Context, subject, keep string) (int, error) {
	if s.index != nil {
		return 0, s.index
	}
	return s.RedisStore.RevokeOthers(ctx, subject, keep)
}

func (s *faultyStore) Remove(ctx context.Context, key ticketstore.Key) error {
	if s.index != nil {
		return s.index
	}
	return s.RedisStore.Remove(ctx, key)
}
