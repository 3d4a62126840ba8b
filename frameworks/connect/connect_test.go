package ticketconnect_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/ticketstore/ticketstore"
	ticketconnect "github.com/ticketstore/ticketstore/frameworks/connect"
	"github.com/ticketstore/ticketstore/frameworks/internal/fwtest"
	"github.com/ticketstore/ticketstore/internal/redistest"
)

type (
	empty = emptypb.Empty
	text  = wrapperspb.StringValue
)

// A service answers each call with the subject.
type service struct {
	reached atomic.Int32
	panics  bool
}

func (s *service) who(ctx context.Context) *text {
	s.reached.Add(1)
	if s.panics {
		panic("boom")
	}
	if t, ok := ticketstore.FromContext(ctx); ok {
		return wrapperspb.String(t.Subject)
	}
	return wrapperspb.String("nobody")
}

func (s *service) handler(opts ...connect.HandlerOption) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/test.v1.Test/Unary", connect.NewUnaryHandler("/test.v1.Test/Unary", func(ctx context.Context, _ *connect.Request[empty]) (*connect.Response[text], error) {
		return connect.NewResponse(s.who(ctx)), nil
	}, opts...))
	// One answer, then nothing until the end.
	mux.Handle("/test.v1.Test/Down", connect.NewServerStreamHandler("/test.v1.Test/Down", func(ctx context.Context, _ *connect.Request[empty], out *connect.ServerStream[text]) error {
		if err := out.Send(s.who(ctx)); err != nil {
			return err
		}
		<-ctx.Done()
		if out.Send(wrapperspb.String("too late")) == nil {
			return nil
		}
		return ctx.Err()
	}, opts...))
	// An answer, once the client has sent all.
	mux.Handle("/test.v1.Test/Up", connect.NewClientStreamHandler("/test.v1.Test/Up", func(ctx context.Context, in *connect.ClientStream[empty]) (*connect.Response[text], error) {
		who := s.who(ctx)
		for in.Receive() {
		}
		return connect.NewResponse(who), in.Err()
	}, opts...))
	// An answer to each message.
	mux.Handle("/test.v1.Test/Both", connect.NewBidiStreamHandler("/test.v1.Test/Both", func(ctx context.Context, both *connect.BidiStream[empty, text]) error {
		for {
			if _, err := both.Receive(); err != nil {
				return err
			}
			if err := both.Send(s.who(ctx)); err != nil {
				return err
			}
		}
	}, opts...))
	return mux
}

// A caller calls a service by one protocol.
type caller struct {
	protocol string
	client   *http.Client
	url      string
	opts     []connect.ClientOption
}

// serve serves h, and returns a caller for each protocol.
func serve(t *testing.T, h http.Handler) (callers []caller) {
	srv := httptest.NewUnstartedServer(h)
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	return []caller{
		{"connect", srv.Client(), srv.URL, nil},
		{"gRPC", srv.Client(), srv.URL, []connect.ClientOption{connect.WithGRPC()}},
		{"gRPC-Web", srv.Client(), srv.URL, []connect.ClientOption{connect.WithGRPCWeb()}},
	}
}

var methods = []string{"Unary", "Down", "Up", "Both"}

// open calls method and returns the first answer. next waits for another one,
// which a stream may have.
func (c caller) open(ctx context.Context, method string, header http.Header) (who string, next func() error, err error) {
	client := connect.NewClient[empty, text](c.client, c.url+"/test.v1.Test/"+method, c.opts...)
	req := connect.NewRequest(new(empty))
	for name, values := range header {
		req.Header()[name] = values
	}
	switch method {
	case "Unary":
		res, err := client.CallUnary(ctx, req)
		if err != nil {
			return "", nil, err
		}
		return res.Msg.Value, nil, nil
	case "Down":
		s, err := client.CallServerStream(ctx, req)
		if err != nil {
			return "", nil, err
		}
		next = func() error {
			if s.Receive() {
				return errors.New("got one more: " + s.Msg().Value)
			}
			return s.Err()
		}
		if !s.Receive() {
			return "", nil, s.Err()
		}
		return s.Msg().Value, next, nil
	case "Up":
		s := client.CallClientStream(ctx)
		for name, values := range header {
			s.RequestHeader()[name] = values
		}
		s.Send(new(empty)) // CloseAndReceive tells what is wrong
		res, err := s.CloseAndReceive()
		if err != nil {
			return "", nil, err
		}
		return res.Msg.Value, nil, nil
	default:
		s := client.CallBidiStream(ctx)
		for name, values := range header {
			s.RequestHeader()[name] = values
		}
		s.Send(new(empty)) // Receive tells what is wrong
		msg, err := s.Receive()
		if err != nil {
			return "", nil, err
		}
		return msg.Value, func() error { _, err := s.Receive(); return err }, nil
	}
}

const passes connect.Code = 0

