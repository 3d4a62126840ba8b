package ticketstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A desk is a site where operators act as users, with endings and events.
type desk struct {
	*site
	recorder
	hooks *hookedStore
	desks map[string]Key // of operators' sessions
}

func newDesk(t *testing.T, b *backend, cfg Config) *desk {
	t.Helper()
	d := &desk{hooks: &hookedStore{RedisStore: b.store(t, RedisConfig{History: 10 * time.Hour})}}
	cfg.Observer = d.observe
	if cfg.LoginPath == "" {
		cfg.LoginPath = "/login"
	}
	d.site = newSiteOn(t, b, d.hooks, cfg)
	d.store = d.hooks.RedisStore
	m := d.manager
	pages := d.handler
	mux := http.NewServeMux()
	mux.Handle("/", pages)
	mux.HandleFunc("/status", m.Status().ServeHTTP)
	mux.Handle("/recent", m.RequireRecent(time.Hour, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })))
	mux.Handle("/password", m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := m.RevokeOthers(r)
		if err == nil {
			_, err = m.Rotate(w, r, nil)
		}
		answer(w, err)
	})))
	mux.Handle("/everywhere", m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := m.RevokeAll(w, r)
		answer(w, err)
	})))
	d.handler = mux
	return d
}

// A browser keeps cookies, and follows no redirect.
type browser struct {
	*desk
	cookies map[string]*http.Cookie
}

func (d *desk) browser(t testing.TB, user string) *browser {
	t.Helper()
	b := &browser{d, map[string]*http.Cookie{}}
	if user != "" {
		wantStatus(t, b.post(t, "/login?user="+user), http.StatusOK)
	}
	return b
}

// as returns a browser whose user acts as another.
func (d *desk) as(t testing.TB, operator, user string) *browser {
	t.Helper()
	b := d.browser(t, operator)
	wantStatus(t, b.post(t, "/as?user="+user), http.StatusOK)
	b.wantUser(t, user)
	return b
}

func (b *browser) send(t testing.TB, r *http.Request) *http.Response {
	t.Helper()
	res := b.serve(r)
	for _, c := range res.Cookies() {
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		} else {
			b.cookies[c.Name] = c
		}
	}
	return res
}

func (b *browser) request(t testing.TB, method, target string) *http.Request {
	var cookies []*http.Cookie
	for _, c := range b.cookies {
		cookies = append(cookies, c)
	}
	return b.desk.request(t, method, target, cookies...)
}

func (b *browser) post(t testing.TB, target string) *http.Response {
	t.Helper()
	return b.send(t, b.request(t, "POST", target))
}

// open goes to a page, as browsers do.
func (b *browser) open(t testing.TB, target string) *http.Response {
	t.Helper()
	r := b.request(t, "GET", target)
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	return b.send(t, r)
}

