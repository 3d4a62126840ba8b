package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/benchmarks/internal/rig"
)

// revokeAll ends all sessions by a call, and asks by another client how long
// Redis is busy with others meanwhile.
func (b *bench) revokeAll(name string, call func(ctx context.Context, progress func(revoked int)) (revoked int, err error)) func(context.Context) error {
	return func(ctx context.Context) error { return b.revoke(ctx, name, call) }
}

func (b *bench) revoke(ctx context.Context, name string, call func(ctx context.Context, progress func(revoked int)) (revoked int, err error)) error {
	if err := b.client.ConfigResetStat(ctx).Err(); err != nil {
		return err
	}
	if err := b.logSlow(ctx); err != nil {
		return err
	}
	idle, err := b.pings(ctx, func() error {
		select {
		case <-ctx.Done():
		case <-time.After(2 * time.Second):
		}
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	before, err := rig.RedisCPU(ctx, b.client)
	if err != nil {
		return err
	}
	revoked := 0
	busy, err := b.pings(ctx, func() error {
		return b.total(ctx, "`"+name+"`", func(ctx context.Context) (err error) {
			said := time.Now()
			revoked, err = call(ctx, func(n int) {
				if time.Since(said) > 5*time.Second {
					said = time.Now()
					fmt.Fprintln(b.progress, "ended", rig.Group(n))
				}
			})
			return err
		})
	})
	if err != nil {
		return err
	}
	left, err := b.store.Count(ctx)
	if err == nil && (revoked != b.sessions || left != (ticketstore.Counts{})) {
		err = fmt.Errorf(name+": got %d, want %d; %+v are left", revoked, b.sessions, left)
	}
	if err != nil {
		return err
	}
	b.add(calls, row{"`PING` of another client, Redis idle", rig.Group(len(idle)), ms(quantile(idle, 0.5)), ms(quantile(idle, 0.99)), "", "longest " + ms(idle[len(idle)-1])})
	b.add(calls, row{"`PING` of another client, during `" + name + "`", rig.Group(len(busy)), ms(quantile(busy, 0.5)), ms(quantile(busy, 0.99)), "", "longest " + ms(busy[len(busy)-1])})
	after, err := rig.RedisCPU(ctx, b.client)
	if err != nil {
		return err
	}
	b.add(totals, row{"of which Redis", "1", "", "", seconds(after - before), ""})
	// By the clock of Redis, which counts when another process has the processor.
	stats, err := b.client.InfoMap(ctx, "commandstats").Result()
	if err != nil {
		return err
	}
	for _, name := range []string{"evalsha", "eval", "zrange"} {
		used := figures(stats["Commandstats"]["cmdstat_"+name])
		if n := used["calls"]; n > 0 {
			b.add(calls, row{"`" + strings.ToUpper(name) + "` in Redis (mean)", rig.Group(int(n)), fmt.Sprintf("%.2f ms", used["usec_per_call"]/1000), "", seconds(time.Duration(used["usec"]) * time.Microsecond), ""})
		}
	}
	return b.slow(ctx, name)
}

const tooSlow = 10 * time.Millisecond

// logSlow has Redis log every command that takes it longer than tooSlow.
func (b *bench) logSlow(ctx context.Context) error {
	for name, value := range map[string]int64{"slowlog-log-slower-than": tooSlow.Microseconds(), "slowlog-max-len": maxSlow} {
		if err := b.client.ConfigSet(ctx, name, strconv.FormatInt(value, 10)).Err(); err != nil {
			return err
		}
	}
	return b.client.Do(ctx, "slowlog", "reset").Err()
}

const maxSlow = 10_000

// slow says which commands took Redis longer than tooSlow, by its own clock. It
// goes on while another process has the processor, so that some may be longer
// than what they did.
func (b *bench) slow(ctx context.Context, name string) error {
	slow, err := b.client.SlowLogGet(ctx, maxSlow).Result()
	if err != nil {
		return err
	}
	longest := time.Duration(0)
	for _, command := range slow {
		longest = max(longest, command.Duration)
	}
	b.add(calls, row{"commands over 10 ms in Redis, during `" + name + "`", rig.Group(len(slow)), "", "", "", "longest " + ms(longest)})
	return nil
}

// figures returns what a line of INFO says: calls=1,usec=2.
func figures(text string) map[string]float64 {
	found := map[string]float64{}
	for _, field := range strings.Split(text, ",") {
		if name, value, ok := strings.Cut(field, "="); ok {
			found[name], _ = strconv.ParseFloat(value, 64)
		}
	}
	return found
}

// pings has another client ping while do does something, every millisecond, and
// returns how long each took, shortest first.
func (b *bench) pings(ctx context.Context, do func() error) (took []time.Duration, err error) {
	client := newClient(b.addr, 1)
	defer client.Close()
	if err := client.Ping(ctx).Err(); err != nil {
		return nil, err
	}
	end, ended := make(chan struct{}), make(chan error)
	go func() {
		for {
			select {
			case <-end:
				ended <- nil
				return
			default:
			}
			start := time.Now()
			if err := client.Ping(ctx).Err(); err != nil {
				<-end
				ended <- err
				return
			}
			took = append(took, time.Since(start))
			time.Sleep(time.Millisecond)
		}
	}()
	err = do()
	close(end)
	if failed := <-ended; err == nil {
		err = failed
	}
	slices.Sort(took)
	if err == nil && len(took) == 0 {
		err = fmt.Errorf("no PING was answered")
	}
	return took, err
}

func quantile(took []time.Duration, q float64) time.Duration {
	return took[int(q*float64(len(took)-1))]
}
