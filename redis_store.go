package ticketstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore/internal/clock"
)

// Store implements [TicketStore].
func (s *RedisStore) Store(ctx context.Context, t *Ticket) (Key, error) {
	if err := t.Validate(clock.Now(ctx)); err != nil {
		return "", err
	}
	patience := maxPatience
	if end, ok := ctx.Deadline(); ok {
		patience = min(patience, time.Until(end))
	}
	began := clock.Now(ctx)
	switch {
	case !t.began.IsZero():
		began = t.began
	case !t.SignedInAt.IsZero():
		began = earlier(began, t.SignedInAt)
	}
	var tried []redisKey
	for {
		k, err := newRedisKey(t.Subject)
		if err != nil {
			return "", fmt.Errorf("ticketstore: store: %w", err)
		}
		lost, again, err := s.tryStore(ctx, t, k, began)
		if lost {
			tried = append(tried, k)
		}
		if again && len(tried) < 2 {
			continue
		}
		for _, k := range tried {
			s.forget(ctx, k, t.Subject, patience)
		}
		if err != nil {
			return "", err
		}
		return k.key(), nil
	}
}

// maxPatience bounds what Store does after its context has ended.
const maxPatience = 2 * time.Second

// forget ends a session that may have begun, of which nobody gets the key. It
// tries once: what it cannot end is listed, if it is there, until it expires.
func (s *RedisStore) forget(ctx context.Context, k redisKey, subject string, patience time.Duration) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	id := k.id.String()
	keys := append([]string{s.recordKey(k.partition, id)}, s.indexKeys(k.partition, subject)...)
	keys, args := s.telling(cause{cause: "undelivered"}, k.partition, subject, keys, []any{namedID(id), subject, s.seal.verifier(k, subject)})
	_ = s.run(ctx, s.scripts.remove, keys, args...).Err()
}

// tryStore stores t under the ID of k, which is written at most once: by a
// repetition a session would come back that has been revoked meanwhile. If the
// reply is lost, the record tells; lost is set if that does not say that t is
// stored, which it may yet be. If it is not there, for whatever reason, another
// ID may be tried again.
func (s *RedisStore) tryStore(ctx context.Context, t *Ticket, k redisKey, began time.Time) (lost, again bool, err error) {
	c := *t
	c.ID = k.id.String()
	data, err := s.serializer.Serialize(&c)
	if err == nil && len(data) > s.maxTicketBytes {
		err = tooLarge(len(data), s.maxTicketBytes)
	}
	if err == nil {
		data, err = s.seal.seal(c.ID, t.Subject, data)
	}
	if err != nil {
		return false, false, err
	}
	e := envelope{sealed: s.seal.seals(), state: keyInUse, revision: newRevision(), verifier: s.seal.verifier(k, t.Subject), previous: "-", subject: t.Subject}
	record, value := s.recordKey(k.partition, c.ID), e.String()+string(data)
	var linked []int64
	if len(t.Links) > 0 {
		defer func() {
			if answers(err) { // in an outage it would take long, for nothing
				s.unlink(ctx, &c)
			}
		}()
		if linked, err = s.link(ctx, &c, k, began); err != nil {
			return false, false, err
		}
	}
	replaced := ""
	if isSessionID(t.ID) {
		replaced = t.ID
	}
	begins, err := s.begins(&c)
	if err != nil {
		return false, false, err
	}
	own := leftIn(ctx, t.Subject)
	if own.mark == "" {
		own = s.marks.before(s.markKey(k.partition, t.Subject), began)
	}
	keys := append([]string{record}, s.indexKeys(k.partition, t.Subject)...)
	keys = append(keys, s.markKey(k.partition, t.Subject), s.markOfAll(k.partition))
	args := []any{namedID(c.ID), t.Subject, value, t.ExpiresAt.UnixMilli(), s.maxSessions, s.whenFull, replaced, clock.AtServer(ctx).UnixMilli(),
		0, own.mark, own.before, begins}
	var more []string // IDs whose records the script has to declare
	// Each repetition means that other sign-ins of this subject came between,
	// or that the cap is much lower than it was.
	for range maxMaxSessions/scriptBatch + 100 {
		sent := clock.Now(ctx)
		args[underWay] = ceilMilliseconds(sent.Sub(began))
		keys, args := s.telling(cause{cause: "evicted"}, k.partition, t.Subject, s.withRecords(keys, k.partition, more), appendIDs(args, more))
		reply, err := s.runOnce(ctx, s.scripts.store, keys, args...).StringSlice()
		if err != nil {
			var refused redis.Error
			if errors.As(err, &refused) || ctx.Err() != nil {
				return true, false, fmt.Errorf("ticketstore: store: %w", err)
			}
			have, getErr := s.get(ctx, k, false)
			if have != value {
				return true, errors.Is(getErr, ErrNotFound), fmt.Errorf("ticketstore: store: %w", err)
			}
			// What the script had to say of marks is lost: any may be too late.
			if err := s.noMarks(ctx, k.partition, t.Subject, own); err != nil {
				return true, false, err
			}
			reply = []string{"OK", ""}
		}
		switch reply[0] {
		case "OK":
			if markedWithin(reply[1], clock.Now(ctx).Sub(sent)) {
				return true, false, errRevokedMeanwhile
			}
			if err := s.checkLinks(ctx, t, linked); err != nil {
				return true, false, err
			}
			t.ID, t.Revision = c.ID, e.revision
			// Whoever reads endings does what is left undone here.
			_, _ = s.sweep(ctx, k.partition, "expired", reply[2:])
			return false, false, nil
		case "REVOKED":
			return false, false, errRevokedMeanwhile
		case "PAST":
			return false, false, invalid("ExpiresAt is past by the clock of Redis")
		case "LATE":
			return false, false, fmt.Errorf("ticketstore: store: %w", errLate)
		case "FULL":
			return false, false, ErrTooManySessions
		case "MORE":
			more = reply[1:]
		default:
			return false, false, fmt.Errorf("ticketstore: store: session %s: unexpected reply %q", c.ID, reply[0])
		}
	}
	return false, false, errors.New("ticketstore: store: too many sign-ins of one subject at once")
}

var errLate = errors.New("the clock of the application is more than a minute from that of Redis, or the command has been held up for as long: nothing was done")
