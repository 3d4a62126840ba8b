package aspnetcore_test

import (
	"slices"
	"testing"
	"time"
)

const (
	identityCookie = ".AspNetCore.Identity.Application"
	securityStamp  = "AspNet.Identity.SecurityStamp"
	stampInterval  = 30 * time.Minute // SecurityStampValidatorOptions.ValidationInterval
	identityWindow = 14 * 24 * time.Hour
)

// ASP.NET Core Identity has a cookie of its own, of which it checks every 30
// minutes that the user's security stamp is still the one in the ticket.
func testIdentity(t *testing.T, w *world) {
	cfg := w.config()
	cfg.options.Scheme = "Identity.Application"
	cfg.options.ExpireTimeSpan = identityWindow
	golang := startService(t, w.client, w.now, cfg).side()
	dotnet := side{"dotnet", w.dotnet.base + "/id"}
	both := []side{golang, dotnet}
	signIn := func(t *testing.T, name string) *browser {
		t.Helper()
		b := newBrowser()
		if !b.json(t, "POST", dotnet.base+"/signin", map[string]any{"name": name, "password": "Secret-1"}, nil) {
			t.Fatal("the sign-in was refused")
		}
		return b
	}
	post := func(t *testing.T, b *browser, path string) {
		t.Helper()
		if !b.json(t, "POST", dotnet.base+path, nil, nil) {
			t.Fatalf("%s: got 401", path)
		}
	}
	same := func(t *testing.T, b *browser, subject string) *content {
		t.Helper()
		d, g := b.mustBe(t, dotnet, subject), b.mustBe(t, golang, subject)
		if diff := difference(g.canonical(), d.canonical()); diff != "" {
			t.Errorf("Go and .NET differ: %s", diff)
		}
		return g
	}

	t.Run("signin", func(t *testing.T) {
		w.setClock(t, 0)
		b := signIn(t, "alice")
		if got := same(t, b, "id-alice"); got.Name != "alice" || len(got.Roles) != 1 || got.Roles[0] != "member" || got.Scheme != "Identity.Application" {
			t.Errorf("got name %q, roles %q, scheme %q", got.Name, got.Roles, got.Scheme)
		}
		if got := len(b.cookies(identityCookie)); got != 1 {
			t.Errorf("got %d cookies, want 1", got)
		}
		b.wantAnonymous(t, w.sides()...) // of the other scheme
		b.signOut(t, golang)
		b.wantAnonymous(t, both...)
		b = signIn(t, "alice")
		b.wantUser(t, "id-alice", both...)
		b.signOut(t, dotnet)
		b.wantAnonymous(t, both...)
	})

	// Go's renewal puts off the check by half an hour at most once per week.
	t.Run("slide-and-stamp", func(t *testing.T) {
		w.setClock(t, 0)
		b := signIn(t, "alice")
		before := same(t, b, "id-alice")
		ahead := identityWindow/2 + time.Minute
		w.setClock(t, ahead)
		wantWindow(t, golang, b.mustBe(t, golang, "id-alice"), w.now(), identityWindow)
		same(t, b, "id-alice")
		w.setClock(t, ahead+stampInterval+time.Minute)
		b.wantUser(t, "id-alice", dotnet) // checks the stamp, and makes the claims anew
		after := same(t, b, "id-alice")
		first := &before.Identities[0]
		first.Claims = slices.DeleteFunc(first.Claims, func(c claim) bool { return c.Type == "amr" }) // of a sign-in alone
		if d := difference(after.withoutTimes(), before.withoutTimes()); d != "" {
			t.Errorf("after the check: %s", d)
		}
		wantWindow(t, golang, after, w.now(), identityWindow)

		post(t, newBrowser(), "/stamp?name=alice")
		b.wantUser(t, "id-alice", both...) // not yet
		w.setClock(t, ahead+2*stampInterval+2*time.Minute)
		b.wantUser(t, "id-alice", golang) // which knows of no stamp
		replay := b.tab()
		b.wantAnonymous(t, dotnet, golang)
		replay.wantAnonymous(t, golang, dotnet)
	})

	t.Run("refresh", func(t *testing.T) {
		w.setClock(t, 0)
		b := signIn(t, "alice")
		before := same(t, b, "id-alice")
		// What Go adds to the claims Identity makes anew, and drops; what it adds to
		// the items stays.
		b.json(t, "POST", golang.base+"/update", update{Add: []claim{{Type: "extra", Value: "x"}}}, nil)
		if got := same(t, b, "id-alice"); !got.hasClaim("extra") {
			t.Error("the claim that Go has added is not there")
		}
		post(t, b, "/stamp?name=alice")
		post(t, b, "/refresh?name=alice")
		after := same(t, b, "id-alice")
		if after.hasClaim("extra") {
			t.Error("the claim that Go has added is still there")
		}
		if stamp := valueOf(after.Identities, securityStamp); stamp == "" || stamp == valueOf(before.Identities, securityStamp) {
			t.Errorf("got security stamp %q, want a new one", stamp)
		}
		w.setClock(t, stampInterval+time.Minute)
		b.wantUser(t, "id-alice", both...)
	})

	// Go can sign in for Identity, if it gives the stamp that the user has.
	for _, test := range []struct {
		name  string
		stamp string
	}{{"go-signin", "STAMP-bob"}, {"go-signin-with-an-old-stamp", "OLD"}, {"go-signin-without-stamp", ""}} {
		t.Run(test.name, func(t *testing.T) {
			w.setClock(t, 0)
			in := person("id-bob")
			id := &in.Identities[0]
			id.AuthenticationType = new("Identity.Application")
			id.Claims[1].Value = "bob"
			if test.stamp != "" {
				id.Claims = append(id.Claims, claim{Type: securityStamp, Value: test.stamp})
			}
			b := newBrowser()
			b.signIn(t, golang, in)
			same(t, b, "id-bob")
			w.setClock(t, stampInterval+time.Minute)
			if test.stamp != "STAMP-bob" {
				b.wantAnonymous(t, dotnet, golang)
				return
			}
			b.wantUser(t, "id-bob", dotnet)
			if got := same(t, b, "id-bob"); len(got.Roles) != 1 || got.Roles[0] != "member" {
				t.Errorf("got roles %q, want those that Identity gives", got.Roles)
			}
			b.signOut(t, dotnet)
			b.wantAnonymous(t, both...)
		})
	}
}
