package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// A page, as links see it.
var (
	pages   = []string{"../*.md", "../*.txt", "../*/*.md", "../examples/*/README.md"}
	aLink   = regexp.MustCompile(`\]\(([^)\s]+)\)|(?:src|srcset)="([^"]+)"`)
	aFence  = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
)

// Links within the project lead somewhere: to a file, and to a heading in it.
func TestLinks(t *testing.T) {
	found := 0
	for _, page := range glob(t, pages...) {
		for _, link := range aLink.FindAllStringSubmatch(aFence.ReplaceAllString(read(t, page), ""), -1) {
			target := link[1] + link[2]
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			found++
			path, anchor, hasAnchor := strings.Cut(target, "#")
			file := page
			if path != "" {
				file = filepath.Join(filepath.Dir(page), path)
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: %s: %v", page, target, err)
			} else if hasAnchor && !anchors(read(t, file))[anchor] {
				t.Errorf("%s: there is no heading for %s", page, target)
			}
		}
	}
	if found < 100 {
		t.Errorf("found %d links: this test looks at too little", found)
	}
}

// anchors returns those that GitHub gives to the headings of a page.
func anchors(page string) map[string]bool {
	all := map[string]bool{}
	for _, h := range heading.FindAllStringSubmatch(aFence.ReplaceAllString(page, ""), -1) {
		all[strings.Map(func(r rune) rune {
			switch {
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			case r == ' ':
				return '-'
			}
			return -1
		}, h[1])] = true
	}
	return all
}

// A line of a diagram is one that GitHub draws: a semicolon would end it, and #
// begins an entity.
var diagramLine = regexp.MustCompile(`^(sequenceDiagram|    participant \w+ as [^;#]+|    Note over \w+(,\w+)?: [^;#]+|    opt [^;#]+|    end|    (    )?\w+--?>>\w+: [^;#]+)$`)

func TestDiagrams(t *testing.T) {
	found := 0
	for _, m := range regexp.MustCompile("(?ms)^```mermaid\n(.*?)^```$").FindAllStringSubmatch(read(t, "*.md"), -1) {
		found++
		opened := 0
		for line := range strings.Lines(m[1]) {
			line = strings.TrimSuffix(line, "\n")
			if !diagramLine.MatchString(line) {
				t.Errorf("this line may not be drawn: %q", line)
			}
			switch {
			case strings.HasPrefix(line, "    opt "):
				opened++
			case line == "    end":
				opened--
			}
		}
		if opened != 0 {
			t.Errorf("%d opt have no end: %s", opened, m[1])
		}
	}
	if found < 4 {
		t.Errorf("found %d diagrams: this test looks at too little", found)
	}
}
