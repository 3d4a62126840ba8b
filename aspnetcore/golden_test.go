package aspnetcore

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/subjects"
)

type goldenPair struct{ Key, Value string } // null is the empty string

type goldenIdentity struct {
	AuthenticationType, NameClaimType, RoleClaimType, BootstrapContext string
	Claims                                                             []struct {
		Type, Value, ValueType, Issuer, OriginalIssuer string
		Properties                                     []goldenPair
	}
	Actor *goldenIdentity
}

type goldenTicket struct {
	Scheme     string
	Identities []goldenIdentity
	Items      []goldenPair
}

type goldenCase struct {
	Name         string
	Ticket, Read *goldenTicket
	Hex          string
	RewrittenHex *string `json:"rewritten_hex"`
	Result       string
}

func loadGolden(t testing.TB, file string, v any) {
	t.Helper()
	b, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func wantCount(t *testing.T, what string, got, want int) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %d, want %d", what, got, want)
	}
}

func (g *goldenTicket) wire() *wireTicket {
	w := &wireTicket{scheme: g.Scheme, identities: []wireIdentity{}, items: goldenPairs(g.Items)}
	for i := range g.Identities {
		w.identities = append(w.identities, g.Identities[i].wire())
	}
	return w
}

func (g *goldenIdentity) wire() wireIdentity {
	id := wireIdentity{
		authenticationType: g.AuthenticationType, nameType: g.NameClaimType, roleType: g.RoleClaimType,
		bootstrapContext: g.BootstrapContext, claims: []wireClaim{},
	}
	for _, c := range g.Claims {
		id.claims = append(id.claims, wireClaim{c.Type, c.Value, c.ValueType, c.Issuer, c.OriginalIssuer, goldenPairs(c.Properties)})
	}
	if g.Actor != nil {
		actor := g.Actor.wire()
		id.actor = &actor
	}
	return id
}

func goldenPairs(g []goldenPair) (pairs []pair) {
	for _, p := range g {
		pairs = append(pairs, pair{p.Key, p.Value})
	}
	return pairs
}

// rewrites checks that data reads as want, and is written again as hex.
func rewrites(t *testing.T, name string, data []byte, want *wireTicket, wantHex string) {
	t.Helper()
	got, err := readTicket(data)
	if err != nil {
		t.Errorf("%s: got %v, want a ticket", name, err)
		return
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %+v, want %+v", name, got, want)
	}
	if again, err := got.bytes(); err != nil || hex.EncodeToString(again) != wantHex {
		t.Errorf("%s, written again: got %x, %v, want %s", name, again, err, wantHex)
	}
}

const shortest = "0500000007436f6f6b696573000000000100000000000000"

func TestGoldenTickets(t *testing.T) {
	var golden struct {
		Cases       []goldenCase
		WriteLimits []goldenCase `json:"write_limits"`
	}
	loadGolden(t, "tickets.json", &golden)
	wantCount(t, "cases", len(golden.Cases), 28)
	for _, c := range golden.Cases {
		if got, err := c.Ticket.wire().bytes(); err != nil || hex.EncodeToString(got) != c.Hex {
			t.Errorf("%s: got %x, %v, want %s", c.Name, got, err, c.Hex)
		}
		if c.RewrittenHex != nil {
			t.Errorf("%s: .NET writes it as other bytes again, which none of these cases did", c.Name)
		}
		read := c.Ticket
		if c.Read != nil {
			read = c.Read
		}
		rewrites(t, c.Name, unhex(t, c.Hex), read.wire(), c.Hex)
	}
	rewrites(t, "the shortest of scheme Cookies", unhex(t, shortest), &wireTicket{scheme: "Cookies", identities: []wireIdentity{}}, shortest)
	wantCount(t, "write limits", len(golden.WriteLimits), 3)
	for _, c := range golden.WriteLimits {
		rewrites(t, c.Name, unhex(t, c.Hex), c.Read.wire(), c.Hex)
	}
}

// What .NET reads and we do not; the package comment lists it.
var stricter = []string{
	"properties-version-0", "properties-version-2", "properties-version--1", "properties-version-16777216",
	"trailing-byte", "trailing-ticket",
	"utf8-lone-continuation", "utf8-overlong", "utf8-surrogate", "utf8-cut", "utf8-too-high", "utf8-long-with-invalid",
	"actor-depth-100",
}

