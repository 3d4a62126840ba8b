package ticketstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ticketstore/ticketstore/internal/returnurl"
)

// impersonationLife is how long an impersonation lasts at most, however active.
const impersonationLife = time.Hour

// Impersonate has r's user, an operator, act as t.Subject: it starts a session
// for t, in which [Ticket.Actor] is the operator, puts its key into the cookie,
// and the operator's own into a second one, whose name ends in "-operator".
// [Manager.EndImpersonation] brings the operator back. Whom an operator may
// impersonate is the application's to decide before: guard it with
// RequireRecent and a role, and let nobody become another operator.
//
// The session is t's user's, who sees it in the list and can end it. It lasts an
// hour at most, no longer than the operator's, and is never Persistent; it counts
// towards [RedisConfig].MaxSessions. t is a new ticket; it is treated as by
// SignIn, but that its AuthenticatedAt is cleared. The reason, 1 to 256 bytes of
// valid UTF-8 in one line, stays with the session.
//
// The session is alive for requests that bring both keys, and only while the
// operator's session is, which these requests keep from idling out. Once the
// operator's has ended, the first request ends it, too, with the cause
// operator-signed-out. RequireRecent refuses its requests with 403, as the
// operator cannot prove to be the user. SignIn and SignOut end both.
//
// When it has ended and the operator's has not, requests are anonymous, so that
// nothing that was meant for the user is done as the operator. But the next
// navigation by GET that [Manager.Require] refuses brings the operator back: it is
// answered with their cookie and a redirect to the same page.
//
// It returns ErrNotFound if r is anonymous; ErrConflict if its user impersonates
// already, if its key has been rotated away, if it has keys of several sessions,
// if w sets our cookie already, or as SignIn does; and ErrInvalidTicket for an
// unfit t or reason, such as the operator's own Subject. If it returns an error,
// nothing has changed. Call it before writing to w.
func (m *Manager) Impersonate(w http.ResponseWriter, r *http.Request, t *Ticket, reason string) error {
	if m.store == nil {
		return errZeroManager
	}
	if err := m.checkNew(t); err != nil {
		return err
	}
	res, err := m.resolve(fresh(r))
	if err != nil {
		return err
	}
	op := res.ticket
	if op == nil {
		return res.notFound()
	}
	a := Actor{Subject: op.Subject, SessionID: op.ID, Reason: reason}
	switch {
	case op.impersonated():
		return fmt.Errorf("%w: session %s is an impersonation already", ErrConflict, op.ID)
	case op.Revision == "":
		return fmt.Errorf("%w: session %s: its key has been rotated away", ErrConflict, op.ID)
	case len(m.livePresented(r, res)) > 1:
		return fmt.Errorf("%w: the request has keys of several sessions", ErrConflict)
	case slices.ContainsFunc(cookiesSet(w), m.named):
		return fmt.Errorf("%w: the response sets a session cookie already", ErrConflict)
	case t.used():
		return invalid("it has been in use")
	case t.Subject == op.Subject:
		return invalid("its subject is the operator")
	case len(t.Identities) > 0 && t.Identities[0].Actor != nil:
		return invalid("its first identity has an actor already")
	}
	if err := a.validate(); err != nil {
		return err
	}
	operatorValue, err := m.cookieValue(r, m.operatorCookie, res.key)
	if err != nil {
		return err
	}
	next := t.Clone()
	if len(next.Identities) == 0 {
		next.Identities = []Identity{{}}
	}
	next.Identities[0].Actor = a.identity()
	next.Persistent, next.AuthenticatedAt, next.EndsAt = false, time.Time{}, earlier(t.EndsAt, m.end(op))
	next = m.begin(r, next)
	value, err := m.storeNew(r, next)
	if err != nil {
		return err
	}
	m.writeCookie(w, m.cfg.CookieName, value, 0)
	m.writeCookie(w, m.operatorCookie, operatorValue, m.maxAge(r, op))
	*t = *next
	m.log(r, slog.LevelInfo, "ticketstore: an operator begins to act as a user", "session", t.ID, "operator_session", op.ID)
	m.tell(r, Event{Kind: "impersonated", Subject: t.Subject, SessionID: t.ID, Actor: a.Subject})
	return nil
}

