package docs_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"testing"
	"time"
)

var errStopping = errors.New("the server is stopping")

// run serves on ln until stop is done. Requests that are under way then have
// grace to end by themselves; after it their contexts are cancelled, for a
// cause that tells a stopping server from a client that has hung up.
func run(stop context.Context, srv *http.Server, ln net.Listener, grace time.Duration) error {
	base, cancel := context.WithCancelCause(context.Background())
	defer cancel(errStopping)
	srv.BaseContext = func(net.Listener) context.Context { return base }
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	select {
	case err := <-served:
		return err
	case <-stop.Done():
	}
	timer := time.AfterFunc(grace, func() { cancel(errStopping) })
	defer timer.Stop()
	ctx, done := context.WithTimeout(context.Background(), grace+5*time.Second)
	defer done()
	if err := srv.Shutdown(ctx); err != nil {
		return errors.Join(err, srv.Close())
	}
	return nil
}

// A running server, and what is needed to stop it.
type running struct {
	url  string
	stop context.CancelFunc
	done chan error
}

func startRun(t *testing.T, h http.Handler, grace time.Duration) *running {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	s := &running{"http://" + ln.Addr().String(), stop, make(chan error, 1)}
	go func() { s.done <- run(ctx, &http.Server{Handler: h}, ln, grace) }()
	return s
}

// get returns the answer to a request, once it is there.
func (s *running) get() <-chan string {
	answer := make(chan string, 1)
	go func() {
		res, err := http.Get(s.url)
		if err != nil {
			answer <- err.Error()
			return
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			answer <- err.Error()
			return
		}
		answer <- res.Status + " " + string(body)
	}()
	return answer
}

// A request that is under way ends by itself.
func TestStopWaits(t *testing.T) {
	under, end := make(chan bool), make(chan bool)
	s := startRun(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		under <- true
		<-end
		if err := context.Cause(r.Context()); err != nil {
			t.Errorf("got %v within the grace, want no cancelled context", err)
		}
	}), time.Hour)
	answer := s.get()
	<-under
	s.stop()
	for { // until it takes no more connections
		conn, err := net.Dial("tcp", s.url[len("http://"):])
		if err != nil {
			break
		}
		conn.Close()
	}
	close(end)
	if got := <-answer; got != "200 OK " {
		t.Errorf("got %q, want 200 OK", got)
	}
	if err := <-s.done; err != nil {
		t.Errorf("run: %v", err)
	}
}

// A request that does not end is told why, and can still answer.
func TestStopAfterGrace(t *testing.T) {
	under := make(chan bool)
	s := startRun(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		under <- true
		<-r.Context().Done()
		if err := context.Cause(r.Context()); err != errStopping {
			t.Errorf("got the cause %v, want %v", err, errStopping)
		}
		io.WriteString(w, "bye")
	}), time.Millisecond)
	answer := s.get()
	<-under
	s.stop()
	if got := <-answer; got != "200 OK bye" {
		t.Errorf("got %q, want bye", got)
	}
	if err := <-s.done; err != nil {
		t.Errorf("run: %v", err)
	}
}

// What signal.NotifyContext says: its cause is not that of a client that has
// hung up, which is context.Canceled itself.
func TestSignalCause(t *testing.T) {
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt)
	defer stop()
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := self.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	<-ctx.Done()
	if cause := context.Cause(ctx); cause == context.Canceled || !errors.Is(cause, context.Canceled) {
		t.Errorf("got the cause %v", cause)
	}
}
