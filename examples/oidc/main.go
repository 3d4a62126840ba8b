// Command oidc is two applications with one OpenID provider: who signs in at one
// is signed in at the other, and who signs out at the provider is out at both at
// once, also where a page is open.
//
//	go run .
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	logging.Disable()            // go-redis prints failed dials, which it returns as well
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "oidc:", strings.ReplaceAll(err.Error(), "\n", "; "))
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("oidc", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	issuer := flags.String("provider", "", "`URL` of the OpenID provider, its issuer; if empty, a small one is embedded")
	redisAddr := flags.String("redis", "", "`host:port` of Redis; if empty, one is embedded")
	insecure := flags.Bool("insecure", false, "drop the cookies' Secure attribute, for Safari")
	names := []string{"shop", "support"}
	credentials := map[string]*string{}
	for _, name := range names {
		credentials[name] = flags.String(name, name+":"+name+"-secret", "client `id:secret` of the application "+name+" at the provider")
	}
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
	if *redisAddr == "" {
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
	redisClient := redis.NewClient(&redis.Options{
		Addr:                  *redisAddr,
		ContextTimeoutEnabled: true, // or Config.StoreTimeout has no effect
		DialTimeout:           time.Second,
		ReadTimeout:           time.Second,
		WriteTimeout:          time.Second,
		MaxRetries:            1,
		DialerRetries:         1, // go-redis would try five times, and again
	})
	defer redisClient.Close()

	ctx, stop := context.WithCancel(ctx)
	s := &servers{ctx: ctx, failed: make(chan error, 1+len(names))}
	defer s.shutdown()
	defer stop()
	listeners, clients := map[string]net.Listener{}, map[string]client{}
	for i, name := range names {
		if listeners[name], err = s.listen(fmt.Sprint(8081 + i)); err != nil {
			return err
		}
		id, secret, ok := strings.Cut(*credentials[name], ":")
		if !ok {
			return fmt.Errorf("-%s: want id:secret", name)
		}
		clients[id] = client{secret, address(listeners[name])}
		*credentials[name] = id
	}
	end := "Then sign out at the provider"
	if *issuer == "" {
		fmt.Fprintln(stdout, "Starting an OpenID provider inside this program, which is not for production ...")
		l, err := s.listen("8080")
		if err != nil {
			return err
		}
		*issuer = address(l)
		p, err := newDemoProvider(*issuer, clients, *insecure)
		if err != nil {
			return err
		}
		s.serve(l, p.routes())
		end += ": " + *issuer + "/logout"
	} else {
		fmt.Fprintf(stdout, "Asking the provider at %s ...\n", *issuer)
	}
	starting, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	for _, name := range names {
		id := *credentials[name]
		a, err := newApp(starting, appConfig{
			name: name, url: clients[id].url, issuer: *issuer, clientID: id, secret: clients[id].secret,
			redis: redisClient, insecure: *insecure,
		})
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		s.serve(listeners[name], a.routes(*issuer))
		fmt.Fprintf(stdout, "Open %s (%s)\n", clients[id].url, name)
	}
	fmt.Fprintf(stdout, "\nSign in at one, and you are signed in at the other. %s,\nand both open pages say that you are out.\n", end)
	fmt.Fprintln(stdout, "(Safari keeps the cookies only with -insecure.)")
	select {
	case err := <-s.failed:
		return err
	case <-ctx.Done():
		return nil
	}
}
