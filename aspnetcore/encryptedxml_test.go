package aspnetcore

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"
)

// sealed returns the element of keyA, its master key encrypted for c: the
// session key with OAEP, and padded, which is a whole number of blocks, with
// AES-256-CBC.
func sealed(t *testing.T, c tls.Certificate, session, padded []byte) string {
	t.Helper()
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	key, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, leaf.PublicKey.(*rsa.PublicKey), session, nil)
	if err != nil {
		t.Fatal(err)
	}
	blob := make([]byte, aes.BlockSize+len(padded))
	cipher.NewCBCEncrypter(newAES(session), blob[:aes.BlockSize]).CryptBlocks(blob[aes.BlockSize:], padded)
	element := agedKey(keyA, time.Hour)
	i, j := strings.Index(element, "<masterKey>"), strings.Index(element, "</masterKey>")
	text := base64.StdEncoding.EncodeToString
	return element[:i] + fmt.Sprintf(`<encryptedSecret decryptorType="%sEncryptedXmlDecryptor, x" xmlns="%s"><EncryptedData xmlns="%s"><EncryptionMethod Algorithm="%[3]saes256-cbc"/>`+
		`<KeyInfo xmlns="%s"><EncryptedKey xmlns="%[3]s"><EncryptionMethod Algorithm="%[3]srsa-oaep-mgf1p"/><KeyInfo xmlns="%[4]s"><X509Data><X509Certificate>%s</X509Certificate></X509Data></KeyInfo>`+
		`<CipherData><CipherValue>%s</CipherValue></CipherData></EncryptedKey></KeyInfo><CipherData><CipherValue>%s</CipherValue></CipherData></EncryptedData></encryptedSecret>`,
		xmlEncryption, dataProtectionNamespace, xmlencNamespace, xmldsigNamespace, text(leaf.Raw), text(key), text(blob)) + element[j+len("</masterKey>"):]
}

// iso10126 returns s with a padding of n bytes that ends in last.
func iso10126(s string, n int, last byte) []byte {
	b := append([]byte(s), bytes.Repeat([]byte{0xee}, n)...)
	b[len(b)-1] = last
	return b
}

func TestDecryptXML(t *testing.T) {
	golden := loadDataProtection(t)
	certificate := golden.AtRest.Certificate.load(t)
	certificates := []tls.Certificate{golden.AtRest.OtherCertificate.load(t), certificate}
	const secret = "<masterKey><value>c2VjcmV0</value></masterKey>"
	session := bytes.Repeat([]byte("s"), 32)
	for n := 1; n <= aes.BlockSize; n++ {
		text := strings.Repeat(" ", 2*aes.BlockSize-(len(secret)+n)%aes.BlockSize) + secret
		ring := ringOf(t, certificates, sealed(t, certificate, session, iso10126(text, n, byte(n))))
		k, err := ring.protecting(at(ringTime))
		if err != nil {
			t.Errorf("padding of %d bytes: %v", n, err)
			continue
		}
		if e, err := k.encryptor(); err != nil || string(e.master) != "secret" {
			t.Errorf("padding of %d bytes: got %v, %v", n, e, err)
		}
	}
	whole := secret + strings.Repeat(" ", aes.BlockSize-len(secret)%aes.BlockSize)
	for name, c := range map[string]struct {
		session, padded []byte
	}{
		"padding of 0":      {session, iso10126(whole, 16, 0)},
		"padding of 17":     {session, iso10126(whole, 16, 17)},
		"padding of 255":    {session, iso10126(whole, 16, 255)},
		"nothing":           {session, nil},
		"nothing but pad":   {session, iso10126("", 16, 16)},
		"padding too short": {session, iso10126(whole, 16, 15)},
		"no XML":            {session, iso10126("TOPSECRET&;TOPSE", 16, 16)},
		"a shorter session": {session[:16], iso10126(whole, 16, 16)},
	} {
		ring := ringOf(t, certificates, sealed(t, certificate, c.session, c.padded))
		err := ring.Check(at(ringTime))
		wantOutage(t, name, err)
		wantError(t, name, err, errBadSecret.Error())
	}
}
