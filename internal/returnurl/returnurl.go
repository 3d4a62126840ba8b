// Package returnurl decides where a browser may be sent back to after sign-in.
package returnurl

import (
	"net/http"
	"net/url"
	"path"
	"strings"
	"unicode"
)

const (
	Parameter = "ReturnUrl" // as in ASP.NET Core
	maxLength = 2048        // bytes in the query; servers refuse long headers
)

// Of returns the parameter of r's query or else of its form. Anybody can have
// written it.
func Of(r *http.Request) string {
	if target := r.URL.Query().Get(Parameter); target != "" {
		return target
	}
	return r.PostFormValue(Parameter)
}

// HostRelative reports whether a browser takes s for a path on the host that
// it is on. Browsers read \ as /, and leave tabs and line feeds out.
func HostRelative(s string) bool {
	if !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") ||
		strings.Contains(s, `\`) || strings.ContainsFunc(s, unicode.IsControl) {
		return false
	}
	u, err := url.Parse(s)
	return err == nil && u.Host == "" && u.Scheme == ""
}

// Form returns path and query of the page with the form that r sends, ""
// if that is unknown or another origin's.
func Form(r *http.Request) string {
	page, err := url.Parse(r.Referer())
	if err != nil || page.Host == "" {
		return ""
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "same-origin" && (site != "" || !strings.EqualFold(page.Host, r.Host)) {
		return ""
	}
	if target := page.RequestURI(); HostRelative(target) {
		return target
	}
	return ""
}

// Bounded cuts target down to its path, or to "/", if it is too long for a
// query.
func Bounded(target string) string {
	fits := func() bool { return len(url.QueryEscape(target)) <= maxLength }
	if !fits() {
		target, _, _ = strings.Cut(target, "?")
	}
	if !fits() {
		return "/"
	}
	return target
}

// SamePath reports whether target has the path of u.
func SamePath(target string, u *url.URL) bool {
	t, err := url.Parse(target)
	return err == nil && path.Clean(t.Path) == path.Clean(u.Path)
}

// Navigates reports whether r is a browser on its way to a page. See Fetch
// Metadata Request Headers; older browsers send none.
func Navigates(r *http.Request) bool {
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate"
	}
	return strings.Contains(r.Header.Get("Accept"), "text/html")
}
