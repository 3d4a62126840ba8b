package docs_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/devices"
	"github.com/ticketstore/ticketstore/internal/redistest"
)

// tellOfNewDevice mails r's user if somebody has signed in as them on a device
// that they have not used before. Whoever signs in sets t.Properties["notice"] to
// "0"; call this within Wrap. mail sends nothing twice under one key.
func tellOfNewDevice(r *http.Request, m *ticketstore.Manager, store *ticketstore.RedisStore, place func(netip.Addr) string, mail func(user, text, key string) error) error {
	if t, ok := ticketstore.FromContext(r.Context()); !ok || t.Properties["notice"] == "" {
		return nil
	}
	r = r.WithContext(context.WithoutCancel(r.Context()))
	now := time.Now().UTC()
	claim := now.Add(time.Minute).Format(time.RFC3339) + " " + rand.Text()
	t, err := m.Renew(r, func(t *ticketstore.Ticket) error { // claim
		switch p := t.Properties; {
		case p["notice"] == claim: // it runs again
		case p["notice"] == "" || p["notice"] > now.Format(time.RFC3339):
			return errNotDue
		default:
			p["notice"] = claim
		}
		return nil
	})
	if errors.Is(err, errNotDue) {
		return nil
	}
	if err != nil {
		return err
	}
	isNew, err := newDevice(r.Context(), store, t)
	if err == nil && isNew {
		text := "New sign-in: " + devices.Name(t.Device.UserAgent)
		if where := place(t.Device.Addr); where != "" {
			text += ", " + where
		}
		err = mail(t.Subject, text, t.ID)
	}
	if err != nil {
		return err // after a minute another request tries
	}
	_, err = m.Renew(r, func(t *ticketstore.Ticket) error { // mark
		if t.Properties["notice"] != claim {
			return errNotDue
		}
		delete(t.Properties, "notice")
		return nil
	})
	return err
}

// newDevice reports whether no session before t was on a device of that name.
func newDevice(ctx context.Context, store *ticketstore.RedisStore, t *ticketstore.Ticket) (bool, error) {
	sessions, err := store.Sessions(ctx, t.Subject) // first: what ends now is in one of the two
	if err != nil {
		return false, err
	}
	endings, err := store.History(ctx, t.Subject)
	if err != nil {
		return false, err
	}
	for _, e := range endings {
		sessions = append(sessions, e.Session)
	}
	name := devices.Name(t.Device.UserAgent)
	return !slices.ContainsFunc(sessions, func(s ticketstore.Session) bool {
		before := cmp.Or(s.SignedInAt.Compare(t.SignedInAt), strings.Compare(s.ID, t.ID)) < 0
		return before && !s.Undecodable && devices.Name(s.Device.UserAgent) == name
	}), nil
}

// A noticeSite is two instances of an application that sends notices.
type noticeSite struct {
	t     *testing.T
	redis *miniredis.Miniredis
	store *ticketstore.RedisStore
	all   []*ticketstore.Manager

	mu    sync.Mutex
	mails []string
	fails func() error // instead of sending
	sent  func()
}

func newNoticeSite(t *testing.T) *noticeSite {
	s := &noticeSite{t: t, redis: miniredis.RunT(t), fails: func() error { return nil }, sent: func() {}}
	for range 2 {
		opt := redistest.Options(s.redis.Addr())
		opt.MaxRetries, opt.DialerRetries = 1, 1
		client := redis.NewClient(opt)
		t.Cleanup(func() { client.Close() })
		var err error
		if s.store, err = ticketstore.NewRedisStore(client, ticketstore.RedisConfig{History: time.Hour}); err != nil {
			t.Fatal(err)
		}
		m, err := ticketstore.NewManager(s.store, ticketstore.Config{
			CookieKeys: []ticketstore.CookieKey{{Hash: make([]byte, 32)}}, StoreTimeout: redistest.Patience,
		})
		if err != nil {
			t.Fatal(err)
		}
		s.all = append(s.all, m)
	}
	return s
}

