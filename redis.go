package ticketstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore/internal/clock"
	"github.com/ticketstore/ticketstore/internal/decoded"
	"github.com/ticketstore/ticketstore/internal/failover"
	"github.com/ticketstore/ticketstore/internal/redischeck"
)

const (
	defaultPrefix      = "AuthSessionStore-"
	defaultMaxSessions = 1000
	maxMaxSessions     = 10_000
)

var (
	_ TicketStore  = (*RedisStore)(nil)
	_ SessionIndex = (*RedisStore)(nil)
	_ KeyRotator   = (*RedisStore)(nil)
)

// RedisConfig configures a [RedisStore]. The zero value is ready to use.
type RedisConfig struct {
	_ [0]func() // no comparison, no unkeyed literals

	// Prefix starts every key in Redis. It has no { or } in it. If empty,
	// "AuthSessionStore-". Applications that share a Redis and a Prefix share
	// their sessions: where both have a user alice, RevokeAll in one signs her
	// out of the other, and each lists the other's sessions. Unless that is
	// meant, give each a Prefix; nothing in Redis tells that one is missing.
	Prefix string

	// Serializer writes and reads tickets. If nil, [JSONSerializer].
	Serializer Serializer

	// MaxSessions is how many sessions a subject may have at once, 1 to
	// 10,000. If zero, 1,000: a bound rather than a policy.
	MaxSessions int

	// RefuseNew makes Store return ErrTooManySessions at MaxSessions. If
	// false, the session with the oldest sign-in ends instead. Among more than
	// 128, a session that was deleted by hand counts until it is listed.
	RefuseNew bool

	// MaxTicketBytes is how large a serialized ticket may be at sign-in, at
	// most 1 MiB. If zero, 64 KiB. A renewal may be 8 KiB larger, and as large
	// as the ticket it replaces: a lower limit, or a wordier Serializer, signs
	// nobody out. Every request reads the whole ticket: keep what is large
	// elsewhere.
	MaxTicketBytes int

	// MaxStaleness is how old an answer of Retrieve may be that comes from the
	// client's own cache, which go-redis has with ClientSideCacheConfig: for so
	// long another process may still take a session that has been revoked for
	// live, and see its old claims. A process reads what it has itself written,
	// and a cached answer never refuses. If zero, Redis is asked each time, and
	// a client with a cache is refused. See docs/operations.md.
	MaxStaleness time.Duration

	// RevokeReplicas is how many replicas have what Remove, Revoke, RevokeAll,
	// RevokeOthers and Rotate did, when these return nil: with as many as the
	// master has, a failover undoes none of it. If fewer have it within half of
	// the context's time, or of the client's ReadTimeout, the error says so: the
	// session has ended, for now; call again. If zero, they return when the
	// master has it. The ACL needs +wait. See docs/operations.md.
	RevokeReplicas int

	// History is how long endings are remembered, 1 minute to 400 days; see
	// [RedisStore.Endings] and [RedisStore.History]. It is the same in all
	// processes. If zero, nothing is remembered, and nothing of this costs
	// anything. What it costs otherwise is in docs/operations.md.
	History time.Duration

	// BatchReads has Retrieve read many records in one pipeline when many call
	// it at once; a few go alone, as without it. Answers are as fresh, contexts
	// hold, and writes are the same. What it costs: hooks of the client see
	// pipelines, with contexts of their own.
	BatchReads bool
}

