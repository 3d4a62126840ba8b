package docs_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/redistest"
)

// passwordChanged ends the user's other sessions, and gives this one a new key.
func passwordChanged(w http.ResponseWriter, r *http.Request, m *ticketstore.Manager) error {
	r = r.WithContext(ticketstore.WithCause(r.Context(), "password-changed", ""))
	if _, err := m.RevokeOthers(r); err != nil {
		return err
	}
	_, err := m.Rotate(w, r, nil)
	return err
}

// passwordReset signs in whoever has proved to be user, and ends the user's
// other sessions.
func passwordReset(w http.ResponseWriter, r *http.Request, m *ticketstore.Manager, store *ticketstore.RedisStore, user string) error {
	t := ticketstore.NewTicket(user)
	if err := m.SignIn(w, r, t); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 2*time.Second)
	defer cancel()
	_, err := store.RevokeOthers(ticketstore.WithCause(ctx, "password-reset", user), user, t.ID)
	return err
}

// actAs has r's user, an operator, act as another. Guard it with RequireRecent.
func actAs(w http.ResponseWriter, r *http.Request, m *ticketstore.Manager, look func(subject string) (t *ticketstore.Ticket, operator bool, err error)) error {
	if t, ok := ticketstore.FromContext(r.Context()); !ok || !t.HasRole("support") {
		return errForbidden
	}
	t, operator, err := look(r.PostFormValue("user")) // with the claims of a sign-in
	if err != nil {
		return err
	}
	if operator { // nobody gets rights by way of others
		return errForbidden
	}
	return m.Impersonate(w, r, t, r.PostFormValue("reason"))
}

// banner says on every page that this is not the user, with the way back.
func banner(w io.Writer, r *http.Request) error {
	t, ok := ticketstore.FromContext(r.Context())
	if !ok {
		return nil
	}
	actor, ok := t.Actor()
	if !ok {
		return nil
	}
	return bannerPage.Execute(w, map[string]string{"User": t.Subject, "Operator": actor.Subject, "Reason": actor.Reason})
}

var bannerPage = template.Must(template.New("").Parse(`<p role="status"><bdi>{{.Operator}}</bdi>, you act as <bdi>{{.User}}</bdi>
(<bdi>{{.Reason}}</bdi>).</p><form method="post" action="/act-as/end"><button>Be yourself again</button></form>`))

// isUser reports whether r's user acts for themself: for what no operator may do,
// such as to pay, or to agree to terms.
func isUser(r *http.Request) bool {
	t, ok := ticketstore.FromContext(r.Context())
	if !ok {
		return false
	}
	_, impersonated := t.Actor()
	return !impersonated
}

var errForbidden = errors.New("forbidden")

func follow(ctx context.Context, store *ticketstore.RedisStore, cursor string, audit func(ticketstore.Ending), keep func(string) string, wait func(time.Duration)) error {
	for {
		endings, next, err := store.Endings(ctx, cursor, 100)
		if err != nil && !errors.Is(err, ticketstore.ErrEndingsLost) {
			return err // try again in a while, with the same cursor
		}
		for _, e := range endings {
			audit(e) // session ID as the idempotency key
		}
		cursor = keep(next) // in the same transaction, if audit has one
		if len(endings) == 0 {
			wait(time.Second) // or until something comes in store.EndingsChannel()
		}
	}
}

// watch closes conn when the session that r came with has ended, or r's handler.
func watch(m *ticketstore.Manager, r *http.Request, conn io.Closer) error {
	live, err := m.Live(r)
	if err != nil {
		return err
	}
	context.AfterFunc(live, func() { conn.Close() })
	return nil
}

// events sends the browser what is new until its session ends, and says so then.
func events(m *ticketstore.Manager, news <-chan string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		live, err := m.Live(r)
		if errors.Is(err, ticketstore.ErrNotFound) {
			w.WriteHeader(http.StatusNoContent) // to which an EventSource does not come back
			return
		} else if err != nil {
			m.Error(w, r, err)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-store")
		send := func(event, data string) {
			fmt.Fprintf(w, "event: %s\ndata: %s\n\n", event, data)
			http.NewResponseController(w).Flush()
		}
		send("hello", "")
		for {
			select {
			case <-live.Done():
				if errors.Is(context.Cause(live), ticketstore.ErrNotFound) {
					send("signed-out", "")
				}
				return
			case data := <-news:
				send("news", data)
			}
		}
	})
}

