package main

import (
	"context"
	"crypto/rand"
	"io"
	"net/http"
	"time"

	"github.com/gorilla/securecookie"
	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore"
)

// openBare is a handler that takes the user's word for it.
func openBare(context.Context, *place) (*system, error) {
	return &system{
		app: web{request: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			greet(w, r.Header.Get(userHeader))
		})},
		costs:     [operations]commands{request: {}},
		stateless: true,
	}, nil
}

const cookieName = "session"

// newCookieCodec is as that of ticketstore.
func newCookieCodec() *securecookie.SecureCookie {
	return securecookie.New(newKey(), nil).MaxAge(0).MaxLength(512).SetSerializer(securecookie.NopEncoder{})
}

func newKey() []byte {
	key := make([]byte, 32)
	rand.Read(key)
	return key
}

// openCookie is a session that is a signed cookie and nothing else.
func openCookie(context.Context, *place) (*system, error) {
	codec := newCookieCodec()
	return &system{
		app: web{
			request: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { greet(w, string(opened(codec, r))) }),
			signIn: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				user := r.Header.Get(userHeader)
				sealed(codec, w, user)
				greet(w, user)
			}),
		},
		costs:     [operations]commands{request: {}, signIn: {}},
		stateless: true,
	}, nil
}

// opened returns what is in the cookie, nil if nothing good.
func opened(codec *securecookie.SecureCookie, r *http.Request) (value []byte) {
	if c, err := r.Cookie(cookieName); err == nil && codec.Decode(cookieName, c.Value, &value) != nil {
		return nil
	}
	return value
}

func sealed(codec *securecookie.SecureCookie, w http.ResponseWriter, value string) {
	encoded, err := codec.Encode(cookieName, []byte(value))
	if err != nil {
		refuse(w, err)
		return
	}
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: encoded, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

// openRaw is the least that a session in Redis can cost: one command each, of a
// key as long and a value as large as ours. Nothing is decoded.
func openRaw(_ context.Context, p *place) (*system, error) {
	client := redis.NewClient(p.options())
	codec := newCookieCodec()
	user := func(r *http.Request) string {
		key := opened(codec, r)
		if key == nil {
			return ""
		}
		value, err := client.Get(r.Context(), string(key)).Bytes()
		if err != nil {
			return ""
		}
		return string(value[1 : 1+value[0]])
	}
	return &system{
		app: web{
			request: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { greet(w, user(r)) }),
			signIn: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				user := r.Header.Get(userHeader)
				key := rand.Text() + rand.Text() + rand.Text()[:14]
				if err := client.Set(r.Context(), key, rawValue(user), idleTimeout).Err(); err != nil {
					refuse(w, err)
					return
				}
				sealed(codec, w, key)
				greet(w, user)
			}),
			signOut: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if err := client.Del(r.Context(), string(opened(codec, r))).Err(); err != nil {
					refuse(w, err)
					return
				}
				http.SetCookie(w, &http.Cookie{Name: cookieName, Path: "/", MaxAge: -1})
				io.WriteString(w, "out")
			}),
		},
		costs: [operations]commands{request: {"get": 1}, signIn: {"set": 1}, signOut: {"del": 1}},
		close: client.Close,
	}, nil
}

// rawValue begins with the length of user, and user.
func rawValue(user string) []byte {
	v := visitorOf(user)
	t := v.ticket()
	t.Device.UserAgent = v.agent
	t.SignedInAt = time.Now()
	t.IssuedAt, t.ExpiresAt, t.EndsAt = t.SignedInAt, t.SignedInAt.Add(idleTimeout), t.SignedInAt.Add(lifetime)
	data, _ := ticketstore.JSONSerializer{}.Serialize(t) // nothing in it can fail
	return append(append([]byte{byte(len(user))}, user...), data...)
}
