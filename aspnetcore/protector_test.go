package aspnetcore

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"
)

// The texts are for an operator, and say which setting to look at.
func TestUnprotectErrors(t *testing.T) {
	ctx := at(ringTime)
	element := agedKey(keyA, time.Hour)
	good := payloadOf(t, element)
	changed := func(i int, b byte) []byte {
		c := bytes.Clone(good)
		c[i] ^= b
		return c
	}
	revoked := []string{element, `<revocation version="1"><key id="` + keyA + `"/></revocation>`}
	for name, c := range map[string]struct {
		payload  []byte
		elements []string
		purposes string
		want     string
	}{
		"nil":          {nil, nil, "test", "too short"},
		"19 bytes":     {good[:19], nil, "test", "too short"},
		"header":       {good[:20], []string{element}, "test", "too short"},
		"one less":     {good[:20+16+16+31], []string{element}, "test", "too short"},
		"MAC alone":    {good[:20+16+16+32], []string{element}, "test", "SetApplicationName"},
		"magic":        {changed(0, 1), nil, "test", "not of Data Protection"},
		"magic's end":  {changed(3, 0x10), nil, "test", "not of Data Protection"},
		"version":      {changed(3, 15), nil, "test", "version 15"},
		"unknown key":  {good, []string{agedKey(keyB, 0)}, "test", "{" + keyA + "} is not in the test: check KeyRingConfig.Test"},
		"left out":     {good, []string{agedKey(keyB, 0), strings.Replace(element, "Z</creation", "</creation", 1)}, "test", "is left out: its creationDate"},
		"revoked":      {good, revoked, "test", "{" + keyA + "} has been revoked"},
		"revoked, bad": {changed(40, 1), revoked, "test", "has been revoked"},
		"purpose":      {good, []string{element}, "tesT", "purposes"},
		"more":         {append(bytes.Clone(good), 0), []string{element}, "test", "SetApplicationName"},
	} {
		p := NewProtector(ringOf(t, nil, c.elements...), c.purposes)
		got, err := p.Unprotect(ctx, c.payload)
		if got != nil || !errors.Is(err, ErrInvalidPayload) {
			t.Errorf("%s: got %x, %v, want ErrInvalidPayload", name, got, err)
		}
		wantError(t, name, err, c.want)
	}
	// What is no payload needs no key ring.
	r := ringOf(t, nil)
	unread := &fakeKeys{err: errors.New("down")}
	r.source = unread
	for _, payload := range [][]byte{nil, good[:19], changed(0, 1), changed(3, 1)} {
		if _, err := NewProtector(r, "test").Unprotect(ctx, payload); !errors.Is(err, ErrInvalidPayload) {
			t.Errorf("%x: got %v, want ErrInvalidPayload", payload, err)
		}
	}
	if unread.reads.Load() != 0 {
		t.Error("the keys were read")
	}
	unprotects(t, ctx, r, good, "outage")
}

// Expired keys and those that are not yet active open payloads.
func TestUnprotectAtAnyTime(t *testing.T) {
	element := agedKey(keyA, 0)
	payload := payloadOf(t, element)
	for _, days := range []time.Duration{-1000, -1, 0, 89, 90, 1000} {
		unprotects(t, at(ringTime.Add(days*24*time.Hour)), ringOf(t, nil, element), payload, "opened")
	}
}

// Protect and Unprotect leave what they are given as it is.
func TestArgumentsAreKept(t *testing.T) {
	ctx := at(ringTime)
	for _, algorithm := range []string{"AES_256_CBC", "AES_256_GCM"} {
		ring := ringOf(t, nil, strings.Replace(agedKey(keyA, time.Hour), "AES_256_CBC", algorithm, 1))
		purposes := []string{"a", "b"}
		p := NewProtector(ring, purposes...)
		plaintext := append(make([]byte, 0, 256), "hello, this is a text"...)
		payload, err := p.Protect(ctx, plaintext)
		if err != nil {
			t.Fatal(err)
		}
		purposes[0] = "c"
		roomy := append(make([]byte, 0, 512), payload...)
		got, err := p.Unprotect(ctx, roomy)
		if err != nil || string(got) != "hello, this is a text" || !bytes.Equal(roomy, payload) || string(plaintext[:cap(plaintext)]) != "hello, this is a text"+strings.Repeat("\x00", 256-21) {
			t.Errorf("%s: got %q, %v", algorithm, got, err)
		}
		for i := range got {
			got[i] = 0
		}
		if again, err := p.Unprotect(ctx, roomy); err != nil || !bytes.Equal(again, plaintext) {
			t.Errorf("%s: got %q, %v, want %q", algorithm, again, err, plaintext)
		}
	}
}

// No two lists of purposes are the same to a protector.
func TestPurposes(t *testing.T) {
	ring := ringOf(t, nil, agedKey(keyA, time.Hour))
	lists := [][]string{{"a"}, {"a", ""}, {"", "a"}, {"a", "b"}, {"ab"}, {"a\x01b"}, {"A"}, {"b", "a"}, {strings.Repeat("a", 127)}, {strings.Repeat("a", 128)}}
	for i, from := range lists {
		payload, err := NewProtector(ring, from...).Protect(at(ringTime), []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		for j, to := range lists {
			if _, err := NewProtector(ring, to...).Unprotect(at(ringTime), payload); (err == nil) != (i == j) {
				t.Errorf("from %.20q to %.20q: got %v", from, to, err)
			}
		}
	}
}

// A GCM payload of a key that does CBC, and the other way round.
func TestOtherAlgorithm(t *testing.T) {
	cbc := agedKey(keyA, time.Hour)
	gcm := strings.Replace(cbc, "AES_256_CBC", "AES_256_GCM", 1)
	for _, pair := range [][2]string{{cbc, gcm}, {gcm, cbc}} {
		unprotects(t, at(ringTime), ringOf(t, nil, pair[1]), payloadOf(t, pair[0]), "invalid")
	}
}

func BenchmarkUnprotect(b *testing.B) {
	ctx := at(ringTime)
	p := NewProtector(ringOf(b, nil, agedKey(keyA, time.Hour)), "test")
	payload, err := p.Protect(ctx, make([]byte, 150))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Unprotect(ctx, payload); err != nil {
			b.Fatal(err)
		}
	}
}
