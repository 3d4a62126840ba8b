package compact

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/clock"
	"github.com/ticketstore/ticketstore/internal/redistest"
	"github.com/ticketstore/ticketstore/storetest"
	"github.com/ticketstore/ticketstore/tickettest"
)

var update = flag.Bool("update", false, "rewrite the golden file")

// fullTicket is one with nothing left out.
func fullTicket() *ticketstore.Ticket {
	at := time.Date(2026, 3, 4, 5, 6, 7, 89_000_000, time.UTC)
	return &ticketstore.Ticket{
		ID:      "019c5e7f-0000-7000-8000-000000000000",
		Subject: "alice@example.com",
		Scheme:  "Cookies",
		Identities: []ticketstore.Identity{{
			AuthenticationType: "pwd",
			NameClaimType:      "name",
			RoleClaimType:      "roles",
			BootstrapContext:   "token",
			Claims: []ticketstore.Claim{
				{Type: "name", Value: "Alice <Ä>"},
				{Type: "roles", Value: "admin", ValueType: "string", Issuer: "idp", OriginalIssuer: "ad", Properties: map[string]string{"k": "v", "a": "b"}},
			},
			Actor: &ticketstore.Identity{Claims: []ticketstore.Claim{{Type: "name", Value: "bob"}}},
		}},
		Properties:      map[string]string{"theme": "dark"},
		Device:          ticketstore.Device{UserAgent: "curl/8", Addr: netip.MustParseAddr("192.0.2.1")},
		SeenFrom:        ticketstore.Device{UserAgent: "curl/9", Addr: netip.MustParseAddr("2001:db8::1")},
		SignedInAt:      at,
		AuthenticatedAt: at.Add(-time.Hour),
		IssuedAt:        at.Add(time.Minute),
		ExpiresAt:       at.Add(time.Hour),
		EndsAt:          at.Add(12 * time.Hour),
		IdleTimeout:     90 * time.Second,
		Links:           []string{"sid 1", "https://idp.example {ä}"},
		LinkedAt:        at.Add(-2 * time.Second),
		Persistent:      true,
	}
}

// plainTicket is a usual one.
func plainTicket(userAgent string) *ticketstore.Ticket {
	at := time.Date(2026, 3, 4, 5, 6, 7, 89_000_000, time.UTC)
	t := ticketstore.NewTicket("019c5e7f-0000-7000-8000-000000000000",
		ticketstore.Claim{Type: "name", Value: "Ada Lovelace"}, ticketstore.Claim{Type: "email", Value: "ada.lovelace@example.com"}, ticketstore.Claim{Type: "role", Value: "editor"})
	t.Scheme = "password"
	t.Device = ticketstore.Device{UserAgent: userAgent, Addr: netip.MustParseAddr("203.0.113.77")}
	t.SignedInAt, t.IssuedAt, t.ExpiresAt, t.EndsAt = at, at, at.Add(30*time.Minute), at.Add(12*time.Hour)
	return t
}

const chrome = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"

func TestFullTicketIsFull(t *testing.T) {
	v := reflect.ValueOf(*fullTicket())
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.IsExported() && v.Field(i).IsZero() && f.Name != "Revision" {
			t.Errorf("%s is zero", f.Name)
		}
	}
}

// Tickets that are in Redis stay readable: as CBOR, and compressed by any
// version of the compressor.
func TestGolden(t *testing.T) {
	const file = "testdata/tickets.txt"
	s := NewSerializer()
	tickets := map[string]*ticketstore.Ticket{"full": fullTicket(), "usual": plainTicket(chrome), "bare": ticketstore.NewTicket("a")}
	names := []string{"full", "usual", "bare"}
	if *update {
		var b strings.Builder
		for _, name := range names {
			data, err := s.Serialize(tickets[name])
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "%s %x\n", name, data)
		}
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for line := range strings.Lines(string(golden)) {
		name, digits, _ := strings.Cut(strings.TrimSpace(line), " ")
		data, err := hex.DecodeString(digits)
		if err != nil {
			t.Fatal(err)
		}
		want := tickets[name].Clone()
		want.ID, want.Subject = "the-id", ""
		got, err := s.Deserialize("the-id", data)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
		read++
	}
	if read != len(names) {
		t.Errorf("read %d tickets, want %d", read, len(names))
	}
}

// impersonated returns a ticket as Impersonate makes it.
func impersonated(t *testing.T) *ticketstore.Ticket {
	m := tickettest.NewManager(t)
	r := httptest.NewRequest("POST", "/", nil)
	r.AddCookie(tickettest.Cookie(t, m, ticketstore.NewTicket("olga")))
	tk := ticketstore.NewTicket("alice")
	if err := m.Impersonate(httptest.NewRecorder(), r, tk, "ticket 4711"); err != nil {
		t.Fatal(err)
	}
	return tk
}

