package ticketstore

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestKeyIsRedacted(t *testing.T) {
	const secret = "s3cret"
	key := Key(secret)
	type holder struct {
		Key Key
		M   map[string]Key
	}
	h := holder{key, map[string]Key{"k": key}}
	var out []string
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10s"} {
		out = append(out, fmt.Sprintf(verb, key), fmt.Sprintf(verb, &key), fmt.Sprintf(verb, h), fmt.Sprintf(verb, []Key{key}))
	}
	b, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	var logs syncBuffer
	slog.New(slog.NewTextHandler(&logs, nil)).Info("m", "key", key, "h", h)
	slog.New(slog.NewJSONHandler(&logs, nil)).Info("m", "key", key, "h", h)
	cookieKey := CookieKey{Hash: []byte(secret), Block: []byte(secret)}
	out = append(out, fmt.Sprintf("%v %+v %#v %s", cookieKey, []CookieKey{cookieKey}, Config{CookieKeys: []CookieKey{cookieKey}}.CookieKeys, cookieKey))
	slog.New(slog.NewJSONHandler(&logs, nil)).Info("m", "key", cookieKey, "keys", []CookieKey{cookieKey})
	out = append(out, string(b), logs.String(), fmt.Errorf("%v", key).Error())
	for _, s := range out {
		if strings.Contains(s, secret) || strings.Contains(s, fmt.Sprintf("%x", secret)) || !strings.Contains(s, redacted) {
			t.Errorf("got %q, want it redacted", s)
		}
	}
	if string(key) != secret {
		t.Error("a conversion to string does not give the key")
	}
}

// KeyEntropy: OWASP ASVS 5.0, 7.2.3; NIST SP 800-63B-4, 5.1.
func TestKeyEntropy(t *testing.T) {
	const n = 100_000
	secrets, ids := map[string]bool{}, map[string]bool{}
	var ones [256]int
	for range n {
		k, err := newRedisKey("alice")
		if err != nil {
			t.Fatal(err)
		}
		secrets[string(k.secret[:])], ids[k.id.String()] = true, true
		for bit := range ones {
			ones[bit] += int(k.secret[bit/8] >> (bit % 8) & 1)
		}
		if key := k.key(); len(key) != 66 {
			t.Fatalf("got a key of %d characters, want 66", len(key))
		}
	}
	if len(secrets) != n || len(ids) != n {
		t.Errorf("got %d secrets and %d IDs, want %d of each", len(secrets), len(ids), n)
	}
	for bit, count := range ones { // 8 standard deviations are 1,265
		if count < n/2-1300 || count > n/2+1300 {
			t.Errorf("bit %d is set in %d of %d secrets: not random", bit, count, n)
		}
	}
}

func TestPartitionIsFixed(t *testing.T) {
	for subject, want := range map[string]byte{"alice": 0x2b, "bob": 0x81, "ä": 0x33, "a b": 0xc8} {
		if got := partition(subject); got != want {
			t.Errorf("partition(%q): got %#02x, want %#02x: it may never change", subject, got, want)
		}
	}
}

func TestParseRedisKey(t *testing.T) {
	k, err := newRedisKey("alice")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := parseRedisKey(k.key()); err != nil || got != k {
		t.Errorf("round trip: got %v, want the same", err)
	}
	good := string(k.key())
	last := strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", good[65])
	twin := good[:65] + string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[last^1])
	for _, bad := range []string{"", "x", good[1:], good + "A", good[:65] + "=", good[:65] + "+", good[:65] + "\n", twin, strings.Repeat("\n", 66), strings.Repeat("A", 1<<20)} {
		if _, err := parseRedisKey(Key(bad)); !errors.Is(err, ErrNotFound) {
			t.Errorf("%.80q: got %v, want ErrNotFound", bad, err)
		} else if bad != "" && bad != "x" && strings.Contains(err.Error(), bad) {
			t.Errorf("the error has the key: %v", err)
		}
	}
}

