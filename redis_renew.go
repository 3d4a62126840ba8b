package ticketstore

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ticketstore/ticketstore/internal/clock"
	"github.com/ticketstore/ticketstore/internal/lostreply"
)

// Renew implements [TicketStore].
func (s *RedisStore) Renew(ctx context.Context, key Key, t *Ticket) error {
	k, err := parseRedisKey(key)
	if err != nil {
		return err
	}
	return s.renew(ctx, k, t, "", 0)
}

// Rotate implements [KeyRotator].
func (s *RedisStore) Rotate(ctx context.Context, key Key, t *Ticket, grace time.Duration) (Key, error) {
	k, err := parseRedisKey(key)
	if err != nil {
		return "", err
	}
	next := k
	next.secret = newSecret()
	if err := s.renew(ctx, k, t, s.seal.verifier(next, t.Subject), grace); err != nil {
		return "", err
	}
	return next.key(), nil
}

func (s *RedisStore) renew(ctx context.Context, k redisKey, t *Ticket, verifier string, grace time.Duration) error {
	if err := t.Validate(clock.Now(ctx)); err != nil {
		return err
	}
	id := k.id.String()
	c := *t
	c.ID = id
	data, err := s.serializer.Serialize(&c)
	if err == nil {
		err = s.checkSize(ctx, k, t, len(data))
	}
	if err == nil {
		data, err = s.seal.seal(id, t.Subject, data)
	}
	if err != nil {
		return err
	}
	revision := newRevision()
	keys := append([]string{s.recordKey(k.partition, id)}, s.indexKeys(k.partition, t.Subject)...)
	arrived := ""
	if KeyUnsent(ctx) {
		arrived = "unsent"
	}
	run := s.runUnclear
	if verifier != "" {
		run = s.runEnding // of the old key
	}
	args := []any{namedID(id), t.Subject, s.seal.verifiers(k, t.Subject), t.Revision, revision, data, t.ExpiresAt.UnixMilli(),
		verifier, max(0, grace).Milliseconds(), clock.AtServer(ctx).UnixMilli(), arrived, s.seal.mark()}
	_, args = s.telling(cause{}, k.partition, t.Subject, nil, args)
	cmd, unclear := run(ctx, s.scripts.renew, keys, args...)
	status, err := cmd.Text()
	if err == nil && strings.HasPrefix(status, "NONE") {
		subject, refused := s.refused(ctx, k, status == "NONEs")
		if subject == "" || subject == t.Subject {
			return lostreply.Answered(refused, unclear)
		}
		// Verifiers are bound to the subject: the script has to look at those
		// of the record's own, to say what is wrong. It changes nothing.
		args[2] = s.seal.verifiers(k, subject)
		cmd, _ = run(ctx, s.scripts.renew, keys, args...)
		status, err = cmd.Text()
	}
	if err != nil {
		return fmt.Errorf("ticketstore: renew: session %s: %w", id, err)
	}
	switch status {
	case "OK":
		t.ID, t.Revision = id, revision
		return nil
	case "GONE":
		return lostreply.Answered(ErrNotFound, unclear)
	case "NONE", "NONEs":
		return lostreply.Answered(superseded(id), unclear)
	case "STALE":
		return lostreply.Answered(ErrConflict, unclear)
	case "LATE":
		return lostreply.Answered(fmt.Errorf("ticketstore: renew: session %s: %w", id, errLate), unclear)
	case "SUBJECT":
		return invalid("session %s: the subject would change", id)
	case "PAST":
		return invalid("session %s: ExpiresAt is past by the clock of Redis", id)
	case "BAD":
		return undecodable(id, "%w", errBadEnvelope)
	}
	return fmt.Errorf("ticketstore: renew: session %s: unexpected reply %q", id, status)
}
