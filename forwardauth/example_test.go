package forwardauth_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/forwardauth"
	"github.com/ticketstore/ticketstore/tickettest"
)

func Example() {
	store, done, err := tickettest.Open() // in place of NewRedisStore
	if err != nil {
		panic(err)
	}
	defer done()
	m, err := ticketstore.NewManager(store, ticketstore.Config{CookieKeys: []ticketstore.CookieKey{{Hash: make([]byte, 32)}}})
	if err != nil {
		panic(err)
	}
	guard, err := forwardauth.New(m, forwardauth.Config{
		Headers: map[string]func(*ticketstore.Ticket) []string{
			"Remote-User":  forwardauth.Subject,
			"Remote-Roles": forwardauth.Roles,
		},
		LoginURL: "/login",
	})
	if err != nil {
		panic(err)
	}

	// What Caddy asks.
	r := httptest.NewRequest("GET", "/forwardauth", nil)
	r.Header = http.Header{"X-Forwarded-Host": {"app.example.com"}, "X-Forwarded-Uri": {"/wiki"}, "Accept": {"text/html"}}
	w := httptest.NewRecorder()
	guard.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Header().Get("Location"))

	// The same, once Ann has signed in.
	signIn := httptest.NewRecorder()
	if err := m.SignIn(signIn, r, ticketstore.NewTicket("ann@example.com", ticketstore.Claim{Type: "role", Value: "dev"})); err != nil {
		panic(err)
	}
	r.AddCookie(signIn.Result().Cookies()[0])
	w = httptest.NewRecorder()
	guard.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Header().Get("Remote-User"), w.Header().Get("Remote-Roles"))
	// Output:
	// 303 /login?ReturnUrl=%2Fwiki
	// 200 ann@example.com dev
}
