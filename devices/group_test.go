package devices

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/ui/uitest"
)

var buttons = regexp.MustCompile(`name="revoke" value="([0-9a-f-]{36})"`)

// idsOn returns the sessions that a page has buttons for, from the top.
func idsOn(body string) (ids []string) {
	for _, m := range buttons.FindAllStringSubmatch(body, -1) {
		ids = append(ids, m[1])
	}
	return ids
}

// Equal devices are in one group, which says how many there are; the present
// device is in none.
func TestGroups(t *testing.T) {
	s := newSite(t, Config{})
	s.Login("alice", uitest.IPhone, "192.0.2.1")
	curl := s.Login("alice", "curl/8", "")
	for i := range 3 {
		s.Login("alice", uitest.Firefox, "192.0.2."+strconv.Itoa(10+i))
	}
	s.Login("alice", strings.Replace(uitest.IPhone, "18.5", "17.1", 1), "192.0.2.2")
	me := s.Login("alice", uitest.Firefox, "192.0.2.13")
	body := s.page(me).Text
	if got, want := devicesOn(body), "Firefox on Linux, Safari on iPhone, Safari on iPhone, Firefox on Linux, Firefox on Linux, Firefox on Linux, curl"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, want := range []string{`<bdi>Safari on iPhone</bdi> <span class="badge">2 sessions</span>`, `<bdi>Firefox on Linux</bdi> <span class="badge">3 sessions</span>`} {
		if strings.Count(body, want) != 1 {
			t.Errorf("want %q once in %s", want, body)
		}
	}
	if strings.Count(body, `<li class="group">`) != 2 || strings.Count(body, "<details>") != 9 || strings.Count(body, `value="others"`) != 2 {
		t.Errorf("want two groups, closed, and buttons for all on top and below: %s", body)
	}
	s.revoke(me, s.ID(curl)).Want(303)
	s.revoke(me, idsOn(body)[1]).Want(303)
	if body = s.page(me).Text; strings.Count(body, "<details open>") != 1 || strings.Count(body, `value="others"`) != 1 {
		t.Errorf("want one group, open, and buttons for all below: %s", body)
	}
}

// Over all pages each session comes once, the present one first; JSON has all.
func TestPaging(t *testing.T) {
	s := newSite(t, Config{})
	agents := []string{uitest.Firefox, uitest.IPhone, "curl/8", "Wget/1", ""}
	for i := range 119 {
		s.Login("alice", agents[i*i%5], "")
	}
	me := s.Login("alice", uitest.Firefox, "")
	var got []string
	for page := 1; page <= 3; page++ {
		body := s.page(me, fmt.Sprint("?page=", page)).Text
		ids := idsOn(body)
		if want := []int{50, 50, 20}[page-1]; len(ids) != want || !strings.Contains(body, fmt.Sprintf("Page %d of 3", page)) {
			t.Errorf("page %d: got %d, want %d: %s", page, len(ids), want, body)
		}
		if strings.Contains(body, `rel="prev"`) != (page > 1) || strings.Contains(body, `rel="next"`) != (page < 3) {
			t.Errorf("page %d: links are missing, or lead nowhere", page)
		}
		got = append(got, ids...)
	}
	if got[0] != s.ID(me) {
		t.Errorf("the first is %s, not the present device", got[0])
	}
	slices.Sort(got)
	if got = slices.Compact(got); len(got) != 120 {
		t.Errorf("got %d sessions, want 120", len(got))
	}
	var list struct{ Sessions []Row }
	if err := json.Unmarshal([]byte(s.Request("GET", mount+"/?page=2", me).With("Accept", asJSON).Want(200).Text), &list); err != nil || len(list.Sessions) != 120 {
		t.Errorf("got %d sessions in JSON, %v", len(list.Sessions), err)
	}
	for query, want := range map[string]string{"?page=0": "Page 1 of 3", "?page=-7": "Page 1 of 3", "?page=99": "Page 3 of 3", "?page=x": "Page 1 of 3", "?page=99999999999999999999": "Page 3 of 3"} {
		if body := s.page(me, query).Text; !strings.Contains(body, want) {
			t.Errorf("%s: want %s", query, want)
		}
	}
	// A form of a page leads back to it.
	id := idsOn(s.page(me, "?page=2").Text)[3]
	location := s.Request("POST", mount+"/?page=2", me, "revoke="+id).Want(303).Header.Get("Location")
	if want := "?done=" + id + "&page=2"; location != want {
		t.Errorf("got Location %q, want %q", location, want)
	}
	if body := s.page(me, location).Text; !strings.Contains(body, "Page 2 of 3") || !strings.Contains(body, `role="status"`) {
		t.Errorf("got %s", body)
	}
}

