package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/redistest"
	"github.com/ticketstore/ticketstore/internal/ui/uitest"
)

// Whatever clients and users call themselves, a terminal gets text.
func TestHostileNames(t *testing.T) {
	s := onMini(t, remembered)
	subjects := []string{"alice\u202eecila", "\u2066bob\u2069", "  carol", `"dave"`, "-", "e\u2028f", "\U000e0001tag", "zo\u00eb", `DOMAIN\user`}
	for i, agent := range append(uitest.Hostile, "\x1b]0;title\a", "\u009b2J/1.0", "x\x7f/1") {
		s.signIn(t, subjects[i%len(subjects)], strings.ToValidUTF8(agent[:min(len(agent), 512)], ""), time.Duration(i)*time.Minute)
	}
	by := "o\x1b[2Jlga\u202e"
	status, stdout, stderr := s.run(console{}, "-by", by, "-history", remembered.String(), "-yes", "revoke", subjects[0])
	if status != 0 {
		t.Fatalf("got status %d: %s%s", status, stdout, stderr)
	}
	commands := [][]string{{"users"}, {"top"}, {"check"}, {"nothing\x1b[2J"}, {"-\x1b[2J"}, {"revoke", "-dry-run", subjects[1]}, {"-prefix", "{\x1b\u009b", "count"}}
	for _, subject := range subjects {
		for _, command := range []string{"sessions", "history", "export", "revoke", "forget"} {
			commands = append(commands, []string{"--", command, subject})
		}
	}
	for _, command := range commands {
		for _, flags := range [][]string{nil, {"-json"}} {
			_, stdout, stderr := s.run(console{terminal: true}, append(flags, command...)...)
			for _, r := range stdout + stderr {
				if r != '\n' && !unicode.IsPrint(r) {
					t.Errorf("%q writes %U to a terminal: %.200q", command, r, stdout+stderr)
					break
				}
			}
		}
	}
	for _, subject := range subjects[1:] { // they are escaped and not lost
		status, stdout, _ := s.run(console{}, "-json", "--", "sessions", subject)
		var got []ticketstore.Session
		if err := json.Unmarshal([]byte(stdout), &got); status != 0 || err != nil || got[0].Subject != subject {
			t.Errorf("%q: got %s, %v", subject, stdout, err)
		}
	}
}

func TestCell(t *testing.T) {
	for _, test := range []struct{ s, want string }{
		{"alice", "alice"}, {"", "-"}, {"-", `"-"`}, {"zoë", "zoë"}, {`DOMAIN\user`, `DOMAIN\user`}, {`"a"`, `"\"a\""`},
		{" a", `" a"`}, {"a b", "a b"}, {"a\tb", `"a\tb"`}, {"a\x1b[2J", `"a\x1b[2J"`}, {"a\u202eb", `"a\u202eb"`}, {"\xff", `"\xff"`}, {"\u009b", `"\u009b"`},
	} {
		if got := cell(test.s); got != test.want {
			t.Errorf("%q: got %s, want %s", test.s, got, test.want)
		}
	}
}

// No message has the password, wherever it stood.
func TestPasswordInNoMessage(t *testing.T) {
	server := redistest.StartMini(t)
	server.RequireUserAuth("operator", "right")
	for _, test := range []struct {
		url    string
		status int
	}{
		{"redis://operator:hunter2@" + server.Addr(), statusFailed},
		{"redis://:hunter2@127.0.0.1:1", statusFailed},
		{"rediss://:hunter2@" + server.Addr(), statusFailed},
		{"redis://:hunter2@127.0.0.1:port", statusUsage},
		{"redis://:hunter2/3@127.0.0.1", statusUsage},
		{"redis://127.0.0.1/hunter2", statusUsage},
		{"redis://127.0.0.1?password=hunter2", statusUsage},
		{"http://:hunter2@127.0.0.1", statusUsage},
		{"hunter2", statusUsage},
		{":hunter2@127.0.0.1:6379", statusUsage},
		{"redis://127.0.0.1:1?master_name=x&password=hunter2", statusFailed},
	} {
		for name, c := range map[string]struct {
			console
			args []string
		}{
			"variable": {console{env: map[string]string{"REDIS_URL": test.url}}, []string{"count"}},
			"flag":     {console{}, []string{"-redis", test.url, "count"}},
			"cluster":  {console{}, []string{"-cluster", "-redis", test.url, "count"}},
			"revoke":   {console{}, []string{"-redis", test.url, "revoke", "alice"}},
			"check":    {console{}, []string{"-redis", test.url, "check", "-json"}},
			"command":  {console{}, []string{test.url}},
			"argument": {console{}, []string{"count", test.url}},
		} {
			s := &site{ctx: t.Context()}
			p := newBuffer()
			run := &program{strings.NewReader(""), p, p, func(name string) string { return c.env[name] }, func(any) bool { return false }}
			status := run.run(s.ctx, append([]string{"-timeout", "30s"}, c.args...))
			want := test.status
			if name == "command" || name == "argument" {
				want = statusUsage
			}
			if status != want && name != "cluster" {
				t.Errorf("%s as %s: got status %d, want %d: %s", test.url, name, status, want, p)
			}
			if said := p.String(); said == "" || strings.Contains(said, "hunter2") {
				t.Errorf("%s as %s: it says %q", test.url, name, said)
			}
		}
	}
}
