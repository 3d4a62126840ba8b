package admin

import (
	"context"
	"net/http"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/clock"
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

// A visit is a request of an operator, and what its answer goes by.
type visit struct {
	*handler
	w         http.ResponseWriter
	r         *http.Request
	text      Text
	describer *ui.Describer
}

// serve answers r, which is an operator's.
func (h *handler) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "" && r.URL.Path != "/" {
		http.NotFound(w, r)
		return
	}
	v := h.visit(w, r)
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		switch q := r.URL.Query(); {
		case q.Get("subject") != "":
			v.user(q.Get("subject"))
		case q.Get("find") != "":
			v.find(q.Get("find"))
		case q.Has("ended"):
			v.ended()
		case q.Has("these"):
			v.preview()
		default:
			v.overview(http.StatusOK, "")
		}
	case http.MethodPost:
		v.post()
	case http.MethodDelete:
		v.delete()
	default:
		w.Header().Set("Allow", "GET, HEAD, POST, DELETE")
		http.Error(w, "Method not allowed", http.StatusMethodNotAllowed)
	}
}

func (h *handler) visit(w http.ResponseWriter, r *http.Request) *visit {
	return &visit{h, w, r, h.cfg.Text, ui.NewDescriber(&h.words, h.cfg.Locate, clock.Now(r.Context()))}
}

// own returns the ID of the operator's own session, if it is known.
func (v *visit) own() string {
	if t, ok := ticketstore.FromContext(v.r.Context()); ok {
		return t.ID
	}
	return ""
}

// page answers with p.
func (v *visit) page(status int, p Page) {
	v.named(&p)
	v.Page(v.w, v.r, status, p)
}

// failed answers for a store that has returned err.
func (v *visit) failed(err error) { v.Fail(v.w, v.r, err) }

// refuse answers that something is wrong with the request.
func (v *visit) refuse(status int, why string) { http.Error(v.w, why, status) }

// ask calls f with the time that the store has to answer.
func (v *visit) ask(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, v.cfg.StoreTimeout)
	defer cancel()
	return f(ctx)
}
