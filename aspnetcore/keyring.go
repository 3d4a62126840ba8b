package aspnetcore

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore/internal/clock"
)

const (
	defaultListKey = "DataProtection-Keys"

	refreshInterval = time.Hour
	retryInterval   = 30 * time.Second // after a failure, and when a key is missing
	readTimeout     = 10 * time.Second
	patience        = time.Second // with a refresh, while the keys in hand still do
)

// KeyRingConfig configures a [KeyRing]. Either Client or Directory is required.
type KeyRingConfig struct {
	_ [0]func() // no comparison, no unkeyed literals

	// Client is for the Redis database that PersistKeysToStackExchangeRedis
	// writes to. It stays the caller's to close.
	Client redis.UniversalClient

	// ListKey is the Redis list of the keys, as it is given to
	// PersistKeysToStackExchangeRedis. If empty, "DataProtection-Keys".
	ListKey string

	// Directory is the folder of PersistKeysToFileSystem.
	Directory string

	// Certificates, with their RSA private keys, are those that
	// ProtectKeysWithCertificate encrypts the keys for; tls.LoadX509KeyPair
	// reads them. Keep an old one for as long as keys of it are in use.
	Certificates []tls.Certificate

	// Logger is told when keys cannot be read or are left out. If nil,
	// slog.Default().
	Logger *slog.Logger
}

// A KeyRing has the keys of ASP.NET Core's Data Protection. It reads them when
// first needed, every hour, and when it misses one (at most every 30 seconds),
// but makes none: an ASP.NET Core application has to. It is safe for concurrent
// use. Make one with [NewKeyRing].
//
// If the keys cannot be read again, those in hand go on to work, revoked ones
// among them if the revocation has not been read.
type KeyRing struct {
	source       keySource
	certificates []certificate
	logger       *slog.Logger
	readTimeout  time.Duration
	patience     time.Duration

	mu      sync.Mutex
	ring    *ring     // the last one that could be read, or nil
	err     error     // why there is none newer, or nil
	triedAt time.Time // by the clock of the caller
	reading *reading  // nil if there is none under way
}

// A reading is one attempt to read the keys, which any number of callers may
// wait for. Its results are set once done is closed.
type reading struct {
	done chan struct{}
	ring *ring
	err  error
}

// NewKeyRing returns a key ring. It reads no keys: see [KeyRing.Check]. If cfg
// is unfit, the error names every problem found.
func NewKeyRing(cfg KeyRingConfig) (*KeyRing, error) {
	r := &KeyRing{logger: cfg.Logger, readTimeout: readTimeout, patience: patience}
	if r.logger == nil {
		r.logger = slog.Default()
	}
	var errs []error
	hasClient := cfg.Client != nil
	switch {
	case hasClient && cfg.Directory != "":
		errs = append(errs, errors.New("Client, Directory: both are set; want one"))
	case !hasClient && cfg.Directory == "":
		errs = append(errs, errors.New("Client, Directory: neither is set; want one"))
	case hasClient:
		if v := reflect.ValueOf(cfg.Client); v.Kind() == reflect.Pointer && v.IsNil() {
			errs = append(errs, errors.New("Client: it is a nil pointer"))
		}
		r.source = redisKeys{cfg.Client, cmp.Or(cfg.ListKey, defaultListKey)}
	default:
		r.source = directoryKeys(cfg.Directory)
	}
	if !hasClient && cfg.ListKey != "" {
		errs = append(errs, errors.New("ListKey: it is for Client, which is not set"))
	}
	for i, c := range cfg.Certificates {
		cert, err := newCertificate(c)
		if err != nil {
			errs = append(errs, fmt.Errorf("Certificates[%d]: %w", i, err))
		}
		r.certificates = append(r.certificates, cert)
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("aspnetcore: invalid key ring: %w", errors.Join(errs...))
	}
	return r, nil
}

// Check reads the keys now and returns why a [Protector] could not work with
// them, or with the key that ASP.NET Core protects with. It is for the start of
// a program.
func (r *KeyRing) Check(ctx context.Context) error {
	now := clock.Now(ctx)
	r.mu.Lock()
	reading := r.read(ctx, now)
	r.mu.Unlock()
	ring, err := r.wait(ctx, reading)
	if err != nil {
		return err
	}
	if p := ring.preferred(now); p != nil && !p.revoked && now.Before(p.expires) {
		// .NET protects with it, even if there is a fallback here.
		if _, err := p.encryptor(); err != nil {
			return r.unusable(p.id, err)
		}
	}
	_, err = r.defaultKey(ctx, ring, now)
	return err
}

// protecting returns the key to protect with.
func (r *KeyRing) protecting(ctx context.Context) (*key, error) {
	ring, err := r.current(ctx)
	if err != nil {
		return nil, err
	}
	now := clock.Now(ctx)
	ring, err = r.search(ctx, ring, canProtect(now))
	if err != nil {
		return nil, err
	}
	return r.defaultKey(ctx, ring, now)
}

func (r *KeyRing) defaultKey(ctx context.Context, ring *ring, now time.Time) (*key, error) {
	if err := r.notEmpty(ring); err != nil {
		return nil, err
	}
	k, why := ring.defaultKey(now)
	if k == nil {
		if len(ring.warnings) > 0 {
			why = fmt.Errorf("%w (%s)", why, ring.warnings[0])
		}
		return nil, fmt.Errorf("aspnetcore: no key of %s can protect: %w: an ASP.NET Core application has to make a key, which it does when it next protects something", r.source, why)
	}
	if why != nil {
		ring.warnFallback.Do(func() {
			r.logger.WarnContext(ctx, "aspnetcore: protecting with an older key", "keys", r.source.String(), "key", k.id.String(), "reason", why.Error())
		})
	}
	return k, nil
}

