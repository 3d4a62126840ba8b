package ticketstore

import (
	"net/http"
	"net/url"
	"strings"
	"unicode"
)

const returnParameter = "ReturnUrl" // as in ASP.NET Core

// ReturnURL returns where the login page sends r's user after sign-in: the
// parameter ReturnUrl of r's query or else of its form, if that is a path on
// this host, or else "/". Anybody can make a link with a ReturnUrl: use no
// other way to read it.
func (m *Manager) ReturnURL(r *http.Request) string {
	target := r.URL.Query().Get(returnParameter)
	if target == "" && r.ParseForm() == nil {
		target = r.PostForm.Get(returnParameter)
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

// loginURL returns where to send r to sign in, again if reauth is set, and
// whether to send it anywhere.
func (m *Manager) loginURL(r *http.Request, reauth bool) (string, bool) {
	u, err := url.Parse(m.cfg.LoginPath)
	if err != nil || m.cfg.LoginPath == "" || !navigation(r) {
		return "", false
	}
	target := r.RequestURI // as the client sees it, whatever StripPrefix took off
	if !hostRelative(target) {
		target = "/"
	}
	if path, _, _ := strings.Cut(target, "?"); path == u.EscapedPath() {
		return "", false // the login page itself is guarded
	}
	q := u.Query()
	q.Set(returnParameter, target)
	if reauth {
		q.Set("reauth", "1")
	}
	u.RawQuery = q.Encode()
	return u.String(), true
}

// navigation reports whether r is a browser on its way to a page. See Fetch
// Metadata Request Headers; older browsers send none.
func navigation(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate"
	}
	return strings.Contains(r.Header.Get("Accept"), "text/html")
}
