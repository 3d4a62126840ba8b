package admin

import (
	"net/http"

	"github.com/ticketstore/ticketstore/internal/ui"
)

const all = "all" // sessions of a user

type handler struct {
	ui.Responder
	store  Store
	cfg    Config
	memory ui.Memory
}

// serve answers r, which is an operator's.
func (h *handler) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "" && r.URL.Path != "/" {
		h.Refuse(w, r, ui.NoPage, ui.Notice{})
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
		h.Refuse(w, r, ui.NoMethod, ui.Notice{})
	}
}
