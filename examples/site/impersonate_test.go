package main

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

const reason = "Ticket 4711: the cart is empty"

// actAs has an operator's browser act as alice.
func (b *browser) actAs() screen {
	b.t.Helper()
	p := b.open("/operator/?subject=" + id("alice"))
	return b.wantActing(b.submit(p, ">Sign in as this user<", "reason", reason), "/", 200)
}

// wantActing checks that a page says who acts, and leads back.
func (b *browser) wantActing(p screen, path string, status int) screen {
	b.t.Helper()
	return b.want(p, path, status, `You, <bdi>Olivia Berg</bdi>, are signed in as <strong><bdi>Alice Martin</bdi></strong>`, reason, ">Back to yourself<")
}

func TestImpersonate(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		alice, olivia := w.browser(), w.browser()
		alice.signIn("alice")
		home := olivia.signIn("olivia")
		p := olivia.actAs()
		w.wantSessions("alice", 2)
		w.wantSessions("olivia", 1)
		for _, path := range []string{"/", "/account/sessions/", "/account/password"} {
			olivia.wantActing(olivia.open(path), path, 200)
		}
		olivia.wantActing(olivia.open("/nowhere"), "/nowhere", 404)
		alice.want(alice.open("/account/sessions/"), "/account/sessions/", 200, staff)

		// She has no rights but alice's, and none of what is alice's alone.
		olivia.wantActing(olivia.open("/operator/"), "/operator/", 403)
		form := olivia.open("/account/password")
		olivia.wantActing(olivia.submit(form, ">Change password<", "new", "quite another one"), "/account/password", 403)
		_, signOut := olivia.form(p, ">Sign out<")
		for _, what := range []string{"others", "all"} {
			signOut.Set("revoke", what)
			q := olivia.do("POST", w.site.URL+"/account/sessions/", signOut)
			olivia.wantActing(q, q.at.RequestURI(), 403)
		}
		w.wantSessions("alice", 2)
		olivia.wantActing(olivia.submit(home, ">Sign out<"), "/logout", 409) // opened as herself
		if _, ok := w.users.check("alice", demoPassword); !ok {
			t.Error("the password has changed")
		}

		olivia.want(olivia.submit(p, ">Back to yourself<"), "/operator/?subject="+id("alice"), 200, "Olivia Berg", "Alice Martin")
		w.wantSessions("alice", 1)
		w.wantSessions("olivia", 1)
		olivia.want(olivia.submit(form, ">Change password<", "new", "quite another one"), "/account/password", 409)
		olivia.want(olivia.submit(p, ">Back to yourself<"), "/back-to-myself", 409)
		olivia.wantUser("olivia")
	})
}

// staff is how a user's list says that a session is an operator's.
const staff = "staff"

func TestImpersonateRefused(t *testing.T) {
	w := newWorld(t, mini(t))
	seedWorld(w)
	b := w.browser()
	b.signIn("olivia")
	p := b.open("/operator/?subject=" + id("alice"))
	const as = ">Sign in as this user<"
	for _, none := range []string{"", " ", "two\nlines", strings.Repeat("x", 300)} {
		b.want(b.submit(p, as, "reason", none), "/operator/sign-in-as", 400, "Please give a reason", "Olivia Berg")
	}
	for _, login := range []string{"oscar", "olivia"} {
		if other := b.open("/operator/?subject=" + id(login)); strings.Contains(other.body, as) {
			t.Errorf("the page of %s, who is an operator, has a form to sign in as them", login)
		}
		b.want(b.submit(p, as, "reason", reason, "subject", id(login)), "/operator/sign-in-as", 403, "not as operators")
	}
	b.want(b.submit(p, as, "reason", reason, "subject", "nobody"), "/operator/sign-in-as", 403)
	w.advance(recently + time.Second)
	q := b.submit(p, as, "reason", reason)
	b.want(q, q.at.RequestURI(), 200, "Confirm that it is you", "Olivia Berg")
	if q.at.Path != "/login" {
		t.Errorf("got to %s, want /login", q.at)
	}
	w.wantSessions("alice", 2)
}

// The user changes the password: the operator is herself with the next page, and
// what she had filled in as the user is not done.
func TestImpersonatedUserChangesPassword(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		alice, olivia := w.browser(), w.browser()
		alice.signIn("alice")
		olivia.signIn("olivia")
		acting := olivia.actAs()
		form := olivia.open("/account/password")
		alice.want(alice.submit(alice.open("/account/password"), ">Change password<", "new", "quite another one"), "/account/password?changed", 200)
		w.wantSessions("alice", 1)
		p := olivia.submit(form, ">Change password<", "new", "a third password")
		olivia.want(p, "/account/password", 200, "Olivia Berg")
		if _, ok := w.users.check("olivia", demoPassword); !ok {
			t.Error("a form for alice has changed olivia's password")
		}
		w.wantSessions("olivia", 1)
		olivia.want(olivia.open("/account/password"), "/account/password", 200, "Olivia Berg")
		olivia.wantUser("olivia")
		olivia.want(olivia.submit(acting, ">Back to yourself<"), "/back-to-myself", 409)
		alice.wantUser("alice")
	})
}

func TestBackAfterUserSignedOut(t *testing.T) {
	w := newWorld(t, mini(t))
	olivia := w.browser()
	olivia.signIn("olivia")
	p := olivia.actAs()
	if _, err := w.store.RevokeAll(t.Context(), id("alice")); err != nil {
		t.Fatal(err)
	}
	olivia.want(olivia.submit(p, ">Back to yourself<"), "/operator/", 200, "Olivia Berg")
}

// All sessions of the operator are ended: so is what she does as alice.
func TestOperatorIsSignedOut(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		alice, olivia := w.browser(), w.browser()
		alice.signIn("alice")
		olivia.signIn("olivia")
		olivia.actAs()
		if n, err := w.store.RevokeAll(t.Context(), id("olivia")); err != nil || n != 1 {
			t.Fatalf("got %d, %v, want 1", n, err)
		}
		olivia.wantUser("")
		w.wantSessions("alice", 1)
		alice.wantUser("alice")
	})
}

// At a shared computer, one sign-out is enough.
func TestSignOutSignsBothOut(t *testing.T) {
	w := newWorld(t, mini(t))
	olivia := w.browser()
	olivia.signIn("olivia")
	olivia.want(olivia.submit(olivia.actAs(), ">Sign out<"), "/login", 200)
	olivia.wantUser("")
	w.wantSessions("alice", 0)
	w.wantSessions("olivia", 0)
}

func TestImpersonationEndsInAnHour(t *testing.T) {
	w := newWorld(t, mini(t))
	olivia := w.browser()
	olivia.signIn("olivia")
	olivia.actAs()
	for range 3 {
		w.advance(20*time.Minute - time.Second)
		olivia.wantActing(olivia.open("/"), "/", 200)
	}
	w.advance(10 * time.Second)
	olivia.wantUser("olivia")
}

// The cookie of the impersonated session opens nothing without the operator's.
func TestStolenCookie(t *testing.T) {
	w := newWorld(t, mini(t))
	olivia, thief := w.browser(), w.browser()
	olivia.signIn("olivia")
	olivia.actAs()
	stolen := &http.Cookie{Name: "__Host-site", Value: olivia.cookie("__Host-site"), Path: "/", Secure: true}
	if stolen.Value == "" {
		t.Fatal("there is no cookie to steal")
	}
	thief.http.Jar.SetCookies(mustParse(w.site.URL), []*http.Cookie{stolen})
	thief.wantUser("")
	olivia.wantActing(olivia.open("/"), "/", 200)
}
