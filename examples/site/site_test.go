package main

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore/internal/redistest"
)

func TestSignIn(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		b := w.browser()
		p := b.want(b.open("/account/password"), "/login?ReturnUrl=%2Faccount%2Fpassword", 200)
		for _, wrong := range [][]string{
			{"login", "alice", "password", "wrong"}, {"login", "nobody", "password", demoPassword}, {"login", "alice", "password", ""},
		} {
			b.want(b.submit(p, loginMark, wrong...), "/login", 400, "User name or password is wrong.")
		}
		w.wantSessions("alice", 0)
		p = b.want(b.submit(p, loginMark, "login", "alice", "password", demoPassword), "/account/password", 200, "Alice Martin")
		b.want(b.open("/login"), "/", 200)
		b.want(b.open("/nowhere"), "/nowhere", 404, "There is no such page", "Alice Martin")
		b.want(b.submit(p, ">Sign out<"), "/login", 200)
		b.wantUser("")
		w.wantSessions("alice", 0)
		p = b.open("/login?ReturnUrl=https%3A%2F%2Fevil.example%2F")
		b.want(b.submit(p, loginMark, "login", "bob", "password", demoPassword, "remember", "on"), "/", 200)
		sessions, err := w.store.Sessions(t.Context(), id("bob"))
		if err != nil || len(sessions) != 1 || !sessions[0].Persistent || sessions[0].Scheme != "password" {
			t.Errorf("got %+v, %v, want one that stays", sessions, err)
		}
	})
}

// changes are the paths that change something.
var changes = []string{"/login", "/logout", "/account/password", "/account/sessions/", "/operator/"}

func TestToken(t *testing.T) {
	w := newWorld(t, mini(t))
	b, other := w.browser(), w.browser()
	other.signIn("bob")
	p := b.signIn("olivia")
	_, fields := b.form(p, ">Sign out<")
	_, others := other.form(other.open("/"), ">Sign out<")
	send := func(path, token string, header ...string) {
		t.Helper()
		form := url.Values{asField: fields[asField], "revoke": {"all"}, "subject": {id("bob")}, "new": {"quite another one"}}
		if token != "" {
			form.Set(tokenName, token)
		}
		b.want(b.do("POST", w.site.URL+path, form, header...), path, 403, "This form has expired", "Olivia Berg")
	}
	for _, path := range changes {
		send(path, "")
		send(path, "x")
		send(path, others.Get(tokenName))
		send(path, fields.Get(tokenName), "Origin", "https://evil.example")
		send(path, fields.Get(tokenName), "Origin", "null")
		send(path, fields.Get(tokenName), "Origin", "http"+strings.TrimPrefix(w.site.URL, "https"))
	}
	b.wantUser("olivia")
	other.wantUser("bob")
	if _, ok := w.users.check("olivia", demoPassword); !ok {
		t.Error("the password has changed")
	}
	b.want(b.submit(p, ">Sign out<"), "/login", 200) // the token was good
}

// Every form that changes something has what protectForms asks for.
func TestForms(t *testing.T) {
	w := newWorld(t, mini(t))
	seedWorld(w)
	b := w.browser()
	p := b.open("/login")
	check := func(p screen) {
		t.Helper()
		n := 0
		for _, tag := range formTags.FindAllString(p.body, -1) {
			if !strings.Contains(tag, `method="post"`) {
				continue
			}
			n++
			if strings.Count(tag, `name="`+tokenName+`"`) != 1 || strings.Count(tag, `name="`+asField+`"`) != 1 {
				t.Errorf("%s: got %s, want one token, and who it is for", p.at, tag)
			}
		}
		if n == 0 {
			t.Errorf("%s: no form: %s", p.at, p.body)
		}
	}
	check(p)
	b.signIn("olivia")
	for _, path := range []string{
		"/", "/account/password", "/account/sessions/", "/account/sessions/?sure=all", "/operator/", "/operator/?subject=" + id("alice"), "/nowhere",
		"/login?reauth=1", "/operator/?ended=all", "/operator/?device=edge&these=preview",
		"/operator/?subject=" + id("alice") + "&sure=all", "/operator/?find=ar", "/account/sessions/nowhere",
	} {
		p := b.open(path)
		b.want(p, path, p.status, "Olivia Berg", "Marginalia")
		check(p)
	}
}

