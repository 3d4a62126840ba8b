package ticketstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ticketstore/ticketstore/internal/redischeck"
	"github.com/ticketstore/ticketstore/internal/returnurl"
)

const maxCookieAge = 400 * 24 * time.Hour // RFC 6265bis, section 5.5

// Config configures a [Manager]. The zero value but for CookieKeys is meant
// for production.
type Config struct {
	_ [0]func() // no comparison, no unkeyed literals

	// CookieKeys sign the cookies. The first signs, all verify. To change the
	// key: add the new one behind the old one, on every instance; then put it
	// first; then take the old one out, after the longer of Lifetime and
	// PersistentLifetime. Required unless Codec is set.
	CookieKeys []CookieKey

	// Codec writes and reads cookies in place of CookieKeys.
	Codec CookieCodec

	// IdleTimeout ends a session this long after its last use. If zero, 30
	// minutes, or Lifetime if that is shorter; if negative, none.
	//
	// The last use is recorded at most once per RenewAfter, so that a session
	// ends between IdleTimeout - RenewAfter and IdleTimeout after it.
	IdleTimeout time.Duration

	// Lifetime ends a session this long after sign-in, however active. If
	// zero, 12 hours. A shorter value acts at once on sessions that exist.
	Lifetime time.Duration

	// PersistentIdleTimeout and PersistentLifetime take the place of
	// IdleTimeout and Lifetime for tickets with Persistent. If zero, 14 days
	// and 30 days.
	PersistentIdleTimeout time.Duration
	PersistentLifetime    time.Duration

	// RenewAfter is how old the recorded last use may grow before a request
	// renews the ticket: the price of an exact idle timeout is a write per
	// request. If zero, 5 minutes; never more than half the idle timeout.
	RenewAfter time.Duration

	// RotateGrace is how long a key that [Manager.Rotate] has replaced may
	// still read after the new one was first used; and how long after the
	// rotation the response with the new one counts as lost, if it was not. No
	// request or response should be under way for longer. At least
	// StoreTimeout; if zero, 10 seconds, or StoreTimeout if that is longer.
	RotateGrace time.Duration

	// StoreTimeout bounds each call to the store. If zero, 2 seconds.
	StoreTimeout time.Duration

	// CookieName names the cookie. If empty, "__Host-session"; with
	// CookieDomain or CookiePath "__Secure-session"; with
	// DangerouslyAllowInsecureCookie "session".
	CookieName string

	// CookieDomain shares the cookie with the subdomains of a domain, any of
	// which can then plant one. If empty, only its own host gets it.
	CookieDomain string

	// CookiePath limits the cookie to a path. It is no protection from the
	// rest of the host. If empty, "/".
	CookiePath string

	// SameSite is the cookie's SameSite attribute. If zero, Lax.
	SameSite http.SameSite

	// Partitioned makes browsers keep one cookie for each site that embeds the
	// application (CHIPS). It needs Secure and SameSite None.
	Partitioned bool

	// LoginPath is where Require sends a browser's navigation, with the
	// parameter ReturnUrl: a path as the browser sees it, perhaps with a query.
	// If empty, it answers 401 to browsers too; see ErrorHandler.
	LoginPath string

	// PathPrefix returns what a proxy in front takes off the paths of requests:
	// "/app", or r.Header.Get("X-Forwarded-Prefix") if the proxy always sets
	// that. ReturnUrl begins with it. If nil, nothing is taken off; do not name
	// what [http.StripPrefix] takes off.
	PathPrefix func(*http.Request) string

	// TrustedProxies are the addresses of your own proxies, each of which
	// appends the address that it was called from to X-Forwarded-For or to
	// Forwarded (RFC 7239). The client's address, for [Ticket].Device and
	// SeenFrom, is then the last one there that is not among them: what comes
	// before it, anybody can have written. What comes by a Unix socket counts
	// as a proxy's. If empty, the client's address is the connection's.
	TrustedProxies []netip.Prefix

	// ClientAddr returns the client's address in place of TrustedProxies, say
	// from a header that your network overwrites. To record none, return
	// netip.Addr{}.
	ClientAddr func(*http.Request) netip.Addr

	// Activity reports whether a request keeps the session alive. If nil, all
	// do but a browser's prefetches. Return false for what a page asks for by
	// itself.
	Activity func(*http.Request) bool

	// Skip reports whether Wrap reads nothing for a request, such as for static
	// files beside pages in one mux: it is anonymous, and no activity. Require
	// and RequireRecent read it all the same, as do the Manager's methods. If
	// nil, nothing is skipped.
	Skip func(*http.Request) bool

	// ErrorHandler answers, with status, what the Manager refuses and what
	// [Manager.Error] is given: 401 Unauthorized without a ticket, where
	// LoginPath does not take the request; 403 Forbidden without a recent
	// sign-in, or from an operator in an impersonation; 503 Service Unavailable when the store cannot answer. It has to
	// write status: a handler that writes none answers 200. If nil, a line of
	// text. The error is for logs and [errors.Is], not for the client.
	ErrorHandler func(w http.ResponseWriter, r *http.Request, status int, err error)

	// Logger gets outages, undecodable tickets, keys that come after they were
	// rotated away, and cookies that contradict each other. It never gets a key. If nil, slog.Default.
	Logger *slog.Logger

	// Observer is told what the Manager has done and refused, for logs, metrics
	// and traces; see [Event]. It gets the request's context, which may have
	// ended. The request waits for it, so do no I/O in it; it is called by
	// requests in parallel, and by one request for several keys. If it panics,
	// that is logged, and changes nothing.
	Observer func(context.Context, Event)

	// DangerouslyAllowInsecureCookie drops the Secure attribute, so that the
	// cookie also travels over plain HTTP, where anyone on the way can take
	// it.
	DangerouslyAllowInsecureCookie bool
}

