package aspnetcore

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

const (
	clockSkew   = 5 * time.Minute // how much earlier than activated a key is taken
	propagation = 48 * time.Hour  // how long .NET may take to notice a key
)

// An item is one element of the list, or one file.
type item struct {
	name string // for errors
	data []byte
}

// A key of a ring. Only revoked changes, until the ring is complete.
type key struct {
	id                          uuid.UUID
	created, activated, expires time.Time
	revoked                     bool
	encryptor                   func() (*encryptor, error) // made when first needed, as by .NET
}

// A ring is what the items say at one time.
type ring struct {
	keys     []*key // in the order of the items
	byID     map[uuid.UUID]*key
	leftOut  map[uuid.UUID]error // keys that cannot be read, and why
	items    int                 // 0 if the list or folder has nothing in it
	warnings []string

	warnFallback sync.Once
}

// newRing reads items as .NET does: a key that cannot be read is left out; an
// item that is not XML, a revocation that cannot be read, or an id that two
// keys have, makes an error. The errors have no secrets in them.
func newRing(items []item, certificates []certificate) (*ring, error) {
	r := &ring{items: len(items), byID: map[uuid.UUID]*key{}, leftOut: map[uuid.UUID]error{}}
	var revoked revocations
	for _, it := range items {
		e, err := parseXML(it.data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", it.name, err)
		}
		switch e.name {
		case xml.Name{Local: "key"}:
			k, err := parseKey(e, certificates)
			if err != nil {
				r.warn("%s: a key that cannot be read is left out: %v", it.name, err)
				if k != nil {
					r.leftOut[k.id] = err
				}
				continue
			}
			if r.byID[k.id] != nil {
				return nil, fmt.Errorf("%s: the key {%s} occurs twice", it.name, k.id)
			}
			r.keys = append(r.keys, k)
			r.byID[k.id] = k
		case xml.Name{Local: "revocation"}:
			if err := revoked.add(e); err != nil {
				return nil, fmt.Errorf("%s: a revocation that cannot be read: %w", it.name, err)
			}
		default:
			r.warn("%s: it is neither a key nor a revocation", it.name)
		}
	}
	for _, id := range revoked.ids {
		if k := r.byID[id]; k != nil {
			k.revoked = true
		} else {
			r.warn("a revocation of the key {%s}, which is not there", id)
		}
	}
	for _, k := range r.keys {
		k.revoked = k.revoked || k.created.Before(revoked.before)
	}
	return r, nil
}

func (r *ring) warn(format string, args ...any) {
	r.warnings = append(r.warnings, fmt.Sprintf(format, args...))
}

// hasKey and canProtect are for [KeyRing.search].
func hasKey(id uuid.UUID) func(*ring) bool {
	return func(r *ring) bool { return r.byID[id] != nil }
}

func canProtect(now time.Time) func(*ring) bool {
	return func(r *ring) bool {
		k, _ := r.defaultKey(now)
		return k != nil
	}
}

// preferred returns the key that .NET tries first, fit or not, or nil.
func (r *ring) preferred(now time.Time) (p *key) {
	for _, k := range r.keys {
		switch {
		case k.activated.After(now.Add(clockSkew)):
		case p == nil || k.activated.After(p.activated),
			k.activated.Equal(p.activated) && bytes.Compare(k.id[:], p.id[:]) < 0:
			p = k
		}
	}
	return p
}

// fit returns why k cannot be the default key, or nil.
func (k *key) fit(now time.Time) error {
	if k.revoked {
		return fmt.Errorf("the key {%s} has been revoked", k.id)
	}
	if !now.Before(k.expires) {
		return fmt.Errorf("the key {%s} has expired", k.id)
	}
	if _, err := k.encryptor(); err != nil {
		return fmt.Errorf("the key {%s} cannot be used: %w", k.id, err)
	}
	return nil
}

