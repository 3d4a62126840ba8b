package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/aspnetcore"
)

// openOurs is ticketstore with a RedisStore. change, if not nil, is made to the
// options of the client.
func openOurs(cfg ticketstore.RedisConfig, change func(*redis.Options)) func(context.Context, *place) (*system, error) {
	return func(_ context.Context, p *place) (*system, error) {
		opt := p.options()
		if change != nil {
			change(opt)
		}
		client := redis.NewClient(opt)
		store, err := ticketstore.NewRedisStore(client, cfg)
		if err != nil {
			return nil, err
		}
		s, err := ourSystem(client, store, ticketstore.Config{
			CookieKeys: []ticketstore.CookieKey{{Hash: newKey()}}, IdleTimeout: idleTimeout, Lifetime: lifetime, RenewAfter: renewAfter,
		})
		if err != nil {
			return nil, err
		}
		s.costs = [operations]commands{
			request: {"get": 1}, signIn: {"evalsha": 1}, signOut: {"get": 1, "getrange": 1, "evalsha": 1},
			list: {"zrange": 1, "mget": 1}, count: {"evalsha": 1},
		}
		s.cached = opt.ClientSideCacheConfig != nil
		return s, nil
	}
}

// staleness is how old an answer of a cache may be.
const staleness = 10 * time.Second

// cache gives a client a cache, which only the first database can have.
func cache(o *redis.Options) {
	const timeout = staleness / 2
	o.DB, o.ReadTimeout = 0, timeout
	o.ClientSideCacheConfig = &redis.ClientSideCacheConfig{MaxEntries: 10_000, MaxStaleness: staleness - timeout}
	o.MaintNotificationsConfig = &maintnotifications.Config{RelaxedTimeout: timeout}
}

const (
	instanceName = "benchmark:"
	keyList      = instanceName + "keys"
)

// openASPNETCore is ticketstore with sessions as ASP.NET Core keeps them.
func openASPNETCore(ctx context.Context, p *place) (*system, error) {
	client := redis.NewClient(p.options())
	if err := client.RPush(ctx, keyList, newDataProtectionKey()).Err(); err != nil {
		return nil, err
	}
	store, err1 := aspnetcore.NewStore(client, aspnetcore.StoreConfig{InstanceName: instanceName})
	ring, err2 := aspnetcore.NewKeyRing(aspnetcore.KeyRingConfig{Client: client, ListKey: keyList})
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	cfg, err := aspnetcore.ManagerConfig(aspnetcore.Options{
		KeyRing: ring, ApplicationName: "benchmark", ExpireTimeSpan: idleTimeout, Lifetime: lifetime, RenewAfter: renewAfter,
	})
	if err != nil {
		return nil, err
	}
	s, err := ourSystem(client, store, cfg)
	if err != nil {
		return nil, err
	}
	s.costs = [operations]commands{
		request: {"hmget": 1}, signIn: {"evalsha": 1}, signOut: {"hmget": 1, "evalsha": 1},
		list: {"zrange": 1, "hmget": perVisitor}, count: {"zcount": 2},
	}
	return s, nil
}

// newDataProtectionKey returns a key as an ASP.NET Core application writes it.
func newDataProtectionKey() string {
	secret := make([]byte, 64)
	rand.Read(secret)
	now := time.Now().UTC()
	return fmt.Sprintf(`<key id="a0000000-0000-0000-0000-000000000001" version="1"><creationDate>%[1]s</creationDate>`+
		`<activationDate>%[1]s</activationDate><expirationDate>%[2]s</expirationDate>`+
		`<descriptor deserializerType="Microsoft.AspNetCore.DataProtection.AuthenticatedEncryption.ConfigurationModel.AuthenticatedEncryptorDescriptorDeserializer, Microsoft.AspNetCore.DataProtection">`+
		`<descriptor><encryption algorithm="AES_256_CBC" /><validation algorithm="HMACSHA256" /><masterKey><value>%[3]s</value></masterKey></descriptor></descriptor></key>`,
		now.Add(-time.Hour).Format(time.RFC3339), now.AddDate(0, 3, 0).Format(time.RFC3339), base64.StdEncoding.EncodeToString(secret))
}

type ourStore interface {
	ticketstore.TicketStore
	ticketstore.SessionIndex
	Count(context.Context) (ticketstore.Counts, error)
}

func ourSystem(client *redis.Client, store ourStore, cfg ticketstore.Config) (*system, error) {
	cfg.StoreTimeout = patience
	m, err := ticketstore.NewManager(store, cfg)
	if err != nil {
		return nil, err
	}
	return &system{
		app: web{
			request: m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				user := ""
				if t, ok := ticketstore.FromContext(r.Context()); ok {
					user = t.Subject
				}
				greet(w, user)
			})),
			signIn: m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				v := visitorOf(r.Header.Get(userHeader))
				if err := m.SignIn(w, r, v.ticket()); err != nil {
					refuse(w, err)
					return
				}
				greet(w, v.user)
			})),
			signOut: m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if err := m.SignOut(w, r); err != nil {
					refuse(w, err)
					return
				}
				io.WriteString(w, "out")
			})),
		},
		list: func(ctx context.Context, user string) (int, error) {
			sessions, err := store.Sessions(ctx, user)
			return len(sessions), err
		},
		count: store.Count,
		close: client.Close,
	}, nil
}
