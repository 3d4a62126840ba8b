// Package provider runs a certified OpenID provider in tests: npm's
// oidc-provider, on the node that is on the PATH.
package provider

import (
	"bufio"
	"bytes"
	"context"
	"embed"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore/internal/redistest"
)

//go:embed package.json package-lock.json server.mjs
var files embed.FS

// Start runs the provider on a free port until the test ends. It returns its
// issuer, and a function that registers the application at a URL: the shop first,
// then support. Without node or npm it skips the test, but fails it under CI=true,
// where a missing part must not look green.
func Start(t testing.TB) (issuer string, register func(url string)) {
	t.Helper()
	for _, name := range []string{"node", "npm"} {
		if _, err := exec.LookPath(name); err != nil && os.Getenv("CI") == "true" {
			t.Fatalf("%s is not on the PATH", name)
		} else if err != nil {
			t.Skipf("%s is not on the PATH: no certified provider", name)
		}
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, files); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*redistest.Patience)
	defer cancel()
	npm := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	npm.Dir, npm.WaitDelay = dir, redistest.Patience
	if out, err := npm.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	node := exec.Command("node", "server.mjs")
	node.Dir, node.WaitDelay = dir, redistest.Patience
	var stderr bytes.Buffer
	node.Stderr = &stderr
	stdin, err := node.StdinPipe() // it ends with this process, also if that is killed
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := node.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(5*redistest.Patience, func() { node.Process.Kill() })
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(stdout); s.Scan(); {
			lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		defer timer.Stop()
		stdin.Close()
		for line := range lines {
			if !strings.HasPrefix(line, "oidc-provider NOTICE: ") { // that it is not for production
				t.Errorf("the provider says: %s", line) // of a logout that failed, say
			}
		}
		if err := node.Wait(); err != nil {
			t.Errorf("node: %v\n%s", err, &stderr)
		}
	})
	line := func(prefix string) string {
		t.Helper()
		got, ok := <-lines
		rest, found := strings.CutPrefix(got, prefix)
		if !ok || !found {
			t.Fatalf("the provider says %q, want %q", got, prefix)
		}
		return rest
	}
	issuer = line("Issuer ")
	return issuer, func(url string) {
		t.Helper()
		fmt.Fprintln(stdin, url)
		line("Registered ")
	}
}
