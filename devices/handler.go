package devices

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/clock"
	"github.com/ticketstore/ticketstore/internal/recent"
	"github.com/ticketstore/ticketstore/internal/ui"
)

const (
	others = "others" // all sessions but the request's own
	all    = "all"

	reported = "reported" // a cause
)

type handler struct {
	ui.Responder
	manager *ticketstore.Manager
	cfg     Config
	confirm http.Handler // the page, for a sign-in that is recent
	delete  http.Handler
}

// serve answers r, which has a ticket of h.manager in its context.
func (h *handler) serve(w http.ResponseWriter, r *http.Request) {
	page := target(r) == ""
	switch {
	case page && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		if r.URL.Query().Has("confirm") {
			h.confirm.ServeHTTP(w, r)
			return
		}
		h.list(w, r)
	case page && r.Method == http.MethodPost:
		h.post(w, r)
	case page:
		w.Header().Set("Allow", "GET, HEAD, POST")
		h.Refuse(w, r, ui.NoMethod, ui.Notice{})
	case r.Method == http.MethodDelete:
		h.delete.ServeHTTP(w, r)
	default:
		h.Refuse(w, r, ui.NoPage, ui.Notice{})
	}
}

// target returns what r's path names: a session ID, others or all; "" for the
// page.
func target(r *http.Request) string { return strings.TrimPrefix(r.URL.Path, "/") }

// list answers GET.
func (h *handler) list(w http.ResponseWriter, r *http.Request) {
	if ui.WantsJSON(r) {
		rows, ended, err := h.both(r, ui.NewDescriber(h.wordsFor(r), h.cfg.Locate, nil, clock.Now(r.Context())))
		if err != nil {
			h.fail(w, r, err)
			return
		}
		h.JSON(w, r, http.StatusOK, struct {
			Sessions []Row   `json:"sessions"`
			Ended    []Ended `json:"ended,omitzero"`
		}{rows, ended})
		return
	}
	v := h.view(r)
	h.show(w, r, http.StatusOK, v, h.message(r, v), false)
}

// message returns what the last request has done, as this one's query says in
// one of a few words. Another site's link says nothing: a user must not take
// devices for signed out because it says so.
func (h *handler) message(r *http.Request, v *view) string {
	if !ui.SameOrigin(r) {
		return ""
	}
	q := r.URL.Query()
	switch {
	case q.Get("done") == "one":
		return v.text.DoneOne
	case q.Get("done") == reported && h.cfg.Report != nil:
		return v.text.DoneNotMe
	case q.Get("done") == others:
		return v.text.DoneOthers
	case q.Has("confirm") && h.cfg.RecentSignIn > 0:
		return v.text.Confirmed
	}
	return ""
}

// show writes the page.
func (h *handler) show(w http.ResponseWriter, r *http.Request, status int, v *view, message string, failed bool) {
	rows, ended, err := h.both(r, v.describer)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	p := h.newPage(v, rows, ended)
	p.Message, p.Failed = message, failed
	h.Page(w, r, status, p)
}

// notFound answers for a session that the user has not, or no longer.
func (h *handler) notFound(w http.ResponseWriter, r *http.Request) {
	v := h.view(r)
	h.show(w, r, http.StatusNotFound, v, v.text.NotFound, true)
}

// both returns the sessions of r's user, and those that have ended.
func (h *handler) both(r *http.Request, d *ui.Describer) (rows []Row, ended []Ended, err error) {
	if rows, err = h.rows(r, d); err == nil {
		ended, err = h.ended(r, d)
	}
	return rows, ended, err
}

// post answers the page's forms.
func (h *handler) post(w http.ResponseWriter, r *http.Request) {
	err := ui.ParseForm(w, r)
	what, report := r.PostForm.Get("revoke"), r.PostForm.Get("report")
	if err != nil || (what == "") == (report == "") || report != "" && h.cfg.Report == nil {
		h.Refuse(w, r, ui.BadForm, ui.Notice{})
		return
	}
	if !h.recent(r) {
		// A POST cannot go to the login page and come back.
		ui.SeeOther(w, "?confirm=1")
		return
	}
	if report != "" {
		h.report(w, r, report)
		return
	}
	_, own, err := h.revoke(w, r, what)
	switch {
	case errors.Is(err, ticketstore.ErrNotFound) && what != others && what != all:
		h.notFound(w, r)
	case err != nil:
		h.fail(w, r, err)
	case own:
		ui.SeeOther(w, h.cfg.SignedOutPath)
	case what == others:
		ui.SeeOther(w, "?done=others")
	default:
		ui.SeeOther(w, "?done=one")
	}
}

// report ends a session that r's user does not know.
func (h *handler) report(w http.ResponseWriter, r *http.Request, id string) {
	sessions, current, err := h.manager.Sessions(r)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	i := slices.IndexFunc(sessions, func(s ticketstore.Session) bool { return s.ID == id && id != current })
	if i < 0 {
		h.notFound(w, r)
		return
	}
	ctx := ticketstore.WithCause(r.Context(), reported, sessions[i].Subject)
	switch err := h.manager.Revoke(r.WithContext(ctx), id); {
	case errors.Is(err, ticketstore.ErrNotFound):
		h.notFound(w, r)
	case err != nil:
		h.fail(w, r, err)
	default:
		h.cfg.Report(r, sessions[i])
		ui.SeeOther(w, "?done="+reported)
	}
}

// end answers DELETE.
func (h *handler) end(w http.ResponseWriter, r *http.Request) {
	what := target(r)
	n, _, err := h.revoke(w, r, what)
	switch {
	case errors.Is(err, ticketstore.ErrNotFound) && what != others && what != all:
		h.Refuse(w, r, ui.NoPage, ui.Notice{Text: h.text(r).NotFound})
	case err != nil:
		h.fail(w, r, err)
	case what == others || what == all:
		h.JSON(w, r, http.StatusOK, struct {
			Revoked int `json:"revoked"`
		}{n})
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// revoke ends the sessions of r's user that what names: others, all, or one by
// its ID. It returns how many there were, and whether r's own is among them.
func (h *handler) revoke(w http.ResponseWriter, r *http.Request, what string) (n int, own bool, err error) {
	t, _ := ticketstore.FromContext(r.Context())
	switch what {
	case others:
		n, err = h.manager.RevokeOthers(r)
		return n, false, err
	case all:
		n, err = h.manager.RevokeAll(w, r)
		return n, true, err
	case t.ID:
		return 1, true, h.manager.SignOut(w, r)
	}
	return 1, false, h.manager.Revoke(r, what)
}

// recent reports whether r's user may end sessions.
func (h *handler) recent(r *http.Request) bool {
	t, _ := ticketstore.FromContext(r.Context())
	return h.cfg.RecentSignIn == 0 || clock.Now(r.Context()).Sub(recent.At(t.AuthenticatedAt, t.SignedInAt)) < h.cfg.RecentSignIn
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
