package browsertest

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// A browser can use the program of the README.
func TestMinimal(t *testing.T) {
	exe := filepath.Join(t.TempDir(), "minimal")
	if out, err := exec.Command("go", "build", "-o", exe, "github.com/ticketstore/ticketstore/examples/minimal").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), "REDIS_URL=redis://"+miniredis.RunT(t).Addr(), "COOKIE_KEY=MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	url := ""
	for lines := bufio.NewScanner(stderr); url == "" && lines.Scan(); {
		_, url, _ = strings.Cut(lines.Text(), "Open ")
	}

	b := newBrowser(t, url, linux)
	b.open("/me") // which sends to the form, and the form back
	b.call("type", chromedp.SendKeys(chromedp.CSS("input"), "alice"))
	b.lead("press Enter", chromedp.KeyEvent(kb.Enter))
	b.wantText("Only alice sees this.")
	b.open("/")
	b.wantText("Hello, alice!")
	b.click("button")
	b.wantText("Name")
	b.open("/me")
	b.wantText("Name")
}
