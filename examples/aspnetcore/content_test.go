package aspnetcore_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ticketstore/ticketstore"
)

// The types of claims that ASP.NET Core goes by (ClaimTypes), and what a claim
// has by default (ClaimValueTypes, ClaimsIdentity.DefaultIssuer).
const (
	nameIdentifier = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier"
	nameClaim      = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name"
	roleClaim      = "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"

	stringType     = "http://www.w3.org/2001/XMLSchema#string"
	localAuthority = "LOCAL AUTHORITY"
)

// A content is all that a ticket says: TicketJson.cs. Both sides answer with
// it, so that two answers can be compared.
type content struct {
	Subject      string            `json:"subject"`
	Name         string            `json:"name"`
	Roles        []string          `json:"roles"`
	Scheme       string            `json:"scheme"`
	Issued       time.Time         `json:"issued"`
	Expires      time.Time         `json:"expires"`
	Persistent   bool              `json:"persistent"`
	AllowRefresh *bool             `json:"allowRefresh"`
	Items        map[string]string `json:"items"`
	Identities   []identity        `json:"identities"`

	// Go's alone.
	ID      string               `json:"id,omitempty"`
	Session *ticketstore.Session `json:"session,omitempty"`
}

type identity struct {
	AuthenticationType *string   `json:"authenticationType"`
	NameClaimType      *string   `json:"nameClaimType"`
	RoleClaimType      *string   `json:"roleClaimType"`
	BootstrapContext   *string   `json:"bootstrapContext"`
	Claims             []claim   `json:"claims"`
	Actor              *identity `json:"actor"`
}

type claim struct {
	Type           string            `json:"type"`
	Value          string            `json:"value"`
	ValueType      *string           `json:"valueType"`
	Issuer         *string           `json:"issuer"`
	OriginalIssuer *string           `json:"originalIssuer"`
	Properties     map[string]string `json:"properties"`
}

// A signIn is what /signin is asked for: SignInJson in Sessions.cs. To the Go
// service ExpiresUTC is an idle timeout, as that is what .NET makes of it.
type signIn struct {
	Identities   []identity        `json:"identities"`
	Items        map[string]string `json:"items"`
	Persistent   bool              `json:"persistent"`
	ExpiresUTC   *time.Time        `json:"expiresUtc,omitempty"`
	AllowRefresh *bool             `json:"allowRefresh"`
}

// An update is what /update is asked for: UpdateJson. EndsAt is for Go alone.
type update struct {
	Set    []claim    `json:"set"`
	Add    []claim    `json:"add"`
	Remove []string   `json:"remove"`
	EndsAt *time.Time `json:"endsAt,omitempty"`
}

// person returns what signs in a user as most applications do it.
func person(subject string, claims ...claim) signIn {
	return signIn{Identities: []identity{{
		AuthenticationType: new("pwd"),
		NameClaimType:      new(nameClaim),
		RoleClaimType:      new(roleClaim),
		Claims:             append([]claim{{Type: nameIdentifier, Value: subject}, {Type: nameClaim, Value: "Name of " + subject}}, claims...),
	}}}
}

func (in signIn) subject() string { return valueOf(in.Identities, nameIdentifier) }

// valueOf returns the value of the first claim of a type.
func valueOf(identities []identity, claimType string) string {
	for _, id := range identities {
		for _, c := range id.Claims {
			if c.Type == claimType {
				return c.Value
			}
		}
	}
	return ""
}

// content returns what a ticket says of in, apart from the times.
func (in signIn) content() *content {
	c := &content{
		Scheme:       "Cookies",
		Persistent:   in.Persistent,
		AllowRefresh: in.AllowRefresh,
		Items:        maps.Clone(in.Items),
		Identities:   in.Identities,
	}
	if in.AllowRefresh != nil {
		if c.Items == nil {
			c.Items = map[string]string{}
		}
		c.Items[".refresh"] = map[bool]string{false: "False", true: "True"}[*in.AllowRefresh]
	}
	return c.derive().canonical()
}

