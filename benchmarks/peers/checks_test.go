package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore/internal/redistest"
)

func TestCommands(t *testing.T) {
	get, script := commands{"get": 1}, commands{evalsha: 1, "get": 2}
	for _, test := range []struct {
		want   commands
		ran    map[string]int // for ten operations
		atMost bool
		err    string // part of it; none if empty
	}{
		{get, map[string]int{"get": 10, "hello": 1, "ping": 3}, false, ""},
		{get, map[string]int{"get": 9}, false, "cost 9 get; want 1 get each"},
		{get, map[string]int{"get": 11}, false, "cost 11 get"},
		{get, map[string]int{"get": 10, "set": 1}, false, "cost 1 set"},
		{get, map[string]int{}, false, "cost 0 get"},
		{get, map[string]int{}, true, ""},
		{get, map[string]int{"get": 11}, true, "cost 11 get"},
		{get, map[string]int{"get": 1, "set": 1}, true, "cost 1 set"},
		{commands{}, map[string]int{"get": 1}, false, "cost 1 get; want none each"},
		{commands{"get": 1, "ping": 1}, map[string]int{"get": 10, "ping": 8}, false, ""},
		{commands{"get": 1, "ping": 1}, map[string]int{"get": 10, "ping": 11}, false, "cost 11 ping"},
		{script, map[string]int{evalsha: 10, "get": 30, "zadd": 10}, false, ""},
		{script, map[string]int{evalsha: 11, "get": 30}, false, "cost 11 evalsha; want 1 evalsha, 2 get each"},
		{script, map[string]int{evalsha: 10, "get": 19}, false, "cost 19 get"},
		{script, map[string]int{"eval": 10, "get": 20}, false, "cost 0 evalsha"},
		{commands{"scan": some}, map[string]int{"scan": 3}, false, ""},
		{commands{"scan": some}, map[string]int{}, false, "cost 0 scan; want some scan each"},
	} {
		err := test.want.check(10, test.ran, test.atMost)
		if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s, at most %t, after %v: got %v; want %q", test.want, test.atMost, test.ran, err, test.err)
		}
	}
}

// A cheat keeps its sessions in memory, and its promises as far as it is told.
type cheat struct {
	client *redis.Client

	sameCookie, otherUser, headerUser, everybody, forever, lazy, busy, missing bool
}

func (c cheat) system() *system {
	var n atomic.Int64
	var users sync.Map
	costs := [operations]commands{request: {"get": 1}, signIn: {}, signOut: {}}
	return &system{costs: costs, app: web{
		request: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			user := ""
			if known, ok := users.Load(r.Header.Get("Cookie")); ok {
				user = known.(string)
			}
			switch {
			case c.otherUser && user != "":
				user = "user-00001"
			case c.headerUser && user != "":
				user = r.Header.Get(userHeader)
			case c.everybody && user == "":
				user = "somebody"
			}
			key := "there"
			if c.missing {
				key = "not there"
			}
			if user != "" && !c.lazy {
				c.client.Get(r.Context(), key)
			}
			if c.busy {
				c.client.Get(r.Context(), key)
			}
			greet(w, user)
		}),
		signIn: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			cookie := fmt.Sprintf("session=%d", n.Add(1))
			if c.sameCookie {
				cookie = "session=1"
			}
			users.Store(cookie, r.Header.Get(userHeader))
			w.Header().Set("Set-Cookie", cookie+"; Path=/")
			greet(w, r.Header.Get(userHeader))
		}),
		signOut: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !c.forever {
				users.Delete(r.Header.Get("Cookie"))
			}
			io.WriteString(w, "out")
		}),
	}}
}

// TestVerify has contestants that are not what they say.
func TestVerify(t *testing.T) {
	client := redis.NewClient(redistest.Options(redistest.Start(t).Addr))
	defer client.Close()
	client.Set(t.Context(), "there", "x", 0)
	for want, c := range map[string]cheat{
		"":                 {},
		"have 1 cookies":   {sameCookie: true},
		"is answered with": {otherUser: true},
		"that names another user is answered with 200 mallory": {headerUser: true},
		"of nobody is answered with 200":                       {everybody: true},
		"after the sign-out is answered with 200":              {forever: true},
		"cost 0 get":        {lazy: true},
		"cost 20 get":       {busy: true},
		"were not in Redis": {missing: true},
	} {
		c.client = client
		b := &bench{sessions: 10, goroutines: []int{4}, client: client,
			contenders: []*contender{{contestant: contestant{name: "cheat"}, system: c.system()}}}
		err := b.verify(t.Context())
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("got %v; want %q", err, want)
		}
	}
}

// gather is a system whose answers wait for n requests to be there at once.
func gather(n int64) (s *system, sessions []session) {
	var there atomic.Int64
	all := make(chan struct{})
	s = &system{app: web{request: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if there.Add(1) == n {
			close(all)
		}
		<-all
		greet(w, "alice")
	})}}
	return s, []session{{user: "alice", request: s.app.prepare(request, "", "")}}
}

