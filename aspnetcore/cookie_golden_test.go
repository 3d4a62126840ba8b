package aspnetcore

import (
	"bytes"
	"context"
	"encoding/hex"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/clock"
)

type goldenCookies struct {
	Cases      []goldenApplication
	ValueForms struct {
		ApplicationName string   `json:"application_name"`
		KeyList         []string `json:"key_list"`
		Purposes        []string
		Cases           []struct {
			Name, Value  string
			TicketFormat string  `json:"ticket_format"`
			AsCookie     *string `json:"as_cookie"`
		}
		SameNameTwiceGoodFirst string `json:"same_name_twice_good_first"`
		SameNameTwiceGoodLast  string `json:"same_name_twice_good_last"`
	} `json:"value_forms"`
	DefaultDiscriminators []struct {
		ContentRootGiven  string `json:"content_root_given"`
		ContentRootOfHost string `json:"content_root_of_host"`
		Purposes          []string
	} `json:"default_discriminators"`
	Challenges []any
}

// A goldenApplication is an ASP.NET Core application and what a browser did
// there.
type goldenApplication struct {
	Name, Scheme   string
	Application    *string  `json:"application_name"`
	ContentRoot    string   `json:"content_root"`
	CookieName     string   `json:"cookie_name"`
	SessionStore   bool     `json:"session_store"`
	InstanceName   string   `json:"instance_name"`
	ExpireTimeSpan int64    `json:"expire_time_span_seconds"`
	KeyList        []string `json:"key_list"`
	Purposes       []string
	Sliding        bool
	Steps          []goldenStep
}

type goldenStep struct {
	Name     string
	Now      time.Time
	Request  struct{ URL, Cookie string }
	Response struct {
		Body    string
		Headers struct {
			SetCookie []string `json:"Set-Cookie"`
		}
	}
	CookieAfter     string `json:"cookie_after"`
	CookieValue     string `json:"cookie_value"`
	CookieTicketHex string `json:"cookie_ticket_hex"`
	Redis           map[string]struct {
		Hash struct {
			DataHex string `json:"data_hex"`
		}
	}
}

func loadCookies(t testing.TB) *goldenCookies {
	t.Helper()
	golden := new(goldenCookies)
	loadGolden(t, "cookies.json", golden)
	return golden
}

// withContentRoot is what the comment of Options.ApplicationName says of an
// application that has no name.
func withContentRoot(dir string) string { return strings.TrimSuffix(dir, "/") + "/" }

// options are those of a Go service beside g.
func (g *goldenApplication) options(t testing.TB) Options {
	t.Helper()
	o := Options{
		KeyRing:        directoryRing(t, g.KeyList...),
		Scheme:         g.Scheme,
		ExpireTimeSpan: time.Duration(g.ExpireTimeSpan) * time.Second,
		NoSliding:      !g.Sliding,
		Lifetime:       30 * 24 * time.Hour,
		Logger:         slog.New(slog.DiscardHandler),
	}
	if g.Application != nil {
		o.ApplicationName = *g.Application
	} else {
		o.ApplicationName = withContentRoot(g.ContentRoot)
	}
	if g.Name == "custom-cookie" { // its note says what it sets; the others have the defaults
		o.CookieName, o.CookieDomain, o.SameSite = g.CookieName, "shop.example", http.SameSiteNoneMode
	}
	o.DangerouslyAllowInsecureCookie = strings.HasPrefix(g.Steps[0].Request.URL, "http:")
	return o
}

func (s *goldenStep) context(t testing.TB) context.Context {
	return clock.NewContext(t.Context(), func() time.Time { return s.Now })
}

// sessionID is the session ID of the one session in Redis.
func (s *goldenStep) sessionID(t *testing.T, instance string) ticketstore.Key {
	t.Helper()
	for key := range s.Redis {
		if id, ok := strings.CutPrefix(key, instance); ok && len(s.Redis) == 1 {
			return ticketstore.Key(id)
		}
	}
	t.Fatalf("%s: got records %v, want one", s.Name, s.Redis)
	return ""
}

