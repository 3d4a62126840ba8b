package ticketgrpc_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/ticketstore/ticketstore"
	ticketgrpc "github.com/ticketstore/ticketstore/frameworks/grpc"
	"github.com/ticketstore/ticketstore/frameworks/internal/fwtest"
	"github.com/ticketstore/ticketstore/internal/redistest"
)

// A service answers each call with the subject.
type service struct {
	reached atomic.Int32
	panics  bool
}

func (s *service) who(ctx context.Context) *wrapperspb.StringValue {
	s.reached.Add(1)
	if s.panics {
		panic("boom")
	}
	if t, ok := ticketstore.FromContext(ctx); ok {
		return wrapperspb.String(t.Subject)
	}
	return wrapperspb.String("nobody")
}

var desc = grpc.ServiceDesc{
	ServiceName: "test.v1.Test",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{MethodName: "Unary", Handler: func(srv any, ctx context.Context, dec func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
		in := new(emptypb.Empty)
		if err := dec(in); err != nil {
			return nil, err
		}
		handler := func(ctx context.Context, _ any) (any, error) { return srv.(*service).who(ctx), nil }
		if interceptor == nil {
			return handler(ctx, in)
		}
		return interceptor(ctx, in, &grpc.UnaryServerInfo{Server: srv, FullMethod: "/test.v1.Test/Unary"}, handler)
	}}},
	Streams: []grpc.StreamDesc{
		{StreamName: "Down", ServerStreams: true, Handler: func(srv any, s grpc.ServerStream) error { // one answer, then nothing until the end
			if err := s.RecvMsg(new(emptypb.Empty)); err != nil {
				return err
			}
			if err := s.SendMsg(srv.(*service).who(s.Context())); err != nil {
				return err
			}
			<-s.Context().Done()
			if s.SendMsg(wrapperspb.String("too late")) == nil {
				return nil
			}
			return s.Context().Err()
		}},
		{StreamName: "Up", ClientStreams: true, Handler: func(srv any, s grpc.ServerStream) error { // an answer, once the client has sent all
			who := srv.(*service).who(s.Context())
			for {
				if err := s.RecvMsg(new(emptypb.Empty)); errors.Is(err, io.EOF) {
					return s.SendMsg(who)
				} else if err != nil {
					return err
				}
			}
		}},
		{StreamName: "Both", ServerStreams: true, ClientStreams: true, Handler: func(srv any, s grpc.ServerStream) error { // an answer to each message
			for {
				if err := s.RecvMsg(new(emptypb.Empty)); errors.Is(err, io.EOF) {
					return nil
				} else if err != nil {
					return err
				}
				if err := s.SendMsg(srv.(*service).who(s.Context())); err != nil {
					return err
				}
			}
		}},
	},
}

func serve(t *testing.T, s *service, opts ...grpc.ServerOption) *grpc.ClientConn {
	srv := grpc.NewServer(opts...)
	srv.RegisterService(&desc, s)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go srv.Serve(ln)
	t.Cleanup(srv.Stop)
	conn, err := grpc.NewClient(ln.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

var methods = []string{"Unary", "Down", "Up", "Both"}

// open calls method and returns the first answer, and the stream.
func open(ctx context.Context, conn *grpc.ClientConn, method string) (string, grpc.ClientStream, error) {
	out := new(wrapperspb.StringValue)
	if method == "Unary" {
		err := conn.Invoke(ctx, "/test.v1.Test/Unary", new(emptypb.Empty), out)
		return out.Value, nil, err
	}
	s, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: method != "Up", ClientStreams: method != "Down"}, "/test.v1.Test/"+method)
	if err != nil {
		return "", nil, err
	}
	if err := s.SendMsg(new(emptypb.Empty)); err != nil && !errors.Is(err, io.EOF) {
		return "", nil, err
	}
	if method != "Both" {
		s.CloseSend()
	}
	err = s.RecvMsg(out)
	return out.Value, s, err
}

func withMetadata(t *testing.T, md ...string) context.Context {
	ctx, cancel := context.WithTimeout(metadata.NewOutgoingContext(t.Context(), metadata.Pairs(md...)), redistest.Patience)
	t.Cleanup(cancel)
	return ctx
}

