package aspnetcore

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/clock"
	"github.com/ticketstore/ticketstore/internal/redistest"
	"github.com/ticketstore/ticketstore/storetest"
)

const cookieName = ".AspNetCore.Cookies"

// keyElement is a key that is good for ten years.
func keyElement(id string, created time.Time) string {
	at := created.UTC().Format(time.RFC3339)
	return fmt.Sprintf(`<key id=%q version="1"><creationDate>%s</creationDate><activationDate>%s</activationDate><expirationDate>%s</expirationDate>`+
		`<descriptor deserializerType="Microsoft.AspNetCore.DataProtection.AuthenticatedEncryption.ConfigurationModel.AuthenticatedEncryptorDescriptorDeserializer, Microsoft.AspNetCore.DataProtection">`+
		`<descriptor><encryption algorithm="AES_256_CBC" /><validation algorithm="HMACSHA256" /><masterKey><value>%s</value></masterKey></descriptor></descriptor></key>`,
		id, at, at, created.AddDate(10, 0, 0).UTC().Format(time.RFC3339), base64.StdEncoding.EncodeToString(bytes.Repeat([]byte(id[:1]), 64)))
}

const (
	firstKey  = "a0000000-0000-0000-0000-000000000001"
	secondKey = "b0000000-0000-0000-0000-000000000002"
)

func testOptions(t testing.TB) Options {
	return Options{
		KeyRing:         directoryRing(t, keyElement(firstKey, time.Now().Add(-time.Hour))),
		ApplicationName: "Shop",
		Lifetime:        30 * 24 * time.Hour,
		Logger:          slog.New(slog.DiscardHandler),
	}
}

func mustEncode(t testing.TB, c *CookieCodec, key ticketstore.Key) string {
	t.Helper()
	value, err := c.Encode(t.Context(), cookieName, key)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func TestCookieOrderAndNumber(t *testing.T) {
	codec := mustCodec(t, testOptions(t))
	var values []string
	for i := range 6 {
		values = append(values, mustEncode(t, codec, ticketstore.Key(fmt.Sprint("key", i))))
	}
	bad := func(n int) (values []string) {
		for i := range n {
			values = append(values, fmt.Sprint("bad", i))
		}
		return values
	}
	for name, test := range map[string]struct {
		values []string
		want   []ticketstore.Key
	}{
		"one":              {values[:1], []ticketstore.Key{"key0"}},
		"two":              {values[:2], []ticketstore.Key{"key1", "key0"}},
		"one twice":        {[]string{values[0], values[0]}, []ticketstore.Key{"key0"}},
		"six":              {values, []ticketstore.Key{"key5", "key4", "key3", "key2", "key1", "key0"}},
		"before many of 1": {append(values[:1:1], slices.Repeat(values[1:2], 100)...), []ticketstore.Key{"key1", "key0"}},
		"before a bad one": {[]string{values[0], "bad"}, []ticketstore.Key{"key0"}},
		"before 63":        {append(values[:1:1], bad(63)...), []ticketstore.Key{"key0"}},
		"before 64":        {append(values[:1:1], bad(64)...), nil},
		"before empty":     {[]string{values[0], "", "", "", ""}, []ticketstore.Key{"key0"}},
		"none":             {nil, nil},
	} {
		cookies := []*http.Cookie{{Name: "other", Value: values[0]}}
		for _, v := range test.values {
			cookies = append(cookies, &http.Cookie{Name: cookieName, Value: v})
		}
		cookies = append(cookies, &http.Cookie{Name: strings.ToLower(cookieName), Value: values[0]})
		got, err := codec.Decode(t.Context(), cookieName, cookies)
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, %v, want %q", name, plain(got), err, plain(test.want))
		}
	}
}

// plain shows what Key does not.
func plain(keys []ticketstore.Key) (s []string) {
	for _, k := range keys {
		s = append(s, string(k))
	}
	return s
}

