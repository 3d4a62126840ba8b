package storetest

import (
	"errors"
	"fmt"

	"github.com/ticketstore/ticketstore"
)

var removeRules = []rule{
	{"Remove/ends", "Remove ends the session that key opens", basics, removeEnds},
	{"Remove/final", "Once it has returned, nothing brings the ticket back.", basics, removeFinal},
	{"Remove/none", "It is no error if there is none", basics, removeNone},
}

func removeEnds(c *checker) error {
	ss, err := c.signIn(alice, alice, bob)
	if err != nil {
		return err
	}
	return errors.Join(c.remove(ss[0]), c.ended(ss[0]), c.alive(ss[1:]...))
}

func removeFinal(c *checker) error {
	ss, err := c.signIn(alice)
	if err != nil {
		return err
	}
	removed := ss[0]
	if err := c.remove(removed); err != nil {
		return err
	}
	c.store.Renew(c.ctx, removed.key, removed.ticket.Clone())
	if c.rotator != nil {
		c.rotator.Rotate(c.ctx, removed.key, removed.ticket.Clone(), far)
	}
	s, err := c.keep(removed.ticket)
	if err != nil {
		return err
	}
	return errors.Join(c.ended(removed), c.alive(s))
}

func removeNone(c *checker) error {
	ss, err := c.signIn(alice, alice)
	if err != nil {
		return err
	}
	s := ss[0]
	if err := errors.Join(c.remove(ss[1]), c.remove(ss[1])); err != nil {
		return err
	}
	for _, key := range append(badKeys(s.key), ticketstore.Key(s.ticket.ID), alice) {
		err := c.store.Remove(c.ctx, key)
		if errors.Is(err, ticketstore.ErrSuperseded) {
			err = nil // it is like one that has been rotated away
		}
		if err := errors.Join(want("Remove", err, nil), c.alive(s)); err != nil {
			return fmt.Errorf("key %q: %w", string(key), err)
		}
	}
	expired, err := c.signInBriefly(alice)
	if err != nil {
		return err
	}
	c.outlive(expired)
	return errors.Join(c.remove(expired), c.alive(s))
}
