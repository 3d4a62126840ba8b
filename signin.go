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
	"github.com/ticketstore/ticketstore/internal/unsent"
)

// SignIn starts a session for t.Subject and sets its cookie on w. The key is
// always new, and every session whose key r presents ends, once the new one is
// there: a key planted before sign-in is worthless after it. Signing in again
// is also how a user re-authenticates.
//
// It sets the ID, Revision and times of t, its SeenFrom, and its Device if that
// is zero. EndsAt and IdleTimeout, if set, are kept where they are stricter
// than [Config]; clear the EndsAt of a ticket that has been in use, or its old
// end stands. AuthenticatedAt is kept if t is a new ticket, where a time in the
// future counts as now; that of a ticket that has been in use is cleared, as
// its user has signed in once more, and so is its LinkedAt.
//
// It returns ErrConflict if the subject's sessions were revoked after r had
// arrived at [Manager.Wrap], but not by r: the account was disabled, or the
// password changed. Answer 409, or send the user to sign in again.
//
// Call it before writing to w. If it returns an error, it has set no cookie, and
// nothing has ended. It returns one if r has more than 16 distinct keys, which no
// browser has by itself: they cannot all be ended; and one if r's context has
// ended, as then nobody gets the cookie. If the store cannot end an old session,
// tried twice, the user is signed in all the same, and that is logged: the old
// session is in the list.
func (m *Manager) SignIn(w http.ResponseWriter, r *http.Request, t *Ticket) error {
	if err := m.checkNew(t); err != nil {
		return err
	}
	keys, old, err := m.allPresented(w, r)
	if err != nil {
		return err
	}
	next := m.begin(r, t)
	// An old session of the same subject does not count towards a cap.
	next.ID = ""
	for _, p := range old {
		if next.ID == "" && p.ticket != nil && p.ticket.Subject == t.Subject {
			next.ID = p.ticket.ID
		}
	}
	value, err := m.storeNew(r, next)
	if err != nil {
		return err
	}
	errs := m.removeAll(WithCause(r.Context(), "replaced", operatorIn(old)), keys, 2)
	if err := errors.Join(errs...); err != nil {
		m.log(r, slog.LevelError, "ticketstore: a sign-in did not end an old session", "session", next.ID, "error", err)
	}
	m.writeCookie(w, m.cfg.CookieName, value, m.maxAge(r, next))
	if m.hasOperator(w, r) || m.hidesCookies(r) {
		m.writeCookie(w, m.operatorCookie, "", -1)
	}
	*t = *next
	m.unlink(r, old, keys, errs)
	m.tellEnded(r, "replaced", old, keys, errs)
	m.tell(r, Event{Kind: "signed-in", Subject: t.Subject, SessionID: t.ID})
	return nil
}

// checkNew returns why no session may begin with t.
func (m *Manager) checkNew(t *Ticket) error {
	if err := t.validate(); err != nil {
		return err
	}
	if t.impersonated() {
		return invalid("its actor is one of Impersonate, which alone begins an impersonation")
	}
	if _, ok := m.store.(LinkIndex); !ok && len(t.Links) > 0 {
		return fmt.Errorf("ticketstore: sign in: %T is no LinkIndex, and the ticket has Links: %w", m.store, errors.ErrUnsupported)
	}
	return nil
}

// begin returns t as a session that r begins has it.
func (m *Manager) begin(r *http.Request, t *Ticket) *Ticket {
	next := t.Clone()
	now := m.now(r.Context())
	next.IssuedAt, next.began = now, clock.Now(r.Context())
	if res := attached(r.Context()).outermost(); res != nil && !res.arrived.IsZero() {
		next.began = res.arrived
	}
	next.SignedInAt = next.began.UTC().Truncate(time.Millisecond)
	next.AuthenticatedAt = authenticatedAt(t, now)
	if t.used() {
		next.LinkedAt = time.Time{}
	}
	next.LinkedAt = next.LinkedAt.Truncate(time.Millisecond)
	next.EndsAt = m.end(next).Truncate(time.Millisecond)
	if next.IdleTimeout > m.idleTimeout(t) {
		next.IdleTimeout = 0
	}
	next.ExpiresAt = m.expiry(next)
	next.SeenFrom = Device{}
	if next.Device == (Device{}) {
		next.Device = m.device(r)
	}
	next.Device = next.Device.capped()
	return next
}

// storeNew stores the ticket of a new session and returns the value of its
// cookie. If it returns an error, there is no session.
func (m *Manager) storeNew(r *http.Request, t *Ticket) (value string, err error) {
	key, err := m.storeTicket(r.Context(), t)
	t.began = time.Time{}
	if err != nil {
		return "", err
	}
	value, err = m.cookieValue(r, m.cfg.CookieName, key)
	if err == nil {
		err = r.Context().Err() // under http.TimeoutHandler, say: the answer is lost
	}
	if err != nil {
		return "", errors.Join(err, m.remove(WithCause(r.Context(), "undelivered", ""), key))
	}
	return value, nil
}

