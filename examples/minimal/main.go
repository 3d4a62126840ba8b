// Command minimal is all that the README has of a program: users sign in, see a
// page of their own, and sign out.
package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"html/template"
	"log"
	"net"
	"net/http"
	"os"
	"regexp"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/ticketstore/ticketstore"
)

var page = template.Must(template.New("page").Parse(`<!doctype html><html lang="en"><meta charset="utf-8"><title>Home</title>
{{with .}}<p>Hello, {{.Subject}}! You signed in at {{.SignedInAt.Format "15:04 MST"}}. <a href="/me">Your page</a></p>
<form method="post" action="/logout"><button>Sign out</button></form>
{{else}}<form method="post"><label>Name <input name="user" required></label> <button>Sign in</button></form>
{{end}}`))

var userName = regexp.MustCompile(`^[A-Za-z0-9]{1,64}$`)

func main() {
	logging.Disable() // go-redis prints failed dials, which it returns as well
	key, err := base64.StdEncoding.DecodeString(os.Getenv("COOKIE_KEY"))
	if err != nil || len(key) < 32 {
		log.Fatal("Set COOKIE_KEY to at least 32 random bytes in base64: export COOKIE_KEY=$(openssl rand -base64 32)")
	}
	opt, err := redis.ParseURL(os.Getenv("REDIS_URL"))
	if err != nil { // not printed: it may have the password in it
		log.Fatal("Set REDIS_URL to the URL of a Redis: export REDIS_URL=redis://127.0.0.1:6379")
	}
	opt.ContextTimeoutEnabled, opt.MaxRetries, opt.DialerRetries = true, 1, 1 // tell an outage soon
	opt.DialTimeout, opt.ReadTimeout, opt.WriteTimeout = time.Second, time.Second, time.Second
	store, err := ticketstore.NewRedisStore(redis.NewClient(opt), ticketstore.RedisConfig{})
	check(err)
	warnings, err := store.Check(context.Background())
	if err != nil {
		log.Fatalf("%v (is Redis running, and is REDIS_URL right?)", err)
	}
	for _, w := range warnings {
		log.Println("Redis:", w)
	}
	m, err := ticketstore.NewManager(store, ticketstore.Config{
		CookieKeys: []ticketstore.CookieKey{{Hash: key}},
		LoginPath:  "/",
	})
	check(err)

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		t, _ := ticketstore.FromContext(r.Context()) // nil if nobody is signed in
		w.Header().Set("Cache-Control", "no-store")
		page.Execute(w, t)
	})
	mux.HandleFunc("POST /{$}", func(w http.ResponseWriter, r *http.Request) {
		user := r.FormValue("user")
		if !userName.MatchString(user) { // look the user up, and check the password, here
			http.Error(w, "A name has 1 to 64 letters and digits.", http.StatusBadRequest)
		} else if err := m.SignIn(w, r, ticketstore.NewTicket(user)); err != nil {
			m.Error(w, r, err)
		} else {
			http.Redirect(w, r, m.ReturnURL(r), http.StatusSeeOther)
		}
	})
	mux.HandleFunc("POST /logout", func(w http.ResponseWriter, r *http.Request) {
		if err := m.SignOut(w, r); err != nil {
			m.Error(w, r, err)
		} else {
			http.Redirect(w, r, "/", http.StatusSeeOther)
		}
	})
	mux.Handle("GET /me", m.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t, _ := ticketstore.FromContext(r.Context())
		fmt.Fprintln(w, "Only", t.Subject, "sees this.")
	})))
	l, err := net.Listen("tcp", "127.0.0.1:8080")
	if err != nil { // the port is taken
		l, err = net.Listen("tcp", "127.0.0.1:0")
	}
	check(err)
	log.Printf("Open http://%s", l.Addr())
	check(http.Serve(l, http.NewCrossOriginProtection().Handler(m.Wrap(mux))))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
