// Package echo_test shows that Wrap and Require work with echo's own
// WrapMiddleware.
package echo_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/labstack/echo/v5"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/frameworks/internal/fwtest"
)

func Test(t *testing.T) {
	fwtest.Run(t, fwtest.Framework{Serve: func(t *testing.T, s *fwtest.Site) (string, *http.Client) {
		m := s.Manager
		who := func(c *echo.Context) error {
			return c.String(http.StatusOK, s.Reach(c.Request().Context()))
		}
		e := echo.New()
		e.Use(echo.WrapMiddleware(m.Wrap))
		e.GET("/public", who)
		e.POST("/signin", func(c *echo.Context) error {
			for range 2 {
				if err := m.SignIn(c.Response(), c.Request(), fwtest.NewTicket()); err != nil {
					return echo.ErrServiceUnavailable
				}
			}
			return c.NoContent(http.StatusOK)
		})
		e.POST("/signout", func(c *echo.Context) error {
			if err := m.SignOut(c.Response(), c.Request()); err != nil {
				return echo.ErrServiceUnavailable
			}
			return c.NoContent(http.StatusOK)
		})
		e.POST("/see", who, echo.WrapMiddleware(s.See))
		guarded := e.Group("", echo.WrapMiddleware(m.Require))
		guarded.GET("/me", who)
		guarded.GET("/events", func(c *echo.Context) error {
			fmt.Fprintf(c.Response(), "data: %s\n\n", s.Reach(c.Request().Context()))
			err := http.NewResponseController(c.Response()).Flush()
			<-s.Release
			return err
		})
		guarded.GET("/hijack", func(c *echo.Context) error {
			s.Reach(c.Request().Context())
			fwtest.Hijack(t, c.Response())
			return nil
		})
		return fwtest.ServeHTTP(t, e)
	}})
}

// The code in README.md.
func TestREADME(t *testing.T) {
	m, _, _ := fwtest.NewManager(t, ticketstore.Config{})
	e := echo.New()
	e.Use(echo.WrapMiddleware(m.Wrap))
	guarded := e.Group("", echo.WrapMiddleware(m.Require))
	guarded.GET("/me", func(c *echo.Context) error {
		t, _ := ticketstore.FromContext(c.Request().Context())
		return c.String(http.StatusOK, "Hello, "+t.Subject)
	})
	e.POST("/signout", func(c *echo.Context) error {
		if err := m.SignOut(c.Response(), c.Request()); err != nil {
			return echo.ErrServiceUnavailable
		}
		return c.Redirect(http.StatusSeeOther, "/")
	})
	fwtest.CheckStatuses(t, e, map[string]int{"GET /me": http.StatusUnauthorized, "POST /signout": http.StatusSeeOther})
}
