package ticketstore

import "context"

const (
	defaultMaxTicketBytes = 64 << 10
	maxMaxTicketBytes     = 1 << 20
	renewalBytes          = 8 << 10 // for what renewals add: SeenFrom
)

// checkSize returns ErrInvalidTicket if t, the renewal of what k opens, has too
// many bytes when serialized. What the store holds may itself be over the
// limit: that was higher, or another serializer wrote it. A renewal may then be
// as large as that would be if it were written now, with the times of t, and
// not a byte more: renewals must not grow without bound.
func (s *RedisStore) checkSize(ctx context.Context, k redisKey, t *Ticket, size int) error {
	limit := s.maxTicketBytes + renewalBytes
	if size <= limit {
		return nil
	}
	current, err := s.Retrieve(ctx, k.key())
	if err != nil {
		return err
	}
	current.IssuedAt, current.ExpiresAt = t.IssuedAt, t.ExpiresAt
	data, err := s.serializer.Serialize(current)
	if err == nil && size > len(data) {
		err = tooLarge(size, max(limit, len(data)))
	}
	return err
}

func tooLarge(size, limit int) error {
	return invalid("it has %d bytes when serialized; at most %d are allowed: keep less in it or, up to 1 MiB, raise RedisConfig.MaxTicketBytes", size, limit)
}
