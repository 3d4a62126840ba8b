package ui

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/ticketstore/ticketstore/internal/ui/uitest"
)

var agents = []struct{ header, words, kind string }{
	{uitest.Firefox, "Firefox on Linux", "computer"},
	{uitest.IPhone, "Safari on iPhone", "phone"},
	{"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36", "Chrome on Windows", "computer"},
	{"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0", "Edge on Windows", "computer"},
	{"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36 OPR/122.0.0.0", "Opera on Windows", "computer"},
	{"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/136.0.0.0 YaBrowser/25.6.0.0 Safari/537.36", "Yandex Browser on Windows", "computer"},
	{"Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko", "Internet Explorer on Windows", "computer"},
	{"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15", "Safari on macOS", "computer"},
	{"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36", "Chrome on ChromeOS", "computer"},
	{"Mozilla/5.0 (X11; FreeBSD amd64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on FreeBSD", "computer"},
	{"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/138.0.7204.156 Mobile/15E148 Safari/604.1", "Chrome on iPhone", "phone"},
	{"Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.6 Mobile/15E148 Safari/604.1", "Safari on iPad", "tablet"},
	{"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36", "Chrome on Android", "phone"},
	{"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36", "Chrome on Android", "tablet"},
	{"Mozilla/5.0 (Android 14; Tablet; rv:140.0) Gecko/140.0 Firefox/140.0", "Firefox on Android", "tablet"},
	{"Mozilla/5.0 (Android 15; Mobile; rv:143.0) Gecko/143.0 Firefox/143.0", "Firefox on Android", "phone"},
	{"Mozilla/5.0 (Linux; Android 14; SAMSUNG SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile Safari/537.36", "Samsung Internet on Android", "phone"},
	{"Mozilla/5.0 (Linux; Android 11; KFTRWI) AppleWebKit/537.36 (KHTML, like Gecko) Silk/118.3.6 like Chrome/118.0.5993.155 Safari/537.36", "Amazon Silk on Android", "tablet"},
	{"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "Googlebot", "program"},
	{"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/140.0.0.0 Safari/537.36", "Headless Chrome on Linux", "program"},
	{"MyApp/3.2 (iPhone; iOS 18.1; Scale/3.00)", "MyApp on iPhone", "phone"},
	{"curl/8.9.1", "curl", "program"},
	{"Go-http-client/2.0", "Go-http-client", "program"},
	{"python-requests/2.32.3", "python-requests", "program"},
	{"This device/1.0", "Unknown program", "program"},
	{"<script>alert(1)</script>/1.0", "Unknown program", "program"},
	{"Mozilla/5.0", "Unknown device", "unknown"},
	{"Mozilla/5.0 (X11; Linux x86_64) <b>/1", "Unknown browser on Linux", "computer"},
	{"", "Unknown device", "unknown"},
}

func TestAgent(t *testing.T) {
	text := english()
	for _, test := range agents {
		a := parseAgent(test.header)
		if got := a.words(&text); got != test.words || a.kind != test.kind {
			t.Errorf("%s: got %q, %s, want %q, %s", test.header, got, a.kind, test.words, test.kind)
		}
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"":                           "",
		" Lisbon,\n\tPortugal ":      "Lisbon, Portugal",
		"\u202eevil\u2069":           "evil",
		"a\x00\x1b[31mb":             "a[31mb",
		"\xffx\ufffd":                "x",
		"می\u200cخواهم":              "می\u200cخواهم",
		"\u200d\u0301a":              "a",
		"e\u0301\u0301\u0301\u0301x": "e\u0301\u0301\u0301x",
		strings.Repeat("é", 64):      strings.Repeat("é", 64),
		strings.Repeat("é", 65):      strings.Repeat("é", 64) + "…",
		strings.Repeat("a ", 40):     strings.Repeat("a ", 32)[:63] + "…",
	} {
		if got := Clean(in, maxPlace); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// Whatever a client says it is, it is said in a few plain words.
func FuzzWords(f *testing.F) {
	for _, test := range agents {
		f.Add(test.header)
	}
	for _, s := range uitest.Hostile {
		f.Add(s)
	}
	text := english()
	f.Fuzz(func(t *testing.T, s string) {
		a := parseAgent(s)
		checkShown(t, a.words(&text))
		switch a.kind {
		case "computer", "phone", "tablet", "program", "unknown":
		default:
			t.Errorf("got kind %q", a.kind)
		}
		place := Clean(s, maxPlace)
		checkShown(t, place+"x")
		if Clean(place, maxPlace) != place && !strings.HasSuffix(place, "…") {
			t.Errorf("cleaned twice: got %q, want %q", Clean(place, maxPlace), place)
		}
	})
}

func checkShown(t *testing.T, s string) {
	t.Helper()
	if s == "" || !utf8.ValidString(s) || utf8.RuneCountInString(s) > maxPlace+2 {
		t.Errorf("got %q", s)
	}
	for _, r := range s {
		if !unicode.IsGraphic(r) && r != '\u200c' && r != '\u200d' {
			t.Errorf("got %U in %q", r, s)
		}
	}
}
