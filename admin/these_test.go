package admin

import (
	"context"
	"errors"
	"fmt"
	"html"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/ui/uitest"
)

// A filter lets through what it says, on the page, in JSON and in the preview.
func TestFilter(t *testing.T) {
	eachBackend(t, Config{PageSize: 2}, func(t *testing.T, s *site) {
		s.Login("alice", uitest.Firefox, "192.0.2.1")
		s.Login("bob", uitest.IPhone, "192.0.2.200")
		s.Login("carol", uitest.Firefox, "2001:db8::5")
		s.Login("dave", "curl/8", "::ffff:198.51.100.9")
		today, tomorrow, yesterday := s.Now.UTC().Format(time.DateOnly), s.Now.UTC().Add(24*time.Hour).Format(time.DateOnly), s.Now.UTC().Add(-24*time.Hour).Format(time.DateOnly)
		for _, test := range []struct{ filter, want string }{
			{"device=firefox", "alice carol"}, {"device=FireFox+on+Lin", "alice carol"}, {"device=iphone", "bob"}, {"device=none", ""},
			{"network=192.0.2.1", "alice"}, {"network=192.0.2.0/24", "alice bob"}, {"network=+192.0.2.77/24+", "alice bob"}, {"network=198.51.100.9", "dave"},
			{"network=::ffff:198.51.100.9", "dave"}, {"network=2001:db8::/32", "carol"}, {"network=0.0.0.0/0", "alice bob dave"}, {"network=203.0.113.0/24", ""},
			{"network=192.0.2.0/24&device=firefox", "alice"},
			{"since=" + today, "alice bob carol dave root"}, {"since=" + tomorrow, ""}, {"before=" + today, ""}, {"before=" + tomorrow, "alice bob carol dave root"},
			{"since=" + yesterday + "&before=" + tomorrow + "&device=curl", "dave"},
		} {
			found := map[string]bool{}
			for query := "?" + test.filter; query != ""; {
				body := s.get(query).Want(200).Text
				for _, user := range users.FindAllStringSubmatch(body, -1) {
					found[user[1]] = true
				}
				query = nextOn(body)
			}
			delete(found, "")
			if got := names(found); got != test.want {
				t.Errorf("%s: got %q, want %q", test.filter, got, test.want)
			}
			want := strings.TrimSuffix(strings.TrimSuffix(test.want, "root"), " ") // whose own it is
			body := s.get("?these=preview&" + test.filter).Want(200).Text
			found = map[string]bool{}
			for _, user := range regexp.MustCompile(`<li><a href="\?subject=([^"]*)">`).FindAllStringSubmatch(body, -1) {
				found[user[1]] = true
			}
			n := int64(len(strings.Fields(want)))
			wantIn(t, test.filter, body, english().ThatMany(n, n))
			if got := names(found); !strings.HasPrefix(want, got) || len(found) != min(2, int(n)) || strings.Contains(body, `value="end"`) != (n > 0) {
				t.Errorf("%s: got a preview of %q, want of %q: %s", test.filter, got, want, body)
			}
			if n > 2 {
				wantIn(t, test.filter, body, english().MoreOf(n-2))
			}
		}
		for _, filter := range []string{"network=x", "network=192.0.2.0/33", "network=192.0.2.", "since=x", "before=2026-02-30", "since=2026-11-20T00:00:00Z"} {
			wantIn(t, filter, html.UnescapeString(s.get("?"+filter).Want(400).Text), `role="alert"`, english().NoFilter, "<dd>5</dd>")
			s.json("?" + filter).Want(400)
			s.get("?these=preview&" + filter).Want(400)
			s.endThese(filter).Want(400)
		}
		body := s.get("?device=none").Want(200).Text
		wantIn(t, "none", body, english().NoneFound, `name="device" type="search" dir="auto" maxlength="64" value="none"`)
		if strings.Contains(body, `name="these"`) || strings.Contains(s.get("").Want(200).Text, `name="these"`) {
			t.Errorf("of none, or of everybody's, all can be ended: %s", body)
		}
		wantIn(t, "some", s.get("?network=192.0.2.0/24").Want(200).Text, `<button name="these" value="preview">`)
	})
}

