package devices

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/clock"
	"github.com/ticketstore/ticketstore/internal/recent"
	"github.com/ticketstore/ticketstore/internal/ui"
)

const (
	one    = "one"
	others = "others" // all sessions but the request's own
	all    = "all"
	alikes = "alike"

	reported = "reported" // a cause
)

type handler struct {
	ui.Responder
	manager *ticketstore.Manager
	cfg     Config
	confirm http.Handler // the page, for a sign-in that is recent
	sure    http.Handler // the same for the one that asks
	delete  http.Handler
	ended   ui.Memory
}

// serve answers r, which has a ticket of h.manager in its context.
func (h *handler) serve(w http.ResponseWriter, r *http.Request) {
	page := target(r) == ""
	switch {
	case page && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		switch q := r.URL.Query(); {
		case ui.WantsJSON(r):
			h.json(w, r)
		case q.Has("sure"):
			h.sure.ServeHTTP(w, r)
		case q.Has("confirm"):
			h.confirm.ServeHTTP(w, r)
		default:
			h.list(w, r)
		}
	case page && r.Method == http.MethodPost:
		h.post(w, r)
	case page:
		w.Header().Set("Allow", "GET, HEAD, POST")
		h.Refuse(w, r, ui.NoMethod, ui.Notice{})
	case r.Method == http.MethodDelete && target(r) == ownID(r):
		h.end(w, r)
	case r.Method == http.MethodDelete:
		h.delete.ServeHTTP(w, r)
	default:
		h.Refuse(w, r, ui.NoPage, ui.Notice{})
	}
}

// target returns what r's path names: a session ID, others or all; "" for the
// page.
func target(r *http.Request) string { return strings.TrimPrefix(r.URL.Path, "/") }

// ownID returns the ID of r's own session.
func ownID(r *http.Request) string {
	t, _ := ticketstore.FromContext(r.Context())
	return t.ID
}

// json answers GET with all there is, in UTC.
func (h *handler) json(w http.ResponseWriter, r *http.Request) {
	d := ui.NewDescriber(h.wordsFor(r), h.cfg.Locate, nil, clock.Now(r.Context()))
	rows, err := h.rows(r, d)
	var endings []ticketstore.Ending
	if err == nil {
		endings, err = h.endings(r)
	}
	if err != nil {
		h.fail(w, r, err)
		return
	}
	h.JSON(w, r, http.StatusOK, struct {
		Sessions []Row   `json:"sessions"`
		Ended    []Ended `json:"ended,omitzero"`
	}{rows, ended(d, endings)})
}

// list answers GET.
func (h *handler) list(w http.ResponseWriter, r *http.Request) {
	h.show(w, r, h.view(r), http.StatusOK, "")
}

// show writes the page. It says what has failed, or else what was done last.
func (h *handler) show(w http.ResponseWriter, r *http.Request, v *view, status int, failure string) {
	rows, err := h.rows(r, v.describer)
	var endings []ticketstore.Ending
	if err == nil {
		endings, err = h.endings(r)
	}
	if err != nil {
		h.fail(w, r, err)
		return
	}
	p := h.newPage(v)
	number, _ := strconv.Atoi(r.URL.Query().Get("page")) // else the first
	p.list(rows, number)
	p.Ended, p.History = ended(v.describer, endings), endings != nil
	p.Message, p.Failed = failure, failure != ""
	if !p.Failed {
		p.Message = h.message(r, v, endings)
	}
	h.Page(w, r, status, p)
}

// notFound answers for a session that the user has not, or no longer.
func (h *handler) notFound(w http.ResponseWriter, r *http.Request) {
	v := h.view(r)
	h.show(w, r, v, http.StatusNotFound, v.text.NotFound)
}

// recent reports whether r's user may end sessions, as RequireRecent does.
func (h *handler) recent(r *http.Request) bool {
	t, _ := ticketstore.FromContext(r.Context())
	_, acting := t.Actor()
	return h.cfg.RecentSignIn == 0 || !acting && clock.Now(r.Context()).Sub(recent.At(t.AuthenticatedAt, t.SignedInAt)) < h.cfg.RecentSignIn
}

// fail answers for an error of the Manager. No cookie changes.
func (h *handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, ticketstore.ErrNotFound) && r.Method != http.MethodDelete:
		// The session has ended since Require. It decides again.
		ui.SeeOther(w, "?")
	case errors.Is(err, ticketstore.ErrNotFound):
		w.Header().Set("WWW-Authenticate", "Cookie")
		h.Refuse(w, r, ui.SignedOut, ui.Notice{})
	default:
		h.Fail(w, r, err)
	}
}
