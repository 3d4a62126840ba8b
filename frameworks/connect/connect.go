// Package ticketconnect guards the handlers of connectrpc.com/connect with a
// ticketstore.Manager. Copy its one file, or import it.
package ticketconnect

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"connectrpc.com/connect"

	"github.com/ticketstore/ticketstore"
)

// Interceptor makes an interceptor, of unary calls and of streams, of m's Wrap or
// Require. A connect.UnaryInterceptorFunc would let every stream through. guard
// sees a POST to the procedure, such as /shop.v1.Orders/List, with the headers
// of the call.
//
// What does not reach next fails: with Unauthenticated, PermissionDenied (no
// recent sign-in), or Unavailable (the store cannot answer). Handlers find the
// ticket with ticketstore.FromContext(ctx).
//
// A stream ends with its session: its context does, and Send and Receive return
// Unauthenticated.
func Interceptor(m *ticketstore.Manager, guard func(http.Handler) http.Handler) connect.Interceptor {
	return interceptor{m, guard}
}

type interceptor struct {
	manager *ticketstore.Manager
	guard   func(http.Handler) http.Handler
}

func (i interceptor) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		if req.Spec().IsClient {
			return next(ctx, req)
		}
		r, err := i.check(ctx, req.Spec(), req.Peer(), req.Header())
		if err != nil {
			return nil, err
		}
		return next(r.Context(), req)
	}
}

func (i interceptor) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

func (i interceptor) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		r, err := i.check(ctx, conn.Spec(), conn.Peer(), conn.RequestHeader())
		if err != nil {
			return err
		}
		live := r.Context()
		if _, signedIn := ticketstore.FromContext(live); signedIn {
			if live, err = i.manager.Live(r); errors.Is(err, ticketstore.ErrNotFound) {
				return errEnded()
			} else if err != nil {
				return errUnavailable()
			}
		}
		c := liveConn{conn, live}
		if err = next(live, c); err != nil && c.ended() {
			return errEnded()
		}
		return err
	}
}

// An Error has metadata, which connect writes to: one for each call.

func errEnded() error {
	return connect.NewError(connect.CodeUnauthenticated, errors.New("Sign-in is required."))
}

func errUnavailable() error {
	return connect.NewError(connect.CodeUnavailable, errors.New("Please try again."))
}

// check returns the call as guard has passed it on.
func (i interceptor) check(ctx context.Context, spec connect.Spec, peer connect.Peer, header http.Header) (passed *http.Request, err error) {
	r := &http.Request{
		Method:     http.MethodPost,
		URL:        &url.URL{Path: spec.Procedure},
		RequestURI: spec.Procedure,
		Host:       header.Get("Host"),
		Header:     header,
		Body:       http.NoBody,
		RemoteAddr: peer.Addr,
	}
	w := &answer{header: http.Header{}}
	i.guard(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		passed = r
	})).ServeHTTP(w, r.WithContext(ctx))
	switch {
	case passed != nil:
		return passed, nil
	case w.status == http.StatusForbidden:
		return nil, connect.NewError(connect.CodePermissionDenied, errors.New("A recent sign-in is required."))
	case w.status == http.StatusUnauthorized || w.status/100 == 3:
		return nil, errEnded()
	}
	return nil, errUnavailable()
}

// An answer keeps the status of what is not passed on.
type answer struct {
	header http.Header
	status int
}

func (w *answer) Header() http.Header { return w.header }

func (w *answer) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *answer) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return len(p), nil
}

// A liveConn is a stream that ends with its session.
type liveConn struct {
	connect.StreamingHandlerConn
	live context.Context
}

func (c liveConn) ended() bool { return errors.Is(context.Cause(c.live), ticketstore.ErrNotFound) }

func (c liveConn) Send(msg any) error {
	if c.ended() {
		return errEnded()
	}
	return c.StreamingHandlerConn.Send(msg)
}

// Receive does not wait for a message beyond the end of the session. What waits
// on then, and writes to msg, ends with the request.
func (c liveConn) Receive(msg any) error {
	if c.ended() {
		return errEnded()
	}
	var err error
	var panicked any
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { panicked = recover() }()
		err = c.StreamingHandlerConn.Receive(msg)
	}()
	select {
	case <-done:
		if panicked != nil {
			panic(panicked)
		}
		return err
	case <-c.live.Done():
		if c.ended() {
			return errEnded()
		}
		return c.live.Err()
	}
}
