// Package redistest starts real Redis servers for tests: a single server, a
// cluster, a master under a sentinel, a server that speaks TLS. They listen on
// the loopback interface only and end with the test, however the test ends.
package redistest

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// supervise is the shell script that every server runs under. Its standard
// input is a pipe that only the test process holds open, so that "read" returns
// when the test process is gone, even by SIGKILL. Its standard output carries
// the server's pid, then stays open in the server (as 3) alone: the end of the
// output is the end of the server. Standard error is the log. The kernel sends
// SIGHUP when the test process goes while the server is paused, as that orphans
// a process group with a stopped member: the shell must survive it.
const supervise = `trap "" HUP
exec "$@" </dev/null 3>&1 >&2 &
echo $!
exec >&-
read _
kill -9 $!
wait $!`

// shared holds what all tests of the binary have in common.
var shared struct {
	sync.Mutex
	main    bool
	server  *Server
	cluster []string
	cleanup []func()
}

// Server is a running redis-server.
type Server struct {
	Addr string // 127.0.0.1:port
	Dir  string // its own temporary directory, in which it runs

	tb      testing.TB
	tls     *tls.Config
	command []string

	mu    sync.Mutex
	cmd   *exec.Cmd // the shell; nil when stopped
	stdin io.Closer
	pid   int // of redis-server itself
	gone  chan struct{}
}

// Start starts a redis-server on a free loopback port with the extra command
// line arguments (such as "--maxmemory", "100mb") and stops it at the end of
// the test.
func Start(tb testing.TB, args ...string) *Server {
	tb.Helper()
	return start(tb, tb.Cleanup, nil, args...)
}

// start starts a server that cleanup is told how to stop: redis-server, or what
// the environment variable REDIS_SERVER names, such as a valkey-server. Without
// redis-server it skips the test, but fails it under CI=true, where a missing
// part must not look green.
func start(tb testing.TB, cleanup func(func()), conf *tls.Config, args ...string) *Server {
	tb.Helper()
	name := cmp.Or(os.Getenv("REDIS_SERVER"), "redis-server")
	exe, err := exec.LookPath(name)
	if err != nil && (os.Getenv("CI") == "true" || name != "redis-server") {
		tb.Fatalf("%s is not there: %v", name, err)
	} else if err != nil {
		tb.Skip("redis-server is not on the PATH")
	}
	dir, err := os.MkdirTemp("", "redistest")
	check(tb, err)
	s := &Server{Dir: dir, tb: tb, tls: conf, command: append([]string{exe, "redis.conf"}, args...)}
	cleanup(func() {
		s.Stop()
		os.RemoveAll(dir)
	})
	check(tb, s.boot(true))
	return s
}

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// Shared returns one server for the whole test binary, started at first use.
// Tests use different key prefixes on it and leave it running. TestMain must
// have called Main.
func Shared(tb testing.TB) *Server {
	tb.Helper()
	defer lockShared(tb)()
	if shared.server == nil {
		shared.server = start(tb, cleanupShared, nil)
	}
	return shared.server
}

func lockShared(tb testing.TB) (unlock func()) {
	tb.Helper()
	shared.Lock()
	if !shared.main {
		shared.Unlock()
		tb.Fatal("a shared server needs TestMain to call redistest.Main")
	}
	return shared.Unlock
}

func cleanupShared(f func()) { shared.cleanup = append(shared.cleanup, f) }

// Main runs the tests, stops the shared servers and returns the exit code:
//
//	func TestMain(m *testing.M) { os.Exit(redistest.Main(m)) }
//
// It silences go-redis, whose lines about the outages that tests make would
// hide all else, and has more tests run in parallel than there are processors,
// as they mostly wait for servers: -parallel still says how many.
func Main(m *testing.M) int {
	if !flag.Parsed() {
		flag.Set("test.parallel", "16")
	}
	redis.SetLogger(silent{})
	shared.main = true
	code := m.Run()
	for _, f := range shared.cleanup {
		f()
	}
	return code
}

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// boot runs the server, on a new port or on the one it had. Somebody else may
// take the port before the server binds it, an outgoing connection may hold it
// for a moment: hence several tries.
func (s *Server) boot(newPort bool) error {
	for end := time.Now().Add(Patience); ; time.Sleep(20 * time.Millisecond) {
		if newPort {
			if err := s.configure(); err != nil {
				return err
			}
		}
		err := s.run()
		if err == nil || time.Now().After(end) || !strings.Contains(err.Error(), "Address already in use") {
			return err
		}
	}
}

