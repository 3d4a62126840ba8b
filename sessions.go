package ticketstore

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// Sessions returns the live sessions of r's user, newest sign-in first, and the
// ID of the one that r itself belongs to, which is among them.
//
// Like Revoke, RevokeOthers and RevokeAll it returns ErrNotFound if r is
// anonymous and [errors.ErrUnsupported] if the store is no [SessionIndex].
func (m *Manager) Sessions(r *http.Request) (sessions []Session, current string, err error) {
	err = m.withIndex(r, func(ctx context.Context, index SessionIndex, t *Ticket) error {
		began := m.start()
		sessions, err = index.Sessions(ctx, t.Subject)
		m.called(ctx, began, Event{Call: "Sessions", Subject: t.Subject, Err: err})
		current = t.ID
		return err
	})
	return sessions, current, err
}

// Revoke ends one session of r's user. It returns ErrNotFound, and changes
// nothing, if id is not a live session of theirs. If it is r's own, the cookie
// stays, and opens nothing.
//
// Like RevokeOthers and RevokeAll it returns ErrConflict if r's key has been
// rotated away and only reads.
func (m *Manager) Revoke(r *http.Request, id string) error {
	_, err := m.revoke(r, "Revoke", id, func(ctx context.Context, index SessionIndex, t *Ticket) (int, error) {
		if err := index.Revoke(ctx, t.Subject, id); err != nil {
			return 0, err
		}
		return 1, nil
	})
	return err
}

// RevokeOthers ends all sessions of r's user but the one that r belongs to, and
// returns how many there were.
//
// After a change of password call it first, within Wrap, and then Rotate, or
// SignIn if the user has just proved who they are: a sign-in that is under way
// with the old password is refused then, and r knows the key that it came with,
// and no other.
func (m *Manager) RevokeOthers(r *http.Request) (revoked int, err error) {
	return m.revoke(r, "RevokeOthers", "", func(ctx context.Context, index SessionIndex, t *Ticket) (int, error) {
		return index.RevokeOthers(ctx, t.Subject, t.ID)
	})
}

// RevokeAll ends all sessions of r's user, r's own among them, deletes the
// cookie and returns how many there were. Call it before writing to w.
func (m *Manager) RevokeAll(w http.ResponseWriter, r *http.Request) (revoked int, err error) {
	revoked, err = m.revoke(r, "RevokeAll", "", func(ctx context.Context, index SessionIndex, t *Ticket) (int, error) {
		return index.RevokeAll(ctx, t.Subject)
	})
	if err == nil {
		m.writeCookie(w, m.cfg.CookieName, "", -1)
	}
	return revoked, err
}

// revoke calls f, which is a call to the store and returns how many sessions it
// has ended: id, if there is one.
func (m *Manager) revoke(r *http.Request, call, id string, f func(context.Context, SessionIndex, *Ticket) (int, error)) (revoked int, err error) {
	err = m.withIndex(r, func(ctx context.Context, index SessionIndex, t *Ticket) error {
		if err := mayRevoke(ctx, t); err != nil {
			return err
		}
		began := m.start()
		revoked, err = f(ctx, index, t)
		m.called(ctx, began, Event{Call: call, Subject: t.Subject, SessionID: id, Err: err})
		if revoked > 0 { // some, even if there is an error
			m.tell(r, Event{Kind: "ended", Cause: "revoked", Subject: t.Subject, SessionID: id, Sessions: revoked, Actor: t.operator()})
		}
		return err
	})
	return revoked, err
}

// withIndex calls f with the ticket that r has now, whatever it arrived with.
// What f ends it ends to the last, even if the client hangs up.
func (m *Manager) withIndex(r *http.Request, f func(context.Context, SessionIndex, *Ticket) error) error {
	if m.store == nil {
		return errZeroManager
	}
	index, ok := m.store.(SessionIndex)
	if !ok {
		return fmt.Errorf("ticketstore: %T is no SessionIndex: %w", m.store, errors.ErrUnsupported)
	}
	t, err := m.Resolve(r)
	if err != nil {
		return err
	}
	ctx, cancel := m.storeContext(context.WithoutCancel(endedBy(r.Context(), "revoked", t.operator())))
	defer cancel()
	return f(ctx, index, t)
}

// mayRevoke reports whether t was read by a key that only reads. A ticket of
// NewContext has none.
func mayRevoke(ctx context.Context, t *Ticket) error {
	if res := attached(ctx); t.Revision != "" || res != nil && res.manager == nil {
		return nil
	}
	return fmt.Errorf("%w: session %s: its key has been rotated away", ErrConflict, t.ID)
}
