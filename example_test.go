package ticketstore_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/tickettest"
)

// open returns a Manager and its store on an embedded Redis. A program takes
// its cookie keys from where its other secrets are.
func open() (*ticketstore.Manager, *ticketstore.RedisStore, func()) {
	store, done, err := tickettest.Open()
	if err != nil {
		log.Fatal(err)
	}
	hash := make([]byte, 32)
	rand.Read(hash)
	m, err := ticketstore.NewManager(store, ticketstore.Config{
		CookieKeys: []ticketstore.CookieKey{{Hash: hash}},
	})
	if err != nil {
		log.Fatal(err)
	}
	return m, store, done
}

func Example() {
	m, store, done := open()
	defer done()

	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		// The application has checked the password.
		t := ticketstore.NewTicket("alice", ticketstore.Claim{Type: "role", Value: "admin"})
		if err := m.SignIn(w, r, t); err != nil {
			http.Error(w, "Please try again.", http.StatusServiceUnavailable)
		}
	})
	mux.Handle("GET /me", m.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t, _ := ticketstore.FromContext(r.Context())
		fmt.Fprint(w, t.Subject, ", admin: ", t.HasRole("admin"))
	})))
	site := m.Wrap(mux)

	// A browser signs in and comes back with its cookie.
	login := httptest.NewRecorder()
	site.ServeHTTP(login, httptest.NewRequest("POST", "/login", nil))
	me := func() {
		r := httptest.NewRequest("GET", "/me", nil)
		r.AddCookie(login.Result().Cookies()[0])
		w := httptest.NewRecorder()
		site.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Body)
	}
	me()

	// An operator signs her out.
	if _, err := store.RevokeAll(context.Background(), "alice"); err != nil {
		log.Fatal(err)
	}
	me()
	// Output:
	// 200 alice, admin: true
	// 401 Sign-in is required.
}

func ExampleManager_SignIn() {
	m, _, done := open()
	defer done()
	login := func(w http.ResponseWriter, r *http.Request) {
		// The application has checked the password.
		t := ticketstore.NewTicket(r.FormValue("user"))
		t.Persistent = r.FormValue("remember") != ""
		if err := m.SignIn(w, r, t); err != nil {
			http.Error(w, "Please try again.", http.StatusServiceUnavailable)
			return
		}
		http.Redirect(w, r, m.ReturnURL(r), http.StatusSeeOther)
	}

	w := httptest.NewRecorder()
	login(w, httptest.NewRequest("POST", "/login?user=alice&remember=on&ReturnUrl=/orders", nil))
	c := w.Result().Cookies()[0]
	fmt.Println(w.Code, w.Header().Get("Location"))
	fmt.Println(c.Name, c.MaxAge/86400, "days, Secure:", c.Secure, "HttpOnly:", c.HttpOnly)
	// Output:
	// 303 /orders
	// __Host-session 30 days, Secure: true HttpOnly: true
}

func ExampleManager_Renew() {
	m, _, done := open()
	defer done()
	w := httptest.NewRecorder()
	if err := m.SignIn(w, httptest.NewRequest("POST", "/", nil), ticketstore.NewTicket("alice")); err != nil {
		log.Fatal(err)
	}
	r := httptest.NewRequest("POST", "/theme", nil)
	r.AddCookie(w.Result().Cookies()[0])

	// The function may run again if another request changes the ticket at the
	// same time: no request to anyone in here.
	t, err := m.Renew(r, func(t *ticketstore.Ticket) error {
		t.Properties = map[string]string{"theme": "dark"}
		return nil
	})
	fmt.Println(t.Properties["theme"], err)
	// Output: dark <nil>
}

// The ticket in the context is shared and is what the request arrived with.
// Changing it changes nothing in the store, and races with whoever else reads
// it.
func ExampleFromContext_incorrect() {
	m, _, done := open()
	defer done()
	wrong := func(w http.ResponseWriter, r *http.Request) {
		t, _ := ticketstore.FromContext(r.Context())
		t.Scheme = "changed" // lost, and a data race
	}
	right := func(w http.ResponseWriter, r *http.Request) {
		_, err := m.Renew(r, func(t *ticketstore.Ticket) error {
			t.Scheme = "changed"
			return nil
		})
		if err != nil {
			http.Error(w, "Please try again.", http.StatusServiceUnavailable)
		}
	}

	w := httptest.NewRecorder()
	if err := m.SignIn(w, httptest.NewRequest("POST", "/", nil), ticketstore.NewTicket("alice")); err != nil {
		log.Fatal(err)
	}
	for _, h := range []http.HandlerFunc{wrong, right} {
		r := httptest.NewRequest("POST", "/", nil)
		r.AddCookie(w.Result().Cookies()[0])
		m.Wrap(h).ServeHTTP(httptest.NewRecorder(), r)
		t, err := m.Resolve(r)
		fmt.Printf("%q %v\n", t.Scheme, err)
	}
	// Output:
	// "" <nil>
	// "changed" <nil>
}

