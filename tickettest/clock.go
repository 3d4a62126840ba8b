package tickettest

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/clock"
)

// A Clock stands still until it is moved by hand. Its stores expire tickets by
// it, and so do Managers for the requests that carry it: put [Clock.Handler]
// around the whole site, and give [Clock.Context] to what is called without a
// request.
//
//	clock := tickettest.NewClock()
//	m := clock.NewManager(t)
//	server := httptest.NewTLSServer(clock.Handler(site(m)))
//	browser := tickettest.Browser(t, server, clock.Cookie(t, m, ticketstore.NewTicket("alice")))
//	clock.Advance(31 * time.Minute)
//	// The next request of browser is anonymous.
//
// A call that does not carry the Clock would go by the time of day: its stores
// refuse it with an error that says so, and a Manager answers 503. What the
// application itself asks of package time does not move.
type Clock struct {
	mu      sync.Mutex
	now     time.Time
	servers []*miniredis.Miniredis
}

// NewClock returns a Clock that shows the present time.
func NewClock() *Clock { return &Clock{now: time.Now().Truncate(time.Millisecond)} }

// NewStore is the function [NewStore] for a store on the time of c.
func (c *Clock) NewStore(tb TB) *ticketstore.RedisStore {
	tb.Helper()
	return newStore(tb, c)
}

// NewManager is the function [NewManager] for a store on the time of c.
func (c *Clock) NewManager(tb TB) *ticketstore.Manager {
	tb.Helper()
	return newManager(tb, c.NewStore(tb))
}

// Cookie is the function [Cookie] at the time of c.
func (c *Clock) Cookie(tb TB, m *ticketstore.Manager, t *ticketstore.Ticket) *http.Cookie {
	tb.Helper()
	return signIn(c.Context(context.Background()), tb, m, t)
}

// Handler returns a handler whose requests carry c. It belongs outside of
// [ticketstore.Manager.Wrap].
func (c *Clock) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(c.Context(r.Context())))
	})
}

// Context returns a copy of ctx that carries c.
func (c *Clock) Context(ctx context.Context) context.Context {
	return context.WithValue(clock.NewContext(ctx, c.Now), contextKey{}, c)
}

// Now returns the time that c shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves c, and with it the time of its stores, forward. Call it while
// no request is under way, or that sees the time of before and of after.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	for _, s := range c.servers {
		s.SetTime(c.now)
	}
}

// add sets the time of server, now and whenever c moves. A nil Clock leaves it.
func (c *Clock) add(server *miniredis.Miniredis) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	server.SetTime(c.now)
	c.servers = append(c.servers, server)
}

type contextKey struct{}

var errNoClock = errors.New("tickettest: the context does not carry the Clock of this store: " +
	"put Clock.Handler around the handler, outside of Wrap, or use Clock.Context or Clock.Cookie")

// A guard refuses commands whose context does not carry its clock. Half a
// renewal by the time of day would be hard to find.
type guard struct{ clock *Clock }

func (g guard) check(ctx context.Context) error {
	if ctx.Value(contextKey{}) != g.clock {
		return errNoClock
	}
	return nil
}

func (g guard) DialHook(next redis.DialHook) redis.DialHook { return next }

func (g guard) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if err := g.check(ctx); err != nil {
			cmd.SetErr(err)
			return err
		}
		return next(ctx, cmd)
	}
}

func (g guard) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if err := g.check(ctx); err != nil {
			for _, cmd := range cmds {
				cmd.SetErr(err)
			}
			return err
		}
		return next(ctx, cmds)
	}
}
