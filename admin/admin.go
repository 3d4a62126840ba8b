// Package admin is the operator's pages: how many users are signed in, all
// sessions, those of one user, and those from a device, a network or a time, all
// of which the operator ends; and all sessions that have ended, and why. It is
// an [http.Handler], works without JavaScript, and speaks JSON, too.
//
// Who is an operator, the application says. It needs to know who asks, and
// should ask for a sign-in that is recent:
//
//	operator := func(r *http.Request) bool {
//		t, ok := ticketstore.FromContext(r.Context())
//		return ok && t.HasRole("admin")
//	}
//	h, err := admin.New(store, operator, admin.Config{})
//	if err != nil {
//		return err
//	}
//	h = http.StripPrefix("/admin/sessions", h)
//	mux.Handle("/admin/sessions/", manager.RequireRecent(15*time.Minute, h))
//
// It takes any path, since all its links and forms are relative. StripPrefix
// is given the path without the slash at its end; at "/" none is needed. Do
// not forget [ticketstore.Manager.Require] or RequireRecent: outside of them no
// request has a ticket.
//
// # Requests
//
// GET shows and changes nothing; it answers JSON to Accept: application/json.
// What changes something is POST, from a form of the pages, or DELETE:
//
//	GET /                         {"counts":{...},"sessions":[...],"next":"..."}
//	GET /?cursor=…                the page that next names
//	GET /?find=ali                {"users":[{"subject":"alice","name":"Alice","sessions":2}]}, see Config.Find
//	GET /?subject=alice           {"subject":"alice","name":"Alice","sessions":[...],"ended":[...],"found":2}
//	GET /?subject=alice&sure=all  asks whether all of these are to end
//	GET /?subject=alice&cause=idle&since=2026-11-20&before=2026-11-28  only these of what has ended
//	GET /?device=firefox&network=203.0.113.0/24&since=…&before=…  only these of all sessions
//	GET /?ended=all&cause=…&since=…&before=…  {"ended":[...],"next":"..."}
//	POST /                        with the fields subject and revoke: a session ID or "all"
//	POST /                        what a filter lets through, by a form that says first what that is
//	DELETE /?subject=alice&session=ID  ends one session: 204, or 404 if it is not hers
//	DELETE /?subject=alice        ends all: {"revoked":3}
//
// Each session is a [Row], each that has ended an [Ended]: with a store that has
// RedisStore's History and EndingPage, and remembers them; found is how many of
// these a user has. With a [Filter], a page looks at up to 20,000 sessions for as
// many as it has room for. So it may have few, or none, though next goes on; it
// may have some more than that, too. A form that ends what a filter lets through
// looks at 100,000 and ends 5,000, and then asks for the others. For all there
// are, there is RevokeEverybody.
//
// A store lists the sessions of all users in an order that is cheap, and no
// person's: RedisStore by partition, and there by expiry. So only within a page
// are a user's sessions together, the last used first, and the user who was there
// last comes first; some of them may be on another page. A user's own page has
// them all. Pages lead back by the way that led to them, up to 20 pages.
//
// Whoever is no operator gets 403, whatever is asked. So do other sites'
// requests, see [http.CrossOriginProtection]. If the store cannot answer, the
// answer is 503. Errors are pages with a way on, or {"error":"…"} where JSON is
// asked for and to DELETE. Who ended whose sessions is logged.
//
// The pages show session IDs, which are no secret, and never a key. Names of
// users, what clients say of themselves and why an operator acts as a user are
// hostile text: they are shown without hidden characters, and escaped. Subjects
// and what was searched for are in the addresses of pages, and so in access logs.
package admin

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/netip"
	"reflect"
	"time"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/ui"
)

// A Store is what the pages need. [ticketstore.RedisStore] is one, and says
// what Count and SessionPage return.
type Store interface {
	ticketstore.SessionIndex
	Count(ctx context.Context) (ticketstore.Counts, error)
	SessionPage(ctx context.Context, cursor string, limit int) (sessions []ticketstore.Session, next string, err error)
}

