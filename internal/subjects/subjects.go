// Package subjects says what may name a user, and what a session depends on.
package subjects

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxBytes = 1024 // issuer and sub of OpenID Connect fit, at 255 each
	maxLinks = 8
)

// Check returns why subject may not name a user.
func Check(subject string) error { return check("the subject", subject) }

// CheckLink returns why link may not name what a session depends on.
func CheckLink(link string) error { return check("the link", link) }

// CheckLinks returns why a session may not have links.
func CheckLinks(links []string) error {
	if len(links) > maxLinks {
		return fmt.Errorf("there are %d links; at most %d are allowed", len(links), maxLinks)
	}
	for i, link := range links {
		if err := CheckLink(link); err != nil {
			return fmt.Errorf("Links[%d]: %w", i, err)
		}
		if slices.Contains(links[:i], link) {
			return fmt.Errorf("Links[%d] is there twice", i)
		}
	}
	return nil
}

func check(what, name string) error {
	switch {
	case name == "":
		return errors.New(what + " is empty")
	case len(name) > maxBytes:
		return fmt.Errorf("%s has %d bytes; at most %d are allowed", what, len(name), maxBytes)
	case !utf8.ValidString(name):
		return errors.New(what + " is not valid UTF-8")
	case strings.ContainsFunc(name, unicode.IsControl):
		return errors.New(what + " has control characters")
	}
	return nil
}