// derive fills in what follows from the identities. ASP.NET Core compares types
// of claims without regard to case, Go does not; see TestDifferences.
func (c *content) derive() *content {
	c.Subject = valueOf(c.Identities, nameIdentifier)
	if len(c.Identities) > 0 {
		c.Name = valueOf(c.Identities[:1], text(c.Identities[0].NameClaimType, "name"))
	}
	for _, id := range c.Identities {
		for _, cl := range id.Claims {
			if cl.Type == text(id.RoleClaimType, "role") {
				c.Roles = append(c.Roles, cl.Value)
			}
		}
	}
	return c
}

// canonical returns c with the one form of what can be said in several ways:
//
//   - a claim's value type, issuer and original issuer are never missing;
//   - a null is "", and an empty list null;
//   - the items are those of the application: .issued, .expires and
//     .persistent are fields of c, and those of the library are asked for by
//     the tests that know of them.
func (c *content) canonical() *content {
	n := *c
	n.Items = map[string]string{}
	for k, v := range c.Items {
		if k != ".issued" && k != ".expires" && k != ".persistent" && !strings.HasPrefix(k, "ticketstore.") {
			n.Items[k] = v
		}
	}
	n.Issued, n.Expires = c.Issued.UTC(), c.Expires.UTC()
	if len(n.Roles) == 0 {
		n.Roles = nil
	}
	n.Identities = nil
	for _, id := range c.Identities {
		n.Identities = append(n.Identities, id.canonical())
	}
	n.ID, n.Session = "", nil
	return &n
}

func (id identity) canonical() identity {
	for _, p := range []**string{&id.AuthenticationType, &id.NameClaimType, &id.RoleClaimType, &id.BootstrapContext} {
		*p = new(text(*p, ""))
	}
	claims := id.Claims
	id.Claims = nil
	for _, c := range claims {
		c.ValueType = new(text(c.ValueType, stringType))
		c.Issuer = new(text(c.Issuer, localAuthority))
		c.OriginalIssuer = new(text(c.OriginalIssuer, *c.Issuer))
		if len(c.Properties) == 0 {
			c.Properties = nil
		}
		id.Claims = append(id.Claims, c)
	}
	if id.Actor != nil {
		id.Actor = new(id.Actor.canonical())
	}
	return id
}

// withoutTimes returns c in its canonical form without Issued and Expires.
func (c *content) withoutTimes() *content {
	n := c.canonical()
	n.Issued, n.Expires = time.Time{}, time.Time{}
	return n
}

func text(s *string, def string) string {
	if s == nil || *s == "" {
		return def
	}
	return *s
}

// contentOf returns what t says.
func contentOf(t *ticketstore.Ticket) *content {
	c := &content{
		Scheme:     t.Scheme,
		Issued:     t.IssuedAt,
		Expires:    t.ExpiresAt,
		Persistent: t.Persistent,
		Items:      t.Properties,
		ID:         t.ID,
		Session:    new(t.Session()),
	}
	for _, id := range t.Identities {
		c.Identities = append(c.Identities, *identityOf(&id))
	}
	c.derive()
	c.Subject = t.Subject
	if len(t.Identities) > 0 {
		c.Roles = slices.DeleteFunc(c.Roles, func(r string) bool { return !t.HasRole(r) })
	}
	switch t.Properties[".refresh"] {
	case "True":
		c.AllowRefresh = new(true)
	case "False":
		c.AllowRefresh = new(false)
	}
	return c
}

