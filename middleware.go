package ticketstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/ticketstore/ticketstore/internal/clock"
	"github.com/ticketstore/ticketstore/internal/recent"
	"github.com/ticketstore/ticketstore/internal/redischeck"
)

// A Manager connects a [TicketStore] to HTTP requests. It is safe for
// concurrent use. Make one with [NewManager]; the zero value fails closed: it
// answers every request as if the store were out.
//
// Two Managers may serve one request, say for customers and for staff. Their
// cookie names must differ; [FromContext] returns the inner one's ticket.
type Manager struct {
	store   TicketStore
	cfg     Config
	repeats repeats
	live    lives

	operatorCookie string // the name of the cookie that an impersonation puts the operator's key in
}

// NewManager returns a Manager that keeps tickets in store. If an argument is
// unfit, the error names every problem found. Changes to cfg afterwards have
// no effect.
func NewManager(store TicketStore, cfg Config) (*Manager, error) {
	m := &Manager{store: store, cfg: cfg.withDefaults()}
	var errs []error
	if redischeck.IsNil(store) {
		errs = append(errs, errors.New("store: it is nil"))
	}
	if err := errors.Join(append(errs, m.cfg.validate(cfg))...); err != nil {
		return nil, fmt.Errorf("ticketstore: invalid Manager: %w", err)
	}
	m.operatorCookie = m.cfg.CookieName + "-operator"
	return m, nil
}

// Wrap returns a handler that puts the ticket of each request, if it has one,
// in the request's context and calls next; see [FromContext]. It first renews
// the ticket if that is due. Requests without a ticket pass: see
// [Manager.Require].
//
// If the store cannot answer, next is not called; see [Config].ErrorHandler. A
// request without a cookie of ours never reaches the store, and neither does one
// that [Config].Skip is true for.
//
// The ResponseWriter that next gets is the one that came in: Flush, Hijack and
// [http.ResponseController] work as if Wrap were not there.
func (m *Manager) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if m.skips(r) {
			next.ServeHTTP(w, skipped(m, r))
		} else if r, ok := m.attach(w, r); ok {
			next.ServeHTTP(w, r)
		}
	})
}

// skips reports whether Wrap reads nothing for r. What has been read already
// costs nothing more.
func (m *Manager) skips(r *http.Request) bool {
	return m.cfg.Skip != nil && attached(r.Context()).of(m) == nil && m.cfg.Skip(r)
}

// skipped returns r as anonymous, also if a Manager around m has a ticket for
// it, with which a handler of m's users would have the wrong one.
func skipped(m *Manager, r *http.Request) *http.Request {
	ctx := r.Context()
	return r.WithContext(&resolution{Context: ctx, manager: m, skipped: true, outer: attached(ctx), arrived: clock.Now(ctx)})
}

// Require returns a handler that calls next for requests with a ticket only.
// It sends a browser's navigation to [Config].LoginPath, if that is set, and
// answers 401 Unauthorized to anything else; see [Config].ErrorHandler.
// It includes Wrap, but for [Config].Skip; within Wrap of the same Manager it
// costs nothing more.
//
// A form that is sent after its session has ended goes to LoginPath, too, with
// the form's page as ReturnUrl and, so that the login page can say what
// happened to the user's input, the parameter ended=1.
func (m *Manager) Require(next http.Handler) http.Handler {
	return m.require(next, func(context.Context, *Ticket) bool { return true })
}

// RequireRecent is Require for what demands that the user proved who they are
// less than maxAge ago, by [Ticket].AuthenticatedAt, such as a change of
// password. It sends a browser's navigation to [Config].LoginPath with the
// parameter reauth=1, so that a login page that sends signed-in users back can
// tell, and answers 403 Forbidden to anything else, and to all requests of an
// impersonation: see [Manager.Impersonate]. By a key that has been rotated away
// nothing changes: the answer is 409 Conflict to all but GET, HEAD and OPTIONS.
// After it, sign in with [Manager.SignIn]: Rotate is no sign-in. From an OpenID Connect provider,
// demand prompt=login or a max_age of at most maxAge then, or its single
// sign-on sends the user round in circles.
func (m *Manager) RequireRecent(maxAge time.Duration, next http.Handler) http.Handler {
	return m.require(m.refuseReadOnly(next), func(ctx context.Context, t *Ticket) bool {
		return !t.impersonated() && clock.Now(ctx).Sub(recent.At(t.AuthenticatedAt, t.SignedInAt)) < maxAge
	})
}

