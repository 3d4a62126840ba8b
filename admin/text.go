package admin

import (
	"strconv"
	"time"
)

// Text is what the pages say. In a [Config], empty fields stay English.
type Text struct {
	Language string // of the pages, as BCP 47 names it: "en"

	Title    string // of the first page
	Users    string // labels of the numbers
	Sessions string
	All      string // heading of the list of all sessions
	Nobody   string // instead of that list
	Find     string // label of the form
	FindHint string // below it, if it takes the exact user ID
	FindAny  string // below it, if it takes what Config.Find does
	FindNow  string // its button
	First    string // links between pages
	Previous string
	Next     string
	Pages    string // what these links are, to a screen reader

	Found  string // heading of the users who were found
	More   string // says that there are more
	NoFind string // nobody can be looked up; the user who is named exactly is shown

	UserTitle  string // of a user's page, above the name
	NoSessions string // that user has none
	Note       string // below the list of a user's sessions

	Ending    string // heading of the sessions that have ended
	NoneEnded string // instead of that list
	ByCause   string // labels of the filter's fields
	AnyCause  string
	Since     string
	Before    string
	Network   string
	Began     string // the same, of the sign-in
	BeganBy   string
	Filter    string // its button, and what it is
	NoneFound string // instead of a list, with a filter
	GoesOn    string // below a list that a filter has left short

	EndThese string                             // leads to what would end
	Sure     string                             // heading of that page
	ThatMany func(sessions, users int64) string // how many, and of how many users
	MoreOf   func(users int64) string           // how many users are not named
	Stay     string                             // which sessions do not end
	Asked    string                             // that there may be more
	EndNow   string                             // ends them
	Keep     string                             // leads back

	ThisSession string // marks the session of the operator's request
	Persistent  string // marks one that outlives the browser
	Acting      string // marks one in which an operator acts, before who that is and why
	Hidden      string // marks a name that is shown without its hidden characters
	NoUser      string // instead of a name that cannot be read
	Computer    string
	Phone       string
	Tablet      string
	Program     string // not a browser: an app, a script, a bot

	UnknownDevice  string
	UnknownBrowser string
	UnknownProgram string
	Undecodable    string // says why nothing is known of a session

	// On makes "Firefox on Linux" of a browser and a system: a format of
	// package fmt, such as "%s on %s" or "%[2]s: %[1]s".
	On string

	User      string // labels, without a colon
	Device    string
	Where     string // place and address
	LastUsed  string
	Ended     string
	By        string // who ended it
	SignedIn  string
	Expires   string
	ID        string // of the session
	UserAgent string // what a client says of itself
	BeganOn   string // the device and place that a session began with
	Scheme    string // how the user signed in
	Ends      string // when a session ends, however it is used
	Details   string // opens what else is known of a session

	// TimeLayout writes times as [time.Time.Format] does, in Site.Zone or UTC.
	// Without Site.Zone, a script writes them anew: in the reader's time zone, and
	// as is usual in Language.
	TimeLayout string

	// Ago says how long ago something was, as "about 5 minutes ago". The last
	// use is known to within [ticketstore.Config].RenewAfter: do not promise
	// more. The duration may be negative, by the skew of two clocks.
	Ago func(time.Duration) string

	// Cause says why a session has ended, of what [ticketstore.Ending] has as
	// its Cause. Where it returns "", the cause is shown as it is.
	Cause func(cause string) string

	// Number writes a count, as "1,234".
	Number func(int64) string

	SignOut           string
	SignOutEverywhere string                      // leads to a page that asks first
	SureAll           string                      // heading of that page
	EndAll            func(sessions int64) string // says how many sessions would end
	OwnToo            string                      // that the operator's own is among them

	// DoneOne is said after one session was ended. Its device, place and user
	// come next, if they are known; the user after DoneAll.
	DoneOne   string
	DoneAll   func(sessions int64) string
	DoneThese func(sessions int64) string
	NoFilter  string // the filter cannot be read
	NotFound  string // the user has no such session
	NoPage    string // the cursor names no page; the first one is shown
	NoHistory string // the store does not remember what has ended

	// Notice says what there is to say instead of the page. what is signed-out,
	// forbidden, cross-site, no-page, no-method, bad-form, failed or unavailable,
	// and one day perhaps something else: where Notice returns nothing, the page
	// is English.
	Notice func(what string) (title, text string)

	Back     string // links of a notice: to the first page,
	SignIn   string // to sign in,
	TryAgain string // to the page after an outage,
	Leave    string // and to the site's home page
}

