package oidc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/ticketstore/ticketstore/internal/clock"
)

const (
	keysPatience = 5 * time.Second // for which a token waits for the provider's keys
	keysCooldown = 5 * time.Second // between two requests for them
	maxKeysBytes = 1 << 20
)

// A keySet is go-oidc's, which asks the provider for its keys whenever a
// signature does not verify: anybody could have it asked at any rate. So it is
// asked once in a while, and what it answered last, or how it failed, stands
// until then.
type keySet struct {
	remote *gooidc.RemoteKeySet
	*cooling
}

func newKeySet(ctx context.Context, client *http.Client, url string) *keySet {
	c := &cooling{next: client.Transport}
	if c.next == nil {
		c.next = http.DefaultTransport
	}
	ctx = gooidc.ClientContext(ctx, &http.Client{Transport: c})
	return &keySet{gooidc.NewRemoteKeySet(ctx, url), c}
}

// errUnavailable: whether a token is genuine cannot be told now. Sooner or later
// it can: answer 503.
var errUnavailable = errors.New("the provider's keys cannot be had now")

type unavailableKey struct{}

// watched returns a copy of ctx for a verifier, which forgets what kind of error
// its KeySet returned, and a function that takes the verifier's error and
// returns one that is errUnavailable if it came of that.
func watched(ctx context.Context) (context.Context, func(error) error) {
	var cause error
	return context.WithValue(ctx, unavailableKey{}, &cause), func(err error) error {
		if err != nil && cause != nil {
			return cause
		}
		return err
	}
}

// VerifySignature implements [gooidc.KeySet].
func (k *keySet) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	asked := k.asked()
	bounded, cancel := context.WithTimeout(ctx, keysPatience)
	defer cancel()
	payload, err := k.remote.VerifySignature(bounded, jwt)
	if err == nil {
		return payload, nil
	}
	// go-oidc has no error of its own for this.
	failed := strings.HasPrefix(err.Error(), "fetching keys")
	// Another key may have come since the provider was last asked.
	if failed || k.asked() == asked && !k.has(keyID(jwt)) {
		err = fmt.Errorf("%w: %w", errUnavailable, err)
		if cause, ok := ctx.Value(unavailableKey{}).(*error); ok {
			*cause = err
		}
	}
	return nil, err
}

// keyID returns what a token says it is signed with.
func keyID(jwt string) string {
	if h, err := header(jwt); err == nil {
		return h.KeyID
	}
	return ""
}

// header returns the header of a token in the compact serialization, unverified.
func header(jwt string) (jose.Header, error) {
	var algorithms []jose.SignatureAlgorithm
	for _, alg := range asymmetric {
		algorithms = append(algorithms, jose.SignatureAlgorithm(alg))
	}
	jws, err := jose.ParseSignedCompact(jwt, algorithms)
	if err != nil {
		return jose.Header{}, err
	}
	return jws.Signatures[0].Protected, nil
}

// cooling is a transport for one URL that asks it once in a while.
type cooling struct {
	next http.RoundTripper

	mu       sync.Mutex
	times    int
	last     time.Time
	status   int
	body     []byte
	err      error
	keyNames map[string]bool
}

func (c *cooling) asked() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.times
}

// has reports whether the provider has a key of that name, as far as is known. A
// token that names none is tried with all of them.
func (c *cooling) has(keyID string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return keyID == "" || c.keyNames[keyID]
}

// RoundTrip implements [http.RoundTripper].
func (c *cooling) RoundTrip(r *http.Request) (*http.Response, error) {
	now := clock.Now(r.Context())
	c.mu.Lock()
	recent := c.times > 0 && now.Sub(c.last).Abs() < keysCooldown
	if !recent {
		c.last = now
		c.times++
	}
	c.mu.Unlock()
	if !recent {
		status, body, err := c.ask(r)
		names := keyNames(body)
		c.mu.Lock()
		c.status, c.body, c.err = status, body, err
		if err == nil {
			c.keyNames = names
		}
		c.mu.Unlock()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return nil, c.err
	}
	return &http.Response{
		Status:     http.StatusText(c.status),
		StatusCode: c.status,
		Header:     http.Header{"Content-Type": {"application/json"}},
		Body:       io.NopCloser(bytes.NewReader(c.body)),
		Request:    r,
	}, nil
}

func (c *cooling) ask(r *http.Request) (status int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	res, err := c.next.RoundTrip(r.WithContext(ctx))
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	body, err = io.ReadAll(io.LimitReader(res.Body, maxKeysBytes+1))
	if err == nil && len(body) > maxKeysBytes {
		err = fmt.Errorf("%s has more than %d bytes", r.URL, maxKeysBytes)
	}
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", r.URL, res.Status)
	}
	return res.StatusCode, body, err
}

func keyNames(jwks []byte) map[string]bool {
	var set struct {
		Keys []struct {
			ID string `json:"kid"`
		} `json:"keys"`
	}
	_ = json.Unmarshal(jwks, &set) // go-oidc says what is wrong with it
	names := map[string]bool{}
	for _, k := range set.Keys {
		names[k.ID] = true
	}
	return names
}
