package ticketstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"time"

	"github.com/ticketstore/ticketstore/internal/unsent"
)

// What a caller acts on. Any other error of a store means that the store could
// not answer, as when the context has ended; it must never be read as signed
// out.
var (
	// ErrNotFound: there is no such ticket, or no longer.
	ErrNotFound = errors.New("ticketstore: not found")

	// ErrSuperseded: the session is live, but by another key: this one has been
	// rotated away. It is ErrNotFound, too.
	ErrSuperseded = fmt.Errorf("%w: superseded key", ErrNotFound)

	// ErrConflict: the ticket has changed since it was read. Read it again.
	ErrConflict = errors.New("ticketstore: conflict")

	// ErrInvalidTicket: the ticket is not one that a store may keep.
	ErrInvalidTicket = errors.New("ticketstore: invalid ticket")

	// ErrUndecodable: there is a ticket, but it cannot be read.
	ErrUndecodable = errors.New("ticketstore: undecodable ticket")

	// ErrTooManySessions: the subject has as many sessions as the store allows.
	ErrTooManySessions = errors.New("ticketstore: too many sessions")
)

// A TicketStore keeps tickets. It is ASP.NET Core's ITicketStore, except that
// Renew never creates: a ticket that has been removed stays removed.
//
// Stores set ID and Revision of their argument when they succeed, change
// nothing else of it, and keep none of it; they set no times. If they fail,
// they change nothing, of the argument or in the store, unless the error is
// that the store could not answer, or says that a reply was lost: ErrNotFound
// and ErrConflict then tell what is so now, and not what was done before. A store is safe for concurrent use. To check
// one of your own, see package storetest.
type TicketStore interface {
	// Store keeps t and returns the key that opens it. Key and t.ID are new
	// each time. If t.ID names a live session of t.Subject, that is the one
	// which this replaces: it does not count, and the caller ends it once the
	// new one is there; nothing else is done with t.ID.
	//
	// It returns ErrInvalidTicket if t has no valid subject, if its ExpiresAt is
	// zero, past, or after EndsAt, or if it has Links, but no EndsAt, or the store
	// is no [LinkIndex]; ErrConflict if the subject's
	// sessions were revoked meanwhile, see [SessionIndex].RevokeAll, or those of a
	// link, see [LinkIndex]; and
	// ErrTooManySessions if the store refuses one more; a store that does not ends the subject's oldest
	// sign-in, but not the one that t.ID names. Sessions that have ended do not
	// count either. If Store returns an error, there is no new session that
	// anyone has the key of.
	Store(ctx context.Context, t *Ticket) (Key, error)

	// Renew replaces the ticket that key opens, if it is still the one of
	// t.Revision. It never creates.
	//
	// It returns ErrNotFound if key is unknown or malformed, or its ticket has
	// expired or been removed; ErrConflict if t.Revision is not the current
	// one or is empty; ErrInvalidTicket as Store does, and if the subject
	// would change.
	Renew(ctx context.Context, key Key, t *Ticket) error

	// Retrieve returns the ticket that key opens. The ticket is the caller's
	// own. Read twice, it has the same Revision.
	//
	// It returns ErrNotFound if key is unknown or malformed, or its ticket has
	// expired or been removed, and ErrUndecodable if the ticket cannot be
	// read.
	Retrieve(ctx context.Context, key Key) (*Ticket, error)

	// Remove ends the session that key opens, or has opened until the last
	// rotation. Once it has returned, nothing brings the ticket back. It is no
	// error if there is none; it may be ErrSuperseded if there is one, which
	// goes on, and key has been rotated away before that.
	Remove(ctx context.Context, key Key) error
}

// A SessionIndex finds sessions by their subject, without a key. It is an
// optional ability of a [TicketStore].
type SessionIndex interface {
	// Sessions returns the live sessions of subject, newest sign-in first. A
	// subject without any, or one that is not valid, is no error. A session
	// that cannot be read is listed with its ID and expiry.
	Sessions(ctx context.Context, subject string) ([]Session, error)

	// Session returns one live session of subject, or ErrNotFound. It says
	// whether a session is still alive to whatever outlives the request: a
	// WebSocket, a token that names the session, an operator.
	Session(ctx context.Context, subject, id string) (Session, error)

	// Revoke ends one session of subject. It returns ErrNotFound, and changes
	// nothing, if id is not a live session of subject.
	Revoke(ctx context.Context, subject, id string) error

	// RevokeAll ends all sessions of subject and returns how many there were.
	// One that starts meanwhile may survive, unless the store leaves a mark, as
	// RedisStore does: then Store returns ErrConflict, for an hour, for a ticket
	// whose SignedInAt is before, or that is stored before RevokeAll returns;
	// but not in the request that has revoked.
	RevokeAll(ctx context.Context, subject string) (revoked int, err error)

	// RevokeOthers ends all sessions of subject but keep, and returns how many
	// there were. If keep is not a live session of subject, it returns
	// ErrNotFound and changes nothing.
	RevokeOthers(ctx context.Context, subject, keep string) (revoked int, err error)
}

