package ticketstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ticketstore/ticketstore/internal/clock"
)

// A resolution is what a Manager has found out about a request by its cookies;
// with no manager, what NewContext says. It is the context that carries it, too:
// an allocation less for each request.
type resolution struct {
	context.Context
	manager *Manager
	skipped bool        // by Config.Skip: nothing has been found out
	outer   *resolution // of the Manager around this one

	ticket    *Ticket // nil if anonymous
	key       Key     // of ticket
	keys      []Key   // all that the cookies hold
	presented []presented
	first     [1]presented // what presented begins in: seldom are there more
	why       error        // the request is anonymous, if not because there is no ticket
	operator  *resolution  // what the operator's cookie holds, if ticket is an impersonation

	arrived time.Time
	left    atomic.Pointer[leftMark]
}

// presented is a session that a request has shown the key of.
type presented struct {
	key    Key
	ticket *Ticket // nil if it cannot be read
}

// Resolve returns the ticket of r, read afresh, past any cache, and renews and
// sets nothing.
// It is the decision of Wrap alone: for adapters, gRPC, and open WebSockets,
// which outlive a ticket.
//
// It returns an error that is ErrNotFound if r is anonymous, and ErrUndecodable
// too if that is because its ticket cannot be read. Any other error means that
// the store could not answer.
func (m *Manager) Resolve(r *http.Request) (*Ticket, error) {
	if m.store == nil {
		return nil, errZeroManager
	}
	if res := attached(r.Context()); res != nil && res.manager == nil && res.ticket != nil {
		return res.ticket, nil
	}
	res, err := m.resolve(fresh(r))
	if err != nil {
		return nil, err
	}
	if res.ticket == nil {
		return nil, res.notFound()
	}
	return res.ticket, nil
}

// notFound returns why a request is anonymous.
func (res *resolution) notFound() error {
	if res.why != nil {
		return fmt.Errorf("%w: %w", ErrNotFound, res.why)
	}
	return ErrNotFound
}

var errZeroManager = errors.New("ticketstore: this Manager was not made by NewManager")

func (m *Manager) resolve(r *http.Request) (*resolution, error) {
	cookies := m.cookies(r, m.cfg.CookieName)
	keys, err := m.keys(r, m.cfg.CookieName, cookies)
	if errors.Is(err, errTooManyKeys) {
		m.tell(r, Event{Kind: "rejected", Cause: "too-many-cookies", Err: err})
		m.logRepeated(r, slog.LevelWarn, "ticketstore: a request counts as anonymous", "", "error", err)
		return &resolution{manager: m, why: err}, nil
	}
	if err != nil {
		return nil, err
	}
	if m.cfg.Observer != nil && len(keys) == 0 && slices.ContainsFunc(cookies, m.named) {
		m.tell(r, Event{Kind: "rejected", Cause: "forged"})
	}
	res, err := m.read(r, keys)
	if err == nil && res.ticket != nil && res.ticket.impersonated() {
		err = m.readOperator(r, res)
	}
	if err != nil {
		return nil, err
	}
	return res, nil
}

// named reports whether c is called as ours are.
func (m *Manager) named(c *http.Cookie) bool { return c.Name == m.cfg.CookieName && c.Value != "" }

var errTooManyKeys = fmt.Errorf("ticketstore: the request has more than %d session cookies that are ours: another host plants them", maxKeys)

// cookies returns those of r that the codec looks at for name.
func (m *Manager) cookies(r *http.Request, name string) []*http.Cookie {
	if _, ours := m.cfg.Codec.(secureCodec); ours {
		return r.CookiesNamed(name)
	}
	return r.Cookies()
}

// keys returns the distinct keys in those of cookies that are called name.
func (m *Manager) keys(r *http.Request, name string, cookies []*http.Cookie) ([]Key, error) {
	if m.store == nil {
		return nil, errZeroManager
	}
	if len(cookies) == 0 {
		return nil, nil
	}
	keys, err := m.decode(r.Context(), name, cookies)
	if err != nil {
		return nil, fmt.Errorf("ticketstore: cookie: %w", err)
	}
	if len(keys) < 2 {
		return keys, nil
	}
	var distinct []Key
	for _, k := range keys {
		if slices.Contains(distinct, k) {
			continue
		}
		if len(distinct) == maxKeys {
			return nil, errTooManyKeys
		}
		distinct = append(distinct, k)
	}
	return distinct, nil
}

