package tickettest_test

import (
	"fmt"
	"log"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/tickettest"
)

func Example() {
	var _ = func(t *testing.T) { // TestHome
		m := tickettest.NewManager(t)
		r := httptest.NewRequest("GET", "/", nil)
		r.AddCookie(tickettest.Cookie(t, m, ticketstore.NewTicket("alice")))
		w := httptest.NewRecorder()
		site(m).ServeHTTP(w, r)
		if got := w.Body.String(); got != "alice" {
			t.Errorf("got %q, want alice's page", got)
		}
	}
}

// Two devices of one user, and the whole site behind TLS.
func ExampleBrowser() {
	var _ = func(t *testing.T) { // TestSignOutOthers
		m := tickettest.NewManager(t)
		server := httptest.NewTLSServer(site(m))
		phone := tickettest.Browser(t, server, tickettest.Cookie(t, m, ticketstore.NewTicket("alice")))
		laptop := tickettest.Browser(t, server, tickettest.Cookie(t, m, ticketstore.NewTicket("alice")))
		if _, err := laptop.Post(server.URL+"/others", "", nil); err != nil {
			t.Fatal(err)
		}
		res, err := phone.Get(server.URL)
		if got := body(t, res, err); got != "-" {
			t.Errorf("the phone gets the page of %q, want nobody's", got)
		}
	}
}

// Half an hour in a bubble of testing/synctest takes no time.
func ExampleNewManager_synctest() {
	var _ = func(t *testing.T) { // TestIdleTimeout
		synctest.Test(t, func(t *testing.T) {
			m := tickettest.NewManager(t)
			r := httptest.NewRequest("GET", "/", nil)
			r.AddCookie(tickettest.Cookie(t, m, ticketstore.NewTicket("alice")))
			time.Sleep(31 * time.Minute)
			w := httptest.NewRecorder()
			site(m).ServeHTTP(w, r)
			if got := w.Body.String(); got != "-" {
				t.Errorf("got the page of %q, want nobody's", got)
			}
		})
	}
}

// A program for development needs no Redis.
func ExampleOpen() {
	store, done, err := tickettest.Open()
	if err != nil {
		log.Fatal(err)
	}
	defer done()
	m, err := ticketstore.NewManager(store, ticketstore.Config{
		CookieKeys: []ticketstore.CookieKey{{Hash: make([]byte, 32)}}, // for development only
	})
	fmt.Println(m != nil, err)
	// Output: true <nil>
}
