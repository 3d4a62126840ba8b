package storetest

import (
	"errors"
	"fmt"
	"time"

	"github.com/ticketstore/ticketstore"
)

var renewRules = []rule{
	{"Renew/every_field", "Renew replaces the ticket that key opens", basics, renewEveryField},
	{"Renew/moves_expiry", "Renew replaces the ticket that key opens", basics, renewMovesExpiry},
	{"Renew/sets_ID_and_Revision", "Stores set ID and Revision of their argument when they succeed, change nothing else of it", basics, renewSetsIDAndRevision},
	{"Renew/keeps_no_argument", "and keep none of it", basics, renewKeepsNoArgument},
	{"Renew/fails", "Stores set ID and Revision of their argument when they succeed, change nothing else of it", basics, renewFailsAndSetsNothing},
	{"Renew/unknown_key", "It returns ErrNotFound if key is unknown or malformed", basics, renewUnknownKey},
	{"Renew/removed", "It never creates. It returns ErrNotFound if [...] its ticket has [...] been removed", basics, renewRemoved},
	{"Renew/expired", "It never creates. It returns ErrNotFound if [...] its ticket has expired", basics, renewExpired},
	{"Renew/stale_revision", "ErrConflict if t.Revision is not the current one", basics, renewStaleRevision},
	{"Renew/empty_revision", "ErrConflict if t.Revision [...] is empty", basics, renewEmptyRevision},
	{"Renew/at_once", "if it is still the one of t.Revision", basics, renewAtOnce},
	{"Renew/subject", "ErrInvalidTicket [...] if the subject would change", basics, renewSubject},
	{"Renew/invalid", "ErrInvalidTicket as Store does", basics, renewInvalid},
	{"Renew/canceled", "Any other error of a store means that the store could not answer, as when the context has ended; it must never be read as signed out.", basics, renewCanceled},
}

func renewEveryField(c *checker) error {
	ss, err := c.signIn(alice, alice)
	if err != nil {
		return err
	}
	s, other := ss[0], ss[1]
	t := otherwise(s.ticket)
	t.ID = other.ticket.ID
	if err := c.renew(&session{s.key, t}); err != nil {
		return err
	}
	got, err := c.get(s.key)
	if err != nil {
		return err
	}
	return errors.Join(c.same(got, t), equal("ID", got.ID, s.ticket.ID), c.unchanged(other))
}

func renewMovesExpiry(c *checker) error {
	longer, err := c.signInAndRenew(alice)
	if err != nil {
		return err
	}
	var shorter *session
	err = c.hurry(func(expiry time.Time) error {
		ss, err := c.signIn(alice)
		if err != nil {
			return err
		}
		shorter = ss[0]
		shorter.ticket.ExpiresAt = expiry
		return c.renew(shorter)
	})
	if err != nil {
		return err
	}
	c.outlive(shorter)
	return errors.Join(c.ended(shorter), c.alive(longer))
}

// signInAndRenew starts a session that would expire in c.brief, but for a renewal.
func (c *checker) signInAndRenew(subject string) (s *session, err error) {
	err = c.hurry(func(expiry time.Time) error {
		t := c.ticket(subject)
		t.ExpiresAt = expiry
		if s, err = c.keep(t); err != nil {
			return err
		}
		s.ticket.ExpiresAt = c.now().Add(far)
		return c.renew(s)
	})
	return s, err
}

func renewSetsIDAndRevision(c *checker) error {
	ss, err := c.signIn(alice)
	if err != nil {
		return err
	}
	s := ss[0]
	t := otherwise(s.ticket)
	for range 3 { // what Renew leaves in its argument is good for the next time
		was := t.Clone()
		if err := c.store.Renew(c.ctx, s.key, t); err != nil {
			return want("Renew", err, nil)
		}
		if err := c.set(t, was, s.key); err != nil {
			return err
		}
		t.ID = ""
	}
	return nil
}

func renewKeepsNoArgument(c *checker) error {
	ss, err := c.signIn(alice)
	if err != nil {
		return err
	}
	t := ss[0].ticket
	if err := c.store.Renew(c.ctx, ss[0].key, t); err != nil {
		return want("Renew", err, nil)
	}
	return c.keepsNone(t, ss[0].key)
}

