package devices

import (
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/clock"
	"github.com/ticketstore/ticketstore/internal/ui"
)

// post answers the page's forms.
func (h *handler) post(w http.ResponseWriter, r *http.Request) {
	err := ui.ParseForm(w, r)
	what, report, alike := r.PostForm.Get("revoke"), r.PostForm.Get("report"), r.PostForm.Get("alike")
	given := 0
	for _, field := range []string{what, report, alike} {
		if field != "" {
			given++
		}
	}
	if err != nil || given != 1 || report != "" && h.cfg.Report == nil {
		h.Refuse(w, r, ui.BadForm, ui.Notice{})
		return
	}
	// A POST cannot go to the login page and come back. To sign oneself out asks
	// for nothing.
	own := what != "" && what == ownID(r)
	if !own && !h.recent(r) {
		switch {
		case what == others, what == all:
			ui.SeeOther(w, "?sure="+what)
		case alike != "":
			ui.SeeOther(w, "?"+url.Values{"sure": {alike}}.Encode())
		default:
			ui.SeeOther(w, "?confirm=1")
		}
		return
	}
	switch {
	case report != "":
		h.report(w, r, report)
	case alike != "":
		h.endAlike(w, r, alike)
	case own, what == others, what == all:
		h.endMany(w, r, what)
	default:
		h.endOne(w, r, what)
	}
}

// done leads to the page that says what was done.
func done(w http.ResponseWriter, r *http.Request, what string) {
	q := url.Values{"done": {what}}
	if page := r.URL.Query().Get("page"); page != "" {
		q.Set("page", page)
	}
	ui.SeeOther(w, "?"+q.Encode())
}

// endMany ends others, all, or r's own session.
func (h *handler) endMany(w http.ResponseWriter, r *http.Request, what string) {
	_, _, err := h.revoke(w, r, what)
	switch {
	case err != nil:
		h.fail(w, r, err)
	case what == others:
		ui.SeeOther(w, "?done="+others)
	case what == all:
		ui.SeeOther(w, "?done="+all)
	default:
		ui.SeeOther(w, h.cfg.SignedOutPath)
	}
}

// endOne ends another session of r's user.
func (h *handler) endOne(w http.ResponseWriter, r *http.Request, id string) {
	s, ok := h.other(w, r, id)
	if !ok {
		return
	}
	if err := h.manager.Revoke(r, id); err != nil {
		h.notEnded(w, r, err)
		return
	}
	h.ended.Add(s)
	done(w, r, id)
}

// other returns another session of r's user, or answers.
func (h *handler) other(w http.ResponseWriter, r *http.Request, id string) (s ticketstore.Session, ok bool) {
	sessions, current, err := h.manager.Sessions(r)
	if err != nil {
		h.fail(w, r, err)
		return s, false
	}
	i := slices.IndexFunc(sessions, func(s ticketstore.Session) bool { return s.ID == id && id != current })
	if i < 0 {
		h.notFound(w, r)
		return s, false
	}
	return sessions[i], true
}

// notEnded answers for an error of Revoke.
func (h *handler) notEnded(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, ticketstore.ErrNotFound) {
		h.notFound(w, r)
		return
	}
	h.fail(w, r, err)
}

// endAlike ends all sessions of r's user that look like the one with that ID.
func (h *handler) endAlike(w http.ResponseWriter, r *http.Request, id string) {
	rows, err := h.rows(r, ui.NewDescriber(h.wordsFor(r), nil, nil, clock.Now(r.Context())))
	if err != nil {
		h.fail(w, r, err)
		return
	}
	same := likeID(rows, id)
	if len(same) == 0 {
		h.notFound(w, r)
		return
	}
	for _, row := range same {
		if err := h.manager.Revoke(r, row.ID); err != nil && !errors.Is(err, ticketstore.ErrNotFound) {
			h.fail(w, r, err)
			return
		}
	}
	done(w, r, alikes)
}

// report ends a session that r's user does not know.
func (h *handler) report(w http.ResponseWriter, r *http.Request, id string) {
	s, ok := h.other(w, r, id)
	if !ok {
		return
	}
	ctx := ticketstore.WithCause(r.Context(), reported, s.Subject)
	if err := h.manager.Revoke(r.WithContext(ctx), id); err != nil {
		h.notEnded(w, r, err)
		return
	}
	h.cfg.Report(r, s)
	done(w, r, reported)
}

// end answers DELETE.
func (h *handler) end(w http.ResponseWriter, r *http.Request) {
	what := target(r)
	n, many, err := h.revoke(w, r, what)
	switch {
	case errors.Is(err, ticketstore.ErrNotFound) && !many:
		h.Refuse(w, r, ui.NoPage, ui.Notice{Text: h.text(r).NotFound})
	case err != nil:
		h.fail(w, r, err)
	case many:
		h.JSON(w, r, http.StatusOK, struct {
			Revoked int `json:"revoked"`
		}{n})
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// revoke ends the sessions of r's user that what names: others, all, or one by
// its ID. It returns how many there were, and whether it may be many.
func (h *handler) revoke(w http.ResponseWriter, r *http.Request, what string) (n int, many bool, err error) {
	switch what {
	case others:
		n, err = h.manager.RevokeOthers(r)
		return n, true, err
	case all:
		n, err = h.manager.RevokeAll(w, r)
		return n, true, err
	case ownID(r):
		return 1, false, h.manager.SignOut(w, r)
	}
	return 1, false, h.manager.Revoke(r, what)
}