// EndImpersonation ends the session that [Manager.Impersonate] has started, and
// brings the operator back: their key moves to the cookie again, which lasts as
// long as it would have. If the session has ended by itself, it does the rest.
//
// It returns ErrNotFound if r is no impersonation, or if the operator's session
// has ended, too; then both cookies are deleted. If it returns another error, the
// store could not answer, and the cookies stay: answer 503, so that the operator
// tries again. Call it before writing to w, by POST.
func (m *Manager) EndImpersonation(w http.ResponseWriter, r *http.Request) error {
	if m.store == nil {
		return errZeroManager
	}
	res, err := m.resolve(fresh(r))
	if err != nil {
		return err
	}
	op := res.operator
	if op == nil {
		if !m.hasOperator(nil, r) || len(m.livePresented(r, res)) > 0 {
			return res.notFound()
		}
		if op, err = m.left(r, res); err != nil {
			return err
		}
		if op == nil {
			m.writeCookie(w, m.cfg.CookieName, "", -1)
			m.writeCookie(w, m.operatorCookie, "", -1)
			return res.notFound()
		}
		return m.resume(w, r, op, nil)
	}
	return m.resume(w, r, op, func() error {
		r := r.WithContext(WithCause(r.Context(), "impersonation-ended", op.ticket.Subject))
		errs := m.removeAll(r.Context(), res.keys, 1)
		m.unlink(r, res.presented, res.keys, errs)
		m.tellEnded(r, "impersonation-ended", res.presented, res.keys, errs)
		m.log(r, slog.LevelInfo, "ticketstore: an operator no longer acts as a user", "session", res.ticket.ID, "operator_session", op.ticket.ID)
		return errors.Join(slices.DeleteFunc(errs, func(err error) bool { return errors.Is(err, ErrSuperseded) })...)
	})
}

// resume sets the cookies of the operator, once end has not failed.
func (m *Manager) resume(w http.ResponseWriter, r *http.Request, op *resolution, end func() error) error {
	value, err := m.cookieValue(r, m.cfg.CookieName, op.key)
	if err != nil {
		return err
	}
	if end != nil {
		if err := end(); err != nil {
			return err
		}
	}
	m.writeCookie(w, m.cfg.CookieName, value, m.maxAge(r, op.ticket))
	m.writeCookie(w, m.operatorCookie, "", -1)
	return nil
}

// resumes answers r, a browser on its way to a page, if it is anonymous because
// an impersonation has ended, and reports whether it has.
func (m *Manager) resumes(w http.ResponseWriter, r *http.Request) bool {
	res := attached(r.Context()).of(m)
	if res == nil || res.ticket != nil || r.Method != http.MethodGet || !m.hasOperator(nil, r) || !returnurl.Navigates(r) || len(m.livePresented(r, res)) > 0 {
		return false
	}
	op, err := m.left(r, res)
	if err == nil && op == nil {
		return false
	}
	if err == nil {
		err = m.resume(w, r, op, nil)
	}
	if err != nil {
		m.fail(w, r, err)
		return true
	}
	http.Redirect(w, r, m.ownURL(r), http.StatusSeeOther)
	return true
}

// left returns what the operator's cookie of r holds, whose impersonation has
// ended; nil if the operator's session has ended, too.
func (m *Manager) left(r *http.Request, res *resolution) (*resolution, error) {
	if errors.Is(res.why, errTooManyKeys) {
		return nil, nil
	}
	keys, err := m.keys(r, m.operatorCookie, m.cookies(r, m.operatorCookie))
	if errors.Is(err, errTooManyKeys) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	op, err := m.read(r, keys)
	if err != nil || op.ticket == nil || op.ticket.impersonated() {
		return nil, err
	}
	return op, nil
}

// livePresented returns the sessions whose keys r has, and which are live,
// though they may not count.
func (m *Manager) livePresented(r *http.Request, res *resolution) []presented {
	now := m.now(r.Context())
	return slices.DeleteFunc(slices.Clone(res.presented), func(p presented) bool {
		return p.ticket == nil || !now.Before(m.deadline(p.ticket))
	})
}

var (
	errNoOperator    = errors.New("ticketstore: the session is an operator's, whose key is not there")
	errOperatorEnded = errors.New("ticketstore: the session is an operator's, whose own has ended")
)

