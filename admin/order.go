package admin

import (
	"cmp"
	"slices"
)

// order puts the rows of a page as a person looks for them: those of a user
// together, the last used first; and the user who was there last first. Those
// that cannot be read come last.
func order(rows []Row) {
	latest := map[string]int64{}
	for _, row := range rows {
		latest[row.Subject] = max(latest[row.Subject], used(row))
	}
	slices.SortStableFunc(rows, func(a, b Row) int {
		return cmp.Or(
			cmp.Compare(latest[b.Subject], latest[a.Subject]),
			cmp.Compare(a.Subject, b.Subject), // of two who were there at once
			cmp.Compare(used(b), used(a)),
		)
	})
	for i := range rows {
		rows[i].Again = i > 0 && rows[i].Subject != "" && rows[i].Subject == rows[i-1].Subject
	}
}

// used returns when a session was last used, in Unix milliseconds; 0 if that is
// not known.
func used(row Row) int64 {
	if row.LastUsedAt.IsZero() {
		return 0
	}
	return row.LastUsedAt.UnixMilli()
}
