package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/clock"
)

const (
	logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

	// A logout token is made for one request. With how long it may have been
	// under way, a token is refused after its jti has been forgotten.
	maxTokenAge   = 5 * time.Minute
	maxTokenAhead = time.Minute // of the provider's clock
	replayLasts   = maxTokenAge + maxTokenAhead + time.Minute

	// sidAhead is how far beyond a logout a sid counts as ended. No session has
	// it again, and so no sign-in that was let through before can escape.
	sidAhead = time.Hour

	maxTokenBytes = 16 << 10
)

// A refusal is what is wrong with a request of the provider's.
type refusal struct{ text string }

func (e *refusal) Error() string { return e.text }

func refuse(format string, args ...any) error { return &refusal{fmt.Sprintf(format, args...)} }

// verifyLogoutToken verifies raw as OpenID Connect Back-Channel Logout 1.0,
// section 2.6 has it, but for jti. The error is a *refusal, or errUnavailable.
func (p *Provider) verifyLogoutToken(ctx context.Context, raw string) (*gooidc.LogoutToken, error) {
	// Encrypted tokens (1) are none that go-jose takes for signed.
	if err := checkType(raw, "logout+jwt"); err != nil {
		return nil, err
	}
	// 2 to 5, and 7. The provider's algorithms have neither none nor HMAC.
	ctx, cause := watched(ctx)
	token, err := p.verifier(ctx, p.cfg.Issuer, p.cfg.ClientID, true).VerifyLogout(ctx, raw)
	if err := cause(err); errors.Is(err, errUnavailable) {
		return nil, err
	}
	if err != nil {
		return nil, refuse("%v", err)
	}
	if err := checkIssuedAt(token.IssuedAt, clock.Now(ctx)); err != nil {
		return nil, err
	}
	return token, checkLogoutEvent(token) // 6
}

// checkType returns why a token is not of a type. It is only recommended to say
// it (Back-Channel Logout 1.0, section 2.4); but one that says it is another is
// meant for somebody else (RFC 8725, section 3.11).
func checkType(raw, want string) error {
	h, err := header(raw)
	if err != nil {
		return refuse("it is no token that is signed by an asymmetric algorithm: %v", err)
	}
	typ, _ := h.ExtraHeaders["typ"].(string)
	typ = strings.TrimPrefix(strings.ToLower(typ), "application/")
	if typ != "" && typ != "jwt" && typ != want {
		return refuse("typ is %q, want %s", typ, want)
	}
	return nil
}

func checkIssuedAt(iat, now time.Time) error {
	switch {
	case iat.IsZero():
		return refuse("there is no iat")
	case iat.After(now.Add(maxTokenAhead)):
		return refuse("iat is %v ahead: check the clocks", iat.Sub(now).Round(time.Second))
	case now.Sub(iat) > maxTokenAge:
		return refuse("iat is %v ago, which is too long", now.Sub(iat).Round(time.Second))
	}
	return nil
}

// checkLogoutEvent returns why events says that token is something else. Other
// members may be there, as Keycloak's revoke_offline_access; but not other
// events, whose names are URIs (RFC 8417, section 2.2).
func checkLogoutEvent(token *gooidc.LogoutToken) error {
	var c struct {
		Events map[string]json.RawMessage `json:"events"`
	}
	if err := token.Claims(&c); err != nil {
		return refuse("events: %v", err)
	}
	value := c.Events[logoutEvent]
	if len(value) == 0 || value[0] != '{' {
		return refuse("events has no object %s", logoutEvent)
	}
	for name := range c.Events {
		if name != logoutEvent && strings.Contains(name, ":") {
			return refuse("events has %q, too", name)
		}
	}
	return nil
}

// logout ends the sessions that a logout token names, and returns how many there
// were. An error that is no *refusal means that nobody can say, or that not all
// have ended: let it be tried again.
func (p *Provider) logout(ctx context.Context, raw string) (revoked int, err error) {
	token, err := p.verifyLogoutToken(ctx, raw)
	if err != nil {
		return 0, err
	}
	// Without a sid all sessions of the user are meant (section 2.4).
	link, before := Link("sub", p.cfg.Issuer, token.Subject), token.IssuedAt
	if token.SessionID != "" {
		link, before = Link("sid", p.cfg.Issuer, token.SessionID), token.IssuedAt.Add(sidAhead)
	}
	fresh, err := p.replays.once(ctx, token.Issuer, token.TokenID, replayLasts, func() error {
		revoked, err = p.revoke(ctx, link, before)
		return err
	})
	if err == nil && !fresh {
		err = refuse("the jti has been used")
	}
	return revoked, err
}

// revoke ends the sessions of a link that began up to before.
func (p *Provider) revoke(ctx context.Context, link string, before time.Time) (int, error) {
	n, err := p.store.RevokeLinked(ticketstore.WithCause(ctx, "revoked-by-provider", p.cfg.Issuer), link, before, nil)
	if err != nil {
		err = fmt.Errorf("oidc: %w", err)
	}
	return n, err
}

// isRefusal reports whether err is the fault of whoever sent a request.
func isRefusal(err error) bool {
	var r *refusal
	return errors.As(err, &r)
}
