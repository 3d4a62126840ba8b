package devices

import (
	"html/template"
	"log/slog"
	"net/http"
	"time"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/clock"
	"github.com/ticketstore/ticketstore/internal/ui"
)

// A Site is what an application has to say about one page.
type Site struct {
	// Zone is the reader's time zone, for the times on the page. If nil, the
	// server writes UTC, and a script what the reader's browser says.
	Zone *time.Location

	// Form goes into every form that changes something: a field with a token
	// against forged requests, such as csrf.TemplateField of gorilla/csrf.
	Form template.HTML

	// Data is for Config.Template, as {{.Site.Data}}.
	Data any
}

// A view is what the page of one request is made with.
type view struct {
	text      Text
	words     ui.Words
	site      Site
	ticket    *ticketstore.Ticket // nil if nobody is signed in
	describer *ui.Describer
}

func (h *handler) view(r *http.Request) *view {
	v := &view{text: h.text(r)}
	v.words = ui.WordsOf(v.text)
	if h.cfg.Site != nil {
		v.site = h.cfg.Site(r)
	}
	v.ticket, _ = ticketstore.FromContext(r.Context())
	v.describer = ui.NewDescriber(&v.words, h.cfg.Locate, v.site.Zone, clock.Now(r.Context()))
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
