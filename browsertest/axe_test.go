package browsertest

import (
	_ "embed"
	"strings"
	"testing"
)

// axe-core 4.14.1, from npm, unchanged: "npm pack axe-core" has it.
//
//go:embed testdata/axe/axe.min.js
var axe string

// rules are all of axe's, with those that it leaves out unless asked.
const runAxe = `axe.run(document, {resultTypes: ["violations"], rules: {"target-size": {enabled: true}}}).then(r => ({
	Passes: r.passes.length,
	Violations: r.violations.map(v => v.id + " (" + v.impact + "): " + v.help + ": " +
		v.nodes.slice(0, 3).map(n => n.html.slice(0, 200) + " " + n.failureSummary).join("; ")),
}))`

type axeResult struct {
	Passes     int
	Violations []string
}

// check looks at the page that b is at in every look, for what is wrong with
// it for people who cannot see it well, use no mouse or have a small screen. It
// makes sure that none of keys is in it, nor the cookie.
func (b *browser) check(name string, keys []string) {
	t := b.t
	t.Helper()
	b.wantNoKeys(keys)
	eval[bool](b, axe+"; true") // by DevTools: the policy of the page does not apply
	for _, l := range looks {
		t.Run(name+"/"+l.name, func(t *testing.T) {
			b := &browser{t, b.url, b.ctx}
			b.as(l, 1)
			b.wantScheme(l.scheme)
			if got := eval[int](b, "document.documentElement.scrollWidth"); got > int(l.width) {
				t.Errorf("the page is %d pixels wide, want %d", got, l.width)
			}
			result := eval[axeResult](b, runAxe)
			if result.Passes < 10 {
				t.Errorf("axe finds only %d of its rules kept, want most", result.Passes)
			}
			for _, v := range result.Violations {
				t.Errorf("axe: %s", v)
			}
		})
	}
	b.as(looks[0], 1)
}

// control spoils the page, and makes sure that axe sees that.
func (b *browser) control() {
	b.t.Helper()
	eval[bool](b, `document.documentElement.lang = "", document.querySelector("h1").style.color = "#ccc", true`)
	got := strings.Join(eval[axeResult](b, runAxe).Violations, "\n")
	if !strings.Contains(got, "html-has-lang") || !strings.Contains(got, "color-contrast") {
		b.t.Errorf("axe does not see a page without a language, nor pale text: %q", got)
	}
}

// wantScheme makes sure that the scheme is not only asked for.
func (b *browser) wantScheme(scheme string) {
	b.t.Helper()
	dark := eval[bool](b, `(() => {
		const [r, g, b] = getComputedStyle(document.body).backgroundColor.match(/[\d.]+/g).map(Number)
		return r + g + b < 384
	})()`)
	if dark != (scheme == "dark") {
		b.t.Errorf("the page is dark: %v, want the scheme %s", dark, scheme)
	}
}

// wantNoKeys looks for keys, and for the cookie, in the whole document.
func (b *browser) wantNoKeys(keys []string) {
	b.t.Helper()
	html := eval[string](b, "document.documentElement.outerHTML + location.href + document.cookie")
	for _, c := range b.cookies() {
		keys = append(keys, c.Name, c.Value)
	}
	for _, key := range keys {
		// A key ends in its secret of 32 bytes.
		if strings.Contains(html, key[max(0, len(key)-42):]) {
			b.t.Errorf("%s: the page has a key or a cookie in it: %s", b.path(), html)
			return
		}
	}
}