// refuseReadOnly returns a handler that calls next, but not to change something
// by a key that has been rotated away: whoever has kept it may be somebody else.
func (m *Manager) refuseReadOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		res := attached(r.Context()).of(m)
		if res != nil && res.manager == m && res.ticket.Revision == "" && !slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodOptions}, r.Method) {
			m.answer(w, r, http.StatusConflict, fmt.Errorf("%w: session %s: its key has been rotated away", ErrConflict, res.ticket.ID))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (m *Manager) require(next http.Handler, enough func(context.Context, *Ticket) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r, ok := m.attach(w, r)
		if !ok {
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		t, signedIn := FromContext(r.Context())
		if signedIn && enough(r.Context(), t) {
			next.ServeHTTP(w, r)
			return
		}
		if signedIn && t.impersonated() { // at the login page the operator could prove only who they are
			m.answer(w, r, http.StatusForbidden, errImpersonated)
			return
		}
		if signedIn {
			m.refuse(w, r, http.StatusForbidden, errNotRecent, "reauth")
			return
		}
		ended := ""
		if len(attached(r.Context()).keys) > 0 && r.Method == http.MethodPost {
			ended = "ended"
		}
		m.refuse(w, r, http.StatusUnauthorized, ErrNotFound, ended)
	})
}

// attach returns r with its ticket in its context. If the store could not
// answer, it has answered r and returns false.
func (m *Manager) attach(w http.ResponseWriter, r *http.Request) (*http.Request, bool) {
	if m.store == nil {
		m.fail(w, r, errZeroManager)
		return nil, false
	}
	outer := attached(r.Context())
	res := outer.of(m)
	if res != nil && res == outer {
		return r, true
	}
	if !slices.Contains(w.Header().Values("Vary"), "Cookie") {
		w.Header().Add("Vary", "Cookie")
	}
	if res != nil {
		res = &resolution{manager: res.manager, ticket: res.ticket, key: res.key, keys: res.keys, presented: res.presented, why: res.why, operator: res.operator}
	} else {
		var err error
		if res, err = m.resolve(r); err != nil {
			m.fail(w, r, err)
			return nil, false
		}
		m.slide(r, res)
	}
	res.Context, res.outer, res.arrived = r.Context(), outer, clock.Now(r.Context())
	return r.WithContext(res), true
}

// hungUp reports whether ctx has ended as net/http ends it when the client
// goes. Whoever else cancels requests can give a cause, as
// [signal.NotifyContext] does.
func hungUp(ctx context.Context) bool { return context.Cause(ctx) == context.Canceled }

func (m *Manager) log(r *http.Request, level slog.Level, msg string, args ...any) {
	m.logContext(r.Context(), level, msg, args...)
}

func (m *Manager) logContext(ctx context.Context, level slog.Level, msg string, args ...any) {
	logger := m.cfg.Logger
	if logger == nil {
		logger = slog.Default()
	}
	logger.Log(ctx, level, msg, args...)
}

// logRepeated logs what every request with the same sessions would log, once a
// minute for them, with the number of times that it has not since.
func (m *Manager) logRepeated(r *http.Request, level slog.Level, msg, sessions string, args ...any) {
	if unlogged, ok := m.repeats.due(msg+" "+sessions, m.now(r.Context())); ok {
		m.log(r, level, msg, append(args, "unlogged", unlogged)...)
	}
}

type contextKey struct{}

// Value implements [context.Context].
func (res *resolution) Value(key any) any {
	if key == (contextKey{}) {
		return res
	}
	return res.Context.Value(key)
}

// attached returns the resolution of the innermost Manager, nil if there is
// none.
func attached(ctx context.Context) *resolution {
	res, _ := ctx.Value(contextKey{}).(*resolution)
	return res
}

// outermost returns the resolution that was the first for its request.
func (res *resolution) outermost() *resolution {
	for res != nil && res.outer != nil {
		res = res.outer
	}
	return res
}

// of returns the resolution that holds for m, the innermost first.
func (res *resolution) of(m *Manager) *resolution {
	for ; res != nil; res = res.outer {
		if (res.manager == m || res.manager == nil) && !res.skipped {
			return res
		}
	}
	return nil
}

// FromContext returns the ticket of the request that ctx belongs to, as the
// request arrived with it, and whether it has one. The ticket is shared:
// [Ticket.Clone] it to change it.
//
// ctx is the context of a request that came through [Manager.Wrap] or Require;
// any other has no ticket.
func FromContext(ctx context.Context) (t *Ticket, ok bool) {
	res := attached(ctx)
	if res == nil || res.ticket == nil {
		return nil, false
	}
	return res.ticket, true
}

// NewContext returns a copy of ctx in which every Manager finds t: for tests
// of handlers, and for users whom the program knows by other means, as while it
// moves from another session library. There is no session behind t: Renew
// returns ErrNotFound, and Sessions and RevokeAll act on those that t.Subject
// has in the store. RequireRecent goes by t.AuthenticatedAt or SignedInAt: set
// one.
func NewContext(ctx context.Context, t *Ticket) context.Context {
	return &resolution{Context: ctx, ticket: t}
}