func TestJoinChunks(t *testing.T) {
	long := strings.Repeat("x", 4000)
	for header, want := range map[string]string{ // no value: an error
		"n=v":                                 "v",
		"n=v; nC1=a":                          "v",
		"n=chunks-1; nC1=a":                   "a",
		"n=chunks-2; nC1=a; nC2=b":            "ab",
		"nC2=b; nC1=a; n=chunks-2":            "ab",
		"n=chunks-02; nC1=a; nC2=b":           "ab",
		"n=chunks-2; nC1=a; nC2=b; nC3=c":     "ab",
		"n=chunks-2; nC1=x; nC1=a; nC2=b":     "ab", // the last counts
		"n=chunks-2; nc1=x; nC1=a; nC2=b":     "ab",
		"n=chunks-2; nC1=a; mC2=b":            "",
		"n=chunks-2; nC1=a; nC2=":             "",
		"n=chunks-2; nC1=a; nC2=b; nC2=":      "",
		`n=chunks-2; nC1=a; nC2="b"`:          "",
		`n=chunks-1; nC1=a; nC1="b"`:          "",
		`n="chunks-1"; nC1=a`:                 "",
		`n="v"`:                               "",
		"n=chunks-2; nC1=a; nC02=b":           "",
		"n=chunks-3; nC1=a; nC2=b":            "",
		"n=chunks-2147483647; nC1=a":          "",
		"n=chunks-2147483648; nC1=a":          "chunks-2147483648", // no number to .NET
		"n=chunks-18446744073709551617; nC1=": "chunks-18446744073709551617",
		"n=chunks-0; nC1=a":                   "chunks-0",
		"n=chunks-; nC1=a":                    "chunks-",
		"n=chunks-+1; nC1=a":                  "chunks-+1",
		"n=chunks-1x; nC1=a":                  "chunks-1x",
		"n=chunks-0x1; nC1=a":                 "chunks-0x1",
		"n=chunks-1_0; nC1=a":                 "chunks-1_0",
		"n=Chunks-1; nC1=a":                   "Chunks-1",
		"n=chunks-1; nC1=chunks-1":            "chunks-1",
		"n=chunks-2; nC1=a; nC2=" + long:      "a" + long,
	} {
		cookies := requestCookies(header)
		i := slices.IndexFunc(cookies, func(c *http.Cookie) bool { return c.Name == "n" })
		got, err := joinChunks(cookies[i], cookies)
		if got != want || (err == nil) != (want != "") || err != nil && !errors.Is(err, ErrInvalidPayload) {
			t.Errorf("%.60s: got %.60q, %v, want %.60q", header, got, err, want)
		}
	}
}

// A cookie is put together up to a size that no request comes to by itself.
func TestCookieSize(t *testing.T) {
	codec := mustCodec(t, testOptions(t))
	sealed := func(size int) []*http.Cookie { // about that many bytes in all, in chunks
		payload, err := codec.protector.Protect(t.Context(), make([]byte, size*3/4-128))
		if err != nil {
			t.Fatal(err)
		}
		var cookies []*http.Cookie
		for chunk := range slices.Chunk([]byte(base64.RawURLEncoding.EncodeToString(payload)), 4000) {
			cookies = append(cookies, &http.Cookie{Name: fmt.Sprintf("%sC%d", cookieName, len(cookies)+1), Value: string(chunk)})
		}
		return append(cookies, &http.Cookie{Name: cookieName, Value: fmt.Sprint("chunks-", len(cookies))})
	}
	for size, want := range map[int]string{
		maxCookieValue - 64: "its ticket",
		maxCookieValue + 64: "more than 65536 bytes",
		1 << 20:             "more than 65536 bytes",
	} {
		cookies := sealed(size)
		value, _ := joinChunks(cookies[len(cookies)-1], cookies)
		if max := maxCookieValue + 4000; len(value) > max {
			t.Errorf("%d bytes: got %d put together, want at most %d", size, len(value), max)
		}
		if _, err := codec.key(t.Context(), cookies[len(cookies)-1], cookies); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d bytes: got %v, want %q in it", size, err, want)
		}
	}
}

