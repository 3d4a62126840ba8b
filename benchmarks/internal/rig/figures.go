package rig

import (
	"cmp"
	"fmt"
	"slices"
)

// Middle is the median; of an even number, the lower one.
func Middle[T cmp.Ordered](v []T) T {
	v = slices.Sorted(slices.Values(v))
	return v[(len(v)-1)/2]
}

// Group writes n without a fraction, as 1,000,000.
func Group[T int | float64](n T) string {
	s := fmt.Sprintf("%.0f", float64(n))
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
