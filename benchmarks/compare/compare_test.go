// Package compare_test shows what docs/comparison.md says of other session
// libraries, and that this one is otherwise.
package compare_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/alexedwards/scs/goredisstore"
	"github.com/alexedwards/scs/v2"
	"github.com/alicebob/miniredis/v2"
	"github.com/boj/redistore"
	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/session"
	fiberredis "github.com/gofiber/storage/redis/v3"
	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore"
)

// A library, with the handlers that an application would write with it: each
// answers with the user of the request, or with nothing. work calls pause, and
// then keeps a value in the session, as a request that takes a while does.
type library struct {
	name          string
	login, logout http.Handler
	work          func(value string, pause func()) http.Handler
	values        http.Handler // answers with the values that are kept
	comesBack     bool         // a session that has ended, by a request that was under way
	loses         bool         // one of two values that are written at the same time
}

func libraries(t *testing.T, server *miniredis.Miniredis) []library {
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), ContextTimeoutEnabled: true})
	t.Cleanup(func() { client.Close() })
	return []library{ours(t, client), ofSCS(client), ofGorilla(t, server), ofFiber(t, server)}
}

func ours(t *testing.T, client *redis.Client) library {
	store, err := ticketstore.NewRedisStore(client, ticketstore.RedisConfig{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := ticketstore.NewManager(store, ticketstore.Config{
		CookieKeys: []ticketstore.CookieKey{{Hash: make([]byte, 32)}}, StoreTimeout: time.Minute, RotateGrace: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	answer := func(get func(*ticketstore.Ticket) string) http.Handler {
		return m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if t, ok := ticketstore.FromContext(r.Context()); ok {
				io.WriteString(w, get(t))
			}
		}))
	}
	return library{
		name: "ticketstore",
		login: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := m.SignIn(w, r, ticketstore.NewTicket("alice")); err != nil {
				t.Error(err)
			}
		}),
		logout: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := m.SignOut(w, r); err != nil {
				t.Error(err)
			}
		}),
		work: func(value string, pause func()) http.Handler {
			return m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				pause()
				m.Renew(r, func(t *ticketstore.Ticket) error { // fails if it has ended
					if t.Properties == nil {
						t.Properties = map[string]string{}
					}
					t.Properties[value] = value
					return nil
				})
			}))
		},
		values: answer(func(t *ticketstore.Ticket) string { return t.Subject + t.Properties["a"] + t.Properties["b"] }),
	}
}

func ofSCS(client *redis.Client) library {
	m := scs.New()
	m.Store, m.IdleTimeout = goredisstore.New(client), time.Hour
	serve := func(f func(ctx context.Context, w http.ResponseWriter)) http.Handler {
		return m.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f(r.Context(), w) }))
	}
	return library{
		name: "scs", comesBack: true, loses: true,
		login: serve(func(ctx context.Context, _ http.ResponseWriter) {
			m.RenewToken(ctx)
			m.Put(ctx, "user", "alice")
		}),
		logout: serve(func(ctx context.Context, _ http.ResponseWriter) { m.Destroy(ctx) }),
		work: func(value string, pause func()) http.Handler {
			return serve(func(ctx context.Context, _ http.ResponseWriter) {
				pause()
				m.Put(ctx, value, value)
			})
		},
		values: serve(func(ctx context.Context, w http.ResponseWriter) {
			io.WriteString(w, m.GetString(ctx, "user")+m.GetString(ctx, "a")+m.GetString(ctx, "b"))
		}),
	}
}

func ofGorilla(t *testing.T, server *miniredis.Miniredis) library {
	store, err := redistore.NewRediStore(10, "tcp", server.Addr(), "", "", make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	serve := func(f func(values map[any]any, w http.ResponseWriter) (maxAge int, save bool)) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s, err := store.Get(r, "session")
			if err != nil {
				t.Error(err)
				return
			}
			maxAge, save := f(s.Values, w)
			if s.Options.MaxAge = maxAge; save {
				if err := s.Save(r, w); err != nil {
					t.Error(err)
				}
			}
		})
	}
	return library{
		name: "gorilla/sessions, redistore", comesBack: true, loses: true,
		login: serve(func(values map[any]any, _ http.ResponseWriter) (int, bool) {
			values["user"] = "alice"
			return 3600, true
		}),
		logout: serve(func(map[any]any, http.ResponseWriter) (int, bool) { return -1, true }),
		work: func(value string, pause func()) http.Handler {
			return serve(func(values map[any]any, _ http.ResponseWriter) (int, bool) {
				pause()
				values[value] = value
				return 3600, true
			})
		},
		values: serve(func(values map[any]any, w http.ResponseWriter) (int, bool) {
			for _, name := range []string{"user", "a", "b"} {
				value, _ := values[name].(string)
				io.WriteString(w, value)
			}
			return 3600, false
		}),
	}
}

