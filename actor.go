package ticketstore

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ticketstore/ticketstore/internal/subjects"
)

const (
	maxReason = 256 // bytes

	// An impersonation is in Identities[0].Actor, of this AuthenticationType.
	actorType      = "ticketstore.impersonation"
	actorSubject   = "sub"
	actorSessionID = "sid"
	actorReason    = "reason"
)

// An Actor is who acts in a session that is another's: see
// [Manager.Impersonate]. It may be shown and logged.
type Actor struct {
	// Subject is the operator, and SessionID the session in which they act.
	Subject   string `json:"subject"`
	SessionID string `json:"sessionId"`

	// Reason is why, in a line of 1 to 256 bytes. An operator has written it:
	// escape it.
	Reason string `json:"reason"`
}

// Actor returns who acts in t's session, if that is not its user but an
// operator: see [Manager.Impersonate]. It is false for other actors in
// Identities, such as those of a delegation, and for one that is not as
// Impersonate writes it.
//
// In the ticket it is the Actor of the first identity, with the
// AuthenticationType "ticketstore.impersonation" and the claims "sub", "sid" and
// "reason".
func (t *Ticket) Actor() (a Actor, ok bool) {
	if len(t.Identities) == 0 || t.Identities[0].Actor == nil {
		return Actor{}, false
	}
	for i, id := range t.Identities {
		if (i == 0) != id.Actor.impersonates() {
			return Actor{}, false
		}
	}
	id := t.Identities[0].Actor
	if len(id.Claims) != 3 || id.Actor != nil || id.BootstrapContext != "" {
		return Actor{}, false
	}
	for i, claimType := range []string{actorSubject, actorSessionID, actorReason} {
		c := id.Claims[i]
		if c.Type != claimType || c.ValueType != "" || c.Issuer != "" || c.OriginalIssuer != "" || len(c.Properties) > 0 {
			return Actor{}, false
		}
	}
	a = Actor{Subject: id.Claims[0].Value, SessionID: id.Claims[1].Value, Reason: id.Claims[2].Value}
	if a.validate() != nil || a.Subject == t.Subject {
		return Actor{}, false
	}
	return a, true
}

// impersonates reports whether id says that it is an operator's, well-formed or
// not.
func (id *Identity) impersonates() bool { return id != nil && id.AuthenticationType == actorType }

// impersonated reports whether t says that an operator acts in its session. It
// is called for every request.
func (t *Ticket) impersonated() bool {
	for i := range t.Identities {
		if t.Identities[i].Actor.impersonates() {
			return true
		}
	}
	return false
}

func (a Actor) identity() *Identity {
	return &Identity{AuthenticationType: actorType, Claims: []Claim{
		{Type: actorSubject, Value: a.Subject},
		{Type: actorSessionID, Value: a.SessionID},
		{Type: actorReason, Value: a.Reason},
	}}
}

// validate returns ErrInvalidTicket if no ticket may name a.
func (a Actor) validate() error {
	if err := subjects.Check(a.Subject); err != nil {
		return invalid("the operator: %w", err)
	}
	if err := subjects.Check(a.SessionID); err != nil {
		return invalid("the operator's session: %w", err)
	}
	switch {
	case strings.TrimSpace(a.Reason) == "":
		return invalid("an impersonation needs a reason")
	case len(a.Reason) > maxReason:
		return invalid("the reason has %d bytes; at most %d are allowed", len(a.Reason), maxReason)
	case !utf8.ValidString(a.Reason):
		return invalid("the reason is not valid UTF-8")
	case strings.ContainsFunc(a.Reason, func(c rune) bool { return unicode.IsControl(c) || c == '\u2028' || c == '\u2029' }):
		return invalid("the reason is more than one line, or has control characters")
	}
	return nil
}

// actor returns the Actor of t, the zero one if there is none.
func (t *Ticket) actor() Actor {
	a, _ := t.Actor()
	return a
}

// operator returns who acts in t's session, "" if that is its user.
func (t *Ticket) operator() string { return t.actor().Subject }