// A session's cookie in chunks, which no .NET writes, is read all the same.
// What an earlier configuration without a store has left behind is in no one's
// way.
func TestChunkedSession(t *testing.T) {
	codec := mustCodec(t, testOptions(t))
	value := mustEncode(t, codec, "key")
	for name, test := range map[string]struct {
		header string
		want   []ticketstore.Key
	}{
		"in chunks":      {"NAME=chunks-2; NAMEC1=" + value[:100] + "; NAMEC2=" + value[100:], []ticketstore.Key{"key"}},
		"swapped":        {"NAME=chunks-2; NAMEC2=" + value[:100] + "; NAMEC1=" + value[100:], nil},
		"leftovers":      {"NAMEC1=old; NAME=" + value + "; NAMEC2=old", []ticketstore.Key{"key"}},
		"leftovers only": {"NAMEC1=old; NAMEC2=old", nil},
	} {
		got, err := codec.Decode(t.Context(), cookieName, requestCookies(strings.ReplaceAll(test.header, "NAME", cookieName)))
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, %v, want %q", name, plain(got), err, plain(test.want))
		}
	}
}

func TestKeyOfTicket(t *testing.T) {
	session := sessionTicket("Cookies", "key").identities[0]
	other := wireIdentity{nameType: defaultNameType, roleType: defaultRoleType, claims: []wireClaim{Serializer{}.claimOf("alice")}}
	actor := other
	actor.actor = &session
	for name, test := range map[string]struct {
		identities []wireIdentity
		want       ticketstore.Key
	}{
		"the usual":          {[]wireIdentity{session}, "key"},
		"in another":         {[]wireIdentity{other, session}, "key"},
		"the first of two":   {[]wireIdentity{session, sessionTicket("Cookies", "other").identities[0]}, "key"},
		"none":               {[]wireIdentity{other}, ""},
		"no identity":        {nil, ""},
		"that of an actor":   {[]wireIdentity{actor}, ""},
		"after other claims": {[]wireIdentity{{nameType: sessionIDClaim, roleType: defaultRoleType, claims: append(other.claims, session.claims...)}}, "key"},
	} {
		b, err := (&wireTicket{scheme: "Cookies", identities: test.identities}).bytes()
		if err != nil {
			t.Fatal(err)
		}
		got, err := keyOfTicket(b)
		if got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%s: got %q, %v, want %q", name, string(got), err, string(test.want))
		}
	}
}

func TestEncodeBadKey(t *testing.T) {
	codec := mustCodec(t, testOptions(t))
	if value, err := codec.Encode(t.Context(), cookieName, "secret\xff"); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %q, %v, want an error without the key", value, err)
	}
}

// An outage of the keys is an error, of which nobody is signed out.
func TestKeysOutOfReach(t *testing.T) {
	ring, err := NewKeyRing(KeyRingConfig{Directory: filepath.Join(t.TempDir(), "gone")})
	if err != nil {
		t.Fatal(err)
	}
	o := testOptions(t)
	value := mustEncode(t, mustCodec(t, o), "key")
	o.KeyRing = ring
	codec := mustCodec(t, o)
	keys, err := codec.Decode(t.Context(), cookieName, requestCookies(cookieName+"="+value))
	if err == nil || errors.Is(err, ErrInvalidPayload) || keys != nil {
		t.Errorf("got %q, %v, want an outage", plain(keys), err)
	}
	if value, err := codec.Encode(t.Context(), cookieName, "key"); err == nil || errors.Is(err, ErrInvalidPayload) {
		t.Errorf("got %q, %v, want an outage", value, err)
	}
	for _, header := range []string{"", "other=" + value, cookieName + "=", cookieName + "=bad", cookieName + "C1=bad"} {
		if keys, err := codec.Decode(t.Context(), cookieName, requestCookies(header)); err != nil || keys != nil {
			t.Errorf("%q: got %q, %v, want none: it needs no keys", header, plain(keys), err)
		}
	}

	s := newCookieSite(t, o)
	w := s.get("/", &http.Cookie{Name: cookieName, Value: value})
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Set-Cookie") != "" {
		t.Errorf("got %d, Set-Cookie %q, want 503 and the cookie left alone", w.Code, w.Header().Get("Set-Cookie"))
	}
}