// A RedisStore keeps tickets in Redis 6.2 or newer, or Valkey: a single node,
// behind Sentinel, or a Cluster. It is safe for concurrent use.
//
// Reading a ticket is one GET, with BatchReads in a pipeline with others; with a
// key that has just been rotated, or rotated away, a script more. Each
// write is one atomic script (two at MaxSessions). Redis holds a hash of each
// key's secret, never the secret.
//
// A store remembers what records decoded to, some 16 MiB of them, which with
// the tickets take about 50 MB when that many sessions are in use. What it
// remembers saves the decoding, never the question: it holds only for a record
// whose bytes are still the same.
type RedisStore struct {
	client         redis.UniversalClient
	prefix         string
	tags           [partitions]string // how the keys of each partition begin
	serializer     Serializer
	maxSessions    int
	whenFull       string
	maxTicketBytes int
	repetitions    int                          // of a command whose reply is lost
	decoded        decoded.Cache[decodedRecord] // by session ID
	writes         *recentWrites                // nil without MaxStaleness
	batcher        *batcher                     // nil without BatchReads
	replicas       int                          // RevokeReplicas
	history        time.Duration                // History
	scripts        *scripts                     // silent, or telling of endings
	marks          *ownMarks
	hints          endingHints // for Manager.Live
}

// NewRedisStore returns a store that uses client, which stays the caller's to
// close. It does not contact Redis. If an argument is unfit, the error names
// every problem found.
//
// The client must read its own writes and heed contexts: rings, cluster clients
// that read from replicas, and autopipeliners are refused. Set
// ContextTimeoutEnabled in its options, or go-redis ignores the deadlines of
// contexts and an outage takes long to tell.
//
// A cluster client gets a hook, which has it look for the new master when one
// does not answer.
func NewRedisStore(client redis.UniversalClient, cfg RedisConfig) (*RedisStore, error) {
	s := &RedisStore{
		client:         client,
		prefix:         cfg.Prefix,
		serializer:     cfg.Serializer,
		maxSessions:    cfg.MaxSessions,
		whenFull:       "evict",
		maxTicketBytes: cmp.Or(cfg.MaxTicketBytes, defaultMaxTicketBytes),
		replicas:       cfg.RevokeReplicas,
		history:        cfg.History,
		scripts:        silent,
		marks:          new(ownMarks),
	}
	if s.prefix == "" {
		s.prefix = defaultPrefix
	}
	for p := range s.tags {
		s.tags[p] = fmt.Sprintf("%s{%02x}", s.prefix, p)
	}
	if s.serializer == nil {
		s.serializer = JSONSerializer{}
	}
	if s.maxSessions == 0 {
		s.maxSessions = defaultMaxSessions
	}
	if cfg.RefuseNew {
		s.whenFull = "refuse"
	}
	if cfg.MaxStaleness > 0 {
		s.writes = &recentWrites{window: cfg.MaxStaleness}
	}
	if cfg.BatchReads {
		s.batcher = newBatcher(client)
	}
	var errs []error
	if err := redischeck.Client(client, cfg.MaxStaleness); err != nil {
		errs = append(errs, err)
	}
	if cfg.Serializer != nil && redischeck.IsNil(cfg.Serializer) {
		errs = append(errs, problem("Serializer", "it is a nil pointer"))
	}
	if strings.ContainsAny(cfg.Prefix, "{}") {
		errs = append(errs, problem("Prefix", "%q: braces would move its keys to another slot", cfg.Prefix))
	}
	if s.maxSessions < 1 || s.maxSessions > maxMaxSessions {
		errs = append(errs, problem("MaxSessions", "%d; want 1 to %d", cfg.MaxSessions, maxMaxSessions))
	}
	if s.maxTicketBytes < 1 || s.maxTicketBytes > maxMaxTicketBytes {
		errs = append(errs, problem("MaxTicketBytes", "%d; want 1 to %d", cfg.MaxTicketBytes, maxMaxTicketBytes))
	}
	if s.history != 0 {
		s.scripts = telling
		if s.history < time.Minute || s.history > maxHistory {
			errs = append(errs, problem("History", "%v; want 1 minute to 400 days, or 0 for none", s.history))
		}
	}
	if s.replicas != 0 {
		errs = append(errs, s.checkReplicas())
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("ticketstore: invalid Redis store: %w", err)
	}
	s.repetitions = repetitions(client)
	failover.Watch(client)
	return s, nil
}

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
	keys, args := s.telling(cause{cause: "undelivered"}, k.partition, subject, keys, []any{namedID(id), subject, k.verifier()})
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
	if err != nil {
		return false, false, err
	}
	e := envelope{state: keyInUse, revision: newRevision(), verifier: k.verifier(), previous: "-", subject: t.Subject}
	record, value := s.recordKey(k.partition, c.ID), e.String()+string(data)
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
		own = s.marks.before(t.Subject, began)
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
	if err := s.renew(ctx, k, t, next.verifier(), grace); err != nil {
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
	args := []any{namedID(id), t.Subject, k.verifier(), t.Revision, revision, data, t.ExpiresAt.UnixMilli(),
		verifier, max(0, grace).Milliseconds(), clock.AtServer(ctx).UnixMilli(), arrived}
	_, args = s.telling(cause{}, k.partition, t.Subject, nil, args)
	cmd, unclear := run(ctx, s.scripts.renew, keys, args...)
	status, err := cmd.Text()
	if err != nil {
		return fmt.Errorf("ticketstore: renew: session %s: %w", id, err)
	}
	switch status {
	case "OK":
		t.ID, t.Revision = id, revision
		return nil
	case "GONE":
		return answered(ErrNotFound, unclear)
	case "NONE":
		return answered(superseded(id), unclear)
	case "STALE":
		return answered(ErrConflict, unclear)
	case "LATE":
		return answered(fmt.Errorf("ticketstore: renew: session %s: %w", id, errLate), unclear)
	case "SUBJECT":
		return invalid("session %s: the subject would change", id)
	case "PAST":
		return invalid("session %s: ExpiresAt is past by the clock of Redis", id)
	case "BAD":
		return undecodable(id, "%w", errBadEnvelope)
	}
	return fmt.Errorf("ticketstore: renew: session %s: unexpected reply %q", id, status)
}

