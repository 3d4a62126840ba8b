package ticketfiber_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/adaptor"
	"github.com/gofiber/fiber/v3/middleware/encryptcookie"
	"github.com/valyala/fasthttp"

	"github.com/ticketstore/ticketstore"
	ticketfiber "github.com/ticketstore/ticketstore/frameworks/fiber"
	"github.com/ticketstore/ticketstore/frameworks/internal/fwtest"
)

func Test(t *testing.T) {
	fwtest.Run(t, fwtest.Framework{NoHijack: true, Serve: func(t *testing.T, s *fwtest.Site) (string, *http.Client) {
		m := s.Manager
		who := func(c fiber.Ctx) error { return c.SendString(s.Reach(c.Context())) }
		app := fiber.New()
		app.Use(ticketfiber.Middleware(m.Wrap))
		app.Get("/public", who)
		app.Post("/signin", func(c fiber.Ctx) error {
			for range 2 {
				if err := ticketfiber.Do(c, func(w http.ResponseWriter, r *http.Request) error {
					return m.SignIn(w, r, fwtest.NewTicket())
				}); err != nil {
					return fiber.ErrServiceUnavailable
				}
			}
			return c.SendString("Welcome.")
		})
		app.Post("/signout", func(c fiber.Ctx) error {
			if err := ticketfiber.Do(c, m.SignOut); err != nil {
				return fiber.ErrServiceUnavailable
			}
			return c.SendString("Bye.")
		})
		app.Post("/see", ticketfiber.Middleware(s.See))
		guarded := app.Group("/", ticketfiber.Middleware(m.Require))
		guarded.Get("/me", who)
		guarded.Get("/events", func(c fiber.Ctx) error {
			subject := s.Reach(c.Context()) // c is gone when the stream is written
			return c.SendStreamWriter(func(w *bufio.Writer) {
				fmt.Fprintf(w, "data: %s\n\n", subject)
				w.Flush()
				<-s.Release
			})
		})
		guarded.Get("/hijack", who)
		return serve(t, app)
	}})
}

// serve serves app over TLS.
func serve(t *testing.T, app *fiber.App) (url string, client *http.Client) {
	keys := httptest.NewTLSServer(nil) // for its certificate, and a client that trusts it
	t.Cleanup(keys.Close)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		done <- app.Listener(tls.NewListener(ln, keys.TLS), fiber.ListenConfig{DisableStartupMessage: true})
	}()
	t.Cleanup(func() {
		keys.Client().CloseIdleConnections()
		app.Shutdown()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return "https://" + ln.Addr().String(), keys.Client()
}

// What net/http gives a Manager, Do gives it too.
func TestDoRequest(t *testing.T) {
	type contextKey struct{}
	app := fiber.New()
	app.Post("/a%20b", func(c fiber.Ctx) error {
		c.SetContext(context.WithValue(c.Context(), contextKey{}, "outer"))
		var kept *http.Request
		if err := ticketfiber.Do(c, func(w http.ResponseWriter, r *http.Request) error {
			kept = r
			body, err := io.ReadAll(r.Body)
			if err != nil || string(body) != "x=1" {
				t.Errorf("got body %q, %v, want x=1", body, err)
			}
			return nil
		}); err != nil {
			return err
		}
		r := kept
		c.Request().SetRequestURI("overwritten") // r must not share its memory
		c.Request().SetHost("overwritten")
		c.Request().Header.SetUserAgent("over")
		for _, tt := range []struct{ name, got, want string }{
			{"Method", r.Method, "POST"},
			{"RequestURI", r.RequestURI, "/a%20b?q=1"},
			{"URL.Path", r.URL.Path, "/a b"},
			{"Host", r.Host, "example.com"},
			{"User-Agent", r.UserAgent(), "test"},
			{"Cookies", fmt.Sprint(r.Cookies()), "[a=1 a=2 b=3]"},
			{"X-Forwarded-For", fmt.Sprint(r.Header["X-Forwarded-For"]), "[1.1.1.1 2.2.2.2]"},
			{"Context", fmt.Sprint(r.Context().Value(contextKey{})), "outer"},
		} {
			if tt.got != tt.want {
				t.Errorf("%s: got %q, want %q", tt.name, tt.got, tt.want)
			}
		}
		if _, err := netip.ParseAddrPort(r.RemoteAddr); err != nil {
			t.Errorf("RemoteAddr: %v", err)
		}
		return nil
	})
	r := httptest.NewRequest("POST", "/a%20b?q=1", strings.NewReader("x=1"))
	r.Header = http.Header{
		"User-Agent":      {"test"},
		"Cookie":          {"a=1; a=2", "b=3"},
		"X-Forwarded-For": {"1.1.1.1", "2.2.2.2"},
	}
	if res, err := app.Test(r); err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("got %v, %v", res, err)
	}
}

