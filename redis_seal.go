package ticketstore

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
)

// A SealKey seals tickets in Redis, see [RedisConfig].SealKeys. It has at least
// 32 bytes, all of them random. Make one with
//
//	openssl rand -base64 32
//
// and keep it where Redis' backups and whoever operates Redis do not come: with
// it they read every ticket, and can be anybody.
type SealKey []byte

var (
	_ fmt.Formatter  = SealKey(nil)
	_ slog.LogValuer = SealKey(nil)
)

// Format implements [fmt.Formatter]. It does not reveal the key.
func (SealKey) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// LogValue implements [slog.LogValuer]. It does not reveal the key.
func (SealKey) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements [encoding.TextMarshaler]. It does not reveal the key.
func (SealKey) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Seals reports whether what s writes is sealed, see [RedisConfig].SealKeys: for
// who keeps secrets in [Ticket].Properties.
func (s *RedisStore) Seals() bool { return s.seal.seals() }

// A sealer encrypts the tickets of a store and makes the verifiers of its keys,
// with two keys of each session's own: random nonces are good for 2^32 tickets
// of one key (NIST SP 800-38D, 8.3), which all sessions together exceed.
// A nil sealer seals nothing.
type sealer struct {
	prefix        string
	roots         [][]byte // the pseudorandom key of each SealKey (RFC 5869, section 2.2)
	readUnsealed  bool
	writeUnsealed bool
}

const (
	forTicket   = "ticketstore ticket"
	forEnding   = "ticketstore ending"
	forVerifier = "ticketstore verifier"
)

// newSealer returns the sealer of cfg, nil if it seals nothing.
func newSealer(prefix string, cfg RedisConfig) (*sealer, error) {
	s := &sealer{
		prefix:        prefix,
		readUnsealed:  cfg.DangerouslyAcceptUnsealed || cfg.DangerouslyWriteUnsealed,
		writeUnsealed: cfg.DangerouslyWriteUnsealed,
	}
	if len(cfg.SealKeys) == 0 {
		if s.readUnsealed {
			return nil, problem("SealKeys", "there are none, and so DangerouslyAcceptUnsealed and DangerouslyWriteUnsealed mean nothing")
		}
		return nil, nil
	}
	var errs []error
	for i, key := range cfg.SealKeys {
		if len(key) < 32 {
			errs = append(errs, fmt.Errorf("SealKeys[%d]: it has %d bytes; at least 32 are needed (openssl rand -base64 32, decoded)", i, len(key)))
			continue
		}
		if slices.ContainsFunc(cfg.SealKeys[:i], func(o SealKey) bool { return bytes.Equal(o, key) }) {
			errs = append(errs, fmt.Errorf("SealKeys[%d]: an earlier one is the same", i))
		}
		root, err := hkdf.Extract(sha256.New, key, nil)
		if err != nil {
			errs = append(errs, fmt.Errorf("SealKeys[%d]: %w", i, err))
		}
		s.roots = append(s.roots, root)
	}
	return s, errors.Join(errs...)
}

// seals reports whether what the store writes is sealed.
func (s *sealer) seals() bool { return s != nil && !s.writeUnsealed }

// mark returns what an envelope has, and what comes before how a session began.
func (s *sealer) mark() string {
	if s.seals() {
		return "s"
	}
	return ""
}

// bound returns what a sealed ticket and its keys are bound to: each part with
// its length, so that no two sessions have the same.
func (s *sealer) bound(purpose, id, subject string) string {
	var b []byte
	for _, part := range [...]string{purpose, s.prefix, id, subject} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(part)))
		b = append(b, part...)
	}
	return string(b)
}

// derive returns a key of 32 bytes.
func derive(root []byte, info string) []byte {
	key, err := hkdf.Expand(sha256.New, root, info, sha256.Size)
	if err != nil {
		panic(err) // it is neither too long nor, by a FIPS module, another hash
	}
	return key
}

