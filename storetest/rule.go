package storetest

import (
	"fmt"
	"slices"
)

// A rule is one statement of the contract and the check of it.
type rule struct {
	name  string
	says  string // in the words of the documentation
	needs ability
	check func(c *checker) error
}

// An ability is what a store may be able to do besides.
type ability int

const (
	basics ability = iota
	index
	rotation
	limit
	history
	marks
	links
)

// rules returns all rules.
func rules() []rule {
	return slices.Concat(storeRules, renewRules, retrieveRules, removeRules, concurrentRules,
		sessionsRules, revokeRules, rotateRules, unusedRules, capRules, endingsRules, linkRules)
}

// missing says what the store lacks to be checked against r; empty if nothing.
func (r rule) missing(c *checker) string {
	switch {
	case r.needs == index && c.index == nil:
		return fmt.Sprintf("%T is no ticketstore.SessionIndex", c.store)
	case r.needs == rotation && c.rotator == nil:
		return fmt.Sprintf("%T is no ticketstore.KeyRotator", c.store)
	case r.needs == limit && c.cap == 0:
		return "the fixture has no Cap"
	case r.needs == history && c.historian == nil:
		return fmt.Sprintf("%T remembers no endings", c.store)
	case r.needs == marks && (!c.marks || c.index == nil):
		return "the fixture has no Marks"
	case r.needs == links && c.links == nil:
		return fmt.Sprintf("%T is no ticketstore.LinkIndex", c.store)
	}
	return ""
}

// broken returns the rules that the store does not keep, by name.
func broken(newFixture func() Fixture) map[string]error {
	errs := map[string]error{}
	for _, r := range rules() {
		c := newChecker(newFixture())
		if r.missing(c) != "" {
			continue
		}
		if err := r.check(c); err != nil {
			errs[r.name] = err
		}
	}
	return errs
}
