package aspnetcore_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore/internal/redistest"
)

// While Redis does not answer both answer 503, and nobody is signed out.
func TestOutage(t *testing.T) {
	t.Parallel()
	w := emptyWorld(t, "redis")
	server := redistest.Start(t)
	w.redis = server.Addr
	client := func(timeout time.Duration) *redis.Client {
		opt := redistest.Options(server.Addr)
		opt.ReadTimeout, opt.MaxRetries = timeout, -1
		c := redis.NewClient(opt)
		t.Cleanup(func() { c.Close() })
		return c
	}
	w.client = client(redistest.Patience)
	w.startApp(t)
	w.startService(t, w.config())
	// Whoever gives up soon is another pair on the same sessions.
	hasty := emptyWorld(t, "redis")
	hasty.redis, hasty.instance, hasty.keyList, hasty.start = w.redis, w.instance, w.keyList, w.start
	hasty.client = client(time.Second)
	hasty.startApp(t, "--Sessions:RedisTimeout=1000")
	hasty.startService(t, hasty.config())
	in := person(somebody())
	var browsers []*browser
	for _, s := range w.sides() {
		b := newBrowser()
		b.signIn(t, s, in)
		b.wantUser(t, in.subject(), w.sides()...)
		browsers = append(browsers, b)
	}
	for _, s := range hasty.sides() { // has the keys, as soon as the machine lets it
		for begin := time.Now(); time.Since(begin) < redistest.Patience; {
			if res, _ := browsers[0].do(t, "GET", s.base+"/me", nil); res.StatusCode == http.StatusOK {
				break
			}
		}
	}
	server.Pause()
	t.Cleanup(server.Resume)
	for _, s := range hasty.sides() {
		for _, path := range []string{"/me", "/signout"} {
			method := map[string]string{"/me": "GET", "/signout": "POST"}[path]
			if res, data := browsers[0].do(t, method, s.base+path, nil); res.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("%s: %s: got %d %s, want 503", s.name, path, res.StatusCode, clip(string(data)))
			}
			w.wantCookie(t, browsers[0], 1)
		}
	}
	server.Resume()
	// What was sent while Redis was paused it does now: a sign-out may have
	// taken effect. But for that, everybody is who they were.
	browsers[1].wantUser(t, in.subject(), w.sides()...)
	first := browsers[0].me(t, w.golang)
	if second := browsers[0].me(t, w.dotnet); (first == nil) != (second == nil) {
		t.Errorf("got %v at Go and %v at .NET, want the same", first, second)
	}
}
