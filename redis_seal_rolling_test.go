package ticketstore

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	sealedByOld      = RedisConfig{SealKeys: []SealKey{testSealKey(0)}}
	sealedByOldOrNew = RedisConfig{SealKeys: []SealKey{testSealKey(0), testSealKey(1)}}
	sealedByNewOrOld = RedisConfig{SealKeys: []SealKey{testSealKey(1), testSealKey(0)}}
	sealedByNew      = RedisConfig{SealKeys: []SealKey{testSealKey(1)}}

	unsealed     = RedisConfig{}
	sealsNothing = RedisConfig{SealKeys: []SealKey{testSealKey(0)}, DangerouslyWriteUnsealed: true}
	sealsAnew    = RedisConfig{SealKeys: []SealKey{testSealKey(0)}, DangerouslyAcceptUnsealed: true}
)

// A seal key changes, sealing begins, and it ends, release by release, while
// instances of the one before are still there: everybody stays signed in.
func TestSealingChangesRelease(t *testing.T) {
	for name, releases := range map[string][]RedisConfig{
		"another key":    {sealedByOld, sealedByOldOrNew, sealedByNewOrOld, sealedByNew},
		"sealing begins": {unsealed, sealsNothing, sealsAnew, sealedByOld},
		"sealing ends":   {sealedByOld, sealsAnew, sealsNothing, unsealed},
	} {
		t.Run(name, func(t *testing.T) {
			eachBackend(t, func(t *testing.T, b *backend) {
				var live []*rolled
				for i := range releases[1:] {
					stores := []*RedisStore{b.store(t, releases[i]), b.another(t).store(t, releases[i+1])}
					for j, s := range stores {
						for _, kind := range []string{"read", "renewed", "rotated", "rotated, the response lost", "removed by the previous key"} {
							live = append(live, beginRolled(t, b, s, fmt.Sprintf("%s from step %d, release %d", kind, i, i+j), kind))
						}
					}
					for range 2 {
						for _, s := range []*RedisStore{stores[1], stores[0]} {
							for _, r := range live {
								r.use(t, b, s)
							}
						}
					}
					// By now all of them have been rewritten by both.
					for _, r := range live {
						if r.key == "" {
							continue
						}
						if err := stores[1].Renew(b.ctx(t), r.key, r.ticket); err != nil {
							t.Fatalf("%s: %v", r.name, err)
						}
						r.wantSealed(t, b, stores[1], stores[1].seal.seals())
					}
				}
				last := b.store(t, releases[len(releases)-1])
				for _, r := range live {
					for _, old := range r.spent[:max(0, len(r.spent)-1)] { // the last one may still read
						if tk, err := last.Retrieve(b.ctx(t), old); !errors.Is(err, ErrNotFound) {
							t.Errorf("%s: a key that was rotated away: got %v, %v, want ErrNotFound", r.name, tk, err)
						}
					}
				}
			})
		})
	}
}

// A rolled session lives through releases.
type rolled struct {
	name, kind string
	ticket     *Ticket
	key        Key
	spent      []Key
}

func beginRolled(t *testing.T, b *backend, s *RedisStore, name, kind string) *rolled {
	t.Helper()
	r := &rolled{name: name, kind: kind, ticket: newTicket(b, name)}
	r.key = mustStore(t, b, s, r.ticket)
	return r
}

// use does with the session what its kind says.
func (r *rolled) use(t *testing.T, b *backend, s *RedisStore) {
	t.Helper()
	if r.key == "" {
		return
	}
	ctx := b.ctx(t)
	read := func(key Key) {
		t.Helper()
		tk, err := s.Retrieve(ctx, key)
		if err != nil || tk.Subject != r.name || tk.ID != r.ticket.ID || !tk.HasRole("user") {
			t.Fatalf("%s: got %+v, %v, want it", r.name, tk, err)
		}
		if tk.Revision != "" {
			r.ticket = tk
		}
	}
	read(r.key)
	if sessions, err := s.Sessions(ctx, r.name); err != nil || len(sessions) != 1 || sessions[0].Undecodable {
		t.Fatalf("%s: listed as %+v, %v", r.name, sessions, err)
	}
	var err error
	switch old := r.key; r.kind {
	case "renewed":
		err = s.Renew(ctx, r.key, r.ticket)
	case "rotated":
		if r.key, err = s.Rotate(ctx, old, r.ticket, time.Hour); err == nil {
			r.spent = append(r.spent, old)
			read(old) // as another tab does
			read(r.key)
		}
	case "rotated, the response lost":
		var lost Key
		if lost, err = s.Rotate(ctx, old, r.ticket, 0); err == nil {
			r.spent = append(r.spent, lost)
			read(old)
			err = s.Renew(ctx, old, r.ticket)
		}
	case "removed by the previous key":
		if r.key, err = s.Rotate(ctx, old, r.ticket, time.Hour); err == nil {
			r.key = ""
			err = s.Remove(ctx, old)
		}
	}
	if err != nil {
		t.Fatalf("%s: %v", r.name, err)
	}
}

func (r *rolled) wantSealed(t *testing.T, b *backend, s *RedisStore, want bool) {
	t.Helper()
	record, err := b.getPastCache(t.Context(), s.recordKey(partition(r.name), r.ticket.ID))
	if err != nil {
		t.Fatal(err)
	}
	if sealed := strings.HasPrefix(record, "2s "); sealed != want || strings.Contains(record, `"role"`) == want {
		t.Errorf("%s: got %q, sealed should be %v", r.name, record, want)
	}
}

