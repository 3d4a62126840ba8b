package ui

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clean returns s as one line of visible text of at most limit runes: no
// control characters, no marks that reverse the text around them, no towers of
// accents.
func Clean(s string, limit int) string {
	var b strings.Builder
	runes, marks := 0, 0
	space := false
	for _, r := range s {
		switch {
		case unicode.IsSpace(r):
			space = runes > 0
			continue
		case r == utf8.RuneError:
			continue
		case unicode.IsMark(r):
			if marks++; runes == 0 || marks > 3 {
				continue
			}
		case r == '\u200c', r == '\u200d': // letters join by them, in Persian and Hindi
			if runes == 0 {
				continue
			}
		case !unicode.IsGraphic(r):
			continue
		default:
			marks = 0
		}
		if space {
			b.WriteByte(' ')
			runes++
			space = false
		}
		if runes >= limit {
			return strings.TrimSpace(b.String()) + "…"
		}
		b.WriteRune(r)
		runes++
	}
	return b.String()
}