func renewFailsAndSetsNothing(c *checker) error {
	ss, err := c.signIn(alice, alice)
	if err != nil {
		return err
	}
	if err := c.remove(ss[1]); err != nil {
		return err
	}
	gone, conflict, invalid := ss[1].ticket.Clone(), ss[0].ticket.Clone(), ss[0].ticket.Clone()
	conflict.Revision, invalid.ExpiresAt = "x", time.Time{}
	var errs []error
	for _, s := range []*session{{ss[1].key, gone}, {ss[0].key, conflict}, {ss[0].key, invalid}} {
		was := s.ticket.Clone()
		if c.store.Renew(c.ctx, s.key, s.ticket) != nil {
			errs = append(errs, untouched(s.ticket, was))
		}
	}
	return errors.Join(errs...)
}

func renewUnknownKey(c *checker) error {
	ss, err := c.signIn(alice)
	if err != nil {
		return err
	}
	for _, key := range badKeys(ss[0].key) {
		t := otherwise(ss[0].ticket)
		if err := errors.Join(c.renewFails(&session{key, t}, ticketstore.ErrNotFound), c.opensNothing(key), c.unchanged(ss...)); err != nil {
			return fmt.Errorf("key %q: %w", string(key), err)
		}
	}
	return c.lists(alice, ss...)
}

func renewRemoved(c *checker) error {
	ss, err := c.signIn(alice)
	if err != nil {
		return err
	}
	return errors.Join(c.remove(ss[0]), c.renewFails(ss[0], ticketstore.ErrNotFound), c.ended(ss[0]), c.lists(alice))
}

func renewExpired(c *checker) error {
	s, err := c.signInBriefly(alice)
	if err != nil {
		return err
	}
	c.outlive(s)
	s.ticket.ExpiresAt, s.ticket.EndsAt = c.now().Add(far), c.now().Add(far)
	return errors.Join(c.renewFails(s, ticketstore.ErrNotFound), c.ended(s))
}

func renewStaleRevision(c *checker) error {
	ss, err := c.signIn(alice, alice)
	if err != nil {
		return err
	}
	s, other := ss[0], ss[1]
	stale := s.ticket.Clone()
	if err := c.renew(s); err != nil {
		return err
	}
	for _, revision := range []string{stale.Revision, other.ticket.Revision, "x", s.ticket.Revision + "x", "-", "*", "\xff"} {
		t := otherwise(s.ticket)
		t.Revision = revision
		if err := errors.Join(c.renewFails(&session{s.key, t}, ticketstore.ErrConflict), c.unchanged(ss...)); err != nil {
			return fmt.Errorf("Revision %q: %w", revision, err)
		}
	}
	return nil
}

func renewEmptyRevision(c *checker) error {
	ss, err := c.signIn(alice)
	if err != nil {
		return err
	}
	t := otherwise(ss[0].ticket)
	t.Revision = ""
	return errors.Join(c.renewFails(&session{ss[0].key, t}, ticketstore.ErrConflict), c.unchanged(ss...))
}

func renewAtOnce(c *checker) error {
	ss, err := c.signIn(alice)
	if err != nil {
		return err
	}
	s := ss[0]
	for range 20 {
		ts := []*ticketstore.Ticket{s.ticket.Clone(), s.ticket.Clone()}
		if err := oneWins("Renew", func(i int) error { return c.store.Renew(c.ctx, s.key, ts[i]) }); err != nil {
			return err
		}
		if s.ticket, err = c.get(s.key); err != nil {
			return err
		}
	}
	return nil
}

func renewSubject(c *checker) error {
	ss, err := c.signIn(alice, bob)
	if err != nil {
		return err
	}
	t := otherwise(ss[0].ticket)
	t.Subject = bob
	return errors.Join(c.renewFails(&session{ss[0].key, t}, ticketstore.ErrInvalidTicket), c.unchanged(ss...),
		c.lists(alice, ss[0]), c.lists(bob, ss[1]))
}

func renewInvalid(c *checker) error {
	ss, err := c.signIn(alice)
	if err != nil {
		return err
	}
	s := ss[0]
	invalid := c.invalidExpiries(otherwise(s.ticket))
	for _, subject := range invalidSubjects() {
		t := otherwise(s.ticket)
		t.Subject = subject
		invalid = append(invalid, t)
	}
	for _, t := range invalid {
		if err := errors.Join(c.renewFails(&session{s.key, t}, ticketstore.ErrInvalidTicket), c.unchanged(s)); err != nil {
			return fmt.Errorf("subject %q, ExpiresAt %v, EndsAt %v: %w", t.Subject, t.ExpiresAt, t.EndsAt, err)
		}
	}
	return nil
}

func renewCanceled(c *checker) error {
	ss, err := c.signIn(alice)
	if err != nil {
		return err
	}
	err = c.store.Renew(canceled(c.ctx), ss[0].key, ss[0].ticket)
	return errors.Join(unanswered("Renew", err), c.alive(ss...))
}
