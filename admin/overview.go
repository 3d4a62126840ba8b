package admin

import (
	"context"
	"errors"
	"net/http"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/ui"
)

// overview answers GET for all sessions, and for a form on that page that
// failed.
func (v *visit) overview(status int, failure string) {
	q := v.r.URL.Query()
	f, err := parseFilter(q)
	if err != nil {
		v.badFilter(f, err)
		return
	}
	at := parseTrail(q)
	counts, rows, next, err := v.census(f, at.cursor)
	if errors.Is(err, ticketstore.ErrNotFound) { // there is no such page
		at, status, failure = trail{}, http.StatusBadRequest, v.text.NoPage
		counts, rows, next, err = v.census(f, "")
	}
	if err != nil {
		v.failed(err)
		return
	}
	p := v.newPage()
	p.Counts, p.Rows, p.Filter = counts, rows, f
	p.link(f.values(), at, next)
	if v.json(status, failure, &p, func() any {
		return struct {
			Counts   ticketstore.Counts `json:"counts"`
			Sessions []Row              `json:"sessions"`
			Next     string             `json:"next,omitempty"`
		}{counts, p.Rows, next}
	}) {
		return
	}
	_, p.Endings = v.store.(endingStore)
	if p.Message, p.Failed = failure, failure != ""; failure == "" {
		v.done(&p, nil)
	}
	v.page(status, p)
}

// census returns what f lets through on the page that cursor names.
func (v *visit) census(f Filter, cursor string) (counts ticketstore.Counts, rows []Row, next string, err error) {
	err = v.ask(v.r.Context(), func(ctx context.Context) error {
		counts, err = v.store.Count(ctx)
		return err
	})
	var found []ticketstore.Session
	for s := newScan(v.cfg.PageSize); err == nil && s.goes(len(found)); {
		var page []ticketstore.Session
		page, cursor, err = v.sessionPage(cursor, s.limit)
		for _, sess := range page {
			if f.live(v.describer, sess) {
				found = append(found, sess)
			}
		}
		s.read(len(page), cursor)
		if !f.Live() {
			break
		}
	}
	return counts, v.rows(found), cursor, err
}

// sessionPage returns a page of the store.
func (v *visit) sessionPage(cursor string, limit int) (sessions []ticketstore.Session, next string, err error) {
	err = v.ask(v.r.Context(), func(ctx context.Context) error {
		sessions, next, err = v.store.SessionPage(ctx, cursor, limit)
		return err
	})
	return sessions, next, err
}

// badFilter answers for a filter that is none: with a page that lists nothing.
func (v *visit) badFilter(f Filter, err error) {
	if ui.WantsJSON(v.r) {
		v.refuse(http.StatusBadRequest, err.Error())
		return
	}
	p := v.newPage()
	p.Filter, p.Message, p.Failed = f, v.text.NoFilter, true
	if v.r.URL.Query().Has("ended") {
		p.History = &History{}
		p.History.add(v.cause(f.Cause))
	} else {
		err := v.ask(v.r.Context(), func(ctx context.Context) (err error) {
			p.Counts, err = v.store.Count(ctx)
			return err
		})
		if err != nil {
			v.failed(err)
			return
		}
	}
	v.page(http.StatusBadRequest, p)
}

// json answers with what of returns if the request asks for JSON, and reports
// whether it does. Of a failure it says only what that is.
func (v *visit) json(status int, failure string, p *Page, of func() any) bool {
	switch {
	case !ui.WantsJSON(v.r):
		return false
	case status != http.StatusOK:
		v.refuse(status, failure)
	default:
		v.named(p)
		v.JSON(v.w, v.r, http.StatusOK, of())
	}
	return true
}
