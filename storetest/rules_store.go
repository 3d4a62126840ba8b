package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ticketstore/ticketstore"
)

var storeRules = []rule{
	{"Store/every_field", "Store keeps t and returns the key that opens it.", basics, storeEveryField},
	{"Store/times", "Times are kept to the millisecond (a format may say: to the second); an expiry is never rounded up.", basics, storeTimes},
	{"Store/sets_no_times", "they set no times.", basics, storeSetsNoTimes},
	{"Store/sets_ID_and_Revision", "Stores set ID and Revision of their argument when they succeed, change nothing else of it", basics, storeSetsIDAndRevision},
	{"Store/keeps_no_argument", "and keep none of it", basics, storeKeepsNoArgument},
	{"Store/new_key_and_ID", "Key and t.ID are new each time.", basics, storeNewKeyAndID},
	{"Store/replaces", "it does not count, and the caller ends it once the new one is there", basics, storeReplaces},
	{"Store/other_IDs", "nothing else is done with t.ID.", basics, storeOtherIDs},
	{"Store/valid_subjects", "Subject is the user: 1 to 1,024 bytes of valid UTF-8 without control characters.", basics, storeValidSubjects},
	{"Store/invalid_subjects", "It returns ErrInvalidTicket if t has no valid subject", basics, storeInvalidSubjects},
	{"Store/valid_expiries", "EndsAt is when the session ends, however active.", basics, storeValidExpiries},
	{"Store/invalid_expiries", "if its ExpiresAt is zero, past, or after EndsAt", basics, storeInvalidExpiries},
	{"Store/fails", "If Store returns an error, there is no new session that anyone has the key of.", basics, storeFails},
	{"Store/canceled", "If Store returns an error, there is no new session that anyone has the key of.", basics, storeCanceled},
}

