package admin

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

// endedOn returns what the page says of endings, from the top.
func endedOn(body string) string {
	_, list, _ := strings.Cut(body, `<h2 id="ended">`)
	return strings.Join(strings.Fields(html.UnescapeString(tags.ReplaceAllString(list, " "))), " ")
}

// end signs alice in, and ends that.
func (s *site) end(agent, cause, by string) (id string) {
	s.T.Helper()
	id = s.ID(s.Login("alice", agent, "192.0.2.1"))
	if err := s.Store.Revoke(ticketstore.WithCause(s.Ctx(), cause, by), "alice", id); err != nil {
		s.T.Fatal(err)
	}
	return id
}

func TestHistory(t *testing.T) {
	s := newSite(t, Config{PageSize: 3})
	if got := endedOn(s.get(of("alice")).Want(200).Text); got != "Ended sessions 0 None." {
		t.Errorf("got %q, want none", got)
	}
	s.Now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	s.Advance(0)
	idle := s.ID(s.Login("alice", uitest.IPhone, ""))
	s.Advance(200*time.Hour + time.Minute) // on 28 November, 20:01
	s.Login("bob", uitest.Firefox, "")
	stolen := s.end("curl/8", "stolen laptop", "police")
	s.Advance(24 * time.Hour)
	s.root = s.Login("root", "", "")
	alices := s.ID(s.Login("alice", uitest.Firefox, ""))
	s.Request("POST", mount+"/", s.root, "subject=alice&revoke="+alices).Want(303)

	body := s.get(of("alice")).Want(200).Text
	want := "Ended sessions 3 Cause Any signed out by an administrator stolen laptop idle for too long Since (UTC) Before (UTC) Filter" +
		" Device Ended Cause Where Signed in Details" +
		" Computer Firefox on Linux just now signed out by an administrator – root 29 Nov 2026, 20:01 UTC Details Session ID " + alices + " Ended by root" +
		" Signed in 29 Nov 2026, 20:01 UTC Ended 29 Nov 2026, 20:01 UTC User agent " + uitest.Firefox +
		" App or program curl about a day ago stolen laptop – police 192.0.2.1 28 Nov 2026, 20:01 UTC Details Session ID " + stolen + " Ended by police" +
		" Where 192.0.2.1 Signed in 28 Nov 2026, 20:01 UTC Ended 28 Nov 2026, 20:01 UTC User agent curl/8" +
		" Phone Safari on iPhone about a day ago idle for too long 20 Nov 2026, 12:00 UTC Details Session ID " + idle +
		" Signed in 20 Nov 2026, 12:00 UTC Ended 28 Nov 2026, 20:00 UTC User agent " + uitest.IPhone
	if got := endedOn(body); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	for _, test := range []struct {
		query string
		ids   []string
		found int
	}{
		{"", []string{alices, stolen, idle}, 3},
		{"&cause=idle", []string{idle}, 1},
		{"&cause=stolen+laptop", []string{stolen}, 1},
		{"&cause=none", nil, 0},
		{"&since=2026-11-29", []string{alices}, 1},
		{"&since=2026-11-28&cause=idle", []string{idle}, 1},
		{"&since=2026-11-29&cause=idle", nil, 0},
		{"&since=2026-11-30", nil, 0},
		{"&before=2026-11-29", []string{stolen, idle}, 2},
		{"&since=2026-11-28&before=2026-11-29&cause=idle", []string{idle}, 1},
		{"&before=2026-11-28", nil, 0},
	} {
		var got struct {
			Ended []Ended
			Found int
		}
		res := s.get(of("alice")+test.query).With("Accept", asJSON).Want(200)
		err := json.Unmarshal([]byte(res.Text), &got)
		var ids []string
		for _, e := range got.Ended {
			ids = append(ids, e.ID)
		}
		if err != nil || !slices.Equal(ids, test.ids) || got.Found != test.found {
			t.Errorf("%s: got %q of %d, %v, want %q of %d", test.query, ids, got.Found, err, test.ids, test.found)
		}
		if page := s.get(of("alice") + test.query).Want(200).Text; strings.Count(page, ` id="ended-`) != test.found || strings.Count(page, "<option") != 4 {
			t.Errorf("%s: want %d endings, and all causes to choose from: %s", test.query, test.found, endedOn(page))
		}
	}
	body = s.get(of("alice") + "&cause=idle&since=2026-11-28").Want(200).Text
	wantIn(t, "the filter", body, `<option value="idle" selected>`, `type="date" value="2026-11-28"`)
	for _, since := range []string{"x", "2026-13-01", "<script>", "2026-11-28T00:00:00Z"} {
		s.get(of("alice") + "&since=" + since).Want(400)
		s.get(of("alice") + "&before=" + since).Want(400)
	}

	// The filter is still there after a form.
	filter := "&cause=idle&since=2026-11-28"
	live := s.ID(s.Login("alice", uitest.Firefox, ""))
	form := "subject=alice&revoke="
	if got, want := s.Request("POST", mount+"/"+of("alice")+filter, s.root, form+live).Want(303).Header.Get("Location"), "?cause=idle&done=one&session="+live+"&since=2026-11-28&subject=alice"; got != want {
		t.Errorf("got Location %q, want %q", got, want)
	}
	body = s.Request("POST", mount+"/"+of("alice")+filter, s.root, form+live).Want(404).Text
	wantIn(t, "of none", body, `<option value="idle" selected>`, `type="date" value="2026-11-28"`)
	if got, want := s.Request("POST", mount+"/"+of("alice")+"&since=x", s.root, form+"all").Want(303).Header.Get("Location"), "?done=all&n=0&subject=alice"; got != want {
		t.Errorf("got Location %q, want %q", got, want)
	}

	// Not more than a page, and it says so.
	s.end("curl/8", "x", "")
	body = s.get(of("alice")).Want(200).Text
	if got := endedOn(body); !strings.HasPrefix(got, "Ended sessions 3 / 5 Cause") || strings.Count(body, ` id="ended-`) != 3 || strings.Contains(got, idle) {
		t.Errorf("got %q, want three of four", got)
	}
}

