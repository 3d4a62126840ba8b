package forwardauth

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/ticketstore/ticketstore/internal/returnurl"
)

// An original is the request that a proxy asks about. All of it may be the
// client's word: it picks no answer but where to send a browser back to, and
// that only among Origins or on its own host.
type original struct {
	nginx  bool   // the proxy passes no redirect on
	method string // "" if unknown
	host   string
	origin string // as the function returns it
	target string // path and query, "/" if it is none to send a browser to
}

func originalOf(r *http.Request) original {
	scheme := only(r, "X-Forwarded-Proto")
	o := original{method: r.Method, host: r.Host, target: r.URL.RequestURI()}
	if whole := only(r, "X-Original-Url"); whole != "" {
		o = original{nginx: true, method: only(r, "X-Original-Method")}
		scheme = ""
		if u, err := url.Parse(whole); err == nil {
			scheme, o.host, o.target = u.Scheme, u.Host, u.RequestURI()
		}
	} else if uri := only(r, "X-Forwarded-Uri"); uri != "" {
		o = original{method: only(r, "X-Forwarded-Method"), host: only(r, "X-Forwarded-Host"), target: uri}
	}
	if o.origin = origin(scheme, o.host); !returnurl.HostRelative(o.target) {
		o.target = "/"
	}
	return o
}

// only returns r's header if it is there once.
func only(r *http.Request, name string) string {
	if lines := r.Header[name]; len(lines) == 1 {
		return lines[0]
	}
	return ""
}

// apply returns r as the proxy got it.
func (o original) apply(r *http.Request) *http.Request {
	u, err := url.ParseRequestURI(o.target)
	if err != nil {
		return r
	}
	r = r.WithContext(r.Context())
	r.Method, r.Host, r.URL, r.RequestURI = o.method, o.host, u, o.target
	if r.Method == "" {
		r.Method = http.MethodGet
	}
	return r
}

// origin returns the ASCII serialization of an origin (RFC 6454, section 6.2),
// "" if it is no site's. It is to be compared with Origins, and does not look
// into host.
func origin(scheme, host string) string {
	port := map[string]string{"http": ":80", "https": ":443"}
	scheme = strings.ToLower(scheme)
	if port[scheme] == "" || host == "" {
		return ""
	}
	return scheme + "://" + strings.TrimSuffix(strings.ToLower(host), port[scheme])
}

// allowed returns the URL of target, a path and query, at an origin that is
// among Origins; "" if it is none of them, or target is no path.
func (h *Handler) allowed(at, target string) string {
	if !slices.Contains(h.origins, at) || !returnurl.HostRelative(target) {
		return ""
	}
	return at + target
}
