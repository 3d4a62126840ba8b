package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ticketstore/ticketstore"
)

const (
	alice = "alice"
	bob   = "bob"

	brief = 150 * time.Millisecond // enough for a few commands, if nothing else runs
	far   = time.Hour              // longer than any run
)

// A checker is what the rules look at: a fixture, its defaults filled in.
// Except where the rule is about the limit, no subject has more than four
// sessions at once.
type checker struct {
	ctx       context.Context
	store     ticketstore.TicketStore
	index     ticketstore.SessionIndex // nil if there is none
	rotator   ticketstore.KeyRotator   // nil if there is none
	links     ticketstore.LinkIndex    // nil if there is none
	historian historian                // nil if there is none, or if it remembers nothing
	now       func() time.Time
	advance   func(time.Duration)
	unit      time.Duration
	brief     time.Duration
	cap       int
	marks     bool
}

func newChecker(f Fixture) *checker {
	c := &checker{ctx: f.Context, store: f.Store, now: f.Now, advance: f.Advance, unit: f.Unit, cap: f.Cap, marks: f.Marks}
	c.index, _ = f.Store.(ticketstore.SessionIndex)
	c.rotator, _ = f.Store.(ticketstore.KeyRotator)
	c.links, _ = f.Store.(ticketstore.LinkIndex)
	if c.ctx == nil {
		c.ctx = context.Background()
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.advance == nil {
		c.advance = time.Sleep
	}
	if c.unit == 0 {
		c.unit = time.Millisecond
	}
	if h, ok := f.Store.(historian); ok {
		if _, err := h.History(c.ctx, alice); !errors.Is(err, errors.ErrUnsupported) {
			c.historian = h
		}
	}
	c.brief = max(2*c.unit, brief)
	return c
}

// A session is a key and the ticket that it opens: the one that was written,
// with the ID and the Revision that were read. What a store sets of them in the
// argument is a rule of its own.
type session struct {
	key    ticketstore.Key
	ticket *ticketstore.Ticket
}

// keep stores a copy of t.
func (c *checker) keep(t *ticketstore.Ticket) (*session, error) {
	s := &session{ticket: t.Clone()}
	var err error
	if s.key, err = c.store.Store(c.ctx, t.Clone()); err != nil {
		return nil, want("Store", err, nil)
	}
	return s, c.reread(s)
}

// renew renews s with its own ticket.
func (c *checker) renew(s *session) error {
	if err := c.store.Renew(c.ctx, s.key, s.ticket.Clone()); err != nil {
		return want("Renew", err, nil)
	}
	return c.reread(s)
}

// rotate gives s a new key and returns s with the old one.
func (c *checker) rotate(s *session, grace time.Duration) (old *session, err error) {
	key, err := c.rotator.Rotate(c.ctx, s.key, s.ticket.Clone(), grace)
	if err != nil {
		return nil, want("Rotate", err, nil)
	}
	old = &session{s.key, s.ticket}
	s.key = key
	return old, c.reread(s)
}

func (c *checker) reread(s *session) error {
	t, err := c.get(s.key)
	if err != nil {
		return err
	}
	s.ticket.ID, s.ticket.Revision = t.ID, t.Revision
	return nil
}

func (c *checker) remove(s *session) error {
	return want("Remove", c.store.Remove(c.ctx, s.key), nil)
}

// renewFails reports whether s can be renewed or the error is not the wanted.
func (c *checker) renewFails(s *session, wanted error) error {
	return want("Renew", c.store.Renew(c.ctx, s.key, s.ticket.Clone()), wanted)
}

// signIn starts a session for each subject, far from its expiry.
func (c *checker) signIn(subjects ...string) ([]*session, error) {
	var ss []*session
	for _, subject := range subjects {
		s, err := c.keep(c.ticket(subject))
		if err != nil {
			return nil, err
		}
		ss = append(ss, s)
	}
	return ss, nil
}

// hurry calls f with an expiry c.brief from now, before which f has to be done.
// Where the clock cannot be stopped, a slow machine may take longer: then f is
// called again, to begin anew with twice the time.
func (c *checker) hurry(f func(expiry time.Time) error) error {
	for {
		expiry := c.now().Add(c.brief)
		err := f(expiry)
		if err == nil || c.now().Before(expiry) || c.brief > far/10 {
			return err
		}
		c.brief *= 2
	}
}

// signInBriefly starts a session that expires in c.brief.
func (c *checker) signInBriefly(subject string) (s *session, err error) {
	err = c.hurry(func(expiry time.Time) error {
		t := c.ticket(subject)
		t.ExpiresAt = expiry
		s, err = c.keep(t)
		return err
	})
	return s, err
}

// outlive lets pass what signInBriefly allows. The store's clock may be behind:
// it has some time to catch up.
func (c *checker) outlive(ss ...*session) {
	c.advance(c.brief)
	for tries := 0; tries < 10 && c.ended(ss...) != nil; tries++ {
		c.advance(c.brief)
	}
	c.advance(2 * c.unit) // and so may be a second clock
}

// get retrieves a ticket that has to be there.
func (c *checker) get(key ticketstore.Key) (*ticketstore.Ticket, error) {
	t, err := c.store.Retrieve(c.ctx, key)
	if err == nil && t == nil {
		err = errors.New("neither a ticket nor an error")
	}
	if err != nil {
		return nil, fmt.Errorf("Retrieve: got %v, want the ticket", err)
	}
	return t, nil
}

// alive reports sessions whose key does not open their ticket.
func (c *checker) alive(ss ...*session) error {
	var errs []error
	for _, s := range ss {
		t, err := c.get(s.key)
		if err == nil && (t.Subject != s.ticket.Subject || t.ID != s.ticket.ID) {
			err = fmt.Errorf("Retrieve: got session %q of %q, want %q of %q", t.ID, t.Subject, s.ticket.ID, s.ticket.Subject)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// unchanged reports sessions whose ticket is not the one in the session, as far
// as rules change tickets. That the rest is kept is a rule of its own.
func (c *checker) unchanged(ss ...*session) error {
	var errs []error
	for _, s := range ss {
		t, err := c.get(s.key)
		if err == nil {
			err = errors.Join(equal("ID", t.ID, s.ticket.ID), equal("Subject", t.Subject, s.ticket.Subject),
				equal("Revision", t.Revision, s.ticket.Revision), equal("Scheme", t.Scheme, s.ticket.Scheme))
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// ended reports sessions whose key still opens a ticket.
func (c *checker) ended(ss ...*session) error {
	var errs []error
	for _, s := range ss {
		errs = append(errs, c.opensNothing(s.key))
	}
	return errors.Join(errs...)
}

func (c *checker) opensNothing(key ticketstore.Key) error {
	t, err := c.store.Retrieve(c.ctx, key)
	if t != nil && err != nil {
		return fmt.Errorf("Retrieve: got a ticket and %v", err)
	}
	return want("Retrieve", err, ticketstore.ErrNotFound)
}

// lists reports whether the listing of subject is not of exactly the sessions
// ss, in whatever order. It has nothing to say of a store that has no index.
func (c *checker) lists(subject string, ss ...*session) error {
	if c.index == nil {
		return nil
	}
	listed, err := c.index.Sessions(c.ctx, subject)
	if err != nil {
		return fmt.Errorf("Sessions(%q): got %v, want no error", subject, err)
	}
	got, wanted := ids(listed), []string(nil)
	for _, s := range ss {
		wanted = append(wanted, s.ticket.ID)
	}
	slices.Sort(got)
	slices.Sort(wanted)
	if !slices.Equal(got, wanted) {
		return fmt.Errorf("Sessions(%q): got %q, want %q", subject, got, wanted)
	}
	return nil
}

func ids(sessions []ticketstore.Session) []string {
	var ids []string
	for _, s := range sessions {
		ids = append(ids, s.ID)
	}
	return ids
}

// badKeys returns malformed keys and ones that are nearly key.
func badKeys(key ticketstore.Key) []ticketstore.Key {
	keys := []ticketstore.Key{"", "x", "\x00", "\xff", "../../etc/passwd", "*", "{}"}
	if key == "" {
		return keys
	}
	middle, other := len(key)/2, ticketstore.Key("0")
	if key[middle] == '0' {
		other = "1"
	}
	return append(keys, key[:len(key)-1], key[1:], key+"A", " "+key, key+key, key[:middle]+other+key[middle+1:])
}

// badIDs returns malformed IDs and ones that are nearly id.
func badIDs(id string) []string {
	ids := []string{"", "x", "\x00", "\xff", "*", "subject:" + alice}
	if id == "" {
		return ids
	}
	return append(ids, id[1:], id+"0", " "+id, id+id)
}

// want reports, as an answer to call, an error other than the wanted one, which
// may be nil.
func want(call string, err, wanted error) error {
	if wanted == nil && err == nil || wanted != nil && errors.Is(err, wanted) {
		return nil
	}
	return fmt.Errorf("%s: got error %v, want %v", call, err, wanted)
}

// equal reports values that differ.
func equal[T comparable](what string, got, wanted T) error {
	if got == wanted {
		return nil
	}
	return fmt.Errorf("%s: got %#v, want %#v", what, got, wanted)
}

// parallel runs f for 0 to n-1 at once.
func parallel(n int, f func(i int) error) error {
	errs := make([]error, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = f(i)
		})
	}
	close(start)
	wg.Wait()
	return errors.Join(errs...)
}

// oneWins runs f twice at once and reports whether not exactly one succeeded
// or the other had no ErrConflict.
func oneWins(call string, f func(i int) error) error {
	var answers [2]error
	parallel(2, func(i int) error { answers[i] = f(i); return nil })
	if answers[0] == nil {
		answers[0], answers[1] = answers[1], answers[0]
	}
	return errors.Join(want(call+" that wins", answers[1], nil), want(call+" that loses", answers[0], ticketstore.ErrConflict))
}
