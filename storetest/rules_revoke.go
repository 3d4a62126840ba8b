package storetest

import (
	"errors"
	"fmt"

	"github.com/ticketstore/ticketstore"
)

var revokeRules = []rule{
	{"Revoke/ends", "Revoke ends one session of subject.", index, revokeEnds},
	{"Revoke/final", "Revoke ends one session of subject. [...] It never creates.", index, revokeFinal},
	{"Revoke/none", "It returns ErrNotFound, and changes nothing, if id is not a live session of subject.", index, revokeNone},
	{"Revoke/expired", "It returns ErrNotFound, and changes nothing, if id is not a live session of subject.", index, revokeExpired},
	{"RevokeAll/ends", "RevokeAll ends all sessions of subject", index, revokeAllEnds},
	{"RevokeAll/count", "and returns how many there were.", index, revokeAllCount},
	{"RevokeAll/expired", "returns how many there were.", index, revokeAllExpired},
	{"RevokeOthers/ends", "RevokeOthers ends all sessions of subject but keep", index, revokeOthersEnds},
	{"RevokeOthers/count", "and returns how many there were.", index, revokeOthersCount},
	{"RevokeOthers/empty_keep", "If keep is not a live session of subject, it returns ErrNotFound and changes nothing.", index, revokeOthersEmptyKeep},
	{"RevokeOthers/unknown_keep", "If keep is not a live session of subject, it returns ErrNotFound and changes nothing.", index, revokeOthersUnknownKeep},
	{"RevokeOthers/expired_keep", "If keep is not a live session of subject, it returns ErrNotFound and changes nothing.", index, revokeOthersExpiredKeep},
}

func (c *checker) revoke(s *session) error {
	return want("Revoke", c.index.Revoke(c.ctx, s.ticket.Subject, s.ticket.ID), nil)
}

func revokeEnds(c *checker) error {
	ss, err := c.signIn(alice, alice, bob)
	if err != nil {
		return err
	}
	return errors.Join(c.revoke(ss[0]), c.ended(ss[0]), c.lists(alice, ss[1]), c.alive(ss[1:]...))
}

func revokeFinal(c *checker) error {
	ss, err := c.signIn(alice, alice, bob)
	if err != nil {
		return err
	}
	if err := c.revoke(ss[0]); err != nil {
		return err
	}
	if _, err := c.index.RevokeOthers(c.ctx, bob, ss[2].ticket.ID); err != nil {
		return want("RevokeOthers", err, nil)
	}
	if _, err := c.index.RevokeAll(c.ctx, alice); err != nil {
		return want("RevokeAll", err, nil)
	}
	return errors.Join(
		c.renewFails(ss[0], ticketstore.ErrNotFound), c.renewFails(ss[1], ticketstore.ErrNotFound), c.renew(ss[2]),
		c.ended(ss[:2]...), c.alive(ss[2]), c.lists(alice))
}

func revokeNone(c *checker) error {
	ss, err := c.signIn(alice, alice, bob)
	if err != nil {
		return err
	}
	if err := c.revoke(ss[1]); err != nil {
		return err
	}
	return noSession(ss, func(subject, id string) error {
		err := c.index.Revoke(c.ctx, subject, id)
		return errors.Join(want("Revoke", err, ticketstore.ErrNotFound), c.unchanged(ss[0], ss[2]))
	})
}

func revokeExpired(c *checker) error {
	s, err := c.signInBriefly(alice)
	if err != nil {
		return err
	}
	c.outlive(s)
	return want("Revoke", c.index.Revoke(c.ctx, alice, s.ticket.ID), ticketstore.ErrNotFound)
}

// revokeAll reports a count other than the wanted one.
func (c *checker) revokeAll(subject string, wanted int) error {
	n, err := c.index.RevokeAll(c.ctx, subject)
	if err != nil || n != wanted {
		return fmt.Errorf("RevokeAll(%q): got %d and error %v, want %d", subject, n, err, wanted)
	}
	return nil
}

func revokeAllEnds(c *checker) error {
	ss, err := c.signIn(alice, alice, alice, bob)
	if err != nil {
		return err
	}
	_, err = c.index.RevokeAll(c.ctx, alice)
	return errors.Join(want("RevokeAll", err, nil), c.ended(ss[:3]...), c.alive(ss[3]), c.lists(alice))
}

func revokeAllCount(c *checker) error {
	if _, err := c.signIn(alice, alice, alice, bob); err != nil {
		return err
	}
	errs := []error{c.revokeAll(alice, 3), c.revokeAll(alice, 0)}
	for _, subject := range append(invalidSubjects(), "carol", "*") {
		errs = append(errs, c.revokeAll(subject, 0))
	}
	return errors.Join(append(errs, c.revokeAll(bob, 1))...)
}

func revokeAllExpired(c *checker) error {
	s, err := c.signInBriefly(alice)
	if err != nil {
		return err
	}
	c.outlive(s)
	if _, err := c.signIn(alice, alice); err != nil {
		return err
	}
	return c.revokeAll(alice, 2)
}

func revokeOthersEnds(c *checker) error {
	ss, err := c.signIn(alice, alice, alice, bob)
	if err != nil {
		return err
	}
	_, err = c.index.RevokeOthers(c.ctx, alice, ss[1].ticket.ID)
	return errors.Join(want("RevokeOthers", err, nil), c.ended(ss[0], ss[2]), c.unchanged(ss[1], ss[3]), c.lists(alice, ss[1]))
}

func revokeOthersCount(c *checker) error {
	ss, err := c.signIn(alice, alice, alice, bob)
	if err != nil {
		return err
	}
	for _, wanted := range []int{2, 0} {
		n, err := c.index.RevokeOthers(c.ctx, alice, ss[1].ticket.ID)
		if err != nil || n != wanted {
			return fmt.Errorf("RevokeOthers: got %d and error %v, want %d", n, err, wanted)
		}
	}
	return nil
}

// revokeOthersFails reports whether RevokeOthers does anything but answer
// ErrNotFound.
func (c *checker) revokeOthersFails(subject, keep string) error {
	n, err := c.index.RevokeOthers(c.ctx, subject, keep)
	return errors.Join(want("RevokeOthers", err, ticketstore.ErrNotFound), equal("RevokeOthers that fails", n, 0))
}

func revokeOthersEmptyKeep(c *checker) error {
	ss, err := c.signIn(alice, alice)
	if err != nil {
		return err
	}
	return errors.Join(c.revokeOthersFails(alice, ""), c.unchanged(ss...), c.lists(alice, ss...))
}

func revokeOthersUnknownKeep(c *checker) error {
	ss, err := c.signIn(alice, alice, bob)
	if err != nil {
		return err
	}
	if err := c.remove(ss[1]); err != nil {
		return err
	}
	return noSession(ss, func(subject, id string) error {
		if id == "" {
			return nil // which another rule is about
		}
		return errors.Join(c.revokeOthersFails(subject, id), c.unchanged(ss[0], ss[2]))
	})
}

func revokeOthersExpiredKeep(c *checker) error {
	s, err := c.signInBriefly(alice)
	if err != nil {
		return err
	}
	ss, err := c.signIn(alice, bob)
	if err != nil {
		return err
	}
	c.outlive(s)
	return errors.Join(c.revokeOthersFails(alice, s.ticket.ID), c.unchanged(ss...))
}
