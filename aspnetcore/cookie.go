package aspnetcore

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/clock"
)

const (
	// sessionIDClaim is the type of the one claim of the cookie's ticket
	// (CookieAuthenticationHandler).
	sessionIDClaim = "Microsoft.AspNetCore.Authentication.Cookies-SessionId"

	chunksPrefix = "chunks-" // ChunkingCookieManager

	maxCookies     = 64       // opened per request; of more, the others are left out
	maxCookieValue = 64 << 10 // bytes; with a session ID alone it has some 350

	warnEvery = time.Minute
)

var _ ticketstore.CookieCodec = (*CookieCodec)(nil)

// A CookieCodec writes and reads the cookie of an ASP.NET Core application that
// keeps its tickets in a store (CookieAuthenticationOptions.SessionStore). In
// it, protected with the application's Data Protection keys, is a ticket that
// holds a key alone, which ASP.NET Core calls session ID. Make one with
// [NewCookieCodec]; it is safe for concurrent use.
//
// What it cannot read is left out, so a wrong setting makes everybody
// anonymous. It logs the reason, at most once a minute, and never the value.
type CookieCodec struct {
	protector       *Protector
	applicationName string
	scheme          string
	logger          *slog.Logger

	mu       sync.Mutex
	warned   time.Time
	unlogged int // cookies left out since
}

// NewCookieCodec returns the codec that [ManagerConfig] uses, for a Config of
// your own. It reads KeyRing, ApplicationName, Scheme and Logger of o alone. If
// they are unfit, the error names every problem found.
func NewCookieCodec(o Options) (*CookieCodec, error) {
	if err := errors.Join(o.codecProblems()...); err != nil {
		return nil, invalidOptions(err)
	}
	return newCookieCodec(o), nil
}

func newCookieCodec(o Options) *CookieCodec {
	return &CookieCodec{
		protector:       NewProtector(o.KeyRing, o.purposes()...),
		applicationName: o.ApplicationName,
		scheme:          o.scheme(),
		logger:          o.Logger,
	}
}

// Encode implements [ticketstore.CookieCodec]. The ticket is ASP.NET Core's at
// sign-in, byte for byte, but without a ClaimsIssuer, which nobody reads.
func (c *CookieCodec) Encode(ctx context.Context, _ string, key ticketstore.Key) (string, error) {
	ticket, err := sessionTicket(c.scheme, key).bytes()
	if err != nil {
		return "", fmt.Errorf("aspnetcore: write a cookie: %w", err)
	}
	payload, err := c.protector.Protect(ctx, ticket)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(payload), nil
}

// Decode implements [ticketstore.CookieCodec]. Of cookies that have one name
// the last comes first, the only one that ASP.NET Core sees. An error is one
// of the key ring.
func (c *CookieCodec) Decode(ctx context.Context, name string, cookies []*http.Cookie) ([]ticketstore.Key, error) {
	var keys []ticketstore.Key
	var opened []string
	for _, cookie := range slices.Backward(cookies) {
		if cookie.Name != name || cookie.Value == "" || slices.Contains(opened, cookie.Value) {
			continue
		}
		if len(opened) == maxCookies {
			c.warn(ctx, name, badCookie("there are more than %d of its name", maxCookies))
			break
		}
		opened = append(opened, cookie.Value)
		key, err := c.key(ctx, cookie, cookies)
		switch {
		case err == nil:
			keys = append(keys, key)
		case errors.Is(err, ErrInvalidPayload):
			c.warn(ctx, name, err)
		default:
			return nil, err
		}
	}
	return keys, nil
}

// key returns the key in cookie, one of cookies. It returns ErrInvalidPayload
// if there is none.
func (c *CookieCodec) key(ctx context.Context, cookie *http.Cookie, cookies []*http.Cookie) (ticketstore.Key, error) {
	value, err := joinChunks(cookie, cookies)
	if err != nil {
		return "", err
	}
	ticket, err := c.open(ctx, value)
	if err != nil {
		return "", err
	}
	return keyOfTicket(ticket)
}

