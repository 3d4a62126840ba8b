package browsertest

import (
	"context"
	"flag"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/redis/go-redis/v9/logging"

	"github.com/ticketstore/ticketstore/internal/redistest"
)

var updateScreenshots = flag.Bool("update-screenshots", false, "write docs/images")

func TestMain(m *testing.M) {
	flag.Parse()
	logging.Disable()
	os.Exit(m.Run())
}

const (
	linux  = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
	iphone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
)

// patience bounds every wait for a browser.
const patience = redistest.Patience

// A browser is a Chromium of its own, with one tab and a new profile.
type browser struct {
	t   *testing.T
	url string // of the site
	ctx context.Context
}

// newBrowser starts Chromium for the site at url and stops it at the end of
// the test. Without chromium it skips the test, but fails it under CI=true,
// where a missing part must not look green.
func newBrowser(t *testing.T, url, agent string) *browser {
	t.Helper()
	exe, err := exec.LookPath("chromium")
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal("chromium is not on the PATH")
	} else if err != nil {
		t.Skip("chromium is not on the PATH")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], // headless, no-first-run, disable-sync and more
		chromedp.ExecPath(exe),
		chromedp.UserDataDir(t.TempDir()),
		chromedp.UserAgent(agent),
		chromedp.WindowSize(1000, 800),
		chromedp.NoSandbox, // which does not start as root
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.CombinedOutput(io.Discard),
	)
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, _ = chromedp.NewContext(ctx, chromedp.WithListener(func(event any) {
		// Statuses other than 200 are entries of source network.
		if e, ok := event.(*cdplog.EventEntryAdded); ok && e.Entry.Source != cdplog.EntrySourceNetwork {
			t.Errorf("on the console: %s: %s (%s)", e.Entry.Source, e.Entry.Text, e.Entry.URL)
		}
	}))
	// A deadline for this call would be one for the browser.
	timer := time.AfterFunc(patience, cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("chromium does not start: %v", err)
	}
	timer.Stop()
	t.Cleanup(func() { chromedp.Cancel(ctx) }) // waits: the profile is deleted next
	b := &browser{t, url, ctx}
	b.call("the log", chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, cdplog.Enable, cdp.Empty{})
		return err
	}))
	return b
}

// run is chromedp.Run with a deadline and no error.
func run[T any](b *browser, what string, action chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, action)
	if err != nil {
		html, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string]("location.href + ' ' + document.body.innerText"))
		b.t.Fatalf("%s: %v, at %s", what, err, html)
	}
	return v
}

func (b *browser) call(what string, actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	run(b, what, chromedp.Steps(actions...))
}

func eval[T any](b *browser, script string) T {
	b.t.Helper()
	return run(b, script, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
}

// lead takes actions that lead to another page and returns its status. If that
// asks to try again, as Redis had no time on a busy machine, it does.
func (b *browser) lead(what string, actions ...chromedp.Action[chromedp.Void]) int {
	b.t.Helper()
	status := b.load(what, actions...)
	for begin := time.Now(); status == http.StatusServiceUnavailable && time.Since(begin) < patience; {
		status = b.load(what+", again", chromedp.Reload()) // sends a form again as well
	}
	return status
}

// load is lead for a page that may be a 503.
func (b *browser) load(what string, actions ...chromedp.Action[chromedp.Void]) int {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	res, err := chromedp.RunResponse(ctx, actions...)
	if err != nil || res == nil {
		b.t.Fatalf("%s: got %v, %v, want a page", what, res, err)
	}
	return int(res.Status)
}

func (b *browser) open(path string) int {
	b.t.Helper()
	return b.lead("open "+path, chromedp.Navigate(b.url+path))
}

// click clicks on what the CSS selector finds, with the mouse.
func (b *browser) click(selector string) int {
	b.t.Helper()
	return b.lead("click "+selector, chromedp.Click(chromedp.CSS(selector)))
}

// signIn ends on the page at path.
func (b *browser) signIn(user, path string) {
	b.t.Helper()
	b.open(path)
	b.wantPath("/login")
	b.call("type", chromedp.SendKeys(chromedp.CSS("#user"), user))
	if status := b.lead("press Enter", chromedp.KeyEvent(kb.Enter)); status != http.StatusOK {
		b.t.Fatalf("sign-in gives %d", status)
	}
	b.wantPath(path)
}

func (b *browser) path() string { b.t.Helper(); return eval[string](b, "location.pathname") }

func (b *browser) wantPath(path string) {
	b.t.Helper()
	if got := b.path(); got != path {
		b.t.Fatalf("got to %s, want %s: %s", got, path, b.text())
	}
}

func (b *browser) text() string { b.t.Helper(); return eval[string](b, "document.body.innerText") }

func (b *browser) wantText(texts ...string) {
	b.t.Helper()
	got := b.text()
	for _, text := range texts {
		if !strings.Contains(got, text) {
			b.t.Errorf("%s: got %q, want %q in it", b.path(), got, text)
		}
	}
}

// cookies returns those that the browser has for the site.
func (b *browser) cookies() []*network.Cookie {
	b.t.Helper()
	res := run(b, "cookies", func(ctx context.Context, _ *chromedp.Target) (network.GetCookiesResult, error) {
		return chromedp.Call(ctx, network.GetCookies, network.GetCookiesParams{})
	})
	return res.Cookies
}

// A look is how a page is looked at.
type look struct {
	name   string
	width  int64
	scheme string
}

var looks = []look{{"light", 1000, "light"}, {"dark", 1000, "dark"}, {"phone", 360, "light"}, {"small phone, dark", 320, "dark"}}

// as looks at the page as l.
func (b *browser) as(l look, scale float64) {
	b.t.Helper()
	options := []chromedp.EmulateViewportOption{chromedp.EmulateScale(scale)}
	if l.width < 600 {
		options = append(options, chromedp.EmulateMobile, chromedp.EmulateTouch)
	}
	b.call("look", chromedp.EmulateViewport(l.width, 700, options...), chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: l.scheme}},
		})
		return err
	}))
}

func (b *browser) withoutScripts() {
	b.t.Helper()
	b.call("no scripts", chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	}))
}
