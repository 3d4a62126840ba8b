package aspnetcore

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

type goldenPayload struct {
	Name      string
	Algorithm string
	KeyID     string `json:"key_id"`
	Purposes  []string
	Protected string
	Plaintext *string `json:"plaintext_hex"`
	Exception string
	KeyXML    string `json:"key_xml"`
}

type goldenAlgorithm struct {
	Name                   string
	Now                    time.Time
	KeyID                  string `json:"key_id"`
	KeyXML                 string `json:"key_xml"`
	Encryption, Validation string
	MasterKey              string `json:"master_key_hex"`
	Payloads               []goldenPayload
}

type goldenRing struct {
	Name     string
	Now      time.Time
	Auto     bool `json:"auto_generate_keys"`
	Elements []string
	Resolver struct {
		Default   *string `json:"default_key"`
		Fallback  *string `json:"fallback_key"`
		Revoked   []string
		Exception string
	}
	Protect struct {
		KeyID     string   `json:"key_id"`
		Made      bool     `json:"made_new_key"`
		Added     []string `json:"added_elements"`
		Exception string
	}
	Unprotect []goldenPayload
	Purposes  []string
}

type goldenDataProtection struct {
	FirstProtect [][]string `json:"first_protect_commands"`
	Algorithms   []goldenAlgorithm
	Tampered     struct {
		Keys  []goldenPayload
		Cases []goldenPayload
	}
	KeyRings []goldenRing `json:"key_rings"`
	Refresh  []struct {
		Name      string
		Now       time.Time
		Result    string
		ListReads int `json:"list_reads"`
	} `json:"ring_refresh"`
	AtRest struct {
		Certificate      goldenCertificate
		OtherCertificate goldenCertificate `json:"other_certificate"`
		Cases            []struct {
			goldenPayload
			MasterKey   string `json:"master_key_hex"`
			DotnetReads struct {
				Plaintext *string `json:"plaintext_hex"`
				Exception string
			} `json:"dotnet_reads"`
		}
	} `json:"encrypted_at_rest"`
}

type goldenCertificate struct {
	Certificate string `json:"certificate_pem"`
	PrivateKey  string `json:"private_key_pem"`
}