// withDefaults returns a copy of c with its zero values filled in.
func (c Config) withDefaults() Config {
	if c.Codec == nil {
		c.Codec = newSecureCodec(c.CookieKeys)
	}
	c.CookieKeys = nil
	c.Lifetime = cmp.Or(c.Lifetime, 12*time.Hour)
	c.IdleTimeout = cmp.Or(c.IdleTimeout, min(30*time.Minute, c.Lifetime))
	c.PersistentLifetime = cmp.Or(c.PersistentLifetime, 30*24*time.Hour)
	c.PersistentIdleTimeout = cmp.Or(c.PersistentIdleTimeout, min(14*24*time.Hour, c.PersistentLifetime))
	c.RenewAfter = cmp.Or(c.RenewAfter, 5*time.Minute)
	c.StoreTimeout = cmp.Or(c.StoreTimeout, 2*time.Second)
	c.RotateGrace = cmp.Or(c.RotateGrace, max(10*time.Second, c.StoreTimeout))
	if c.CookieName == "" {
		switch {
		case c.DangerouslyAllowInsecureCookie:
			c.CookieName = "session"
		case c.CookieDomain != "" || c.CookiePath != "":
			c.CookieName = "__Secure-session"
		default:
			c.CookieName = "__Host-session"
		}
	}
	if c.CookiePath == "" {
		c.CookiePath = "/"
	}
	if c.SameSite == 0 {
		c.SameSite = http.SameSiteLaxMode
	}
	switch {
	case c.ClientAddr != nil:
	case len(c.TrustedProxies) > 0:
		c.ClientAddr = proxies(slices.Clone(c.TrustedProxies)).clientAddr
	default:
		c.ClientAddr = connectionAddr
	}
	c.TrustedProxies = nil
	if c.Activity == nil {
		c.Activity = func(r *http.Request) bool { return !prefetch(r) }
	}
	return c
}

// prefetch reports whether a browser asks for r on speculation: nobody may ever
// see the answer. What a page asks for once it is shown, counts.
func prefetch(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("Sec-Purpose"), "prefetch") || r.Header.Get("Purpose") == "prefetch"
}

