package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"html/template"
	"net/http"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/redistest"
	"github.com/ticketstore/ticketstore/internal/ui"
	"github.com/ticketstore/ticketstore/internal/ui/uitest"
)

var (
	attribute = regexp.MustCompile(`\b(href|action|src)="([^"]*)"`)
	quoted    = regexp.MustCompile(`"[^"]*"`)
	users     = regexp.MustCompile(`data-label="[^"]*"><a href="\?subject=([^"]*)">`)
	next      = regexp.MustCompile(`href="([^"]*)" rel="next">`)
	tags      = regexp.MustCompile(`<[^>]*>`)
)

// Over all pages, each session comes once.
func TestPaging(t *testing.T) {
	eachBackend(t, Config{PageSize: 25}, func(t *testing.T, s *site) {
		for i := range 119 { // and root's
			s.Login(fmt.Sprintf("user%03d", i), uitest.Firefox, "")
		}
		if body := s.get("").Want(200).Text; strings.Count(body, "<dd>120</dd>") != 2 {
			t.Errorf("the counts are not on the page: %s", body)
		}
		seen, pages := map[string]int{}, 0
		for query := ""; ; pages++ {
			body := s.get(query).Want(200).Text
			if found := users.FindAllStringSubmatch(body, -1); len(found) > 25 {
				t.Fatalf("got %d on a page", len(found))
			} else {
				for _, user := range found {
					seen[user[1]]++
				}
			}
			if strings.Contains(body, english().First) != (pages > 0) {
				t.Errorf("page %d: got a link to the first page, or none: %s", pages, body)
			}
			link := next.FindStringSubmatch(body)
			if link == nil {
				break
			}
			query = html.UnescapeString(link[1])
		}
		wantEachOnce(t, seen)
		seen = map[string]int{}
		for query := ""; ; {
			var page struct {
				Counts   ticketstore.Counts
				Sessions []Row
				Next     string
			}
			if err := json.Unmarshal([]byte(s.json(query).Want(200).Text), &page); err != nil {
				t.Fatal(err)
			}
			if page.Counts != (ticketstore.Counts{Subjects: 120, Sessions: 120}) || len(page.Sessions) > 25 {
				t.Errorf("got %+v and %d sessions", page.Counts, len(page.Sessions))
			}
			for _, row := range page.Sessions {
				seen[row.Subject]++
			}
			if page.Next == "" {
				break
			}
			query = "?cursor=" + url.QueryEscape(page.Next)
		}
		wantEachOnce(t, seen)
	})
}

func wantEachOnce(t *testing.T, seen map[string]int) {
	t.Helper()
	for user, n := range seen {
		if n != 1 {
			t.Errorf("%s: got %d times", user, n)
		}
	}
	if len(seen) != 120 {
		t.Errorf("got %d users, want 120", len(seen))
	}
}

func TestUser(t *testing.T) {
	eachBackend(t, Config{Locate: func(netip.Addr) string { return "Lisbon" }}, func(t *testing.T, s *site) {
		old := s.Login("alice", uitest.IPhone, "192.0.2.2")
		s.Advance(2 * time.Hour)
		s.Login("alice", uitest.Firefox, "")
		s.Login("bob", "", "")
		body := s.get("?subject=alice").Want(200).Text
		firefox, safari := strings.Index(body, "Firefox on Linux"), strings.Index(body, "Safari on iPhone")
		if firefox < 0 || safari < firefox || strings.Contains(body, "bob") || strings.Count(body, "<h1") != 1 || strings.Count(body, `name="revoke"`) != 2 {
			t.Errorf("got %s", body)
		}
		wantIn(t, "alice", body, "<bdi>alice</bdi>", `value="`+s.ID(old)+`"`, `href="?subject=alice&amp;sure=all"`, "Lisbon", "192.0.2.2", "about 2 hours ago",
			s.Now.Add(198*time.Hour).UTC().Format("2 Jan 2006, 15:04 MST"), `aria-labelledby="end-0 device-0 user"`, `aria-labelledby="end-all user"`)
		got := strings.TrimSpace(s.json("?subject=alice").Want(200).Text)
		stamp := func(d time.Duration) string { return s.Now.Add(d).UTC().Format("2006-01-02T15:04:05.999Z07:00") }
		wantIn(t, "JSON", got, `{"subject":"alice","sessions":[{"subject":"alice","id":"`,
			`{"subject":"alice","id":"`+s.ID(old)+`","current":false,"kind":"phone","device":"Safari on iPhone","userAgent":"`+uitest.IPhone+`","addr":"192.0.2.2","place":"Lisbon","firstAddr":"192.0.2.2","firstPlace":"Lisbon",`+
				`"signedInAt":"`+stamp(-2*time.Hour)+`","lastUsedAt":"`+stamp(-2*time.Hour)+`","expiresAt":"`+stamp(198*time.Hour)+`","endsAt":"`+stamp(398*time.Hour)+`"}],"ended":[]}`)

		for _, query := range []string{"?subject=nobody", "?subject=a%00b", "?subject=%ff", of(strings.Repeat("x", 300))} {
			body := s.get(query).Want(200).Text
			wantIn(t, query, body, english().NoSessions, `name="subject"`)
			if strings.Contains(body, `method="post"`) {
				t.Errorf("%s: got a button that ends nothing: %s", query, body)
			}
			wantIn(t, query, s.json(query).Want(200).Text, `"sessions":[]`)
		}
		wantIn(t, "nobody", s.get("?subject=nobody").Want(200).Text, `value="nobody"`)
		wantIn(t, "empty", s.get("?subject=").Want(200).Text, english().Users)

		body = s.get("?subject=root").Want(200).Text
		if strings.Count(body, english().ThisSession) != 1 || strings.Count(s.get("").Want(200).Text, english().ThisSession) != 1 {
			t.Errorf("the operator's own session is not marked: %s", body)
		}
	})
}

