package aspnetcore

import (
	"bytes"
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore"
)

const reads = "id" // the session ID of what the tests read

// fullTicket has something in every field.
func fullTicket() *ticketstore.Ticket {
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	return &ticketstore.Ticket{
		ID:      reads,
		Subject: "alice@example.com",
		Scheme:  "Cookies",
		Identities: []ticketstore.Identity{
			{
				AuthenticationType: "pwd",
				NameClaimType:      "name",
				RoleClaimType:      "roles",
				BootstrapContext:   "token",
				Claims: []ticketstore.Claim{
					{Type: "name", Value: "Alice <Ä>"},
					{Type: nameIdentifier, Value: "alice@example.com"},
					{Type: "roles", Value: "admin", ValueType: "string", Issuer: "idp", OriginalIssuer: "ad", Properties: map[string]string{"k": "v", "empty": ""}},
					{},
				},
				Actor: &ticketstore.Identity{
					Claims: []ticketstore.Claim{{Type: "name", Value: "bob"}, {Type: "role", Value: "robot"}},
					Actor:  &ticketstore.Identity{NameClaimType: defaultNameType, RoleClaimType: defaultRoleType},
				},
			},
			{AuthenticationType: "mfa"},
		},
		Properties:      map[string]string{"theme": "dark", ".redirect": "/", ".refresh": "False", ".Token.access_token": "x", "": "\x00"},
		Device:          ticketstore.Device{UserAgent: "curl/8", Addr: netip.MustParseAddr("192.0.2.1")},
		SeenFrom:        ticketstore.Device{UserAgent: "curl/9", Addr: netip.MustParseAddr("2001:db8::1")},
		SignedInAt:      at,
		AuthenticatedAt: at.Add(-8 * time.Hour),
		IssuedAt:        at.Add(time.Minute),
		ExpiresAt:       at.Add(time.Hour),
		EndsAt:          at.Add(12 * time.Hour),
		IdleTimeout:     90 * time.Second,
		Links:           []string{"sid 1", "https://idp.example {ä}"},
		LinkedAt:        at.Add(-2 * time.Second),
		Persistent:      true,
	}
}

func mustSerialize(t testing.TB, s Serializer, tk *ticketstore.Ticket) []byte {
	t.Helper()
	b, err := s.Serialize(tk)
	if err != nil {
		t.Fatalf("%+v: %v", tk, err)
	}
	return b
}

func mustWire(t testing.TB, b []byte) *wireTicket {
	t.Helper()
	w, err := readTicket(b)
	if err != nil {
		t.Fatalf("%x: %v", b, err)
	}
	return w
}

func TestRoundTrip(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for name, change := range map[string]func(*ticketstore.Ticket){
		"every field":         func(*ticketstore.Ticket) {},
		"subject only":        func(tk *ticketstore.Ticket) { *tk = ticketstore.Ticket{ID: reads, Subject: "bob"} },
		"scheme only":         func(tk *ticketstore.Ticket) { *tk = ticketstore.Ticket{ID: reads, Subject: "bob", Scheme: "x"} },
		"no subject claim":    func(tk *ticketstore.Ticket) { tk.Identities[0].Claims = tk.Identities[0].Claims[:1] },
		"no claims":           func(tk *ticketstore.Ticket) { tk.Identities[0].Claims = nil },
		"an empty identity":   func(tk *ticketstore.Ticket) { tk.Identities = []ticketstore.Identity{{}} },
		"two empty ones":      func(tk *ticketstore.Ticket) { tk.Identities = make([]ticketstore.Identity, 2) },
		"subject in the last": func(tk *ticketstore.Ticket) { slices.Reverse(tk.Identities) },
		"never issued":        func(tk *ticketstore.Ticket) { tk.IssuedAt = time.Time{} },
		"never authenticated": func(tk *ticketstore.Ticket) { tk.AuthenticatedAt = time.Time{} },
		"never signed in":     func(tk *ticketstore.Ticket) { tk.SignedInAt = time.Time{} },
		"no end":              func(tk *ticketstore.Ticket) { tk.EndsAt = time.Time{} },
		"no expiry":           func(tk *ticketstore.Ticket) { tk.ExpiresAt = time.Time{} },
		"no times": func(tk *ticketstore.Ticket) {
			tk.SignedInAt, tk.AuthenticatedAt, tk.IssuedAt, tk.ExpiresAt, tk.EndsAt = time.Time{}, time.Time{}, time.Time{}, time.Time{}, time.Time{}
		},
		"for the session":      func(tk *ticketstore.Ticket) { tk.Persistent = false },
		"a millisecond":        func(tk *ticketstore.Ticket) { tk.IdleTimeout = time.Millisecond },
		"address with zone":    func(tk *ticketstore.Ticket) { tk.Device.Addr = netip.MustParseAddr("fe80::1%eth0") },
		"old":                  func(tk *ticketstore.Ticket) { tk.SignedInAt = time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC) },
		"far":                  func(tk *ticketstore.Ticket) { tk.EndsAt = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) },
		"ends when it expires": func(tk *ticketstore.Ticket) { tk.ExpiresAt, tk.EndsAt = at, at },
	} {
		want := fullTicket()
		change(want)
		b := mustSerialize(t, Serializer{}, want)
		got, err := Serializer{}.Deserialize(reads, b)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, want)
		}
		if again := mustSerialize(t, Serializer{}, want); !bytes.Equal(again, b) {
			t.Errorf("%s: got %x, want the same bytes each time: %x", name, again, b)
		}
	}
}

