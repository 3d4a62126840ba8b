package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"

	"github.com/ticketstore/ticketstore/internal/clock"
)

// A Transmitter is who sends security events, as its configuration says (OpenID
// Shared Signals Framework 1.0, section 7). What is empty is the provider's.
type Transmitter struct {
	// Issuer is the iss of its events. If empty, [Config].Issuer.
	Issuer string

	// Audience is the aud that the stream has for this receiver. If empty,
	// [Config].ClientID.
	Audience string

	// JWKSURL has the keys that it signs with. If empty, those of the provider.
	JWKSURL string
}

const (
	caep = "https://schemas.openid.net/secevent/caep/event-type/"
	risc = "https://schemas.openid.net/secevent/risc/event-type/"

	eventLasts = time.Hour // for which a second delivery is known; later it ends nothing new
)

// SecurityEvents returns the handler of a push delivery endpoint (RFC 8935) of
// the Shared Signals Framework. These end sessions:
//
//	CAEP session-revoked       of the session, or of the user
//	CAEP credential-change     of the user, unless a credential was added
//	RISC sessions-revoked, account-disabled
//
// up to when the event happened. Any other event is acknowledged, and nothing
// else done. It answers 202, also if an event comes again; 400 with err and
// description; and 503 if the store or the keys cannot be had, so that it is
// delivered again.
func (p *Provider) SecurityEvents(t Transmitter) http.Handler {
	keys := p.keys
	if t.Issuer == "" {
		t.Issuer = p.cfg.Issuer
	}
	if t.Audience == "" {
		t.Audience = p.cfg.ClientID
	}
	if t.JWKSURL != "" {
		keys = newKeySet(context.Background(), p.cfg.HTTPClient, t.JWKSURL)
	}
	return methods(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		ctx, cancel := p.storeContext(r)
		defer cancel()
		code, n, err := p.event(ctx, w, r, t, keys)
		if err != nil {
			p.refused(w, r, "security event", err, func(w http.ResponseWriter, text string) {
				w.Header().Set("Content-Language", "en") // RFC 8935, section 2.3
				writeJSON(w, http.StatusBadRequest, map[string]string{"err": code, "description": text})
			})
			return
		}
		p.log(ctx, slog.LevelInfo, "oidc: security event", "sessions", n)
		w.WriteHeader(http.StatusAccepted)
	}, http.MethodPost)
}

// event decides about a request. Of a refusal, code is the error code of RFC
// 8935, section 2.4.
func (p *Provider) event(ctx context.Context, w http.ResponseWriter, r *http.Request, t Transmitter, keys *keySet) (code string, revoked int, err error) {
	const invalid = "invalid_request"
	if mt, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mt != "application/secevent+jwt" {
		return invalid, 0, refuse("the Content-Type is not application/secevent+jwt")
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxTokenBytes))
	if err != nil {
		return invalid, 0, refuse("the body cannot be read: %v", err)
	}
	raw := strings.TrimSpace(string(b))
	h, err := header(raw)
	if err != nil {
		return invalid, 0, refuse("it is no token that is signed by an asymmetric algorithm: %v", err)
	}
	// Shared Signals Framework 1.0, section 4.1: it says what it is, and who it
	// is about in sub_id, so that it is no other token.
	if typ, _ := h.ExtraHeaders["typ"].(string); strings.TrimPrefix(strings.ToLower(typ), "application/") != "secevent+jwt" {
		return invalid, 0, refuse("typ is not secevent+jwt")
	}
	verifying, cause := watched(ctx)
	token, err := gooidc.NewVerifier(t.Issuer, keys, &gooidc.Config{
		SupportedSigningAlgs: asymmetric,
		SkipExpiryCheck:      true, // it has none
		SkipIssuerCheck:      true, // both are checked below, by their codes
		SkipClientIDCheck:    true,
	}).Verify(verifying, raw)
	if err := cause(err); errors.Is(err, errUnavailable) {
		return "", 0, err
	}
	if err != nil {
		return "invalid_key", 0, refuse("%v", err)
	}
	var c struct {
		JTI     string                     `json:"jti"`
		Subject *subjectID                 `json:"sub_id"`
		Events  map[string]json.RawMessage `json:"events"`
	}
	now := clock.Now(ctx)
	switch err := token.Claims(&c); {
	case err != nil:
		return invalid, 0, refuse("%v", err)
	case token.Issuer != t.Issuer:
		return "invalid_issuer", 0, refuse("iss is another")
	case !slices.Contains(token.Audience, t.Audience):
		return "invalid_audience", 0, refuse("aud is another")
	case c.JTI == "":
		return invalid, 0, refuse("there is no jti")
	case token.IssuedAt.IsZero() || token.IssuedAt.After(now.Add(maxTokenAhead)):
		return invalid, 0, refuse("iat is missing or ahead: check the clocks")
	case !token.Expiry.IsZero() && token.Expiry.Before(now):
		return invalid, 0, refuse("it has expired")
	case len(c.Events) != 1: // Shared Signals Framework 1.0, section 4.1
		return invalid, 0, refuse("there are %d events, want one", len(c.Events))
	}
	for name, value := range c.Events {
		e, err := parseEvent(name, value)
		if err != nil {
			return invalid, 0, err
		}
		if !e.ends {
			return "", 0, nil
		}
		subject := c.Subject
		if subject == nil {
			subject = e.Subject
		}
		link, before, err := p.ends(subject, e.at(token.IssuedAt))
		if err != nil {
			return invalid, 0, refuse("%v", err)
		}
		_, err = p.replays.once(ctx, token.Issuer, c.JTI, eventLasts, func() error {
			revoked, err = p.revoke(ctx, link, before)
			return err
		})
		return "", revoked, err
	}
	return "", revoked, nil
}

// A securityEvent is what this package reads of one.
type securityEvent struct {
	Subject    *subjectID `json:"subject"` // where drafts had it
	Timestamp  float64    `json:"event_timestamp"`
	ChangeType string     `json:"change_type"`

	ends bool // sessions
}

func parseEvent(name string, value json.RawMessage) (e securityEvent, err error) {
	switch name {
	case caep + "session-revoked", risc + "sessions-revoked", risc + "account-disabled":
		e.ends = true
	case caep + "credential-change":
		e.ends = true
	default:
		return e, nil
	}
	if err := json.Unmarshal(value, &e); err != nil {
		return e, refuse("%s: %v", name, err)
	}
	if name == caep+"credential-change" && e.ChangeType == "create" {
		e.ends = false // a second key, say: nothing that was good is no longer
	}
	return e, nil
}

// at returns when the event happened, which is not after it was told.
func (e securityEvent) at(told time.Time) time.Time {
	s := e.Timestamp
	if s > 1e11 { // drafts had milliseconds
		s /= 1000
	}
	if happened := time.UnixMilli(int64(s * 1000)); s > 0 && happened.Before(told) {
		return happened
	}
	return told
}
