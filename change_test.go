package ticketstore

import (
	"context"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"
)

// changes are the two ways to change a session.
func (s *site) changes() map[string]func(http.ResponseWriter, *http.Request, func(*Ticket) error) (*Ticket, error) {
	return map[string]func(http.ResponseWriter, *http.Request, func(*Ticket) error) (*Ticket, error){
		"Renew": func(_ http.ResponseWriter, r *http.Request, change func(*Ticket) error) (*Ticket, error) {
			return s.manager.Renew(r, change)
		},
		"Rotate": s.manager.Rotate,
	}
}

// A change can write to the properties of a ticket without any; if it writes
// none, there are none.
func TestPropertiesInChange(t *testing.T) {
	s := newSite(t, miniBackend(t), Config{})
	for name, run := range s.changes() {
		for what, test := range map[string]struct {
			change func(*Ticket) error
			want   map[string]string
		}{
			"a property": {func(tk *Ticket) error { tk.Properties["a"] = "b"; return nil }, map[string]string{"a": "b"}},
			"none":       {func(*Ticket) error { return nil }, nil},
			"no longer":  {func(tk *Ticket) error { tk.Properties["a"] = "b"; delete(tk.Properties, "a"); return nil }, nil},
			"no change":  {nil, nil},
		} {
			c := s.login(t, "alice")
			if name == "Renew" && test.change == nil {
				continue
			}
			w := httptest.NewRecorder()
			got, err := run(w, s.request(t, "POST", "/", c), test.change)
			if err != nil {
				t.Errorf("%s, %s: %v", name, what, err)
				continue
			}
			if name == "Rotate" {
				c = onlyCookie(t, w.Result())
			}
			if stored := s.ticket(t, c); !reflect.DeepEqual(got.Properties, test.want) || !reflect.DeepEqual(stored.Properties, test.want) {
				t.Errorf("%s, %s: got %#v, stored %#v, want %#v", name, what, got.Properties, stored.Properties, test.want)
			}
		}
	}
}

// A contextStore remembers the contexts that it was called with.
type contextStore struct {
	*RedisStore
	seen []context.Context
}

func (s *contextStore) Retrieve(ctx context.Context, key Key) (*Ticket, error) {
	s.seen = append(s.seen, ctx)
	return s.RedisStore.Retrieve(ctx, key)
}

func TestPanicInChange(t *testing.T) {
	b := miniBackend(t)
	store := &contextStore{RedisStore: b.store(t, RedisConfig{})}
	s := newSiteOn(t, b, store, Config{})
	s.store = store.RedisStore
	for name, run := range s.changes() {
		c := s.login(t, "alice")
		before := s.ticket(t, c)
		var panicked any
		w := httptest.NewRecorder()
		s.manager.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			func() {
				defer func() { panicked = recover() }()
				run(w, r, func(tk *Ticket) error {
					tk.Properties["a"] = "b"
					panic("in change")
				})
			}()
			if arrived, _ := FromContext(r.Context()); arrived.Properties != nil {
				t.Errorf("%s: got %q in the context, want what the request arrived with", name, arrived.Properties)
			}
		})).ServeHTTP(w, s.request(t, "POST", "/", c))
		if panicked != "in change" {
			t.Fatalf("%s: got panic %v, want change's own", name, panicked)
		}
		wantNoCookie(t, w.Result())
		if after := s.ticket(t, c); !reflect.DeepEqual(after, before) {
			t.Errorf("%s: got %+v, want %+v", name, after, before)
		}
		for i, ctx := range store.seen {
			if ctx.Err() == nil {
				t.Errorf("%s: the context of read %d is still alive", name, i)
			}
		}
		if len(store.seen) < 2 {
			t.Errorf("%s: got %d reads, want those of Wrap and %s", name, len(store.seen), name)
		}
		store.seen = nil
		if _, err := run(httptest.NewRecorder(), s.request(t, "POST", "/", c), func(tk *Ticket) error { tk.Properties["a"] = "b"; return nil }); err != nil {
			t.Errorf("%s: afterwards: %v", name, err)
		}
	}
}
