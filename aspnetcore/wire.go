package aspnetcore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
)

const (
	ticketVersion     = 5
	propertiesVersion = 1

	maxActors = 8 // inside one another

	// What ClaimsIdentity and Claim take for an empty text.
	defaultNameType  = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name"
	defaultRoleType  = "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"
	defaultValueType = "http://www.w3.org/2001/XMLSchema#string"
	defaultIssuer    = "LOCAL AUTHORITY"

	// placeholder is written for a text that is the default of its field.
	placeholder = "\x00"
)

// The fewest bytes that one of each takes. A count that is larger than what is
// left has room for is refused before anything is allocated for it.
const (
	minIdentity = 3 + 4 + 2 // three texts, a count, two flags
	minClaim    = 5 + 4     // five texts, a count
	minPair     = 2         // two texts
)

// A wireTicket is what TicketSerializer reads and writes, with everything in
// its order. What has been read is written as .NET would write it again.
type wireTicket struct {
	scheme     string
	identities []wireIdentity
	items      []pair
}

type wireIdentity struct {
	authenticationType string
	nameType, roleType string // never empty
	claims             []wireClaim
	bootstrapContext   string
	actor              *wireIdentity
}

type wireClaim struct {
	claimType, value                  string
	valueType, issuer, originalIssuer string // never empty
	properties                        []pair
}

type pair struct{ key, value string }

// A reader takes values off the front of s. After an error it yields zeros.
type reader struct {
	s   string
	err error
}

var errShort = errors.New("it ends too early")

func readTicket(data []byte) (*wireTicket, error) {
	r := &reader{s: string(data)} // one copy, of which all texts are parts
	if v := r.int32(); r.err == nil && v != ticketVersion {
		return nil, fmt.Errorf("a ticket of version %d; this program reads version %d", v, ticketVersion)
	}
	t := &wireTicket{scheme: r.text()}
	n := r.count("identities", minIdentity)
	t.identities = make([]wireIdentity, 0, n)
	for range n {
		t.identities = append(t.identities, r.identity(0))
	}
	if v := r.int32(); r.err == nil && v != propertiesVersion {
		return nil, fmt.Errorf("properties of version %d; this program reads version %d", v, propertiesVersion)
	}
	t.items = r.pairs("items")
	if r.err == nil && r.s != "" {
		r.err = fmt.Errorf("%d bytes follow its end", len(r.s))
	}
	if r.err != nil {
		return nil, r.err
	}
	return t, nil
}

func (r *reader) identity(actors int) (id wireIdentity) {
	if actors > maxActors {
		r.fail(fmt.Errorf("actors are nested more than %d deep", maxActors))
	}
	if r.err != nil {
		return id
	}
	id.authenticationType = r.text()
	id.nameType = or(r.textOr(defaultNameType), defaultNameType)
	id.roleType = or(r.textOr(defaultRoleType), defaultRoleType)
	n := r.count("claims", minClaim)
	id.claims = make([]wireClaim, 0, n)
	for range n {
		if r.err != nil {
			return id
		}
		id.claims = append(id.claims, r.claim(id.nameType))
	}
	if r.flag() {
		id.bootstrapContext = r.text()
	}
	if r.flag() {
		actor := r.identity(actors + 1)
		id.actor = &actor
	}
	return id
}

func (r *reader) claim(nameType string) (c wireClaim) {
	c.claimType = r.textOr(nameType)
	c.value = r.text()
	c.valueType = or(r.textOr(defaultValueType), defaultValueType)
	c.issuer = or(r.textOr(defaultIssuer), defaultIssuer)
	c.originalIssuer = or(r.textOr(c.issuer), c.issuer)
	c.properties = r.pairs("claim properties")
	return c
}

func (r *reader) pairs(what string) []pair {
	n := r.count(what, minPair)
	if n == 0 {
		return nil
	}
	pairs, seen := make([]pair, 0, n), make(map[string]struct{})
	for range n {
		p := pair{key: r.text(), value: r.text()}
		if r.err != nil {
			return nil
		}
		if _, ok := seen[p.key]; ok {
			r.fail(fmt.Errorf("a key occurs twice in its %s", what))
			return nil
		}
		seen[p.key] = struct{}{}
		pairs = append(pairs, p)
	}
	return pairs
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.s = ""
}

func (r *reader) take(n int) string {
	if n > len(r.s) {
		r.fail(errShort)
		return ""
	}
	s := r.s[:n]
	r.s = r.s[n:]
	return s
}