// directoryRing returns a KeyRing of these elements.
func directoryRing(t testing.TB, elements ...string) *KeyRing {
	t.Helper()
	dir := t.TempDir()
	for i, e := range elements {
		if err := os.WriteFile(filepath.Join(dir, "key-"+strconv.Itoa(i)+".xml"), []byte(e), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ring, err := NewKeyRing(KeyRingConfig{Directory: dir})
	if err != nil {
		t.Fatal(err)
	}
	return patient(ring)
}

func mustCodec(t testing.TB, o Options) *CookieCodec {
	t.Helper()
	c, err := NewCookieCodec(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// requestCookies are those of a request with this header, as a handler sees
// them.
func requestCookies(header string) []*http.Cookie {
	return (&http.Request{Header: http.Header{"Cookie": {header}}}).Cookies()
}

// Every cookie of every application is put together and opened, and has the
// session ID that Redis has, if the application keeps its tickets there.
func TestGoldenCookies(t *testing.T) {
	golden := loadCookies(t)
	var steps, values, missing, chunked, sessions, wholeTickets int
	for _, g := range golden.Cases {
		codec := mustCodec(t, g.options(t))
		for _, s := range g.Steps {
			steps++
			name := g.Name + ", " + s.Name
			cookies := requestCookies(s.CookieAfter)
			if s.CookieValue == "" {
				if keys, err := codec.Decode(s.context(t), g.CookieName, cookies); err != nil || keys != nil {
					t.Errorf("%s: got %d keys, %v, want none", name, len(keys), err)
				}
				continue
			}
			values++
			i := slices.IndexFunc(cookies, func(c *http.Cookie) bool { return c.Name == g.CookieName })
			value, err := joinChunks(cookies[i], cookies)
			if s.CookieTicketHex == "" {
				missing++
				if err == nil {
					t.Errorf("%s: got %q, want an error: a chunk is missing", name, value)
				}
				continue
			}
			if err != nil || value != s.CookieValue {
				t.Errorf("%s: got %q, %v, want %q", name, value, err, s.CookieValue)
				continue
			}
			if value != cookies[i].Value {
				chunked++
			}
			ticket, err := codec.open(s.context(t), value)
			if err != nil || hex.EncodeToString(ticket) != s.CookieTicketHex {
				t.Errorf("%s: got %x, %v, want %s", name, ticket, err, s.CookieTicketHex)
			}
			var want []ticketstore.Key
			if g.SessionStore {
				sessions++
				want = []ticketstore.Key{s.sessionID(t, g.InstanceName)}
			} else {
				wholeTickets++
			}
			keys, err := codec.Decode(s.context(t), g.CookieName, cookies)
			if err != nil || !slices.Equal(keys, want) {
				t.Errorf("%s: got %d keys, %v, want %d of the session", name, len(keys), err, len(want))
			}
		}
	}
	wantCount(t, "cases", len(golden.Cases), 17)
	wantCount(t, "steps", steps, 57)
	wantCount(t, "cookies", values, 46)
	wantCount(t, "of a session", sessions, 23)
	wantCount(t, "with the whole ticket", wholeTickets, 22)
	wantCount(t, "of these in chunks", chunked, 7)
	wantCount(t, "with a chunk missing", missing, 1)
	// How the application answers those who are not signed in is no matter of
	// cookies, and the Manager answers otherwise: 401 and no Location, unless a
	// browser navigates.
	wantCount(t, "challenges", len(golden.Challenges), 7)
}

// At sign-in we write the bytes that ASP.NET Core does. With ClaimsIssuer it
// also names that, and at a renewal the scheme; it reads neither again.
func TestGoldenCookieTicket(t *testing.T) {
	var same, issuers int
	for _, g := range loadCookies(t).Cases {
		if !g.SessionStore {
			continue
		}
		codec, s := mustCodec(t, g.options(t)), &g.Steps[0]
		key, want := s.sessionID(t, g.InstanceName), unhex(t, s.CookieTicketHex)
		w := mustWire(t, want)
		id := &w.identities[0]
		if issuer := id.claims[0].issuer; issuer != defaultIssuer {
			issuers++
			if id.authenticationType != issuer || id.claims[0].originalIssuer != issuer {
				t.Errorf("%s: got %+v, want nothing of its own but the issuer", g.Name, id)
			}
			id.authenticationType, id.claims[0].issuer, id.claims[0].originalIssuer = "", defaultIssuer, defaultIssuer
			want, _ = w.bytes()
		} else {
			same++
		}
		value, err := codec.Encode(s.context(t), g.CookieName, key)
		if err != nil {
			t.Errorf("%s: %v", g.Name, err)
			continue
		}
		if got, err := codec.open(s.context(t), value); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: got %x, %v, want %x", g.Name, got, err, want)
		}
		keys, err := codec.Decode(s.context(t), g.CookieName, []*http.Cookie{{Name: g.CookieName, Value: value}})
		if err != nil || !slices.Equal(keys, []ticketstore.Key{key}) {
			t.Errorf("%s: got %d keys, %v, want that of the session", g.Name, len(keys), err)
		}
	}
	wantCount(t, "of the same bytes", same, 7)
	wantCount(t, "with an issuer", issuers, 2)
}

// Spellings of a good value. What ASP.NET Core refuses we refuse; of the
// others we take the one that it writes.
func TestGoldenValueForms(t *testing.T) {
	golden := loadCookies(t).ValueForms
	codec := mustCodec(t, Options{KeyRing: directoryRing(t, golden.KeyList...), ApplicationName: golden.ApplicationName})
	opens := func(header string) bool {
		cookies := requestCookies(header)
		value, err := joinChunks(cookies[len(cookies)-1], cookies)
		if err == nil {
			_, err = codec.open(t.Context(), value)
		}
		return err == nil
	}
	stricter := []string{"padded", "percent-padding", "standard-alphabet-padded", "percent-encoded"}
	stricterFormat := []string{"padded", "percent-padding", "standard-alphabet-padded", "blank-inside", "blank-around"}
	wantCount(t, "cases", len(golden.Cases), 16)
	for _, c := range golden.Cases {
		_, err := codec.open(t.Context(), c.Value)
		if want := c.TicketFormat == "ticket" && !slices.Contains(stricterFormat, c.Name); (err == nil) != want {
			t.Errorf("%s: got %v, want opened %v", c.Name, err, want)
		}
		if c.AsCookie == nil {
			continue // HTTP has no such cookie
		}
		want := strings.HasPrefix(*c.AsCookie, "user alice") && !slices.Contains(stricter, c.Name)
		if got := opens(".AspNetCore.Cookies=" + c.Value); got != want {
			t.Errorf("%s, as a cookie: got opened %v, want %v (%s)", c.Name, got, want, *c.AsCookie)
		}
	}
	good := ".AspNetCore.Cookies=" + golden.Cases[0].Value
	for _, c := range []struct{ header, want string }{
		{good + "; .AspNetCore.Cookies=bad", golden.SameNameTwiceGoodFirst},
		{".AspNetCore.Cookies=bad; " + good, golden.SameNameTwiceGoodLast},
	} {
		if got, want := opens(c.header), strings.HasPrefix(c.want, "user alice"); got != want {
			t.Errorf("%.40s...: got the last one opened %v, want %v", c.header, got, want)
		}
	}
}

// The names that applications have without SetApplicationName are those of the
// comment of Options.ApplicationName.
func TestGoldenDiscriminators(t *testing.T) {
	golden := loadCookies(t)
	wantCount(t, "hosts", len(golden.DefaultDiscriminators), 10)
	for _, c := range golden.DefaultDiscriminators {
		if got := withContentRoot(c.ContentRootGiven); got != c.Purposes[0] {
			t.Errorf("%q: got %q, want %q", c.ContentRootGiven, got, c.Purposes[0])
		}
	}
	for _, g := range golden.Cases {
		o := g.options(t)
		if got := o.purposes(); !slices.Equal(got, g.Purposes) {
			t.Errorf("%s: got purposes %q, want %q", g.Name, got, g.Purposes)
		}
	}
}
