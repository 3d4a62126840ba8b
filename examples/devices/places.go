package main

import "net/netip"

// places are where addresses are, of those kept for documentation. A real program
// asks a database of places that it holds in memory.
var places = map[string]string{
	"192.0.2.0/24":    "Lisbon, Portugal",
	"198.51.100.0/24": "Porto, Portugal",
	"203.0.113.0/24":  "Vigo, Spain",
	"127.0.0.0/8":     "This computer",
	"::1/128":         "This computer",
}

// place returns the place of addr, or "".
func place(addr netip.Addr) string {
	for network, name := range places {
		if netip.MustParsePrefix(network).Contains(addr) {
			return name
		}
	}
	return ""
}