// What .NET finds is what an application that signs in there would write.
func TestWritten(t *testing.T) {
	want := &wireTicket{
		scheme: "Cookies",
		identities: []wireIdentity{
			{
				authenticationType: "pwd", nameType: "name", roleType: "roles", bootstrapContext: "token",
				claims: []wireClaim{
					{"name", "Alice <Ä>", defaultValueType, defaultIssuer, defaultIssuer, nil},
					{nameIdentifier, "alice@example.com", defaultValueType, defaultIssuer, defaultIssuer, nil},
					{"roles", "admin", "string", "idp", "ad", []pair{{"empty", ""}, {"k", "v"}}},
					{"", "", defaultValueType, defaultIssuer, defaultIssuer, nil},
				},
				actor: &wireIdentity{
					authenticationType: "Cookies", nameType: "name", roleType: "role",
					claims: []wireClaim{
						{"name", "bob", defaultValueType, defaultIssuer, defaultIssuer, nil},
						{"role", "robot", defaultValueType, defaultIssuer, defaultIssuer, nil},
					},
					actor: &wireIdentity{authenticationType: "Cookies", nameType: defaultNameType, roleType: defaultRoleType, claims: []wireClaim{}},
				},
			},
			{authenticationType: "mfa", nameType: "name", roleType: "role", claims: []wireClaim{}},
		},
		items: []pair{
			{"", "\x00"},
			{".Token.access_token", "x"},
			{".redirect", "/"},
			{".refresh", "False"},
			{"theme", "dark"},
			{"ticketstore.authenticatedAt", "2026-03-03T21:06:07Z"},
			{"ticketstore.device.addr", "192.0.2.1"},
			{"ticketstore.device.userAgent", "curl/8"},
			{"ticketstore.endsAt", "2026-03-04T17:06:07Z"},
			{"ticketstore.filled", ",tnr,t,nr"},
			{"ticketstore.idleTimeout", "1m30s"},
			{"ticketstore.linkedAt", "2026-03-04T05:06:05Z"},
			{"ticketstore.links", "sid 1\nhttps://idp.example {ä}"},
			{"ticketstore.seenFrom.addr", "2001:db8::1"},
			{"ticketstore.seenFrom.userAgent", "curl/9"},
			{"ticketstore.signedInAt", "2026-03-04T05:06:07Z"},
			{".persistent", ""},
			{".issued", "Wed, 04 Mar 2026 05:07:07 GMT"},
			{".expires", "Wed, 04 Mar 2026 06:06:07 GMT"},
		},
	}
	if got := mustWire(t, mustSerialize(t, Serializer{}, fullTicket())); !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v, want\n%+v", got, want)
	}
}

