package ticketstore

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// connectionAddr returns the address that r came from: a port is not always
// there, since middleware that sets RemoteAddr from a header leaves it out.
func connectionAddr(r *http.Request) netip.Addr { return parseAddr(r.RemoteAddr) }

// parseAddr returns the address in s, with or without a port, or the invalid
// address. One that IPv6 maps from IPv4 comes back as IPv4.
func parseAddr(s string) netip.Addr {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone("")
	}
	if inner, ok := strings.CutPrefix(s, "["); ok {
		s = strings.TrimSuffix(inner, "]")
	}
	addr, _ := netip.ParseAddr(s)
	return addr.Unmap().WithZone("")
}

// proxies are the addresses whose word on where a request came from counts.
type proxies []netip.Prefix

// clientAddr is [Config].ClientAddr for TrustedProxies. A proxy that sets one
// of the two headers may pass on the other as the client wrote it: where both
// are there and disagree, neither counts.
func (p proxies) clientAddr(r *http.Request) netip.Addr {
	peer := connectionAddr(r)
	if !peer.IsValid() && !unixSocket(r.RemoteAddr) {
		return peer
	}
	forwardedFor := p.walk(peer, r.Header["X-Forwarded-For"], parseAddr)
	forwarded := p.walk(peer, r.Header["Forwarded"], forwardedElement)
	switch {
	case len(r.Header["Forwarded"]) == 0 || forwarded == forwardedFor:
		return forwardedFor
	case len(r.Header["X-Forwarded-For"]) == 0:
		return forwarded
	}
	return peer
}

// walk returns the address nearest to peer that is no proxy's. Each proxy
// appends the address that it was called from, so what stands before the word
// of somebody else, anybody can have written.
func (p proxies) walk(peer netip.Addr, lines []string, parse func(string) netip.Addr) netip.Addr {
	addr := peer
	for _, line := range slices.Backward(lines) {
		for more := true; more; {
			var hop string
			if i := strings.LastIndexByte(line, ','); i >= 0 {
				line, hop = line[:i], line[i+1:]
			} else {
				more, hop = false, line
			}
			if hop = strings.Trim(hop, " \t"); hop == "" {
				continue
			}
			next := parse(hop)
			if addr.IsValid() && !p.contain(addr) || !next.IsValid() {
				return addr
			}
			addr = next
		}
	}
	return addr
}

func (p proxies) contain(addr netip.Addr) bool {
	return slices.ContainsFunc(p, func(prefix netip.Prefix) bool { return prefix.Contains(addr) })
}

// forwardedElement returns the address in an element of the Forwarded header,
// such as for="[2001:db8::1]:4711";proto=https. RFC 7239, section 4.
func forwardedElement(s string) netip.Addr {
	for pair := range strings.SplitSeq(s, ";") {
		name, value, _ := strings.Cut(pair, "=")
		if strings.EqualFold(strings.TrimSpace(name), "for") {
			return parseAddr(strings.Trim(value, `" `+"\t"))
		}
	}
	return netip.Addr{}
}

// unixSocket reports whether a connection came by a Unix socket: from a
// process on this machine, which the permissions of the socket let in.
func unixSocket(remoteAddr string) bool {
	return strings.HasPrefix(remoteAddr, "@") || strings.HasPrefix(remoteAddr, "/")
}

// problems returns what is wrong with p.
func (p proxies) problems() (errs []error) {
	for _, prefix := range p {
		switch {
		case !prefix.IsValid():
			errs = append(errs, problem("TrustedProxies", "%v is no range of addresses", prefix))
		case prefix.Bits() == 0:
			errs = append(errs, problem("TrustedProxies", "%v trusts everybody's word; name your proxies", prefix))
		case prefix.Addr().Is4In6():
			errs = append(errs, problem("TrustedProxies", "%v: write it as IPv4", prefix))
		}
	}
	return errs
}