// Config configures the handler. The zero value is meant for production.
type Config struct {
	_ [0]func() // no comparison, no unkeyed literals

	// Locate names the place of an address, such as "Lisbon, Portugal", or
	// returns "". It is called for each address on a page, by requests in
	// parallel: look it up in memory. If nil, no places are shown.
	Locate func(netip.Addr) string

	// Name returns what people are called, by subject, so that numbers and UUIDs
	// become a list of people. It is called once for each page, by requests in
	// parallel, with the subjects on it, each once. Those who ended sessions are
	// among them, and so may be whatever [ticketstore.WithCause] was given: leave
	// out what you do not know. If it fails, that is logged, and the subjects
	// stand alone.
	Name func(ctx context.Context, subjects []string) (map[string]string, error)

	// Find returns the subjects of the users whom an operator may mean by query,
	// such as part of a name or an e-mail address, best first; 50 are used. If
	// nil, or if it finds nobody or fails, the query is a subject.
	Find func(ctx context.Context, query string) (subjects []string, err error)

	// PageSize is how many sessions of all users are on a page, at most 1,000;
	// with a filter, about as many. If zero, 50. A user's sessions are all on
	// one, but for those that have ended, of which as many are shown.
	PageSize int

	// StoreTimeout bounds each call to the store, to Name and to Find. If zero, 2
	// seconds.
	StoreTimeout time.Duration

	// TrustedOrigins are origins, "https://app.example.com", whose pages may
	// end sessions besides the handler's own.
	TrustedOrigins []string

	// Text replaces the English of the pages. Its empty fields stay English.
	Text Text

	// Words returns the text of r's page, in the language of its reader. Its
	// empty fields are those of Text. If nil, Text holds for all.
	Words func(r *http.Request) Text

	// Site returns what the application has to say about r's page. If nil,
	// nothing. As Words, it is called by requests in parallel, also by those of
	// nobody who is an operator.
	Site func(r *http.Request) Site

	// Template replaces the pages, with a layout of the application around
	// Page.Content or with pages of its own. It is executed with a [Page], and
	// by New with some for trial. If nil, a built-in one.
	//
	// The Content-Security-Policy lets it load styles, scripts, images and fonts
	// from its own site, and its scripts connect to that. It admits nothing
	// inline but what Page.Head has.
	Template *template.Template

	// Logger gets who ended which sessions, and outages of the store. If nil,
	// slog.Default.
	Logger *slog.Logger

	// Observer is told which sessions operators have ended, with the cause
	// "revoked-by-operator": give it that of [ticketstore.Config]. Its
	// context is the operator's request's.
	Observer func(context.Context, ticketstore.Event)
}

const maxPageSize = 1000 // RedisStore.SessionPage's

// New returns the handler of store's sessions. authorize says whether a request
// is an operator's; it is asked before anything else is done, by requests in
// parallel. If an argument is unfit, the error names every problem found.
// Changes to cfg afterwards have no effect.
func New(store Store, authorize func(*http.Request) bool, cfg Config) (http.Handler, error) {
	h := &handler{store: store, cfg: cfg.withDefaults()}
	h.Responder = ui.Responder{
		Package: "admin", Template: cfg.Template, BuiltIn: content(), Logger: cfg.Logger,
		Words: h.wordsFor, Notice: h.noticePage, Leave: "/",
	}
	protection := http.NewCrossOriginProtection()
	var errs []error
	if v := reflect.ValueOf(store); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		errs = append(errs, ui.Problem("store", "it is nil"))
	}
	if authorize == nil {
		errs = append(errs, ui.Problem("authorize", "it is nil: everybody would be an operator"))
	}
	errs = append(append(errs, h.validate()...), ui.Trust(protection, h.cfg.TrustedOrigins)...)
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("admin: invalid handler: %w", err)
	}
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.Refuse(w, r, ui.CrossSite, ui.Notice{})
	}))
	next := protection.Handler(http.HandlerFunc(h.serve))
	return ui.Guard(style(), cfg.Template != nil, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !authorize(r) {
			h.Refuse(w, r, ui.Forbidden, ui.Notice{})
			return
		}
		next.ServeHTTP(w, r)
	})), nil
}

func (c Config) withDefaults() Config {
	c.Text = ui.Fill(c.Text, english())
	if c.PageSize == 0 {
		c.PageSize = 50
	}
	if c.StoreTimeout == 0 {
		c.StoreTimeout = 2 * time.Second
	}
	return c
}

// validate returns every problem of h's configuration.
func (h *handler) validate() (errs []error) {
	if h.cfg.PageSize < 0 || h.cfg.PageSize > maxPageSize {
		errs = append(errs, ui.Problem("PageSize", "%d is not in 1 to %d", h.cfg.PageSize, maxPageSize))
	}
	if h.cfg.StoreTimeout < 0 {
		errs = append(errs, ui.Problem("StoreTimeout", "%v is negative", h.cfg.StoreTimeout))
	}
	words := ui.WordsOf(h.cfg.Text)
	if err := words.Validate(); err != nil {
		return append(errs, err)
	}
	if err := h.try(); err != nil {
		return append(errs, err)
	}
	return errs
}
