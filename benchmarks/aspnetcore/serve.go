package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/aspnetcore"
)

// What the application and the service have in common.
const (
	applicationName = "benchmark"
	instanceName    = "benchmark:" // begins all keys in Redis
	keyList         = instanceName + "keys"

	window   = 14 * 24 * time.Hour // ExpireTimeSpan: ASP.NET Core's default
	lifetime = 30 * 24 * time.Hour
)

// The stores of the Go service.
const (
	sharedStore = "aspnetcore.Store"
	ownStore    = "RedisStore"

	// The same with BatchReads, and with MaxStaleness.
	batchedStore = "batched"
	cachedStore  = "cached"
)

// serve is the Go service, until ctx ends.
func serve(ctx context.Context, store, redis string, stdout io.Writer) error {
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	client, cfg := newClient(redis), ticketstore.RedisConfig{Prefix: instanceName + store + "-"}
	switch store {
	case batchedStore:
		cfg.BatchReads = true
	case cachedStore:
		client, cfg.MaxStaleness = newCachedClient(redis), staleness
	}
	defer client.Close()
	var m *ticketstore.Manager
	var err error
	switch store {
	case sharedStore:
		s, err1 := aspnetcore.NewStore(client, aspnetcore.StoreConfig{InstanceName: instanceName})
		ring, err2 := aspnetcore.NewKeyRing(aspnetcore.KeyRingConfig{Client: client, ListKey: keyList})
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		cfg, err1 := aspnetcore.ManagerConfig(aspnetcore.Options{
			KeyRing: ring, ApplicationName: applicationName, ExpireTimeSpan: window, Lifetime: lifetime,
			DangerouslyAllowInsecureCookie: true,
		})
		if err1 != nil {
			return err1
		}
		m, err = ticketstore.NewManager(s, cfg)
	case ownStore, batchedStore, cachedStore:
		s, err1 := ticketstore.NewRedisStore(client, cfg)
		if err1 != nil {
			return err1
		}
		key := ticketstore.CookieKey{Hash: make([]byte, 32), Block: make([]byte, 32)} // encrypted, as .NET's cookies are
		rand.Read(key.Hash)
		rand.Read(key.Block)
		m, err = ticketstore.NewManager(s, ticketstore.Config{
			CookieKeys: []ticketstore.CookieKey{key}, IdleTimeout: window, Lifetime: lifetime,
			RenewAfter:                     window / 2, // as ASP.NET Core
			DangerouslyAllowInsecureCookie: true,
		})
	default:
		return fmt.Errorf("there is no store %q", store)
	}
	if err != nil {
		return err
	}

	mux := http.NewServeMux()
	mux.Handle("GET /me", m.Require(http.HandlerFunc(me)))
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) { login(m, w, r) })
	server := &http.Server{ // as examples/aspnetcore/service
		Handler:           http.NewCrossOriginProtection().Handler(http.MaxBytesHandler(mux, 16<<10)),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       time.Minute,
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { server.Close() })()
	fmt.Fprintf(stdout, "Listening on http://%s\n", l.Addr())
	return server.Serve(l)
}

const (
	nameIdentifier = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier"
	nameClaim      = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name"
	roleClaim      = "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"
	stringType     = "http://www.w3.org/2001/XMLSchema#string"
	localAuthority = "LOCAL AUTHORITY"
)

// login signs in a user of the application, with the claims that it gives.
func login(m *ticketstore.Manager, w http.ResponseWriter, r *http.Request) {
	u, ok := users[r.PostFormValue("name")]
	if !ok || u.password != r.PostFormValue("password") {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	t := ticketstore.NewTicket(r.PostFormValue("name"),
		ticketstore.Claim{Type: nameIdentifier, Value: r.PostFormValue("name")},
		ticketstore.Claim{Type: nameClaim, Value: u.name},
		ticketstore.Claim{Type: roleClaim, Value: u.role},
		ticketstore.Claim{Type: "department", Value: u.department})
	t.Scheme = "Cookies"
	id := &t.Identities[0]
	id.AuthenticationType, id.NameClaimType, id.RoleClaimType = "pwd", nameClaim, roleClaim
	if err := m.SignIn(w, r, t); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable) // nobody but the tool reads it
		return
	}
	http.Redirect(w, r, "/", http.StatusFound)
}

