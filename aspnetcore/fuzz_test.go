package aspnetcore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"runtime"
	"testing"

	"github.com/ticketstore/ticketstore"
)

// FuzzTicket: no panic; what is read can be written, and is then read as the
// same, at both levels.
func FuzzTicket(f *testing.F) {
	for _, file := range []string{"tickets.json", "tickets_read.json"} {
		var golden struct{ Cases []goldenCase }
		loadGolden(f, file, &golden)
		for _, c := range golden.Cases {
			f.Add(unhex(f, c.Hex), nameIdentifier)
			f.Add(unhex(f, c.Hex), defaultNameType)
		}
	}
	f.Add(mustSerialize(f, Serializer{}, fullTicket()), "")
	f.Add(mustSerialize(f, Serializer{}, ticketstore.NewTicket("alice")), "")
	f.Fuzz(func(t *testing.T, data []byte, claim string) {
		if w, err := readTicket(data); err == nil {
			b, err := w.bytes()
			if err != nil {
				t.Fatalf("%x: %v", data, err)
			}
			if again := mustWire(t, b); !reflect.DeepEqual(again, w) {
				t.Fatalf("%x: got %+v, want %+v", data, again, w)
			}
		}
		s := Serializer{SubjectClaim: claim}
		tk, err := s.Deserialize("id", data)
		if err != nil {
			if !errors.Is(err, ticketstore.ErrUndecodable) || tk != nil {
				t.Fatalf("got %v, %v, want ErrUndecodable", tk, err)
			}
			return
		}
		b := mustSerialize(t, s, tk)
		same, err := s.Deserialize("id", b)
		if err != nil || !reflect.DeepEqual(same, tk) {
			t.Fatalf("%x: got %+v, %v, want %+v", b, same, err, tk)
		}
		if again := mustSerialize(t, s, same); !bytes.Equal(again, b) {
			t.Fatalf("got %x, want %x", again, b)
		}
	})
}

// The largest counts that a ticket can claim, and what it takes to find out.
func TestMemoryIsBounded(t *testing.T) {
	const size = 64 << 10
	start := unhex(t, "05000000"+"00")
	count := func(b []byte, n int) []byte { return binary.LittleEndian.AppendUint32(bytes.Clone(b), uint32(n)) }
	identity := unhex(t, "00"+"0100"+"0100")
	claim := unhex(t, "00"+"00"+"00"+"00"+"00")
	oneIdentity := append(count(start, 1), identity...)
	oneClaim := append(count(oneIdentity, 1), claim...)
	for name, head := range map[string][]byte{
		"identities":       count(start, size/minIdentity-10),
		"claims":           count(oneIdentity, size/minClaim-10),
		"claim properties": count(oneClaim, size/minPair-10),
		"items":            count(append(count(start, 0), unhex(t, "01000000")...), size/minPair-10),
		"too many":         count(start, 1<<31-1),
		"minus one":        count(start, 1<<32-1),
	} {
		data := append(head, make([]byte, size-len(head))...)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := readTicket(data)
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > 32*size {
			t.Errorf("%s: got %d bytes for %d of input: %v", name, got, size, err)
		}
	}
}

// One byte of a ticket is damaged: an error or another ticket, but no panic.
func TestDamaged(t *testing.T) {
	good := mustSerialize(t, Serializer{}, fullTicket())
	refused := 0
	for i := range good {
		for _, with := range []byte{0x00, 0x01, 0x05, 0x7f, 0x80, 0xff} {
			data := bytes.Clone(good)
			data[i] = with
			tk, err := Serializer{}.Deserialize("id", data)
			if err != nil {
				refused++
				if tk != nil || !errors.Is(err, ticketstore.ErrUndecodable) {
					t.Errorf("byte %d is %#x: got %v, %v, want ErrUndecodable", i, with, tk, err)
				}
			} else if _, err := (Serializer{}).Serialize(tk); err != nil {
				t.Errorf("byte %d is %#x: %v", i, with, err)
			}
		}
	}
	if refused < len(good) {
		t.Errorf("got %d refused of %d, want most", refused, 6*len(good))
	}
}
