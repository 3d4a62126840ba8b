package storetest

import (
	"errors"
	"fmt"

	"github.com/ticketstore/ticketstore"
)

var rotateRules = []rule{
	{"Rotate/new_key", "Rotate does what Renew does and gives the session, whose ID stays, a new key.", rotation, rotateNewKey},
	{"Rotate/every_field", "Rotate does what Renew does", rotation, rotateEveryField},
	{"Rotate/argument", "Stores set ID and Revision of their argument when they succeed, change nothing else of it, and keep none of it", rotation, rotateArgument},
	{"Rotate/listing", "Rotate does what Renew does and gives the session, whose ID stays, a new key.", rotation, rotateListing},
	{"Rotate/old_key_opens", "Once the new key is used, the old one reads for the duration grace", rotation, rotateOldKeyOpens},
	{"Rotate/old_key_and_renewal", "Once the new key is used, the old one reads for the duration grace", rotation, rotateOldKeyAndRenewal},
	{"Rotate/old_key_renews_not", "the ticket then has no Revision, and Renew and Rotate return ErrConflict.", rotation, rotateOldKeyRenewsNot},
	{"Rotate/old_key_removes", "can Remove the session for as long as it has no other key.", rotation, rotateOldKeyRemoves},
	{"Rotate/removed", "Once it has returned, nothing brings the ticket back.", rotation, rotateRemoved},
	{"Rotate/grace_ends", "To all else it is ErrSuperseded", rotation, rotateGraceEnds},
	{"Rotate/no_grace", "To all else it is ErrSuperseded", rotation, rotateNoGrace},
	{"Rotate/second", "To all else it is ErrSuperseded, as are the keys before it.", rotation, rotateSecond},
	{"Rotate/stale_revision", "Rotate does what Renew does [...] ErrConflict if t.Revision is not the current one or is empty", rotation, rotateStaleRevision},
	{"Rotate/at_once", "Rotate does what Renew does [...] if it is still the one of t.Revision", rotation, rotateAtOnce},
	{"Rotate/gone", "Rotate does what Renew does [...] ErrNotFound if key is unknown or malformed, or its ticket has expired or been removed", rotation, rotateGone},
	{"Rotate/invalid", "Rotate does what Renew does [...] ErrInvalidTicket as Store does, and if the subject would change", rotation, rotateInvalid},
}

// rotateFails reports whether s can be rotated or the error is not the wanted.
func (c *checker) rotateFails(s *session, wanted error) error {
	key, err := c.rotator.Rotate(c.ctx, s.key, s.ticket.Clone(), far)
	return errors.Join(want("Rotate", err, wanted), c.opensNothing(key))
}

func rotateNewKey(c *checker) error {
	ss, err := c.signIn(alice, alice)
	if err != nil {
		return err
	}
	s, id := ss[0], ss[0].ticket.ID
	keys := map[ticketstore.Key]bool{s.key: true}
	for range 3 {
		if _, err := c.rotate(s, 0); err != nil {
			return err
		}
		if keys[s.key] {
			return fmt.Errorf("Rotate: got key %q again, want a new one", string(s.key))
		}
		keys[s.key] = true
		if err := errors.Join(equal("ID", s.ticket.ID, id), c.unchanged(ss...), c.renew(s), c.unchanged(ss...)); err != nil {
			return err
		}
	}
	return nil
}

func rotateEveryField(c *checker) error {
	ss, err := c.signIn(alice)
	if err != nil {
		return err
	}
	t := otherwise(ss[0].ticket)
	s := &session{ss[0].key, t}
	if _, err := c.rotate(s, 0); err != nil {
		return err
	}
	got, err := c.get(s.key)
	if err != nil {
		return err
	}
	return c.same(got, t)
}

