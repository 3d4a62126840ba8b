package aspnetcore

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/subjects"
)

const (
	nameIdentifier = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier"

	// What an empty NameClaimType and RoleClaimType of a ticket mean.
	ticketNameType = "name"
	ticketRoleType = "role"

	maxIdentities = 8 // in a chain of actors
)

// A Serializer writes and reads tickets as ASP.NET Core's TicketSerializer
// does, in its format 5. The package comment says what becomes of each field.
//
// It keeps times to the second. The zero Serializer is ready for use.
type Serializer struct {
	_ [0]func()

	// SubjectClaim is the type of the claim that names the user. If empty,
	// http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier.
	// An OpenID Connect application that sets MapInboundClaims to false has
	// "sub" instead.
	SubjectClaim string
}

var _ ticketstore.Serializer = Serializer{}

// Serialize implements [ticketstore.Serializer]. It returns ErrInvalidTicket
// also if t has a subject claim that is not t.Subject, and for a property
// whose key is reserved.
func (s Serializer) Serialize(t *ticketstore.Ticket) ([]byte, error) {
	w, err := s.toWire(t)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ticketstore.ErrInvalidTicket, err)
	}
	b, err := w.bytes()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ticketstore.ErrInvalidTicket, err)
	}
	return b, nil
}

// Deserialize implements [ticketstore.Serializer]. It returns ErrUndecodable
// also for a ticket without a subject claim.
func (s Serializer) Deserialize(id string, data []byte) (*ticketstore.Ticket, error) {
	w, err := readTicket(data)
	if err == nil {
		var t *ticketstore.Ticket
		if t, err = s.fromWire(w); err == nil {
			t.ID = id
			return t, nil
		}
	}
	return nil, fmt.Errorf("%w: session %s: %w", ticketstore.ErrUndecodable, id, err)
}

func (s Serializer) toWire(t *ticketstore.Ticket) (*wireTicket, error) {
	if t == nil {
		return nil, errors.New("the ticket is nil")
	}
	if err := subjects.Check(t.Subject); err != nil {
		return nil, err
	}
	w := &wireTicket{scheme: t.Scheme}
	var filled []string // per identity
	for i := range t.Identities {
		id, err := toWireIdentity(&t.Identities[i], t.Scheme, &filled, 1)
		if err != nil {
			return nil, err
		}
		w.identities = append(w.identities, id)
	}
	subject, ok := t.Claim(s.subjectClaim())
	switch {
	case ok && subject != t.Subject:
		return nil, fmt.Errorf("the first claim of type %q is not the subject", s.subjectClaim())
	case !ok && len(w.identities) == 0:
		w.identities = []wireIdentity{s.subjectIdentity(t)}
		filled = []string{filledIdentity}
	case !ok:
		id := &w.identities[0]
		id.claims = append(id.claims, s.claimOf(t.Subject))
		filled[0] += filledSubject
	}
	var err error
	w.items, err = toItems(t, filled)
	return w, err
}

func (s Serializer) fromWire(w *wireTicket) (*ticketstore.Ticket, error) {
	t := &ticketstore.Ticket{Scheme: w.scheme}
	filled, err := fromItems(t, w.items)
	if err != nil {
		return nil, err
	}
	var all []*ticketstore.Identity // in the order of filled
	t.Identities = make([]ticketstore.Identity, len(w.identities))
	for i := range w.identities {
		if t.Identities[i], err = fromWireIdentity(&w.identities[i], 1); err != nil {
			return nil, err
		}
		for id := &t.Identities[i]; id != nil; id = id.Actor {
			all = append(all, id)
		}
	}
	subject, ok := t.Claim(s.subjectClaim())
	if !ok {
		return nil, fmt.Errorf("it has no claim of type %q: see SubjectClaim", s.subjectClaim())
	}
	if err := subjects.Check(subject); err != nil {
		return nil, err
	}
	t.Subject = subject
	if len(filled) != len(all) {
		return t, nil // .NET has changed the identities since
	}
	for i, id := range all {
		s.empty(t, id, filled[i])
	}
	if filled[0] == filledIdentity && len(w.identities) == 1 && isFilled(&t.Identities[0]) {
		t.Identities = nil
	}
	return t, nil
}

func (s Serializer) subjectClaim() string { return or(s.SubjectClaim, nameIdentifier) }

// toWireIdentity appends to filled, for id and then for its actors, what of it
// was empty.
func toWireIdentity(id *ticketstore.Identity, scheme string, filled *[]string, depth int) (wireIdentity, error) {
	if depth > maxIdentities {
		return wireIdentity{}, fmt.Errorf("actors are nested more than %d deep", maxIdentities)
	}
	w := wireIdentity{
		authenticationType: or(id.AuthenticationType, or(scheme, defaultScheme)),
		nameType:           or(id.NameClaimType, ticketNameType),
		roleType:           or(id.RoleClaimType, ticketRoleType),
		bootstrapContext:   id.BootstrapContext,
	}
	f := ""
	if id.AuthenticationType == "" {
		f += filledType
	}
	if id.NameClaimType == "" {
		f += filledName
	}
	if id.RoleClaimType == "" {
		f += filledRole
	}
	*filled = append(*filled, f)
	for _, c := range id.Claims {
		issuer := or(c.Issuer, defaultIssuer)
		w.claims = append(w.claims, wireClaim{
			claimType:      c.Type,
			value:          c.Value,
			valueType:      or(c.ValueType, defaultValueType),
			issuer:         issuer,
			originalIssuer: or(c.OriginalIssuer, issuer),
			properties:     sortedPairs(c.Properties),
		})
	}
	if id.Actor != nil {
		actor, err := toWireIdentity(id.Actor, scheme, filled, depth+1)
		if err != nil {
			return w, err
		}
		w.actor = &actor
	}
	return w, nil
}

func fromWireIdentity(w *wireIdentity, depth int) (ticketstore.Identity, error) {
	id := ticketstore.Identity{
		AuthenticationType: w.authenticationType,
		NameClaimType:      w.nameType,
		RoleClaimType:      w.roleType,
		BootstrapContext:   w.bootstrapContext,
	}
	if depth > maxIdentities {
		return id, fmt.Errorf("actors are nested more than %d deep", maxIdentities)
	}
	for _, c := range w.claims {
		id.Claims = append(id.Claims, fromWireClaim(c))
	}
	if w.actor != nil {
		actor, err := fromWireIdentity(w.actor, depth+1)
		if err != nil {
			return id, err
		}
		id.Actor = &actor
	}
	return id, nil
}

func fromWireClaim(w wireClaim) ticketstore.Claim {
	c := ticketstore.Claim{
		Type:           w.claimType,
		Value:          w.value,
		ValueType:      unless(w.valueType, defaultValueType),
		Issuer:         unless(w.issuer, defaultIssuer),
		OriginalIssuer: unless(w.originalIssuer, w.issuer),
	}
	if len(w.properties) > 0 {
		c.Properties = make(map[string]string, len(w.properties))
		for _, p := range w.properties {
			c.Properties[p.key] = p.value
		}
	}
	return c
}

func unless(s, def string) string {
	if s == def {
		return ""
	}
	return s
}

func sortedPairs(m map[string]string) []pair {
	if len(m) == 0 {
		return nil
	}
	pairs := make([]pair, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		pairs = append(pairs, pair{k, m[k]})
	}
	return pairs
}