func storeEveryField(c *checker) error {
	full, bare := c.ticket(alice), ticketstore.NewTicket(bob)
	bare.ExpiresAt = c.now().Add(far)
	for _, t := range []*ticketstore.Ticket{full, bare} {
		s, err := c.keep(t)
		if err != nil {
			return err
		}
		got, err := c.get(s.key)
		if err == nil {
			err = sameFields(got, t)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func storeTimes(c *checker) error {
	s, err := c.keep(c.ticket(alice))
	if err != nil {
		return err
	}
	got, err := c.get(s.key)
	if err != nil {
		return err
	}
	return sameTimes(got, s.ticket, c.unit)
}

func storeSetsNoTimes(c *checker) error {
	t := ticketstore.NewTicket(alice)
	t.ExpiresAt = c.now().Add(far)
	s, err := c.keep(t)
	if err != nil {
		return err
	}
	c.advance(2 * c.unit)
	got, err := c.get(s.key)
	if err != nil {
		return err
	}
	t.ExpiresAt = got.ExpiresAt
	return sameTimes(got, t, c.unit)
}

func storeSetsIDAndRevision(c *checker) error {
	bare := ticketstore.NewTicket(alice)
	bare.ExpiresAt = c.now().Add(far)
	full := c.ticket(alice)
	full.ID, full.Revision = "x", "x"
	for _, t := range []*ticketstore.Ticket{bare, full} {
		was := t.Clone()
		key, err := c.store.Store(c.ctx, t)
		if err != nil {
			return want("Store", err, nil)
		}
		if err := c.set(t, was, key); err != nil {
			return err
		}
	}
	return nil
}

// set reports whether a call has set anything but ID and Revision of its
// argument t, or those not to what key opens.
func (c *checker) set(t, was *ticketstore.Ticket, key ticketstore.Key) error {
	got, err := c.get(key)
	if err != nil {
		return err
	}
	if t.ID == "" || t.Revision == "" || t.Revision == was.Revision {
		return fmt.Errorf("argument: got ID %q and Revision %q, want both, and a new Revision", t.ID, t.Revision)
	}
	return errors.Join(equal("argument's ID", t.ID, got.ID), equal("argument's Revision", t.Revision, got.Revision), identical(t, was))
}

func storeKeepsNoArgument(c *checker) error {
	t := c.ticket(alice)
	key, err := c.store.Store(c.ctx, t)
	if err != nil {
		return want("Store", err, nil)
	}
	return c.keepsNone(t, key)
}

// keepsNone defaces t and reports whether the ticket in the store changes.
func (c *checker) keepsNone(t *ticketstore.Ticket, key ticketstore.Key) error {
	before, err := c.get(key)
	if err != nil {
		return err
	}
	before = before.Clone() // as the rule may be broken that it is ours
	deface(t)
	after, err := c.get(key)
	if err != nil {
		return err
	}
	return identical(after, before)
}

func storeNewKeyAndID(c *checker) error {
	keys, ids := map[ticketstore.Key]bool{}, map[string]bool{}
	t := c.ticket(alice)
	for i := range 8 {
		// The same ticket again, its last session alive or not.
		s, err := c.keep(t)
		if err != nil {
			return err
		}
		if s.key == "" || keys[s.key] {
			return fmt.Errorf("Store, time %d: got key %q, want a new one", i+1, string(s.key))
		}
		if ids[s.ticket.ID] {
			return fmt.Errorf("Store, time %d: got ID %q, want a new one", i+1, s.ticket.ID)
		}
		t, keys[s.key], ids[s.ticket.ID] = s.ticket, true, true
		if i%2 == 0 {
			if err := c.remove(s); err != nil {
				return err
			}
		}
	}
	return nil
}

func storeReplaces(c *checker) error {
	ss, err := c.signIn(alice, alice)
	if err != nil {
		return err
	}
	t := c.ticket(alice)
	t.ID = ss[0].ticket.ID
	s, err := c.keep(t)
	if err != nil {
		return err
	}
	return errors.Join(c.alive(append(ss, s)...), c.remove(ss[0]), c.ended(ss[0]), c.alive(ss[1], s))
}

func storeOtherIDs(c *checker) error {
	ss, err := c.signIn(bob, alice, alice)
	if err != nil {
		return err
	}
	bobs, other, removed := ss[0], ss[1], ss[2]
	if err := c.remove(removed); err != nil {
		return err
	}
	for _, id := range append(badIDs(other.ticket.ID), bobs.ticket.ID, removed.ticket.ID, string(other.key)) {
		t := c.ticket(alice)
		t.ID = id
		s, err := c.keep(t)
		if err != nil {
			return fmt.Errorf("t.ID %q: %w", id, err)
		}
		if s.ticket.ID == id {
			return fmt.Errorf("t.ID %q: got the same ID, want a new one", id)
		}
		if err := errors.Join(c.alive(bobs, other, s), c.ended(removed), c.remove(s)); err != nil {
			return fmt.Errorf("t.ID %q: %w", id, err)
		}
	}
	return nil
}

func storeValidSubjects(c *checker) error {
	for _, subject := range []string{
		"a", strings.Repeat("é", 512), "Alice", "alice", "alice ", "https://issuer.example|42", "a:b", "{a}", "a*?[b]", "' OR 1=1 --", "ünï cöde 🎫",
	} {
		s, err := c.keep(c.ticket(subject))
		if err != nil {
			return fmt.Errorf("subject %q: %w", subject, err)
		}
		if err := c.alive(s); err != nil {
			return fmt.Errorf("subject %q: %w", subject, err)
		}
	}
	return nil
}

// invalidSubjects returns subjects that no store may keep.
func invalidSubjects() []string {
	return []string{"", strings.Repeat("a", 1025), strings.Repeat("é", 512) + "a", "a\xff", "\xed\xa0\x80", "a\nb", "\x00", "a\x7f", "a\u0085"}
}

func storeInvalidSubjects(c *checker) error {
	for _, subject := range invalidSubjects() {
		_, err := c.store.Store(c.ctx, c.ticket(subject))
		if err := want("Store", err, ticketstore.ErrInvalidTicket); err != nil {
			return fmt.Errorf("subject %q: %w", subject, err)
		}
	}
	return nil
}

// withExpiries returns copies of t that differ in when they expire and end.
func withExpiries(t *ticketstore.Ticket, expiries ...[2]time.Time) []*ticketstore.Ticket {
	var ts []*ticketstore.Ticket
	for _, e := range expiries {
		t := t.Clone()
		t.ExpiresAt, t.EndsAt = e[0], e[1]
		ts = append(ts, t)
	}
	return ts
}

// invalidExpiries returns copies of t that no store may keep.
func (c *checker) invalidExpiries(t *ticketstore.Ticket) []*ticketstore.Ticket {
	now, never := c.now(), time.Time{}
	return withExpiries(t, [][2]time.Time{
		{never, never},
		{never, now.Add(far)},
		{now.Add(-2 * c.unit), never},
		{now.Add(-far), now.Add(far)},
		{time.Unix(0, 0), never},
		{now.Add(far), now.Add(far - 2*c.unit)},
		{now.Add(far), now.Add(-far)},
	}...)
}

func storeInvalidExpiries(c *checker) error {
	for _, t := range c.invalidExpiries(c.ticket(alice)) {
		_, err := c.store.Store(c.ctx, t)
		if err := want("Store", err, ticketstore.ErrInvalidTicket); err != nil {
			return fmt.Errorf("ExpiresAt %v, EndsAt %v: %w", t.ExpiresAt, t.EndsAt, err)
		}
	}
	return nil
}

func storeValidExpiries(c *checker) error {
	now, never := c.now(), time.Time{}
	for _, t := range withExpiries(c.ticket(alice), [2]time.Time{now.Add(far), never}, [2]time.Time{now.Add(far), now.Add(far)}) {
		if _, err := c.keep(t); err != nil {
			return fmt.Errorf("ExpiresAt %v, EndsAt %v: %w", t.ExpiresAt, t.EndsAt, err)
		}
	}
	return nil
}

func storeFails(c *checker) error {
	ss, err := c.signIn(alice)
	if err != nil {
		return err
	}
	t := c.ticket(alice)
	t.ID, t.Revision, t.ExpiresAt = ss[0].ticket.ID, "x", c.now().Add(-far)
	was := t.Clone()
	key, err := c.store.Store(c.ctx, t)
	if err == nil {
		return nil // which another rule is about
	}
	return errors.Join(c.opensNothing(key), c.unchanged(ss...), c.lists(alice, ss...), untouched(t, was))
}

func storeCanceled(c *checker) error {
	key, err := c.store.Store(canceled(c.ctx), c.ticket(alice))
	if err == nil {
		_, err = c.get(key)
		return err
	}
	return errors.Join(c.opensNothing(key), unanswered("Store", err))
}

func canceled(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return ctx
}

// unanswered reports an error that says something of a ticket, where the store
// had no time to know.
func unanswered(call string, err error) error {
	if slices.ContainsFunc([]error{
		ticketstore.ErrNotFound, ticketstore.ErrConflict, ticketstore.ErrInvalidTicket, ticketstore.ErrUndecodable, ticketstore.ErrTooManySessions,
	}, func(e error) bool { return errors.Is(err, e) }) {
		return fmt.Errorf("%s with a canceled context: got error %v, want success or an error of another kind", call, err)
	}
	return nil
}
