// Package refusal lets a handler that includes a Manager give the answers that the
// Manager would give by itself, in the handler's own look.
package refusal

import (
	"context"
	"net/http"
)

// A Func answers r with status: 401 if sign-in is required, 403 if a recent one
// is, 503 if the store cannot answer. All headers are set but those of the body.
type Func func(w http.ResponseWriter, r *http.Request, status int)

type contextKey struct{}

// NewContext returns a copy of ctx for requests that f answers.
func NewContext(ctx context.Context, f Func) context.Context {
	return context.WithValue(ctx, contextKey{}, f)
}

// From returns the Func for the requests of ctx, nil if there is none.
func From(ctx context.Context) Func {
	f, _ := ctx.Value(contextKey{}).(Func)
	return f
}
