package faults

import (
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"github.com/ticketstore/ticketstore/internal/redistest"
)

// toxics are what happens to connections, for a moment: toxiproxy's names.
var toxics = []string{
	`{"name":"held up","type":"latency","attributes":{"latency":40,"jitter":40}}`,
	`{"name":"asked late","type":"latency","stream":"upstream","attributes":{"latency":40,"jitter":40}}`,
	`{"name":"a reply cut","type":"limit_data","attributes":{"bytes":%d}}`,
	`{"name":"a command cut","type":"limit_data","stream":"upstream","attributes":{"bytes":%d}}`,
	`{"name":"lost replies","type":"timeout","attributes":{"timeout":0}}`,
	`{"name":"lost commands","type":"timeout","stream":"upstream","attributes":{"timeout":0}}`,
	`{"name":"reset","type":"reset_peer","attributes":{"timeout":5}}`,
	`{"name":"closed slowly","type":"slow_close","attributes":{"delay":50}}`,
	`{"name":"in pieces","type":"slicer","attributes":{"average_size":20,"size_variation":10,"delay":1000}}`,
}

// What failed has happened or not, never half, and nothing that has ended comes
// back: whatever happens to the connections, and to a server that keeps what it
// has acknowledged.
func TestLinearizableThroughFaults(t *testing.T) {
	for _, m := range []mode{direct, batched, cached, sealed} {
		t.Run(string(m), func(t *testing.T) {
			server := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
			proxy := newProxy(t, server.Addr)
			f := &mishaps{server: server, proxy: proxy, between: 20 * time.Millisecond, happened: map[string]int{}}
			faults := f.happened
			first := order{Mode: m, Addr: proxy.Listen, Prefix: rand.Text() + "-", Patience: patience}
			seen, counts, err := linear(t, first, func(seen int) bool { return seen >= *operations/12 && f.decks.Load() > 3 }, nil, func(done <-chan struct{}) { f.happen(t, done) })
			t.Logf("%d operations: %v; faults: %v", seen, counts, faults)
			if err != nil {
				t.Fatal(err)
			}
			note(string(m)+", with faults", seen, counts, faults)
			want(t, counts, "Store: ok", "Retrieve: ok", "Renew: ok", "Renew: unknown", "Rotate: ok", "Rotate: unknown",
				"Remove: ok", "Revoke: ok", "Revoke: unknown", "RevokeAll: ok", "RevokeAll: unknown")
			want(t, faults, "paused", "killed", "held up", "lost replies", "lost commands", "reset", "a reply cut", "a command cut")
		})
	}
}

func newProxy(t *testing.T, addr string) *toxiproxy.Proxy {
	t.Helper()
	proxy := toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), "redis", "127.0.0.1:0", addr)
	if err := proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Stop)
	return proxy
}

// mishaps happen to a server, and to the connections to it.
type mishaps struct {
	server   *redistest.Server
	proxy    *toxiproxy.Proxy
	between  time.Duration // two of them, at least, and five times that at most
	happened map[string]int
	decks    atomic.Int32 // how often each has
}

// happen has one after the other happen, each as often, until done.
func (m *mishaps) happen(t *testing.T, done <-chan struct{}) {
	random := mathrand.New(mathrand.NewPCG(1, 1))
	var deck []int
	during := func(d time.Duration) bool {
		select {
		case <-done:
			return false
		case <-time.After(d):
			return true
		}
	}
	for during(m.between + time.Duration(random.Int64N(int64(4*m.between)))) {
		if len(deck) == 0 {
			deck = random.Perm(len(toxics) + 2)
			m.decks.Add(1)
		}
		n := deck[0]
		deck = deck[1:]
		switch n {
		case len(toxics):
			m.happened["paused"]++
			m.server.Pause()
			during(time.Duration(50+random.IntN(600)) * time.Millisecond)
			m.server.Resume()
		case len(toxics) + 1:
			m.happened["killed"]++
			m.server.Restart()
		default:
			text := toxics[n]
			if strings.Contains(text, "%d") {
				text = fmt.Sprintf(text, random.IntN(2000))
			}
			toxic, err := m.proxy.Toxics.AddToxicJson(strings.NewReader(text))
			if err != nil {
				t.Error(err)
				return
			}
			m.happened[toxic.Name]++
			during(time.Duration(20+random.IntN(150)) * time.Millisecond)
			if err := m.proxy.Toxics.RemoveToxic(t.Context(), toxic.Name); err != nil {
				t.Error(err)
				return
			}
		}
	}
}
