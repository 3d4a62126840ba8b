package aspnetcore

import (
	"errors"
	"slices"
	"strings"

	"github.com/ticketstore/ticketstore"
)

// What .NET needs and a ticket may leave out is filled in when it is written,
// and taken out again when it is read, if it is still there: of each identity,
// followed by its actors, the item itemFilled has these letters, and a comma
// between two. Taking out too much would change no meaning, since it is filled
// in again.
const (
	filledType     = "t" // AuthenticationType, with the scheme, or "Cookies" if that is empty
	filledName     = "n" // NameClaimType, with "name"
	filledRole     = "r" // RoleClaimType, with "role"
	filledSubject  = "s" // the subject claim, last of the first identity
	filledIdentity = filledType + filledName + filledRole + filledSubject + "i"
)

func joinFilled(filled []string) string {
	if !slices.ContainsFunc(filled, func(f string) bool { return f != "" }) {
		return ""
	}
	return strings.Join(filled, ",")
}

func splitFilled(s string) ([]string, error) {
	if strings.Trim(s, filledIdentity+",") != "" {
		return nil, errors.New("the item " + itemFilled + " is malformed")
	}
	return strings.Split(s, ","), nil
}

// subjectIdentity is the identity of a ticket that has none.
func (s Serializer) subjectIdentity(t *ticketstore.Ticket) wireIdentity {
	return wireIdentity{
		authenticationType: or(t.Scheme, defaultScheme),
		nameType:           ticketNameType,
		roleType:           ticketRoleType,
		claims:             []wireClaim{s.claimOf(t.Subject)},
	}
}

func (s Serializer) claimOf(subject string) wireClaim {
	return wireClaim{
		claimType: s.subjectClaim(), value: subject,
		valueType: defaultValueType, issuer: defaultIssuer, originalIssuer: defaultIssuer,
	}
}

// empty takes out of id, an identity of t, what was filled in.
func (s Serializer) empty(t *ticketstore.Ticket, id *ticketstore.Identity, filled string) {
	if strings.Contains(filled, filledType) {
		id.AuthenticationType = unless(id.AuthenticationType, or(t.Scheme, defaultScheme))
	}
	if strings.Contains(filled, filledName) {
		id.NameClaimType = unless(id.NameClaimType, ticketNameType)
	}
	if strings.Contains(filled, filledRole) {
		id.RoleClaimType = unless(id.RoleClaimType, ticketRoleType)
	}
	if strings.Contains(filled, filledSubject) && id == &t.Identities[0] && len(id.Claims) > 0 {
		last := len(id.Claims) - 1
		c := id.Claims[last]
		if c.Type == s.subjectClaim() && c.Value == t.Subject && isPlain(c) && s.subjectClaims(t) == 1 {
			id.Claims = id.Claims[:last:last]
			if last == 0 {
				id.Claims = nil
			}
		}
	}
}

func isPlain(c ticketstore.Claim) bool {
	return c.ValueType == "" && c.Issuer == "" && c.OriginalIssuer == "" && len(c.Properties) == 0
}

func (s Serializer) subjectClaims(t *ticketstore.Ticket) (n int) {
	for _, id := range t.Identities {
		for _, c := range id.Claims {
			if c.Type == s.subjectClaim() {
				n++
			}
		}
	}
	return n
}

// isFilled reports whether nothing is left of an identity that was filled in.
func isFilled(id *ticketstore.Identity) bool {
	return id.AuthenticationType == "" && id.NameClaimType == "" && id.RoleClaimType == "" &&
		id.BootstrapContext == "" && len(id.Claims) == 0 && id.Actor == nil
}
