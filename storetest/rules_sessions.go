package storetest

import (
	"errors"
	"fmt"
	"slices"

	"github.com/ticketstore/ticketstore"
)

var sessionsRules = []rule{
	{"Sessions/every_field", "A Session is one live ticket seen from outside", index, sessionsEveryField},
	{"Sessions/renewed", "A Session is one live ticket seen from outside", index, sessionsRenewed},
	{"Sessions/order", "Sessions returns the live sessions of subject, newest sign-in first.", index, sessionsOrder},
	{"Sessions/live", "Sessions returns the live sessions of subject", index, sessionsLive},
	{"Sessions/replaced", "the caller ends it once the new one is there", index, sessionsReplaced},
	{"Sessions/expired", "Sessions returns the live sessions of subject", index, sessionsExpired},
	{"Sessions/of_subject", "Sessions returns the live sessions of subject", index, sessionsOfSubject},
	{"Sessions/none", "A subject without any, or one that is not valid, is no error.", index, sessionsNone},
	{"Session/one", "Session returns one live session of subject", index, sessionOne},
	{"Session/none", "or ErrNotFound", index, sessionNone},
	{"Session/expired", "Session returns one live session of subject, or ErrNotFound", index, sessionExpired},
	{"Session/canceled", "Any other error of a store means that the store could not answer, as when the context has ended; it must never be read as signed out.", index, sessionCanceled},
}

// onlySession returns the listing's only session.
func (c *checker) onlySession(subject string) (ticketstore.Session, error) {
	got, err := c.index.Sessions(c.ctx, subject)
	if err != nil || len(got) != 1 {
		return ticketstore.Session{}, fmt.Errorf("Sessions: got %d and error %v, want 1", len(got), err)
	}
	return got[0], nil
}

func sessionsEveryField(c *checker) error {
	ss, err := c.signIn(alice)
	if err != nil {
		return err
	}
	got, err := c.onlySession(alice)
	if err != nil {
		return err
	}
	return c.sameSession(got, ss[0].ticket)
}

func sessionsRenewed(c *checker) error {
	ss, err := c.signIn(alice)
	if err != nil {
		return err
	}
	t := otherwise(ss[0].ticket)
	if err := c.renew(&session{ss[0].key, t}); err != nil {
		return err
	}
	got, err := c.onlySession(alice)
	if err != nil {
		return err
	}
	one, err := c.index.Session(c.ctx, alice, t.ID)
	if err != nil {
		return want("Session", err, nil)
	}
	return errors.Join(c.sameSession(got, t), c.sameSession(one, t))
}

func sessionsOrder(c *checker) error {
	var wanted []string
	var ss []*session
	for i := range 4 {
		t := c.ticket(alice)
		t.SignedInAt, t.IssuedAt = c.now(), c.now()
		if i%2 == 0 {
			t.ExpiresAt = t.ExpiresAt.Add(far / 2) // so that the expiries are in another order
		}
		s, err := c.keep(t)
		if err != nil {
			return err
		}
		ss, wanted = append(ss, s), append([]string{s.ticket.ID}, wanted...)
		c.advance(2 * c.unit)
	}
	ss[1].ticket.IssuedAt = c.now() // and the last uses
	if err := c.renew(ss[1]); err != nil {
		return err
	}
	listed, err := c.index.Sessions(c.ctx, alice)
	if got := ids(listed); err != nil || !slices.Equal(got, wanted) {
		return fmt.Errorf("Sessions: got %q and error %v, want %q", got, err, wanted)
	}
	return nil
}

func sessionsLive(c *checker) error {
	ss, err := c.signIn(alice, alice, alice)
	if err != nil {
		return err
	}
	return errors.Join(c.lists(alice, ss...),
		c.remove(ss[1]), c.lists(alice, ss[0], ss[2]),
		c.remove(ss[0]), c.remove(ss[2]), c.lists(alice))
}

