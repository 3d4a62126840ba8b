package admin

import (
	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/devices"
	"github.com/ticketstore/ticketstore/internal/ui"
)

const (
	maxAgent  = 512 // runes
	maxScheme = 64
)

// row returns s as the page shows it, with what tells it from others that look
// alike; current is the ID of the operator's own session.
func (v *visit) row(s ticketstore.Session, current string) Row {
	shown := v.describer.Row(s, current)
	last := s.SeenFrom
	if last == (ticketstore.Device{}) {
		last = s.Device
	}
	row := Row{
		User: newUser(s.Subject), Row: devices.Row(shown), Actor: actor(s.Actor),
		UserAgent: ui.Clean(last.UserAgent, maxAgent), Scheme: ui.Clean(s.Scheme, maxScheme), Persistent: s.Persistent,
	}
	if !s.EndsAt.IsZero() {
		row.EndsAt = s.EndsAt.In(shown.ExpiresAt.Location())
	}
	if last != s.Device {
		s.SeenFrom = s.Device
		first := v.describer.Row(s, "")
		row.FirstDevice, row.FirstAddr, row.FirstPlace = first.Device, first.Addr, first.Place
	}
	return row
}