func TestSubjectIsAdded(t *testing.T) {
	s := Serializer{SubjectClaim: "sub"}
	tk := ticketstore.NewTicket("alice")
	tk.Scheme = "Cookies"
	want := wireIdentity{authenticationType: "Cookies", nameType: "name", roleType: "role",
		claims: []wireClaim{{"sub", "alice", defaultValueType, defaultIssuer, defaultIssuer, nil}}}
	if got := mustWire(t, mustSerialize(t, s, tk)).identities; !reflect.DeepEqual(got, []wireIdentity{want}) {
		t.Errorf("no identity: got %+v, want %+v", got, want)
	}
	tk = fullTicket()
	got := mustWire(t, mustSerialize(t, s, tk)).identities[0].claims
	if last := got[len(got)-1]; len(got) != 5 || last.claimType != "sub" || last.value != tk.Subject {
		t.Errorf("another type: got %+v, want the subject last", got)
	}
	if len(tk.Identities[0].Claims) != 4 {
		t.Errorf("the argument has changed: %+v", tk.Identities[0])
	}
}

// A claim that .NET has changed or moved since is no longer ours to take out,
// and the ticket can still be written.
func TestChangedByDotNet(t *testing.T) {
	plain := Serializer{}.claimOf("alice")
	issued := plain
	issued.issuer, issued.originalIssuer = "idp", "idp"
	carol := Serializer{}.claimOf("carol")
	for name, test := range map[string]struct {
		change  func(*wireTicket)
		subject string
		claims  int // of all identities
	}{
		"nothing":        {func(*wireTicket) {}, "alice", 0},
		"type renamed":   {func(w *wireTicket) { w.identities[0].authenticationType = "Identity.Application" }, "alice", 0},
		"user changed":   {func(w *wireTicket) { w.identities[0].claims = []wireClaim{carol} }, "carol", 0},
		"issuer":         {func(w *wireTicket) { w.identities[0].claims = []wireClaim{issued} }, "alice", 1},
		"claim behind":   {func(w *wireTicket) { w.identities[0].claims = []wireClaim{plain, {claimType: "x"}} }, "alice", 2},
		"twice":          {func(w *wireTicket) { w.identities[0].claims = []wireClaim{issued, plain} }, "alice", 2},
		"another before": {func(w *wireTicket) { w.identities[0].claims = []wireClaim{carol, plain} }, "carol", 2},
		"identity added": {func(w *wireTicket) { w.identities = append(w.identities, wireIdentity{claims: []wireClaim{carol}}) }, "alice", 2},
		"actor added":    {func(w *wireTicket) { w.identities[0].actor = &wireIdentity{} }, "alice", 1},
		"identity replaced": {func(w *wireTicket) {
			w.identities = []wireIdentity{{authenticationType: "x"}, {claims: []wireClaim{plain}}}
		}, "alice", 1},
	} {
		tk := ticketstore.NewTicket("alice")
		tk.Scheme = "Cookies"
		w := mustWire(t, mustSerialize(t, Serializer{}, tk))
		test.change(w)
		b, err := w.bytes()
		if err != nil {
			t.Fatal(err)
		}
		got, err := Serializer{}.Deserialize(reads, b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		claims := 0
		for _, id := range got.Identities {
			claims += len(id.Claims)
		}
		if got.Subject != test.subject || claims != test.claims {
			t.Errorf("%s: got subject %s and %d claims, want %s and %d", name, got.Subject, claims, test.subject, test.claims)
		}
		mustSerialize(t, Serializer{}, got)
	}
}

func TestRefreshAndSignIn(t *testing.T) {
	const (
		issued  = "Wed, 04 Mar 2026 05:07:07 GMT"
		expires = "Wed, 04 Mar 2026 06:06:07 GMT"
	)
	issuedAt, _ := parseDate(issued)
	expiresAt, _ := parseDate(expires)
	other := time.Date(2026, 3, 4, 7, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		items          []pair
		signedIn, ends time.Time
	}{
		"no item":           {nil, issuedAt, time.Time{}},
		"refresh":           {[]pair{{".refresh", "True"}}, issuedAt, time.Time{}},
		"no refresh":        {[]pair{{".refresh", " false\x00"}}, issuedAt, expiresAt},
		"unknown refresh":   {[]pair{{".refresh", "no"}}, issuedAt, time.Time{}},
		"our end":           {[]pair{{".refresh", "False"}, {itemEndsAt, "2026-03-04T07:00:00Z"}}, issuedAt, other},
		"our absent end":    {[]pair{{itemEndsAt, ""}, {".refresh", "False"}}, issuedAt, time.Time{}},
		"our sign-in":       {[]pair{{itemSignedInAt, "2026-03-04T07:00:00Z"}}, other, time.Time{}},
		"our absent signin": {[]pair{{itemSignedInAt, ""}}, time.Time{}, time.Time{}},
	} {
		for _, items := range [][]pair{append([]pair{{itemIssued, issued}, {itemExpires, expires}}, test.items...), append(slices.Clone(test.items), pair{itemExpires, expires}, pair{itemIssued, issued})} {
			got, err := readItems(t, items...)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if !got.SignedInAt.Equal(test.signedIn) || !got.EndsAt.Equal(test.ends) {
				t.Errorf("%s: got SignedInAt %v, EndsAt %v, want %v, %v", name, got.SignedInAt, got.EndsAt, test.signedIn, test.ends)
			}
			if got.Properties[".refresh"] == "" && strings.Contains(name, "refresh") {
				t.Errorf("%s: .refresh is lost", name)
			}
		}
	}
}

// From Go's first renewal on, SignedInAt no longer moves with .issued.
func TestSignedInAtIsWrittenDown(t *testing.T) {
	tk, err := readItems(t, pair{itemIssued, "Wed, 04 Mar 2026 05:07:07 GMT"})
	if err != nil {
		t.Fatal(err)
	}
	want := tk.SignedInAt
	tk.IssuedAt = tk.IssuedAt.Add(time.Hour)
	got, err := Serializer{}.Deserialize(reads, mustSerialize(t, Serializer{}, tk))
	if err != nil || !got.SignedInAt.Equal(want) || !got.IssuedAt.Equal(want.Add(time.Hour)) {
		t.Errorf("got %+v, %v, want SignedInAt %v", got, err, want)
	}
}

func TestTimesAreCut(t *testing.T) {
	for _, year := range []int{1815, 2026} {
		tk := ticketstore.NewTicket("alice")
		at := time.Date(year, 1, 2, 3, 4, 5, 999_999_999, time.FixedZone("", 3600))
		tk.SignedInAt, tk.AuthenticatedAt, tk.IssuedAt, tk.ExpiresAt, tk.EndsAt = at, at, at, at, at
		tk.IdleTimeout = 1_999_999 * time.Nanosecond
		got, err := Serializer{}.Deserialize(reads, mustSerialize(t, Serializer{}, tk))
		if err != nil {
			t.Fatal(err)
		}
		want := time.Date(year, 1, 2, 2, 4, 5, 0, time.UTC)
		for name, at := range map[string]time.Time{"SignedInAt": got.SignedInAt, "AuthenticatedAt": got.AuthenticatedAt, "IssuedAt": got.IssuedAt, "ExpiresAt": got.ExpiresAt, "EndsAt": got.EndsAt} {
			if at != want {
				t.Errorf("%s: got %v, want %v", name, at, want)
			}
		}
		if got.IdleTimeout != time.Millisecond {
			t.Errorf("IdleTimeout: got %v, want 1ms", got.IdleTimeout)
		}
	}
}

func chain(n int) *ticketstore.Identity {
	var id *ticketstore.Identity
	for range n {
		id = &ticketstore.Identity{Actor: id}
	}
	return id
}

func TestActors(t *testing.T) {
	tk := ticketstore.NewTicket("alice")
	tk.Identities = []ticketstore.Identity{*chain(8)}
	got, err := Serializer{}.Deserialize("", mustSerialize(t, Serializer{}, tk))
	if err != nil || !reflect.DeepEqual(got, tk) {
		t.Errorf("8 identities: got %+v, %v", got, err)
	}
	tk.Identities = []ticketstore.Identity{*chain(9)}
	if _, err := (Serializer{}).Serialize(tk); !errors.Is(err, ticketstore.ErrInvalidTicket) {
		t.Errorf("9 identities: got %v, want ErrInvalidTicket", err)
	}
	tk.Identities[0].Actor = &tk.Identities[0]
	if _, err := (Serializer{}).Serialize(tk); !errors.Is(err, ticketstore.ErrInvalidTicket) {
		t.Errorf("a cycle: got %v, want ErrInvalidTicket", err)
	}
}

func TestRefusesToWrite(t *testing.T) {
	for name, change := range map[string]func(*ticketstore.Ticket){
		"no subject":        func(tk *ticketstore.Ticket) { tk.Subject = "" },
		"long subject":      func(tk *ticketstore.Ticket) { tk.Subject = strings.Repeat("x", 1025) },
		"control character": func(tk *ticketstore.Ticket) { tk.Subject = "a\n" },
		"subject":           func(tk *ticketstore.Ticket) { tk.Subject = "\xff" },
		"another subject":   func(tk *ticketstore.Ticket) { tk.Subject = "bob" },
		"first claim": func(tk *ticketstore.Ticket) {
			tk.Identities[0].Claims[0] = ticketstore.Claim{Type: nameIdentifier, Value: "secret"}
		},
		"year 0":         func(tk *ticketstore.Ticket) { tk.SignedInAt = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC) },
		"year 0 of ours": func(tk *ticketstore.Ticket) { tk.AuthenticatedAt = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC) },
		"year 10000":     func(tk *ticketstore.Ticket) { tk.EndsAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"cut to zero":    func(tk *ticketstore.Ticket) { tk.ExpiresAt = time.Time{}.Add(time.Millisecond) },
		"idle timeout":   func(tk *ticketstore.Ticket) { tk.IdleTimeout = time.Millisecond - 1 },
		"negative":       func(tk *ticketstore.Ticket) { tk.IdleTimeout = -time.Hour },
		".issued":        func(tk *ticketstore.Ticket) { tk.Properties[".issued"] = "secret" },
		".expires":       func(tk *ticketstore.Ticket) { tk.Properties[".expires"] = "" },
		".persistent":    func(tk *ticketstore.Ticket) { tk.Properties[".persistent"] = "" },
		"our item":       func(tk *ticketstore.Ticket) { tk.Properties["ticketstore.endsAt"] = "" },
		"our prefix":     func(tk *ticketstore.Ticket) { tk.Properties["ticketstore.x"] = "" },
	} {
		tk := fullTicket()
		change(tk)
		b, err := Serializer{}.Serialize(tk)
		if !errors.Is(err, ticketstore.ErrInvalidTicket) || b != nil {
			t.Errorf("%s: got %x, %v, want ErrInvalidTicket", name, b, err)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error has the text: %v", name, err)
		}
	}
	if _, err := (Serializer{}).Serialize(nil); !errors.Is(err, ticketstore.ErrInvalidTicket) {
		t.Errorf("nil: got %v, want ErrInvalidTicket", err)
	}
}

