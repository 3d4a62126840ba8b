package admin

import (
	"context"
	"errors"
	"fmt"
	"html"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore/internal/ui/uitest"
)

// A name leads to its user, or to a list of those it may mean; what finds nobody
// is taken for a subject.
func TestFind(t *testing.T) {
	found := map[string][]string{
		"alice": {"u1"}, "a": {"u2", "u1", "", "u2", "u4"}, "u3": {"u1"}, "u4": {"u4"}, "u1": {"u1", "u2"},
	}
	d := &directory{names: map[string]string{"u1": "Alice Example", "u2": "Anna Example"}}
	var failure error
	s := newSite(t, Config{Name: d.name, Find: func(_ context.Context, query string) ([]string, error) { return found[query], failure }})
	s.Login("u1", uitest.Firefox, "")
	s.Login("u1", uitest.IPhone, "")
	s.Login("u2", uitest.Firefox, "")
	s.Login("u3", uitest.Firefox, "")
	for query, want := range map[string]string{
		"alice": "?subject=u1", "nobody": "?subject=nobody", "u4": "?subject=u4", "a b&c": "?subject=a+b%26c", "u2": "?subject=u2",
	} {
		if got := s.get("?find=" + strings.ReplaceAll(strings.ReplaceAll(query, "&", "%26"), " ", "+")).Want(303).Header.Get("Location"); got != want {
			t.Errorf("%s: got Location %q, want %q", query, got, want)
		}
	}
	wantList := func(query string, want string) {
		t.Helper()
		d.asked = nil
		body := s.get("?find=" + query).Want(200).Text
		var got []string
		for _, row := range strings.Split(body, `<tr role="row">`)[1:] {
			row, _, _ = strings.Cut(row, "</tr>")
			got = append(got, strings.Join(strings.Fields(html.UnescapeString(tags.ReplaceAllString(row, " "))), " "))
		}
		if list := strings.Join(got, "; "); list != "User Sessions; "+want || len(d.asked) != 1 {
			t.Errorf("%s: got %q, asked for names %d times, want %q", query, list, len(d.asked), want)
		}
		wantIn(t, query, body, `name="find"`, `value="`+query+`"`, english().FindAny, `<a href="?subject=u1">`)
	}
	wantList("a", "Anna Example u2 1; Alice Example u1 2; u4 0")
	wantList("u3", "u3 1; Alice Example u1 2") // whoever has exactly that subject comes first
	wantList("u1", "Alice Example u1 2; Anna Example u2 1")

	if got, want := strings.TrimSpace(s.json("?find=a").Want(200).Text),
		`{"users":[{"subject":"u2","name":"Anna Example","sessions":1},{"subject":"u1","name":"Alice Example","sessions":2},{"subject":"u4","sessions":0}]}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := strings.TrimSpace(s.json("?find=nobody").Want(200).Text); got != `{"users":[]}` {
		t.Errorf("got %s, want nobody", got)
	}
	wantIn(t, "all sessions", s.get("").Want(200).Text, `name="find"`)

	// Without Find, the name is a subject, as it is when Find fails.
	failure = errors.New("the database is down")
	body := s.get("?find=u1").Want(200).Text
	wantIn(t, "an outage", html.UnescapeString(body), "Sessions of", "Safari on iPhone", `role="alert"`, english().NoFind)
	if strings.Contains(body, "database") {
		t.Errorf("an outage: got %s", body)
	}
	wantIn(t, "log", s.Logs.String(), `msg="admin: users cannot be found" error="the database is down"`)
	s.json("?find=u1").Want(503)
	s = newSite(t, Config{})
	wantIn(t, "without Find", s.get("").Want(200).Text, `name="subject"`, english().FindHint)
	if got := s.get("?find=u1").Want(303).Header.Get("Location"); got != "?subject=u1" {
		t.Errorf("without Find: got Location %q", got)
	}
}

// However many Find returns, 50 are used.
func TestFindBounded(t *testing.T) {
	var many []string
	for i := range 10_000 {
		many = append(many, fmt.Sprint("user", i))
	}
	s := newSite(t, Config{})
	store := &spy{RedisStore: s.Store}
	s.Mux.Handle("/many/", s.Manager.Require(http.StripPrefix("/many", s.handler(store, Config{Find: func(ctx context.Context, _ string) ([]string, error) {
		if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > time.Hour {
			t.Error("Find has no deadline")
		}
		return many, nil
	}}))))
	body := s.Request("GET", "/many/?find=x", s.root).Want(200).Text
	if n := strings.Count(body, `<a href="?subject=user`); n != 50 || store.count() > 60 {
		t.Errorf("got %d users, the store was asked %d times", n, store.count())
	}
	wantIn(t, "more", body, english().More, "user49<")
	wantIn(t, "more", s.Request("GET", "/many/?find=x", s.root).With("Accept", asJSON).Want(200).Text, `"more":true`)
	store.err = func(string) error { return errors.New("LOADING") }
	s.Request("GET", "/many/?find=x", s.root).Want(503)
}

func TestHostileQuery(t *testing.T) {
	s := newSite(t, Config{Find: func(context.Context, string) ([]string, error) { return []string{"u1", "u2"}, nil }})
	for _, text := range uitest.Hostile {
		query := "?find=" + queryEscape(text)
		wantHarmless(t, query, s.get(query).Want(200).Text)
	}
}
