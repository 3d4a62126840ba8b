package admin_test

import (
	"crypto/rand"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/admin"
)

func Example() {
	store, err := ticketstore.NewRedisStore(redis.NewClient(&redis.Options{ContextTimeoutEnabled: true}), ticketstore.RedisConfig{})
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

	operator := func(r *http.Request) bool {
		t, ok := ticketstore.FromContext(r.Context())
		return ok && t.HasRole("admin")
	}
	h, err := admin.New(store, operator, admin.Config{})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/admin/sessions/", m.RequireRecent(15*time.Minute, http.StripPrefix("/admin/sessions", h)))

	// The anonymous are sent to sign in; a user who is no operator is refused.
	r := httptest.NewRequest("GET", "/admin/sessions/", nil)
	r.Header.Set("Accept", "text/html")
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Header().Get("Location"))

	user := ticketstore.NewTicket("alice", ticketstore.Claim{Type: "role", Value: "customer"})
	user.SignedInAt = time.Now()
	w = httptest.NewRecorder()
	mux.ServeHTTP(w, r.WithContext(ticketstore.NewContext(r.Context(), user)))
	fmt.Println(w.Code)
	// Output:
	// 302 /login?ReturnUrl=%2Fadmin%2Fsessions%2F
	// 403
}