// read retrieves the tickets of keys and decides which one counts: the first
// that is live, unless another live one is of another subject. Such a pair is
// a cookie tossed from a sibling host, and nothing says which. What may come
// from a cache refuses none.
func (m *Manager) read(r *http.Request, keys []Key) (*resolution, error) {
	var rejected []Event
	res, tossed, err := m.readOnce(r, keys, &rejected)
	if err == nil && res.refuses(tossed) && !isFresh(r.Context()) {
		rejected = nil
		res, tossed, err = m.readOnce(fresh(r), keys, &rejected)
	}
	if err != nil {
		return nil, err
	}
	for _, t := range tossed {
		m.logRepeated(r, slog.LevelWarn, "ticketstore: a request has cookies of two subjects; neither counts",
			res.ticket.ID+" "+t.ID, "sessions", []string{res.ticket.ID, t.ID})
	}
	if tossed != nil {
		for _, t := range append(tossed, res.ticket) {
			rejected = m.rejected(rejected, "two-subjects", "", t, nil)
		}
		res.ticket, res.key = nil, ""
	}
	for _, e := range rejected {
		m.tell(r, e)
	}
	return res, nil
}

// refuses reports whether a ticket that there is does not count.
func (res *resolution) refuses(tossed []*Ticket) bool {
	return tossed != nil ||
		res.ticket == nil && slices.ContainsFunc(res.presented, func(p presented) bool { return p.ticket != nil })
}

// readOnce also returns the live tickets of other subjects than the first one's,
// and appends what else counts for nothing to rejected.
func (m *Manager) readOnce(r *http.Request, keys []Key, rejected *[]Event) (res *resolution, tossed []*Ticket, err error) {
	res = &resolution{manager: m, keys: keys}
	res.presented = res.first[:0]
	now := m.now(r.Context())
	for _, key := range keys {
		t, err := m.retrieve(r.Context(), key)
		switch {
		case errors.Is(err, ErrUndecodable):
			m.logRepeated(r, slog.LevelError, "ticketstore: a ticket cannot be read", err.Error(), "error", err)
			*rejected = m.rejected(*rejected, "undecodable", key, nil, err)
			res.why = err
			res.presented = append(res.presented, presented{key, nil})
			continue
		case errors.Is(err, ErrSuperseded):
			// SignIn and SignOut try it: it may be the last key before this one.
			m.logRepeated(r, slog.LevelWarn, "ticketstore: a key that has been rotated away was used", err.Error(), "error", err)
			*rejected = m.rejected(*rejected, "superseded", key, nil, err)
			res.presented = append(res.presented, presented{key, nil})
			continue
		case errors.Is(err, ErrNotFound):
			*rejected = m.rejected(*rejected, "unknown", key, nil, err)
			continue
		case err != nil:
			return nil, nil, err
		}
		res.presented = append(res.presented, presented{key, t})
		if !now.Before(m.deadline(t)) {
			*rejected = m.rejected(*rejected, "expired", key, t, nil)
			continue
		}
		if res.ticket == nil {
			res.ticket, res.key = t, key
		} else if res.ticket.Subject != t.Subject {
			tossed = append(tossed, t)
		}
	}
	return res, tossed, nil
}

// slide records the use of r's ticket, if that is due and r counts as activity.
func (m *Manager) slide(r *http.Request, res *resolution) {
	if res.operator != nil {
		m.useOperator(r, res, m.slide)
	}
	t := res.ticket
	if t == nil {
		return
	}
	after := m.cfg.RenewAfter
	if idle := m.idleTimeout(t); idle > 0 {
		after = min(after, idle/2)
	}
	if !m.now(r.Context()).Before(t.IssuedAt.Add(after)) && m.cfg.Activity(r) {
		m.renewUsed(r, res)
	}
}

// use renews the ticket of r as used now.
func (m *Manager) use(r *http.Request, res *resolution) {
	if res.operator != nil {
		m.useOperator(r, res, m.use)
	}
	m.renewUsed(r, res)
}

