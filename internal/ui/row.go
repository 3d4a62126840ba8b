package ui

import (
	"net/netip"
	"time"

	"github.com/ticketstore/ticketstore"
)

const (
	maxPlace  = 64 // runes
	maxCause  = 64
	maxScheme = 64
)

// A Row is a devices.Row, which says what the fields are.
type Row struct {
	ID          string
	Current     bool
	Undecodable bool
	Staff       bool
	Kind        string
	Device      string
	UserAgent   string
	Addr        string
	Place       string
	FirstAddr   string
	FirstPlace  string
	Scheme      string
	Persistent  bool
	SignedInAt  time.Time
	LastUsedAt  time.Time
	LastUsed    string
	ExpiresAt   time.Time
}

// An Ended is a devices.Ended, which says what the fields are.
type Ended struct {
	ID          string
	Undecodable bool
	Kind        string
	Device      string
	Addr        string
	Place       string
	SignedInAt  time.Time
	EndedAt     time.Time
	EndedAgo    string
	Cause       string
	Why         string
}

// A Describer makes rows of sessions, for one page.
type Describer struct {
	words  *Words
	locate func(netip.Addr) string
	zone   *time.Location
	now    time.Time
	places map[netip.Addr]string // already looked up
	agents map[string]agent      // already parsed
}

// NewDescriber returns a Describer for a page that is seen at now, with times in
// zone. If locate is nil, no places are known; if zone is, times are UTC.
func NewDescriber(words *Words, locate func(netip.Addr) string, zone *time.Location, now time.Time) *Describer {
	if zone == nil {
		zone = time.UTC
	}
	return &Describer{words, locate, zone, now, map[netip.Addr]string{}, map[string]agent{}}
}

// Row returns s as it may be shown; current is the ID of the request's session.
func (d *Describer) Row(s ticketstore.Session, current string) Row {
	row := Row{ID: s.ID, ExpiresAt: s.ExpiresAt.In(d.zone), Undecodable: s.Undecodable, Current: s.ID == current}
	if s.Undecodable {
		row.Kind, row.Device = "unknown", d.words.UnknownDevice
	} else {
		device := lastDevice(s)
		a := d.agent(device)
		row.Kind, row.Device, row.UserAgent = a.kind, a.words(d.words), Clean(device.UserAgent, maxAgent)
		row.Addr, row.Place = d.where(device.Addr)
		row.FirstAddr, row.FirstPlace = d.where(s.Device.Addr)
		row.Scheme, row.Persistent, row.Staff = Clean(s.Scheme, maxScheme), s.Persistent, s.Actor != nil
		if !s.SignedInAt.IsZero() {
			row.SignedInAt = s.SignedInAt.In(d.zone)
		}
		if !s.IssuedAt.IsZero() {
			row.LastUsedAt, row.LastUsed = s.IssuedAt.In(d.zone), d.words.Ago(d.now.Sub(s.IssuedAt))
		}
	}
	if row.Current {
		row.LastUsedAt, row.LastUsed = d.now.In(d.zone).Truncate(time.Millisecond), d.words.Ago(0)
	}
	return row
}

// Device returns Row's Device of s alone, which takes less.
func (d *Describer) Device(s ticketstore.Session) string {
	if s.Undecodable {
		return d.words.UnknownDevice
	}
	return d.agent(lastDevice(s)).words(d.words)
}

// lastDevice returns what s was last used from, or began with.
func lastDevice(s ticketstore.Session) ticketstore.Device {
	if s.SeenFrom == (ticketstore.Device{}) {
		return s.Device
	}
	return s.SeenFrom
}

const maxAgents = 1000 // that a Describer remembers

func (d *Describer) agent(device ticketstore.Device) agent {
	a, ok := d.agents[device.UserAgent]
	if !ok {
		if len(d.agents) >= maxAgents {
			clear(d.agents)
		}
		a = parseAgent(device.UserAgent)
		d.agents[device.UserAgent] = a
	}
	return a
}

// Ended returns e as it may be shown.
func (d *Describer) Ended(e ticketstore.Ending) Ended {
	row := d.Row(e.Session, "")
	ended := Ended{
		ID: row.ID, Undecodable: row.Undecodable, Kind: row.Kind, Device: row.Device, Addr: row.Addr, Place: row.Place,
		SignedInAt: row.SignedInAt, EndedAt: e.EndedAt.In(d.zone), EndedAgo: d.words.Ago(d.now.Sub(e.EndedAt)),
		Cause: Clean(e.Cause, maxCause), Why: d.words.Cause(e.Cause),
	}
	if ended.Why == "" {
		ended.Why = ended.Cause
	}
	return ended
}

// where returns an address as it may be shown, and its place.
func (d *Describer) where(addr netip.Addr) (shown, place string) {
	if !addr.IsValid() {
		return "", ""
	}
	addr = addr.Unmap().WithZone("") // a zone is free text
	return addr.String(), d.place(addr)
}

func (d *Describer) place(addr netip.Addr) string {
	if d.locate == nil {
		return ""
	}
	place, ok := d.places[addr]
	if !ok {
		place = Clean(d.locate(addr), maxPlace)
		d.places[addr] = place
	}
	return place
}

// Examples returns one row of each kind, to try a template on.
func Examples(words *Words) []Row {
	now := time.Unix(0, 0).UTC()
	return []Row{
		{ID: "1", Current: true, Kind: "computer", Device: "Firefox on Linux", UserAgent: "Mozilla/5.0", Addr: "192.0.2.1", Place: "Lisbon",
			FirstAddr: "192.0.2.2", FirstPlace: "Porto", Scheme: "password", Persistent: true,
			SignedInAt: now, LastUsedAt: now, LastUsed: words.Ago(0), ExpiresAt: now},
		{ID: "2", Kind: "phone", Device: words.UnknownBrowser, SignedInAt: now, LastUsedAt: now, LastUsed: words.Ago(0), ExpiresAt: now},
		{ID: "3", Staff: true, Kind: "phone", Device: words.UnknownBrowser, FirstAddr: "192.0.2.2", SignedInAt: now, ExpiresAt: now},
		{ID: "4", Undecodable: true, Kind: "unknown", Device: words.UnknownDevice, ExpiresAt: now},
	}
}

// ExamplesEnded returns one of each kind, to try a template on.
func ExamplesEnded(words *Words) []Ended {
	now := time.Unix(0, 0).UTC()
	return []Ended{
		{ID: "4", Kind: "computer", Device: "Firefox on Linux", Addr: "192.0.2.1", Place: "Lisbon",
			SignedInAt: now, EndedAt: now, EndedAgo: words.Ago(0), Cause: "idle", Why: words.Cause("idle")},
		{ID: "5", Undecodable: true, Kind: "unknown", Device: words.UnknownDevice, EndedAt: now, EndedAgo: words.Ago(0), Cause: "x", Why: "x"},
	}
}
