package oidc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/clock"
)

// The provider's tokens are properties of the ticket, by the names that ASP.NET
// Core's SaveTokens gives them: an application beside this one finds them with
// GetTokenAsync.
const (
	tokenPrefix  = ".Token."
	tokenNames   = ".TokenNames" // with ; between
	accessToken  = "access_token"
	refreshToken = "refresh_token"
	idToken      = "id_token"
	tokenType    = "token_type"
	expiresAt    = "expires_at"

	// claimKey is "<claim> <Unix ms>" while somebody redeems the refresh token.
	claimKey = ".oidc.refreshing"
	// reusableKey is there if the provider let a refresh token be redeemed and
	// gave no other one in its place.
	reusableKey = ".oidc.reusable"
)

const maxHint = 4 << 10 // bytes of an ID token in a URL

// keep puts into t the tokens that it is to have: the ID token for Logout and,
// with KeepTokens, the others for Token.
func (p *Provider) keep(ctx context.Context, t *ticketstore.Ticket, token *oauth2.Token) {
	if t.Properties == nil {
		t.Properties = map[string]string{}
	}
	// A session that replaces another may have come with its properties.
	clear := []string{accessToken, refreshToken, idToken, tokenType, expiresAt}
	for _, name := range clear {
		setToken(t, name, "")
	}
	delete(t.Properties, claimKey)
	delete(t.Properties, reusableKey)
	if raw, _ := token.Extra("id_token").(string); p.metadata.EndSessionEndpoint != "" && len(raw) <= maxHint {
		setToken(t, idToken, raw)
	}
	if p.cfg.KeepTokens {
		keepTokens(t, token)
	}
	if len(t.Properties) == 0 {
		t.Properties = nil
	}
}

// keepTokens puts the access and the refresh token into t.
func keepTokens(t *ticketstore.Ticket, token *oauth2.Token) {
	setToken(t, accessToken, token.AccessToken)
	setToken(t, tokenType, token.Type())
	setToken(t, refreshToken, token.RefreshToken)
	expires := ""
	if !token.Expiry.IsZero() {
		expires = token.Expiry.UTC().Format(time.RFC3339)
	}
	setToken(t, expiresAt, expires)
}

// setToken sets a token of t, or removes it if value is empty.
func setToken(t *ticketstore.Ticket, name, value string) {
	var names []string
	if all := t.Properties[tokenNames]; all != "" {
		names = strings.Split(all, ";")
	}
	names = slices.DeleteFunc(names, func(n string) bool { return n == name })
	delete(t.Properties, tokenPrefix+name)
	if value != "" {
		names = append(names, name)
		t.Properties[tokenPrefix+name] = value
	}
	if t.Properties[tokenNames] = strings.Join(names, ";"); len(names) == 0 {
		delete(t.Properties, tokenNames)
	}
}

// kept returns the access token of t, without the refresh token, which is no
// one's to redeem but Token's; nil if there is none, or it is no longer good.
func kept(t *ticketstore.Ticket, now time.Time) *oauth2.Token {
	token := &oauth2.Token{AccessToken: t.Properties[tokenPrefix+accessToken], TokenType: t.Properties[tokenPrefix+tokenType]}
	if token.AccessToken == "" {
		return nil
	}
	if s := t.Properties[tokenPrefix+expiresAt]; s != "" {
		var err error
		if token.Expiry, err = time.Parse(time.RFC3339, s); err != nil || !now.Add(expiryMargin).Before(token.Expiry) {
			return nil
		}
	}
	return token
}

// expiryMargin is how much longer an access token is to be good that Token
// returns, so that it arrives in time. x/oauth2 has the same.
const expiryMargin = 10 * time.Second

// expiry returns when token, which has just been issued, expires; zero if it
// does not say.
func expiry(ctx context.Context, token *oauth2.Token) time.Time {
	if token.ExpiresIn <= 0 {
		return time.Time{}
	}
	return clock.Now(ctx).Add(time.Duration(token.ExpiresIn) * time.Second).Truncate(time.Second)
}

// withoutBody returns err without the answer of the token endpoint, which may
// have anything in it.
func withoutBody(err error) error {
	var e *oauth2.RetrieveError
	if !errors.As(err, &e) {
		return err
	}
	return fmt.Errorf("the token endpoint answers %s, error %q", e.Response.Status, e.ErrorCode)
}

// claimedBy returns whose claim on the refresh token of t there is, and since
// when; "" if there is none.
func claimedBy(t *ticketstore.Ticket) (claim string, since time.Time) {
	claim, at, _ := strings.Cut(t.Properties[claimKey], " ")
	ms, _ := strconv.ParseInt(at, 10, 64)
	return claim, time.UnixMilli(ms)
}
