// Package clock lets the tests of this module move time. A context carries the
// clock, so that tests in parallel, and two parties of one test, each have
// their own, and no exported API has a clock in it.
package clock

import (
	"context"
	"time"
)

type (
	contextKey struct{}
	serverKey  struct{}
)

// Now returns the time by the clock in ctx, or time.Now if there is none.
func Now(ctx context.Context) time.Time {
	return Of(ctx)()
}

// Of returns the clock in ctx, for what asks it often.
func Of(ctx context.Context) func() time.Time {
	if now, ok := ctx.Value(contextKey{}).(func() time.Time); ok {
		return now
	}
	return time.Now
}

// NewContext returns a copy of ctx that carries the clock now.
func NewContext(ctx context.Context, now func() time.Time) context.Context {
	return context.WithValue(ctx, contextKey{}, now)
}

// AtServer returns the time by which a server knows that its clock and that of
// the caller agree: Now, unless ctx has one of its own for that.
func AtServer(ctx context.Context) time.Time {
	if now, ok := ctx.Value(serverKey{}).(func() time.Time); ok {
		return now()
	}
	return Now(ctx)
}

// WithServer returns a copy of ctx for a server whose clock cannot be moved,
// while that of the application is: the time passes for the latter alone.
func WithServer(ctx context.Context, now func() time.Time) context.Context {
	return context.WithValue(ctx, serverKey{}, now)
}