// configure chooses a port and writes redis.conf; the arguments override it.
func (s *Server) configure() error {
	port, err := freePort()
	if err != nil {
		return err
	}
	s.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	conf := "bind 127.0.0.1\nsave \"\"\nappendonly no\nloglevel warning\n"
	if s.tls != nil {
		conf += "port 0\ntls-"
	}
	conf += fmt.Sprintf("port %d\n", port)
	return os.WriteFile(filepath.Join(s.Dir, "redis.conf"), []byte(conf), 0o600)
}

// freePort finds a port that is free and has its cluster bus port, which Redis
// puts 10000 above it, free as well.
func freePort() (int, error) {
	for range 200 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		port := l.Addr().(*net.TCPAddr).Port
		bus, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port+10000)))
		l.Close()
		if err == nil {
			bus.Close()
			return port, nil
		}
	}
	return 0, errors.New("no port found that is free together with the one 10000 above it")
}

// run starts the process and waits until it answers; an error includes the log.
func (s *Server) run() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	log, err := os.Create(filepath.Join(s.Dir, "redis.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command("/bin/sh", append([]string{"-c", supervise, "sh"}, s.command...)...)
	cmd.Dir = s.Dir
	cmd.Stderr = log
	// A Ctrl-C must not end the shell before it has ended the server.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err1 := cmd.StdinPipe()
	stdout, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd, s.stdin, s.gone, s.pid = cmd, stdin, make(chan struct{}), 0
	r := bufio.NewReader(stdout)
	_, err = fmt.Fscanln(r, &s.pid)
	go func(gone chan struct{}) {
		io.Copy(io.Discard, r)
		close(gone)
	}(s.gone)
	if err == nil {
		err = s.ready()
	}
	if err != nil {
		s.stop()
		out, _ := os.ReadFile(log.Name())
		return fmt.Errorf("redis-server on %s: %w\n%s", s.Addr, err, out)
	}
	return nil
}

// ready waits until the server answers. It compares the process id, as a server
// of another test binary may have taken the port and answers a PING as well.
func (s *Server) ready() error {
	c := s.client()
	defer c.Close()
	return s.await(func(ctx context.Context) error {
		// A failed dial of the client would write to the standard error.
		conn, err := net.DialTimeout("tcp", s.Addr, Patience)
		if err != nil {
			return err
		}
		conn.Close()
		info, err := c.Info(ctx, "server").Result()
		if err == nil && !strings.Contains(info, fmt.Sprintf("process_id:%d\r\n", s.pid)) {
			err = errors.New("another server has the port")
		}
		return err
	})
}

// client returns a client that does not retry.
func (s *Server) client() *redis.Client {
	opt := Options(s.Addr)
	opt.TLSConfig, opt.Protocol, opt.DisableIdentity = s.tls, 2, true
	opt.MaxRetries, opt.DialerRetries = -1, 1
	if i := slices.Index(s.command, "--requirepass"); i >= 0 && i+1 < len(s.command) {
		opt.Password = s.command[i+1]
	}
	return redis.NewClient(opt)
}

// await calls f until it returns nil, the server has ended or Patience has,
// and then returns the last error of f.
func (s *Server) await(f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	for {
		err := f(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-s.gone:
			return fmt.Errorf("ended early: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("not ready after %v: %w", Patience, err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// Stop ends the process, paused or not, and waits until it has ended. It does
// nothing when the server is stopped.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stop()
}

func (s *Server) stop() {
	if s.cmd == nil {
		return
	}
	if s.pid != 0 { // unless the shell failed
		syscall.Kill(s.pid, syscall.SIGKILL)
	}
	s.stdin.Close()
	<-s.gone
	s.cmd.Wait() // its error only says that the server was killed
	s.cmd = nil
}

// Restart stops the server where it runs and starts it again on the same port
// with the same arguments. Call it from the test's own goroutine, as it ends
// the test on failure.
func (s *Server) Restart() {
	s.tb.Helper()
	s.Stop()
	check(s.tb, s.boot(false))
}

// Pause makes the server hang: the kernel accepts connections for it, but
// nothing is answered.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd != nil {
		// The shell has not waited for the server yet, so the pid is still its own.
		syscall.Kill(s.pid, sig)
	}
}
