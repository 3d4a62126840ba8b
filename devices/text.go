package devices

import (
	"fmt"
	"strconv"
	"time"
)

// Text is what the page says. In a [Config], empty fields stay English.
type Text struct {
	Language string // of the page, as BCP 47 names it: "en"

	Title string
	Intro string
	Note  string // below the list

	ThisDevice string // marks the device that the page is seen on
	Computer   string
	Phone      string
	Tablet     string
	Program    string // not a browser: an app, a script, a bot

	UnknownDevice  string
	UnknownBrowser string
	UnknownProgram string
	Undecodable    string // says why nothing is known of a session

	// On makes "Firefox on Linux" of a browser and a system: a format of
	// package fmt, such as "%s on %s" or "%[2]s: %[1]s".
	On string

	LastUsed string // labels, without a colon
	SignedIn string
	Place    string
	Address  string

	// TimeLayout writes times as [time.Time.Format] does, in Site.Zone or UTC.
	// Without Site.Zone, a script writes them anew: in the reader's time zone, and
	// as is usual in Language.
	TimeLayout string

	Details    string // opens what follows
	UserAgent  string
	FirstFrom  string // where it signed in
	Expires    string // when it ends, if it is not used
	Scheme     string // how it signed in
	Persistent string // whether it stays signed in when the browser is closed:
	Yes, No    string

	// Staff says that it is no sign-in of the user's, but of an operator.
	Staff string

	// Alike says how many sessions of equal devices there are.
	Alike func(sessions int) string

	// Ago says how long ago something was, as "about 5 minutes ago". The last
	// use is known to within [ticketstore.Config].RenewAfter: do not promise
	// more. The duration may be negative, by the skew of two clocks.
	Ago func(time.Duration) string

	Recent    string // heading of the sessions that have ended
	Ended     string // label of when and why, without a colon
	NoneEnded string // instead of that list

	// Cause says why a session has ended, of what [ticketstore.Ending] has as
	// its Cause, or "reported". Where it returns "", the cause is shown as it is.
	Cause func(cause string) string

	SignOut           string
	NotMe             string // ends a session that the user does not know, and reports it
	SignOutOthers     string
	SignOutEverywhere string
	SignOutAlike      string // ends all sessions of equal devices

	SureOthers string // headings of what the page asks before that
	SureAll    string
	SureAlike  func(device string) string
	ThatMany   func(sessions int) string // how many would end
	ThisToo    string                    // and that the present one would
	Cancel     string

	NextPage     string
	PreviousPage string
	PageOf       func(page, pages int) string

	// DoneOne says that one device was signed out: "Firefox on Linux" in
	// "Lisbon", each empty if it is not known.
	DoneOne    func(device, place string) string
	DoneAlike  string // after all of equal devices were
	DoneOthers string // after all others were
	DoneNotMe  string // after one was reported: what to do now
	NotFound   string // there was no such session
	Confirmed  string // after another sign-in, which RecentSignIn asked for

	// Notice says what there is to say instead of the page. what is everywhere,
	// after the user has signed out everywhere; or signed-out, recent-sign-in, cross-site, no-page, no-method, bad-form, failed or
	// unavailable, and one day perhaps something else: where Notice returns
	// nothing, the page is English.
	Notice func(what string) (title, text string)

	Back     string // links of a notice: to the page,
	SignIn   string // to sign in,
	TryAgain string // to the page after an outage,
	Leave    string // and to SignedOutPath
}

// english has what package ui has not.
func english() Text {
	return Text{
		Title:         "Where you’re logged in",
		Intro:         "These devices are signed in to your account. Sign out any that you don’t recognise.",
		Note:          "Last use is noted every few minutes, so it is approximate. Signing out everywhere includes this device.",
		ThisDevice:    "This device",
		Undecodable:   "The details of this session can’t be read. You can still sign it out.",
		Recent:        "Recently signed out",
		NoneEnded:     "None.",
		NotMe:         "This wasn’t me",
		SignOutOthers: "Sign out all other devices",
		SignOutAlike:  "Sign out all of these",
		Details:       "Details",
		UserAgent:     "User agent",
		FirstFrom:     "Signed in from",
		Expires:       "Ends if unused",
		Scheme:        "Signed in by",
		Persistent:    "Stays signed in",
		Yes:           "Yes",
		No:            "No, ends with the browser",
		Staff:         "A member of staff signed in as you",
		Alike:         func(n int) string { return count(n, "session") },
		SureOthers:    "Sign out all other devices?",
		SureAll:       "Sign out everywhere?",
		SureAlike:     func(device string) string { return "Sign out all sessions of " + device + "?" },
		ThatMany:      func(n int) string { return count(n, "session") + " will end." },
		ThisToo:       "This device is signed out, too.",
		Cancel:        "Cancel",
		NextPage:      "Next page",
		PreviousPage:  "Previous page",
		PageOf:        func(page, pages int) string { return fmt.Sprintf("Page %d of %d", page, pages) },
		DoneOne:       doneOne,
		DoneAlike:     "All of these devices have been signed out.",
		DoneOthers:    "All other devices have been signed out.",
		DoneNotMe:     "The device has been signed out and reported. Change your password now: whoever used it may know it.",
		NotFound:      "That device is no longer signed in.",
		Confirmed:     "Thank you for signing in again. You can sign devices out now.",
	}
}

func doneOne(device, place string) string {
	switch {
	case device == "":
		return "The device has been signed out."
	case place != "":
		device += " in " + place
	}
	return device + " has been signed out."
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return strconv.Itoa(n) + " " + what
}