var errNotDue = errors.New("nothing to refresh, or another request does it")

// refresh redeems the refresh token of r's session if its access token is due,
// in one request at a time. redeem has to give up within 30 seconds.
func refresh(r *http.Request, m *ticketstore.Manager, redeem func(refreshToken string) (access, next string, life time.Duration, err error)) error {
	r = r.WithContext(context.WithoutCancel(r.Context())) // or a client that hangs up loses the new token
	mine, now := rand.Text(), time.Now()
	in := func(d time.Duration) string { return now.Add(d).UTC().Format(time.RFC3339) }
	t, err := m.Renew(r, func(t *ticketstore.Ticket) error { // claim
		p := t.Properties
		switch {
		case p["refreshed_by"] == mine: // it runs again
		case p["refresh_token"] == "" || p["access_until"] > in(time.Minute) || p["claimed_until"] > in(0):
			return errNotDue
		default:
			p["refreshed_by"], p["claimed_until"] = mine, in(time.Minute)
		}
		return nil
	})
	if err != nil {
		return err
	}
	access, next, life, err := redeem(t.Properties["refresh_token"])
	if err != nil {
		return err // after a minute another request tries
	}
	_, err = m.Renew(r, func(t *ticketstore.Ticket) error { // commit
		p := t.Properties
		if p["refreshed_by"] != mine {
			return errNotDue
		}
		p["access_token"], p["refresh_token"] = access, next
		p["access_until"], p["claimed_until"] = in(life), ""
		return nil
	})
	return err
}

// behindProxies is for an application that nginx on 10.0.0.0/8 serves under
// /shop, a prefix that it takes off.
func behindProxies(cfg ticketstore.Config) ticketstore.Config {
	cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	cfg.PathPrefix = func(*http.Request) string { return "/shop" }
	cfg.LoginPath = "/shop/login"
	return cfg
}

// nameless keeps the user agent out of tickets. Put it around Wrap.
func nameless(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.Clone(r.Context())
		r.Header.Del("User-Agent")
		next.ServeHTTP(w, r)
	})
}

// cachedStore reads from a cache of 10,000 sessions, by what was true at most
// two seconds ago.
func cachedStore(addr, user, password string) (*redis.Client, *ticketstore.RedisStore, error) {
	client := redis.NewClient(&redis.Options{
		Addr:                  addr,
		Username:              user, // a credentials provider would turn the cache off
		Password:              password,
		ContextTimeoutEnabled: true,
		DialTimeout:           time.Second,
		ReadTimeout:           time.Second,
		WriteTimeout:          time.Second,
		MaxRetries:            1,
		DialerRetries:         1,
		ClientSideCacheConfig: &redis.ClientSideCacheConfig{
			MaxEntries:   10_000,
			MaxStaleness: time.Second,
		},
		// How long go-redis waits for a reply while Redis moves.
		MaintNotificationsConfig: &maintnotifications.Config{RelaxedTimeout: time.Second},
	})
	store, err := ticketstore.NewRedisStore(client, ticketstore.RedisConfig{MaxStaleness: 2 * time.Second})
	return client, store, err
}

// cachedCluster is cachedStore for a Cluster.
func cachedCluster(addrs []string, user, password string) (*redis.ClusterClient, *ticketstore.RedisStore, error) {
	client := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs:                    addrs,
		Username:                 user,
		Password:                 password,
		ContextTimeoutEnabled:    true,
		DialTimeout:              time.Second,
		ReadTimeout:              time.Second,
		WriteTimeout:             time.Second,
		DialerRetries:            1,
		MaintNotificationsConfig: &maintnotifications.Config{RelaxedTimeout: time.Second},
		NewClient: func(node *redis.Options) *redis.Client {
			node.ClientSideCacheConfig = &redis.ClientSideCacheConfig{
				MaxEntries:   10_000,
				MaxStaleness: time.Second,
			}
			return redis.NewClient(node)
		},
	})
	store, err := ticketstore.NewRedisStore(client, ticketstore.RedisConfig{MaxStaleness: 2 * time.Second})
	return client, store, err
}

