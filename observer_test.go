package ticketstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// recorder is an Observer that keeps what it is told.
type recorder struct {
	mu     sync.Mutex
	events []Event
}

func (o *recorder) observe(_ context.Context, e Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.events = append(o.events, e)
}

// take returns what was told since the last time: calls, and all else.
func (o *recorder) take() (calls, others []Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, e := range o.events {
		if e.Kind == "called" {
			calls = append(calls, e)
		} else {
			others = append(others, e)
		}
	}
	o.events = nil
	return calls, others
}

// hookedStore calls before with the name of a method; an error of it is the
// method's.
type hookedStore struct {
	*RedisStore
	before func(ctx context.Context, call string) error
}

func (s *hookedStore) hook(ctx context.Context, call string) error {
	if s.before == nil {
		return nil
	}
	return s.before(ctx, call)
}

func (s *hookedStore) Store(ctx context.Context, t *Ticket) (Key, error) {
	if err := s.hook(ctx, "Store"); err != nil {
		return "", err
	}
	return s.RedisStore.Store(ctx, t)
}

func (s *hookedStore) Retrieve(ctx context.Context, key Key) (*Ticket, error) {
	if err := s.hook(ctx, "Retrieve"); err != nil {
		return nil, err
	}
	return s.RedisStore.Retrieve(ctx, key)
}

func (s *hookedStore) Renew(ctx context.Context, key Key, t *Ticket) error {
	if err := s.hook(ctx, "Renew"); err != nil {
		return err
	}
	return s.RedisStore.Renew(ctx, key, t)
}

func (s *hookedStore) Remove(ctx context.Context, key Key) error {
	if err := s.hook(ctx, "Remove"); err != nil {
		return err
	}
	return s.RedisStore.Remove(ctx, key)
}

func (s *hookedStore) RevokeAll(ctx context.Context, subject string) (int, error) {
	if err := s.hook(ctx, "RevokeAll"); err != nil {
		return 1, err // as when the second batch has no answer
	}
	return s.RedisStore.RevokeAll(ctx, subject)
}

// An observed is a site whose Manager is observed.
type observed struct {
	*site
	recorder
	hooks *hookedStore
}

func newObserved(t *testing.T, b *backend, cfg Config) *observed {
	o := &observed{hooks: &hookedStore{RedisStore: b.store(t, RedisConfig{})}}
	cfg.Observer = o.observe
	o.site = newSiteOn(t, b, o.hooks, cfg)
	o.store = o.hooks.RedisStore
	return o
}

// with returns the same site under another Config.
func (o *observed) with(t *testing.T, cfg Config) *site {
	cfg.Observer = o.observe
	s := newSiteOn(t, o.backend, o.hooks, cfg)
	s.store = o.store
	return s
}