func (r *reader) int32() int32 {
	b := r.take(4)
	if b == "" {
		return 0
	}
	return int32(uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24)
}

func (r *reader) count(what string, size int) int {
	n := r.int32()
	if n < 0 || int(n) > len(r.s)/size {
		r.fail(fmt.Errorf("it says to have %d %s", n, what))
		return 0
	}
	return int(n)
}

func (r *reader) flag() bool {
	b := r.take(1)
	return b != "" && b[0] != 0
}

func (r *reader) text() string {
	s := r.take(r.length())
	if !utf8.ValidString(s) {
		r.fail(errors.New("a text is not valid UTF-8"))
		return ""
	}
	return s
}

// length reads what .NET's Read7BitEncodedInt does: at most five bytes, the
// shortest form or not, 31 bits.
func (r *reader) length() int {
	var n uint64
	for shift := 0; shift < 35; shift += 7 {
		b := r.take(1)
		if b == "" {
			return 0
		}
		n |= uint64(b[0]&0x7f) << shift
		if b[0] < 0x80 {
			if n > math.MaxInt32 {
				break
			}
			return int(n)
		}
	}
	r.fail(errors.New("the length of a text is out of range"))
	return 0
}

func (r *reader) textOr(def string) string {
	if s := r.text(); s != placeholder {
		return s
	}
	return def
}

func or(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

// A writer appends values to b. It writes no text that would be read as
// another.
type writer struct {
	b   []byte
	err error
}

func (t *wireTicket) bytes() ([]byte, error) {
	w := &writer{}
	w.int32(ticketVersion)
	w.text("Scheme", "", t.scheme)
	w.int32(len(t.identities))
	for i := range t.identities {
		w.identity(&t.identities[i])
	}
	w.int32(propertiesVersion)
	w.int32(len(t.items))
	for _, p := range t.items {
		w.text("the key of a property", "", p.key)
		w.text("the property", p.key, p.value)
	}
	return w.b, w.err
}

func (w *writer) identity(id *wireIdentity) {
	w.text("the AuthenticationType of an identity", "", id.authenticationType)
	w.textOr("the NameClaimType of an identity", "", id.nameType, defaultNameType)
	w.textOr("the RoleClaimType of an identity", "", id.roleType, defaultRoleType)
	w.int32(len(id.claims))
	for i := range id.claims {
		w.claim(&id.claims[i], id.nameType)
	}
	if w.flag(id.bootstrapContext != "") {
		w.text("the BootstrapContext of an identity", "", id.bootstrapContext)
	}
	if w.flag(id.actor != nil) {
		w.identity(id.actor)
	}
}

func (w *writer) claim(c *wireClaim, nameType string) {
	w.textOr("the type of a claim", "", c.claimType, nameType)
	w.text("the value of the claim", c.claimType, c.value)
	w.textOr("the ValueType of the claim", c.claimType, c.valueType, defaultValueType)
	w.textOr("the Issuer of the claim", c.claimType, c.issuer, defaultIssuer)
	w.textOr("the OriginalIssuer of the claim", c.claimType, c.originalIssuer, c.issuer)
	w.int32(len(c.properties))
	for _, p := range c.properties {
		w.text("the key of a property of the claim", c.claimType, p.key)
		w.text("a property of the claim", c.claimType, p.value)
	}
}

func (w *writer) int32(n int) { w.b = binary.LittleEndian.AppendUint32(w.b, uint32(n)) }

func (w *writer) flag(f bool) bool {
	if f {
		w.b = append(w.b, 1)
	} else {
		w.b = append(w.b, 0)
	}
	return f
}

// text writes s. What it is and the name of that, if it has one, are for the
// error, which has nothing of s, as that may be secret; the name comes before.
func (w *writer) text(what, name, s string) {
	if !utf8.ValidString(s) {
		w.fail(what, name, "is not valid UTF-8")
	}
	w.b = binary.AppendUvarint(w.b, uint64(len(s)))
	w.b = append(w.b, s...)
}

func (w *writer) textOr(what, name, s, def string) {
	switch s {
	case placeholder:
		w.fail(what, name, "is U+0000, which stands for the default")
	case def:
		s = placeholder
	}
	w.text(what, name, s)
}

func (w *writer) fail(what, name, is string) {
	switch {
	case w.err != nil:
	case name == "":
		w.err = fmt.Errorf("%s %s", what, is)
	default:
		w.err = fmt.Errorf("%s %.100q %s", what, name, is)
	}
}
