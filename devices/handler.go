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
	words   ui.Words     // of cfg.Text
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
		http.Error(w, "Method not allowed", http.StatusMethodNotAllowed)
	case r.Method == http.MethodDelete:
		h.delete.ServeHTTP(w, r)
	default:
		http.NotFound(w, r)
	}
}

// target returns what r's path names: a session ID, others or all; "" for the
// page.
func target(r *http.Request) string { return strings.TrimPrefix(r.URL.Path, "/") }

// list answers GET.
func (h *handler) list(w http.ResponseWriter, r *http.Request) {
	if ui.WantsJSON(r) {
		rows, ended, err := h.both(r)
		if err != nil {
			h.fail(w, r, err)
			return
		}
		h.JSON(w, r, struct {
			Sessions []Row   `json:"sessions"`
			Ended    []Ended `json:"ended,omitzero"`
		}{rows, ended})
		return
	}
	h.show(w, r, http.StatusOK, h.message(r), false)
}

// message returns what the last request has done, as this one's query says in
// one of a few words. Another site's link says nothing: a user must not take
// devices for signed out because it says so.
func (h *handler) message(r *http.Request) string {
	if !ui.SameOrigin(r) {
		return ""
	}
	q := r.URL.Query()
	switch {
	case q.Get("done") == "one":
		return h.cfg.Text.DoneOne
	case q.Get("done") == reported && h.cfg.Report != nil:
		return h.cfg.Text.DoneNotMe
	case q.Get("done") == others:
		return h.cfg.Text.DoneOthers
	case q.Has("confirm") && h.cfg.RecentSignIn > 0:
		return h.cfg.Text.Confirmed
	}
	return ""
}

// show writes the page.
func (h *handler) show(w http.ResponseWriter, r *http.Request, status int, message string, failed bool) {
	rows, ended, err := h.both(r)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	h.Page(w, r, status, h.newPage(rows, ended, message, failed))
}

// both returns the sessions of r's user, and those that have ended.
func (h *handler) both(r *http.Request) (rows []Row, ended []Ended, err error) {
	if rows, err = h.rows(r); err == nil {
		ended, err = h.ended(r)
	}
	return rows, ended, err
}

// post answers the page's forms.
func (h *handler) post(w http.ResponseWriter, r *http.Request) {
	err := ui.ParseForm(w, r)
	what, report := r.PostForm.Get("revoke"), r.PostForm.Get("report")
	if err != nil || (what == "") == (report == "") || report != "" && h.cfg.Report == nil {
		http.Error(w, "The form cannot be read.", http.StatusBadRequest)
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
		h.show(w, r, http.StatusNotFound, h.cfg.Text.NotFound, true)
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
		h.show(w, r, http.StatusNotFound, h.cfg.Text.NotFound, true)
		return
	}
	ctx := ticketstore.WithCause(r.Context(), reported, sessions[i].Subject)
	switch err := h.manager.Revoke(r.WithContext(ctx), id); {
	case errors.Is(err, ticketstore.ErrNotFound):
		h.show(w, r, http.StatusNotFound, h.cfg.Text.NotFound, true)
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
		http.Error(w, h.cfg.Text.NotFound, http.StatusNotFound)
	case err != nil:
		h.fail(w, r, err)
	case what == others || what == all:
		h.JSON(w, r, struct {
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
		http.Error(w, "Sign-in is required.", http.StatusUnauthorized)
	default:
		h.Fail(w, r, err)
	}
}
