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
	failure   chan error
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
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second, // the provider may take ten
		IdleTimeout:       time.Minute,
	}
	s.running = append(s.running, server)
	go func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.failure <- err
		}
	}()
}

func (s *servers) shutdown(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer cancel()
	for _, server := range s.running {
		_ = server.Shutdown(ctx) // what is still open then ends with the program
	}
	for _, l := range s.listeners {
		l.Close()
	}
}
