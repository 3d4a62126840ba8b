package devices

import (
	"net/http"
	"slices"

	"github.com/ticketstore/ticketstore/internal/ui"
)

// A Sure is what a page asks before it ends many sessions.
type Sure struct {
	Title  string
	Text   string
	Button string

	// Name and Value are those of the button: revoke and "others" or "all", or
	// alike and the ID of a session.
	Name  string
	Value string

	Sessions int  // that would end
	Own      bool // whether the present one is among them
}

// ask answers GET for what would end: others, all, or all that look like the
// session with that ID.
func (h *handler) ask(w http.ResponseWriter, r *http.Request) {
	v := h.view(r)
	rows, err := h.rows(r, v.describer)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	sure := &Sure{Name: "revoke", Value: r.URL.Query().Get("sure")}
	switch sure.Value {
	case others:
		sure.Title, sure.Button, sure.Sessions = v.text.SureOthers, v.text.SignOutOthers, countOthers(rows)
	case all:
		sure.Title, sure.Button, sure.Sessions, sure.Own = v.text.SureAll, v.text.SignOutEverywhere, len(rows), true
	default:
		same := likeID(rows, sure.Value)
		if len(same) == 0 {
			h.notFound(w, r)
			return
		}
		sure.Name, sure.Title, sure.Button, sure.Sessions = "alike", v.text.SureAlike(same[0].Device), v.text.SignOutAlike, len(same)
	}
	sure.Text = v.text.ThatMany(sure.Sessions)
	if sure.Own {
		sure.Text += " " + v.text.ThisToo
	}
	p := h.newPage(v)
	p.Sure = sure
	h.Page(w, r, http.StatusOK, p)
}

// likeID returns those of rows that look like the one with that ID; none if it is
// the present one.
func likeID(rows []Row, id string) (same []Row) {
	i := slices.IndexFunc(rows, func(row Row) bool { return row.ID == id && !row.Current })
	if i < 0 {
		return nil
	}
	for _, row := range rows {
		if row.alike() == rows[i].alike() {
			same = append(same, row)
		}
	}
	return same
}

func countOthers(rows []Row) (n int) {
	for _, row := range rows {
		if !row.Current {
			n++
		}
	}
	return n
}

// sayEverywhere reports whether r, of nobody, comes from signing out everywhere,
// and if so, says that it has happened.
func (h *handler) sayEverywhere(w http.ResponseWriter, r *http.Request) bool {
	get := r.Method == http.MethodGet || r.Method == http.MethodHead
	if !get || target(r) != "" || r.URL.Query().Get("done") != all || !ui.SameOrigin(r) || ui.WantsJSON(r) {
		return false
	}
	h.Refuse(w, r, ui.Everywhere, ui.Notice{})
	return true
}
