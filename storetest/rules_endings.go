package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ticketstore/ticketstore"
)

// An historian remembers endings, as [ticketstore.RedisStore] does with
// RedisConfig.History.
type historian interface {
	History(ctx context.Context, subject string) ([]ticketstore.Ending, error)
	Endings(ctx context.Context, cursor string, limit int) (endings []ticketstore.Ending, next string, err error)
}

var endingsRules = []rule{
	{"History/ended", "History returns the sessions of subject that have ended", history, historyEnded},
	{"History/expired", "History returns the sessions of subject that have ended", history, historyExpired},
	{"History/order", "those that ended last first", history, historyOrder},
	{"History/began", "Session is the session as it began.", history, historyBegan},
	{"History/cause", "Cause says why", history, historyCause},
	{"Endings/once", "nothing is missed and, if nothing crashes in between, nothing comes twice.", history, endingsOnce},
	{"Endings/at_once", "nothing comes twice.", history, endingsAtOnce},
	{"Endings/from_now", "with a limit of 0 next is behind all there are.", history, endingsFromNow},
	{"Endings/cursor", "ErrNotFound for a cursor that it has not made.", history, endingsCursor},
	{"marks/before", "then Store returns ErrConflict, for an hour, for a ticket whose SignedInAt is before", marks, marksBefore},
	{"marks/after", "for a ticket whose SignedInAt is before", marks, marksAfter},
}

// past returns the history of subject.
func (c *checker) past(subject string) ([]ticketstore.Ending, error) {
	endings, err := c.historian.History(c.ctx, subject)
	return endings, want("History", err, nil)
}

// remembers reports whether the history of subject is not of exactly ss, in
// whatever order.
func (c *checker) remembers(subject string, ss ...*session) error {
	endings, err := c.past(subject)
	return errors.Join(err, sameEndings(fmt.Sprintf("History(%q)", subject), endings, ss))
}

func sameEndings(call string, endings []ticketstore.Ending, ss []*session) error {
	var got, wanted []string
	for _, e := range endings {
		got = append(got, e.Session.Subject+" "+e.Session.ID)
	}
	for _, s := range ss {
		wanted = append(wanted, s.ticket.Subject+" "+s.ticket.ID)
	}
	slices.Sort(got)
	slices.Sort(wanted)
	if !slices.Equal(got, wanted) {
		return fmt.Errorf("%s: got the endings of %q, want of %q", call, got, wanted)
	}
	return nil
}

func historyEnded(c *checker) error {
	ss, err := c.signIn(alice, alice, alice, bob)
	if err != nil {
		return err
	}
	errs := []error{c.remembers(alice), c.remove(ss[0]), c.remove(ss[0]), c.renew(ss[2]), c.remembers(alice, ss[0])}
	if c.index != nil {
		errs = append(errs, c.revoke(ss[1]), want("Revoke", c.index.Revoke(c.ctx, alice, ss[1].ticket.ID), ticketstore.ErrNotFound),
			c.remembers(alice, ss[:2]...))
	}
	for _, subject := range append(invalidSubjects(), bob, "carol", "*") {
		errs = append(errs, c.remembers(subject))
	}
	return errors.Join(errs...)
}

func historyExpired(c *checker) error {
	s, err := c.signInBriefly(alice)
	if err != nil {
		return err
	}
	c.outlive(s)
	return errors.Join(c.remembers(alice, s), c.remembers(alice, s))
}

func historyOrder(c *checker) error {
	ss, err := c.signIn(alice, alice, alice)
	if err != nil {
		return err
	}
	var wanted []string
	for _, i := range []int{1, 2, 0} {
		before := c.now()
		if err := c.remove(ss[i]); err != nil {
			return err
		}
		c.advance(2 * c.unit)
		endings, err := c.past(alice)
		if err != nil || len(endings) == 0 {
			return fmt.Errorf("History: got %v, %v, want an ending", endings, err)
		}
		// The store may go by another clock, of which far is more than it is off.
		if at := endings[0].EndedAt; at.Before(before.Add(-far)) || at.After(c.now().Add(far)) {
			return fmt.Errorf("EndedAt: got %v, want about %v", at, before)
		}
		wanted = append([]string{ss[i].ticket.ID}, wanted...)
	}
	endings, err := c.past(alice)
	var got []string
	for _, e := range endings {
		got = append(got, e.Session.ID)
	}
	if err != nil || !slices.Equal(got, wanted) {
		return fmt.Errorf("History: got %q and error %v, want %q", got, err, wanted)
	}
	return nil
}

func historyBegan(c *checker) error {
	ss, err := c.signIn(alice)
	if err != nil {
		return err
	}
	if err := c.remove(ss[0]); err != nil {
		return err
	}
	endings, err := c.past(alice)
	if err != nil || len(endings) != 1 {
		return fmt.Errorf("History: got %v, %v, want one", endings, err)
	}
	got, t := endings[0].Session, ss[0].ticket
	return errors.Join(equal("ID", got.ID, t.ID), equal("Subject", got.Subject, t.Subject), equal("Scheme", got.Scheme, t.Scheme),
		equal("Device", got.Device, t.Device), equal("Persistent", got.Persistent, t.Persistent),
		sameTime("SignedInAt", got.SignedInAt, t.SignedInAt, c.unit), equal("Undecodable", got.Undecodable, false))
}

