package admin

import (
	"context"
	"errors"
	"html"
	"html/template"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore/internal/ui"
	"github.com/ticketstore/ticketstore/internal/ui/uitest"
)

const layout = `<html lang="{{.Text.Language}}"><head><title>{{.Title}} – Shop</title>{{.Head}}</head>` +
	`<body><nav>{{with .Ticket}}{{.Subject}}{{else}}nobody{{end}}, {{.Site.Data.Basket}} items</nav><main>{{.Content}}</main></body></html>`

type shop struct{ Basket int }

func shopSite(*http.Request) Site {
	return Site{Data: shop{3}, Form: `<input type="hidden" name="csrf" value="a token">`}
}

// states are addresses of each kind of page, and the status of each.
func states(s *site) map[string]int {
	s.Login("alice", uitest.Firefox, "192.0.2.1")
	s.Login("bob", uitest.IPhone, "192.0.2.2")
	s.end(uitest.Firefox, "idle", "")
	return map[string]int{
		"": 200, of("alice"): 200, of("nobody"): 200, of("alice") + "&sure=all": 200, "?ended=all": 200, "?device=firefox": 200,
		"?these=preview&network=192.0.2.0/24": 200, "?find=a": 200, "?network=x": 400, "?ended=all&since=x": 400, of("alice") + "&since=x": 400,
		"?cursor=x": 400, "?these=preview&device=x&cursor=x": 400, "nothing": 404,
	}
}

// A template is a layout around every page, and around what is said instead.
func TestLayout(t *testing.T) {
	s := newSite(t, Config{Template: template.Must(template.New("").Parse(layout)), Site: shopSite, Find: both})
	for query, status := range states(s) {
		body := s.get(query).Want(status).Text
		wantIn(t, query, body, " – Shop</title>", "<nav>root, 3 items</nav><main><div class=\"ticketstore\" lang=\"en\">", "<style>"+style()+"</style>", "<script>"+ui.Script+"</script>")
		if strings.Count(body, "<html") != 1 || strings.Count(body, "<h1") != 1 || strings.Contains(body, `"ticketstore-page"`) {
			t.Errorf("%s: got a page within a page: %s", query, body)
		}
	}
	for name, call := range map[string]uitest.Call{
		"forbidden":  s.Request("GET", mount+"/", s.Login("alice", "", "")),
		"bad form":   s.Request("POST", mount+"/", s.root, "x=y"),
		"no method":  s.Request("PUT", mount+"/", s.root),
		"cross-site": s.revoke("alice", "all").With("Sec-Fetch-Site", "cross-site"),
	} {
		status := map[string]int{"bad form": 400, "no method": 405}[name]
		if status == 0 {
			status = 403
		}
		res := call.Want(status)
		if page := strings.Contains(res.Text, "3 items</nav>"); page == (name == "no method") { // which no browser asks for
			t.Errorf("%s: got %s", name, res.Text)
		}
	}
}

func both(context.Context, string) ([]string, error) { return []string{"alice", "bob"}, nil }

var forms = regexp.MustCompile(`(?s)<form method="post".*?</form>`)

// Every form that changes something has the field of the site; others have not.
func TestSiteForm(t *testing.T) {
	s := newSite(t, Config{Site: shopSite, Find: both})
	const field = `<input type="hidden" name="csrf" value="a token">`
	total := 0
	for query, status := range states(s) {
		body := s.get(query).Want(status).Text
		found := forms.FindAllString(body, -1)
		total += len(found)
		for _, form := range found {
			if strings.Count(form, field) != 1 {
				t.Errorf("%s: no token in %s", query, form)
			}
		}
		if strings.Count(body, field) != len(found) {
			t.Errorf("%s: the token goes into an address", query)
		}
	}
	if total < 8 {
		t.Errorf("got %d forms", total)
	}
}

// Times are those of the site's zone, and the script leaves them alone; JSON is
// UTC.
func TestZone(t *testing.T) {
	zone := time.FixedZone("XYZ", 5*3600+45*60)
	s := newSite(t, Config{Site: func(*http.Request) Site { return Site{Zone: zone} }})
	s.Login("alice", uitest.Firefox, "")
	s.end(uitest.Firefox, "idle", "")
	for _, query := range []string{"", of("alice"), "?ended=all"} {
		body := html.UnescapeString(s.get(query).Want(200).Text)
		wantIn(t, query, body, s.Now.In(zone).Format("2 Jan 2006, 15:04 MST"), `datetime="`+s.Now.In(zone).Format("2006-01-02T15:04:05Z07:00")+`"`)
		if strings.Contains(body, "<script") || strings.Contains(body, " UTC<") {
			t.Errorf("%s: got %s", query, body)
		}
		if list := s.json(query).Want(200).Text; strings.Contains(list, "+05:45") {
			t.Errorf("%s: got %s", query, list)
		}
	}
}

