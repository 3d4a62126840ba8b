package aspnetcore_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/aspnetcore"
	"github.com/ticketstore/ticketstore/devices"
	"github.com/ticketstore/ticketstore/internal/clock"
	"github.com/ticketstore/ticketstore/internal/redistest"
)

// lifetime is the Go service's absolute one.
const lifetime = 30 * 24 * time.Hour

// A service is a Go service that answers below /go as the test application
// does: /go/signin, /go/signout, /go/update and /go/me, and the page of
// devices at /go/sessions/.
type service struct {
	url     string
	log     *logBuffer // of the key ring, the cookie codec and the Manager
	manager *ticketstore.Manager
	store   *aspnetcore.Store
	ring    *aspnetcore.KeyRing
	codec   *aspnetcore.CookieCodec
	scheme  string
	now     func() time.Time
	window  time.Duration

	// meanwhile, if set, is called once, in the next change of /go/update:
	// between reading the ticket and writing it.
	meanwhile atomic.Pointer[func()]
}

// A serviceConfig has the settings that must equal the application's.
type serviceConfig struct {
	store   aspnetcore.StoreConfig
	keys    aspnetcore.KeyRingConfig
	options aspnetcore.Options
}

// startService starts a service with cfg until the end of the test.
func startService(t testing.TB, client *redis.Client, now func() time.Time, cfg serviceConfig) *service {
	t.Helper()
	s := &service{
		log: &logBuffer{}, now: now, window: cfg.options.ExpireTimeSpan,
		scheme: cmp.Or(cfg.options.Scheme, "Cookies"),
	}
	logger := slog.New(slog.NewTextHandler(s.log, nil))
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	cfg.keys.Client, cfg.keys.Logger = client, logger
	s.ring, err = aspnetcore.NewKeyRing(cfg.keys)
	check(err)
	cfg.options.KeyRing, cfg.options.Logger = s.ring, logger
	cfg.options.Lifetime = lifetime
	cfg.options.DangerouslyAllowInsecureCookie = true
	s.codec, err = aspnetcore.NewCookieCodec(cfg.options)
	check(err)
	conf, err := aspnetcore.ManagerConfig(cfg.options)
	check(err)
	conf.StoreTimeout = redistest.Patience
	conf.ErrorHandler = func(w http.ResponseWriter, r *http.Request, _ int, err error) { fail(w, r, err) }
	s.store, err = aspnetcore.NewStore(client, cfg.store)
	check(err)
	s.manager, err = ticketstore.NewManager(s.store, conf)
	check(err)
	pages, err := devices.New(s.manager, devices.Config{Logger: logger})
	check(err)

	mux := http.NewServeMux()
	mux.Handle("GET /go/me", s.manager.Wrap(http.HandlerFunc(s.me)))
	mux.HandleFunc("POST /go/signin", s.signIn)
	mux.HandleFunc("POST /go/signout", s.signOut)
	mux.HandleFunc("POST /go/update", s.update)
	mux.Handle("/go/sessions/", http.StripPrefix("/go/sessions", pages))
	server := httptest.NewUnstartedServer(mux)
	server.Config.BaseContext = func(net.Listener) context.Context {
		return clock.WithServer(clock.NewContext(context.Background(), now), time.Now)
	}
	server.Start()
	t.Cleanup(func() {
		server.Close()
		if t.Failed() && s.log.String() != "" {
			t.Logf("the Go service said:\n%s", s.log)
		}
	})
	s.url = server.URL
	return s
}

func (s *service) side() side { return side{"go", s.url + "/go"} }

func (s *service) me(w http.ResponseWriter, r *http.Request) {
	t, ok := ticketstore.FromContext(r.Context())
	if !ok {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	answer(w, contentOf(t))
}

func (s *service) signIn(w http.ResponseWriter, r *http.Request) {
	var in signIn
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	t := in.ticket(s.now(), s.window)
	t.Scheme = s.scheme
	t.AuthenticatedAt = s.now().Add(-time.Hour)
	t.Subject = cmp.Or(r.FormValue("subject"), t.Subject) // for a ticket without a claim of it
	if err := s.manager.SignIn(w, r, t); err != nil {
		fail(w, r, err)
		return
	}
	answer(w, contentOf(t))
}

func (s *service) signOut(w http.ResponseWriter, r *http.Request) {
	if err := s.manager.SignOut(w, r); err != nil {
		fail(w, r, err)
	}
}

func (s *service) update(w http.ResponseWriter, r *http.Request) {
	var u update
	if err := json.NewDecoder(r.Body).Decode(&u); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	t, err := s.manager.Renew(r, func(t *ticketstore.Ticket) error {
		if f := s.meanwhile.Swap(nil); f != nil {
			(*f)()
		}
		u.apply(t)
		return nil
	})
	if err != nil {
		fail(w, r, err)
		return
	}
	answer(w, contentOf(t))
}

func answer(w http.ResponseWriter, c *content) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(c)
}

// fail answers with the error itself: nobody but the test reads it.
func fail(w http.ResponseWriter, _ *http.Request, err error) {
	status := http.StatusServiceUnavailable
	switch {
	case errors.Is(err, ticketstore.ErrNotFound):
		status = http.StatusUnauthorized
	case errors.Is(err, ticketstore.ErrInvalidTicket):
		status = http.StatusUnprocessableEntity
	case errors.Is(err, ticketstore.ErrConflict):
		status = http.StatusConflict
	}
	http.Error(w, err.Error(), status)
}