// In another tab, the browser has become somebody else.
func TestFormOfSomebodyElse(t *testing.T) {
	w := newWorld(t, mini(t))
	b := w.browser()
	login := b.open("/login")
	p := b.want(b.open("/login"), "/login", 200)
	b.signIn("alice")
	alices := b.open("/account/password")
	b.want(b.submit(p, loginMark, "login", "bob", "password", demoPassword), "/login", 409, "out of date", "Alice Martin")
	b.submit(b.open("/"), ">Sign out<")
	b.want(b.submit(login, loginMark, "login", "bob", "password", demoPassword), "/", 200, "Bob Fischer")
	b.want(b.submit(alices, ">Change password<", "new", "quite another one"), "/account/password", 409, "out of date")
	for _, login := range []string{"alice", "bob"} {
		if _, ok := w.users.check(login, demoPassword); !ok {
			t.Errorf("the password of %s has changed", login)
		}
	}
}

// A form whose session has ended leads to the login page, which says so.
func TestFormOfEndedSession(t *testing.T) {
	w := newWorld(t, mini(t))
	b := w.browser()
	b.signIn("alice")
	p := b.open("/account/password")
	if _, err := w.store.RevokeAll(t.Context(), id("alice")); err != nil {
		t.Fatal(err)
	}
	p = b.want(b.submit(p, ">Change password<", "new", "quite another one"),
		"/login?ReturnUrl=%2Faccount%2Fpassword&ended=1", 200, "Your session had ended")
	b.want(b.submit(p, loginMark, "login", "alice", "password", demoPassword), "/account/password", 200)
}

// An outage signs nobody out, and looks like the rest of the site.
func TestOutage(t *testing.T) {
	server := redistest.StartMini(t)
	w := newWorld(t, server.Addr())
	b, anonymous := w.browser(), w.browser()
	p := b.signIn("alice")
	server.SetError("ERR out of order")
	for _, path := range []string{"/", "/account/password", "/account/sessions/", "/nowhere"} {
		b.want(b.open(path), path, 503, "Please try again", "Marginalia", `href="`+path+`"`)
	}
	b.want(b.submit(p, ">Sign out<"), "/logout", 503, "Please try again")
	q := anonymous.want(anonymous.open("/login"), "/login", 200)
	anonymous.want(anonymous.submit(q, loginMark, "login", "bob", "password", demoPassword), "/login", 503, "Please try again")
	server.SetError("")
	b.wantUser("alice")
	anonymous.wantUser("")
}

func TestChangePassword(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		const changed = "quite another one"
		laptop, phone := w.browser(), w.browser()
		laptop.signIn("alice")
		phone.signIn("alice")
		key := laptop.cookie("__Host-site")
		p := laptop.open("/account/password")
		laptop.want(laptop.submit(p, ">Change password<", "new", "too short"), "/account/password", 400, "too short")
		laptop.want(laptop.submit(p, ">Change password<", "new", strings.Repeat("ö", 40)), "/account/password", 400, "too long")
		phone.wantUser("alice")
		laptop.want(laptop.submit(p, ">Change password<", "new", changed), "/account/password?changed", 200, "has been changed")
		phone.wantUser("")
		laptop.wantUser("alice")
		if now := laptop.cookie("__Host-site"); key == "" || now == "" || now == key {
			t.Errorf("got the cookie %q, then %q, want another: somebody may have the old one", key, now)
		}
		p = phone.open("/login")
		phone.want(phone.submit(p, loginMark, "login", "alice", "password", demoPassword), "/login", 400)
		phone.want(phone.submit(p, loginMark, "login", "alice", "password", changed), "/", 200)
		w.wantSessions("alice", 2)
	})
}

