package admin

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"

	"github.com/ticketstore/ticketstore/internal/ui"
)

// People are those whom Config.Find has found, and how many sessions each has.
type People struct {
	Query string // as it may be shown
	Of    []UserSessions
	More  bool // there are more than Of
}

const (
	maxFound = 50 // people on a page
	atOnce   = 8  // questions to the store
)

// find answers GET for those whom a query finds: a list of them, or the page of
// the only one. Whoever has exactly the query as subject is among them. If there
// is nobody, or nobody can be looked up, the query is a subject.
func (v *visit) find(query string) {
	var found []string
	var err error
	if v.cfg.Find != nil {
		err = v.ask(v.r.Context(), func(ctx context.Context) (err error) {
			found, err = v.cfg.Find(ctx, query)
			return err
		})
	}
	if err != nil {
		v.Log(v.r, slog.LevelError, "users cannot be found", "error", err)
		if ui.WantsJSON(v.r) {
			v.refuse(http.StatusServiceUnavailable, "")
			return
		}
		v.show(http.StatusOK, query, v.text.NoFind)
		return
	}
	p := v.newPage()
	p.People = &People{Query: ui.Clean(query, maxSubject), Of: []UserSessions{}}
	seen := map[string]bool{"": true}
	for _, subject := range append([]string{query}, found...) {
		if len(p.People.Of) == maxFound+2 { // the query's, and one that there is no room for
			break
		}
		if !seen[subject] {
			seen[subject] = true
			p.People.Of = append(p.People.Of, UserSessions{User: newUser(subject)})
		}
	}
	if err := v.count(p.People.Of); err != nil {
		v.failed(err)
		return
	}
	if exact := p.People.Of[0]; exact.Sessions == 0 && !slices.Contains(found, query) {
		p.People.Of = p.People.Of[1:]
	}
	if n := len(p.People.Of); n > maxFound {
		p.People.Of, p.People.More = p.People.Of[:maxFound], true
	}
	if v.json(http.StatusOK, "", &p, func() any {
		return struct {
			Users []UserSessions `json:"users"`
			More  bool           `json:"more,omitempty"`
		}{p.People.Of, p.People.More}
	}) {
		return
	}
	switch len(p.People.Of) {
	case 0:
		ui.SeeOther(v.w, "?"+url.Values{"subject": {query}}.Encode())
	case 1:
		ui.SeeOther(v.w, "?"+url.Values{"subject": {p.People.Of[0].Subject}}.Encode())
	default:
		v.page(http.StatusOK, p)
	}
}

// count sets how many sessions each of list has, with a few questions at once.
func (v *visit) count(list []UserSessions) error {
	errs := make([]error, len(list))
	return v.ask(v.r.Context(), func(ctx context.Context) error {
		for first := 0; first < len(list); first += atOnce {
			var wg sync.WaitGroup
			for i := first; i < min(first+atOnce, len(list)); i++ {
				wg.Go(func() {
					sessions, err := v.store.Sessions(ctx, list[i].Subject)
					list[i].Sessions, errs[i] = int64(len(sessions)), err
				})
			}
			wg.Wait()
		}
		for _, err := range errs {
			if err != nil {
				return err
			}
		}
		return nil
	})
}
