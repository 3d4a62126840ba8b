package devices

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"html"
	"html/template"
	"net/http"
	"net/netip"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/ui"
	"github.com/ticketstore/ticketstore/internal/ui/uitest"
)

var (
	headings = regexp.MustCompile(`<h[23] id="device-[^>]*><bdi>(.*?)</bdi>`)
	tags     = regexp.MustCompile(`<[^>]*>`)
)

// devicesOn returns the devices on a page, from the top.
func devicesOn(body string) string {
	var names []string
	for _, m := range headings.FindAllStringSubmatch(body, -1) {
		names = append(names, m[1])
	}
	return strings.Join(names, ", ")
}

func TestPage(t *testing.T) {
	eachBackend(t, func(t *testing.T, s *site) {
		s.Login("alice", uitest.IPhone, "192.0.2.2")
		s.Advance(time.Hour)
		me := s.Login("alice", uitest.Firefox, "192.0.2.1")
		s.Advance(time.Hour)
		last := s.Login("alice", "curl/8.9.1", "")
		s.Login("bob", uitest.Firefox, "")
		s.Advance(12 * time.Minute)
		body := s.page(me).Text
		if got, want := devicesOn(body), "Firefox on Linux, curl, Safari on iPhone"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if got := strings.Count(body, english().ThisDevice); got != 1 || !strings.Contains(body, `Firefox on Linux</bdi> <span class="badge">This device`) {
			t.Errorf("the present device is marked %d times: %s", got, body)
		}
		for _, want := range []string{
			"about 12 minutes ago", "about 2 hours ago", "just now", "192.0.2.2", `value="` + s.ID(last) + `"`,
			`title="` + s.Now.Add(-12*time.Minute).UTC().Format("2 Jan 2006, 15:04 MST") + `"`,
			`value="others"`, `value="all"`, `<html lang="en"`, `value="` + s.ID(me) + `"`,
		} {
			if !strings.Contains(body, want) {
				t.Errorf("no %q on the page: %s", want, body)
			}
		}
		if strings.Count(body, "<h1>") != 1 || strings.Count(body, "<button") != 5 {
			t.Errorf("want one h1, five buttons: %s", body)
		}
		for _, unwanted := range []string{"<script", "<style", "style=", "javascript:", " on", "action=", "href=", "src="} {
			if strings.Contains(strings.ReplaceAll(tagsOf(body), `content="width`, ""), unwanted) {
				t.Errorf("%q on the page: %s", unwanted, body)
			}
		}
		s.revoke(me, "others").Want(303)
		if body := s.page(me).Text; strings.Contains(body, `value="others"`) || !strings.Contains(body, `value="all"`) {
			t.Errorf("one device, and a button for others: %s", body)
		}
	})
}

// tagsOf returns the tags in body.
func tagsOf(body string) string { return strings.Join(tags.FindAllString(uitest.Body(body), -1), "") }

// The policy admits the style sheet as it stands in the page, and no other.
func TestStyleHash(t *testing.T) {
	s := newSite(t, Config{})
	res := s.page(s.Login("alice", uitest.Firefox, ""))
	_, rest, _ := strings.Cut(res.Text, "<style>")
	style, _, _ := strings.Cut(rest, "</style>")
	sum := sha256.Sum256([]byte(style))
	want := "style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "';"
	if policy := res.Header.Get("Content-Security-Policy"); len(style) < 1000 || !strings.Contains(policy, want) {
		t.Errorf("got policy %q, want %s in it", policy, want)
	}
}

// The device is where the session was last seen, and the present one's last
// use is now.
func TestSeenFrom(t *testing.T) {
	s := newSite(t, Config{})
	me, other := s.Login("alice", uitest.Firefox, "192.0.2.1"), s.Login("alice", uitest.Firefox, "192.0.2.1")
	s.Advance(time.Hour)
	s.Request("GET", mount+"/", other).With("User-Agent", uitest.IPhone).With("X-Addr", "192.0.2.99").Want(200)
	body := s.Request("GET", mount+"/", me).With("User-Agent", "curl/8").Want(200).Text
	if got, want := devicesOn(body), "curl, Safari on iPhone"; got != want || !strings.Contains(body, "192.0.2.99") {
		t.Errorf("got %q, want %q: %s", got, want, body)
	}
}

