package faults

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ticketstore/ticketstore"
)

var simulations = flag.Int("runs", defaultRuns, "how many simulations to run")

const events = 24 // of a simulation

// An event is something that happens to a site.
type event struct {
	What     string
	Browser  int
	Instance int
	N        int
	Lost     bool          // the response
	D        time.Duration // that pass, or that it takes
}

func (e event) String() string {
	switch e.What {
	case "wait":
		return fmt.Sprintf("%v pass", e.D)
	case "hang":
		return fmt.Sprintf("Redis hangs for %v", e.D)
	case "clock":
		return fmt.Sprintf("instance %d: its clock is off by %v", e.Instance, e.D)
	case "bad", "good":
		return "the network gets " + e.What
	case "flush":
		return "Redis forgets its scripts"
	}
	text := fmt.Sprintf("browser %d, instance %d: %s", e.Browser, e.Instance, e.What)
	if e.Lost {
		text += "; the response is lost"
	}
	return text
}

// deck is what happens, and how often.
var deck = map[string]int{
	"sign in": 14, "page": 30, "page, two tabs": 5, "rotate": 8, "rotate, two tabs": 2, "change": 6, "change, two tabs": 2, "sign in, two tabs": 1,
	"sign out": 4, "revoke": 3, "revoke others": 2, "revoke all": 2, "delete by hand": 1, "steal a cookie": 1,
	"clock": 2, "flush": 1, "hang": 3, "bad": 5, "good": 4, "wait": 16,
}

// program returns what happens in a simulation.
func program(seed uint64, length int) []event {
	var all []string
	for what, n := range deck {
		all = append(all, slices.Repeat([]string{what}, n)...)
	}
	slices.Sort(all)
	random := rand.New(rand.NewPCG(seed, 0))
	one := func(of ...time.Duration) time.Duration { return of[random.IntN(len(of))] }
	events := make([]event, length)
	for i := range events {
		e := event{What: all[random.IntN(len(all))], Browser: random.IntN(3), Instance: random.IntN(2), N: random.IntN(100), Lost: random.IntN(8) == 0}
		switch e.What {
		case "wait":
			e.D = one(time.Second, 15*time.Second, 4*time.Minute, 12*time.Minute, 26*time.Minute, 31*time.Minute)
		case "hang":
			e.D = one(700*time.Millisecond, 1500*time.Millisecond, 2500*time.Millisecond, 6*time.Second)
		case "clock":
			e.D = one(0, 20*time.Second, -20*time.Second, 90*time.Second, -90*time.Second)
		}
		events[i] = e
	}
	events[0].What = "sign in"
	return events
}

// A browser is somebody's.
type browser struct {
	user string
	jar  *cookiejar.Jar
}

var siteURL = &url.URL{Scheme: "https", Host: "site.example", Path: "/"}

func newBrowser(user string) *browser {
	jar, _ := cookiejar.New(nil) // never fails
	return &browser{user, jar}
}

func (b *browser) cookie() string {
	for _, c := range b.jar.Cookies(siteURL) {
		return c.Value
	}
	return ""
}

// happen has an event happen.
func (w *world) happen(e event) {
	b := w.browsers[e.Browser]
	name, tabs := strings.CutSuffix(e.What, ", two tabs")
	paths := map[string]string{
		"sign in": "/login", "sign out": "/logout", "page": "/page", "rotate": "/rotate", "change": fmt.Sprintf("/change?%d", w.next()),
		"revoke": "/revoke?" + w.pick(b.user, e.N), "revoke others": "/others", "revoke all": "/all",
	}
	switch name {
	case "wait":
		time.Sleep(e.D)
	case "hang":
		w.net.hangs.Store(time.Now().Add(e.D).UnixNano())
	case "bad":
		w.net.bad.Store(true)
	case "good":
		w.heal()
	case "flush":
		if !w.net.unfit() {
			w.clients[0].ScriptFlush(context.Background())
		}
	case "clock":
		w.instances[e.Instance].skew.Store(int64(e.D))
	case "delete by hand":
		id := w.pick(b.user, e.N)
		for _, key := range w.net.redis.Keys() {
			if id != "" && strings.HasSuffix(key, id) {
				w.net.redis.Del(key)
				w.about(id, func(f *facts) { f.ended = w.next() })
			}
		}
	case "steal a cookie":
		from := w.browsers[e.N%len(w.browsers)]
		if from != b && from.user == b.user && from.cookie() != "" {
			b.jar.SetCookies(siteURL, from.jar.Cookies(siteURL))
			for _, c := range b.jar.Cookies(siteURL) {
				b.jar.SetCookies(siteURL, []*http.Cookie{{Name: c.Name, Value: c.Value, Path: "/", Secure: true}})
			}
			w.about(w.ids[b.cookie()], func(f *facts) { f.shared = true })
		}
	default:
		if !tabs {
			w.request(e, b, w.instances[e.Instance], paths[name])
			return
		}
		var group sync.WaitGroup
		for _, i := range w.instances {
			group.Go(func() { w.request(e, b, i, paths[name]) })
		}
		group.Wait()
	}
}