// used reports whether t has been in use.
func (t *Ticket) used() bool { return t.ID != "" || t.Revision != "" }

// authenticatedAt returns what a sign-in at now keeps of t's AuthenticatedAt. A
// ticket that has been in use has an old one: with it, RequireRecent would send
// the user to sign in again and again.
func authenticatedAt(t *Ticket, now time.Time) time.Time {
	if t.AuthenticatedAt.IsZero() || t.used() {
		return time.Time{}
	}
	return earlier(now, t.AuthenticatedAt.UTC().Truncate(time.Millisecond))
}

// Renew changes the claims, properties or limits of the session that r has:
// it reads the ticket afresh, applies change and writes it back. Key and times
// stay. It returns the ticket as it is now; the one in r's context stays what
// it was.
//
// If somebody else changed the ticket meanwhile, that is repeated, at most five
// times. So change may run again, even after it took effect: it does no I/O
// and depends on nothing but its argument. It must not change ID, Subject,
// Persistent, Links, the [Actor], a device or a time, but that it may make EndsAt earlier or
// IdleTimeout shorter; else the error is ErrInvalidTicket. Its argument has
// Properties that it can write to. An error of change is returned as it is, and
// nothing is written; nor is anything if it panics.
//
// It returns ErrNotFound if r has no live session, as after SignIn on the same
// request, and ErrConflict if the key has been rotated away or others kept
// changing the ticket.
func (m *Manager) Renew(r *http.Request, change func(*Ticket) error) (*Ticket, error) {
	if m.store == nil {
		return nil, errZeroManager
	}
	res := attached(r.Context()).of(m)
	if res == nil {
		var err error
		if res, err = m.resolve(r); err != nil {
			return nil, err
		}
	}
	t, err := m.update(r, res.key, change, func(t *Ticket) error {
		return m.renew(r.Context(), res.key, t)
	})
	if err == nil {
		m.tell(r, Event{Kind: "renewed", Cause: "changed", Subject: t.Subject, SessionID: t.ID, Actor: t.operator()})
	}
	return t, err
}

// Rotate is Renew for a change of privilege: the session stays, with its ID,
// and gets a new key, whose cookie it sets on w. Once a request has brought the
// new key, the old one reads for [Config].RotateGrace, for requests under way.
// If none does within that time, the response has been lost, and the old key is
// good for everything again. So until then it protects nothing: redirect after
// Rotate. If change is nil, only the key changes. After a change of password, call
// [Manager.RevokeOthers] before it.
//
// It returns [errors.ErrUnsupported] if the store is no [KeyRotator]. Call it
// before writing to w.
func (m *Manager) Rotate(w http.ResponseWriter, r *http.Request, change func(*Ticket) error) (*Ticket, error) {
	if m.store == nil {
		return nil, errZeroManager
	}
	rotator, ok := m.store.(KeyRotator)
	if !ok {
		return nil, fmt.Errorf("ticketstore: rotate: %T is no KeyRotator: %w", m.store, errors.ErrUnsupported)
	}
	// First the key that this response sets: it has not arrived anywhere.
	keys, err := m.keys(r, m.cfg.CookieName, cookiesSet(w))
	if err != nil {
		return nil, err
	}
	res, err := m.read(unsentKeys(fresh(r)), keys)
	if err != nil {
		return nil, err
	}
	if res.ticket != nil {
		r = unsentKeys(r)
	} else if res, err = m.resolve(fresh(r)); err != nil {
		return nil, err
	} else if errors.Is(res.why, errTooManyKeys) {
		return nil, res.why
	}
	var key Key
	t, err := m.update(r, res.key, change, func(t *Ticket) (err error) {
		ctx, cancel := m.storeContext(r.Context())
		defer cancel()
		began := m.start()
		key, err = rotator.Rotate(ctx, res.key, t, m.cfg.RotateGrace)
		m.called(ctx, began, Event{Call: "Rotate", Subject: t.Subject, SessionID: t.ID, Err: err})
		return err
	})
	if err != nil {
		return nil, err
	}
	value, err := m.cookieValue(r, m.cfg.CookieName, key)
	if err == nil {
		m.writeCookie(w, m.cfg.CookieName, value, m.maxAge(r, t))
		m.tell(r, Event{Kind: "rotated", Subject: t.Subject, SessionID: t.ID, Actor: t.operator()})
	}
	return t, err
}

// unsentKeys returns a copy of r for calls to the store with keys that the
// response of r sets.
func unsentKeys(r *http.Request) *http.Request {
	return r.WithContext(unsent.NewContext(r.Context()))
}

const maxConflicts = 5

