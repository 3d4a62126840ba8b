package ticketstore

import (
	"context"
	"net/http"

	"github.com/ticketstore/ticketstore/internal/unsent"
)

// Live returns a copy of r's context that also ends when r's session does: for a
// WebSocket, server-sent events, a long download, a gRPC stream. [context.Cause]
// then is ErrNotFound, and ErrUndecodable too if its ticket can no longer be
// read; if r's own context has ended, what that says.
//
// It ends at once when the session does by this process: by a [RedisStore], or
// by SignOut with the key that r brought. It ends within a second when another
// process ends it, if both have [RedisConfig].History. Otherwise, as when a
// record was deleted by hand, a message was lost, or the store is not a
// RedisStore, it ends within half a minute, which is how often each session is
// read again. At the session's expiry it ends only if no other request has kept
// the session alive: an open connection is no activity. It goes on when the key
// is rotated, and while the store cannot answer, though never past the session's
// lifetime. That of an impersonation ends with its operator's session, too.
//
// It holds until r's context ends, which a server does when r's handler returns,
// also after a Hijack. For a connection that outlives its handler, give r a
// context of its own, and cancel that when the connection closes, or it is
// watched for ever.
//
// It returns an error that is ErrNotFound if r is anonymous or its session has
// ended since r arrived. Any other error means that the store could not answer.
// For a ticket of [NewContext], which no session is behind, it returns r's
// context.
func (m *Manager) Live(r *http.Request) (context.Context, error) {
	if m.store == nil {
		return nil, errZeroManager
	}
	res := attached(r.Context()).of(m)
	if res == nil {
		var err error
		if res, err = m.resolve(fresh(r)); err != nil {
			return nil, err
		}
	}
	switch {
	case res.ticket == nil:
		return nil, res.notFound()
	case res.manager == nil:
		return r.Context(), nil
	}
	ctx, end := context.WithCancelCause(r.Context())
	err := m.watch(ctx, end, res)
	if err == nil && res.operator != nil {
		err = m.watch(ctx, end, res.operator)
	}
	if err != nil {
		end(err)
		return nil, err
	}
	return ctx, nil
}

// watch ends ctx when the session of res does, and returns an error if it has.
func (m *Manager) watch(ctx context.Context, end context.CancelCauseFunc, res *resolution) error {
	w, s := m.live.open(m, ctx, end, res)
	// What ended it until now, no hint has told of.
	err := w.check(ctx, []*liveSession{s}, true)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// A liveStore is a store that does better than to be asked for one session after
// the other.
type liveStore interface {
	// readSessions is Session for each of refs, past any cache.
	readSessions(ctx context.Context, refs []sessionRef) []sessionAnswer

	// listen has hint, which does not block, called with the IDs of sessions that
	// may have ended, until stop is called; with nil, if any may have.
	listen(hint func(ids []string)) (stop func())
}

type sessionRef struct {
	id, subject string
	key         Key // that was brought last
}

type sessionAnswer struct {
	session Session
	err     error
}

// readSessions reads sessions by what the store can do; by their keys, if it
// finds none without.
func (m *Manager) readSessions(ctx context.Context, refs []sessionRef) []sessionAnswer {
	if store, ok := m.store.(liveStore); ok {
		ctx, cancel := m.storeContext(ctx)
		defer cancel()
		return store.readSessions(ctx, refs)
	}
	answers := make([]sessionAnswer, len(refs))
	index, _ := m.store.(SessionIndex)
	ctx = unsent.NewContext(context.WithValue(ctx, freshKey{}, true)) // no key arrives by this
	for i, ref := range refs {
		if index != nil {
			answers[i] = m.readSession(ctx, index, ref)
			continue
		}
		t, err := m.retrieve(ctx, ref.key)
		if err == nil {
			answers[i].session = t.Session()
		}
		answers[i].err = err
	}
	return answers
}

func (m *Manager) readSession(ctx context.Context, index SessionIndex, ref sessionRef) (a sessionAnswer) {
	ctx, cancel := m.storeContext(ctx)
	defer cancel()
	a.session, a.err = index.Session(ctx, ref.subject, ref.id)
	return a
}
