package ui

import (
	"fmt"
	"reflect"
	"strings"
	"time"
)

// Words are the words that every page needs. The Text of a package has fields
// of the same names.
type Words struct {
	Language string

	Computer string
	Phone    string
	Tablet   string
	Program  string

	UnknownDevice  string
	UnknownBrowser string
	UnknownProgram string

	On         string
	LastUsed   string
	SignedIn   string
	Place      string
	Address    string
	TimeLayout string
	Ago        func(time.Duration) string
	Ended      string
	Cause      func(string) string

	SignOut           string
	SignOutEverywhere string

	Notice   func(what string) (title, text string)
	Back     string
	SignIn   string
	TryAgain string
	Leave    string
}

func english() Words {
	return Words{
		Language:          "en",
		Computer:          "Computer",
		Phone:             "Phone",
		Tablet:            "Tablet",
		Program:           "App or program",
		UnknownDevice:     "Unknown device",
		UnknownBrowser:    "Unknown browser",
		UnknownProgram:    "Unknown program",
		On:                "%s on %s",
		LastUsed:          "Last used",
		SignedIn:          "Signed in",
		Place:             "Place",
		Address:           "Address",
		TimeLayout:        "2 Jan 2006, 15:04 MST",
		Ago:               ago,
		Ended:             "Ended",
		Cause:             cause,
		SignOut:           "Sign out",
		SignOutEverywhere: "Sign out everywhere",
		Notice:            notice,
		Back:              "Back",
		SignIn:            "Sign in",
		TryAgain:          "Try again",
		Leave:             "Home page",
	}
}

// Fill returns text, a struct, with its empty fields filled from own, which
// lacks Words, and from the English Words.
func Fill[T any](text, own T) T {
	v := reflect.ValueOf(&text).Elem()
	fill(v, reflect.ValueOf(own))
	fill(v, reflect.ValueOf(english()))
	return text
}

// WordsOf returns the Words in text, a struct.
func WordsOf(text any) Words {
	var w Words
	fill(reflect.ValueOf(&w).Elem(), reflect.ValueOf(text))
	return w
}

// fill sets the empty fields of to that from has, too.
func fill(to, from reflect.Value) {
	for i := range to.NumField() {
		if v := from.FieldByName(to.Type().Field(i).Name); v.IsValid() && to.Field(i).IsZero() {
			to.Field(i).Set(v)
		}
	}
}

// Validate reports what is unfit in w.
func (w *Words) Validate() error {
	if s := fmt.Sprintf(w.On, "Firefox", "Linux"); strings.Contains(s, "%!") ||
		!strings.Contains(s, "Firefox") || !strings.Contains(s, "Linux") {
		return Problem("Text.On", `%q is no format of two strings, such as "%%s on %%s"`, w.On)
	}
	return nil
}

// Problem says what is wrong with the argument name.
func Problem(name, format string, args ...any) error {
	return fmt.Errorf(name+": "+format, args...)
}

// ago says d in English, to the nearest unit.
func ago(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Minute:
		return "just now"
	case d.Round(time.Minute) < time.Hour:
		return about(d, time.Minute, "a minute", "minutes")
	case d.Round(time.Hour) < day:
		return about(d, time.Hour, "an hour", "hours")
	case d.Round(day) < 30*day:
		return about(d, day, "a day", "days")
	case d.Round(30*day) < 360*day:
		return about(d, 30*day, "a month", "months")
	}
	return about(d, 365*day, "a year", "years")
}

func about(d, unit time.Duration, one, many string) string {
	if n := max(1, d.Round(unit)/unit); n > 1 {
		return fmt.Sprintf("about %d %s ago", n, many)
	}
	return "about " + one + " ago"
}

// cause says in English why a session has ended; "" if it does not know the
// cause.
func cause(c string) string {
	switch c {
	case "signed-out":
		return "signed out"
	case "replaced":
		return "signed in anew in the same browser"
	case "revoked":
		return "signed out from elsewhere"
	case "revoked-by-operator":
		return "signed out by an administrator"
	case "reported":
		return "reported as “This wasn’t me”"
	case "evicted":
		return "too many devices were signed in"
	case "idle":
		return "idle for too long"
	case "lifetime":
		return "signed in for as long as is allowed"
	case "deleted":
		return "removed by the service"
	case "impersonation-ended":
		return "the administrator’s access was ended"
	case "operator-signed-out":
		return "the administrator signed out"
	case "undelivered":
		return "the sign-in was not completed"
	case "forgotten":
		return "the account’s data was erased"
	}
	return ""
}