func TestClosedLoop(t *testing.T) {
	s, sessions := gather(5)
	n, err := s.closedLoop(t.Context(), sessions, 5, time.Nanosecond)
	if err != nil || n < 5 {
		t.Errorf("got %d answers, %v; want one for each goroutine at least", n, err)
	}
	sessions[0].user = "bob"
	if n, err := s.closedLoop(t.Context(), sessions, 5, time.Hour); err == nil {
		t.Errorf("got %d answers, all of another user", n)
	}
}

// Requests come at their rate although none is answered before all are there.
func TestOpenLoop(t *testing.T) {
	s, sessions := gather(20)
	took, err := s.openLoop(t.Context(), sessions, 1000, 20*time.Millisecond)
	if err != nil || len(took) != 20 {
		t.Fatalf("got %d answers, %v; want 20", len(took), err)
	}
	if most := took[19]; most < 19*time.Millisecond { // the first waits for the last
		t.Errorf("got answers after %v at most", most)
	}
	sessions[0].user = "bob"
	if _, err := s.openLoop(t.Context(), sessions, 1000, 20*time.Millisecond); err == nil {
		t.Error("got no error for answers of another user")
	}
}

func TestRounds(t *testing.T) {
	b := &bench{}
	for _, name := range []string{"a", "b", "c"} {
		s := &system{costs: [operations]commands{request: {}}}
		if name == "b" {
			s.costs[list] = commands{}
		}
		b.contenders = append(b.contenders, &contender{contestant: contestant{name: name}, system: s})
	}
	for _, test := range []struct {
		round int
		o     operation
		want  string
	}{{0, request, "abc"}, {1, request, "bca"}, {2, request, "cab"}, {3, request, "abc"}, {1, list, "b"}, {1, count, ""}} {
		got := ""
		b.inTurn(test.round, test.o, func(c *contender) error {
			got += c.name
			return nil
		})
		if got != test.want {
			t.Errorf("round %d of %s: got %s, want %s", test.round, test.o, got, test.want)
		}
	}
}

func TestWording(t *testing.T) {
	for d, want := range map[time.Duration]string{
		999: "999 ns", 1_000: "1.00 µs", 28_310: "28.3 µs", 999_999: "1000 µs", 1_234_567: "1.23 ms", 99_960_000: "100 ms", 5_210_000_000: "5.21 s", 123 * time.Second: "123 s",
	} {
		if got := span(d); got != want {
			t.Errorf("%d: got %s, want %s", d, got, want)
		}
	}
	for x, want := range map[float64]string{0.0234: "0.023", 0.11: "0.11", 1: "1.00", 23.456: "23.46", 2286.4: "2,286"} {
		if got := times(x); got != want {
			t.Errorf("%v: got %s, want %s", x, got, want)
		}
	}
}

// The ratio is of rounds, and not of what their medians are.
func TestRatios(t *testing.T) {
	at := cell{request, 1, 0}
	of := func(name string, took ...time.Duration) *contender {
		c := &contender{contestant: contestant{name: name}, results: map[cell][]figures{}}
		for _, d := range took {
			c.add(at, figures{took: d})
		}
		return c
	}
	c := of("c", 200, 100, 900)
	b := &bench{contenders: []*contender{of(baseline, 100, 50, 100), c}}
	if got, want := b.spread(c, at, baseline, took), "2.00 (2.00–9.00)"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	bars := b.barsOf(at, baseline)
	if len(bars) != 2 || bars[0].label != "1" || bars[1].value != 2 || bars[1].least != 2 || bars[1].most != 9 {
		t.Errorf("got %+v", bars)
	}
}

func TestDraw(t *testing.T) {
	bars := []bar{{name: "a <b>", kind: part, value: 1, least: 1, most: 1, label: "1"}, {name: "c", kind: ours, value: 2, least: 1.5, most: 90, label: "2.00"}}
	c := &chart{"x", []panel{{"Title & more", "note", 1, bars}}}
	for _, th := range themes {
		d := c.draw(th)
		if d.Bars[1].Width < 1.99*d.Bars[0].Width || d.Bars[1].Width > 2.01*d.Bars[0].Width {
			t.Errorf("%s: bars of 1 and 2 are %v and %v wide", th.name, d.Bars[0].Width, d.Bars[1].Width)
		}
		if d.Bars[0].Color == d.Bars[1].Color || d.Bars[1].X+d.Bars[1].Width > barsFrom+barsWidth {
			t.Errorf("%s: got the bars %+v", th.name, d.Bars)
		}
		svg, err := c.svg(th)
		if err != nil || wellFormed([]byte(svg)) != nil || !strings.Contains(svg, "a &lt;b&gt;") || !strings.Contains(svg, th.background) {
			t.Errorf("%s: got %v, %s", th.name, err, svg)
		}
	}
	if got, want := c.alt(), "Title & more: a <b> 1, c 2.00"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := c.picture(); !strings.Contains(got, `srcset="images/x-dark.svg"`) || !strings.Contains(got, `alt="Title &amp; more: a &lt;b&gt; 1, c 2.00"`) {
		t.Errorf("got %s", got)
	}
}

func TestOpenFails(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(ctx, []string{"-short"}, io.Discard, io.Discard); err == nil {
		t.Error("no error without a server")
	}
}
