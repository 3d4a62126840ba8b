package ticketstore

import (
	"context"
	"errors"
	"time"
)

// An Ending is a session that has ended: see [RedisConfig].History. It may be
// shown and logged.
type Ending struct {
	// Session is the session as it began. Only ID and, unless they were
	// forgotten, Subject are known if it began before History was set or was
	// written in a way that can no longer be read; Undecodable is set then.
	Session Session `json:"session"`

	// EndedAt is when it ended; if its record was deleted by hand, when that
	// was noticed.
	EndedAt time.Time `json:"endedAt"`

	// Cause says why:
	//
	//	signed-out            the user signed out, or Remove was called
	//	replaced              the same browser signed in anew
	//	revoked               Revoke, RevokeAll, RevokeOthers, RevokeEverybody
	//	revoked-by-operator   the same, in package admin
	//	evicted               one more than MaxSessions signed in
	//	idle                  it was not used for its idle timeout
	//	lifetime              it reached EndsAt
	//	deleted               its record was deleted by hand
	//	impersonation-ended   EndImpersonation
	//	operator-signed-out   the operator's session, in which it was begun, has ended
	//	undelivered           it began, but nobody got its key: a reply was lost
	//	forgotten             Forget
	//
	// or what [WithCause] has said.
	Cause string `json:"cause"`

	// By is who ended it, if WithCause has said so.
	By string `json:"by,omitempty"`
}

// ErrEndingsLost: there may have been endings that nobody can read any more,
// since a cursor was not used for the time of [RedisConfig].History, or since
// Redis has lost its last writes. Go on with the cursor that came with it.
var ErrEndingsLost = errors.New("ticketstore: endings may have been lost")

type (
	causeKey struct{}
	cause    struct{ cause, by string }
)

const (
	maxCause = 64  // bytes
	maxBy    = 256 // bytes
)

// WithCause returns a copy of ctx for calls that end sessions: why they end, such
// as "password-changed", and who ended them, such as the subject of an operator.
// What is longer than 64 and 256 bytes is cut. It goes into [Ending], and so to
// whoever may read that.
func WithCause(ctx context.Context, why, by string) context.Context {
	return context.WithValue(ctx, causeKey{}, cause{cut(why, maxCause), cut(by, maxBy)})
}

// endedBy returns ctx for calls that end sessions by somebody, unless WithCause
// has named another.
func endedBy(ctx context.Context, otherwise, by string) context.Context {
	if c := causeIn(ctx, otherwise); by != "" && c.by == "" {
		return WithCause(ctx, c.cause, by)
	}
	return ctx
}

func causeIn(ctx context.Context, otherwise string) cause {
	if c, ok := ctx.Value(causeKey{}).(cause); ok && c.cause != "" {
		return c
	}
	return cause{cause: otherwise}
}
