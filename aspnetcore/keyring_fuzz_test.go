package aspnetcore

import (
	"bytes"
	"crypto/tls"
	"errors"
	"slices"
	"testing"
)

// FuzzPayload: no panic; what opens is a golden payload, byte for byte; what
// does not is an ErrInvalidPayload. The ring has a key of each algorithm.
func FuzzPayload(f *testing.F) {
	golden := loadDataProtection(f)
	var elements []string
	valid := map[string]bool{}
	for _, a := range golden.Algorithms {
		elements = append(elements, a.KeyXML)
		for _, c := range a.Payloads {
			valid[string(unbase64(f, c.Protected))] = true
			f.Add(unbase64(f, c.Protected))
		}
	}
	for _, c := range golden.Tampered.Cases {
		f.Add(unbase64(f, c.Protected))
	}
	ring := ringOf(f, nil, elements...)
	ctx := at(golden.Algorithms[0].Now)
	var protectors []*Protector
	for _, a := range golden.Algorithms {
		for _, c := range a.Payloads {
			protectors = append(protectors, NewProtector(ring, c.Purposes...))
		}
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		before := bytes.Clone(payload)
		for _, p := range protectors {
			got, err := p.Unprotect(ctx, payload)
			if err == nil && !valid[string(payload)] {
				t.Fatalf("%x: got %x, want an error", payload, got)
			}
			if err != nil && !errors.Is(err, ErrInvalidPayload) {
				t.Fatalf("%x: got %v, want ErrInvalidPayload", payload, err)
			}
		}
		if !bytes.Equal(payload, before) {
			t.Fatalf("got %x, want %x untouched", payload, before)
		}
	})
}

// FuzzKeyXML: no panic, and no more is kept than the input allows. What is read
// is read as the same again, and a key that can be used does what it protects.
func FuzzKeyXML(f *testing.F) {
	golden := loadDataProtection(f)
	for _, a := range golden.Algorithms {
		f.Add([]byte(a.KeyXML))
	}
	for _, c := range golden.KeyRings {
		for _, e := range c.Elements {
			f.Add([]byte(e))
		}
	}
	for _, c := range golden.AtRest.Cases {
		f.Add([]byte(c.KeyXML))
	}
	cert, err := newCertificate(golden.AtRest.Certificate.load(f))
	if err != nil {
		f.Fatal(err)
	}
	right := golden.AtRest.Certificate.load(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := parseXML(data)
		if (e == nil) != (err != nil) {
			t.Fatalf("%q: got %v, %v", data, e, err)
		}
		if e != nil && size(e) > 100*(len(data)+1) {
			t.Fatalf("%q: keeps %d bytes", data, size(e))
		}
		items := []item{{"item 0", data}}
		r, err := newRing(items, []certificate{cert})
		if err != nil {
			return
		}
		if again, err := newRing(items, []certificate{cert}); err != nil || len(again.keys) != len(r.keys) || !slices.Equal(again.warnings, r.warnings) {
			t.Fatalf("%q: got %+v, %v, want %+v", data, again, err, r)
		}
		if _, err := newRing(append(items, items...), nil); (err == nil) != (len(r.keys) == 0) {
			t.Fatalf("%q twice: got %v", data, err)
		}
		for _, k := range r.keys {
			if _, err := k.encryptor(); err != nil {
				continue
			}
			ring := ringOf(t, []tls.Certificate{right}, string(data))
			p := NewProtector(ring, "test")
			payload, err := p.protect(k, new(counting), []byte("hello"))
			if err != nil {
				t.Fatalf("%q: %v", data, err)
			}
			if got, err := p.Unprotect(at(k.expires), payload); err != nil || string(got) != "hello" {
				t.Fatalf("%q: got %q, %v", data, got, err)
			}
		}
	})
}

// size is about what e keeps in memory.
func size(e *element) int {
	n := 100 + len(e.name.Space) + len(e.name.Local) + len(e.text)
	for _, a := range e.attrs {
		n += 50 + len(a.Name.Space) + len(a.Name.Local) + len(a.Value)
	}
	for _, c := range e.children {
		n += size(c)
	}
	return n
}