// spoil makes the ticket of a cookie undecodable.
func (o *observed) spoil(t *testing.T, c *http.Cookie) {
	t.Helper()
	tk := o.ticket(t, c)
	at := o.store.recordKey(partition(tk.Subject), tk.ID)
	record, err := o.getPastCache(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(record, "\n")
	if err := o.client.Set(t.Context(), at, line+"\nx", time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
}

func (o *observed) post(t *testing.T, target string, cookies ...*http.Cookie) *http.Response {
	return o.serve(o.request(t, "POST", target, cookies...))
}

// of is an event about the session of tk.
func of(kind, cause string, tk *Ticket) Event {
	return Event{Kind: kind, Cause: cause, Subject: tk.Subject, SessionID: tk.ID}
}

func ended(cause string, tk *Ticket) Event {
	e := of("ended", cause, tk)
	e.Sessions = 1
	return e
}

// happenings are what can happen, and what the Observer is told of it, calls
// aside: do returns that. Before it, alice has signed in; what it does to
// prepare, it takes.
var happenings = []struct {
	name string
	cfg  Config
	do   func(t *testing.T, o *observed, alice *http.Cookie) []Event
}{
	{"a request", Config{}, func(t *testing.T, o *observed, alice *http.Cookie) []Event {
		o.who(t, alice)
		return nil
	}},
	{"a request without a cookie of ours", Config{}, func(t *testing.T, o *observed, _ *http.Cookie) []Event {
		o.who(t)
		o.who(t, &http.Cookie{Name: "other", Value: "x"})
		return nil
	}},
	{"sign-in", Config{}, func(t *testing.T, o *observed, _ *http.Cookie) []Event {
		bob := o.login(t, "bob")
		return []Event{of("signed-in", "", o.ticket(t, bob))}
	}},
	{"sign-in again", Config{}, func(t *testing.T, o *observed, alice *http.Cookie) []Event {
		old := o.ticket(t, alice)
		next := o.login(t, "alice", alice)
		return []Event{ended("replaced", old), of("signed-in", "", o.ticket(t, next))}
	}},
	{"sign-in over another's session, outside of Wrap", Config{}, func(t *testing.T, o *observed, alice *http.Cookie) []Event {
		old, tk := o.ticket(t, alice), NewTicket("bob")
		if err := o.manager.SignIn(httptest.NewRecorder(), o.request(t, "POST", "/", alice), tk); err != nil {
			t.Fatal(err)
		}
		return []Event{ended("replaced", old), of("signed-in", "", tk)}
	}},
	{"sign-in twice in one request", Config{}, func(t *testing.T, o *observed, _ *http.Cookie) []Event {
		w, r := httptest.NewRecorder(), o.request(t, "POST", "/")
		first, second := NewTicket("bob"), NewTicket("bob")
		if err := errors.Join(o.manager.SignIn(w, r, first), o.manager.SignIn(w, r, second)); err != nil {
			t.Fatal(err)
		}
		return []Event{of("signed-in", "", first), ended("replaced", first), of("signed-in", "", second)}
	}},
	{"sign-in that does not end the old session", Config{}, func(t *testing.T, o *observed, alice *http.Cookie) []Event {
		o.hooks.before = func(_ context.Context, call string) error {
			if call == "Remove" {
				return errOut
			}
			return nil
		}
		next := o.login(t, "alice", alice)
		return []Event{of("signed-in", "", o.ticket(t, next))}
	}},
	{"sign-in without an answer", Config{}, func(t *testing.T, o *observed, alice *http.Cookie) []Event {
		o.hooks.before = func(_ context.Context, call string) error {
			if call == "Store" {
				return errOut
			}
			return nil
		}
		wantStatus(t, o.post(t, "/login?user=bob", alice), http.StatusServiceUnavailable)
		return nil
	}},
	{"sign-in of an invalid ticket", Config{}, func(t *testing.T, o *observed, alice *http.Cookie) []Event {
		wantStatus(t, o.post(t, "/login?user=", alice), http.StatusConflict)
		return nil
	}},
	{"sign-out", Config{}, func(t *testing.T, o *observed, alice *http.Cookie) []Event {
		old := o.ticket(t, alice)
		wantStatus(t, o.post(t, "/logout", alice), http.StatusOK)
		return []Event{ended("signed-out", old)}
	}},
	{"sign-out outside of Wrap", Config{}, func(t *testing.T, o *observed, alice *http.Cookie) []Event {
		old := o.ticket(t, alice)
		if err := o.manager.SignOut(httptest.NewRecorder(), o.request(t, "POST", "/", alice)); err != nil {
			t.Fatal(err)
		}
		return []Event{ended("signed-out", old)}
	}},
	{"sign-out of a session that has ended", Config{}, func(t *testing.T, o *observed, alice *http.Cookie) []Event {
		old := o.ticket(t, alice)
		if err := o.store.Revoke(o.ctx(t), "alice", old.ID); err != nil {
			t.Fatal(err)
		}
		wantStatus(t, o.post(t, "/logout", alice), http.StatusOK)
		return []Event{{Kind: "rejected", Cause: "unknown", SessionID: old.ID, Err: ErrNotFound}}
	}},
	{"sign-out without an answer", Config{}, func(t *testing.T, o *observed, alice *http.Cookie) []Event {
		o.hooks.before = func(_ context.Context, call string) error {
			if call == "Remove" {
				return errOut
			}
			return nil
		}
		wantStatus(t, o.post(t, "/logout", alice), http.StatusServiceUnavailable)
		return nil
	}},
	{"sign-out by both keys of a session", Config{}, func(t *testing.T, o *observed, alice *http.Cookie) []Event {
		next := onlyCookie(t, o.post(t, "/rotate", alice))
		o.take()
		old := o.ticket(t, next)
		wantStatus(t, o.post(t, "/logout", next, alice), http.StatusOK)
		return []Event{ended("signed-out", old)}
	}},
	{"sign-out of what cannot be read", Config{}, func(t *testing.T, o *observed, alice *http.Cookie) []Event {
		id := o.ticket(t, alice).ID
		o.spoil(t, alice)
		wantStatus(t, o.post(t, "/logout", alice), http.StatusOK)
		return []Event{
			{Kind: "rejected", Cause: "undecodable", SessionID: id, Err: ErrUndecodable},
			{Kind: "ended", Cause: "signed-out", SessionID: id, Sessions: 1},
		}
	}},
	{"a use that is recorded", Config{}, func(t *testing.T, o *observed, alice *http.Cookie) []Event {
		o.advance(6 * time.Minute)
		o.who(t, alice)
		return []Event{of("renewed", "used", o.ticket(t, alice))}
	}},
	{"a use that Status records", Config{}, func(t *testing.T, o *observed, alice *http.Cookie) []Event {
		o.manager.Status().ServeHTTP(httptest.NewRecorder(), o.request(t, "POST", "/", alice))
		return []Event{of("renewed", "used", o.ticket(t, alice))}
	}},
	{"a use that is recorded without room for its device", Config{}, func(t *testing.T, o *observed, alice *http.Cookie) []Event {
		refused := false
		o.hooks.before = func(_ context.Context, call string) error {
			if call == "Renew" && !refused {
				refused = true
				return invalid("too large")
			}
			return nil
		}
		o.advance(6 * time.Minute)
		r := o.request(t, "GET", "/", alice)
		r.Header.Set("User-Agent", "another")
		o.serve(r)
		e := of("renewed", "used", o.ticket(t, alice))
		e.Device.UserAgent = "another"
		return []Event{e}
	}},
	{"a use that another request has recorded", Config{}, func(t *testing.T, o *observed, alice *http.Cookie) []Event {
		o.advance(6 * time.Minute)
		o.hooks.before = func(_ context.Context, call string) error {
			if call == "Renew" {
				return ErrConflict
			}
			return nil
		}
		o.who(t, alice)
		return nil
	}},
	{"a use that cannot be recorded", Config{}, func(t *testing.T, o *observed, alice *http.Cookie) []Event {
		o.advance(6 * time.Minute)
		o.hooks.before = func(_ context.Context, call string) error {
			if call == "Renew" {
				return errOut
			}
			return nil
		}
		o.who(t, alice)
		return nil
	}},
	{"a use of what ends meanwhile", Config{}, func(t *testing.T, o *observed, alice *http.Cookie) []Event {
		old := o.ticket(t, alice)
		o.advance(6 * time.Minute)
		o.hooks.before = func(ctx context.Context, call string) error {
			if call == "Renew" {
				return o.store.Revoke(o.ctx(t), "alice", old.ID)
			}
			return nil
		}
		o.who(t, alice)
		e := of("rejected", "unknown", old)
		e.Err = ErrNotFound
		return []Event{e}
	}},
	{"Renew, with conflicts", Config{}, func(t *testing.T, o *observed, alice *http.Cookie) []Event {
		conflicts := 0
		o.hooks.before = func(_ context.Context, call string) error {
			if conflicts++; call == "Renew" && conflicts < 6 {
				return ErrConflict
			}
			return nil
		}
		wantStatus(t, o.post(t, "/renew?set=x", alice), http.StatusOK)
		return []Event{of("renewed", "changed", o.ticket(t, alice))}
	}},
	{"Renew, with too many conflicts", Config{}, func(t *testing.T, o *observed, alice *http.Cookie) []Event {
		o.hooks.before = func(_ context.Context, call string) error {
			if call == "Renew" {
				return ErrConflict
			}
			return nil
		}
		wantStatus(t, o.post(t, "/renew?set=x", alice), http.StatusConflict)
		return nil
	}},
	{"Rotate", Config{}, func(t *testing.T, o *observed, alice *http.Cookie) []Event {
		next := onlyCookie(t, o.post(t, "/rotate", alice))
		return []Event{of("rotated", "", o.ticket(t, next))}
	}},
	{"Revoke", Config{}, func(t *testing.T, o *observed, alice *http.Cookie) []Event {
		other := o.ticket(t, o.login(t, "alice"))
		o.take()
		if err := o.manager.Revoke(o.request(t, "POST", "/", alice), other.ID); err != nil {
			t.Fatal(err)
		}
		return []Event{ended("revoked", other)}
	}},
	{"Revoke of no session", Config{}, func(t *testing.T, o *observed, alice *http.Cookie) []Event {
		if err := o.manager.Revoke(o.request(t, "POST", "/", alice), "x"); !errors.Is(err, ErrNotFound) {
			t.Fatalf("got %v, want ErrNotFound", err)
		}
		return nil
	}},
	{"RevokeOthers", Config{}, func(t *testing.T, o *observed, alice *http.Cookie) []Event {
		o.login(t, "alice")
		o.login(t, "alice")
		o.take()
		for range 2 { // the second finds none
			if _, err := o.manager.RevokeOthers(o.request(t, "POST", "/", alice)); err != nil {
				t.Fatal(err)
			}
		}
		return []Event{{Kind: "ended", Cause: "revoked", Subject: "alice", Sessions: 2}}
	}},
	{"RevokeAll", Config{}, func(t *testing.T, o *observed, alice *http.Cookie) []Event {
		o.login(t, "alice")
		o.take()
		if _, err := o.manager.RevokeAll(httptest.NewRecorder(), o.request(t, "POST", "/", alice)); err != nil {
			t.Fatal(err)
		}
		return []Event{{Kind: "ended", Cause: "revoked", Subject: "alice", Sessions: 2}}
	}},
	{"RevokeAll that ends one and then fails", Config{}, func(t *testing.T, o *observed, alice *http.Cookie) []Event {
		o.hooks.before = func(_ context.Context, call string) error {
			if call == "RevokeAll" {
				return errOut
			}
			return nil
		}
		if _, err := o.manager.RevokeAll(httptest.NewRecorder(), o.request(t, "POST", "/", alice)); !errors.Is(err, errOut) {
			t.Fatalf("got %v, want %v", err, errOut)
		}
		return []Event{{Kind: "ended", Cause: "revoked", Subject: "alice", Sessions: 1}}
	}},
	{"a revocation with a key that only reads", Config{}, func(t *testing.T, o *observed, alice *http.Cookie) []Event {
		o.who(t, onlyCookie(t, o.post(t, "/rotate", alice)))
		o.take()
		if _, err := o.manager.RevokeOthers(o.request(t, "POST", "/", alice)); !errors.Is(err, ErrConflict) {
			t.Fatalf("got %v, want ErrConflict", err)
		}
		return nil
	}},
	{"a forged cookie", Config{}, func(t *testing.T, o *observed, alice *http.Cookie) []Event {
		alice.Value += "x"
		o.who(t, alice, alice)
		return []Event{{Kind: "rejected", Cause: "forged"}}
	}},
	{"a session that has expired by its own account", Config{}, func(t *testing.T, o *observed, alice *http.Cookie) []Event {
		id := o.ticket(t, alice).ID
		o.advance(31 * time.Minute)
		o.who(t, alice)
		return []Event{{Kind: "rejected", Cause: "unknown", SessionID: id, Err: ErrNotFound}}
	}},
	{"a session that has expired by Config", Config{}, func(t *testing.T, o *observed, alice *http.Cookie) []Event {
		tk := o.ticket(t, alice)
		o.advance(2 * time.Minute)
		o.with(t, Config{IdleTimeout: time.Minute}).who(t, alice)
		return []Event{of("rejected", "expired", tk)}
	}},
	{"a superseded key", Config{}, func(t *testing.T, o *observed, alice *http.Cookie) []Event {
		next := onlyCookie(t, o.post(t, "/rotate", alice))
		o.who(t, next)
		id := o.ticket(t, next).ID
		o.passGrace(t, o.store, "alice", id)
		o.take()
		o.who(t, alice)
		return []Event{{Kind: "rejected", Cause: "superseded", SessionID: id, Err: ErrSuperseded}}
	}},
	{"what cannot be read", Config{}, func(t *testing.T, o *observed, alice *http.Cookie) []Event {
		id := o.ticket(t, alice).ID
		o.spoil(t, alice)
		o.who(t, alice)
		return []Event{{Kind: "rejected", Cause: "undecodable", SessionID: id, Err: ErrUndecodable}}
	}},
	{"cookies of two subjects", Config{}, func(t *testing.T, o *observed, alice *http.Cookie) []Event {
		bob := o.login(t, "bob")
		o.take()
		o.who(t, alice, bob)
		return []Event{of("rejected", "two-subjects", o.ticket(t, bob)), of("rejected", "two-subjects", o.ticket(t, alice))}
	}},
	{"too-many-cookies", Config{}, func(t *testing.T, o *observed, alice *http.Cookie) []Event {
		cookies := []*http.Cookie{alice}
		for range maxKeys {
			cookies = append(cookies, o.login(t, "alice"))
		}
		o.take()
		o.who(t, cookies...)
		return []Event{{Kind: "rejected", Cause: "too-many-cookies", Err: errTooManyKeys}}
	}},
	{"a ticket of NewContext", Config{}, func(t *testing.T, o *observed, _ *http.Cookie) []Event {
		r := o.request(t, "GET", "/")
		o.serve(r.WithContext(NewContext(r.Context(), NewTicket("carol"))))
		return nil
	}},
	{"an outage", Config{}, func(t *testing.T, o *observed, alice *http.Cookie) []Event {
		o.hooks.before = func(context.Context, string) error { return errOut }
		wantStatus(t, o.get(t, "/", alice), http.StatusServiceUnavailable)
		return nil
	}},
}

func TestObserver(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		for _, h := range happenings {
			t.Run(h.name, func(t *testing.T) {
				o := newObserved(t, b, h.cfg)
				alice := o.login(t, "alice")
				o.take()
				want := h.do(t, o, alice)
				_, got := o.take()
				for i := range want {
					want[i].Device.Addr = netip.MustParseAddr("192.0.2.1")
					if i < len(got) && errors.Is(got[i].Err, want[i].Err) {
						want[i].Err = got[i].Err
					}
				}
				if !slices.Equal(got, want) {
					t.Errorf("got\n\t%+v\nwant\n\t%+v", got, want)
				}
				if _, err := o.store.RevokeAll(o.ctx(t), "alice"); err != nil {
					t.Fatal(err)
				}
			})
		}
	})
}

