package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/redistest"
	"github.com/ticketstore/ticketstore/internal/ui"
	"github.com/ticketstore/ticketstore/internal/ui/uitest"
)

// Whoever is no operator gets 403, and the store is not asked.
func TestForbidden(t *testing.T) {
	s := newSite(t, Config{})
	store := &spy{RedisStore: s.Store}
	h := s.handler(store, Config{TrustedOrigins: []string{"https://app.example.com"}})
	s.Mux.Handle("/guarded/", s.Manager.Require(http.StripPrefix("/guarded", h)))
	s.Mux.Handle("/bare/", http.StripPrefix("/bare", h)) // Require was forgotten
	alice := s.Login("alice", uitest.Firefox, "")
	for _, method := range []string{"GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS", "TRACE"} {
		for _, path := range []string{"/", "/?subject=alice", "/?cursor=x", "/?subject=alice&session=" + s.ID(alice), "/nothing"} {
			for _, c := range []uitest.Call{
				s.Request(method, "/guarded"+path, alice, "subject=alice&revoke=all"),
				s.Request(method, "/bare"+path, nil, "subject=alice&revoke=all"),
				s.Request(method, "/bare"+path, s.root, "subject=alice&revoke=all").With("Origin", "https://app.example.com"),
				s.Request(method, "/guarded"+path, alice).With("Accept", asJSON).With("Sec-Fetch-Site", "cross-site"),
			} {
				if res := c.Want(403); !strings.Contains(res.Text, "You are not allowed to see this page.") || strings.Contains(res.Text, "alice") || res.Header.Get("Allow") != "" || res.Header.Get("Cache-Control") != "no-store" {
					t.Errorf("%s %s: got %q, %v", method, path, res.Text, res.Header)
				}
			}
		}
	}
	if len(store.calls) > 0 || s.Alive(alice) != "1" {
		t.Errorf("the store was asked for %q", store.calls)
	}
}

