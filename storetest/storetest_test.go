package storetest

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore"
)

func TestMemory(t *testing.T) {
	for name, m := range map[string]func() *memory{
		"evict":      func() *memory { return newMemory(time.Millisecond, false) },
		"refuse":     func() *memory { return newMemory(time.Millisecond, true) },
		"second":     func() *memory { return newMemory(time.Second, false) },
		"nanosecond": func() *memory { return newMemory(1, false) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			Run(t, func(testing.TB) Fixture { return m().fixture() })
		})
	}
}

// A basicStore has no other abilities.
type basicStore struct{ ticketstore.TicketStore }

func (s basicStore) Store(ctx context.Context, t *ticket) (key, error) {
	if len(t.Links) > 0 {
		return "", ticketstore.ErrInvalidTicket
	}
	return s.TicketStore.Store(ctx, t)
}

// A store without the other abilities is checked for what it has.
func TestBasics(t *testing.T) {
	newFixture := func() Fixture {
		f := newMemory(time.Millisecond, false).fixture()
		f.Store, f.Cap, f.Marks = basicStore{f.Store}, 0, false
		return f
	}
	if got := broken(newFixture); len(got) > 0 {
		t.Errorf("got broken rules %v, want none", got)
	}
	for _, r := range rules() {
		if got, want := r.missing(newChecker(newFixture())) != "", r.needs != basics; got != want {
			t.Errorf("%s: got skipped %t, want %t", r.name, got, want)
		}
	}
}

func TestFixtureDefaults(t *testing.T) {
	c := newChecker(Fixture{Store: newMemory(1, false)})
	if c.ctx != context.Background() || c.unit != time.Millisecond || c.cap != 0 {
		t.Errorf("got %v, %v, %d, want the defaults", c.ctx, c.unit, c.cap)
	}
	before := time.Now()
	c.advance(time.Millisecond)
	if d := c.now().Sub(before); d < time.Millisecond || d > time.Minute {
		t.Errorf("Advance(1ms) took %v", d)
	}
}

// TestMutants checks that each rule finds what it is there for: every mutant
// breaks exactly the rules it is said to, and every rule is broken by a mutant.
func TestMutants(t *testing.T) {
	unbroken := map[string]bool{}
	for _, r := range rules() {
		if r.says == "" || unbroken[r.name] {
			t.Errorf("rule %q has no text or the name of another", r.name)
		}
		unbroken[r.name] = true
	}
	t.Run("table", func(t *testing.T) {
		for _, mu := range mutants() {
			t.Run(mu.name, func(t *testing.T) {
				errs := broken(func() Fixture {
					m := newMemory(time.Millisecond, mu.refuse)
					mu.change(m)
					return m.fixture()
				})
				got, want := slices.Sorted(maps.Keys(errs)), slices.Sorted(slices.Values(strings.Fields(mu.breaks)))
				t.Logf("breaks %s", strings.Join(got, " "))
				got = slices.DeleteFunc(got, func(name string) bool {
					return (strings.HasPrefix(name, "concurrent/") || isEndings(name) && !slices.ContainsFunc(want, isEndings)) && !slices.Contains(want, name)
				})
				if !slices.Equal(got, want) {
					t.Errorf("got broken rules %q, want %q\n%v", got, want, errs)
				}
				for _, name := range want {
					delete(unbroken, name)
				}
			})
		}
	})
	for name := range unbroken {
		t.Errorf("rule %q: no mutant breaks it", name)
	}
}

// isEndings reports whether a rule is about what is told of endings.
func isEndings(name string) bool {
	return strings.HasPrefix(name, "History/") || strings.HasPrefix(name, "Endings/")
}