func sessionsReplaced(c *checker) error {
	ss, err := c.signIn(alice, alice)
	if err != nil {
		return err
	}
	t := c.ticket(alice)
	t.ID = ss[0].ticket.ID
	s, err := c.keep(t)
	if err != nil {
		return err
	}
	return errors.Join(c.lists(alice, append(ss, s)...), c.remove(ss[0]), c.lists(alice, ss[1], s))
}

func sessionsExpired(c *checker) error {
	s, err := c.signInBriefly(alice)
	if err != nil {
		return err
	}
	bobs, err := c.signInBriefly(bob)
	if err != nil {
		return err
	}
	renewed, err := c.signInAndRenew(alice)
	if err != nil {
		return err
	}
	c.outlive(s, bobs)
	return errors.Join(c.lists(alice, renewed), c.lists(bob))
}

func sessionsOfSubject(c *checker) error {
	subjects := []string{alice, "Alice", "alice ", "alic", "a", "{alice}", "alice:1", "subject:alice", "alíce"}
	ss, err := c.signIn(subjects...)
	if err != nil {
		return err
	}
	var errs []error
	for i, subject := range subjects {
		errs = append(errs, c.lists(subject, ss[i]))
	}
	return errors.Join(errs...)
}

func sessionsNone(c *checker) error {
	ss, err := c.signIn(alice)
	if err != nil {
		return err
	}
	var errs []error
	for _, subject := range append(invalidSubjects(), bob, "*", "alic?", ss[0].ticket.ID) {
		errs = append(errs, c.lists(subject))
	}
	return errors.Join(errs...)
}

func sessionOne(c *checker) error {
	ss, err := c.signIn(alice, alice)
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range ss {
		got, err := c.index.Session(c.ctx, alice, s.ticket.ID)
		errs = append(errs, want("Session", err, nil), c.sameSession(got, s.ticket))
	}
	return errors.Join(errs...)
}

func sessionNone(c *checker) error {
	ss, err := c.signIn(alice, alice, bob)
	if err != nil {
		return err
	}
	if err := c.remove(ss[1]); err != nil {
		return err
	}
	return noSession(ss, func(subject, id string) error {
		got, err := c.index.Session(c.ctx, subject, id)
		if err != nil && got != (ticketstore.Session{}) {
			return fmt.Errorf("Session: got %v and error %v, want no session", got, err)
		}
		return want("Session", err, ticketstore.ErrNotFound)
	})
}

// noSession calls f with subjects and IDs that do not go together, ss being of
// alice, of alice and ended, and of bob. An error says with which it was.
func noSession(ss []*session, f func(subject, id string) error) error {
	live, ended, bobs := ss[0].ticket.ID, ss[1].ticket.ID, ss[2].ticket.ID
	pairs := [][2]string{{alice, bobs}, {alice, ended}, {bob, live}, {"carol", live}, {"carol", "x"}, {alice, string(ss[0].key)}}
	for _, id := range badIDs(live) {
		pairs = append(pairs, [2]string{alice, id})
	}
	for _, subject := range invalidSubjects() {
		pairs = append(pairs, [2]string{subject, live})
	}
	for _, p := range pairs {
		if err := f(p[0], p[1]); err != nil {
			return fmt.Errorf("subject %q, ID %q: %w", p[0], p[1], err)
		}
	}
	return nil
}

func sessionExpired(c *checker) error {
	s, err := c.signInBriefly(alice)
	if err != nil {
		return err
	}
	c.outlive(s)
	_, err = c.index.Session(c.ctx, alice, s.ticket.ID)
	return want("Session", err, ticketstore.ErrNotFound)
}

func sessionCanceled(c *checker) error {
	ss, err := c.signIn(alice)
	if err != nil {
		return err
	}
	_, err = c.index.Session(canceled(c.ctx), alice, ss[0].ticket.ID)
	return unanswered("Session", err)
}
