package rig

import (
	"net"
	"os/exec"
	"runtime"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore/internal/redistest"
)

func TestStartRedis(t *testing.T) {
	redistest.Start(t) // skips without redis-server
	addr, stop, err := StartRedis(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	c := redis.NewClient(redistest.Options(addr))
	defer c.Close()
	version, err := RedisVersion(t.Context(), c)
	if err != nil || version == "" {
		t.Errorf("got version %q, %v", version, err)
	}
	before, err := RedisCPU(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	const n = 2000
	for range n {
		c.Eval(t.Context(), "redis.call('ECHO', 'x')", nil)
	}
	used, err := RedisCPU(t.Context(), c)
	if err != nil || used <= before {
		t.Errorf("%d scripts: got %v after %v of CPU, %v", n, used, before, err)
	}
	commands, err := RedisCommands(t.Context(), c)
	if err != nil || commands["eval"] != n || commands["echo"] != n {
		t.Errorf("%d scripts with one command: got %v, %v", n, commands, err)
	}
	stop()
	if c, err := net.Dial("tcp", addr); err == nil {
		c.Close()
		t.Errorf("the server on %s is still there", addr)
	}
}

func TestCPU(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("skipped: there is no /proc")
	}
	self := SelfCPU()
	busy, all := CPU()
	if err := exec.CommandContext(t.Context(), "sh", "-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done").Run(); err != nil {
		t.Fatal(err)
	}
	for x := 0; SelfCPU() == self; x++ {
	}
	if b, a := CPU(); b <= busy || a <= all || b > a {
		t.Errorf("got %v of %v, after %v of %v", b, a, busy, all)
	}
	if got := Proc("no such file", "x"); got != "unknown" {
		t.Errorf("got %q", got)
	}
}

func TestFigures(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := Group(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
	if got := Group(1999.6); got != "2,000" {
		t.Errorf("got %s", got)
	}
	if odd, even := Middle([]int{3, 1, 2}), Middle([]int{4, 1, 3, 2}); odd != 2 || even != 2 {
		t.Errorf("got %d and %d, want 2", odd, even)
	}
}
