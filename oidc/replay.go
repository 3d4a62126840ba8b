package oidc

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// replays remembers, for all instances, which tokens have been used, by issuer
// and jti. It is in Redis itself and no interface: sessions that another
// instance can end are there already.
type replays struct {
	client redis.UniversalClient
	prefix string
}

// key is a hash: a jti may be of any length, and have braces.
func (s replays) key(issuer, jti string) string {
	sum := sha256.Sum256([]byte(issuer + " " + jti))
	return s.prefix + "oidc-jti:" + base64.RawURLEncoding.EncodeToString(sum[:])
}

// once calls f if the token has not been used, and notes that it has been once f
// is done: if f fails, or this process does, the token can come again. fresh is
// false if it had been used, also if another instance was quicker. f does no
// harm twice.
func (s replays) once(ctx context.Context, issuer, jti string, lasts time.Duration, f func() error) (fresh bool, err error) {
	key := s.key(issuer, jti)
	n, err := s.client.Exists(ctx, key).Result()
	if err != nil {
		return false, fmt.Errorf("oidc: replays: %w", err)
	}
	if n > 0 {
		return false, nil
	}
	if err := f(); err != nil {
		return false, err
	}
	err = s.client.SetArgs(ctx, key, "1", redis.SetArgs{Mode: "NX", TTL: lasts}).Err()
	if err == redis.Nil {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("oidc: replays: %w", err)
	}
	return true, nil
}