// A wrong setting makes everybody anonymous. The log names the setting.
func TestWrongSettingIsLogged(t *testing.T) {
	right := testOptions(t)
	value := mustEncode(t, mustCodec(t, right), "secret-key")
	whole, err := NewProtector(right.KeyRing, right.purposes()...).Protect(t.Context(), mustSerialize(t, Serializer{}, ticketstore.NewTicket("alice")))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		change func(*Options)
		value  string
		want   []string
	}{
		"application name": {func(o *Options) { o.ApplicationName = "shop" }, value, []string{"Options.ApplicationName", `\"shop\"`}},
		"no name":          {func(o *Options) { o.ApplicationName = "" }, value, []string{"Options.ApplicationName"}},
		"scheme":           {func(o *Options) { o.Scheme = "Identity.Application" }, value, []string{"Options.Scheme", `\"Identity.Application\"`}},
		"key list":         {func(o *Options) { o.KeyRing = directoryRing(t, keyElement(secondKey, time.Now())) }, value, []string{firstKey, "KeyRingConfig.Directory"}},
		"no store":         {func(*Options) {}, base64.RawURLEncoding.EncodeToString(whole), []string{"session ID", "CookieAuthenticationOptions.SessionStore"}},
		"another cookie":   {func(*Options) {}, "en-GB_and_more_than_twenty12", []string{"not of Data Protection"}},
		"other text":       {func(*Options) {}, "en-GB|de", []string{"base64url"}},
	} {
		var log bytes.Buffer
		o := right
		test.change(&o)
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		keys, err := mustCodec(t, o).Decode(t.Context(), cookieName, requestCookies(cookieName+"="+test.value))
		if err != nil || keys != nil {
			t.Errorf("%s: got %q, %v, want none", name, plain(keys), err)
		}
		for _, part := range append(test.want, "level=WARN", cookieName) {
			if !strings.Contains(log.String(), part) {
				t.Errorf("%s: got log %q, want %q in it", name, &log, part)
			}
		}
		if strings.Contains(log.String(), test.value) || strings.Contains(log.String(), "secret-key") {
			t.Errorf("%s: got log %q, want no value in it", name, &log)
		}
	}
}

func TestLoggedOncePerMinute(t *testing.T) {
	var log bytes.Buffer
	var mu sync.Mutex
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	ctx := clock.NewContext(t.Context(), func() time.Time { mu.Lock(); defer mu.Unlock(); return now })
	advance := func(d time.Duration) { mu.Lock(); defer mu.Unlock(); now = now.Add(d) }
	o := testOptions(t)
	o.Logger = slog.New(slog.NewTextHandler(&log, nil)) // it has a lock of its own
	codec := mustCodec(t, o)
	bad := requestCookies(cookieName + "=bad")
	lines := func() int { return strings.Count(log.String(), "\n") }

	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { codec.Decode(ctx, cookieName, bad) })
	}
	wg.Wait()
	if lines() != 1 {
		t.Errorf("50 at once: got %d lines, want 1", lines())
	}
	advance(time.Minute - 1)
	codec.Decode(ctx, cookieName, bad)
	if lines() != 1 {
		t.Errorf("within the minute: got %d lines, want 1", lines())
	}
	advance(1)
	codec.Decode(ctx, cookieName, append(bad, bad...))
	if lines() != 2 || !strings.Contains(log.String(), "unlogged=50") {
		t.Errorf("after a minute: got %s, want a second line that tells of 50", &log)
	}
	advance(-time.Hour) // the clock is set back
	codec.Decode(ctx, cookieName, bad)
	if lines() != 3 {
		t.Errorf("an hour before: got %d lines, want 3", lines())
	}
}

// A cookieSite is a Go service beside an application, at https://shop.example.
// /login signs in the user of the query.
type cookieSite struct {
	storetest.Fixture
	t       testing.TB
	m       *ticketstore.Manager
	cfg     ticketstore.Config
	handler http.Handler
}

func newCookieSite(t testing.TB, o Options) *cookieSite {
	t.Helper()
	cfg, err := ManagerConfig(o)
	if err != nil {
		t.Fatal(err)
	}
	cfg.StoreTimeout = redistest.Patience
	s := &cookieSite{Fixture: newFixture(t), t: t, cfg: cfg}
	if s.m, err = ticketstore.NewManager(s.Store, cfg); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
		tk := ticketstore.NewTicket(r.FormValue("user"))
		tk.Persistent = r.FormValue("persistent") != ""
		if err := s.m.SignIn(w, r, tk); err != nil {
			t.Error(err)
		}
	})
	mux.HandleFunc("/logout", func(w http.ResponseWriter, r *http.Request) {
		if err := s.m.SignOut(w, r); err != nil {
			t.Error(err)
		}
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if tk, ok := ticketstore.FromContext(r.Context()); ok {
			fmt.Fprint(w, tk.Subject)
		}
	})
	s.handler = s.m.Wrap(mux)
	return s
}