// wantUser checks who the browser is for a page that does not demand to know,
// and that no cookie comes with it.
func (b *browser) wantUser(t testing.TB, want string) {
	t.Helper()
	res := b.send(t, b.request(t, "GET", "/"))
	wantStatus(t, res, http.StatusOK)
	wantNoCookie(t, res)
	if got := body(res); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// wantBack checks that the next page brings the operator back.
func (b *browser) wantBack(t testing.TB, operator string) {
	t.Helper()
	res := b.open(t, "/me?page=2")
	wantStatus(t, res, http.StatusSeeOther)
	if got := res.Header.Get("Location"); got != "/me?page=2" || len(res.Cookies()) != 2 {
		t.Errorf("got a redirect to %q with %q, want the same page and both cookies", got, res.Header["Set-Cookie"])
	}
	b.wantCookies(t, "__Host-session")
	b.wantUser(t, operator)
}

func (b *browser) wantCookies(t testing.TB, want ...string) {
	t.Helper()
	var got []string
	for name := range b.cookies {
		got = append(got, name)
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("got the cookies %q, want %q", got, want)
	}
}

func (b *browser) copy() *browser {
	c := &browser{b.desk, map[string]*http.Cookie{}}
	for name, cookie := range b.cookies {
		c.cookies[name] = cookie
	}
	return c
}

func (b *browser) key(t testing.TB) Key { return b.desk.key(t, b.cookies["__Host-session"]) }

// list returns a user's sessions, newest first, as "operator" or "-".
func (d *desk) list(t testing.TB, user string) string {
	t.Helper()
	sessions, err := d.store.Sessions(d.ctx(t), user)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, s := range sessions {
		if s.Actor != nil {
			list = append(list, s.Actor.Subject+": "+s.Actor.Reason)
		} else {
			list = append(list, "-")
		}
	}
	return strings.Join(list, ", ")
}

func (d *desk) wantList(t testing.TB, user, want string) {
	t.Helper()
	if got := d.list(t, user); got != want {
		t.Errorf("sessions of %s: got %q, want %q", user, got, want)
	}
}

// wantEnding checks how the session of user that ended last did.
func (d *desk) wantEnding(t testing.TB, user, cause, by, operator string) {
	t.Helper()
	history, err := d.store.History(d.ctx(t), user)
	if err != nil || len(history) == 0 {
		t.Fatalf("history of %s: got %v, %v", user, history, err)
	}
	got, actor := history[0], ""
	if got.Session.Actor != nil {
		actor = got.Session.Actor.Subject
	}
	if got.Cause != cause || got.By != by || actor != operator {
		t.Errorf("got %q by %q of %q, want %q by %q of %q", got.Cause, got.By, actor, cause, by, operator)
	}
}

func (d *desk) wantTold(t testing.TB, want ...string) {
	t.Helper()
	_, events := d.take()
	var got []string
	for _, e := range events {
		got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %s/%s", e.Kind, e.Cause, e.Subject, e.Actor)))
	}
	if !slices.Equal(got, want) {
		t.Errorf("was told %q, want %q", got, want)
	}
}

func TestImpersonation(t *testing.T) {
	eachMode(t, func(t *testing.T, b *backend) {
		d := newDesk(t, b, Config{})
		alice, olga := d.browser(t, "alice"), d.browser(t, "olga")
		d.take()
		wantStatus(t, olga.post(t, "/as?user=alice"), http.StatusOK)
		d.wantTold(t, "impersonated  alice/olga")
		olga.wantCookies(t, "__Host-session", "__Host-session-operator")
		olga.wantUser(t, "alice")
		d.wantList(t, "alice", "olga: ticket 4711, -")
		d.wantList(t, "olga", "-")

		// She is alice until she is herself again.
		d.take()
		wantStatus(t, olga.post(t, "/renew?set=x"), http.StatusOK)
		wantStatus(t, olga.post(t, "/rotate"), http.StatusOK)
		olga.wantUser(t, "alice")
		d.wantTold(t, "renewed changed alice/olga", "rotated  alice/olga")
		wantStatus(t, olga.post(t, "/back"), http.StatusOK)
		d.wantTold(t, "ended impersonation-ended alice/olga")
		d.wantEnding(t, "alice", "impersonation-ended", "olga", "olga")
		olga.wantCookies(t, "__Host-session")
		olga.wantUser(t, "olga")
		alice.wantUser(t, "alice")
		d.wantList(t, "alice", "-")
		wantStatus(t, olga.post(t, "/back"), http.StatusConflict)
		olga.wantUser(t, "olga")

		// The user signs everybody else out.
		wantStatus(t, olga.post(t, "/as?user=alice"), http.StatusOK)
		wantStatus(t, alice.post(t, "/password"), http.StatusOK)
		d.wantEnding(t, "alice", "revoked", "", "olga")
		olga.wantUser(t, "-")
		olga.wantBack(t, "olga")
		alice.wantUser(t, "alice")
	})
}

// After the end of an impersonation nothing but a page that the operator goes
// to brings them back: what was meant for the user is not done as the operator.
func TestImpersonationThatHasEnded(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		d := newDesk(t, b, Config{})
		olga := d.as(t, "olga", "alice")
		if _, err := d.store.RevokeAll(d.ctx(t), "alice"); err != nil {
			t.Fatal(err)
		}
		olga.wantUser(t, "-")
		for _, test := range []struct {
			method, mode string
			want         int
		}{
			{"GET", "cors", http.StatusUnauthorized},
			{"POST", "cors", http.StatusUnauthorized},
			{"POST", "navigate", http.StatusSeeOther},
			{"HEAD", "navigate", http.StatusFound},
		} {
			r := olga.request(t, test.method, "/me")
			r.Header.Set("Sec-Fetch-Mode", test.mode)
			res := olga.send(t, r)
			wantStatus(t, res, test.want)
			wantNoCookie(t, res)
			if to := res.Header.Get("Location"); to != "" && !strings.HasPrefix(to, "/login?") {
				t.Errorf("%s: got a redirect to %q, want the login page", test.method, to)
			}
		}
		if _, err := d.manager.Renew(olga.request(t, "POST", "/"), nil); !errors.Is(err, ErrNotFound) {
			t.Errorf("Renew: got %v, want ErrNotFound", err)
		}
		wantStatus(t, olga.post(t, "/as?user=bob"), http.StatusConflict)
		b.mini0(func() {
			res := olga.open(t, "/me")
			wantStatus(t, res, http.StatusServiceUnavailable)
			wantNoCookie(t, res)
		})
		again := olga.copy()
		olga.wantBack(t, "olga")

		wantStatus(t, again.post(t, "/back"), http.StatusOK) // does the same
		again.wantCookies(t, "__Host-session")
		again.wantUser(t, "olga")
	})
}

// mini0 calls f while miniredis answers nothing.
func (b *backend) mini0(f func()) {
	if b.mini != nil {
		b.mini.SetError("LOADING")
		f()
		b.mini.SetError("")
	}
}

// With the end of the operator's session ends what they do as others.
func TestOperatorSignedOut(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		for name, out := range map[string]func(d *desk, op *Ticket) error{
			"revoked": func(d *desk, op *Ticket) error { _, err := d.store.RevokeAll(d.ctx(t), op.Subject); return err },
			"expired": func(d *desk, op *Ticket) error {
				op = op.Clone()
				op.EndsAt, op.ExpiresAt = d.now().Add(10*time.Minute), d.now().Add(10*time.Minute)
				return d.store.Renew(d.ctx(t), d.desks[op.ID], op)
			},
		} {
			d := newDesk(t, b, Config{})
			before := d.browser(t, "olga")
			op := d.ticket(t, before.cookies["__Host-session"])
			d.desks = map[string]Key{op.ID: before.key(t)}
			olga := before.copy()
			wantStatus(t, olga.post(t, "/as?user=alice"), http.StatusOK)
			live := d.live(t, olga)
			if err := out(d, op); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if name == "expired" {
				b.advance(10 * time.Minute)
				d.passes(t, liveInterval)
			}
			wantDone(t, name, live)
			d.take()
			olga.wantUser(t, "-")
			d.wantList(t, "alice", "")
			d.wantEnding(t, "alice", "operator-signed-out", "olga", "olga")
			_, events := d.take()
			if len(events) != 2 || events[0].Cause != "operator-signed-out" || events[1].Cause != "no-operator" {
				t.Errorf("%s: was told %+v", name, events)
			}
			res := olga.open(t, "/me")
			wantStatus(t, res, http.StatusFound)
			wantNoCookie(t, res)
			wantStatus(t, olga.post(t, "/back"), http.StatusConflict)
			olga.wantCookies(t)
		}
	})
}

func (d *desk) live(t testing.TB, b *browser) context.Context {
	t.Helper()
	live, err := d.manager.Live(b.request(t, "GET", "/"))
	if err != nil {
		t.Fatal(err)
	}
	return live
}

