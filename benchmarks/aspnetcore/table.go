package main

import (
	"cmp"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"
)

// print writes what was measured, as it is in docs/benchmarks.md.
func (b *bench) print(w io.Writer, args []string) {
	fmt.Fprintf(w, "`%s`, %s\n\n", strings.Join(append([]string{"go run ./aspnetcore"}, args...), " "), time.Now().Format(time.DateOnly))
	fmt.Fprintf(w, "%s, %d cores; %s, over loopback; load averages %s at the start, %s at the end\n\n",
		proc("cpuinfo", `model name\s*: (.*)`), runtime.NumCPU(), b.versions, b.loads[0], b.loads[1])
	fmt.Fprintf(w, "| `GET /me`, %d connections, %d rounds of %v | requests/s | × | CPU | × | p50 | p99 | Redis | memory |\n", b.connections, b.rounds, b.duration)
	fmt.Fprint(w, "|---|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	first := b.contenders[0].rounds
	for _, c := range b.contenders {
		rate := func(r round) float64 { return r.rate }
		cpu := func(r round) time.Duration { return r.cpu }
		perRate, perCPU := make([]float64, len(first)), make([]float64, len(first))
		for i, r := range c.rounds {
			perRate[i] = r.rate / first[i].rate
			perCPU[i] = r.cpu.Seconds() / first[i].cpu.Seconds()
		}
		fmt.Fprintf(w, "| %s | %s (%s–%s) | %.2f | %s (%s–%s) µs | %.2f | %s ms | %s ms | %s µs | %d MB |\n", c.name,
			group(median(c.rounds, rate)), group(least(c.rounds, rate)), group(most(c.rounds, rate)), middle(perRate),
			µs(median(c.rounds, cpu)), µs(least(c.rounds, cpu)), µs(most(c.rounds, cpu)), middle(perCPU),
			ms(median(c.rounds, func(r round) time.Duration { return r.p50 })),
			ms(median(c.rounds, func(r round) time.Duration { return r.p99 })),
			µs(median(c.rounds, func(r round) time.Duration { return r.redis })),
			most(c.rounds, func(r round) int { return r.memory }))
	}
	var tool []time.Duration
	var answers []string
	for _, c := range b.contenders {
		if size := group(float64(c.answer)); !slices.Contains(answers, size) {
			answers = append(answers, size)
		}
		for _, r := range c.rounds {
			tool = append(tool, r.tool)
		}
	}
	fmt.Fprintf(w, "\nAn answer has %s bytes. The load tool used %s µs a request (%s–%s); others, %.0f %% of the processors (%.0f–%.0f %%).\n",
		strings.Join(answers, " or "), µs(middle(tool)), µs(slices.Min(tool)), µs(slices.Max(tool)), 100*middle(b.others), 100*slices.Min(b.others), 100*slices.Max(b.others))
}

func values[T any](rounds []round, of func(round) T) (v []T) {
	for _, r := range rounds {
		v = append(v, of(r))
	}
	return v
}

func median[T cmp.Ordered](rounds []round, of func(round) T) T { return middle(values(rounds, of)) }
func least[T cmp.Ordered](rounds []round, of func(round) T) T  { return slices.Min(values(rounds, of)) }
func most[T cmp.Ordered](rounds []round, of func(round) T) T   { return slices.Max(values(rounds, of)) }

// middle is the median; of an even number, the lower one.
func middle[T cmp.Ordered](v []T) T {
	v = slices.Sorted(slices.Values(v))
	return v[(len(v)-1)/2]
}

func µs(d time.Duration) string { return fmt.Sprintf("%.0f", d.Seconds()*1e6) }

func ms(d time.Duration) string { return fmt.Sprintf("%.1f", d.Seconds()*1000) }

// group writes n as 1,000,000.
func group(n float64) string {
	s := fmt.Sprintf("%.0f", n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
