package aspnetcore

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"hash"
	"io"
	"slices"
)

const (
	modifierSize = 16
	gcmNonceSize = 12
	gcmTagSize   = 16
)

var (
	errTooShort = errors.New("it is too short")
	errForged   = errors.New("it does not belong to this application and purpose, or is forged: check the application name (SetApplicationName) and the purposes")
)

// An encryptor is what a key does: AES-CBC with an HMAC, or AES-GCM, each time
// with keys of their own that are derived from the master key.
type encryptor struct {
	master  []byte
	keySize int              // of AES, in bytes
	hash    func() hash.Hash // of the HMAC; nil for GCM
	header  []byte           // the context header, which names the algorithms

	nonceSize, tagSize, derivedSize int
}

func newEncryptor(master []byte, keySize int, hash func() hash.Hash) *encryptor {
	e := &encryptor{master: master, keySize: keySize, hash: hash}
	if hash == nil {
		e.nonceSize, e.tagSize, e.derivedSize = gcmNonceSize, gcmTagSize, keySize
	} else { // the key of an HMAC is as long as its digest
		digest := hash().Size()
		e.nonceSize, e.tagSize, e.derivedSize = aes.BlockSize, digest, keySize+digest
	}
	e.header = e.contextHeader()
	return e
}

// contextHeader follows "Context headers in ASP.NET Core Data Protection".
func (e *encryptor) contextHeader() []byte {
	encryption, mac := e.split(deriveKey(nil, nil, nil, e.derivedSize))
	block := newAES(encryption)
	if e.hash == nil {
		head := headerStart(1, e.keySize, e.nonceSize, aes.BlockSize, e.tagSize)
		return newGCM(block).Seal(head, make([]byte, e.nonceSize), nil, nil)
	}
	empty := pad(nil)
	cipher.NewCBCEncrypter(block, make([]byte, aes.BlockSize)).CryptBlocks(empty, empty)
	head := headerStart(0, e.keySize, aes.BlockSize, e.tagSize, e.tagSize)
	return hmac.New(e.hash, mac).Sum(append(head, empty...))
}

func headerStart(kind uint16, sizes ...int) []byte {
	b := binary.BigEndian.AppendUint16(nil, kind)
	for _, n := range sizes {
		b = binary.BigEndian.AppendUint32(b, uint32(n))
	}
	return b
}

// encrypt returns the payload of plaintext behind the key id. The nonces are
// read from random.
func (e *encryptor) encrypt(random io.Reader, plaintext, aad []byte) ([]byte, error) {
	nonces := make([]byte, modifierSize+e.nonceSize)
	if _, err := io.ReadFull(random, nonces); err != nil {
		return nil, err
	}
	nonce := nonces[modifierSize:]
	encryption, mac := e.subkeys(aad, nonces[:modifierSize])
	block := newAES(encryption)
	if e.hash == nil {
		return newGCM(block).Seal(nonces, nonce, plaintext, nil), nil
	}
	padded := pad(plaintext)
	cipher.NewCBCEncrypter(block, nonce).CryptBlocks(padded, padded)
	h := hmac.New(e.hash, mac)
	h.Write(nonce)
	h.Write(padded)
	return h.Sum(append(nonces, padded...)), nil
}

// decrypt opens what encrypt has returned. Its errors are for the log of the
// operator only.
func (e *encryptor) decrypt(body, aad []byte) ([]byte, error) {
	if len(body) < modifierSize+e.nonceSize+e.tagSize {
		return nil, errTooShort
	}
	modifier, rest := body[:modifierSize], body[modifierSize:]
	encryption, mac := e.subkeys(aad, modifier)
	block := newAES(encryption)
	if e.hash == nil {
		plaintext, err := newGCM(block).Open(nil, rest[:e.nonceSize], rest[e.nonceSize:], nil)
		if err != nil {
			return nil, errForged
		}
		return plaintext, nil
	}
	authentic, tag := rest[:len(rest)-e.tagSize], rest[len(rest)-e.tagSize:]
	h := hmac.New(e.hash, mac)
	h.Write(authentic)
	if !hmac.Equal(h.Sum(nil), tag) {
		return nil, errForged
	}
	iv, ciphertext := authentic[:aes.BlockSize], authentic[aes.BlockSize:]
	if len(ciphertext)%aes.BlockSize != 0 {
		return nil, errTooShort
	}
	padded := make([]byte, len(ciphertext))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(padded, ciphertext)
	return unpad(padded)
}

func (e *encryptor) subkeys(aad, modifier []byte) (encryption, mac []byte) {
	return e.split(deriveKey(e.master, aad, slices.Concat(e.header, modifier), e.derivedSize))
}

func (e *encryptor) split(derived []byte) (encryption, mac []byte) {
	return derived[:e.keySize], derived[e.keySize:]
}

// deriveKey is the counter mode of NIST SP 800-108 with HMAC-SHA-512.
func deriveKey(key, label, context []byte, size int) []byte {
	var out []byte
	for i := uint32(1); len(out) < size; i++ {
		h := hmac.New(sha512.New, key)
		h.Write(binary.BigEndian.AppendUint32(nil, i))
		h.Write(label)
		h.Write([]byte{0})
		h.Write(context)
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(size)*8))
		out = h.Sum(out)
	}
	return out[:size]
}

// newAES panics for a key of another size than those of AES.
func newAES(key []byte) cipher.Block {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	return block
}

func newGCM(block cipher.Block) cipher.AEAD {
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // only for other block sizes than that of AES
	}
	return aead
}

// pad returns a copy of b with the padding of PKCS #7.
func pad(b []byte) []byte {
	n := aes.BlockSize - len(b)%aes.BlockSize
	return slices.Concat(b, bytes.Repeat([]byte{byte(n)}, n))
}

func unpad(b []byte) ([]byte, error) {
	if len(b) == 0 {
		return nil, errTooShort
	}
	n := int(b[len(b)-1])
	if n == 0 || n > aes.BlockSize || !bytes.Equal(b[len(b)-n:], bytes.Repeat([]byte{byte(n)}, n)) {
		return nil, errors.New("its padding is wrong")
	}
	return b[:len(b)-n], nil
}
