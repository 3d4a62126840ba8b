package browsertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/clock"
	"github.com/ticketstore/ticketstore/internal/redistest"
)

const livePage = `<!doctype html>
<html lang="en">
<head><title>Live</title><link rel="icon" href="data:,"></head>
<body><p id="said">Connecting</p>
<script>
	const said = document.getElementById("said"), source = new EventSource("/events");
	source.addEventListener("hello", () => said.textContent = "Here");
	source.addEventListener("signed-out", () => { source.close(); said.textContent = "You have been signed out"; });
</script></body>
</html>
`

// newLiveSite returns one of the processes of a site, as docs/recipes-requests.md has it
// under "Server-sent events".
func newLiveSite(t *testing.T, mini *miniredis.Miniredis, passed *atomic.Int64, history time.Duration) string {
	t.Helper()
	client := redis.NewClient(redistest.Options(mini.Addr()))
	t.Cleanup(func() { client.Close() })
	store, err := ticketstore.NewRedisStore(client, ticketstore.RedisConfig{History: history})
	if err != nil {
		t.Fatal(err)
	}
	m, err := ticketstore.NewManager(store, ticketstore.Config{
		CookieKeys: []ticketstore.CookieKey{{Hash: bytes.Repeat([]byte("h"), 32)}}, StoreTimeout: redistest.Patience,
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, r *http.Request) {
		if err := m.SignIn(w, r, ticketstore.NewTicket("alice")); err != nil {
			t.Error(err)
		}
		io.WriteString(w, "in")
	})
	mux.HandleFunc("GET /others", func(w http.ResponseWriter, r *http.Request) {
		n, err := m.RevokeOthers(r)
		fmt.Fprint(w, n, " ", err)
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, livePage)
	})
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
		live, err := m.Live(r)
		if err != nil {
			t.Error(err)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		send := func(event string) {
			fmt.Fprintf(w, "event: %s\ndata: \n\n", event)
			http.NewResponseController(w).Flush()
		}
		send("hello")
		if <-live.Done(); errors.Is(context.Cause(live), ticketstore.ErrNotFound) {
			send("signed-out")
		}
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := clock.NewContext(r.Context(), func() time.Time { return now.Add(time.Duration(passed.Load())) })
		m.Wrap(mux).ServeHTTP(w, r.WithContext(ctx))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// The phone's page is told when the laptop signs the phone out by another
// process: at once where that publishes what ends; at the next reading, half a
// minute later, where it does not.
func TestLiveInChromium(t *testing.T) {
	mini := miniredis.RunT(t)
	mini.SetTime(now)
	var passed atomic.Int64
	here := newLiveSite(t, mini, &passed, time.Hour)
	phone := newBrowser(t, here, iphone)
	for _, tt := range []struct {
		name    string
		history time.Duration
	}{{"told", time.Hour}, {"not told", 0}} {
		t.Run(tt.name, func(t *testing.T) {
			phone.t = t
			laptop := newBrowser(t, newLiveSite(t, mini, &passed, tt.history), linux)
			phone.open("/login")
			phone.open("/")
			phone.waitText("Here")
			laptop.open("/login")
			laptop.open("/others")
			laptop.wantText("<nil>")
			begun := time.Now()
			if tt.history == 0 {
				phone.wantText("Here")
				passed.Add(int64(30 * time.Second))
			}
			phone.waitText("You have been signed out")
			t.Logf("the page says so after %v", time.Since(begun).Round(time.Millisecond))
		})
	}
}

// waitText waits until the page says text.
func (b *browser) waitText(text string) {
	b.t.Helper()
	eval[bool](b, fmt.Sprintf(`new Promise(done => (function look() {
		document.body.innerText.includes(%q) ? done(true) : setTimeout(look, 10)
	})())`, text))
}
