package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/ticketstore/ticketstore/internal/redistest"
)

// TestMain is the Go service if the tool under test has started it.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == serveCommand {
		main()
		return
	}
	os.Exit(m.Run())
}

var small = []string{"-sessions", "6", "-connections", "3", "-rounds", "2", "-duration", "200ms", "-warmup", "200ms"}

var lines = []string{
	"ASP.NET Core, `RedisCacheTicketStore.cs`, the usual class", "ASP.NET Core, `RedisTicketStore.cs`",
	"Go, `aspnetcore.Store`, the same sessions", "Go, `aspnetcore.Store`, sessions begun in Go", "Go, `RedisStore`", "Go, `RedisStore`, batched", "Go, `RedisStore`, cached",
}

func TestRun(t *testing.T) {
	if _, err := exec.LookPath("dotnet"); err != nil {
		t.Skip("skipped: no dotnet on the PATH")
	}
	redistest.Start(t) // skips without redis-server
	var out, progress bytes.Buffer
	if err := run(t.Context(), small, &out, &progress); err != nil {
		t.Fatalf("%v\n%s", err, &progress)
	}
	for _, line := range lines {
		figures := `[\d,]+ \([\d,]+–[\d,]+\) \| \d+\.\d\d \| \d+ \(\d+–\d+\) µs \| \d+\.\d\d \| [\d.]+ ms \| [\d.]+ ms \| \d+ µs \| \d+ MB \|`
		if !regexp.MustCompile(`(?m)^\| ` + regexp.QuoteMeta(line) + ` \| ` + figures + `$`).MatchString(out.String()) {
			t.Errorf("the table has no line %q with figures", line)
		}
	}
	if t.Failed() {
		t.Log(out.String())
	}
}

func TestRefused(t *testing.T) {
	s := redistest.Start(t)
	c := newClient(s.Addr)
	defer c.Close()
	c.MSet(t.Context(), "other", 1, instanceName+"key", 1)
	if _, err := exec.LookPath("dotnet"); err == nil {
		err := run(t.Context(), []string{"-redis", s.Addr}, &bytes.Buffer{}, &bytes.Buffer{})
		if err == nil || !strings.Contains(err.Error(), "that Redis has 2 keys") {
			t.Errorf("a Redis with keys: got %v; want that it is refused", err)
		}
	}
	(&bench{client: c}).clean()
	if got := c.Keys(t.Context(), "*").Val(); len(got) != 1 || got[0] != "other" {
		t.Errorf("clean leaves %q; want the other key alone", got)
	}

	t.Setenv("PATH", t.TempDir())
	if err := run(t.Context(), nil, &bytes.Buffer{}, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "no dotnet on the PATH") {
		t.Errorf("without dotnet: got %v", err)
	}
}

// TestProcess starts what ends by itself, what says nothing, and what is well.
func TestProcess(t *testing.T) {
	if p, err := startProcess(t.Context(), t.TempDir(), "ready", "sh", "-c", "echo broken"); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("got %v, %v; want what it has said", p, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if p, err := startProcess(ended, t.TempDir(), "ready", "sleep", "60"); err == nil {
		t.Errorf("got %v of an interrupted start", p)
	}
	p, err := startProcess(t.Context(), t.TempDir(), "ready ", "sh", "-c", "echo ready now; exec sleep 60")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.cpu(); err != nil || p.said != "now" {
		t.Errorf("got %q, CPU error %v", p.said, err)
	}
	p.stop()
	if _, err := p.cpu(); err == nil {
		t.Errorf("process %d is still there", p.pid)
	}
}

func TestCheckCommands(t *testing.T) {
	before := map[string]int{"hmget": 5, "evalsha": 1, "info": 1}
	for _, test := range []struct {
		least int
		after map[string]int
		want  string // part of the error; none if empty
	}{
		{10, map[string]int{"hmget": 15, "evalsha": 1, "info": 3, "ping": 1}, ""},
		{10, map[string]int{"hmget": 14, "evalsha": 1}, "cost 9 hmget"},
		{0, map[string]int{"hmget": 14, "evalsha": 1}, ""},
		{10, map[string]int{"hmget": 16, "evalsha": 1}, "cost 11 hmget"},
		{0, map[string]int{"hmget": 16, "evalsha": 1}, "cost 11 hmget"},
		{10, map[string]int{"hmget": 15, "evalsha": 2}, "cost 1 evalsha as well"},
		{10, map[string]int{"evalsha": 1}, "not seen one hmget"},
	} {
		err := checkCommands("hmget", test.least, 10, before, test.after)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("after %v: got %v; want %q", test.after, err, test.want)
		}
	}
}

func TestWrongFlags(t *testing.T) {
	for _, args := range []string{"more", "-sessions 0", "-sessions 501", "-connections 0", "-rounds 0", "-duration 0s", "-warmup 0s", "-unknown"} {
		if err := run(t.Context(), strings.Fields(args), &bytes.Buffer{}, &bytes.Buffer{}); err == nil {
			t.Errorf("%s: no error", args)
		}
	}
}