// check calls every method.
func check(t *testing.T, name string, conn *grpc.ClientConn, s *service, code codes.Code, who string, md ...string) {
	t.Helper()
	for _, method := range methods {
		before := s.reached.Load()
		ctx, cancel := context.WithCancel(withMetadata(t, md...))
		got, _, err := open(ctx, conn, method)
		cancel()
		if status.Code(err) != code || got != who {
			t.Errorf("%s, %s: got %q, %v, want %q, %v", name, method, got, err, who, code)
		}
		if reached := s.reached.Load() - before; (reached > 0) != (code == codes.OK) {
			t.Errorf("%s, %s: handlers ran %d times with %v", name, method, reached, code)
		}
	}
}

func signIn(t *testing.T, m *ticketstore.Manager, user string) string {
	t.Helper()
	w := httptest.NewRecorder()
	if err := m.SignIn(w, httptest.NewRequest("POST", "/", nil), ticketstore.NewTicket(user)); err != nil {
		t.Fatal(err)
	}
	c := w.Result().Cookies()[0]
	return c.Name + "=" + c.Value
}

func TestRequire(t *testing.T) {
	m, _, mr := fwtest.NewManager(t, ticketstore.Config{LoginPath: "/login"})
	alice, bob := signIn(t, m, "alice"), signIn(t, m, "bob")
	s := new(service)
	conn := serve(t, s, ticketgrpc.ServerOptions(m, m.Require)...)
	for _, tt := range []struct {
		name string
		md   []string
		code codes.Code
	}{
		{"nothing", nil, codes.Unauthenticated},
		{"a browser", []string{"accept", "text/html"}, codes.Unauthenticated},
		{"forged", []string{"cookie", alice + "x"}, codes.Unauthenticated},
		{"another cookie", []string{"cookie", "other=" + alice}, codes.Unauthenticated},
		{"not in a cookie", []string{"authorization", alice, "set-cookie", alice, "grpcgateway-cookie", alice, "cookie-bin", alice}, codes.Unauthenticated},
		{"two subjects", []string{"cookie", alice + "; " + bob}, codes.Unauthenticated},
		{"two subjects, two values", []string{"cookie", alice, "cookie", bob}, codes.Unauthenticated},
		{"cookie", []string{"cookie", alice}, codes.OK},
		{"Cookie", []string{"Cookie", alice}, codes.OK},
		{"COOKIE", []string{"COOKIE", "a=1; " + alice + "; b=2"}, codes.OK},
		{"several values", []string{"cookie", "a=1", "cookie", alice, "cookie", alice + "x"}, codes.OK},
	} {
		who := ""
		if tt.code == codes.OK {
			who = "alice"
		}
		check(t, tt.name, conn, s, tt.code, who, tt.md...)
	}
	mr.Close()
	check(t, "outage", conn, s, codes.Unavailable, "", "cookie", alice)
	check(t, "outage, anonymous", conn, s, codes.Unauthenticated, "")
}

func TestOtherGuards(t *testing.T) {
	m, _, mr := fwtest.NewManager(t, ticketstore.Config{})
	alice := signIn(t, m, "alice")
	s := new(service)
	conn := serve(t, s, ticketgrpc.ServerOptions(m, m.Wrap)...)
	check(t, "Wrap, anonymous", conn, s, codes.OK, "nobody")
	check(t, "Wrap", conn, s, codes.OK, "alice", "cookie", alice)
	recent := serve(t, s, ticketgrpc.ServerOptions(m, func(next http.Handler) http.Handler { return m.RequireRecent(0, next) })...)
	check(t, "RequireRecent", recent, s, codes.PermissionDenied, "", "cookie", alice)
	mr.Close()
	check(t, "Wrap, outage", conn, s, codes.Unavailable, "", "cookie", alice)
	check(t, "Wrap, anonymous in an outage", conn, s, codes.OK, "nobody")

	// A handler of the Manager's that writes no status.
	m, _, mr = fwtest.NewManager(t, ticketstore.Config{
		ErrorHandler: func(http.ResponseWriter, *http.Request, int, error) {},
	})
	alice = signIn(t, m, "alice")
	conn = serve(t, s, ticketgrpc.ServerOptions(m, m.Require)...)
	check(t, "silent, anonymous", conn, s, codes.Unavailable, "")
	mr.Close()
	check(t, "silent, outage", conn, s, codes.Unavailable, "", "cookie", alice)
	var zero ticketstore.Manager
	check(t, "zero Manager", serve(t, s, ticketgrpc.ServerOptions(&zero, zero.Wrap)...), s, codes.Unavailable, "", "cookie", alice)
}

