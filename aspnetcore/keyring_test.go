package aspnetcore

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore/internal/clock"
	"github.com/ticketstore/ticketstore/internal/redistest"
)

// fakeKeys is a list that tests change.
type fakeKeys struct {
	items []string
	err   error
	wait  chan struct{} // read waits until it is closed, if it is not nil
	reads atomic.Int32
}

func (s *fakeKeys) String() string  { return "the test" }
func (s *fakeKeys) setting() string { return "KeyRingConfig.Test" }
func (s *fakeKeys) writer() string  { return "PersistKeysToTest" }

func (s *fakeKeys) read(ctx context.Context) (items []item, err error) {
	s.reads.Add(1)
	if s.wait != nil {
		select {
		case <-s.wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	for i, text := range s.items {
		items = append(items, item{fmt.Sprintf("item %d", i), []byte(text)})
	}
	return items, s.err
}

// ringOf returns a key ring of these elements.
func ringOf(t testing.TB, certificates []tls.Certificate, elements ...string) *KeyRing {
	t.Helper()
	r, err := NewKeyRing(KeyRingConfig{Directory: "unused", Certificates: certificates, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	r.source = &fakeKeys{items: elements}
	return patient(r)
}

// patient returns r, with time for a busy machine.
func patient(r *KeyRing) *KeyRing {
	r.readTimeout, r.patience = redistest.Patience, redistest.Patience
	return r
}

func at(now time.Time) context.Context {
	return clock.NewContext(context.Background(), func() time.Time { return now })
}

func wantOutage(t *testing.T, what string, err error) {
	t.Helper()
	if err == nil || errors.Is(err, ErrInvalidPayload) {
		t.Errorf("%s: got %v, want an error other than ErrInvalidPayload", what, err)
	}
}

// ringTime is when the keys of these tests are good.
var ringTime = time.Date(2031, 3, 3, 9, 0, 0, 0, time.UTC)

const (
	keyA = "aaaaaaaa-0000-4000-8000-000000000001"
	keyB = "bbbbbbbb-0000-4000-8000-000000000002"
	keyC = "cccccccc-0000-4000-8000-000000000003"
)

// agedKey returns the element of a key that is created and active ago before
// ringTime, for 90 days. Its master key is its id.
func agedKey(id string, ago time.Duration) string {
	at := ringTime.Add(-ago)
	return fmt.Sprintf(`<key id="%s" version="1"><creationDate>%s</creationDate><activationDate>%[2]s</activationDate><expirationDate>%s</expirationDate>`+
		`<descriptor deserializerType="Microsoft.AspNetCore.DataProtection.AuthenticatedEncryption.ConfigurationModel.AuthenticatedEncryptorDescriptorDeserializer, Microsoft.AspNetCore.DataProtection, Version=10.0.0.0, Culture=neutral, PublicKeyToken=adb9793829ddae60">`+
		`<descriptor><encryption algorithm="AES_256_CBC" /><validation algorithm="HMACSHA256" /><masterKey><value>%s</value></masterKey></descriptor></descriptor></key>`,
		id, at.Format(time.RFC3339Nano), at.Add(90*24*time.Hour).Format(time.RFC3339Nano), strings.ReplaceAll(id, "-", ""))
}

func protect(t testing.TB, ctx context.Context, r *KeyRing) []byte {
	t.Helper()
	payload, err := NewProtector(r, "test").Protect(ctx, []byte("hello"))
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

// payloadOf returns a payload of the key of that element.
func payloadOf(t testing.TB, element string) []byte {
	t.Helper()
	return protect(t, at(ringTime), ringOf(t, nil, element))
}

// unprotects checks the error of Unprotect: none, ErrInvalidPayload, or another
// one for "outage".
func unprotects(t *testing.T, ctx context.Context, r *KeyRing, payload []byte, want string) error {
	t.Helper()
	got, err := NewProtector(r, "test").Unprotect(ctx, payload)
	kind := "outage"
	switch {
	case err == nil && string(got) == "hello":
		kind = "opened"
	case errors.Is(err, ErrInvalidPayload):
		kind = "invalid"
	}
	if kind != want {
		t.Errorf("key %s: got %q, %v, want %s", payloadKey(payload), got, err, want)
	}
	return err
}

func wantError(t *testing.T, what string, err error, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: got %v, want %q in it", what, err, text)
		}
	}
}

func TestNewKeyRing(t *testing.T) {
	golden := loadDataProtection(t)
	right, other := golden.AtRest.Certificate.load(t), golden.AtRest.OtherCertificate.load(t)
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	defer client.Close()
	var noClient *redis.Client
	mixed := tls.Certificate{Certificate: right.Certificate, PrivateKey: other.PrivateKey}
	for _, c := range []struct {
		cfg  KeyRingConfig
		want []string
	}{
		{KeyRingConfig{}, []string{"Client, Directory: neither is set"}},
		{KeyRingConfig{Client: client, Directory: "x"}, []string{"both are set"}},
		{KeyRingConfig{Client: noClient}, []string{"Client: it is a nil pointer"}},
		{KeyRingConfig{Directory: "x", ListKey: "y"}, []string{"ListKey"}},
		{KeyRingConfig{ListKey: "y", Certificates: []tls.Certificate{right, {}}}, []string{"neither is set", "ListKey", "Certificates[1]: it has no certificate"}},
		{KeyRingConfig{Directory: "x", Certificates: []tls.Certificate{mixed}}, []string{"Certificates[0]", "another certificate"}},
		{KeyRingConfig{Directory: "x", Certificates: []tls.Certificate{{Certificate: right.Certificate}}}, []string{"cannot decrypt"}},
		{KeyRingConfig{Directory: "x", Certificates: []tls.Certificate{{Certificate: [][]byte{{1}}, PrivateKey: right.PrivateKey}}}, []string{"Certificates[0]"}},
		{KeyRingConfig{Directory: "x", Certificates: []tls.Certificate{{Certificate: [][]byte{ecdsaCertificate(t)}, PrivateKey: right.PrivateKey}}}, []string{"not for an RSA key"}},
	} {
		r, err := NewKeyRing(c.cfg)
		if r != nil {
			t.Errorf("%+v: got a key ring, want an error", c.cfg)
		}
		wantError(t, "NewKeyRing", err, c.want...)
	}
	for want, cfg := range map[string]KeyRingConfig{
		`the Redis list "DataProtection-Keys"`: {Client: client},
		`the Redis list "other"`:               {Client: client, ListKey: "other"},
		`the directory "keys"`:                 {Directory: "keys", Certificates: []tls.Certificate{right, other}},
	} {
		if r, err := NewKeyRing(cfg); err != nil || r.source.String() != want || r.logger == nil || len(r.certificates) != len(cfg.Certificates) {
			t.Errorf("got %+v, %v, want %s", r, err, want)
		}
	}
	if reflect.TypeFor[KeyRingConfig]().Comparable() {
		t.Error("KeyRingConfig is comparable")
	}
}

func ecdsaCertificate(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestRedisKeys(t *testing.T) {
	clients := map[string]redis.UniversalClient{
		"single":  redis.NewClient(redistest.Options(redistest.Shared(t).Addr)),
		"cluster": redis.NewClusterClient(redistest.ClusterOptions(redistest.SharedCluster(t))),
	}
	for name, client := range clients {
		t.Run(name, func(t *testing.T) {
			defer client.Close()
			ctx := at(ringTime)
			list := "keys-" + rand.Text()
			ring := func() *KeyRing {
				r, err := NewKeyRing(KeyRingConfig{Client: client, ListKey: list, Logger: slog.New(slog.DiscardHandler)})
				if err != nil {
					t.Fatal(err)
				}
				return patient(r)
			}
			do := func(args ...any) {
				t.Helper()
				if err := client.Do(ctx, args...).Err(); err != nil {
					t.Fatal(err)
				}
			}
			wantError(t, "no list", ring().Check(ctx), list, "KeyRingConfig.ListKey", "KeyRingConfig.Client", "PersistKeysToStackExchangeRedis")
			do("rpush", list, agedKey(keyA, time.Hour))
			if err := ring().Check(ctx); err != nil {
				t.Error(err)
			}
			r := ring()
			payload := protect(t, ctx, r)
			unprotects(t, ctx, ring(), payload, "opened")
			do("rpush", list, "secret-text")
			wantError(t, "a bad item", ring().Check(ctx), list, "item 1", "XML")
			unprotects(t, ctx, ring(), payload, "outage")
			do("del", list)
			do("set", list, "x")
			wantError(t, "no list", ring().Check(ctx), list, "not a list", "KeyRingConfig.ListKey")
			unprotects(t, ctx, ring(), payload, "outage")
			unprotects(t, ctx, r, payload, "opened") // its keys are in hand
			do("del", list)
			args := []any{"rpush", list}
			for range maxItems + 1 {
				args = append(args, "<a/>")
			}
			do(args...)
			wantError(t, "a long list", ring().Check(ctx), list, "more than 10000 items")
		})
	}
}

func TestRedisIsDown(t *testing.T) {
	server := redistest.Start(t)
	opt := redistest.Options(server.Addr)
	opt.MaxRetries = -1
	client := redis.NewClient(opt)
	defer client.Close()
	now := ringTime
	ctx := clock.NewContext(context.Background(), func() time.Time { return now })
	if err := client.RPush(ctx, defaultListKey, agedKey(keyA, time.Hour)).Err(); err != nil {
		t.Fatal(err)
	}
	r, err := NewKeyRing(KeyRingConfig{Client: client, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	payload, unknown := protect(t, ctx, patient(r)), payloadOf(t, agedKey(keyB, 0))
	server.Stop()
	now = now.Add(2 * time.Hour)
	unprotects(t, ctx, r, payload, "opened")
	unprotects(t, ctx, r, unknown, "outage")
	protect(t, ctx, r)
	wantOutage(t, "Check", r.Check(ctx))
	fresh, err := NewKeyRing(KeyRingConfig{Client: client})
	if err != nil {
		t.Fatal(err)
	}
	unprotects(t, ctx, fresh, payload, "outage")
	_, err = NewProtector(fresh, "test").Protect(ctx, nil)
	wantOutage(t, "Protect", err)
}

func TestDirectoryKeys(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	ctx := at(ringTime)
	ring := func() *KeyRing {
		r, err := NewKeyRing(KeyRingConfig{Directory: dir, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		return patient(r)
	}
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	wantError(t, "no file", ring().Check(ctx), dir, "KeyRingConfig.Directory", "PersistKeysToFileSystem")

	const declaration = `<?xml version="1.0" encoding="utf-8"?>` + "\n"
	write(filepath.Join(dir, "key-"+keyB+".xml"), byteOrderMark+declaration+agedKey(keyB, time.Hour)) // as .NET writes it
	write(filepath.Join(dir, "key-"+keyA+".xml"), agedKey(keyA, 48*time.Hour))
	write(filepath.Join(elsewhere, "c"), declaration+agedKey(keyC, 72*time.Hour))
	write(filepath.Join(dir, "key.tmp"), "not xml")
	write(filepath.Join(dir, "KEY.XML"), "not xml")
	for _, err := range []error{
		os.Mkdir(filepath.Join(dir, "folder.xml"), 0o700),
		os.Symlink(filepath.Join(elsewhere, "c"), filepath.Join(dir, "link.xml")),
		os.Symlink(filepath.Join(elsewhere, "gone"), filepath.Join(dir, "nowhere.xml")),
		os.Symlink(elsewhere, filepath.Join(dir, "linked-folder.xml")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(dir, "folder.xml", "inner.xml"), "not xml")
	r := ring()
	if err := r.Check(ctx); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, k := range r.ring.keys {
		ids = append(ids, k.id.String())
	}
	if want := []string{keyA, keyB, keyC}; !reflect.DeepEqual(ids, want) {
		t.Errorf("got keys %v, want %v", ids, want)
	}
	if got := payloadKey(protect(t, ctx, r)); got != keyB {
		t.Errorf("got a payload of %s, want %s", got, keyB)
	}

	for name, text := range map[string]string{"empty.xml": "", "large.xml": "<a>" + strings.Repeat(" ", maxItemBytes) + "</a>", "text.xml": "x"} {
		write(filepath.Join(dir, name), text)
		wantError(t, name, ring().Check(ctx), dir, name)
		os.Remove(filepath.Join(dir, name))
	}
	if err := ring().Check(ctx); err != nil {
		t.Error(err)
	}
	dir = filepath.Join(dir, "missing")
	wantError(t, "no directory", ring().Check(ctx), dir, "KeyRingConfig.Directory")
	unprotects(t, ctx, ring(), protect(t, ctx, r), "outage")
}

// The keys are read again after an hour, and for an unknown key at most every
// 30 seconds.
func TestRefresh(t *testing.T) {
	keys := &fakeKeys{items: []string{agedKey(keyA, time.Hour)}}
	r := ringOf(t, nil)
	r.source = keys
	a, b, c := payloadOf(t, agedKey(keyA, 0)), payloadOf(t, agedKey(keyB, 0)), payloadOf(t, agedKey(keyC, 0))
	step := func(after time.Duration, payload []byte, want string, reads int) {
		t.Helper()
		before := keys.reads.Load()
		unprotects(t, at(ringTime.Add(after)), r, payload, want)
		if got := int(keys.reads.Load() - before); got != reads {
			t.Errorf("after %v: got %d reads, want %d", after, got, reads)
		}
	}
	step(0, a, "opened", 1)
	step(0, b, "invalid", 0)
	step(30*time.Second-1, b, "invalid", 0)
	step(30*time.Second, b, "invalid", 1)
	keys.items = append(keys.items, agedKey(keyB, time.Hour))
	step(59*time.Second, b, "invalid", 0)
	step(60*time.Second, b, "opened", 1)
	step(time.Hour, a, "opened", 0)
	keys.items = keys.items[:1]
	step(time.Hour+59*time.Second, b, "opened", 0)
	step(time.Hour+60*time.Second, b, "invalid", 1) // taken out of the list
	// The clock is set back, a little and much.
	step(time.Hour, a, "opened", 0)
	step(0, a, "opened", 1)

	// Nothing can be read any more.
	keys.err = errors.New("down")
	step(time.Minute, a, "opened", 0)
	step(time.Minute, b, "outage", 1)
	step(time.Minute, b, "outage", 0)
	step(time.Minute+29*time.Second, a, "opened", 0)
	step(time.Minute+30*time.Second, a, "opened", 1)
	step(time.Minute+59*time.Second, c, "outage", 0)
	step(2*time.Minute, c, "outage", 1)
	keys.err, keys.items = nil, append(keys.items, agedKey(keyC, time.Hour))
	step(2*time.Minute+29*time.Second, c, "outage", 0)
	step(2*time.Minute+30*time.Second, c, "opened", 1)
	step(time.Hour, c, "opened", 0)

	// The list is emptied: no longer the old keys, but no judgement either.
	keys.items = nil
	step(2*time.Hour, a, "outage", 1)
	step(2*time.Hour, a, "outage", 0)
	_, err := NewProtector(r, "test").Protect(at(ringTime.Add(2*time.Hour)), nil)
	wantError(t, "Protect", err, "no keys in the test")
	keys.items = []string{agedKey(keyB, time.Hour)}
	step(2*time.Hour+30*time.Second, a, "invalid", 1)
	step(2*time.Hour+30*time.Second, b, "opened", 0)
}

// A key that .NET makes is found by the next Protect, if there was none to
// protect with.
func TestProtectSearches(t *testing.T) {
	keys := &fakeKeys{items: []string{agedKey(keyA, 90*24*time.Hour)}}
	r := ringOf(t, nil)
	r.source = keys
	p := NewProtector(r, "test")
	for i, want := range []int32{1, 0, 1} { // reads
		before := keys.reads.Load()
		_, err := p.Protect(at(ringTime.Add(time.Duration(i)*15*time.Second)), nil)
		wantError(t, "Protect", err, "{"+keyA+"} has expired", "the test")
		if got := keys.reads.Load() - before; got != want {
			t.Errorf("Protect %d: got %d reads, want %d", i, got, want)
		}
	}
	keys.items = append(keys.items, agedKey(keyB, 0))
	if got := payloadKey(protect(t, at(ringTime.Add(time.Minute)), r)); got != keyB {
		t.Errorf("got a payload of %s, want %s", got, keyB)
	}
}

// Which key is the default one is a matter of the clock, not of the reading.
func TestDefaultKeyByClock(t *testing.T) {
	keys := &fakeKeys{items: []string{agedKey(keyA, 24*time.Hour), agedKey(keyB, -20*time.Minute)}}
	r := ringOf(t, nil)
	r.source = keys
	for _, c := range []struct {
		after time.Duration
		want  string
	}{{0, keyA}, {15*time.Minute - 1, keyA}, {15 * time.Minute, keyB}, {59 * time.Minute, keyB}, {0, keyA}} {
		if got := payloadKey(protect(t, at(ringTime.Add(c.after)), r)); got != c.want {
			t.Errorf("after %v: got %s, want %s", c.after, got, c.want)
		}
	}
	if got := keys.reads.Load(); got != 1 {
		t.Errorf("got %d reads, want 1", got)
	}
}

// One reading at a time, which those that have left do not stop.
func TestCanceledCaller(t *testing.T) {
	keys := &fakeKeys{items: []string{agedKey(keyA, time.Hour)}, wait: make(chan struct{})}
	r := ringOf(t, nil)
	r.source = keys
	payload := payloadOf(t, agedKey(keyA, time.Hour))
	ctx, cancel := context.WithCancel(at(ringTime))
	var wg, left sync.WaitGroup
	left.Go(func() {
		err := unprotects(t, ctx, r, payload, "outage")
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
	})
	for keys.reads.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	for range 10 {
		wg.Go(func() { unprotects(t, at(ringTime), r, payload, "opened") })
	}
	cancel()
	left.Wait()
	short, cancelShort := context.WithTimeout(at(ringTime), 10*time.Millisecond)
	defer cancelShort()
	unprotects(t, short, r, payload, "outage")
	close(keys.wait)
	wg.Wait()
	if got := keys.reads.Load(); got != 1 {
		t.Errorf("got %d reads, want 1", got)
	}
	unprotects(t, ctx, r, payload, "opened") // which needs no reading
}

// A reading that hangs delays one caller for a little, and no others.
func TestHangingRefresh(t *testing.T) {
	const little = 20 * time.Millisecond
	keys := &fakeKeys{items: []string{agedKey(keyA, time.Hour)}}
	r := ringOf(t, nil)
	r.source = keys
	payload := protect(t, at(ringTime), r)
	keys.wait = make(chan struct{})
	defer close(keys.wait)
	for _, hours := range []time.Duration{1, 2} { // by then it still hangs
		later := at(ringTime.Add(hours * time.Hour))
		r.patience = little
		begin := time.Now()
		unprotects(t, later, r, payload, "opened")
		if d := time.Since(begin); d < little || d > redistest.Patience/2 {
			t.Errorf("got an answer after %v, want %v", d, little)
		}
		r.patience = redistest.Patience
		begin = time.Now()
		for range 10 {
			unprotects(t, later, r, payload, "opened")
		}
		if d := time.Since(begin); d > redistest.Patience/2 {
			t.Errorf("got the others after %v, want no delay", d)
		}
	}
	later := at(ringTime.Add(2 * time.Hour))
	short, cancel := context.WithTimeout(later, 10*time.Millisecond)
	defer cancel()
	unprotects(t, short, r, payloadOf(t, agedKey(keyB, 0)), "outage")
}

func TestConcurrent(t *testing.T) {
	keys := &fakeKeys{items: []string{agedKey(keyA, time.Hour), agedKey(keyB, 2*time.Hour)}}
	r := ringOf(t, nil)
	r.source = keys
	var minutes atomic.Int64
	ctx := clock.NewContext(context.Background(), func() time.Time {
		return ringTime.Add(time.Duration(minutes.Load()) * time.Minute)
	})
	payload, unknown := payloadOf(t, agedKey(keyB, 0)), payloadOf(t, agedKey(keyC, 0))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				minutes.Add(7)
				unprotects(t, ctx, r, payload, "opened")
				unprotects(t, ctx, r, unknown, "invalid")
				protect(t, ctx, r)
				if err := r.Check(ctx); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func TestLog(t *testing.T) {
	var log bytes.Buffer
	keys := &fakeKeys{items: []string{
		agedKey(keyA, 24*time.Hour),
		strings.Replace(agedKey(keyB, time.Hour), "Z</creationDate>", "</creationDate>", 1),
		strings.Replace(agedKey(keyC, time.Hour), "AES_256_CBC", "ROT13", 1),
		"<note>hello</note>",
		`<revocation version="1"><revocationDate>2031-03-02T09:00:00Z</revocationDate><key id="00000000-0000-4000-8000-000000000009" /></revocation>`,
	}}
	r, err := NewKeyRing(KeyRingConfig{Directory: "unused", Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	patient(r).source = keys
	expect := func(ctx context.Context, want ...string) {
		t.Helper()
		protect(t, ctx, r)
		protect(t, ctx, r)
		got := log.String()
		log.Reset()
		if n := strings.Count(got, "\n"); n != len(want) {
			t.Errorf("got %d lines, want %d: %s", n, len(want), got)
		}
		for _, w := range want {
			if strings.Count(got, w) != 1 {
				t.Errorf("got %s, want %q once", got, w)
			}
		}
	}
	fallback := "its encryption algorithm is"
	expect(at(ringTime), "item 1: a key that cannot be read is left out: its creationDate", "item 3: it is neither", "a revocation of the key {00000000-", fallback)
	expect(at(ringTime.Add(time.Hour)), fallback) // the rest is known
	unprotects(t, at(ringTime), r, payloadOf(t, agedKey(keyB, 0)), "invalid")
	wantError(t, "Check", r.Check(at(ringTime)), "the key {"+keyC+"} of the test cannot be used", `"ROT13"`)
	log.Reset()
	keys.err = errors.New("down")
	expect(at(ringTime.Add(2*time.Hour)), "going on with the keys read before", fallback)
}

// Neither what is printed nor an error has a key in it.
func TestNoSecrets(t *testing.T) {
	golden := loadDataProtection(t)
	right := golden.AtRest.Certificate.load(t)
	c := golden.AtRest.Cases[0]
	r := ringOf(t, []tls.Certificate{right}, c.KeyXML)
	p := NewProtector(r, c.Purposes...)
	opens(t, at(ringTime), p, c.Name, unbase64(t, c.Protected), *c.DotnetReads.Plaintext)
	e, err := r.ring.byID[uuid.MustParse(c.KeyID)].encryptor()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{r, p, *p} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			if s := fmt.Sprintf(verb, v); strings.Contains(s, strings.Trim(fmt.Sprint(e.master[:8]), "[]")) || strings.Contains(s, fmt.Sprintf("%x", e.master[:8])) {
				t.Errorf("%s prints the master key: %s", verb, s)
			}
		}
	}
	const secret = "TOPSECRET"
	good := agedKey(keyA, time.Hour)
	value := strings.ReplaceAll(keyA, "-", "")
	for _, bad := range []string{
		strings.Replace(good, value, secret+"*", 1), strings.Replace(good, value, secret+"&unknown"+secret+";", 1),
		strings.Replace(good, value+"</value>", secret+"</"+secret+">", 1), strings.Replace(good, value, "<"+secret+">", 1),
		strings.Replace(good, value, secret+"\x01", 1), secret, good + secret, "<!DOCTYPE " + secret + ">" + good,
		strings.Replace(good, "2031-03-03T08:00:00Z", secret, 1), strings.Replace(good, keyA, secret, 1),
	} {
		ring := ringOf(t, nil, bad)
		err := ring.Check(at(ringTime))
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: got %v, want an error without the secret", bad, err)
		}
		if ring.ring != nil && strings.Contains(strings.Join(ring.ring.warnings, " "), secret) {
			t.Errorf("%s: got %v, want warnings without the secret", bad, ring.ring.warnings)
		}
	}
}
