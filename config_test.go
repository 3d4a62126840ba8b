package ticketstore

import (
	"bytes"
	"net/http"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestConfigsCannotBeComparedOrUnkeyed(t *testing.T) {
	for _, v := range []any{Config{}, RedisConfig{}} {
		typ := reflect.TypeOf(v)
		if typ.Comparable() {
			t.Errorf("%v is comparable", typ)
		}
		if f := typ.Field(0); f.Name != "_" || f.Type.Size() != 0 {
			t.Errorf("%v: got first field %s, want a blank one", typ, f.Name)
		}
	}
}

// Documentation says what the defaults are; docs/tour.md repeats it.
func TestConfigDefaults(t *testing.T) {
	c := Config{CookieKeys: testKeys}.withDefaults()
	for name, test := range map[string]struct{ got, want any }{
		"IdleTimeout":           {c.IdleTimeout, 30 * time.Minute},
		"Lifetime":              {c.Lifetime, 12 * time.Hour},
		"PersistentIdleTimeout": {c.PersistentIdleTimeout, 14 * 24 * time.Hour},
		"PersistentLifetime":    {c.PersistentLifetime, 30 * 24 * time.Hour},
		"RenewAfter":            {c.RenewAfter, 5 * time.Minute},
		"RotateGrace":           {c.RotateGrace, 10 * time.Second},
		"StoreTimeout":          {c.StoreTimeout, 2 * time.Second},
		"CookieName":            {c.CookieName, "__Host-session"},
		"CookiePath":            {c.CookiePath, "/"},
		"SameSite":              {c.SameSite, http.SameSiteLaxMode},
	} {
		if test.got != test.want {
			t.Errorf("%s: got %v, want %v", name, test.got, test.want)
		}
	}
	if c := (Config{Lifetime: 10 * time.Minute}).withDefaults(); c.IdleTimeout != 10*time.Minute {
		t.Errorf("IdleTimeout with a Lifetime of 10 minutes: got %v, want 10 minutes", c.IdleTimeout)
	}
	if c := (Config{PersistentLifetime: time.Hour}).withDefaults(); c.PersistentIdleTimeout != time.Hour {
		t.Errorf("PersistentIdleTimeout with a PersistentLifetime of an hour: got %v, want an hour", c.PersistentIdleTimeout)
	}
}

func TestNewManagerBadInput(t *testing.T) {
	b := miniBackend(t)
	store := b.store(t, RedisConfig{})
	short := []CookieKey{{Hash: make([]byte, 31)}}
	for name, test := range map[string]struct {
		store TicketStore
		cfg   Config
		want  []string
	}{
		"nil store":             {nil, Config{CookieKeys: testKeys}, []string{"store"}},
		"nil pointer":           {(*RedisStore)(nil), Config{CookieKeys: testKeys}, []string{"store"}},
		"no keys":               {store, Config{}, []string{"CookieKeys", "openssl rand -base64 32"}},
		"short key":             {store, Config{CookieKeys: short}, []string{"CookieKeys[0].Hash", "31 bytes"}},
		"short second key":      {store, Config{CookieKeys: append(testKeys[:1:1], short...)}, []string{"CookieKeys[1].Hash"}},
		"block of 15":           {store, Config{CookieKeys: []CookieKey{{Hash: newKey(), Block: make([]byte, 15)}}}, []string{"CookieKeys[0].Block", "15"}},
		"one Hash twice":        {store, Config{CookieKeys: []CookieKey{{Hash: testKeys[0].Hash, Block: newKey()}, testKeys[0]}}, []string{"CookieKeys[1].Hash", "new Hash"}},
		"keys and codec":        {store, Config{CookieKeys: testKeys, Codec: newSecureCodec(testKeys)}, []string{"Codec"}},
		"nil codec":             {store, Config{Codec: (*stubCodec)(nil)}, []string{"Codec"}},
		"negative lifetime":     {store, Config{CookieKeys: testKeys, Lifetime: -1}, []string{"Lifetime"}},
		"negative persistent":   {store, Config{CookieKeys: testKeys, PersistentLifetime: -1}, []string{"PersistentLifetime"}},
		"negative RenewAfter":   {store, Config{CookieKeys: testKeys, RenewAfter: -1}, []string{"RenewAfter"}},
		"negative StoreTimeout": {store, Config{CookieKeys: testKeys, StoreTimeout: -1}, []string{"StoreTimeout"}},
		"negative grace":        {store, Config{CookieKeys: testKeys, RotateGrace: -1}, []string{"RotateGrace", "StoreTimeout"}},
		"grace too short":       {store, Config{CookieKeys: testKeys, RotateGrace: 1999 * time.Millisecond}, []string{"RotateGrace", "StoreTimeout, 2s"}},
		"idle over lifetime":    {store, Config{CookieKeys: testKeys, IdleTimeout: 13 * time.Hour}, []string{"IdleTimeout", "longer than Lifetime"}},
		"persistent idle over":  {store, Config{CookieKeys: testKeys, PersistentIdleTimeout: 31 * 24 * time.Hour}, []string{"PersistentIdleTimeout"}},
		"path without slash":    {store, Config{CookieKeys: testKeys, CookiePath: "app"}, []string{"CookiePath"}},
		"name with a space":     {store, Config{CookieKeys: testKeys, CookieName: "a b"}, []string{"CookieName"}},
		"domain with a slash":   {store, Config{CookieKeys: testKeys, CookieDomain: "a/b"}, []string{"CookieDomain"}},
		"login elsewhere":       {store, Config{CookieKeys: testKeys, LoginPath: "//evil.example"}, []string{"LoginPath"}},
		"login with scheme":     {store, Config{CookieKeys: testKeys, LoginPath: "https://example.com/login"}, []string{"LoginPath"}},
		"no range":              {store, Config{CookieKeys: testKeys, TrustedProxies: []netip.Prefix{{}}}, []string{"TrustedProxies", "no range"}},
		"everybody a proxy":     {store, Config{CookieKeys: testKeys, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}}, []string{"TrustedProxies", "0.0.0.0/0"}},
		"mapped proxies":        {store, Config{CookieKeys: testKeys, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("::ffff:10.0.0.0/104")}}, []string{"TrustedProxies", "IPv4"}},
		"proxies and function":  {store, Config{CookieKeys: testKeys, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, ClientAddr: connectionAddr}, []string{"ClientAddr", "TrustedProxies"}},
		"unknown SameSite":      {store, Config{CookieKeys: testKeys, SameSite: http.SameSiteDefaultMode}, []string{"SameSite"}},
		"everything at once":    {nil, Config{CookieKeys: short, Lifetime: -1, CookieName: "__Host-x", CookieDomain: "example.com", SameSite: 9}, []string{"store", "CookieKeys[0].Hash", "Lifetime", "CookieDomain", "SameSite"}},
	} {
		m, err := NewManager(test.store, test.cfg)
		if err == nil || m != nil {
			t.Errorf("%s: got %v, %v, want an error", name, m, err)
			continue
		}
		for _, part := range test.want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: got %v, want %q in it", name, err, part)
			}
		}
	}
	for name, cfg := range map[string]Config{
		"no idle timeout":    {CookieKeys: testKeys, IdleTimeout: -1, PersistentIdleTimeout: -1},
		"short lifetime":     {CookieKeys: testKeys, Lifetime: time.Minute},
		"shortest grace":     {CookieKeys: testKeys, RotateGrace: 3 * time.Second, StoreTimeout: 3 * time.Second},
		"long StoreTimeout":  {CookieKeys: testKeys, StoreTimeout: time.Minute},
		"encryption":         {CookieKeys: []CookieKey{{Hash: newKey(), Block: newKey()}}},
		"own codec":          {Codec: newSecureCodec(testKeys)},
		"login with a query": {CookieKeys: testKeys, LoginPath: "/login?tenant=a"},
	} {
		if _, err := NewManager(store, cfg); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// CookieAttributeMatrix: OWASP ASVS 5.0, 3.3; RFC 6265bis, 4.1.3.
func TestCookieAttributeMatrix(t *testing.T) {
	b := miniBackend(t)
	for _, test := range []struct {
		cfg  Config
		want string // the attributes; "" if refused
	}{
		{Config{}, "__Host-session; Path=/; HttpOnly; Secure; SameSite=Lax"},
		{Config{SameSite: http.SameSiteStrictMode}, "__Host-session; Path=/; HttpOnly; Secure; SameSite=Strict"},
		{Config{SameSite: http.SameSiteNoneMode}, "__Host-session; Path=/; HttpOnly; Secure; SameSite=None"},
		{Config{SameSite: http.SameSiteNoneMode, Partitioned: true}, "__Host-session; Path=/; HttpOnly; Secure; SameSite=None; Partitioned"},
		{Config{Partitioned: true}, ""},
		{Config{CookieDomain: "example.com"}, "__Secure-session; Path=/; Domain=example.com; HttpOnly; Secure; SameSite=Lax"},
		{Config{CookiePath: "/app"}, "__Secure-session; Path=/app; HttpOnly; Secure; SameSite=Lax"},
		{Config{CookieName: "sid"}, "sid; Path=/; HttpOnly; Secure; SameSite=Lax"},
		{Config{CookieName: "sid", CookieDomain: "example.com", CookiePath: "/app"}, "sid; Path=/app; Domain=example.com; HttpOnly; Secure; SameSite=Lax"},
		{Config{CookieName: "__Host-Http-sid"}, "__Host-Http-sid; Path=/; HttpOnly; Secure; SameSite=Lax"},
		{Config{DangerouslyAllowInsecureCookie: true}, "session; Path=/; HttpOnly; SameSite=Lax"},
		{Config{CookieName: "__Host-sid", CookieDomain: "example.com"}, ""},
		{Config{CookieName: "__hOST-sid", CookieDomain: "example.com"}, ""},
		{Config{CookieName: "__Host-sid", CookiePath: "/app"}, ""},
		{Config{CookieName: "__Host-sid", DangerouslyAllowInsecureCookie: true}, ""},
		{Config{CookieName: "__SECURE-sid", DangerouslyAllowInsecureCookie: true}, ""},
		{Config{CookieName: "__Http-sid", DangerouslyAllowInsecureCookie: true}, ""},
		{Config{SameSite: http.SameSiteNoneMode, DangerouslyAllowInsecureCookie: true}, ""},
	} {
		test.cfg.CookieKeys = testKeys
		_, err := NewManager(b.store(t, RedisConfig{}), test.cfg)
		if test.want == "" {
			if err == nil {
				t.Errorf("%+v: got no error", test.cfg)
			}
			continue
		}
		if err != nil {
			t.Errorf("%+v: %v", test.cfg, err)
			continue
		}
		s := newSite(t, b, test.cfg)
		alice := s.login(t, "alice")
		for _, page := range []string{"/login?user=alice", "/rotate", "/logout"} {
			res := s.get(t, page, alice)
			if page == "/login?user=alice" {
				alice = onlyCookie(t, res)
			}
			c := onlyCookie(t, res)
			line := res.Header.Get("Set-Cookie")
			got := strings.Replace(strings.Replace(line, "="+c.Value, "", 1), "; Max-Age=0", "", 1)
			if got != test.want {
				t.Errorf("%s: got %q, want %q", page, got, test.want)
			}
			if name, value, _ := strings.Cut(line, ";"); len(name) > 200 {
				t.Errorf("got a name and value of %d bytes, want at most 200: %s", len(name), value)
			}
			if res.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: got Cache-Control %q, want no-store", page, res.Header.Get("Cache-Control"))
			}
		}
		as := s.get(t, "/as?user=bob", s.login(t, "olga"))
		for _, res := range []*http.Response{as, s.get(t, "/back", as.Cookies()...)} {
			name, attributes, _ := strings.Cut(test.want, ";")
			var got []string
			for i, c := range res.Cookies() {
				line := strings.Replace(res.Header["Set-Cookie"][i], "="+c.Value, "", 1)
				got = append(got, strings.Replace(line, "; Max-Age=0", "", 1))
			}
			if want := []string{name + ";" + attributes, name + "-operator;" + attributes}; !slices.Equal(got, want) {
				t.Errorf("an impersonation: got %q, want %q", got, want)
			}
		}
	}
}