func TestMain(m *testing.M) { os.Exit(redistest.Main(m)) }

// Go code in the documents is code of a test, so that it compiles. How far it
// is indented there does not matter. That of the tutorial is built and run by
// TestTutorial, that of the README in the root package.
func TestSnippets(t *testing.T) {
	code := indent.ReplaceAllString(read(t, "../*_test.go", "../*/*_test.go", "../frameworks/*/*_test.go", "../benchmarks/*/*_test.go", "../examples/*/*_test.go"), "")
	for _, name := range glob(t, "../*/*.md", "../examples/*/README.md") {
		if name == "../docs/tutorial.md" {
			continue
		}
		for _, block := range goCode.FindAllStringSubmatch(read(t, name), -1) {
			if block[1] != "" || !strings.Contains(code, indent.ReplaceAllString(block[2], "")) {
				t.Errorf("%s: no test has this code: %s", name, block[0])
			}
		}
	}
}

var goCode = regexp.MustCompile("(?ms)^```go([^\n]*)\n(.*?)^```$")

var indent = regexp.MustCompile(`(?m)^\t+`)

// Tests that the documents name are there.
func TestNamedTests(t *testing.T) {
	named := names(t, "*.md")
	there := names(t, "*_test.go", "../frameworks/*/*_test.go", "../browsertest/*_test.go", "../oidc/*_test.go", "../admin/*_test.go", "../*_test.go", "../storetest/*_test.go", "../forwardauth/*_test.go", "../faults/*_test.go", "../aspnetcore/*_test.go", "../examples/*/*_test.go", "../benchmarks/*/*_test.go", "../tickettest/*_test.go", "../devices/*_test.go")
	for name := range named {
		if !there[name] {
			t.Errorf("there is no %s", name)
		}
	}
	if len(named) < 20 {
		t.Errorf("found %d names of tests: this test looks at too little", len(named))
	}
}

var testName = regexp.MustCompile(`\b(Test|Fuzz|Example)[A-Z]\w+`)

func names(t *testing.T, patterns ...string) map[string]bool {
	found := map[string]bool{}
	for _, name := range testName.FindAllString(read(t, patterns...), -1) {
		found[name] = true
	}
	return found
}

// read returns the files that match patterns, one after the other.
func read(t *testing.T, patterns ...string) string {
	var all strings.Builder
	for _, file := range glob(t, patterns...) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(data)
	}
	return all.String()
}

func glob(t *testing.T, patterns ...string) (files []string) {
	for _, pattern := range patterns {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v, %v", pattern, found, err)
		}
		files = append(files, found...)
	}
	return files
}

