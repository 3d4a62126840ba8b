package aspnetcore_test

import (
	"log/slog"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/aspnetcore"
)

const day = 24 * time.Hour

func newRing(t *testing.T) *aspnetcore.KeyRing {
	ring, err := aspnetcore.NewKeyRing(aspnetcore.KeyRingConfig{Directory: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func TestOptionsCannotBeComparedOrUnkeyed(t *testing.T) {
	typ := reflect.TypeFor[aspnetcore.Options]()
	if typ.Comparable() {
		t.Errorf("%v is comparable", typ)
	}
	if f := typ.Field(0); f.Name != "_" || f.Type.Size() != 0 {
		t.Errorf("%v: got first field %s, want a blank one", typ, f.Name)
	}
}

func TestManagerConfigTimes(t *testing.T) {
	type times struct{ idle, lifetime, renewAfter time.Duration }
	for name, test := range map[string]struct {
		o    aspnetcore.Options
		want times
	}{
		"the defaults":        {aspnetcore.Options{Lifetime: 30 * day}, times{14 * day, 30 * day, 7 * day}},
		"a window":            {aspnetcore.Options{Lifetime: day, ExpireTimeSpan: time.Hour}, times{time.Hour, day, 30 * time.Minute}},
		"a lifetime within":   {aspnetcore.Options{Lifetime: day}, times{day, day, 12 * time.Hour}},
		"renewed at the half": {aspnetcore.Options{Lifetime: 30 * day, RenewAfter: 7 * day}, times{14 * day, 30 * day, 7 * day}},
		"renewed later":       {aspnetcore.Options{Lifetime: 30 * day, RenewAfter: 8 * day}, times{14 * day, 30 * day, 8 * day}},
		"no sliding":          {aspnetcore.Options{Lifetime: 30 * day, NoSliding: true}, times{-1, 14 * day, 7 * day}},
		"no sliding, shorter": {aspnetcore.Options{Lifetime: day, NoSliding: true}, times{-1, day, 12 * time.Hour}},
	} {
		test.o.KeyRing = newRing(t)
		cfg, err := aspnetcore.ManagerConfig(test.o)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := times{cfg.IdleTimeout, cfg.Lifetime, cfg.RenewAfter}
		persistent := times{cfg.PersistentIdleTimeout, cfg.PersistentLifetime, cfg.RenewAfter}
		if got != test.want || persistent != test.want {
			t.Errorf("%s: got %v, and %v for persistent tickets, want %v", name, got, persistent, test.want)
		}
		if never := cfg.Activity != nil && !cfg.Activity(nil); never != test.o.NoSliding {
			t.Errorf("%s: got that nothing is activity %v, want %v", name, never, test.o.NoSliding)
		}
	}
}

func TestManagerConfigCookieName(t *testing.T) {
	for _, test := range []struct{ scheme, name, want string }{
		{"", "", ".AspNetCore.Cookies"},
		{"Identity.Application", "", ".AspNetCore.Identity.Application"},
		{"Front desk/1", "", ".AspNetCore.Front%20desk%2F1"},
		{"Staff & Guests", "", ".AspNetCore.Staff%20%26%20Guests"},
		{"a+b%~-_.!*'()é", "", ".AspNetCore.a%2Bb%25~-_.%21%2A%27%28%29%C3%A9"},
		{"Kiosk", "shop.auth", "shop.auth"},
	} {
		cfg, err := aspnetcore.ManagerConfig(aspnetcore.Options{KeyRing: newRing(t), Lifetime: day, Scheme: test.scheme, CookieName: test.name})
		if err != nil || cfg.CookieName != test.want {
			t.Errorf("%q, %q: got %q, %v, want %q", test.scheme, test.name, cfg.CookieName, err, test.want)
		}
		if err := (&http.Cookie{Name: cfg.CookieName}).Valid(); err != nil {
			t.Errorf("%q: %v", cfg.CookieName, err)
		}
	}
}

func TestManagerConfigPassesOn(t *testing.T) {
	logger := slog.New(slog.DiscardHandler)
	cfg, err := aspnetcore.ManagerConfig(aspnetcore.Options{
		KeyRing: newRing(t), Lifetime: day, CookieDomain: "shop.example", CookiePath: "/app",
		SameSite: http.SameSiteStrictMode, Logger: logger, DangerouslyAllowInsecureCookie: true,
	})
	if err != nil || cfg.CookieDomain != "shop.example" || cfg.CookiePath != "/app" || cfg.SameSite != http.SameSiteStrictMode ||
		cfg.Logger != logger || !cfg.DangerouslyAllowInsecureCookie {
		t.Errorf("got %+v, %v, want what Options has", cfg, err)
	}
	if _, ok := cfg.Codec.(*aspnetcore.CookieCodec); !ok || cfg.CookieKeys != nil {
		t.Errorf("got the codec %T and %d keys, want a CookieCodec", cfg.Codec, len(cfg.CookieKeys))
	}
}

func TestOptionsBadInput(t *testing.T) {
	ring := newRing(t)
	for name, test := range map[string]struct {
		o    aspnetcore.Options
		want []string
	}{
		"no key ring":         {aspnetcore.Options{Lifetime: day}, []string{"KeyRing", "NewKeyRing"}},
		"no lifetime":         {aspnetcore.Options{KeyRing: ring}, []string{"Lifetime", "required"}},
		"negative lifetime":   {aspnetcore.Options{KeyRing: ring, Lifetime: -1}, []string{"Lifetime", "negative"}},
		"negative window":     {aspnetcore.Options{KeyRing: ring, Lifetime: day, ExpireTimeSpan: -1}, []string{"ExpireTimeSpan", "negative"}},
		"renewed too soon":    {aspnetcore.Options{KeyRing: ring, Lifetime: 30 * day, RenewAfter: 7*day - 1}, []string{"RenewAfter", "168h0m0s", ".issued", "security stamp"}},
		"negative RenewAfter": {aspnetcore.Options{KeyRing: ring, Lifetime: 30 * day, RenewAfter: -1}, []string{"RenewAfter"}},
		"bad text":            {aspnetcore.Options{KeyRing: ring, Lifetime: day, ApplicationName: "\xff", Scheme: "\xfe"}, []string{"ApplicationName", "Scheme", "UTF-8"}},
		"everything at once": {aspnetcore.Options{ApplicationName: "\xff", Scheme: "\xfe", ExpireTimeSpan: time.Hour, RenewAfter: time.Minute},
			[]string{"KeyRing", "ApplicationName", "Scheme", "Lifetime", "RenewAfter", "30m0s"}},
	} {
		cfg, err := aspnetcore.ManagerConfig(test.o)
		if err == nil || cfg.Codec != nil {
			t.Errorf("%s: got %v, want an error", name, err)
			continue
		}
		for _, part := range append(test.want, "aspnetcore: invalid Options: ") {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: got %v, want %q in it", name, err, part)
			}
		}
	}
	// A codec has no lifetime.
	if c, err := aspnetcore.NewCookieCodec(aspnetcore.Options{KeyRing: ring}); err != nil {
		t.Errorf("got %v, %v, want a codec", c, err)
	}
	if c, err := aspnetcore.NewCookieCodec(aspnetcore.Options{Scheme: "\xff"}); err == nil || !strings.Contains(err.Error(), "KeyRing") || !strings.Contains(err.Error(), "Scheme") {
		t.Errorf("got %v, %v, want an error about KeyRing and Scheme", c, err)
	}
}

// A service beside an application that calls SetApplicationName("Shop") and
// PersistKeysToStackExchangeRedis.
func ExampleManagerConfig() {
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:6379", ContextTimeoutEnabled: true})
	ring, err := aspnetcore.NewKeyRing(aspnetcore.KeyRingConfig{Client: client})
	if err != nil {
		panic(err)
	}
	cfg, err := aspnetcore.ManagerConfig(aspnetcore.Options{
		KeyRing:         ring,
		ApplicationName: "Shop",
		Lifetime:        30 * 24 * time.Hour,
	})
	if err != nil {
		panic(err)
	}
	cfg.LoginPath = "/Account/Login" // the application's

	store, err := aspnetcore.NewStore(client, aspnetcore.StoreConfig{InstanceName: "shop:"})
	if err != nil {
		panic(err)
	}
	m, err := ticketstore.NewManager(store, cfg)
	if err != nil {
		panic(err)
	}
	_ = m // for Wrap
}
