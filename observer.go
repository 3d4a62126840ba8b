package ticketstore

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"time"
)

// An Event is what a [Manager] has just done or refused, for logs, metrics and
// traces. It has no key and no value of a cookie or claim. Fields that do not
// apply, or are not known, are zero.
//
//	Kind       Cause
//	signed-in
//	impersonated
//	ended      replaced (by a sign-in over it), signed-out, revoked or, of these
//	           two, what WithCause says; revoked-by-operator (by package admin);
//	           impersonation-ended, operator-signed-out (see Ending)
//	renewed    used (a request recorded its last use), changed (by Manager.Renew)
//	rotated
//	rejected   forged (no cookie is ours, or its key has left CookieKeys),
//	           unknown (the session has ended, or never was),
//	           expired (by Config and our clock, though the store has it),
//	           superseded, undecodable (see the errors of that name),
//	           no-operator (an impersonation without its operator's key),
//	           two-subjects (of two users; neither counts),
//	           too-many-cookies
//	called     none (the store answered, perhaps with ErrNotFound), failed,
//	           abandoned (the client hung up before the answer)
//
// There will be others: ignore a Kind that you do not know.
//
// What is rejected is told for each key, but once for all forged cookies, and
// by each request again that has it. Whoever likes can send such requests, so
// count them rather than log them. Sessions that expire, or give way to
// [RedisConfig].MaxSessions, are not told here, nor is what the program itself
// revokes in the store: [RedisStore.Endings] tells those, too, and each ending
// once, where two that end one session at the same moment both tell.
type Event struct {
	Kind  string
	Cause string

	Subject   string
	SessionID string

	// Actor is the operator who acts as Subject, of what an impersonated session
	// does and of its beginning and end: see [Manager.Impersonate].
	Actor string

	// Sessions is how many have ended. It is 1, but for RevokeAll and
	// RevokeOthers, which name none.
	Sessions int

	// Device is what the request came from. Calls have none.
	Device Device

	// Call is the method of the store, such as "Retrieve", or of a CookieCodec
	// of your own, "Encode" or "Decode". Duration is how long it took, and Err
	// what it returned.
	Call     string
	Duration time.Duration
	Err      error // also of what is rejected
}

// observe calls the Observer. That it panics is no reason to fail a sign-in, or
// to end the program from a goroutine of removeAll.
func (m *Manager) observe(ctx context.Context, e Event) {
	defer func() {
		if p := recover(); p != nil {
			m.logContext(ctx, slog.LevelError, "ticketstore: the Observer panicked", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	m.cfg.Observer(ctx, e)
}

// tell tells the Observer, if there is one, what r led to.
func (m *Manager) tell(r *http.Request, e Event) {
	if m.cfg.Observer == nil {
		return
	}
	e.Device = m.device(r)
	if e.Kind == "ended" && e.Cause != "replaced" { // as SignIn says to the store, too
		e.Cause = causeIn(r.Context(), e.Cause).cause
	}
	m.observe(r.Context(), e)
}

// tellEnded tells which of the presented sessions a removal of keys, which
// returned errs, has ended.
func (m *Manager) tellEnded(r *http.Request, cause string, old []presented, keys []Key, errs []error) {
	if m.cfg.Observer == nil {
		return
	}
	var told []string
	for _, p := range old {
		e := Event{Kind: "ended", Cause: cause, SessionID: m.sessionID(p.key), Sessions: 1}
		if p.ticket != nil {
			e.Subject, e.SessionID, e.Actor = p.ticket.Subject, p.ticket.ID, p.ticket.operator()
		}
		i := slices.Index(keys, p.key)
		if i < 0 || errs[i] != nil || e.SessionID != "" && slices.Contains(told, e.SessionID) {
			continue
		}
		told = append(told, e.SessionID)
		m.tell(r, e)
	}
}

// rejected appends what a key, which may have opened t, was refused for.
func (m *Manager) rejected(events []Event, cause string, key Key, t *Ticket, err error) []Event {
	if m.cfg.Observer == nil {
		return nil
	}
	e := Event{Kind: "rejected", Cause: cause, SessionID: m.sessionID(key), Err: err}
	if t != nil {
		e.Subject, e.SessionID, e.Actor = t.Subject, t.ID, t.operator()
	}
	return append(events, e)
}

// start returns when a call begins, if it is observed.
func (m *Manager) start() (began time.Time) {
	if m.cfg.Observer != nil {
		began = time.Now()
	}
	return began
}

// called tells of a call that had ctx. It comes before the context's cancel.
func (m *Manager) called(ctx context.Context, began time.Time, e Event) {
	if m.cfg.Observer == nil {
		return
	}
	e.Kind, e.Duration = "called", time.Since(began)
	switch {
	case e.Err == nil || answers(e.Err):
	case hungUp(ctx):
		e.Cause = "abandoned"
	default:
		e.Cause = "failed"
	}
	m.observe(ctx, e)
}

// answers reports whether err is an answer of a store.
func answers(err error) bool {
	return slices.ContainsFunc([]error{ErrNotFound, ErrConflict, ErrInvalidTicket, ErrUndecodable, ErrTooManySessions},
		func(answer error) bool { return errors.Is(err, answer) })
}

// sessionID returns the ID of the session that key is for, or was, if that is
// observed and the store can tell.
func (m *Manager) sessionID(key Key) string {
	if m.cfg.Observer == nil {
		return ""
	}
	if s, ok := m.store.(interface{ sessionID(Key) string }); ok {
		return s.sessionID(key)
	}
	return ""
}

func (*RedisStore) sessionID(key Key) string {
	k, err := parseRedisKey(key)
	if err != nil {
		return ""
	}
	return k.id.String()
}