func (s *cookieSite) get(path string, cookies ...*http.Cookie) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(s.Context, "GET", "https://shop.example"+path, nil)
	for _, c := range cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w
}

func (s *cookieSite) login(query string) *http.Cookie {
	s.t.Helper()
	cookies := s.get("/login?" + query).Result().Cookies()
	if len(cookies) != 1 {
		s.t.Fatalf("got cookies %v, want one", cookies)
	}
	return cookies[0]
}

// of returns a cookie for a ticket that ASP.NET Core has stored.
func (s *cookieSite) of(tk *ticketstore.Ticket) *http.Cookie {
	s.t.Helper()
	key, err := s.Store.Store(s.Context, tk)
	if err != nil {
		s.t.Fatal(err)
	}
	value, err := s.cfg.Codec.Encode(s.Context, s.cfg.CookieName, key)
	if err != nil {
		s.t.Fatal(err)
	}
	return &http.Cookie{Name: s.cfg.CookieName, Value: value}
}

// ticket is the one of alice in the store.
func (s *cookieSite) ticket() ticketstore.Session {
	s.t.Helper()
	sessions, err := s.Store.(ticketstore.SessionIndex).Sessions(s.Context, "alice")
	if err != nil || len(sessions) != 1 {
		s.t.Fatalf("got sessions %+v, %v, want one", sessions, err)
	}
	return sessions[0]
}

// fromDotNet is a ticket of alice as .NET stores it, valid for this long.
func (s *cookieSite) fromDotNet(window time.Duration) *ticketstore.Ticket {
	tk, err := readItems(s.t, pair{itemIssued, formatDate(s.Now())}, pair{itemExpires, formatDate(s.Now().Add(window))})
	if err != nil {
		s.t.Fatal(err)
	}
	return tk
}

// A visit is a request so long after sign-in.
type visit struct {
	after   time.Duration
	live    bool
	renewed bool
}

func (s *cookieSite) visits(name string, cookie *http.Cookie, visits ...visit) {
	s.t.Helper()
	start := s.Now()
	for _, v := range visits {
		s.Advance(start.Add(v.after).Sub(s.Now()))
		want := ""
		if v.live {
			want = "alice"
		}
		w := s.get("/", cookie)
		if got := w.Body.String(); got != want {
			s.t.Errorf("%s, after %v: got %q, want %q", name, v.after, got, want)
		}
		if v.live {
			issued := s.ticket().IssuedAt
			if got := s.Now().Sub(issued) < time.Second; got != v.renewed {
				s.t.Errorf("%s, after %v: got one issued at %v, want renewed now %v", name, v.after, issued, v.renewed)
			}
		}
		if c := w.Header().Get("Set-Cookie"); c != "" {
			s.t.Errorf("%s, after %v: got Set-Cookie %q, want none", name, v.after, c)
		}
	}
}

// Use renews a ticket from the half of its window on, as in .NET, but not
// beyond the lifetime.
func TestSliding(t *testing.T) {
	const day = 24 * time.Hour
	for name, begin := range map[string]func(*cookieSite) *http.Cookie{
		"ours":       func(s *cookieSite) *http.Cookie { return s.login("user=alice") },
		"persistent": func(s *cookieSite) *http.Cookie { return s.login("user=alice&persistent=1") },
		".NET's":     func(s *cookieSite) *http.Cookie { return s.of(s.fromDotNet(14 * day)) },
	} {
		s := newCookieSite(t, testOptions(t))
		s.visits(name, begin(s),
			visit{7*day - 2*time.Second, true, false},
			visit{7*day + time.Second, true, true},
			visit{20 * day, true, true},
			visit{30*day - 2*time.Second, true, true},
			visit{30*day + time.Second, false, false})

		s = newCookieSite(t, testOptions(t))
		s.visits(name+", not used", begin(s), visit{14*day + time.Second, false, false})

		o := testOptions(t)
		o.Lifetime = day // shorter than the window
		s = newCookieSite(t, o)
		s.visits(name+", short", begin(s),
			visit{12*time.Hour - 2*time.Second, true, false},
			visit{12*time.Hour + time.Second, true, true},
			visit{day - 2*time.Second, true, false},
			visit{day + time.Second, false, false})
	}

	s := newCookieSite(t, testOptions(t))
	s.visits(".NET's own window", s.of(s.fromDotNet(time.Hour)),
		visit{30*time.Minute - 2*time.Second, true, false},
		visit{30*time.Minute + time.Second, true, true},
		visit{90*time.Minute - 2*time.Second, true, true},
		visit{151 * time.Minute, false, false})
}