// renewUsed does not renew the ticket of a key that has been rotated away, which
// cannot, nor one whose absolute end cannot be told.
func (m *Manager) renewUsed(r *http.Request, res *resolution) {
	t := res.ticket
	if t == nil || t.Revision == "" || t.SignedInAt.IsZero() {
		return
	}
	ctx := r.Context()
	now := m.now(ctx)
	next := t.Clone()
	next.IssuedAt = now
	if next.SeenFrom = m.device(r); next.SeenFrom == next.Device {
		next.SeenFrom = Device{} // a user agent is a good part of a ticket
	}
	next.ExpiresAt = m.expiry(next)
	err := m.renew(ctx, res.key, next)
	if errors.Is(err, ErrInvalidTicket) && next.SeenFrom != (Device{}) {
		next.SeenFrom = Device{} // there may be no room for it
		err = m.renew(ctx, res.key, next)
	}
	switch {
	case err == nil:
		res.ticket = next
		m.tell(r, Event{Kind: "renewed", Cause: "used", Subject: t.Subject, SessionID: t.ID, Actor: t.operator()})
	case errors.Is(err, ErrConflict):
		// Somebody else has just renewed it: what was read is good.
	case errors.Is(err, ErrNotFound):
		res.ticket, res.key = nil, ""
		m.tell(r, Event{Kind: "rejected", Cause: "unknown", Subject: t.Subject, SessionID: t.ID, Actor: t.operator(), Err: err})
	case hungUp(ctx):
		m.log(r, slog.LevelDebug, "ticketstore: the client hung up", "error", err)
	default:
		m.logRepeated(r, slog.LevelError, "ticketstore: a ticket was not renewed", t.ID, "session", t.ID, "error", err)
	}
}

// The limits of a ticket are its own or the Config's, whichever is stricter.

func (m *Manager) idleTimeout(t *Ticket) time.Duration {
	idle := m.cfg.IdleTimeout
	if t.Persistent {
		idle = m.cfg.PersistentIdleTimeout
	}
	if t.IdleTimeout > 0 && (idle < 0 || t.IdleTimeout < idle) {
		idle = t.IdleTimeout
	}
	return idle
}

func (m *Manager) lifetime(t *Ticket) time.Duration {
	switch {
	case t.impersonated():
		return min(m.cfg.Lifetime, impersonationLife)
	case t.Persistent:
		return m.cfg.PersistentLifetime
	}
	return m.cfg.Lifetime
}

// end returns when t ends, however active; zero if never.
func (m *Manager) end(t *Ticket) time.Time {
	if t.SignedInAt.IsZero() {
		return t.EndsAt
	}
	return earlier(t.EndsAt, t.SignedInAt.Add(m.lifetime(t)))
}

// expiry returns when t expires, given when it was last used; zero if never.
func (m *Manager) expiry(t *Ticket) time.Time {
	end := m.end(t)
	if idle := m.idleTimeout(t); idle > 0 && !t.IssuedAt.IsZero() {
		end = earlier(end, t.IssuedAt.Add(idle))
	}
	return end.Truncate(time.Millisecond)
}

// deadline returns when t is refused, however late it says that it expires.
func (m *Manager) deadline(t *Ticket) time.Time { return earlier(t.ExpiresAt, m.expiry(t)) }

// earlier returns the earlier of two times; zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func (m *Manager) device(r *http.Request) Device {
	return Device{UserAgent: r.UserAgent(), Addr: m.cfg.ClientAddr(r)}.capped()
}

func (m *Manager) now(ctx context.Context) time.Time {
	return clock.Now(ctx).UTC().Truncate(time.Millisecond)
}

// Each call to the store has its own StoreTimeout.

func (m *Manager) storeContext(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, m.cfg.StoreTimeout)
}

func (m *Manager) retrieve(ctx context.Context, key Key) (*Ticket, error) {
	ctx, cancel := m.storeContext(ctx)
	defer cancel()
	began := m.start()
	t, err := m.store.Retrieve(ctx, key)
	if err == nil && t.Subject == "" {
		t, err = nil, undecodable(t.ID, "the store has not set its subject")
	}
	e := Event{Call: "Retrieve", SessionID: m.sessionID(key), Err: err}
	if err == nil {
		e.Subject, e.SessionID = t.Subject, t.ID
	}
	m.called(ctx, began, e)
	return t, err
}

func (m *Manager) renew(ctx context.Context, key Key, t *Ticket) error {
	ctx, cancel := m.storeContext(ctx)
	defer cancel()
	began := m.start()
	err := m.store.Renew(ctx, key, t)
	m.called(ctx, began, Event{Call: "Renew", Subject: t.Subject, SessionID: t.ID, Err: err})
	return err
}

// remove goes on if the client hangs up: half a sign-out is none.
func (m *Manager) remove(ctx context.Context, key Key) error {
	ctx, cancel := m.storeContext(context.WithoutCancel(ctx))
	defer cancel()
	began := m.start()
	err := m.store.Remove(ctx, key)
	m.called(ctx, began, Event{Call: "Remove", SessionID: m.sessionID(key), Err: err})
	return err
}
