package aspnetcore_test

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// wantWindow checks that c was issued now and expires a window later.
func wantWindow(t testing.TB, s side, c *content, now time.Time, window time.Duration) {
	t.Helper()
	if c == nil {
		t.Fatalf("%s: got anonymous", s.name)
	}
	if !c.Issued.Equal(now) || c.Expires.Sub(c.Issued) != window {
		t.Errorf("%s: got a ticket from %v for %v, want from %v for %v", s.name, c.Issued, c.Expires.Sub(c.Issued), now, window)
	}
}

// ours returns the items of c that are the library's.
func ours(c *content) map[string]string {
	items := map[string]string{}
	for k, v := range c.Items {
		if strings.HasPrefix(k, "ticketstore.") {
			items[k] = v
		}
	}
	return items
}

// Use prolongs a session once half of its window is over, once, by the whole
// window. Key, cookie and everything else stay.
func testSlide(t *testing.T, m meeting) {
	in := person(somebody(), claim{Type: roleClaim, Value: "admin"})
	in.Items = map[string]string{"color": "blue", ".Token.access_token": "token", "empty": ""}
	b := newBrowser()
	b.signIn(t, m.signIn, in)
	first := b.mustBe(t, m.asked, in.subject()) // after it Go has indexed it
	wantWindow(t, m.asked, first, m.now(), window)
	itemsBefore := ours(b.mustBe(t, m.dotnet, in.subject()))
	key, before := m.key(t, b), m.record(t, b)

	m.setClock(t, window/2-time.Minute)
	b.mustBe(t, m.asked, in.subject())
	if got := m.record(t, b); got != before {
		t.Errorf("before half: got record %q, want it unchanged", got)
	}

	m.setClock(t, window/2+time.Minute)
	b.mustBe(t, m.asked, in.subject()) // .NET renews behind its answer
	renewed := m.record(t, b)
	if renewed == before {
		t.Fatal("past half: the ticket was not renewed")
	}
	for _, s := range m.sides() {
		c := b.mustBe(t, s, in.subject())
		wantWindow(t, s, c, m.now(), window)
		if d := difference(c.withoutTimes(), in.content()); d != "" {
			t.Errorf("past half: %s: %s", s.name, d)
		}
	}
	if got := m.record(t, b); got != renewed {
		t.Errorf("past half: the ticket was renewed again")
	}
	if got := m.key(t, b); got != key {
		t.Errorf("past half: the key is another")
	}

	// Our items: what a .NET renewal keeps, and what a Go renewal adds.
	items := ours(b.mustBe(t, m.dotnet, in.subject()))
	if m.asked == m.dotnet {
		if !maps.Equal(items, itemsBefore) {
			t.Errorf("renewed by .NET: got items %q, want %q", items, itemsBefore)
		}
		if m.signIn == m.golang {
			for _, key := range []string{"ticketstore.signedInAt", "ticketstore.authenticatedAt", "ticketstore.endsAt", "ticketstore.idleTimeout", "ticketstore.device.userAgent", "ticketstore.device.addr"} {
				if _, ok := items[key]; !ok {
					t.Errorf("renewed by .NET: the item %s is gone from %q", key, items)
				}
			}
		}
	} else {
		for k, v := range itemsBefore {
			if items[k] != v {
				t.Errorf("renewed by Go: got item %s %q, want %q", k, items[k], v)
			}
		}
	}
	session := b.mustBe(t, m.golang, in.subject()).Session
	switch {
	case m.signIn == m.dotnet && m.asked == m.dotnet && m.sessionStore == "usual":
		if !session.SignedInAt.Equal(session.IssuedAt) {
			t.Errorf("got a sign-in at %v, want .issued, %v: nobody has written it down", session.SignedInAt, session.IssuedAt)
		}
	case session.SignedInAt.Sub(first.Issued).Abs() > time.Second:
		t.Errorf("got a sign-in at %v, want %v", session.SignedInAt, first.Issued)
	}
	if m.signIn == m.golang && (session.Device.UserAgent != b.agent || session.Device.Addr.String() != "127.0.0.1") {
		t.Errorf("got device %v, want that of the sign-in", session.Device)
	}

	// And once more, at the other side.
	m.setClock(t, window+2*time.Minute)
	other := m.other(m.asked)
	b.mustBe(t, other, in.subject())
	for _, s := range m.sides() {
		wantWindow(t, s, b.mustBe(t, s, in.subject()), m.now(), window)
	}
	if got := m.key(t, b); got != key {
		t.Errorf("after two renewals: the key is another")
	}
	m.wantCookie(t, b, 1)
}