func TestLiveImpersonation(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		d := newDesk(t, b, Config{})
		olga, other := d.as(t, "olga", "alice"), d.as(t, "olga", "alice")
		live, goes := d.live(t, olga), d.live(t, other)
		wantStatus(t, other.post(t, "/logout"), http.StatusOK)
		wantDone(t, "after the operator's sign-out", goes)
		wantLive(t, "of the other one", live)
		wantStatus(t, olga.post(t, "/back"), http.StatusOK)
		wantDone(t, "after the end of the impersonation", live)
		if !eventually(func() bool {
			d.manager.live.mu.Lock()
			defer d.manager.live.mu.Unlock()
			return d.manager.live.watch == nil
		}) {
			t.Error("something is watched for ever")
		}
	})
}

// The cookie of an impersonation is worth nothing without its operator's.
func TestStolenImpersonation(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		d := newDesk(t, b, Config{})
		olga, oscar := d.as(t, "olga", "alice"), d.as(t, "oscar", "bob")
		bystander := d.browser(t, "alice")
		nobody := d.browser(t, "nobody")
		gone := nobody.cookies["__Host-session"]
		wantStatus(t, nobody.post(t, "/logout"), http.StatusOK)
		signed := func(key Key) *http.Cookie {
			value, err := d.manager.cookieValue(d.request(t, "GET", "/"), d.manager.operatorCookie, key)
			if err != nil {
				t.Fatal(err)
			}
			return &http.Cookie{Name: "__Host-session-operator", Value: value}
		}
		forged := *olga.cookies["__Host-session-operator"]
		forged.Value += "x"
		for name, operator := range map[string]*http.Cookie{
			"none":                     nil,
			"a forged one":             &forged,
			"another operator's":       oscar.cookies["__Host-session-operator"],
			"the user's":               signed(bystander.key(t)),
			"the impersonation itself": signed(olga.key(t)),
			"one that has ended":       signed(d.key(t, gone)),
		} {
			thief := olga.copy()
			delete(thief.cookies, "__Host-session-operator")
			if operator != nil {
				thief.cookies["__Host-session-operator"] = operator
			}
			d.take()
			thief.wantUser(t, "-")
			d.wantTold(t, "rejected no-operator alice/olga")
			res := thief.open(t, "/me")
			wantStatus(t, res, http.StatusFound)
			wantNoCookie(t, res)
			if _, err := d.manager.Live(thief.request(t, "GET", "/")); !errors.Is(err, ErrNotFound) {
				t.Errorf("%s: Live: got %v, want ErrNotFound", name, err)
			}
			if _, err := d.manager.Resolve(thief.request(t, "GET", "/")); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "operator") {
				t.Errorf("%s: Resolve: got %v, want ErrNotFound, and why", name, err)
			}
			if _, err := d.manager.RevokeAll(httptest.NewRecorder(), thief.request(t, "POST", "/")); !errors.Is(err, ErrNotFound) {
				t.Errorf("%s: RevokeAll: got %v, want ErrNotFound", name, err)
			}
			if got := body(thief.send(t, thief.request(t, "GET", "/status"))); got != `{"signedIn":false}` {
				t.Errorf("%s: Status: got %s", name, got)
			}
			wantStatus(t, thief.post(t, "/as?user=carol"), http.StatusConflict)
			wantStatus(t, thief.post(t, "/back"), http.StatusConflict)
			olga.wantUser(t, "alice")
		}
		// The operator's cookie alone is theirs, under the name of the other one
		// it is nothing, and beside another key it does not count.
		alone := olga.copy()
		alone.cookies["__Host-session"].Value = alone.cookies["__Host-session-operator"].Value
		alone.wantUser(t, "-")
		both := olga.copy()
		both.cookies["__Host-session"] = bystander.cookies["__Host-session"]
		both.wantUser(t, "alice")
		wantStatus(t, both.open(t, "/me"), http.StatusOK)
		for _, c := range []string{olga.cookies["__Host-session"].Value, olga.cookies["__Host-session-operator"].Value} {
			if strings.Contains(d.logs.String(), c) {
				t.Error("a cookie is in the logs")
			}
		}
	})
}

