package main

import (
	"bytes"
	"context"
	"net"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/extractors"
	fibersession "github.com/gofiber/fiber/v3/middleware/session"
	fiberredis "github.com/gofiber/storage/redis/v3"
	"github.com/redis/go-redis/v9"
	"github.com/valyala/fasthttp"
)

// openFiber is fiber's session middleware, which writes at each request.
func openFiber(_ context.Context, p *place) (*system, error) {
	client := redis.NewClient(p.options())
	app := fiber.New()
	app.Use(fibersession.New(fibersession.Config{
		Storage: fiberredis.NewFromConnection(client), IdleTimeout: idleTimeout, AbsoluteTimeout: lifetime,
		Extractor: extractors.FromCookie(cookieName), CookieSecure: true, CookieHTTPOnly: true,
	}))
	app.Get("/"+request.String(), func(c fiber.Ctx) error {
		user, ok := fibersession.FromContext(c).Get("user").(string)
		if !ok {
			return c.SendStatus(fiber.StatusUnauthorized)
		}
		return c.SendString(user)
	})
	app.Post("/"+signIn.String(), func(c fiber.Ctx) error {
		s := fibersession.FromContext(c)
		if err := s.Regenerate(); err != nil {
			return err
		}
		v := visitorOf(string(c.Request().Header.Peek(userHeader)))
		for key, value := range v.values() {
			s.Set(key, value)
		}
		return c.SendString(v.user)
	})
	app.Post("/"+signOut.String(), func(c fiber.Ctx) error {
		if err := fibersession.FromContext(c).Destroy(); err != nil {
			return err
		}
		return c.SendString("out")
	})
	return &system{
		app:   fiberApp(app.Handler()),
		costs: [operations]commands{request: {"get": 1, "set": 1}, signIn: {"del": 1, "set": 1}, signOut: {"get": 1, "del": 1}},
		close: client.Close,
	}, nil
}

type fiberApp fasthttp.RequestHandler

func (fiberApp) prepare(o operation, user, cookie string) any {
	r := &fasthttp.Request{}
	r.SetRequestURI("/" + o.String())
	r.Header.SetHost("www.example.com")
	if o != request {
		r.Header.SetMethod("POST")
	}
	r.Header.Set(userHeader, user)
	r.Header.SetUserAgent(userAgent)
	r.Header.Set("Accept", "text/html")
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	return r
}

func (h fiberApp) caller(context.Context) func(any) answer {
	c := &fasthttp.RequestCtx{}
	c.Init(&fasthttp.Request{}, &net.TCPAddr{IP: net.IPv4(198, 18, 0, 1), Port: 40_000}, nil)
	return func(prepared any) answer {
		prepared.(*fasthttp.Request).CopyTo(&c.Request)
		c.Response.Reset()
		c.ResetUserValues()
		h(c)
		a := answer{status: c.Response.StatusCode(), body: c.Response.Body()}
		if set := c.Response.Header.PeekCookie(cookieName); len(set) > 0 {
			pair, _, _ := bytes.Cut(set, []byte(";"))
			a.cookie = string(pair)
		}
		return a
	}
}