// A ticket with a window of its own slides by that, also where Go's window is
// longer.
func testSlideOwnWindow(t *testing.T, m meeting) {
	in := person(somebody())
	in.ExpiresUTC = new(m.now().Add(time.Hour))
	b := newBrowser()
	b.signIn(t, m.signIn, in)
	first := b.mustBe(t, m.asked, in.subject())
	if got := first.Expires.Sub(first.Issued); got < time.Hour-time.Second || got > time.Hour+time.Second {
		t.Fatalf("got a window of %v, want 1h", got)
	}
	own := first.Expires.Sub(first.Issued)
	m.setClock(t, 29*time.Minute)
	b.mustBe(t, m.asked, in.subject())
	if c := b.mustBe(t, m.asked, in.subject()); !c.Expires.Equal(first.Expires) {
		t.Errorf("before half: got expiry %v, want %v", c.Expires, first.Expires)
	}
	m.setClock(t, 31*time.Minute)
	b.mustBe(t, m.asked, in.subject())
	for _, s := range m.sides() {
		wantWindow(t, s, b.mustBe(t, s, in.subject()), m.now(), own)
	}
	// The other side goes on with the same window.
	m.setClock(t, 62*time.Minute)
	b.mustBe(t, m.other(m.asked), in.subject())
	for _, s := range m.sides() {
		wantWindow(t, s, b.mustBe(t, s, in.subject()), m.now(), own)
	}
	m.setClock(t, 62*time.Minute+own+time.Second)
	b.wantAnonymous(t, m.asked, m.other(m.asked))
}

// A window that is longer than Go's is Go's from its first renewal on; until
// then the application goes by its own. Go gives no longer one itself.
func testSlideLongerWindow(t *testing.T, w *world, signIn side) {
	in := person(somebody())
	in.ExpiresUTC = new(w.now().Add(3 * window))
	b := newBrowser()
	b.signIn(t, signIn, in)
	tab := newBrowser()
	tab.signIn(t, signIn, in)
	first := b.mustBe(t, w.dotnet, in.subject())
	want := 3 * window
	if signIn == w.golang {
		want = window
	}
	if got := first.Expires.Sub(first.Issued); (got - want).Abs() > time.Second {
		t.Errorf("got a window of %v, want %v", got, want)
	}
	w.setClock(t, window/2+time.Minute)
	b.wantUser(t, in.subject(), w.golang) // which renews it
	for _, s := range w.sides() {
		wantWindow(t, s, b.mustBe(t, s, in.subject()), w.now(), window)
	}
	w.setClock(t, window+time.Minute)
	tab.wantAnonymous(t, w.golang)
	if signIn == w.dotnet {
		tab.wantUser(t, in.subject(), w.dotnet)
	} else {
		tab.wantAnonymous(t, w.dotnet)
	}
}

// A ticket that must not be refreshed is not prolonged by either.
func testNoRefresh(t *testing.T, m meeting) {
	in := person(somebody())
	in.AllowRefresh = new(false)
	b := newBrowser()
	b.signIn(t, m.signIn, in)
	first := b.mustBe(t, m.asked, in.subject())
	for _, ahead := range []time.Duration{window/2 + time.Minute, window - time.Minute} {
		m.setClock(t, ahead)
		b.mustBe(t, m.asked, in.subject())
		for _, s := range m.sides() {
			if c := b.mustBe(t, s, in.subject()); c.Expires.Sub(first.Expires).Abs() > time.Second {
				t.Errorf("%v later: %s: got expiry %v, want %v", ahead, s.name, c.Expires, first.Expires)
			}
		}
	}
	m.setClock(t, window+time.Second)
	b.wantAnonymous(t, m.asked, m.other(m.asked))
}

// Without use a session ends, at either.
func testExpire(t *testing.T, m meeting) {
	in := person(somebody())
	b := newBrowser()
	b.signIn(t, m.signIn, in)
	tab := b.tab()
	b.wantUser(t, in.subject(), m.asked)
	m.setClock(t, window+2*time.Second)
	b.wantAnonymous(t, m.asked, m.other(m.asked))
	tab.wantAnonymous(t, m.other(m.asked), m.asked)
	m.wantListed(t, in.subject(), 0)
}

