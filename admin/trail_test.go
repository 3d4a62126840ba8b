package admin

import (
	"fmt"
	"html"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ticketstore/ticketstore/internal/ui/uitest"
)

var previous = regexp.MustCompile(`href="([^"]*)" rel="prev">`)

func queryEscape(s string) string { return url.QueryEscape(s) }

// The way back is the way there, for 20 pages; what is before those, only the
// first page leads to.
func TestPrevious(t *testing.T) {
	s := newSite(t, Config{PageSize: 1})
	for i := range 24 {
		s.Login(fmt.Sprintf("user%02d", i), uitest.Firefox, "")
		s.end(uitest.Firefox, "idle", "")
	}
	for _, first := range []string{"", "?device=firefox&since=2000-01-01", "?ended=all&cause=idle"} {
		on := func(body string) string { return strings.Join(sessionIDs(body), " ") }
		var queries, pages []string
		for query := first; query != "" || len(pages) == 0; {
			if len(query) > 2000 {
				t.Fatalf("the address has %d bytes", len(query))
			}
			body := s.get(query).Want(200).Text
			queries, pages = append(queries, query), append(pages, on(body))
			query = nextOn(body)
		}
		if len(pages) <= maxTrail+1 {
			t.Fatalf("%s: got %d pages", first, len(pages))
		}
		last := len(queries) - 1
		body := s.get(queries[last]).Want(200).Text
		for i := last - 1; i >= last-maxTrail; i-- {
			link := previous.FindStringSubmatch(body)
			if link == nil {
				t.Fatalf("%s: page %d has no link back", first, i+1)
			}
			query := html.UnescapeString(link[1])
			body = s.get(query).Want(200).Text
			if got := on(body); got != pages[i] {
				t.Errorf("%s: back on page %d: got %s, want %s", first, i, got, pages[i])
			}
			for name := range queryOf(first) {
				if queryOf(query).Get(name) != queryOf(first).Get(name) {
					t.Errorf("%s: the link back is %s", first, query)
				}
			}
		}
		if previous.MatchString(body) || !strings.Contains(body, english().First) {
			t.Errorf("%s: after %d pages back, want only the first page", first, maxTrail)
		}
		if body := s.get(first).Want(200).Text; previous.MatchString(body) || strings.Contains(body, english().First) {
			t.Errorf("%s: the first page has a link back", first)
		}
		link := previous.FindStringSubmatch(s.get(queries[1]).Want(200).Text)
		if link == nil || !keepsAll(html.UnescapeString(link[1]), first) {
			t.Errorf("%s: the second page leads back to %q", first, link)
		}
	}
}

func queryOf(query string) url.Values {
	q, _ := url.ParseQuery(strings.TrimPrefix(query, "?"))
	return q
}

// keepsAll reports whether two addresses have the same in them.
func keepsAll(a, b string) bool { return queryOf(a).Encode() == queryOf(b).Encode() }

// What is no trail is dropped; it does no harm.
func TestHostileTrail(t *testing.T) {
	s := newSite(t, Config{PageSize: 1})
	s.Login("alice", uitest.Firefox, "")
	cursor := queryOf(nextOn(s.get("").Want(200).Text)).Get("cursor")
	if cursor == "" {
		t.Fatal("there is no second page")
	}
	at := "?cursor=" + queryEscape(cursor)
	for _, text := range append(slices.Clone(uitest.Hostile), strings.Repeat("x", maxCursor+1)) {
		body := s.get(at + "&back=" + queryEscape(text)).Want(200).Text
		wantHarmless(t, text, body)
		if back := previous.MatchString(body); back != (len(text) <= maxCursor) {
			t.Errorf("%.40q: got a link back: %v", text, back)
		} else if back {
			s.get(html.UnescapeString(previous.FindStringSubmatch(body)[1])).Want(400) // there is no such page
		}
	}
	for _, query := range []string{at + strings.Repeat("&back=x", maxTrail+1), at, "?back=x", "?back=x&back=y"} {
		if body := s.get(query).Want(200).Text; previous.MatchString(body) {
			t.Errorf("%s: got a link back", query)
		}
	}
	s.get("?cursor=x&back=y").Want(400)
}

// A form on a page leads back to that page.
func TestFormsStayOnThePage(t *testing.T) {
	s := newSite(t, Config{PageSize: 1})
	for range 4 {
		s.Login("alice", uitest.Firefox, "")
	}
	query := nextOn(s.get("?device=firefox").Want(200).Text)
	query = nextOn(s.get(query).Want(200).Text)
	id := sessionIDs(s.get(query).Want(200).Text)[0]
	location := s.Request("POST", mount+"/"+query, s.root, "subject=alice&revoke="+id).Want(303).Header.Get("Location")
	want := queryOf(query)
	want.Set("done", "one")
	want.Set("of", "alice")
	want.Set("session", id)
	if got := queryOf(location); got.Encode() != want.Encode() || len(got["back"]) != 2 {
		t.Errorf("got Location %s, want ?%s", location, want.Encode())
	}
	wantIn(t, "done", s.get(location).Want(200).Text, `role="status"`, "<bdi>Firefox on Linux</bdi>", english().Previous)
	res := s.Request("POST", mount+"/"+query, s.root, "subject=alice&revoke="+id).Want(404)
	wantIn(t, "once more", res.Text, `role="alert"`, english().NotFound, english().Previous, `value="firefox"`)
}
