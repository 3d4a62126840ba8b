// Package subjects says what may name a user.
package subjects

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const maxBytes = 1024 // issuer and sub of OpenID Connect fit, at 255 each

// Check returns why subject may not name a user.
func Check(subject string) error {
	switch {
	case subject == "":
		return errors.New("the subject is empty")
	case len(subject) > maxBytes:
		return fmt.Errorf("the subject has %d bytes; at most %d are allowed", len(subject), maxBytes)
	case !utf8.ValidString(subject):
		return errors.New("the subject is not valid UTF-8")
	case strings.ContainsFunc(subject, unicode.IsControl):
		return errors.New("the subject has control characters")
	}
	return nil
}
