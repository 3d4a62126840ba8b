package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/ticketstore/ticketstore/benchmarks/internal/rig"
)

// print writes what was measured, as it is in docs/benchmarks.md.
func (b *bench) print(w io.Writer, args []string) {
	fmt.Fprintf(w, "`%s`, %s\n\n", strings.Join(append([]string{"go run ./aspnetcore"}, args...), " "), time.Now().Format(time.DateOnly))
	fmt.Fprintf(w, "%s; %s, over loopback; load averages %s at the start, %s at the end\n\n",
		rig.Processor(), b.versions, b.loads[0], b.loads[1])
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
			rig.Group(median(c.rounds, rate)), rig.Group(least(c.rounds, rate)), rig.Group(most(c.rounds, rate)), rig.Middle(perRate),
			µs(median(c.rounds, cpu)), µs(least(c.rounds, cpu)), µs(most(c.rounds, cpu)), rig.Middle(perCPU),
			ms(median(c.rounds, func(r round) time.Duration { return r.p50 })),
			ms(median(c.rounds, func(r round) time.Duration { return r.p99 })),
			µs(median(c.rounds, func(r round) time.Duration { return r.redis })),
			most(c.rounds, func(r round) int { return r.memory }))
	}
	var tool []time.Duration
	var answers []string
	for _, c := range b.contenders {
		if size := rig.Group(c.answer); !slices.Contains(answers, size) {
			answers = append(answers, size)
		}
		for _, r := range c.rounds {
			tool = append(tool, r.tool)
		}
	}
	fmt.Fprintf(w, "\nAn answer has %s bytes. The load tool used %s µs a request (%s–%s); others, %.0f %% of the processors (%.0f–%.0f %%).\n",
		strings.Join(answers, " or "), µs(rig.Middle(tool)), µs(slices.Min(tool)), µs(slices.Max(tool)), 100*rig.Middle(b.others), 100*slices.Min(b.others), 100*slices.Max(b.others))
}

func values[T any](rounds []round, of func(round) T) (v []T) {
	for _, r := range rounds {
		v = append(v, of(r))
	}
	return v
}

func median[T cmp.Ordered](rounds []round, of func(round) T) T { return rig.Middle(values(rounds, of)) }
func least[T cmp.Ordered](rounds []round, of func(round) T) T  { return slices.Min(values(rounds, of)) }
func most[T cmp.Ordered](rounds []round, of func(round) T) T   { return slices.Max(values(rounds, of)) }

func µs(d time.Duration) string { return fmt.Sprintf("%.0f", d.Seconds()*1e6) }

func ms(d time.Duration) string { return fmt.Sprintf("%.1f", d.Seconds()*1000) }
