package aspnetcore

import (
	"bytes"
	"crypto/aes"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/uuid"
)

// counting is the "random" source of .NET's tests: 00, 01, 02 and so on.
type counting byte

func (c *counting) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(*c)
		*c++
	}
	return len(b), nil
}

// From SP800_108Tests of ASP.NET Core.
func TestDeriveKey(t *testing.T) {
	long := make([]byte, 50_000)
	for i := range long {
		long[i] = byte(i)
	}
	label, context := []byte("label"), []byte("contextHeadercontext")
	for _, c := range []struct {
		key, label, context []byte
		size                int
		want                string
	}{
		{[]byte("kdk"), label, context, 63, "V47WmHzPSkdC2vkLAomIjCzZlDOAetll3yJLcSvon7LJFjJpEN+KnSNp+gIpeydKMsENkflbrIZ/3s6GkEaH"},
		{[]byte("kdk"), label, context, 64, "mVaFM4deXLl610CmnCteNzxgbM/VkmKznAlPauHcDBn0le06uOjAKLHx0LfoU2/Ttq9nd78Y6Nk6wArmdwJgJg=="},
		{[]byte("kdk"), label, context, 65, "GaHPeqdUxriFpjRtkYQYWr5/iqneD/+hPhVJQt4rXblxSpB1UUqGqL00DMU/FJkX0iMCfqUjQXtXyfks+p++Ev4="},
		{long, label, context, 63, "rt2hM6kkQ8hAXmkHx0TU4o3Q+S7fie6b3S1LAq107k++P9v8uSYA2G+WX3pJf9ZkpYrTKD7WUIoLkgA1R9lk"},
		{long, label, context, 64, "RKiXmHSrWq5gkiRSyNZWNJrMR0jDyYHJMt9odOayRAE5wLSX2caINpQmfzTH7voJQi3tbn5MmD//dcspghfBiw=="},
		{long, label, context, 65, "KedXO0zAIZ3AfnPqY1NnXxpC3HDHIxefG4bwD3g6nWYEc5+q7pjbam71Yqj0zgHMNC9Z7BX3wS1/tajFocRWZUk="},
		{nil, nil, nil, 64, "fHGMWaDLmoncLsEKuKbZo8T+73paNohDeb5O7BSxbC8Gus8d/mUpa/9w2ss65OHlmFw1VZhIXzr5swMYVRndRw=="},
		{nil, nil, nil, 96, "iXd0KuWopclbxtWf9dO8fnerBqLJvndOUs74pTcj7Ck8Ctsvz4QttXkCY1DPd4aDbOE/CCU8/bIQtzoU1Xu3ZQ1pV0qEZmzFll+Vpf+q7av7AGEqwh56a+NPt6gxC5CP"},
	} {
		if got := base64.StdEncoding.EncodeToString(deriveKey(c.key, c.label, c.context, c.size)); got != c.want {
			t.Errorf("%d bytes from %d: got %s, want %s", c.size, len(c.key), got, c.want)
		}
	}
	// The subkeys of AES-192-CBC with HMACSHA256, from the documentation.
	const want = "5bb6c9831378221d8e1073cacf658eb061624271cb8321dda04a05005babc0a2496fa561e3e24987aa6355cd740adac4b7923dbf599000a9"
	if got := hex.EncodeToString(deriveKey(nil, nil, nil, 24+32)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestContextHeader(t *testing.T) {
	for name, c := range map[string]struct {
		keySize int
		hash    func() hash.Hash
		want    string
	}{
		"AES-256-CBC + HMACSHA256": {32, sha256.New, "0000 00000020 00000010 00000020 00000020 ea10387ac9273b7fd5321177776f1530 f946d3c71d60dd7b287366d81cb03fe5e5a701fa16f1554f1581fddd576ce844"},
		"AES-192-CBC + HMACSHA256": {24, sha256.New, "0000 00000018 00000010 00000020 00000020 f474b1872b3b53e4721de19c0841db6f d4791184b996092ee1202f36e8608fa8fbd98abdff5402f264b1d7211536220c"},
		"AES-128-CBC + HMACSHA256": {16, sha256.New, "0000 00000010 00000010 00000020 00000020 4d199260677dcd65eee55e807b969512 8602e399bed6f9779a66796276ff025688001bdb49cc4a7f8f7a192bcd48f4e7"},
		"AES-256-CBC + HMACSHA512": {32, sha512.New, "0000 00000020 00000010 00000040 00000040 376e17e169255362126076f9d9039203 9348c1b5a269a82f77bdbb68a38939e4b9c5c51277112840ae4ba315212c956a4d1f4bd74b0cdf5057b0e2d4ae5a014f5cf059f15ae95e484742e70707dd17d9"},
		"AES-128-GCM":              {16, nil, "0001 00000010 0000000c 00000010 00000010 957c50ff692e388b9ad5c7689e4b9e2b"},
		"AES-192-GCM":              {24, nil, "0001 00000018 0000000c 00000010 00000010 0daa013a950ada2b798f5ff272fad363"},
		"AES-256-GCM":              {32, nil, "0001 00000020 0000000c 00000010 00000010 e7dcce66df855a323a6bb7bd7a59be45"},
	} {
		if got := newEncryptor([]byte("any"), c.keySize, c.hash).header; !bytes.Equal(got, spaced(t, c.want)) {
			t.Errorf("%s: got %x, want %s", name, got, c.want)
		}
	}
}

func spaced(t testing.TB, s string) []byte {
	t.Helper()
	return unhex(t, strings.Join(strings.Fields(s), ""))
}

// Encrypt_KnownKey of ASP.NET Core's tests.
func TestKnownKey(t *testing.T) {
	master, aad, plaintext := []byte("master key"), []byte{6, 5, 4, 3}, []byte{2, 3, 4}
	for name, c := range map[string]struct {
		e    *encryptor
		want string
	}{
		"AES-256-CBC + HMACSHA256": {
			newEncryptor(master, 32, sha256.New),
			"000102030405060708090a0b0c0d0e0f 101112131415161718191a1b1c1d1e1f b7ea3e325893a3060389c6660363084b 9d8a85c70fbd98d87f72e7723eb5a6266c3877f76619a2c92cbbaddae7620000",
		},
		"AES-128-GCM": {
			newEncryptor(master, 16, nil),
			"000102030405060708090a0b0c0d0e0f 101112131415161718191a1b 43b691 8d0d66d9a1d9442d5d8e41da39609ce8",
		},
	} {
		got, err := c.e.encrypt(new(counting), plaintext, aad)
		if err != nil || !bytes.Equal(got, spaced(t, c.want)) {
			t.Errorf("%s: got %x, %v, want %s", name, got, err, c.want)
		}
		if got, err := c.e.decrypt(spaced(t, c.want), aad); err != nil || !bytes.Equal(got, plaintext) {
			t.Errorf("%s: got %x, %v, want %x", name, got, err, plaintext)
		}
		if got, err := c.e.encrypt(iotest.ErrReader(errors.New("no entropy")), plaintext, aad); err == nil {
			t.Errorf("%s without random bytes: got %x, want an error", name, got)
		}
	}
}

// Computed in Go and opened by .NET 10: the cookie of a ticket in session mode.
func TestKnownCookie(t *testing.T) {
	id := uuid.MustParse("80732141-ec8f-4b80-af9c-c4d2d1ff8901")
	master := make([]byte, 64)
	for i := range master {
		master[i] = byte(i)
	}
	const cookieMiddleware = "Microsoft.AspNetCore.Authentication.Cookies.CookieAuthenticationMiddleware"
	plaintext := spaced(t, "05000000 07436f6f6b696573 01000000 00 0100 0100 01000000"+
		"35 4d6963726f736f66742e4173704e6574436f72652e41757468656e7469636174696f6e2e436f6f6b6965732d53657373696f6e4964"+
		"35 4175746853657373696f6e53746f72652d30663866616435622d643963622d343639662d613136352d373038363737323839353065"+
		"0100 0100 0100 00000000 00 00 01000000 00000000")
	for name, c := range map[string]struct {
		e               *encryptor
		want            string
		encryption, mac string
	}{
		"CBC": {
			newEncryptor(master, 32, sha256.New),
			"CfDJ8EEhc4CP7IBLr5zE0tH_iQEAAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eH7RTBHOeNRuHGsqZDwEtMSpmPA7m4i8iXXrl1JxxYuf4FjONv1ZfmzYzO5oNUX9ScVZJdtwEqyCIQHEVN6yQk1DfeVArDJ_oK6MO0VIGdKo073qBLrfLaEdyX9CiYl8BBWlyXhD8wblwylW-BKth5lChvMidFq1lBtFv026Q902RhAZGPW7TAp4I6TE58Z-CHlCYRa3dndrqhhjPwt-wWREfDTLZgY0pVrfumlzqcWLX5dhQtX-41_RRnAYDhCuGCw",
			"4c11127579b38dfbc60b455e69d04f226f51a558a42d6990e170240899edab52", "e1cefaa755db021b1427ed1515cd0edb2e62c1e02fe9579bdfa896dc5327658c",
		},
		"GCM": {
			newEncryptor(master, 32, nil),
			"CfDJ8EEhc4CP7IBLr5zE0tH_iQEAAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHUdxCLVm3OOQ7weXuAk_rsMZopSuASAGN_XC6cD8ps7qUnTAuFPM3Ppue1xZizggIJYP1X5BqXNCedbqO8LtYXUu4oqN01FOEGkEAZaUblnBTdDY6uVQVA_D_8fUzObcrLeEsp8-sYZCZDXlQPt1P7RInVKXBGZpQcAGsGfRY7MfLlXt4CkJTUOi1X6oG-1MglrAOw5uVa6Fyjgkm51bBAgAWZC8iqOQVg",
			"c6f4c89b82321d7a9648857b8e52628a7d36cad0ad5e3ae09ae31660eb9c1a5f", "",
		},
	} {
		p := NewProtector(nil, "SharedApp", cookieMiddleware, "Cookies", "v2")
		k := &key{id: id, encryptor: func() (*encryptor, error) { return c.e, nil }}
		got, err := p.protect(k, new(counting), plaintext)
		if err != nil || base64.RawURLEncoding.EncodeToString(got) != c.want {
			t.Errorf("%s: got %x, %v, want %s", name, got, err, c.want)
		}
		aad := append(spaced(t, "09f0c9f0 412173808fec804baf9cc4d2d1ff8901 00000004"), "\x09SharedApp\x4a"+cookieMiddleware+"\x07Cookies\x02v2"...)
		encryption, mac := c.e.subkeys(aad, got[20:36])
		if hex.EncodeToString(encryption) != c.encryption || hex.EncodeToString(mac) != c.mac {
			t.Errorf("%s: got subkeys %x, %x", name, encryption, mac)
		}
		opened, err := c.e.decrypt(got[20:], aad)
		if err != nil || !bytes.Equal(opened, plaintext) {
			t.Errorf("%s: got %x, %v, want %x", name, opened, err, plaintext)
		}
	}
}

// From KeyRingBasedDataProtectorTests.
func TestGUIDBytes(t *testing.T) {
	id := guidBytes(uuid.MustParse("ba73c9ce-d322-4e45-af90-341307e11c38"))
	if got := hex.EncodeToString(id[:]); got != "cec973ba22d3454eaf90341307e11c38" {
		t.Errorf("got %s", got)
	}
}

// What a key without its MAC makes of bytes: padding is only looked at when the
// MAC is right, and no prefix of a payload is one.
func TestDecryptRefuses(t *testing.T) {
	for name, e := range map[string]*encryptor{
		"CBC":      newEncryptor([]byte("k"), 16, sha1.New),
		"GCM":      newEncryptor([]byte("k"), 16, nil),
		"CBC, 512": newEncryptor([]byte("k"), 32, sha512.New),
	} {
		body, err := e.encrypt(new(counting), []byte("hello"), nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := range body {
			if got, err := e.decrypt(body[:i], nil); err == nil {
				t.Errorf("%s: the first %d bytes: got %x, want an error", name, i, got)
			}
			damaged := bytes.Clone(body)
			damaged[i] ^= 1
			if got, err := e.decrypt(damaged, nil); err != errForged {
				t.Errorf("%s: byte %d: got %x, %v, want errForged", name, i, got, err)
			}
		}
		zero := append(body[:len(body)-e.tagSize:len(body)-e.tagSize], make([]byte, e.tagSize)...)
		if got, err := e.decrypt(zero, nil); err != errForged { // CVE-2026-40372
			t.Errorf("%s: a tag of zeros: got %x, %v, want errForged", name, got, err)
		}
	}
	// Whoever has the key can make these, but no program does.
	e := newEncryptor([]byte("k"), 16, sha256.New)
	_, macKey := e.subkeys(nil, make([]byte, modifierSize))
	for _, n := range []int{0, 1, 15, 17} {
		h := hmac.New(e.hash, macKey)
		h.Write(make([]byte, aes.BlockSize+n))
		if got, err := e.decrypt(h.Sum(make([]byte, modifierSize+aes.BlockSize+n)), nil); err != errTooShort {
			t.Errorf("%d bytes of ciphertext: got %x, %v, want errTooShort", n, got, err)
		}
	}
	for _, padded := range []string{"", "00", "0202020202020202020202020202020211", "010203040506070809101112131415ff", "00000000000000000000000000000302"} {
		if got, err := unpad(unhex(t, padded)); err == nil {
			t.Errorf("padding of %s: got %x, want an error", padded, got)
		}
	}
}

// The master key may be of any length, and may be shared: each protector, key
// and algorithm has its own subkeys.
func TestSubkeysDiffer(t *testing.T) {
	seen := map[string]string{}
	for name, e := range map[string]*encryptor{
		"CBC 256": newEncryptor([]byte("k"), 16, sha256.New), "CBC 512": newEncryptor([]byte("k"), 16, sha512.New),
		"GCM": newEncryptor([]byte("k"), 16, nil), "GCM of another": newEncryptor([]byte("l"), 16, nil),
	} {
		for _, aad := range []string{"a", "b"} {
			encryption, _ := e.subkeys([]byte(aad), []byte("modifier"))
			if other, ok := seen[string(encryption)]; ok {
				t.Errorf("%s, %s: the key of %s", name, aad, other)
			}
			seen[string(encryption)] = name + ", " + aad
		}
	}
}
