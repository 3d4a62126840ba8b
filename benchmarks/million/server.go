package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// supervise runs a server that ends when standard input does: with the tool,
// however that ends. See internal/redistest, which needs a test.
const supervise = `trap "" HUP
"$@" </dev/null >/dev/null 2>&1 &
echo $!
read _
kill -9 $!
wait $!`

// startRedis starts a redis-server on a free loopback port, without persistence
// and without a limit to its memory. stop ends it, and is never nil.
func startRedis(ctx context.Context) (addr string, stop func(), err error) {
	dir, err1 := os.MkdirTemp("", "million")
	stop = func() { os.RemoveAll(dir) }
	l, err2 := net.Listen("tcp", "127.0.0.1:0")
	if err := errors.Join(err1, err2); err != nil {
		return "", stop, err
	}
	l.Close()
	addr = l.Addr().String()
	cmd := exec.Command("/bin/sh", "-c", supervise, "sh",
		"redis-server", "--bind", "127.0.0.1", "--port", strconv.Itoa(l.Addr().(*net.TCPAddr).Port),
		"--save", "", "--appendonly", "no", "--dir", dir, "--logfile", "redis.log")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is for the tool
	stdin, err1 := cmd.StdinPipe()
	stdout, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		return "", stop, err
	}
	stop = func() {
		stdin.Close()
		cmd.Wait() // its error only says that the server was killed
		os.RemoveAll(dir)
	}
	pid := ""
	fmt.Fscan(stdout, &pid)
	c := newClient(addr, 1)
	defer c.Close()
	for range 250 { // 5 s
		info, err := c.InfoMap(ctx, "server").Result()
		if err == nil && info["Server"]["process_id"] == pid { // or somebody else took the port
			return addr, stop, nil
		}
		if ctx.Err() != nil {
			return "", stop, context.Cause(ctx)
		}
		time.Sleep(20 * time.Millisecond)
	}
	log, _ := os.ReadFile(filepath.Join(dir, "redis.log"))
	return "", stop, fmt.Errorf("redis-server on %s does not start: %s", addr, log)
}