// validate returns every problem of c, which has its defaults, in one error.
func (c *Config) validate(given Config) error {
	var errs []error
	add := func(field, format string, args ...any) {
		errs = append(errs, problem(field, format, args...))
	}
	switch {
	case given.Codec == nil && len(given.CookieKeys) == 0:
		add("CookieKeys", "at least one is required (openssl rand -base64 32)")
	case given.Codec != nil && redischeck.IsNil(given.Codec):
		add("Codec", "it is a nil pointer")
	case given.Codec != nil && len(given.CookieKeys) > 0:
		add("Codec", "it takes the place of CookieKeys; set one of them")
	}
	if err := validateCookieKeys(given.CookieKeys); err != nil {
		errs = append(errs, err)
	}

	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"Lifetime", c.Lifetime},
		{"PersistentLifetime", c.PersistentLifetime},
		{"RenewAfter", c.RenewAfter},
		{"StoreTimeout", c.StoreTimeout},
	} {
		if d.value < 0 {
			add(d.name, "%v is negative", d.value)
		}
	}
	if c.RotateGrace < c.StoreTimeout {
		add("RotateGrace", "%v is shorter than StoreTimeout, %v: a rotation may take as long", c.RotateGrace, c.StoreTimeout)
	}
	if c.IdleTimeout > c.Lifetime {
		add("IdleTimeout", "%v is longer than Lifetime, %v", c.IdleTimeout, c.Lifetime)
	}
	if c.PersistentIdleTimeout > c.PersistentLifetime {
		add("PersistentIdleTimeout", "%v is longer than PersistentLifetime, %v", c.PersistentIdleTimeout, c.PersistentLifetime)
	}

	// Browsers match the prefixes without regard to case (RFC 6265bis, 4.1.3).
	name := strings.ToLower(c.CookieName)
	host := strings.HasPrefix(name, "__host-")
	secure := host || strings.HasPrefix(name, "__secure-") || strings.HasPrefix(name, "__http-")
	if secure && c.DangerouslyAllowInsecureCookie {
		add("CookieName", "%q needs Secure, which DangerouslyAllowInsecureCookie drops", c.CookieName)
	}
	if host && c.CookieDomain != "" {
		add("CookieDomain", "a cookie called %q has no domain", c.CookieName)
	}
	if host && c.CookiePath != "/" {
		add("CookiePath", "a cookie called %q has the path /", c.CookieName)
	}
	if !strings.HasPrefix(c.CookiePath, "/") {
		add("CookiePath", "%q does not begin with /", c.CookiePath)
	}
	switch c.SameSite {
	case http.SameSiteLaxMode, http.SameSiteStrictMode:
	case http.SameSiteNoneMode:
		if c.DangerouslyAllowInsecureCookie {
			add("SameSite", "browsers drop a cookie with None and without Secure")
		}
	default:
		add("SameSite", "%d is none of Lax, Strict and None", c.SameSite)
	}
	if c.Partitioned && (c.SameSite != http.SameSiteNoneMode || c.DangerouslyAllowInsecureCookie) {
		add("Partitioned", "it needs Secure and SameSite None: browsers send no other cookie to an embedded page")
	}
	if given.ClientAddr != nil && len(given.TrustedProxies) > 0 {
		add("ClientAddr", "it takes the place of TrustedProxies; set one of them")
	}
	errs = append(errs, proxies(given.TrustedProxies).problems()...)
	if err := (&http.Cookie{Name: c.CookieName, Path: c.CookiePath, Domain: c.CookieDomain}).Valid(); err != nil {
		add("CookieName, CookieDomain, CookiePath", "%w", err)
	}
	if c.LoginPath != "" && !returnurl.HostRelative(c.LoginPath) {
		add("LoginPath", "%q is no path on this host", c.LoginPath)
	}
	return errors.Join(errs...)
}

// problem says what is wrong with a field of a config.
func problem(field, format string, args ...any) error {
	return fmt.Errorf(field+": "+format, args...)
}