// me answers what the application's /me does: all that the ticket says.
func me(w http.ResponseWriter, r *http.Request) {
	t, _ := ticketstore.FromContext(r.Context()) // Require has seen to it
	data, err := json.Marshal(documentOf(t))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Write(data)
}

// A document is TicketJson.cs.
type document struct {
	Subject      string            `json:"subject"`
	Name         string            `json:"name"`
	Roles        []string          `json:"roles"`
	Scheme       string            `json:"scheme"`
	Issued       string            `json:"issued"`
	Expires      string            `json:"expires"`
	Persistent   bool              `json:"persistent"`
	AllowRefresh *bool             `json:"allowRefresh"`
	Items        map[string]string `json:"items"`
	Identities   []*identity       `json:"identities"`
}

type identity struct {
	AuthenticationType *string   `json:"authenticationType"`
	NameClaimType      *string   `json:"nameClaimType"`
	RoleClaimType      *string   `json:"roleClaimType"`
	Label              *string   `json:"label"`
	BootstrapContext   *string   `json:"bootstrapContext"`
	Claims             []claim   `json:"claims"`
	Actor              *identity `json:"actor"`
}

type claim struct {
	Type           string            `json:"type"`
	Value          string            `json:"value"`
	ValueType      string            `json:"valueType"`
	Issuer         string            `json:"issuer"`
	OriginalIssuer string            `json:"originalIssuer"`
	Properties     map[string]string `json:"properties"`
}

// documentOf returns what the application would say of t.
func documentOf(t *ticketstore.Ticket) *document {
	const jsonTime = "2006-01-02T15:04:05-07:00"
	d := &document{
		Subject:    t.Subject,
		Scheme:     t.Scheme,
		Issued:     t.IssuedAt.UTC().Format(jsonTime),
		Expires:    t.ExpiresAt.UTC().Format(jsonTime),
		Persistent: t.Persistent,
		Items: map[string]string{
			".issued":                t.IssuedAt.UTC().Format(http.TimeFormat),
			".expires":               t.ExpiresAt.UTC().Format(http.TimeFormat),
			"ticketstore.signedInAt": t.SignedInAt.UTC().Format("2006-01-02T15:04:05Z"),
		},
	}
	for k, v := range t.Properties {
		d.Items[k] = v
	}
	for _, id := range t.Identities {
		for _, c := range id.Claims {
			switch {
			case c.Type == id.RoleClaimType:
				d.Roles = append(d.Roles, c.Value)
			case c.Type == id.NameClaimType && d.Name == "":
				d.Name = c.Value
			}
		}
		d.Identities = append(d.Identities, identityOf(&id))
	}
	return d
}

func identityOf(id *ticketstore.Identity) *identity {
	if id == nil {
		return nil
	}
	i := &identity{
		AuthenticationType: nullable(id.AuthenticationType),
		NameClaimType:      nullable(id.NameClaimType),
		RoleClaimType:      nullable(id.RoleClaimType),
		BootstrapContext:   nullable(id.BootstrapContext),
		Claims:             make([]claim, 0, len(id.Claims)),
		Actor:              identityOf(id.Actor),
	}
	for _, c := range id.Claims {
		issuer := cmp.Or(c.Issuer, localAuthority)
		properties := c.Properties
		if properties == nil {
			properties = map[string]string{}
		}
		i.Claims = append(i.Claims, claim{c.Type, c.Value, cmp.Or(c.ValueType, stringType), issuer, cmp.Or(c.OriginalIssuer, issuer), properties})
	}
	return i
}

func nullable(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

type user struct{ name, password, role, department string }

// The users of the application.
var users = map[string]user{
	"alice": {"Alice", "wonderland", "admin", "books"},
	"bob":   {"Bob", "builder", "member", "tools"},
}