func names(found map[string]bool) string {
	var all []string
	for name := range found {
		all = append(all, name)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// The form of the preview ends what the preview has shown: not the operator's
// own session, nor what began since.
func TestEndThese(t *testing.T) {
	var events []string
	s := newSite(t, Config{Observer: func(_ context.Context, e ticketstore.Event) {
		events = append(events, fmt.Sprint(e.Kind, " ", e.Cause, " ", e.Subject, " ", e.SessionID, " ", e.Sessions))
	}})
	s.root = s.Login("root", uitest.Firefox, "192.0.2.9")
	a, b, bob := s.Login("alice", uitest.Firefox, "192.0.2.1"), s.Login("alice", uitest.IPhone, "192.0.2.2"), s.Login("bob", uitest.Firefox, "192.0.2.3")
	stays := s.Login("alice", uitest.Firefox, "198.51.100.1")
	body := s.get("?these=preview&network=192.0.2.0/24").Want(200).Text
	wantIn(t, "preview", body, "3 sessions of 2 users", `name="network" value="192.0.2.0/24"`, english().Stay, `href="?&amp;network=192.0.2.0%2f24"`)
	form := fields(body)
	s.Advance(time.Millisecond)
	later := s.Login("bob", uitest.Firefox, "192.0.2.3")
	location := s.Request("POST", mount+"/?these=preview&network=192.0.2.0/24", s.root, form+"&these=end").Want(303).Header.Get("Location")
	if want := "?done=these&n=3&network=192.0.2.0%2F24"; location != want {
		t.Errorf("got Location %q, want %q", location, want)
	}
	if got := s.Alive(a, b, bob, stays, later, s.root); got != "000111" {
		t.Errorf("got %s alive, want 000111", got)
	}
	wantIn(t, "done", s.get(location).Want(200).Text, `role="status"`, "3 sessions have been ended.", `value="192.0.2.0/24"`)
	wantIn(t, "one", s.get("?network=192.0.2.0/24&done=these&n=1").Want(200).Text, "1 session has been ended.")
	history, err := s.Store.History(s.Ctx(), "alice")
	if err != nil || len(history) != 2 || history[0].Cause != byOperator || history[0].By != "root" {
		t.Errorf("got %+v, %v", history, err)
	}
	var want []string
	for _, e := range history {
		want = append(want, "ended revoked-by-operator alice "+e.Session.ID+" 1")
	}
	got := slices.DeleteFunc(slices.Clone(events), func(e string) bool { return strings.Contains(e, " bob ") })
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) || len(events) != 3 {
		t.Errorf("got events %q, want those of bob and %q", events, want)
	}
	wantIn(t, "log", s.Logs.String(), `msg="admin: an operator ended sessions" sessions=3 filter="network=192.0.2.0%2F24" operator=root operator_session=`+s.ID(s.root))

	// Once more, it ends nothing, and says so.
	if got := s.Request("POST", mount+"/", s.root, form+"&these=end").Want(303).Header.Get("Location"); got != "?done=these&n=0&network=192.0.2.0%2F24" {
		t.Errorf("once more: got Location %q", got)
	}
}

// fields returns the hidden fields of a page's form, as a browser would post them.
func fields(body string) string {
	_, form, _ := strings.Cut(body, `<form method="post"`)
	var pairs []string
	for _, f := range regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`).FindAllStringSubmatch(form, -1) {
		pairs = append(pairs, f[1]+"="+strings.ReplaceAll(html.UnescapeString(f[2]), "/", "%2F"))
	}
	return strings.Join(pairs, "&")
}

func TestEndTheseRefuses(t *testing.T) {
	s := newSite(t, Config{})
	alice := s.Login("alice", uitest.Firefox, "192.0.2.1")
	until := fmt.Sprint("&until=", s.Now.UnixMilli())
	for _, form := range []string{
		"these=end" + until, "these=end&device=" + until, "these=end&device=firefox", "these=end&device=firefox&until=", "these=end&device=firefox&until=x",
		"these=preview&device=firefox" + until, "these=&device=firefox" + until, "these=end&network=x" + until, "these=end&cause=idle" + until,
		"these=end&device=firefox&cursor=x" + until, "these=end&device=firefox&n=-1" + until, "these=end&device=firefox&n=x" + until, "these=end&%zz" + until,
	} {
		s.Request("POST", mount+"/", s.root, form).Want(400)
	}
	s.Request("POST", mount+"/?these=end&device=firefox"+until, s.root, "x=y").Want(400)
	s.get("?these=preview&device=firefox&cursor=x").Want(400)
	s.get("?these=preview&cause=idle").Want(400)
	if s.Alive(alice) != "1" {
		t.Error("a form that cannot be read has ended a session")
	}
}

// A manySessions has so many that a request can neither look at all nor end all.
type manySessions struct {
	*ticketstore.RedisStore
	ended map[string]int
	fail  int // when as many have ended
}

const manySessionsOfAll = 230_000

func (m *manySessions) SessionPage(_ context.Context, cursor string, limit int) (sessions []ticketstore.Session, next string, err error) {
	at, _ := strconv.Atoi(cursor)
	for ; len(sessions) < limit && at < manySessionsOfAll; at++ {
		sess := ticketstore.Session{ID: fmt.Sprint(at), Subject: fmt.Sprint("user", at/2), Device: ticketstore.Device{UserAgent: "curl/8"}}
		if at%20 == 0 {
			sess.Device.UserAgent = uitest.Firefox
		}
		if m.ended[sess.ID] == 0 {
			sessions = append(sessions, sess)
		}
	}
	if at < manySessionsOfAll {
		next = strconv.Itoa(at)
	}
	return sessions, next, nil
}

func (m *manySessions) Revoke(_ context.Context, subject, id string) error {
	if m.fail > 0 && len(m.ended) == m.fail {
		return errors.New("LOADING")
	}
	if id == "40" {
		return ticketstore.ErrNotFound // it has ended meanwhile
	}
	m.ended[id]++
	return nil
}

// What is too much for one request goes on by the next form, and ends each once.
func TestEndTheseByAndBy(t *testing.T) {
	s := newSite(t, Config{})
	store := &manySessions{RedisStore: s.Store, ended: map[string]int{}}
	s.Mux.Handle("/many/", s.Manager.Require(http.StripPrefix("/many", s.handler(store, Config{PageSize: 10}))))
	query, forms := "?these=preview&device=firefox", 0
	body := s.Request("GET", "/many/"+query, s.root).Want(200).Text
	wantIn(t, "preview", body, "5,000 sessions of 5,000 users", english().Asked, "and 4,990 more")
	for ; strings.Contains(body, english().EndNow); forms++ {
		before := len(store.ended)
		query = s.Request("POST", "/many/", s.root, fields(body)+"&these=end").Want(303).Header.Get("Location")
		if n := len(store.ended) - before; n > maxEnd {
			t.Errorf("got %d ended by one form", n)
		}
		body = s.Request("GET", "/many/"+query, s.root).Want(200).Text
		wantIn(t, query, body, number(int64(len(store.ended)))+" sessions have been ended.")
	}
	if !strings.HasPrefix(query, "?device=firefox&done=these") || len(store.ended) != manySessionsOfAll/20-1 || forms < 3 {
		t.Errorf("got %d ended by %d forms, at last %s", len(store.ended), forms, query)
	}
	for id, n := range store.ended {
		if n != 1 {
			t.Errorf("%s ended %d times", id, n)
		}
	}

	// In an outage, what has ended is logged, and the answer is no promise.
	store.ended, store.fail = map[string]int{}, 3
	if res := s.Request("POST", "/many/", s.root, fmt.Sprint("these=end&device=firefox&until=", s.Now.UnixMilli())).Want(503); strings.Contains(res.Text, "LOADING") {
		t.Errorf("got %s", res.Text)
	}
	wantIn(t, "log", s.Logs.String(), `ended sessions" sessions=3 filter="device=firefox"`)
}
