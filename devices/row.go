package devices

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/ui"
)

// A Row is one session on the page and in JSON. Its strings are short, in one
// line, and free of control characters; those that a client had a say in may
// be written in any direction: put them in <bdi>.
type Row struct {
	ID      string `json:"id"`
	Current bool   `json:"current"` // the one of the request

	// Undecodable is set if the session cannot be read. Only ID and ExpiresAt
	// are known then.
	Undecodable bool `json:"undecodable,omitempty"`

	// Staff is set if it is no sign-in of the user's, but of an operator who acts
	// as the user: see [ticketstore.Session].Actor.
	Staff bool `json:"staff,omitempty"`

	Kind      string `json:"kind"`                // computer, phone, tablet, program or unknown
	Device    string `json:"device"`              // "Firefox on Linux": what it says it is
	UserAgent string `json:"userAgent,omitempty"` // all that it says
	Addr      string `json:"addr,omitempty"`      // where it was last seen
	Place     string `json:"place,omitempty"`     // of Addr, as Config.Locate says

	FirstAddr  string `json:"firstAddr,omitempty"` // where it signed in
	FirstPlace string `json:"firstPlace,omitempty"`
	Scheme     string `json:"scheme,omitempty"`     // how, as the application calls it
	Persistent bool   `json:"persistent,omitempty"` // whether it stays signed in when the browser is closed

	SignedInAt time.Time `json:"signedInAt,omitzero"`

	// LastUsedAt is to within [ticketstore.Config].RenewAfter. LastUsed is how
	// long ago that is, in words.
	LastUsedAt time.Time `json:"lastUsedAt,omitzero"`
	LastUsed   string    `json:"-"`

	ExpiresAt time.Time `json:"expiresAt"` // if it is not used
}

// An Ended is a session that has ended, on the page and in JSON. Its strings
// are as those of a [Row].
type Ended struct {
	ID string `json:"id"`

	// Undecodable is set if nothing is known of what the session was.
	Undecodable bool `json:"undecodable,omitempty"`

	Kind   string `json:"kind"` // as of a Row
	Device string `json:"device"`
	Addr   string `json:"addr,omitempty"` // where it signed in
	Place  string `json:"place,omitempty"`

	SignedInAt time.Time `json:"signedInAt,omitzero"`

	// EndedAt is when it ended; EndedAgo is how long ago, in words.
	EndedAt  time.Time `json:"endedAt"`
	EndedAgo string    `json:"-"`

	// Cause is that of [ticketstore.Ending]; Why says it in words.
	Cause string `json:"cause"`
	Why   string `json:"-"`
}

// rows returns the sessions of r's user.
func (h *handler) rows(r *http.Request, d *ui.Describer) ([]Row, error) {
	sessions, current, err := h.manager.Sessions(r)
	if err != nil {
		return nil, err
	}
	rows := make([]Row, 0, len(sessions))
	for _, s := range sessions {
		row := Row(d.Row(s, current))
		if row.Current {
			rows = slices.Insert(rows, 0, row)
		} else {
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// endings returns the sessions of r's user that have ended; nil if nobody knows.
func (h *handler) endings(r *http.Request) ([]ticketstore.Ending, error) {
	t, ok := ticketstore.FromContext(r.Context())
	if h.cfg.History == nil || !ok {
		return nil, nil
	}
	endings, err := h.cfg.History(r.Context(), t.Subject)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return nil, nil
	case err == nil && endings == nil:
		endings = []ticketstore.Ending{}
	}
	return endings, err
}

// ended returns the last of endings as they are shown.
func ended(d *ui.Describer, endings []ticketstore.Ending) []Ended {
	if endings == nil {
		return nil
	}
	ended := []Ended{}
	for _, e := range endings[:min(len(endings), maxEnded)] {
		ended = append(ended, Ended(d.Ended(e)))
	}
	return ended
}

const maxEnded = 10
