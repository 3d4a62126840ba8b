package admin

import (
	"time"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/ui"
)

// A Detail is what else is known of a session. Its strings are as those of a
// [devices.Row].
type Detail struct {
	// Agent is what the client that used it last says of itself.
	Agent string `json:"agent,omitempty"`

	// FirstDevice, FirstAddr and FirstPlace are where it began, if it was last
	// used from elsewhere.
	FirstDevice string `json:"firstDevice,omitempty"`
	FirstAddr   string `json:"firstAddr,omitempty"`
	FirstPlace  string `json:"firstPlace,omitempty"`

	Scheme     string    `json:"scheme,omitempty"`     // how the user signed in
	Persistent bool      `json:"persistent,omitempty"` // whether it outlives the browser
	EndsAt     time.Time `json:"endsAt,omitzero"`      // however it is used
}

const (
	maxAgent  = 512 // runes
	maxScheme = 64
)

// detail returns the details of s, with times in zone.
func (v *visit) detail(s ticketstore.Session, zone *time.Location) Detail {
	last := s.SeenFrom
	if last == (ticketstore.Device{}) {
		last = s.Device
	}
	d := Detail{Agent: ui.Clean(last.UserAgent, maxAgent), Scheme: ui.Clean(s.Scheme, maxScheme), Persistent: s.Persistent}
	if !s.EndsAt.IsZero() {
		d.EndsAt = s.EndsAt.In(zone)
	}
	if last != s.Device {
		s.SeenFrom = s.Device
		first := v.describer.Row(s, "")
		d.FirstDevice, d.FirstAddr, d.FirstPlace = first.Device, first.Addr, first.Place
	}
	return d
}