// readOperator finds the operator of res.ticket, an impersonation, by the key in
// r's second cookie. Without it r is anonymous.
func (m *Manager) readOperator(r *http.Request, res *resolution) error {
	t := res.ticket
	a, ok := t.Actor()
	if !ok || t.SignedInAt.IsZero() {
		err := undecodable(t.ID, "its actor is not as Impersonate writes it")
		m.logRepeated(r, slog.LevelError, "ticketstore: a ticket cannot be read", err.Error(), "error", err)
		m.deny(r, res, "undecodable", err)
		return nil
	}
	keys, err := m.keys(r, m.operatorCookie, m.cookies(r, m.operatorCookie))
	if err != nil && !errors.Is(err, errTooManyKeys) {
		return err
	}
	why, ended := errNoOperator, false
	for _, key := range keys {
		op, err := m.retrieve(r.Context(), key)
		if err == nil && !m.now(r.Context()).Before(m.deadline(op)) && !isFresh(r.Context()) {
			op, err = m.retrieve(fresh(r).Context(), key) // a cache may not know that it was used
		}
		switch {
		case errors.Is(err, ErrSuperseded), errors.Is(err, ErrUndecodable):
			why = fmt.Errorf("%w: %w", errNoOperator, err)
		case errors.Is(err, ErrNotFound):
			if ended, err = m.operatorEnded(r.Context(), a, key); err != nil {
				return err
			}
		case err != nil:
			return err
		case op.ID != a.SessionID || op.Subject != a.Subject || op.impersonated():
		case !m.now(r.Context()).Before(m.deadline(op)):
			ended = true
		default:
			res.operator = &resolution{manager: m, ticket: op, key: key, keys: keys, presented: []presented{{key, op}}}
			return nil
		}
		if ended {
			m.orphaned(r, res, a)
			return nil
		}
	}
	if errors.Is(err, errTooManyKeys) {
		why = err
	}
	m.logRepeated(r, slog.LevelWarn, "ticketstore: a request has the key of an impersonation, but not that of its operator", t.ID, "session", t.ID)
	m.deny(r, res, "no-operator", why)
	return nil
}

// operatorEnded reports whether it is the operator's session that key, which
// opens nothing, was for, as far as the store can say.
func (m *Manager) operatorEnded(ctx context.Context, a Actor, key Key) (bool, error) {
	index, ok := m.store.(SessionIndex)
	if !ok {
		return true, nil
	}
	answer := m.readSession(ctx, index, sessionRef{id: a.SessionID, subject: a.Subject, key: key})
	if errors.Is(answer.err, ErrNotFound) {
		return true, nil
	}
	return false, answer.err
}

// deny makes r, whose session is an impersonation, anonymous.
func (m *Manager) deny(r *http.Request, res *resolution, cause string, why error) {
	for _, e := range m.rejected(nil, cause, res.key, res.ticket, why) {
		m.tell(r, e)
	}
	res.ticket, res.key, res.operator, res.why = nil, "", nil, why
}

// orphaned ends r's session, an impersonation whose operator's has ended.
func (m *Manager) orphaned(r *http.Request, res *resolution, a Actor) {
	r = r.WithContext(WithCause(r.Context(), "operator-signed-out", a.Subject))
	id, keys := res.ticket.ID, []Key{res.key}
	errs := m.removeAll(r.Context(), keys, 1)
	m.unlink(r, res.presented, keys, errs)
	m.tellEnded(r, "operator-signed-out", res.presented, keys, errs)
	if errs[0] != nil { // the next request tries again
		m.logRepeated(r, slog.LevelError, "ticketstore: an impersonation did not end with its operator's session", id, "session", id, "error", errs[0])
	} else {
		res.presented = slices.DeleteFunc(slices.Clone(res.presented), func(p presented) bool { return p.key == keys[0] })
	}
	m.deny(r, res, "no-operator", errOperatorEnded)
}

// useOperator has the operator's ticket used with res.ticket, an impersonation.
func (m *Manager) useOperator(r *http.Request, res *resolution, use func(*http.Request, *resolution)) {
	a := res.ticket.actor()
	if use(r, res.operator); res.operator.ticket == nil { // it has ended since it was read
		m.orphaned(r, res, a)
	}
}

// hasOperator reports whether r, or w if that is not nil, may have the cookie
// with an operator's key.
func (m *Manager) hasOperator(w http.ResponseWriter, r *http.Request) bool {
	has := func(line string) bool { return strings.Contains(line, m.operatorCookie) }
	return slices.ContainsFunc(r.Header["Cookie"], has) || w != nil && slices.ContainsFunc(w.Header()["Set-Cookie"], has)
}

// operatorKeys returns the keys of operators in cookies already set on w, then
// those in r's.
func (m *Manager) operatorKeys(w http.ResponseWriter, r *http.Request) ([]Key, error) {
	if !m.hasOperator(w, r) {
		return nil, nil
	}
	return m.keys(r, m.operatorCookie, append(cookiesSet(w), m.cookies(r, m.operatorCookie)...))
}

// hidesCookies reports whether r may be without cookies of ours that its browser
// has: what another site sends goes without those of SameSite Strict, and of Lax
// unless it is a navigation by GET.
func (m *Manager) hidesCookies(r *http.Request) bool {
	if m.cfg.SameSite == http.SameSiteNoneMode || r.Header.Get("Sec-Fetch-Site") != "cross-site" {
		return false
	}
	return m.cfg.SameSite == http.SameSiteStrictMode || r.Method != http.MethodGet && r.Method != http.MethodHead
}

// operatorIn returns who acts in one of sessions, "" if nobody but its user.
func operatorIn(sessions []presented) string {
	for _, p := range sessions {
		if p.ticket != nil && p.ticket.operator() != "" {
			return p.ticket.operator()
		}
	}
	return ""
}