func TestNobody(t *testing.T) {
	s := newSite(t, Config{})
	h, err := New(s.Store, func(*http.Request) bool { return true }, Config{StoreTimeout: redistest.Patience})
	if err != nil {
		t.Fatal(err)
	}
	s.Mux.Handle("/open/", http.StripPrefix("/open", h))
	s.delete("?subject=root").Want(200)
	wantIn(t, "nobody", s.Request("GET", "/open/", nil).Want(200).Text, english().Nobody, "<dd>0</dd>")
	if got, want := strings.TrimSpace(s.Request("GET", "/open/", nil).With("Accept", asJSON).Want(200).Text), `{"counts":{"subjects":0,"sessions":0},"sessions":[]}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestUndecodable(t *testing.T) {
	s := newSite(t, Config{})
	alice := s.Login("alice", uitest.Firefox, "192.0.2.1")
	h := s.handler(&undecodable{s.Store, s.ID(alice)}, Config{})
	s.Mux.Handle("/spoilt/", s.Manager.Require(http.StripPrefix("/spoilt", h)))
	body := s.Request("GET", "/spoilt/", s.root).Want(200).Text
	wantIn(t, "all", html.UnescapeString(body), english().Undecodable, english().NoUser, s.ID(alice))
	if strings.Contains(body, "192.0.2.1") || strings.Count(body, "?subject=") != 1 {
		t.Errorf("got %s", body)
	}
	body = s.Request("GET", "/spoilt/?subject=alice", s.root).Want(200).Text
	wantIn(t, "alice", html.UnescapeString(body), english().Undecodable, `value="`+s.ID(alice)+`"`)
	wantIn(t, "JSON", s.Request("GET", "/spoilt/", s.root).With("Accept", asJSON).Want(200).Text, `{"subject":"","id":"`+s.ID(alice)+`","current":false,"undecodable":true`)
	s.Request("POST", "/spoilt/", s.root, "subject=alice&revoke="+s.ID(alice)).Want(303)
	if s.Alive(alice) != "0" {
		t.Error("the session goes on")
	}
}

// What a user is called does no harm, is told apart, and can be ended.
func TestHostileSubjects(t *testing.T) {
	for _, text := range append(uitest.Hostile, "ali\u202ece", "alice\u200b", " alice ", "'\"><script>", "a&subject=root", "?#%2f", "\u0645\u0631\u062d\u0628\u0627", strings.Repeat("界", 341)) {
		subject := strings.Map(func(r rune) rune {
			if unicode.IsControl(r) || r == unicode.ReplacementChar {
				return -1
			}
			return r
		}, text)
		for len(subject) > 1024 {
			subject = subject[:strings.LastIndexFunc(subject[:1024], func(rune) bool { return true })]
		}
		if subject == "" {
			continue
		}
		s := newSite(t, Config{Locate: func(netip.Addr) string { return text }})
		alice := s.Login(subject, text, "192.0.2.1")
		overview, user := s.get("").Want(200).Text, s.get(of(subject)).Want(200).Text
		for _, body := range []string{overview, user} {
			shown := tags.ReplaceAllString(uitest.Body(body), "")
			for _, r := range shown {
				if r != '\n' && r != '\u200c' && r != '\u200d' && !unicode.IsGraphic(r) {
					t.Errorf("%.40q: %U on the page", subject, r)
				}
			}
			got := ""
			for _, tag := range tags.FindAllString(uitest.Body(body), -1) {
				got += quoted.ReplaceAllString(tag, `""`)
			}
			if strings.Contains(got, "script") || strings.Contains(got, "<img") || strings.Contains(got, "onerror") || strings.Contains(got, "'") {
				t.Errorf("%.40q: got tags %s", subject, got)
			}
			if want := newUser(subject).Hidden; strings.Contains(body, english().Hidden) != want {
				t.Errorf("%.40q: marked as hidden, want %v: %s", subject, want, body)
			}
		}
		links := users.FindAllStringSubmatch(overview, -1)
		found := false
		for _, link := range links {
			got, err := url.QueryUnescape(html.UnescapeString(link[1]))
			found = found || err == nil && got == subject
		}
		if len(links) != 2 || !found {
			t.Errorf("%q: got links %q", subject, links)
		}
		field := regexp.MustCompile(`type="hidden" name="subject" value="([^"]*)"`).FindStringSubmatch(user)
		if field == nil || html.UnescapeString(field[1]) != subject {
			t.Fatalf("%q: got the field %q", subject, field)
		}
		var list struct{ Subject string }
		if err := json.Unmarshal([]byte(s.json(of(subject)).Want(200).Text), &list); err != nil || list.Subject != subject {
			t.Errorf("%q: got %q, %v", subject, list.Subject, err)
		}
		location := s.revoke(html.UnescapeString(field[1]), s.ID(alice)).Want(303).Header.Get("Location")
		if q, err := url.ParseQuery(strings.TrimPrefix(location, "?")); err != nil || q.Get("of") != subject || s.Alive(alice) != "0" {
			t.Errorf("%q: got Location %q", subject, location)
		}
		s.get(location).Want(200)
	}
}

