package admin

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore/devices"
	"github.com/ticketstore/ticketstore/internal/ui/uitest"
)

func TestOrder(t *testing.T) {
	at := func(subject, id string, minute int) Row {
		row := Row{User: newUser(subject), Row: devices.Row{ID: id}}
		if minute > 0 {
			row.LastUsedAt = time.Date(2026, 11, 20, 9, minute, 0, 0, time.UTC)
		}
		return row
	}
	rows := []Row{at("b", "1", 10), at("", "2", 0), at("a", "3", 20), at("c", "4", 30), at("b", "5", 40), at("a", "6", 0), at("c", "7", 20), at("a", "8", 30), at("", "9", 0)}
	order(rows)
	got := ""
	for _, row := range rows {
		got += fmt.Sprint(" ", row.Subject, row.ID)
		if row.Again {
			got += "+"
		}
	}
	if want := " b5 b1+ a8 a3+ a6+ c4 c7+ 2 9"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// On a page, a user's sessions are together, on the user's own the last used is
// first.
func TestOrderOnPages(t *testing.T) {
	eachBackend(t, Config{}, func(t *testing.T, s *site) {
		for i := range 6 {
			s.Login([]string{"alice", "bob"}[i%2], uitest.Firefox, fmt.Sprint("192.0.2.", i+1))
			s.Advance(time.Minute)
		}
		for query, want := range map[string]string{
			"":          " 192.0.2.6 192.0.2.4 192.0.2.2 192.0.2.5 192.0.2.3 192.0.2.1",
			of("alice"): " 192.0.2.5 192.0.2.3 192.0.2.1",
		} {
			got := ""
			for _, part := range strings.Split(s.get(query).Want(200).Text, `<bdi class="address">`)[1:] {
				if addr, _, _ := strings.Cut(part, "<"); addr != "" {
					got += " " + addr
				}
			}
			if got != want {
				t.Errorf("%s: got%s, want%s", query, got, want)
			}
		}
		wantIn(t, "all", s.get("").Want(200).Text, `<tr role="row" class="current">`, `<tr role="row" class=" again">`)
	})
}