// english has what differs from package devices.
func english() Text {
	return Text{
		Title:      "Sessions",
		Users:      "Users signed in",
		Sessions:   "Sessions",
		All:        "All sessions",
		Nobody:     "Nobody is signed in.",
		Find:       "Find a user",
		FindHint:   "The exact user ID, as the application knows it.",
		FindAny:    "A name, or the exact user ID.",
		FindNow:    "Find",
		First:      "First page",
		Previous:   "Previous page",
		Next:       "Next page",
		Found:      "Users found",
		More:       "There are more. Search for more of the name.",
		NoFind:     "Users can’t be looked up at the moment. This is whoever has exactly this user ID.",
		User:       "User",
		Where:      "Where",
		Details:    "Details",
		UserAgent:  "User agent",
		BeganOn:    "Began on",
		Scheme:     "Signed in by",
		Ends:       "Ends at the latest",
		Pages:      "Pages",
		UserTitle:  "Sessions of",
		NoSessions: "This user has no sessions.",
		Note:       "Last use is noted every few minutes, so it is approximate. A user who is signed out can sign in again.",
		Ending:     "Ended sessions",
		NoneEnded:  "None.",
		ByCause:    "Cause",
		AnyCause:   "Any",
		Since:      "Since (UTC)",
		Before:     "Before (UTC)",
		Network:    "Address or network",
		Began:      "Signed in since (UTC)",
		BeganBy:    "Signed in before (UTC)",
		Filter:     "Filter",
		NoneFound:  "No sessions match this filter.",
		GoesOn:     "There may be more on the next page.",
		EndThese:   "End all of these…",
		Sure:       "End these sessions?",
		ThatMany:   func(sessions, users int64) string { return count(sessions, "session") + " of " + count(users, "user") },
		MoreOf:     func(users int64) string { return "and " + number(users) + " more" },
		Stay:       "Your own session does not end, nor do those that begin from now on.",
		Asked:      "These are not all: there are too many for one page. You will be asked again for the others.",
		EndNow:     "End these sessions",
		Keep:       "Cancel",
		DoneThese: func(n int64) string {
			return count(n, "session") + map[bool]string{true: " has", false: " have"}[n == 1] + " been ended."
		},
		NoFilter:    "That filter can’t be read. A network is an address, or one such as 203.0.113.0/24.",
		By:          "Ended by",
		ThisSession: "Your session",
		Persistent:  "Stays signed in",
		Acting:      "by operator",
		Hidden:      "Has hidden characters",
		NoUser:      "Unreadable user",
		Undecodable: "The details of this session can’t be read.",
		Device:      "Device",
		Expires:     "Expires",
		ID:          "Session ID",
		Number:      number,
		SureAll:     "Sign this user out everywhere?",
		EndAll:      func(n int64) string { return count(n, "session") + " will end." },
		OwnToo:      "Your own session is one of them: you will be signed out, too.",
		DoneOne:     "Signed out:",
		DoneAll:     func(n int64) string { return "Signed out everywhere (" + count(n, "session") + "):" },
		NoHistory:   "The store does not remember what has ended: see History of RedisConfig.",
		NotFound:    "This user has no such session, or no longer.",
		NoPage:      "There is no such page. This is the first one.",
	}
}

// number writes n in groups of three digits.
func number(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func count(n int64, what string) string {
	if n != 1 {
		what += "s"
	}
	return number(n) + " " + what
}
