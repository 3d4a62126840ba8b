package devices

import (
	"html"
	"html/template"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/ui"
	"github.com/ticketstore/ticketstore/internal/ui/uitest"
)

const layout = `<html lang="{{.Text.Language}}"><head><title>{{.Title}} – Shop</title>{{.Head}}</head>` +
	`<body><nav>{{with .Ticket}}{{.Subject}}{{else}}nobody{{end}}, {{.Site.Data.Basket}} items</nav><main>{{.Content}}</main></body></html>`

type shop struct{ Basket int }

func shopSite(*http.Request) Site {
	return Site{Data: shop{3}, Form: `<input type="hidden" name="csrf" value="a token">`}
}

// A template is a layout around the page, and around what is said instead.
func TestLayout(t *testing.T) {
	s := newSite(t, Config{Template: template.Must(template.New("").Parse(layout)), Site: shopSite})
	me := s.Login("<alice>", uitest.Firefox, "")
	s.Login("<alice>", uitest.IPhone, "")
	res := s.page(me)
	for _, want := range []string{
		"<title>" + english().Title + " – Shop</title>", "<nav>&lt;alice&gt;, 3 items</nav><main><div class=\"ticketstore\" lang=\"en\">",
		"Safari on iPhone", "<style>" + ui.Style + "</style>", "<script>" + ui.Script + "</script>", `<meta name="robots" content="noindex">`,
	} {
		if !strings.Contains(res.Text, want) {
			t.Errorf("no %q in %s", want, res.Text)
		}
	}
	if strings.Count(res.Text, "<html") != 1 || strings.Count(res.Text, "<h1>") != 1 || strings.Contains(res.Text, "ticketstore-page\"") {
		t.Errorf("got a page within a page: %s", res.Text)
	}
	policy := res.Header.Get("Content-Security-Policy")
	for _, want := range []string{"style-src 'self' 'sha256-", "script-src 'self' 'sha256-", "connect-src 'self';", "font-src 'self';", "img-src 'self';"} {
		if !strings.Contains(policy, want) {
			t.Errorf("no %s in %s", want, policy)
		}
	}
	body := s.Request("GET", mount+"/nothing", me).Want(404).Text
	if !strings.Contains(body, "<title>Page not found – Shop</title>") || !strings.Contains(body, "<nav>&lt;alice&gt;, 3 items</nav>") {
		t.Errorf("a notice is not in the layout: %s", body)
	}
	body = s.Request("GET", mount+"/", nil).Want(401).Text
	if !strings.Contains(body, "<nav>nobody, 3 items</nav>") || !strings.Contains(body, "Sign-in is required.") {
		t.Errorf("a notice to nobody is not in the layout: %s", body)
	}
}

// What a template does not show, the built-in page says.
func TestLayoutWithoutNotices(t *testing.T) {
	for text, in := range map[string]string{
		`{{len .Rows}} devices`:             "00",
		`{{.Ticket.Subject}} {{.Content}}`:  "01",
		`{{.Title}} {{.Text.Intro}} or so`:  "00",
		`{{with .Notice}}{{.Text}}{{end}}.`: "11",
		layout:                              "11",
	} {
		s := newSite(t, Config{Template: template.Must(template.New("").Parse(text)), Site: func(*http.Request) Site { return Site{Data: shop{3}} }})
		me := s.Login("alice", uitest.Firefox, "")
		got := ""
		for _, c := range []uitest.Call{s.Request("GET", mount+"/nothing", nil), s.Request("GET", mount+"/nothing", me)} {
			body := c.Want(map[bool]int{true: 401, false: 404}[len(c.Cookies()) == 0]).Text
			got += map[bool]string{true: "0", false: "1"}[strings.Contains(body, `class="ticketstore-page"`)]
			if !strings.Contains(body, "Sign-in is required.") && !strings.Contains(body, "There is no such page.") {
				t.Errorf("%s: got %s", text, body)
			}
		}
		if got != in {
			t.Errorf("%s: got %s in the template, want %s", text, got, in)
		}
	}
}

var forms = regexp.MustCompile(`(?s)<form method="post".*?</form>`)

// Every form that changes something has the field of the site.
func TestSiteForm(t *testing.T) {
	s := newSite(t, Config{Site: shopSite, Report: func(*http.Request, ticketstore.Session) {}})
	me := s.Login("alice", uitest.Firefox, "")
	for range 8 {
		s.Login("alice", uitest.IPhone, "")
		s.Login("alice", "curl/8", "")
	}
	found := forms.FindAllString(s.page(me).Text, -1)
	if len(found) < 10 {
		t.Fatalf("got %d forms", len(found))
	}
	for _, form := range found {
		if strings.Count(form, `<input type="hidden" name="csrf" value="a token">`) != 1 {
			t.Errorf("no token in %s", form)
		}
	}
}