// A LinkIndex finds sessions by their [Ticket].Links, whoever's they are. It is
// an optional ability of a [TicketStore].
type LinkIndex interface {
	// RevokeLinked ends all sessions that have link and began up to before, and
	// returns how many there were. If before is zero, that is all there are, and
	// those whose sign-in has arrived; one that begins meanwhile may end, too. For
	// an hour, Store then returns ErrConflict for a ticket that has link and
	// began up to before: one that is stored meanwhile does not survive.
	//
	// A session began at its LinkedAt or, if that is zero, when its sign-in
	// arrived. So the logout of an identity provider that comes late, or again,
	// ends nothing that began after it. A link that no session will have again,
	// such as a session at the provider, may be ended up to a time to come: then
	// no sign-in with it that the provider has let through can escape.
	//
	// progress, if not nil, is told how many so far, from this goroutine. If
	// RevokeLinked returns an error, some are left: call it again.
	RevokeLinked(ctx context.Context, link string, before time.Time, progress func(revoked int)) (revoked int, err error)

	// Linked returns the live sessions that have link, in no particular order.
	// After an error it ends.
	Linked(ctx context.Context, link string) iter.Seq2[Session, error]
}

// A KeyRotator gives a session a new key. It is an optional ability of a
// [TicketStore].
type KeyRotator interface {
	// Rotate does what Renew does and gives the session, whose ID stays, a new
	// key. That is unused until a call brings it that [KeyUnsent] does not
	// tell of: Retrieve, which fails if it cannot note that, and changes
	// neither ticket nor Revision; Renew; or Rotate.
	//
	// While the new key is unused, the old one only reads for the duration
	// grace: the ticket then has no Revision, and Renew and Rotate return
	// ErrConflict. After that the response with the new key has been lost: the
	// old key is good for everything. Rotate by it replaces the unused key, and
	// so does Rotate by the unused key itself; the old key stays what it was. A
	// renewal leaves both.
	//
	// Once the new key is used, the old one reads for the duration grace, and
	// can Remove the session for as long as it has no other key. To all else
	// it is ErrSuperseded, as are the keys before it. The grace goes by one
	// clock, that of the store.
	Rotate(ctx context.Context, key Key, t *Ticket, grace time.Duration) (Key, error)
}

// KeyUnsent reports whether the key that a store is called with comes from the
// response that is being made, not from a request: a [KeyRotator] does not take
// that for its first use. If it did, and the response were lost, neither the
// browser's key nor any other would open the session.
func KeyUnsent(ctx context.Context) bool { return unsent.Key(ctx) }

// A Session is one live ticket seen from outside: it may be shown and logged.
type Session struct {
	ID         string    `json:"id"`
	Subject    string    `json:"subject"`
	Scheme     string    `json:"scheme,omitempty"`
	Device     Device    `json:"device,omitzero"`
	SeenFrom   Device    `json:"seenFrom,omitzero"`
	SignedInAt time.Time `json:"signedInAt,omitzero"`
	IssuedAt   time.Time `json:"issuedAt,omitzero"`
	ExpiresAt  time.Time `json:"expiresAt"`
	EndsAt     time.Time `json:"endsAt,omitzero"`
	Persistent bool      `json:"persistent,omitempty"`

	// Actor is the operator whose session it really is; nil if that is its user.
	// See [Manager.Impersonate].
	Actor *Actor `json:"actor,omitempty"`

	// Undecodable is set if the ticket cannot be read. Only ID, Subject and
	// ExpiresAt are known then. The session can be revoked.
	Undecodable bool `json:"undecodable,omitempty"`
}

// Counts are the numbers of users that are signed in and of their sessions.
type Counts struct {
	Subjects int64 `json:"subjects"`
	Sessions int64 `json:"sessions"`
}

// A Key is the secret in the cookie: whoever has it is signed in. It is opaque
// to everyone but the store that issued it, and prints, logs and marshals as
// REDACTED; convert it to string where the key itself is meant.
//
// Not redacted are a Key in an unexported field of a struct printed with %+v,
// the keys of a map in JSON, and the argument of a panic: keep none in what may
// be logged.
type Key string

const redacted = "REDACTED"

var (
	_ fmt.Formatter  = Key("")
	_ slog.LogValuer = Key("")
)

// Format implements [fmt.Formatter]. It does not reveal the key.
func (Key) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// LogValue implements [slog.LogValuer]. It does not reveal the key.
func (Key) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements [encoding.TextMarshaler]. It does not reveal the key.
func (Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }
