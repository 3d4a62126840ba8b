package admin

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/ui"
)

// A Filter is what lets sessions onto a page, as its address has it. An empty
// field lets all through.
type Filter struct {
	// Of all sessions: part of the name of the device, as it is shown, and the
	// address or network, such as "203.0.113.0/24", that the session began or
	// was last used from. What cannot be read is on no page that has a filter.
	Device  string `json:"device,omitempty"`
	Network string `json:"network,omitempty"`

	Cause string `json:"cause,omitempty"` // of those that have ended

	// Since and Before are days (UTC), such as "2026-11-20", of the sign-in or,
	// of those that have ended, of the end.
	Since  string `json:"since,omitempty"`
	Before string `json:"before,omitempty"`

	network       netip.Prefix
	since, before time.Time
}

var errFilter = errors.New("network is an address or network, such as 203.0.113.0/24; since and before are days, such as 2026-11-20")

// filterNames are those of a filter's fields in an address.
func filterNames() []string { return []string{"device", "network", "cause", "since", "before"} }

// parseFilter returns the filter in q, and an error if it is none.
func parseFilter(q url.Values) (f Filter, err error) {
	f = Filter{Device: q.Get("device"), Network: strings.TrimSpace(q.Get("network")), Cause: q.Get("cause"), Since: q.Get("since"), Before: q.Get("before")}
	for _, day := range []struct {
		text string
		time *time.Time
	}{{f.Since, &f.since}, {f.Before, &f.before}} {
		if day.text == "" {
			continue
		}
		if *day.time, err = time.Parse(time.DateOnly, day.text); err != nil {
			return f, errFilter
		}
	}
	if f.Network == "" {
		return f, nil
	}
	if f.network, err = netip.ParsePrefix(f.Network); err != nil {
		addr, err := netip.ParseAddr(f.Network)
		if err != nil {
			return f, errFilter
		}
		addr = addr.Unmap().WithZone("")
		f.network = netip.PrefixFrom(addr, addr.BitLen())
	}
	return f, nil
}

// Live reports whether there is anything that a list of all sessions goes by.
func (f Filter) Live() bool {
	return f.Device != "" || f.Network != "" || f.Since != "" || f.Before != ""
}

// values returns what of f is set, for an address.
func (f Filter) values() url.Values {
	q := url.Values{}
	for i, value := range []string{f.Device, f.Network, f.Cause, f.Since, f.Before} {
		if value != "" {
			q.Set(filterNames()[i], value)
		}
	}
	return q
}

// at reports whether f lets through what happened at t.
func (f Filter) at(t time.Time) bool {
	return (f.since.IsZero() || !t.Before(f.since)) && (f.before.IsZero() || t.Before(f.before))
}

// live reports whether f lets a session through.
func (f Filter) live(d *ui.Describer, s ticketstore.Session) bool {
	if !f.Live() {
		return true
	}
	within := func(addr netip.Addr) bool { return f.network.Contains(addr.Unmap().WithZone("")) }
	return !s.Undecodable && f.at(s.SignedInAt) &&
		(f.Network == "" || within(s.Device.Addr) || within(s.SeenFrom.Addr)) &&
		(f.Device == "" || strings.Contains(strings.ToLower(d.Device(s)), strings.ToLower(f.Device)))
}

// ended reports whether f lets through a session that has ended, which is shown
// as e.
func (f Filter) ended(e Ended) bool {
	return (f.Cause == "" || e.Cause == f.Cause) && f.at(e.EndedAt)
}
