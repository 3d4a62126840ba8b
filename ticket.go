package ticketstore

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ticketstore/ticketstore/internal/subjects"
)

const (
	maxUserAgent  = 512 // bytes
	maxActorDepth = 8   // identities in a chain of actors
)

// A Ticket records who signed in, how, and until when. It holds what ASP.NET
// Core's AuthenticationTicket holds: a ClaimsPrincipal (Identities) and
// AuthenticationProperties (the times, Persistent and Properties).
//
// [Manager.SignIn] fills in the times and the device; of them, the caller may
// set AuthenticatedAt, LinkedAt, and EndsAt and IdleTimeout to end a session earlier than
// [Config] would.
// Times are kept to the millisecond (a format may say: to the second); an
// expiry is never rounded up.
//
// The ticket in a request's context is shared: [Ticket.Clone] it to change it,
// and hand the change to [Manager.Renew], or it is lost.
type Ticket struct {
	// ID is the session ID, a UUIDv7. It is no secret: whoever knows it cannot
	// use it to sign in. [TicketStore.Store] sets it.
	ID string `json:"id,omitempty"`

	// Subject is the user: 1 to 1,024 bytes of valid UTF-8 without control
	// characters. Subjects are compared byte by byte, so bring what people type
	// into one form first: Alice@example.com and alice@example.com are two
	// users. If users come from several issuers, put the issuer into it: equal
	// subjects are one user.
	Subject string `json:"subject"`

	// Scheme is the authentication scheme that issued the ticket.
	Scheme string `json:"scheme,omitempty"`

	// Identities are the user's claims, by identity.
	Identities []Identity `json:"identities,omitempty"`

	// Properties are application data that travel with the ticket; nil if there
	// are none.
	Properties map[string]string `json:"properties,omitempty"`

	// Device is where the user signed in.
	Device Device `json:"device,omitzero"`

	// SeenFrom is where the last renewal by activity came from; zero if that
	// is Device or if a store had no room for it, and before the first.
	SeenFrom Device `json:"seenFrom,omitzero"`

	// SignedInAt is when the user signed in.
	SignedInAt time.Time `json:"signedInAt,omitzero"`

	// AuthenticatedAt is when the user last proved who they are, if that was
	// before SignedInAt: auth_time of OpenID Connect, when single sign-on asked
	// for no password. If zero, it is SignedInAt. RequireRecent goes by it.
	AuthenticatedAt time.Time `json:"authenticatedAt,omitzero"`

	// IssuedAt is when the user signed in or the ticket was last renewed by
	// activity: the last use, to within [Config].RenewAfter.
	IssuedAt time.Time `json:"issuedAt,omitzero"`

	// ExpiresAt is when the ticket stops being valid unless it is renewed.
	ExpiresAt time.Time `json:"expiresAt,omitzero"`

	// EndsAt is when the session ends, however active.
	EndsAt time.Time `json:"endsAt,omitzero"`

	// IdleTimeout, if positive, is this session's own idle timeout. It can
	// only be shorter than [Config]'s.
	IdleTimeout time.Duration `json:"idleTimeout,omitzero"`

	// Links name what the session depends on besides its user, such as a session
	// at an identity provider, a client, or a tenant: up to 8, each 1 to 1,024
	// bytes of valid UTF-8 without control characters. They are no secrets, and
	// stay as they are at sign-in. [LinkIndex] ends all sessions of a link. A
	// ticket with links has an EndsAt.
	Links []string `json:"links,omitempty"`

	// LinkedAt is when the session began by the clock of whoever ends its links,
	// if that is not the application: iat of OpenID Connect's ID token. If zero,
	// it is when the sign-in arrived. See [LinkIndex].
	LinkedAt time.Time `json:"linkedAt,omitzero"`

	// Persistent makes the cookie outlive the browser.
	Persistent bool `json:"persistent,omitempty"`

	// Revision names the state of the ticket in its store. It is opaque, for
	// equality only; [TicketStore] sets it. It is empty if the ticket was read
	// with a key that has been rotated away.
	Revision string `json:"-"`

	// began is when the sign-in did, of which SignedInAt has the millisecond.
	// It is zero but for a store that is called by SignIn.
	began time.Time
}

// An Identity is a set of claims from one source: ASP.NET Core's
// ClaimsIdentity.
type Identity struct {
	AuthenticationType string `json:"authenticationType,omitempty"`

	// NameClaimType and RoleClaimType are the types of the claims that hold
	// the name and the roles. If empty, "name" and "role".
	NameClaimType string `json:"nameClaimType,omitempty"`
	RoleClaimType string `json:"roleClaimType,omitempty"`

	// BootstrapContext is the credential that the identity was made from.
	BootstrapContext string `json:"bootstrapContext,omitempty"`

	Claims []Claim `json:"claims,omitempty"`

	// Actor is the identity that acts on behalf of this one; at most 8 deep.
	Actor *Identity `json:"actor,omitempty"`
}

// A Claim is a statement about the subject: ASP.NET Core's Claim. Type and
// Value are enough; an empty ValueType means a string, an empty Issuer the
// application itself, an empty OriginalIssuer the Issuer.
type Claim struct {
	Type           string            `json:"type"`
	Value          string            `json:"value"`
	ValueType      string            `json:"valueType,omitempty"`
	Issuer         string            `json:"issuer,omitempty"`
	OriginalIssuer string            `json:"originalIssuer,omitempty"`
	Properties     map[string]string `json:"properties,omitempty"`
}

