package aspnetcore

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/clock"
	"github.com/ticketstore/ticketstore/internal/decoded"
	"github.com/ticketstore/ticketstore/internal/lostreply"
)

const (
	defaultPrefix      = "AuthSessionStore-"
	defaultMaxSessions = 1000
	maxMaxSessions     = 10_000
	maxKeyBytes        = 256
	maxChanges         = 5 // of a record while it is read

	indexName = "ticketstore:" // begins the names of indexes, behind InstanceName
)

var (
	_ ticketstore.TicketStore  = (*Store)(nil)
	_ ticketstore.SessionIndex = (*Store)(nil)
)

// A Store keeps tickets where ASP.NET Core applications keep theirs with an
// ITicketStore over RedisCache, for Redis 6.2 or newer, or Valkey. Either
// runtime reads, renews and ends the sessions of both. It is safe for
// concurrent use. The package comment says what it cannot promise.
//
// Reading a ticket is one HMGET, and once after ASP.NET Core has begun or
// renewed a session, a script that brings the index up to date; each write is
// one atomic script. Keys are in Redis in clear: keep names of records, and
// MONITOR, out of logs.
type Store struct {
	client         redis.UniversalClient
	instance       string
	prefix         string
	serializer     ticketstore.Serializer
	maxSessions    int
	refuseNew      bool
	maxTicketBytes int
	decoded        decoded.Cache[*ticketstore.Ticket] // by key; nobody changes them
}

// Store implements [ticketstore.TicketStore]. The ID is a hash of the key.
func (s *Store) Store(ctx context.Context, t *ticketstore.Ticket) (ticketstore.Key, error) {
	if err := t.Validate(clock.Now(ctx)); err != nil {
		return "", err
	}
	if len(t.Links) > 0 {
		return "", fmt.Errorf("%w: it has Links, and this Store is no LinkIndex", ticketstore.ErrInvalidTicket)
	}
	var secret [32]byte
	rand.Read(secret[:]) // never fails, see crypto/rand
	key := ticketstore.Key(s.prefix + base64.RawURLEncoding.EncodeToString(secret[:]))
	data, err := s.serializer.Serialize(t)
	if err == nil && len(data) > s.maxTicketBytes {
		err = tooLarge(len(data), s.maxTicketBytes)
	}
	if err != nil {
		return "", err
	}
	var replaced ticketstore.Key
	if t.ID != "" {
		l, err := s.find(ctx, t.Subject, t.ID)
		switch {
		case err == nil:
			replaced = l.key
		case !errors.Is(err, ticketstore.ErrNotFound):
			return "", err
		}
	}
	keys := append([]string{s.recordKey(key)}, s.indexKeys(t.Subject)...)
	at, write := expiry(t), newWrite()
	args := []any{string(key), t.Subject, data, ticks(at), at.UnixMilli(), s.maxSessions, string(replaced), write, "", clock.AtServer(ctx).UnixMilli()}
	var goes []ticketstore.Key
	// Each repetition means that other sign-ins of this subject came between.
	for range 100 {
		status, err := s.run(ctx, storeScript, s.withRecords(keys, goes), withKeys(args, goes)...).Text()
		if err != nil {
			return "", fmt.Errorf("aspnetcore: store: %w", err)
		}
		switch status {
		case "OK":
			t.ID, t.Revision = sessionID(key), revision(data, write)
			return key, nil
		case "PAST":
			return "", invalid("ExpiresAt is past by the clock of Redis")
		case "LATE":
			return "", fmt.Errorf("aspnetcore: store: %w", errLate)
		case "FULL":
			if goes, err = s.mayGo(ctx, t.Subject, replaced); err != nil {
				return "", err
			}
		default:
			return "", fmt.Errorf("aspnetcore: store: unexpected reply %q", status)
		}
	}
	return "", errors.New("aspnetcore: store: too many sign-ins of one subject at once")
}

// mayGo returns which sessions of subject, but for one that goes anyway, may
// end to make room for one more, first one first.
func (s *Store) mayGo(ctx context.Context, subject string, replaced ticketstore.Key) ([]ticketstore.Key, error) {
	list, err := s.list(ctx, subject)
	if err != nil {
		return nil, fmt.Errorf("aspnetcore: store: %w", err)
	}
	now := clock.Now(ctx)
	var ended, live []ticketstore.Key
	for _, l := range slices.Backward(list) { // oldest first
		switch {
		case l.key == replaced:
		case !now.Before(l.ExpiresAt):
			ended = append(ended, l.key)
		default:
			live = append(live, l.key)
		}
	}
	if !s.refuseNew {
		// Some to spare, as others may sign in at the same time.
		return append(ended, live[:min(len(live), max(0, len(live)-s.maxSessions)+32)]...), nil
	}
	if len(live) >= s.maxSessions {
		return nil, ticketstore.ErrTooManySessions
	}
	return ended, nil
}

