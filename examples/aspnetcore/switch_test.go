package aspnetcore_test

import (
	"testing"
	"time"
)

// An application changes from the usual class to RedisTicketStore.cs, and back:
// everybody stays signed in at both, and can be renewed and signed out.
func TestSwitch(t *testing.T) {
	t.Parallel()
	w := emptyWorld(t, "")
	w.startService(t, w.config())
	in := person(somebody())
	var browsers []*browser
	for i, sessionStore := range []string{"usual", "redis", "usual"} {
		t.Run(sessionStore, func(t *testing.T) {
			w.sessionStore = sessionStore
			w.startApp(t) // in place of the one before
			w.setClock(t, time.Duration(i)*(window/2+time.Minute))
			for _, b := range browsers {
				b.wantUser(t, in.subject(), w.sides()[i%2]) // which renews it
				for _, s := range w.sides() {
					c := b.mustBe(t, s, in.subject())
					wantWindow(t, s, c, w.now(), window)
					if d := difference(c.withoutTimes(), in.content()); d != "" {
						t.Errorf("%s: %s", s.name, d)
					}
				}
				w.wantCookie(t, b, 1)
			}
			for _, s := range w.sides() {
				b, out := newBrowser(), newBrowser()
				b.signIn(t, s, in)
				b.wantUser(t, in.subject(), w.sides()...)
				out.signIn(t, s, in)
				out.wantUser(t, in.subject(), w.sides()...)
				out.signOut(t, w.other(s))
				out.wantAnonymous(t, w.sides()...)
				browsers = append(browsers, b)
			}
			w.wantListed(t, in.subject(), len(browsers))
			if i < 2 {
				return
			}
			for i, b := range browsers {
				old := b.tab()
				b.signOut(t, w.sides()[i%2])
				old.wantAnonymous(t, w.sides()...)
			}
			w.wantListed(t, in.subject(), 0)
		})
	}
}
