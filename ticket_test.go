package ticketstore

import (
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// fullTicket returns a ticket with no zero field, so that a test over it
// notices a field that is forgotten.
func fullTicket() *Ticket {
	at := time.Date(2026, 3, 4, 5, 6, 7, 89_000_000, time.UTC)
	return &Ticket{
		ID:      "019c5e7f-0000-7000-8000-000000000000",
		Subject: "alice@example.com",
		Scheme:  "Cookies",
		Identities: []Identity{{
			AuthenticationType: "pwd",
			NameClaimType:      "name",
			RoleClaimType:      "roles",
			BootstrapContext:   "token",
			Claims: []Claim{
				{Type: "name", Value: "Alice <Ä>"},
				{Type: "roles", Value: "admin", ValueType: "string", Issuer: "idp", OriginalIssuer: "ad", Properties: map[string]string{"k": "v"}},
			},
			Actor: &Identity{Claims: []Claim{{Type: "name", Value: "bob"}, {Type: "role", Value: "robot"}}},
		}},
		Properties:      map[string]string{"theme": "dark"},
		Device:          Device{UserAgent: "curl/8", Addr: netip.MustParseAddr("192.0.2.1")},
		SeenFrom:        Device{UserAgent: "curl/9", Addr: netip.MustParseAddr("2001:db8::1")},
		SignedInAt:      at,
		AuthenticatedAt: at.Add(-8 * time.Hour),
		IssuedAt:        at.Add(time.Minute),
		ExpiresAt:       at.Add(time.Hour),
		EndsAt:          at.Add(12 * time.Hour),
		IdleTimeout:     90 * time.Second,
		Links:           []string{"sid 1", "https://idp.example {ä}"},
		LinkedAt:        at.Add(-2 * time.Second),
		Persistent:      true,
		Revision:        "0123456789abcdef",
	}
}

func TestFullTicketIsFull(t *testing.T) {
	v := reflect.ValueOf(*fullTicket())
	for i := range v.NumField() {
		if v.Type().Field(i).IsExported() && v.Field(i).IsZero() {
			t.Errorf("fullTicket: %s is zero", v.Type().Field(i).Name)
		}
	}
}

func TestTicketClaims(t *testing.T) {
	tk := fullTicket()
	if got, ok := tk.Claim("name"); got != "Alice <Ä>" || !ok {
		t.Errorf("Claim(name): got %q, %v, want the first one", got, ok)
	}
	if got, ok := tk.Claim("Name"); got != "" || ok {
		t.Errorf("Claim(Name): got %q, %v, want none", got, ok)
	}
	for role, want := range map[string]bool{"admin": true, "Admin": false, "": false, "robot": false} {
		if got := tk.HasRole(role); got != want {
			t.Errorf("HasRole(%q): got %v, want %v", role, got, want)
		}
	}
	tk = NewTicket("alice", Claim{Type: "role", Value: "admin"}, Claim{Type: "roles", Value: "owner"})
	if !tk.HasRole("admin") || tk.HasRole("owner") {
		t.Error("without a RoleClaimType, roles are not the claims of type role")
	}
	if tk := NewTicket("alice"); tk.HasRole("admin") || len(tk.Identities) != 0 {
		t.Errorf("NewTicket without claims: got %+v, want no identity", tk)
	}
}

// TestCloneSharesNothing sets every string reachable from a clone.
func TestCloneSharesNothing(t *testing.T) {
	tk, want := fullTicket(), fullTicket()
	c := tk.Clone()
	if !reflect.DeepEqual(c, want) {
		t.Fatalf("got %+v, want %+v", c, want)
	}
	var scribble func(v reflect.Value)
	scribble = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.String:
			v.SetString("changed")
		case reflect.Map:
			for _, k := range v.MapKeys() {
				v.SetMapIndex(k, reflect.ValueOf("changed"))
			}
		case reflect.Slice:
			for i := range v.Len() {
				scribble(v.Index(i))
			}
		case reflect.Pointer:
			if !v.IsNil() {
				scribble(v.Elem())
			}
		case reflect.Struct:
			for i := range v.NumField() {
				if v.Field(i).CanSet() {
					scribble(v.Field(i))
				}
			}
		}
	}
	scribble(reflect.ValueOf(c).Elem())
	if !reflect.DeepEqual(tk, want) {
		t.Errorf("a change of the clone changed the ticket: %+v", tk)
	}
	claims := []Claim{{Type: "a", Value: "b"}}
	tk = NewTicket("alice", claims...)
	claims[0].Value = "changed"
	if got, _ := tk.Claim("a"); got != "b" {
		t.Errorf("NewTicket keeps its argument: got %q", got)
	}
}

