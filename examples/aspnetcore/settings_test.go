package aspnetcore_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/ticketstore/ticketstore/aspnetcore"
)

// With a wrong setting in Go everybody is anonymous, or the answer is 503, as
// README.md has it, and what is logged or answered names the setting. Nobody's
// cookie is deleted.
func testSettings(t *testing.T, w *world) {
	in := person(somebody())
	b := newBrowser()
	b.signIn(t, w.dotnet, in)
	another := w.keyList + "-another"
	pushKeys(t, w, another, newKey(t, algorithms()[0], w.now()))
	for _, test := range []struct {
		name   string
		edit   func(*serviceConfig)
		status int
		want   string // in the answer or the log; if empty, nothing is logged
	}{
		{"right", func(*serviceConfig) {}, 200, ""},
		{"application-name", func(c *serviceConfig) { c.options.ApplicationName = "Live" }, 401, "Options.ApplicationName"},
		{"no-application-name", func(c *serviceConfig) { c.options.ApplicationName = "" }, 401, "Options.ApplicationName"},
		{"scheme", func(c *serviceConfig) { c.options.Scheme, c.options.CookieName = "cookies", cookieName }, 401, "Options.Scheme"},
		{"scheme-and-cookie-name", func(c *serviceConfig) { c.options.Scheme = "cookies" }, 401, ""},
		{"key-list", func(c *serviceConfig) { c.keys.ListKey = w.keyList + "-none" }, 503, "KeyRingConfig.ListKey"},
		{"key-list-of-another", func(c *serviceConfig) { c.keys.ListKey = another }, 401, "KeyRingConfig.ListKey"},
		{"no-key-list", func(c *serviceConfig) { c.keys.ListKey = w.instance + string(w.key(t, b)) }, 503, "KeyRingConfig.ListKey"},
		{"instance-name", func(c *serviceConfig) { c.store.InstanceName = "x" + w.instance }, 401, ""},
		{"prefix", func(c *serviceConfig) { c.store.Prefix = "Session-" }, 401, ""},
		{"subject-claim", func(c *serviceConfig) { c.store.Serializer = aspnetcore.Serializer{SubjectClaim: "sub"} }, 401, "SubjectClaim"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := w.config()
			test.edit(&cfg)
			s := startService(t, w.client, w.now, cfg)
			res, data := b.do(t, "GET", s.url+"/go/me", nil)
			said := string(data) + s.log.String()
			if res.StatusCode != test.status {
				t.Errorf("got %d %s, want %d", res.StatusCode, clip(said), test.status)
			}
			switch {
			case test.want == "" && s.log.String() != "":
				t.Errorf("got log %s, want none", s.log)
			case !strings.Contains(said, test.want):
				t.Errorf("got %s, want it to name %s", said, test.want)
			}
			w.wantCookie(t, b, 1)
			b.wantUser(t, in.subject(), w.sides()...)
		})
	}
}

// Something else at a session's key in Redis is no session, and the log says
// where to look.
func testKeyOfAnotherType(t *testing.T, w *world, signIn side) {
	in := person(somebody())
	b := newBrowser()
	b.signIn(t, signIn, in)
	name := w.instance + string(w.key(t, b))
	if err := w.client.Set(t.Context(), name, "x", 0).Err(); err != nil {
		t.Fatal(err)
	}
	s := startService(t, w.client, w.now, w.config())
	b.wantAnonymous(t, s.side())
	if !strings.Contains(s.log.String(), "check InstanceName and Prefix") {
		t.Errorf("got log %s, want it to name InstanceName and Prefix", s.log)
	}
	if res, data := b.do(t, "GET", w.dotnet.base+"/me", nil); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("dotnet: got %d %s, want 503", res.StatusCode, clip(string(data)))
	}
	// A sign-in takes its place, and ends it.
	old := b.tab()
	b.signIn(t, w.golang, in)
	b.wantUser(t, in.subject(), w.sides()...)
	old.wantAnonymous(t, w.sides()...)
}
