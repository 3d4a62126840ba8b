//go:build !race

package faults

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore"
)

// Bugs that are put back are found.
func TestSimulationFindsViolations(t *testing.T) {
	for name, m := range map[string]mutant{
		"a renewal creates":                    func(w *world, s sessionStore) sessionStore { return creating{s, w} },
		"a late repetition of Store":           func(w *world, s sessionStore) sessionStore { return late{s, w} },
		"a renewal of what is stale":           func(_ *world, s sessionStore) sessionStore { return careless{s} },
		"a renewal beyond the lifetime":        func(_ *world, s sessionStore) sessionStore { return eternal{s} },
		"an outage is a sign-out":              func(_ *world, s sessionStore) sessionStore { return hasty{s} },
		"a sign-in ends the old session first": func(_ *world, s sessionStore) sessionStore { return eager{s} },
		"a rotation ends the old key":          func(_ *world, s sessionStore) sessionStore { return used{s} },
		"the index goes first, the record then": func(w *world, s sessionStore) sessionStore {
			return unlisting{s, w}
		},
		"a sign-in takes the key that it finds": func(_ *world, s sessionStore) sessionStore {
			return adopting{s, map[string]ticketstore.Key{}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			seen, failed := m.runs(t, 1, 3000)
			if failed == nil {
				t.Fatalf("%d simulations, and nothing found", seen.runs)
			}
			t.Logf("found after %d simulations\n%v", seen.runs, m.reduced(t, failed))
		})
	}
}

func unanswered(err error) bool {
	return err != nil && !errors.Is(err, ticketstore.ErrNotFound) && !errors.Is(err, ticketstore.ErrConflict)
}

// record returns what Redis has of a session.
func (w *world) record(id string) (key, value string) {
	for _, key := range w.net.redis.Keys() {
		if id != "" && strings.HasSuffix(key, id) {
			value, _ = w.net.redis.Get(key)
			return key, value
		}
	}
	return "", ""
}

// again writes a record in a while, if it is gone by then.
func (w *world) again(key, value string) {
	go func() {
		time.Sleep(5 * time.Second)
		if !w.net.redis.Exists(key) && w.wrong == "" {
			w.net.redis.Set(key, value)
			w.net.redis.SetTTL(key, idle)
		}
	}()
}

// creating writes what a renewal that runs late does not find.
type creating struct {
	sessionStore
	world *world
}

func (s creating) Renew(ctx context.Context, key ticketstore.Key, t *ticketstore.Ticket) error {
	record, value := s.world.record(t.ID)
	err := s.sessionStore.Renew(ctx, key, t)
	if unanswered(err) && record != "" {
		s.world.again(record, value)
	}
	return err
}

// late is a client that sends Store again, if the network is bad.
type late struct {
	sessionStore
	world *world
}

func (s late) Store(ctx context.Context, t *ticketstore.Ticket) (ticketstore.Key, error) {
	key, err := s.sessionStore.Store(ctx, t)
	if err == nil && s.world.net.unfit() {
		s.world.again(s.world.record(t.ID))
	}
	return key, err
}

// careless renews whatever is there.
type careless struct{ sessionStore }

func (s careless) Renew(ctx context.Context, key ticketstore.Key, t *ticketstore.Ticket) error {
	if now, err := s.Retrieve(ctx, key); err == nil && now.Revision != "" {
		t.Revision = now.Revision
	}
	return s.sessionStore.Renew(ctx, key, t)
}

// eternal forgets when the user has signed in.
type eternal struct{ sessionStore }

func (s eternal) Retrieve(ctx context.Context, key ticketstore.Key) (*ticketstore.Ticket, error) {
	t, err := s.sessionStore.Retrieve(ctx, key)
	if err == nil {
		t.SignedInAt, t.EndsAt = t.IssuedAt, time.Time{}
	}
	return t, err
}

// hasty takes an outage for a sign-out.
type hasty struct{ sessionStore }

func (s hasty) Retrieve(ctx context.Context, key ticketstore.Key) (*ticketstore.Ticket, error) {
	t, err := s.sessionStore.Retrieve(ctx, key)
	if unanswered(err) {
		err = ticketstore.ErrNotFound
	}
	return t, err
}

// eager ends the session that a sign-in replaces before there is a new one.
type eager struct{ sessionStore }

func (s eager) Store(ctx context.Context, t *ticketstore.Ticket) (ticketstore.Key, error) {
	if t.ID != "" {
		if err := s.Revoke(ctx, t.Subject, t.ID); unanswered(err) {
			return "", err
		}
	}
	return s.sessionStore.Store(ctx, t)
}

// used takes a key that it hands out for used.
type used struct{ sessionStore }

func (s used) Rotate(ctx context.Context, key ticketstore.Key, t *ticketstore.Ticket, grace time.Duration) (ticketstore.Key, error) {
	next, err := s.sessionStore.Rotate(ctx, key, t, grace)
	if err == nil {
		_, _ = s.Retrieve(context.WithoutCancel(ctx), next)
	}
	return next, err
}

// unlisting takes sessions out of the lists first, and fails before it has ended
// them.
type unlisting struct {
	sessionStore
	world *world
}

func (s unlisting) Revoke(ctx context.Context, subject, id string) error {
	record, value := s.world.record(id)
	err := s.sessionStore.Revoke(ctx, subject, id)
	if err == nil && s.world.net.unfit() {
		s.world.net.redis.Set(record, value)
		s.world.net.redis.SetTTL(record, idle)
		return errDown
	}
	return err
}

func (s unlisting) RevokeAll(ctx context.Context, subject string) (int, error) {
	return s.revoke(ctx, subject, "")
}

func (s unlisting) RevokeOthers(ctx context.Context, subject, keep string) (int, error) {
	return s.revoke(ctx, subject, keep)
}

func (s unlisting) revoke(ctx context.Context, subject, keep string) (n int, err error) {
	list, err := s.Sessions(ctx, subject)
	for _, sess := range list {
		if sess.ID == keep {
			continue
		}
		if err := s.Revoke(ctx, subject, sess.ID); unanswered(err) {
			return n, err
		}
		n++
	}
	return n, err
}

// adopting gives a session the key of the one that it takes the place of.
type adopting struct {
	sessionStore
	keys map[string]ticketstore.Key // by session ID
}

func (s adopting) Store(ctx context.Context, t *ticketstore.Ticket) (ticketstore.Key, error) {
	id := t.ID
	key, err := s.sessionStore.Store(ctx, t)
	if old := s.keys[id]; err == nil && old != "" {
		return old, nil
	}
	if err == nil {
		s.keys[t.ID] = key
	}
	return key, err
}
