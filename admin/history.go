package admin

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/devices"
	"github.com/ticketstore/ticketstore/internal/ui"
)

// A History is what is known of sessions that have ended, those of one user or
// of all, as far as the filter lets it through.
type History struct {
	Ended []Ended // the last one first, of a user at most Config.PageSize
	Found int64   // how many there are of a user

	Causes []Cause // for a filter to choose from
}

// An Ended is one session that has ended, on a page and in JSON.
type Ended struct {
	User
	devices.Ended

	// By is who ended it, if somebody has said so. It is shown as Name is.
	By string `json:"by,omitempty"`
}

// A Cause is one that sessions have ended for.
type Cause struct {
	Cause string
	Why   string // in words
}

// Shown returns how many of them are on the page.
func (h *History) Shown() int64 { return int64(len(h.Ended)) }

// add takes a cause to choose from.
func (h *History) add(c Cause) {
	if c.Cause != "" && !slices.ContainsFunc(h.Causes, func(other Cause) bool { return other.Cause == c.Cause }) {
		h.Causes = append(h.Causes, c)
	}
}

const maxBy = 256 // runes

// describe returns an ending as it is shown.
func describe(d *ui.Describer, e ticketstore.Ending) Ended {
	return Ended{newUser(e.Session.Subject), devices.Ended(d.Ended(e)), ui.Clean(e.By, maxBy)}
}

// history returns what f lets through of the ended sessions of subject; nil if
// the store does not remember them.
func (h *handler) history(r *http.Request, subject string, f Filter) (*History, error) {
	store, ok := h.store.(interface {
		History(ctx context.Context, subject string) ([]ticketstore.Ending, error)
	})
	if !ok {
		return nil, nil
	}
	var endings []ticketstore.Ending
	err := h.ask(r.Context(), func(ctx context.Context) (err error) {
		endings, err = store.History(ctx, subject)
		return err
	})
	if errors.Is(err, errors.ErrUnsupported) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	hist := &History{Ended: []Ended{}}
	describer := h.describer(r)
	for _, ending := range endings {
		e := describe(describer, ending)
		hist.add(Cause{e.Cause, e.Why})
		if !f.ended(e) {
			continue
		}
		if hist.Found++; hist.Found <= int64(h.cfg.PageSize) {
			hist.Ended = append(hist.Ended, e)
		}
	}
	return hist, nil
}

// An endingStore remembers the endings of all, as [ticketstore.RedisStore] does.
type endingStore interface {
	EndingPage(ctx context.Context, since time.Time, cursor string, limit int) (endings []ticketstore.Ending, next string, err error)
}

// endings returns what is on the page that cursor names of all that have ended,
// and the cursor of the next one.
func (h *handler) endings(r *http.Request, f Filter, cursor string) (hist *History, next string, err error) {
	store, ok := h.store.(endingStore)
	if !ok {
		return nil, "", errors.ErrUnsupported
	}
	hist = &History{Ended: []Ended{}}
	for _, cause := range []string{"signed-out", "replaced", "revoked", byOperator, "reported", "evicted", "idle", "lifetime", "deleted", "undelivered", "forgotten"} {
		hist.add(h.cause(cause))
	}
	hist.add(h.cause(f.Cause))
	describer := h.describer(r)
	for s := newScan(h.cfg.PageSize); s.goes(len(hist.Ended)); {
		var page []ticketstore.Ending
		err := h.ask(r.Context(), func(ctx context.Context) (err error) {
			page, cursor, err = store.EndingPage(ctx, f.since, cursor, s.limit)
			return err
		})
		if err != nil {
			return nil, "", err
		}
		for _, ending := range page {
			if e := describe(describer, ending); f.ended(e) {
				hist.Ended = append(hist.Ended, e)
				hist.add(Cause{e.Cause, e.Why})
			}
		}
		s.read(len(page), cursor)
	}
	return hist, cursor, nil
}

// cause returns a cause in words, as rows have it.
func (h *handler) cause(cause string) Cause {
	e := h.describer(new(http.Request)).Ended(ticketstore.Ending{Cause: cause})
	return Cause{e.Cause, e.Why}
}

// ended answers GET for all that have ended.
func (h *handler) ended(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	f, bad := parseFilter(q)
	if bad != nil {
		h.badFilter(w, r, f, bad)
		return
	}
	cursor, status := q.Get("cursor"), http.StatusOK
	hist, next, err := h.endings(r, f, cursor)
	if errors.Is(err, ticketstore.ErrNotFound) { // there is no such page
		cursor, status = "", http.StatusBadRequest
		hist, next, err = h.endings(r, f, "")
	}
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		h.Refuse(w, r, ui.NoPage, ui.Notice{Text: "The store does not remember what has ended: see History of RedisConfig."})
	case err != nil:
		h.Fail(w, r, err)
	case ui.WantsJSON(r) && status != http.StatusOK:
		h.RefuseAs(w, r, status, ui.NoPage, ui.Notice{Text: h.cfg.Text.NoPage})
	case ui.WantsJSON(r):
		h.JSON(w, r, http.StatusOK, struct {
			Ended []Ended `json:"ended"`
			Next  string  `json:"next,omitempty"`
		}{hist.Ended, next})
	default:
		p := h.newPage()
		p.History, p.Filter, p.Later, p.Next = hist, f, cursor != "", next
		if status != http.StatusOK {
			p.Message, p.Failed = h.cfg.Text.NoPage, true
		}
		h.Page(w, r, status, p)
	}
}
