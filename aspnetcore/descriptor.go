package aspnetcore

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strings"
)

const (
	dataProtection = "Microsoft.AspNetCore.DataProtection."
	descriptors    = dataProtection + "AuthenticatedEncryption.ConfigurationModel."
	xmlEncryption  = dataProtection + "XmlEncryption."
)

// parseDescriptor returns what the descriptor of a key describes.
func parseDescriptor(e *element, certificates []certificate) (*encryptor, error) {
	if e == nil {
		return nil, errors.New("it has no descriptor")
	}
	kind, inner := typeName(e.attr("deserializerType")), e.only()
	var algorithms func(encryption, validation *element) (int, func() hash.Hash, error)
	switch kind {
	case descriptors + "AuthenticatedEncryptorDescriptorDeserializer":
		algorithms = namedAlgorithms
	case descriptors + "ManagedAuthenticatedEncryptorDescriptorDeserializer":
		algorithms = managedAlgorithms
	default:
		return nil, fmt.Errorf("its descriptor is of the type %q, which this program does not know", clip(kind))
	}
	if inner == nil {
		return nil, errors.New("its descriptor has not exactly one element")
	}
	inner, err := decrypted(inner, certificates)
	if err != nil {
		return nil, err
	}
	keySize, hash, err := algorithms(inner.child("", "encryption"), inner.child("", "validation"))
	if err != nil {
		return nil, err
	}
	secret := inner.child("", "masterKey")
	if secret == nil {
		return nil, errors.New("its descriptor has no master key")
	}
	master, err := parseBase64(secret.value())
	if err != nil {
		return nil, errors.New("its master key is not base64")
	}
	if len(master) == 0 {
		return nil, errors.New("its master key is empty")
	}
	return newEncryptor(master, keySize, hash), nil
}

// namedAlgorithms reads those of AuthenticatedEncryptorConfiguration.
func namedAlgorithms(encryption, validation *element) (keySize int, h func() hash.Hash, err error) {
	name, gcm := strings.CutSuffix(encryption.attr("algorithm"), "_GCM")
	if !gcm {
		var cbc bool
		if name, cbc = strings.CutSuffix(name, "_CBC"); !cbc {
			return 0, nil, unknownAlgorithm("encryption", encryption)
		}
		switch validation.attr("algorithm") {
		case "HMACSHA256":
			h = sha256.New
		case "HMACSHA512":
			h = sha512.New
		default:
			return 0, nil, unknownAlgorithm("validation", validation)
		}
	}
	switch name {
	case "AES_128":
		return 16, h, nil
	case "AES_192":
		return 24, h, nil
	case "AES_256":
		return 32, h, nil
	}
	return 0, nil, unknownAlgorithm("encryption", encryption)
}

// managedAlgorithms reads those of ManagedAuthenticatedEncryptorConfiguration:
// always CBC, and named by short names or by .NET's types.
func managedAlgorithms(encryption, validation *element) (keySize int, h func() hash.Hash, err error) {
	short := func(e *element) string {
		return strings.TrimPrefix(typeName(e.attr("algorithm")), "System.Security.Cryptography.")
	}
	switch short(validation) {
	case "HMACSHA1":
		h = sha1.New
	case "HMACSHA256":
		h = sha256.New
	case "HMACSHA384":
		h = sha512.New384
	case "HMACSHA512":
		h = sha512.New
	default:
		return 0, nil, unknownAlgorithm("validation", validation)
	}
	if short(encryption) != "Aes" {
		return 0, nil, unknownAlgorithm("encryption", encryption)
	}
	switch strings.Trim(encryption.attr("keyLength"), xmlSpace) {
	case "128":
		return 16, h, nil
	case "192":
		return 24, h, nil
	case "256":
		return 32, h, nil
	}
	return 0, nil, errors.New("its AES key is not of 128, 192 or 256 bits")
}

func unknownAlgorithm(what string, e *element) error {
	return fmt.Errorf("its %s algorithm is %q, which this program does not know", what, clip(e.attr("algorithm")))
}

// typeName returns the full name of a .NET type without its assembly, under
// the name that it has had since ASP.NET Core 1.0.
func typeName(s string) string {
	s, _, _ = strings.Cut(s, ",")
	return strings.Replace(strings.Trim(s, xmlSpace), "Microsoft.AspNet.DataProtection.", dataProtection, 1)
}

// clip cuts what an error quotes.
func clip(s string) string {
	if len(s) > 200 {
		return s[:200]
	}
	return s
}

// parseBase64 parses base64 with white space in it.
func parseBase64(s string) ([]byte, error) {
	return base64.StdEncoding.DecodeString(strings.Join(strings.Fields(s), ""))
}
