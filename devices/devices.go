// Package devices is the page "Where you're logged in": a user sees the
// devices that are signed in to the account, and signs them out. It is an
// [http.Handler], works without JavaScript, and speaks JSON, too:
//
//	h, err := devices.New(manager, devices.Config{RecentSignIn: 15 * time.Minute})
//	if err != nil {
//		return err
//	}
//	mux.Handle("/account/sessions/", http.StripPrefix("/account/sessions", h))
//
// It takes any path, since all its links and forms are relative. StripPrefix
// is given the path without the slash at its end; at "/" none is needed. It
// includes [ticketstore.Manager.Require]: the anonymous are sent to sign in.
//
// # Requests
//
// GET shows and changes nothing; it answers JSON to Accept: application/json.
// What changes something is POST, from a form of the page itself, or DELETE:
//
//	GET /          the page, or {"sessions":[...],"ended":[...]}, each a [Row] or an [Ended]
//	GET /?page=2   the next 50; JSON has all
//	GET /?sure=…   asks before many end: "others", "all", or the ID of a session,
//	               for all from devices that look like its own
//	POST /         with the field revoke: a session ID, "others" or "all"; or with
//	               the field report or alike: a session ID
//	DELETE /{id}   ends one session: 204, or 404 if it is not the user's
//	DELETE /others ends all but the caller's: {"revoked":2}
//	DELETE /all    ends all: {"revoked":3}
//
// Ending one's own session deletes the cookie. Other sites' requests are
// refused with 403, see [http.CrossOriginProtection]; if the store cannot
// answer, with 503, and the cookie stays. What is refused gets a page of the
// same look with a way on, see [Notice], or {"error":"..."} if it asks for JSON;
// but what ErrorHandler of [ticketstore.Config] answers is its own.
//
// # Inside a site
//
// [Config].Site and Words have what differs by request: the language, the time
// zone, the token of a form. A [Config].Template is the site's own layout.
//
// The page shows session IDs, which are no secret, and never a key. What
// clients say of themselves is hostile text: it is reduced to a few words of
// plain letters, and escaped.
package devices

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/refusal"
	"github.com/ticketstore/ticketstore/internal/ui"
)

// Config configures the handler. The zero value is meant for production.
type Config struct {
	_ [0]func() // no comparison, no unkeyed literals

	// Locate names the place of an address, such as "Lisbon, Portugal", or
	// returns "". It is called for each address on the page, by requests in
	// parallel: look it up in memory. If nil, no places are shown.
	Locate func(netip.Addr) string

	// History returns the sessions of a user that have ended, the last one
	// first: [ticketstore.RedisStore.History]. The page shows 10. If nil, or if
	// it returns [errors.ErrUnsupported], none.
	History func(ctx context.Context, subject string) ([]ticketstore.Ending, error)

	// Report, if set, puts the button "This wasn't me" beside each other
	// device. It ends the session with the cause "reported", and calls Report
	// once, with the session that r's user does not know: to warn whoever
	// looks after the accounts. The answer waits for it. If the process dies
	// between the two it is not called; the ending is told all the same, see
	// [ticketstore.RedisStore.Endings].
	Report func(r *http.Request, s ticketstore.Session)

	// RecentSignIn, if positive, lets only those end sessions but their own who
	// have proved who they are less than this ago: somebody at an unlocked
	// computer cannot. The page sends them to sign in again, see
	// [ticketstore.Manager.RequireRecent]; DELETE answers 403.
	RecentSignIn time.Duration

	// SignedOutPath is where the browser goes after it has ended its own
	// session, and what a [Notice] to nobody links to: a path on this host. If
	// empty, "/". After all sessions have ended, a page of its own says so.
	SignedOutPath string

	// TrustedOrigins are origins, "https://app.example.com", whose pages may
	// end sessions besides the handler's own.
	TrustedOrigins []string

	// Text replaces the English of the page. Its empty fields stay English.
	Text Text

	// Words returns the text of r's page, in the language of its reader. Its
	// empty fields are those of Text. If nil, Text holds for all.
	Words func(r *http.Request) Text

	// Site returns what the application has to say about r's page. If nil,
	// nothing. Like Words, it is called by requests in parallel, and also for
	// pages that nobody is signed in on: for a [Notice].
	Site func(r *http.Request) Site

	// Template replaces the page, with a layout of the application around
	// Page.Content or with a page of its own. It is executed with a [Page], and
	// by New with one for trial. If nil, a built-in one.
	//
	// The Content-Security-Policy lets it load styles, scripts, images and fonts
	// from its own site, and its scripts connect to that. It admits nothing
	// inline but what Page.Head has.
	Template *template.Template

	// Logger gets outages of the store. If nil, slog.Default.
	Logger *slog.Logger
}

