package devices

import (
	_ "embed"
	"errors"
	"html/template"
	"net/http"
	"slices"
	"time"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/clock"
	"github.com/ticketstore/ticketstore/internal/ui"
)

//go:embed page.html
var pageHTML string

func builtIn() *template.Template { return ui.Template("devices", pageHTML) }

// A Page is what a [Config].Template is executed with.
//
// Its forms post to the address that the page is at, so that they need no
// action; the field revoke says what to end,
// the field report what to end and to report:
//
//	<form method="post">
//	<button name="revoke" value="{{.ID}}">Sign out</button>
//	<button name="report" value="{{.ID}}">This wasn’t me</button>
//	<button name="revoke" value="others">Sign out all other devices</button>
//	<button name="revoke" value="all">Sign out everywhere</button>
//	</form>
type Page struct {
	Text Text

	// Message says what the last request did; empty if it was no action.
	// Failed is set if it did not do it.
	Message string
	Failed  bool

	Rows   []Row // the present device first, then newest sign-in first
	Others int   // how many of Rows are not the present device
	Report bool  // whether Config.Report is set

	// Ended are sessions that have ended, the last one first. History is set if
	// they are known.
	Ended   []Ended
	History bool

	// Style is the built-in style sheet.
	Style template.CSS
}

// A Row is one session on the page and in JSON. Its strings are short, in one
// line, and free of control characters; those that a client had a say in may
// be written in any direction: put them in <bdi>.
type Row struct {
	ID      string `json:"id"`
	Current bool   `json:"current"` // the one of the request

	// Undecodable is set if the session cannot be read. Only ID and ExpiresAt
	// are known then.
	Undecodable bool `json:"undecodable,omitempty"`

	Kind   string `json:"kind"`            // computer, phone, tablet, program or unknown
	Device string `json:"device"`          // "Firefox on Linux": what it says it is
	Addr   string `json:"addr,omitempty"`  // where it was last seen
	Place  string `json:"place,omitempty"` // of Addr, as Config.Locate says

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
func (h *handler) rows(r *http.Request) ([]Row, error) {
	sessions, current, err := h.manager.Sessions(r)
	if err != nil {
		return nil, err
	}
	describer := h.describer(r)
	rows := make([]Row, 0, len(sessions))
	for _, s := range sessions {
		row := Row(describer.Row(s, current))
		if row.Current {
			rows = slices.Insert(rows, 0, row)
		} else {
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// ended returns the sessions of r's user that have ended of late; nil if nobody
// knows.
func (h *handler) ended(r *http.Request) ([]Ended, error) {
	t, ok := ticketstore.FromContext(r.Context())
	if h.cfg.History == nil || !ok {
		return nil, nil
	}
	endings, err := h.cfg.History(r.Context(), t.Subject)
	if err != nil {
		if errors.Is(err, errors.ErrUnsupported) {
			err = nil
		}
		return nil, err
	}
	describer := h.describer(r)
	ended := []Ended{}
	for _, e := range endings[:min(len(endings), maxEnded)] {
		ended = append(ended, Ended(describer.Ended(e)))
	}
	return ended, nil
}

const maxEnded = 10

func (h *handler) describer(r *http.Request) *ui.Describer {
	return ui.NewDescriber(&h.words, h.cfg.Locate, clock.Now(r.Context()))
}

func (h *handler) newPage(rows []Row, ended []Ended, message string, failed bool) Page {
	p := Page{
		Text: h.cfg.Text, Message: message, Failed: failed, Rows: rows, Report: h.cfg.Report != nil,
		Ended: ended, History: ended != nil, Style: template.CSS(ui.Style),
	}
	for _, row := range rows {
		if !row.Current {
			p.Others++
		}
	}
	return p
}

// examplePage has one of everything, to try a template on.
func (h *handler) examplePage() Page {
	var rows []Row
	for _, row := range ui.Examples(&h.words) {
		rows = append(rows, Row(row))
	}
	ended := []Ended{}
	for _, e := range ui.ExamplesEnded(&h.words) {
		ended = append(ended, Ended(e))
	}
	return h.newPage(rows, ended, h.cfg.Text.DoneOne, true)
}