// Streams end with their session, also those that wait for their client.
func TestSessionEnds(t *testing.T) {
	m, store, _ := fwtest.NewManager(t, ticketstore.Config{})
	s := new(service)
	conn := serve(t, s, ticketgrpc.ServerOptions(m, m.Require)...)
	for _, method := range []string{"Down", "Both"} {
		alice := signIn(t, m, "alice")
		who, stream, err := open(withMetadata(t, "cookie", alice), conn, method)
		if who != "alice" || err != nil {
			t.Fatalf("%s: got %q, %v", method, who, err)
		}
		if _, err := store.RevokeAll(t.Context(), "alice"); err != nil {
			t.Fatal(err)
		}
		out := new(wrapperspb.StringValue)
		if err := stream.RecvMsg(out); status.Code(err) != codes.Unauthenticated {
			t.Errorf("%s: got %q, %v, want Unauthenticated", method, out.Value, err)
		}
		check(t, "after the end", conn, s, codes.Unauthenticated, "", "cookie", alice)
	}

	// An upload, of which nothing has come.
	alice := signIn(t, m, "alice")
	stream, err := conn.NewStream(withMetadata(t, "cookie", alice), &grpc.StreamDesc{ClientStreams: true}, "/test.v1.Test/Up")
	if err != nil {
		t.Fatal(err)
	}
	for before := s.reached.Load(); s.reached.Load() == before; {
		if err := stream.SendMsg(new(emptypb.Empty)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := store.RevokeAll(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	if err := stream.RecvMsg(new(emptypb.Empty)); status.Code(err) != codes.Unauthenticated {
		t.Errorf("Up: got %v, want Unauthenticated", err)
	}
}

// A panic, of a guard or a handler, is that of the call.
func TestPanic(t *testing.T) {
	m, _, _ := fwtest.NewManager(t, ticketstore.Config{})
	alice := signIn(t, m, "alice")
	recovered := []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (_ any, err error) {
			defer recovery(&err)
			return handler(ctx, req)
		}),
		grpc.ChainStreamInterceptor(func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
			defer recovery(&err)
			return handler(srv, ss)
		}),
	}
	boom := func(http.Handler) http.Handler {
		return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("boom") })
	}
	s := new(service)
	check(t, "guard", serve(t, s, append(recovered, ticketgrpc.ServerOptions(m, boom)...)...), s, codes.Internal, "", "cookie", alice)
	s.panics = true
	conn := serve(t, s, append(recovered, ticketgrpc.ServerOptions(m, m.Require)...)...)
	for _, method := range methods {
		if _, _, err := open(withMetadata(t, "cookie", alice), conn, method); status.Code(err) != codes.Internal {
			t.Errorf("%s: got %v, want Internal", method, err)
		}
	}
}

func recovery(err *error) {
	if p := recover(); p != nil {
		*err = status.Error(codes.Internal, "Sorry.")
	}
}

// WRONG: streams are open to everybody.
func naive(m *ticketstore.Manager) grpc.ServerOption {
	return grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		if _, ok := ticketstore.FromContext(ctx); !ok {
			return nil, status.Error(codes.Unauthenticated, "Sign-in is required.")
		}
		return handler(ctx, req)
	})
}

func TestTrap(t *testing.T) {
	m, _, _ := fwtest.NewManager(t, ticketstore.Config{})
	for name, opts := range map[string][]grpc.ServerOption{"naive": {naive(m)}, "ServerOptions": ticketgrpc.ServerOptions(m, m.Require)} {
		conn := serve(t, new(service), opts...)
		for _, method := range methods {
			ctx, cancel := context.WithCancel(withMetadata(t))
			who, _, err := open(ctx, conn, method)
			cancel()
			if open := name == "naive" && method != "Unary"; (err == nil) != open || (who == "nobody") != open {
				t.Errorf("%s, %s: got %q, %v", name, method, who, err)
			}
		}
	}
}

// The code in README.md.
func TestREADME(t *testing.T) {
	m, _, _ := fwtest.NewManager(t, ticketstore.Config{})
	public := func(next http.Handler) http.Handler {
		required := m.Require(next)
		return m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/grpc.health.v1.Health/Check" {
				next.ServeHTTP(w, r)
				return
			}
			required.ServeHTTP(w, r)
		}))
	}
	srv := grpc.NewServer(ticketgrpc.ServerOptions(m, m.Require)...)
	srv.Stop()
	s := new(service)
	check(t, "public", serve(t, s, ticketgrpc.ServerOptions(m, public)...), s, codes.Unauthenticated, "")
}
