// Command minimal is the program of the README.
package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore"
)

func main() {
	key, err := base64.StdEncoding.DecodeString(os.Getenv("COOKIE_KEY"))
	check(err)
	opt, err := redis.ParseURL(os.Getenv("REDIS_URL"))
	check(err)
	opt.ContextTimeoutEnabled, opt.MaxRetries, opt.DialerRetries = true, 1, 1 // tell an outage soon
	opt.DialTimeout, opt.ReadTimeout, opt.WriteTimeout = time.Second, time.Second, time.Second
	store, err := ticketstore.NewRedisStore(redis.NewClient(opt), ticketstore.RedisConfig{})
	check(err)
	warnings, err := store.Check(context.Background())
	check(err)
	for _, w := range warnings {
		log.Println("Redis:", w)
	}
	m, err := ticketstore.NewManager(store, ticketstore.Config{
		CookieKeys: []ticketstore.CookieKey{{Hash: key}},
	})
	check(err)

	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		// Check the password here.
		if err := m.SignIn(w, r, ticketstore.NewTicket(r.FormValue("user"))); err != nil {
			fail(w, err)
		}
	})
	mux.HandleFunc("POST /logout", func(w http.ResponseWriter, r *http.Request) {
		if err := m.SignOut(w, r); err != nil {
			fail(w, err)
		}
	})
	mux.Handle("GET /me", m.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t, _ := ticketstore.FromContext(r.Context())
		fmt.Fprintln(w, t.Subject, "signed in at", t.SignedInAt)
	})))
	check(http.ListenAndServe("127.0.0.1:8080", http.NewCrossOriginProtection().Handler(m.Wrap(mux))))
}

func fail(w http.ResponseWriter, err error) {
	log.Print(err)
	if errors.Is(err, ticketstore.ErrInvalidTicket) {
		http.Error(w, "That is no user name.", http.StatusBadRequest)
		return
	}
	http.Error(w, "Please try again.", http.StatusServiceUnavailable)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
