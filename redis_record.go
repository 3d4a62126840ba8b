package ticketstore

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// A RedisStore's Key is unpadded base64url of a partition (1 byte), the
// session ID (16) and a secret (32).
const (
	keyBytes = 1 + 16 + 32
	keyText  = (keyBytes*8 + 5) / 6
)

var strictBase64 = base64.RawURLEncoding.Strict()

var errMalformedKey = fmt.Errorf("%w: malformed key", ErrNotFound)

// redisKey is a parsed Key.
type redisKey struct {
	partition byte
	id        uuid.UUID
	secret    [32]byte
}

func newRedisKey(subject string) (redisKey, error) {
	id, err := uuid.NewV7()
	k := redisKey{partition: partition(subject), id: id, secret: newSecret()}
	return k, err
}

func newSecret() (secret [32]byte) {
	rand.Read(secret[:]) // never fails, see crypto/rand
	return secret
}

func parseRedisKey(key Key) (redisKey, error) {
	var b [keyBytes]byte
	var text [keyText]byte
	if len(key) != keyText {
		return redisKey{}, errMalformedKey
	}
	copy(text[:], key)
	// Decode skips line feeds; then it is short.
	if n, err := strictBase64.Decode(b[:], text[:]); err != nil || n != keyBytes {
		return redisKey{}, errMalformedKey
	}
	return redisKey{b[0], uuid.UUID(b[1:17]), [32]byte(b[17:])}, nil
}

func (k redisKey) key() Key {
	b := make([]byte, 0, keyBytes)
	b = append(b, k.partition)
	b = append(b, k.id[:]...)
	b = append(b, k.secret[:]...)
	return Key(base64.RawURLEncoding.EncodeToString(b))
}

func (k redisKey) verifier() string { return string(k.appendVerifier(nil)) }

func (k redisKey) appendVerifier(b []byte) []byte {
	sum := sha256.Sum256(k.secret[:])
	return base64.RawURLEncoding.AppendEncode(b, sum[:])
}

// partition returns the part of the keyspace that holds everything about
// subject. It never changes: keys in browsers depend on it.
func partition(subject string) byte { return sha256.Sum256([]byte(subject))[0] }

// An envelope is the first line of a record; the serialized ticket follows.
// It is what the scripts know of a record:
//
//	2 <state> <revision> <verifier> <previous verifier or -> <until when that only reads, Unix ms, or 0> <subject>
//
// The state is u once the key has been used: the previous one opens nothing
// after its time. Until then it is n and the grace in milliseconds, such as
// n10000, which begins with that use: the previous one only reads until its
// time, and is good for everything after that. Any other state is an envelope
// of a later release, which this one cannot heed. Where the ticket is sealed, the
// line begins with 2s.
type envelope struct {
	sealed   bool
	state    string
	revision string // 11 characters of base64url
	verifier string // base64url(SHA-256(secret)); sealed, see appendSealedVerifier
	previous string // verifier of the key that was rotated away
	until    int64  // when previous stops reading only
	subject  string
	ticket   []byte // serialized, perhaps sealed
}

const (
	plainStart  = "2 "
	sealedStart = "2s "
	keyInUse    = "u"
	maxEnvelope = 1500 // bytes, with the longest subject; the scripts read no more
)

func newRevision() string {
	var b [8]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func (e envelope) String() string {
	start := plainStart
	if e.sealed {
		start = sealedStart
	}
	return fmt.Sprintf(start+"%s %s %s %s %d %s\n", e.state, e.revision, e.verifier, e.previous, e.until, e.subject)
}

var errBadEnvelope = errors.New("unknown envelope")

func parseEnvelope(record []byte) (envelope, error) {
	line, ticket, ok := bytes.Cut(record, []byte("\n"))
	e, text := envelope{ticket: ticket}, string(line)
	rest, plain := strings.CutPrefix(text, plainStart)
	if !plain {
		rest, e.sealed = strings.CutPrefix(text, sealedStart)
	}
	if !ok || !plain && !e.sealed {
		return envelope{}, errBadEnvelope
	}
	e.state, rest, _ = strings.Cut(rest, " ")
	e.revision, rest, _ = strings.Cut(rest, " ")
	e.verifier, rest, _ = strings.Cut(rest, " ")
	e.previous, rest, _ = strings.Cut(rest, " ")
	until, subject, _ := strings.Cut(rest, " ")
	till, err := strconv.ParseUint(until, 10, 63)
	e.until, e.subject = int64(till), subject
	if bytes.ContainsAny(line[:len(line)-len(subject)], "\t\v\f\r") { // where a word ends in the scripts, too
		return envelope{}, errBadEnvelope
	}
	if err != nil || !isState(e.state) || len(e.revision) != 11 || len(e.verifier) != 43 || e.previous == "" || validateSubject(e.subject) != nil {
		return envelope{}, errBadEnvelope
	}
	return e, nil
}

// isState is the same as parse has it in the scripts.
func isState(state string) bool {
	grace, unused := strings.CutPrefix(state, "n")
	return state == keyInUse || unused && grace != "" && strings.Trim(grace, "0123456789") == ""
}

// has reports whether k is the key of the record, and whether it is the one
// before.
func (e *envelope) has(k redisKey) (current, previous bool) {
	var buf, stored [43]byte
	v := k.appendVerifier(buf[:0])
	if subtle.ConstantTimeCompare(v, append(stored[:0], e.verifier...)) == 1 {
		return true, false
	}
	return false, subtle.ConstantTimeCompare(v, append(stored[:0], e.previous...)) == 1
}

func superseded(id string) error { return fmt.Errorf("%w: session %s", ErrSuperseded, id) }
