package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/ticketstore/ticketstore"
)

var capRules = []rule{
	{"cap/replaces", "that is the one which this replaces: it does not count, and the caller ends it once the new one is there", limit, capReplaces},
	{"cap/one_more", "ErrTooManySessions if the store refuses one more [...] a store that does not ends the subject's oldest sign-in", limit, capOneMore},
	{"cap/expired", "Sessions that have ended do not count either.", limit, capExpired},
	{"cap/at_once", "the subject has as many sessions as the store allows.", limit, capAtOnce},
}

// fill signs alice in as often as she may.
func (c *checker) fill() ([]*session, error) {
	var ss []*session
	for range c.cap {
		s, err := c.signIn(alice)
		if err != nil {
			return nil, err
		}
		ss = append(ss, s...)
		c.advance(2 * c.unit)
	}
	return ss, nil
}

// A sign-in that replaces a session takes its place: nobody else has to go.
func capReplaces(c *checker) error {
	ss, err := c.fill()
	if err != nil {
		return err
	}
	for i := range slices.Backward(ss) { // the oldest, which would go, last
		t := c.ticket(alice)
		t.ID = ss[i].ticket.ID
		next, err := c.keep(t)
		if err != nil {
			return err
		}
		replaced := ss[i]
		if err := errors.Join(c.alive(ss...), c.remove(replaced)); err != nil {
			return err
		}
		ss[i] = next
		if err := errors.Join(c.ended(replaced), c.alive(ss...)); err != nil {
			return err
		}
	}
	return nil
}

func capOneMore(c *checker) error {
	ss, err := c.fill()
	if err != nil {
		return err
	}
	// The oldest sign-in is the last to have been used and the last to expire.
	oldest := ss[0]
	oldest.ticket.IssuedAt, oldest.ticket.ExpiresAt = c.now(), c.now().Add(far+far/2)
	if err := c.renew(oldest); err != nil {
		return err
	}
	t := c.ticket(alice)
	key, err := c.store.Store(c.ctx, t)
	switch {
	case errors.Is(err, ticketstore.ErrTooManySessions):
		return errors.Join(c.opensNothing(key), equal("ID", t.ID, ""), c.alive(ss...))
	case err != nil:
		return fmt.Errorf("Store at the cap: got error %v, want none or %v", err, ticketstore.ErrTooManySessions)
	}
	next := &session{key, t}
	return errors.Join(c.reread(next), c.ended(oldest), c.alive(ss[1:]...))
}

func capExpired(c *checker) error {
	removed, err := c.signIn(alice)
	if err != nil {
		return err
	}
	var expired []*session
	for range c.cap - 1 {
		s, err := c.signInBriefly(alice)
		if err != nil {
			return err
		}
		expired = append(expired, s)
	}
	if err := c.remove(removed[0]); err != nil {
		return err
	}
	c.outlive(expired...)
	ss, err := c.fill()
	if err != nil {
		return err
	}
	return c.alive(ss...)
}

func capAtOnce(c *checker) error {
	var mu sync.Mutex
	var ss []*session
	err := parallel(4*c.cap, func(int) error {
		t := c.ticket(alice)
		key, err := c.store.Store(c.ctx, t)
		if errors.Is(err, ticketstore.ErrTooManySessions) {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		ss = append(ss, &session{key, t})
		return want("Store", err, nil)
	})
	if err != nil {
		return err
	}
	live := 0
	for _, s := range ss {
		if c.ended(s) != nil {
			live++
		}
	}
	return equal("live sessions", live, c.cap)
}