func FuzzParseRedisKey(f *testing.F) {
	k, _ := newRedisKey("alice")
	f.Add(string(k.key()))
	f.Add(strings.Repeat("A", 66))
	f.Fuzz(func(t *testing.T, s string) {
		k, err := parseRedisKey(Key(s))
		if err == nil && string(k.key()) != s {
			t.Errorf("%q: got %q back: two texts are one key", s, string(k.key()))
		}
	})
}

func testEnvelope() envelope {
	return envelope{
		state:    "n10000",
		revision: "Abcdefghi-_",
		verifier: strings.Repeat("v", 43),
		previous: strings.Repeat("p", 43),
		until:    1_790_000_000_000,
		subject:  "alice in wonderland",
		ticket:   []byte("{\n}"),
	}
}

func TestParseEnvelope(t *testing.T) {
	want := testEnvelope()
	got, err := parseEnvelope([]byte(want.String() + string(want.ticket)))
	if err != nil || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	v := strings.Repeat("v", 43)
	for _, bad := range []string{
		"", "\n", "2 u", "2 u \n", "1 Abcdefghi-_ " + v + " - 0 alice\n", "2 Abcdefghi-_ " + v + " - 0 alice\n",
		"2 n Abcdefghi-_ " + v + " - 0 alice\n", "2 n-1 Abcdefghi-_ " + v + " - 0 alice\n", "2 u1 Abcdefghi-_ " + v + " - 0 alice\n", "2  Abcdefghi-_ " + v + " - 0 alice\n", "3 u Abcdefghi-_ " + v + " - 0 alice\n", "2 u Abcdefghi-_ " + v + " - 0 alice",
		"2 u AbcdefghiJ " + v + " - 0 alice\n", "2 u Abcdefghi-_ v - 0 alice\n", "2 u Abcdefghi-_ " + v + " - -1 alice\n",
		"2 u Abcdefghi-_ " + v + " - x alice\n", "2 u Abcdefghi-_ " + v + " - 0 \n", "2 u Abcdefghi-_ " + v + " - 0 \xff\n",
		"2 u Abcdefghi-_ " + v + " - 99999999999999999999 alice\n", "2 u  " + v + " - 0 alice\n", "2 u Abcdefghi-_ " + v + " - alice\n",
		`{"v":1}`,
	} {
		if _, err := parseEnvelope([]byte(bad)); err == nil {
			t.Errorf("%q: got no error", bad)
		}
	}
}

func FuzzParseEnvelope(f *testing.F) {
	e := testEnvelope()
	f.Add([]byte(e.String() + string(e.ticket)))
	e.state, e.previous, e.until = keyInUse, "-", 0
	f.Add([]byte(e.String()))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := parseEnvelope(data)
		if err != nil {
			return
		}
		again, err := parseEnvelope([]byte(e.String() + string(e.ticket)))
		if err != nil || fmt.Sprintf("%q", again) != fmt.Sprintf("%q", e) {
			t.Fatalf("%q: got %q, %v, want %q", data, again, err, e)
		}
	})
}

func TestEnvelopeOpens(t *testing.T) {
	current, _ := newRedisKey("alice")
	old, other := current, current
	old.secret, other.secret = newSecret(), newSecret()
	e := envelope{verifier: current.verifier(), previous: old.verifier()}
	for _, test := range []struct {
		name              string
		key               redisKey
		current, previous bool
	}{
		{"current", current, true, false},
		{"rotated away", old, false, true},
		{"another", other, false, false},
	} {
		if current, previous := e.has(test.key); current != test.current || previous != test.previous {
			t.Errorf("%s: got %v, %v, want %v, %v", test.name, current, previous, test.current, test.previous)
		}
	}
	// No secret has "-" for its hash, but what if there is no previous one?
	e.previous = "-"
	if _, ok := e.has(other); ok {
		t.Error("a key opens a record that never had it")
	}
}

func TestVerifierIsNoSecret(t *testing.T) {
	k, _ := newRedisKey("alice")
	if v := k.verifier(); strings.Contains(string(k.key()), v) || v == base64.RawURLEncoding.EncodeToString(k.secret[:]) {
		t.Error("the verifier is the secret")
	}
}
