package ticketstore

import (
	"net/http"
	"net/url"
	"path"
	"strings"
	"unicode"
)

const (
	returnParameter = "ReturnUrl" // as in ASP.NET Core
	maxReturnURL    = 2048        // bytes in the query; servers refuse long headers
)

// ReturnURL returns where the login page sends r's user after sign-in: the
// parameter ReturnUrl of r's query or else of its form, if that is a path on
// this host, or else "/". Anybody can make a link with a ReturnUrl: use no
// other way to read it.
func (m *Manager) ReturnURL(r *http.Request) string {
	target := r.URL.Query().Get(returnParameter)
	if target == "" {
		target = r.PostFormValue(returnParameter)
	}
	if !hostRelative(target) {
		return "/"
	}
	return target
}

// hostRelative reports whether a browser takes s for a path on the host that
// it is on. Browsers read \ as /, and leave tabs and line feeds out.
func hostRelative(s string) bool {
	if !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") ||
		strings.Contains(s, `\`) || strings.ContainsFunc(s, unicode.IsControl) {
		return false
	}
	u, err := url.Parse(s)
	return err == nil && u.Host == "" && u.Scheme == ""
}

// loginURL returns where to send r, a browser on its way to a page, to sign
// in, and the status to do it with; 0 if r is no such request.
func (m *Manager) loginURL(r *http.Request, res *resolution) (location string, status int) {
	login, err := url.Parse(m.cfg.LoginPath)
	if err != nil || m.cfg.LoginPath == "" || !navigates(r) {
		return "", 0
	}
	own := m.ownURL(r)
	if samePath(own, login) {
		return "", 0 // the login page itself is guarded
	}
	q := login.Query()
	back := own
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		status = http.StatusFound
	case http.MethodPost:
		status = http.StatusSeeOther
		if back = formURL(r); back == "" || samePath(back, login) {
			back = m.prefix(r) + "/"
		}
		if res.ticket == nil && len(res.keys) > 0 {
			q.Set("ended", "1")
		}
	default:
		return "", 0
	}
	q.Set(returnParameter, bounded(back))
	if res.ticket != nil {
		q.Set("reauth", "1")
	}
	login.RawQuery = q.Encode()
	return login.String(), status
}

// ownURL returns r's path and query as the client sees them, whatever
// StripPrefix or a proxy took off.
func (m *Manager) ownURL(r *http.Request) string {
	target := r.RequestURI
	if !hostRelative(target) {
		target = r.URL.RequestURI() // a proxy's client sends a whole URL
	}
	if target = m.prefix(r) + target; !hostRelative(target) {
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
	if !hostRelative(p) || strings.ContainsAny(p, "?#") {
		return ""
	}
	return p
}

// formURL returns path and query of the page with the form that r sends, ""
// if that is unknown or another origin's.
func formURL(r *http.Request) string {
	page, err := url.Parse(r.Referer())
	if err != nil || page.Host == "" {
		return ""
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "same-origin" && (site != "" || !strings.EqualFold(page.Host, r.Host)) {
		return ""
	}
	if target := page.RequestURI(); hostRelative(target) {
		return target
	}
	return ""
}

// bounded cuts target down to its path, or to "/", if it is too long for a
// query.
func bounded(target string) string {
	fits := func() bool { return len(url.QueryEscape(target)) <= maxReturnURL }
	if !fits() {
		target, _, _ = strings.Cut(target, "?")
	}
	if !fits() {
		return "/"
	}
	return target
}

func samePath(target string, u *url.URL) bool {
	t, err := url.Parse(target)
	return err == nil && path.Clean(t.Path) == path.Clean(u.Path)
}

// navigates reports whether r is a browser on its way to a page. See Fetch
// Metadata Request Headers; older browsers send none.
func navigates(r *http.Request) bool {
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate"
	}
	return strings.Contains(r.Header.Get("Accept"), "text/html")
}
