package admin

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/devices"
	"github.com/ticketstore/ticketstore/internal/clock"
	"github.com/ticketstore/ticketstore/internal/ui"
)

// Site is [devices.Site]: one function may serve both packages.
type Site = devices.Site

// A visit is a request, and what its answer goes by.
type visit struct {
	*handler
	w         http.ResponseWriter
	r         *http.Request
	text      Text
	words     ui.Words // of text
	site      Site
	ticket    *ticketstore.Ticket // nil if it is not known whose request it is
	describer *ui.Describer
}

func (h *handler) visit(w http.ResponseWriter, r *http.Request) *visit {
	v := &visit{handler: h, w: w, r: r, text: h.text(r)}
	v.words = ui.WordsOf(v.text)
	if h.cfg.Site != nil {
		v.site = h.cfg.Site(r)
	}
	v.ticket, _ = ticketstore.FromContext(r.Context())
	zone := v.site.Zone
	if ui.WantsJSON(r) {
		zone = nil
	}
	v.describer = ui.NewDescriber(&v.words, h.cfg.Locate, zone, clock.Now(r.Context()))
	return v
}

// text returns the text of r's page.
func (h *handler) text(r *http.Request) Text {
	if h.cfg.Words == nil {
		return h.cfg.Text
	}
	text := ui.Fill(h.cfg.Words(r), h.cfg.Text)
	words := ui.WordsOf(text)
	if err := words.Validate(); err != nil {
		h.Log(r, slog.LevelError, "the words are unfit", "error", err)
		text.On = h.cfg.Text.On
	}
	return text
}

func (h *handler) wordsFor(r *http.Request) *ui.Words {
	words := ui.WordsOf(h.text(r))
	return &words
}

// own returns the ID of the operator's own session, if it is known.
func (v *visit) own() string {
	if v.ticket == nil {
		return ""
	}
	return v.ticket.ID
}

// page answers with p.
func (v *visit) page(status int, p Page) {
	v.named(&p)
	v.Page(v.w, v.r, status, p)
}

// failed answers for a store that has returned err.
func (v *visit) failed(err error) { v.Fail(v.w, v.r, err) }

// refuse answers what is wrong with the request; if why is empty, in the words
// that there are for it.
func (v *visit) refuse(status int, why string) {
	what := ui.BadForm
	switch status {
	case http.StatusNotFound:
		what = ui.NoPage
	case http.StatusServiceUnavailable:
		what = ui.Unavailable
	}
	v.RefuseAs(v.w, v.r, status, what, ui.Notice{Text: why})
}

// ask calls f with the time that the store has to answer.
func (v *visit) ask(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, v.cfg.StoreTimeout)
	defer cancel()
	return f(ctx)
}
