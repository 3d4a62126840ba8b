package oidc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/oauth2"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/clock"
)

// ErrSignInAgain: there is no access token, and no way to a new one but a new
// sign-in. The session goes on: send the user to [Provider.Login], or do without.
var ErrSignInAgain = errors.New("oidc: no access token: the user has to sign in again")

const (
	claimLasts   = 30 * time.Second // after which its owner has crashed
	commitWithin = 10 * time.Second
	undoWithin   = time.Second
	firstWait    = 20 * time.Millisecond
	longestWait  = 500 * time.Millisecond
)

// Token returns an access token of r's user that is good for 10 more seconds at
// least: the one in the ticket or, if that has expired, a new one. It needs
// [Config].KeepTokens. The refresh token stays here.
//
// Of all requests, in all tabs and by all instances, one redeems the refresh
// token: it first claims it in the ticket, by the ticket's revision, and the
// others wait for what it writes there. If its owner crashes in between, the
// refresh token counts as spent, as the provider may have taken it; but if the
// provider is known to let one be redeemed again, somebody else does.
//
// It returns [ErrSignInAgain] if there is no refresh token, if it is spent, or
// if the provider no longer takes it; [ticketstore.ErrNotFound] if r has no
// session. Any other error means that the provider or the store cannot answer:
// try again later. ctx bounds the wait.
func (p *Provider) Token(ctx context.Context, r *http.Request) (*oauth2.Token, error) {
	if !p.cfg.KeepTokens {
		return nil, errors.New("oidc: token: set Config.KeepTokens")
	}
	if t, ok := ticketstore.FromContext(r.Context()); ok {
		if token := kept(t, clock.Now(r.Context())); token != nil {
			return token, nil
		}
	}
	// What is claimed is redeemed and written to the end, whoever hangs up.
	whole := r.WithContext(context.WithoutCancel(r.Context()))
	ctx, cancel := context.WithTimeout(ctx, claimLasts)
	defer cancel()
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("oidc: token: another request is getting it: %w", err)
		}
		token, err := p.tryToken(whole)
		if !errors.Is(err, errClaimed) {
			return token, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// errClaimed: somebody else is redeeming the refresh token.
var errClaimed = errors.New("oidc: token: it is being refreshed")

// tryToken returns the access token that there is, or redeems the refresh token
// if it is the first to claim it.
func (p *Provider) tryToken(r *http.Request) (*oauth2.Token, error) {
	now := clock.Now(r.Context())
	claim := random()
	var there *oauth2.Token
	var refresh string
	var reusable bool
	errThere := errors.New("there is a token")
	_, err := p.manager.Renew(r, func(t *ticketstore.Ticket) error {
		if there = kept(t, now); there != nil {
			return errThere
		}
		refresh, reusable = t.Properties[tokenPrefix+refreshToken], t.Properties[reusableKey] != ""
		if refresh == "" {
			return ErrSignInAgain
		}
		owner, since := claimedBy(t)
		if owner != "" && owner != claim {
			switch crashed := now.Sub(since) >= claimLasts; {
			case !crashed:
				return errClaimed
			case !reusable:
				return fmt.Errorf("%w: whoever redeemed the refresh token has crashed", ErrSignInAgain)
			}
		}
		t.Properties[claimKey] = fmt.Sprintf("%s %d", claim, now.UnixMilli())
		return nil
	})
	switch {
	case there != nil && errors.Is(err, errThere):
		return there, nil
	case errors.Is(err, ErrSignInAgain), errors.Is(err, errClaimed), errors.Is(err, ticketstore.ErrNotFound):
		return nil, err
	case errors.Is(err, ticketstore.ErrConflict): // others are busy with the ticket
		return nil, errClaimed
	case err != nil:
		// The claim may be there, and nothing has been redeemed by it.
		p.settle(r, claim, undoWithin, func(*ticketstore.Ticket) {})
		return nil, fmt.Errorf("oidc: token: %w", err)
	}
	return p.redeem(r, claim, refresh, reusable)
}

// redeem redeems the refresh token that it has claimed, and writes what comes of
// it into the ticket.
func (p *Provider) redeem(r *http.Request, claim, refresh string, reusable bool) (*oauth2.Token, error) {
	ctx, cancel := context.WithTimeout(p.client(r.Context()), callTimeout)
	defer cancel()
	token, err := p.oauth.TokenSource(ctx, &oauth2.Token{RefreshToken: refresh}).Token()
	if err != nil {
		err = p.notRedeemed(r, claim, err, reusable)
		p.log(ctx, slog.LevelWarn, "oidc: a refresh token was not redeemed", "error", err)
		return nil, err
	}
	token.Expiry = expiry(ctx, token)
	err = p.settle(r, claim, commitWithin, func(t *ticketstore.Ticket) {
		keepTokens(t, token)
		if token.RefreshToken == refresh {
			t.Properties[reusableKey] = "1"
		} else {
			delete(t.Properties, reusableKey)
		}
	})
	switch {
	case errors.Is(err, ticketstore.ErrNotFound):
		return nil, err
	case err != nil: // this request has its token; the next will have to sign in again
		p.log(ctx, slog.LevelError, "oidc: new tokens were not kept", "error", err)
	}
	return &oauth2.Token{AccessToken: token.AccessToken, TokenType: token.TokenType, Expiry: token.Expiry}, nil
}

// notRedeemed gives up a claim: the refresh token stays good only if the
// provider has certainly not taken it.
func (p *Provider) notRedeemed(r *http.Request, claim string, err error, reusable bool) error {
	var refused *oauth2.RetrieveError
	var dial *net.OpError
	dead, untouched := false, reusable
	switch {
	case errors.As(err, &refused):
		status := refused.Response.StatusCode
		dead = refused.ErrorCode == "invalid_grant"
		untouched = untouched || 400 <= status && status < 500 || status == http.StatusServiceUnavailable
	case errors.As(err, &dial):
		untouched = untouched || dial.Op == "dial"
	}
	err = withoutBody(err)
	if dead || !untouched {
		err = fmt.Errorf("%w: %w", ErrSignInAgain, err)
	} else {
		err = fmt.Errorf("oidc: token: %w", err)
	}
	return errors.Join(err, p.settle(r, claim, commitWithin, func(t *ticketstore.Ticket) {
		if dead || !untouched {
			setToken(t, refreshToken, "")
		}
	}))
}

var errClaimLost = errors.New("oidc: token: the claim is another's")

// settle changes the ticket and takes claim out of it, trying again while the
// store cannot answer.
func (p *Provider) settle(r *http.Request, claim string, within time.Duration, change func(*ticketstore.Ticket)) error {
	ctx, cancel := context.WithTimeout(r.Context(), within)
	defer cancel()
	r = r.WithContext(ctx)
	settled := false // by a try, as far as is known
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		_, err := p.manager.Renew(r, func(t *ticketstore.Ticket) error {
			if owner, _ := claimedBy(t); owner != claim {
				return errClaimLost
			}
			change(t)
			delete(t.Properties, claimKey)
			settled = true
			return nil
		})
		switch {
		case err == nil, errors.Is(err, ticketstore.ErrNotFound), errors.Is(err, ticketstore.ErrInvalidTicket):
			return err
		case errors.Is(err, errClaimLost):
			if settled { // the reply to it was lost
				return nil
			}
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return err
		}
	}
}