func ofFiber(t *testing.T, server *miniredis.Miniredis) library {
	storage := fiberredis.New(fiberredis.Config{URL: "redis://" + server.Addr()})
	t.Cleanup(func() { storage.Close() })
	sessions := session.New(session.Config{Storage: storage, IdleTimeout: time.Hour, AbsoluteTimeout: 12 * time.Hour})
	serve := func(f func(s *session.Middleware, c fiber.Ctx) error) http.Handler {
		app := fiber.New()
		app.Use(sessions)
		app.All("/", func(c fiber.Ctx) error { return f(session.FromContext(c), c) })
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			res, err := app.Test(r, fiber.TestConfig{})
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			w.Header()["Set-Cookie"] = res.Header["Set-Cookie"]
			w.WriteHeader(res.StatusCode)
			io.Copy(w, res.Body)
		})
	}
	return library{
		name: "fiber", comesBack: true, loses: true,
		login: serve(func(s *session.Middleware, _ fiber.Ctx) error {
			s.Set("user", "alice")
			return s.Regenerate()
		}),
		logout: serve(func(s *session.Middleware, _ fiber.Ctx) error { return s.Destroy() }),
		work: func(value string, pause func()) http.Handler {
			return serve(func(s *session.Middleware, _ fiber.Ctx) error {
				pause()
				s.Set(value, value)
				return nil
			})
		},
		values: serve(func(s *session.Middleware, c fiber.Ctx) error {
			text := ""
			for _, name := range []string{"user", "a", "b"} {
				value, _ := s.Get(name).(string)
				text += value
			}
			return c.SendString(text)
		}),
	}
}

// send serves one request with cookies, and returns those that it sets and what
// it answers.
func send(h http.Handler, cookies []*http.Cookie) ([]*http.Cookie, string) {
	r := httptest.NewRequest("GET", "/", nil)
	for _, c := range cookies {
		r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result().Cookies(), w.Body.String()
}

// A user signs out while a request of theirs is under way. It ends after that,
// and writes the session back, or does not.
func TestLateRequest(t *testing.T) {
	for _, l := range libraries(t, miniredis.RunT(t)) {
		cookies, _ := send(l.login, nil)
		if _, user := send(l.values, cookies); user != "alice" {
			t.Fatalf("%s: signed in as %q, want alice", l.name, user)
		}
		send(l.work("a", func() {
			send(l.logout, cookies)
			if _, user := send(l.values, cookies); user != "" {
				t.Fatalf("%s: after the sign-out %q is there", l.name, user)
			}
		}), cookies)
		_, user := send(l.values, cookies)
		if back := strings.HasPrefix(user, "alice"); back != l.comesBack {
			t.Errorf("%s: signed in after the sign-out: got %t, want %t", l.name, back, l.comesBack)
		}
	}
}

// Two requests of one session each keep a value at the same time.
func TestTwoValues(t *testing.T) {
	for _, l := range libraries(t, miniredis.RunT(t)) {
		cookies, _ := send(l.login, nil)
		send(l.work("a", func() { send(l.work("b", func() {}), cookies) }), cookies)
		_, got := send(l.values, cookies)
		if lost := got != "aliceab"; lost != l.loses || !strings.HasPrefix(got, "alice") {
			t.Errorf("%s: got %q, want a value lost: %t", l.name, got, l.loses)
		}
	}
}

// Whoever can read Redis has, with scs and fiber as they come, the cookies of
// all users. HashTokenInStore changes that for scs.
func TestCookiesInRedis(t *testing.T) {
	server := miniredis.RunT(t)
	for _, l := range libraries(t, server) {
		server.FlushAll()
		cookies, _ := send(l.login, nil)
		value, there := cookies[len(cookies)-1].Value, false
		for _, key := range server.Keys() {
			there = there || strings.Contains(key, value)
		}
		if want := l.name == "scs" || l.name == "fiber"; there != want {
			t.Errorf("%s: the cookie is in a key of Redis: got %t, want %t", l.name, there, want)
		}
	}
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer client.Close()
	hashed := scs.New()
	hashed.Store, hashed.HashTokenInStore = goredisstore.New(client), true
	cookies, _ := send(hashed.LoadAndSave(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		hashed.Put(r.Context(), "user", "alice")
	})), nil)
	for _, key := range server.Keys() {
		if strings.Contains(key, cookies[0].Value) {
			t.Error("scs with HashTokenInStore: the cookie is in a key of Redis")
		}
	}
}

// In scs a new token begins a new lifetime; here EndsAt stands.
func TestLifetimeAfterNewKey(t *testing.T) {
	m := scs.New()
	ctx, err := m.Load(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	soon := time.Now().Add(time.Minute)
	m.SetDeadline(ctx, soon)
	if err := m.RenewToken(ctx); err != nil {
		t.Fatal(err)
	}
	if got := m.Deadline(ctx); !got.After(soon.Add(time.Hour)) {
		t.Errorf("scs: got %v, want a new lifetime", got)
	}

	server := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), ContextTimeoutEnabled: true})
	defer client.Close()
	store, err := ticketstore.NewRedisStore(client, ticketstore.RedisConfig{})
	if err != nil {
		t.Fatal(err)
	}
	tk := ticketstore.NewTicket("alice")
	tk.ExpiresAt, tk.EndsAt = soon, soon
	key, err := store.Store(t.Context(), tk)
	if err != nil {
		t.Fatal(err)
	}
	if key, err = store.Rotate(t.Context(), key, tk, time.Minute); err != nil {
		t.Fatal(err)
	}
	got, err := store.Retrieve(t.Context(), key)
	if err != nil || !got.EndsAt.Equal(soon.Truncate(time.Millisecond)) {
		t.Errorf("ticketstore: got %v, %v, want the end at %v", got, err, soon)
	}
}