// What tells rows apart is on the page and in JSON.
func TestDetails(t *testing.T) {
	s := newSite(t, Config{Locate: func(a netip.Addr) string {
		return map[string]string{"192.0.2.1": "Lisbon", "192.0.2.2": "Porto"}[a.String()]
	}})
	tk := ticketstore.NewTicket("alice")
	tk.Scheme, tk.Persistent = "pass\u202eword", true
	tk.Device = ticketstore.Device{UserAgent: uitest.IPhone, Addr: netip.MustParseAddr("192.0.2.1")}
	tk.SeenFrom = ticketstore.Device{UserAgent: uitest.IPhone + " <i>\u202e", Addr: netip.MustParseAddr("192.0.2.2")}
	tk.SignedInAt, tk.IssuedAt, tk.ExpiresAt = s.Now.Add(-time.Hour), s.Now, s.Now.Add(time.Hour)
	if _, err := s.Store.Store(s.Ctx(), tk); err != nil {
		t.Fatal(err)
	}
	me := s.Login("alice", uitest.Firefox, "")
	body := s.page(me).Text
	for _, want := range []string{
		"<bdi>" + uitest.IPhone + " &lt;i&gt;</bdi>", `Signed in from</dt><dd><bdi class="place">Lisbon</bdi> <bdi class="address">192.0.2.1</bdi>`,
		`<bdi class="place">Porto</bdi> <bdi class="address">192.0.2.2</bdi>`, "Signed in by</dt><dd><bdi>password</bdi>", "Stays signed in</dt><dd>Yes<", "Stays signed in</dt><dd>No, ends with the browser<",
		">" + s.Now.Add(time.Hour).UTC().Format("2 Jan 2006, 15:04 MST") + "<",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q in %s", want, body)
		}
	}
	got := s.Request("GET", mount+"/", me).With("Accept", asJSON).Want(200).Text
	if want := `"addr":"192.0.2.2","place":"Porto","firstAddr":"192.0.2.1","firstPlace":"Lisbon","scheme":"password","persistent":true,`; !strings.Contains(got, want) {
		t.Errorf("no %s in %s", want, got)
	}
}

// An operator who acts as the user is shown as what it is, but not who it is.
func TestStaff(t *testing.T) {
	s := newSite(t, Config{})
	me := s.Login("alice", uitest.Firefox, "")
	s.Login("alice", uitest.Firefox, "")
	faulty := &staffStore{faultyStore: faultyStore{RedisStore: s.Store}}
	s.on(faulty, Config{})
	faulty.id = s.ID(s.Login("alice", uitest.Firefox, ""))
	body := s.page(me).Text
	if strings.Count(body, english().Staff) != 1 || strings.Contains(body, "root") || strings.Contains(body, "ticket 7") || strings.Contains(body, `class="group"`) {
		t.Errorf("got %s", body)
	}
	got := s.Request("GET", mount+"/", me).With("Accept", asJSON).Want(200).Text
	if strings.Count(got, `"staff":true`) != 1 || strings.Contains(got, "root") {
		t.Errorf("got %s", got)
	}
	s.revoke(me, faulty.id).Want(303)
}

// A staffStore says that somebody acts in the session id.
type staffStore struct {
	faultyStore
	id string
}

func (s *staffStore) Sessions(ctx context.Context, subject string) ([]ticketstore.Session, error) {
	sessions, err := s.faultyStore.Sessions(ctx, subject)
	for i := range sessions {
		if sessions[i].ID == s.id {
			sessions[i].Actor = &ticketstore.Actor{Subject: "root", SessionID: "1", Reason: "ticket 7"}
		}
	}
	return sessions, err
}