// A Device is where a request came from. Both fields are what the client or
// its network said of itself, and are personal data.
type Device struct {
	// UserAgent is the User-Agent header, cut to at most 512 bytes. It is
	// hostile text: escape it.
	UserAgent string `json:"userAgent,omitempty"`

	// Addr is the client's address, invalid if unknown.
	Addr netip.Addr `json:"addr,omitzero"`
}

// NewTicket returns a ticket for subject with one identity that holds claims,
// of which it keeps a copy; without claims, with none.
func NewTicket(subject string, claims ...Claim) *Ticket {
	t := &Ticket{Subject: subject}
	if len(claims) > 0 {
		t.Identities = []Identity{Identity{Claims: claims}.clone()}
	}
	return t
}

// Claim returns the value of the first claim of the given type, and whether
// there is one. Types are compared exactly.
func (t *Ticket) Claim(claimType string) (value string, ok bool) {
	for _, id := range t.Identities {
		for _, c := range id.Claims {
			if c.Type == claimType {
				return c.Value, true
			}
		}
	}
	return "", false
}

// HasRole reports whether an identity has a claim of its RoleClaimType, "role"
// if that is empty, with the value role. Actors' roles do not count.
func (t *Ticket) HasRole(role string) bool {
	for _, id := range t.Identities {
		roleType := id.RoleClaimType
		if roleType == "" {
			roleType = "role"
		}
		for _, c := range id.Claims {
			if c.Type == roleType && c.Value == role {
				return true
			}
		}
	}
	return false
}

// Session returns t as it is seen from outside.
func (t *Ticket) Session() Session {
	s := Session{
		ID:         t.ID,
		Subject:    t.Subject,
		Scheme:     t.Scheme,
		Device:     t.Device,
		SeenFrom:   t.SeenFrom,
		SignedInAt: t.SignedInAt,
		IssuedAt:   t.IssuedAt,
		ExpiresAt:  t.ExpiresAt,
		EndsAt:     t.EndsAt,
		Persistent: t.Persistent,
	}
	if a, ok := t.Actor(); ok {
		s.Actor = new(a)
	}
	return s
}

// Clone returns a deep copy of t.
func (t *Ticket) Clone() *Ticket {
	c := *t
	c.Identities = slices.Clone(t.Identities)
	for i, id := range c.Identities {
		c.Identities[i] = id.clone()
	}
	c.Properties = maps.Clone(t.Properties)
	c.Links = slices.Clone(t.Links)
	return &c
}

func (id Identity) clone() Identity {
	id.Claims = slices.Clone(id.Claims)
	for i, c := range id.Claims {
		id.Claims[i].Properties = maps.Clone(c.Properties)
	}
	if id.Actor != nil {
		actor := id.Actor.clone()
		id.Actor = &actor
	}
	return id
}

// Validate returns ErrInvalidTicket if no store may keep t at the time now, as
// [TicketStore] says: for t's subject or limits, or for its ExpiresAt. It is
// for stores of one's own.
func (t *Ticket) Validate(now time.Time) error {
	if err := t.validate(); err != nil {
		return err
	}
	switch {
	case t.ExpiresAt.IsZero():
		return invalid("ExpiresAt is zero")
	case !t.ExpiresAt.After(now):
		return invalid("ExpiresAt is past")
	case !t.EndsAt.IsZero() && t.ExpiresAt.After(t.EndsAt):
		return invalid("ExpiresAt is after EndsAt")
	case len(t.Links) > 0 && t.EndsAt.IsZero():
		return invalid("EndsAt is zero, but there are Links")
	}
	return nil
}

// validate is Validate but for ExpiresAt. It bounds the depth of actors, so
// that a cycle of them cannot send Clone round for ever.
func (t *Ticket) validate() error {
	if t == nil {
		return invalid("the ticket is nil")
	}
	if err := validateSubject(t.Subject); err != nil {
		return err
	}
	return t.validateContent()
}

// validateContent is validate for a ticket whose Subject is yet to be set.
func (t *Ticket) validateContent() error {
	if t.IdleTimeout != 0 && t.IdleTimeout < time.Millisecond {
		return invalid("IdleTimeout %v is under a millisecond", t.IdleTimeout)
	}
	if err := subjects.CheckLinks(t.Links); err != nil {
		return invalid("%w", err)
	}
	for _, id := range t.Identities {
		for depth := 1; id.Actor != nil; depth++ {
			if depth == maxActorDepth {
				return invalid("actors are nested more than %d deep", maxActorDepth)
			}
			id = *id.Actor
		}
	}
	return nil
}

func validateSubject(subject string) error {
	if err := subjects.Check(subject); err != nil {
		return invalid("%w", err)
	}
	return nil
}

// capped returns d with its user agent cut to the allowed length, at a rune
// boundary, and free of invalid UTF-8.
func (d Device) capped() Device {
	d.UserAgent = cut(d.UserAgent, maxUserAgent)
	d.Addr = d.Addr.WithZone("")
	return d
}

// cut returns what is valid UTF-8 of the first n bytes of s.
func cut(s string, n int) string {
	if len(s) > n {
		end := n
		for end > n-utf8.UTFMax && !utf8.RuneStart(s[end]) {
			end--
		}
		s = s[:end]
	}
	return strings.ToValidUTF8(s, "")
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrInvalidTicket}, args...)...)
}
