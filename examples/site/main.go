// Command site is a small application that has all of ticketstore's pages inside
// its own layout.
//
//	go run .
//
// README.md says what to look at.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"golang.org/x/crypto/bcrypt"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/examples/site/demoprovider"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	logging.Disable()            // go-redis prints failed dials, which it returns as well
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "site:", strings.ReplaceAll(err.Error(), "\n", "; "))
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("site", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	redisURL := flags.String("redis", "", "`URL` of Redis, redis://host:port; if empty, one is embedded")
	insecure := flags.Bool("insecure", false, "drop the cookies' Secure attribute, for Safari")
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
	store, closeStore, err := openStore(ctx, *redisURL, stdout)
	if err != nil {
		return err
	}
	defer closeStore()
	people, err := newUsers(demoUsers, demoPassword, bcrypt.DefaultCost)
	if err != nil {
		return err
	}
	if err := seed(ctx, store, people); err != nil {
		return fmt.Errorf("seed: %w", err)
	}

	s := servers{failure: make(chan error, 2)}
	defer s.shutdown(ctx)
	site, err := s.listen("8080")
	if err != nil {
		return err
	}
	provider, err := s.listen("8081")
	if err != nil {
		return err
	}
	cfg := config{
		url: address(site), store: store, users: people, insecure: *insecure,
		provider: address(provider), clientID: "site", clientSecret: rand.Text(), client: http.DefaultClient,
		// New ones each time: everybody is signed out when the program ends. Yours
		// are kept; examples/quickstart shows how.
		cookieKey: random(32), csrfKey: random(32), flowKey: random(64),
	}
	handler, err := newApp(cfg)
	if err != nil {
		return err
	}
	s.serve(provider, demoprovider.New(demoprovider.Config{
		Users: demoLogins(), ClientID: cfg.clientID, ClientSecret: cfg.clientSecret,
		RedirectURL: oauthConfig(cfg).RedirectURL, Insecure: *insecure,
	}))
	s.serve(site, handler)
	fmt.Fprintf(stdout, welcome, cfg.url, demoPassword)
	select {
	case err := <-s.failure:
		return err
	case <-ctx.Done():
		return nil
	}
}

const welcome = `Open %s
(Safari keeps the cookies only with -insecure.)

Sign in as alice; the password is %q. Then, in a private window, as
the operator olivia: open "Sessions", choose Alice Martin, and sign in as her.
`

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails, see crypto/rand
	return b
}

// openStore returns the store at url or, if that is empty, in a Redis inside this
// program.
func openStore(ctx context.Context, url string, stdout io.Writer) (*ticketstore.RedisStore, func(), error) {
	closeAll := func() {}
	if url == "" {
		fmt.Fprintln(stdout, "Starting a Redis inside this program ...")
		embedded := miniredis.NewMiniRedis()
		embedded.ClockTTL(true) // or no ticket would ever expire
		if err := embedded.Start(); err != nil {
			return nil, nil, fmt.Errorf("embedded Redis: %w", err)
		}
		url, closeAll = "redis://"+embedded.Addr(), embedded.Close
	}
	options, err := redis.ParseURL(url)
	if err != nil {
		closeAll()
		return nil, nil, fmt.Errorf("-redis: %w", err)
	}
	options.ContextTimeoutEnabled = true // or Config.StoreTimeout has no effect
	options.DialTimeout, options.ReadTimeout, options.WriteTimeout = time.Second, time.Second, time.Second
	options.MaxRetries, options.DialerRetries = 1, 1 // go-redis would try five times, and again
	client := redis.NewClient(options)
	closeClient := func() { client.Close(); closeAll() }
	store, err := ticketstore.NewRedisStore(client, ticketstore.RedisConfig{
		Prefix:  "site-",
		History: 30 * 24 * time.Hour, // for "Recently ended"
	})
	if err == nil {
		_, err = store.Check(ctx)
	}
	if err != nil {
		closeClient()
		return nil, nil, fmt.Errorf("Redis at %s: %w", options.Addr, err)
	}
	return store, closeClient, nil
}
