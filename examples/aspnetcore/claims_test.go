package aspnetcore_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// A shape is a ticket of which both sides must say the same. Types that have a
// default are spelled out: TestDifferences is about those that are not.
type shape struct {
	name string
	in   func(subject string) signIn
}

var shapes = []shape{
	{"plain", func(s string) signIn { return person(s, claim{Type: roleClaim, Value: "admin"}) }},
	{"persistent", func(s string) signIn {
		in := person(s)
		in.Persistent = true
		return in
	}},
	{"roles", func(s string) signIn {
		in := person(s, claim{Type: roleClaim, Value: "a"}, claim{Type: roleClaim, Value: ""}, claim{Type: roleClaim, Value: "a"},
			claim{Type: "groups", Value: "no role"}, claim{Type: "role", Value: "no role either"})
		in.Identities = append(in.Identities, identity{
			AuthenticationType: new("directory"), NameClaimType: new("sn"), RoleClaimType: new("groups"),
			Claims: []claim{{Type: "groups", Value: "staff"}, {Type: "sn", Value: "second"}, {Type: roleClaim, Value: "no role here"}},
		})
		return in
	}},
	{"identities", func(s string) signIn {
		in := person(s)
		for i := range 5 {
			in.Identities = append(in.Identities, identity{
				AuthenticationType: new(fmt.Sprint("type ", i)), NameClaimType: new("n"), RoleClaimType: new("r"),
				Claims: []claim{{Type: nameIdentifier, Value: "of a later identity"}, {Type: "n", Value: fmt.Sprint(i)}},
			})
		}
		in.Identities = append(in.Identities, identity{AuthenticationType: new("empty"), NameClaimType: new("n"), RoleClaimType: new("r")})
		return in
	}},
	{"no-name", func(s string) signIn {
		in := person(s)
		in.Identities[0].Claims = in.Identities[0].Claims[:1]
		return in
	}},
	{"default-types", func(s string) signIn { // of .NET, and of Go
		in := person(s, claim{Type: "name", Value: "short"}, claim{Type: "role", Value: "short"})
		in.Identities[0].NameClaimType, in.Identities[0].RoleClaimType = new("name"), new("role")
		in.Identities[0].AuthenticationType = new("Cookies")
		return in
	}},
	{"odd-types", func(s string) signIn {
		return person(s, claim{Type: "", Value: ""}, claim{Type: "", Value: "of no type"}, claim{Type: " ", Value: " \t\r\n "},
			claim{Type: "Type", Value: "1"}, claim{Type: "type", Value: "2"}, claim{Type: strings.Repeat("t", 2000), Value: "long"},
			claim{Type: "http://x/ä ö?q=1#f", Value: "URL"}, claim{Type: "日本", Value: "x"}, claim{Type: "x", Value: "\x00"}, claim{Type: "\x00x", Value: "a\x00b"})
	}},
	{"value-types", func(s string) signIn {
		return person(s, claim{Type: "a", Value: "1", ValueType: new("http://www.w3.org/2001/XMLSchema#integer")},
			claim{Type: "b", Value: "true", ValueType: new("http://www.w3.org/2001/XMLSchema#boolean")},
			claim{Type: "c", Value: "x", ValueType: new(stringType)}, claim{Type: "d", Value: "{}", ValueType: new("JSON")},
			claim{Type: "e", Value: "x", ValueType: new("ünï")})
	}},
	{"issuers", func(s string) signIn {
		return person(s, claim{Type: "a", Value: "1", Issuer: new("https://issuer.example")},
			claim{Type: "b", Value: "2", Issuer: new("https://issuer.example"), OriginalIssuer: new("https://issuer.example")},
			claim{Type: "c", Value: "3", Issuer: new("https://issuer.example"), OriginalIssuer: new("origin")},
			claim{Type: "d", Value: "4", Issuer: new(localAuthority), OriginalIssuer: new("origin")},
			claim{Type: "e", Value: "5", Issuer: new("https://issuer.example"), OriginalIssuer: new(localAuthority)},
			claim{Type: "f", Value: "6", Issuer: new(localAuthority), OriginalIssuer: new(localAuthority)},
			claim{Type: "g", Value: "7", Issuer: new("local authority")})
	}},
	{"properties", func(s string) signIn {
		return person(s, claim{Type: "a", Value: "1", Properties: map[string]string{"": "", " ": " ", "k": "v", "ключ": "значение 🗝", "long": strings.Repeat("v", 5000)}},
			claim{Type: "b", Value: "2", Properties: map[string]string{"http://schemas.xmlsoap.org/ws/2005/05/identity/claimproperties/ShortTypeName": "sub"}})
	}},
	{"actor", func(s string) signIn {
		in := person(s)
		in.Identities[0].Actor = &identity{
			AuthenticationType: new("delegate"), NameClaimType: new("n"), RoleClaimType: new("r"), BootstrapContext: new("its token"),
			Claims: []claim{{Type: nameIdentifier, Value: "the actor"}, {Type: "r", Value: "no role of the user"}},
		}
		return in
	}},
	{"actors-8-deep", func(s string) signIn {
		in := person(s)
		id := &in.Identities[0]
		for i := range 7 {
			id.Actor = &identity{
				AuthenticationType: new("a"), NameClaimType: new("n"), RoleClaimType: new("r"),
				Claims: []claim{{Type: "depth", Value: fmt.Sprint(i + 2), Properties: map[string]string{"p": "v"}}},
			}
			id = id.Actor
		}
		return in
	}},
	{"bootstrap", func(s string) signIn {
		in := person(s)
		in.Identities[0].BootstrapContext = new("eyJhbGciOiJub25lIn0.\n" + strings.Repeat("x", 4000) + "é")
		return in
	}},
	{"unicode", func(s string) signIn {
		in := person(s, claim{Type: "emoji", Value: "👩🏽‍🚀🇵🇹"}, claim{Type: "rtl", Value: "مرحبا \u202eabc"}, claim{Type: "combining", Value: "e\u0301 é"},
			claim{Type: "edges", Value: "\u007f\u0080\u07ff\u0800\uffff\ufffd\ufeff\U00010000\U0010ffff"}, claim{Type: "html", Value: `<script>"&'</script>`})
		in.Items = map[string]string{"ünï 🎫": "ключ 🗝"}
		return in
	}},
	{"lengths", func(s string) signIn { // around those at which a length takes one byte more
		in := person(s)
		for _, n := range []int{0, 1, 127, 128, 129, 16383, 16384, 20000} {
			in.Identities[0].Claims = append(in.Identities[0].Claims, claim{Type: fmt.Sprint(n), Value: strings.Repeat("v", n)})
		}
		return in
	}},
	{"many-claims", func(s string) signIn {
		in := person(s)
		for i := range 500 {
			in.Identities[0].Claims = append(in.Identities[0].Claims, claim{Type: fmt.Sprint("claim ", i%10), Value: fmt.Sprint("value ", i)})
		}
		return in
	}},
	{"items", func(s string) signIn {
		in := person(s)
		in.Items = map[string]string{
			"": "of no key", " ": "", "a=b": "c", "Case": "1", "case": "2", "ticketstore": "not ours", "Ticketstore.x": "nor this",
			".redirect": "/a?b=c", ".Token.access_token": strings.Repeat("t", 2000), ".TokenNames": "access_token;refresh_token", "lines": "a\r\nb\n",
		}
		return in
	}},
	{"refresh", func(s string) signIn {
		in := person(s)
		in.AllowRefresh = new(true)
		return in
	}},
}

