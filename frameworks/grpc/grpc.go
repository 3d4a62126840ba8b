// Package ticketgrpc guards gRPC services with a ticketstore.Manager. Copy its
// one file, or import it.
package ticketgrpc

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/ticketstore/ticketstore"
)

// ServerOptions makes interceptors, of unary calls and of streams, of m's Wrap or
// Require. An interceptor of unary calls alone would let every stream through.
// The cookie is in the metadata; guard sees a POST to the full name of the
// method, such as /shop.v1.Orders/List.
//
// What does not reach next fails: with Unauthenticated, PermissionDenied (no
// recent sign-in), or Unavailable (the store cannot answer). Handlers find the
// ticket with ticketstore.FromContext(ctx).
//
// A stream ends with its session: its context does, and Send and Receive return
// Unauthenticated.
func ServerOptions(m *ticketstore.Manager, guard func(http.Handler) http.Handler) []grpc.ServerOption {
	unary := func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		r, err := check(ctx, info.FullMethod, guard)
		if err != nil {
			return nil, err
		}
		return handler(r.Context(), req)
	}
	stream := func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		ctx, cancel := context.WithCancel(ss.Context())
		defer cancel()
		r, err := check(ctx, info.FullMethod, guard)
		if err != nil {
			return err
		}
		live := r.Context()
		if _, signedIn := ticketstore.FromContext(live); signedIn {
			if live, err = m.Live(r); errors.Is(err, ticketstore.ErrNotFound) {
				return errEnded
			} else if err != nil {
				return errUnavailable
			}
		}
		s := liveStream{ss, live}
		if err = handler(srv, s); err != nil && s.ended() {
			return errEnded
		}
		return err
	}
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(unary), grpc.ChainStreamInterceptor(stream)}
}

var (
	errEnded       = status.Error(codes.Unauthenticated, "Sign-in is required.")
	errUnavailable = status.Error(codes.Unavailable, "Please try again.")
)

// check returns the call as guard has passed it on.
func check(ctx context.Context, method string, guard func(http.Handler) http.Handler) (passed *http.Request, err error) {
	w := &answer{header: http.Header{}}
	guard(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		passed = r
	})).ServeHTTP(w, request(ctx, method))
	switch {
	case passed != nil:
		return passed, nil
	case w.status == http.StatusForbidden:
		return nil, status.Error(codes.PermissionDenied, "A recent sign-in is required.")
	case w.status == http.StatusUnauthorized || w.status/100 == 3:
		return nil, errEnded
	}
	return nil, errUnavailable
}

func request(ctx context.Context, method string) *http.Request {
	r := &http.Request{Method: http.MethodPost, URL: &url.URL{Path: method}, RequestURI: method, Header: http.Header{}, Body: http.NoBody}
	md, _ := metadata.FromIncomingContext(ctx)
	for name, values := range md {
		if name == ":authority" && len(values) == 1 {
			r.Host = values[0]
		} else if !strings.HasPrefix(name, ":") {
			r.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	if p, ok := peer.FromContext(ctx); ok {
		r.RemoteAddr = p.Addr.String()
	}
	return r.WithContext(ctx)
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

// A liveStream is a stream that ends with its session.
type liveStream struct {
	grpc.ServerStream
	live context.Context
}

func (s liveStream) Context() context.Context { return s.live }

func (s liveStream) ended() bool { return errors.Is(context.Cause(s.live), ticketstore.ErrNotFound) }

func (s liveStream) SendMsg(m any) error {
	if s.ended() {
		return errEnded
	}
	return s.ServerStream.SendMsg(m)
}

// RecvMsg does not wait for a message beyond the end of the session. What waits
// on then, and writes to m, ends with the stream.
func (s liveStream) RecvMsg(m any) error {
	if s.ended() {
		return errEnded
	}
	var err error
	var panicked any
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { panicked = recover() }()
		err = s.ServerStream.RecvMsg(m)
	}()
	select {
	case <-done:
		if panicked != nil {
			panic(panicked)
		}
		return err
	case <-s.live.Done():
		if s.ended() {
			return errEnded
		}
		return status.FromContextError(s.live.Err()).Err()
	}
}
