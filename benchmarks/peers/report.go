package main

import (
	"cmp"
	"fmt"
	"maps"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/ticketstore/ticketstore/benchmarks/internal/rig"
)

// A section of the report is about one thing.
type section struct {
	text  string
	chart *chart // nil if there is none
}

// report returns all that was measured.
func (b *bench) report(args []string) []section {
	n := b.headline()
	requests := fmt.Sprintf("Request with a session, %d goroutines", n)
	ins, outs := fmt.Sprintf("Sign-in, %d goroutines", n), fmt.Sprintf("Sign-out, %d goroutines", n)
	among := rig.Group(b.sessions + b.visitors()*perVisitor)
	lists, counts := "One user's sessions among "+among, "How many users and sessions there are, of "+among
	return []section{
		{b.head(args), nil},
		{b.table(requests, cell{request, n, 0}, baseline), &chart{"peers-request", []panel{b.ratioPanel(requests, cell{request, n, 0})}}},
		{b.goroutinesTable(), nil},
		{b.ratesTable(), nil},
		{b.table(ins, cell{signIn, n, 0}, baseline), &chart{"peers-sign-in", []panel{b.ratioPanel(ins, cell{signIn, n, 0}), b.ratioPanel(outs, cell{signOut, n, 0})}}},
		{b.table(outs, cell{signOut, n, 0}, baseline), nil},
		{b.table(lists, cell{list, 1, 0}, first), &chart{"peers-list", []panel{b.timePanel(lists, cell{list, 1, 0}), b.timePanel(counts, cell{count, 1, 0})}}},
		{b.table(counts, cell{count, 1, 0}, first), nil},
	}
}

// head says what was measured, and on what.
func (b *bench) head(args []string) string {
	return fmt.Sprintf("`%s`, %s\n\n%s; %s %s/%s; Redis %s, over loopback; %s.\n\n"+
		"Rounds: %d. Load averages %s at the start, %s at the end; others used %.0f %% of the processors (%.0f–%.0f %%).\n",
		strings.Join(append([]string{"go run ./peers"}, args...), " "), time.Now().Format(time.DateOnly),
		rig.Processor(), runtime.Version(), runtime.GOOS, runtime.GOARCH, b.redisVersion, versions(),
		b.rounds, b.loads[0], b.loads[1], 100*rig.Middle(b.others), 100*slices.Min(b.others), 100*slices.Max(b.others))
}

// versions returns those of the modules that are measured.
func versions() string {
	info, _ := debug.ReadBuildInfo()
	var found []string
	for _, m := range info.Deps {
		name, _ := strings.CutPrefix(m.Path, "github.com/")
		switch name {
		case "redis/go-redis/v9", "gorilla/securecookie", "alexedwards/scs/v2", "alexedwards/scs/goredisstore",
			"gorilla/sessions", "boj/redistore", "gomodule/redigo", "gofiber/fiber/v3", "gofiber/storage/redis/v3":
			found = append(found, name+" "+strings.TrimPrefix(m.Version, "v"))
		}
	}
	return strings.Join(found, ", ")
}

// table returns what an operation costs each contestant that can do it.
func (b *bench) table(title string, at cell, to string) string {
	var w strings.Builder
	fmt.Fprintf(&w, "| %s | × | time | × | CPU | of that Redis's | allocated | allocations | commands to Redis |\n|---|--:|--:|--:|--:|--:|--:|--:|---|\n", title)
	cpu := func(f figures) time.Duration { return f.self + f.redis }
	for _, c := range b.contenders {
		rounds := c.results[at]
		if len(rounds) == 0 {
			continue
		}
		fmt.Fprintf(&w, "| %s | %s | %s | %s | %s | %s | %s B | %s | %s |\n", c.name,
			b.spread(c, at, to, took), span(middle(rounds, took)),
			b.spread(c, at, to, cpu), span(middle(rounds, cpu)),
			span(middle(rounds, func(f figures) time.Duration { return f.redis })),
			rig.Group(middle(rounds, func(f figures) float64 { return f.bytes })),
			rig.Group(middle(rounds, func(f figures) float64 { return f.allocs })),
			asked(c.costs[at.operation], rounds))
	}
	return w.String()
}

