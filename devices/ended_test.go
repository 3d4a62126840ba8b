package devices

import (
	"context"
	"encoding/json"
	"errors"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/ui/uitest"
)

func withHistory(s *site) { s.on(s.Store, Config{History: s.Store.History}) }

// endedOn returns what the page says of endings, from the top.
func endedOn(body string) string {
	_, list, _ := strings.Cut(body, "<h2>"+english().Recent)
	return strings.Join(strings.Fields(html.UnescapeString(tags.ReplaceAllString(list, " "))), " ")
}

func TestEnded(t *testing.T) {
	s := newSite(t, Config{})
	withHistory(s)
	me := s.Login("alice", uitest.Firefox, "192.0.2.1")
	if got := endedOn(s.page(me).Text); got != "None." {
		t.Errorf("got %q, want none", got)
	}
	idle := s.Login("alice", uitest.IPhone, "192.0.2.2")
	s.Login("bob", uitest.IPhone, "192.0.2.2")
	s.Advance(150 * time.Hour)
	s.page(me) // renewed
	s.Advance(51 * time.Hour)
	if _, err := s.Store.RevokeAll(s.Ctx(), "bob"); err != nil {
		t.Fatal(err)
	}
	s.Advance(26 * time.Hour)
	curl := s.Login("alice", "curl/8", "")
	s.revoke(me, s.ID(curl)).Want(303)
	if got := s.Alive(me, idle, curl); got != "100" {
		t.Fatalf("got %s alive, want 100", got)
	}
	signedIn := s.Now.Add(-227 * time.Hour).UTC().Format("2 Jan 2006, 15:04 MST")
	want := "App or program curl Ended signed out from elsewhere , just now Signed in " + s.Now.UTC().Format("2 Jan 2006, 15:04 MST") +
		" Phone Safari on iPhone Ended idle for too long , about a day ago Signed in " + signedIn + " Address 192.0.2.2"
	if got := endedOn(s.page(me).Text); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}

	res := s.Request("GET", mount+"/", me).With("Accept", asJSON).Want(200)
	var list struct {
		Sessions []Row
		Ended    []Ended
	}
	if err := json.Unmarshal([]byte(res.Text), &list); err != nil || len(list.Sessions) != 1 || len(list.Ended) != 2 {
		t.Fatalf("got %s, %v", res.Text, err)
	}
	stamp := func(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.999Z07:00") }
	last := `"kind":"phone","device":"Safari on iPhone","addr":"192.0.2.2","signedInAt":"` + stamp(s.Now.Add(-227*time.Hour)) +
		`","endedAt":"` + stamp(s.Now.Add(-27*time.Hour)) + `","cause":"idle"}]}`
	if !strings.HasSuffix(strings.TrimSpace(res.Text), last) {
		t.Errorf("got %s, want %s at its end", res.Text, last)
	}
}

// What tells of endings may have anything in it.
func TestEndedOnAnyRedis(t *testing.T) {
	eachBackend(t, func(t *testing.T, s *site) {
		withHistory(s)
		me := s.Login("alice", uitest.Firefox, "")
		if got := s.Request("GET", mount+"/", me).With("Accept", asJSON).Want(200).Text; !strings.Contains(got, `"ended":[]`) {
			t.Errorf("got %s, want none ended", got)
		}
		for _, cause := range append(slices.Clone(uitest.Hostile), "password-changed") {
			other := s.Login("alice", cause, "192.0.2.1")
			if err := s.Store.Revoke(ticketstore.WithCause(s.Ctx(), cause, "<i>admin"), "alice", s.ID(other)); err != nil {
				t.Fatal(err)
			}
			body := s.page(me).Text
			if got := tagsOf(body); strings.Contains(got, "script") || strings.Contains(got, "<img") || strings.Contains(got, "<b>") || strings.ContainsAny(endedOn(body), "\u202e\x1b\x00") {
				t.Errorf("%.40q: got tags %s", cause, got)
			}
			if strings.Contains(body, "admin") {
				t.Errorf("%.40q: the page tells the user who of the staff it was: %s", cause, endedOn(body))
			}
		}
		body := s.page(me).Text
		if got := strings.Count(body, "<h3>"); got != 10 || !strings.Contains(endedOn(body), "Ended password-changed , just now") {
			t.Errorf("got %d endings, want the last 10: %s", got, endedOn(body))
		}
	})
}

func TestName(t *testing.T) {
	for agent, want := range map[string]string{
		uitest.Firefox: "Firefox on Linux", uitest.IPhone: "Safari on iPhone", "curl/8.9.1": "curl", "": "Unknown device",
		strings.ReplaceAll(uitest.Firefox, "143", "99"): "Firefox on Linux", "This device <b>/1.0": "Unknown program",
	} {
		if got := Name(agent); got != want {
			t.Errorf("%q: got %q, want %q", agent, got, want)
		}
	}
}