func TestUndecodable(t *testing.T) {
	eachBackend(t, func(t *testing.T, s *site) {
		stub := &undecodableStore{faultyStore: faultyStore{RedisStore: s.Store}}
		s.on(stub, Config{Locate: func(netip.Addr) string { return "Lisbon" }})
		me, other := s.Login("alice", uitest.Firefox, ""), s.Login("alice", uitest.IPhone, "192.0.2.1")
		stub.id = s.ID(other)
		body := s.page(me).Text
		if got, want := devicesOn(body), "Firefox on Linux, Unknown device"; got != want || !strings.Contains(html.UnescapeString(body), english().Undecodable) || strings.Contains(body, "Lisbon") {
			t.Errorf("got %q, want %q: %s", got, want, body)
		}
		res := s.Request("GET", mount+"/", me).With("Accept", asJSON).Want(200)
		if !strings.Contains(res.Text, `"current":false,"undecodable":true,"kind":"unknown","device":"Unknown device","expiresAt":"`) {
			t.Errorf("got %s", res.Text)
		}
		s.revoke(me, stub.id).Want(303)
		if got := s.Alive(me, other); got != "10" {
			t.Errorf("got %s alive, want 10", got)
		}
	})
}

// An undecodableStore lists the session id as one that cannot be read.
type undecodableStore struct {
	faultyStore
	id string
}

func (s *undecodableStore) Sessions(ctx context.Context, subject string) ([]ticketstore.Session, error) {
	sessions, err := s.faultyStore.Sessions(ctx, subject)
	for i, sess := range sessions {
		if sess.ID == s.id {
			sessions[i] = ticketstore.Session{ID: sess.ID, Subject: subject, ExpiresAt: sess.ExpiresAt, Undecodable: true}
		}
	}
	return sessions, err
}

func TestHostileStrings(t *testing.T) {
	for _, text := range uitest.Hostile {
		s := newSite(t, Config{Locate: func(netip.Addr) string { return text }})
		me := s.Login("alice", uitest.Firefox, "")
		s.Login("alice", text, "192.0.2.1")
		body := s.page(me).Text
		for _, r := range body {
			if r != '\n' && (unicode.IsControl(r) || !unicode.IsGraphic(r)) {
				t.Errorf("%.40q: %U on the page", text, r)
			}
		}
		if got := tagsOf(body); strings.Contains(got, "script") || strings.Contains(got, "<img") || strings.Contains(got, "onerror") {
			t.Errorf("%.40q: got tags %s", text, got)
		}
		if len(body) > len(ui.Style)+8<<10 {
			t.Errorf("%.40q: got a page of %d bytes", text, len(body))
		}
		if got := devicesOn(body); strings.Contains(strings.TrimPrefix(got, "Firefox on Linux"), "This device") {
			t.Errorf("%.40q: got %q", text, got)
		}
		res := s.Request("GET", mount+"/", me).With("Accept", asJSON).Want(200)
		if strings.ContainsAny(res.Text, "<>\u202e\u2028\x1b") || len(res.Text) > 2<<10 {
			t.Errorf("%.40q: got %s", text, res.Text)
		}
	}
}