// opening returns the key of that id, expired or not yet active as it may be.
// The error is ErrInvalidPayload for a key that is not there or revoked, and no
// other.
func (r *KeyRing) opening(ctx context.Context, id uuid.UUID) (*key, error) {
	ring, err := r.current(ctx)
	if err != nil {
		return nil, err
	}
	ring, err = r.search(ctx, ring, hasKey(id))
	if err != nil {
		return nil, err
	}
	k := ring.byID[id]
	if k == nil {
		if err := r.notEmpty(ring); err != nil {
			return nil, err
		}
		if why := ring.leftOut[id]; why != nil {
			return nil, fmt.Errorf("%w: the key {%s} of %s is left out: %w", ErrInvalidPayload, id, r.source, why)
		}
		return nil, fmt.Errorf("%w: the key {%s} is not in %s: check %s", ErrInvalidPayload, id, r.source, r.source.setting())
	}
	if k.revoked {
		return nil, fmt.Errorf("%w: the key {%s} has been revoked", ErrInvalidPayload, id)
	}
	if _, err := k.encryptor(); err != nil {
		return nil, r.unusable(id, err)
	}
	return k, nil
}

func (r *KeyRing) unusable(id uuid.UUID, err error) error {
	return fmt.Errorf("aspnetcore: the key {%s} of %s cannot be used: %w", id, r.source, err)
}

// notEmpty returns an error for a list that is not there, which is more likely
// a wrong setting or a loss than the will to refuse every payload.
func (r *KeyRing) notEmpty(ring *ring) error {
	if ring.items > 0 {
		return nil
	}
	return fmt.Errorf("aspnetcore: no keys in %s: check %s, and that the ASP.NET Core application calls %s and has protected something", r.source, r.source.setting(), r.source.writer())
}

// current returns the ring in hand, or reads it if there is none. When it is
// due it is read again, for which one caller waits a little.
func (r *KeyRing) current(ctx context.Context) (*ring, error) {
	now := clock.Now(ctx)
	r.mu.Lock()
	ring, interval := r.ring, refreshInterval
	if r.err != nil {
		interval = retryInterval
	}
	if ring != nil && !r.elapsed(now, interval) {
		r.mu.Unlock()
		return ring, nil
	}
	reading := r.read(ctx, now)
	r.triedAt = now
	r.mu.Unlock()
	if ring == nil {
		return r.wait(ctx, reading)
	}
	timer := time.NewTimer(r.patience)
	defer timer.Stop()
	select {
	case <-reading.done:
		if reading.err == nil {
			return reading.ring, nil
		}
	case <-timer.C:
	case <-ctx.Done():
	}
	return ring, nil
}

// search returns ring if has finds there what the caller needs. Otherwise it
// returns one that has been read lately, if need be now.
func (r *KeyRing) search(ctx context.Context, ring *ring, has func(*ring) bool) (*ring, error) {
	if has(ring) {
		return ring, nil
	}
	now := clock.Now(ctx)
	r.mu.Lock()
	if r.reading == nil && !r.elapsed(now, retryInterval) {
		defer r.mu.Unlock()
		if r.err != nil && !has(r.ring) {
			return nil, r.err
		}
		return r.ring, nil
	}
	reading := r.read(ctx, now)
	r.mu.Unlock()
	return r.wait(ctx, reading)
}

// elapsed tells if the last attempt is as long ago, or is that far ahead by a
// clock that has been set back.
func (r *KeyRing) elapsed(now time.Time, d time.Duration) bool {
	return now.Sub(r.triedAt).Abs() >= d
}

// read begins to read the keys, unless that is under way. The caller has r.mu.
func (r *KeyRing) read(ctx context.Context, now time.Time) *reading {
	if r.reading == nil {
		r.reading = &reading{done: make(chan struct{})}
		r.triedAt = now
		// The reading goes on for the others when this caller has left.
		go r.run(context.WithoutCancel(ctx), r.reading)
	}
	return r.reading
}

func (r *KeyRing) run(ctx context.Context, reading *reading) {
	ctx, cancel := context.WithTimeout(ctx, r.readTimeout)
	defer cancel()
	defer close(reading.done)
	items, err := r.source.read(ctx)
	if err == nil {
		reading.ring, err = newRing(items, r.certificates)
	}
	if err != nil {
		reading.err = fmt.Errorf("aspnetcore: read the keys of %s: %w", r.source, err)
	}
	r.mu.Lock()
	old := r.ring
	r.reading, r.err = nil, reading.err
	if reading.err == nil {
		r.ring = reading.ring
	}
	r.mu.Unlock()
	r.log(ctx, old, reading)
}

func (r *KeyRing) log(ctx context.Context, old *ring, reading *reading) {
	if reading.err != nil {
		if old != nil { // otherwise the callers have the error
			r.logger.ErrorContext(ctx, "aspnetcore: going on with the keys read before", "error", reading.err.Error())
		}
		return
	}
	if old != nil && slices.Equal(old.warnings, reading.ring.warnings) {
		return
	}
	for _, w := range reading.ring.warnings {
		r.logger.WarnContext(ctx, "aspnetcore: "+w, "keys", r.source.String())
	}
}

func (r *KeyRing) wait(ctx context.Context, reading *reading) (*ring, error) {
	select {
	case <-reading.done:
		return reading.ring, reading.err
	case <-ctx.Done():
		return nil, fmt.Errorf("aspnetcore: read the keys of %s: %w", r.source, ctx.Err())
	}
}
