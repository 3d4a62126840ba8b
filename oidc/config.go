package oidc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html/template"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/redischeck"
	"github.com/ticketstore/ticketstore/internal/ui"
)

// A Secret is a client secret. It prints, logs and marshals as REDACTED.
type Secret string

const redacted = "REDACTED"

var (
	_ fmt.Formatter  = Secret("")
	_ slog.LogValuer = Secret("")
)

// Format implements [fmt.Formatter]. It does not reveal the secret.
func (Secret) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// LogValue implements [slog.LogValuer]. It does not reveal the secret.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements [encoding.TextMarshaler]. It does not reveal the secret.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Config configures a [Provider]. Issuer, ClientID, RedirectURL, CookieKeys and
// Redis are required.
type Config struct {
	_ [0]func() // no comparison, no unkeyed literals

	// Issuer is the provider's URL as its ID tokens have it, byte by byte. It
	// is https, but for a provider on this machine.
	Issuer string

	// ClientID and ClientSecret are what the provider knows the application
	// by. Without a secret it is a public client, which PKCE alone protects.
	ClientID     string
	ClientSecret Secret

	// RedirectURL is the URL of [Provider.Callback], as the provider has it
	// registered.
	RedirectURL string

	// Scopes are asked for besides "openid". If nil, "profile" and "email". For
	// a refresh token most providers want "offline_access".
	Scopes []string

	// Params are further parameters of the authentication request, such as
	// "access_type": "offline" for Google, or "audience" for Auth0.
	Params map[string]string

	// FormPost has the provider send the code in a form instead of in the URL,
	// where logs and histories keep it. The form comes from the provider's
	// page: see the package comment on cross-origin requests. The cookie of a
	// sign-in under way then is SameSite=None, as browsers send no other.
	FormPost bool

	// LoginPath is the path of [Provider.Login]: where the error pages' "Try
	// again" leads. If empty, "/login".
	LoginPath string

	// PostLogoutURL is the URL of [Provider.Logout], as the provider has it
	// registered to send browsers back to. If empty, users stay at the provider
	// after they have signed out.
	PostLogoutURL string

	// CookieKeys protect the cookies of sign-ins under way, which are always
	// encrypted, by keys made of these. Use those of the Manager.
	CookieKeys []ticketstore.CookieKey

	// Redis remembers for some minutes which tokens of the provider have been
	// used, so that no instance takes one twice. Use the client of the store.
	Redis redis.UniversalClient

	// Prefix starts every key in Redis, as [ticketstore.RedisConfig].Prefix
	// does. If empty, "AuthSessionStore-".
	Prefix string

	// KeepTokens keeps the provider's access and refresh token in the ticket,
	// for [Provider.Token]. Every request reads the whole ticket, and whoever
	// can read Redis has the tokens unless records are sealed: New logs a
	// warning if they are not. See [ticketstore.RedisConfig].SealKeys.
	KeepTokens bool

	// Accept is called when the provider has vouched for a user, before the
	// session begins. It may change s.Ticket: another Subject, other claims,
	// further Links, Persistent, an earlier end. An error that is [ErrRefused]
	// tells the user that they may not sign in; any other, that something is
	// wrong here. If nil, everybody the provider vouches for signs in.
	Accept func(ctx context.Context, s *SignIn) error

	// Template replaces the page that tells people why a sign-in or a sign-out
	// failed. It is executed with a [Page], once of them by New.
	Template *template.Template

	// HTTPClient calls the provider. If nil, one that gives up after 10
	// seconds.
	HTTPClient *http.Client

	// Logger gets what went wrong, without tokens, codes and secrets. If nil,
	// slog.Default.
	Logger *slog.Logger

	// DangerouslyAllowInsecureCookie drops the Secure attribute of the cookies
	// of sign-ins under way, for development over plain HTTP.
	DangerouslyAllowInsecureCookie bool
}

const (
	defaultPrefix = "AuthSessionStore-"
	callTimeout   = 10 * time.Second // of a call to the provider
	storeTimeout  = 10 * time.Second // of what one request asks of the store
)

// withDefaults returns a copy of c with its zero values filled in.
func (c Config) withDefaults() Config {
	if c.Scopes == nil {
		c.Scopes = []string{"profile", "email"}
	}
	c.Scopes = slices.Clone(c.Scopes)
	if !slices.Contains(c.Scopes, "openid") {
		c.Scopes = append([]string{"openid"}, c.Scopes...)
	}
	if c.LoginPath == "" {
		c.LoginPath = "/login"
	}
	if c.Prefix == "" {
		c.Prefix = defaultPrefix
	}
	if c.Template == nil {
		c.Template = builtIn()
	}
	if c.HTTPClient == nil {
		c.HTTPClient = &http.Client{Timeout: callTimeout}
	}
	return c
}

// validate returns every problem of c, which has its defaults, in one error.
func (c *Config) validate() error {
	var errs []error
	add := func(field, format string, args ...any) { errs = append(errs, ui.Problem(field, format, args...)) }
	if err := safeURL(c.Issuer); err != nil {
		add("Issuer", "%w", err)
	}
	if c.ClientID == "" {
		add("ClientID", "it is required: the provider gives it when the application is registered there")
	}
	if err := safeURL(c.RedirectURL); err != nil {
		add("RedirectURL", "%w", err)
	}
	if c.PostLogoutURL != "" {
		if err := safeURL(c.PostLogoutURL); err != nil {
			add("PostLogoutURL", "%w", err)
		}
	}
	for name := range c.Params {
		if slices.Contains(ownParams, name) {
			add("Params", "%q is set by this package", name)
		}
	}
	if len(c.CookieKeys) == 0 {
		add("CookieKeys", "at least one is required: use those of the Manager")
	}
	for i, k := range c.CookieKeys {
		if len(k.Hash) < 32 {
			add(fmt.Sprintf("CookieKeys[%d].Hash", i), "it has %d bytes; at least 32 are needed", len(k.Hash))
		}
		if slices.ContainsFunc(c.CookieKeys[:i], func(o ticketstore.CookieKey) bool { return bytes.Equal(o.Hash, k.Hash) }) {
			add(fmt.Sprintf("CookieKeys[%d].Hash", i), "an earlier one is the same")
		}
	}
	if redischeck.IsNil(c.Redis) {
		add("Redis", "it is required: use the client of the store")
	}
	if strings.ContainsAny(c.Prefix, "{}") {
		add("Prefix", "%q has braces", c.Prefix)
	}
	if !localPath(c.LoginPath) {
		add("LoginPath", "%q is no path on this host", c.LoginPath)
	}
	if err := c.Template.Execute(io.Discard, examplePage); err != nil {
		add("Template", "%w", err)
	}
	return errors.Join(errs...)
}

// safeURL returns why s is no URL that secrets may travel to: it is https, or on
// this machine.
func safeURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "":
		return fmt.Errorf("%q is no URL like https://example.com/path", s)
	case u.Scheme == "https", u.Scheme == "http" && onThisMachine(u.Hostname()):
		return nil
	}
	return fmt.Errorf("%q is not https", s)
}

func onThisMachine(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// localPath reports whether s is a path on the host that a browser is on, which
// reads \ as /.
func localPath(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host == "" && u.Scheme == "" && strings.HasPrefix(s, "/") &&
		!strings.HasPrefix(s, "//") && !strings.Contains(s, `\`)
}
