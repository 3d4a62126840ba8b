package redistest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

// open returns a client that does not retry.
func open(t *testing.T, opt *redis.Options) *redis.Client {
	opt.MaxRetries, opt.DialerRetries = -1, 1
	c := redis.NewClient(opt)
	t.Cleanup(func() { c.Close() })
	return c
}

func setGet(t *testing.T, c redis.Cmdable) {
	t.Helper()
	check(t, c.Set(t.Context(), t.Name(), "v", 0).Err())
	if got, err := c.Get(t.Context(), t.Name()).Result(); err != nil || got != "v" {
		t.Fatalf("GET gives %q, %v; want v", got, err)
	}
}

func refused(addr string) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil
	}
	conn.Close()
	return errors.New("the server still listens")
}

func TestStart(t *testing.T) {
	t.Parallel()
	s := Start(t, "--maxmemory", "100mb", "--requirepass", "secret")
	opt := Options(s.Addr)
	opt.Password = "secret"
	c := open(t, opt)
	setGet(t, c)
	for name, want := range map[string]string{"maxmemory": "104857600", "dir": s.Dir, "save": "", "appendonly": "no"} {
		if got := c.ConfigGet(t.Context(), name).Val()[name]; got != want {
			t.Errorf("%s is %q; want %q", name, got, want)
		}
	}
}

func TestStartFails(t *testing.T) {
	t.Parallel()
	s := Start(t) // for its directory and command
	s.Stop()
	s.command = append(s.command, "--no-such-option", "1")
	begin := time.Now()
	if err := s.boot(true); err == nil || !strings.Contains(err.Error(), "no-such-option") {
		t.Errorf("starting gives %v; want the server's own words", err)
	}
	if d := time.Since(begin); d > Patience/2 {
		t.Errorf("waited %v for a server that had ended", d)
	}
}

func TestStopRestart(t *testing.T) {
	t.Parallel()
	s := Start(t, "--maxmemory", "100mb")
	addr, c := s.Addr, open(t, Options(s.Addr))
	setGet(t, c)
	s.Stop()
	s.Stop()
	s.Pause()
	check(t, refused(addr))

	l, err := net.Listen("tcp", addr) // in the way of the restart for a while
	check(t, err)
	time.AfterFunc(200*time.Millisecond, func() { l.Close() })
	s.Restart()
	if s.Addr != addr {
		t.Fatalf("restarted on %s; want %s", s.Addr, addr)
	}
	if err := c.Get(t.Context(), t.Name()).Err(); err != redis.Nil {
		t.Errorf("GET after a restart gives %v; want redis.Nil", err)
	}
	if got := c.ConfigGet(t.Context(), "maxmemory").Val()["maxmemory"]; got != "104857600" {
		t.Errorf("maxmemory after a restart is %q; want 104857600", got)
	}
}

func TestPause(t *testing.T) {
	t.Parallel()
	s := Start(t)
	c := open(t, Options(s.Addr))
	setGet(t, c)
	s.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err := c.Ping(ctx).Err()
	if nerr, ok := errors.AsType[net.Error](err); !ok || !nerr.Timeout() {
		t.Fatalf("PING to a paused server gives %v; want a timeout", err)
	}
	s.Resume()
	setGet(t, c)
	s.Pause()
	s.Stop()
	check(t, refused(s.Addr))
}

func TestShared(t *testing.T) {
	addr := ""
	t.Run("first", func(t *testing.T) { addr = Shared(t).Addr })
	t.Run("second", func(t *testing.T) {
		s := Shared(t)
		if s.Addr != addr {
			t.Errorf("a second shared server on %s, beside %s", s.Addr, addr)
		}
		setGet(t, open(t, Options(addr)))
	})
}

func TestCluster(t *testing.T) {
	t.Parallel()
	t.Run("own", func(t *testing.T) { t.Parallel(); testCluster(t, StartCluster(t, 3)) })
	t.Run("shared", func(t *testing.T) { t.Parallel(); testCluster(t, SharedCluster(t)) })
}

func testCluster(t *testing.T, addrs []string) {
	c := redis.NewClusterClient(ClusterOptions(addrs))
	defer c.Close()
	for i := range 100 {
		check(t, c.Set(t.Context(), fmt.Sprint("key", i), i, 0).Err())
	}
	total := int64(0)
	for _, addr := range addrs {
		n := open(t, Options(addr)).DBSize(t.Context()).Val()
		if n == 0 {
			t.Errorf("node %s has none of the keys", addr)
		}
		total += n
	}
	if total != 100 {
		t.Errorf("the nodes have %d keys; want 100", total)
	}
}

