package aspnetcore_test

import (
	"testing"
	"time"
)

// Whoever signs out is out at both, and the cookie is worth nothing.
func testSignOut(t *testing.T, m meeting) {
	in := person(somebody())
	b, other := newBrowser(), newBrowser()
	b.signIn(t, m.signIn, in)
	other.signIn(t, m.asked, in)
	b.wantUser(t, in.subject(), m.sides()...)
	other.wantUser(t, in.subject(), m.sides()...)
	m.wantListed(t, in.subject(), 2)
	replay := b.tab()
	b.signOut(t, m.asked)
	m.wantCookie(t, b, 0)
	b.wantAnonymous(t, m.asked, m.other(m.asked))
	replay.wantAnonymous(t, m.other(m.asked), m.asked)
	replay.tab().wantAnonymous(t, m.asked, m.other(m.asked))
	other.wantUser(t, in.subject(), m.sides()...)
	if got := other.others(t, m.service); len(got) != 0 {
		t.Errorf("got other sessions %q, want none", got)
	}
}

// What is revoked on Go's page is out at both at its next request.
func testRevoke(t *testing.T, m meeting) {
	in := person(somebody())
	victim, other := newBrowser(), newBrowser()
	victim.signIn(t, m.signIn, in)
	if m.sessionStore == "usual" {
		victim.wantUser(t, in.subject(), m.golang) // or it is not listed
	}
	other.signIn(t, m.asked, in)
	ids := other.others(t, m.service)
	if len(ids) != 1 {
		t.Fatalf("got other sessions %q, want one", ids)
	}
	replay := victim.tab()
	other.revoke(t, m.service, ids[0])
	victim.wantAnonymous(t, m.asked, m.other(m.asked))
	replay.wantAnonymous(t, m.other(m.asked), m.asked)
	other.wantUser(t, in.subject(), m.sides()...)
	if got := other.others(t, m.service); len(got) != 0 {
		t.Errorf("got other sessions %q, want none", got)
	}
}

// A session whose key somebody has deleted in Redis is out at both, and the
// listing is repaired.
func testDeletedKey(t *testing.T, m meeting) {
	in := person(somebody())
	b, other := newBrowser(), newBrowser()
	b.signIn(t, m.signIn, in)
	other.signIn(t, m.signIn, in)
	b.wantUser(t, in.subject(), m.golang)
	other.wantUser(t, in.subject(), m.golang)
	m.wantListed(t, in.subject(), 2)
	if n, err := m.client.Del(t.Context(), m.instance+string(m.key(t, b))).Result(); err != nil || n != 1 {
		t.Fatalf("DEL: got %d, %v, want 1", n, err)
	}
	b.wantAnonymous(t, m.asked, m.other(m.asked))
	other.wantUser(t, in.subject(), m.sides()...)
	count := func() int64 {
		t.Helper()
		c, err := m.service.store.Count(m.ctx(t))
		if err != nil {
			t.Fatal(err)
		}
		return c.Sessions
	}
	before := count()
	m.wantListed(t, in.subject(), 1)
	if got := count(); got != before-1 {
		t.Errorf("got %d sessions counted once they were listed, want %d", got, before-1)
	}
}

// The buttons for several sessions end those that are listed: all, but those
// that the usual class has begun and Go has not seen.
func testRevokeSeveral(t *testing.T, w *world, signIn side) {
	for _, what := range []string{"others", "all"} {
		t.Run(what, func(t *testing.T) {
			in := person(somebody())
			browsers := make([]*browser, 4) // the caller, one that Go has seen, one that it has not, and another user
			for i := range browsers {
				browsers[i] = newBrowser()
				if i < 3 {
					browsers[i].signIn(t, signIn, in)
				}
			}
			browsers[3].signIn(t, signIn, person(in.subject()+"x"))
			for _, i := range []int{0, 1, 3} {
				browsers[i].wantUser(t, person(in.subject()+"x"[:i/3]).subject(), w.golang)
			}
			res, data := browsers[0].submitRevoke(t, w.service, what)
			if res.StatusCode != 303 {
				t.Fatalf("got %d %s, want 303", res.StatusCode, clip(string(data)))
			}
			if what == "all" {
				w.wantCookie(t, browsers[0], 0)
				browsers[0].wantAnonymous(t, w.sides()...)
			} else {
				browsers[0].wantUser(t, in.subject(), w.sides()...)
			}
			browsers[1].wantAnonymous(t, w.sides()...)
			if signIn == w.dotnet && w.sessionStore == "usual" {
				browsers[2].wantUser(t, in.subject(), w.sides()...)
			} else {
				browsers[2].wantAnonymous(t, w.sides()...)
			}
			browsers[3].wantUser(t, in.subject()+"x", w.sides()...)
		})
	}
}

// late are the ways to end a session while a request at the application has
// read its ticket and is about to renew it.
var late = []struct {
	name string
	end  func(t *testing.T, w *world, victim *browser, in signIn)

	// alive are the sides at which it is alive afterwards with the usual class,
	// in the order of asking. With ours it is dead at once.
	alive func(w *world) []side
}{
	// Go knows that it has ended it, and ends it for the application as well as
	// soon as it is asked.
	{"revoke", func(t *testing.T, w *world, _ *browser, in signIn) {
		other := newBrowser()
		other.signIn(t, w.golang, in)
		ids := other.others(t, w.service)
		if len(ids) != 1 {
			t.Fatalf("got other sessions %q, want one", ids)
		}
		other.revoke(t, w.service, ids[0])
		other.signOut(t, w.golang)
	}, func(w *world) []side { return []side{w.dotnet} }},
	{"signout-at-go", func(t *testing.T, w *world, victim *browser, _ signIn) {
		victim.tab().signOut(t, w.golang)
	}, func(w *world) []side { return []side{w.dotnet} }},

	// The application leaves nothing that Go could know it by.
	{"signout-at-dotnet", func(t *testing.T, w *world, victim *browser, _ signIn) {
		victim.tab().signOut(t, w.dotnet)
	}, func(w *world) []side { return w.sides() }},
}

func testLateRenewal(t *testing.T, w *world, signIn side) {
	for _, late := range late {
		t.Run(late.name, func(t *testing.T) {
			for _, first := range w.sides() {
				w.setClock(t, 0)
				in := person(somebody())
				victim := newBrowser()
				victim.signIn(t, signIn, in)
				if w.sessionStore == "usual" {
					victim.wantUser(t, in.subject(), w.golang) // or it is not listed
				}
				w.setClock(t, window/2+time.Minute)
				release := w.slow(t, victim.tab())
				late.end(t, w, victim, in)
				if status := release(); status != 200 {
					t.Errorf("the late request: got %d, want 200: it has read the ticket in time", status)
				}
				if w.sessionStore == "redis" {
					victim.wantAnonymous(t, first, w.other(first))
					w.wantListed(t, in.subject(), 0)
					continue
				}
				alive := late.alive(w)
				victim.wantUser(t, in.subject(), alive...)
				if len(alive) == 1 {
					w.wantListed(t, in.subject(), 0)
					victim.wantAnonymous(t, w.golang, w.dotnet)
				} else {
					victim.signOut(t, w.golang)
					victim.wantAnonymous(t, w.sides()...)
				}
				w.wantListed(t, in.subject(), 0)
			}
		})
	}
}
