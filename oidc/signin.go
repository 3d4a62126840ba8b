package oidc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/ticketstore/ticketstore"
)

// ErrRefused is what [Config].Accept returns, perhaps wrapped, for a user who
// may not sign in.
var ErrRefused = errors.New("oidc: the user may not sign in")

// A SignIn is what the provider has said of a user, once it has been verified.
type SignIn struct {
	// Ticket is what is about to be stored, with [Subject] for its subject, the
	// claims of the ID token, and its links. [Config].Accept may change it; but
	// the first links, and the times, are set again after it.
	Ticket *ticketstore.Ticket

	// IDToken has all claims.
	IDToken *gooidc.IDToken

	// Token is the access token, and perhaps the refresh token.
	Token *oauth2.Token

	provider *Provider
}

// UserInfo asks the provider for what its ID token leaves out: many put name and
// email there. The answer is about the user of the ID token (OpenID Connect Core
// 1.0, section 5.3.2).
func (s *SignIn) UserInfo(ctx context.Context) (*gooidc.UserInfo, error) {
	info, err := s.provider.provider.UserInfo(s.provider.client(ctx), oauth2.StaticTokenSource(s.Token))
	if err != nil {
		return nil, fmt.Errorf("oidc: userinfo: %w", err)
	}
	if info.Subject != s.IDToken.Subject {
		return nil, errors.New("oidc: userinfo: it is about another user")
	}
	return info, nil
}

// claims are those of an ID token that go-oidc does not read.
type claims struct {
	SessionID     string   `json:"sid"`       // Front-Channel Logout 1.0, section 3
	AuthTime      unixTime `json:"auth_time"` // Core 1.0, section 2
	Party         string   `json:"azp"`       // the same
	Email         string   `json:"email"`     // section 5.1
	EmailVerified *boolean `json:"email_verified"`
	SessionExpiry unixTime `json:"session_expiry"` // IPSIE SL1 OpenID Connect Profile
}

// unixTime is a JSON number of seconds; some providers send it as a string.
type unixTime struct{ time.Time }