// Do sees what handlers before it have made of the request.
func TestDoSeesChanges(t *testing.T) {
	app := fiber.New()
	app.Use(encryptcookie.New(encryptcookie.Config{
		Key:       encryptcookie.GenerateKey(32),
		Decryptor: func(name, value, key string) (string, error) { return strings.TrimPrefix(value, "sealed "), nil },
	}))
	app.Use(func(c fiber.Ctx) error {
		h := &c.Request().Header
		h.Del("X-Forwarded-For")
		h.SetUserAgent("changed")
		h.SetHost("changed.example")
		h.Add("Accept", "text/html")
		h.DelCookie("gone")
		return c.Next()
	})
	var got fwtest.Seen
	app.Get("/", func(c fiber.Ctx) error {
		return ticketfiber.Do(c, func(w http.ResponseWriter, r *http.Request) error {
			got = fwtest.See(r)
			return nil
		})
	})
	r := httptest.NewRequest("GET", "/", nil)
	r.Header = http.Header{
		"Accept":          {"*/*"},
		"Cookie":          {"a=sealed 1; =b=2; gone=3"},
		"User-Agent":      {"test"},
		"X-Forwarded-For": {"1.1.1.1", "2.2.2.2"},
	}
	if res, err := app.Test(r); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("got %v, %v", res, err)
	}
	for _, tt := range []struct{ name, got, want string }{
		{"Host", got.Host, "changed.example"},
		{"Cookies", fmt.Sprint(got.Cookies), "[a=1]"},
		{"User-Agent", fmt.Sprint(got.Header["User-Agent"]), "[changed]"},
		{"Accept", fmt.Sprint(got.Header["Accept"]), "[*/* text/html]"},
		{"X-Forwarded-For", fmt.Sprint(got.Header["X-Forwarded-For"]), "[]"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, tt.got, tt.want)
		}
	}
}

// Do sees a request that was not parsed, as the adaptor's FiberApp makes it.
func TestDoWithoutRawHeaders(t *testing.T) {
	app := fiber.New()
	app.Use(ticketfiber.Middleware(new(fwtest.Site).See))
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Cookie", "=a=1; b=2")
	w := httptest.NewRecorder()
	adaptor.FiberApp(app)(w, r)
	var got fwtest.Seen
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.Host != "example.com" || fmt.Sprint(got.Cookies) != "[b=2]" {
		t.Errorf("got %s, %v", w.Body, err)
	}
}

// FuzzDo: what net/http refuses Do refuses, and what Do sees net/http sees.
func FuzzDo(f *testing.F) {
	for _, head := range fwtest.Heads {
		f.Add(head)
	}
	var got *fwtest.Seen
	app := fiber.New()
	app.Get("/see", func(c fiber.Ctx) error {
		return ticketfiber.Do(c, func(w http.ResponseWriter, r *http.Request) error {
			got = new(fwtest.See(r))
			return nil
		})
	})
	handler := app.Handler()
	f.Fuzz(func(t *testing.T, head string) {
		text := "GET /see HTTP/1.1\r\nHost: example.com\r\n" + head + "\r\n\r\n"
		var ctx fasthttp.RequestCtx
		if ctx.Request.Read(bufio.NewReaderSize(strings.NewReader(text), len(text))) != nil {
			return // refused by fasthttp
		}
		got = nil
		handler(&ctx)
		var want *fwtest.Seen
		if r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text))); err == nil && !spaceInName(r.Header) {
			want = new(fwtest.See(r))
		}
		if got != nil && !reflect.DeepEqual(got, want) {
			t.Errorf("%q:\ngot  %+v\nwant %+v", head, got, want)
		}
	})
}