func TestNewUser(t *testing.T) {
	long := strings.Repeat("x", 1024)
	for subject, want := range map[string]User{
		"alice":         {"alice", "", "alice", false},
		"ali\u202ece":   {"ali\u202ece", "", "alice", true},
		"alice\u200b":   {"alice\u200b", "", "alice", true},
		"alice ":        {"alice ", "", "alice", true},
		"a  b":          {"a  b", "", "a b", true},
		"\u0645\u0631":  {"\u0645\u0631", "", "\u0645\u0631", false},
		long:            {long, "", long, false},
		"":              {},
		"\u2066\u202e_": {"\u2066\u202e_", "", "_", true},
		"\u2066\u202e":  {"\u2066\u202e", "", `"\u2066\u202e"`, true},
	} {
		if got := newUser(subject); got != want {
			t.Errorf("%q: got %+v, want %+v", subject, got, want)
		}
	}
}

func TestAccessible(t *testing.T) {
	s := newSite(t, Config{PageSize: 1})
	s.Login("alice", uitest.Firefox, "192.0.2.1")
	ids := regexp.MustCompile(` id="([^"]*)"`)
	s.end(uitest.Firefox, "idle", "root")
	for _, query := range []string{"", "?cursor=x", "?subject=alice", "?subject=nobody", "?ended=all", "?ended=all&cause=idle", "?ended=all&cause=none", "?ended=all&cursor=x", "?ended=all&since=x",
		"?device=firefox", "?network=192.0.2.1", "?network=198.51.100.1", "?network=x", "?these=preview&network=192.0.2.1", "?these=preview&device=none", "?these=preview"} {
		r := s.get(query)
		res := r.Want(map[bool]int{true: 400, false: 200}[strings.HasSuffix(query, "=x") || query == "?these=preview"])
		seen := map[string]bool{}
		for _, id := range ids.FindAllStringSubmatch(res.Text, -1) {
			if seen[id[1]] {
				t.Errorf("%s: two have the ID %s", query, id[1])
			}
			seen[id[1]] = true
		}
		for _, refs := range regexp.MustCompile(` (?:aria-labelledby|aria-describedby|for)="([^"]*)"`).FindAllStringSubmatch(res.Text, -1) {
			for _, id := range strings.Fields(refs[1]) {
				if !seen[id] {
					t.Errorf("%s: nothing has the ID %s", query, id)
				}
			}
		}
		if strings.Count(res.Text, "<h1") != 1 || !strings.Contains(res.Text, `<html lang="en"`) || !strings.Contains(res.Text, "<title>") {
			t.Errorf("%s: got %s", query, res.Text)
		}
		if strings.Contains(uitest.Body(res.Text), "<script") || strings.Contains(res.Text, " style=") || strings.Contains(res.Text, "ZgotmplZ") {
			t.Errorf("%s: got %s", query, res.Text)
		}
	}
}