// What is signed in at one side the other gives again to the letter, also
// after it has renewed the ticket.
func testClaims(t *testing.T, m meeting) {
	for _, shape := range shapes {
		t.Run(shape.name, func(t *testing.T) {
			m.setClock(t, 0)
			in := shape.in(somebody())
			b, want := newBrowser(), in.content()
			b.signIn(t, m.signIn, in)
			check := func(when string, s side) {
				t.Helper()
				got := b.me(t, s)
				if got == nil {
					t.Fatalf("%s: %s: got anonymous, want %s", when, s.name, want.Subject)
				}
				if d := difference(got.withoutTimes(), want); d != "" {
					t.Errorf("%s: %s: %s", when, s.name, d)
				}
			}
			check("signed in", m.asked)
			check("signed in", m.other(m.asked))
			before := b.mustBe(t, m.asked, want.Subject)
			m.setClock(t, window/2+time.Minute)
			b.mustBe(t, m.asked, want.Subject) // which renews it
			check("renewed", m.asked)
			check("renewed", m.other(m.asked))
			if after := b.mustBe(t, m.asked, want.Subject); !after.Expires.After(before.Expires) {
				t.Errorf("renewed: got expiry %v, want one after %v", after.Expires, before.Expires)
			}
		})
	}
}

// What the two sides do not say in the same way, as the package comment of
// aspnetcore has it.
func testDifferences(t *testing.T, w *world) {
	type pair struct{ dotnet, golang *content }
	for _, test := range []struct {
		name string
		at   side
		in   func(subject string) signIn
		edit func(want pair) // both are what signIn.content says
	}{
		// ClaimsIdentity has defaults of its own for what is missing.
		{"dotnet-default-types", w.dotnet, func(s string) signIn {
			in := person(s)
			in.Identities[0].NameClaimType, in.Identities[0].RoleClaimType = nil, nil
			return in
		}, func(want pair) {
			for _, c := range []*content{want.dotnet, want.golang} {
				c.Identities[0].NameClaimType, c.Identities[0].RoleClaimType = new(nameClaim), new(roleClaim)
				c.Name = valueOf(c.Identities, nameClaim)
			}
		}},
		// What is empty in Go is filled in for .NET.
		{"go-empty-types", w.golang, func(s string) signIn {
			in := person(s, claim{Type: "name", Value: "n"}, claim{Type: "role", Value: "r"})
			in.Identities[0].AuthenticationType, in.Identities[0].NameClaimType, in.Identities[0].RoleClaimType = nil, nil, nil
			return in
		}, func(want pair) {
			id := &want.dotnet.Identities[0]
			id.AuthenticationType, id.NameClaimType, id.RoleClaimType = new("Cookies"), new("name"), new("role")
		}},
		{"go-empty-types-of-an-actor", w.golang, func(s string) signIn {
			in := person(s)
			in.Identities[0].Actor = &identity{Claims: []claim{{Type: "a", Value: "1"}}}
			return in
		}, func(want pair) {
			*want.dotnet.Identities[0].Actor = identity{
				AuthenticationType: new("Cookies"), NameClaimType: new("name"), RoleClaimType: new("role"), BootstrapContext: new(""),
				Claims: want.dotnet.Identities[0].Actor.Claims,
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w.setClock(t, 0)
			in := test.in(somebody())
			b, want := newBrowser(), pair{in.content(), in.content()}
			test.edit(want)
			b.signIn(t, test.at, in)
			for _, ahead := range []time.Duration{0, window/2 + time.Minute} { // at first, and renewed
				w.setClock(t, ahead)
				b.me(t, w.other(test.at))
				if d := difference(b.mustBe(t, w.dotnet, in.subject()).withoutTimes(), want.dotnet); d != "" {
					t.Errorf("%v later: dotnet: %s", ahead, d)
				}
				if d := difference(b.mustBe(t, w.golang, in.subject()).withoutTimes(), want.golang); d != "" {
					t.Errorf("%v later: go: %s", ahead, d)
				}
			}
		})
	}
	t.Run("types-ignore-case", func(t *testing.T) {
		w.setClock(t, 0)
		in := person(somebody(), claim{Type: strings.ToUpper(roleClaim), Value: "admin"})
		b := newBrowser()
		b.signIn(t, w.dotnet, in)
		if got := b.mustBe(t, w.dotnet, in.subject()).Roles; len(got) != 1 {
			t.Errorf("dotnet: got roles %q, want admin", got)
		}
		if got := b.mustBe(t, w.golang, in.subject()).Roles; len(got) != 0 {
			t.Errorf("go: got roles %q, want none", got)
		}
	})
	// An identity that .NET has left without a type is of the scheme once Go has
	// written it.
	t.Run("dotnet-identity-without-type", func(t *testing.T) {
		w.setClock(t, 0)
		in := person(somebody())
		in.Identities = append(in.Identities, identity{NameClaimType: new("n"), RoleClaimType: new("r"), Claims: []claim{{Type: "n", Value: "x"}}})
		b := newBrowser()
		b.signIn(t, w.dotnet, in)
		typeOf := func(s side) string { return text(b.mustBe(t, s, in.subject()).Identities[1].AuthenticationType, "") }
		if got := [2]string{typeOf(w.dotnet), typeOf(w.golang)}; got != [2]string{} {
			t.Errorf("signed in: got types %q, want none", got)
		}
		w.setClock(t, window/2+time.Minute)
		typeOf(w.golang) // which renews it
		if got := [2]string{typeOf(w.dotnet), typeOf(w.golang)}; got != [2]string{"Cookies", ""} {
			t.Errorf("renewed by Go: got types %q, want Cookies for .NET alone", got)
		}
	})
	// .NET knows the subject by a claim, Go by a field.
	t.Run("go-without-subject-claim", func(t *testing.T) {
		w.setClock(t, 0)
		b, subject := newBrowser(), somebody()
		b.json(t, "POST", w.golang.base+"/signin?subject="+subject, signIn{}, nil)
		if got := b.mustBe(t, w.golang, subject).Identities; got != nil {
			t.Errorf("go: got identities %v, want none", got)
		}
		got := b.mustBe(t, w.dotnet, subject).withoutTimes()
		want := &content{Scheme: "Cookies", Identities: []identity{{
			AuthenticationType: new("Cookies"), NameClaimType: new("name"), RoleClaimType: new("role"),
			Claims: []claim{{Type: nameIdentifier, Value: subject}},
		}}}
		if d := difference(got, want.derive().canonical()); d != "" {
			t.Errorf("dotnet: %s", d)
		}
	})
}

// What .NET may sign in and Go refuses to read: whoever it is is anonymous in
// Go, and the log says why. RedisTicketStore.cs refuses a ticket without a
// subject at sign-in.
func testRefused(t *testing.T, w *world) {
	for _, test := range []struct {
		name   string
		edit   func(*signIn)
		log    string
		signIn bool // also with RedisTicketStore.cs
	}{
		{"no-subject", func(in *signIn) { in.Identities[0].Claims = in.Identities[0].Claims[1:] }, "SubjectClaim", false},
		{"actors-9-deep", func(in *signIn) {
			for range 8 {
				in.Identities[0] = identity{
					AuthenticationType: new("a"), NameClaimType: new(nameClaim), RoleClaimType: new(roleClaim),
					Claims: in.Identities[0].Claims, Actor: new(in.Identities[0]),
				}
			}
		}, "more than 8 deep", true},
		{"item-of-ours", func(in *signIn) { in.Items = map[string]string{"ticketstore.x": "y"} }, "ticketstore.x", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			w.setClock(t, 0)
			in := person(somebody())
			test.edit(&in)
			b := newBrowser()
			if !test.signIn && w.sessionStore == "redis" {
				if res, data := b.do(t, "POST", w.dotnet.base+"/signin", in); res.StatusCode != 500 || len(b.cookies(cookieName)) > 0 {
					t.Errorf("got %d %s, want 500 and no cookie", res.StatusCode, clip(string(data)))
				}
				return
			}
			b.signIn(t, w.dotnet, in)
			s := startService(t, w.client, w.now, w.config())
			b.wantAnonymous(t, s.side())
			if !strings.Contains(s.log.String(), test.log) {
				t.Errorf("got log %s, want it to say %q", s.log, test.log)
			}
			b.wantUser(t, in.subject(), w.dotnet)
			w.wantCookie(t, b, 1)
		})
	}
}
