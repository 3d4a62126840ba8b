package ticketstore

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/ticketstore/ticketstore/internal/returnurl"
)

// ReturnURL returns where the login page sends r's user after sign-in: the
// parameter ReturnUrl of r's query or else of its form, if that is a path on
// this host, or else "/". Anybody can make a link with a ReturnUrl: use no
// other way to read it.
func (m *Manager) ReturnURL(r *http.Request) string {
	target := returnurl.Of(r)
	if !returnurl.HostRelative(target) {
		return "/"
	}
	return target
}

// loginURL returns where to send r, a browser on its way to a page, to sign
// in, and the status to do it with; 0 if r is no such request.
func (m *Manager) loginURL(r *http.Request, why string) (location string, status int) {
	login, err := url.Parse(m.cfg.LoginPath)
	if err != nil || m.cfg.LoginPath == "" || !returnurl.Navigates(r) {
		return "", 0
	}
	own := m.ownURL(r)
	if returnurl.SamePath(own, login) {
		return "", 0 // the login page itself is guarded
	}
	q := login.Query()
	back := own
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		status = http.StatusFound
	case http.MethodPost:
		status = http.StatusSeeOther
		if back = returnurl.Form(r); back == "" || returnurl.SamePath(back, login) {
			back = m.prefix(r) + "/"
		}
	default:
		return "", 0
	}
	q.Set(returnurl.Parameter, returnurl.Bounded(back))
	if why != "" {
		q.Set(why, "1")
	}
	login.RawQuery = q.Encode()
	return login.String(), status
}

// ownURL returns r's path and query as the client sees them, whatever
// StripPrefix or a proxy took off.
func (m *Manager) ownURL(r *http.Request) string {
	target := r.RequestURI
	if !returnurl.HostRelative(target) {
		target = r.URL.RequestURI() // a proxy's client sends a whole URL
	}
	if target = m.prefix(r) + target; !returnurl.HostRelative(target) {
		return "/"
	}
	return target
}

// prefix returns what a proxy took off r's path, without a slash at its end.
func (m *Manager) prefix(r *http.Request) string {
	if m.cfg.PathPrefix == nil {
		return ""
	}
	p := strings.TrimRight(m.cfg.PathPrefix(r), "/")
	if !returnurl.HostRelative(p) || strings.ContainsAny(p, "?#") {
		return ""
	}
	return p
}