// Both renew a ticket at the same time: nothing is lost.
func testRenewedByBoth(t *testing.T, w *world, signIn side) {
	in := person(somebody())
	in.Items = map[string]string{"color": "blue"}
	b := newBrowser()
	b.signIn(t, signIn, in)
	key := w.key(t, b)
	w.setClock(t, window/2+time.Minute)
	release := w.slow(t, b)
	b.tab().wantUser(t, in.subject(), w.golang) // which renews it
	if status := release(); status != 200 {
		t.Errorf("the slow request: got %d, want 200", status)
	}
	for _, s := range w.sides() {
		c := b.mustBe(t, s, in.subject())
		wantWindow(t, s, c, w.now(), window)
		if d := difference(c.withoutTimes(), in.content()); d != "" {
			t.Errorf("%s: %s", s.name, d)
		}
	}
	if w.key(t, b) != key {
		t.Error("the key is another")
	}
	w.wantListed(t, in.subject(), 1)
}

// An end that Go has set holds in Go, however active; the application knows of
// it by RedisTicketStore.cs alone.
func testEndsAt(t *testing.T, w *world, signIn side) {
	in := person(somebody())
	b := newBrowser()
	b.signIn(t, signIn, in)
	b.json(t, "POST", w.golang.base+"/update", update{EndsAt: new(w.now().Add(time.Hour))}, nil)
	for _, s := range w.sides() {
		if c := b.mustBe(t, s, in.subject()); !c.Expires.Equal(w.now().Add(time.Hour)) {
			t.Errorf("%s: got expiry %v, want one in an hour", s.name, c.Expires)
		}
	}
	w.setClock(t, 40*time.Minute)
	b.wantUser(t, in.subject(), w.dotnet, w.golang)
	w.setClock(t, time.Hour+time.Minute)
	b.wantAnonymous(t, w.golang)
	if w.sessionStore == "usual" {
		b.wantUser(t, in.subject(), w.dotnet) // which has renewed it
		b.wantAnonymous(t, w.golang)
	} else {
		b.wantAnonymous(t, w.dotnet)
	}
	w.wantListed(t, in.subject(), 0)
}

// A crowd uses and changes one session at once, past half of its window.
func testCrowd(t *testing.T, w *world, signIn side) {
	in := person(somebody())
	b := newBrowser()
	b.signIn(t, signIn, in)
	b.wantUser(t, in.subject(), w.golang)
	w.setClock(t, window/2+time.Minute)
	var crowd sync.WaitGroup
	for i := range 5 {
		for _, s := range w.sides() {
			crowd.Go(func() {
				res, _, err := b.tab().try(t, "GET", s.base+"/me", nil)
				if err != nil || res.StatusCode != 200 {
					t.Errorf("%s: got %v, %v, want 200", s.name, res, err)
				}
			})
		}
		crowd.Go(func() {
			tab := b.tab()
			for {
				res, data, err := tab.try(t, "POST", w.golang.base+"/update", update{Add: []claim{{Type: fmt.Sprint("claim ", i), Value: "x"}}})
				if err != nil {
					t.Error(err)
				} else if res.StatusCode == http.StatusConflict {
					continue // others have changed it five times meanwhile
				} else if res.StatusCode != 200 {
					t.Errorf("update: got %d %s, want 200", res.StatusCode, data)
				}
				return
			}
		})
	}
	crowd.Wait()
	// A renewal gives way to a change in between: it may be due still.
	b.wantUser(t, in.subject(), w.sides()...)
	for _, s := range w.sides() {
		c := b.mustBe(t, s, in.subject())
		wantWindow(t, s, c, w.now(), window)
		for i := range 5 {
			if w.sessionStore == "redis" && !c.hasClaim(fmt.Sprint("claim ", i)) {
				t.Errorf("%s: claim %d is lost", s.name, i)
			}
		}
	}
	w.wantListed(t, in.subject(), 1)
}

// Where sliding is off in both, use prolongs nothing.
func TestNoSliding(t *testing.T) {
	t.Parallel()
	w := emptyWorld(t, "redis")
	w.startApp(t, "--Sessions:SlidingExpiration=false")
	cfg := w.config()
	cfg.options.NoSliding = true
	w.startService(t, cfg)
	for _, signIn := range w.sides() {
		for _, asked := range w.sides() {
			t.Run("signin="+signIn.name+"/asked="+asked.name, func(t *testing.T) {
				w.setClock(t, 0)
				in := person(somebody())
				b := newBrowser()
				b.signIn(t, signIn, in)
				b.wantUser(t, in.subject(), asked)
				before := w.record(t, b)
				for _, ahead := range []time.Duration{window/2 + time.Minute, window - 10*time.Second} {
					w.setClock(t, ahead)
					b.wantUser(t, in.subject(), asked, w.other(asked))
					if got := w.record(t, b); got != before {
						t.Errorf("%v later: got record %q, want it unchanged", ahead, got)
					}
				}
				w.setClock(t, window+time.Second)
				b.wantAnonymous(t, asked, w.other(asked))
			})
		}
	}
}
