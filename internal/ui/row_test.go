package ui

import (
	"net/netip"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/ui/uitest"
)

// A store may hold what no Manager has put there.
func TestRowOfAnyStore(t *testing.T) {
	words := english()
	describer := NewDescriber(&words, nil, nil, time.Now())
	d := ticketstore.Device{Addr: netip.MustParseAddr("::ffff:192.0.2.1").WithZone("<b>"), UserAgent: uitest.Firefox}
	row := describer.Row(ticketstore.Session{ID: "1", SeenFrom: d}, "")
	if row.Addr != "192.0.2.1" || row.LastUsed != "" || !row.SignedInAt.IsZero() || !row.LastUsedAt.IsZero() {
		t.Errorf("got %+v, want 192.0.2.1 and no times", row)
	}
	d.Addr = netip.MustParseAddr("fe80::1%<b>")
	if row := describer.Row(ticketstore.Session{ID: "1", Device: d}, ""); row.Addr != "fe80::1" {
		t.Errorf("got address %q, want fe80::1", row.Addr)
	}
}
