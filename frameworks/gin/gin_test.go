package ticketgin_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/ticketstore/ticketstore"
	ticketgin "github.com/ticketstore/ticketstore/frameworks/gin"
	"github.com/ticketstore/ticketstore/frameworks/internal/fwtest"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	m.Run()
}

func Test(t *testing.T) {
	fwtest.Run(t, fwtest.Framework{Serve: func(t *testing.T, s *fwtest.Site) (string, *http.Client) {
		m := s.Manager
		who := func(c *gin.Context) { c.String(http.StatusOK, s.Reach(c.Request.Context())) }
		router := gin.New()
		router.Use(ticketgin.Middleware(m.Wrap))
		router.GET("/public", who)
		router.POST("/signin", func(c *gin.Context) {
			for range 2 {
				if err := m.SignIn(c.Writer, c.Request, fwtest.NewTicket()); err != nil {
					c.String(http.StatusServiceUnavailable, "Please try again.")
					return
				}
			}
		})
		router.POST("/signout", func(c *gin.Context) {
			if err := m.SignOut(c.Writer, c.Request); err != nil {
				c.String(http.StatusServiceUnavailable, "Please try again.")
			}
		})
		router.POST("/see", ticketgin.Middleware(s.See))
		guarded := router.Group("/", ticketgin.Middleware(m.Require))
		guarded.GET("/me", who)
		guarded.GET("/events", func(c *gin.Context) {
			fmt.Fprintf(c.Writer, "data: %s\n\n", s.Reach(c.Request.Context()))
			c.Writer.Flush()
			<-s.Release
		})
		guarded.GET("/hijack", func(c *gin.Context) {
			s.Reach(c.Request.Context())
			fwtest.Hijack(t, c.Writer)
		})
		return fwtest.ServeHTTP(t, router)
	}})
}

// WRONG: the handler runs for everybody.
func naive(mw func(http.Handler) http.Handler) gin.HandlerFunc {
	return func(c *gin.Context) {
		mw(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			c.Request = r
			c.Next()
		})).ServeHTTP(c.Writer, c.Request)
	}
}

func TestTrap(t *testing.T) {
	m, _, _ := fwtest.NewManager(t, ticketstore.Config{})
	for _, tt := range []struct {
		name    string
		guard   gin.HandlerFunc
		reached bool
	}{
		{"naive", naive(m.Require), true},
		{"Middleware", ticketgin.Middleware(m.Require), false},
	} {
		if status, reached := serve(tt.guard); status != http.StatusUnauthorized || reached != tt.reached {
			t.Errorf("%s: got %d, handler ran: %t, want 401, %t", tt.name, status, reached, tt.reached)
		}
	}
}

func TestPanic(t *testing.T) {
	boom := func(http.Handler) http.Handler {
		return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("boom") })
	}
	// A recovery that forgets to abort; gin.Recovery does not.
	recovery := gin.CustomRecoveryWithWriter(nil, func(c *gin.Context, _ any) {
		c.String(http.StatusInternalServerError, "Sorry.")
	})
	if status, reached := serve(recovery, ticketgin.Middleware(boom)); status != http.StatusInternalServerError || reached {
		t.Errorf("got %d, handler ran: %t, want 500, false", status, reached)
	}
}

// The code in README.md.
func TestREADME(t *testing.T) {
	m, _, _ := fwtest.NewManager(t, ticketstore.Config{})
	router := gin.New()
	changePassword := func(*gin.Context) { t.Error("somebody who is not signed in changes a password") }
	router.Use(ticketgin.Middleware(m.Wrap))
	guarded := router.Group("/", ticketgin.Middleware(m.Require))
	guarded.GET("/me", func(c *gin.Context) {
		t, _ := ticketstore.FromContext(c.Request.Context()) // not FromContext(c)
		c.String(http.StatusOK, "Hello, %s", t.Subject)
	})
	router.POST("/signout", func(c *gin.Context) {
		if err := m.SignOut(c.Writer, c.Request); err != nil {
			c.String(http.StatusServiceUnavailable, "Please try again.")
			return
		}
		c.Redirect(http.StatusSeeOther, "/")
	})
	recent := func(next http.Handler) http.Handler { return m.RequireRecent(10*time.Minute, next) }
	guarded.POST("/password", ticketgin.Middleware(recent), changePassword)
	fwtest.CheckStatuses(t, router, map[string]int{
		"GET /me": http.StatusUnauthorized, "POST /signout": http.StatusSeeOther, "POST /password": http.StatusUnauthorized,
	})
}

func serve(chain ...gin.HandlerFunc) (status int, reached bool) {
	router := gin.New()
	router.Use(chain...)
	router.GET("/", func(*gin.Context) { reached = true })
	w := httptest.NewRecorder()
	router.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	return w.Code, reached
}
