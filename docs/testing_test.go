package docs_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/tickettest"
)

var orders = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	t, _ := ticketstore.FromContext(r.Context())
	io.WriteString(w, "orders of "+t.Subject)
})

func TestOrders(t *testing.T) {
	m := tickettest.NewManager(t)
	h := m.Require(orders)
	r := httptest.NewRequest("GET", "/orders", nil)
	r.AddCookie(tickettest.Cookie(t, m, ticketstore.NewTicket("alice"))) // alice has signed in
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != 200 || w.Body.String() != "orders of alice" {
		t.Errorf("got %d %q, want those of alice", w.Code, w.Body)
	}

	// A handler by itself needs no store at all.
	w = httptest.NewRecorder()
	orders.ServeHTTP(w, r.WithContext(ticketstore.NewContext(r.Context(), ticketstore.NewTicket("bob"))))
	if w.Body.String() != "orders of bob" {
		t.Errorf("got %q, want those of bob", w.Body)
	}
}

func TestOrdersAfterHalfAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the clocks of the program and of Redis are the bubble's
		m := tickettest.NewManager(t)
		r := httptest.NewRequest("GET", "/orders", nil)
		r.AddCookie(tickettest.Cookie(t, m, ticketstore.NewTicket("alice")))
		time.Sleep(31 * time.Minute)
		w := httptest.NewRecorder()
		m.Require(orders).ServeHTTP(w, r)
		if w.Code != 401 {
			t.Errorf("got %d, want 401: nobody has used the session for half an hour", w.Code)
		}
	})
}
