package main

import (
	"fmt"
	"html"
	"os"
	"path/filepath"
	"strings"
)

// What is between these lines of benchmarks.md is the tool's.
const (
	beginMark = "<!-- Written by go run ./peers -write ../docs -->\n"
	endMark   = "<!-- The end of what go run ./peers has written -->\n"
)

// write puts the report into benchmarks.md of dir, and its charts into images.
func write(dir string, report []section) error {
	file := filepath.Join(dir, "benchmarks.md")
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, found := strings.Cut(string(data), beginMark)
	_, after, ended := strings.Cut(rest, endMark)
	if !found || !ended {
		return fmt.Errorf("%s has no lines %q and %q", file, strings.TrimSpace(beginMark), strings.TrimSpace(endMark))
	}
	var w strings.Builder
	w.WriteString(before + beginMark)
	for _, s := range report {
		if s.chart != nil {
			for _, th := range themes {
				svg, err := s.chart.svg(th)
				if err != nil {
					return err
				}
				if err := os.WriteFile(filepath.Join(dir, s.chart.path(th)), []byte(svg), 0o644); err != nil {
					return err
				}
			}
			fmt.Fprintf(&w, "\n%s", s.chart.picture())
		}
		fmt.Fprintf(&w, "\n%s", s.text)
	}
	w.WriteString("\n" + endMark + after)
	return os.WriteFile(file, []byte(w.String()), 0o644)
}

func (c *chart) path(th theme) string { return "images/" + c.file + "-" + th.name + ".svg" }

// picture is how GitHub shows the chart in the reader's theme.
func (c *chart) picture() string {
	return fmt.Sprintf("<picture>\n  <source media=\"(prefers-color-scheme: dark)\" srcset=\"%s\">\n  <img src=\"%s\" alt=\"%s\">\n</picture>\n",
		c.path(themes[1]), c.path(themes[0]), html.EscapeString(c.alt()))
}
