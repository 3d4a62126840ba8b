// Package unsent tells a store that no response with the key of a call has been
// sent: the call is no use of the key by a browser.
package unsent

import "context"

type contextKey struct{}

// NewContext returns a copy of ctx for calls with such a key.
func NewContext(ctx context.Context) context.Context {
	return context.WithValue(ctx, contextKey{}, true)
}

// Key reports whether the key of a call with ctx is one.
func Key(ctx context.Context) bool { return ctx.Value(contextKey{}) != nil }
