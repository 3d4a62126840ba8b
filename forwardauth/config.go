package forwardauth

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/returnurl"
)

// Config configures a [Handler].
type Config struct {
	_ [0]func() // no comparison, no unkeyed literals

	// Headers are what the server behind the proxy learns of the user: names of
	// headers, and what they say of the ticket, which is shared and read-only.
	// The names have letters, digits and hyphens; those with one hyphen, such as
	// Remote-User, have only one spelling, Remote_User, that some servers take
	// for the same and the proxy has to remove, too.
	//
	// A header of over 4,096 bytes is an error, 500, which is logged.
	Headers map[string]func(*ticketstore.Ticket) []string

	// Allow reports whether the user of a ticket may pass; those who may not get
	// 403. If nil, whoever is signed in may.
	Allow func(*ticketstore.Ticket) bool

	// LoginURL is where browsers sign in, and gets the parameter ReturnUrl: a
	// path on the host that they are on, which the proxy has to send to the login
	// page unguarded; or the URL of a page on another host, whose cookie the
	// guarded hosts must get, too: see [ticketstore.Config].CookieDomain. If
	// empty, the answer is 401 to browsers too.
	LoginURL string

	// Origins are the sites, "https://app.example.com", that a login page on
	// another host may send browsers back to. Required if LoginURL has a host.
	Origins []string

	// Optional lets requests pass that have no ticket, with all headers empty.
	// When the store cannot answer, the answer is still 503.
	Optional bool

	// Logger gets headers that are too long. If nil, slog.Default.
	Logger *slog.Logger
}

// New returns a Handler for m's sessions. If an argument is unfit, the error
// names every problem found. Changes to cfg afterwards have no effect.
func New(m *ticketstore.Manager, cfg Config) (*Handler, error) {
	h := &Handler{manager: m, cfg: cfg}
	h.cfg.Headers = maps.Clone(cfg.Headers)
	h.cfg.Origins = nil
	if err := errors.Join(h.validate(cfg)...); err != nil {
		return nil, fmt.Errorf("forwardauth: invalid handler: %w", err)
	}
	return h, nil
}

// validate returns every problem of h, and sets what is made of given.
func (h *Handler) validate(given Config) (errs []error) {
	add := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf(field+": "+format, args...))
	}
	if h.manager == nil {
		add("m", "it is nil")
	}
	names := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(given.Headers)) {
		switch canonical := http.CanonicalHeaderKey(name); {
		case !headerName.MatchString(name):
			add("Headers", "%q is not made of letters, digits and hyphens", name)
		case reserved.MatchString(name):
			add("Headers", "%q already means something in the answer", name)
		case names[canonical] != "":
			add("Headers", "%q and %q are one header", names[canonical], name)
		case given.Headers[name] == nil:
			add("Headers", "the function of %q is nil", name)
		default:
			names[canonical] = name
		}
	}
	for _, o := range given.Origins {
		u, err := url.Parse(o)
		if err == nil {
			err = http.NewCrossOriginProtection().AddTrustedOrigin(o)
		}
		if err != nil {
			add("Origins", "%w", err)
		} else if at := origin(u.Scheme, u.Host); at == "" {
			add("Origins", "%q is neither http nor https", o)
		} else {
			h.origins = append(h.origins, at)
		}
	}
	if given.Optional && (given.LoginURL != "" || given.Allow != nil) {
		add("Optional", "it lets pass whom LoginURL and Allow are to stop; set one of them")
	}
	if given.LoginURL == "" {
		return errs
	}
	u, err := url.Parse(given.LoginURL)
	switch {
	case returnurl.HostRelative(given.LoginURL) && u.Fragment == "":
	case err != nil || origin(u.Scheme, u.Host) == "" || u.User != nil || u.Fragment != "":
		add("LoginURL", "%q is neither a path nor the URL of a page", given.LoginURL)
	case len(given.Origins) == 0:
		add("Origins", "LoginURL is on another host; name the sites that it may send browsers back to")
	}
	h.login = u
	return errs
}

var (
	headerName = regexp.MustCompile(`^[A-Za-z0-9]+(-[A-Za-z0-9]+)*$`)
	reserved   = regexp.MustCompile(`(?i)^(age|allow|alt-svc|cache-control|connection|content-.*|cookie|date|expires|host|keep-alive|link|` +
		`location|proxy-.*|refresh|retry-after|server|set-cookie|status|te|trailer|transfer-encoding|upgrade|vary|www-authenticate|x-accel-.*)$`)
)