// Calls are told with what they returned: an answer, a failure, or nothing that
// the client waited for.
func TestObserverCalls(t *testing.T) {
	type call struct {
		name, cause, subject string
		id                   bool // whether the session's ID is known
		err                  error
	}
	check := func(t *testing.T, o *observed, want ...call) {
		t.Helper()
		calls, _ := o.take()
		var got []call
		for i, e := range calls {
			c := call{e.Call, e.Cause, e.Subject, e.SessionID != "", e.Err}
			if i < len(want) && errors.Is(e.Err, want[i].err) {
				c.err = want[i].err
			}
			got = append(got, c)
			if e.Duration <= 0 || e.Duration > time.Hour {
				t.Errorf("%s: got the duration %v", e.Call, e.Duration)
			}
			if e.Device != (Device{}) || e.Sessions != 0 {
				t.Errorf("got %+v, want no device and no number", e)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("got\n\t%+v\nwant\n\t%+v", got, want)
		}
	}
	b := miniBackend(t)
	o := newObserved(t, b, Config{})

	alice := o.login(t, "alice")
	check(t, o, call{"Store", "", "alice", true, nil})
	o.who(t, alice)
	check(t, o, call{"Retrieve", "", "alice", true, nil})
	o.advance(6 * time.Minute)
	o.who(t, alice)
	check(t, o, call{"Retrieve", "", "alice", true, nil}, call{"Renew", "", "alice", true, nil})
	alice = onlyCookie(t, o.post(t, "/rotate", alice))
	check(t, o, call{"Retrieve", "", "alice", true, nil}, call{"Retrieve", "", "alice", true, nil},
		call{"Retrieve", "", "alice", true, nil}, call{"Rotate", "", "alice", true, nil})
	for name, do := range map[string]func(*http.Request) error{
		"Sessions":     func(r *http.Request) error { _, _, err := o.manager.Sessions(r); return err },
		"RevokeOthers": func(r *http.Request) error { _, err := o.manager.RevokeOthers(r); return err },
	} {
		if err := do(o.request(t, "GET", "/", alice)); err != nil {
			t.Fatal(err)
		}
		check(t, o, call{"Retrieve", "", "alice", true, nil}, call{name, "", "alice", false, nil})
	}
	if err := o.manager.Revoke(o.request(t, "POST", "/", alice), "x"); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	check(t, o, call{"Retrieve", "", "alice", true, nil}, call{"Revoke", "", "alice", true, ErrNotFound})
	o.post(t, "/logout", alice)
	check(t, o, call{"Retrieve", "", "alice", true, nil}, call{"Remove", "", "", true, nil})
	o.who(t, alice)
	check(t, o, call{"Retrieve", "", "", true, ErrNotFound})

	alice = o.login(t, "alice")
	o.take()
	o.hooks.before = func(context.Context, string) error { return errOut }
	o.get(t, "/", alice)
	check(t, o, call{"Retrieve", "failed", "", true, errOut})
	o.post(t, "/login?user=bob")
	check(t, o, call{"Store", "failed", "bob", false, errOut})

	// The store hangs: until the client goes, or StoreTimeout.
	o.hooks.before = func(ctx context.Context, _ string) error {
		<-ctx.Done()
		return ctx.Err()
	}
	r := o.request(t, "GET", "/", alice)
	ctx, hangUp := context.WithCancel(r.Context())
	hangUp()
	o.serve(r.WithContext(ctx))
	check(t, o, call{"Retrieve", "abandoned", "", true, context.Canceled})
	s := o.with(t, Config{StoreTimeout: time.Millisecond})
	s.get(t, "/", alice)
	check(t, o, call{"Retrieve", "failed", "", true, context.DeadlineExceeded})
	ctx, stop := context.WithCancelCause(r.Context())
	stop(errors.New("the server stops"))
	o.serve(r.WithContext(ctx))
	check(t, o, call{"Retrieve", "failed", "", true, context.Canceled})

	// A sign-out goes on when the client hangs up.
	o.hooks.before = nil
	ctx, hangUp = context.WithCancel(o.ctx(t))
	hangUp()
	if errs := o.manager.removeAll(ctx, []Key{o.key(t, alice)}, 1); errs[0] != nil {
		t.Fatal(errs[0])
	}
	check(t, o, call{"Remove", "", "", true, nil})
}

// A codec of one's own may ask somebody, so it is told of; ours is not.
func TestObserverCodec(t *testing.T) {
	b := miniBackend(t)
	for _, c := range []struct {
		encode, decode error
		want           string
	}{
		{nil, nil, "Store Encode Decode"},
		{errOut, nil, "Store Encode-failed Remove Decode"},
		{nil, errOut, "Store Encode Decode-failed"},
	} {
		codec := &failingCodec{CookieCodec: newSecureCodec(testKeys), encode: c.encode, decode: c.decode}
		o := newObserved(t, b, Config{Codec: codec})
		o.post(t, "/login?user=alice")
		o.get(t, "/", &http.Cookie{Name: "__Host-session", Value: "x"})
		var got []string
		calls, others := o.take()
		for _, e := range calls {
			got = append(got, strings.TrimSuffix(e.Call+"-"+e.Cause, "-"))
			if failed := e.Cause != ""; failed != errors.Is(e.Err, errOut) {
				t.Errorf("got %+v", e)
			}
		}
		if got := strings.Join(got, " "); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
		forged := slices.ContainsFunc(others, func(e Event) bool { return e.Cause == "forged" })
		if forged != (c.decode == nil) {
			t.Errorf("Decode: %v: got forged %v: %+v", c.decode, forged, others)
		}
		signedIn := slices.ContainsFunc(others, func(e Event) bool { return e.Kind == "signed-in" })
		if signedIn != (c.encode == nil) {
			t.Errorf("Encode: %v: got signed in %v: %+v", c.encode, signedIn, others)
		}
	}
}

type failingCodec struct {
	CookieCodec
	encode, decode error
}

func (c *failingCodec) Encode(ctx context.Context, name string, key Key) (string, error) {
	if c.encode != nil {
		return "", c.encode
	}
	return c.CookieCodec.Encode(ctx, name, key)
}

func (c *failingCodec) Decode(ctx context.Context, name string, cookies []*http.Cookie) ([]Key, error) {
	if c.decode != nil {
		return nil, c.decode
	}
	return c.CookieCodec.Decode(ctx, name, cookies)
}

// Nothing that the Observer gets has a key, the secret of one, a cookie's value
// or a claim's: whatever happens, printed and marshalled in any way.
func TestObserverGetsNoSecret(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		secrets := map[string]string{}
		var told []Event
		for _, h := range happenings {
			o := newObserved(t, b, h.cfg)
			inner := o.manager.cfg.Codec
			cookies := &listeningCodec{CookieCodec: inner, heard: secrets}
			o.manager.cfg.Codec = cookies
			alice := o.login(t, "alice")
			h.do(t, o, alice)
			calls, others := o.take()
			told = append(append(told, calls...), others...)
			o.hooks.before = nil
			if _, err := o.store.RevokeAll(o.ctx(t), "alice"); err != nil {
				t.Fatal(err)
			}
		}
		if len(told) < 200 || len(secrets) < 150 {
			t.Fatalf("got %d events and %d secrets: the test looks at too little", len(told), len(secrets))
		}
		for _, e := range told {
			data, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			text := fmt.Sprintf("%+v %#v %s %v", e, e, data, e.Err)
			for secret, what := range secrets {
				if strings.Contains(text, secret) {
					t.Fatalf("%s is in %s %s", what, e.Kind, e.Cause)
				}
			}
		}
	})
}