// Where a release was left out, or came too early, the session cannot be read:
// that is said, with what to do, and nothing of it is lost; the user can end it.
func TestSealedWithAnotherConfig(t *testing.T) {
	for _, test := range []struct {
		name           string
		writer, reader RedisConfig
		want           string
	}{
		{"no keys", sealedByOld, unsealed, "RedisConfig.SealKeys has to name the key"},
		{"another key", sealedByOld, sealedByNew, "RedisConfig.SealKeys does not have"},
		{"another key, unsealed accepted", sealedByNew, sealsAnew, "RedisConfig.SealKeys does not have"},
		{"unsealed", unsealed, sealedByOld, "DangerouslyAcceptUnsealed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			eachBackend(t, func(t *testing.T, b *backend) {
				ctx := b.ctx(t)
				writer, reader := b.store(t, test.writer), b.another(t).store(t, test.reader)
				tk, own := newTicket(b, "alice"), newTicket(b, "alice")
				key := mustStore(t, b, writer, tk)
				mustStore(t, b, reader, own)
				undecodable := func(what string, err error) {
					t.Helper()
					if !errors.Is(err, ErrUndecodable) || errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), tk.ID) {
						t.Errorf("%s: got %v, want ErrUndecodable and %q", what, err, test.want)
					}
				}
				got, err := reader.Retrieve(ctx, key)
				undecodable("Retrieve", err)
				if got != nil {
					t.Errorf("Retrieve: got %+v with its error", got)
				}
				undecodable("Renew", reader.Renew(ctx, key, tk.Clone()))
				_, err = reader.Rotate(ctx, key, tk.Clone(), time.Minute)
				undecodable("Rotate", err)
				one, err := reader.Session(ctx, "alice", tk.ID)
				if err != nil || !one.Undecodable || !one.ExpiresAt.Equal(tk.ExpiresAt) {
					t.Errorf("Session: got %+v, %v, want it as undecodable", one, err)
				}
				sessions, err := reader.Sessions(ctx, "alice")
				page, _, pageErr := reader.SessionPage(ctx, "", 10)
				for what, list := range map[string][]Session{"Sessions": sessions, "SessionPage": page} {
					i := slices.IndexFunc(list, func(sess Session) bool { return sess.ID == tk.ID })
					if err != nil || pageErr != nil || len(list) != 2 || i < 0 || !list[i].Undecodable || list[1-i].Undecodable {
						t.Errorf("%s: got %+v, %v, %v, want one of two undecodable", what, list, err, pageErr)
					}
				}
				if got, err := writer.Retrieve(ctx, key); err != nil || got.Revision != tk.Revision {
					t.Errorf("who can read it: got %+v, %v, want it as it was", got, err)
				}

				// Its user signs in and out there, and it has ended.
				s := newSiteOn(t, b, reader, Config{})
				c := &http.Cookie{Name: s.manager.cfg.CookieName}
				if c.Value, err = s.manager.cfg.Codec.Encode(ctx, c.Name, key); err != nil {
					t.Fatal(err)
				}
				if got := s.who(t, c); got != "-" || !strings.Contains(s.logs.String(), test.want) {
					t.Errorf("got %q, want nobody, and %q in the log: %s", got, test.want, s.logs)
				}
				s.login(t, "alice", c)
				if _, err := writer.Retrieve(ctx, key); !errors.Is(err, ErrNotFound) {
					t.Errorf("after another sign-in: got %v, want ErrNotFound", err)
				}
				key = mustStore(t, b, writer, newTicket(b, "alice"))
				if err := reader.Remove(ctx, key); err != nil {
					t.Errorf("Remove: %v", err)
				}
				if _, err := writer.Retrieve(ctx, key); !errors.Is(err, ErrNotFound) {
					t.Errorf("after Remove: got %v, want ErrNotFound", err)
				}
				tk = newTicket(b, "alice")
				mustStore(t, b, writer, tk)
				if err := reader.Revoke(ctx, "alice", tk.ID); err != nil {
					t.Errorf("Revoke: %v", err)
				}
				if c, err := reader.Count(ctx); err != nil || c != (Counts{1, 2}) {
					t.Errorf("got %+v, %v, want the 2 that the reader began", c, err)
				}
			})
		})
	}
}

// parseEnvelope and parse of the scripts take the same beginnings for sealed, for
// plain, and for neither.
func TestScriptsTellSealedFromPlain(t *testing.T) {
	parsed := commonLua + "local state, _, _, _, _, _, seal = parse(ARGV[1]) return state and 'sealed=' .. seal or 'none'"
	eachBackend(t, func(t *testing.T, b *backend) {
		rest := testEnvelope().String()[len("2 "):]
		for start, want := range map[string]string{
			"2 ": "sealed=", "2s ": "sealed=s", "2ss ": "none", "2S ": "none", "2 s ": "none", "2s  ": "none", "s2 ": "none", "2s": "none", " 2s ": "none", "3s ": "none", "2sn": "none", "2\ns ": "none",
		} {
			got, err := b.client.Eval(t.Context(), parsed, []string{b.prefix}, start+rest).Text()
			if err != nil || got != want {
				t.Errorf("%q, the scripts: got %q, %v, want %q", start, got, err, want)
			}
			e, err := parseEnvelope([]byte(start + rest))
			if (err != nil) != (want == "none") || e.sealed != (want == "sealed=s") {
				t.Errorf("%q: got %v, sealed %v, want %q", start, err, e.sealed, want)
			}
			if err == nil && e.String() != start+rest {
				t.Errorf("%q: got %q back", start, e.String())
			}
		}
	})
}
