package ui

import (
	"fmt"
	"strings"

	"github.com/mileusna/useragent"
)

const (
	maxAgent = 512 // bytes
	maxName  = 32  // bytes
)

// An agent is what a User-Agent header says, in words that are fit to show.
type agent struct {
	name   string // of the browser or program; empty if unknown
	system string // empty if unknown
	kind   string // as in Row
}

// parseAgent makes nothing of what it does not know: name and system are
// well-known, or name is one plain token.
func parseAgent(header string) agent {
	if header == "" {
		return agent{kind: "unknown"}
	}
	if len(header) > maxAgent {
		header = header[:maxAgent]
	}
	ua := useragent.Parse(header)
	a := agent{name: name(header, ua.Name), system: ua.OS}
	if ua.OS == useragent.IOS && ua.Device != "" {
		a.system = ua.Device // iPhone or iPad: what people call it
	}
	browser := strings.HasPrefix(header, "Mozilla/") || strings.HasPrefix(header, "Opera/")
	for _, bsd := range []string{"FreeBSD", "OpenBSD", "NetBSD"} {
		if browser && strings.Contains(header, "; "+bsd+" ") {
			a.system, ua.Desktop = bsd, true
		}
	}
	switch {
	case ua.Bot:
		a.kind = "program"
	// Browsers on Android say Mobile on phones only.
	case ua.Tablet, browser && ua.OS == useragent.Android && !strings.Contains(header, "Mobile"):
		a.kind = "tablet"
	case ua.Mobile:
		a.kind = "phone"
	case !browser:
		a.kind = "program"
	case ua.Desktop:
		a.kind = "computer"
	default:
		a.kind = "unknown"
	}
	return a
}

// name returns parsed, the name that the library found in header, as it may be
// shown. A name that is not well-known is one token without spaces, or a
// client could call itself "This device".
func name(header, parsed string) string {
	if strings.Contains(header, " Silk/") {
		return "Amazon Silk"
	}
	switch parsed {
	case "Trident":
		return useragent.InternetExplorer
	case "YaBrowser":
		return "Yandex Browser"
	case useragent.SamsungBrowser:
		return "Samsung Internet"
	case useragent.InternetExplorer, useragent.OperaMini, useragent.OperaTouch, useragent.HeadlessChrome,
		useragent.GoogleAdsBot, useragent.FacebookApp, useragent.InstagramApp, useragent.TiktokApp,
		"Android browser", "Huawei Browser", "Miui Browser":
		return parsed
	case useragent.Mozilla:
		return ""
	}
	if parsed == "" || len(parsed) > maxName || !letter(rune(parsed[0])) ||
		strings.ContainsFunc(parsed, func(r rune) bool {
			return !letter(r) && (r < '0' || r > '9') && !strings.ContainsRune("._-+", r)
		}) {
		return ""
	}
	return parsed
}

func letter(r rune) bool { return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' }

// Name says in English what a User-Agent header says.
func Name(header string) string {
	w := english()
	return parseAgent(header).words(&w)
}

// words says a in t's words.
func (a agent) words(t *Words) string {
	s := a.name
	switch {
	case s != "":
	case a.kind == "program":
		s = t.UnknownProgram
	case a.kind == "unknown" && a.system == "":
		return t.UnknownDevice
	default:
		s = t.UnknownBrowser
	}
	if a.system == "" {
		return s
	}
	return fmt.Sprintf(t.On, s, a.system)
}
