package ticketstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore/internal/decoded"
	"github.com/ticketstore/ticketstore/internal/failover"
	"github.com/ticketstore/ticketstore/internal/lostreply"
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
	_ LinkIndex    = (*RedisStore)(nil)
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

	// SealKeys encrypt tickets in Redis, and bind each to its session and user:
	// who can read Redis sees who is signed in, but no ticket, and who can write
	// to it can be nobody else. The first seals, all open. To change the key: add
	// the new one behind the old one, on every instance; then put it first; then
	// take the old one out, after the longer of Lifetime and PersistentLifetime.
	// A record that none of them opens is ErrUndecodable. If empty, tickets are
	// plain. What sealing does not prevent, and how to begin with it:
	// docs/security.md, docs/operations.md.
	SealKeys []SealKey

	// DangerouslyAcceptUnsealed also takes records that are not sealed, which
	// become so when they are renewed: for as long as sessions live that began
	// without SealKeys. Until it is off, who can write to Redis can be anybody.
	DangerouslyAcceptUnsealed bool

	// DangerouslyWriteUnsealed is DangerouslyAcceptUnsealed, and seals nothing
	// yet: for the time in which some instances have no SealKeys.
	DangerouslyWriteUnsealed bool

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
	seal           *sealer     // nil without SealKeys
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
		marks:          &marksOfProcess,
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
	seal, err := newSealer(s.prefix, cfg)
	if err != nil {
		errs = append(errs, err)
	}
	s.seal = seal
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
	s.repetitions = lostreply.Repetitions(client)
	failover.Watch(client)
	return s, nil
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
			var n int
			n, err = s.remove(ctx, k, keys, e.subject, s.seal.verifiers(k, e.subject))
			if err == nil && n < 0 {
				// What cannot be read ends all the same, as where the envelope cannot.
				if _, refused := s.refused(ctx, k, e.sealed); errors.Is(refused, ErrUndecodable) {
					n, err = s.remove(ctx, k, keys, e.subject, e.verifier)
				}
			}
			if err == nil && n < 0 {
				return superseded(id)
			}
		}
	}
	if err != nil {
		return fmt.Errorf("ticketstore: remove: session %s: %w", id, err)
	}
	return nil
}

// remove ends a session, if verifiers are those of one of its keys; n is negative
// if not.
func (s *RedisStore) remove(ctx context.Context, k redisKey, keys []string, subject, verifiers string) (n int, err error) {
	keys, args := s.telling(causeIn(ctx, "signed-out"), k.partition, subject, keys, []any{namedID(k.id.String()), subject, verifiers})
	cmd, _ := s.runEnding(ctx, s.scripts.remove, keys, args...)
	return cmd.Int()
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