// Renew implements [ticketstore.TicketStore].
func (s *Store) Renew(ctx context.Context, key ticketstore.Key, t *ticketstore.Ticket) error {
	if !s.wellFormed(key) {
		return errMalformedKey
	}
	if err := t.Validate(clock.Now(ctx)); err != nil {
		return err
	}
	id := sessionID(key)
	data, err := s.serializer.Serialize(t)
	if err == nil {
		err = s.checkSize(ctx, key, t, len(data))
	}
	if err != nil {
		return err
	}
	at, write := expiry(t), newWrite()
	keys := append([]string{s.recordKey(key)}, s.indexKeys(t.Subject)...)
	unclear := false
	for attempt := 0; ; attempt++ {
		cmd, again := s.runUnclear(ctx, renewScript, renewSource, keys,
			string(key), t.Subject, t.Revision, data, ticks(at), at.UnixMilli(), write, clock.AtServer(ctx).UnixMilli())
		unclear = unclear || again
		status, err := cmd.Text()
		if err != nil {
			return fmt.Errorf("aspnetcore: renew: session %s: %w", id, err)
		}
		switch {
		case status == "OK":
			t.ID, t.Revision = id, revision(data, write)
			return nil
		case status == "GONE":
			return lostreply.Answered(ticketstore.ErrNotFound, unclear)
		case status == "PAST":
			return invalid("session %s: ExpiresAt is past by the clock of Redis", id)
		case status == "LATE":
			return lostreply.Answered(fmt.Errorf("aspnetcore: renew: session %s: %w", id, errLate), unclear)
		case status == "STALE", status == "UNSEEN" && attempt > 0:
			return lostreply.Answered(ticketstore.ErrConflict, unclear)
		case status != "UNSEEN":
			return fmt.Errorf("aspnetcore: renew: session %s: unexpected reply %q", id, status)
		}
		r, err := s.record(ctx, "renew", key)
		if err != nil {
			return err
		}
		current, err := s.ticket(r)
		if err != nil {
			return err
		}
		if current.Subject != t.Subject {
			return invalid("session %s: the subject would change", id)
		}
		if _, err := s.index(ctx, r, current); err != nil {
			return err
		}
	}
}

// Retrieve implements [ticketstore.TicketStore]. It is one HMGET, but for a
// session that ASP.NET Core has begun or renewed since Go last saw it: whoever
// is served is listed. Where Redis reads and does not write, the ticket is
// served all the same.
func (s *Store) Retrieve(ctx context.Context, key ticketstore.Key) (*ticketstore.Ticket, error) {
	for range maxChanges {
		r, err := s.record(ctx, "retrieve", key)
		if err != nil {
			return nil, err
		}
		t, err := s.known(r)
		if err != nil {
			return nil, err
		}
		now := clock.Now(ctx)
		if !now.Before(t.ExpiresAt) {
			return nil, ticketstore.ErrNotFound
		}
		if !r.indexes(t) {
			switch done, err := s.index(ctx, r, t); {
			case refusesWrites(err):
			case err != nil:
				return nil, err
			case !done:
				continue
			}
		}
		if r.sliding > 0 { // as RedisCache does
			until := now.Add(r.sliding)
			if !r.until.IsZero() {
				until = earlier(until, r.until)
			}
			if err := s.client.PExpireAt(ctx, s.recordKey(key), until).Err(); err != nil && !refusesWrites(err) {
				return nil, fmt.Errorf("aspnetcore: retrieve: session %s: %w", t.ID, redact(err))
			}
		}
		return t, nil
	}
	return nil, fmt.Errorf("aspnetcore: retrieve: session %s: it keeps changing", sessionID(key))
}

// Remove implements [ticketstore.TicketStore].
func (s *Store) Remove(ctx context.Context, key ticketstore.Key) error {
	r, err := s.read(ctx, key)
	if errors.Is(err, ticketstore.ErrNotFound) || err == nil && r.data == nil {
		return nil
	}
	if err == nil {
		err = s.end(ctx, r)
	}
	if err != nil {
		return fmt.Errorf("aspnetcore: remove: session %s: %w", sessionID(key), err)
	}
	return nil
}

func (s *Store) end(ctx context.Context, r *record) error {
	keys := append([]string{s.recordKey(r.key)}, s.indexKeys(r.subject)...)
	return s.run(ctx, removeScript, keys, string(r.key), r.subject).Err()
}

// index puts r, whose ticket is t, in the index of its subject. It reports
// whether it has: not if the record has changed since.
func (s *Store) index(ctx context.Context, r *record, t *ticketstore.Ticket) (bool, error) {
	n, err := s.run(ctx, indexScript, s.indexScriptKeys(r, t), indexArgs(r, t)...).Int()
	if err != nil {
		return false, fmt.Errorf("aspnetcore: index: session %s: %w", t.ID, err)
	}
	return n > 0, nil
}