// pick returns the ID of a session of user that has been handed out, or "".
func (w *world) pick(user string, n int) string {
	var ids []string
	for id, f := range w.sessions {
		if f.user == user {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return ""
	}
	slices.SortFunc(ids, func(a, b string) int { return w.sessions[a].handed - w.sessions[b].handed })
	return ids[n%len(ids)]
}

// heal ends what is wrong with the network, and with the connections that it
// has left.
func (w *world) heal() {
	if !w.net.bad.Swap(false) {
		return
	}
	time.Sleep(settled)
	for _, c := range w.clients {
		for range 5 {
			conn := c.Conn()
			defer conn.Close()
			for range 3 {
				conn.Ping(context.Background())
			}
		}
	}
}

// request makes a request and checks the answer.
func (w *world) request(e event, b *browser, i *instance, path string) {
	w.mu.Lock()
	v := &visit{user: b.user, cookie: b.cookie(), begun: w.next(), sent: time.Now()}
	id := w.ids[v.cookie]
	lived := w.sessions[id] != nil && w.sessions[id].lives() // before another tab used it
	w.mu.Unlock()
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), visitKey{}, v))
	defer cancel()
	if e.Lost && e.N%2 == 0 { // the browser hangs up
		defer time.AfterFunc(time.Duration(e.N)*20*time.Millisecond, cancel).Stop()
	}
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "https://site.example"+path, nil)
	for _, c := range b.jar.Cookies(siteURL) {
		r.AddCookie(c)
	}
	unfit := w.net.unfit()
	recorder := httptest.NewRecorder()
	i.ServeHTTP(recorder, r)
	res := recorder.Result()
	unfit = unfit || w.net.unfit() || ctx.Err() != nil

	w.mu.Lock()
	defer w.mu.Unlock()
	if !e.Lost {
		b.jar.SetCookies(siteURL, res.Cookies())
	}
	now := time.Now()
	f := w.sessions[id]
	if f == nil {
		f = &facts{name: "no session", perhaps: true}
	}
	w.requests++
	if revoked := w.sessions[r.URL.RawQuery]; revoked != nil {
		path = "/revoke of " + revoked.name
	}
	w.say("    %v, %s: %d, %v", f.name, path, res.StatusCode, now.Sub(v.sent))
	f.touched = now
	rotating := f.shared || now.Sub(f.rotated) < grace+settled
	switch res.StatusCode {
	case http.StatusOK:
		slid := f.till.Sub(now) > idle-renewal-2*maxSkew || f.till.Sub(f.began) > lifetime-2*maxSkew
		if e.What == "page" && !unfit && !i.late() && !rotating && !slid {
			w.fail("%s was used and lives only until %v", f.name, f.till)
		}
	case http.StatusUnauthorized:
		if lived && f.lives() && !f.shared {
			w.fail("%s: signed out of it", f.name)
		}
	case http.StatusConflict:
		// What another instance has revoked a moment before, or Redis has just
		// got to, refuses a sign-in that may have begun before that.
		marked := path == "/login" && now.Sub(w.marked[b.user]) < 15*time.Second
		if !unfit && !rotating && !marked {
			w.fail("%s: %s", f.name, recorder.Body)
		}
	default:
		if !unfit && !i.late() {
			w.fail("%s: %s: %s", path, res.Status, recorder.Body)
		}
	}
}

// finish checks what is left: that all sessions are listed and counted, and that
// nothing outlives the last one.
func (w *world) finish() {
	time.Sleep(10 * time.Second) // Redis may hang
	w.heal()
	for _, i := range w.instances {
		i.skew.Store(0)
	}
	if w.wrong != "" {
		return
	}
	for _, b := range w.browsers {
		w.request(event{}, b, w.instances[0], "/page")
	}
	opened := w.try()
	ctx := context.Background()
	listed, users := 0, 0
	seen := map[string]bool{}
	for _, b := range w.browsers {
		if seen[b.user] {
			continue
		}
		seen[b.user] = true
		list, err := w.instances[0].store.Sessions(ctx, b.user)
		if err != nil {
			w.fail("Sessions: %v", err)
		}
		found := map[string]bool{}
		for _, s := range list {
			found[s.ID] = true
		}
		for id, f := range w.sessions {
			if f.user == b.user && f.ended > 0 && found[id] {
				w.fail("%s has ended and is listed", f.name)
			}
			if f.user == b.user && f.lives() && !opened[id] {
				w.fail("%s lives, and no key opens it", f.name)
			}
			if f.user == b.user && opened[id] && !found[id] {
				w.fail("%s can be opened and is not listed", f.name)
			}
		}
		if listed += len(list); len(list) > 0 {
			users++
		}
	}
	if w.net.seed%4 == 0 { // it takes miniredis long
		got, err := w.instances[0].count(ctx)
		if want := (ticketstore.Counts{Subjects: int64(users), Sessions: int64(listed)}); err != nil || got != want {
			w.fail("Count: got %+v, %v, want %+v", got, err, want)
		}
	}
	time.Sleep(lifetime + 2*maxSkew)
	if keys := w.net.redis.Keys(); len(keys) > 0 {
		w.fail("left in Redis: %q", keys)
	}
}

