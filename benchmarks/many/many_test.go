package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore/internal/redistest"
)

func TestMain(m *testing.M) {
	if addr := os.Getenv(probeEnv); addr != "" {
		ping(addr)
		return
	}
	os.Exit(redistest.Main(m))
}

var small = []string{"-sessions", "200", "-bytes", "2000"}

func TestRun(t *testing.T) {
	redistest.Start(t) // skips without redis-server
	var out, progress bytes.Buffer
	if err := run(t.Context(), small, &out, &progress); err != nil {
		t.Fatal(err)
	}
	table := out.String()
	for _, want := range []string{"| nothing | 10 |", "| `Sessions`, 200 | 5 |", "| `Store` refused at a cap of 200 | 25 |", "| `RevokeAll`, 200 of 2,000 bytes | 1 |"} {
		if strings.Count(table, want) != 1 {
			t.Errorf("got the table\n%s\nwant %q in it once", table, want)
		}
	}
	if got, want := strings.Count(table, " MB |"), 1+3*6+3*5; got != want {
		t.Errorf("got %d lines of figures, want %d", got, want)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(ended, small, &out, &progress); err == nil {
		t.Error("an interrupted run reports success")
	}
}

// The probe sees what holds Redis up.
func TestProbe(t *testing.T) {
	server := redistest.Start(t)
	p, err := startProbe(server.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	if _, err := p.longest(); err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(&redis.Options{Addr: server.Addr})
	defer c.Close()
	c.Ping(t.Context()) // connects
	start := time.Now()
	if err := c.Eval(t.Context(), "for _ = 1, 3e7 do end return 1", nil).Err(); err != nil {
		t.Fatal(err)
	}
	took := time.Since(start)
	if got, err := p.longest(); err != nil || got < took/2 {
		t.Errorf("got %v, %v, want some %v", got, err, took)
	}
}

func TestWrongFlags(t *testing.T) {
	for _, args := range []string{"more", "-sessions 199", "-sessions 10001", "-bytes 0", "-bytes 60001", "-unknown"} {
		if err := run(t.Context(), strings.Fields(args), &bytes.Buffer{}, &bytes.Buffer{}); err == nil {
			t.Errorf("%s: no error", args)
		}
	}
}
