package main

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"text/template"

	"github.com/ticketstore/ticketstore/benchmarks/internal/rig"
)

// A chart has horizontal bars, each with its name and figure beside it: colors
// say nothing that words do not.
type chart struct {
	file   string // without its ending
	panels []panel
}

type panel struct {
	title, note string
	mark        float64 // has a line, if not zero
	bars        []bar
}

type bar struct {
	name               string
	kind               kind
	value, least, most float64
	label              string
}

// barsOf returns a bar for each contestant that was measured: its ratio to
// another or, if that is "", its time.
func (b *bench) barsOf(at cell, to string) (bars []bar) {
	for _, c := range b.contenders {
		rounds := c.results[at]
		if len(rounds) == 0 {
			continue
		}
		var values []float64
		var label string
		if to != "" {
			values, label = b.ratios(c, at, to, took), b.spread(c, at, to, took)
		} else {
			for _, f := range rounds {
				values = append(values, f.took.Seconds())
			}
			label = span(middle(rounds, took))
		}
		name := strings.NewReplacer("`", "", "*", "").Replace(c.name)
		bars = append(bars, bar{name, c.kind, rig.Middle(values), slices.Min(values), slices.Max(values), label})
	}
	return bars
}

func (b *bench) ratioPanel(title string, at cell) panel {
	return panel{title, "× one command to Redis and a signed cookie, in the same round: median, least and greatest; less is better", 1, b.barsOf(at, baseline)}
}

func (b *bench) timePanel(title string, at cell) panel {
	return panel{title, "median, least and greatest; less is better", 0, b.barsOf(at, "")}
}

// Okabe and Ito's colors, which the color-blind tell apart.
type theme struct {
	name, background, text, faint string
	kinds                         [3]string
}

var themes = []theme{
	{"light", "#ffffff", "#1f2328", "#59636e", [3]string{part: "#999999", ours: "#0072b2", peer: "#e69f00"}},
	{"dark", "#0d1117", "#e6edf3", "#9198a1", [3]string{part: "#999999", ours: "#56b4e9", peer: "#e69f00"}},
}

// What is drawn.
type (
	drawing struct {
		Title, Background string
		Width, Height     int
		Bars              []drawnBar
		Lines             []drawnLine
		Texts             []drawnText
	}
	drawnBar struct {
		X, Width  float64
		Y, Height int
		Color     string
	}
	drawnLine struct {
		Path, Color string
		Dashed      bool
	}
	drawnText struct {
		X         float64
		Y, Size   int
		Bold, End bool
		Color     string
		Text      string
	}
)

const (
	chartWidth = 760
	barsFrom   = 272.0
	barsWidth  = 340.0
	rowHeight  = 26
	barHeight  = 16
)

// draw lays the chart out. A bar is as long as its value; a whisker that would
// be much longer than the longest bar runs to the edge, without an end.
func (c *chart) draw(th theme) drawing {
	d := drawing{Background: th.background, Width: chartWidth}
	text := func(x float64, y, size int, color, s string) *drawnText {
		d.Texts = append(d.Texts, drawnText{X: x, Y: y, Size: size, Color: color, Text: s})
		return &d.Texts[len(d.Texts)-1]
	}
	var titles []string
	y := 10
	for _, p := range c.panels {
		titles = append(titles, p.title)
		text(16, y+20, 15, th.text, p.title).Bold = true
		text(16, y+38, 12, th.faint, p.note)
		y += 50
		longest, most := 0.0, 0.0
		for _, b := range p.bars {
			longest, most = max(longest, b.value), max(most, b.most)
		}
		x := func(value float64) float64 { return barsFrom + barsWidth*value/min(most, 1.4*longest) }
		edge := barsFrom + barsWidth
		top := y
		for _, b := range p.bars {
			middle := y + rowHeight/2
			name := text(barsFrom-10, middle+5, 13, th.text, b.name)
			name.End, name.Bold = true, b.kind == ours
			d.Bars = append(d.Bars, drawnBar{barsFrom, max(2, x(b.value)-barsFrom), middle - barHeight/2, barHeight, th.kinds[b.kind]})
			end := x(b.value)
			if b.least < b.most {
				from, to := x(b.least), min(x(b.most), edge)
				path := fmt.Sprintf("M%.1f %dv8M%.1f %dH%.1f", from, middle-4, from, middle, to)
				if x(b.most) <= edge {
					path += fmt.Sprintf("M%.1f %dv8", to, middle-4)
				}
				d.Lines = append(d.Lines, drawnLine{path, th.text, false})
				end = max(end, to)
			}
			text(end+8, middle+5, 13, th.text, b.label).Bold = b.kind == ours
			y += rowHeight
		}
		if p.mark > 0 {
			d.Lines = append(d.Lines, drawnLine{fmt.Sprintf("M%.1f %dV%d", x(p.mark), top-2, y+2), th.faint, true})
		}
		y += 16
	}
	at := barsFrom
	for k, s := range []string{part: "parts of the work", ours: "this library", peer: "others"} {
		if !slices.ContainsFunc(c.panels[0].bars, func(b bar) bool { return b.kind == kind(k) }) {
			continue
		}
		d.Bars = append(d.Bars, drawnBar{at, 12, y, 12, th.kinds[k]})
		text(at+18, y+11, 12, th.faint, s)
		at += 34 + 6.5*float64(len(s))
	}
	d.Height, d.Title = y+26, strings.Join(titles, "; ")
	return d
}

//go:embed chart.svg
var chartSource string

var chartTemplate = template.Must(template.New("chart").Parse(chartSource))

// svg returns the chart in a theme.
func (c *chart) svg(th theme) (string, error) {
	var w strings.Builder
	err := chartTemplate.Execute(&w, c.draw(th))
	return w.String(), err
}

// alt says in words what the chart shows.
func (c *chart) alt() string {
	var w strings.Builder
	for i, p := range c.panels {
		if i > 0 {
			w.WriteString(". ")
		}
		w.WriteString(p.title)
		for j, b := range p.bars {
			fmt.Fprintf(&w, "%s %s %s", []string{":", ","}[min(j, 1)], b.name, b.label)
		}
	}
	return w.String()
}
