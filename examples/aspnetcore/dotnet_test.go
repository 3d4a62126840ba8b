package aspnetcore_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore/internal/redistest"
)

const (
	buildPatience = 5 * redistest.Patience
	startPatience = redistest.Patience
	stopPatience  = redistest.Patience
)

// builds are the programs, each built when first needed, once per test
// process, into one directory.
var builds struct {
	mu   sync.Mutex
	dir  string
	once map[string]func() (string, error)
}

func TestMain(m *testing.M) {
	code := redistest.Main(m)
	if builds.dir != "" {
		os.RemoveAll(builds.dir)
	}
	os.Exit(code)
}

// dotnetSlots bounds how many .NET processes there are at once: each has some
// 80 MB. A test holds one at most, and one test two.
var dotnetSlots = make(chan struct{}, 4)

// dotnet returns the path of the dotnet on the PATH, or skips the test.
func dotnet(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("dotnet")
	if err != nil {
		t.Skip("skipped: no dotnet on the PATH")
	}
	return path
}

// built returns the path of what build makes in a directory under name.
func built(t testing.TB, name string, build func(dir string) (string, *exec.Cmd)) string {
	t.Helper()
	builds.mu.Lock()
	if builds.once == nil {
		dir, err := os.MkdirTemp("", "aspnetcore-live")
		if err != nil {
			builds.mu.Unlock()
			t.Fatal(err)
		}
		builds.dir, builds.once = dir, map[string]func() (string, error){}
	}
	once := builds.once[name]
	if once == nil {
		dir := builds.dir
		once = sync.OnceValues(func() (string, error) {
			path, cmd := build(dir)
			cmd.WaitDelay = stopPatience
			timer := time.AfterFunc(buildPatience, func() { cmd.Process.Kill() })
			defer timer.Stop()
			if out, err := cmd.CombinedOutput(); err != nil {
				return "", fmt.Errorf("%v: %w\n%s", cmd.Args, err, out)
			}
			return path, nil
		})
		builds.once[name] = once
	}
	builds.mu.Unlock()
	path, err := once()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// published returns the path of the assembly of an application that lies in
// the directory name beside this file.
func published(t testing.TB, name string) string {
	t.Helper()
	exe := dotnet(t)
	return built(t, name, func(dir string) (string, *exec.Cmd) {
		out := filepath.Join(dir, name)
		cmd := exec.Command(exe, "publish", name, "-c", "Release", "-o", out,
			"--artifacts-path", filepath.Join(dir, "artifacts"), "-v", "q", "-nologo", "-nodeReuse:false")
		cmd.Env = dotnetEnv()
		return filepath.Join(out, name+".dll"), cmd
	})
}

// dotnetEnv keeps build servers from staying behind.
func dotnetEnv() []string {
	return append(os.Environ(), "DOTNET_CLI_TELEMETRY_OPTOUT=1", "DOTNET_NOLOGO=1",
		"MSBUILDDISABLENODEREUSE=1", "DOTNET_CLI_USE_MSBUILD_SERVER=0", "UseSharedCompilation=false")
}

// command returns the path of a Go command that lies in the directory name.
func command(t testing.TB, name string) string {
	t.Helper()
	return built(t, name, func(dir string) (string, *exec.Cmd) {
		path := filepath.Join(dir, name+".exe") // some systems want the ending
		return path, exec.Command("go", "build", "-o", path, "./"+name)
	})
}

// startApp starts the test application with settings such as
// "--Sessions:KeyList=x" until the end of the test, and returns its URL.
func startApp(t testing.TB, redis string, settings ...string) string {
	t.Helper()
	path := published(t, "testapp")
	takeSlot(t)
	args := append([]string{path, "--urls", "http://127.0.0.1:0", "--Sessions:Redis=" + redis, patient}, settings...)
	return start(t, "ready ", dotnet(t), args...)
}

// patient gives an application's Redis the time of a busy machine. A setting
// behind it may take that away.
var patient = fmt.Sprint("--Sessions:RedisTimeout=", redistest.Patience.Milliseconds())

func takeSlot(t testing.TB) {
	dotnetSlots <- struct{}{}
	t.Cleanup(func() { <-dotnetSlots })
}

// supervise is the shell script that every program runs under: it ends it when
// its standard input, which the test process holds open, comes to an end, also
// by a SIGKILL of the test process.
//
// Nothing but the program holds its standard output, so the end of that is the
// end of the program.
const supervise = `"$@" </dev/null & exec >&- 2>&-; read _; kill $!; wait $!`

// start runs a program until the end of the test, and returns the URL that
// stands behind marker in a line of its output.
func start(t testing.TB, marker, exe string, args ...string) (url string) {
	t.Helper()
	cmd := exec.Command("/bin/sh", append([]string{"-c", supervise, "sh", exe}, args...)...)
	cmd.Dir, cmd.Env = builds.dir, dotnetEnv()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	log := &logBuffer{}
	cmd.Stderr = log
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	found, done := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(done)
		for lines := bufio.NewScanner(io.TeeReader(stdout, log)); lines.Scan(); {
			if _, url, ok := strings.Cut(lines.Text(), marker); ok {
				select {
				case found <- strings.TrimSpace(url):
				default:
				}
			}
		}
	}()
	name := filepath.Base(exe)
	if len(args) > 0 && strings.HasSuffix(args[0], ".dll") {
		name = filepath.Base(args[0])
	}
	t.Cleanup(func() {
		stdin.Close()
		select {
		case <-done:
		case <-time.After(stopPatience):
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // the group of the shell
			<-done
		}
		cmd.Wait() // its error only says how it was ended
		if t.Failed() {
			t.Logf("%s said:\n%s", name, log)
		}
	})
	select {
	case url := <-found:
		return url
	case <-done:
		t.Fatalf("%s has ended before it said %q", name, marker)
	case <-time.After(startPatience):
		t.Fatalf("%s has not said %q in %v", name, marker, startPatience)
	}
	return ""
}

// A logBuffer keeps the end of what is written to it.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

const maxLog = 64 << 10

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, err := b.buf.Write(p)
	if extra := b.buf.Len() - maxLog; extra > 0 {
		b.buf.Next(extra)
	}
	return n, err
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