// listeningCodec hears every key and every cookie's value.
type listeningCodec struct {
	CookieCodec
	heard map[string]string
}

func (c *listeningCodec) hear(value string, key Key) {
	c.heard[value] = "a cookie's value"
	c.heard[string(key)] = "a key"
	c.heard[string(key)[len(key)-40:]] = "a key's secret"
}

func (c *listeningCodec) Encode(ctx context.Context, name string, key Key) (string, error) {
	value, err := c.CookieCodec.Encode(ctx, name, key)
	c.hear(value, key)
	return value, err
}

func (c *listeningCodec) Decode(ctx context.Context, name string, cookies []*http.Cookie) ([]Key, error) {
	for _, cookie := range cookies {
		if cookie.Name == name {
			c.heard[cookie.Value] = "a cookie's value"
		}
	}
	return c.CookieCodec.Decode(ctx, name, cookies)
}

// An Observer that panics fails nothing, not even in a goroutine of SignOut.
func TestObserverPanics(t *testing.T) {
	b := miniBackend(t)
	s := newSite(t, b, Config{Observer: func(_ context.Context, e Event) { panic("no such " + e.Kind) }})
	alice := s.login(t, "alice")
	if got := s.who(t, alice); got != "alice" {
		t.Errorf("got %q, want alice", got)
	}
	wantStatus(t, s.get(t, "/logout", alice), http.StatusOK)
	if got := s.who(t, alice); got != "-" {
		t.Errorf("after sign-out: got %q, want nobody", got)
	}
	for _, kind := range []string{"signed-in", "called", "ended", "rejected"} {
		if logs := s.logs.String(); !strings.Contains(logs, "no such "+kind) || !strings.Contains(logs, "observer_test.go") {
			t.Errorf("%s: not in the log, with its stack: %.2000s", kind, logs)
		}
	}
}