func (s *Store) indexScriptKeys(r *record, t *ticketstore.Ticket) []string {
	keys := append([]string{s.recordKey(r.key)}, s.indexKeys(t.Subject)...)
	return append(keys, s.indexKeys(cmp.Or(r.subject, t.Subject))[0])
}

func indexArgs(r *record, t *ticketstore.Ticket) []any {
	return []any{string(r.key), t.Subject, t.Revision, t.ExpiresAt.UnixMilli(), r.subject}
}

// read returns the record of key, or an error that is ErrNotFound if key is
// malformed.
func (s *Store) read(ctx context.Context, key ticketstore.Key) (*record, error) {
	if !s.wellFormed(key) {
		return nil, errMalformedKey
	}
	reply, err := s.client.HMGet(ctx, s.recordKey(key), recordFields...).Result()
	return parseRecord(key, reply, err)
}

// record returns the record of a live session, for the operation op.
func (s *Store) record(ctx context.Context, op string, key ticketstore.Key) (*record, error) {
	r, err := s.read(ctx, key)
	switch {
	case errors.Is(err, ticketstore.ErrNotFound):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("aspnetcore: %s: session %s: %w", op, sessionID(key), err)
	case r.live():
		return r, nil
	case r.data != nil:
		// A renewal by ASP.NET Core has brought it back: end it there too. If
		// that fails, the next request does it.
		_ = s.end(ctx, r)
	}
	return nil, ticketstore.ErrNotFound
}

// known is ticket, but decodes the same record once.
func (s *Store) known(r *record) (*ticketstore.Ticket, error) {
	key := []byte(r.key)
	if !r.foreign && !r.odd {
		if t, ok := s.decoded.Get(key, r.text); ok && writeOf(t.Revision) == r.write {
			return t.Clone(), nil
		}
	}
	t, err := s.ticket(r)
	if err == nil {
		s.decoded.Put(key, r.text, t.Clone())
	}
	return t, err
}

// ticket returns the ticket of a live record. ASP.NET Core does not know of
// EndsAt.
func (s *Store) ticket(r *record) (*ticketstore.Ticket, error) {
	id := sessionID(r.key)
	if r.foreign {
		return nil, fmt.Errorf("%w: session %s: no hash is there in Redis: check InstanceName and Prefix, and that the application's class uses RedisCache", ticketstore.ErrUndecodable, id)
	}
	if r.odd {
		return nil, fmt.Errorf("%w: session %s: its absexp or sldexp is not what RedisCache writes", ticketstore.ErrUndecodable, id)
	}
	t, err := s.serializer.Deserialize(id, r.data)
	if err == nil && t == nil {
		err = fmt.Errorf("%w: session %s: %T has returned nothing", ticketstore.ErrUndecodable, id, s.serializer)
	}
	if err != nil {
		return nil, err
	}
	if t.Subject == "" {
		return nil, fmt.Errorf("%w: session %s: its Serializer has left out the subject", ticketstore.ErrUndecodable, id)
	}
	if t.ExpiresAt.IsZero() {
		return nil, fmt.Errorf("%w: session %s: it has no .expires and would never end", ticketstore.ErrUndecodable, id)
	}
	t.ID, t.Revision = id, revision(r.data, r.write)
	if !t.EndsAt.IsZero() {
		t.ExpiresAt = earlier(t.ExpiresAt, t.EndsAt)
	}
	return t, nil
}

var errMalformedKey = fmt.Errorf("%w: malformed key", ticketstore.ErrNotFound)

// wellFormed reports whether key may be one: what follows the prefix is the
// application's choice.
func (s *Store) wellFormed(key ticketstore.Key) bool {
	return strings.HasPrefix(string(key), s.prefix) && len(key) > len(s.prefix) && len(key) <= maxKeyBytes
}

func (s *Store) recordKey(key ticketstore.Key) string { return s.instance + string(key) }

// indexKeys returns the index of subject and the two censuses.
func (s *Store) indexKeys(subject string) []string {
	name := s.instance + indexName
	return []string{name + "subject:" + subject, name + "sessions", name + "subjects"}
}

// withRecords returns keys with those of the records of sessions behind them.
func (s *Store) withRecords(keys []string, sessions []ticketstore.Key) []string {
	keys = slices.Clip(keys)
	for _, k := range sessions {
		keys = append(keys, s.recordKey(k))
	}
	return keys
}

func withKeys(args []any, sessions []ticketstore.Key) []any {
	args = slices.Clip(args)
	for _, k := range sessions {
		args = append(args, string(k))
	}
	return args
}

// expiry returns when t expires, as .NET keeps it: to the second.
func expiry(t *ticketstore.Ticket) time.Time { return t.ExpiresAt.Truncate(time.Second) }

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ticketstore.ErrInvalidTicket}, args...)...)
}
