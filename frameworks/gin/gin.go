// Package ticketgin guards gin's routes with a ticketstore.Manager. Copy its
// one function, or import it.
package ticketgin

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

// Middleware makes gin's middleware of a Manager's Wrap or Require.
//
// In gin a middleware that returns has not stopped the chain: the handlers
// after it still run. So whatever does not reach next is aborted, even if it
// ends in a panic that some other middleware recovers from.
//
// Handlers find the ticket with ticketstore.FromContext(c.Request.Context()).
func Middleware(mw func(http.Handler) http.Handler) gin.HandlerFunc {
	return func(c *gin.Context) {
		passed := false
		defer func() {
			if !passed {
				c.Abort()
			}
		}()
		mw(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			c.Request = r
			passed = true
		})).ServeHTTP(c.Writer, c.Request)
	}
}
