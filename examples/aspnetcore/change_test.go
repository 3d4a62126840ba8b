package aspnetcore_test

import (
	"testing"
	"time"
)

// Claims that one side has changed the other has at once; key and times stay.
func testChange(t *testing.T, m meeting) {
	in := person(somebody(), claim{Type: "department", Value: "books"}, claim{Type: "temp", Value: "x"}, claim{Type: roleClaim, Value: "member"})
	in.Items = map[string]string{"color": "blue"}
	b := newBrowser()
	b.signIn(t, m.signIn, in)
	tab := b.tab()
	before, key := b.mustBe(t, m.asked, in.subject()), m.key(t, b)
	items := ours(b.mustBe(t, m.dotnet, in.subject()))
	change := update{
		Set:    []claim{{Type: "department", Value: "tools"}},
		Add:    []claim{{Type: roleClaim, Value: "admin"}},
		Remove: []string{"temp"},
	}
	b.json(t, "POST", m.asked.base+"/update", change, nil)
	want := in
	want.Identities = person(in.subject(), claim{Type: roleClaim, Value: "member"}, claim{Type: "department", Value: "tools"}, claim{Type: roleClaim, Value: "admin"}).Identities
	for _, who := range []*browser{b, tab} {
		for _, s := range []side{m.other(m.asked), m.asked} {
			c := who.mustBe(t, s, in.subject())
			if d := difference(c.withoutTimes(), want.content()); d != "" {
				t.Errorf("%s: %s", s.name, d)
			}
			if !c.Issued.Equal(before.Issued) || !c.Expires.Equal(before.Expires) {
				t.Errorf("%s: got %v to %v, want %v to %v", s.name, c.Issued, c.Expires, before.Issued, before.Expires)
			}
		}
	}
	after := ours(b.mustBe(t, m.dotnet, in.subject()))
	for k, v := range items {
		if after[k] != v {
			t.Errorf("got item %s %q, want %q", k, after[k], v)
		}
	}
	if m.key(t, b) != key {
		t.Error("the key is another")
	}
	m.wantCookie(t, b, 1)
	m.wantListed(t, in.subject(), 1)
}

// hasClaim reports whether c has a claim in its first identity.
func (c *content) hasClaim(claimType string) bool {
	return valueOf(c.Identities[:1], claimType) != ""
}

// Nothing is lost that somebody has written between the reading and the writing
// of a change in Go; nor, by RedisTicketStore.cs, while ASP.NET Core renews.
func testChangeInBetween(t *testing.T, w *world, signIn side) {
	change := func(b *browser, s side, claimType string) {
		t.Helper()
		b.json(t, "POST", s.base+"/update", update{Add: []claim{{Type: claimType, Value: "x"}}}, nil)
	}
	for _, meanwhile := range w.sides() {
		t.Run("go-and-"+meanwhile.name, func(t *testing.T) {
			in := person(somebody())
			b := newBrowser()
			b.signIn(t, signIn, in)
			changes := 0
			f := func() {
				changes++
				change(b.tab(), meanwhile, "first")
			}
			w.service.meanwhile.Store(&f)
			change(b, w.golang, "second")
			if changes != 1 {
				t.Errorf("got %d changes in between, want 1", changes)
			}
			for _, s := range w.sides() {
				if c := b.mustBe(t, s, in.subject()); !c.hasClaim("first") || !c.hasClaim("second") {
					t.Errorf("%s: got claims %v, want first and second", s.name, lines(c))
				}
			}
		})
		t.Run("slow-and-"+meanwhile.name, func(t *testing.T) {
			w.setClock(t, 0)
			in := person(somebody())
			b := newBrowser()
			b.signIn(t, signIn, in)
			w.setClock(t, window/2+time.Minute)
			release := w.slow(t, b.tab())
			change(b, meanwhile, "first")
			if status := release(); status != 200 {
				t.Errorf("the slow request: got %d, want 200", status)
			}
			// With the usual class the last one to write wins.
			want := w.sessionStore == "redis"
			for _, s := range w.sides() {
				if got := b.mustBe(t, s, in.subject()).hasClaim("first"); got != want {
					t.Errorf("%s: got %t for the claim that was added, want %t", s.name, got, want)
				}
			}
		})
	}
}
