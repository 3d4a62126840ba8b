package storetest

import (
	"errors"
	"fmt"

	"github.com/ticketstore/ticketstore"
)

var retrieveRules = []rule{
	{"Retrieve/own", "The ticket is the caller's own.", basics, retrieveOwn},
	{"Retrieve/revision", "Revision names the state of the ticket in its store.", basics, retrieveRevision},
	{"Retrieve/unknown_key", "It returns ErrNotFound if key is unknown or malformed", basics, retrieveUnknownKey},
	{"Retrieve/expired", "It returns ErrNotFound if [...] its ticket has expired", basics, retrieveExpired},
	{"Retrieve/canceled", "Any other error of a store means that the store could not answer, as when the context has ended; it must never be read as signed out.", basics, retrieveCanceled},
}

func retrieveOwn(c *checker) error {
	ss, err := c.signIn(alice)
	if err != nil {
		return err
	}
	t, err := c.get(ss[0].key)
	if err != nil {
		return err
	}
	return c.keepsNone(t, ss[0].key)
}

func retrieveRevision(c *checker) error {
	ss, err := c.signIn(alice)
	if err != nil {
		return err
	}
	s := ss[0]
	t1, err1 := c.get(s.key)
	t2, err2 := c.get(s.key)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	return equal("Revision, read again", t2.Revision, t1.Revision)
}

func retrieveUnknownKey(c *checker) error {
	ss, err := c.signIn(alice)
	if err != nil {
		return err
	}
	for _, key := range append(badKeys(ss[0].key), ticketstore.Key(ss[0].ticket.ID), alice) {
		if err := c.opensNothing(key); err != nil {
			return fmt.Errorf("key %q: %w", string(key), err)
		}
	}
	return nil
}

func retrieveExpired(c *checker) error {
	s, err := c.signInBriefly(alice)
	if err != nil {
		return err
	}
	ss, err := c.signIn(alice)
	if err != nil {
		return err
	}
	c.outlive(s)
	return errors.Join(c.ended(s), c.alive(ss...))
}

func retrieveCanceled(c *checker) error {
	ss, err := c.signIn(alice)
	if err != nil {
		return err
	}
	_, err = c.store.Retrieve(canceled(c.ctx), ss[0].key)
	return unanswered("Retrieve", err)
}
