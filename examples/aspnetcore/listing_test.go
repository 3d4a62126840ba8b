package aspnetcore_test

import (
	"strings"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/aspnetcore"
)

// A session that Go, or RedisTicketStore.cs, has begun is listed at once; one
// of the usual class once Go has seen it or Reindex has run.
func testListing(t *testing.T, w *world, signIn side) {
	want := 1
	if signIn == w.dotnet && w.sessionStore == "usual" {
		want = 0
	}
	in := person(somebody())
	b := newBrowser()
	b.signIn(t, signIn, in)
	w.wantListed(t, in.subject(), want)
	b.wantUser(t, in.subject(), w.dotnet)
	w.wantListed(t, in.subject(), want)
	b.wantUser(t, in.subject(), w.golang)
	w.wantListed(t, in.subject(), 1)

	unseen := newBrowser()
	unseen.signIn(t, signIn, in)
	w.wantListed(t, in.subject(), 1+want)
	var last aspnetcore.Reindexed
	done, err := w.service.store.Reindex(w.ctx(t), func(r aspnetcore.Reindexed) { last = r })
	if err != nil || done != last || done.Sessions == 0 || want == 0 && done.Added == 0 {
		t.Errorf("reindex: got %+v, %v behind progress %+v", done, err, last)
	}
	w.wantListed(t, in.subject(), 2)

	// What the page shows of a session: RedisTicketStore.cs writes the device
	// down, the usual class knows none.
	device, addr := "Firefox on Linux", "127.0.0.1"
	if want == 0 {
		device, addr = "Unknown device", ""
	}
	for _, r := range b.sessions(t, w.service) {
		if r.Device != device || r.Addr != addr || !r.SignedInAt.Equal(w.now()) {
			t.Errorf("got row %+v, want device %q at %q and a sign-in now", r, device, addr)
		}
	}

	// Ended by the application, it is gone from the list.
	unseen.signOut(t, w.dotnet)
	w.wantListed(t, in.subject(), 1)
	b.signOut(t, w.dotnet)
	w.wantListed(t, in.subject(), 0)
}

// At the cap of Go the oldest sign-in ends, whoever has begun it, at both.
func testCap(t *testing.T, w *world, signIn side) {
	for _, refuse := range []bool{false, true} {
		cfg := w.config()
		cfg.store.MaxSessions, cfg.store.RefuseNew = 2, refuse
		capped := startService(t, w.client, w.now, cfg).side()
		in := person(somebody())
		var browsers []*browser
		for i := range 2 {
			w.setClock(t, time.Duration(i)*2*time.Second) // sign-ins are told apart by the second
			b := newBrowser()
			b.signIn(t, signIn, in)
			b.wantUser(t, in.subject(), w.golang) // or it does not count
			browsers = append(browsers, b)
		}
		w.setClock(t, 4*time.Second)
		b := newBrowser()
		if refuse {
			if res, data := b.do(t, "POST", capped.base+"/signin", in); res.StatusCode != 503 || !strings.Contains(string(data), ticketstore.ErrTooManySessions.Error()) {
				t.Errorf("got %d %s, want %v", res.StatusCode, data, ticketstore.ErrTooManySessions)
			}
			browsers[0].wantUser(t, in.subject(), w.sides()...)
		} else {
			b.signIn(t, capped, in)
			b.wantUser(t, in.subject(), w.sides()...)
			browsers[0].wantAnonymous(t, w.sides()...)
		}
		browsers[1].wantUser(t, in.subject(), w.sides()...)
		w.wantListed(t, in.subject(), 2)
	}
}