func (t *unixTime) UnmarshalJSON(b []byte) error {
	s := strings.Trim(string(b), `"`)
	if s == "null" || s == "" {
		return nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f < 0 || f > 1e12 {
		return fmt.Errorf("%q is no time in seconds", s)
	}
	t.Time = time.UnixMilli(int64(f * 1000))
	return nil
}

// boolean is a JSON boolean; some providers send it as a string.
type boolean bool

func (v *boolean) UnmarshalJSON(b []byte) error {
	*v = strings.Trim(string(b), `"`) == "true"
	return nil
}

const maxSkew = 5 * time.Minute // of the provider's clock, for ID tokens

// verifyIDToken verifies raw as OpenID Connect Core 1.0, section 3.1.3.7 has it.
func (p *Provider) verifyIDToken(ctx context.Context, raw string, a *attempt, now time.Time) (*gooidc.IDToken, claims, error) {
	var c claims
	id, err := p.verifier(ctx, p.cfg.Issuer, p.cfg.ClientID, true).Verify(p.client(ctx), raw)
	if err != nil {
		return nil, c, err
	}
	if err := id.Claims(&c); err != nil {
		return nil, c, fmt.Errorf("oidc: claims: %w", err)
	}
	switch {
	case id.Nonce != a.Nonce:
		return nil, c, errors.New("oidc: the nonce is another")
	case id.Subject == "":
		return nil, c, errors.New("oidc: there is no sub")
	case c.Party != "" && c.Party != p.cfg.ClientID:
		return nil, c, fmt.Errorf("oidc: azp: the token was issued to %q", c.Party)
	case c.Party == "" && len(id.Audience) > 1:
		return nil, c, errors.New("oidc: there are several audiences and no azp")
	case id.IssuedAt.IsZero():
		return nil, c, errors.New("oidc: there is no iat")
	case id.IssuedAt.After(now.Add(maxSkew)):
		return nil, c, fmt.Errorf("oidc: iat is %v ahead: check the clocks", id.IssuedAt.Sub(now))
	case !c.SessionExpiry.IsZero() && !c.SessionExpiry.After(now):
		return nil, c, errors.New("oidc: session_expiry is past")
	}
	return id, c, nil
}

// unknown is Ticket.AuthenticatedAt if the provider does not say when: with it,
// RequireRecent demands a sign-in that does. Zero would mean the sign-in itself,
// which single sign-on may have let through without asking anybody anything.
var unknown = time.Unix(1, 0).UTC()

// bind sets what makes t a session of the provider's.
func (p *Provider) bind(t *ticketstore.Ticket, id *gooidc.IDToken, c claims) {
	for _, link := range slices.Backward(p.links(id, c)) {
		t.Links = slices.DeleteFunc(t.Links, func(l string) bool { return l == link })
		t.Links = slices.Insert(t.Links, 0, link)
	}
	t.LinkedAt = id.IssuedAt
	if t.AuthenticatedAt = c.AuthTime.Time; t.AuthenticatedAt.IsZero() {
		t.AuthenticatedAt = unknown
	}
	// The ID token's exp is how long the token may be used to sign in, not how
	// long the session lasts (Core 1.0, section 2).
	if e := c.SessionExpiry.Time; !e.IsZero() && (t.EndsAt.IsZero() || e.Before(t.EndsAt)) {
		t.EndsAt = e
	}
}

// links returns what the session of an ID token depends on.
func (p *Provider) links(id *gooidc.IDToken, c claims) []string {
	links := []string{Link("sub", p.cfg.Issuer, id.Subject), Link("client", p.cfg.Issuer, p.cfg.ClientID)}
	if c.SessionID != "" {
		links = append(links, Link("sid", p.cfg.Issuer, c.SessionID))
	}
	if c.Email != "" && (c.EmailVerified == nil || bool(*c.EmailVerified)) {
		links = append(links, Link("email", p.cfg.Issuer, c.Email))
	}
	return links
}

// protocol are the claims of an ID token that are about it, and not its user.
var protocol = []string{
	"iss", "aud", "exp", "iat", "nbf", "nonce", "at_hash", "c_hash", "s_hash", "azp", "jti", "sid",
	"auth_time", "session_expiry", "typ", "_claim_names", "_claim_sources",
}

// ticket returns the ticket of an ID token, with its other claims, sorted: one
// for each string, number or boolean, and for each element of an array; of an
// object, its JSON.
func ticket(issuer string, id *gooidc.IDToken) (*ticketstore.Ticket, error) {
	var all map[string]json.RawMessage
	if err := id.Claims(&all); err != nil {
		return nil, fmt.Errorf("oidc: claims: %w", err)
	}
	var list []ticketstore.Claim
	for name, value := range all {
		if slices.Contains(protocol, name) {
			continue
		}
		elements := []json.RawMessage{value}
		if json.Unmarshal(value, &elements) != nil {
			elements = []json.RawMessage{value}
		}
		for _, e := range elements {
			if c, ok := claim(name, e); ok {
				c.Issuer = issuer
				list = append(list, c)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b ticketstore.Claim) int { return strings.Compare(a.Type, b.Type) })
	return ticketstore.NewTicket(Subject(issuer, id.Subject), list...), nil
}

// claim returns the claim of one value. Its types are those of ASP.NET Core.
func claim(name string, value json.RawMessage) (c ticketstore.Claim, ok bool) {
	c = ticketstore.Claim{Type: name, Value: string(value)}
	switch {
	case len(value) == 0 || string(value) == "null":
		return c, false
	case value[0] == '"':
		return c, json.Unmarshal(value, &c.Value) == nil
	case value[0] == '{' || value[0] == '[':
		var b bytes.Buffer
		if json.Compact(&b, value) != nil {
			return c, false
		}
		c.Value, c.ValueType = b.String(), "JSON"
	case value[0] == 't' || value[0] == 'f':
		c.ValueType = "http://www.w3.org/2001/XMLSchema#boolean"
	default:
		c.ValueType = "http://www.w3.org/2001/XMLSchema#double"
	}
	return c, true
}