// A Config may be changed or its keys wiped once the Manager is made.
func TestManagerCopiesItsConfig(t *testing.T) {
	b := miniBackend(t)
	keys := []CookieKey{{Hash: newKey(), Block: newKey()}}
	s := newSite(t, b, Config{CookieKeys: keys})
	c := s.login(t, "alice")
	clear(keys[0].Hash)
	clear(keys[0].Block)
	keys[0] = CookieKey{}
	if got := s.who(t, c); got != "alice" {
		t.Errorf("got %q, want alice", got)
	}
}

func TestCookieKeyRotation(t *testing.T) {
	b := miniBackend(t)
	old := CookieKey{Hash: bytes.Repeat([]byte("o"), 32), Block: bytes.Repeat([]byte("o"), 16)}
	next := CookieKey{Hash: bytes.Repeat([]byte("n"), 32)}
	before := newSite(t, b, Config{CookieKeys: []CookieKey{old}})
	during := newSite(t, b, Config{CookieKeys: []CookieKey{next, old}})
	after := newSite(t, b, Config{CookieKeys: []CookieKey{next}})
	c := before.login(t, "alice")
	if got := during.who(t, c); got != "alice" {
		t.Errorf("old cookie, both keys: got %q, want alice", got)
	}
	if got := after.who(t, c); got != "-" {
		t.Errorf("old cookie, new key: got %q, want nobody", got)
	}
	c = during.login(t, "alice")
	if got := after.who(t, c); got != "alice" {
		t.Errorf("new cookie, new key: got %q, want alice", got)
	}
	if got := before.who(t, c); got != "-" {
		t.Errorf("new cookie, old key: got %q, want nobody", got)
	}
}
