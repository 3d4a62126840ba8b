package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/ui/uitest"
)

// A directory knows what people are called, and who asked for whom.
type directory struct {
	names map[string]string
	asked [][]string
	err   error
}

func (d *directory) name(_ context.Context, subjects []string) (map[string]string, error) {
	d.asked = append(d.asked, slices.Sorted(slices.Values(subjects)))
	return d.names, d.err
}

// Each page asks once, for each subject that is on it, and shows both.
func TestName(t *testing.T) {
	d := &directory{names: map[string]string{"u1": "Alice Example", "u2": "Bob  Example", "root": "Rita Root", "u3": "u3", "u9": "Nobody"}}
	s := newSite(t, Config{Name: d.name, PageSize: 10})
	s.Login("u1", uitest.Firefox, "192.0.2.1")
	s.Login("u1", uitest.IPhone, "192.0.2.1")
	s.Login("u2", uitest.Firefox, "192.0.2.1")
	s.Login("u3", uitest.Firefox, "192.0.2.1")
	ended := s.ID(s.Login("u2", uitest.Firefox, ""))
	s.revoke("u2", ended).Want(303)
	s.end("", "stolen laptop", "police")

	alice, bob := `<bdi>Alice Example</bdi></a> <small><bdi>u1</bdi></small>`, `<bdi>Bob Example</bdi></a> <small><bdi>u2</bdi></small>`
	for _, test := range []struct {
		query string
		asked string
		want  []string
	}{
		{"", "root u1 u2 u3", []string{alice, bob, `<a href="?subject=u3"><bdi>u3</bdi></a></th>`}},
		{"?network=192.0.2.1", "u1 u2 u3", []string{alice, bob}},
		{"?these=preview&network=192.0.2.1", "u1 u2 u3", []string{alice, bob}},
		{of("u1"), "u1", []string{"<title>Sessions of Alice Example</title>", `<bdi>Alice Example</bdi> <small><bdi>u1</bdi></small></h1>`}},
		{of("u1") + "&sure=all", "u1", []string{`<bdi>Alice Example</bdi> <small><bdi>u1</bdi></small>`}},
		{of("u2"), "root u2", []string{"Sessions of Bob Example", `– <bdi>Rita Root</bdi> <small><bdi>root</bdi></small>`}},
		{"?ended=all", "alice police root u2", []string{bob, `<bdi>Rita Root</bdi>`, `– <bdi>police</bdi>`, `<bdi>alice</bdi></a></th>`}},
		{"?done=one&of=u2&session=" + ended, "root u1 u2 u3", []string{`role="status"`, `Signed out: <bdi>Firefox on Linux</bdi> – <bdi>Bob Example</bdi> <small><bdi>u2</bdi></small></p>`}},
		{of("nobody"), "nobody", []string{english().NoSessions}},
	} {
		d.asked = nil
		body := s.get(test.query).Want(200).Text
		wantIn(t, test.query, body, test.want...)
		if len(d.asked) != 1 || strings.Join(d.asked[0], " ") != test.asked {
			t.Errorf("%s: asked for %q, want once %q", test.query, d.asked, test.asked)
		}
	}

	d.asked = nil
	wantIn(t, "JSON", s.json("").Want(200).Text, `{"subject":"u1","name":"Alice Example","id":"`, `{"subject":"u3","id":"`)
	wantIn(t, "JSON", s.json(of("u2")).Want(200).Text, `{"subject":"u2","name":"Bob Example","sessions":[`, `"by":"root","byName":"Rita Root"`)
	wantIn(t, "JSON", s.json("?ended=all").Want(200).Text, `"name":"Bob Example"`, `"by":"police"}`)
	if len(d.asked) != 3 {
		t.Errorf("JSON: asked %d times, want 3", len(d.asked))
	}

	// Without names, there are subjects.
	d.err = errors.New("the database is down")
	body := s.get("").Want(200).Text
	wantIn(t, "an outage", body, `<a href="?subject=u1"><bdi>u1</bdi></a>`)
	if strings.Contains(body, "Alice") || strings.Contains(body, "database") {
		t.Errorf("an outage: got %s", body)
	}
	wantIn(t, "log", s.Logs.String(), `level=ERROR msg="admin: the users cannot be named" error="the database is down"`)
}

// A name is hostile text.
func TestHostileNames(t *testing.T) {
	d := &directory{}
	s := newSite(t, Config{Name: d.name, PageSize: 100, Find: func(context.Context, string) ([]string, error) { return []string{"u0", "u1"}, nil }})
	d.names = map[string]string{}
	for i, text := range uitest.Hostile {
		subject := fmt.Sprint("u", i)
		d.names[subject] = text
		s.Login(subject, uitest.Firefox, "192.0.2.1")
		id := s.ID(s.Login(subject, "", ""))
		if err := s.Store.Revoke(ticketstore.WithCause(s.Ctx(), "x", subject), subject, id); err != nil {
			t.Fatal(err)
		}
	}
	queries := []string{"", "?ended=all", "?these=preview&device=firefox", "?find=x"}
	for i := range uitest.Hostile {
		subject := fmt.Sprint("u", i)
		queries = append(queries, of(subject), of(subject)+"&sure=all", of(subject)+"&done=all&n=1")
	}
	for _, query := range queries {
		body := s.get(query).Want(200).Text
		wantHarmless(t, query, body)
		wantIn(t, query, body, "<bdi>u")
	}
	for _, query := range []string{"", "?ended=all", "?find=x"} {
		if !json.Valid([]byte(s.json(query).Want(200).Text)) {
			t.Errorf("%s: got no JSON", query)
		}
	}
}

// wantHarmless demands that nothing in a page is a tag or a hidden character that
// hostile text has brought.
func wantHarmless(t *testing.T, what, body string) {
	t.Helper()
	body = uitest.Body(body)
	for _, tag := range tags.FindAllString(body, -1) {
		bare := quoted.ReplaceAllString(tag, `""`)
		if strings.Contains(bare, "onerror") || strings.HasPrefix(bare, "<img") || strings.HasPrefix(bare, "<script") || strings.HasPrefix(bare, "<b>") || strings.Contains(bare, "'") {
			t.Errorf("%s: got the tag %s", what, tag)
		}
	}
	if strings.ContainsAny(tags.ReplaceAllString(body, ""), "\u202e\u2066\u2067\u2028\x00\x1b\ufeff\u00ad") {
		t.Errorf("%s: got hidden characters: %s", what, body)
	}
}