// goroutinesTable returns how the ratios of requests move with their number at once.
func (b *bench) goroutinesTable() string {
	var w strings.Builder
	w.WriteString("| × of the time of a request, at goroutines |")
	for _, n := range b.goroutines {
		fmt.Fprintf(&w, " %d |", n)
	}
	w.WriteString("\n|---|" + strings.Repeat("--:|", len(b.goroutines)) + "\n")
	for _, c := range b.contenders {
		fmt.Fprintf(&w, "| %s |", c.name)
		for _, n := range b.goroutines {
			at := cell{request, n, 0}
			if c.name == baseline {
				fmt.Fprintf(&w, " %s |", span(middle(c.results[at], took)))
			} else {
				fmt.Fprintf(&w, " %s |", b.spread(c, at, baseline, took))
			}
		}
		w.WriteString("\n")
	}
	return w.String()
}

// ratesTable returns how long an answer takes at a rate that does not wait for it.
func (b *bench) ratesTable() string {
	var w strings.Builder
	w.WriteString("| time until the answer, at requests a second |")
	for _, rate := range b.rates {
		fmt.Fprintf(&w, " %s: p50 | × | p99 |", rig.Group(rate))
	}
	w.WriteString("\n|---|" + strings.Repeat("--:|", 3*len(b.rates)) + "\n")
	p50 := func(f figures) time.Duration { return f.p50 }
	p99 := func(f figures) time.Duration { return f.p99 }
	for _, c := range b.contenders {
		fmt.Fprintf(&w, "| %s |", c.name)
		for _, rate := range b.rates {
			at := cell{request, 0, rate}
			fmt.Fprintf(&w, " %s | %s | %s |", span(middle(c.results[at], p50)), b.spread(c, at, baseline, p50), span(middle(c.results[at], p99)))
		}
		w.WriteString("\n")
	}
	return w.String()
}

func took(f figures) time.Duration { return f.took }

// ratios returns those of c to another, in each round.
func (b *bench) ratios(c *contender, at cell, to string, of func(figures) time.Duration) (ratios []float64) {
	for _, other := range b.contenders {
		if other.name == to {
			for i, f := range c.results[at] {
				ratios = append(ratios, float64(of(f))/float64(of(other.results[at][i])))
			}
		}
	}
	return ratios
}

func middle[T cmp.Ordered](rounds []figures, of func(figures) T) T {
	var values []T
	for _, f := range rounds {
		values = append(values, of(f))
	}
	return rig.Middle(values)
}

// asked returns the commands of an operation. What a script has run is told from
// what was sent only by its number.
func asked(w commands, rounds []figures) string {
	var parts []string
	sent, ran := 0.0, 0.0
	for _, command := range slices.Sorted(maps.Keys(w)) {
		n := middle(rounds, func(f figures) float64 { return f.commands[command] })
		if w.scripts() {
			n = float64(w[command])
		}
		sent += n
		parts = append(parts, fmt.Sprintf("%s `%s`", number(n), strings.ToUpper(command)))
	}
	if w.scripts() {
		for command := range rounds[0].commands {
			ran += middle(rounds, func(f figures) float64 { return f.commands[command] })
		}
		parts = append(parts, fmt.Sprintf("%s within", number(ran-sent)))
	}
	return cmp.Or(strings.Join(parts, ", "), "none")
}

// number writes a whole number as such.
func number(n float64) string {
	if whole := float64(int(n + 0.5)); n > whole-0.05 && n < whole+0.05 {
		return rig.Group(whole)
	}
	return fmt.Sprintf("%.2f", n)
}

// spread writes the median of the ratios of c to another, the least and the
// greatest.
func (b *bench) spread(c *contender, at cell, to string, of func(figures) time.Duration) string {
	if c.name == to {
		return "1"
	}
	ratios := b.ratios(c, at, to, of)
	return fmt.Sprintf("%s (%s–%s)", times(rig.Middle(ratios)), times(slices.Min(ratios)), times(slices.Max(ratios)))
}

// times writes a ratio.
func times(x float64) string {
	switch {
	case x < 0.095:
		return fmt.Sprintf("%.3f", x)
	case x < 99.5:
		return fmt.Sprintf("%.2f", x)
	}
	return rig.Group(x)
}

// span writes a time with three digits.
func span(d time.Duration) string {
	for _, unit := range []struct {
		name string
		size time.Duration
	}{{"s", time.Second}, {"ms", time.Millisecond}, {"µs", time.Microsecond}} {
		if d >= unit.size {
			x := d.Seconds() / unit.size.Seconds()
			return fmt.Sprintf("%.*f %s", max(0, 2-digits(x)), x, unit.name)
		}
	}
	return fmt.Sprintf("%d ns", d)
}

// digits returns how many there are before the point, less one.
func digits(x float64) (n int) {
	for ; x >= 9.995; x /= 10 {
		n++
	}
	return n
}
