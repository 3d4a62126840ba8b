// Command service shares its sessions with the ASP.NET Core application beside
// it: who is signed in at either is signed in at both. README.md says how to
// run the two.
//
//	go run ./examples/aspnetcore/service
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/aspnetcore"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	logging.Disable()            // go-redis prints failed dials, which it returns as well
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "service:", strings.ReplaceAll(err.Error(), "\n", "; "))
		os.Exit(1)
	}
}

// shared is what has to equal the settings of the ASP.NET Core application, in
// SharedSessions.cs.
type shared struct {
	applicationName string
	keyList         string
	certificate     string
	instanceName    string
	expireTimeSpan  time.Duration
	noSliding       bool
	lifetime        time.Duration // the Go service's alone
	insecure        bool
}

// run serves until ctx ends.
func run(ctx context.Context, args []string, stdout io.Writer) error {
	var s shared
	flags := flag.NewFlagSet("service", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	addr := flags.String("addr", "127.0.0.1:5001", "`host:port` to listen on")
	redisAddr := flags.String("redis", "127.0.0.1:6379", "`host:port` of the Redis that both use")
	reindex := flags.Bool("reindex", false, "list the sessions that exist already, and exit")
	flags.StringVar(&s.applicationName, "application-name", "example", "SetApplicationName")
	flags.StringVar(&s.keyList, "key-list", "DataProtection-Keys", "the list of PersistKeysToStackExchangeRedis")
	flags.StringVar(&s.certificate, "certificate", "", "PEM `file` of certificate and key of ProtectKeysWithCertificate, if that is used")
	flags.StringVar(&s.instanceName, "instance-name", "example:", "InstanceName of RedisCacheOptions")
	flags.DurationVar(&s.expireTimeSpan, "expire-time-span", 14*24*time.Hour, "ExpireTimeSpan")
	flags.BoolVar(&s.noSliding, "no-sliding", false, "SlidingExpiration is false")
	flags.DurationVar(&s.lifetime, "lifetime", 30*24*time.Hour, "end a session this long after sign-in, however active")
	flags.BoolVar(&s.insecure, "insecure", false, "drop the cookie's Secure attribute: needed behind a proxy without TLS, as here")
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
	fmt.Fprintf(stdout, "Looking for Redis at %s ...\n", *redisAddr)
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
	manager, store, err := open(ctx, client, s, stdout)
	if err != nil {
		return err
	}
	if *reindex {
		done, err := store.Reindex(ctx, func(r aspnetcore.Reindexed) {
			fmt.Fprintf(stdout, "%d sessions read, %d added\n", r.Sessions, r.Added)
		})
		if err == nil && done.Undecodable > 0 {
			fmt.Fprintf(stdout, "%d could not be read\n", done.Undecodable)
		}
		return err
	}
	handler, err := (&app{manager}).routes()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		return fmt.Errorf("%w (-addr chooses another address; then tell the proxy, with -service)", err)
	}
	fmt.Fprintf(stdout, "Listening on http://%s\n", listener.Addr())
	return serve(ctx, listener, handler)
}

// open returns a Manager and its store that share the sessions of an ASP.NET
// Core application.
func open(ctx context.Context, client redis.UniversalClient, s shared, stdout io.Writer) (*ticketstore.Manager, *aspnetcore.Store, error) {
	store, err := aspnetcore.NewStore(client, aspnetcore.StoreConfig{InstanceName: s.instanceName})
	if err != nil {
		return nil, nil, err
	}
	warnings, err := store.Check(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("%w (start Redis, or say with -redis where it is)", err)
	}
	for _, w := range warnings {
		fmt.Fprintln(stdout, "Redis:", w)
	}
	keys := aspnetcore.KeyRingConfig{Client: client, ListKey: s.keyList}
	if s.certificate != "" {
		c, err := tls.LoadX509KeyPair(s.certificate, s.certificate)
		if err != nil {
			return nil, nil, fmt.Errorf("-certificate: %w", err)
		}
		keys.Certificates = append(keys.Certificates, c)
	}
	ring, err := aspnetcore.NewKeyRing(keys)
	if err != nil {
		return nil, nil, err
	}
	if err := ring.Check(ctx); err != nil {
		return nil, nil, fmt.Errorf("%w (start the ASP.NET Core application first: it makes the keys)", err)
	}
	cfg, err := aspnetcore.ManagerConfig(aspnetcore.Options{
		KeyRing:                        ring,
		ApplicationName:                s.applicationName,
		ExpireTimeSpan:                 s.expireTimeSpan,
		NoSliding:                      s.noSliding,
		Lifetime:                       s.lifetime,
		DangerouslyAllowInsecureCookie: s.insecure,
	})
	if err != nil {
		return nil, nil, err
	}
	cfg.LoginPath = "/login"                                                                                    // the ASP.NET Core application's
	cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")} // the proxy is on this machine
	manager, err := ticketstore.NewManager(store, cfg)
	return manager, store, err
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