// New returns the handler of m's sessions. If an argument is unfit, the error
// names every problem found; it is [errors.ErrUnsupported] if m's store is no
// [ticketstore.SessionIndex]. Changes to cfg afterwards have no effect.
func New(m *ticketstore.Manager, cfg Config) (http.Handler, error) {
	h := &handler{manager: m, cfg: cfg.withDefaults()}
	h.Responder = ui.Responder{
		Package: "devices", Template: cfg.Template, BuiltIn: ui.Template("devices", pageHTML), Logger: cfg.Logger,
		Words: h.wordsFor, Notice: h.noticePage, Leave: h.cfg.SignedOutPath,
	}
	protection := http.NewCrossOriginProtection()
	if err := errors.Join(validateManager(m), h.validate(protection)); err != nil {
		return nil, fmt.Errorf("devices: invalid handler: %w", err)
	}
	h.confirm = http.HandlerFunc(h.list)
	h.sure = http.HandlerFunc(h.ask)
	h.delete = http.HandlerFunc(h.end)
	if h.cfg.RecentSignIn > 0 {
		h.confirm = m.RequireRecent(h.cfg.RecentSignIn, h.confirm)
		h.sure = m.RequireRecent(h.cfg.RecentSignIn, h.sure)
		h.delete = m.RequireRecent(h.cfg.RecentSignIn, h.delete)
	}
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.Refuse(w, r, ui.CrossSite, ui.Notice{})
	}))
	required := m.Require(http.HandlerFunc(h.serve))
	next := protection.Handler(m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, signedIn := ticketstore.FromContext(r.Context())
		switch {
		case !signedIn && h.sayEverywhere(w, r):
		case !signedIn && r.Method == http.MethodPost && target(r) == "":
			// The session has ended since the page was shown. Require sends
			// only a GET to sign in.
			ui.SeeOther(w, "?")
		default:
			required.ServeHTTP(w, r)
		}
	})))
	return ui.Guard(ui.Style, cfg.Template != nil, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(refusal.NewContext(r.Context(), h.Answer)))
	})), nil
}

func validateManager(m *ticketstore.Manager) error {
	if m == nil {
		return ui.Problem("m", "it is nil")
	}
	// An anonymous request: what it gets depends on nothing but m.
	if _, _, err := m.Sessions(new(http.Request)); !errors.Is(err, ticketstore.ErrNotFound) {
		return ui.Problem("m", "its sessions cannot be listed: %w", err)
	}
	return nil
}

func (c Config) withDefaults() Config {
	c.Text = ui.Fill(c.Text, english())
	if c.SignedOutPath == "" {
		c.SignedOutPath = "/"
	}
	return c
}

// validate returns every problem of h's configuration, and tells protection
// the trusted origins.
func (h *handler) validate(protection *http.CrossOriginProtection) error {
	errs := ui.Trust(protection, h.cfg.TrustedOrigins)
	if h.cfg.RecentSignIn < 0 {
		errs = append(errs, ui.Problem("RecentSignIn", "%v is negative", h.cfg.RecentSignIn))
	}
	if !hostRelative(h.cfg.SignedOutPath) {
		errs = append(errs, ui.Problem("SignedOutPath", "%q is no path on this host", h.cfg.SignedOutPath))
	}
	words := ui.WordsOf(h.cfg.Text)
	if err := words.Validate(); err != nil {
		errs = append(errs, err)
	} else if err := h.try(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// hostRelative reports whether a browser takes s for a path on the host that
// it is on. Browsers read \ as /.
func hostRelative(s string) bool {
	if !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") || strings.Contains(s, `\`) {
		return false
	}
	_, err := url.Parse(s)
	return err == nil // no control characters either
}
