package main

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/alexedwards/scs/goredisstore"
	"github.com/alexedwards/scs/v2"
	"github.com/boj/redistore"
	"github.com/gorilla/sessions"
	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore"
)

// openSCS is alexedwards/scs, which keeps an idle timeout by writing at each
// request.
func openSCS(idle time.Duration) func(context.Context, *place) (*system, error) {
	return func(_ context.Context, p *place) (*system, error) {
		client := redis.NewClient(p.options())
		m := scs.New()
		m.Store = goredisstore.New(client)
		m.Lifetime, m.IdleTimeout, m.Cookie.Secure = lifetime, idle, true
		get := commands{"get": 1}
		if idle > 0 {
			get = commands{"get": 1, "set": 1}
		}
		s := &system{
			app: web{
				request: m.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					greet(w, m.GetString(r.Context(), "user"))
				})),
				signIn: m.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					v := visitorOf(r.Header.Get(userHeader))
					if err := m.RenewToken(r.Context()); err != nil {
						refuse(w, err)
						return
					}
					for key, value := range v.values() {
						m.Put(r.Context(), key, value)
					}
					greet(w, v.user)
				})),
				signOut: m.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if err := m.Destroy(r.Context()); err != nil {
						refuse(w, err)
						return
					}
					io.WriteString(w, "out")
				})),
			},
			costs: [operations]commands{request: get, signIn: {"set": 1}, signOut: {"get": 1, "del": 1}},
			close: client.Close,
		}
		if idle > 0 {
			return s, nil // lists and counts as without
		}
		s.iterates = true
		s.costs[list] = commands{"scan": some, "get": some}
		s.costs[count] = s.costs[list]
		s.list = func(ctx context.Context, user string) (n int, err error) {
			err = m.Iterate(ctx, func(ctx context.Context) error {
				if m.GetString(ctx, "user") == user {
					n++
				}
				return nil
			})
			return n, err
		}
		s.count = func(ctx context.Context) (ticketstore.Counts, error) {
			users, n := map[string]bool{}, int64(0)
			err := m.Iterate(ctx, func(ctx context.Context) error {
				users[m.GetString(ctx, "user")] = true
				n++
				return nil
			})
			return ticketstore.Counts{Subjects: int64(len(users)), Sessions: n}, err
		}
		return s, nil
	}
}

// openGorilla is gorilla/sessions with boj/redistore, which asks a connection
// whether it is alive (PING) each time it takes one from the pool.
func openGorilla(_ context.Context, p *place) (*system, error) {
	store, err := redistore.NewRediStoreWithDB(connections, "tcp", p.addr, "", "", strconv.Itoa(p.db), newKey())
	if err != nil {
		return nil, err
	}
	store.SetMaxAge(int(lifetime.Seconds()))
	store.Options.Secure, store.Options.HttpOnly, store.Options.SameSite = true, true, http.SameSiteLaxMode
	serve := func(do func(w http.ResponseWriter, r *http.Request, s *sessions.Session) (answer string)) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s, err := store.Get(r, cookieName)
			if err != nil {
				refuse(w, err)
				return
			}
			greet(w, do(w, r, s))
		})
	}
	saved := func(w http.ResponseWriter, r *http.Request, s *sessions.Session, answer string) string {
		if err := s.Save(r, w); err != nil {
			return err.Error()
		}
		return answer
	}
	return &system{
		app: web{
			request: serve(func(_ http.ResponseWriter, _ *http.Request, s *sessions.Session) string {
				user, _ := s.Values["user"].(string)
				return user
			}),
			signIn: serve(func(w http.ResponseWriter, r *http.Request, s *sessions.Session) string {
				v := visitorOf(r.Header.Get(userHeader))
				for key, value := range v.values() {
					s.Values[key] = value
				}
				return saved(w, r, s, v.user)
			}),
			signOut: serve(func(w http.ResponseWriter, r *http.Request, s *sessions.Session) string {
				s.Options.MaxAge = -1
				return saved(w, r, s, "out")
			}),
		},
		costs: [operations]commands{
			request: {"get": 1, "ping": 1}, signIn: {"setex": 1, "ping": 1}, signOut: {"get": 1, "del": 1, "ping": 2},
		},
		close: store.Close,
	}, nil
}

// connections that a pool of redigo keeps. With fewer than there are requests,
// it dials for each of the others.
const connections = 64