func TestTicketValidate(t *testing.T) {
	deep := &Identity{}
	for range maxActorDepth {
		deep = &Identity{Actor: deep}
	}
	loop := &Identity{}
	loop.Actor = loop
	var now time.Time
	for name, test := range map[string]struct {
		change func(*Ticket)
		want   string // part of the error; "" if valid
	}{
		"valid":             {func(tk *Ticket) {}, ""},
		"longest":           {func(tk *Ticket) { tk.Subject = strings.Repeat("ä", 512) }, ""},
		"empty subject":     {func(tk *Ticket) { tk.Subject = "" }, "subject is empty"},
		"long subject":      {func(tk *Ticket) { tk.Subject = strings.Repeat("x", 1025) }, "1025 bytes"},
		"line feed":         {func(tk *Ticket) { tk.Subject = "a\nb" }, "control characters"},
		"C1 control":        {func(tk *Ticket) { tk.Subject = "a\u0085b" }, "control characters"},
		"invalid UTF-8":     {func(tk *Ticket) { tk.Subject = "a\xff" }, "UTF-8"},
		"negative idle":     {func(tk *Ticket) { tk.IdleTimeout = -1 }, "IdleTimeout"},
		"idle microseconds": {func(tk *Ticket) { tk.IdleTimeout = time.Microsecond }, "IdleTimeout"},
		"deep actors":       {func(tk *Ticket) { tk.Identities[0] = *deep }, "nested"},
		"actor of itself":   {func(tk *Ticket) { tk.Identities[0] = *loop }, "nested"},
		"never expires":     {func(tk *Ticket) { tk.ExpiresAt = time.Time{} }, "ExpiresAt is zero"},
		"expires now":       {func(tk *Ticket) { tk.ExpiresAt = now }, "ExpiresAt is past"},
		"expires past end":  {func(tk *Ticket) { tk.EndsAt = tk.ExpiresAt.Add(-1) }, "after EndsAt"},
	} {
		tk := fullTicket()
		now = tk.ExpiresAt.Add(-time.Millisecond)
		test.change(tk)
		err := tk.Validate(now)
		if test.want == "" && err != nil || test.want != "" && (!errors.Is(err, ErrInvalidTicket) || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: got %v, want ErrInvalidTicket with %q", name, err, test.want)
		}
	}
	if err := (*Ticket)(nil).Validate(time.Now()); !errors.Is(err, ErrInvalidTicket) {
		t.Errorf("nil: got %v, want ErrInvalidTicket", err)
	}
}

func TestDeviceCapped(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"curl", "curl"},
		{strings.Repeat("x", 513), strings.Repeat("x", 512)},
		{strings.Repeat("x", 511) + "ä", strings.Repeat("x", 511)},
		{strings.Repeat("x", 509) + "😀", strings.Repeat("x", 509)},
		{strings.Repeat("😀", 129), strings.Repeat("😀", 128)},
		{"a\xffb", "ab"},
		{strings.Repeat("\xff", 600), ""},
	} {
		got := Device{UserAgent: test.in}.capped().UserAgent
		if got != test.want || !utf8.ValidString(got) {
			t.Errorf("%q: got %q, want %q", test.in, got, test.want)
		}
	}
	d := Device{Addr: netip.MustParseAddr("fe80::1%" + strings.Repeat("z", 1000))}.capped()
	if d.Addr.Zone() != "" {
		t.Errorf("zone: got %q, want none", d.Addr.Zone())
	}
}