func TestGoldenRead(t *testing.T) {
	var golden struct {
		Cases       []goldenCase
		Truncations struct {
			Hex      string
			Prefixes []struct {
				From, To int
				Result   string
			}
		}
	}
	loadGolden(t, "tickets_read.json", &golden)
	wantCount(t, "cases", len(golden.Cases), 71)
	results := map[string]int{}
	for _, c := range golden.Cases {
		data, result := unhex(t, c.Hex), c.Result
		if slices.Contains(stricter, c.Name) {
			result = "stricter"
		}
		results[result]++
		if result == "ticket" {
			rewrites(t, c.Name, data, c.Ticket.wire(), *c.RewrittenHex)
			continue
		}
		if got, err := readTicket(data); err == nil {
			t.Errorf("%s (%s): got %+v, want an error", c.Name, result, got)
		}
		if got, err := (Serializer{}).Deserialize("id", data); !errors.Is(err, ticketstore.ErrUndecodable) {
			t.Errorf("%s (%s): got %+v, %v, want ErrUndecodable", c.Name, result, got, err)
		}
	}
	want := map[string]int{"ticket": 24, "stricter": len(stricter), "null": 10, "exception": 24}
	if !reflect.DeepEqual(results, want) {
		t.Errorf("got results %v, want %v", results, want)
	}

	whole, n := unhex(t, golden.Truncations.Hex), 0
	for _, p := range golden.Truncations.Prefixes {
		for i := p.From; i <= p.To; i++ {
			n++
			if got, err := readTicket(whole[:i]); (err == nil) != (p.Result == "ticket") {
				t.Errorf("the first %d bytes: got %+v, %v, want %s", i, got, err, p.Result)
			}
		}
	}
	wantCount(t, "truncations", n, 246)
}

func TestGoldenDates(t *testing.T) {
	var golden struct {
		Read []struct {
			Text    string // null is written as the empty string
			Instant *time.Time
		}
		Written []struct {
			Given time.Time
			Item  string
		}
		Refresh []struct {
			Text  string
			Allow *bool `json:"allow_refresh"`
		}
		Persistent []struct {
			Text       *string
			Persistent bool `json:"is_persistent"`
		}
	}
	loadGolden(t, "dates.json", &golden)
	wantCount(t, "read", len(golden.Read), 45)
	dates := 0
	for _, c := range golden.Read {
		var want time.Time
		if c.Instant != nil {
			dates++
			want = c.Instant.UTC()
		}
		if got, ok := parseDate(c.Text); ok != (c.Instant != nil) || !got.Equal(want) {
			t.Errorf("%q: got %v, %v, want %v", c.Text, got, ok, c.Instant)
		}
		tk, err := readItems(t, pair{itemIssued, c.Text})
		if err != nil || !tk.IssuedAt.Equal(want) || !tk.SignedInAt.Equal(want) {
			t.Errorf(".issued %q: got %+v, %v, want %v", c.Text, tk, err, want)
		}
		tk, err = readItems(t, pair{itemExpires, c.Text})
		if want.IsZero() { // for ever, or the first instant of .NET
			if !errors.Is(err, ticketstore.ErrUndecodable) {
				t.Errorf(".expires %q: got %+v, %v, want ErrUndecodable", c.Text, tk, err)
			}
		} else if err != nil || !tk.ExpiresAt.Equal(want) {
			t.Errorf(".expires %q: got %+v, %v, want %v", c.Text, tk, err, want)
		}
	}
	wantCount(t, "dates among them", dates, 9)

	wantCount(t, "written", len(golden.Written), 7)
	for _, c := range golden.Written {
		if got := formatDate(c.Given); got != c.Item {
			t.Errorf("%v: got %q, want %q", c.Given, got, c.Item)
		}
	}
	wantCount(t, "refresh", len(golden.Refresh), 20)
	for _, c := range golden.Refresh {
		got, ok := parseBool(c.Text)
		if ok != (c.Allow != nil) || ok && got != *c.Allow {
			t.Errorf("%q: got %v, %v, want %v", c.Text, got, ok, c.Allow)
		}
	}
	wantCount(t, "persistent", len(golden.Persistent), 4)
	for _, c := range golden.Persistent {
		if c.Text == nil {
			continue // .NET, too, reads it as the empty string once it was written
		}
		if tk, err := readItems(t, pair{itemPersistent, *c.Text}); err != nil || tk.Persistent != c.Persistent {
			t.Errorf("persistent %q: got %+v, %v, want %v", *c.Text, tk, err, c.Persistent)
		}
	}
}

