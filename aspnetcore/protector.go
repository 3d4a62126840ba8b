package aspnetcore

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// ErrInvalidPayload tells that a payload cannot be opened: it is forged, of
// another application or purpose, or of a key that is unknown or revoked. The
// text behind it is for the log: whoever sent the payload must not see it.
var ErrInvalidPayload = errors.New("aspnetcore: invalid payload")

const (
	payloadMagic  = "\x09\xf0\xc9\xf0" // the last four bits are the version
	payloadHeader = len(payloadMagic) + 16
)

// A Protector encrypts and authenticates as an IDataProtector of ASP.NET Core
// does. It is safe for concurrent use.
type Protector struct {
	ring     *KeyRing
	purposes []byte // their number, and each with its length
}

// NewProtector returns the protector for purposes: the complete list, with the
// application name (SetApplicationName) as the first, if there is one, and
// then those given to CreateProtector. Nothing is opened that has been
// protected for another list.
func NewProtector(ring *KeyRing, purposes ...string) *Protector {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(purposes)))
	for _, p := range purposes {
		b = binary.AppendUvarint(b, uint64(len(p)))
		b = append(b, p...)
	}
	return &Protector{ring: ring, purposes: b}
}

// Protect returns the payload of plaintext, under the default key of the ring.
// An error tells that there is none or that it could not be read.
func (p *Protector) Protect(ctx context.Context, plaintext []byte) ([]byte, error) {
	k, err := p.ring.protecting(ctx)
	if err != nil {
		return nil, err
	}
	return p.protect(k, rand.Reader, plaintext)
}

func (p *Protector) protect(k *key, random io.Reader, plaintext []byte) ([]byte, error) {
	e, err := k.encryptor()
	if err != nil {
		return nil, err
	}
	id := guidBytes(k.id)
	header := append([]byte(payloadMagic), id[:]...)
	body, err := e.encrypt(random, plaintext, slices.Concat(header, p.purposes))
	if err != nil {
		return nil, fmt.Errorf("aspnetcore: protect: %w", err)
	}
	return append(header, body...), nil
}

// Unprotect returns what Protect was given, here or in ASP.NET Core. It
// returns ErrInvalidPayload if payload cannot be opened; every other error
// tells that the keys could not be read or used, which says nothing about the
// payload.
func (p *Protector) Unprotect(ctx context.Context, payload []byte) ([]byte, error) {
	if len(payload) < payloadHeader {
		return nil, invalidPayload(errTooShort)
	}
	magic, version := binary.BigEndian.Uint32(payload)&^0xf, payload[3]&0xf
	if magic != binary.BigEndian.Uint32([]byte(payloadMagic)) {
		return nil, invalidPayload(errors.New("it is not of Data Protection"))
	}
	if version != 0 {
		return nil, invalidPayload(fmt.Errorf("it is of version %d; this program reads version 0", version))
	}
	header, body := payload[:payloadHeader], payload[payloadHeader:]
	k, err := p.ring.opening(ctx, guidBytes([16]byte(header[len(payloadMagic):])))
	if err != nil {
		return nil, err
	}
	e, err := k.encryptor()
	if err != nil {
		return nil, err
	}
	plaintext, err := e.decrypt(body, slices.Concat(header, p.purposes))
	if err != nil {
		return nil, invalidPayload(err)
	}
	return plaintext, nil
}

func invalidPayload(err error) error { return fmt.Errorf("%w: %w", ErrInvalidPayload, err) }
