package ticketstore

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore/internal/clock"
)

// A decodedRecord is never changed.
type decodedRecord struct {
	envelope     envelope
	verifierKeys *verifierKeys // nil without SealKeys
	ticket       *Ticket
}

// Retrieve implements [TicketStore]. It is one GET; for a key that has not been
// used before, or that has been rotated away, one script more.
func (s *RedisStore) Retrieve(ctx context.Context, key Key) (*Ticket, error) {
	k, err := parseRedisKey(key)
	if err != nil {
		return nil, err
	}
	if s.writes != nil && !s.writes.has(k.id) && !isFresh(ctx) {
		t, err := s.retrieve(ctx, k, true)
		refused := errors.Is(err, ErrNotFound) || errors.Is(err, ErrUndecodable) || errors.Is(err, errAskRedis)
		if !refused {
			return t, err
		}
	}
	return s.retrieve(ctx, k, false)
}

// errAskRedis: the cache does not say enough about the key.
var errAskRedis = errors.New("the key is not the one in use")

// retrieve returns the ticket that k opens; if cached, the client's cache may
// answer.
func (s *RedisStore) retrieve(ctx context.Context, k redisKey, cached bool) (*Ticket, error) {
	record, err := s.get(ctx, k, cached)
	if err != nil {
		return nil, err
	}
	r, known, err := s.parse(k, record)
	if err != nil {
		return nil, err
	}
	reads := false
	current, previous := r.has(k)
	switch {
	case !current && !previous:
		return nil, superseded(k.id.String())
	case current && (r.envelope.state == keyInUse || KeyUnsent(ctx)):
	case cached:
		return nil, errAskRedis
	default:
		if record, reads, err = s.arrive(ctx, k, r.envelope.subject); err != nil {
			return nil, err
		}
		if r, known, err = s.parse(k, record); err != nil {
			return nil, err
		}
	}
	if !known {
		if r.ticket, err = s.deserialize(k.id.String(), r.envelope); err != nil {
			return nil, err
		}
		r.envelope.ticket = nil
		s.decoded.Put(k.id[:], record, r)
	}
	if !clock.Now(ctx).Before(r.ticket.ExpiresAt) {
		return nil, ErrNotFound
	}
	t := r.ticket.Clone()
	if reads {
		t.Revision = ""
	}
	return t, nil
}

// parse returns what a record is remembered as, or what its envelope says, with
// the serialized ticket opened.
func (s *RedisStore) parse(k redisKey, record string) (r decodedRecord, known bool, err error) {
	if r, known = s.decoded.Get(k.id[:], record); known {
		return r, true, nil
	}
	if r.envelope, err = parseEnvelope([]byte(record)); err != nil {
		return r, false, undecodable(k.id.String(), "%w", err)
	}
	if s.seal != nil || r.envelope.sealed {
		if err := s.seal.open(k.id.String(), &r.envelope); err != nil {
			return r, false, err
		}
		r.verifierKeys = s.seal.verifierKeys(k.id.String(), r.envelope.subject)
	}
	return r, false, nil
}

// arrive reads the record of a key of subject that is unused, which it then is no longer,
// or the previous one; reads is set if that is all that the key may do.
func (s *RedisStore) arrive(ctx context.Context, k redisKey, subject string) (record string, reads bool, err error) {
	id := k.id.String()
	reply, err := s.run(ctx, arriveScript, []string{s.recordKey(k.partition, id)}, s.seal.verifiers(k, subject)).StringSlice()
	if err == nil && len(reply) != 2 {
		err = fmt.Errorf("unexpected reply %q", reply)
	}
	if err != nil {
		return "", false, fmt.Errorf("ticketstore: retrieve: session %s: %w", id, err)
	}
	switch reply[0] {
	case "GONE":
		return "", false, ErrNotFound
	case "NONE":
		return "", false, superseded(id)
	}
	return reply[1], reply[0] == "READ", nil
}

// get reads a record; if cached, the client's cache may answer.
func (s *RedisStore) get(ctx context.Context, k redisKey, cached bool) (string, error) {
	key := s.recordKeyOf(k)
	var record string
	var err error
	switch {
	case cached:
		record, err = s.client.Get(ctx, key).Result()
	case s.batcher != nil:
		record, err = s.batcher.get(ctx, key)
	default:
		record, err = getPastCache(ctx, s.client, key)
	}
	switch {
	case err == nil:
		return record, nil
	case errors.Is(err, redis.Nil):
		return "", ErrNotFound
	case redis.HasErrorPrefix(err, "WRONGTYPE"):
		return "", undecodable(k.id.String(), "it is no string in Redis")
	}
	return "", fmt.Errorf("ticketstore: retrieve: session %s: %w", k.id, err)
}

// recordKeyOf is recordKey for a read, which each request pays for.
func (s *RedisStore) recordKeyOf(k redisKey) string {
	var buf [128]byte
	b := append(buf[:0], s.tags[k.partition]...)
	for i, part := range [...][]byte{k.id[:4], k.id[4:6], k.id[6:8], k.id[8:10], k.id[10:]} {
		if i > 0 {
			b = append(b, '-')
		}
		b = hex.AppendEncode(b, part)
	}
	return string(b)
}

func (s *RedisStore) deserialize(id string, e envelope) (*Ticket, error) {
	t, err := s.serializer.Deserialize(id, e.ticket)
	if err != nil {
		return nil, err
	}
	if t == nil {
		return nil, undecodable(id, "%T has returned nothing", s.serializer)
	}
	if t.Subject != "" && t.Subject != e.subject {
		return nil, undecodable(id, "it is another subject's")
	}
	t.ID, t.Subject, t.Revision = id, e.subject, e.revision
	return t, nil
}
