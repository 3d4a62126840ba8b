package ticketfiber_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v3"

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
