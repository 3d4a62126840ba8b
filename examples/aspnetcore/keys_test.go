package aspnetcore_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ticketstore/ticketstore/aspnetcore"
)

// An algorithm is what a key is made for.
type algorithm struct {
	name string
	xml  string // a key of it, as .NET writes keys
}

// algorithms returns all that an application can choose: from two keys that
// .NET has written, with other names in them.
func algorithms() []algorithm {
	var golden struct {
		Algorithms []struct {
			Name string
			XML  string `json:"key_xml"`
		}
	}
	data, err := os.ReadFile("../../aspnetcore/testdata/dataprotection.json")
	if err == nil {
		err = json.Unmarshal(data, &golden)
	}
	if err != nil {
		panic(err)
	}
	xml := map[string]string{}
	for _, a := range golden.Algorithms {
		xml[a.Name] = a.XML
	}
	var all []algorithm
	add := func(name, xml string) { all = append(all, algorithm{name, xml}) }
	for _, size := range []string{"256", "192", "128"} {
		for _, hash := range []string{"HMACSHA256", "HMACSHA512"} {
			add("AES_"+size+"_CBC+"+hash, strings.NewReplacer("AES_256_CBC", "AES_"+size+"_CBC", "HMACSHA256", hash).Replace(xml["AES_256_CBC+HMACSHA256"]))
		}
		add("AES_"+size+"_GCM", strings.ReplaceAll(xml["AES_256_GCM"], "AES_256_GCM", "AES_"+size+"_GCM"))
		for _, hash := range []string{"HMACSHA256", "HMACSHA384", "HMACSHA512"} {
			add("MANAGED_"+size+"+"+hash, strings.NewReplacer(`keyLength="256"`, `keyLength="`+size+`"`, "HMACSHA256", hash).Replace(xml["managed-Aes256-HMACSHA256"]))
		}
	}
	return all
}

var (
	keyDates  = regexp.MustCompile(`(<(?:creation|activation|expiration)Date>)[^<]*`)
	keyID     = regexp.MustCompile(`^<key id="[^"]*"`)
	masterKey = regexp.MustCompile(`<value>[^<]*`)
)

// newKey returns the XML of a key that is active from from on.
func newKey(t testing.TB, a algorithm, from time.Time) string {
	t.Helper()
	id, secret := uuid.New(), make([]byte, 64)
	rand.Read(secret)
	s := keyDates.ReplaceAllStringFunc(a.xml, func(s string) string {
		at := from
		if strings.HasPrefix(s, "<exp") {
			at = from.AddDate(0, 0, 90)
		}
		return s[:strings.Index(s, ">")+1] + at.UTC().Format("2006-01-02T15:04:05.0000000Z")
	})
	s = keyID.ReplaceAllString(s, fmt.Sprintf("<key id=%q", id))
	s = masterKey.ReplaceAllString(s, "<value>"+base64.StdEncoding.EncodeToString(secret))
	if s == a.xml || !strings.Contains(s, id.String()) {
		t.Fatalf("%s: no key: %s", a.name, a.xml)
	}
	return s
}

