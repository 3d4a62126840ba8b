package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/ticketstore/ticketstore/benchmarks/internal/rig"
)

// supervise runs a program that ends when standard input does: with the tool,
// however that ends. What the program has started ends as well: all of it is one
// process group. The first line is the program's process ID. Nothing else holds
// the output, so the end of that is the end of the program.
const supervise = `trap "" HUP
sh -c 'echo $$; exec "$@"' sh "$@" </dev/null 2>&1 &
exec >&- 2>&-
read _
kill -9 $!
wait $!
kill -9 0`

const patience = 3 * time.Minute // on a machine that does other things as well

// A process is a server.
type process struct {
	pid  int
	said string // what stood behind the marker in its output
	stop func() // waits until it has ended
}

// startProcess starts a program, and waits for a line of its output that has
// marker in it.
func startProcess(ctx context.Context, dir, marker string, args ...string) (*process, error) {
	cmd := exec.Command("/bin/sh", append([]string{"-c", supervise, "sh"}, args...)...)
	cmd.Dir, cmd.Env = dir, environ(dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is for the tool
	stdin, err1 := cmd.StdinPipe()
	stdout, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p, found, done := &process{}, make(chan string, 1), make(chan struct{})
	p.stop = func() {
		stdin.Close()
		<-done
		cmd.Wait() // its error only says that the program was killed
	}
	var log []string
	go func() {
		defer close(done)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			if p.pid == 0 {
				p.pid, _ = strconv.Atoi(lines.Text())
				continue
			}
			if _, rest, ok := strings.Cut(lines.Text(), marker); ok {
				select {
				case found <- strings.TrimSpace(rest):
				default:
				}
			}
			if len(log) < 100 {
				log = append(log, lines.Text())
			}
		}
	}()
	var err error
	select {
	case p.said = <-found:
		return p, nil
	case <-done:
		err = errors.New("it has ended")
	case <-time.After(patience):
		err = fmt.Errorf("not in %v", patience)
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	p.stop()
	return nil, fmt.Errorf("%s does not say %q: %w\n%s", filepath.Base(args[0]), marker, err, strings.Join(log, "\n"))
}

// environ keeps build servers from staying behind, and what a runtime that is
// killed leaves behind in dir.
func environ(dir string) []string {
	return append(os.Environ(), "TMPDIR="+dir, "DOTNET_CLI_TELEMETRY_OPTOUT=1", "DOTNET_NOLOGO=1",
		"MSBUILDDISABLENODEREUSE=1", "DOTNET_CLI_USE_MSBUILD_SERVER=0", "UseSharedCompilation=false")
}

// publish builds the application as it is deployed, and returns its path.
func publish(ctx context.Context, dotnet, dir string) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/ticketstore/ticketstore").Output()
	if err != nil {
		return "", fmt.Errorf("go list: %w (run the tool in the module benchmarks)", err)
	}
	project := filepath.Join(strings.TrimSpace(string(root)), "examples", "aspnetcore", "webapp")
	out := filepath.Join(dir, "webapp")
	p, err := startProcess(ctx, dir, "published", "sh", "-c", `"$@" && echo published`, "publish",
		dotnet, "publish", project, "-c", "Release", "-o", out,
		"--artifacts-path", filepath.Join(dir, "artifacts"), "-v", "q", "-nologo", "-nodeReuse:false")
	if err != nil {
		return "", err
	}
	p.stop()
	return filepath.Join(out, "webapp.dll"), nil
}

// cpu returns the processor time that p has used, all its threads together.
func (p *process) cpu() (time.Duration, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:])) // the name may have spaces
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat is %q", p.pid, data)
	}
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	return time.Duration(user+system) * rig.Tick, errors.Join(err1, err2)
}

var vmRSS = regexp.MustCompile(`VmRSS:\s*(\d+) kB`)

// memory returns the MB of p that are in memory.
func (p *process) memory() (int, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		return 0, err
	}
	found := vmRSS.FindSubmatch(data)
	if found == nil {
		return 0, fmt.Errorf("/proc/%d/status has no VmRSS", p.pid)
	}
	kB, err := strconv.Atoi(string(found[1]))
	return kB / 1000, err
}