// aead returns what seals and opens the tickets of the session that info is of.
func aead(root []byte, info string) (cipher.AEAD, error) {
	block, err := aes.NewCipher(derive(root, info))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// seal returns a serialized ticket as it is to be behind the envelope.
func (s *sealer) seal(id, subject string, ticket []byte) ([]byte, error) {
	return s.sealFor(forTicket, id, subject, ticket)
}

func (s *sealer) sealFor(purpose, id, subject string, ticket []byte) ([]byte, error) {
	if !s.seals() {
		return ticket, nil
	}
	info := s.bound(purpose, id, subject)
	gcm, err := aead(s.roots[0], info)
	if err != nil {
		return nil, fmt.Errorf("ticketstore: seal: %w", err)
	}
	return gcm.Seal(nil, nil, ticket, []byte(info)), nil
}

// unfit returns ErrUndecodable if the store is not to read records like e.
func (s *sealer) unfit(id string, e envelope) error {
	switch {
	case s == nil && e.sealed:
		return undecodable(id, "it is sealed: RedisConfig.SealKeys has to name the key")
	case s != nil && !e.sealed && !s.readUnsealed:
		return undecodable(id, "it is not sealed: put by hand, or from before SealKeys was set, see RedisConfig.DangerouslyAcceptUnsealed")
	}
	return nil
}

// open puts the serialized ticket into e in place of the sealed one.
func (s *sealer) open(id string, e *envelope) error { return s.openFor(forTicket, id, e) }

func (s *sealer) openFor(purpose, id string, e *envelope) error {
	if err := s.unfit(id, *e); err != nil || !e.sealed {
		return err
	}
	info := s.bound(purpose, id, e.subject)
	for _, root := range s.roots {
		gcm, err := aead(root, info)
		if err != nil {
			return fmt.Errorf("ticketstore: open: %w", err)
		}
		if ticket, err := gcm.Open(nil, nil, e.ticket, []byte(info)); err == nil {
			e.ticket = ticket
			return nil
		}
	}
	return undecodable(id, "it is sealed with a key that RedisConfig.SealKeys does not have, or it has been tampered with")
}

// verifierKeys make the verifiers of the keys of one session, first the one that
// is written. One that is nil makes that of an unsealed record.
type verifierKeys [][]byte

// verifierKeys returns nil for a nil sealer.
func (s *sealer) verifierKeys(id, subject string) *verifierKeys {
	if s == nil {
		return nil
	}
	var keys verifierKeys
	if s.writeUnsealed {
		keys = append(keys, nil)
	}
	info := s.bound(forVerifier, id, subject)
	for _, root := range s.roots {
		keys = append(keys, derive(root, info))
	}
	if s.readUnsealed && !s.writeUnsealed {
		keys = append(keys, nil)
	}
	return &keys
}

// appendSealedVerifier is appendVerifier with a key of verifierKeys.
func (k redisKey) appendSealedVerifier(b, key []byte, subject string) []byte {
	if key == nil {
		return k.appendVerifier(b)
	}
	var sum [sha256.Size]byte
	mac := hmac.New(sha256.New, key)
	mac.Write(k.secret[:])
	mac.Write(k.id[:])
	io.WriteString(mac, subject)
	return base64.RawURLEncoding.AppendEncode(b, mac.Sum(sum[:0]))
}

// verifier returns what a record has of the secret of k, a key of subject.
func (s *sealer) verifier(k redisKey, subject string) string {
	if s == nil {
		return k.verifier()
	}
	return string(k.appendSealedVerifier(nil, (*s.verifierKeys(k.id.String(), subject))[0], subject))
}

// verifiers returns all that a record may have of the secret of k, first what
// verifier returns, with spaces between.
func (s *sealer) verifiers(k redisKey, subject string) string {
	if s == nil {
		return k.verifier()
	}
	var b []byte
	for i, key := range *s.verifierKeys(k.id.String(), subject) {
		if i > 0 {
			b = append(b, ' ')
		}
		b = k.appendSealedVerifier(b, key, subject)
	}
	return string(b)
}

// has is that of r's envelope, by whatever verifiers it may have.
func (r *decodedRecord) has(k redisKey) (current, previous bool) {
	e := &r.envelope
	if r.verifierKeys == nil {
		return e.has(k)
	}
	var buf, stored [43]byte
	for _, key := range *r.verifierKeys {
		v := k.appendSealedVerifier(buf[:0], key, e.subject)
		if subtle.ConstantTimeCompare(v, append(stored[:0], e.verifier...)) == 1 {
			return true, false
		}
		previous = previous || subtle.ConstantTimeCompare(v, append(stored[:0], e.previous...)) == 1
	}
	return false, previous
}

// refused returns why a script has not taken k for a key of its session, whose
// record is sealed or not: ErrSuperseded, with the subject if it has read that;
// or ErrUndecodable, as with other seal keys k may well be its key.
func (s *RedisStore) refused(ctx context.Context, k redisKey, sealed bool) (subject string, err error) {
	id := k.id.String()
	if s.seal == nil && !sealed {
		return "", superseded(id)
	}
	record, err := s.get(ctx, k, false)
	if err != nil {
		return "", err
	}
	e, err := parseEnvelope([]byte(record))
	if err != nil {
		return "", undecodable(id, "%w", err)
	}
	if err := s.seal.open(id, &e); err != nil {
		return "", err
	}
	return e.subject, superseded(id)
}