// The language is that of the request, also of what is said instead of a page;
// what Words leaves empty is in Text's.
func TestWords(t *testing.T) {
	s := newSite(t, Config{Text: Text{Expires: "Ende"}, Words: func(r *http.Request) Text {
		switch r.Header.Get("Accept-Language") {
		case "de":
			return Text{Language: "de", Title: "Sitzungen", On: "%s unter %s", NotFound: "Weg.", Notice: func(what string) (string, string) {
				return map[string]string{"no-page": "Nicht gefunden", "forbidden": "Kein Zutritt"}[what], "…"
			}}
		case "bad":
			return Text{On: "%d"}
		}
		return Text{}
	}})
	alice := s.Login("alice", uitest.Firefox, "")
	for language, want := range map[string]string{"de": "Firefox unter Linux", "": "Firefox on Linux", "bad": "Firefox on Linux"} {
		for _, query := range []string{"", of("alice")} {
			body := s.get(query).With("Accept-Language", language).Want(200).Text
			wantIn(t, language+query, body, want, "Ende")
			if strings.Contains(body, "%!") || strings.Contains(body, `lang="de"`) != (language == "de") {
				t.Errorf("%s%s: got %s", language, query, body)
			}
		}
	}
	wantIn(t, "title", s.get("").With("Accept-Language", "de").Want(200).Text, "<title>Sitzungen</title>")
	wantIn(t, "no page", s.get("nothing").With("Accept-Language", "de").Want(404).Text, "<h1>Nicht gefunden</h1>")
	wantIn(t, "forbidden", s.Request("GET", mount+"/", alice).With("Accept-Language", "de").Want(403).Text, "<h1>Kein Zutritt</h1>", "<title>Kein Zutritt</title>")
	wantIn(t, "not found", s.revoke("alice", "x").With("Accept-Language", "de").Want(404).Text, "Weg.")
	wantIn(t, "log", s.Logs.String(), "the words are unfit")
}

// What is wrong is said on a page with a way on, or in JSON.
func TestNotices(t *testing.T) {
	s := newSite(t, Config{})
	store := &spy{RedisStore: s.Store}
	s.Mux.Handle("/spied/", s.Manager.Require(http.StripPrefix("/spied", s.handler(store, Config{}))))
	s.Mux.Handle("/forgetful/", s.Manager.Require(http.StripPrefix("/forgetful", s.handler(forgetful{s.Store}, Config{}))))
	alice := s.Login("alice", "", "")
	store.err = func(string) error { return errors.New("LOADING") }
	for _, test := range []struct {
		call   uitest.Call
		status int
		text   string
		href   string
	}{
		{s.Request("GET", mount+"/", alice), 403, "You are not allowed", "/"},
		{s.Request("GET", mount+"/nothing", alice), 403, "You are not allowed", "/"},
		{s.get("nothing"), 404, "There is no such page.", "./"},
		{s.get(of("alice") + "&since=x"), 400, "such as 2026-11-20", "?"},
		{s.get("?these=preview&device=x&cursor=x"), 400, english().NoPage, "?"},
		{s.Request("GET", "/spied/", s.root), 503, "try again", "?"},
		{s.Request("GET", "/forgetful/?ended=all", s.root), 404, english().NoHistory, "?"},
	} {
		list := test.call
		list.Request = list.Clone(list.Context())
		res := test.call.Want(test.status)
		wantIn(t, test.call.URL.String(), html.UnescapeString(res.Text), `class="ticketstore-page"`, test.text, `href="`+test.href+`"`, `role="alert"`, "<h1>")
		if (res.Header.Get("Retry-After") != "") != (test.status == 503) {
			t.Errorf("%s: got Retry-After %q", test.call.URL, res.Header.Get("Retry-After"))
		}
		if test.text == english().NoPage {
			continue // a page without JSON
		}
		answer := list.With("Accept", asJSON).Want(test.status)
		wantIn(t, test.call.URL.String(), answer.Text, `{"error":"`, test.text)
		if answer.Header.Get("Content-Type") != asJSON {
			t.Errorf("%s: got %v", test.call.URL, answer.Header)
		}
	}
}

func TestStyleIsScoped(t *testing.T) {
	if got := uitest.Unscoped(style()); len(got) > 0 {
		t.Errorf("got %q for all of the page", got)
	}
}