func rotateArgument(c *checker) error {
	ss, err := c.signIn(alice)
	if err != nil {
		return err
	}
	t := otherwise(ss[0].ticket)
	was := t.Clone()
	failed := t.Clone()
	failed.Revision = "x"
	if _, err := c.rotator.Rotate(c.ctx, ss[0].key, failed, 0); err == nil || failed.Revision != "x" {
		return fmt.Errorf("Rotate: got error %v and Revision %q, want an error and %q", err, failed.Revision, "x")
	}
	t.ID = ""
	key, err := c.rotator.Rotate(c.ctx, ss[0].key, t, 0)
	if err != nil {
		return want("Rotate", err, nil)
	}
	return errors.Join(c.set(t, was, key), c.keepsNone(t, key))
}

func rotateListing(c *checker) error {
	ss, err := c.signIn(alice, alice)
	if err != nil {
		return err
	}
	if _, err := c.rotate(ss[0], far); err != nil {
		return err
	}
	return c.lists(alice, ss...)
}

func rotateOldKeyOpens(c *checker) error {
	ss, err := c.signIn(alice)
	if err != nil {
		return err
	}
	old, err := c.rotate(ss[0], far)
	if err != nil {
		return err
	}
	got, err1 := c.get(old.key)
	wanted, err2 := c.get(ss[0].key)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	return errors.Join(equal("ID", got.ID, wanted.ID), equal("Revision read with the old key", got.Revision, ""), identical(got, wanted))
}

func rotateOldKeyAndRenewal(c *checker) error {
	ss, err := c.signIn(alice)
	if err != nil {
		return err
	}
	old, err := c.rotate(ss[0], far)
	if err != nil {
		return err
	}
	t := otherwise(ss[0].ticket)
	if err := c.renew(&session{ss[0].key, t}); err != nil {
		return err
	}
	got, err := c.get(old.key)
	if err != nil {
		return err
	}
	return equal("Scheme", got.Scheme, t.Scheme)
}

func rotateOldKeyRenewsNot(c *checker) error {
	ss, err := c.signIn(alice)
	if err != nil {
		return err
	}
	before := ss[0].ticket.Revision
	old, err := c.rotate(ss[0], far)
	if err != nil {
		return err
	}
	for _, revision := range []string{"", before, ss[0].ticket.Revision} {
		t := otherwise(ss[0].ticket)
		t.Revision = revision
		if err := errors.Join(
			c.renewFails(&session{old.key, t}, ticketstore.ErrConflict),
			c.rotateFails(&session{old.key, t}, ticketstore.ErrConflict),
			c.unchanged(ss...), c.alive(old)); err != nil {
			return fmt.Errorf("with the old key and Revision %q: %w", revision, err)
		}
	}
	return nil
}

func rotateOldKeyRemoves(c *checker) error {
	ss, err := c.signIn(alice)
	if err != nil {
		return err
	}
	old, err := c.rotate(ss[0], far)
	if err != nil {
		return err
	}
	return errors.Join(c.remove(old), c.ended(old, ss[0]), c.lists(alice))
}

func rotateRemoved(c *checker) error {
	ss, err := c.signIn(alice)
	if err != nil {
		return err
	}
	old, err := c.rotate(ss[0], far)
	if err != nil {
		return err
	}
	return errors.Join(c.remove(ss[0]), c.ended(old, ss[0]))
}

// superseded reports whether s opens or ends anything, or not as it should not.
func (c *checker) superseded(s *session) error {
	_, err := c.store.Retrieve(c.ctx, s.key)
	return errors.Join(want("Retrieve", err, ticketstore.ErrSuperseded), c.ended(s),
		c.renewFails(s, ticketstore.ErrNotFound), c.rotateFails(s, ticketstore.ErrNotFound))
}

func rotateGraceEnds(c *checker) error {
	ss, err := c.signIn(alice)
	if err != nil {
		return err
	}
	old, err := c.rotate(ss[0], c.brief)
	if err != nil {
		return err
	}
	c.outlive(old)
	return errors.Join(c.superseded(old), c.unchanged(ss...), c.remove(old), c.ended(ss...))
}

