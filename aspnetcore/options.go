package aspnetcore

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ticketstore/ticketstore"
)

const (
	defaultScheme         = "Cookies"           // CookieAuthenticationDefaults.AuthenticationScheme
	defaultExpireTimeSpan = 14 * 24 * time.Hour // CookieAuthenticationOptions
)

// Options are the settings of an ASP.NET Core application's cookie
// authentication that a Go service has to share. Where a field is not what the
// application has, neither reads the other's cookies, or each sets its own
// beside the other's. If zero, the fields that are not required have ASP.NET
// Core's defaults.
type Options struct {
	_ [0]func() // no comparison, no unkeyed literals

	// KeyRing has the application's Data Protection keys. Required.
	KeyRing *KeyRing

	// ApplicationName is what the application gives to SetApplicationName, to
	// the letter. If it does not call that, it has its content root with one
	// directory separator at the end for a name, such as "/srv/shop/": another
	// directory is another name, so let it call SetApplicationName. If empty,
	// there is none, as in a program without a host.
	ApplicationName string

	// Scheme is the authentication scheme, in the spelling that AddCookie
	// gives it; with ASP.NET Core Identity "Identity.Application". If empty,
	// "Cookies".
	Scheme string

	// CookieName, CookieDomain, CookiePath and SameSite are those of
	// CookieAuthenticationOptions.Cookie. If empty, ".AspNetCore." and the
	// scheme, escaped as in a URL; none; "/"; Lax. An application under a path
	// base has that for a path.
	CookieName   string
	CookieDomain string
	CookiePath   string
	SameSite     http.SameSite

	// ExpireTimeSpan is how long a ticket is valid without use. If zero, 14
	// days.
	ExpireTimeSpan time.Duration

	// NoSliding is SlidingExpiration set to false: use prolongs nothing, and a
	// session ends ExpireTimeSpan after sign-in, or Lifetime if that is
	// shorter.
	NoSliding bool

	// Lifetime ends a session this long after sign-in, however active: Lifetime
	// and PersistentLifetime of [ticketstore.Config]. ManagerConfig requires
	// it, since ASP.NET Core has no such limit to take over.
	Lifetime time.Duration

	// RenewAfter is that of [ticketstore.Config]. If zero, half of
	// ExpireTimeSpan, as in ASP.NET Core, or of Lifetime if that is shorter.
	//
	// Sooner is refused. ASP.NET Core Identity checks a user's security stamp
	// once .issued is 30 minutes old, and a renewal moves .issued: a service
	// that renews more often than that would keep a session alive that a new
	// password, say, should have ended.
	RenewAfter time.Duration

	// Logger gets what CookieCodec and the Manager log. If nil, slog.Default.
	Logger *slog.Logger

	// DangerouslyAllowInsecureCookie is that of [ticketstore.Config], for an
	// application that is reached over plain HTTP. ASP.NET Core's default,
	// CookieSecurePolicy.SameAsRequest, allows it without being asked.
	DangerouslyAllowInsecureCookie bool
}

// ManagerConfig returns the Config of a Manager whose cookie is that of the
// application which has o: each side reads, replaces and deletes the other's.
// If o is unfit, the error names every problem found; what NewManager checks is
// left to it. LoginPath and other fields that it leaves empty may be set
// afterwards.
//
// The Manager sets the cookie at sign-in only, ASP.NET Core also when it
// renews a ticket. So a persistent cookie of ours lasts until the session's
// end, and one of theirs for ExpireTimeSpan from their last renewal, however
// much the Go service is used.
//
// Let no page POST to [ticketstore.Manager.Status]: that renews a ticket
// whatever RenewAfter and NoSliding say.
func ManagerConfig(o Options) (ticketstore.Config, error) {
	errs := o.codecProblems()
	span := cmp.Or(o.ExpireTimeSpan, defaultExpireTimeSpan)
	if span < 0 {
		errs = append(errs, problem("ExpireTimeSpan", "%v is negative", span))
	}
	switch {
	case o.Lifetime == 0:
		errs = append(errs, problem("Lifetime", "it is required: say how long a session may last, however active"))
	case o.Lifetime < 0:
		errs = append(errs, problem("Lifetime", "%v is negative", o.Lifetime))
	}
	window := span
	if o.Lifetime > 0 {
		window = min(window, o.Lifetime)
	}
	if half := window / 2; o.RenewAfter != 0 && o.RenewAfter < half {
		errs = append(errs, problem("RenewAfter", "%v is sooner than half the window, %v: each renewal moves .issued and so puts off ASP.NET Core's check of the security stamp", o.RenewAfter, half))
	}
	if err := errors.Join(errs...); err != nil {
		return ticketstore.Config{}, invalidOptions(err)
	}

	cfg := ticketstore.Config{
		Codec:                          newCookieCodec(o),
		IdleTimeout:                    window,
		Lifetime:                       o.Lifetime,
		RenewAfter:                     cmp.Or(o.RenewAfter, window/2),
		CookieName:                     o.CookieName,
		CookieDomain:                   o.CookieDomain,
		CookiePath:                     o.CookiePath,
		SameSite:                       o.SameSite,
		Logger:                         o.Logger,
		DangerouslyAllowInsecureCookie: o.DangerouslyAllowInsecureCookie,
	}
	if o.NoSliding {
		cfg.IdleTimeout, cfg.Lifetime = -1, window
		cfg.Activity = func(*http.Request) bool { return false }
	}
	cfg.PersistentIdleTimeout, cfg.PersistentLifetime = cfg.IdleTimeout, cfg.Lifetime
	if cfg.CookieName == "" {
		cfg.CookieName = defaultCookieName(o.scheme())
	}
	return cfg, nil
}

func (o *Options) scheme() string { return or(o.Scheme, defaultScheme) }

// purposes are those of the protector of CookieAuthenticationOptions'
// TicketDataFormat (PostConfigureCookieAuthenticationOptions).
func (o *Options) purposes() []string {
	purposes := []string{"Microsoft.AspNetCore.Authentication.Cookies.CookieAuthenticationMiddleware", o.scheme(), "v2"}
	if o.ApplicationName == "" {
		return purposes
	}
	return append([]string{o.ApplicationName}, purposes...)
}

// defaultCookieName does as PostConfigureCookieAuthenticationOptions: it escapes
// all but the unreserved characters of RFC 3986, section 2.3.
func defaultCookieName(scheme string) string {
	return ".AspNetCore." + strings.ReplaceAll(url.QueryEscape(scheme), "+", "%20")
}

// codecProblems returns what is wrong with the fields that a CookieCodec needs.
func (o *Options) codecProblems() (errs []error) {
	if o.KeyRing == nil || o.KeyRing.source == nil {
		errs = append(errs, problem("KeyRing", "it is required: see NewKeyRing"))
	}
	if !utf8.ValidString(o.ApplicationName) {
		errs = append(errs, problem("ApplicationName", "%q is not valid UTF-8", o.ApplicationName))
	}
	if !utf8.ValidString(o.Scheme) {
		errs = append(errs, problem("Scheme", "%q is not valid UTF-8", o.Scheme))
	}
	return errs
}

func invalidOptions(err error) error {
	return fmt.Errorf("aspnetcore: invalid Options: %w", err)
}

// problem says what is wrong with a field of Options.
func problem(field, format string, args ...any) error {
	return fmt.Errorf(field+": "+format, args...)
}