func (g goldenCertificate) load(t testing.TB) tls.Certificate {
	t.Helper()
	c, err := tls.X509KeyPair([]byte(g.Certificate), []byte(g.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func loadDataProtection(t testing.TB) (g goldenDataProtection) {
	t.Helper()
	loadGolden(t, "dataprotection.json", &g)
	return g
}

func unbase64(t testing.TB, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// opens checks that payload opens as plaintext, a text in hex.
func opens(t *testing.T, ctx context.Context, p *Protector, name string, payload []byte, plaintext string) {
	t.Helper()
	got, err := p.Unprotect(ctx, payload)
	if err != nil || hex.EncodeToString(got) != plaintext {
		t.Errorf("%s: got %x, %v, want %s", name, got, err, plaintext)
	}
}

// payloadKey returns the id of the key that payload is of.
func payloadKey(payload []byte) string {
	return uuid.UUID(guidBytes([16]byte(payload[4:20]))).String()
}

// The sizes of the AES key and of the digest, 0 for GCM.
func goldenSizes(t *testing.T, a goldenAlgorithm) (key, digest int) {
	t.Helper()
	for _, n := range []int{128, 192, 256} {
		if strings.Contains(a.Encryption, fmt.Sprintf("AES_%d_", n)) || strings.Contains(a.Encryption, fmt.Sprintf(`keyLength="%d"`, n)) {
			key = n / 8
		}
	}
	for _, n := range []int{256, 384, 512} {
		if strings.Contains(a.Validation, fmt.Sprintf("HMACSHA%d", n)) {
			digest = n / 8
		}
	}
	if key == 0 || strings.Contains(a.Encryption, "GCM") != (digest == 0) {
		t.Errorf("%s: no sizes in %s, %s", a.Name, a.Encryption, a.Validation)
	}
	return key, digest
}

func TestGoldenAlgorithms(t *testing.T) {
	golden := loadDataProtection(t)
	wantCount(t, "algorithms", len(golden.Algorithms), 16)
	payloads, managed, gcm := 0, 0, 0
	for _, a := range golden.Algorithms {
		ring, ctx := ringOf(t, nil, a.KeyXML), at(a.Now)
		if err := ring.Check(ctx); err != nil {
			t.Errorf("%s: %v", a.Name, err)
			continue
		}
		k, err := ring.protecting(ctx)
		if err != nil || k.id.String() != a.KeyID {
			t.Errorf("%s: got %v, %v, want %s", a.Name, k, err, a.KeyID)
			continue
		}
		e, err := k.encryptor()
		keySize, digest := goldenSizes(t, a)
		if err != nil || hex.EncodeToString(e.master) != a.MasterKey || e.keySize != keySize || (e.hash == nil) != (digest == 0) {
			t.Errorf("%s: got %+v, %v", a.Name, e, err)
			continue
		}
		if strings.Contains(a.Encryption, "keyLength") {
			managed++
		}
		if digest == 0 {
			gcm++
		}
		for _, c := range a.Payloads {
			payloads++
			name, payload := a.Name+"/"+c.Name, unbase64(t, c.Protected)
			p := NewProtector(ring, c.Purposes...)
			opens(t, ctx, p, name, payload, *c.Plaintext)

			// With the nonces of the payload, the same bytes are written.
			nonces := payload[payloadHeader : payloadHeader+modifierSize+e.nonceSize]
			same, err := p.protect(k, bytes.NewReader(nonces), unhex(t, *c.Plaintext))
			if err != nil || !bytes.Equal(same, payload) {
				t.Errorf("%s: got %x, %v, want %x", name, same, err, payload)
			}
			ours, err := p.Protect(ctx, unhex(t, *c.Plaintext))
			if err != nil || len(ours) != len(payload) || !bytes.Equal(ours[:payloadHeader], payload[:payloadHeader]) || bytes.Equal(ours, payload) {
				t.Errorf("%s: got %x, %v, want one like %x", name, ours, err, payload)
				continue
			}
			opens(t, ctx, p, name, ours, *c.Plaintext)
			if want := payloadHeader + bodySize(len(*c.Plaintext)/2, digest); len(ours) != want {
				t.Errorf("%s: got %d bytes, want %d", name, len(ours), want)
			}
			for _, purposes := range [][]string{c.Purposes[1:], append(slices.Clone(c.Purposes), ""), {strings.Join(c.Purposes, "") + "x"}} {
				if got, err := NewProtector(ring, purposes...).Unprotect(ctx, payload); !errors.Is(err, ErrInvalidPayload) {
					t.Errorf("%s for %q: got %x, %v, want ErrInvalidPayload", name, purposes, got, err)
				}
			}
		}
	}
	wantCount(t, "payloads", payloads, 48)
	wantCount(t, "managed descriptors", managed, 3)
	wantCount(t, "GCM", gcm, 3)
}

func bodySize(plaintext, digest int) int {
	if digest == 0 {
		return 16 + 12 + plaintext + 16
	}
	return 16 + 16 + (plaintext/aes.BlockSize+1)*aes.BlockSize + digest
}

func TestGoldenTampered(t *testing.T) {
	golden := loadDataProtection(t)
	wantCount(t, "keys", len(golden.Tampered.Keys), 2)
	wantCount(t, "cases", len(golden.Tampered.Cases), 34)
	refused := 0
	ctx := at(time.Date(2031, 3, 3, 9, 0, 0, 0, time.UTC))
	for _, c := range golden.Tampered.Cases {
		i := slices.IndexFunc(golden.Tampered.Keys, func(k goldenPayload) bool { return k.Algorithm == c.Algorithm })
		k := golden.Tampered.Keys[i]
		if c.Purposes == nil {
			c.Purposes = k.Purposes
		}
		p := NewProtector(ringOf(t, nil, k.KeyXML), c.Purposes...)
		if c.Plaintext != nil {
			opens(t, ctx, p, c.Name, unbase64(t, c.Protected), *c.Plaintext)
			continue
		}
		refused++
		got, err := p.Unprotect(ctx, unbase64(t, c.Protected))
		if !errors.Is(err, ErrInvalidPayload) || got != nil || c.Exception == "" {
			t.Errorf("%s: got %x, %v, want ErrInvalidPayload", c.Name, got, err)
		}
		if strings.HasSuffix(c.Name, "zero-tag") && !errors.Is(err, errForged) { // CVE-2026-40372
			t.Errorf("%s: got %v, want it forged", c.Name, err)
		}
	}
	wantCount(t, "refused", refused, 32)
}

// What .NET reads and we do not: a date without a time zone.
var stricterRings = []string{"dates-without-zone"}

func TestGoldenKeyRings(t *testing.T) {
	golden := loadDataProtection(t)
	wantCount(t, "key rings", len(golden.KeyRings), 64)
	counts := map[string]int{}
	for _, c := range golden.KeyRings {
		t.Run(c.Name, func(t *testing.T) {
			ctx, ring := at(c.Now), ringOf(t, nil, c.Elements...)
			p := NewProtector(ring, c.Purposes...)
			checkErr := ring.Check(ctx)
			payload, protectErr := p.Protect(ctx, []byte("hello"))
			if slices.Contains(stricterRings, c.Name) {
				counts["stricter"]++
				if protectErr == nil || len(ring.ring.leftOut) != 1 || len(ring.ring.keys) != 0 {
					t.Errorf("got %x, want the key left out", payload)
				}
				if got, err := p.Unprotect(ctx, unbase64(t, c.Unprotect[0].Protected)); !errors.Is(err, ErrInvalidPayload) || !strings.Contains(err.Error(), "time zone") {
					t.Errorf("got %x, %v, want an error about the time zone", got, err)
				}
				return
			}
			if c.Resolver.Exception != "" {
				counts["unreadable"]++
				wantOutage(t, "Check", checkErr)
				wantOutage(t, "Protect", protectErr)
				for _, u := range c.Unprotect {
					_, err := p.Unprotect(ctx, unbase64(t, u.Protected))
					wantOutage(t, "Unprotect", err)
					if !strings.Contains(err.Error(), "item ") {
						t.Errorf("got %v, want it to name the item", err)
					}
				}
				return
			}
			compareRing(t, ring.ring, c)
			switch want := cmpOr(c.Resolver.Default, c.Resolver.Fallback); {
			case want == nil:
				counts["none"]++
				wantOutage(t, "Check", checkErr)
				wantOutage(t, "Protect", protectErr)
				if !c.Auto && c.Protect.Exception == "" {
					t.Errorf("got %v where .NET could protect", protectErr)
				}
			case protectErr != nil || payloadKey(payload) != *want:
				t.Errorf("got %x, %v, want key %s", payload, protectErr, *want)
			default:
				counts["protects"]++
				opens(t, ctx, p, "ours", payload, hex.EncodeToString([]byte("hello")))
				if !c.Protect.Made && c.Protect.KeyID != *want {
					t.Errorf("got key %s, want %s", *want, c.Protect.KeyID)
				}
				// Check also speaks of a key that .NET would protect with.
				preferred := ring.ring.preferred(c.Now)
				if bad := preferred != nil && usable(preferred) != nil; bad != (checkErr != nil) {
					t.Errorf("Check: got %v, want an error: %v", checkErr, bad)
				}
			}
			if c.Protect.Made || len(c.Protect.Added) > 0 { // .NET's own new key
				counts["made"]++
				more := ringOf(t, nil, append(slices.Clone(c.Elements), c.Protect.Added...)...)
				payload, err := NewProtector(more, "x").Protect(ctx, nil)
				if err != nil || payloadKey(payload) != c.Protect.KeyID {
					t.Errorf("with .NET's new key: got %x, %v, want key %s", payload, err, c.Protect.KeyID)
				}
			}
			for _, u := range c.Unprotect {
				payload := unbase64(t, u.Protected)
				if u.Plaintext != nil {
					counts["opened"]++
					opens(t, ctx, p, u.KeyID, payload, *u.Plaintext)
					continue
				}
				got, err := p.Unprotect(ctx, payload)
				k := ring.ring.byID[uuid.MustParse(payloadKey(payload))]
				switch {
				case len(c.Elements) == 0 || k != nil && !k.revoked:
					counts["unusable"]++
					wantOutage(t, "Unprotect", err)
				case !errors.Is(err, ErrInvalidPayload) || u.Exception == "":
					t.Errorf("%s: got %x, %v, want ErrInvalidPayload", u.KeyID, got, err)
				default:
					counts["refused"]++
				}
			}
		})
	}
	want := map[string]int{
		"stricter": 1, "unreadable": 7, "none": 5, "protects": 51, // 64 rings
		"made": 14, "opened": 65, "refused": 15, "unusable": 6,
	}
	if !maps.Equal(counts, want) {
		t.Errorf("got %v, want %v", counts, want)
	}
}

func cmpOr(a, b *string) *string {
	if a != nil {
		return a
	}
	return b
}

func usable(k *key) error {
	_, err := k.encryptor()
	return err
}

// compareRing compares what the resolver of .NET says.
func compareRing(t *testing.T, r *ring, c goldenRing) {
	t.Helper()
	k, why := r.defaultKey(c.Now)
	var isDefault, isFallback *key
	if why == nil {
		isDefault = k
	} else {
		isFallback = k
	}
	for _, of := range []struct {
		name string
		got  *key
		want *string
	}{{"default", isDefault, c.Resolver.Default}, {"fallback", isFallback, c.Resolver.Fallback}} {
		if (of.got == nil) != (of.want == nil) || of.got != nil && of.got.id.String() != *of.want {
			t.Errorf("%s key: got %v, want %v (%v)", of.name, of.got, of.want, why)
		}
	}
	revoked := []string{}
	for _, k := range r.keys {
		if k.revoked {
			revoked = append(revoked, k.id.String())
		}
	}
	if !slices.Equal(revoked, c.Resolver.Revoked) {
		t.Errorf("revoked: got %v, want %v", revoked, c.Resolver.Revoked)
	}
}

// One application, which keys are added to. We look for a key that is unknown
// where .NET no longer does.
func TestGoldenRefresh(t *testing.T) {
	golden := loadDataProtection(t)
	wantCount(t, "steps", len(golden.Refresh), 6)
	sooner := map[string]int{"added-key-after-an-hour": 1, "first-use-after-a-day": 1}
	first, second, third := golden.Algorithms[0], golden.Algorithms[1], golden.Algorithms[2]
	keys := &fakeKeys{items: []string{first.KeyXML}}
	ring := ringOf(t, nil)
	ring.source = keys
	start := golden.Refresh[0].Now.Add(-time.Minute)
	if err := ring.Check(at(start)); err != nil {
		t.Fatal(err)
	}
	for _, c := range golden.Refresh {
		payload := second.Payloads[0]
		switch c.Name {
		case "added-key-within-two-minutes":
			keys.items = append(keys.items, second.KeyXML)
		case "added-key-after-two-minutes":
			keys.items = append(keys.items, third.KeyXML)
			fallthrough
		case "added-key-after-an-hour", "first-use-after-a-day", "next-use":
			payload = third.Payloads[0]
		}
		before := keys.reads.Load()
		_, err := NewProtector(ring, payload.Purposes...).Unprotect(at(c.Now), unbase64(t, payload.Protected))
		opened, reads := c.Result == "opened", c.ListReads
		if n, ok := sooner[c.Name]; ok {
			opened, reads = true, n
		}
		if got := int(keys.reads.Load() - before); (err == nil) != opened || err != nil && !errors.Is(err, ErrInvalidPayload) || got != reads {
			t.Errorf("%s: got %v, %d reads, want opened: %v, %d", c.Name, err, got, opened, reads)
		}
	}
}

// .NET's first Protect reads the list that we read.
func TestGoldenFirstProtect(t *testing.T) {
	golden := loadDataProtection(t)
	wantCount(t, "commands", len(golden.FirstProtect), 3)
	if c := golden.FirstProtect[0]; c[0] != "LRANGE" || c[1] != defaultListKey {
		t.Errorf("got %q, want LRANGE of %s", c, defaultListKey)
	}
	element := golden.FirstProtect[1][2]
	if ring := ringOf(t, nil, element); ring.Check(at(time.Date(2031, 3, 3, 9, 0, 0, 0, time.UTC))) != nil {
		t.Errorf("cannot use what .NET has pushed")
	}
}

func TestGoldenEncryptedAtRest(t *testing.T) {
	golden := loadDataProtection(t)
	wantCount(t, "cases", len(golden.AtRest.Cases), 10)
	right, other := golden.AtRest.Certificate.load(t), golden.AtRest.OtherCertificate.load(t)
	ctx := at(time.Date(2031, 3, 3, 9, 0, 0, 0, time.UTC))
	purposes := golden.AtRest.Cases[0].Purposes
	opened := 0
	for _, c := range golden.AtRest.Cases {
		certificates := []tls.Certificate{other, right}
		switch c.Name {
		case "certificate-wrong":
			certificates = certificates[:1]
		case "certificate-none":
			certificates = nil
		}
		ring := ringOf(t, certificates, c.KeyXML)
		p := NewProtector(ring, purposes...)
		checkErr := ring.Check(ctx)
		got, err := p.Unprotect(ctx, unbase64(t, c.Protected))
		if c.DotnetReads.Plaintext == nil {
			if c.DotnetReads.Exception == "" || got != nil {
				t.Errorf("%s: got %x, want an error", c.Name, got)
			}
			wantOutage(t, c.Name, err)
			wantOutage(t, c.Name, checkErr)
			continue
		}
		opened++
		if err != nil || checkErr != nil || hex.EncodeToString(got) != *c.DotnetReads.Plaintext {
			t.Errorf("%s: got %x, %v, %v, want %s", c.Name, got, err, checkErr, *c.DotnetReads.Plaintext)
			continue
		}
		e, err := ring.ring.byID[uuid.MustParse(c.KeyID)].encryptor()
		if err != nil || hex.EncodeToString(e.master) != c.MasterKey {
			t.Errorf("%s: got %v, want the master key %s", c.Name, err, c.MasterKey)
		}
	}
	wantCount(t, "opened", opened, 6)
}
