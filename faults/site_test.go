package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/clock"
)

const (
	idle     = 30 * time.Minute
	lifetime = time.Hour
	renewal  = 5 * time.Minute
	grace    = 10 * time.Second
	storing  = time.Second      // StoreTimeout
	maxSkew  = 90 * time.Second // of an instance's clock
)

// A world is a site, its Redis and its users' browsers, and what is true of the
// sessions, whatever the site says.
type world struct {
	net       *network
	clients   []*redis.Client
	instances []*instance
	browsers  []*browser
	trace     []func() string

	mu       sync.Mutex
	order    int // of requests and endings
	requests int
	sessions map[string]*facts    // by ID
	ids      map[string]string    // of sessions, by value of cookie
	marked   map[string]time.Time // when all or the others of a user were last revoked
	cookies  []*http.Cookie       // all that were handed out
	wrong    string               // the first thing that was
}

// facts are what is true of a session that was handed out.
type facts struct {
	name    string
	user    string
	began   time.Time
	till    time.Time // it has been promised to live so long, unless it ends
	touched time.Time // when something may last have counted as its use
	rotated time.Time // when a rotation may last have been under way
	handed  int       // when it was, in order
	ended   int       // when that was certain, in order; 0 if not
	perhaps bool      // it may have ended
	shared  bool      // two browsers have it, so that one may rotate its key away
	changes []change
}

// A change is one that the site has confirmed.
type change struct {
	text string
	at   int // in order
}

// An instance is one of a site's processes.
type instance struct {
	world *world
	store sessionStore
	count func(context.Context) (ticketstore.Counts, error)
	m     *ticketstore.Manager
	skew  atomic.Int64 // of its clock
	pages http.Handler
}

func (i *instance) now() time.Time { return time.Now().Add(time.Duration(i.skew.Load())) }

// late reports whether the instance's clock is so far off that Redis may write
// nothing for it.
func (i *instance) late() bool { return time.Duration(i.skew.Load()).Abs() > 55*time.Second }

// newWorld returns a site with an instance of each mode, whose stores are as
// m makes them, if that is not nil, and as many browsers as users.
func newWorld(seed uint64, modes []mode, users []string, m mutant) (*world, error) {
	mini := miniredis.NewMiniRedis()
	mini.ClockTTL(true)
	w := &world{net: &network{redis: mini, seed: seed}, sessions: map[string]*facts{}, ids: map[string]string{}, marked: map[string]time.Time{}}
	for number, mode := range modes {
		client := redis.NewClient(&redis.Options{
			Addr: "127.0.0.1:1", Dialer: w.net.dialer(number), Protocol: 2, DisableIdentity: true,
			ReadBufferSize: 4 << 10, WriteBufferSize: 4 << 10, // of 32 KiB it is the garbage that takes the time
			ContextTimeoutEnabled: true, DialTimeout: storing, ReadTimeout: storing, WriteTimeout: storing,
			MinRetryBackoff: 50 * time.Millisecond, MaxRetryBackoff: 50 * time.Millisecond, // not at random
			MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		})
		w.clients = append(w.clients, client)
		s, err := ticketstore.NewRedisStore(client, mode.config(""))
		if err != nil {
			return nil, err
		}
		i := &instance{world: w, store: s, count: s.Count}
		if m != nil {
			i.store = m(w, s)
		}
		i.m, err = ticketstore.NewManager(i.store, ticketstore.Config{
			CookieKeys:  []ticketstore.CookieKey{{Hash: bytes.Repeat([]byte("h"), 32)}},
			IdleTimeout: idle, Lifetime: lifetime, RenewAfter: renewal, StoreTimeout: storing, RotateGrace: grace,
			Logger: slog.New(logHandler{}),
		})
		if err != nil {
			return nil, err
		}
		i.pages = i.m.Wrap(i.site())
		w.instances = append(w.instances, i)
	}
	for _, user := range users {
		w.browsers = append(w.browsers, newBrowser(user))
	}
	return w, nil
}

func (w *world) close() {
	for _, c := range w.clients {
		c.Close()
	}
	w.net.redis.Close()
}

// say adds to what has happened.
func (w *world) say(format string, a ...any) {
	w.trace = append(w.trace, func() string { return fmt.Sprintf(format, a...) })
}

