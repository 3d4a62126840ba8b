package tickettest_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/tickettest"
)

func body(t *testing.T, res *http.Response, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("got status %d, %v: %s", res.StatusCode, err, b)
	}
	return string(b)
}

func TestBrowser(t *testing.T) {
	clock := tickettest.NewClock()
	m := clock.NewManager(t)
	server := httptest.NewTLSServer(clock.Handler(site(m)))
	get := func(b *http.Client) string {
		t.Helper()
		res, err := b.Get(server.URL)
		return body(t, res, err)
	}
	phone, laptop, stranger := tickettest.Browser(t, server), tickettest.Browser(t, server, clock.Cookie(t, m, ticketstore.NewTicket("alice"))), tickettest.Browser(t, server)
	res, err := phone.PostForm(server.URL+"/login", url.Values{"user": {"alice"}})
	if got := body(t, res, err); got != "alice" {
		t.Errorf("the phone signs in and is sent to the page of %s, want alice's", got)
	}
	if a, b, c := get(phone), get(laptop), get(stranger); a != "alice" || b != "alice" || c != "-" {
		t.Errorf("got %s, %s and %s, want alice twice, and -", a, b, c)
	}
	res, err = laptop.Post(server.URL+"/others", "", nil)
	body(t, res, err)
	if a, b := get(phone), get(laptop); a != "-" || b != "alice" {
		t.Errorf("after signing others out: got %s and %s, want - and alice", a, b)
	}
	clock.Advance(31 * time.Minute)
	if got := get(laptop); got != "-" {
		t.Errorf("after 31 minutes: got %s, want -", got)
	}
}

func TestBrowserClosesServer(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	t.Run("", func(t *testing.T) { tickettest.Browser(t, server) })
	if res, err := server.Client().Get(server.URL); err == nil {
		res.Body.Close()
		t.Error("the server outlives the test")
	}
}
