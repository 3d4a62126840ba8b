package storetest

import (
	"time"
)

var linkMutants = []mutant{
	{name: "links need no end", breaks: "Store/links", change: func(m *memory) {
		accept(m, func(t *ticket) bool { return len(t.Links) > 0 && t.EndsAt.IsZero() })
	}},
	{name: "a renewal loses the links", breaks: "Links/kept Linked/live RevokeLinked/all RevokeLinked/before RevokeLinked/mark RevokeLinked/progress", change: func(m *memory) {
		alter(m, func(kept, _ *ticket) { kept.Links = nil })
	}},
	{name: "when a session began is lost", breaks: "Links/kept RevokeLinked/before", change: func(m *memory) {
		alter(m, func(kept, _ *ticket) { kept.LinkedAt = time.Time{} })
	}},
	{name: "a link is every link that begins like it", breaks: "RevokeLinked/all", change: func(m *memory) {
		m.do.has = func(t *ticket, link string) bool {
			return m.has(t, link) || len(link) > len(sid) && m.has(t, link[:len(sid)])
		}
	}},
	{name: "a logout ends what began after it", breaks: "RevokeLinked/before", change: func(m *memory) {
		m.do.revokeLinked = func(link string, before time.Time, progress func(int)) int {
			return m.revokeLinked(link, before.Add(2*time.Second), progress)
		}
	}},
	{name: "a link leaves no mark", breaks: "RevokeLinked/mark", change: func(m *memory) {
		m.do.markLink = func(string, time.Time) {}
	}},
	{name: "an older logout takes the mark back", breaks: "RevokeLinked/mark", change: func(m *memory) {
		m.do.markLink = func(link string, before time.Time) { m.linkMarks[link] = linkMark{m.now, before} }
	}},
	{name: "progress is told nothing", breaks: "RevokeLinked/progress", change: func(m *memory) {
		m.do.revokeLinked = func(link string, before time.Time, _ func(int)) int { return m.revokeLinked(link, before, nil) }
	}},
	{name: "what has ended is linked", breaks: "Linked/live RevokeLinked/all RevokeLinked/before", change: func(m *memory) {
		m.do.end = func(r *record) {
			if len(r.Links) > 0 {
				r.key, r.previous = "ended", ""
				return
			}
			m.end(r)
		}
	}},
}