func TestImpersonateRefuses(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		d := newDesk(t, b, Config{})
		olga := d.browser(t, "olga")
		old := olga.copy()
		wantStatus(t, olga.post(t, "/rotate"), http.StatusOK)
		nested := d.as(t, "olga", "alice")
		two := olga.copy()
		two.cookies["another"] = d.browser(t, "olga").cookies["__Host-session"]
		in := d.ticket(t, d.browser(t, "carol").cookies["__Host-session"])
		within := func(change func(*Ticket)) *Ticket {
			tk := NewTicket("bob", Claim{Type: "name", Value: "Bob"})
			change(tk)
			return tk
		}
		before := d.keys(t)
		for name, test := range map[string]struct {
			by     *browser
			ticket *Ticket
			reason string
			want   error
		}{
			"anonymous":           {d.browser(t, ""), NewTicket("bob"), "x", ErrNotFound},
			"a rotated key":       {old, NewTicket("bob"), "x", ErrConflict},
			"nested":              {nested, NewTicket("bob"), "x", ErrConflict},
			"keys of two":         {two, NewTicket("bob"), "x", ErrConflict},
			"oneself":             {olga, NewTicket("olga"), "x", ErrInvalidTicket},
			"no subject":          {olga, NewTicket(""), "x", ErrInvalidTicket},
			"a ticket in use":     {olga, in, "x", ErrInvalidTicket},
			"an actor":            {olga, within(func(tk *Ticket) { tk.Identities[0].Actor = &Identity{AuthenticationType: "x"} }), "x", ErrInvalidTicket},
			"an actor of ours":    {olga, impersonatedTicket("bob"), "x", ErrInvalidTicket},
			"no reason":           {olga, NewTicket("bob"), "", ErrInvalidTicket},
			"a reason of 2 lines": {olga, NewTicket("bob"), "x\ny", ErrInvalidTicket},
			"past":                {olga, within(func(tk *Ticket) { tk.EndsAt = d.now().Add(-time.Hour) }), "x", ErrInvalidTicket},
		} {
			w := httptest.NewRecorder()
			was := test.ticket.Clone()
			r := test.by.request(t, "POST", "/")
			if name == "keys of two" {
				r = d.request(t, "POST", "/", olga.cookies["__Host-session"], &http.Cookie{Name: "__Host-session", Value: two.cookies["another"].Value})
			}
			err := d.manager.Impersonate(w, r, test.ticket, test.reason)
			if !errors.Is(err, test.want) {
				t.Errorf("%s: got %v, want %v", name, err, test.want)
			}
			wantNoCookie(t, w.Result())
			if test.ticket.ID != was.ID || test.ticket.SignedInAt != was.SignedInAt || len(test.ticket.Identities) != len(was.Identities) {
				t.Errorf("%s: the ticket has changed: %+v", name, test.ticket)
			}
		}
		if got := d.keys(t); len(got) != len(before) {
			t.Errorf("got %d keys in Redis, want %d: %q", len(got), len(before), got)
		}
		nested.wantUser(t, "alice")

		// SignIn does not do it by the back door, nor does a change.
		if err := d.manager.SignIn(httptest.NewRecorder(), olga.request(t, "POST", "/"), impersonatedTicket("bob")); !errors.Is(err, ErrInvalidTicket) {
			t.Errorf("SignIn: got %v, want ErrInvalidTicket", err)
		}
		for name, change := range map[string]func(*Ticket){
			"no actor":        func(tk *Ticket) { tk.Identities[0].Actor = nil },
			"no identities":   func(tk *Ticket) { tk.Identities = nil },
			"another reason":  func(tk *Ticket) { tk.Identities[0].Actor.Claims[2].Value = "y" },
			"another session": func(tk *Ticket) { tk.Identities[0].Actor.Claims[1].Value = "y" },
			"malformed":       func(tk *Ticket) { tk.Identities[0].Actor.Claims = nil },
			"a later end":     func(tk *Ticket) { tk.EndsAt = tk.EndsAt.Add(time.Hour) },
		} {
			_, err := d.manager.Renew(nested.request(t, "POST", "/"), func(tk *Ticket) error { change(tk); return nil })
			if !errors.Is(err, ErrInvalidTicket) {
				t.Errorf("%s: got %v, want ErrInvalidTicket", name, err)
			}
		}
		_, err := d.manager.Renew(olga.request(t, "POST", "/"), func(tk *Ticket) error {
			tk.Identities = impersonatedTicket("olga").Identities
			return nil
		})
		if !errors.Is(err, ErrInvalidTicket) {
			t.Errorf("an actor by Renew: got %v, want ErrInvalidTicket", err)
		}
	})
}

// A response sets one session, whatever is called for it.
func TestImpersonateInOneResponse(t *testing.T) {
	b := miniBackend(t)
	d := newDesk(t, b, Config{})
	m := d.manager
	as := func(w http.ResponseWriter, r *http.Request) error {
		return m.Impersonate(w, r, NewTicket("alice"), "x")
	}
	in := func(w http.ResponseWriter, r *http.Request) error { return m.SignIn(w, r, NewTicket("bob")) }
	rotate := func(w http.ResponseWriter, r *http.Request) error { _, err := m.Rotate(w, r, nil); return err }
	for name, test := range map[string]struct {
		steps []func(http.ResponseWriter, *http.Request) error
		want  string
		count Counts
		errs  []error
	}{
		"twice":       {[]func(http.ResponseWriter, *http.Request) error{as, as}, "alice", Counts{2, 2}, []error{nil, ErrConflict}},
		"in":          {[]func(http.ResponseWriter, *http.Request) error{as, in}, "bob", Counts{1, 1}, []error{nil, nil}},
		"out":         {[]func(http.ResponseWriter, *http.Request) error{as, m.SignOut}, "-", Counts{}, []error{nil, nil}},
		"rotated":     {[]func(http.ResponseWriter, *http.Request) error{as, rotate}, "alice", Counts{2, 2}, []error{nil, nil}},
		"after in":    {[]func(http.ResponseWriter, *http.Request) error{in, as}, "bob", Counts{1, 1}, []error{nil, ErrNotFound}},
		"back before": {[]func(http.ResponseWriter, *http.Request) error{as, m.EndImpersonation}, "alice", Counts{2, 2}, []error{nil, ErrNotFound}},
	} {
		olga := d.browser(t, "olga")
		w, r := httptest.NewRecorder(), olga.request(t, "POST", "/")
		for i, step := range test.steps {
			if err := step(w, r); !errors.Is(err, test.errs[i]) {
				t.Errorf("%s, step %d: got %v, want %v", name, i, err, test.errs[i])
			}
		}
		names := map[string]int{}
		for _, c := range w.Result().Cookies() {
			names[c.Name]++
			olga.cookies[c.Name] = c
			if c.MaxAge < 0 {
				delete(olga.cookies, c.Name)
			}
		}
		if names["__Host-session"] > 1 || names["__Host-session-operator"] > 1 {
			t.Errorf("%s: got the cookies %v", name, names)
		}
		olga.wantUser(t, test.want)
		if got, err := d.store.Count(d.ctx(t)); err != nil || got != test.count {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, test.count)
		}
		olga.post(t, "/logout")
	}
}

