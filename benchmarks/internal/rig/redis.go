// Package rig is what the tools of this module have in common.
package rig

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// supervise runs a server that ends when standard input does: with the tool,
// however that ends. See internal/redistest, which needs a test.
const supervise = `trap "" HUP
"$@" </dev/null >/dev/null 2>&1 &
echo $!
read _
kill -9 $!
wait $!`

// StartRedis starts a redis-server on a free loopback port, without persistence
// and without a limit to its memory. stop ends it, and is never nil.
func StartRedis(ctx context.Context) (addr string, stop func(), err error) {
	dir, err1 := os.MkdirTemp("", "ticketstore-bench")
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
	c := redis.NewClient(&redis.Options{Addr: addr, PoolSize: 1, ContextTimeoutEnabled: true})
	defer c.Close()
	for range 3000 { // a minute
		if conn, err := net.Dial("tcp", addr); err == nil { // go-redis would log that it cannot
			conn.Close()
			info, err := c.InfoMap(ctx, "server").Result()
			if err == nil && info["Server"]["process_id"] == pid { // or somebody else took the port
				return addr, stop, nil
			}
		}
		if ctx.Err() != nil {
			return "", stop, context.Cause(ctx)
		}
		time.Sleep(20 * time.Millisecond)
	}
	log, _ := os.ReadFile(filepath.Join(dir, "redis.log"))
	return "", stop, fmt.Errorf("redis-server on %s does not start: %s", addr, log)
}

// RedisVersion returns the version of the server.
func RedisVersion(ctx context.Context, c *redis.Client) (string, error) {
	info, err := c.InfoMap(ctx, "server").Result()
	return info["Server"]["redis_version"], err
}

// RedisCPU returns the processor time that the server has used.
func RedisCPU(ctx context.Context, c *redis.Client) (used time.Duration, err error) {
	info, err := c.InfoMap(ctx, "cpu").Result()
	if err != nil {
		return 0, err
	}
	for _, field := range []string{"used_cpu_user", "used_cpu_sys"} {
		s, err := strconv.ParseFloat(info["CPU"][field], 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", field, err)
		}
		used += time.Duration(s * float64(time.Second))
	}
	return used, nil
}

// RedisCommands returns how often the server has run each command, those within
// scripts included.
func RedisCommands(ctx context.Context, c *redis.Client) (map[string]int, error) {
	info, err := c.InfoMap(ctx, "commandstats").Result()
	if err != nil {
		return nil, err
	}
	commands := map[string]int{}
	for command, text := range info["Commandstats"] {
		var n int
		if _, err := fmt.Sscanf(text, "calls=%d", &n); err != nil {
			return nil, fmt.Errorf("commandstats: %s is %q", command, text)
		}
		commands[strings.TrimPrefix(command, "cmdstat_")] = n
	}
	return commands, nil
}
