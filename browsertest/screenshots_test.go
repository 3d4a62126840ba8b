package browsertest

import (
	"bytes"
	"cmp"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

const (
	images  = "../docs/images"
	maxSize = 150 << 10
)

// With -update-screenshots, this writes the images in docs.
func TestScreenshots(t *testing.T) {
	if !*updateScreenshots {
		t.Skip("without -update-screenshots")
	}
	s := newSite(t)
	b := newBrowser(t, s.url, linux)
	s.signIn("alice", 4)
	if err := s.store.Revoke(s.ctx(), "alice", s.sessions("alice")[3]); err != nil {
		t.Fatal(err)
	}
	b.signIn("alice", mount)
	b.shoot("devices-light.png", look{"", 800, "light"})
	b.shoot("devices-dark.png", look{"", 800, "dark"})
	b.shoot("devices-phone.png", look{"", 360, "light"})

	s = newSite(t)
	s.signIn("0195563e-a102-7c4d-9e21-5b0f3a6c8d12", 2)
	s.signIn("alice", 5)
	s.signIn("bob", 3)
	b = newBrowser(t, s.url, linux)
	b.signIn("admin", "/admin/")
	b.shoot("admin-light.png", look{"", 1280, "light"})
}

// The same for examples/site, whose sessions are as old as they are on any day.
func TestSiteScreenshots(t *testing.T) {
	if !*updateScreenshots {
		t.Skip("without -update-screenshots")
	}
	b := newBrowser(t, startSite(t), linux)
	b.siteSignIn("olivia")
	b.open(alicesPage)
	b.shoot("site-light.png", look{"", 1200, "light"})
	b.actAs()
	b.shoot("site-phone.png", look{"", 360, "light"})
	b.as(looks[0], 1)
	b.open("/account/sessions/")
	b.shoot("site-dark.png", look{"", 900, "dark"})
}

// shoot writes an image of the whole page.
func (b *browser) shoot(file string, l look) {
	b.t.Helper()
	b.as(l, 2)
	eval[bool](b, "document.activeElement.blur(), true")
	shot, err := png.Decode(bytes.NewReader(run(b, file, chromedp.FullScreenshot(100))))
	if err != nil {
		b.t.Fatal(err)
	}
	var out bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, fewColours(withoutTheRest(shot))); err != nil {
		b.t.Fatal(err)
	}
	if out.Len() > maxSize {
		b.t.Errorf("%s has %d bytes, want at most %d", file, out.Len(), maxSize)
	}
	if err := os.WriteFile(filepath.Join(images, file), out.Bytes(), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// withoutTheRest returns img without what is below the page, but for a margin.
func withoutTheRest(img image.Image) image.Image {
	bounds := img.Bounds()
	bottom, nothing := bounds.Max.Y, img.At(bounds.Min.X, bounds.Max.Y-1)
	for empty := true; empty && bottom > bounds.Min.Y; {
		for x := bounds.Min.X; empty && x < bounds.Max.X; x++ {
			empty = img.At(x, bottom-1) == nothing
		}
		if empty {
			bottom--
		}
	}
	bounds.Max.Y = min(bounds.Max.Y, bottom+32)
	return img.(interface {
		SubImage(image.Rectangle) image.Image
	}).SubImage(bounds)
}

// fewColours returns img in its 256 most frequent colours: those of a page, and
// most shades at the edges of its letters. That is a third of the bytes.
func fewColours(img image.Image) image.Image {
	bounds, count := img.Bounds(), map[color.Color]int{}
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			count[img.At(x, y)]++
		}
	}
	palette := slices.SortedFunc(maps.Keys(count), func(a, b color.Color) int {
		return cmp.Or(count[b]-count[a], strings.Compare(fmt.Sprint(a), fmt.Sprint(b)))
	})
	few := image.NewPaletted(bounds, palette[:min(256, len(palette))])
	draw.Draw(few, bounds, img, bounds.Min, draw.Src)
	return few
}