// An impersonation lasts an hour, however active, and keeps its operator in.
func TestImpersonationExpires(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		d := newDesk(t, b, Config{IdleTimeout: 20 * time.Minute})
		start := d.now()
		olga := d.browser(t, "olga")
		tk := NewTicket("alice")
		tk.Persistent, tk.EndsAt, tk.AuthenticatedAt = true, start.Add(10*time.Hour), start.Add(-time.Hour)
		w := httptest.NewRecorder()
		if err := d.manager.Impersonate(w, olga.request(t, "POST", "/"), tk, "x"); err != nil {
			t.Fatal(err)
		}
		for _, c := range w.Result().Cookies() {
			olga.cookies[c.Name] = c
		}
		if tk.Persistent || !tk.EndsAt.Equal(start.Add(time.Hour)) || !tk.AuthenticatedAt.IsZero() || olga.cookies["__Host-session"].MaxAge != 0 {
			t.Errorf("got %+v, want an hour, not persistent, and no proof of who the user is", tk)
		}
		ends := d.live(t, olga)
		for range 6 { // of 9 minutes: both would have idled out
			b.advance(9 * time.Minute)
			olga.wantUser(t, "alice")
		}
		if got := body(olga.send(t, olga.request(t, "GET", "/status"))); got != `{"signedIn":true,"sinceSignIn":3240,"untilIdle":360,"untilEnd":360}` {
			t.Errorf("got the status %s", got)
		}
		b.advance(6*time.Minute - time.Millisecond)
		olga.wantUser(t, "alice")
		b.advance(time.Millisecond)
		d.passes(t, liveInterval)
		wantDone(t, "after an hour", ends)
		olga.wantUser(t, "-")
		olga.wantBack(t, "olga")
	})
}

// A page whose user is active without asking for anything keeps both in.
func TestImpersonationIsUsed(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		d := newDesk(t, b, Config{IdleTimeout: 20 * time.Minute})
		olga := d.as(t, "olga", "alice")
		for _, want := range []string{ // else both would have idled out
			`{"signedIn":true,"sinceSignIn":900,"untilIdle":1200,"untilEnd":2700}`,
			`{"signedIn":true,"sinceSignIn":1800,"untilIdle":1200,"untilEnd":1800}`,
		} {
			b.advance(15 * time.Minute)
			if got := body(olga.post(t, "/status")); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
		olga.wantUser(t, "alice")
	})
}

// The ticket's own end may be gone or late, as with another writer.
func TestImpersonationEndsByItsBeginning(t *testing.T) {
	b := miniBackend(t)
	s := newSite(t, b, Config{})
	tk := impersonatedTicket("alice")
	tk.SignedInAt, tk.IssuedAt, tk.Persistent = b.now(), b.now(), true
	tk.ExpiresAt = b.now().Add(10 * time.Hour)
	if got := s.manager.end(tk); !got.Equal(b.now().Add(time.Hour)) {
		t.Errorf("got the end %v, want in an hour", got)
	}
	if got := s.manager.deadline(tk); got.After(b.now().Add(time.Hour)) {
		t.Errorf("got the deadline %v, want within an hour", got)
	}
}

// An operator who is about to be signed out is not kept in by acting as others.
func TestImpersonationEndsWithTheOperators(t *testing.T) {
	b := miniBackend(t)
	d := newDesk(t, b, Config{IdleTimeout: -1, Lifetime: 2 * time.Hour})
	olga := d.browser(t, "olga")
	b.advance(90 * time.Minute)
	wantStatus(t, olga.post(t, "/as?user=alice"), http.StatusOK)
	olga.wantUser(t, "alice")
	tk := d.ticket(t, olga.cookies["__Host-session"])
	if !tk.EndsAt.Equal(d.now().Add(30 * time.Minute)) {
		t.Errorf("got the end %v, want in half an hour", tk.EndsAt)
	}
	b.advance(30 * time.Minute)
	olga.wantUser(t, "-")
	wantStatus(t, olga.open(t, "/me"), http.StatusFound)
}

// A malformed actor signs nobody in: neither the user nor an operator.
func TestMalformedActor(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		d := newDesk(t, b, Config{})
		olga := d.as(t, "olga", "alice")
		for name, change := range map[string]func(*Ticket){
			"no claims":   func(tk *Ticket) { tk.Identities[0].Actor.Claims = nil },
			"two of them": func(tk *Ticket) { tk.Identities = append(tk.Identities, tk.Identities[0]) },
			"no sign-in":  func(tk *Ticket) { tk.SignedInAt = time.Time{} },
		} {
			tk := d.ticket(t, olga.cookies["__Host-session"])
			whole := tk.Clone()
			change(tk)
			if err := d.store.Renew(d.ctx(t), olga.key(t), tk); err != nil {
				t.Fatal(err)
			}
			olga.wantUser(t, "-")
			if _, err := d.manager.Resolve(olga.request(t, "GET", "/")); !errors.Is(err, ErrUndecodable) || !errors.Is(err, ErrNotFound) {
				t.Errorf("%s: got %v, want ErrUndecodable", name, err)
			}
			whole.Revision = tk.Revision
			if err := d.store.Renew(d.ctx(t), olga.key(t), whole); err != nil {
				t.Fatal(err)
			}
			olga.wantUser(t, "alice")
		}
	})
}

// Whatever signs a browser out or in ends both sessions and takes both cookies.
func TestSignInAndOutOfAnImpersonation(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		d := newDesk(t, b, Config{})
		for _, page := range []string{"/logout", "/login?user=bob"} {
			olga := d.as(t, "olga", "alice")
			d.take()
			wantStatus(t, olga.post(t, page), http.StatusOK)
			if page == "/logout" {
				olga.wantCookies(t)
				d.wantEnding(t, "alice", "signed-out", "olga", "olga")
				d.wantEnding(t, "olga", "signed-out", "olga", "")
				d.wantTold(t, "ended signed-out alice/olga", "ended signed-out olga/")
			} else {
				olga.wantCookies(t, "__Host-session")
				olga.wantUser(t, "bob")
				d.wantTold(t, "ended replaced alice/olga", "ended replaced olga/", "signed-in  bob/")
			}
			d.wantList(t, "alice", "")
			d.wantList(t, "olga", "")
		}
		// What the operator ends as the user is theirs.
		olga, alice := d.as(t, "olga", "alice"), d.browser(t, "alice")
		d.take()
		wantStatus(t, olga.post(t, "/everywhere"), http.StatusOK)
		d.wantTold(t, "ended revoked alice/olga")
		d.wantEnding(t, "alice", "revoked", "olga", "")
		alice.wantUser(t, "-")
		olga.wantBack(t, "olga")
		wantStatus(t, olga.post(t, "/logout"), http.StatusOK)

		// Without an Observer, and outside of Wrap, nothing is different.
		s := newSiteOn(t, b, d.store, Config{})
		olga = d.as(t, "olga", "alice")
		w := httptest.NewRecorder()
		if err := s.manager.SignOut(w, olga.request(t, "POST", "/")); err != nil || len(w.Result().Cookies()) != 2 {
			t.Errorf("got %v and %q, want both cookies deleted", err, w.Header()["Set-Cookie"])
		}
		d.wantList(t, "alice", "")
		d.wantList(t, "olga", "")
	})
}