func TestRoundTrip(t *testing.T) {
	s := NewSerializer()
	actors := plainTicket(chrome)
	id := &actors.Identities[0]
	for range 7 {
		id.Actor = &ticketstore.Identity{Claims: []ticketstore.Claim{{Type: "act", Value: "x"}}}
		id = id.Actor
	}
	impersonation := impersonated(t)
	odd := plainTicket("")
	odd.SignedInAt, odd.EndsAt = time.Unix(0, 0).UTC(), time.Date(9999, 12, 31, 23, 59, 59, 999_000_000, time.UTC)
	large := plainTicket(chrome)
	large.Properties = map[string]string{"large": strings.Repeat("0123456789abcdef", 60<<10)}
	for name, tk := range map[string]*ticketstore.Ticket{
		"full": fullTicket(), "usual": plainTicket(chrome), "bare": ticketstore.NewTicket("a"), "actors": actors, "impersonation": impersonation, "odd times": odd, "large": large,
	} {
		data, err := s.Serialize(tk)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := s.Deserialize(tk.ID, data)
		if _, acts := tk.Actor(); acts != (name == "impersonation") {
			t.Errorf("%s: got an actor: %t", name, acts)
		}
		tk.Subject, tk.Revision = "", "" // the store's
		if err != nil || !reflect.DeepEqual(got, tk) {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, tk)
		}
	}
	cut := plainTicket(chrome)
	cut.ExpiresAt = cut.ExpiresAt.Add(999_999 * time.Nanosecond)
	data, err := s.Serialize(cut)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Deserialize("id", data); err != nil || !got.ExpiresAt.Equal(cut.ExpiresAt.Truncate(time.Millisecond)) {
		t.Errorf("got an expiry of %v, %v, want %v cut to the millisecond", got.ExpiresAt, err, cut.ExpiresAt)
	}
}

// The point of it all: bytes, against those of JSON.
func TestSize(t *testing.T) {
	s := NewSerializer()
	for userAgent, most := range map[string]int{
		chrome: 170,
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.7 Mobile/15E148 Safari/604.1": 175,
		"Some-Program/1.0 that nobody has heard of": 215,
	} {
		tk := plainTicket(userAgent)
		data, err := s.Serialize(tk)
		if err != nil {
			t.Fatal(err)
		}
		text, err := ticketstore.JSONSerializer{}.Serialize(tk)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d bytes, as JSON %d: %s", len(data), len(text), userAgent)
		if len(data) > most {
			t.Errorf("%s: got %d bytes, want at most %d", userAgent, len(data), most)
		}
	}
}

// What JSONSerializer refuses, this refuses, with the same words.
func TestRefusesToWrite(t *testing.T) {
	s := NewSerializer()
	cycle := plainTicket(chrome)
	cycle.Identities[0].Actor = &cycle.Identities[0]
	for want, change := range map[string]func(*ticketstore.Ticket){
		"the subject is empty":                              func(tk *ticketstore.Ticket) { tk.Subject = "" },
		"IdleTimeout 1ns is under a millisecond":            func(tk *ticketstore.Ticket) { tk.IdleTimeout = 1 },
		`the value of the claim "email" is not valid UTF-8`: func(tk *ticketstore.Ticket) { tk.Identities[0].Claims[1].Value = "\xff" },
		`the property "tenant" is not valid UTF-8`:          func(tk *ticketstore.Ticket) { tk.Properties = map[string]string{"tenant": "\xff"} },
		"Device.UserAgent is not valid UTF-8":               func(tk *ticketstore.Ticket) { tk.Device.UserAgent = "\xff" },
		"actors are nested more than 8 deep":                func(tk *ticketstore.Ticket) { *tk = *cycle },
		"year 10000":                                        func(tk *ticketstore.Ticket) { tk.EndsAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
	} {
		tk := plainTicket(chrome)
		change(tk)
		data, err := s.Serialize(tk)
		if !errors.Is(err, ticketstore.ErrInvalidTicket) || data != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %x, %v, want ErrInvalidTicket: %s", data, err, want)
		}
	}
	if _, err := s.Serialize(nil); !errors.Is(err, ticketstore.ErrInvalidTicket) {
		t.Errorf("nil: got %v, want ErrInvalidTicket", err)
	}
}

