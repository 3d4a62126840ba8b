//go:build race

package faults

const defaultRuns = 200 // CI also runs them without the race detector