func TestNoHistory(t *testing.T) {
	s := newSite(t, Config{})
	me := s.Login("alice", uitest.Firefox, "")
	wantNone := func(name string) {
		t.Helper()
		page, list := s.page(me).Text, s.Request("GET", mount+"/", me).With("Accept", asJSON).Want(200).Text
		if strings.Contains(page, english().Recent) || strings.Contains(list, `"ended"`) || devicesOn(page) == "" {
			t.Errorf("%s: got %s and %s, want nothing of endings", name, page, list)
		}
	}
	wantNone("no History")
	var fails error
	s.on(s.Store, Config{History: func(context.Context, string) ([]ticketstore.Ending, error) { return nil, fails }})
	fails = errors.Join(errors.New("not set"), errors.ErrUnsupported)
	wantNone("a store that remembers none")
	fails = errors.New("LOADING")
	if res := s.Request("GET", mount+"/", me).Want(503); strings.Contains(res.Text, "LOADING") || !strings.Contains(s.Logs.String(), "LOADING") {
		t.Errorf("got %q, and the logs %s", res.Text, s.Logs)
	}
}

// A user ends, and reports, a session that is not theirs.
func TestReport(t *testing.T) {
	eachBackend(t, func(t *testing.T, s *site) {
		var reports []ticketstore.Session
		s.on(s.Store, Config{History: s.Store.History, Report: func(r *http.Request, sess ticketstore.Session) {
			if tk, ok := ticketstore.FromContext(r.Context()); !ok || tk.Subject != "alice" {
				t.Errorf("got %v, want alice's request", tk)
			}
			reports = append(reports, sess)
		}})
		me, theirs, third := s.Login("alice", uitest.Firefox, ""), s.Login("alice", uitest.IPhone, "192.0.2.66"), s.Login("alice", "curl/8", "")
		bob := s.Login("bob", uitest.Firefox, "")
		id := s.ID(theirs)
		if body := s.page(me).Text; strings.Count(body, `name="report"`) != 2 || strings.Contains(body, `name="report" value="`+s.ID(me)+`"`) {
			t.Errorf("want a button at the two others: %s", body)
		}
		for _, other := range []string{s.ID(bob), s.ID(me), "x", "all", "others"} {
			s.report(me, other).Want(404)
		}
		s.report(me, id).With("Sec-Fetch-Site", "cross-site").Want(403)
		s.Request("POST", mount+"/", me, "revoke=all&report="+id).Want(400)
		if got := s.Alive(me, theirs, third, bob); got != "1111" || len(reports) > 0 {
			t.Fatalf("got %s alive and %v, want no report yet", got, reports)
		}
		res := s.report(me, id).Want(303)
		wantNoCookie(t, res)
		if got := res.Header.Get("Location"); got != "?done=reported" {
			t.Errorf("got Location %q", got)
		}
		s.report(me, id).Want(404)
		if got := s.Alive(me, theirs, third, bob); got != "1011" {
			t.Errorf("got %s alive, want 1011", got)
		}
		if len(reports) != 1 || reports[0].ID != id || reports[0].Device.Addr.String() != "192.0.2.66" {
			t.Errorf("got %+v, want the one report", reports)
		}
		body := s.page(me, "?done=reported").Text
		if !strings.Contains(body, english().DoneNotMe) || !strings.Contains(endedOn(body), "Safari on iPhone Ended reported as “This wasn’t me” , just now") {
			t.Errorf("got %s", body)
		}
		endings, err := s.Store.History(s.Ctx(), "alice")
		if err != nil || len(endings) != 1 || endings[0].Cause != "reported" || endings[0].By != "alice" {
			t.Errorf("got %+v, %v", endings, err)
		}
	})
}

func TestReportAsksForARecentSignIn(t *testing.T) {
	reports := 0
	s := newSite(t, Config{RecentSignIn: 10 * time.Minute, Report: func(*http.Request, ticketstore.Session) { reports++ }})
	me, other := s.Login("alice", uitest.Firefox, ""), s.Login("alice", uitest.IPhone, "")
	s.Advance(10 * time.Minute)
	if got := s.report(me, s.ID(other)).Want(303).Header.Get("Location"); got != "?confirm=1" || s.Alive(other) != "1" || reports > 0 {
		t.Errorf("got Location %q, %d reports", got, reports)
	}
}

func TestNoReport(t *testing.T) {
	s := newSite(t, Config{})
	me, other := s.Login("alice", uitest.Firefox, ""), s.Login("alice", uitest.IPhone, "")
	s.report(me, s.ID(other)).Want(400)
	if body := s.page(me, "?done=reported").Text; strings.Contains(body, english().NotMe) || strings.Contains(body, english().DoneNotMe) || s.Alive(me, other) != "11" {
		t.Errorf("a report that nobody takes: %s", body)
	}
}

// An outage is no report, and reports what has not ended to nobody.
func TestReportOutage(t *testing.T) {
	s := newSite(t, Config{})
	faulty := &faultyStore{RedisStore: s.Store}
	s.on(faulty, Config{Report: func(*http.Request, ticketstore.Session) { t.Error("it was reported") }})
	me, other := s.Login("alice", uitest.Firefox, ""), s.Login("alice", uitest.IPhone, "")
	c := s.report(me, s.ID(other))
	faulty.index = errors.New("LOADING")
	wantNoCookie(t, c.Want(503))
	faulty.index, faulty.revoked = nil, ticketstore.ErrNotFound // it ended between the two calls
	s.report(me, s.ID(other)).Want(404)
}

func (s *site) report(c *http.Cookie, id string) uitest.Call {
	return s.Request("POST", mount+"/", c, url.Values{"report": {id}}.Encode())
}