// A POST from another site, as a sign-in at a provider may end with, comes
// without cookies. It leaves no operator behind whom the next user would become.
func TestSignInWithoutTheBrowsersCookies(t *testing.T) {
	b := miniBackend(t)
	d := newDesk(t, b, Config{})
	olga := d.as(t, "olga", "alice")
	r := d.request(t, "POST", "/login?user=bob")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	wantStatus(t, olga.send(t, r), http.StatusOK)
	olga.wantCookies(t, "__Host-session")
	for _, site := range []string{"same-origin", "same-site", ""} {
		r := d.request(t, "POST", "/login?user=bob")
		r.Header.Set("Sec-Fetch-Site", site)
		onlyCookie(t, d.serve(r))
	}
}

func TestRequireRecentRefusesImpersonations(t *testing.T) {
	b := miniBackend(t)
	var refused []int
	d := newDesk(t, b, Config{ErrorHandler: func(w http.ResponseWriter, _ *http.Request, status int, _ error) {
		refused = append(refused, status)
		w.WriteHeader(status)
	}})
	olga := d.browser(t, "olga")
	wantStatus(t, olga.open(t, "/recent"), http.StatusOK)
	wantStatus(t, olga.post(t, "/as?user=alice"), http.StatusOK)
	res := olga.open(t, "/recent")
	wantStatus(t, res, http.StatusForbidden)
	wantStatus(t, olga.open(t, "/me"), http.StatusOK)
	if !slices.Equal(refused, []int{http.StatusForbidden}) {
		t.Errorf("ErrorHandler was called with %v, want 403", refused)
	}
}

// Nobody is signed out by an outage, and nothing is left half done.
func TestImpersonationInAnOutage(t *testing.T) {
	b := miniBackend(t)
	d := newDesk(t, b, Config{})
	errOut := errors.New("connection refused")
	alice := d.browser(t, "alice")
	olga := d.browser(t, "olga")
	// fail has the nth call fail, and returns whether there was one.
	fail := func(n int, do func()) bool {
		var calls atomic.Int32 // SignOut ends sessions side by side
		d.hooks.before = func(context.Context, string) error {
			if int(calls.Add(1)) == n {
				return errOut
			}
			return nil
		}
		do()
		d.hooks.before = nil
		return int(calls.Load()) >= n
	}
	each := func(what, before string, do func(*browser) *http.Response) {
		t.Helper()
		for n := 1; fail(n, func() {
			was := olga.copy()
			res := do(olga)
			if res.StatusCode != http.StatusServiceUnavailable {
				return
			}
			wantNoCookie(t, res)
			if fmt.Sprint(was.cookies) != fmt.Sprint(olga.cookies) {
				t.Errorf("%s, call %d: the cookies have changed", what, n)
			}
		}); n++ {
			olga.wantUser(t, before)
			if n > 10 {
				t.Fatalf("%s: it never ends", what)
			}
		}
	}
	post := func(target string) func(*browser) *http.Response {
		return func(o *browser) *http.Response { return o.post(t, target) }
	}
	each("as", "olga", func(o *browser) *http.Response {
		if o.cookies["__Host-session-operator"] != nil {
			return &http.Response{}
		}
		res := o.post(t, "/as?user=alice")
		if res.StatusCode == http.StatusOK { // it was the last call: be herself for the next one
			d.hooks.before = nil
			wantStatus(t, o.post(t, "/back"), http.StatusOK)
		}
		return res
	})
	wantStatus(t, olga.post(t, "/as?user=alice"), http.StatusOK)
	d.wantList(t, "alice", "olga: ticket 4711, -")
	each("page", "alice", func(o *browser) *http.Response { return o.open(t, "/me") })
	each("POST", "alice", post("/renew?set=x"))
	b.advance(6 * time.Minute) // both are due to be renewed
	each("sliding", "alice", func(o *browser) *http.Response { return o.open(t, "/me") })
	for n := 1; ; n++ {
		var res *http.Response
		if !fail(n, func() { res = olga.post(t, "/back") }) {
			break
		}
		if res.StatusCode == http.StatusOK {
			t.Fatalf("back, call %d: got no error", n)
		}
		wantNoCookie(t, res)
		olga.wantUser(t, "alice")
	}
	olga.wantUser(t, "olga")
	alice.wantUser(t, "alice")
	wantStatus(t, olga.post(t, "/as?user=alice"), http.StatusOK)
	for n := 1; ; n++ {
		var res *http.Response
		if !fail(n, func() { res = olga.post(t, "/logout") }) {
			break
		}
		if res.StatusCode == http.StatusServiceUnavailable {
			wantNoCookie(t, res)
			olga.wantCookies(t, "__Host-session", "__Host-session-operator")
		}
	}
	olga.post(t, "/logout")
	olga.wantCookies(t)
	d.wantList(t, "olga", "")
	d.wantList(t, "alice", "-")
}

