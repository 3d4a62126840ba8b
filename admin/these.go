package admin

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/clock"
	"github.com/ticketstore/ticketstore/internal/ui"
)

const these = "these" // sessions that a filter lets through

// These are the sessions that Page.Filter lets through, before they end. The
// operator's own and those that began since are not among them.
type These struct {
	Sessions int64
	Users    int64
	Of       []UserSessions // those with the most first, at most Config.PageSize

	// The fields of the form that ends them: those that began by Until, in Unix
	// milliseconds, from the page on that Cursor names. Ended is how many have
	// been, and More is set if not all could be looked at.
	Until  int64
	Cursor string
	Ended  int64
	More   bool
}

// UserSessions are how many sessions a user has, or has among [These].
type UserSessions struct {
	User
	Sessions int64 `json:"sessions"`
}

// Rest returns how many users are among them who are not in Of.
func (t *These) Rest() int64 { return t.Users - int64(len(t.Of)) }

const (
	maxPreview = 100_000 // sessions that are looked at for a page or a POST
	maxEnd     = 5_000   // that a POST ends
)

// A theseForm is what the form has, and the address of its page.
type theseForm struct {
	filter Filter
	until  time.Time
	cursor string
	ended  int64
}

func parseThese(q url.Values, now time.Time) (form theseForm, err error) {
	form = theseForm{cursor: q.Get("cursor"), until: now}
	form.filter, err = parseFilter(q)
	if until := q.Get("until"); until != "" {
		ms, err := strconv.ParseInt(until, 10, 64)
		if err != nil {
			return form, errFilter
		}
		form.until = time.UnixMilli(ms)
	}
	if ended := q.Get("n"); ended != "" && err == nil {
		form.ended, err = strconv.ParseInt(ended, 10, 64)
	}
	if err != nil || !form.filter.Live() || form.ended < 0 {
		return form, errFilter // of everybody's sessions, none ends by this
	}
	form.filter.Cause = ""
	return form, nil
}

// each calls f with the sessions that form means, until they end or f says so,
// and returns the cursor behind them.
func (v *visit) each(form theseForm, f func(ticketstore.Session) (more bool, err error)) (next string, err error) {
	own := v.own()
	next = form.cursor
	for left := maxPreview; left > 0; left -= maxPageSize {
		at := next
		page, after, err := v.sessionPage(at, maxPageSize)
		if err != nil {
			return at, err
		}
		for _, s := range page {
			if s.ID == own || s.SignedInAt.After(form.until) || !form.filter.live(v.describer, s) {
				continue
			}
			if more, err := f(s); err != nil || !more {
				return at, err // what has ended of this page is not on it again
			}
		}
		if next = after; next == "" {
			break
		}
	}
	return next, nil
}

// preview answers GET for what would end.
func (v *visit) preview() {
	form, err := parseThese(v.r.URL.Query(), clock.Now(v.r.Context()))
	if err != nil {
		v.badFilter(form.filter, err)
		return
	}
	t := &These{Until: form.until.UnixMilli(), Cursor: form.cursor, Ended: form.ended}
	of := map[string]int64{}
	next, err := v.each(form, func(s ticketstore.Session) (bool, error) {
		of[s.Subject]++
		t.Sessions++
		return true, nil
	})
	if errors.Is(err, ticketstore.ErrNotFound) {
		v.refuse(http.StatusBadRequest, v.text.NoPage)
		return
	}
	if err != nil {
		v.failed(err)
		return
	}
	t.Users, t.More = int64(len(of)), next != ""
	for subject, n := range of {
		t.Of = append(t.Of, UserSessions{newUser(subject), n})
	}
	slices.SortFunc(t.Of, func(a, b UserSessions) int {
		if a.Sessions != b.Sessions {
			return int(b.Sessions - a.Sessions)
		}
		return strings.Compare(a.Subject, b.Subject)
	})
	t.Of = t.Of[:min(len(t.Of), v.cfg.PageSize)]
	p := v.newPage()
	p.Filter, p.These = form.filter, t
	if form.ended > 0 && ui.SameOrigin(v.r) {
		p.Message = v.text.DoneThese(form.ended)
	}
	v.page(http.StatusOK, p)
}

// endThese answers the form that ends them. It ends as many as it can in time;
// the page that it leads to then has the form for the others.
func (v *visit) endThese() {
	form, err := parseThese(v.r.PostForm, time.Time{})
	if err != nil || v.r.PostForm.Get("these") != "end" || form.until.IsZero() {
		v.refuse(http.StatusBadRequest, "")
		return
	}
	v.r = v.r.WithContext(context.WithoutCancel(v.r.Context()))
	ctx := v.ending()
	n := 0
	next, err := v.each(form, func(s ticketstore.Session) (bool, error) {
		err := v.ask(ctx, func(ctx context.Context) error { return v.store.Revoke(ctx, s.Subject, s.ID) })
		switch {
		case errors.Is(err, ticketstore.ErrNotFound): // it has ended meanwhile
			return true, nil
		case err != nil:
			return false, err
		}
		n++
		v.observe(s.Subject, s.ID, 1)
		return n < maxEnd, nil
	})
	q := form.filter.values()
	if n > 0 { // even if there is an error
		v.logEnded("sessions", n, "filter", q.Encode())
	}
	if errors.Is(err, ticketstore.ErrNotFound) {
		v.refuse(http.StatusBadRequest, v.text.NoPage)
		return
	}
	if err != nil {
		v.failed(err)
		return
	}
	q.Set("n", strconv.FormatInt(form.ended+int64(n), 10))
	if next == "" && n < maxEnd {
		q.Set("done", these)
	} else {
		q.Set("these", "preview")
		q.Set("until", strconv.FormatInt(form.until.UnixMilli(), 10))
		q.Set("cursor", next)
	}
	ui.SeeOther(v.w, "?"+q.Encode())
}