// Without sliding nothing prolongs a ticket, and none of .NET's gets another
// .issued or .expires.
func TestNoSliding(t *testing.T) {
	const day = 24 * time.Hour
	for name, test := range map[string]struct {
		lifetime time.Duration
		begin    func(*cookieSite) *http.Cookie
		end      time.Duration
	}{
		"ours":                   {30 * day, func(s *cookieSite) *http.Cookie { return s.login("user=alice") }, 14 * day},
		"persistent":             {30 * day, func(s *cookieSite) *http.Cookie { return s.login("user=alice&persistent=1") }, 14 * day},
		"ours, short":            {day, func(s *cookieSite) *http.Cookie { return s.login("user=alice") }, day},
		".NET's":                 {30 * day, func(s *cookieSite) *http.Cookie { return s.of(s.fromDotNet(14 * day)) }, 14 * day},
		".NET's own":             {30 * day, func(s *cookieSite) *http.Cookie { return s.of(s.fromDotNet(time.Hour)) }, time.Hour},
		".NET's own, one minute": {30 * day, func(s *cookieSite) *http.Cookie { return s.of(s.fromDotNet(time.Minute)) }, time.Minute},
		".NET's, short":          {day, func(s *cookieSite) *http.Cookie { return s.of(s.fromDotNet(14 * day)) }, day},
	} {
		o := testOptions(t)
		o.NoSliding, o.Lifetime = true, test.lifetime
		s := newCookieSite(t, o)
		cookie := test.begin(s)
		if left := time.Duration(cookie.MaxAge) * time.Second; cookie.MaxAge != 0 && left != test.end {
			t.Errorf("%s: got a cookie for %v, want %v", name, left, test.end)
		}
		before := s.ticket()
		s.visits(name, cookie, visit{test.end / 2, true, false}, visit{test.end * 9 / 10, true, false}, visit{test.end - 2*time.Second, true, false})
		if after := s.ticket(); !after.ExpiresAt.Equal(before.ExpiresAt) || !after.IssuedAt.Equal(before.IssuedAt) {
			t.Errorf("%s: got %+v, want the times of %+v", name, after, before)
		}
		s.visits(name, cookie, visit{2*time.Second + time.Second, false, false})
	}
}