func rotateNoGrace(c *checker) error {
	ss, err := c.signIn(alice)
	if err != nil {
		return err
	}
	old, err := c.rotate(ss[0], 0)
	if err != nil {
		return err
	}
	return errors.Join(c.superseded(old), c.unchanged(ss...))
}

func rotateSecond(c *checker) error {
	ss, err := c.signIn(alice)
	if err != nil {
		return err
	}
	first, err := c.rotate(ss[0], far)
	if err != nil {
		return err
	}
	second, err := c.rotate(ss[0], far)
	if err != nil {
		return err
	}
	err = want("Remove", c.store.Remove(c.ctx, first.key), ticketstore.ErrSuperseded)
	return errors.Join(err, c.superseded(first), c.alive(second), c.unchanged(ss...))
}

func rotateStaleRevision(c *checker) error {
	ss, err := c.signIn(alice)
	if err != nil {
		return err
	}
	s := ss[0]
	stale := s.ticket.Revision
	if err := c.renew(s); err != nil {
		return err
	}
	for _, revision := range []string{stale, "", "x"} {
		t := otherwise(s.ticket)
		t.Revision = revision
		if err := errors.Join(c.rotateFails(&session{s.key, t}, ticketstore.ErrConflict), c.unchanged(s)); err != nil {
			return fmt.Errorf("Revision %q: %w", revision, err)
		}
	}
	return nil
}

func rotateAtOnce(c *checker) error {
	ss, err := c.signIn(alice)
	if err != nil {
		return err
	}
	s := ss[0]
	for range 20 {
		ts := []*ticketstore.Ticket{s.ticket.Clone(), s.ticket.Clone()}
		var keys [2]ticketstore.Key
		err := oneWins("Rotate", func(i int) (err error) {
			keys[i], err = c.rotator.Rotate(c.ctx, s.key, ts[i], far)
			return err
		})
		if err != nil {
			return err
		}
		s.key = keys[0] + keys[1] // one of them is empty
		if s.ticket, err = c.get(s.key); err != nil {
			return err
		}
	}
	return nil
}

func rotateGone(c *checker) error {
	ss, err := c.signIn(alice, alice)
	if err != nil {
		return err
	}
	live, removed := ss[0], ss[1]
	if err := errors.Join(c.remove(removed), c.rotateFails(removed, ticketstore.ErrNotFound), c.ended(removed)); err != nil {
		return err
	}
	for _, key := range badKeys(live.key) {
		if err := errors.Join(c.rotateFails(&session{key, live.ticket.Clone()}, ticketstore.ErrNotFound), c.unchanged(live)); err != nil {
			return fmt.Errorf("key %q: %w", string(key), err)
		}
	}
	expired, err := c.signInBriefly(alice)
	if err != nil {
		return err
	}
	c.outlive(expired)
	expired.ticket.ExpiresAt, expired.ticket.EndsAt = c.now().Add(far), c.now().Add(far)
	return errors.Join(c.rotateFails(expired, ticketstore.ErrNotFound), c.ended(expired))
}

func rotateInvalid(c *checker) error {
	ss, err := c.signIn(alice)
	if err != nil {
		return err
	}
	s := ss[0]
	invalid := c.invalidExpiries(otherwise(s.ticket))
	for _, subject := range append(invalidSubjects(), bob) {
		t := otherwise(s.ticket)
		t.Subject = subject
		invalid = append(invalid, t)
	}
	for _, t := range invalid {
		if err := errors.Join(c.rotateFails(&session{s.key, t}, ticketstore.ErrInvalidTicket), c.unchanged(s)); err != nil {
			return fmt.Errorf("subject %q, ExpiresAt %v, EndsAt %v: %w", t.Subject, t.ExpiresAt, t.EndsAt, err)
		}
	}
	return nil
}