// Through a ticket, everything that .NET wrote is still there, in the order
// that the package comment gives.
func TestGoldenThroughTicket(t *testing.T) {
	var tickets, reads struct{ Cases []goldenCase }
	loadGolden(t, "tickets.json", &tickets)
	loadGolden(t, "tickets_read.json", &reads)
	through := 0
	for _, c := range append(tickets.Cases, reads.Cases...) {
		data := unhex(t, c.Hex)
		w, err := readTicket(data)
		if err != nil {
			continue
		}
		subject, ok := firstClaim(w)
		if !ok || subjects.Check(subject.value) != nil || c.Name == "actor-depth-8" {
			if _, err := (Serializer{}).Deserialize("id", data); !errors.Is(err, ticketstore.ErrUndecodable) {
				t.Errorf("%s: got %v, want ErrUndecodable", c.Name, err)
			}
			continue
		}
		through++
		s := Serializer{SubjectClaim: subject.claimType}
		tk, err := s.Deserialize("id", data)
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		again, err := s.Serialize(tk)
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		got, err := readTicket(again)
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		if want := inOrder(w); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got\n%+v, want\n%+v", c.Name, got, want)
		}
	}
	wantCount(t, "tickets with a claim for a subject", through, 29)
}

func firstClaim(w *wireTicket) (wireClaim, bool) {
	for _, id := range w.identities {
		if len(id.claims) > 0 {
			return id.claims[0], id.claims[0].claimType != ""
		}
	}
	return wireClaim{}, false
}

// inOrder changes w as Go's first renewal does.
func inOrder(w *wireTicket) *wireTicket {
	sort := func(p []pair) {
		slices.SortFunc(p, func(a, b pair) int { return strings.Compare(a.key, b.key) })
	}
	var filled []string
	for i := range w.identities {
		for id := &w.identities[i]; id != nil; id = id.actor {
			f := ""
			if id.authenticationType == "" {
				id.authenticationType, f = w.scheme, "t"
			}
			filled = append(filled, f)
			for _, c := range id.claims {
				sort(c.properties)
			}
		}
	}
	var items, last []pair
	values := map[string]string{}
	for _, it := range w.items {
		values[it.key] = it.value
		if !reserved(it.key) {
			items = append(items, it)
		}
	}
	for _, key := range []string{itemPersistent, itemIssued, itemExpires} {
		if v, ok := values[key]; ok {
			last = append(last, pair{key, v})
		}
	}
	issued, hasIssued := parseDate(values[itemIssued])
	if hasIssued {
		items = append(items, pair{itemSignedInAt, issued.Format(time.RFC3339)})
	}
	expires, hasExpires := parseDate(values[itemExpires])
	if hasExpires && values[itemRefresh] == "False" {
		items = append(items, pair{itemEndsAt, expires.Format(time.RFC3339)})
	}
	if hasExpires && hasIssued && expires.After(issued) {
		items = append(items, pair{itemIdleTimeout, expires.Sub(issued).String()})
	}
	if f := strings.Join(filled, ","); strings.Contains(f, "t") {
		items = append(items, pair{itemFilled, f})
	}
	sort(items)
	w.items = append(items, last...)
	return w
}

// readItems reads a ticket of alice that has these items.
func readItems(t testing.TB, items ...pair) (*ticketstore.Ticket, error) {
	t.Helper()
	w := &wireTicket{
		scheme:     "Cookies",
		identities: []wireIdentity{{authenticationType: "pwd", nameType: defaultNameType, roleType: defaultRoleType, claims: []wireClaim{Serializer{}.claimOf("alice")}}},
		items:      items,
	}
	b, err := w.bytes()
	if err != nil {
		t.Fatal(err)
	}
	return Serializer{}.Deserialize("id", b)
}
