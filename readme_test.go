package ticketstore

import (
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// All Go code in the README is in readme_code_test.go, so that it compiles.
func TestREADMECode(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile("readme_code_test.go")
	if err != nil {
		t.Fatal(err)
	}
	indented := regexp.MustCompile(`(?m)^\t+`)
	flat := indented.ReplaceAllString(string(code), "")
	blocks := strings.Split(string(readme), "```go")[1:]
	for _, block := range blocks {
		block, _, _ := strings.Cut(block, "```")
		if !strings.Contains(flat, indented.ReplaceAllString(block, "")) {
			t.Errorf("readme_code_test.go does not have this code:\n%s", block)
		}
	}
	if len(blocks) < 2 {
		t.Errorf("found %d blocks of code: this test looks at too little", len(blocks))
	}
}

// What the README says of sibling hosts, whose requests carry the cookie.
func TestREADMESiblings(t *testing.T) {
	s := newSite(t, miniBackend(t), Config{})
	c := s.login(t, "alice")
	protected := http.NewCrossOriginProtection().Handler(s.handler)
	sibling := func(method string, header ...string) *httptest.ResponseRecorder {
		r := s.request(t, method, "https://shop.example.com/", c)
		r.Header.Set("Origin", "https://blog.example.com")
		r.Header.Set("Sec-Fetch-Site", "same-site")
		for pair := range slices.Chunk(header, 2) {
			r.Header.Set(pair[0], pair[1])
		}
		w := httptest.NewRecorder()
		protected.ServeHTTP(w, r)
		return w
	}
	if w := sibling("POST"); w.Code != http.StatusForbidden {
		t.Errorf("a POST: got %d, want 403", w.Code)
	}
	// RFC 6455, section 4.1: a WebSocket is opened by a GET.
	w := sibling("GET", "Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	if w.Code != http.StatusOK || w.Body.String() != "alice" {
		t.Errorf("a WebSocket: got %d, %q; if it is refused now, say so in the README", w.Code, w.Body)
	}
}

// The clocks in docs/tour.md have the defaults of Config.
func TestClocksInDocs(t *testing.T) {
	readme, err := os.ReadFile("docs/tour.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for line := range strings.Lines(string(readme)) {
		if cells := strings.Split(line, "|"); len(cells) == 5 {
			rows[strings.Trim(cells[1], " `")] = strings.TrimSpace(cells[3])
		}
	}
	c := Config{CookieKeys: testKeys}.withDefaults()
	words := map[time.Duration]string{
		2 * time.Second: "2 seconds", 10 * time.Second: "10 seconds", 5 * time.Minute: "5 minutes", 30 * time.Minute: "30 minutes",
		12 * time.Hour: "12 hours", 14 * 24 * time.Hour: "14 days", 30 * 24 * time.Hour: "30 days",
	}
	for name, d := range map[string]time.Duration{
		"IdleTimeout": c.IdleTimeout, "Lifetime": c.Lifetime, "PersistentIdleTimeout": c.PersistentIdleTimeout,
		"PersistentLifetime": c.PersistentLifetime, "RenewAfter": c.RenewAfter, "RotateGrace": c.RotateGrace, "StoreTimeout": c.StoreTimeout,
	} {
		if words[d] == "" || rows[name] != words[d] {
			t.Errorf("%s: docs/tour.md says %q, the default is %v", name, rows[name], d)
		}
	}
}