// fail notes the first thing that is wrong. w.mu is held.
func (w *world) fail(format string, a ...any) {
	if w.wrong == "" {
		w.wrong = fmt.Sprintf(format, a...)
	}
}

func (w *world) next() int {
	w.order++
	return w.order
}

// A visit is a request, as the pages see it.
type visit struct {
	user   string
	cookie string // its session cookie
	begun  int    // in order
	sent   time.Time
	unsure bool // it was logged that an old session may not have ended
}

type visitKey struct{}

func visitOf(ctx context.Context) *visit { return ctx.Value(visitKey{}).(*visit) }

// logHandler looks for the log that says that SignIn has left a session.
type logHandler struct{ slog.Handler }

func (logHandler) Enabled(context.Context, slog.Level) bool { return true }

func (logHandler) Handle(ctx context.Context, r slog.Record) error {
	if v, ok := ctx.Value(visitKey{}).(*visit); ok && strings.Contains(r.Message, "did not end an old session") {
		v.unsure = true
	}
	return nil
}

// site returns the pages of the site. They note what the library tells the
// application, whether or not the browser ever gets the answer.
func (i *instance) site() http.Handler {
	w := i.world
	mux := http.NewServeMux()
	signedIn := func(path string, f func(rw http.ResponseWriter, r *http.Request, t *ticketstore.Ticket) error) {
		mux.Handle(path, i.m.Require(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			t, _ := ticketstore.FromContext(r.Context())
			w.served(i, visitOf(r.Context()), t)
			answer(rw, f(rw, r, t))
		})))
	}
	signedIn("/page", func(http.ResponseWriter, *http.Request, *ticketstore.Ticket) error { return nil })
	signedIn("/rotate", func(rw http.ResponseWriter, r *http.Request, t *ticketstore.Ticket) error {
		defer w.about(t.ID, func(f *facts) { f.rotated = time.Now() })
		next, err := i.m.Rotate(rw, r, nil)
		if err == nil {
			w.handed(rw, next)
		}
		return err
	})
	signedIn("/change", func(_ http.ResponseWriter, r *http.Request, t *ticketstore.Ticket) error {
		text := fmt.Sprintf("%s by %p,", r.URL.RawQuery, i)
		_, err := i.m.Renew(r, func(t *ticketstore.Ticket) error {
			if !strings.Contains(t.Properties["changes"], text) {
				t.Properties["changes"] += text
			}
			return nil
		})
		if err == nil {
			w.about(t.ID, func(f *facts) { f.changes = append(f.changes, change{text, w.next()}) })
		}
		return err
	})
	signedIn("/revoke", func(_ http.ResponseWriter, r *http.Request, t *ticketstore.Ticket) error {
		id := r.URL.RawQuery
		err := i.store.Revoke(r.Context(), t.Subject, id)
		if known(err) && err != nil {
			w.missing(visitOf(r.Context()), id)
			err = nil
		}
		w.ending(err, visitOf(r.Context()), func(_ *facts, of string) bool { return of == id })
		return err
	})
	signedIn("/others", func(_ http.ResponseWriter, r *http.Request, t *ticketstore.Ticket) error {
		_, err := i.store.RevokeOthers(r.Context(), t.Subject, t.ID)
		w.mark(t.Subject)
		w.ending(err, visitOf(r.Context()), func(f *facts, of string) bool { return f.user == t.Subject && of != t.ID })
		return err
	})
	signedIn("/all", func(_ http.ResponseWriter, r *http.Request, t *ticketstore.Ticket) error {
		_, err := i.store.RevokeAll(r.Context(), t.Subject)
		w.mark(t.Subject)
		w.ending(err, visitOf(r.Context()), func(f *facts, _ string) bool { return f.user == t.Subject })
		return err
	})
	mux.HandleFunc("/login", func(rw http.ResponseWriter, r *http.Request) {
		v, t := visitOf(r.Context()), ticketstore.NewTicket(visitOf(r.Context()).user)
		err := i.m.SignIn(rw, r, t)
		if err == nil {
			w.begun(i, v, rw, t)
			if v.unsure {
				err = errDown
			}
			w.ending(err, v, func(_ *facts, of string) bool { return of == w.ids[v.cookie] })
			err = nil
		}
		answer(rw, err)
	})
	mux.HandleFunc("/logout", func(rw http.ResponseWriter, r *http.Request) {
		v := visitOf(r.Context())
		err := i.m.SignOut(rw, r)
		if !errors.Is(err, ticketstore.ErrSuperseded) {
			w.ending(err, v, func(_ *facts, of string) bool { return of == w.ids[v.cookie] })
		}
		answer(rw, err)
	})
	return mux
}

