package ticketstore

import (
	"fmt"
	"slices"
	"unicode/utf8"
)

// checkText returns ErrInvalidTicket if a text in t, but for its subject, is
// not valid UTF-8: it says which, and never what it holds, which may be secret.
func (t *Ticket) checkText() error {
	for p, text := range t.texts {
		if !utf8.ValidString(text) {
			return invalid("%v is not valid UTF-8", p)
		}
	}
	return nil
}

// A place is where a text is in a ticket. What names it, if something does, is
// a text that has come before.
type place struct{ what, name string }

func (p place) String() string {
	if p.name == "" {
		return p.what
	}
	return fmt.Sprintf("%s %.100q", p.what, p.name)
}

// texts yields all text in t but its subject.
func (t *Ticket) texts(yield func(place, string) bool) {
	for k, v := range t.Properties {
		if !yield(place{"the key of a property", ""}, k) || !yield(place{"the property", k}, v) {
			return
		}
	}
	_ = yield(place{"Scheme", ""}, t.Scheme) &&
		yield(place{"Device.UserAgent", ""}, t.Device.UserAgent) &&
		yield(place{"SeenFrom.UserAgent", ""}, t.SeenFrom.UserAgent) &&
		!slices.ContainsFunc(t.Identities, func(id Identity) bool { return !id.texts(yield) })
}

func (id *Identity) texts(yield func(place, string) bool) bool {
	for _, c := range id.Claims {
		if !c.texts(yield) {
			return false
		}
	}
	return yield(place{"the AuthenticationType of an identity", ""}, id.AuthenticationType) &&
		yield(place{"the NameClaimType of an identity", ""}, id.NameClaimType) &&
		yield(place{"the RoleClaimType of an identity", ""}, id.RoleClaimType) &&
		yield(place{"the BootstrapContext of an identity", ""}, id.BootstrapContext) &&
		(id.Actor == nil || id.Actor.texts(yield))
}

func (c *Claim) texts(yield func(place, string) bool) bool {
	if !yield(place{"the type of a claim", ""}, c.Type) {
		return false
	}
	for k, v := range c.Properties {
		if !yield(place{"the key of a property of the claim", c.Type}, k) || !yield(place{"a property of the claim", c.Type}, v) {
			return false
		}
	}
	return yield(place{"the value of the claim", c.Type}, c.Value) &&
		yield(place{"the ValueType of the claim", c.Type}, c.ValueType) &&
		yield(place{"the Issuer of the claim", c.Type}, c.Issuer) &&
		yield(place{"the OriginalIssuer of the claim", c.Type}, c.OriginalIssuer)
}
