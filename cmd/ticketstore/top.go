package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/ticketstore/ticketstore"
)

const (
	topRows  = 10
	maxNames = 1000 // that are counted apart: a client may call itself anything
	others   = "(others)"
)

// A tally counts names.
type tally map[string]int64

func (t tally) add(name string) {
	if _, ok := t[name]; !ok && len(t) >= maxNames {
		name = others
	}
	t[name]++
}

type counted struct {
	Name     string `json:"name"`
	Sessions int64  `json:"sessions"`
}

// most returns the names that are most frequent, and in one what the rest have.
func (t tally) most() []counted {
	list := []counted{}
	for name, n := range t {
		list = append(list, counted{name, n})
	}
	slices.SortFunc(list, func(a, b counted) int {
		return cmp.Or(cmp.Compare(b.Sessions, a.Sessions), cmp.Compare(a.Name, b.Name))
	})
	if len(list) <= topRows {
		return list
	}
	rest := counted{Name: others}
	list = slices.DeleteFunc(list, func(c counted) bool {
		if c.Name == others {
			rest.Sessions += c.Sessions
		}
		return c.Name == others
	})
	for _, c := range list[min(topRows, len(list)):] {
		rest.Sessions += c.Sessions
	}
	return append(list[:min(topRows, len(list))], rest)
}

// oldest adds s to list, the sessions that were signed in first.
func oldest(list []ticketstore.Session, s ticketstore.Session) []ticketstore.Session {
	if s.SignedInAt.IsZero() {
		return list
	}
	i, _ := slices.BinarySearchFunc(list, s, func(a, b ticketstore.Session) int {
		return cmp.Or(a.SignedInAt.Compare(b.SignedInAt), cmp.Compare(a.ID, b.ID))
	})
	if i >= topRows {
		return list
	}
	list = slices.Insert(list, i, s)
	return list[:min(topRows, len(list))]
}

func top(ctx context.Context, j *job, _ []string) error {
	total, err := j.store.Count(ctx)
	if err != nil {
		return err
	}
	d, devices, schemes := newDescriber(ctx), tally{}, tally{}
	old := make([]ticketstore.Session, 0, topRows+1)
	n, p := int64(0), j.progress(total.Sessions, "sessions read")
	for cursor, more := "", true; more; more = cursor != "" {
		page, next, err := j.store.SessionPage(ctx, cursor, 1000)
		if err != nil {
			p.end()
			return err
		}
		for _, s := range page {
			name, _ := d.device(s)
			devices.add(name)
			if !s.Undecodable {
				schemes.add(cmp.Or(s.Scheme, "(none)"))
			}
			old = oldest(old, s)
		}
		n, cursor = n+int64(len(page)), next
		p.show(n)
	}
	p.end()
	if j.json {
		return j.writeJSON(struct {
			Sessions int64                 `json:"sessions"`
			Devices  []counted             `json:"devices"`
			Schemes  []counted             `json:"schemes"`
			Oldest   []ticketstore.Session `json:"oldest"`
		}{n, devices.most(), schemes.most(), old})
	}
	if n == 0 {
		return errNothing
	}
	for _, t := range []struct {
		heading string
		tally
	}{{"DEVICE", devices}, {"SCHEME", schemes}} {
		rows := [][]string{{t.heading, "SESSIONS"}}
		for _, c := range t.most() {
			rows = append(rows, []string{cell(c.Name), group(c.Sessions)})
		}
		if err := j.table(rows); err != nil {
			return err
		}
		fmt.Fprintln(j.stdout)
	}
	rows := [][]string{{"SIGNED IN", "LAST USED", "ID", "DEVICE", "USER"}}
	for _, s := range old {
		name, _ := d.device(s)
		rows = append(rows, []string{instant(s.SignedInAt), instant(s.IssuedAt), s.ID, name, cell(s.Subject)})
	}
	return j.table(rows)
}