func pushKeys(t testing.TB, w *world, list string, keys ...string) {
	t.Helper()
	for _, k := range keys {
		if err := w.client.RPush(t.Context(), list, k).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// payloadKey returns the id of the key that a payload is protected with.
func payloadKey(t testing.TB, payload []byte) string {
	t.Helper()
	if len(payload) < 20 {
		t.Fatalf("got a payload of %d bytes", len(payload))
	}
	id := slices.Clone(payload[4:20])
	slices.Reverse(id[0:4]) // the first three numbers are little-endian
	slices.Reverse(id[4:6])
	slices.Reverse(id[6:8])
	return uuid.UUID(id).String()
}

// cookieKey returns the id of the key that b's cookie is protected with.
func cookieKey(t testing.TB, b *browser) string {
	t.Helper()
	cookies := b.cookies(cookieName)
	if len(cookies) != 1 {
		t.Fatalf("got %d cookies, want 1", len(cookies))
	}
	payload, err := base64.RawURLEncoding.DecodeString(cookies[0].Value)
	if err != nil {
		t.Fatal(err)
	}
	return payloadKey(t, payload)
}

func wantKey(t testing.TB, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got a payload of the key %s, want %s", what, got, want)
	}
}

// A new key is used by both, the old one opens what it has protected, and a
// revoked one nothing once that has been read.
func testRotation(t *testing.T, w *world) {
	const ahead = 5 * time.Hour // longer ago than any reading of the keys in the other tests
	w.setClock(t, ahead)
	var rotated struct{ Key string }
	signedIn := func(s side) (*browser, string) {
		t.Helper()
		in := person(somebody())
		b := newBrowser()
		b.signIn(t, s, in)
		return b, in.subject()
	}
	oldDotnet, subject1 := signedIn(w.dotnet)
	oldGo, subject2 := signedIn(w.golang) // the keys are read
	if !oldDotnet.json(t, "POST", w.dotnet.base+"/keys/rotate", nil, &rotated) || rotated.Key == "" {
		t.Fatal("the keys were not rotated")
	}
	oldDotnet.wantUser(t, subject1, w.sides()...)
	oldGo.wantUser(t, subject2, w.sides()...)

	w.setClock(t, ahead+31*time.Second) // a missing key is looked for every 30 s at most
	newDotnet, subject3 := signedIn(w.dotnet)
	wantKey(t, "dotnet", cookieKey(t, newDotnet), rotated.Key)
	newDotnet.wantUser(t, subject3, w.golang, w.dotnet)
	newGo, subject4 := signedIn(w.golang)
	wantKey(t, "go", cookieKey(t, newGo), rotated.Key)
	newGo.wantUser(t, subject4, w.dotnet, w.golang)
	oldDotnet.wantUser(t, subject1, w.sides()...)
	oldGo.wantUser(t, subject2, w.sides()...)

	newDotnet.json(t, "POST", w.dotnet.base+"/keys/revoke?id="+rotated.Key, nil, nil)
	newDotnet.wantAnonymous(t, w.dotnet)
	newGo.wantAnonymous(t, w.dotnet)
	newDotnet.wantUser(t, subject3, w.golang) // which reads the keys every hour
	w.setClock(t, ahead+31*time.Second+time.Hour)
	newDotnet.wantAnonymous(t, w.golang)
	newGo.wantAnonymous(t, w.golang)
	if !strings.Contains(w.service.log.String(), "has been revoked") {
		t.Errorf("got log %s, want it to say that the key has been revoked", w.service.log)
	}
	oldDotnet.wantUser(t, subject1, w.sides()...)
	oldGo.wantUser(t, subject2, w.sides()...)
	for _, s := range w.sides() {
		b, subject := signedIn(s)
		b.wantUser(t, subject, w.sides()...)
		if got := cookieKey(t, b); got == rotated.Key {
			t.Errorf("%s: got a cookie of the revoked key", s.name)
		}
	}
}

// What either protects with a key of any algorithm the other opens. The keys
// are written by this test: a new one is the latest, and the application, in
// its first two minutes, looks for a key that it does not know.
func TestAlgorithms(t *testing.T) {
	t.Parallel()
	w := emptyWorld(t, "usual")
	all := algorithms()
	start := time.Now().Add(-time.Hour)
	pushKeys(t, w, w.keyList, newKey(t, all[0], start)) // or the application would make one
	for i := 0; i < len(all); {
		t.Run("from "+all[i].name, func(t *testing.T) {
			w.startApp(t)
			for started := time.Now(); i < len(all) && time.Since(started) < 30*time.Second; i++ { // on a slow machine, not all
				t.Run(all[i].name, func(t *testing.T) { testAlgorithm(t, w, all[i], start.Add(time.Duration(i+1)*time.Minute)) })
			}
		})
	}
}

func testAlgorithm(t *testing.T, w *world, a algorithm, from time.Time) {
	xml := newKey(t, a, from)
	pushKeys(t, w, w.keyList, xml)
	w.startService(t, w.config())
	id := keyID.FindString(xml)
	id = id[strings.Index(id, `"`)+1 : len(id)-1]
	for _, purposes := range [][]string{{"purpose"}, {"a", "b", "c"}, {"", "x"}, {"x", ""}, {"ünï 🔑"}, {strings.Repeat("long", 500)}} {
		testProtector(t, w, id, purposes)
	}
	for _, s := range w.sides() {
		in := person(somebody())
		b := newBrowser()
		b.signIn(t, s, in)
		wantKey(t, s.name, cookieKey(t, b), id)
		b.wantUser(t, in.subject(), w.other(s), s)
	}
}

// testProtector exchanges payloads for purposes with the application, and
// expects them to be of the key id.
func testProtector(t *testing.T, w *world, id string, purposes []string) {
	t.Helper()
	p := aspnetcore.NewProtector(w.service.ring, append([]string{"live"}, purposes...)...)
	wrong := aspnetcore.NewProtector(w.service.ring, append([]string{"live", "x"}, purposes...)...)
	ctx, b64, b := w.ctx(t), base64.RawURLEncoding, newBrowser()
	query := url.Values{"purposes": purposes}
	for _, plaintext := range []string{"", "x", strings.Repeat("0123456789abcdef", 4), "\x00\xff" + strings.Repeat("y", 1000)} {
		payload, err := p.Protect(ctx, []byte(plaintext))
		if err != nil {
			t.Fatal(err)
		}
		wantKey(t, "Protect", payloadKey(t, payload), id)
		query.Set("payload", b64.EncodeToString(payload))
		var opened struct{ Plaintext string }
		b.json(t, "GET", w.dotnet.base+"/unprotect?"+query.Encode(), nil, &opened)
		if got, err := b64.DecodeString(opened.Plaintext); err != nil || string(got) != plaintext {
			t.Errorf("purposes %q: dotnet opened %q, %v, want %q", purposes, got, err, plaintext)
		}
		foreign, err := wrong.Protect(ctx, []byte(plaintext))
		if err != nil {
			t.Fatal(err)
		}
		query.Set("payload", b64.EncodeToString(foreign))
		if res, _ := b.do(t, "GET", w.dotnet.base+"/unprotect?"+query.Encode(), nil); res.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("purposes %q: dotnet opens what is for other purposes: got %d, want 422", purposes, res.StatusCode)
		}

		query.Del("payload")
		query.Set("plaintext", b64.EncodeToString([]byte(plaintext)))
		var made struct{ Payload, Key string }
		b.json(t, "GET", w.dotnet.base+"/protect?"+query.Encode(), nil, &made)
		query.Del("plaintext")
		wantKey(t, "/protect", made.Key, id)
		payload, err = b64.DecodeString(made.Payload)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := p.Unprotect(ctx, payload); err != nil || string(got) != plaintext {
			t.Errorf("purposes %q: Unprotect: got %q, %v, want %q", purposes, got, err, plaintext)
		}
		if _, err := wrong.Unprotect(ctx, payload); err == nil {
			t.Errorf("purposes %q: Unprotect opens what is for other purposes", purposes)
		}
	}
}

