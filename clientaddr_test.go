package ticketstore

import (
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func TestTrustedProxies(t *testing.T) {
	trusted := proxies{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:1::/48")}
	for _, test := range []struct {
		name, remote            string
		forwardedFor, forwarded []string
		want                    string
	}{
		{"no header", "10.0.0.1:4711", nil, nil, "10.0.0.1"},
		{"one proxy", "10.0.0.1:4711", []string{"203.0.113.9"}, nil, "203.0.113.9"},
		{"what the client wrote", "10.0.0.1:4711", []string{"198.51.100.1, 203.0.113.9"}, nil, "203.0.113.9"},
		{"in a line of its own", "10.0.0.1:4711", []string{"198.51.100.1", "203.0.113.9"}, nil, "203.0.113.9"},
		{"two proxies", "10.0.0.1:4711", []string{"198.51.100.1, 203.0.113.9,10.0.0.2"}, nil, "203.0.113.9"},
		{"proxies only", "10.0.0.1:4711", []string{"10.0.0.3, 10.0.0.2"}, nil, "10.0.0.3"},
		{"no proxy of ours", "203.0.113.9:4711", []string{"198.51.100.1"}, []string{"for=198.51.100.2"}, "203.0.113.9"},
		{"no port", "10.0.0.1", []string{"203.0.113.9"}, nil, "203.0.113.9"},
		{"ports", "10.0.0.1:1", []string{"203.0.113.9:4711"}, nil, "203.0.113.9"},
		{"IPv6", "[2001:db8:1::1]:1", []string{"2001:db8::9"}, nil, "2001:db8::9"},
		{"IPv6 in brackets", "[2001:db8:1::1]:1", []string{"[2001:db8::9]"}, nil, "2001:db8::9"},
		{"IPv6 with a port", "[2001:db8:1::1]:1", []string{"[2001:db8::9]:4711"}, nil, "2001:db8::9"},
		{"mapped peer", "[::ffff:10.0.0.1]:1", []string{"203.0.113.9"}, nil, "203.0.113.9"},
		{"mapped hop", "10.0.0.1:1", []string{"203.0.113.9, ::ffff:10.0.0.2"}, nil, "203.0.113.9"},
		{"zone", "[2001:db8:1::1%eth0]:1", []string{"fe80::9%eth1"}, nil, "fe80::9"},
		{"empty elements", "10.0.0.1:1", []string{"203.0.113.9, ,", ""}, nil, "203.0.113.9"},
		{"unknown", "10.0.0.1:1", []string{"198.51.100.1, unknown"}, nil, "10.0.0.1"},
		{"nonsense behind a proxy", "10.0.0.1:1", []string{"nonsense, 10.0.0.2"}, nil, "10.0.0.2"},
		{"Unix socket", "@", []string{"198.51.100.1, 203.0.113.9"}, nil, "203.0.113.9"},
		{"Unix socket, no header", "@", nil, nil, "invalid IP"},
		{"no address at all", "", []string{"203.0.113.9"}, nil, "invalid IP"},
		{"Forwarded", "10.0.0.1:1", nil, []string{"for=198.51.100.1, for=203.0.113.9;proto=https;by=10.0.0.1"}, "203.0.113.9"},
		{"Forwarded, quoted", "10.0.0.1:1", nil, []string{`proto=https; For="[2001:db8::9]:4711"`}, "2001:db8::9"},
		{"Forwarded, hidden", "10.0.0.1:1", nil, []string{"for=198.51.100.1, for=_gazonk"}, "10.0.0.1"},
		{"Forwarded, an open quote of the client's", "10.0.0.1:1", nil, []string{`for="198.51.100.1, for=203.0.113.9`}, "203.0.113.9"},
		{"both agree", "10.0.0.1:1", []string{"203.0.113.9"}, []string{"for=203.0.113.9"}, "203.0.113.9"},
		{"Forwarded is the client's", "10.0.0.1:1", []string{"203.0.113.9"}, []string{"for=198.51.100.1"}, "10.0.0.1"},
		{"X-Forwarded-For is the client's", "10.0.0.1:1", []string{"198.51.100.1"}, []string{"for=203.0.113.9"}, "10.0.0.1"},
		{"long", "10.0.0.1:1", []string{strings.Repeat("10.0.0.2,", 100_000)}, nil, "10.0.0.2"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = test.remote
		if test.forwardedFor != nil {
			r.Header["X-Forwarded-For"] = test.forwardedFor
		}
		if test.forwarded != nil {
			r.Header["Forwarded"] = test.forwarded
		}
		if got := trusted.clientAddr(r).String(); got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}

func TestTrustedProxiesOfConfig(t *testing.T) {
	b := miniBackend(t)
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	s := newSite(t, b, Config{TrustedProxies: trusted})
	trusted[0] = netip.MustParsePrefix("192.0.2.0/24") // too late
	r := s.request(t, "POST", "/login?user=alice")
	r.RemoteAddr = "10.0.0.1:4711"
	r.Header.Set("X-Forwarded-For", "198.51.100.1, 203.0.113.9:4711")
	if got := s.ticket(t, onlyCookie(t, s.serve(r))).Device.Addr.String(); got != "203.0.113.9" {
		t.Errorf("got %s, want 203.0.113.9", got)
	}
}

// Whatever a client writes, an address that its proxy appended counts.
func FuzzForwarded(f *testing.F) {
	for _, s := range []string{"", "203.0.113.1", "unknown", `for="`, "10.0.0.9, 10.0.0.8", `for=10.0.0.9;by="a,b"`, ",,", "[::1"} {
		f.Add(s)
	}
	trusted := proxies{netip.MustParsePrefix("10.0.0.0/8")}
	f.Fuzz(func(t *testing.T, client string) {
		for header, appended := range map[string]string{"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9"} {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = "10.0.0.1:4711"
			r.Header.Set(header, client+", "+appended)
			if got := trusted.clientAddr(r).String(); got != "203.0.113.9" {
				t.Errorf("%s, client wrote %q: got %s, want 203.0.113.9", header, client, got)
			}
		}
	})
}