// In one browser, what Go and .NET set is one cookie: a sign-in on either side
// replaces the other's, and a sign-out by Go deletes .NET's.
func TestGoldenSetCookie(t *testing.T) {
	cases, lines := 0, 0
	for _, g := range loadCookies(t).Cases {
		if !g.SessionStore {
			continue
		}
		cases++
		o := g.options(t)
		o.Lifetime = time.Duration(g.ExpireTimeSpan) * time.Second // so that both cookies last as long
		s := newCookieSite(t, o)
		s.Advance(g.Steps[0].Now.Sub(s.Now())) // .NET's keys are of then
		if s.cfg.CookieName != g.CookieName || s.cfg.IdleTimeout != o.Lifetime || s.cfg.RenewAfter != o.Lifetime/2 {
			t.Errorf("%s: got %q, window %v, renewed after %v, want %q, %v and half of it", g.Name, s.cfg.CookieName, s.cfg.IdleTimeout, s.cfg.RenewAfter, g.CookieName, o.Lifetime)
		}
		theirs := setCookies(t, g.Steps[0].Response.Headers.SetCookie...)[0]
		query := "user=alice"
		if !theirs.Expires.IsZero() {
			query += "&persistent=1"
		}
		for _, step := range g.Steps {
			for _, want := range setCookies(t, step.Response.Headers.SetCookie...) {
				if want.Name != g.CookieName {
					continue // Identity's other cookies
				}
				lines++
				var got *http.Cookie
				if want.Value != "" {
					got = s.login(query)
				} else {
					got = s.get("/logout", theirs).Result().Cookies()[0]
				}
				if got.Name != want.Name || (got.Value == "") != (want.Value == "") || got.Domain != want.Domain || got.Path != want.Path ||
					got.SameSite != want.SameSite || got.HttpOnly != want.HttpOnly || got.Secure != want.Secure {
					t.Errorf("%s, %s: got %v, want as in %v", g.Name, step.Name, got, want)
				}
				switch {
				case want.Value == "":
					if got.MaxAge >= 0 {
						t.Errorf("%s, %s: got %v, want it deleted", g.Name, step.Name, got)
					}
				case want.Expires.IsZero():
					if got.MaxAge != 0 || !got.Expires.IsZero() {
						t.Errorf("%s, %s: got %v, want it to end with the browser", g.Name, step.Name, got)
					}
				default:
					if left := want.Expires.Sub(step.Now); time.Duration(got.MaxAge)*time.Second != left {
						t.Errorf("%s, %s: got %v, want it to last %v", g.Name, step.Name, got, left)
					}
				}
			}
		}

		browser, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		at, err := url.Parse(g.Steps[0].Request.URL)
		if err != nil {
			t.Fatal(err)
		}
		if at.Scheme == "http" {
			at.Host = "shop.example" // as in the others
		}
		ours := s.login(query)
		theirs.Expires = time.Time{} // the jar has a clock of its own
		for _, step := range []struct{ set, want *http.Cookie }{
			{theirs, theirs}, {ours, ours}, {theirs, theirs}, {s.get("/logout", theirs).Result().Cookies()[0], nil},
			{ours, ours}, {s.get("/logout", ours).Result().Cookies()[0], nil},
		} {
			browser.SetCookies(at, []*http.Cookie{step.set})
			got := browser.Cookies(at)
			if step.want == nil && len(got) != 0 || step.want != nil && (len(got) != 1 || got[0].Value != step.want.Value) {
				t.Errorf("%s: after %v got %v, want %v", g.Name, step.set, got, step.want)
			}
		}
	}
	wantCount(t, "cases", cases, 9)
	wantCount(t, "Set-Cookie headers", lines, 19)
}

// A browser comes from an application that kept the whole ticket in cookies.
// Their chunks stay behind, and are in no one's way.
func TestLeftoverChunks(t *testing.T) {
	cases := loadCookies(t).Cases
	g := cases[slices.IndexFunc(cases, func(g goldenApplication) bool { return g.Name == "chunked" })]
	o := g.options(t)
	o.DangerouslyAllowInsecureCookie = false
	s := newCookieSite(t, o)
	s.Advance(g.Steps[0].Now.Sub(s.Now()))
	old := setCookies(t, g.Steps[0].Response.Headers.SetCookie...)
	wantCount(t, "old cookies", len(old), 4)
	if w := s.get("/", old...); w.Code != http.StatusOK || w.Body.String() != "" {
		t.Errorf("with the old cookies: got %d %q, want nobody", w.Code, w.Body)
	}
	w := s.get("/login?user=alice", old...)
	cookies := append(w.Result().Cookies(), old[1:]...)
	if w := s.get("/", cookies...); w.Body.String() != "alice" {
		t.Errorf("signed in: got %q, want alice", w.Body)
	}
	if got := s.get("/logout", cookies...).Result().Cookies(); len(got) != 1 || got[0].Name != g.CookieName || got[0].MaxAge >= 0 {
		t.Errorf("signed out: got cookies %v, want ours deleted", got)
	}
	if w := s.get("/", old[1:]...); w.Code != http.StatusOK || w.Body.String() != "" {
		t.Errorf("with what is left: got %d %q, want nobody", w.Code, w.Body)
	}
}

func setCookies(t *testing.T, lines ...string) (cookies []*http.Cookie) {
	t.Helper()
	for _, line := range lines {
		c, err := http.ParseSetCookie(line)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		cookies = append(cookies, c)
	}
	return cookies
}
