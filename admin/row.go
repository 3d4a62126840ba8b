package admin

import (
	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/devices"
)

// row returns s as the page shows it; current is the ID of the operator's own
// session.
func (v *visit) row(s ticketstore.Session, current string) Row {
	shown := v.describer.Row(s, current)
	row := Row{User: newUser(s.Subject), Row: devices.Row(shown), Actor: actor(s.Actor)}
	if !s.EndsAt.IsZero() {
		row.EndsAt = s.EndsAt.In(shown.ExpiresAt.Location())
	}
	if s.SeenFrom != (ticketstore.Device{}) && s.SeenFrom != s.Device {
		s.SeenFrom = ticketstore.Device{}
		row.FirstDevice = v.describer.Device(s)
	}
	return row
}