func TestRefusesToRead(t *testing.T) {
	s := NewSerializer()
	encode := func(v any) []byte {
		t.Helper()
		b, err := s.encode.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return append([]byte{plain}, b...)
	}
	good := encode(map[int]any{1: "alice"})
	if _, err := s.Deserialize("id", good); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"empty":                 {},
		"JSON":                  []byte(`{"v":1}`),
		"another version":       {3, 1},
		"no CBOR":               {plain},
		"cut":                   good[:len(good)-1],
		"more behind":           append(bytes.Clone(good), 0),
		"no DEFLATE":            {compressed, 7, 2, 3},
		"more behind DEFLATE":   append(s.compress(good[1:]), 0),
		"DEFLATE cut":           s.compress(good[1:])[:5],
		"a bomb":                s.compress(make([]byte, 64<<20)),
		"unknown field":         encode(map[int]any{1: "alice", 99: 1}),
		"field by name":         encode(map[any]any{1: "alice", "Scheme": "bob"}),
		"field twice":           {plain, 0xa2, 0x01, 0x61, 'a', 0x01, 0x61, 'b'},
		"a tag":                 {plain, 0xa1, 0x01, 0xc0, 0x61, 'a'},
		"invalid UTF-8":         {plain, 0xa1, 0x01, 0x61, 0xff},
		"indefinite length":     {plain, 0xbf, 0x01, 0x61, 'a', 0xff},
		"wrong type":            encode(map[int]any{1: 7}),
		"address of 5 bytes":    encode(map[int]any{1: "alice", 4: map[int]any{2: make([]byte, 5)}}),
		"year 10000":            encode(map[int]any{1: "alice", 8: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()}),
		"negative idle timeout": encode(map[int]any{1: "alice", 10: -1}),
		"endless idle timeout":  encode(map[int]any{1: "alice", 10: int64(1) << 62}),
		"deep actors":           encode(map[int]any{1: "alice", 2: []any{nested(8)}}),
		"deeper actors":         encode(map[int]any{1: "alice", 2: []any{nested(60)}}),
	} {
		tk, err := s.Deserialize("the-id", data)
		if !errors.Is(err, ticketstore.ErrUndecodable) || tk != nil || !strings.Contains(err.Error(), "the-id") {
			t.Errorf("%s: got %v, %v, want ErrUndecodable with the ID", name, tk, err)
		}
	}
}

func nested(depth int) map[int]any {
	id := map[int]any{}
	for range depth {
		id = map[int]any{6: id}
	}
	return id
}

func TestReadAlso(t *testing.T) {
	s, json := NewSerializer(), ticketstore.JSONSerializer{}
	for name, both := range map[string]ticketstore.Serializer{"write compact": ticketstore.ReadAlso(s, json), "write JSON": ticketstore.ReadAlso(json, s)} {
		for _, write := range []ticketstore.Serializer{s, json} {
			data, err := write.Serialize(plainTicket(chrome))
			if err != nil {
				t.Fatal(err)
			}
			if tk, err := both.Deserialize("id", data); err != nil || tk.Device.UserAgent != chrome {
				t.Errorf("%s: reads what %T wrote: got %v, %v", name, write, tk, err)
			}
		}
	}
}

// A store that writes this format keeps the contract of stores.
func TestContract(t *testing.T) {
	storetest.Run(t, func(t testing.TB) storetest.Fixture {
		mini := miniredis.RunT(t)
		now := time.Now().Truncate(time.Millisecond)
		mini.SetTime(now)
		client := redis.NewClient(redistest.Options(mini.Addr()))
		t.Cleanup(func() { client.Close() })
		store, err := ticketstore.NewRedisStore(client, ticketstore.RedisConfig{Serializer: NewSerializer(), MaxSessions: 4})
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		clockNow := func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return now
		}
		return storetest.Fixture{
			Store:   store,
			Context: clock.NewContext(context.Background(), clockNow),
			Now:     clockNow,
			Advance: func(d time.Duration) {
				mu.Lock()
				defer mu.Unlock()
				now = now.Add(d)
				mini.SetTime(now)
				mini.FastForward(d)
			},
			Unit: time.Millisecond,
			Cap:  4,
		}
	})
}

func FuzzDeserialize(f *testing.F) {
	s := NewSerializer()
	for _, tk := range []*ticketstore.Ticket{fullTicket(), plainTicket(chrome), ticketstore.NewTicket("a")} {
		data, err := s.Serialize(tk)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		w, _ := toWire(tk)
		if data, err = s.encode.Marshal(w); err != nil {
			f.Fatal(err)
		}
		f.Add(append([]byte{plain}, data...))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		tk, err := s.Deserialize("id", data)
		if err != nil {
			if !errors.Is(err, ticketstore.ErrUndecodable) {
				t.Fatalf("got %v, want ErrUndecodable", err)
			}
			return
		}
		tk.Subject = "alice"
		again, err := s.Serialize(tk)
		tk.Subject = ""
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		if got, err := s.Deserialize("id", again); err != nil || !reflect.DeepEqual(got, tk) {
			t.Fatalf("got %+v, %v, want %+v", got, err, tk)
		}
	})
}

func BenchmarkSerialize(b *testing.B) {
	tk := plainTicket(chrome)
	for name, s := range map[string]ticketstore.Serializer{"compact": NewSerializer(), "json": ticketstore.JSONSerializer{}} {
		data, err := s.Serialize(tk)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name+"/write", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Serialize(tk); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/read", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Deserialize("id", data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
