package aspnetcore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore"
)

func TestTicketTooLarge(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		for configured, limit := range map[int]int{0: 64 << 10, 1 << 20: 1 << 20} {
			s := newSite(t, b.another(t), StoreConfig{MaxTicketBytes: configured})
			sized := func(tk *ticketstore.Ticket, size int) *ticketstore.Ticket {
				c := tk.Clone()
				c.Properties = map[string]string{"x": strings.Repeat("x", size-1000)}
				c.Properties["x"] += strings.Repeat("x", size-len(mustSerialize(t, Serializer{}, c)))
				return c
			}
			tooLarge := func(err error, size, limit int) {
				t.Helper()
				want := fmt.Sprintf("it has %d bytes when serialized; at most %d are allowed", size, limit)
				if !errors.Is(err, ticketstore.ErrInvalidTicket) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "StoreConfig.MaxTicketBytes") {
					t.Errorf("got %v, want ErrInvalidTicket: %s", err, want)
				}
			}
			tk := ticketstore.NewTicket("alice")
			tk.ExpiresAt = s.now().Add(time.Hour)
			_, err := s.Store.Store(s.ctx(t), sized(tk, limit+1))
			tooLarge(err, limit+1, limit)
			tk = sized(tk, limit)
			key, err := s.Store.Store(s.ctx(t), tk)
			if err != nil {
				t.Fatal(err)
			}
			largest := limit + 8<<10
			if err := s.Renew(s.ctx(t), key, sized(tk, largest)); err != nil {
				t.Errorf("Renew with %d bytes: %v", largest, err)
			}
			tooLarge(s.Renew(s.ctx(t), key, sized(tk, largest+1)), largest+1, largest)
		}
	})
}

// What ASP.NET Core has let in stays alive where Go serves its user, whatever
// its size, and Go adds no more to it than it has to.
func TestLargeTicketOfDotNet(t *testing.T) {
	const agent = "a browser of another network"
	eachBackend(t, func(t *testing.T, b *backend) {
		for size, seenFrom := range map[int]string{
			66_000:  agent,
			73_600:  "", // room for our times alone
			76_691:  "",
			300_000: "",
		} {
			s := newSite(t, b.another(t), StoreConfig{})
			data := dotnetTicket(t, "alice", s.now(), s.now().Add(time.Hour), pair{".Token.access_token", strings.Repeat("x", size-500)})
			w, err := readTicket(data)
			if err != nil {
				t.Fatal(err)
			}
			w.identities = append(w.identities, wireIdentity{nameType: defaultNameType, roleType: defaultRoleType}) // is filled in
			w.items[0].value += strings.Repeat("x", size-len(mustBytes(t, w)))
			s.set(dotnetKey, mustBytes(t, w), s.now().Add(time.Hour), 0)

			logs := &bytes.Buffer{}
			m, err := ticketstore.NewManager(s.Store, ticketstore.Config{
				Codec:        plainCodec{},
				StoreTimeout: time.Minute,
				Logger:       slog.New(slog.NewTextHandler(logs, nil)),
			})
			if err != nil {
				t.Fatal(err)
			}
			handler := m.Require(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			for range 5 {
				s.advance(20 * time.Minute)
				r := httptest.NewRequestWithContext(s.ctx(t), "GET", "/", nil)
				r.AddCookie(&http.Cookie{Name: "__Host-session", Value: string(dotnetKey)})
				r.Header.Set("User-Agent", agent)
				w := httptest.NewRecorder()
				if handler.ServeHTTP(w, r); w.Code != http.StatusOK {
					t.Fatalf("%d bytes: got status %d, want 200", size, w.Code)
				}
				if s.mini == nil {
					break // Redis' clock does not move
				}
			}
			tk := s.retrieve(dotnetKey)
			if d := s.now().Sub(tk.IssuedAt); d < 0 || d >= 20*time.Minute || tk.SeenFrom.UserAgent != seenFrom {
				t.Errorf("%d bytes: got one used %v ago, seen from %+v, want now, from %q", size, d, tk.SeenFrom, seenFrom)
			}
			if got := logs.String(); got != "" {
				t.Errorf("%d bytes: got a log: %s", size, got)
			}

			tk.Properties["y"] = strings.Repeat("y", 10_000)
			if err := s.Renew(s.ctx(t), dotnetKey, tk); !errors.Is(err, ticketstore.ErrInvalidTicket) {
				t.Errorf("%d bytes and more: got %v, want ErrInvalidTicket", size, err)
			}
			s.unlink(dotnetKey)
			if err := s.Renew(s.ctx(t), dotnetKey, tk); !errors.Is(err, ticketstore.ErrNotFound) {
				t.Errorf("%d bytes, removed: got %v, want ErrNotFound", size, err)
			}
		}
	})
}

// plainCodec has keys as they are in cookies.
type plainCodec struct{}

func (plainCodec) Encode(_ context.Context, _ string, key ticketstore.Key) (string, error) {
	return string(key), nil
}

func (plainCodec) Decode(_ context.Context, _ string, cookies []*http.Cookie) ([]ticketstore.Key, error) {
	return []ticketstore.Key{ticketstore.Key(cookies[0].Value)}, nil
}

func mustBytes(t testing.TB, w *wireTicket) []byte {
	t.Helper()
	data, err := w.bytes()
	if err != nil {
		t.Fatal(err)
	}
	return data
}
