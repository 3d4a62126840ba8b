package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/ui/uitest"
)

// All that has ended is on the pages, the last one first, each once, with and
// without a filter, which the links keep.
func TestEnded(t *testing.T) {
	eachBackend(t, Config{PageSize: 4}, func(t *testing.T, s *site) {
		var idle, other []string
		for i := range 20 {
			user := fmt.Sprint("user", i)
			id := s.ID(s.Login(user, uitest.Firefox, ""))
			cause, list := "stolen laptop", &other
			if i%3 == 0 {
				cause, list = "idle", &idle
			}
			if err := s.Store.Revoke(ticketstore.WithCause(s.Ctx(), cause, "police"), user, id); err != nil {
				t.Fatal(err)
			}
			*list = append(*list, id)
			if s.Mini != nil {
				s.Advance(time.Second)
			}
		}
		slices.Reverse(idle)
		slices.Reverse(other)
		for _, test := range []struct {
			filter string
			want   []string
		}{{"", nil}, {"&cause=idle", idle}, {"&cause=stolen+laptop", other}, {"&cause=none", []string{}}, {"&since=2000-01-01&cause=idle", idle}, {"&before=2000-01-01", []string{}}} {
			var pages, lists []string
			for query := "?ended=all" + test.filter; query != ""; {
				body := s.get(query).Want(200).Text
				pages = append(pages, sessionIDs(body)...)
				wantIn(t, query, body, `<form method="get" class="filter"`, `name="ended" value="all"`)
				query = nextOn(body)
				if query != "" && !keeps(query, test.filter) {
					t.Errorf("%s: the next page is %s", test.filter, query)
				}
			}
			for cursor := ""; ; {
				var list struct {
					Ended []Ended
					Next  string
				}
				if err := json.Unmarshal([]byte(s.json("?ended=all"+test.filter+"&cursor="+cursor).Want(200).Text), &list); err != nil {
					t.Fatal(err)
				}
				for _, e := range list.Ended {
					lists = append(lists, e.ID)
					if e.Subject == "" || e.By != "police" || e.Device != "Firefox on Linux" || e.EndedAt.IsZero() {
						t.Errorf("got %+v", e)
					}
				}
				if cursor = list.Next; cursor == "" {
					break
				}
			}
			if !slices.Equal(pages, lists) {
				t.Errorf("%s: got %q on pages, %q in JSON", test.filter, pages, lists)
			}
			if s.Mini == nil { // whose order is that of a clock of its own
				slices.Sort(pages)
				slices.Sort(test.want)
			}
			if test.want == nil && len(pages) == 20 || slices.Equal(pages, test.want) {
				continue
			}
			t.Errorf("%s: got %q, want %q", test.filter, pages, test.want)
		}
		body := s.get("?ended=all&cause=stolen+laptop&since=2001-02-03").Want(200).Text
		wantIn(t, "the filter", body, `<option value="stolen laptop" selected>`, `<option value="lifetime">`, `name="since" type="date" value="2001-02-03"`)
		wantIn(t, "a row", body, `<a href="?subject=user`, "Ended by", "police", "Firefox on Linux")
		wantIn(t, "all sessions", s.get("").Want(200).Text, `href="?ended=all">Ended sessions</a>`)
		for _, query := range []string{"&since=x", "&before=2026-13-01"} {
			wantIn(t, query, html.UnescapeString(s.get("?ended=all"+query).Want(400).Text), `role="alert"`, english().NoFilter)
			s.json("?ended=all" + query).Want(400)
		}
		wantIn(t, "a cursor of none", s.get("?ended=all&cursor=x").Want(400).Text, `role="alert"`, english().NoPage, "user19")
		s.json("?ended=all&cursor=x").Want(400)
	})
}

// keeps reports whether a query has all that a filter has.
func keeps(query, filter string) bool {
	got, _ := url.ParseQuery(strings.TrimPrefix(query, "?"))
	want, _ := url.ParseQuery(filter)
	for name := range want {
		if got.Get(name) != want.Get(name) {
			return false
		}
	}
	return got.Has("ended")
}

func sessionIDs(body string) (ids []string) {
	for part := range strings.SplitSeq(body, `<div><dt>Session ID</dt><dd><bdi>`) {
		if id, _, ok := strings.Cut(part, "</bdi>"); ok && len(id) == 36 {
			ids = append(ids, id)
		}
	}
	return ids
}

// nextOn returns the query of the link to the next page.
func nextOn(body string) string {
	if link := next.FindStringSubmatch(body); link != nil {
		return html.UnescapeString(link[1])
	}
	return ""
}