// open returns the serialized ticket in a cookie's value.
func (c *CookieCodec) open(ctx context.Context, value string) ([]byte, error) {
	if len(value) > maxCookieValue {
		return nil, badCookie("it has more than %d bytes", maxCookieValue)
	}
	payload, err := base64.RawURLEncoding.Strict().DecodeString(value)
	if err != nil {
		return nil, badCookie("its value is not base64url without padding")
	}
	ticket, err := c.protector.Unprotect(ctx, payload)
	if errors.Is(err, errForged) {
		return nil, badCookie("it is of another application or scheme, or forged: check Options.ApplicationName, %q, and Options.Scheme, %q", c.applicationName, c.scheme)
	}
	return ticket, err
}

// joinChunks returns the value of cookie, which may be in chunks that are
// cookies of their own (ChunkingCookieManager.GetRequestCookie). Their number
// is the client's word, but the first that is missing ends it.
func joinChunks(cookie *http.Cookie, cookies []*http.Cookie) (string, error) {
	if cookie.Quoted { // to ASP.NET Core quotes are part of the value
		return "", badCookie("its value is in double quotes")
	}
	digits, inChunks := strings.CutPrefix(cookie.Value, chunksPrefix)
	n, err := strconv.ParseUint(digits, 10, 31)
	if !inChunks || err != nil || n == 0 {
		return cookie.Value, nil
	}
	chunks := make(map[string]string)
	for _, c := range cookies {
		if !strings.HasPrefix(c.Name, cookie.Name+"C") {
			continue
		}
		chunks[c.Name] = c.Value // the last one counts
		if c.Quoted {
			chunks[c.Name] = ""
		}
	}
	var value strings.Builder
	for i := range n {
		chunk := chunks[cookie.Name+"C"+strconv.FormatUint(i+1, 10)]
		if chunk == "" {
			return "", badCookie("chunk %d of %d is missing", i+1, n)
		}
		value.WriteString(chunk)
		if value.Len() > maxCookieValue {
			break // open refuses it
		}
	}
	return value.String(), nil
}

// sessionTicket is the ticket that CookieAuthenticationHandler puts in a cookie
// for key.
func sessionTicket(scheme string, key ticketstore.Key) *wireTicket {
	return &wireTicket{scheme: scheme, identities: []wireIdentity{{
		nameType: defaultNameType, roleType: defaultRoleType,
		claims: []wireClaim{{
			claimType: sessionIDClaim, value: string(key),
			valueType: defaultValueType, issuer: defaultIssuer, originalIssuer: defaultIssuer,
		}},
	}}}
}

func keyOfTicket(ticket []byte) (ticketstore.Key, error) {
	w, err := readTicket(ticket)
	if err != nil {
		return "", badCookie("its ticket: %w", err)
	}
	for _, id := range w.identities {
		for _, c := range id.claims {
			if c.claimType == sessionIDClaim {
				return ticketstore.Key(c.value), nil
			}
		}
	}
	return "", badCookie("it has no session ID but a ticket of its own: does the application set CookieAuthenticationOptions.SessionStore?")
}

func badCookie(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrInvalidPayload}, args...)...)
}

// warn logs why a cookie is left out.
func (c *CookieCodec) warn(ctx context.Context, name string, err error) {
	now := clock.Now(ctx)
	c.mu.Lock()
	if now.Sub(c.warned).Abs() < warnEvery { // Abs: the clock may have been set back
		c.unlogged++
		c.mu.Unlock()
		return
	}
	unlogged := c.unlogged
	c.warned, c.unlogged = now, 0
	c.mu.Unlock()

	logger := c.logger
	if logger == nil {
		logger = slog.Default()
	}
	logger.WarnContext(ctx, "aspnetcore: a cookie is left out and signs nobody in",
		"cookie", name, "error", err, "unlogged", unlogged)
}