// site returns a Manager and its store on the Redis at addr.
func site(t *testing.T, addr string, cfg ticketstore.Config) (*ticketstore.Manager, *ticketstore.RedisStore) {
	t.Helper()
	opt := redistest.Options(addr)
	opt.MaxRetries, opt.DialerRetries = 1, 1
	client := redis.NewClient(opt)
	t.Cleanup(func() { client.Close() })
	store, err := ticketstore.NewRedisStore(client, ticketstore.RedisConfig{})
	if err != nil {
		t.Fatal(err)
	}
	cfg.StoreTimeout = redistest.Patience
	cfg.CookieKeys = []ticketstore.CookieKey{{Hash: make([]byte, 32)}}
	m, err := ticketstore.NewManager(store, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m, store
}

func login(t *testing.T, m *ticketstore.Manager, tk *ticketstore.Ticket) *http.Cookie {
	t.Helper()
	w := httptest.NewRecorder()
	if err := m.SignIn(w, request(nil), tk); err != nil {
		t.Fatal(err)
	}
	return w.Result().Cookies()[0]
}

func request(c *http.Cookie) *http.Request {
	r := httptest.NewRequest("POST", "/", nil)
	if c != nil {
		r.AddCookie(c)
	}
	return r
}

func TestPasswordChanged(t *testing.T) {
	m, store := site(t, miniredis.RunT(t).Addr(), ticketstore.Config{})
	other, this := login(t, m, ticketstore.NewTicket("alice")), login(t, m, ticketstore.NewTicket("alice"))
	w := httptest.NewRecorder()
	err := passwordChanged(w, request(this), m)
	for begin := time.Now(); timedOut(err) && time.Since(begin) < redistest.Patience; {
		// The machine is busy, and it is not known whether the key has changed: the user signs in again.
		this, w = login(t, m, ticketstore.NewTicket("alice")), httptest.NewRecorder()
		err = passwordChanged(w, request(this), m)
	}
	if err != nil {
		t.Fatal(err)
	}
	changed := w.Result().Cookies()[0]
	if _, err := m.Resolve(request(changed)); err != nil || changed.Value == this.Value {
		t.Errorf("the new cookie: %v", err)
	}
	if _, err := m.Resolve(request(other)); !errors.Is(err, ticketstore.ErrNotFound) {
		t.Errorf("another browser's cookie: got %v, want ErrNotFound", err)
	}
	if _, err := m.RevokeAll(httptest.NewRecorder(), request(this)); !errors.Is(err, ticketstore.ErrConflict) {
		t.Errorf("this browser's old cookie: got %v, want ErrConflict", err)
	}
	if sessions, err := store.Sessions(t.Context(), "alice"); len(sessions) != 1 || err != nil {
		t.Errorf("got %d sessions, %v, want one", len(sessions), err)
	}
}

func TestPasswordReset(t *testing.T) {
	m, store := site(t, miniredis.RunT(t).Addr(), ticketstore.Config{})
	for _, old := range []*http.Cookie{nil, login(t, m, ticketstore.NewTicket("alice"))} {
		other := login(t, m, ticketstore.NewTicket("alice"))
		w := httptest.NewRecorder()
		err := passwordReset(w, request(old), m, store, "alice")
		for begin := time.Now(); timedOut(err) && time.Since(begin) < redistest.Patience; {
			// The machine is busy: the user tries again.
			w = httptest.NewRecorder()
			err = passwordReset(w, request(old), m, store, "alice")
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Resolve(request(other)); !errors.Is(err, ticketstore.ErrNotFound) {
			t.Errorf("another browser's cookie: got %v, want ErrNotFound", err)
		}
		r := request(w.Result().Cookies()[0])
		if sessions, current, err := m.Sessions(r); len(sessions) != 1 || sessions[0].ID != current || err != nil {
			t.Errorf("got %v, %v, want this one", sessions, err)
		}
		w = httptest.NewRecorder()
		m.RequireRecent(time.Minute, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			t.Errorf("what needs a recent sign-in: got %d, want 200", w.Code)
		}
	}
}

// Somebody of the support acts as a user, who sees it, and is themself again.
func TestActAs(t *testing.T) {
	m, store := site(t, miniredis.RunT(t).Addr(), ticketstore.Config{LoginPath: "/login"})
	look := func(subject string) (*ticketstore.Ticket, bool, error) {
		return ticketstore.NewTicket(subject), subject == "oscar", nil
	}
	post := func(user string, cookies ...*http.Cookie) (res *http.Response, err error) {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("POST", "/act-as", strings.NewReader(url.Values{"user": {user}, "reason": {"<b>4711</b>"}}.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for _, c := range cookies {
			r.AddCookie(c)
		}
		m.RequireRecent(time.Minute, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			err = actAs(w, r, m, look)
		})).ServeHTTP(w, r)
		return w.Result(), err
	}
	olga := login(t, m, ticketstore.NewTicket("olga", ticketstore.Claim{Type: "role", Value: "support"}))
	if _, err := post("alice", login(t, m, ticketstore.NewTicket("mallory"))); !errors.Is(err, errForbidden) {
		t.Errorf("without the role: got %v, want errForbidden", err)
	}
	if _, err := post("oscar", olga); !errors.Is(err, errForbidden) {
		t.Errorf("another operator: got %v, want errForbidden", err)
	}
	res, err := post("alice", olga)
	if err != nil {
		t.Fatal(err)
	}
	both := res.Cookies()
	if res, _ := post("bob", both...); res.StatusCode != http.StatusForbidden {
		t.Errorf("RequireRecent as the user: got %d, want 403", res.StatusCode)
	}
	page := func(cookies ...*http.Cookie) (text string, user bool) {
		r := httptest.NewRequest("GET", "/", nil)
		for _, c := range cookies {
			r.AddCookie(c)
		}
		w := httptest.NewRecorder()
		m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			user = isUser(r)
			if err := banner(w, r); err != nil {
				t.Error(err)
			}
		})).ServeHTTP(w, r)
		return w.Body.String(), user
	}
	if text, user := page(both...); user || !strings.Contains(text, "<bdi>olga</bdi>, you act as <bdi>alice</bdi>") || !strings.Contains(text, "&lt;b&gt;4711") {
		t.Errorf("got the page %q, and the user %t", text, user)
	}
	if text, user := page(olga); !user || text != "" {
		t.Errorf("as herself: got the page %q, and the user %t", text, user)
	}
	if list, err := store.Sessions(t.Context(), "alice"); err != nil || len(list) != 1 || list[0].Actor == nil || list[0].Actor.Subject != "olga" {
		t.Errorf("got the sessions %+v, %v", list, err)
	}
}

