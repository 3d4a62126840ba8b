package admin

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/ui/uitest"
)

// store keeps a ticket that no request has brought.
func (s *site) store(t *ticketstore.Ticket) (id string) {
	s.T.Helper()
	t.SignedInAt, t.IssuedAt = s.Now, s.Now
	t.ExpiresAt, t.EndsAt = s.Now.Add(2*time.Hour), s.Now.Add(30*time.Hour)
	if _, err := s.Store.Store(s.Ctx(), t); err != nil {
		s.T.Fatal(err)
	}
	return t.ID
}

// Details say what tells two sessions apart that look alike.
func TestDetails(t *testing.T) {
	eachBackend(t, Config{Locate: func(a netip.Addr) string {
		return map[string]string{"192.0.2.1": "Lisbon", "192.0.2.2": "Porto"}[a.String()]
	}}, func(t *testing.T, s *site) {
		alice := ticketstore.NewTicket("alice")
		alice.Scheme, alice.Persistent = "passkey", true
		alice.Device = ticketstore.Device{UserAgent: uitest.IPhone, Addr: netip.MustParseAddr("192.0.2.1")}
		alice.SeenFrom = ticketstore.Device{UserAgent: uitest.Firefox, Addr: netip.MustParseAddr("192.0.2.2")}
		id := s.store(alice)
		bob := ticketstore.NewTicket("bob")
		bob.Device = ticketstore.Device{UserAgent: "curl/8"}
		s.store(bob)
		for _, query := range []string{"", of("alice")} {
			body := s.get(query).Want(200).Text
			wantIn(t, query, body, "<dd><bdi>"+uitest.Firefox+"</bdi></dd>", "<dd><bdi>"+id+"</bdi></dd>", "<dd><bdi>Safari on iPhone</bdi>, <bdi>Lisbon</bdi> <bdi>192.0.2.1</bdi></dd>",
				"<dd><bdi>passkey</bdi></dd>", english().Persistent, alice.EndsAt.UTC().Format("2 Jan 2006, 15:04 MST"))
			if strings.Count(body, english().BeganOn) != 1 || strings.Count(body, `<span class="badge keep"`) != 1 {
				t.Errorf("%s: got %s", query, body)
			}
			wantIn(t, query, s.json(query).Want(200).Text, `"userAgent":"`+uitest.Firefox+`"`, `"addr":"192.0.2.2","place":"Porto","firstAddr":"192.0.2.1","firstPlace":"Lisbon","scheme":"passkey","persistent":true`,
				`"firstDevice":"Safari on iPhone","endsAt":"`)
		}
		wantIn(t, "bob", s.json(of("bob")).Want(200).Text, `"userAgent":"curl/8"`, `"endsAt":"`)
	})
}

func TestHostileDetails(t *testing.T) {
	s := newSite(t, Config{PageSize: 100, Locate: func(netip.Addr) string { return uitest.Hostile[0] }})
	for _, text := range uitest.Hostile {
		text = strings.ToValidUTF8(text[:min(len(text), 200)], "") // as a Manager keeps it
		alice := ticketstore.NewTicket("alice")
		alice.Scheme = text
		alice.Device = ticketstore.Device{UserAgent: text, Addr: netip.MustParseAddr("192.0.2.1")}
		alice.SeenFrom = ticketstore.Device{UserAgent: text + "x"}
		s.store(alice)
	}
	for _, query := range []string{"", of("alice")} {
		wantHarmless(t, query, s.get(query).Want(200).Text)
	}
}

// A session in which an operator acts is shown as that, and so is its end.
func TestActor(t *testing.T) {
	d := &directory{names: map[string]string{"bob": "Bob Example", "alice": "Alice Example"}}
	s := newSite(t, Config{Name: d.name})
	s.Login("alice", uitest.Firefox, "")
	acting := &actingStore{RedisStore: s.Store, actor: &ticketstore.Actor{Subject: "bob", SessionID: "01a20f9d-251e-7b83-a905-97752a4ab701", Reason: "<b>ticket</b> \u202e4711"}}
	s.Mux.Handle("/acting/", s.Manager.Require(http.StripPrefix("/acting", s.handler(acting, Config{Name: d.name}))))
	for _, query := range []string{"", of("alice"), "?ended=all"} {
		d.asked = nil
		body := s.Request("GET", "/acting/"+query, s.root).Want(200).Text
		wantIn(t, query, body, english().Acting+"</span> <bdi>Bob Example</bdi> <small><bdi>bob</bdi></small>: <bdi>&lt;b&gt;ticket&lt;/b&gt; 4711</bdi>")
		wantHarmless(t, query, body)
		if len(d.asked) != 1 || !strings.Contains(strings.Join(d.asked[0], " "), "bob") {
			t.Errorf("%s: asked for %q", query, d.asked)
		}
		wantIn(t, query, s.Request("GET", "/acting/"+query, s.root).With("Accept", asJSON).Want(200).Text,
			`"actor":{"subject":"bob","name":"Bob Example","sessionId":"01a20f9d-251e-7b83-a905-97752a4ab701","reason":"`)
	}
	if body := s.get("").Want(200).Text; strings.Contains(body, english().Acting) {
		t.Errorf("got an operator who does not act: %s", body)
	}

	// As a store has it, which remembers that when it has ended.
	alice := ticketstore.NewTicket("alice")
	alice.Identities = []ticketstore.Identity{{Actor: &ticketstore.Identity{AuthenticationType: "ticketstore.impersonation", Claims: []ticketstore.Claim{
		{Type: "sub", Value: "bob"}, {Type: "sid", Value: "01a20f9d-251e-7b83-a905-97752a4ab701"}, {Type: "reason", Value: "cannot pay"},
	}}}}
	id := s.store(alice)
	shown := english().Acting + "</span> <bdi>Bob Example</bdi> <small><bdi>bob</bdi></small>: <bdi>cannot pay</bdi>"
	wantIn(t, "all", s.get("").Want(200).Text, shown)
	wantIn(t, "alice", s.get(of("alice")).Want(200).Text, shown)
	s.revoke("alice", id).Want(303)
	wantIn(t, "ended", s.get("?ended=all").Want(200).Text, shown)
	wantIn(t, "alice's history", s.get(of("alice")).Want(200).Text, shown)
}

// In an actingStore, an operator acts in every session.
type actingStore struct {
	*ticketstore.RedisStore
	actor *ticketstore.Actor
}

func (s *actingStore) act(sessions []ticketstore.Session) []ticketstore.Session {
	for i := range sessions {
		sessions[i].Actor = s.actor
	}
	return sessions
}

func (s *actingStore) Sessions(ctx context.Context, subject string) ([]ticketstore.Session, error) {
	sessions, err := s.RedisStore.Sessions(ctx, subject)
	return s.act(sessions), err
}

func (s *actingStore) SessionPage(ctx context.Context, cursor string, limit int) ([]ticketstore.Session, string, error) {
	sessions, next, err := s.RedisStore.SessionPage(ctx, cursor, limit)
	return s.act(sessions), next, err
}

func (s *actingStore) EndingPage(context.Context, time.Time, string, int) ([]ticketstore.Ending, string, error) {
	return []ticketstore.Ending{{Session: ticketstore.Session{ID: "1", Subject: "alice", Actor: s.actor}, Cause: "idle"}}, "", nil
}
