package admin

import (
	"context"
	"errors"
	"slices"

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

	// By is who ended it, if somebody has said so, as it may be shown, and ByName
	// what Config.Name calls them.
	By     string `json:"by,omitempty"`
	ByName string `json:"byName,omitempty"`

	UserAgent string `json:"userAgent,omitempty"` // as of a Row
	Actor     *Actor `json:"actor,omitempty"`
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

const (
	maxBy    = 256 // runes
	maxAgent = 512
)

// describe returns an ending as it is shown.
func describe(d *ui.Describer, e ticketstore.Ending) Ended {
	return Ended{User: newUser(e.Session.Subject), Ended: devices.Ended(d.Ended(e)), By: ui.Clean(e.By, maxBy), UserAgent: ui.Clean(e.Session.Device.UserAgent, maxAgent), Actor: actor(e.Session.Actor)}
}

// endingsOf returns the ended sessions of subject; nil if the store does not
// remember them.
func (v *visit) endingsOf(subject string) (endings []ticketstore.Ending, err error) {
	store, ok := v.store.(interface {
		History(ctx context.Context, subject string) ([]ticketstore.Ending, error)
	})
	if !ok {
		return nil, nil
	}
	err = v.ask(v.r.Context(), func(ctx context.Context) (err error) {
		endings, err = store.History(ctx, subject)
		return err
	})
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return nil, nil
	case err == nil && endings == nil:
		return []ticketstore.Ending{}, nil
	}
	return endings, err
}

// history returns what f lets through of a user's endings, if there are some to
// know of.
func (v *visit) history(endings []ticketstore.Ending, f Filter) *History {
	if endings == nil {
		return nil
	}
	hist := &History{Ended: []Ended{}}
	for _, ending := range endings {
		e := describe(v.describer, ending)
		hist.add(Cause{e.Cause, e.Why})
		if !f.ended(e) {
			continue
		}
		if hist.Found++; hist.Found <= int64(v.cfg.PageSize) {
			hist.Ended = append(hist.Ended, e)
		}
	}
	return hist
}
