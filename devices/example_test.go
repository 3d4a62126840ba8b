package devices_test

import (
	"crypto/rand"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/devices"
)

func Example() {
	server, err := miniredis.Run()
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), ContextTimeoutEnabled: true})
	defer client.Close()
	store, err := ticketstore.NewRedisStore(client, ticketstore.RedisConfig{})
	if err != nil {
		log.Fatal(err)
	}
	hash := make([]byte, 32)
	rand.Read(hash)
	m, err := ticketstore.NewManager(store, ticketstore.Config{
		CookieKeys: []ticketstore.CookieKey{{Hash: hash}},
		LoginPath:  "/login",
	})
	if err != nil {
		log.Fatal(err)
	}

	h, err := devices.New(m, devices.Config{
		RecentSignIn: 15 * time.Minute,
		Locate: func(a netip.Addr) string {
			return "" // ask a database of places, in memory
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/account/sessions/", http.StripPrefix("/account/sessions", h))

	// The anonymous are sent to sign in.
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/account/sessions/", nil)
	r.Header.Set("Accept", "text/html")
	mux.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Header().Get("Location"))
	// Output: 302 /login?ReturnUrl=%2Faccount%2Fsessions%2F
}