func identityOf(id *ticketstore.Identity) *identity {
	if id == nil {
		return nil
	}
	n := &identity{
		AuthenticationType: &id.AuthenticationType,
		NameClaimType:      &id.NameClaimType,
		RoleClaimType:      &id.RoleClaimType,
		BootstrapContext:   &id.BootstrapContext,
		Actor:              identityOf(id.Actor),
	}
	for _, c := range id.Claims {
		n.Claims = append(n.Claims, claim{c.Type, c.Value, &c.ValueType, &c.Issuer, &c.OriginalIssuer, c.Properties})
	}
	return n
}

// ticket returns the ticket that the Go service signs in with.
func (in signIn) ticket(now time.Time, window time.Duration) *ticketstore.Ticket {
	t := &ticketstore.Ticket{
		Subject:    in.subject(),
		Scheme:     "Cookies",
		Properties: maps.Clone(in.Items),
		Persistent: in.Persistent,
	}
	for _, id := range in.Identities {
		t.Identities = append(t.Identities, *id.ticketIdentity())
	}
	if in.ExpiresUTC != nil {
		window = in.ExpiresUTC.Sub(now).Round(time.Second)
		t.IdleTimeout = window
	}
	if in.AllowRefresh != nil {
		if t.Properties == nil {
			t.Properties = map[string]string{}
		}
		t.Properties[".refresh"] = map[bool]string{false: "False", true: "True"}[*in.AllowRefresh]
		if !*in.AllowRefresh {
			t.EndsAt = now.Add(window)
		}
	}
	return t
}

func (id *identity) ticketIdentity() *ticketstore.Identity {
	if id == nil {
		return nil
	}
	n := &ticketstore.Identity{
		AuthenticationType: text(id.AuthenticationType, ""),
		NameClaimType:      text(id.NameClaimType, ""),
		RoleClaimType:      text(id.RoleClaimType, ""),
		BootstrapContext:   text(id.BootstrapContext, ""),
		Actor:              id.Actor.ticketIdentity(),
	}
	for _, c := range id.Claims {
		n.Claims = append(n.Claims, c.ticketClaim())
	}
	return n
}

func (c claim) ticketClaim() ticketstore.Claim {
	return ticketstore.Claim{
		Type: c.Type, Value: c.Value, ValueType: text(c.ValueType, ""),
		Issuer: text(c.Issuer, ""), OriginalIssuer: text(c.OriginalIssuer, ""),
		Properties: maps.Clone(c.Properties),
	}
}

// apply changes t as /update of the test application changes a principal.
func (u update) apply(t *ticketstore.Ticket) {
	if u.EndsAt != nil {
		t.EndsAt = *u.EndsAt
	}
	if len(t.Identities) == 0 {
		t.Identities = []ticketstore.Identity{{}}
	}
	first := &t.Identities[0]
	first.Claims = slices.DeleteFunc(first.Claims, func(c ticketstore.Claim) bool {
		return slices.Contains(u.Remove, c.Type) ||
			slices.ContainsFunc(u.Set, func(s claim) bool { return s.Type == c.Type })
	})
	for _, c := range slices.Concat(u.Set, u.Add) {
		first.Claims = append(first.Claims, c.ticketClaim())
	}
}

// difference returns where got is not want, both being in canonical form, or
// "". It shows the first lines that differ.
func difference(got, want *content) string {
	g, w := lines(got), lines(want)
	for i := range max(len(g), len(w)) {
		gl, wl := "nothing", "nothing"
		if i < len(g) {
			gl = g[i]
		}
		if i < len(w) {
			wl = w[i]
		}
		if gl != wl {
			from := max(0, i-3)
			return fmt.Sprintf("got %s, want %s, behind\n%s", clip(gl), clip(wl), strings.Join(g[from:min(i, len(g))], "\n"))
		}
	}
	return ""
}

func lines(c *content) []string {
	if c == nil {
		return []string{"anonymous"}
	}
	b, err := json.MarshalIndent(c, "", " ")
	if err != nil {
		return []string{err.Error()}
	}
	return strings.Split(string(b), "\n")
}

func clip(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > 300 {
		return s[:300] + "…"
	}
	return s
}
