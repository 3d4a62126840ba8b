package main

import (
	"context"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"golang.org/x/crypto/bcrypt"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/examples/site/demoprovider"
	"github.com/ticketstore/ticketstore/internal/clock"
	"github.com/ticketstore/ticketstore/internal/redistest"
	"github.com/ticketstore/ticketstore/tickettest"
)

func TestMain(m *testing.M) {
	logging.Disable()
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil)))
	os.Exit(redistest.Main(m))
}

// each runs the test on miniredis and, if redis-server is on the PATH, on that.
func each(t *testing.T, test func(t *testing.T, w *world)) {
	t.Run("miniredis", func(t *testing.T) { test(t, newWorld(t, redistest.StartMini(t).Addr())) })
	t.Run("redis", func(t *testing.T) {
		if _, err := exec.LookPath("redis-server"); err != nil && os.Getenv("CI") != "true" {
			t.Skip("redis-server is not on the PATH")
		}
		test(t, newWorld(t, redistest.Start(t).Addr))
	})
}

// A world is the site, its provider and its time.
type world struct {
	t              *testing.T
	site, provider *httptest.Server
	store          *ticketstore.RedisStore
	users          *users

	mu    sync.Mutex
	ahead time.Duration
}

func newWorld(t *testing.T, addr string) *world {
	t.Helper()
	client := redis.NewClient(redistest.Options(addr))
	t.Cleanup(func() { client.Close() })
	store, err := ticketstore.NewRedisStore(client, ticketstore.RedisConfig{History: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	people, err := newUsers(demoUsers, demoPassword, bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, store: store, users: people}
	var site, provider http.Handler // they know each other's address
	w.site = httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		site.ServeHTTP(rw, r.WithContext(w.ctx(r.Context())))
	}))
	w.provider = httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { provider.ServeHTTP(rw, r) }))
	t.Cleanup(w.provider.Close)
	cfg := config{
		url: w.site.URL, store: store, users: people, storeTimeout: redistest.Patience,
		provider: w.provider.URL, clientID: "site", clientSecret: "geheim", client: w.provider.Client(),
		cookieKey: random(32), csrfKey: random(32), flowKey: random(64),
	}
	if site, err = newApp(cfg); err != nil {
		t.Fatal(err)
	}
	provider = demoprovider.New(demoprovider.Config{
		Users: append(demoLogins(), "stranger"), ClientID: cfg.clientID, ClientSecret: cfg.clientSecret,
		RedirectURL: oauthConfig(cfg).RedirectURL, Now: w.now,
	})
	return w
}

// now is ahead of the time of day, and of Redis, by what advance has added.
func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.ahead)
}

func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ahead += d
}

func (w *world) ctx(ctx context.Context) context.Context {
	return clock.NewContext(clock.WithServer(ctx, time.Now), w.now)
}

func id(login string) string {
	for _, who := range demoUsers {
		if who.Login == login {
			return who.ID
		}
	}
	panic(login)
}

func (w *world) wantSessions(login string, want int) {
	w.t.Helper()
	sessions, err := w.store.Sessions(w.ctx(w.t.Context()), id(login))
	if err != nil || len(sessions) != want {
		w.t.Errorf("%s has %d sessions, want %d: %v", login, len(sessions), want, err)
	}
}

// A browser has a cookie jar, follows redirects, and says what browsers say.
type browser struct {
	*world
	http *http.Client
}

func (w *world) browser() *browser {
	return &browser{w, tickettest.Browser(w.t, w.site)}
}

// cookie returns the value of a cookie that the browser has for the site.
func (b *browser) cookie(name string) string {
	for _, c := range b.http.Jar.Cookies(mustParse(b.site.URL)) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// A screen is what the browser shows.
type screen struct {
	at     *url.URL
	status int
	body   string
}

func (b *browser) do(method, to string, form url.Values, header ...string) screen {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, to, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if method != "GET" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", r.URL.Scheme+"://"+r.URL.Host)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := b.http.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return screen{res.Request.URL, res.StatusCode, string(body)}
}

func (b *browser) open(path string) screen {
	b.t.Helper()
	return b.do("GET", b.site.URL+path, nil)
}

var (
	formTags  = regexp.MustCompile(`(?s)<form[^>]*>.*?</form>`)
	actions   = regexp.MustCompile(`<form[^>]* action="([^"]*)"`)
	hiddens   = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)
	tokenName = "gorilla.csrf.Token"
)

// form returns the form of p that has mark in it: where it goes, and its fields.
func (b *browser) form(p screen, mark string) (to string, fields url.Values) {
	b.t.Helper()
	for _, tag := range formTags.FindAllString(p.body, -1) {
		if !strings.Contains(tag, mark) {
			continue
		}
		to, fields := *p.at, url.Values{}
		if m := actions.FindStringSubmatch(tag); m != nil {
			u, err := p.at.Parse(html.UnescapeString(m[1]))
			if err != nil {
				b.t.Fatal(err)
			}
			to = *u
		}
		for _, m := range hiddens.FindAllStringSubmatch(tag, -1) {
			fields.Add(html.UnescapeString(m[1]), html.UnescapeString(m[2]))
		}
		return to.String(), fields
	}
	b.t.Fatalf("%s: no form has %q in it: %s", p.at, mark, p.body)
	return "", nil
}

// submit sends the form of p that has mark in it, with more fields, in pairs.
func (b *browser) submit(p screen, mark string, more ...string) screen {
	b.t.Helper()
	to, fields := b.form(p, mark)
	for i := 0; i < len(more); i += 2 {
		fields.Set(more[i], more[i+1])
	}
	return b.do("POST", to, fields, "Referer", p.at.String())
}

// want checks where the browser is, the status, and what the page says.
func (b *browser) want(p screen, path string, status int, texts ...string) screen {
	b.t.Helper()
	if got := p.at.RequestURI(); got != path || p.status != status {
		b.t.Fatalf("got to %s with %d, want %s with %d: %s", got, p.status, path, status, p.body)
	}
	for _, text := range texts {
		if !strings.Contains(html.UnescapeString(p.body), text) {
			b.t.Errorf("%s: want %q in it: %s", path, text, p.body)
		}
	}
	return p
}

const loginMark, confirmMark = ">Sign in</button>", ">Confirm</button>"

func (b *browser) signIn(login string) screen {
	b.t.Helper()
	p := b.submit(b.open("/login"), loginMark, "login", login, "password", demoPassword)
	who, _ := b.users.byLogin(login)
	return b.want(p, "/", 200, "Hello", who.Name)
}

// wantUser checks who is signed in; "" is nobody.
func (b *browser) wantUser(login string) {
	b.t.Helper()
	p := b.open("/")
	if login == "" {
		b.want(p, "/login?ReturnUrl=%2F", 200, "Sign in")
		return
	}
	who, _ := b.users.byLogin(login)
	b.want(p, "/", 200, "<h1>Hello, <bdi>"+who.Name+"</bdi></h1>")
}
