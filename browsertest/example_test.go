package browsertest

import (
	"bufio"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// startExample runs examples/devices until the test ends and returns its URL.
func startExample(t *testing.T) string {
	t.Helper()
	exe := filepath.Join(t.TempDir(), "devices")
	if out, err := exec.Command("go", "build", "-o", exe, "github.com/ticketstore/ticketstore/examples/devices").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cmd := exec.Command(exe, "-addr", "127.0.0.1:0", "-demo")
	stdout, err := cmd.StdoutPipe()
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
	var said []string
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if url, ok := strings.CutPrefix(lines.Text(), "Open "); ok {
			return url
		}
		said = append(said, lines.Text())
	}
	t.Fatalf("got %q, want the address", said)
	return ""
}

// A page that stays open notices by itself that its session is over.
func TestExample(t *testing.T) {
	url := startExample(t)
	phone := newBrowser(t, url, iphone)
	phone.open("/")
	phone.check("sign in", nil)
	signIn := func(b *browser, user string) {
		b.open("/")
		b.call("type", chromedp.SendKeys(chromedp.CSS("#user"), user))
		b.lead("press Enter", chromedp.KeyEvent(kb.Enter))
		b.wantText("Hello, " + user + "!")
	}
	signIn(phone, "alice")
	phone.check("home", nil)

	laptop := newBrowser(t, url, linux)
	signIn(laptop, "alice")
	laptop.click(`a[href="/account/sessions/"]`)
	laptop.wantText("Safari on iPhone", "Edge on Windows")
	if text := laptop.text(); !regexp.MustCompile(`about 4\d minutes ago`).MatchString(text) { // 40, and what this takes
		t.Errorf("nothing was last used 40 minutes ago: %s", text)
	}
	laptop.click(others)
	laptop.click(sure)
	begin := time.Now()
	phone.call("wait", chromedp.WaitVisible(chromedp.CSS("[role=alert]")))
	t.Logf("the open page noticed after %v", time.Since(begin).Round(time.Millisecond))
	phone.wantText("You are no longer signed in.", "Who are you?")
	phone.check("ended", nil)
	laptop.open("/")
	laptop.wantText("Hello, alice!")
}
