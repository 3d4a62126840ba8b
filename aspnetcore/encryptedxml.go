package aspnetcore

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
)

const (
	dataProtectionNamespace = "http://schemas.asp.net/2015/03/dataProtection"
	xmlencNamespace         = "http://www.w3.org/2001/04/xmlenc#"
	xmldsigNamespace        = "http://www.w3.org/2000/09/xmldsig#"
)

// A certificate opens what has been encrypted for it.
type certificate struct {
	der []byte
	key crypto.Decrypter
}

// newCertificate checks that c can decrypt, and that its private key is that
// of the certificate.
func newCertificate(c tls.Certificate) (certificate, error) {
	if len(c.Certificate) == 0 {
		return certificate{}, errors.New("it has no certificate")
	}
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		return certificate{}, err
	}
	key, ok := c.PrivateKey.(crypto.Decrypter)
	if !ok {
		return certificate{}, errors.New("its private key cannot decrypt; want an RSA key")
	}
	public, ok := leaf.PublicKey.(*rsa.PublicKey)
	if !ok {
		return certificate{}, errors.New("it is not for an RSA key")
	}
	if !public.Equal(key.Public()) {
		return certificate{}, errors.New("its private key is that of another certificate")
	}
	return certificate{der: bytes.Clone(leaf.Raw), key: key}, nil
}

// decrypted returns e with every encryptedSecret in it replaced by what is
// encrypted there.
func decrypted(e *element, certificates []certificate) (*element, error) {
	if e.name.Space == dataProtectionNamespace && e.name.Local == "encryptedSecret" {
		return decryptSecret(e, certificates)
	}
	if len(e.children) == 0 {
		return e, nil
	}
	out := *e
	out.children = make([]*element, len(e.children))
	for i, c := range e.children {
		var err error
		if out.children[i], err = decrypted(c, certificates); err != nil {
			return nil, err
		}
	}
	return &out, nil
}

func decryptSecret(e *element, certificates []certificate) (*element, error) {
	kind, child := typeName(e.attr("decryptorType")), e.only()
	if child == nil {
		return nil, errors.New("its encryptedSecret has not exactly one element")
	}
	switch kind {
	case xmlEncryption + "EncryptedXmlDecryptor":
		return decryptXML(child, certificates)
	case xmlEncryption + "NullXmlDecryptor":
		plain := child.only()
		if plain == nil {
			return nil, errors.New("its unencrypted secret has not exactly one element")
		}
		return plain, nil
	}
	return nil, fmt.Errorf("it is encrypted for %q, which cannot be read here, as DPAPI and Azure Key Vault cannot: use ProtectKeysWithCertificate and set KeyRingConfig.Certificates", clip(kind))
}

// decryptXML opens an EncryptedData of XML Encryption 1.0 as .NET's
// EncryptedXml does.
func decryptXML(e *element, certificates []certificate) (*element, error) {
	if e.name.Space != xmlencNamespace || e.name.Local != "EncryptedData" {
		return nil, errors.New("its encrypted secret is not an EncryptedData of XML Encryption")
	}
	keySize := 0
	switch method := encryptionMethod(e); method {
	case xmlencNamespace + "aes128-cbc":
		keySize = 16
	case xmlencNamespace + "aes192-cbc":
		keySize = 24
	case xmlencNamespace + "aes256-cbc":
		keySize = 32
	default:
		return nil, fmt.Errorf("its secret is encrypted with %q, which neither .NET nor this program reads", clip(method))
	}
	encryptedKey := e.child(xmldsigNamespace, "KeyInfo").child(xmlencNamespace, "EncryptedKey")
	if encryptedKey == nil {
		return nil, errors.New("its encrypted secret has no EncryptedKey")
	}
	session, err := decryptKey(encryptedKey, keySize, certificates)
	if err != nil {
		return nil, err
	}
	blob, err := cipherValue(e)
	if err != nil {
		return nil, err
	}
	if len(blob) < 2*aes.BlockSize || len(blob)%aes.BlockSize != 0 {
		return nil, errBadSecret
	}
	plain := blob[aes.BlockSize:]
	cipher.NewCBCDecrypter(newAES(session), blob[:aes.BlockSize]).CryptBlocks(plain, plain)
	// ISO 10126: the other bytes of the padding are random.
	n := int(plain[len(plain)-1])
	if n == 0 || n > aes.BlockSize {
		return nil, errBadSecret
	}
	secret, err := parseXML(plain[:len(plain)-n])
	if err != nil {
		return nil, errBadSecret // its own error would tell of the secret
	}
	return secret, nil
}

// errBadSecret is the one error for all that can be wrong once there is a
// certificate, so that it tells nothing of the secret.
var errBadSecret = errors.New("its secret cannot be decrypted with the certificate, or is damaged")

// decryptKey opens an EncryptedKey with the first certificate that it names.
func decryptKey(e *element, keySize int, certificates []certificate) ([]byte, error) {
	c, err := namedCertificate(e, certificates)
	if err != nil {
		return nil, err
	}
	value, err := cipherValue(e)
	if err != nil {
		return nil, err
	}
	var options crypto.DecrypterOpts
	switch method := encryptionMethod(e); method {
	case xmlencNamespace + "rsa-1_5":
		// With a SessionKeyLen there is no telling a wrong padding.
		//lint:ignore SA1019 ProtectKeysWithCertificate writes nothing else
		options = &rsa.PKCS1v15DecryptOptions{SessionKeyLen: keySize}
	case xmlencNamespace + "rsa-oaep-mgf1p":
		if digest := e.child(xmlencNamespace, "EncryptionMethod").child(xmldsigNamespace, "DigestMethod"); digest != nil && digest.attr("Algorithm") != xmldsigNamespace+"sha1" {
			return nil, fmt.Errorf("its encrypted key has the digest %q, which neither .NET nor this program reads", clip(digest.attr("Algorithm")))
		}
		options = &rsa.OAEPOptions{Hash: crypto.SHA1}
	default:
		return nil, fmt.Errorf("its encrypted key is encrypted with %q, which neither .NET nor this program reads", clip(method))
	}
	session, err := c.key.Decrypt(rand.Reader, value, options)
	if err != nil || len(session) != keySize {
		return nil, errBadSecret
	}
	return session, nil
}

// namedCertificate looks, as .NET does, for the very certificate that the key
// is encrypted for: another one of the same private key does not do.
func namedCertificate(e *element, certificates []certificate) (certificate, error) {
	named := e.child(xmldsigNamespace, "KeyInfo").child(xmldsigNamespace, "X509Data").child(xmldsigNamespace, "X509Certificate")
	if named == nil {
		return certificate{}, errors.New("its encrypted key does not name a certificate")
	}
	der, err := parseBase64(named.value())
	for _, c := range certificates {
		if err == nil && bytes.Equal(c.der, der) {
			return c, nil
		}
	}
	return certificate{}, errors.New("it is encrypted for a certificate that is not in KeyRingConfig.Certificates: add the one that ProtectKeysWithCertificate is given")
}

func encryptionMethod(e *element) string {
	return e.child(xmlencNamespace, "EncryptionMethod").attr("Algorithm")
}

func cipherValue(e *element) ([]byte, error) {
	value := e.child(xmlencNamespace, "CipherData").child(xmlencNamespace, "CipherValue")
	if value == nil {
		return nil, errors.New("its encrypted secret has no CipherValue")
	}
	b, err := parseBase64(value.value())
	if err != nil {
		return nil, errors.New("a CipherValue of its encrypted secret is not base64")
	}
	return b, nil
}
