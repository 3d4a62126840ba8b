package admin

import "net/url"

// A trail is a page of a list, by its cursor, and the way there: the cursors of
// the pages before it, the first page's "" first. Cursors lead on, never back.
type trail struct {
	cursor string
	back   []string
}

const (
	maxTrail  = 20  // pages that lead back; those before are forgotten
	maxCursor = 256 // bytes
)

// parseTrail returns the trail in q. What is too long is none: the store refuses
// the cursor.
func parseTrail(q url.Values) trail {
	t := trail{q.Get("cursor"), q["back"]}
	if t.cursor == "" || len(t.back) > maxTrail {
		t.back = nil
	}
	for _, cursor := range t.back {
		if len(cursor) > maxCursor {
			t.back = nil
		}
	}
	return t
}

// add adds t to a query.
func (t trail) add(q url.Values) {
	if t.cursor != "" {
		q.Set("cursor", t.cursor)
		if len(t.back) > 0 {
			q["back"] = t.back
		}
	}
}

// to returns the trail of the page behind t.
func (t trail) to(next string) trail {
	back := append(append([]string(nil), t.back...), t.cursor)
	return trail{next, back[max(0, len(back)-maxTrail):]}
}

// before returns the trail of the page before t, if that is known.
func (t trail) before() (previous trail, known bool) {
	if len(t.back) == 0 {
		return trail{}, false
	}
	last := len(t.back) - 1
	return trail{t.back[last], t.back[:last]}, true
}

// link sets p's links to the other pages of the list that q is the query of; p
// is at t, and next is the cursor behind it.
func (p *Page) link(q url.Values, at trail, next string) {
	link := func(t trail) string {
		to := url.Values{}
		for name, values := range q {
			to[name] = values
		}
		t.add(to)
		return "?" + to.Encode()
	}
	if at.cursor != "" {
		p.First = link(trail{})
	}
	if previous, known := at.before(); known {
		p.Previous = link(previous)
	}
	if next != "" {
		p.Next = link(at.to(next))
	}
}