// defaultKey returns the key to protect with, as .NET chooses it when
// AutoGenerateKeys is off. If it is not the preferred one but a fallback, why
// says what is wrong with that. It is nil if there is none at all.
func (r *ring) defaultKey(now time.Time) (k *key, why error) {
	p := r.preferred(now)
	if p == nil {
		why = errors.New("no key is active")
	} else if why = p.fit(now); why == nil {
		return p, nil
	}
	var old, young []*key // known everywhere, and not yet
	for _, k := range r.keys {
		switch {
		case k == p || k.revoked:
		case k.created.After(now.Add(-propagation)):
			young = append(young, k)
		default:
			old = append(old, k)
		}
	}
	slices.SortStableFunc(old, func(a, b *key) int { return b.created.Compare(a.created) })
	slices.SortStableFunc(young, func(a, b *key) int { return a.created.Compare(b.created) })
	for _, k := range slices.Concat(old, young) {
		if _, err := k.encryptor(); err == nil {
			return k, why
		}
	}
	return nil, why
}

// parseKey returns a key with nothing but its id together with the error, if
// the id at least can be read.
func parseKey(e *element, certificates []certificate) (*key, error) {
	k := &key{}
	var ok bool
	if k.id, ok = parseGUID(e.attr("id")); !ok {
		return nil, errors.New("its id is not a GUID")
	}
	for _, date := range []struct {
		name string
		to   *time.Time
	}{{"creationDate", &k.created}, {"activationDate", &k.activated}, {"expirationDate", &k.expires}} {
		var err error
		if *date.to, err = parseXMLDate(e, date.name); err != nil {
			return k, err
		}
	}
	descriptor := e.child("", "descriptor")
	k.encryptor = sync.OnceValues(func() (*encryptor, error) { return parseDescriptor(descriptor, certificates) })
	return k, nil
}

// revocations are of single keys, and of all that were created before a time.
type revocations struct {
	ids    []uuid.UUID
	before time.Time
}

func (r *revocations) add(e *element) error {
	of := e.child("", "key").attr("id")
	if of == "*" {
		before, err := parseXMLDate(e, "revocationDate")
		if before.After(r.before) {
			r.before = before
		}
		return err
	}
	id, ok := parseGUID(of)
	if !ok {
		return errors.New("the id of its key is not a GUID")
	}
	r.ids = append(r.ids, id)
	return nil
}

// parseXMLDate parses an xsd:dateTime as .NET does, but wants a time zone.
func parseXMLDate(e *element, name string) (t time.Time, err error) {
	date := e.child("", name)
	if date == nil {
		return t, fmt.Errorf("it has no %s", name)
	}
	s := strings.Trim(date.value(), xmlSpace)
	t, err = time.Parse(time.RFC3339Nano, s)
	// Parse also takes an hour of one digit, a comma, and the year 0.
	if err != nil || s[len("2006-01-02T15")] != ':' || strings.Contains(s, ",") || t.Year() < 1 {
		return t, fmt.Errorf("its %s is not a date and time with a time zone", name)
	}
	return t.UTC().Truncate(100 * time.Nanosecond), nil
}

// parseGUID parses what XmlConvert.ToGuid does, but for its format X.
func parseGUID(s string) (id uuid.UUID, ok bool) {
	s = strings.Trim(s, xmlSpace)
	if len(s) == 38 && (s[0] == '{' && s[37] == '}' || s[0] == '(' && s[37] == ')') {
		s = s[1:37]
	} else if len(s) != 32 && len(s) != 36 {
		return id, false
	}
	id, err := uuid.Parse(s)
	return id, err == nil
}

// guidBytes changes an id between the order of its text and that of .NET's
// bytes: the first three numbers are little-endian there.
func guidBytes(id [16]byte) [16]byte {
	slices.Reverse(id[0:4])
	slices.Reverse(id[4:6])
	slices.Reverse(id[6:8])
	return id
}