func TestHostileHistory(t *testing.T) {
	eachBackend(t, Config{PageSize: 100}, func(t *testing.T, s *site) {
		for _, text := range uitest.Hostile {
			s.end(text, text, text)
			s.get(of("alice") + "&" + url.Values{"cause": {text}}.Encode()).Want(200)
		}
		body := s.get(of("alice")).Want(200).Text
		if got := tags.FindAllString(uitest.Body(body), -1); slices.ContainsFunc(got, func(tag string) bool {
			return strings.HasPrefix(tag, "<script") || strings.HasPrefix(tag, "<img") || strings.HasPrefix(tag, "<b>") || strings.Contains(tag, "onerror=alert(1)>")
		}) {
			t.Errorf("got tags %q", got)
		}
		if strings.ContainsAny(body, "\u202e\u2066\u2028\x00\x1b") || strings.Count(body, ` id="ended-`) != len(uitest.Hostile) {
			t.Errorf("got hidden characters, or not all endings: %s", endedOn(body))
		}
	})
}

func TestNoHistory(t *testing.T) {
	s := newSite(t, Config{})
	s.end("curl/8", "x", "")
	faulty := &historyStore{RedisStore: s.Store}
	s.Mux.Handle("/faulty/", s.Manager.Require(http.StripPrefix("/faulty", s.handler(faulty, Config{}))))
	plain := struct{ Store }{s.Store}
	s.Mux.Handle("/plain/", s.Manager.Require(http.StripPrefix("/plain", s.handler(plain, Config{}))))
	faulty.err = errors.Join(errors.New("not set"), errors.ErrUnsupported)
	for _, path := range []string{"/plain/", "/faulty/"} {
		page := s.Request("GET", path+of("alice"), s.root).Want(200).Text
		list := s.Request("GET", path+of("alice"), s.root).With("Accept", asJSON).Want(200).Text
		if strings.Contains(page, english().Ending) || strings.TrimSpace(list) != `{"subject":"alice","sessions":[]}` {
			t.Errorf("%s: got %s and %s, want nothing of endings", path, page, list)
		}
	}
	faulty.err = errors.New("LOADING")
	if res := s.Request("GET", "/faulty/"+of("alice"), s.root).Want(503); strings.Contains(res.Text, "LOADING") {
		t.Errorf("got %s", res.Text)
	}
	faulty.err, faulty.hangs = nil, true
	h, err := New(faulty, func(*http.Request) bool { return true }, Config{StoreTimeout: time.Millisecond, Logger: s.Logger})
	if err != nil {
		t.Fatal(err)
	}
	s.Mux.Handle("/hangs/", http.StripPrefix("/hangs", h))
	faulty.sessions = true
	s.Request("GET", "/hangs/"+of("alice"), s.root).Want(503)
}

// A historyStore has a history that a test can spoil.
type historyStore struct {
	*ticketstore.RedisStore
	err      error
	hangs    bool
	sessions bool // have nothing to do with Redis
}

func (s *historyStore) History(ctx context.Context, subject string) ([]ticketstore.Ending, error) {
	if s.hangs {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return nil, s.err
}

func (s *historyStore) Sessions(ctx context.Context, subject string) ([]ticketstore.Session, error) {
	if s.sessions {
		return nil, nil
	}
	return s.RedisStore.Sessions(ctx, subject)
}

// The button says how many sessions it would end.
func TestHowManyWouldEnd(t *testing.T) {
	s := newSite(t, Config{})
	for range 3 {
		s.Login("alice", "curl/8", "")
	}
	s.Login("bob", "curl/8", "")
	wantIn(t, "three", s.get(of("alice")).Want(200).Text, ">Sign out everywhere (3)</a>")
}