// check calls every method by every protocol.
func check(t *testing.T, name string, callers []caller, s *service, code connect.Code, who string, header http.Header) {
	t.Helper()
	for _, c := range callers {
		for _, method := range methods {
			before := s.reached.Load()
			ctx, cancel := context.WithTimeout(t.Context(), redistest.Patience)
			got, _, err := c.open(ctx, method, header)
			cancel()
			if (err == nil) != (code == passes) || err != nil && connect.CodeOf(err) != code || got != who {
				t.Errorf("%s, %s, %s: got %q, %v, want %q, %v", name, c.protocol, method, got, err, who, code)
			}
			if reached := s.reached.Load() - before; (reached > 0) != (code == passes) {
				t.Errorf("%s, %s, %s: handlers ran %d times with %v", name, c.protocol, method, reached, code)
			}
		}
	}
}

func cookies(lines ...string) http.Header { return http.Header{"Cookie": lines} }

func signIn(t *testing.T, m *ticketstore.Manager, user string) string {
	t.Helper()
	w := httptest.NewRecorder()
	if err := m.SignIn(w, httptest.NewRequest("POST", "/", nil), ticketstore.NewTicket(user)); err != nil {
		t.Fatal(err)
	}
	c := w.Result().Cookies()[0]
	return c.Name + "=" + c.Value
}

func guarded(m *ticketstore.Manager, guard func(http.Handler) http.Handler) connect.HandlerOption {
	return connect.WithInterceptors(ticketconnect.Interceptor(m, guard))
}

func TestRequire(t *testing.T) {
	m, _, mr := fwtest.NewManager(t, ticketstore.Config{LoginPath: "/login"})
	alice, bob := signIn(t, m, "alice"), signIn(t, m, "bob")
	s := new(service)
	callers := serve(t, s.handler(guarded(m, m.Require)))
	for _, tt := range []struct {
		name   string
		header http.Header
		code   connect.Code
	}{
		{"nothing", nil, connect.CodeUnauthenticated},
		{"a browser", http.Header{"Accept": {"text/html"}, "Sec-Fetch-Mode": {"navigate"}}, connect.CodeUnauthenticated},
		{"forged", cookies(alice + "x"), connect.CodeUnauthenticated},
		{"another cookie", cookies("other=" + alice), connect.CodeUnauthenticated},
		{"not in a cookie", http.Header{"Authorization": {alice}, "Set-Cookie": {alice}, "Cookie-Bin": {alice}}, connect.CodeUnauthenticated},
		{"two subjects", cookies(alice + "; " + bob), connect.CodeUnauthenticated},
		{"two subjects, two lines", cookies(alice, bob), connect.CodeUnauthenticated},
		{"cookie", cookies(alice), passes},
		{"in lower case", http.Header{"cookie": {"a=1; " + alice + "; b=2"}}, passes},
		{"several lines", cookies("a=1", alice, alice+"x"), passes},
	} {
		who := ""
		if tt.code == passes {
			who = "alice"
		}
		check(t, tt.name, callers, s, tt.code, who, tt.header)
	}
	mr.Close()
	check(t, "outage", callers, s, connect.CodeUnavailable, "", cookies(alice))
	check(t, "outage, anonymous", callers, s, connect.CodeUnauthenticated, "", nil)
}

func TestOtherGuards(t *testing.T) {
	m, _, mr := fwtest.NewManager(t, ticketstore.Config{})
	alice := signIn(t, m, "alice")
	s := new(service)
	callers := serve(t, s.handler(guarded(m, m.Wrap)))
	check(t, "Wrap, anonymous", callers, s, passes, "nobody", nil)
	check(t, "Wrap", callers, s, passes, "alice", cookies(alice))
	check(t, "within Wrap", serve(t, m.Wrap(s.handler(guarded(m, m.Require)))), s, passes, "alice", cookies(alice))
	recent := serve(t, s.handler(guarded(m, func(next http.Handler) http.Handler { return m.RequireRecent(0, next) })))
	check(t, "RequireRecent", recent, s, connect.CodePermissionDenied, "", cookies(alice))
	mr.Close()
	check(t, "Wrap, outage", callers, s, connect.CodeUnavailable, "", cookies(alice))
	check(t, "Wrap, anonymous in an outage", callers, s, passes, "nobody", nil)

	// A handler of the Manager's that writes no status.
	m, _, mr = fwtest.NewManager(t, ticketstore.Config{
		ErrorHandler: func(http.ResponseWriter, *http.Request, int, error) {},
	})
	alice = signIn(t, m, "alice")
	callers = serve(t, s.handler(guarded(m, m.Require)))
	check(t, "silent, anonymous", callers, s, connect.CodeUnavailable, "", nil)
	mr.Close()
	check(t, "silent, outage", callers, s, connect.CodeUnavailable, "", cookies(alice))
	var zero ticketstore.Manager
	check(t, "zero Manager", serve(t, s.handler(guarded(&zero, zero.Wrap))), s, connect.CodeUnavailable, "", cookies(alice))
}