// What would end an orphan cannot: it opens nothing all the same, and the next
// request tries again.
func TestOrphanInAnOutage(t *testing.T) {
	b := miniBackend(t)
	d := newDesk(t, b, Config{})
	olga := d.as(t, "olga", "alice")
	if _, err := d.store.RevokeAll(d.ctx(t), "olga"); err != nil {
		t.Fatal(err)
	}
	d.hooks.before = func(_ context.Context, call string) error {
		if call == "Remove" {
			return errors.New("connection refused")
		}
		return nil
	}
	olga.wantUser(t, "-")
	d.wantList(t, "alice", "olga: ticket 4711")
	d.hooks.before = nil
	olga.wantUser(t, "-")
	d.wantList(t, "alice", "")
}

// If the answer with the cookies is lost, the operator is who they were, and the
// session that nobody has the key of is listed until it idles out.
func TestImpersonationIsLost(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		d := newDesk(t, b, Config{})
		olga := d.browser(t, "olga")
		wantStatus(t, olga.copy().post(t, "/as?user=alice"), http.StatusOK)
		olga.wantUser(t, "olga")
		d.wantList(t, "alice", "olga: ticket 4711")
		wantStatus(t, olga.post(t, "/as?user=alice"), http.StatusOK)
		d.wantList(t, "alice", "olga: ticket 4711, olga: ticket 4711")
		wantStatus(t, olga.copy().post(t, "/back"), http.StatusOK) // this answer is lost, too
		olga.wantUser(t, "-")
		olga.wantBack(t, "olga")

		ctx, cancel := context.WithCancel(d.ctx(t))
		defer cancel()
		d.hooks.before = func(_ context.Context, call string) error {
			if call == "Store" {
				cancel()
			}
			return nil
		}
		w := httptest.NewRecorder()
		err := d.manager.Impersonate(w, olga.request(t, "POST", "/").WithContext(ctx), NewTicket("bob"), "x")
		d.hooks.before = nil
		if err == nil {
			t.Error("got no error for a client that has gone")
		}
		wantNoCookie(t, w.Result())
		d.wantList(t, "bob", "")
		olga.wantUser(t, "olga")
	})
}

// An operator who stays signed in gets the cookie back that outlives the browser.
func TestPersistentOperator(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		d := newDesk(t, b, Config{})
		olga := d.browser(t, "")
		wantStatus(t, olga.post(t, "/login?user=olga&remember=1"), http.StatusOK)
		first := olga.cookies["__Host-session"].MaxAge
		b.advance(time.Minute)
		wantStatus(t, olga.post(t, "/as?user=alice"), http.StatusOK)
		if c := olga.cookies["__Host-session"]; c.MaxAge != 0 {
			t.Errorf("the impersonation: got Max-Age %d, want none", c.MaxAge)
		}
		if c := olga.cookies["__Host-session-operator"]; c.MaxAge != first-60 {
			t.Errorf("the operator: got Max-Age %d, want %d", c.MaxAge, first-60)
		}
		closed := olga.copy()
		delete(closed.cookies, "__Host-session") // the browser was closed
		closed.wantUser(t, "-")
		b.advance(time.Minute)
		wantStatus(t, olga.post(t, "/back"), http.StatusOK)
		if c := olga.cookies["__Host-session"]; c.MaxAge != first-120 {
			t.Errorf("the operator again: got Max-Age %d, want %d", c.MaxAge, first-120)
		}
		closed.wantBack(t, "olga")
	})
}

// While an operator begins to act as a user, they sign out, or the user revokes
// all sessions. What is left is not half of it.
func TestImpersonateRaces(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		d := newDesk(t, b, Config{})
		for range 10 {
			d.browser(t, "alice")
			olga := d.browser(t, "olga")
			other := olga.copy()
			var wg sync.WaitGroup
			wg.Go(func() { olga.post(t, "/as?user=alice") })
			wg.Go(func() { other.post(t, "/logout") })
			wg.Wait()
			olga.wantUser(t, "-") // whichever was first
			d.wantList(t, "olga", "")

			olga = d.browser(t, "olga")
			wg.Go(func() { olga.post(t, "/as?user=alice") })
			wg.Go(func() {
				if _, err := d.store.RevokeAll(d.ctx(t), "alice"); err != nil {
					t.Error(err)
				}
			})
			wg.Wait()
			if olga.cookies["__Host-session-operator"] == nil {
				olga.wantUser(t, "olga")
			} else if got := body(olga.open(t, "/")); got != "-" && got != "alice" {
				t.Errorf("got %q, want alice or nobody", got)
			}
			wantStatus(t, olga.post(t, "/logout"), http.StatusOK)
		}
	})
}

// A real browser's cookie jar, over TLS.
func TestImpersonationWithCookieJar(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		d := newDesk(t, b, Config{})
		srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			d.handler.ServeHTTP(w, r.WithContext(d.context(r.Context())))
		}))
		t.Cleanup(srv.Close)
		client := func() *http.Client {
			jar, _ := cookiejar.New(nil)
			return &http.Client{Transport: srv.Client().Transport, Jar: jar}
		}
		get := func(c *http.Client, page string) string {
			t.Helper()
			r, _ := http.NewRequest("GET", srv.URL+page, nil)
			r.Header.Set("Sec-Fetch-Mode", "navigate")
			res, err := c.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			var tk Ticket
			if text := body(res); json.Unmarshal([]byte(text), &tk) != nil {
				return text
			}
			return tk.Subject
		}
		alice, olga := client(), client()
		for _, step := range []struct {
			who        *http.Client
			page, want string
		}{
			{alice, "/login?user=alice", "ok"}, {olga, "/login?user=olga&remember=1", "ok"},
			{olga, "/as?user=alice", "ok"}, {olga, "/me", "alice"}, {olga, "/rotate", "ok"}, {olga, "/me", "alice"},
			{alice, "/password", "ok"}, {alice, "/me", "alice"}, {olga, "/", "-"}, {olga, "/me", "olga"}, {olga, "/", "olga"},
			{olga, "/as?user=alice", "ok"}, {olga, "/", "alice"}, {olga, "/back", "ok"}, {olga, "/", "olga"},
			{olga, "/as?user=alice", "ok"}, {olga, "/login?user=bob", "ok"}, {olga, "/me", "bob"}, {olga, "/logout", "ok"}, {olga, "/", "-"},
		} {
			if got := get(step.who, step.page); got != step.want {
				t.Fatalf("%s: got %q, want %q", step.page, got, step.want)
			}
		}
		u, _ := url.Parse(srv.URL)
		if left := olga.Jar.Cookies(u); len(left) != 0 {
			t.Errorf("got %d cookies left, want none", len(left))
		}
	})
}