// visit sends a request to an instance, and returns what tellOfNewDevice does.
func (s *noticeSite) visit(i int, c *http.Cookie) (err error) {
	m := s.all[i%len(s.all)]
	m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err = tellOfNewDevice(r, m, s.store,
			func(a netip.Addr) string { return map[string]string{"192.0.2.1": "Porto"}[a.String()] },
			func(user, text, key string) error {
				s.mu.Lock()
				defer s.mu.Unlock()
				if err := s.fails(); err != nil {
					return err
				}
				s.mails = append(s.mails, user+": "+text+" "+key)
				s.sent()
				return nil
			})
	})).ServeHTTP(httptest.NewRecorder(), request(c))
	return err
}

// signIn signs alice in on a browser that has the cookie c, and returns its new
// one.
func (s *noticeSite) signIn(c *http.Cookie, agent string) (*http.Cookie, *ticketstore.Ticket) {
	s.t.Helper()
	tk := ticketstore.NewTicket("alice")
	tk.Properties = map[string]string{"notice": "0"}
	w, r := httptest.NewRecorder(), request(c)
	r.Header.Set("User-Agent", agent)
	if err := s.all[0].SignIn(w, r, tk); err != nil {
		s.t.Fatal(err)
	}
	return w.Result().Cookies()[0], tk
}

// visits visits both instances, one after the other, and demands the mails.
func (s *noticeSite) visits(c *http.Cookie, want ...string) {
	s.t.Helper()
	s.mails = nil
	for i := range 4 {
		if err := s.visit(i, c); err != nil {
			s.t.Error(err)
		}
	}
	if !slices.Equal(s.mails, want) {
		s.t.Errorf("got the mails %q, want %q", s.mails, want)
	}
}

// aMinuteLater lets the claim of c's session be old.
func (s *noticeSite) aMinuteLater(c *http.Cookie) {
	s.t.Helper()
	_, err := s.all[0].Renew(request(c), func(t *ticketstore.Ticket) error {
		if t.Properties["notice"] == "" {
			s.t.Error("there is no claim")
		}
		t.Properties["notice"] = "2000"
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

const (
	firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"
	curl    = "curl/8"
)

func TestNewDevice(t *testing.T) {
	s := newNoticeSite(t)
	c, tk := s.signIn(nil, firefox)
	s.visits(c, "alice: New sign-in: Firefox on Linux, Porto "+tk.ID)

	// Known, whether what was there lives, was replaced, or has ended.
	other, _ := s.signIn(nil, strings.ReplaceAll(firefox, "143", "144"))
	s.visits(other)
	other, _ = s.signIn(other, firefox)
	s.visits(other)
	if _, err := s.store.RevokeAll(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	s.redis.FastForward(time.Second)
	c, _ = s.signIn(nil, firefox)
	s.visits(c)

	c, tk = s.signIn(c, curl)
	s.visits(c, "alice: New sign-in: curl, Porto "+tk.ID)
	if err := s.visit(0, nil); err != nil {
		t.Errorf("nobody: %v", err)
	}
}

// Of requests in parallel, at two instances, one sends the mail.
func TestNewDeviceAtOnce(t *testing.T) {
	s := newNoticeSite(t)
	c, _ := s.signIn(nil, firefox)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if err := s.visit(i, c); err != nil && !errors.Is(err, ticketstore.ErrConflict) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(s.mails) != 1 {
		t.Errorf("got the mails %q, want one", s.mails)
	}
}

// A mail that fails is sent later; one that is sent, but not marked so, comes
// twice, and says that it is the same.
func TestNewDeviceAgain(t *testing.T) {
	s := newNoticeSite(t)
	c, tk := s.signIn(nil, firefox)
	down := errors.New("down")
	s.fails = func() error { return down }
	if err := s.visit(0, c); !errors.Is(err, down) {
		t.Errorf("got %v, want that it is down", err)
	}
	s.fails = func() error { return nil }
	s.visits(c) // another request may be about to send it
	s.aMinuteLater(c)
	s.sent = func() { s.redis.SetError("LOADING") } // before the mark
	if err := s.visit(0, c); err == nil {
		t.Error("without the mark: got no error")
	}
	s.redis.SetError("")
	s.sent = func() {}
	mail := fmt.Sprintf("alice: New sign-in: Firefox on Linux, Porto %s", tk.ID)
	if !slices.Equal(s.mails, []string{mail}) {
		t.Errorf("got the mails %q, want %q", s.mails, mail)
	}
	s.aMinuteLater(c)
	s.visits(c, mail)
}
