package admin

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/ui"
)

const all = "all" // sessions of a user

type handler struct {
	ui.Responder
	store  Store
	cfg    Config
	words  ui.Words // of cfg.Text
	custom bool     // whether the template is
}

// serve answers r, which is an operator's.
func (h *handler) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "" && r.URL.Path != "/" {
		h.Refuse(w, r, ui.NoPage, ui.Notice{})
		return
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		switch q := r.URL.Query(); {
		case q.Get("subject") != "":
			h.user(w, r, q.Get("subject"))
		case q.Has("ended"):
			h.ended(w, r)
		case q.Has("these"):
			h.preview(w, r)
		default:
			h.overview(w, r)
		}
	case http.MethodPost:
		h.post(w, r)
	case http.MethodDelete:
		h.delete(w, r)
	default:
		w.Header().Set("Allow", "GET, HEAD, POST, DELETE")
		h.Refuse(w, r, ui.NoMethod, ui.Notice{})
	}
}

// message returns what the last request has done, as this one's query says in
// one of a few words.
func (h *handler) message(r *http.Request) string {
	done := r.URL.Query().Get("done")
	switch {
	case !ui.SameOrigin(r):
		return ""
	case done == "one":
		return h.cfg.Text.DoneOne
	case done == all:
		return h.cfg.Text.DoneAll
	case done == these:
		n, _ := strconv.ParseInt(r.URL.Query().Get("n"), 10, 64)
		return h.cfg.Text.DoneThese(max(n, 0))
	}
	return ""
}

// badFilter answers for a filter that is none: with a page that lists nothing.
func (h *handler) badFilter(w http.ResponseWriter, r *http.Request, f Filter, err error) {
	if ui.WantsJSON(r) {
		h.Refuse(w, r, ui.BadForm, ui.Notice{Text: err.Error()})
		return
	}
	p := h.newPage()
	p.Filter, p.Message, p.Failed = f, h.cfg.Text.NoFilter, true
	if r.URL.Query().Has("ended") {
		p.History = &History{}
		p.History.add(h.cause(f.Cause))
	} else {
		counts, _, _, err := h.census(r, Filter{}, "")
		if err != nil {
			h.Fail(w, r, err)
			return
		}
		p.Counts = counts
	}
	h.Page(w, r, http.StatusBadRequest, p)
}

// overview answers GET for all sessions.
func (h *handler) overview(w http.ResponseWriter, r *http.Request) {
	f, err := parseFilter(r.URL.Query())
	if err != nil {
		h.badFilter(w, r, f, err)
		return
	}
	cursor := r.URL.Query().Get("cursor")
	counts, rows, next, err := h.census(r, f, cursor)
	status := http.StatusOK
	if errors.Is(err, ticketstore.ErrNotFound) { // there is no such page
		cursor, status = "", http.StatusBadRequest
		counts, rows, next, err = h.census(r, f, "")
	}
	if err != nil {
		h.Fail(w, r, err)
		return
	}
	if ui.WantsJSON(r) {
		if status != http.StatusOK {
			h.RefuseAs(w, r, status, ui.NoPage, ui.Notice{Text: h.cfg.Text.NoPage})
			return
		}
		h.JSON(w, r, http.StatusOK, struct {
			Counts   ticketstore.Counts `json:"counts"`
			Sessions []Row              `json:"sessions"`
			Next     string             `json:"next,omitempty"`
		}{counts, rows, next})
		return
	}
	p := h.newPage()
	p.Counts, p.Rows, p.Filter, p.Later, p.Next, p.Message = counts, rows, f, cursor != "", next, h.message(r)
	_, p.Endings = h.store.(endingStore)
	if status != http.StatusOK {
		p.Message, p.Failed = h.cfg.Text.NoPage, true
	}
	h.Page(w, r, status, p)
}

// census returns what f lets through on the page that cursor names.
func (h *handler) census(r *http.Request, f Filter, cursor string) (counts ticketstore.Counts, rows []Row, next string, err error) {
	err = h.ask(r.Context(), func(ctx context.Context) error {
		counts, err = h.store.Count(ctx)
		return err
	})
	var found []ticketstore.Session
	describer := h.describer(r)
	for s := newScan(h.cfg.PageSize); err == nil && s.goes(len(found)); {
		var page []ticketstore.Session
		page, cursor, err = h.page(r, cursor, s.limit)
		for _, sess := range page {
			if f.live(describer, sess) {
				found = append(found, sess)
			}
		}
		s.read(len(page), cursor)
		if !f.Live() {
			break
		}
	}
	return counts, h.rows(r, found), cursor, err
}

// page returns a page of the store.
func (h *handler) page(r *http.Request, cursor string, limit int) (sessions []ticketstore.Session, next string, err error) {
	err = h.ask(r.Context(), func(ctx context.Context) error {
		sessions, next, err = h.store.SessionPage(ctx, cursor, limit)
		return err
	})
	return sessions, next, err
}

// user answers GET for one user.
func (h *handler) user(w http.ResponseWriter, r *http.Request, subject string) {
	if !ui.WantsJSON(r) {
		h.show(w, r, http.StatusOK, subject, h.message(r))
		return
	}
	rows, history, _, ok := h.ofUser(w, r, subject)
	if !ok {
		return
	}
	if history == nil {
		history = new(History)
	}
	h.JSON(w, r, http.StatusOK, struct {
		Subject  string  `json:"subject"`
		Sessions []Row   `json:"sessions"`
		Ended    []Ended `json:"ended,omitzero"`
		Found    int64   `json:"found,omitzero"`
	}{subject, rows, history.Ended, history.Found})
}