func TestTemplateAndText(t *testing.T) {
	tmpl := template.Must(template.New("").Parse(`{{.Head}}{{.Text.Title}}:{{.Counts.Sessions}}{{range .Rows}}|{{.Called}},{{.Device}},{{.LastUsed}}{{end}}|{{.Text.SignOut}}`))
	s := newSite(t, Config{Template: tmpl, Text: Text{Title: "Sitzungen", Ago: func(time.Duration) string { return "jetzt" }}})
	res := s.get("").Want(200)
	if _, got, _ := strings.Cut(res.Text, "</script>"); got != "Sitzungen:1|root,Unknown device,jetzt|Sign out" {
		t.Errorf("got %q", got)
	}
	wantIn(t, "policy", res.Header.Get("Content-Security-Policy"), "style-src 'self' 'sha256-", "font-src 'self'")

	// The built-in pages say nothing that Text does not.
	marked := Text{Language: "de", TimeLayout: "2006", On: "¤%s%s¤", Ago: func(time.Duration) string { return "¤" }, Cause: func(string) string { return "¤" }, Number: func(int64) string { return "1" },
		ThatMany: func(int64, int64) string { return "¤" }, MoreOf: func(int64) string { return "¤" }, DoneThese: func(int64) string { return "¤" }, DoneAll: func(int64) string { return "¤" }, EndAll: func(int64) string { return "¤" },
		Notice: func(string) (string, string) { return "¤", "¤" }}
	for i, v := 0, reflect.ValueOf(&marked).Elem(); i < v.NumField(); i++ {
		if v.Field(i).IsZero() {
			v.Field(i).SetString("¤")
		}
	}
	s = newSite(t, Config{Text: marked, PageSize: 1})
	s.Login("1", uitest.Firefox, "192.0.2.1")
	s.end("", "idle", "")
	s.Login("2", uitest.Firefox, "192.0.2.1")
	body := s.get("?cursor=00.0.").Want(200).Text + s.get(of("1")+"&done=one").Want(200).Text + s.get(of("2")+"&done=all").Want(200).Text + s.get(of("2")+"&sure=all").Want(200).Text + s.get(of("root")+"&sure=all").Want(200).Text +
		s.get("?ended=all&cause=idle").Want(200).Text + s.get("?ended=all&since=x").Want(400).Text + s.get("?network=x").Want(400).Text +
		s.get("?these=preview&network=192.0.2.1").Want(200).Text + s.get("?network=192.0.2.1&done=these&n=2").Want(200).Text
	shown := regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}`).ReplaceAllString(strings.ReplaceAll(tags.ReplaceAllString(uitest.Body(body), " "), uitest.Firefox, ""), "")
	for _, word := range regexp.MustCompile(`\pL{2,}`).FindAllString(shown, -1) {
		if word != "FirefoxLinux" && word != "root" && word != "alice" {
			t.Errorf("the page says %q", word)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	s := newSite(t, Config{})
	yes := func(*http.Request) bool { return true }
	broken := template.Must(template.New("").Parse("{{.NoSuchField}}"))
	_, err := New(nil, nil, Config{PageSize: 1001, StoreTimeout: -1, TrustedOrigins: []string{"https://a.example", "b.example/x"}, Template: broken})
	if err == nil {
		t.Fatal("got no error")
	}
	wantIn(t, "New", err.Error(), "admin: ", "store: it is nil", "authorize: it is nil", "PageSize: ", "StoreTimeout: ", "TrustedOrigins[1]: ", "Template: ", "NoSuchField")
	for name, f := range map[string]func() (http.Handler, error){
		"no authorize":     func() (http.Handler, error) { return New(s.Store, nil, Config{}) },
		"nil store":        func() (http.Handler, error) { return New((*ticketstore.RedisStore)(nil), yes, Config{}) },
		"negative page":    func() (http.Handler, error) { return New(s.Store, yes, Config{PageSize: -1}) },
		"On is no format":  func() (http.Handler, error) { return New(s.Store, yes, Config{Text: Text{On: "%d"}}) },
		"failing template": func() (http.Handler, error) { return New(s.Store, yes, Config{Template: failing()}) },
	} {
		if h, err := f(); err == nil || h != nil {
			t.Errorf("%s: got %v, %v", name, h, err)
		}
	}
	if f := reflect.TypeFor[Config]().Field(0); f.Name != "_" || f.Type != reflect.TypeFor[[0]func()]() {
		t.Errorf("Config begins with %v, want _ [0]func()", f)
	}
}

// failing is a template that fails on the second kind of page only.
func failing() *template.Template {
	return template.Must(template.New("").Funcs(template.FuncMap{"fail": func() (string, error) { return "", errors.New("no reason") }}).
		Parse(`{{if .Subject}}{{fail}}{{end}}`))
}

// No word is missing: each field has an English text.
func TestEnglish(t *testing.T) {
	for i, v := 0, reflect.ValueOf(ui.Fill(Text{}, english())); i < v.NumField(); i++ {
		if v.Field(i).IsZero() {
			t.Errorf("%s is empty", v.Type().Field(i).Name)
		}
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := number(n); got != want {
			t.Errorf("%d: got %q, want %q", n, got, want)
		}
	}
}
