package main

import (
	"encoding/pem"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"crypto/tls"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore/internal/redistest"
)

func TestUsage(t *testing.T) {
	s := onMini(t, 0)
	for _, args := range []string{"", "counts", "count alice", "sessions", "sessions alice bob", "revoke", "revoke a b c", "-unknown", "-timeout 0s count", "-timeout x count",
		"completion", "completion tcsh", "-prefix {} count", "-history 1s count", "-tls-ca x count", "-redis localhost count", "-replicas -1 count"} {
		status, stdout, stderr := s.run(console{}, strings.Fields(args)...)
		want := statusUsage
		if strings.HasPrefix(args, "-tls-ca") {
			want = statusFailed // there is no such file
		}
		if status != want || stdout != "" || !strings.HasPrefix(stderr, "ticketstore: ") {
			t.Errorf("%q: got status %d, want %d: %s%s", args, status, want, stdout, stderr)
		}
	}
	for _, args := range []string{"help", "-h", "count -help"} {
		status, stdout, stderr := s.run(console{}, strings.Fields(args)...)
		for _, c := range commands() {
			if !strings.Contains(stdout, "  "+c.name+" ") {
				t.Errorf("%s does not name %s: %s", args, c.name, stdout)
			}
		}
		if status != 0 || stderr != "" {
			t.Errorf("%s: got status %d and %q", args, status, stderr)
		}
	}
}

// Flags may stand anywhere, and a name that looks like one comes after --.
func TestFlagsAnywhere(t *testing.T) {
	o, args, err := parse([]string{"-prefix", "x-", "revoke", "-yes", "--", "-alice", "-json"}, func(string) string { return "redis://127.0.0.1" })
	if err != nil || o.prefix != "x-" || !o.yes || o.json || o.redis != "redis://127.0.0.1" || strings.Join(args, " ") != "revoke -alice -json" || o.by == "" {
		t.Errorf("got %+v, %q, %v", o, args, err)
	}
}

func TestUnreachable(t *testing.T) {
	s := onMini(t, 0)
	s.mini.Close()
	for _, c := range commands() {
		if c.name == "completion" {
			continue
		}
		args := []string{c.name, "alice"}[:1+c.least]
		if _, stderr := s.want(t, statusFailed, args...); !strings.Contains(stderr, "refused") {
			t.Errorf("%s: got %q", c.name, stderr)
		}
	}
}

func TestTLS(t *testing.T) {
	server, config := redistest.StartTLS(t)
	conn, err := tls.Dial("tcp", server.Addr, config)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: conn.ConnectionState().PeerCertificates[0].Raw})
	if err := os.WriteFile(file, cert, 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(want int, args ...string) {
		t.Helper()
		s := &site{url: "rediss://" + server.Addr, ctx: t.Context()}
		if status, stdout, stderr := s.run(console{}, args...); status != want {
			t.Errorf("%q: got status %d, want %d: %s%s", args, status, want, stdout, stderr)
		}
	}
	run(0, "count", "-tls-ca", file)
	run(statusFailed, "count")
	run(statusUsage, "count", "-tls-ca", file, "-redis", "redis://"+server.Addr)
}

func TestSentinel(t *testing.T) {
	sentinel, master := redistest.StartSentinel(t)
	s := newSite(t, site{
		url: "redis://" + sentinel + "?master_name=" + url.QueryEscape("mymaster"), ctx: t.Context(),
		client: redis.NewClient(redistest.Options(master.Addr)),
	}, 0)
	s.signIn(t, "alice", firefox, time.Hour)
	s.want(t, 0, "revoke", "alice")
	if n := s.left(t); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}

func TestIsTerminal(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for name, v := range map[string]any{"a pipe": r, "the null device": null, "a buffer": newBuffer()} {
		if isTerminal(v) {
			t.Errorf("%s is taken for a terminal", name)
		}
	}
	if tty, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0); err == nil { // a new one, on Unix
		defer tty.Close()
		if !isTerminal(tty) {
			t.Error("a terminal is not taken for one")
		}
	}
}