// The error says where the text is that cannot be written, and nothing of it.
func TestRefusesToWriteText(t *testing.T) {
	const bad = "secret\xff"
	claim := func(tk *ticketstore.Ticket) *ticketstore.Claim { return &tk.Identities[0].Claims[0] }
	for want, change := range map[string]func(*ticketstore.Ticket){
		"Scheme is not valid UTF-8":                                        func(tk *ticketstore.Ticket) { tk.Scheme = bad },
		`the property "ticketstore.device.userAgent" is not valid UTF-8`:   func(tk *ticketstore.Ticket) { tk.Device.UserAgent = bad },
		`the property "ticketstore.seenFrom.userAgent" is not valid UTF-8`: func(tk *ticketstore.Ticket) { tk.SeenFrom.UserAgent = bad },
		"the key of a property is not valid UTF-8":                         func(tk *ticketstore.Ticket) { tk.Properties[bad] = "" },
		`the property "tenant\n" is not valid UTF-8`:                       func(tk *ticketstore.Ticket) { tk.Properties["tenant\n"] = bad },
		"the AuthenticationType of an identity is not valid UTF-8":         func(tk *ticketstore.Ticket) { tk.Identities[0].AuthenticationType = bad },
		"the NameClaimType of an identity is not valid UTF-8":              func(tk *ticketstore.Ticket) { tk.Identities[0].NameClaimType = bad },
		"the RoleClaimType of an identity is not valid UTF-8":              func(tk *ticketstore.Ticket) { tk.Identities[0].RoleClaimType = bad },
		"the BootstrapContext of an identity is not valid UTF-8":           func(tk *ticketstore.Ticket) { tk.Identities[0].Actor.BootstrapContext = bad },
		"the type of a claim is not valid UTF-8":                           func(tk *ticketstore.Ticket) { claim(tk).Type = bad },
		`the value of the claim "email" is not valid UTF-8`:                func(tk *ticketstore.Ticket) { *claim(tk) = ticketstore.Claim{Type: "email", Value: bad} },
		`the ValueType of the claim "email" is not valid UTF-8`:            func(tk *ticketstore.Ticket) { *claim(tk) = ticketstore.Claim{Type: "email", ValueType: bad} },
		`the Issuer of the claim "email" is not valid UTF-8`:               func(tk *ticketstore.Ticket) { *claim(tk) = ticketstore.Claim{Type: "email", Issuer: bad} },
		`the OriginalIssuer of the claim "email" is not valid UTF-8`:       func(tk *ticketstore.Ticket) { *claim(tk) = ticketstore.Claim{Type: "email", OriginalIssuer: bad} },
		`the key of a property of the claim "email" is not valid UTF-8`: func(tk *ticketstore.Ticket) {
			*claim(tk) = ticketstore.Claim{Type: "email", Properties: map[string]string{bad: ""}}
		},
		`a property of the claim "email" is not valid UTF-8`: func(tk *ticketstore.Ticket) {
			*claim(tk) = ticketstore.Claim{Type: "email", Properties: map[string]string{"k": bad}}
		},
		`the value of the claim "` + strings.Repeat("é", 100) + `" is`: func(tk *ticketstore.Ticket) {
			*claim(tk) = ticketstore.Claim{Type: strings.Repeat("é", 1000), Value: bad}
		},
		"the type of a claim is U+0000, which stands for the default": func(tk *ticketstore.Ticket) { claim(tk).Type = "\x00" },
		`the ValueType of the claim "email" is U+0000`:                func(tk *ticketstore.Ticket) { *claim(tk) = ticketstore.Claim{Type: "email", ValueType: "\x00"} },
		`the Issuer of the claim "email" is U+0000`:                   func(tk *ticketstore.Ticket) { *claim(tk) = ticketstore.Claim{Type: "email", Issuer: "\x00"} },
		`the OriginalIssuer of the claim "email" is U+0000`:           func(tk *ticketstore.Ticket) { *claim(tk) = ticketstore.Claim{Type: "email", OriginalIssuer: "\x00"} },
		"the NameClaimType of an identity is U+0000":                  func(tk *ticketstore.Ticket) { tk.Identities[0].NameClaimType = "\x00" },
		"the RoleClaimType of an identity is U+0000":                  func(tk *ticketstore.Ticket) { tk.Identities[0].RoleClaimType = "\x00" },
	} {
		tk := fullTicket()
		change(tk)
		b, err := Serializer{}.Serialize(tk)
		if !errors.Is(err, ticketstore.ErrInvalidTicket) || !strings.Contains(err.Error(), want) || b != nil {
			t.Errorf("got %x, %v, want ErrInvalidTicket: %s", b, err, want)
		} else if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "\xff") {
			t.Errorf("the error has the text: %q", err)
		}
	}
}

