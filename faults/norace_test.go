//go:build !race

package faults

import "testing"

const defaultRuns = 10_000

// A seed is enough to see almost every run again, whose goroutines come in
// another order.
func TestSimulationRepeats(t *testing.T) {
	const runs = 100
	differ := 0
	for seed := range uint64(runs) {
		events := program(seed, events)
		first, again := mutant(nil).simulate(t, seed, events).String(), mutant(nil).simulate(t, seed, events).String()
		if first != again {
			differ++
		}
	}
	if differ > runs/4 {
		t.Errorf("%d of %d runs are others when they are repeated", differ, runs)
	}
	t.Logf("%d of %d runs are others when they are repeated", differ, runs)
}
