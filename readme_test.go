package ticketstore

import (
	"os"
	"strings"
	"testing"
	"time"
)

// The program in the README is the one that CI builds.
func TestREADMEProgram(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("examples/minimal/main.go")
	if err != nil {
		t.Fatal(err)
	}
	_, code, _ := strings.Cut(string(program), "\n") // its package comment
	if !strings.Contains(string(readme), "```go\n"+code+"```\n") {
		t.Error("README.md does not have examples/minimal/main.go as it is")
	}
}

// The clocks in the README have the defaults of Config.
func TestREADMEClocks(t *testing.T) {
	readme, err := os.ReadFile("README.md")
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
			t.Errorf("%s: the README says %q, the default is %v", name, rows[name], d)
		}
	}
}