func timedOut(err error) bool {
	nerr, ok := errors.AsType[net.Error](err)
	return errors.Is(err, context.DeadlineExceeded) || ok && nerr.Timeout()
}

// The account is disabled while its user is signing in, at any point.
func TestSignInOfADisabledAccount(t *testing.T) {
	addr := miniredis.RunT(t).Addr()
	_, elsewhere := site(t, addr, ticketstore.Config{})
	for _, asksFirst := range []bool{true, false} {
		m, store := site(t, addr, ticketstore.Config{})
		disabled := false
		disable := func() {
			disabled = true
			if _, err := elsewhere.RevokeAll(t.Context(), "alice"); err != nil {
				t.Error(err)
			}
		}
		h := m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !asksFirst {
				disable()
			}
			if disabled {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			if asksFirst {
				disable()
			}
			if err := m.SignIn(w, r, ticketstore.NewTicket("alice")); !errors.Is(err, ticketstore.ErrConflict) {
				t.Errorf("got %v, want ErrConflict", err)
			}
		}))
		h.ServeHTTP(httptest.NewRecorder(), request(nil))
		if sessions, err := store.Sessions(t.Context(), "alice"); err != nil || len(sessions) > 0 {
			t.Errorf("asks first %t: got %v, %v, want no session", asksFirst, sessions, err)
		}
	}
}

