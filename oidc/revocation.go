package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/ticketstore/ticketstore/internal/clock"
)

const (
	maxBodyBytes = 16 << 10
	maxTokenLife = time.Hour // of a token that says until when it may be used
)

// GlobalTokenRevocation returns the handler of a Global Token Revocation endpoint
// (draft-parecki-oauth-global-token-revocation-06; Okta calls it Universal
// Logout). endpoint is its own URL, as the provider has it. It ends all sessions
// of the user that sub_id identifies by the format iss_sub or email.
//
// The provider proves who it is by a bearer token as section 3.5 has it: iss is
// the Issuer, sub the ClientID, aud the endpoint. It answers 204, also if the
// user had no session; 400, 401, 403 for another sub, 404 for a user of another
// issuer; and 503 if the store or the provider's keys cannot be had.
func (p *Provider) GlobalTokenRevocation(endpoint string) http.Handler {
	return methods(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		ctx, cancel := p.storeContext(r)
		defer cancel()
		status, n, err := p.revokeGlobally(ctx, w, r, endpoint)
		if err != nil {
			p.refused(w, r, "global token revocation", err, func(w http.ResponseWriter, text string) {
				if status == http.StatusUnauthorized {
					w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token", error_description="`+text+`"`)
				}
				writeJSON(w, status, map[string]string{"error": http.StatusText(status), "error_description": text})
			})
			return
		}
		p.log(ctx, slog.LevelInfo, "oidc: global token revocation", "sessions", n)
		w.WriteHeader(http.StatusNoContent)
	}, http.MethodPost)
}

// revokeGlobally decides about a request, and returns the status of its refusal.
func (p *Provider) revokeGlobally(ctx context.Context, w http.ResponseWriter, r *http.Request, endpoint string) (status, revoked int, err error) {
	raw, ok := bearer(r)
	if !ok {
		return http.StatusUnauthorized, 0, refuse("there is no bearer token")
	}
	if err := checkType(raw, "global-token-revocation+jwt"); err != nil {
		return http.StatusUnauthorized, 0, err
	}
	verifying, cause := watched(ctx)
	token, err := p.verifier(ctx, p.cfg.Issuer, endpoint, true).Verify(verifying, raw)
	if err := cause(err); errors.Is(err, errUnavailable) {
		return 0, 0, err
	}
	if err != nil {
		return http.StatusUnauthorized, 0, refuse("%v", err)
	}
	now := clock.Now(ctx)
	var c struct {
		JTI string `json:"jti"`
	}
	switch err := token.Claims(&c); {
	case err != nil || c.JTI == "":
		return http.StatusUnauthorized, 0, refuse("there is no jti")
	case token.IssuedAt.IsZero() || token.IssuedAt.After(now.Add(maxTokenAhead)):
		return http.StatusUnauthorized, 0, refuse("iat is missing or ahead: check the clocks")
	case token.Expiry.Sub(now) > maxTokenLife:
		return http.StatusUnauthorized, 0, refuse("exp is more than %v ahead", maxTokenLife)
	case token.Subject != p.cfg.ClientID:
		return http.StatusForbidden, 0, refuse("sub is not the client")
	}
	subject, err := subjectOf(w, r)
	if err != nil {
		return http.StatusBadRequest, 0, err
	}
	link, before, err := p.ends(subject, token.IssuedAt)
	switch {
	case errors.Is(err, errNoSubject):
		return http.StatusNotFound, 0, refuse("%v", err)
	case err != nil:
		return http.StatusBadRequest, 0, refuse("%v", err)
	}
	lasts := token.Expiry.Sub(now) + maxTokenAhead
	fresh, err := p.replays.once(ctx, token.Issuer, c.JTI, lasts, func() error {
		revoked, err = p.revoke(ctx, link, before)
		return err
	})
	if err == nil && !fresh {
		return http.StatusUnauthorized, 0, refuse("the jti has been used")
	}
	return http.StatusNoContent, revoked, err
}

// bearer returns the bearer token of r (RFC 6750, section 2.1).
func bearer(r *http.Request) (token string, ok bool) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return token, strings.EqualFold(scheme, "Bearer") && token != "" && len(token) <= maxTokenBytes
}

// subjectOf returns the subject identifier in the body of r. Drafts before 04,
// and some who send it, call it subject.
func subjectOf(w http.ResponseWriter, r *http.Request) (*subjectID, error) {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return nil, refuse("the Content-Type is not application/json")
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	if err != nil {
		return nil, refuse("the body cannot be read: %v", err)
	}
	var body struct {
		SubjectID *subjectID `json:"sub_id"`
		Subject   *subjectID `json:"subject"`
	}
	if err := json.Unmarshal(b, &body); err != nil {
		return nil, refuse("the body is not what it should be: %v", err)
	}
	if body.SubjectID != nil {
		return body.SubjectID, nil
	}
	return body.Subject, nil
}