// Streams end with their session, also those that wait for their client.
func TestSessionEnds(t *testing.T) {
	m, store, _ := fwtest.NewManager(t, ticketstore.Config{})
	s := new(service)
	for _, c := range serve(t, s.handler(guarded(m, m.Require))) {
		ctx, cancel := context.WithTimeout(t.Context(), redistest.Patience)
		for _, method := range []string{"Down", "Both"} {
			who, next, err := c.open(ctx, method, cookies(signIn(t, m, "alice")))
			if who != "alice" || err != nil {
				t.Fatalf("%s, %s: got %q, %v", c.protocol, method, who, err)
			}
			if _, err := store.RevokeAll(t.Context(), "alice"); err != nil {
				t.Fatal(err)
			}
			if err := next(); connect.CodeOf(err) != connect.CodeUnauthenticated {
				t.Errorf("%s, %s: got %v, want Unauthenticated", c.protocol, method, err)
			}
		}

		// An upload, of which no more comes.
		up := connect.NewClient[empty, text](c.client, c.url+"/test.v1.Test/Up", c.opts...).CallClientStream(ctx)
		up.RequestHeader()["Cookie"] = cookies(signIn(t, m, "alice"))["Cookie"]
		for before := s.reached.Load(); s.reached.Load() == before; {
			if err := up.Send(new(empty)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := store.RevokeAll(t.Context(), "alice"); err != nil {
			t.Fatal(err)
		}
		for up.Send(new(empty)) == nil { // until the server has answered
		}
		if _, err := up.CloseAndReceive(); connect.CodeOf(err) != connect.CodeUnauthenticated {
			t.Errorf("%s, Up: got %v, want Unauthenticated", c.protocol, err)
		}
		cancel()
	}
}

// A panic, of a guard or a handler, is that of the call.
func TestPanic(t *testing.T) {
	m, _, _ := fwtest.NewManager(t, ticketstore.Config{})
	alice := signIn(t, m, "alice")
	recovers := connect.WithRecover(func(context.Context, connect.Spec, http.Header, any) error {
		return connect.NewError(connect.CodeInternal, errors.New("Sorry."))
	})
	boom := func(http.Handler) http.Handler {
		return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("boom") })
	}
	s := new(service)
	check(t, "guard", serve(t, s.handler(recovers, guarded(m, boom))), s, connect.CodeInternal, "", cookies(alice))
	s.panics = true
	for _, c := range serve(t, s.handler(recovers, guarded(m, m.Require))) {
		for _, method := range methods {
			if _, _, err := c.open(t.Context(), method, cookies(alice)); connect.CodeOf(err) != connect.CodeInternal {
				t.Errorf("%s, %s: got %v, want Internal", c.protocol, method, err)
			}
		}
	}
}

// WRONG: streams are open to everybody.
func naive() connect.UnaryInterceptorFunc {
	return func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
			if _, ok := ticketstore.FromContext(ctx); !ok {
				return nil, connect.NewError(connect.CodeUnauthenticated, errors.New("Sign-in is required."))
			}
			return next(ctx, req)
		}
	}
}

func TestTrap(t *testing.T) {
	m, _, _ := fwtest.NewManager(t, ticketstore.Config{})
	for name, i := range map[string]connect.Interceptor{"naive": naive(), "Interceptor": ticketconnect.Interceptor(m, m.Require)} {
		for _, c := range serve(t, new(service).handler(connect.WithInterceptors(i))) {
			for _, method := range methods {
				ctx, cancel := context.WithTimeout(t.Context(), redistest.Patience)
				who, _, err := c.open(ctx, method, nil)
				cancel()
				if open := name == "naive" && method != "Unary"; (err == nil) != open || (who == "nobody") != open {
					t.Errorf("%s, %s, %s: got %q, %v", name, c.protocol, method, who, err)
				}
			}
		}
	}
}

// On a client it does nothing.
func TestClient(t *testing.T) {
	m, _, _ := fwtest.NewManager(t, ticketstore.Config{})
	s := new(service)
	callers := serve(t, s.handler())
	for i := range callers {
		callers[i].opts = append(callers[i].opts, connect.WithInterceptors(ticketconnect.Interceptor(m, m.Require)))
	}
	check(t, "client", callers, s, passes, "nobody", nil)
}

// The code in README.md.
func TestREADME(t *testing.T) {
	m, _, _ := fwtest.NewManager(t, ticketstore.Config{})
	s := new(service)
	newOrdersHandler := func(opts ...connect.HandlerOption) (string, http.Handler) { return "/", s.handler(opts...) }
	mux := http.NewServeMux()
	mux.Handle(newOrdersHandler(connect.WithInterceptors(ticketconnect.Interceptor(m, m.Require))))
	h := http.NewCrossOriginProtection().Handler(mux)
	check(t, "README", serve(t, h), s, connect.CodeUnauthenticated, "", nil)
}