// A test of a handler needs no store: put a ticket in the context.
func ExampleNewContext() {
	handler := func(w http.ResponseWriter, r *http.Request) {
		t, _ := ticketstore.FromContext(r.Context())
		fmt.Fprint(w, "Hello, ", t.Subject)
	}

	r := httptest.NewRequest("GET", "/", nil)
	r = r.WithContext(ticketstore.NewContext(r.Context(), ticketstore.NewTicket("alice")))
	w := httptest.NewRecorder()
	handler(w, r)
	fmt.Println(w.Body)
	// Output: Hello, alice
}

// The password has changed: every other device has to sign in again, and this
// one gets a new key.
func ExampleRedisStore_RevokeOthers() {
	m, store, done := open()
	defer done()
	ctx := context.Background()
	var last *httptest.ResponseRecorder
	for range 3 {
		last = httptest.NewRecorder()
		if err := m.SignIn(last, httptest.NewRequest("POST", "/", nil), ticketstore.NewTicket("alice")); err != nil {
			log.Fatal(err)
		}
	}
	r := httptest.NewRequest("POST", "/password", nil)
	r.AddCookie(last.Result().Cookies()[0])

	t, err := m.Resolve(r)
	if err != nil {
		log.Fatal(err)
	}
	revoked, err := store.RevokeOthers(ctx, t.Subject, t.ID)
	fmt.Println(revoked, err)
	_, err = m.Rotate(httptest.NewRecorder(), r, nil)
	fmt.Println(err)
	// Output:
	// 2 <nil>
	// <nil>
}

func ExampleRedisStore_Count() {
	m, store, done := open()
	defer done()
	for _, user := range []string{"alice", "alice", "bob"} {
		if err := m.SignIn(httptest.NewRecorder(), httptest.NewRequest("POST", "/", nil), ticketstore.NewTicket(user)); err != nil {
			log.Fatal(err)
		}
	}
	counts, err := store.Count(context.Background())
	fmt.Println(counts.Subjects, "users,", counts.Sessions, "sessions", err)
	// Output: 2 users, 3 sessions <nil>
}

// The format of tickets changes without signing anyone out, in three releases:
// ReadAlso(oldFormat, newFormat), then this, and after the longest idle timeout
// newFormat alone.
func ExampleReadAlso() {
	oldFormat, newFormat := ticketstore.JSONSerializer{}, ticketstore.JSONSerializer{} // say
	cfg := ticketstore.RedisConfig{Serializer: ticketstore.ReadAlso(newFormat, oldFormat)}
	data, err := cfg.Serializer.Serialize(ticketstore.NewTicket("alice", ticketstore.Claim{Type: "role", Value: "admin"}))
	fmt.Println(string(data), err)
	// Output: {"v":1,"identities":[{"claims":[{"type":"role","value":"admin"}]}]} <nil>
}

// An audit log. What is rejected is left to metrics: anybody can send as much
// of that as they like. Calls are told as well; of these, it takes failures.
func ExampleEvent() {
	handler := slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: withoutTime})
	logger := slog.New(handler)
	observer := func(ctx context.Context, e ticketstore.Event) {
		switch {
		case e.Cause == "failed":
			logger.WarnContext(ctx, e.Kind, "call", e.Call, "session", e.SessionID, "error", e.Err)
		case e.Kind != "rejected" && e.Kind != "called":
			logger.InfoContext(ctx, e.Kind, "cause", e.Cause, "user", e.Subject, "session", e.SessionID,
				"sessions", e.Sessions, "addr", e.Device.Addr)
		}
	}
	cfg := ticketstore.Config{Observer: observer} // with CookieKeys, for NewManager

	cfg.Observer(context.Background(), ticketstore.Event{
		Kind: "ended", Cause: "revoked", Subject: "alice", Sessions: 3,
		Device: ticketstore.Device{Addr: netip.MustParseAddr("192.0.2.1")},
	})
	// Output: level=INFO msg=ended cause=revoked user=alice session="" sessions=3 addr=192.0.2.1
}

// withoutTime makes the output of an example the same each time.
func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}
