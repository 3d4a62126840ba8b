package devices

import "slices"

const (
	pageSize = 50 // rows
	few      = 5  // rows that are seen at one glance
)

// A Group are the sessions of equal devices: of one Kind and Device. The present
// device is in a group of its own.
type Group struct {
	Kind   string
	Device string

	Rows     []Row // on this page
	Sessions int   // on all pages

	// Last is the one of Rows that was last used.
	Last Row
}

// alike is what rows of a group have in common.
type alike struct {
	kind, device                string
	current, undecodable, staff bool
}

func (r Row) alike() alike { return alike{r.Kind, r.Device, r.Current, r.Undecodable, r.Staff} }

// sideBySide returns rows with those that are alike side by side, and how many of
// each there are.
func sideBySide(rows []Row) (sorted []Row, sessions map[alike]int) {
	first, sessions := map[alike]int{}, map[alike]int{}
	for i, row := range rows {
		if sessions[row.alike()]++; sessions[row.alike()] == 1 {
			first[row.alike()] = i
		}
	}
	sorted = slices.Clone(rows)
	slices.SortStableFunc(sorted, func(a, b Row) int { return first[a.alike()] - first[b.alike()] })
	return sorted, sessions
}

// group returns the groups that rows, side by side, are in.
func group(rows []Row, sessions map[alike]int) (groups []Group) {
	for i, row := range rows {
		if i == 0 || row.alike() != rows[i-1].alike() {
			groups = append(groups, Group{Kind: row.Kind, Device: row.Device, Sessions: sessions[row.alike()], Last: row})
		}
		g := &groups[len(groups)-1]
		g.Rows = append(g.Rows, row)
		if row.LastUsedAt.After(g.Last.LastUsedAt) {
			g.Last = row
		}
	}
	return groups
}