func TestSentinel(t *testing.T) {
	t.Parallel()
	sentinel, master := StartSentinel(t)
	c := redis.NewFailoverClient(&redis.FailoverOptions{MasterName: "mymaster", SentinelAddrs: []string{sentinel}, DialTimeout: Patience, ReadTimeout: Patience, WriteTimeout: Patience})
	defer c.Close()
	check(t, c.Ping(t.Context()).Err())
	check(t, c.Set(t.Context(), "k", "v", 0).Err())
	if got := open(t, Options(master.Addr)).Get(t.Context(), "k").Val(); got != "v" {
		t.Errorf("the master has %q; want v", got)
	}

	s := redis.NewSentinelClient(Options(sentinel))
	defer s.Close()
	check(t, s.Failover(t.Context(), "mymaster").Err())
	check(t, master.await(func(ctx context.Context) error {
		addr, err := s.GetMasterAddrByName(ctx, "mymaster").Result()
		if err == nil && net.JoinHostPort(addr[0], addr[1]) == master.Addr {
			err = errors.New("the master is the old one")
		}
		return err
	}))
}

// A replica that is detached takes over with what it has.
func TestFailover(t *testing.T) {
	for name, start := range map[string]func(*testing.T) (c redis.UniversalClient, master, replica *Server){
		"cluster": func(t *testing.T) (redis.UniversalClient, *Server, *Server) {
			masters, replicas := StartClusterWithReplicas(t, 3, 3)
			var addrs []string
			for _, s := range masters {
				addrs = append(addrs, s.Addr)
			}
			return redis.NewClusterClient(ClusterOptions(addrs)), masters[0], replicas[0]
		},
		"sentinel": func(t *testing.T) (redis.UniversalClient, *Server, *Server) {
			sentinels, master, replica := StartSentinels(t)
			return redis.NewFailoverClient(&redis.FailoverOptions{MasterName: "mymaster", SentinelAddrs: sentinels}), master, replica
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, master, replica := start(t)
			defer c.Close()
			direct := open(t, Options(replica.Addr))
			const key = "{b}" // in a slot of the first master's
			check(t, c.Set(t.Context(), key, "before", 0).Err())
			check(t, awaitReplica(master))
			replica.Detach()
			check(t, replica.await(func(ctx context.Context) error {
				if info := direct.Info(ctx, "replication").Val(); !strings.Contains(info, "master_link_status:down") {
					return errors.New(info)
				}
				return nil
			}))
			check(t, c.Set(t.Context(), key, "lost", 0).Err())
			master.Stop()
			check(t, replica.await(func(ctx context.Context) error {
				got, err := direct.Get(ctx, key).Result()
				if role := direct.Info(ctx, "replication").Val(); err == nil && (got != "before" || !strings.Contains(role, "role:master")) {
					err = fmt.Errorf("it has %q: %s", got, role)
				}
				return err
			}))
		})
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	s, conf := StartTLS(t)
	opt := Options(s.Addr)
	opt.TLSConfig = conf
	setGet(t, open(t, opt))
	if err := open(t, Options(s.Addr)).Ping(t.Context()).Err(); err == nil {
		t.Error("a client without TLS is answered")
	}
}

// TestKilled kills a test binary that has a paused server, the hardest one to be
// rid of, and expects the server to end as well. The binary is this one, which
// hangs where the variable says so.
func TestKilled(t *testing.T) {
	if os.Getenv("REDISTEST_HANG") != "" {
		s := Start(t)
		s.Pause()
		fmt.Println("addr", s.Addr)
		select {}
	}
	t.Parallel()
	own := Start(t)
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$")
	cmd.Env = append(os.Environ(), "REDISTEST_HANG=1", "TMPDIR="+t.TempDir())
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	addr := ""
	for r := bufio.NewScanner(out); addr == "" && r.Scan(); {
		addr, _ = strings.CutPrefix(r.Text(), "addr ")
	}
	started := refused(addr) != nil
	cmd.Process.Kill()
	cmd.Wait()
	if !started {
		t.Fatalf("the other binary has no server on %q", addr)
	}
	check(t, own.await(func(context.Context) error { return refused(addr) }))
	setGet(t, open(t, Options(own.Addr)))
}
