package storetest

import (
	"errors"
	"fmt"
	"time"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/unsent"
)

// Of keys that a rotation has made and no request has brought.
var unusedRules = []rule{
	{"Rotate/unused", "While the new key is unused, the old one only reads for the duration grace: the ticket then has no Revision, and Renew and Rotate return ErrConflict.", rotation, rotateUnused},
	{"Rotate/lost", "After that the response with the new key has been lost: the old key is good for everything.", rotation, rotateLost},
	{"Rotate/lost_and_renewal", "A renewal leaves both.", rotation, rotateLostAndRenewal},
	{"Rotate/lost_and_rotation", "Rotate by it replaces the unused key", rotation, rotateLostAndRotation},
	{"Rotate/lost_and_removal", "Remove ends the session that key opens, or has opened until the last rotation.", rotation, rotateLostAndRemoval},
	{"Rotate/first_use", "Retrieve, which fails if it cannot note that, and changes neither ticket nor Revision", rotation, rotateFirstUse},
	{"Rotate/first_use_renews", "That is unused until a call brings it that [KeyUnsent] does not tell of: Retrieve [...] Renew; or Rotate.", rotation, rotateFirstUseRenews},
	{"Rotate/first_use_rotates", "That is unused until a call brings it that [KeyUnsent] does not tell of: Retrieve [...] Renew; or Rotate.", rotation, rotateFirstUseRotates},
	{"Rotate/unsent", "and so does Rotate by the unused key itself; the old key stays what it was.", rotation, rotateUnsent},
}

// lose rotates a session of alice whose new key goes nowhere. It returns what
// the browser has, and the new key.
func (c *checker) lose(grace time.Duration) (s *session, lost ticketstore.Key, err error) {
	ss, err := c.signIn(alice)
	if err != nil {
		return nil, "", err
	}
	s = ss[0]
	t := s.ticket.Clone()
	lost, err = c.rotator.Rotate(c.ctx, s.key, t, grace)
	s.ticket.Revision = t.Revision
	return s, lost, want("Rotate", err, nil)
}

// awaitLoss lets pass the grace after which the old key of s is good again.
func (c *checker) awaitLoss(s *session) error {
	for tries := 0; tries < 10; tries++ {
		c.advance(c.brief)
		if t, err := c.store.Retrieve(c.ctx, s.key); err == nil && t.Revision != "" {
			return nil
		}
	}
	return c.unchanged(s)
}

func rotateUnused(c *checker) error {
	s, lost, err := c.lose(far)
	if err != nil {
		return err
	}
	got, err := c.get(s.key)
	if err != nil {
		return err
	}
	return errors.Join(equal("Revision", got.Revision, ""), c.renewFails(s, ticketstore.ErrConflict), c.rotateFails(s, ticketstore.ErrConflict),
		c.unchanged(&session{lost, s.ticket}))
}

func rotateLost(c *checker) error {
	s, _, err := c.lose(c.brief)
	if err != nil {
		return err
	}
	return errors.Join(c.awaitLoss(s), c.unchanged(s), c.lists(alice, s))
}

func rotateLostAndRenewal(c *checker) error {
	s, lost, err := c.lose(c.brief)
	if err != nil {
		return err
	}
	return errors.Join(c.awaitLoss(s), c.renew(s), c.unchanged(s, &session{lost, s.ticket}))
}

func rotateLostAndRotation(c *checker) error {
	s, lost, err := c.lose(c.brief)
	if err != nil {
		return err
	}
	if err := c.awaitLoss(s); err != nil {
		return err
	}
	old, err := c.rotate(s, far)
	if err != nil {
		return err
	}
	return errors.Join(c.superseded(&session{lost, s.ticket}), c.alive(old), c.unchanged(s))
}

func rotateLostAndRemoval(c *checker) error {
	s, lost, err := c.lose(c.brief)
	if err != nil {
		return err
	}
	return errors.Join(c.remove(s), c.ended(s, &session{lost, s.ticket}))
}

func rotateFirstUse(c *checker) error {
	s, lost, err := c.lose(c.brief)
	if err != nil {
		return err
	}
	next := &session{lost, s.ticket}
	first, err1 := c.get(lost)
	second, err2 := c.get(lost)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	err = errors.Join(identical(first, second), c.unchanged(next))
	c.outlive(s)
	return errors.Join(err, c.superseded(s), c.unchanged(next))
}

func rotateFirstUseRenews(c *checker) error {
	s, lost, err := c.lose(c.brief)
	if err != nil {
		return err
	}
	err = want("Renew", c.store.Renew(c.ctx, lost, s.ticket.Clone()), nil)
	c.outlive(s)
	return errors.Join(err, c.superseded(s))
}

func rotateFirstUseRotates(c *checker) error {
	s, lost, err := c.lose(far)
	if err != nil {
		return err
	}
	next := &session{lost, s.ticket}
	if _, err := c.rotator.Rotate(c.ctx, lost, s.ticket.Clone(), far); err != nil {
		return want("Rotate", err, nil)
	}
	return errors.Join(c.superseded(s), c.alive(next), c.renewFails(next, ticketstore.ErrConflict))
}

// The response that rotates twice is lost.
func rotateUnsent(c *checker) error {
	s, lost, err := c.lose(c.brief)
	if err != nil {
		return err
	}
	ctx := unsent.NewContext(c.ctx)
	t, err := c.store.Retrieve(ctx, lost)
	if err != nil || t.Revision != s.ticket.Revision {
		return fmt.Errorf("Retrieve with a key that is unsent: got %v, want the ticket", err)
	}
	if err := c.store.Renew(ctx, lost, t); err != nil {
		return want("Renew", err, nil)
	}
	if _, err := c.rotator.Rotate(ctx, lost, t, c.brief); err != nil {
		return want("Rotate", err, nil)
	}
	s.ticket.Revision = t.Revision
	return errors.Join(c.superseded(&session{lost, t}), c.awaitLoss(s), c.unchanged(s))
}
