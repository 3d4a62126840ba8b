package aspnetcore

import (
	"context"

	"github.com/ticketstore/ticketstore"
)

const (
	defaultMaxTicketBytes = 64 << 10
	maxMaxTicketBytes     = 1 << 20
	renewalBytes          = 8 << 10 // for what renewals add: SeenFrom, and items of ours
)

// checkSize returns ErrInvalidTicket if t, the renewal of what key opens, has
// too many bytes when serialized. ASP.NET Core has no limit: a renewal may be
// as large as what the store holds would be if Go wrote it, with the times of
// t, and not a byte more.
func (s *Store) checkSize(ctx context.Context, key ticketstore.Key, t *ticketstore.Ticket, size int) error {
	limit := s.maxTicketBytes + renewalBytes
	if size <= limit {
		return nil
	}
	current, err := s.Retrieve(ctx, key)
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
	return invalid("it has %d bytes when serialized; at most %d are allowed: keep less in it or, up to 1 MiB, raise StoreConfig.MaxTicketBytes", size, limit)
}
