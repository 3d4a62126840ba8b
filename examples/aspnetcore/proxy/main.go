// Command proxy makes one site of the two services of this example: what begins
// with /go/ is the Go service's, everything else the ASP.NET Core
// application's.
//
//	go run ./examples/aspnetcore/proxy
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "proxy:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("proxy", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	addr := flags.String("addr", "", "`host:port` to listen on (default 127.0.0.1:8080, or a free port if that is taken)")
	dotnet := flags.String("aspnetcore", "http://127.0.0.1:5000", "`URL` of the ASP.NET Core application")
	service := flags.String("service", "http://127.0.0.1:5001", "`URL` of the Go service")
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		flags.SetOutput(stdout)
		flags.Usage()
		return nil
	case err != nil:
		return fmt.Errorf("%w (-help lists the flags)", err)
	case flags.NArg() > 0:
		return fmt.Errorf("unexpected argument %q (-help lists the flags)", flags.Arg(0))
	}
	toDotnet, err := to(*dotnet)
	if err != nil {
		return fmt.Errorf("-aspnetcore: %w", err)
	}
	toService, err := to(*service)
	if err != nil {
		return fmt.Errorf("-service: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("/go/", toService)
	mux.Handle("/", toDotnet)

	listener, err := listen(*addr)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "Open http://%s\n", listener.Addr())
	server := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
	}
	defer context.AfterFunc(ctx, func() { server.Close() })()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// listen listens on addr or, if that is empty, on port 8080 of this machine or
// another that is free.
func listen(addr string) (net.Listener, error) {
	if addr != "" {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return nil, fmt.Errorf("%w (-addr chooses another address; without it, a free port is found)", err)
		}
		return l, nil
	}
	if l, err := net.Listen("tcp", "127.0.0.1:8080"); err == nil {
		return l, nil
	}
	return net.Listen("tcp", "127.0.0.1:0")
}

// to returns a handler that passes requests on. Both services see the host and
// the scheme that the browser sees: cookies, redirects and the defence against
// forged requests depend on them.
func to(target string) (http.Handler, error) {
	u, err := url.Parse(target)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%q is not a URL such as http://127.0.0.1:5000", target)
	}
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(u)
		r.Out.Host = r.In.Host
		r.SetXForwarded() // replaces what the client says of itself
	}}, nil
}
