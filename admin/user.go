package admin

import (
	"context"
	"net/http"

	"github.com/ticketstore/ticketstore"
)

// user answers GET for one user.
func (v *visit) user(subject string) { v.show(http.StatusOK, subject, "") }

// show answers with the page of one user: after a form that failed, it says why.
func (v *visit) show(status int, subject, failure string) {
	q := v.r.URL.Query()
	f, err := parseFilter(q)
	if err != nil {
		v.refuse(http.StatusBadRequest, err.Error())
		return
	}
	p := v.newPage()
	p.User, p.Filter = newUser(subject), f
	err = v.ask(v.r.Context(), func(ctx context.Context) error {
		sessions, err := v.store.Sessions(ctx, subject)
		p.Rows = v.rows(sessions)
		return err
	})
	var endings []ticketstore.Ending
	if err == nil {
		endings, err = v.endingsOf(subject)
		p.History = v.history(endings, f)
	}
	if err != nil {
		v.failed(err)
		return
	}
	if v.json(status, failure, &p, func() any {
		history := p.History
		if history == nil {
			history = new(History)
		}
		return struct {
			User
			Sessions []Row   `json:"sessions"`
			Ended    []Ended `json:"ended,omitzero"`
			Found    int64   `json:"found,omitzero"`
		}{p.User, p.Rows, history.Ended, history.Found}
	}) {
		return
	}
	p.Sure = q.Get("sure") == all && len(p.Rows) > 0 && failure == ""
	if p.Message, p.Failed = failure, failure != ""; failure == "" {
		v.done(&p, endings)
	}
	v.page(status, p)
}
