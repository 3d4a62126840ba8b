// Command devices shows users where they are logged in and lets them sign other
// devices out, on package devices; the user admin sees all users, on admin.
//
//	go run ./examples/devices -demo
//
// It asks for no password: yours has to, where the comment in login says so.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/ticketstore/ticketstore"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	logging.Disable()            // go-redis prints failed dials, which it returns as well
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "devices:", strings.ReplaceAll(err.Error(), "\n", "; "))
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, args []string, stdout io.Writer) error {
	cfg := ticketstore.Config{LoginPath: "/", CookieName: "__Host-devices"} // cookies know hosts, not ports
	flags := flag.NewFlagSet("devices", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	addr := flags.String("addr", "", "`host:port` to listen on (default 127.0.0.1:8080, or a free port if that is taken)")
	redisAddr := flags.String("redis", "", "`host:port` of Redis; if empty, one is embedded")
	flags.DurationVar(&cfg.IdleTimeout, "idle", 0, "end a session this long after its last use (default 30m)")
	flags.DurationVar(&cfg.Lifetime, "lifetime", 0, "end a session this long after sign-in (default 12h)")
	recent := flags.Duration("recent", 15*time.Minute, "ask for another sign-in before other devices are signed out, this long after the last one; 0 never")
	flags.BoolVar(&cfg.DangerouslyAllowInsecureCookie, "insecure", false, "drop the cookie's Secure attribute, for Safari")
	demo := flags.Bool("demo", false, "sign alice and bob in from a few devices that do not exist")
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
	key := make([]byte, 32) // a new one each time: examples/quickstart keeps it
	rand.Read(key)          // never fails, see crypto/rand
	cfg.CookieKeys = []ticketstore.CookieKey{{Hash: key}}
	if cfg.DangerouslyAllowInsecureCookie {
		cfg.CookieName = "devices" // the prefix needs Secure
	}

	embed := *redisAddr == ""
	if embed {
		fmt.Fprintln(stdout, "Starting a Redis inside this program ...")
		embedded := miniredis.NewMiniRedis()
		embedded.ClockTTL(true) // or no ticket would ever expire
		if err := embedded.Start(); err != nil {
			return fmt.Errorf("embedded Redis: %w", err)
		}
		defer embedded.Close()
		*redisAddr = embedded.Addr()
	} else {
		fmt.Fprintf(stdout, "Looking for Redis at %s ...\n", *redisAddr)
	}
	if _, _, err := net.SplitHostPort(*redisAddr); err != nil {
		return fmt.Errorf("-redis: %w (want host:port)", err)
	}
	client := redis.NewClient(&redis.Options{
		Addr:                  *redisAddr,
		ContextTimeoutEnabled: true, // or Config.StoreTimeout has no effect
		DialTimeout:           time.Second,
		ReadTimeout:           time.Second,
		WriteTimeout:          time.Second,
		MaxRetries:            1,
		DialerRetries:         1, // go-redis would try five times, and again
	})
	defer client.Close()
	store, err := ticketstore.NewRedisStore(client, ticketstore.RedisConfig{History: 30 * 24 * time.Hour})
	if err != nil {
		return err
	}
	warnings, err := store.Check(ctx)
	if err != nil {
		return fmt.Errorf("Redis at %s: %w (start it, or leave out -redis to use the embedded one)", *redisAddr, err)
	}
	manager, err := ticketstore.NewManager(store, cfg)
	if err != nil {
		return err
	}
	handler, err := (&app{manager, store, *recent}).routes()
	if err != nil {
		return err
	}
	if *demo {
		if err := seed(ctx, store); err != nil {
			return fmt.Errorf("-demo: %w", err)
		}
	}
	listener, err := listen(*addr)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, welcome, listener.Addr(), *redisAddr)
	if !embed { // the embedded one has little to say of itself
		for _, warning := range warnings {
			fmt.Fprintln(stdout, "Redis:", warning)
		}
	}
	return serve(ctx, listener, handler)
}

const welcome = `Open http://%s
(Safari, and browsers on other machines, keep the cookie only with -insecure.)

The tickets are in Redis at %s. Sign in under any name from two browsers, then
sign one of them out in the other. The user admin sees all users. There are no
passwords, so anyone can be admin here.

`

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

func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       time.Minute,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer cancel()
	return server.Shutdown(ctx)
}
