package ui

import (
	"math"
	"regexp"
	"strconv"
	"testing"

	"github.com/ticketstore/ticketstore/internal/ui/uitest"
)

var colour = regexp.MustCompile(`--([a-z-]+): light-dark\(#([0-9a-f]{3,6}), #([0-9a-f]{3,6})\);`)

// Text has a contrast of 4.5, edges of controls one of 3 (WCAG 2.2, 1.4.3 and
// 1.4.11), in both schemes.
func TestContrast(t *testing.T) {
	for name, group := range map[string]int{"light": 2, "dark": 3} {
		colours := map[string]float64{}
		for _, m := range colour.FindAllStringSubmatch(Style, -1) {
			colours[m[1]] = luminance(m[group])
		}
		if len(colours) != 12 {
			t.Errorf("got %d colours, want 12", len(colours))
		}
		for _, pair := range []struct {
			a, b string
			want float64
		}{
			{"text", "page", 4.5}, {"text", "card", 4.5}, {"text", "good", 4.5}, {"text", "bad", 4.5}, {"muted", "page", 4.5}, {"muted", "card", 4.5},
			{"accent", "soft", 4.5}, {"danger", "card", 4.5}, {"danger", "page", 4.5}, {"on-danger", "danger", 4.5},
			{"danger", "bad", 4.5}, {"edge", "card", 3}, {"edge", "page", 3}, {"accent", "page", 3}, {"accent", "card", 3},
		} {
			a, b := max(colours[pair.a], colours[pair.b]), min(colours[pair.a], colours[pair.b])
			if got := (a + .05) / (b + .05); got < pair.want {
				t.Errorf("%s: %s on %s: got a contrast of %.2f, want %.1f", name, pair.a, pair.b, got, pair.want)
			}
		}
	}
}

// luminance returns the relative luminance of a colour (WCAG 2.2).
func luminance(hex string) float64 {
	if len(hex) == 3 {
		hex = string([]byte{hex[0], hex[0], hex[1], hex[1], hex[2], hex[2]})
	}
	sum := 0.0
	for i, weight := range []float64{.2126, .7152, .0722} {
		n, _ := strconv.ParseUint(hex[2*i:2*i+2], 16, 8)
		c := float64(n) / 255
		if c <= .04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}

// In a site's layout, nothing but the page itself looks different.
func TestStyleIsScoped(t *testing.T) {
	if got := uitest.Unscoped(Style); len(got) > 0 {
		t.Errorf("got %q for all of the page", got)
	}
	for _, css := range []string{"a { color: red }", ".ticketstore {} :root { --x: 1 }", ".ticketstore, li {}", "@media print { body { margin: 0 } }", ".ticketstore { :root & { margin: 0 } }"} {
		if len(uitest.Unscoped(css)) == 0 {
			t.Errorf("%s: the test does not see it", css)
		}
	}
}
