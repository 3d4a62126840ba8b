package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"
)

// servers are the HTTP servers of this program.
type servers struct {
	ctx       context.Context // of every request: open pages do not keep it from ending
	failed    chan error
	listeners []net.Listener
	running   []*http.Server
}

// listen listens on a port of this machine or, if that is taken, on a free one.
func (s *servers) listen(port string) (net.Listener, error) {
	l, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		l, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err == nil {
		s.listeners = append(s.listeners, l)
	}
	return l, err
}

func address(l net.Listener) string { return "http://" + l.Addr().String() }

func (s *servers) serve(l net.Listener, h http.Handler) {
	// A ReadTimeout would end the requests that open pages wait on.
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       time.Minute,
		BaseContext:       func(net.Listener) context.Context { return s.ctx },
	}
	s.running = append(s.running, server)
	go func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- err
		}
	}()
}

func (s *servers) shutdown() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), 15*time.Second)
	defer cancel()
	for _, server := range s.running {
		_ = server.Shutdown(ctx) // what is still open then ends with the program
	}
	for _, l := range s.listeners {
		l.Close()
	}
}