// What the template gets from Site alone, New has not: it refuses what no
// request can bring.
func TestNewTriesALayout(t *testing.T) {
	s := newSite(t, Config{})
	for text, want := range map[string]string{
		layout: "", `{{$d := .Site.Data}}{{$d.Basket.Items}}`: "", `{{len .Site.Data}}`: "",
		`{{.NoSuchField}}`: "NoSuchField", `{{.Site.Date}}`: "Date", `{{.Ticket.Sub}}`: "Sub", `<a href="{{if .Failed}}'{{else}}"{{end}}>`: "Template: ",
	} {
		_, err := New(s.Manager, Config{Template: template.Must(template.New("").Parse(text)), Site: shopSite})
		if (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}

// The language is that of the request, also of what is said instead of the page;
// what Words leaves empty is in Text's.
func TestWords(t *testing.T) {
	s := newSite(t, Config{Text: Text{ThisDevice: "ici"}, Words: func(r *http.Request) Text {
		switch r.Header.Get("Accept-Language") {
		case "de":
			return Text{Language: "de", Title: "Angemeldete Geräte", On: "%s unter %s", NotFound: "Weg.",
				Notice: func(what string) (string, string) {
					if what == "no-page" {
						return "Nicht gefunden", "Diese Seite gibt es nicht."
					}
					return "", ""
				}}
		case "bad":
			return Text{On: "%d"}
		}
		return Text{}
	}})
	me, other := s.Login("alice", uitest.Firefox, ""), s.Login("alice", uitest.IPhone, "")
	page := func(language string) string {
		return html.UnescapeString(s.Request("GET", mount+"/", me).With("Accept-Language", language).Want(200).Text)
	}
	for language, want := range map[string]string{"de": "Safari unter iPhone", "": "Safari on iPhone", "bad": "Safari on iPhone"} {
		body := page(language)
		if !strings.Contains(body, want) || !strings.Contains(body, "ici") || strings.Contains(body, "%!") || strings.Contains(body, `lang="de"`) != (language == "de") {
			t.Errorf("%s: want %q in %s", language, want, body)
		}
	}
	if !strings.Contains(s.Logs.String(), "the words are unfit") {
		t.Error("words that are unfit are not logged")
	}
	for _, c := range []struct {
		path, want string
		status     int
	}{{"/nothing", "Diese Seite gibt es nicht.", 404}, {"/x/y", "Nicht gefunden", 404}} {
		if body := s.Request("GET", mount+c.path, me).With("Accept-Language", "de").Want(c.status).Text; !strings.Contains(body, c.want) {
			t.Errorf("%s: want %q in %s", c.path, c.want, body)
		}
	}
	if body := s.Request("PUT", mount+"/", me).With("Accept-Language", "de").Want(405).Text; !strings.Contains(body, "Nothing can be done here") {
		t.Errorf("what Notice does not know: got %s", body)
	}
	if got := s.Request("GET", mount+"/", me).With("Accept-Language", "de").With("Accept", asJSON).Want(200).Text; !strings.Contains(got, "Safari unter iPhone") {
		t.Errorf("got %s", got)
	}
	s.revoke(me, s.ID(other)).Want(303)
	if body := s.revoke(me, "x").With("Accept-Language", "de").Want(404).Text; !strings.Contains(body, "Weg.") {
		t.Errorf("got %s", body)
	}
}

// With the reader's zone, the server writes the times in it, and no script does.
func TestZone(t *testing.T) {
	zone := time.FixedZone("XYT", -(9*3600 + 1800))
	var site Site
	s := newSite(t, Config{Site: func(*http.Request) Site { return site }})
	s.Now = time.Date(2026, 11, 20, 3, 4, 5, 0, time.UTC)
	s.Advance(0)
	me := s.Login("alice", uitest.Firefox, "")
	body := s.page(me).Text
	if !strings.Contains(body, `datetime="2026-11-20T03:04:05Z">20 Nov 2026, 03:04 UTC<`) || !strings.Contains(body, ui.Script) {
		t.Errorf("no UTC, or no script: %s", body)
	}
	site.Zone = zone
	body = s.page(me).Text
	if !strings.Contains(body, `datetime="2026-11-19T17:34:05-09:30">19 Nov 2026, 17:34 XYT<`) || strings.Contains(body, "<script") {
		t.Errorf("not in the reader's zone, or a script: %s", body)
	}
	if got := s.Request("GET", mount+"/", me).With("Accept", asJSON).Want(200).Text; !strings.Contains(got, `"signedInAt":"2026-11-20T03:04:05Z"`) {
		t.Errorf("JSON is not in UTC: %s", got)
	}
}
