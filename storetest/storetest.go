// Package storetest checks whether a [ticketstore.TicketStore] keeps the
// contract that its documentation states, sentence by sentence.
//
// A store of one's own calls [Run] from a test. What the store can do besides,
// [ticketstore.SessionIndex], [ticketstore.KeyRotator] and
// [ticketstore.LinkIndex], is checked if it is there; so are methods History and Endings like those of
// [ticketstore.RedisStore], unless they return [errors.ErrUnsupported]. Not checked is what a test cannot bring about from outside: tickets
// that cannot be read, and outages other than a canceled context.
package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore"
)

// A Fixture is a fresh, empty store under test.
type Fixture struct {
	// Store is the store, safe for concurrent use.
	Store ticketstore.TicketStore

	// Context is the parent of each call's context. If nil,
	// context.Background.
	Context context.Context

	// Now is the store's time. If nil, time.Now.
	Now func() time.Time

	// Advance moves the store's time forward, or waits for it to pass. If nil,
	// time.Sleep: then a run takes some seconds.
	Advance func(time.Duration)

	// Unit is to what the store keeps times. If zero, a millisecond.
	Unit time.Duration

	// Cap is how many sessions a subject may have, at least 4. If zero, the
	// rules about it are not checked.
	Cap int

	// Marks is set if RevokeAll leaves a mark, so that Store refuses a sign-in
	// that began before. If not, the rules about it are not checked.
	Marks bool
}

// Run checks the store that newFixture makes, in one subtest for each rule,
// each with a fixture of its own. They run one after the other, or in parallel if
// newFixture calls Parallel of its t, a [*testing.T]: a store whose time has to
// be waited for is checked sooner. A failure names the rule that is broken; the
// rules of what the store cannot do are skipped.
func Run(t *testing.T, newFixture func(t testing.TB) Fixture) {
	for _, r := range rules() {
		t.Run(r.name, func(t *testing.T) {
			c := newChecker(newFixture(t))
			if c.cap != 0 && c.cap < 4 {
				t.Fatalf("got Cap %d, want 0 or at least 4", c.cap)
			}
			if missing := r.missing(c); missing != "" {
				t.Skip(missing)
			}
			if err := r.check(c); err != nil {
				t.Errorf("%v\nrule: %s", err, r.says)
			}
		})
	}
}
