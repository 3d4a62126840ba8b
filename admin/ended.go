package admin

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/ticketstore/ticketstore"
)

// An endingStore remembers the endings of all, as [ticketstore.RedisStore] does.
type endingStore interface {
	EndingPage(ctx context.Context, since time.Time, cursor string, limit int) (endings []ticketstore.Ending, next string, err error)
}

// endings returns what is on the page that cursor names of all that have ended,
// and the cursor of the next one.
func (v *visit) endings(f Filter, cursor string) (hist *History, next string, err error) {
	store, ok := v.store.(endingStore)
	if !ok {
		return nil, "", errors.ErrUnsupported
	}
	hist = &History{Ended: []Ended{}}
	for _, cause := range []string{"signed-out", "replaced", "revoked", byOperator, "reported", "evicted", "idle", "lifetime", "impersonation-ended", "operator-signed-out", "deleted", "undelivered", "forgotten"} {
		hist.add(v.cause(cause))
	}
	hist.add(v.cause(f.Cause))
	for s := newScan(v.cfg.PageSize); s.goes(len(hist.Ended)); {
		var page []ticketstore.Ending
		err := v.ask(v.r.Context(), func(ctx context.Context) (err error) {
			page, cursor, err = store.EndingPage(ctx, f.since, cursor, s.limit)
			return err
		})
		if err != nil {
			return nil, "", err
		}
		for _, ending := range page {
			if e := describe(v.describer, ending); f.ended(e) {
				hist.Ended = append(hist.Ended, e)
				hist.add(Cause{e.Cause, e.Why})
			}
		}
		s.read(len(page), cursor)
	}
	return hist, cursor, nil
}

// cause returns a cause in words, as rows have it.
func (v *visit) cause(cause string) Cause {
	e := v.describer.Ended(ticketstore.Ending{Cause: cause})
	return Cause{e.Cause, e.Why}
}

// ended answers GET for all that have ended.
func (v *visit) ended() {
	q := v.r.URL.Query()
	f, bad := parseFilter(q)
	if bad != nil {
		v.badFilter(f, bad)
		return
	}
	at, status, failure := parseTrail(q), http.StatusOK, ""
	hist, next, err := v.endings(f, at.cursor)
	if errors.Is(err, ticketstore.ErrNotFound) { // there is no such page
		at, status, failure = trail{}, http.StatusBadRequest, v.text.NoPage
		hist, next, err = v.endings(f, "")
	}
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		v.refuse(http.StatusNotFound, v.text.NoHistory)
		return
	case err != nil:
		v.failed(err)
		return
	}
	p := v.newPage()
	p.History, p.Filter = hist, f
	p.Message, p.Failed = failure, failure != ""
	filter := f.values()
	filter.Set("ended", all)
	p.link(filter, at, next)
	if !v.json(status, failure, &p, func() any {
		return struct {
			Ended []Ended `json:"ended"`
			Next  string  `json:"next,omitempty"`
		}{hist.Ended, next}
	}) {
		v.page(status, p)
	}
}
