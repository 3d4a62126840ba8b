package admin

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/ticketstore/ticketstore/internal/ui"
	"github.com/ticketstore/ticketstore/internal/ui/uitest"
)

// "Sign out everywhere" asks first, and says afterwards whom it has signed out.
func TestSure(t *testing.T) {
	eachBackend(t, Config{}, func(t *testing.T, s *site) {
		a, b, bob := s.Login("a&b", uitest.Firefox, ""), s.Login("a&b", uitest.IPhone, ""), s.Login("bob", "", "")
		body := s.get(of("a&b")).Want(200).Text
		wantIn(t, "the link", body, `href="?subject=a%26b&amp;sure=all"`, ">Sign out everywhere (2)</a>")
		body = s.get(of("a&b") + "&sure=all").Want(200).Text
		wantIn(t, "the question", body, "<title>"+english().SureAll+"</title>", "<h1>"+english().SureAll+"</h1>", "<bdi>a&amp;b</bdi>", "2 sessions will end.",
			`<input type="hidden" name="subject" value="a&amp;b">`, `name="revoke" value="all"`, `href="?subject=a%26b">Cancel</a>`)
		if strings.Contains(body, english().OwnToo) || strings.Count(body, "<form") != 1 || s.Alive(a, b, bob) != "111" {
			t.Errorf("got %s", body)
		}
		wantIn(t, "the operator", s.get(of("root")+"&sure=all").Want(200).Text, "1 session will end.", english().OwnToo)

		location := s.Request("POST", mount+"/"+of("a&b")+"&sure=all", s.root, "subject=a%26b&revoke=all").Want(303).Header.Get("Location")
		if location != "?done=all&n=2&subject=a%26b" || s.Alive(a, b, bob) != "001" {
			t.Errorf("got Location %q and %s alive", location, s.Alive(a, b, bob))
		}
		wantIn(t, "afterwards", s.get(location).Want(200).Text, `role="status"`, "Signed out everywhere (2 sessions): <bdi>a&amp;b</bdi></p>", english().NoSessions)
		if body := s.get(location).With("Sec-Fetch-Site", "cross-site").Want(200).Text; strings.Contains(body, `role="status"`) {
			t.Errorf("another site's link says what was done: %s", body)
		}

		// There is nothing to ask about a user without sessions.
		body = s.get(of("a&b") + "&sure=all").Want(200).Text
		wantIn(t, "none", body, english().NoSessions)
		if strings.Contains(body, `method="post"`) {
			t.Errorf("got a button that ends nothing: %s", body)
		}
	})
}

// What has been signed out is named as its user's history knows it, and only if
// an operator has ended it.
func TestNamed(t *testing.T) {
	s := newSite(t, Config{})
	phone, laptop := s.ID(s.Login("alice", uitest.IPhone, "192.0.2.1")), s.ID(s.Login("alice", uitest.Firefox, ""))
	live := s.ID(s.Login("alice", "curl/8", ""))
	wantIn(t, "from the user's page", s.get(s.Request("POST", mount+"/"+of("alice"), s.root, "subject=alice&revoke="+phone).Want(303).Header.Get("Location")).Want(200).Text,
		"Signed out: <bdi>Safari on iPhone</bdi>, <bdi>192.0.2.1</bdi> – <bdi>alice</bdi></p>", "<title>Signed out: Safari on iPhone 192.0.2.1 alice – ")
	wantIn(t, "from the list", s.get(s.revoke("alice", laptop).Want(303).Header.Get("Location")).Want(200).Text, "Signed out: <bdi>Firefox on Linux</bdi> – <bdi>alice</bdi></p>")
	idle := s.end(uitest.Firefox, "idle", "")
	message := regexp.MustCompile(`<p class="message.*</p>`)
	for _, id := range []string{"", "x", live, idle, "<script>"} {
		for _, query := range []string{of("alice") + "&done=one&session=" + queryEscape(id), "?done=one&of=alice&session=" + queryEscape(id)} {
			if got := message.FindString(s.get(query).Want(200).Text); !strings.HasSuffix(got, ">Signed out: <bdi>alice</bdi></p>") && !strings.HasSuffix(got, "Signed out: <bdi>alice</bdi></p>") {
				t.Errorf("%s: got %s, want no device", query, got)
			}
		}
	}
}

// Without a history, this process still knows what it has ended, for a while.
func TestNamedWithoutHistory(t *testing.T) {
	s := newSite(t, Config{})
	s.Mux.Handle("/plain/", s.Manager.Require(http.StripPrefix("/plain", s.handler(struct{ Store }{s.Store}, Config{}))))
	var first string
	for i := range ui.MaxMemory + 1 {
		s.Login("alice", uitest.IPhone, "192.0.2.1")
		id := s.ID(s.Login("alice", uitest.IPhone, "192.0.2.1"))
		location := s.Request("POST", "/plain/", s.root, "subject=alice&revoke="+id).Want(303).Header.Get("Location")
		if i == 0 {
			first = location
		}
		if i > 0 && i < ui.MaxMemory {
			continue
		}
		wantIn(t, location, s.Request("GET", "/plain/"+location, s.root).Want(200).Text, "Signed out: <bdi>Safari on iPhone</bdi>, <bdi>192.0.2.1</bdi> – <bdi>alice</bdi></p>")
		wantIn(t, "of bob", s.Request("GET", "/plain/"+strings.Replace(location, "alice", "bob", 1), s.root).Want(200).Text, "Signed out: <bdi>bob</bdi></p>")
	}
	wantIn(t, "forgotten", s.Request("GET", "/plain/"+first, s.root).Want(200).Text, "Signed out: <bdi>alice</bdi></p>")
}