func TestLocate(t *testing.T) {
	var asked []string
	s := newSite(t, Config{Locate: func(a netip.Addr) string {
		asked = append(asked, a.String())
		if a == netip.MustParseAddr("192.0.2.1") {
			return "  Lisbon,\tPortugal\n"
		}
		return ""
	}})
	me := s.Login("alice", uitest.Firefox, "192.0.2.1")
	for _, addr := range []string{"192.0.2.1", "::ffff:192.0.2.1", "fe80::1%evil", ""} {
		s.Login("alice", uitest.IPhone, addr)
	}
	body := s.page(me).Text
	if got, want := strings.Join(asked, " "), "fe80::1 192.0.2.1"; got != want {
		t.Errorf("asked for %q, want %q, each once", got, want)
	}
	if got := strings.Count(body, ">Lisbon, Portugal</bdi> <bdi class=\"address\">192.0.2.1</bdi>"); got != 6 || strings.Contains(body, "evil") || strings.Contains(body, "ffff") {
		t.Errorf("got it %d times, want 6, two for each: %s", got, body)
	}
}

func TestTemplateAndText(t *testing.T) {
	tmpl := template.Must(template.New("").Parse(`{{.Head}}{{.Text.Title}}:{{.Others}}{{range .Rows}}|{{.Device}},{{.LastUsed}}{{if .Current}},{{$.Text.ThisDevice}}{{end}}{{end}}|{{.Text.SignOut}}`))
	s := newSite(t, Config{Template: tmpl, Text: Text{Title: "Angemeldete Geräte", ThisDevice: "dieses", On: "%s unter %s",
		Ago: func(d time.Duration) string { return "vor " + strconv.Itoa(int(d/time.Hour)) + " Std." }}})
	s.Login("alice", uitest.IPhone, "")
	s.Advance(2 * time.Hour)
	res := s.page(s.Login("alice", uitest.Firefox, ""))
	want := "Angemeldete Geräte:1|Firefox unter Linux,vor 0 Std.,dieses|Safari unter iPhone,vor 2 Std.|Sign out"
	if _, got, _ := strings.Cut(res.Text, "</script>"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := res.Header.Get("Content-Security-Policy"); !strings.Contains(got, "style-src 'self' 'sha256-") || !strings.Contains(got, "font-src 'self'") {
		t.Errorf("got policy %q, want the site's own styles in it", got)
	}

	// The built-in page says nothing that Text does not.
	marked := Text{Language: "de", TimeLayout: "2006", On: "¤%s%s¤", Ago: func(time.Duration) string { return "¤" }, Cause: func(string) string { return "¤" },
		Notice: func(string) (string, string) { return "¤", "¤" }}
	for i, v := 0, reflect.ValueOf(&marked).Elem(); i < v.NumField(); i++ {
		if v.Field(i).Kind() == reflect.String && v.Field(i).IsZero() {
			v.Field(i).SetString("¤")
		}
	}
	marked.DoneOne = func(string, string) string { return "¤" }
	marked.SureAlike = func(string) string { return "¤" }
	marked.Alike, marked.ThatMany = func(int) string { return "¤" }, func(int) string { return "¤" }
	marked.PageOf = func(int, int) string { return "¤" }
	s.on(s.Store, Config{Text: marked, History: s.Store.History, Report: func(*http.Request, ticketstore.Session) {}})
	if _, err := s.Store.RevokeAll(s.Ctx(), "alice"); err != nil {
		t.Fatal(err)
	}
	s.Login("alice", "", "192.0.2.1")
	me := s.Login("bob", uitest.Firefox, "192.0.2.1")
	body := s.page(me).Text
	me = s.Login("alice", uitest.Firefox, "192.0.2.1")
	body += s.page(me, "?done=reported").Text
	body = strings.ReplaceAll(body, uitest.Firefox, "")
	words := regexp.MustCompile(`[A-Za-z]{2,}`).FindAllString(tags.ReplaceAllString(uitest.Body(body), " "), -1)
	if got, want := strings.Join(words, " "), "FirefoxLinux FirefoxLinux FirefoxLinux SafariiPhone"; got != want {
		t.Errorf("got the words %q, want %q", got, want)
	}
}

// A template that fails at a request leaves no half page behind.
func TestTemplateFails(t *testing.T) {
	failing := false
	tmpl := template.Must(template.New("").Funcs(template.FuncMap{"fail": func() (string, error) {
		if failing {
			return "", errors.New("no reason")
		}
		return "", nil
	}}).Parse(`half {{fail}}`))
	s := newSite(t, Config{Template: tmpl})
	me := s.Login("alice", uitest.Firefox, "")
	failing = true
	res := s.Request("GET", mount+"/", me).Want(500)
	if strings.Contains(res.Text, "half") || strings.Contains(res.Text, "reason") || !strings.Contains(s.Logs.String(), "no reason") {
		t.Errorf("got %q, and the logs %s", res.Text, s.Logs)
	}
}

func TestNewRefuses(t *testing.T) {
	s := newSite(t, Config{})
	broken := template.Must(template.New("").Parse("{{.NoSuchField}}"))
	_, err := New(nil, Config{RecentSignIn: -1, SignedOutPath: "//evil.example", TrustedOrigins: []string{"https://a.example", "b.example/x"},
		Template: broken, Text: Text{}})
	for _, want := range []string{"devices: ", "m: it is nil", "RecentSignIn: ", "SignedOutPath: ", "TrustedOrigins[1]: ", "Template: ", "NoSuchField"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
	if _, err := New(new(ticketstore.Manager), Config{}); err == nil {
		t.Error("the zero Manager: got no error")
	}
	for _, path := range []string{"https://evil.example", `/\evil.example`, "x", "/\n"} {
		if _, err := New(s.Manager, Config{SignedOutPath: path}); err == nil {
			t.Errorf("SignedOutPath %q: got no error", path)
		}
	}
	for _, on := range []string{"%s", "%s on %d", "%s on %s %s", "on", "%s on %s%%!"} {
		if _, err := New(s.Manager, Config{Text: Text{On: on}}); err == nil || !strings.Contains(err.Error(), "Text.On") {
			t.Errorf("On %q: got %v", on, err)
		}
	}
	m, err := ticketstore.NewManager(struct{ ticketstore.TicketStore }{s.Store}, ticketstore.Config{CookieKeys: []ticketstore.CookieKey{{Hash: make([]byte, 32)}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(m, Config{}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a store that is no SessionIndex: got %v, want ErrUnsupported", err)
	}
	if f := reflect.TypeFor[Config]().Field(0); f.Name != "_" || f.Type != reflect.TypeFor[[0]func()]() {
		t.Errorf("Config begins with %v, want _ [0]func()", f)
	}
}

// With ticketstore.NewContext an application tests its pages, and its ticket
// has no session: that is a page, too.
func TestNewContext(t *testing.T) {
	s := newSite(t, Config{})
	c := s.Request("GET", mount+"/", nil)
	c.Request = c.WithContext(ticketstore.NewContext(c.Context(), ticketstore.NewTicket("alice")))
	if body := c.Want(200).Text; strings.Contains(body, "<li") {
		t.Errorf("got %s, want an empty list", body)
	}
}

func TestSignedOutPath(t *testing.T) {
	s := newSite(t, Config{SignedOutPath: "/bye?x=1"})
	me := s.Login("alice", uitest.Firefox, "")
	if got := s.revoke(me, s.ID(me)).Want(303).Header.Get("Location"); got != "/bye?x=1" {
		t.Errorf("got Location %q", got)
	}
}

// Relative words follow the clock of the request.
func TestAgoOnThePage(t *testing.T) {
	s := newSite(t, Config{}, func(cfg *ticketstore.Config) { cfg.Activity = func(*http.Request) bool { return false } })
	s.Login("alice", uitest.IPhone, "")
	me := s.Login("alice", uitest.Firefox, "")
	for _, step := range []struct {
		d    time.Duration
		want string
	}{{0, "just now"}, {4 * time.Minute, "about 4 minutes ago"}, {56 * time.Minute, "about an hour ago"}, {47 * time.Hour, "about 2 days ago"}} {
		s.Advance(step.d)
		if body := s.page(me).Text; strings.Count(body, ">"+step.want+"<") != 1 && step.d > 0 {
			t.Errorf("want %q on the page: %s", step.want, body)
		}
	}
}
