package aspnetcore

import (
	"net/http"
	"strings"
	"time"
	"unicode"
)

// formatDate returns t in .NET's format "r". The fraction of a second is cut.
func formatDate(t time.Time) string { return t.UTC().Format(http.TimeFormat) }

// parseDate parses format "r" as exactly as .NET does: only the case of the
// names of day and month is free.
func parseDate(s string) (t time.Time, ok bool) {
	if len(s) != len(http.TimeFormat) || !strings.HasSuffix(s, " GMT") {
		return t, false
	}
	t, err := time.Parse(http.TimeFormat, s)
	if err != nil || t.Year() < 1 || !strings.EqualFold(formatDate(t), s) { // Parse takes the year 0, and any day of the week
		return time.Time{}, false
	}
	return t, true
}

// parseBool parses as .NET's Boolean.TryParse does.
func parseBool(s string) (b, ok bool) {
	s = strings.TrimFunc(s, func(r rune) bool { return r == 0 || unicode.IsSpace(r) })
	// The lengths keep out ſ, which EqualFold takes for an s.
	switch {
	case len(s) == len("True") && strings.EqualFold(s, "True"):
		return true, true
	case len(s) == len("False") && strings.EqualFold(s, "False"):
		return false, true
	}
	return false, false
}