func TestRefusesToRead(t *testing.T) {
	for _, test := range []struct {
		it   pair
		want string
	}{
		{pair{".expires", "secret"}, `".expires": not a time`},
		{pair{".expires", ""}, "for ever"},
		{pair{"ticketstore.new", "secret"}, "unknown to this program"},
		{pair{"ticketstore.", ""}, "unknown to this program"},
		{pair{itemSignedInAt, "secret"}, itemSignedInAt},
		{pair{itemAuthenticatedAt, "1772600767"}, itemAuthenticatedAt},
		{pair{itemEndsAt, "2026-03-04T07:00:00.5Z"}, itemEndsAt},
		{pair{itemEndsAt, "2026-03-04T07:00:00+01:00"}, itemEndsAt},
		{pair{itemEndsAt, "0001-01-01T00:00:00Z"}, itemEndsAt},
		{pair{itemEndsAt, "0000-01-01T00:00:00Z"}, itemEndsAt},
		{pair{".expires", "Sat, 01 Jan 0000 00:00:00 GMT"}, "not a time"},
		{pair{itemIdleTimeout, "0s"}, itemIdleTimeout},
		{pair{itemIdleTimeout, "-1h0m0s"}, itemIdleTimeout},
		{pair{itemIdleTimeout, "1us"}, itemIdleTimeout},
		{pair{itemIdleTimeout, "60m"}, itemIdleTimeout},
		{pair{itemAddr, "secret"}, itemAddr},
		{pair{itemSeenAddr, ""}, itemSeenAddr},
		{pair{itemLinks, ""}, itemLinks},
		{pair{itemLinks, "secret\nsecret"}, itemLinks},
		{pair{itemLinks, "a\r\nb"}, itemLinks},
		{pair{itemLinkedAt, "1772600767"}, itemLinkedAt},
		{pair{itemFilled, "x"}, itemFilled},
	} {
		tk, err := readItems(t, test.it)
		if !errors.Is(err, ticketstore.ErrUndecodable) || errors.Is(err, ticketstore.ErrInvalidTicket) || tk != nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "session id") {
			t.Errorf("%v: got %+v, %v, want ErrUndecodable with the ID and %q", test.it, tk, err, test.want)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%v: the error has the text: %v", test.it, err)
		}
	}
	alice := mustSerialize(t, Serializer{}, ticketstore.NewTicket("alice"))
	if _, err := (Serializer{SubjectClaim: "sub"}).Deserialize("id", alice); !errors.Is(err, ticketstore.ErrUndecodable) || !strings.Contains(err.Error(), `"sub": see SubjectClaim`) {
		t.Errorf("no subject claim: got %v, want one that names the setting", err)
	}
	for _, subject := range []string{"", "a\n", strings.Repeat("x", 1025)} {
		w := &wireTicket{identities: []wireIdentity{{claims: []wireClaim{Serializer{}.claimOf(subject)}}}}
		b, err := w.bytes()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := (Serializer{}).Deserialize("id", b); !errors.Is(err, ticketstore.ErrUndecodable) {
			t.Errorf("subject %q: got %v, want ErrUndecodable", subject, err)
		}
	}
	// The subject is the user's, not an actor's.
	w := &wireTicket{identities: []wireIdentity{{actor: &wireIdentity{claims: []wireClaim{Serializer{}.claimOf("bob")}}}}}
	b, err := w.bytes()
	if err != nil {
		t.Fatal(err)
	}
	if tk, err := (Serializer{}).Deserialize("id", b); !errors.Is(err, ticketstore.ErrUndecodable) {
		t.Errorf("the subject is an actor's: got %+v, %v, want ErrUndecodable", tk, err)
	}
}

