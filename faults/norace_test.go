//go:build !race

package faults

const defaultRuns = 10_000
