// Command quickstart is a small web application with its tickets in Redis:
// sign in, look at your ticket, delete it with redis-cli, and you are out.
//
//	go run ./examples/quickstart
//
// It asks for no password: yours has to, where the comment in login says so.
package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
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
		fmt.Fprintln(os.Stderr, "quickstart:", strings.ReplaceAll(err.Error(), "\n", "; "))
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, args []string, stdout io.Writer) error {
	cfg := ticketstore.Config{LoginPath: "/", CookieName: "__Host-quickstart"} // cookies know hosts, not ports
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	addr := flags.String("addr", "", "`host:port` to listen on (default 127.0.0.1:8080, or a free port if that is taken)")
	redisAddr := flags.String("redis", "", "`host:port` of Redis; if empty, one is embedded")
	flags.DurationVar(&cfg.IdleTimeout, "idle", 0, "end a session this long after its last use (default 30m)")
	flags.DurationVar(&cfg.Lifetime, "lifetime", 0, "end a session this long after sign-in (default 12h)")
	flags.BoolVar(&cfg.DangerouslyAllowInsecureCookie, "insecure", false, "drop the cookie's Secure attribute, for Safari")
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
	key, err := cookieKey()
	if err != nil {
		return err
	}
	cfg.CookieKeys = []ticketstore.CookieKey{{Hash: key}}
	if cfg.DangerouslyAllowInsecureCookie {
		cfg.CookieName = "quickstart" // the prefix needs Secure
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
	redisHost, redisPort, err := net.SplitHostPort(*redisAddr)
	if err != nil {
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
	store, err := ticketstore.NewRedisStore(client, ticketstore.RedisConfig{})
	if err != nil {
		return err
	}
	checkCtx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	warnings, err := store.Check(checkCtx)
	if err != nil {
		return fmt.Errorf("Redis at %s: %w (start it, or leave out -redis to use the embedded one)", *redisAddr, err)
	}
	manager, err := ticketstore.NewManager(store, cfg)
	if err != nil {
		return err
	}
	listener, err := listen(*addr)
	if err != nil {
		return err
	}
	a := &app{manager: manager, store: store, redisCLI: "redis-cli -p " + redisPort}
	if redisHost != "" && redisHost != "127.0.0.1" {
		a.redisCLI = "redis-cli -h " + redisHost + " -p " + redisPort
	}
	fmt.Fprintf(stdout, welcome, listener.Addr(), *redisAddr, a.redisCLI)
	if !embed { // the embedded one has little to say of itself
		for _, warning := range warnings {
			fmt.Fprintln(stdout, "Redis:", warning)
		}
	}
	if os.Getenv("COOKIE_KEY") == "" {
		fmt.Fprint(stdout, keyWarning)
	}
	return serve(ctx, listener, a.routes())
}

const (
	welcome = `Open http://%s
(Safari, and browsers on other machines, keep the cookie only with -insecure.)

The tickets are in Redis at %s. Sign in, then in another terminal:

  %[3]s --scan --pattern 'AuthSessionStore-*'
        lists the keys: the one that ends in a session ID is the ticket
  %[3]s GET '<key>'
        shows the ticket
  %[3]s DEL '<key>'
        deletes it: load the page again, and you are signed out

`
	keyWarning = `Warning: COOKIE_KEY is not set. The cookies are signed with a random key, so a
restart signs everyone out. To keep one: export COOKIE_KEY=$(openssl rand -base64 32)

`
)

// cookieKey returns the key in COOKIE_KEY or else a random one.
func cookieKey() ([]byte, error) {
	if encoded := os.Getenv("COOKIE_KEY"); encoded != "" {
		key, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil || len(key) < 32 {
			return nil, errors.New("COOKIE_KEY is not base64 of 32 bytes or more: unset it, or export COOKIE_KEY=$(openssl rand -base64 32)")
		}
		return key, nil
	}
	key := make([]byte, 32)
	rand.Read(key) // never fails, see crypto/rand
	return key, nil
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
