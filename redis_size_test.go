package ticketstore

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// sized returns a copy of tk that has size bytes as JSON.
func sized(t *testing.T, tk *Ticket, size int) *Ticket {
	t.Helper()
	c := tk.Clone()
	c.Properties = map[string]string{"x": ""}
	data, err := JSONSerializer{}.Serialize(c)
	if err != nil {
		t.Fatal(err)
	}
	c.Properties["x"] = strings.Repeat("x", size-len(data))
	return c
}

func TestTicketTooLarge(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		for configured, limit := range map[int]int{0: 64 << 10, 4 << 10: 4 << 10, 1 << 20: 1 << 20} {
			s := b.store(t, RedisConfig{MaxTicketBytes: configured})
			tk := newTicket(b, "alice")
			tooLarge := func(err error, size, limit int) {
				t.Helper()
				want := fmt.Sprintf("it has %d bytes when serialized; at most %d are allowed", size, limit)
				if !errors.Is(err, ErrInvalidTicket) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "RedisConfig.MaxTicketBytes") {
					t.Errorf("got %v, want ErrInvalidTicket: %s", err, want)
				}
			}
			_, err := s.Store(b.ctx(t), sized(t, tk, limit+1))
			tooLarge(err, limit+1, limit)
			tk = sized(t, tk, limit)
			key := mustStore(t, b, s, tk)

			largest := limit + 8<<10
			larger := sized(t, tk, largest)
			if err := s.Renew(b.ctx(t), key, larger); err != nil {
				t.Errorf("Renew with %d bytes: %v", largest, err)
			}
			tooLarge(s.Renew(b.ctx(t), key, sized(t, larger, largest+1)), largest+1, largest)
			_, err = s.Rotate(b.ctx(t), key, sized(t, larger, largest+1), time.Minute)
			tooLarge(err, largest+1, largest)
			if _, err := s.Rotate(b.ctx(t), key, larger, time.Minute); err != nil {
				t.Errorf("Rotate with %d bytes: %v", largest, err)
			}
		}
	})
}

// wordy writes twice what it has to.
type wordy struct{ JSONSerializer }

func (wordy) Serialize(t *Ticket) ([]byte, error) {
	data, err := JSONSerializer{}.Serialize(t)
	return append(data, strings.Repeat(" ", len(data))...), err
}

// What has been let in is renewed, whatever its size is by now; but it does not
// grow.
func TestRenewalOfTooLargeTicket(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		const size = 20 << 10
		for name, after := range map[string]RedisConfig{
			"a lower limit":      {MaxTicketBytes: 4 << 10, Serializer: JSONSerializer{}},
			"another serializer": {MaxTicketBytes: 30 << 10, Serializer: wordy{}},
		} {
			tk := newTicket(b, "alice")
			tk.IssuedAt = time.Time{}
			key := mustStore(t, b, b.store(t, RedisConfig{MaxTicketBytes: size}), sized(t, tk, size))
			s := b.store(t, after)
			for range 3 {
				read, err := s.Retrieve(b.ctx(t), key)
				if err != nil {
					t.Fatal(err)
				}
				read.IssuedAt, read.ExpiresAt = b.now(), read.ExpiresAt.Add(time.Second)
				data, err := after.Serializer.Serialize(read)
				if err != nil {
					t.Fatal(err)
				}
				want := fmt.Sprintf("at most %d are allowed", len(data))
				if err := s.Renew(b.ctx(t), key, read); err != nil {
					t.Errorf("%s: Renew: %v", name, err)
				}
				read.Properties["y"] = ""
				if err := s.Renew(b.ctx(t), key, read); !errors.Is(err, ErrInvalidTicket) || !strings.Contains(err.Error(), want) {
					t.Errorf("%s: larger: got %v, want ErrInvalidTicket: %s", name, err, want)
				}
				delete(read.Properties, "y")
				if key, err = s.Rotate(b.ctx(t), key, read, 0); err != nil {
					t.Fatalf("%s: Rotate: %v", name, err)
				}
			}

			// The answers of Renew are what they are for any ticket.
			read, err := s.Retrieve(b.ctx(t), key)
			if err != nil {
				t.Fatal(err)
			}
			stale := read.Clone()
			stale.Revision = strings.Repeat("0", 16)
			if err := s.Renew(b.ctx(t), key, stale); !errors.Is(err, ErrConflict) {
				t.Errorf("%s: stale: got %v, want ErrConflict", name, err)
			}
			if err := s.Remove(b.ctx(t), key); err != nil {
				t.Fatal(err)
			}
			if err := s.Renew(b.ctx(t), key, read); !errors.Is(err, ErrNotFound) {
				t.Errorf("%s: removed: got %v, want ErrNotFound", name, err)
			}
		}
	})
}

// An active user stays signed in, however large the ticket is and whatever the
// renewals have to add.
func TestLargeTicketOfActiveUser(t *testing.T) {
	const idle = 30 * time.Minute
	for name, test := range map[string]struct {
		renewing RedisConfig
		want     string // user agent of SeenFrom in the end
	}{
		"a full ticket":                 {RedisConfig{}, strings.Repeat(`"`, maxUserAgent)}, // is twice as long as JSON
		"over a limit that was lowered": {RedisConfig{MaxTicketBytes: 1 << 10}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := miniBackend(t)
			s := newSite(t, b, Config{IdleTimeout: idle, StoreTimeout: time.Minute})
			c := s.login(t, "alice")
			tk := s.ticket(t, c)
			full := sized(t, tk, 64<<10)
			r := s.request(t, "POST", "/", c)
			full, err := s.manager.Renew(r, func(tk *Ticket) error { tk.Properties = full.Properties; return nil })
			if err != nil {
				t.Fatal(err)
			}
			if data, _ := (JSONSerializer{}).Serialize(full); len(data) != 64<<10 {
				t.Fatalf("got a ticket of %d bytes, want 64 KiB", len(data))
			}

			s = newSiteOn(t, b, b.store(t, test.renewing), Config{IdleTimeout: idle, StoreTimeout: time.Minute})
			for range 3 {
				b.advance(idle * 2 / 3)
				r := s.request(t, "GET", "/", c)
				r.RemoteAddr = "[2001:db8:1111:2222:3333:4444:5555:6666]:1"
				r.Header.Set("User-Agent", strings.Repeat(`"`, 2*maxUserAgent))
				res := s.serve(r)
				wantStatus(t, res, http.StatusOK)
				if got := body(res); got != "alice" {
					t.Fatalf("got %q, want alice", got)
				}
			}
			if got := s.ticket(t, c); got.SeenFrom.UserAgent != test.want || got.Properties["x"] != full.Properties["x"] {
				t.Errorf("got SeenFrom %+v, want user agent %q", got.SeenFrom, test.want)
			}
			if got := s.logs.String(); got != "" {
				t.Errorf("got a log: %s", got)
			}
		})
	}
}
