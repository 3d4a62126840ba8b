package aspnetcore

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/failover"
	"github.com/ticketstore/ticketstore/internal/redischeck"
)

// StoreConfig configures a [Store].
type StoreConfig struct {
	_ [0]func() // no comparison, no unkeyed literals

	// InstanceName starts every key in Redis: InstanceName of .NET's
	// RedisCacheOptions, exactly, with its separator if it has one. On a
	// Cluster it has a hash tag, as in "{shop}:", on both sides. Applications
	// that share it share the index of sessions, whatever their Prefix: RevokeAll
	// in one ends a user's sessions in all.
	InstanceName string

	// Prefix is what the application's ITicketStore puts in front of its
	// session keys. If empty, "AuthSessionStore-".
	Prefix string

	// Serializer writes and reads tickets. If nil, [Serializer]. Set it for
	// another SubjectClaim, or if the application's class encrypts or
	// compresses tickets. One that leaves out the subject is refused, such as
	// [ticketstore.JSONSerializer]: these records have it nowhere else. NewStore
	// tries it once.
	Serializer ticketstore.Serializer

	// MaxSessions is how many sessions a subject may have at once, 1 to
	// 10,000, for Go to sign in once more. If zero, 1,000: a bound rather than
	// a policy. Sessions that are not in the index do not count.
	MaxSessions int

	// RefuseNew makes Store return ErrTooManySessions at MaxSessions. If
	// false, the session with the oldest sign-in ends instead.
	RefuseNew bool

	// MaxTicketBytes is how large a serialized ticket may be for Go to sign in,
	// at most 1 MiB. If zero, 64 KiB. A renewal may be 8 KiB larger, and as
	// large as the ticket it replaces, with what Go adds to one of .NET's.
	MaxTicketBytes int
}

var hashTag = regexp.MustCompile(`^[^{]*\{[^}]+\}`)

// NewStore returns a Store that uses client, which stays the caller's to
// close. It does not contact Redis. If an argument is unfit, the error names
// every problem found. What it demands of client, NewRedisStore says; one with
// a client-side cache is always refused.
func NewStore(client redis.UniversalClient, cfg StoreConfig) (*Store, error) {
	s := &Store{
		client:         client,
		instance:       cfg.InstanceName,
		prefix:         cmp.Or(cfg.Prefix, defaultPrefix),
		serializer:     cfg.Serializer,
		maxSessions:    cfg.MaxSessions,
		refuseNew:      cfg.RefuseNew,
		maxTicketBytes: cmp.Or(cfg.MaxTicketBytes, defaultMaxTicketBytes),
	}
	if s.serializer == nil {
		s.serializer = Serializer{}
	}
	if s.maxSessions == 0 {
		s.maxSessions = defaultMaxSessions
	}
	var errs []error
	if err := redischeck.Client(client, 0); err != nil {
		errs = append(errs, err)
	}
	if _, ok := client.(*redis.ClusterClient); ok && !hashTag.MatchString(cfg.InstanceName) {
		errs = append(errs, fmt.Errorf("InstanceName: %q has no hash tag: on a Cluster sessions and indexes must be in one slot; use a name such as {shop}: on both sides", cfg.InstanceName))
	}
	if strings.HasPrefix(indexName, s.prefix) || strings.HasPrefix(s.prefix, indexName) {
		errs = append(errs, fmt.Errorf("Prefix: %q is taken by the indexes", cfg.Prefix))
	}
	if len(s.prefix) > maxKeyBytes/2 {
		errs = append(errs, fmt.Errorf("Prefix: it has %d bytes; at most %d are allowed", len(s.prefix), maxKeyBytes/2))
	}
	if cfg.Serializer != nil && redischeck.IsNil(cfg.Serializer) {
		errs = append(errs, errors.New("Serializer: it is a nil pointer"))
	} else if leavesOutSubject(s.serializer) {
		errs = append(errs, errors.New("Serializer: it leaves out the subject, which only a RedisStore keeps apart"))
	}
	if s.maxSessions < 1 || s.maxSessions > maxMaxSessions {
		errs = append(errs, fmt.Errorf("MaxSessions: %d; want 1 to %d", cfg.MaxSessions, maxMaxSessions))
	}
	if s.maxTicketBytes < 1 || s.maxTicketBytes > maxMaxTicketBytes {
		errs = append(errs, fmt.Errorf("MaxTicketBytes: %d; want 1 to %d", cfg.MaxTicketBytes, maxMaxTicketBytes))
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("aspnetcore: invalid store: %w", errors.Join(errs...))
	}
	failover.Watch(client)
	return s, nil
}

// leavesOutSubject reports whether a ticket that s has written is nobody's.
func leavesOutSubject(s ticketstore.Serializer) bool {
	data, err := s.Serialize(ticketstore.NewTicket("subject"))
	if err != nil {
		return false // it may need what is not there yet
	}
	t, err := s.Deserialize("", data)
	return err == nil && t != nil && t.Subject == ""
}