func historyCause(c *checker) error {
	wanted := map[string]string{}
	ss, err := c.signIn(alice, alice, alice)
	if err != nil {
		return err
	}
	wanted[ss[0].ticket.ID] = "signed-out"
	errs := []error{c.remove(ss[0])}
	if c.index != nil {
		wanted[ss[1].ticket.ID], wanted[ss[2].ticket.ID] = "revoked", "revoked"
		errs = append(errs, c.revoke(ss[1]), c.revokeAll(alice, 1))
	}
	idle, err := c.signInBriefly(bob)
	if err != nil {
		return err
	}
	var over *session
	err = c.hurry(func(expiry time.Time) error {
		t := c.ticket(bob)
		t.ExpiresAt, t.EndsAt = expiry, expiry
		over, err = c.keep(t)
		return err
	})
	if err != nil {
		return err
	}
	wanted[idle.ticket.ID], wanted[over.ticket.ID] = "idle", "lifetime"
	c.outlive(idle, over)
	for _, subject := range []string{alice, bob} {
		endings, err := c.past(subject)
		errs = append(errs, err)
		for _, e := range endings {
			errs = append(errs, equal("Cause", e.Cause, wanted[e.Session.ID]))
			delete(wanted, e.Session.ID)
		}
	}
	return errors.Join(append(errs, equal("endings that are not told", len(wanted), 0))...)
}

// read reads on from cursor, limit at a time, until there are fewer, and returns
// a cursor behind that.
func (c *checker) read(cursor string, limit int) (endings []ticketstore.Ending, next string, err error) {
	for next = cursor; ; {
		some, after, err := c.historian.Endings(c.ctx, next, limit)
		if err != nil {
			return nil, "", want("Endings", err, nil)
		}
		if len(some) > limit {
			return nil, "", fmt.Errorf("Endings: got %d, want at most %d", len(some), limit)
		}
		endings, next = append(endings, some...), after
		if len(some) < limit || len(endings) > 100 {
			return endings, next, nil
		}
	}
}

func endingsOnce(c *checker) error {
	ss, err := c.signIn(alice, alice, bob, "carol", "carol")
	if err != nil {
		return err
	}
	s, err := c.signInBriefly("dave")
	if err != nil {
		return err
	}
	if err := errors.Join(c.remove(ss[0]), c.remove(ss[2]), c.remove(ss[2])); err != nil {
		return err
	}
	c.outlive(s)
	first, cursor, err := c.read("", 1)
	if err != nil {
		return err
	}
	if err := errors.Join(sameEndings("Endings", first, []*session{ss[0], ss[2], s}), c.remove(ss[1]), c.remove(ss[3])); err != nil {
		return err
	}
	then, cursor, err := c.read(cursor, 1)
	if err != nil {
		return err
	}
	none, _, err := c.read(cursor, 10)
	if err != nil {
		return err
	}
	all, _, err := c.read("", 2)
	return errors.Join(err, sameEndings("Endings, later", then, []*session{ss[1], ss[3]}), sameEndings("Endings, at last", none, nil),
		sameEndings("Endings, from the start", all, []*session{ss[0], ss[2], s, ss[1], ss[3]}))
}

// Whoever of several ends a session, its ending is one.
func endingsAtOnce(c *checker) error {
	for range 10 {
		ss, err := c.signIn(alice)
		if err != nil {
			return err
		}
		_, cursor, err := c.historian.Endings(c.ctx, "", 0)
		if err != nil {
			return want("Endings", err, nil)
		}
		if err := parallel(4, func(int) error { return c.remove(ss[0]) }); err != nil {
			return err
		}
		endings, _, err := c.read(cursor, 10)
		if err := errors.Join(err, sameEndings("Endings", endings, ss)); err != nil {
			return err
		}
	}
	return nil
}

func endingsFromNow(c *checker) error {
	ss, err := c.signIn(alice, bob)
	if err != nil {
		return err
	}
	if err := c.remove(ss[0]); err != nil {
		return err
	}
	none, cursor, err := c.historian.Endings(c.ctx, "", 0)
	if err := errors.Join(want("Endings", err, nil), sameEndings("Endings", none, nil), c.remove(ss[1])); err != nil {
		return err
	}
	endings, _, err := c.read(cursor, 10)
	return errors.Join(err, sameEndings("Endings", endings, ss[1:]))
}

func endingsCursor(c *checker) error {
	var errs []error
	for _, cursor := range []string{"x", " ", "*", "\x00", alice} {
		_, _, err := c.historian.Endings(c.ctx, cursor, 10)
		errs = append(errs, want(fmt.Sprintf("Endings(%q)", cursor), err, ticketstore.ErrNotFound))
	}
	return errors.Join(errs...)
}

// signedIn returns a ticket of a sign-in that began at a time.
func (c *checker) signedIn(subject string, at time.Time) *ticketstore.Ticket {
	t := c.ticket(subject)
	t.SignedInAt = at
	return t
}

func marksBefore(c *checker) error {
	ss, err := c.signIn(alice)
	if err != nil {
		return err
	}
	began := c.now()
	c.advance(10 * c.unit)
	if err := c.revokeAll(alice, 1); err != nil {
		return err
	}
	_, err = c.store.Store(c.ctx, c.signedIn(alice, began))
	return errors.Join(want("Store", err, ticketstore.ErrConflict), c.ended(ss...), c.lists(alice))
}

func marksAfter(c *checker) error {
	began := c.now()
	c.advance(10 * c.unit)
	if err := c.revokeAll(alice, 0); err != nil {
		return err
	}
	c.advance(10 * c.unit)
	s, err := c.keep(c.signedIn(alice, c.now()))
	if err != nil {
		return err
	}
	bobs, err := c.keep(c.signedIn(bob, began))
	if err != nil {
		return err
	}
	return errors.Join(c.lists(alice, s), c.lists(bob, bobs))
}