// What was forgotten has no user; what expired is on the page though nobody has
// looked.
func TestEndedOfNobody(t *testing.T) {
	s := newSite(t, Config{})
	s.Login("alice", uitest.Firefox, "")
	if _, err := s.Store.Forget(s.Ctx(), "alice"); err != nil {
		t.Fatal(err)
	}
	s.Login("bob", uitest.Firefox, "")
	s.Advance(201 * time.Hour)
	s.root = s.Login("root", "", "")
	body := s.get("?ended=all").Want(200).Text
	wantIn(t, "ended", html.UnescapeString(body), english().NoUser, "the account’s data was erased", "?subject=bob", "idle for too long")
	if strings.Contains(body, "alice") {
		t.Errorf("got alice: %s", body)
	}
}

func TestHostileEnded(t *testing.T) {
	s := newSite(t, Config{PageSize: 100})
	for _, text := range uitest.Hostile {
		s.end(text, text, text)
	}
	body := s.get("?ended=all").Want(200).Text
	for _, tag := range tags.FindAllString(uitest.Body(body), -1) {
		if strings.HasPrefix(tag, "<script") || strings.HasPrefix(tag, "<img") || strings.HasPrefix(tag, "<b>") || strings.Contains(tag, "onerror=alert(1)>") {
			t.Errorf("got the tag %s", tag)
		}
	}
	if strings.ContainsAny(body, "\u202e\u2066\u2028\x00\x1b") || len(sessionIDs(body)) != len(uitest.Hostile) {
		t.Errorf("got hidden characters, or not all endings: %s", body)
	}
}

// A store that remembers nothing has no such page.
func TestEndedUnsupported(t *testing.T) {
	s := newSite(t, Config{})
	plain := struct{ Store }{s.Store}
	s.Mux.Handle("/plain/", s.Manager.Require(http.StripPrefix("/plain", s.handler(plain, Config{}))))
	s.Mux.Handle("/forgetful/", s.Manager.Require(http.StripPrefix("/forgetful", s.handler(forgetful{s.Store}, Config{}))))
	for _, path := range []string{"/plain/", "/forgetful/"} {
		s.Request("GET", path+"?ended=all", s.root).Want(404)
		s.Request("GET", path+"?ended=all", s.root).With("Accept", asJSON).Want(404)
	}
	if body := s.Request("GET", "/plain/", s.root).Want(200).Text; strings.Contains(body, "?ended") {
		t.Errorf("a link leads nowhere: %s", body)
	}
}

type forgetful struct{ *ticketstore.RedisStore }

func (forgetful) EndingPage(context.Context, time.Time, string, int) ([]ticketstore.Ending, string, error) {
	return nil, "", errors.ErrUnsupported
}

// However rare what is looked for, a page looks at so many, and the next one goes
// on behind them.
func TestEndedRare(t *testing.T) {
	s := newSite(t, Config{})
	store := &manyEndings{RedisStore: s.Store}
	s.Mux.Handle("/many/", s.Manager.Require(http.StripPrefix("/many", s.handler(store, Config{PageSize: 10}))))
	var got []string
	for query := "?ended=all&cause=rare"; query != ""; {
		before := store.given
		body := s.Request("GET", "/many/"+query, s.root).Want(200).Text
		if n := store.given - before; n > maxScan+maxPageSize {
			t.Errorf("got %d endings read for a page", n)
		}
		got = append(got, sessionIDs(body)...)
		if query = nextOn(body); query != "" {
			wantIn(t, query, body, english().GoesOn)
		}
	}
	if len(got) != manyEndingsOfAll/manyRare || store.given != manyEndingsOfAll {
		t.Errorf("got %d of %d endings, want %d", len(got), store.given, manyEndingsOfAll/manyRare)
	}
}

const (
	manyEndingsOfAll = 50_000
	manyRare         = 12_500
)

type manyEndings struct {
	*ticketstore.RedisStore
	given int
}

func (m *manyEndings) EndingPage(_ context.Context, _ time.Time, cursor string, limit int) (endings []ticketstore.Ending, next string, err error) {
	at, _ := strconv.Atoi(cursor)
	for ; len(endings) < limit && at < manyEndingsOfAll; at++ {
		e := ticketstore.Ending{Cause: "idle", Session: ticketstore.Session{ID: fmt.Sprintf("%036d", at), Subject: "alice"}}
		if at%manyRare == 7 {
			e.Cause = "rare"
		}
		endings = append(endings, e)
		m.given++
	}
	if at < manyEndingsOfAll {
		next = strconv.Itoa(at)
	}
	return endings, next, nil
}
