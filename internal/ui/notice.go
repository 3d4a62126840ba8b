package ui

import (
	"net/http"
	"strings"
)

// A Notice is a devices.Notice, which says what the fields are.
type Notice struct {
	Title string
	Text  string
	Link  string
	Href  string

	Done bool // it is no error
}

// What a page may have to say instead of what it is for, as Words.Notice gets it.
const (
	Everywhere  = "everywhere"     // 200: the user has signed out everywhere
	SignedOut   = "signed-out"     // 401
	Stale       = "recent-sign-in" // 403: of the sign-in
	Forbidden   = "forbidden"      // 403
	CrossSite   = "cross-site"     // 403
	NoPage      = "no-page"        // 404
	NoMethod    = "no-method"      // 405
	BadForm     = "bad-form"       // 400
	Failed      = "failed"         // 500
	Unavailable = "unavailable"    // 503
)

func status(what string) int {
	switch what {
	case Everywhere:
		return http.StatusOK
	case SignedOut:
		return http.StatusUnauthorized
	case Stale, Forbidden, CrossSite:
		return http.StatusForbidden
	case NoPage:
		return http.StatusNotFound
	case NoMethod:
		return http.StatusMethodNotAllowed
	case BadForm:
		return http.StatusBadRequest
	case Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// notice says in English what there is to say; of what it does not know, nothing.
func notice(what string) (title, text string) {
	switch what {
	case Everywhere:
		return "You are signed out everywhere", "All sessions of your account have ended, the one in this browser too."
	case SignedOut:
		return "Please sign in", "Sign-in is required."
	case Stale:
		return "Please sign in again", "A recent sign-in is required."
	case Forbidden:
		return "Not allowed", "You are not allowed to see this page."
	case CrossSite:
		return "Not allowed", "The request came from another site, so nothing was done."
	case NoPage:
		return "Page not found", "There is no such page."
	case NoMethod:
		return "Not allowed", "Nothing can be done here in this way."
	case BadForm:
		return "Something went wrong", "The form cannot be read, so nothing was done."
	case Failed:
		return "Something went wrong", "The page cannot be shown. Please try again later."
	case Unavailable:
		return "Please try again", "The service is temporarily unavailable. Please try again in a moment."
	}
	return "", ""
}

// Home returns the way from r's page to the handler's first one, which is at "/".
func Home(r *http.Request) string {
	path := strings.TrimPrefix(r.URL.Path, "/")
	if path == "" {
		return "?"
	}
	return "./" + strings.Repeat("../", strings.Count(path, "/"))
}
