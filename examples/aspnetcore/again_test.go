package aspnetcore_test

import (
	"encoding/json"
	"slices"
	"testing"
)

// Who signs in over a live session is the new user at both, with one cookie.
// ASP.NET Core goes on with the key, Go begins with a new one.
func testSignInAgain(t *testing.T, m meeting) {
	first := somebody()
	for _, test := range []struct{ name, first, second string }{
		{"as the same user", first, first},
		{"as another user", somebody(), somebody()},
	} {
		b := newBrowser()
		b.signIn(t, m.signIn, person(test.first))
		b.wantUser(t, test.first, m.golang) // or it is not listed
		old, key := b.tab(), m.key(t, b)
		b.signIn(t, m.asked, person(test.second, claim{Type: "again", Value: "yes"}))
		m.wantCookie(t, b, 1)
		b.wantUser(t, test.second, m.other(m.asked), m.asked)
		for _, s := range m.sides() {
			if !b.mustBe(t, s, test.second).hasClaim("again") {
				t.Errorf("%s: %s: got the claims of the first sign-in", test.name, s.name)
			}
		}
		m.wantListed(t, test.second, 1)
		if test.first != test.second {
			m.wantListed(t, test.first, 0)
		}
		if same := m.key(t, b) == key; same != (m.asked == m.dotnet) {
			t.Errorf("%s: got the same key %t, want %t", test.name, same, !same)
		}
		if m.asked == m.golang {
			old.wantAnonymous(t, m.sides()...)
		} else {
			old.wantUser(t, test.second, m.sides()...) // github.com/dotnet/aspnetcore/issues/47503
		}
		b.signOut(t, m.other(m.asked))
		m.wantCookie(t, b, 0)
		old.wantAnonymous(t, m.sides()...)
		m.wantListed(t, test.second, 0)
	}
}

// Who signs in with the cookie of a session that is over begins a new one.
func testSignInWithDeadCookie(t *testing.T, m meeting) {
	paths := []string{"/signin"}
	if m.asked == m.dotnet {
		paths = append(paths, "/signout-signin")
	}
	for _, path := range paths {
		for _, ended := range m.sides() {
			in := person(somebody())
			b := newBrowser()
			b.signIn(t, m.signIn, in)
			b.wantUser(t, in.subject(), m.sides()...)
			dead, key := b.tab(), m.key(t, b)
			b.tab().signOut(t, ended)
			if !b.json(t, "POST", m.asked.base+path, in, nil) {
				t.Fatalf("%s: %s was refused", m.asked.name, path)
			}
			m.wantCookie(t, b, 1)
			b.wantUser(t, in.subject(), m.other(m.asked), m.asked)
			dead.wantAnonymous(t, m.sides()...)
			if m.key(t, b) == key {
				t.Errorf("%s, ended by %s: the key is that of the old session", path, ended.name)
			}
			m.wantListed(t, in.subject(), 1)
		}
	}
}

// The application gives a session to another user by a change of its claims:
// Go knows the new one, and lists it.
func testRename(t *testing.T, w *world, signIn side) {
	in, renamed := person(somebody()), somebody()
	b := newBrowser()
	b.signIn(t, signIn, in)
	b.wantUser(t, in.subject(), w.sides()...)
	b.json(t, "POST", w.dotnet.base+"/update", update{Set: []claim{{Type: nameIdentifier, Value: renamed}}}, nil)
	b.wantUser(t, renamed, w.golang, w.dotnet)
	var subjects []string // before a listing repairs anything
	for subject, err := range w.service.store.Subjects(w.ctx(t)) {
		if err != nil {
			t.Fatal(err)
		}
		subjects = append(subjects, subject)
	}
	if !slices.Contains(subjects, renamed) || slices.Contains(subjects, in.subject()) {
		t.Errorf("got the subjects %q, want among them %s and not %s", subjects, renamed, in.subject())
	}
	w.wantListed(t, renamed, 1)
	w.wantListed(t, in.subject(), 0)
	// Go does not.
	res, data := b.do(t, "POST", w.golang.base+"/update", update{Set: []claim{{Type: nameIdentifier, Value: in.subject()}}})
	if res.StatusCode != 422 {
		t.Errorf("go: got %d %s, want 422", res.StatusCode, data)
	}
	b.wantUser(t, renamed, w.sides()...)
}

// A sign-out and a sign-in in one request at the application make a live
// session.
func testSignOutAndIn(t *testing.T, w *world, signIn side) {
	first := somebody()
	for _, test := range []struct{ name, first, second string }{
		{"as the same user", first, first},
		{"as another user", somebody(), somebody()},
	} {
		b := newBrowser()
		b.signIn(t, signIn, person(test.first))
		b.wantUser(t, test.first, w.golang)
		if !b.json(t, "POST", w.dotnet.base+"/signout-signin", person(test.second, claim{Type: "again", Value: "yes"}), nil) {
			t.Fatalf("%s: the sign-in was refused", test.name)
		}
		w.wantCookie(t, b, 1)
		for _, s := range []side{w.golang, w.dotnet, w.golang} {
			if c := b.me(t, s); c == nil || c.Subject != test.second || !c.hasClaim("again") {
				t.Errorf("%s: %s: got %v, want %s of the second sign-in", test.name, s.name, c, test.second)
			}
		}
		w.wantListed(t, test.second, 1)
		if test.first != test.second {
			w.wantListed(t, test.first, 0)
		}
		b.signOut(t, w.golang)
		b.wantAnonymous(t, w.sides()...)
	}
}

// Of two cookies of one name, as another path of the host can set one, both
// take the last. If they are of two users, Go takes neither.
func testTwoCookies(t *testing.T, w *world, signIn side) {
	user := somebody()
	users := []string{user, user, somebody()}
	var values []string
	for i, mark := range []string{"first", "second", "other"} {
		b := newBrowser()
		b.signIn(t, signIn, person(users[i], claim{Type: "mark", Value: mark}))
		values = append(values, cookieName+"="+b.cookies(cookieName)[0].Value)
	}
	for _, test := range []struct{ cookies, dotnet, golang string }{
		{values[0] + "; " + values[1], "second", "second"},
		{values[1] + "; " + values[0], "first", "first"},
		{values[0] + "; " + values[2], "other", ""},
		{cookieName + "=CfDJ8garbage; " + values[0], "first", "first"},
		{values[0] + "; " + cookieName + "=CfDJ8garbage", "", "first"},
	} {
		for _, s := range w.sides() {
			want := test.golang
			if s == w.dotnet {
				want = test.dotnet
			}
			res, data := newBrowser().do(t, "GET", s.base+"/me", nil, "Cookie", test.cookies)
			got := ""
			if res.StatusCode == 200 {
				var c content
				if err := json.Unmarshal(data, &c); err != nil {
					t.Fatal(err)
				}
				got = valueOf(c.Identities, "mark")
			}
			if got != want {
				t.Errorf("%s: %s: got the session %q, want %q", clip(test.cookies), s.name, got, want)
			}
		}
	}
}
