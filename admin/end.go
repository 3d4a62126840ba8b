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

// post answers the forms. It leads back to the page that the form is on.
func (v *visit) post() {
	err := ui.ParseForm(v.w, v.r)
	form := v.r.PostForm
	if err == nil && form.Has("these") {
		v.endThese()
		return
	}
	subject, session := form.Get("subject"), form.Get("revoke")
	if err != nil || subject == "" || session == "" {
		v.refuse(http.StatusBadRequest, "")
		return
	}
	q := v.r.URL.Query()
	back := url.Values{}
	if f, err := parseFilter(q); err == nil {
		back = f.values()
	}
	if q.Has("subject") {
		back.Set("subject", subject)
	} else {
		parseTrail(q).add(back)
		back.Set("of", subject)
	}
	if session == all {
		n, err := v.revoke(subject, "")
		back.Set("done", all)
		back.Set("n", strconv.Itoa(n))
		v.leave(subject, back, err)
		return
	}
	ends, known := v.look(subject, session)
	if _, err = v.revoke(subject, session); err == nil && known {
		v.memory.Add(ends)
	}
	back.Set("done", "one")
	back.Set("session", session)
	v.leave(subject, back, err)
}

// leave answers a form whose revocation has returned err.
func (v *visit) leave(subject string, back url.Values, err error) {
	switch {
	case errors.Is(err, ticketstore.ErrNotFound) && back.Has("subject"):
		v.show(http.StatusNotFound, subject, v.text.NotFound)
	case errors.Is(err, ticketstore.ErrNotFound):
		v.overview(http.StatusNotFound, v.text.NotFound)
	case err != nil:
		v.failed(err)
	default:
		ui.SeeOther(v.w, "?"+back.Encode())
	}
}

// delete answers DELETE. It takes nothing but what it knows: of a session's ID
// that is misspelt or lost, all of the user's sessions must not end.
func (v *visit) delete() {
	q, err := url.ParseQuery(v.r.URL.RawQuery)
	subject, session := q.Get("subject"), q.Get("session")
	known := 1
	if q.Has("session") {
		known = 2
	}
	if err != nil || subject == "" || len(q) != known || len(q["subject"]) > 1 || len(q["session"]) > 1 || session == "" && known > 1 {
		v.refuse(http.StatusBadRequest, "The query is subject and, for one session, session.")
		return
	}
	switch n, err := v.revoke(subject, session); {
	case errors.Is(err, ticketstore.ErrNotFound):
		v.refuse(http.StatusNotFound, v.text.NotFound)
	case err != nil:
		v.failed(err)
	case session == "":
		v.JSON(v.w, v.r, http.StatusOK, struct {
			Revoked int `json:"revoked"`
		}{n})
	default:
		v.w.WriteHeader(http.StatusNoContent)
	}
}

const byOperator = "revoked-by-operator"

// revoke ends one session of subject, or all if session is empty, and returns
// how many there were. It goes on if the client hangs up.
func (v *visit) revoke(subject, session string) (n int, err error) {
	err = v.ask(v.ending(), func(ctx context.Context) error {
		if session == "" {
			n, err = v.store.RevokeAll(ctx, subject)
			return err
		}
		if err := v.store.Revoke(ctx, subject, session); err != nil {
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
	v.logEnded(args...) // some, even if there is an error
	v.observe(subject, session, n)
	return n, err
}

// ending returns a context for what ends sessions on the operator's behalf.
func (v *visit) ending() context.Context {
	by, _ := v.operator()
	return ticketstore.WithCause(context.WithoutCancel(v.r.Context()), byOperator, by)
}

// operator returns who is here, and their session; in an impersonation not the
// user, but who acts as them. Both are empty if it is not known.
func (v *visit) operator() (subject, session string) {
	t, known := ticketstore.FromContext(v.r.Context())
	if !known {
		return "", ""
	}
	if a, acting := t.Actor(); acting {
		return a.Subject, a.SessionID
	}
	return t.Subject, t.ID
}

func (v *visit) logEnded(args ...any) {
	if operator, session := v.operator(); operator != "" {
		args = append(args, "operator", operator, "operator_session", session)
	}
	v.Log(v.r, slog.LevelInfo, "an operator ended sessions", args...)
}

func (v *visit) observe(subject, session string, n int) {
	if v.cfg.Observer != nil {
		v.cfg.Observer(v.r.Context(), ticketstore.Event{
			Kind: "ended", Cause: byOperator, Subject: subject, SessionID: session, Sessions: n,
		})
	}
}