// Keys that are encrypted for a certificate are opened with it; without it the
// answer is 503, and nobody is anonymous.
func TestCertificate(t *testing.T) {
	t.Parallel()
	w := emptyWorld(t, "redis")
	cert, other := newCertificate(t), newCertificate(t)
	w.startApp(t, "--Sessions:CertificatePath="+cert.path)
	cfg := w.config()
	cfg.keys.Certificates = []tls.Certificate{other.certificate, cert.certificate}
	w.startService(t, cfg)
	for _, s := range w.sides() {
		in := person(somebody())
		b := newBrowser()
		if s == w.golang { // .NET makes the key
			newBrowser().signIn(t, w.dotnet, in)
		}
		b.signIn(t, s, in)
		b.wantUser(t, in.subject(), w.other(s), s)
		for _, certificates := range [][]tls.Certificate{nil, {other.certificate}} {
			cfg := w.config()
			cfg.keys.Certificates = certificates
			without := startService(t, w.client, w.now, cfg)
			const want = "KeyRingConfig.Certificates"
			res, data := b.do(t, "GET", without.url+"/go/me", nil)
			if res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(data), want) || !strings.Contains(without.log.String(), want) {
				t.Errorf("%s, %d certificates: got %d %s and log %s, want 503 and %s", s.name, len(certificates), res.StatusCode, data, without.log, want)
			}
			if res, data := newBrowser().do(t, "POST", without.url+"/go/signin", in); res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(data), want) {
				t.Errorf("%s, %d certificates: sign in: got %d %s, want 503 and %s", s.name, len(certificates), res.StatusCode, data, want)
			}
			if err := without.ring.Check(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%d certificates: Check: got %v, want %s", len(certificates), err, want)
			}
			b.wantUser(t, in.subject(), w.sides()...)
		}
	}
	if xml := strings.Join(w.client.LRange(t.Context(), w.keyList, 0, -1).Val(), ""); !strings.Contains(xml, "EncryptedData") || strings.Contains(xml, "<masterKey") {
		t.Errorf("got keys %s, want encrypted ones", xml)
	}
}

type certificateFile struct {
	path        string // of certificate and key, as PEM
	certificate tls.Certificate
}

func newCertificate(t testing.TB) certificateFile {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	check(err)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	check(err)
	template := &x509.Certificate{SerialNumber: serial, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	check(err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	check(err)
	data := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})...)
	path := filepath.Join(t.TempDir(), "keys.pem")
	check(os.WriteFile(path, data, 0o600))
	certificate, err := tls.X509KeyPair(data, data)
	check(err)
	return certificateFile{path, certificate}
}