// try tries each cookie that was handed out, and returns which sessions it opens.
func (w *world) try() (opened map[string]bool) {
	opened = map[string]bool{}
	for _, c := range w.cookies {
		v := &visit{user: w.sessions[w.ids[c.Value]].user, cookie: c.Value, begun: w.next(), sent: time.Now()}
		r := httptest.NewRequestWithContext(context.WithValue(context.Background(), visitKey{}, v), http.MethodGet, "https://site.example/page", nil)
		r.AddCookie(c)
		recorder := httptest.NewRecorder()
		if w.instances[0].ServeHTTP(recorder, r); recorder.Code == http.StatusOK {
			opened[w.ids[c.Value]] = true
		}
	}
	return opened
}

// A tally is what came in simulations.
type tally struct{ runs, events, sessions, requests, faults int }

func (t *tally) add(o tally) {
	t.runs += o.runs
	t.events += o.events
	t.sessions += o.sessions
	t.requests += o.requests
	t.faults += o.faults
}

// A run is a simulation, and what came of it.
type run struct {
	seed   uint64
	events []event
	wrong  string // or ""
	tally  tally
	trace  []func() string
}

// simulate has events happen.
func (m mutant) simulate(t *testing.T, seed uint64, events []event) *run {
	r := &run{seed: seed, events: events}
	synctest.Test(t, func(t *testing.T) {
		w, err := newWorld(seed, []mode{direct, batched}, []string{"alice", "alice", "bob"}, m)
		if err != nil {
			t.Fatal(err)
		}
		for n, e := range events {
			w.say("%d. %v", n+1, e)
			if w.happen(e); w.wrong != "" {
				break
			}
		}
		w.say("the end")
		w.finish()
		w.close()
		time.Sleep(settled) // what is under way ends
		r.wrong, r.trace = w.wrong, w.trace
		r.tally = tally{1, len(events), len(w.sessions), w.requests, int(w.net.faults.Load())}
	})
	return r
}

func (r *run) String() string {
	var b strings.Builder
	for _, line := range r.trace {
		b.WriteString(line() + "\n")
	}
	return b.String() + r.wrong
}

// A mutant is what a store is wrapped in, to break it.
type mutant func(*world, sessionStore) sessionStore

// runs simulates programs of so many seeds, from the first one on, on all
// processors, until one fails, or the test's -timeout is a minute away.
func (m mutant) runs(t *testing.T, from uint64, n int) (seen tally, failed *run) {
	defer debug.SetGCPercent(debug.SetGCPercent(800)) // it takes half of the time otherwise
	timeout, limited := t.Deadline()
	var mu sync.Mutex
	var next atomic.Uint64
	t.Run("runs", func(t *testing.T) {
		for range runtime.GOMAXPROCS(0) {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				for i := next.Add(1) - 1; i < uint64(n); i = next.Add(1) - 1 {
					r := m.simulate(t, from+i, program(from+i, events))
					mu.Lock()
					seen.add(r.tally)
					if r.wrong != "" && (failed == nil || r.seed < failed.seed) {
						failed = r
					}
					stop := failed != nil || limited && time.Until(timeout) < time.Minute
					mu.Unlock()
					if stop {
						return
					}
				}
			})
		}
	})
	return seen, failed
}

// reduced returns a run of a shorter program that still fails: without any one
// of its events, it does not.
func (m mutant) reduced(t *testing.T, r *run) *run {
	for size := len(r.events) / 2; size > 0; {
		shorter := false
		for from := 0; from+size <= len(r.events); {
			fewer := m.simulate(t, r.seed, slices.Delete(slices.Clone(r.events), from, from+size))
			if fewer.wrong != "" {
				r, shorter = fewer, true
			} else {
				from++
			}
		}
		if size > 1 || !shorter {
			size /= 2
		}
	}
	return r
}

// Whatever happens to a site, in whatever order: what has ended does not come
// back and ends in time, nobody is signed out by an outage or a lost reply, no
// change is lost, nobody gets another's session, and what is handed out is listed
// and counted.
func TestSimulation(t *testing.T) {
	from := seeded(t)
	seen, failed := mutant(nil).runs(t, from, *simulations)
	t.Logf("%+v", seen)
	if failed == nil {
		noteSimulations(from, seen)
		return
	}
	t.Errorf("simulation %d; to see it again: go test . -run Simulation -seed %d\n%v", seen.runs, failed.seed, failed)
	t.Logf("The shortest program that fails:\n%v", mutant(nil).reduced(t, failed))
}