// What is wrong with the operator's cookie makes the request anonymous, and no
// more.
func TestOperatorsKey(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		d := newDesk(t, b, Config{})
		before := d.browser(t, "olga")
		olga := before.copy()
		wantStatus(t, olga.post(t, "/as?user=alice"), http.StatusOK)

		many := olga.request(t, "GET", "/")
		for i := range maxKeys {
			value, err := d.manager.cookieValue(many, d.manager.operatorCookie, Key(fmt.Sprint(i)))
			if err != nil {
				t.Fatal(err)
			}
			many.AddCookie(&http.Cookie{Name: d.manager.operatorCookie, Value: value})
		}
		if got := body(d.serve(many)); got != "-" {
			t.Errorf("with too many keys of operators: got %q, want nobody", got)
		}
		for name, do := range map[string]func(http.ResponseWriter, *http.Request) error{
			"SignOut": d.manager.SignOut,
			"SignIn":  func(w http.ResponseWriter, r *http.Request) error { return d.manager.SignIn(w, r, NewTicket("bob")) },
		} {
			w := httptest.NewRecorder()
			if err := do(w, many); !errors.Is(err, errTooManyKeys) {
				t.Errorf("%s with too many keys of operators: got %v, want an error", name, err)
			}
			wantNoCookie(t, w.Result())
		}
		olga.wantUser(t, "alice")

		// In another tab, a rotation of the operator's session was under way.
		op := d.ticket(t, before.cookies["__Host-session"])
		next, err := d.store.Rotate(d.ctx(t), before.key(t), op, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		olga.wantUser(t, "alice") // the old key reads
		if _, err := d.store.Retrieve(d.ctx(t), next); err != nil {
			t.Fatal(err)
		}
		b.passGrace(t, d.store, "olga", op.ID)
		olga.wantUser(t, "-")
		d.wantList(t, "alice", "olga: ticket 4711")
		d.wantList(t, "olga", "-")
	})
}

// What cannot be read may be again: it ends nothing, and is no outage.
func TestOperatorCannotBeRead(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		d := newDesk(t, b, Config{})
		before := d.browser(t, "olga")
		olga := before.copy()
		wantStatus(t, olga.post(t, "/as?user=alice"), http.StatusOK)
		record := d.store.recordKey(partition("olga"), d.ticket(t, before.cookies["__Host-session"]).ID)
		whole, err := b.client.Get(t.Context(), record).Result()
		if err != nil {
			t.Fatal(err)
		}
		for _, test := range []struct{ text, want string }{{"spoilt", "-"}, {whole, "alice"}} {
			if err := b.client.Set(t.Context(), record, test.text, time.Hour).Err(); err != nil {
				t.Fatal(err)
			}
			olga.wantUser(t, test.want)
			d.wantList(t, "alice", "olga: ticket 4711")
		}
	})
}

// The operator's session ends while a request of the impersonation slides it.
func TestOperatorEndsWhileSliding(t *testing.T) {
	b := miniBackend(t)
	d := newDesk(t, b, Config{})
	olga := d.as(t, "olga", "alice")
	b.advance(6 * time.Minute)
	d.hooks.before = func(ctx context.Context, call string) error {
		if call == "Renew" {
			_, err := d.store.RevokeAll(d.ctx(t), "olga")
			return err
		}
		return nil
	}
	olga.wantUser(t, "-")
	d.hooks.before = nil
	d.wantList(t, "alice", "")
	d.wantEnding(t, "alice", "operator-signed-out", "olga", "olga")
}

func TestImpersonationWithoutACodec(t *testing.T) {
	b := miniBackend(t)
	codec := &stubCodec{CookieCodec: newSecureCodec(testKeys)}
	s := newSite(t, b, Config{Codec: codec})
	c := s.login(t, "olga")
	for _, page := range []string{"/as?user=alice", "/back"} {
		cookies := []*http.Cookie{c}
		if page == "/back" {
			cookies = s.get(t, "/as?user=alice", c).Cookies()
		}
		before := len(b.keys(t))
		codec.encodeErr = errOut
		res := s.get(t, page, cookies...)
		codec.encodeErr = nil
		wantStatus(t, res, http.StatusServiceUnavailable)
		wantNoCookie(t, res)
		if got := len(b.keys(t)); got != before {
			t.Errorf("%s: got %d keys in Redis, want %d", page, got, before)
		}
	}
}

// A handler's error brings the operator back as Require does.
func TestErrorAfterAnImpersonation(t *testing.T) {
	b := miniBackend(t)
	d := newDesk(t, b, Config{})
	olga := d.as(t, "olga", "alice")
	if _, err := d.store.RevokeAll(d.ctx(t), "alice"); err != nil {
		t.Fatal(err)
	}
	r := olga.request(t, "GET", "/list?page=2")
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	w := httptest.NewRecorder()
	d.manager.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _, err := d.manager.Sessions(r)
		d.manager.Error(w, r, err)
	})).ServeHTTP(w, r)
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/list?page=2" || len(w.Result().Cookies()) != 2 {
		t.Errorf("got %d, %v", w.Code, w.Header())
	}
}