func (m *Manager) update(r *http.Request, key Key, change, write func(*Ticket) error) (*Ticket, error) {
	if key == "" {
		return nil, ErrNotFound
	}
	for conflicts := 0; ; conflicts++ {
		t, err := m.retrieve(fresh(r).Context(), key)
		if err != nil {
			return nil, err
		}
		if !m.now(r.Context()).Before(m.deadline(t)) {
			return nil, ErrNotFound
		}
		if t.Revision == "" {
			return nil, fmt.Errorf("%w: session %s: its key has been rotated away", ErrConflict, t.ID)
		}
		next := t.Clone()
		if change != nil {
			if next.Properties == nil {
				next.Properties = map[string]string{} // for change to write to
			}
			if err := change(next); err != nil {
				return nil, err
			}
			if len(next.Properties) == 0 {
				next.Properties = nil
			}
		}
		if err := checkChange(t, next); err != nil {
			return nil, err
		}
		next.EndsAt = next.EndsAt.Truncate(time.Millisecond)
		next.ExpiresAt = earlier(t.ExpiresAt, m.expiry(next))
		err = write(next)
		if err == nil {
			return next, nil
		}
		if !errors.Is(err, ErrConflict) || conflicts == maxConflicts {
			return nil, err
		}
	}
}

// checkChange reports what a change of a session may not do.
func checkChange(old, next *Ticket) error {
	switch {
	case next.ID != old.ID, next.Subject != old.Subject, next.Persistent != old.Persistent,
		next.Revision != old.Revision, next.Device != old.Device, next.SeenFrom != old.SeenFrom:
		return invalid("session %s: its ID, Subject, Persistent, Revision and devices cannot change", old.ID)
	case next.impersonated() != old.impersonated(), next.actor() != old.actor():
		return invalid("session %s: who acts in it cannot change", old.ID)
	case !slices.Equal(next.Links, old.Links), !next.LinkedAt.Equal(old.LinkedAt):
		return invalid("session %s: its Links and LinkedAt cannot change", old.ID)
	case !next.SignedInAt.Equal(old.SignedInAt), !next.AuthenticatedAt.Equal(old.AuthenticatedAt),
		!next.IssuedAt.Equal(old.IssuedAt), !next.ExpiresAt.Equal(old.ExpiresAt):
		return invalid("session %s: SignedInAt, AuthenticatedAt, IssuedAt and ExpiresAt cannot change", old.ID)
	case !old.EndsAt.IsZero() && !earlier(next.EndsAt, old.EndsAt).Equal(next.EndsAt):
		return invalid("session %s: EndsAt cannot become later", old.ID)
	case old.IdleTimeout > 0 && (next.IdleTimeout == 0 || next.IdleTimeout > old.IdleTimeout):
		return invalid("session %s: IdleTimeout cannot become longer", old.ID)
	}
	return nil
}

func (m *Manager) storeTicket(ctx context.Context, t *Ticket) (Key, error) {
	ctx, cancel := m.storeContext(ctx)
	defer cancel()
	began := m.start()
	key, err := m.store.Store(ctx, t)
	m.called(ctx, began, Event{Call: "Store", Subject: t.Subject, SessionID: m.sessionID(key), Err: err})
	return key, err
}

// allPresented returns the keys in a cookie already set on w and in r's, and of an
// operator, and which of them have sessions. Those of the others may have: what has expired by
// this clock may live by that of another process.
func (m *Manager) allPresented(w http.ResponseWriter, r *http.Request) ([]Key, []presented, error) {
	keys, err := m.keys(r, m.cfg.CookieName, cookiesSet(w))
	if err != nil {
		return nil, nil, err
	}
	set, err := m.read(unsentKeys(r), keys)
	if err != nil {
		return nil, nil, err
	}
	res := attached(r.Context()).of(m)
	if res == nil || res.manager != m { // NewContext knows of no cookie
		if res, err = m.resolve(r); err != nil {
			return nil, nil, err
		}
	}
	if errors.Is(res.why, errTooManyKeys) {
		return nil, nil, res.why
	}
	operators, err := m.operatorKeys(w, r)
	if err != nil {
		return nil, nil, err
	}
	if keys == nil && operators == nil {
		return res.keys, res.presented, nil
	}
	op, err := m.read(unsentKeys(r), operators)
	if err != nil {
		return nil, nil, err
	}
	return slices.Concat(set.keys, res.keys, op.keys), slices.Concat(set.presented, res.presented, op.presented), nil
}

// cookiesSet returns the cookies that w sets.
func cookiesSet(w http.ResponseWriter) []*http.Cookie {
	var cookies []*http.Cookie
	for _, line := range w.Header().Values("Set-Cookie") {
		if c, err := http.ParseSetCookie(line); err == nil && c.Value != "" {
			cookies = append(cookies, c)
		}
	}
	return cookies
}
