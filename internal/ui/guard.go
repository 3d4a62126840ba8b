package ui

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
)

// Guard returns a handler that sets the headers of a page with the inline style
// sheet style, and calls next. A custom page may load its site's own files.
func Guard(style string, custom bool, next http.Handler) http.Handler {
	policy := contentSecurityPolicy(style, custom)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Cache-Control", "no-store") // or Back shows it after sign-out
		header.Set("Content-Security-Policy", policy)
		// With no-referrer, a browser's POST would have the origin null.
		header.Set("Referrer-Policy", "same-origin")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Add("Vary", "Accept")
		next.ServeHTTP(w, r)
	})
}

// contentSecurityPolicy allows the one inline style sheet and the one inline
// script, by their hashes: those need no paths of their own, and so work
// wherever the handler is mounted.
func contentSecurityPolicy(style string, custom bool) string {
	own, more := "", ""
	if custom {
		own, more = "'self' ", "font-src 'self'; connect-src 'self'; "
	}
	return "default-src 'none'; style-src " + own + hash(style) + "; script-src " + own + hash(Script) + "; img-src 'self'; " + more +
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
}

func hash(inline string) string {
	sum := sha256.Sum256([]byte(inline))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// Trust tells protection the origins, and returns every problem with them.
func Trust(protection *http.CrossOriginProtection, origins []string) (problems []error) {
	for i, origin := range origins {
		if err := protection.AddTrustedOrigin(origin); err != nil {
			problems = append(problems, Problem("TrustedOrigins["+strconv.Itoa(i)+"]", "%w", err))
		}
	}
	return problems
}

// SameOrigin reports whether r, as far as it says, comes from a page of its own
// origin. Another site's link must not make a page say what has been done.
func SameOrigin(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return site == "" || site == "same-origin"
}

// WantsJSON reports whether r's client asks for JSON and is no browser on its
// way to a page.
func WantsJSON(r *http.Request) bool {
	accept := strings.Join(r.Header.Values("Accept"), ",")
	return strings.Contains(accept, "application/json") && !strings.Contains(accept, "text/html")
}

// ParseForm reads r's form, if that has at most MaxForm bytes.
func ParseForm(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, MaxForm)
	return r.ParseForm()
}

// MaxForm is how many bytes a form may have.
const MaxForm = 4 << 10

// SeeOther redirects to location as it stands. http.Redirect would complete it
// by the path that StripPrefix has cut.
func SeeOther(w http.ResponseWriter, location string) {
	w.Header().Set("Location", location)
	w.WriteHeader(http.StatusSeeOther)
}