// Remove implements [TicketStore].
func (s *RedisStore) Remove(ctx context.Context, key Key) error {
	k, err := parseRedisKey(key)
	if err != nil {
		return nil
	}
	id := k.id.String()
	record := s.recordKey(k.partition, id)
	var head *redis.StringCmd
	s.pastCache(ctx, func(c redis.Cmdable) { head = c.GetRange(ctx, record, 0, maxEnvelope-1) })
	b, err := head.Bytes()
	if err == nil || redis.HasErrorPrefix(err, "WRONGTYPE") {
		var e envelope
		if e, err = parseEnvelope(b); err != nil {
			// Nothing is there, or nothing that says whose it was; listing
			// repairs the index.
			err = s.delete(ctx, record)
		} else {
			keys := append([]string{record}, s.indexKeys(k.partition, e.subject)...)
			keys, args := s.telling(causeIn(ctx, "signed-out"), k.partition, e.subject, keys, []any{namedID(id), e.subject, k.verifier()})
			cmd, _ := s.runEnding(ctx, s.scripts.remove, keys, args...)
			var n int
			if n, err = cmd.Int(); err == nil && n < 0 {
				return superseded(id)
			}
		}
	}
	if err != nil {
		return fmt.Errorf("ticketstore: remove: session %s: %w", id, err)
	}
	return nil
}

// writing is called before keys are written; what it returns, after.
func (s *RedisStore) writing(keys []string) (end func()) {
	written := s.writes.begin(s.tags[0], keys)
	if !s.hints.some.Load() {
		return written
	}
	ids := recordsAmong(s.tags[0], keys)
	return func() {
		written()
		s.hints.tell(ids)
	}
}

func (s *RedisStore) recordKey(partition byte, id string) string { return s.tags[partition] + id }

func (s *RedisStore) censusKey(partition byte) string { return s.tags[partition] + "sessions" }

// indexKeys returns the index of subject and the census of its partition.
func (s *RedisStore) indexKeys(partition byte, subject string) []string {
	return []string{s.tags[partition] + "subject:" + subject, s.censusKey(partition)}
}