// spaceInName: net/http's server refuses such a request, ReadRequest does not.
func spaceInName(h http.Header) bool {
	for k := range h {
		if strings.Contains(k, " ") {
			return true
		}
	}
	return false
}

func TestDoResponse(t *testing.T) {
	app := fiber.New()
	app.Get("/", func(c fiber.Ctx) error {
		c.Cookie(&fiber.Cookie{Name: "a", Value: "1"})
		c.Cookie(&fiber.Cookie{Name: "b", Value: "2"})
		c.Vary("Origin")
		c.Set("X-Gone", "1")
		return ticketfiber.Do(c, func(w http.ResponseWriter, r *http.Request) error {
			h := w.Header()
			h["Set-Cookie"] = append(h["Set-Cookie"][:1], "c=3")
			h.Add("Vary", "Cookie")
			h.Del("X-Gone")
			h.Set("X-New", "1\r\nX-Split: 1")
			http.Error(w, "no", http.StatusTeapot)
			return nil
		})
	})
	res, err := app.Test(httptest.NewRequest("GET", "/", nil))
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusTeapot || string(body) != "no\n" {
		t.Errorf("got %d %q, want 418 and no", res.StatusCode, body)
	}
	for _, tt := range []struct {
		name string
		want []string
	}{
		{"Set-Cookie", []string{"a=1; path=/; SameSite=Lax", "c=3"}},
		{"Vary", []string{"Origin", "Cookie"}},
		{"X-Gone", nil},
		{"X-New", []string{"1  X-Split: 1"}},
		{"Content-Type", []string{"text/plain; charset=utf-8"}},
	} {
		if got := res.Header.Values(tt.name); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// A request that net/http would refuse reaches no handler.
func TestBadURI(t *testing.T) {
	m, _, _ := fwtest.NewManager(t, ticketstore.Config{})
	reached := false
	app := fiber.New()
	app.Use(ticketfiber.Middleware(m.Require))
	app.Use(func(fiber.Ctx) error { reached = true; return nil })
	r := httptest.NewRequest("GET", "/", nil)
	r.RequestURI = "/%zz"
	res, err := app.Test(r)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusBadRequest || reached {
		t.Errorf("got %d, handler ran: %t, want 400, false", res.StatusCode, reached)
	}
}

// The code in README.md.
func TestREADME(t *testing.T) {
	m, _, _ := fwtest.NewManager(t, ticketstore.Config{})
	checkPassword := func(user, password string) (string, bool) { return user, password == "right" }
	app := fiber.New()
	app.Use(ticketfiber.Middleware(m.Wrap))
	guarded := app.Group("/account", ticketfiber.Middleware(m.Require))
	guarded.Get("/me", func(c fiber.Ctx) error {
		t, _ := ticketstore.FromContext(c.Context()) // not FromContext(c)
		return c.SendString("Hello, " + t.Subject)
	})
	app.Post("/signin", func(c fiber.Ctx) error {
		user, ok := checkPassword(c.FormValue("user"), c.FormValue("password"))
		if !ok {
			return fiber.ErrUnauthorized
		}
		back := "/"
		err := ticketfiber.Do(c, func(w http.ResponseWriter, r *http.Request) error {
			back = m.ReturnURL(r)
			return m.SignIn(w, r, ticketstore.NewTicket(user))
		})
		if err != nil {
			return fiber.ErrServiceUnavailable
		}
		return c.Redirect().Status(fiber.StatusSeeOther).To(back)
	})
	app.Post("/signout", func(c fiber.Ctx) error {
		if err := ticketfiber.Do(c, m.SignOut); err != nil {
			return fiber.ErrServiceUnavailable
		}
		return c.Redirect().Status(fiber.StatusSeeOther).To("/")
	})
	fwtest.CheckStatuses(t, adaptor.FiberApp(app), map[string]int{
		"GET /account/me": http.StatusUnauthorized, "POST /signout": http.StatusSeeOther, "POST /signin": http.StatusUnauthorized,
		"POST /signin?user=alice&password=right&ReturnUrl=/account/me": http.StatusSeeOther,
	})
}