// show writes the page of one user.
func (h *handler) show(w http.ResponseWriter, r *http.Request, status int, subject, message string) {
	rows, history, f, ok := h.ofUser(w, r, subject)
	if !ok {
		return
	}
	p := h.newPage()
	p.History, p.Filter = history, f
	p.User, p.Rows, p.Message, p.Failed = newUser(subject), rows, message, status != http.StatusOK
	h.Page(w, r, status, p)
}

// ofUser returns the sessions of subject, those that have ended, and by what
// filter, or answers.
func (h *handler) ofUser(w http.ResponseWriter, r *http.Request, subject string) (rows []Row, history *History, f Filter, ok bool) {
	f, err := parseFilter(r.URL.Query())
	if err != nil {
		h.Refuse(w, r, ui.BadForm, ui.Notice{Text: err.Error()})
		return nil, nil, f, false
	}
	err = h.ask(r.Context(), func(ctx context.Context) error {
		sessions, err := h.store.Sessions(ctx, subject)
		rows = h.rows(r, sessions)
		return err
	})
	if err == nil {
		history, err = h.history(r, subject, f)
	}
	if err != nil {
		h.Fail(w, r, err)
	}
	return rows, history, f, err == nil
}

// post answers the forms.
func (h *handler) post(w http.ResponseWriter, r *http.Request) {
	err := ui.ParseForm(w, r)
	if err == nil && r.PostForm.Has("these") {
		h.endThese(w, r)
		return
	}
	subject, session := r.PostForm.Get("subject"), r.PostForm.Get("revoke")
	if err != nil || subject == "" || session == "" {
		h.Refuse(w, r, ui.BadForm, ui.Notice{})
		return
	}
	done := "one"
	if session == all {
		done, session = all, ""
	}
	switch _, err := h.revoke(r, subject, session); {
	case errors.Is(err, ticketstore.ErrNotFound):
		h.show(w, r, http.StatusNotFound, subject, h.cfg.Text.NotFound)
	case err != nil:
		h.Fail(w, r, err)
	default:
		q := url.Values{}
		if f, err := parseFilter(r.URL.Query()); err == nil { // that of the page with the form
			q = f.values()
		}
		q.Set("subject", subject)
		q.Set("done", done)
		ui.SeeOther(w, "?"+q.Encode())
	}
}

// delete answers DELETE. It takes nothing but what it knows: of a session's ID
// that is misspelt or lost, all of the user's sessions must not end.
func (h *handler) delete(w http.ResponseWriter, r *http.Request) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	subject, session := q.Get("subject"), q.Get("session")
	known := 1
	if q.Has("session") {
		known = 2
	}
	if err != nil || subject == "" || len(q) != known || len(q["subject"]) > 1 || len(q["session"]) > 1 || session == "" && known > 1 {
		h.Refuse(w, r, ui.BadForm, ui.Notice{Text: "The query is subject and, for one session, session."})
		return
	}
	switch n, err := h.revoke(r, subject, session); {
	case errors.Is(err, ticketstore.ErrNotFound):
		h.Refuse(w, r, ui.NoPage, ui.Notice{Text: h.cfg.Text.NotFound})
	case err != nil:
		h.Fail(w, r, err)
	case session == "":
		h.JSON(w, r, http.StatusOK, struct {
			Revoked int `json:"revoked"`
		}{n})
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

const byOperator = "revoked-by-operator"

// revoke ends one session of subject, or all if session is empty, and returns
// how many there were. It goes on if the client hangs up.
func (h *handler) revoke(r *http.Request, subject, session string) (n int, err error) {
	err = h.ask(h.ending(r), func(ctx context.Context) error {
		if session == "" {
			n, err = h.store.RevokeAll(ctx, subject)
			return err
		}
		if err := h.store.Revoke(ctx, subject, session); err != nil {
			return err
		}
		n = 1
		return nil
	})
	if n == 0 {
		return 0, err
	}
	args := []any{"subject", subject, "sessions", n}
	if session != "" {
		args = append(args, "session", session)
	}
	h.logEnded(r, args...) // some, even if there is an error
	h.observe(r, subject, session, n)
	return n, err
}

// ending returns a context for what ends sessions on r's behalf.
func (h *handler) ending(r *http.Request) context.Context {
	by := ""
	if operator, known := ticketstore.FromContext(r.Context()); known {
		by = operator.Subject
	}
	return ticketstore.WithCause(context.WithoutCancel(r.Context()), byOperator, by)
}

func (h *handler) logEnded(r *http.Request, args ...any) {
	if operator, known := ticketstore.FromContext(r.Context()); known {
		args = append(args, "operator", operator.Subject, "operator_session", operator.ID)
	}
	h.Log(r, slog.LevelInfo, "an operator ended sessions", args...)
}

func (h *handler) observe(r *http.Request, subject, session string, n int) {
	if h.cfg.Observer != nil {
		h.cfg.Observer(r.Context(), ticketstore.Event{
			Kind: "ended", Cause: byOperator, Subject: subject, SessionID: session, Sessions: n,
		})
	}
}

// ask calls f with the time that the store has to answer.
func (h *handler) ask(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, h.cfg.StoreTimeout)
	defer cancel()
	return f(ctx)
}