// It is called by many requests at once, and misses nothing.
func TestObserverInParallel(t *testing.T) {
	b := miniBackend(t)
	o := newObserved(t, b, Config{CookieDomain: "example.com"})
	const users = 20
	var wg sync.WaitGroup
	for i := range users {
		wg.Go(func() {
			user := fmt.Sprint("user", i)
			first, second := o.login(t, user), o.login(t, user)
			o.who(t, first, second)
			if res := o.post(t, "/logout", first, second); res.StatusCode != http.StatusOK {
				t.Errorf("sign-out: got %d", res.StatusCode)
			}
		})
	}
	wg.Wait()
	_, others := o.take()
	got := map[string]int{}
	for _, e := range others {
		got[e.Kind+" "+e.Cause]++
	}
	if len(got) != 2 || got["signed-in "] != 2*users || got["ended signed-out"] != 2*users {
		t.Errorf("got %v, want %d that signed in and signed out", got, 2*users)
	}
}

// BenchmarkObserver: none costs a request nothing; testdata/budget.txt has what
// requests allocate without one.
func BenchmarkObserver(b *testing.B) {
	tk := NewTicket("alice")
	now := time.Now().Truncate(time.Millisecond)
	tk.ID, tk.Revision, tk.SignedInAt, tk.IssuedAt, tk.ExpiresAt = "id", "1", now, now, now.Add(time.Hour)
	store := &stubStore{retrieve: func(context.Context, Key) (*Ticket, error) { return tk, nil }}
	told := 0
	for _, c := range []struct {
		name     string
		observer func(context.Context, Event)
	}{
		{"none", nil},
		{"one", func(context.Context, Event) { told++ }},
	} {
		b.Run(c.name, func(b *testing.B) {
			m, err := NewManager(store, Config{CookieKeys: testKeys, Observer: c.observer})
			if err != nil {
				b.Fatal(err)
			}
			value, err := m.cfg.Codec.Encode(b.Context(), m.cfg.CookieName, "key")
			if err != nil {
				b.Fatal(err)
			}
			r := httptest.NewRequest("GET", "/", nil)
			r.AddCookie(&http.Cookie{Name: m.cfg.CookieName, Value: value})
			w, served := discard{}, 0
			h := m.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if _, ok := FromContext(r.Context()); ok {
					served++
				}
			}))
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				clear(w)
				h.ServeHTTP(w, r)
				n++
			}
			if served != n || c.observer != nil && told < n {
				b.Fatalf("got %d of %d requests with a ticket, %d told", served, n, told)
			}
		})
	}
}