func (w *world) mark(user string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.marked[user] = time.Now()
}

func answer(w http.ResponseWriter, err error) {
	switch {
	case err == nil:
		io.WriteString(w, "done")
	case !known(err) && !errors.Is(err, ticketstore.ErrConflict): // not what a lost reply has done
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	case errors.Is(err, ticketstore.ErrNotFound):
		http.Error(w, err.Error(), http.StatusUnauthorized)
	case errors.Is(err, ticketstore.ErrConflict):
		http.Error(w, err.Error(), http.StatusConflict)
	default:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	}
}

// about notes something about a session.
func (w *world) about(id string, note func(*facts)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if f := w.sessions[id]; f != nil {
		note(f)
	}
}

// begun notes a sign-in: a new session, with a cookie that nobody has had.
func (w *world) begun(i *instance, v *visit, rw http.ResponseWriter, t *ticketstore.Ticket) {
	w.mu.Lock()
	if w.sessions[t.ID] != nil {
		w.fail("sign-in: session %s was there before", w.sessions[t.ID].name)
	}
	w.sessions[t.ID] = &facts{name: fmt.Sprint("session ", len(w.sessions)+1), user: v.user, began: v.sent, till: t.ExpiresAt, touched: time.Now(), handed: w.next()}
	w.mu.Unlock()
	w.handed(rw, t)
}

// handed notes which session the cookie is of that a response sets.
func (w *world) handed(rw http.ResponseWriter, t *ticketstore.Ticket) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c, err := http.ParseSetCookie(rw.Header().Get("Set-Cookie"))
	if err != nil || w.ids[c.Value] != "" {
		w.fail("a cookie that was there before, or none: %v", err)
		return
	}
	w.ids[c.Value] = t.ID
	w.cookies = append(w.cookies, c)
}

// known reports whether an ending has certainly happened, or certainly not, as
// there is no such session.
func known(err error) bool {
	return err == nil || errors.Is(err, ticketstore.ErrNotFound) && !strings.Contains(err.Error(), "a reply was lost")
}

// ending notes that sessions have ended that were handed out before the request;
// that they may have, if err says that Redis could not answer.
func (w *world) ending(err error, v *visit, which func(f *facts, id string) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := w.next()
	for id, f := range w.sessions {
		if !which(f, id) || known(err) && err != nil {
			continue
		}
		f.perhaps = true
		if err == nil && f.handed < v.begun && f.ended == 0 {
			f.ended = at
		}
	}
}

// missing checks that a session may not be there.
func (w *world) missing(v *visit, id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if f := w.sessions[id]; f.handed < v.begun && f.lives() {
		w.fail("%s is not found", f.name)
	}
}

// lives reports whether a session that has been handed out is certainly live.
func (f *facts) lives() bool {
	return f.ended == 0 && !f.perhaps && time.Now().Before(f.till.Add(-2*maxSkew))
}

// served checks that t may be served.
func (w *world) served(i *instance, v *visit, t *ticketstore.Ticket) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.sessions[t.ID]
	if f == nil {
		w.fail("a session is served that was not handed out")
		return
	}
	switch now := time.Now(); {
	case w.ids[v.cookie] != t.ID || f.user != t.Subject:
		w.fail("%s is served for the cookie of another", f.name)
	case f.ended > 0 && f.ended < v.begun:
		w.fail("%s is served, which had ended before", f.name)
	case now.Sub(f.began) > lifetime+2*maxSkew:
		w.fail("%s is served %v after its sign-in", f.name, now.Sub(f.began))
	case now.Sub(f.touched) > idle+2*maxSkew:
		w.fail("%s is served %v after it was last used", f.name, now.Sub(f.touched))
	}
	for _, c := range f.changes {
		if c.at < v.begun && !strings.Contains(t.Properties["changes"], c.text) {
			w.fail("%s has lost a change", f.name)
		}
	}
	if t.ExpiresAt.After(f.till) {
		f.till = t.ExpiresAt
	}
}

func (i *instance) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	i.pages.ServeHTTP(rw, r.WithContext(clock.NewContext(r.Context(), i.now)))
}
