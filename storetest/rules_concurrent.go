package storetest

import (
	"errors"
	"fmt"
	"slices"
)

var concurrentRules = []rule{
	{"concurrent/calls", "A store is safe for concurrent use.", basics, concurrentCalls},
	{"concurrent/listing", "A store is safe for concurrent use. [...] Sessions returns the live sessions of subject", index, concurrentListing},
	{"concurrent/Renew_and_Remove", "Once it has returned, nothing brings the ticket back.", basics, concurrentRenewAndRemove},
}

// concurrentCalls has several browsers of one subject and of different ones
// each go through its life.
func concurrentCalls(c *checker) error {
	return parallel(8, func(i int) error {
		subject := alice
		if i%4 > 0 { // alice has four sessions at most, the least of caps
			subject = fmt.Sprint("subject ", i)
		}
		for range 3 {
			ss, err := c.signIn(subject)
			if err != nil {
				return err
			}
			s := ss[0]
			again := c.ticket(subject)
			again.ID = s.ticket.ID
			if err := errors.Join(c.renew(s), c.unchanged(s), c.renew(s), c.unchanged(s)); err != nil {
				return err
			}
			next, err := c.keep(again)
			if err != nil {
				return err
			}
			if err := errors.Join(c.unchanged(s, next), c.remove(s), c.ended(s), c.unchanged(next), c.remove(next), c.ended(next)); err != nil {
				return err
			}
		}
		return nil
	})
}

// concurrentListing has several browsers of one subject look for their own
// session while the others come and go.
func concurrentListing(c *checker) error {
	listed := func(s *session, wanted bool) error {
		sessions, err := c.index.Sessions(c.ctx, alice)
		if err != nil {
			return want("Sessions", err, nil)
		}
		if slices.Contains(ids(sessions), s.ticket.ID) != wanted {
			return fmt.Errorf("Sessions: session listed is %t, want %t", !wanted, wanted)
		}
		return nil
	}
	return parallel(4, func(int) error {
		for range 5 {
			ss, err := c.signIn(alice)
			if err != nil {
				return err
			}
			s := ss[0]
			if err := errors.Join(listed(s, true), c.renew(s), listed(s, true), c.remove(s), listed(s, false)); err != nil {
				return err
			}
		}
		return nil
	})
}

func concurrentRenewAndRemove(c *checker) error {
	for range 20 {
		ss, err := c.signIn(alice)
		if err != nil {
			return err
		}
		s := ss[0]
		// Renew may succeed or come too late; a conflict it cannot meet.
		err = parallel(2, func(i int) error {
			if i == 0 {
				return errors.Join(c.remove(s), c.ended(s))
			}
			c.store.Renew(c.ctx, s.key, s.ticket.Clone())
			return nil
		})
		if err := errors.Join(err, c.ended(s)); err != nil {
			return err
		}
	}
	return c.lists(alice)
}
