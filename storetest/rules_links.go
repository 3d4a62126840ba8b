package storetest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ticketstore/ticketstore"
)

const sid = "sid of https://idp.example {1}"

var linkRules = []rule{
	{"Store/links", "if it has Links, but no EndsAt, or the store is no [LinkIndex]", basics, storeLinks},
	{"Links/kept", "and stay as they are at sign-in.", links, linksKept},
	{"RevokeLinked/all", "RevokeLinked ends all sessions that have link and began up to before, and returns how many there were.", links, revokeLinkedAll},
	{"RevokeLinked/before", "So the logout of an identity provider that comes late, or again, ends nothing that began after it.", links, revokeLinkedBefore},
	{"RevokeLinked/mark", "For an hour, Store then returns ErrConflict for a ticket that has link and began up to before", links, revokeLinkedMark},
	{"RevokeLinked/progress", "progress, if not nil, is told how many so far", links, revokeLinkedProgress},
	{"Linked/live", "Linked returns the live sessions that have link", links, linkedLive},
}

// linked returns a ticket that has links, and began at a time by the clock of
// whoever ends them; by the store's if that is zero.
func (c *checker) linked(subject string, at time.Time, links ...string) *ticketstore.Ticket {
	t := c.ticket(subject)
	t.SignedInAt = c.now()
	t.Links, t.LinkedAt = links, at
	return t
}

func storeLinks(c *checker) error {
	endless := c.linked(alice, time.Time{}, sid)
	endless.EndsAt = time.Time{}
	refused := []*ticketstore.Ticket{endless}
	if c.links == nil {
		refused = append(refused, c.linked(alice, time.Time{}, sid))
	}
	var errs []error
	for _, t := range refused {
		_, err := c.store.Store(c.ctx, t)
		errs = append(errs, want("Store", err, ticketstore.ErrInvalidTicket))
	}
	return errors.Join(errs...)
}

func linksKept(c *checker) error {
	s, err := c.keep(c.linked(alice, c.now().Truncate(c.unit).Add(-far), sid, "tenant"))
	if err != nil {
		return err
	}
	if err := c.renew(s); err != nil {
		return err
	}
	t, err := c.get(s.key)
	if err != nil {
		return err
	}
	return errors.Join(equal("Links", fmt.Sprintf("%q", t.Links), fmt.Sprintf("%q", s.ticket.Links)), sameTime("LinkedAt", t.LinkedAt, s.ticket.LinkedAt, c.unit))
}

func (c *checker) revokeLinked(link string, before time.Time, wanted int) error {
	n, err := c.links.RevokeLinked(c.ctx, link, before, nil)
	return errors.Join(want("RevokeLinked", err, nil), equal(fmt.Sprintf("RevokeLinked(%q)", link), n, wanted))
}

func (c *checker) keepLinked(ts ...*ticketstore.Ticket) (ss []*session, err error) {
	for _, t := range ts {
		s, err := c.keep(t)
		if err != nil {
			return nil, err
		}
		ss = append(ss, s)
	}
	return ss, nil
}

func revokeLinkedAll(c *checker) error {
	var zero time.Time
	ss, err := c.keepLinked(c.linked(alice, zero, sid, "client"), c.linked(bob, zero, sid), c.linked(alice, zero, "client"), c.ticket(alice))
	if err != nil {
		return err
	}
	c.advance(10 * c.unit)
	var errs []error
	for _, link := range []string{"", "other", sid + "x", "\x00"} {
		errs = append(errs, c.revokeLinked(link, zero, 0))
	}
	errs = append(errs, c.revokeLinked(sid, zero, 2), c.ended(ss[:2]...), c.alive(ss[2:]...), c.revokeLinked(sid, zero, 0),
		c.revokeLinked("client", zero, 1), c.alive(ss[3]))
	if c.index != nil {
		errs = append(errs, c.lists(alice, ss[3]), c.lists(bob))
	}
	return errors.Join(errs...)
}

func revokeLinkedBefore(c *checker) error {
	logout := c.now().Add(-far)
	ss, err := c.keepLinked(c.linked(alice, logout.Add(-time.Second), sid), c.linked(alice, logout, sid), c.linked(alice, logout.Add(time.Second), sid))
	if err != nil {
		return err
	}
	return errors.Join(c.revokeLinked(sid, logout, 2), c.revokeLinked(sid, logout, 0), c.ended(ss[:2]...), c.alive(ss[2]))
}

func revokeLinkedMark(c *checker) error {
	logout := c.now().Add(-far)
	if err := errors.Join(c.revokeLinked(sid, logout, 0), c.revokeLinked(sid, logout.Add(-far), 0)); err != nil {
		return err
	}
	_, err1 := c.store.Store(c.ctx, c.linked(alice, logout, "client", sid))
	_, err2 := c.store.Store(c.ctx, c.linked(alice, logout.Add(-far), sid))
	ss, err := c.keepLinked(c.linked(alice, logout.Add(time.Second), sid), c.linked(alice, time.Time{}, sid), c.linked(bob, logout, "client"))
	if err := errors.Join(err, want("Store", err1, ticketstore.ErrConflict), want("Store", err2, ticketstore.ErrConflict)); err != nil {
		return err
	}
	return errors.Join(c.alive(ss...), c.linkedIs(sid, ss[:2]...))
}

func revokeLinkedProgress(c *checker) error {
	var zero time.Time
	if _, err := c.keepLinked(c.linked(alice, zero, sid), c.linked(bob, zero, sid)); err != nil {
		return err
	}
	c.advance(10 * c.unit)
	var told []int
	n, err := c.links.RevokeLinked(c.ctx, sid, zero, func(n int) { told = append(told, n) })
	if err := errors.Join(want("RevokeLinked", err, nil), equal("RevokeLinked", n, 2)); err != nil {
		return err
	}
	if len(told) == 0 || !slices.IsSorted(told) || told[len(told)-1] != 2 {
		return fmt.Errorf("progress: got %v, want what grows to 2", told)
	}
	return nil
}

// linkedIs reports whether the sessions of link are not exactly ss.
func (c *checker) linkedIs(link string, ss ...*session) error {
	var got, wanted []string
	for s, err := range c.links.Linked(c.ctx, link) {
		if err != nil {
			return want("Linked", err, nil)
		}
		got = append(got, s.Subject+" "+s.ID)
	}
	for _, s := range ss {
		wanted = append(wanted, s.ticket.Subject+" "+s.ticket.ID)
	}
	slices.Sort(got)
	slices.Sort(wanted)
	return equal(fmt.Sprintf("Linked(%q)", link), fmt.Sprint(got), fmt.Sprint(wanted))
}

func linkedLive(c *checker) error {
	var zero time.Time
	ss, err := c.keepLinked(c.linked(alice, zero, sid), c.linked(bob, zero, "client", sid), c.linked(alice, zero, "client"), c.ticket(alice))
	if err != nil {
		return err
	}
	errs := []error{c.linkedIs(sid, ss[:2]...), c.linkedIs("client", ss[1:3]...), c.linkedIs("other"), c.linkedIs(""), c.remove(ss[1])}
	errs = append(errs, c.linkedIs(sid, ss[0]), c.linkedIs("client", ss[2]))
	for range c.links.Linked(c.ctx, sid) {
		break
	}
	return errors.Join(errs...)
}
