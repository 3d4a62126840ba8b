package ticketstore_test

//lint:file-ignore SA4006 The README leaves the handling of errors out.

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/admin"
	"github.com/ticketstore/ticketstore/aspnetcore"
	"github.com/ticketstore/ticketstore/devices"
	"github.com/ticketstore/ticketstore/tickettest"
)

// The code of the README and of docs/tour.md, which is compiled and not run.

func _(client *redis.Client, keys []ticketstore.CookieKey, mux *http.ServeMux, addr string, check func(error)) error {
	store, err := ticketstore.NewRedisStore(client, ticketstore.RedisConfig{})
	check(err)
	m, err := ticketstore.NewManager(store, ticketstore.Config{CookieKeys: keys, LoginPath: "/"})
	check(err)

	mux.HandleFunc("POST /{$}", func(w http.ResponseWriter, r *http.Request) {
		user := r.FormValue("user") // look the user up, and check the password, here
		if err := m.SignIn(w, r, ticketstore.NewTicket(user)); err != nil {
			m.Error(w, r, err)
			return
		}
		http.Redirect(w, r, m.ReturnURL(r), http.StatusSeeOther)
	})
	mux.Handle("GET /me", m.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t, _ := ticketstore.FromContext(r.Context())
		fmt.Fprintln(w, "Only", t.Subject, "sees this.")
	})))
	err = http.ListenAndServe(addr, http.NewCrossOriginProtection().Handler(m.Wrap(mux)))
	return err
}

func _(ctx context.Context, store *ticketstore.RedisStore, ticket *ticketstore.Ticket, user, id string) error {
	sessions, err := store.Sessions(ctx, user)         // newest first; safe to show and log
	err = store.Revoke(ctx, user, id)                  // that device
	n, err := store.RevokeOthers(ctx, user, ticket.ID) // all but this one
	n, err = store.RevokeAll(ctx, user)                // the account is disabled; ends sign-ins under way, too
	counts, err := store.Count(ctx)                    // users and sessions, right now
	_, _, _ = sessions, n, counts
	return err
}

func _(m *ticketstore.Manager, store *ticketstore.RedisStore, mux *http.ServeMux) error {
	page, err := devices.New(m, devices.Config{RecentSignIn: 15 * time.Minute})
	mux.Handle("/account/sessions/", http.StripPrefix("/account/sessions", page))

	isAdmin := func(r *http.Request) bool {
		t, ok := ticketstore.FromContext(r.Context())
		return ok && t.HasRole("admin")
	}
	pages, err := admin.New(store, isAdmin, admin.Config{})
	mux.Handle("/admin/", m.RequireRecent(15*time.Minute, http.StripPrefix("/admin", pages)))
	return err
}

func _(client *redis.Client) (*ticketstore.Manager, error) {
	store, err := aspnetcore.NewStore(client, aspnetcore.StoreConfig{InstanceName: "shop:"})
	keys, err := aspnetcore.NewKeyRing(aspnetcore.KeyRingConfig{Client: client})
	cfg, err := aspnetcore.ManagerConfig(aspnetcore.Options{KeyRing: keys, ApplicationName: "shop", Lifetime: 30 * 24 * time.Hour})
	manager, err := ticketstore.NewManager(store, cfg)
	return manager, err
}

func _(t *testing.T, site func(*ticketstore.Manager) http.Handler, r *http.Request) *http.Client {
	m := tickettest.NewManager(t)                                        // or your own, over a tickettest.NewStore(t)
	r.AddCookie(tickettest.Cookie(t, m, ticketstore.NewTicket("alice"))) // alice has signed in
	browser := tickettest.Browser(t, httptest.NewTLSServer(site(m)))     // a client with cookies, for the whole site
	return browser
}

func _() {
	// TLS
	redis.NewClient(&redis.Options{Addr: "redis.example.com:6380", TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12}, ContextTimeoutEnabled: true})
	// Sentinel
	redis.NewFailoverClient(&redis.FailoverOptions{MasterName: "mymaster", SentinelAddrs: []string{"10.0.0.1:26379"}, ContextTimeoutEnabled: true})
	// Cluster
	redis.NewClusterClient(&redis.ClusterOptions{
		Addrs:                 []string{"10.0.0.1:6379", "10.0.0.2:6379"},
		ContextTimeoutEnabled: true,
		DialTimeout:           time.Second, // find the master that took over soon
		ReadTimeout:           time.Second,
		WriteTimeout:          time.Second,
		DialerRetries:         1,
	})
}