func TestEnd(t *testing.T) {
	eachBackend(t, Config{}, func(t *testing.T, s *site) {
		for _, test := range []struct {
			name     string
			request  func(id string) uitest.Call
			status   int
			location string
			body     string
			alive    string // two of the user, one of another
		}{
			{"one", func(id string) uitest.Call { return s.revoke("a&b ü", id) }, 303, "?done=one&of=a%26b+%C3%BC&session=", "", "011"},
			{"all", func(string) uitest.Call { return s.revoke("a&b ü", "all") }, 303, "?done=all&n=2&of=a%26b+%C3%BC", "", "001"},
			{"one", func(id string) uitest.Call { return s.delete(of("a&b ü") + "&session=" + id) }, 204, "", "", "011"},
			{"all", func(string) uitest.Call { return s.delete(of("a&b ü")) }, 200, "", `{"revoked":2}`, "001"},
			{"none", func(string) uitest.Call { return s.delete(of("nobody")) }, 200, "", `{"revoked":0}`, "111"},
		} {
			a, b, bob := s.Login("a&b ü", uitest.Firefox, ""), s.Login("a&b ü", uitest.IPhone, ""), s.Login("bob", "", "")
			if strings.HasSuffix(test.location, "=") {
				test.location += s.ID(a)
			}
			res := test.request(s.ID(a)).Want(test.status)
			if got := res.Header.Get("Location"); got != test.location || strings.TrimSpace(res.Text) != test.body {
				t.Errorf("%s: got Location %q and %q, want %q and %q", test.name, got, res.Text, test.location, test.body)
			}
			if got := s.Alive(a, b, bob); got != test.alive || s.Alive(s.root) != "1" {
				t.Errorf("%s: got %s alive, want %s", test.name, got, test.alive)
			}
			if test.location != "" {
				wantIn(t, test.name, s.get(test.location).Want(200).Text, `role="status"`, "<bdi>a&amp;b ü</bdi></p>")
			}
			if _, err := s.Store.RevokeAll(s.Ctx(), "a&b ü"); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestForeignAndMalformed(t *testing.T) {
	eachBackend(t, Config{}, func(t *testing.T, s *site) {
		alice, bob := s.Login("alice", uitest.Firefox, ""), s.Login("bob", "", "")
		for _, id := range []string{s.ID(bob), s.ID(s.root), "01a20f9d-251e-7b83-a905-97752a4ab701", "x", "ALL", "others", "alice", "*",
			"{a7}sessions", strings.Repeat("9", 3000), strings.ToUpper(s.ID(alice)), s.ID(alice) + " "} {
			res := s.revoke("alice", id).Want(404)
			wantIn(t, id, res.Text, english().NotFound, `role="alert"`, `value="`+s.ID(alice)+`"`)
			s.delete(of("alice") + "&session=" + strings.ReplaceAll(id, " ", "%20")).Want(404)
		}
		s.delete(of("alice") + "&session=all").Want(404)
		id := s.ID(alice)
		// Of one session that is named wrongly, not all must end.
		for _, query := range []string{"", "?subject=", "?subject=alice&session=", "?subject=alice&session=%zz", "?subject=alice&sesion=" + id, "?subject=alice&session", "?session=" + id,
			"?subject=alice;session=" + id, "?subject=alice&subject=bob", "?subject=alice&session=" + id + "&session=x", "?subject=alice&revoke=" + id} {
			s.delete(query).Want(400)
		}
		for _, body := range []string{"", "%zz", "subject=alice", "revoke=all", "subject=&revoke=all", "subject=alice&revoke=", "subject=alice&revoke=all&x=" + strings.Repeat("x", ui.MaxForm)} {
			s.Request("POST", mount+"/", s.root, body).Want(400)
		}
		s.Request("POST", mount+"/?subject=alice&revoke=all", s.root, "x=y").Want(400)
		s.revoke("alice", "all").With("Content-Type", asJSON).Want(400)
		for _, method := range []string{"PUT", "PATCH", "OPTIONS"} {
			if got := s.Request(method, mount+"/", s.root).Want(405).Header.Get("Allow"); got != "GET, HEAD, POST, DELETE" {
				t.Errorf("%s: got Allow %q", method, got)
			}
		}
		for _, method := range []string{"GET", "POST", "DELETE"} {
			s.Request(method, mount+"/all?subject=alice", s.root).Want(404)
		}
		if got := s.Alive(alice, bob, s.root); got != "111" {
			t.Errorf("got %s alive, want 111", got)
		}
	})
}

func TestGETChangesNothing(t *testing.T) {
	s := newSite(t, Config{})
	alice := s.Login("alice", uitest.Firefox, "")
	s.WantNoChange(s.root, mount+"/", mount+"/?revoke=all&subject=alice", mount+"/?subject=alice&session="+s.ID(alice),
		mount+"/?done=all&subject=alice", mount+"/?_method=DELETE&subject=alice", mount+"/?cursor=00.0.",
		mount+"/?these=preview&device=firefox", mount+"/?these=end&device=firefox", mount+"/?ended=all", mount+"/?device=firefox&done=these&n=1")
}

func TestCrossSite(t *testing.T) {
	s := newSite(t, Config{TrustedOrigins: []string{"https://app.example.com"}})
	alice, other := s.Login("alice", uitest.Firefox, ""), s.Login("alice", uitest.IPhone, "")
	for _, header := range [][2]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}, {"Origin", "null"}} {
		s.revoke("alice", "all").With(header[0], header[1]).Want(403)
		s.revoke("alice", s.ID(alice)).With(header[0], header[1]).Want(403)
		s.delete("?subject=alice").With(header[0], header[1]).Want(403)
		s.endThese("device=firefox").With(header[0], header[1]).Want(403)
		s.delete("?subject=alice&session="+s.ID(alice)).With(header[0], header[1]).Want(403)
	}
	if body := s.get("?subject=alice&done=all").With("Sec-Fetch-Site", "cross-site").Want(200).Text; strings.Contains(body, `role="status"`) {
		t.Errorf("another site's link says what was done: %s", body)
	}
	if body := s.get("?device=x&done=these&n=9").With("Sec-Fetch-Site", "cross-site").Want(200).Text; strings.Contains(body, `role="status"`) {
		t.Errorf("another site's link says what was done: %s", body)
	}
	if got := s.Alive(alice, other); got != "11" {
		t.Fatalf("got %s alive, want 11", got)
	}
	s.revoke("alice", s.ID(alice)).With("Origin", "https://app.example.com").With("Sec-Fetch-Site", "same-site").Want(303)
	s.revoke("alice", "all").With("Origin", "http://example.com").With("Sec-Fetch-Site", "same-origin").Want(303)
}

func TestHeaders(t *testing.T) {
	s := newSite(t, Config{})
	for _, c := range []uitest.Call{
		s.get(""), s.json(""), s.get("?subject=x"), s.get("?ended=all"), s.get("?network=x"), s.get("?these=preview&device=x"),
		s.Request("POST", mount+"/", s.root, "these=end&device=x&until=1"), s.Request("POST", mount+"/", s.root, "these=end"), s.get("nothing"), s.delete("?subject=x&session=y"), s.revoke("x", "y"), s.revoke("x", "all"),
		s.revoke("x", "all").With("Sec-Fetch-Site", "cross-site"), s.Request("GET", mount+"/", s.Login("alice", "", "")), s.Request("PUT", mount+"/", s.root),
	} {
		c.WantGuarded()
	}
}

// The pages work at any path: all their links are queries.
func TestMount(t *testing.T) {
	s := newSite(t, Config{PageSize: 1})
	h := s.Manager.Require(s.handler(s.Store, Config{PageSize: 1}))
	mux := http.NewServeMux()
	mux.Handle("/", h)
	for name, test := range map[string]struct {
		handler http.Handler
		path    string
	}{
		"at the root":          {h, "/"},
		"at the root of a mux": {mux, "/"},
		"prefix":               {http.StripPrefix("/a/b", h), "/a/b/"},
		"without a slash":      {http.StripPrefix("/a/b", h), "/a/b"},
	} {
		server := httptest.NewTLSServer(test.handler)
		alice := s.Login("alice", "", "")
		do := func(method, query, body, wantQuery string) {
			t.Helper()
			r, err := http.NewRequest(method, server.URL+test.path+query, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			r.AddCookie(s.root)
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			res, err := server.Client().Do(r) // follows redirects, as a browser would
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if got, want := res.Request.URL.String(), server.URL+test.path+wantQuery; res.StatusCode >= 300 || got != want {
				t.Errorf("%s: got %d at %s, want %s", name, res.StatusCode, got, want)
			}
		}
		do("GET", "", "", "")
		id := s.ID(alice)
		do("POST", "?subject=alice", "subject=alice&revoke="+id, "?done=one&session="+id+"&subject=alice")
		if s.Alive(alice) != "0" {
			t.Errorf("%s: the session goes on", name)
		}
		do("DELETE", "?subject=alice", "", "?subject=alice")
		server.Close()
	}
	body := s.get("").Want(200).Text
	for _, link := range attribute.FindAllStringSubmatch(body, -1) {
		if link[1] == "action" || link[1] == "src" || !strings.HasPrefix(link[2], "?") {
			t.Errorf("got the link %s", link[0])
		}
	}
}

func TestOutage(t *testing.T) {
	s := newSite(t, Config{})
	store := &spy{RedisStore: s.Store}
	s.Mux.Handle("/spied/", s.Manager.Require(http.StripPrefix("/spied", s.handler(store, Config{}))))
	alice := s.Login("alice", "", "")
	id := s.ID(alice)
	for _, failing := range []string{"Count", "SessionPage", "Sessions", "Revoke", "RevokeAll", "EndingPage"} {
		store.err = func(method string) error {
			if method == failing {
				return errors.New("LOADING")
			}
			return nil
		}
		calls := map[string][]uitest.Call{
			"Count":      {s.Request("GET", "/spied/", s.root), s.Request("GET", "/spied/?cursor=00.0.", s.root)},
			"EndingPage": {s.Request("GET", "/spied/?ended=all", s.root), s.Request("GET", "/spied/?ended=all", s.root).With("Accept", asJSON)},
			"SessionPage": {s.Request("GET", "/spied/", s.root), s.Request("GET", "/spied/?device=x", s.root), s.Request("GET", "/spied/?these=preview&device=x", s.root),
				s.Request("POST", "/spied/", s.root, "these=end&device=x&until=1"), s.Request("GET", "/spied/?cursor=00.0.", s.root).With("Accept", asJSON)},
			"Sessions":  {s.Request("GET", "/spied/?subject=alice", s.root), s.Request("GET", "/spied/?subject=alice", s.root).With("Accept", asJSON)},
			"Revoke":    {s.Request("POST", "/spied/", s.root, "subject=alice&revoke="+id), s.Request("DELETE", "/spied/?subject=alice&session="+id, s.root)},
			"RevokeAll": {s.Request("POST", "/spied/", s.root, "subject=alice&revoke=all"), s.Request("DELETE", "/spied/?subject=alice", s.root)},
		}
		for _, c := range calls[failing] {
			res := c.Want(503)
			if res.Header.Get("Retry-After") == "" || !strings.Contains(res.Text, "try again") || strings.Contains(res.Text, "LOADING") || len(res.Cookies()) > 0 {
				t.Errorf("%s %s: got %v, %q", c.Method, c.URL, res.Header, res.Text)
			}
		}
	}
	wantIn(t, "logs", s.Logs.String(), "admin: the store cannot answer", "LOADING")
	if strings.Contains(s.Logs.String(), "ended sessions") || s.Alive(alice) != "1" {
		t.Errorf("an outage has ended sessions, or says so: %s", s.Logs)
	}

	// A cursor that the store refuses is no outage.
	store.err = nil
	res := s.Request("GET", "/spied/?cursor=x", s.root).Want(400)
	wantIn(t, "cursor", res.Text, english().NoPage, `role="alert"`, `href="?subject=alice"`)
	s.json("?cursor=x").Want(400)
}

// Each call to the store ends in time; what ends sessions does not end with
// the client's patience.
func TestContexts(t *testing.T) {
	s := newSite(t, Config{})
	store := &contextStore{Store: s.Store}
	for path, timeout := range map[string]time.Duration{"/open": 50 * time.Millisecond, "/patient": redistest.Patience} {
		h, err := New(store, func(*http.Request) bool { return true }, Config{Logger: s.Logger, StoreTimeout: timeout})
		if err != nil {
			t.Fatal(err)
		}
		s.Mux.Handle(path+"/", http.StripPrefix(path, h))
	}
	s.Request("GET", "/open/", nil).Want(503)
	s.Request("GET", "/open/?subject=alice", nil).Want(503)
	ctx, cancel := context.WithCancel(s.Ctx())
	cancel()
	c := s.Request("GET", "/open/?subject=alice", nil)
	c.Request = c.WithContext(ctx)
	logged := len(s.Logs.String())
	c.Want(503)
	if strings.Contains(s.Logs.String()[logged:], "level=ERROR") {
		t.Errorf("it is logged as an outage: %s", s.Logs)
	}
	alice := s.Login("alice", "", "")
	c = s.Request("DELETE", "/patient/?subject=alice", nil)
	c.Request = c.WithContext(ctx)
	c.Want(200)
	if s.Alive(alice) != "0" {
		t.Error("the session goes on")
	}
}

// A contextStore reads until its context ends.
type contextStore struct{ Store }

func (contextStore) Count(ctx context.Context) (ticketstore.Counts, error) {
	<-ctx.Done()
	return ticketstore.Counts{}, ctx.Err()
}

func (contextStore) Sessions(ctx context.Context, _ string) ([]ticketstore.Session, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// The log says who ended whose sessions, and so does the Observer.
func TestLog(t *testing.T) {
	var events []string
	s := newSite(t, Config{Observer: func(ctx context.Context, e ticketstore.Event) {
		operator, _ := ticketstore.FromContext(ctx)
		events = append(events, fmt.Sprint(e.Kind, ",", e.Cause, ",", e.Subject, ",", e.SessionID, ",", e.Sessions, ",", operator.Subject))
	}})
	alice := s.Login("alice", "", "")
	s.Login("alice", "", "")
	s.Login("alice", "", "")
	id, own := s.ID(alice), s.ID(s.root)
	s.revoke("alice", id).Want(303)
	s.revoke("alice", id).Want(404)
	s.delete("?subject=alice").Want(200)
	s.delete("?subject=alice").Want(200)
	var got []string
	for line := range strings.Lines(s.Logs.String()) {
		if _, line, ok := strings.Cut(strings.TrimSpace(line), " level=INFO "); ok {
			got = append(got, line)
		}
	}
	msg := `msg="admin: an operator ended sessions" subject=alice`
	want := []string{
		msg + " sessions=1 session=" + id + " operator=root operator_session=" + own,
		msg + " sessions=2 operator=root operator_session=" + own,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	ended := "ended,revoked-by-operator,alice,"
	if want := []string{ended + id + ",1,root", ended + ",2,root"}; !slices.Equal(events, want) {
		t.Errorf("got %q, want %q", events, want)
	}
}

// Who acts as an operator has done it, and not the operator.
func TestEndedByAnActor(t *testing.T) {
	s := newSite(t, Config{})
	first := s.ID(s.Login("alice", "", "192.0.2.1"))
	s.Login("alice", "", "192.0.2.2")
	s.Login("alice", "", "198.51.100.1")
	olga := s.Login("olga", "", "")
	id := s.ID(olga)
	w := httptest.NewRecorder()
	if err := s.Manager.Impersonate(w, s.Request("POST", "/", olga).Request, ticketstore.NewTicket("root"), "ticket 4711"); err != nil {
		t.Fatal(err)
	}
	acting := func(method, query string, body ...string) uitest.Call {
		call := s.Request(method, mount+"/"+query, nil, body...)
		for _, c := range w.Result().Cookies() {
			call.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
		}
		return call
	}
	s.Advance(time.Millisecond)
	acting("DELETE", "?subject=alice&session="+first).Want(204)
	acting("POST", "", fmt.Sprint("these=end&until=", s.Now.UnixMilli(), "&network=192.0.2.0/24")).Want(303)
	acting("DELETE", "?subject=alice").Want(200)
	history, err := s.Store.History(s.Ctx(), "alice")
	if err != nil || len(history) != 3 {
		t.Fatalf("got %+v, %v, want three endings", history, err)
	}
	for _, e := range history {
		if e.Cause != byOperator || e.By != "olga" {
			t.Errorf("got %q by %q, want it by olga", e.Cause, e.By)
		}
	}
	logs := s.Logs.String()
	if n := strings.Count(logs, " operator=olga operator_session="+id+"\n"); n != 3 || strings.Contains(logs, "operator=root") {
		t.Errorf("got olga %d times, want 3, and never root: %s", n, logs)
	}
}

func TestNoSecret(t *testing.T) {
	s := newSite(t, Config{PageSize: 2})
	a, b, bob := s.Login("alice", uitest.Firefox, "192.0.2.1"), s.Login("alice", uitest.IPhone, ""), s.Login("bob", "", "")
	id := s.ID(a)
	for _, query := range []string{"", "?cursor=x", "?subject=alice", "?subject=nobody"} {
		w := httptest.NewRecorder()
		s.Mux.ServeHTTP(w, s.json(query).Request)
		s.Seen = append(s.Seen, w.Body.String())
		w = httptest.NewRecorder()
		s.Mux.ServeHTTP(w, s.get(query).Request)
		s.Seen = append(s.Seen, w.Body.String())
	}
	s.get("?subject=" + a.Value) // whoever looks for a key is not helped
	s.revoke("alice", id).Want(303)
	s.revoke("alice", id).Want(404)
	s.delete("?subject=alice&session=" + s.ID(b)).Want(204)
	s.delete("?subject=bob").Want(200)
	s.Mini.SetError("LOADING")
	s.get("").Want(503)
	s.WantNoSecret(id, a, b, bob, s.root)
}