func TestKeepsNoneOfData(t *testing.T) {
	b := mustSerialize(t, Serializer{}, fullTicket())
	got, err := Serializer{}.Deserialize(reads, b)
	clear(b)
	if want := fullTicket(); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

// A Serializer is not comparable, so that fields can be added.
func TestSerializerIsNotComparable(t *testing.T) {
	if reflect.TypeFor[Serializer]().Comparable() {
		t.Error("Serializer is comparable")
	}
}

// A ticket that says neither how nor by which scheme its user signed in is
// still one of somebody who is signed in, which .NET tells by the type.
func TestAuthenticationTypeIsNeverEmpty(t *testing.T) {
	for scheme, want := range map[string]string{"": "Cookies", "Identity.Application": "Identity.Application"} {
		for _, claims := range [][]ticketstore.Claim{nil, {{Type: "department", Value: "books"}}} {
			tk := ticketstore.NewTicket("alice", claims...)
			tk.Scheme = scheme
			data, err := Serializer{}.Serialize(tk)
			if err != nil {
				t.Fatal(err)
			}
			w, err := readTicket(data)
			if err != nil {
				t.Fatal(err)
			}
			if got := w.identities[0].authenticationType; got != want || w.scheme != scheme {
				t.Errorf("scheme %q: got the type %q, scheme %q, want %q", scheme, got, w.scheme, want)
			}
			again, err := Serializer{}.Deserialize("", data)
			if err != nil || !reflect.DeepEqual(again.Identities, tk.Identities) {
				t.Errorf("scheme %q: got %+v, %v, want %+v", scheme, again, err, tk)
			}
		}
	}
}