func TestConfirm(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		b := w.browser()
		b.signIn("alice")
		w.advance(recently + time.Second)
		p := b.open("/account/password")
		p = b.want(b.submit(p, ">Change password<", "new", "quite another one"),
			"/login?ReturnUrl=%2Faccount%2Fpassword&reauth=1", 200, "Confirm that it is you", "Signed in as", "Alice Martin")
		if _, ok := w.users.check("alice", demoPassword); !ok {
			t.Error("the password has changed")
		}
		b.want(b.submit(p, confirmMark, "password", "wrong"), "/login", 400, "That password is wrong.", "Signed in as")
		// Whatever the form says, it is alice who confirms.
		if err := w.users.setPassword(id("bob"), "bob's own password"); err != nil {
			t.Fatal(err)
		}
		b.want(b.submit(p, confirmMark, "login", "bob", "password", "bob's own password"), "/login", 400)
		p = b.want(b.submit(p, confirmMark, "password", demoPassword), "/account/password", 200)
		b.want(b.submit(p, ">Change password<", "new", "quite another one"), "/account/password?changed", 200)
		w.wantSessions("alice", 1)
		w.wantSessions("bob", 0)
	})
}

func TestDevices(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		seedWorld(w)
		b := w.browser()
		b.signIn("alice")
		p := b.open("/account/sessions/")
		b.want(p, "/account/sessions/", 200, "Safari on iPhone", "Lisbon, Portugal", "Porto, Portugal", "This computer", // here
			"Recently", "Vigo, Spain", `aria-current="page">Devices`, "Marginalia")
		w.wantSessions("alice", 3)
		p = b.want(b.open("/account/sessions/?sure=others"), "/account/sessions/?sure=others", 200, "Alice Martin")
		b.want(b.submit(p, `value="others"`, "revoke", "others"), "/account/sessions/?done=others", 200, "have been signed out")
		w.wantSessions("alice", 1)
		p = b.open("/account/sessions/?sure=all")
		b.want(b.submit(p, `value="all"`, "revoke", "all"), "/account/sessions/?done=all", 200, "Marginalia")
		w.wantSessions("alice", 0)
		b.wantUser("")
	})
}

func TestOperator(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		seedWorld(w)
		alice, b := w.browser(), w.browser()
		p := alice.signIn("alice")
		if strings.Contains(p.body, "/operator/") {
			t.Error("alice is shown the way to the operators' pages")
		}
		_, form := alice.form(p, ">Sign out<")
		form.Set("subject", id("bob"))
		form.Set("revoke", "all")
		form.Set("reason", "none")
		for _, path := range []string{"/operator/", "/operator/sign-in-as", "/operator/?subject=" + id("bob")} {
			alice.want(alice.do("POST", w.site.URL+path, form), path, 403, "for operators")
		}
		alice.want(alice.open("/operator/"), "/operator/", 403, "This page is for operators")
		w.wantSessions("bob", 2)
		b.signIn("olivia")
		b.want(b.open("/operator/"), "/operator/", 200, "Daniel Okafor", "Edge on Windows", "Vigo, Spain", `aria-current="page">Sessions`)
		b.want(b.open("/operator/?find=fisch"), "/operator/?subject="+id("bob"), 200, "Bob Fischer", "Chrome on Android")
		b.want(b.open("/operator/?find=ar"), "/operator/?find=ar", 200, "Alice Martin", "Chiara Rossi")
		p = b.open("/operator/?subject=" + id("bob") + "&sure=all")
		b.submit(p, `value="all"`, "revoke", "all")
		w.wantSessions("bob", 0)
		w.wantSessions("alice", 3)
	})
}

func TestStaticFiles(t *testing.T) {
	b := newWorld(t, mini(t)).browser()
	b.want(b.open("/static/site.css"), "/static/site.css", 200, "color-scheme")
	b.want(b.open("/static/"), "/login?ReturnUrl=%2Fstatic%2F", 200) // no list of them
}
