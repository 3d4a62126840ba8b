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
	envelope envelope
	ticket   *Ticket
}

// Retrieve implements [TicketStore]. It is one GET.
func (s *RedisStore) Retrieve(ctx context.Context, key Key) (*Ticket, error) {
	k, err := parseRedisKey(key)
	if err != nil {
		return nil, err
	}
	if s.writes != nil && !s.writes.has(k.id) && !isFresh(ctx) {
		t, err := s.retrieve(ctx, k, true)
		refused := errors.Is(err, ErrNotFound) || errors.Is(err, ErrUndecodable) || err == nil && t.Revision == ""
		if !refused {
			return t, err
		}
	}
	return s.retrieve(ctx, k, false)
}

// retrieve returns the ticket that k opens; if cached, the client's cache may
// answer.
func (s *RedisStore) retrieve(ctx context.Context, k redisKey, cached bool) (*Ticket, error) {
	record, err := s.get(ctx, k, cached)
	if err != nil {
		return nil, err
	}
	r, known := s.decoded.Get(k.id[:], record)
	if !known {
		if r.envelope, err = parseEnvelope([]byte(record)); err != nil {
			return nil, undecodable(k.id.String(), "%w", err)
		}
	}
	now := clock.Now(ctx)
	ok, rotated := r.envelope.opens(k, now)
	if !ok {
		return nil, ErrNotFound
	}
	if !known {
		if r.ticket, err = s.deserialize(k.id.String(), r.envelope); err != nil {
			return nil, err
		}
		r.envelope.ticket = nil
		s.decoded.Put(k.id[:], record, r)
	}
	if !now.Before(r.ticket.ExpiresAt) {
		return nil, ErrNotFound
	}
	t := r.ticket.Clone()
	if rotated {
		t.Revision = ""
	}
	return t, nil
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
	if t.Subject != "" && t.Subject != e.subject {
		return nil, undecodable(id, "it is another subject's")
	}
	t.ID, t.Subject, t.Revision = id, e.subject, e.revision
	return t, nil
}