func TestFollow(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr()})
	defer client.Close()
	store, err := ticketstore.NewRedisStore(client, ticketstore.RedisConfig{History: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	tk := ticketstore.NewTicket("alice")
	tk.ExpiresAt = time.Now().Add(time.Hour)
	if _, err := store.Store(ctx, tk); err != nil {
		t.Fatal(err)
	}
	var told []string
	waits := 0
	err = follow(ctx, store, "", func(e ticketstore.Ending) { told = append(told, e.Session.ID) }, func(next string) string { return next },
		func(time.Duration) {
			switch waits++; waits {
			case 1:
				if err := store.Revoke(ctx, "alice", tk.ID); err != nil {
					t.Error(err)
				}
			case 3:
				cancel()
			}
		})
	if !errors.Is(err, context.Canceled) || !slices.Equal(told, []string{tk.ID}) {
		t.Errorf("got %v, %q, want that of %s", err, told, tk.ID)
	}
}

type closer chan bool

func (c closer) Close() error { close(c); return nil }

func TestWatch(t *testing.T) {
	m, store := site(t, miniredis.RunT(t).Addr(), ticketstore.Config{})
	closed := make(closer)
	r := request(login(t, m, ticketstore.NewTicket("alice"))).WithContext(t.Context())
	if err := watch(m, r, closed); err != nil {
		t.Fatal(err)
	}
	if _, err := store.RevokeAll(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-closed:
	case <-time.After(redistest.Patience):
		t.Error("the connection outlives its session")
	}
	if err := watch(m, r, closed); !errors.Is(err, ticketstore.ErrNotFound) {
		t.Errorf("after the end: got %v, want ErrNotFound", err)
	}
}

func TestEvents(t *testing.T) {
	m, store := site(t, miniredis.RunT(t).Addr(), ticketstore.Config{})
	news := make(chan string, 1)
	srv := httptest.NewServer(m.Wrap(events(m, news)))
	defer srv.Close()
	ask, err := http.NewRequest("GET", srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	ask.AddCookie(login(t, m, ticketstore.NewTicket("alice")))
	res, err := http.DefaultClient.Do(ask)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	read := func(want string) {
		t.Helper()
		b := make([]byte, len(want))
		if _, err := io.ReadFull(res.Body, b); err != nil || string(b) != want {
			t.Fatalf("got %q, %v, want %q", b, err, want)
		}
	}
	read("event: hello\ndata: \n\n")
	news <- "tea is ready"
	read("event: news\ndata: tea is ready\n\n")
	if _, err := store.RevokeAll(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	read("event: signed-out\ndata: \n\n")
	if rest, err := io.ReadAll(res.Body); err != nil || len(rest) > 0 {
		t.Errorf("got %q, %v, want the end", rest, err)
	}
	if res, err = http.DefaultClient.Do(ask); err != nil || res.StatusCode != http.StatusNoContent {
		t.Fatalf("after the end: got %v, %v, want 204", res, err)
	}
	res.Body.Close()
}

// Of requests in parallel one redeems the refresh token.
func TestRefresh(t *testing.T) {
	m, _ := site(t, miniredis.RunT(t).Addr(), ticketstore.Config{})
	tk := ticketstore.NewTicket("alice")
	tk.Properties = map[string]string{"refresh_token": "r1", "access_token": "a1"}
	c := login(t, m, tk)
	var redeemed, others atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			err := refresh(request(c), m, func(token string) (string, string, time.Duration, error) {
				redeemed.Add(1)
				time.Sleep(50 * time.Millisecond)
				return "a2", "after " + token, time.Hour, nil
			})
			if errors.Is(err, errNotDue) || errors.Is(err, ticketstore.ErrConflict) {
				others.Add(1)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	got, err := m.Resolve(request(c))
	if err != nil || redeemed.Load() != 1 || others.Load() != 7 || got.Properties["access_token"] != "a2" || got.Properties["refresh_token"] != "after r1" {
		t.Errorf("got %d redemptions, %d others, %v, %v", redeemed.Load(), others.Load(), got, err)
	}
}

func TestBehindProxies(t *testing.T) {
	m, store := site(t, miniredis.RunT(t).Addr(), behindProxies(ticketstore.Config{}))
	r := request(nil)
	r.RemoteAddr = "10.0.0.1:4711"
	r.Header.Set("X-Forwarded-For", "198.51.100.1, 203.0.113.9:1234, 10.0.0.2") // the first is the client's word
	if err := m.SignIn(httptest.NewRecorder(), r, ticketstore.NewTicket("alice")); err != nil {
		t.Fatal(err)
	}
	sessions, err := store.Sessions(t.Context(), "alice")
	if err != nil || len(sessions) != 1 || sessions[0].Device.Addr.String() != "203.0.113.9" {
		t.Errorf("got %+v, %v, want one from 203.0.113.9", sessions, err)
	}
	w := httptest.NewRecorder()
	r = httptest.NewRequest("GET", "/orders", nil)
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	m.Require(http.NotFoundHandler()).ServeHTTP(w, r)
	if got, want := w.Header().Get("Location"), "/shop/login?ReturnUrl=%2Fshop%2Forders"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestNothingRecorded(t *testing.T) {
	nowhere := func(*http.Request) netip.Addr { return netip.Addr{} }
	m, store := site(t, miniredis.RunT(t).Addr(), ticketstore.Config{ClientAddr: nowhere, RenewAfter: 1})
	serve := func(c *http.Cookie, h http.HandlerFunc) *http.Response {
		w, r := httptest.NewRecorder(), request(c)
		r.Header.Set("User-Agent", "x")
		nameless(m.Wrap(h)).ServeHTTP(w, r)
		return w.Result()
	}
	res := serve(nil, func(w http.ResponseWriter, r *http.Request) {
		if err := m.SignIn(w, r, ticketstore.NewTicket("alice")); err != nil {
			t.Error(err)
		}
	})
	time.Sleep(2 * time.Millisecond) // renewed
	serve(res.Cookies()[0], func(http.ResponseWriter, *http.Request) {})
	sessions, err := store.Sessions(t.Context(), "alice")
	if err != nil || len(sessions) != 1 || sessions[0].Device != (ticketstore.Device{}) || sessions[0].SeenFrom != (ticketstore.Device{}) {
		t.Errorf("got %+v, %v, want no device", sessions, err)
	}
	if sessions[0].IssuedAt.Equal(sessions[0].SignedInAt) {
		t.Error("it was not renewed: the test shows nothing")
	}
}

// OWASP ASVS 5.0, 14.2.1: a key anywhere but in the cookie is no key.
func TestKeyOnlyInCookies(t *testing.T) {
	m, _ := site(t, miniredis.RunT(t).Addr(), ticketstore.Config{})
	c := login(t, m, ticketstore.NewTicket("alice"))
	r := httptest.NewRequest("POST", "/?"+c.Name+"="+c.Value, strings.NewReader(c.Name+"="+c.Value))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Authorization", "Bearer "+c.Value)
	if _, err := m.Resolve(r); !errors.Is(err, ticketstore.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}

// A full Redis refuses sign-ins and changes; it still reads, and ends sessions.
func TestFullRedis(t *testing.T) {
	server := redistest.Start(t)
	m, store := site(t, server.Addr, ticketstore.Config{})
	admin := redis.NewClient(redistest.Options(server.Addr))
	defer admin.Close()
	var cookies []*http.Cookie
	for range 3 {
		cookies = append(cookies, login(t, m, ticketstore.NewTicket("alice")))
	}
	if err := admin.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Resolve(request(cookies[0])); err != nil {
		t.Errorf("Resolve: %v", err)
	}
	w := httptest.NewRecorder()
	if err := m.SignIn(w, request(nil), ticketstore.NewTicket("bob")); err == nil || len(w.Result().Cookies()) > 0 {
		t.Errorf("SignIn: got %v, want an error and no cookie", err)
	}
	_, err := m.Renew(request(cookies[0]), func(t *ticketstore.Ticket) error { t.Scheme = "x"; return nil })
	if err == nil || errors.Is(err, ticketstore.ErrNotFound) {
		t.Errorf("Renew: got %v, want an error of its own", err)
	}
	if err := m.SignOut(httptest.NewRecorder(), request(cookies[0])); err != nil {
		t.Errorf("SignOut: %v", err)
	}
	if n, err := store.RevokeAll(t.Context(), "alice"); n != 2 || err != nil {
		t.Errorf("RevokeAll: got %d, %v, want 2", n, err)
	}
	for i, c := range cookies {
		if _, err := m.Resolve(request(c)); !errors.Is(err, ticketstore.ErrNotFound) {
			t.Errorf("session %d: got %v, want ErrNotFound", i, err)
		}
	}
}

// Nobody notices SCRIPT FLUSH: a script that is not there is sent again.
func TestScriptFlush(t *testing.T) {
	server := redistest.Start(t)
	m, store := site(t, server.Addr, ticketstore.Config{})
	admin := redis.NewClient(redistest.Options(server.Addr))
	defer admin.Close()
	for i := range 2 {
		c := login(t, m, ticketstore.NewTicket("alice"))
		if _, err := m.Rotate(httptest.NewRecorder(), request(c), nil); err != nil {
			t.Errorf("Rotate: %v", err)
		}
		if n, err := store.RevokeAll(t.Context(), "alice"); n != 1 || err != nil {
			t.Errorf("RevokeAll: got %d, %v, want 1", n, err)
		}
		if err := admin.ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatalf("round %d: %v", i, err)
		}
	}
}

// The clients for cached reads are ones that a store takes, and whose cache
// works.
func TestCachedClients(t *testing.T) {
	one, store, err := cachedStore(redistest.Start(t).Addr, "default", "")
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	many, stores, err := cachedCluster(redistest.SharedCluster(t), "default", "")
	if err != nil {
		t.Fatal(err)
	}
	defer many.Close()
	for _, s := range []*ticketstore.RedisStore{store, stores} {
		warnings, err := s.Check(t.Context())
		if err != nil || slices.ContainsFunc(warnings, func(w string) bool { return !strings.Contains(w, "persistence: none") }) {
			t.Errorf("got %q, %v, want nothing but the missing persistence", warnings, err)
		}
		if m, err := ticketstore.NewManager(s, ticketstore.Config{CookieKeys: []ticketstore.CookieKey{{Hash: make([]byte, 32)}}}); err != nil {
			t.Error(err)
		} else if _, err := m.Resolve(request(login(t, m, ticketstore.NewTicket("alice")))); err != nil {
			t.Error(err)
		}
	}
}
