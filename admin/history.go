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

// A History is what is known of a user's sessions that have ended, as far as
// the filter lets it through.
type History struct {
	Ended []Ended // the last one first, at most Config.PageSize
	Found int64   // how many there are

	// The filter: a cause, and a day (UTC) such as "2026-11-20". An empty one
	// lets all through.
	Cause string
	Since string

	Causes []Cause // of all that has ended, for a filter to choose from
}

// An Ended is one session that has ended, on a user's page and in JSON.
type Ended struct {
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

const maxBy = 256 // runes

var errSince = errors.New("since is a day, such as 2026-11-20")

// history returns what r asks for of the ended sessions of subject; nil if the
// store does not remember them.
func (h *handler) history(r *http.Request, subject string) (*History, error) {
	store, ok := h.store.(interface {
		History(ctx context.Context, subject string) ([]ticketstore.Ending, error)
	})
	if !ok {
		return nil, nil
	}
	q := r.URL.Query()
	hist := &History{Ended: []Ended{}, Cause: q.Get("cause"), Since: q.Get("since")}
	var since time.Time
	if hist.Since != "" {
		var err error
		if since, err = time.Parse(time.DateOnly, hist.Since); err != nil {
			return nil, errSince
		}
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
	describer := h.describer(r)
	for _, ending := range endings {
		e := Ended{devices.Ended(describer.Ended(ending)), ui.Clean(ending.By, maxBy)}
		if c := (Cause{e.Cause, e.Why}); !slices.Contains(hist.Causes, c) {
			hist.Causes = append(hist.Causes, c)
		}
		if hist.Cause != "" && e.Cause != hist.Cause || e.EndedAt.Before(since) {
			continue
		}
		if hist.Found++; hist.Found <= int64(h.cfg.PageSize) {
			hist.Ended = append(hist.Ended, e)
		}
	}
	return hist, nil
}