// The Observer and the history give the same cause, whatever the application has
// said: a sign-in replaces.
func TestObserverAgreesWithHistory(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		o := &recorder{}
		store := b.store(t, RedisConfig{History: time.Hour})
		s := newSiteOn(t, b, store, Config{Observer: o.observe})
		bycause := func(r *http.Request) *http.Request {
			return r.WithContext(WithCause(r.Context(), "password-changed", "alice"))
		}
		for want, end := range map[string]func(r *http.Request, id string) error{
			"replaced": func(r *http.Request, _ string) error {
				return s.manager.SignIn(httptest.NewRecorder(), bycause(r), NewTicket("bob"))
			},
			"password-changed":  func(r *http.Request, _ string) error { return s.manager.SignOut(httptest.NewRecorder(), bycause(r)) },
			"password-changed ": func(r *http.Request, id string) error { return s.manager.Revoke(bycause(r), id) },
			"signed-out":        func(r *http.Request, _ string) error { return s.manager.SignOut(httptest.NewRecorder(), r) },
			"revoked":           func(r *http.Request, id string) error { return s.manager.Revoke(r, id) },
		} {
			want = strings.TrimSpace(want)
			c := s.login(t, "alice")
			id := s.ticket(t, c).ID
			o.take()
			if err := end(s.request(t, "POST", "/", c), id); err != nil {
				t.Fatalf("%s: %v", want, err)
			}
			_, events := o.take()
			history, err := store.History(b.ctx(t), "alice")
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(history, func(e Ending) bool { return e.Session.ID == id })
			j := slices.IndexFunc(events, func(e Event) bool { return e.Kind == "ended" && e.SessionID == id })
			if i < 0 || j < 0 {
				t.Fatalf("%s: got events %+v and the history %+v", want, events, history)
			}
			if history[i].Cause != want || events[j].Cause != want {
				t.Errorf("got %q in the history, %q in the event, want %q", history[i].Cause, events[j].Cause, want)
			}
		}
	})
}
