package ticketstore

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
)

func TestSealKeys(t *testing.T) {
	client := redis.NewClient(redisOptions("127.0.0.1:1"))
	defer client.Close()
	for name, test := range map[string]struct {
		cfg  RedisConfig
		want []string
	}{
		"one":             {RedisConfig{SealKeys: []SealKey{testSealKey(0)}}, nil},
		"two":             {RedisConfig{SealKeys: []SealKey{testSealKey(0), testSealKey(1)}, DangerouslyAcceptUnsealed: true}, nil},
		"short":           {RedisConfig{SealKeys: []SealKey{testSealKey(0), testSealKey(1)[:31], nil}}, []string{"SealKeys[1]: it has 31 bytes", "SealKeys[2]: it has 0 bytes"}},
		"twice":           {RedisConfig{SealKeys: []SealKey{testSealKey(0), testSealKey(0)}, MaxSessions: -1}, []string{"SealKeys[1]: an earlier one is the same", "MaxSessions"}},
		"accepts, no key": {RedisConfig{DangerouslyAcceptUnsealed: true}, []string{"SealKeys: there are none"}},
		"writes, no key":  {RedisConfig{SealKeys: []SealKey{}, DangerouslyWriteUnsealed: true}, []string{"SealKeys: there are none"}},
	} {
		_, err := NewRedisStore(client, test.cfg)
		if (err != nil) != (test.want != nil) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
			continue
		}
		for _, part := range test.want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: got %v, want %q in it", name, err, part)
			}
		}
	}
}

func TestSealKeyIsCopied(t *testing.T) {
	b := miniBackend(t)
	keys := []SealKey{testSealKey(0), testSealKey(1)}
	s := b.store(t, RedisConfig{SealKeys: keys})
	key := mustStore(t, b, s, newTicket(b, "alice"))
	clear(keys[0])
	keys[0], keys[1] = keys[1], keys[0]
	if _, err := s.Retrieve(b.ctx(t), key); err != nil {
		t.Error(err)
	}
}

func TestSealKeyIsRedacted(t *testing.T) {
	const secret = "s3cret"
	cfg := struct{ SealKeys []SealKey }{[]SealKey{SealKey(secret)}}
	var logs syncBuffer
	slog.New(slog.NewJSONHandler(&logs, nil)).Info("m", "key", cfg.SealKeys[0], "config", cfg)
	j, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{fmt.Sprintf("%v %+v %#v", cfg, cfg, cfg), fmt.Sprintf("%x %s %d", cfg, cfg, cfg.SealKeys[0]), string(j), logs.String()} {
		if strings.Contains(s, secret) || strings.Contains(s, fmt.Sprintf("%x", secret)) || strings.Contains(s, base64.StdEncoding.EncodeToString([]byte(secret))) || !strings.Contains(s, redacted) {
			t.Errorf("got %q, want it redacted", s)
		}
	}
}

// What is sealed today has to open with any later release, and with another
// implementation: testdata/sealed.py has made these.
func TestSealedFormatIsFixed(t *testing.T) {
	const verifier, ticket = "owzXbinOw-n4-2Z9Ivv_zufstkS3CbDmQzVloS3Q6Zc", "AAECAwQFBgcICQoLxUDizAc8833K7xc25zRbXBD53xCT9bM"
	s, err := newSealer(defaultPrefix, RedisConfig{SealKeys: []SealKey{SealKey("0123456789abcdef0123456789abcdef")}})
	if err != nil {
		t.Fatal(err)
	}
	const subject = "alice in wonderland ä"
	k := redisKey{id: uuid.MustParse("0190a5f0-1234-7abc-8def-0123456789ab")}
	for i := range k.secret {
		k.secret[i] = byte(i)
	}
	if got := s.verifier(k, subject); got != verifier {
		t.Errorf("got verifier %s, want %s", got, verifier)
	}
	sealed, err := base64.RawURLEncoding.DecodeString(ticket)
	if err != nil {
		t.Fatal(err)
	}
	e := envelope{sealed: true, subject: subject, ticket: sealed}
	if err := s.open(k.id.String(), &e); err != nil || string(e.ticket) != `{"v":1}` {
		t.Errorf("got %q, %v", e.ticket, err)
	}
}

func TestBoundToEachPart(t *testing.T) {
	seen := map[string]string{}
	for _, parts := range [][4]string{
		{"p", "a", "b", "c"}, {"p", "ab", "", "c"}, {"p", "", "ab", "c"}, {"p", "a", "bc", ""}, {"pa", "", "b", "c"}, {"p", "a\x00\x00\x00\x01b", "", "c"},
		{forTicket, "a", "b", "c"}, {forVerifier, "a", "b", "c"},
	} {
		s := sealer{prefix: parts[1]}
		bound := s.bound(parts[0], parts[2], parts[3])
		if other, ok := seen[bound]; ok {
			t.Errorf("%q and %s are the same", parts, other)
		}
		seen[bound] = fmt.Sprintf("%q", parts)
	}
}

// Whatever is in Redis, what opens is what has been sealed.
func FuzzOpen(f *testing.F) {
	s, err := newSealer(defaultPrefix, RedisConfig{SealKeys: []SealKey{testSealKey(0), SealKey("0123456789abcdef0123456789abcdef")}})
	if err != nil {
		f.Fatal(err)
	}
	const id, subject = "0190a5f0-1234-7abc-8def-0123456789ab", "alice in wonderland ä"
	sealed, err := base64.RawURLEncoding.DecodeString("AAECAwQFBgcICQoLxUDizAc8833K7xc25zRbXBD53xCT9bM") // see TestSealedFormatIsFixed
	if err != nil {
		f.Fatal(err)
	}
	e := testEnvelope()
	e.subject, e.ticket = subject, sealed
	for _, e.sealed = range []bool{true, false} {
		f.Add([]byte(e.String() + string(e.ticket)))
		f.Add([]byte(e.String() + string(e.ticket[:20])))
		f.Add([]byte(e.String()))
	}
	f.Fuzz(func(t *testing.T, record []byte) {
		e, err := parseEnvelope(record)
		if err != nil {
			return
		}
		was := e.ticket
		if err := s.open(id, &e); err != nil {
			if !errors.Is(err, ErrUndecodable) || !bytes.Equal(e.ticket, was) {
				t.Errorf("%q: got %v, and the ticket %q", record, err, e.ticket)
			}
			return
		}
		if !e.sealed || e.subject != subject || !bytes.Equal(was, sealed) || string(e.ticket) != `{"v":1}` {
			t.Errorf("%q opens as %q", record, e.ticket)
		}
	})
}

// What sealing adds to a request: to one whose record is known, to one whose
// record is new, and to one with its GET, of a Redis beside it.
func BenchmarkSealed(b *testing.B) {
	for name, cfg := range map[string]RedisConfig{"unsealed": {}, "sealed": {SealKeys: []SealKey{testSealKey(0)}}} {
		back := realBackend(b)
		s := back.store(b, cfg)
		ctx := back.ctx(b)
		key := mustStore(b, back, s, newTicket(back, "alice"))
		k, _ := parseRedisKey(key)
		record, err := s.get(ctx, k, false)
		if err == nil {
			_, err = s.Retrieve(ctx, key)
		}
		if err != nil {
			b.Fatal(err)
		}
		if r, known, err := s.parse(k, record); !known || err != nil || r.envelope.sealed != (name == "sealed") {
			b.Fatalf("got %+v, known %v, %v", r.envelope, known, err)
		}
		opens := func(b *testing.B, k redisKey, again bool) {
			b.ReportAllocs()
			for b.Loop() {
				if again {
					s.decoded.Put(k.id[:], "", decodedRecord{})
				}
				r, known, err := s.parse(k, record)
				if current, _ := r.has(k); err != nil || !current || known == again {
					b.Fatalf("got %v, known %v, %v", current, known, err)
				}
			}
		}
		b.Run("known/"+name, func(b *testing.B) { opens(b, k, false) })
		b.Run("Retrieve/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Retrieve(ctx, key); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("new/"+name, func(b *testing.B) { opens(b, k, true) })
	}
}

// Two of the same ticket have nothing in common, nor have the verifiers of one
// secret in two sessions.
func TestSealedTwice(t *testing.T) {
	s, err := newSealer(defaultPrefix, RedisConfig{SealKeys: []SealKey{testSealKey(0)}})
	if err != nil {
		t.Fatal(err)
	}
	k, _ := newRedisKey("alice")
	ticket := bytes.Repeat([]byte("ticket"), 10)
	first, err1 := s.seal(k.id.String(), "alice", ticket)
	second, err2 := s.seal(k.id.String(), "alice", ticket)
	if err1 != nil || err2 != nil || bytes.Equal(first[:12], second[:12]) || bytes.Equal(first[12:28], second[12:28]) {
		t.Errorf("got %x and %x, %v, %v", first, second, err1, err2)
	}
	other := k
	other.id = uuid.New()
	verifiers := map[string]bool{k.verifier(): true, s.verifier(k, "alice"): true, s.verifier(k, "bob"): true, s.verifier(other, "alice"): true}
	if len(verifiers) != 4 {
		t.Errorf("got %d verifiers, want 4", len(verifiers))
	}
	for v := range verifiers {
		if len(v) != 43 {
			t.Errorf("got a verifier of %d characters, want 43", len(v))
		}
	}
}

// A tamperer has a session of their own, and can write to Redis. alice's secret
// they do not know; nor a SealKey.
type tamperer struct {
	t     *testing.T
	b     *backend
	store *RedisStore
	alice victim
	own   victim
}

type victim struct {
	subject string
	ticket  *Ticket
	key     Key
	record  string // as it was written
}

func (v *victim) envelope() envelope {
	e, err := parseEnvelope([]byte(v.record))
	if err != nil {
		panic(err)
	}
	return e
}

func (m *tamperer) at(v *victim) string { return m.store.recordKey(partition(v.subject), v.ticket.ID) }

func (m *tamperer) set(v *victim, e envelope) {
	m.t.Helper()
	if err := m.b.client.Set(m.t.Context(), m.at(v), e.String()+string(e.ticket), time.Hour).Err(); err != nil {
		m.t.Fatal(err)
	}
}

// withOwnSecret returns the key of alice's session that has the secret of the
// tamperer's own.
func (m *tamperer) withOwnSecret() redisKey {
	k, _ := parseRedisKey(m.alice.key)
	own, _ := parseRedisKey(m.own.key)
	k.secret = own.secret
	return k
}

// forged returns a ticket in alice's name, with more rights.
func (m *tamperer) forged() []byte {
	m.t.Helper()
	forged := m.alice.ticket.Clone()
	forged.Identities = []Identity{{Claims: []Claim{{Type: "role", Value: "admin"}}}}
	data, err := JSONSerializer{}.Serialize(forged)
	if err != nil {
		m.t.Fatal(err)
	}
	return data
}

// 15. Whoever can write to Redis is nobody else for that.
func TestInvariant15WriterForgesNobody(t *testing.T) {
	type tampering struct {
		name string
		do   func(m *tamperer)
		// What the key of alice, that of the tamperer, and one of alice's session
		// with the tamperer's secret then open: nil for their own ticket.
		alice, own, crossed error
	}
	edited := func(edit func(m *tamperer, e *envelope)) func(m *tamperer) {
		return func(m *tamperer) {
			e := m.alice.envelope()
			edit(m, &e)
			m.set(&m.alice, e)
		}
	}
	tamperings := []tampering{
		{"nothing", func(*tamperer) {}, nil, nil, ErrSuperseded},
		{"records exchanged", func(m *tamperer) {
			m.set(&m.own, m.alice.envelope())
			m.set(&m.alice, m.own.envelope())
		}, ErrUndecodable, ErrUndecodable, ErrUndecodable},
		{"tickets exchanged", func(m *tamperer) {
			a, o := m.alice.envelope(), m.own.envelope()
			a.ticket, o.ticket = o.ticket, a.ticket
			m.set(&m.alice, a)
			m.set(&m.own, o)
		}, ErrUndecodable, ErrUndecodable, ErrUndecodable},
		{"alice's ticket and subject in one's own", func(m *tamperer) {
			e := m.alice.envelope()
			e.verifier = m.own.envelope().verifier
			m.set(&m.own, e)
		}, nil, ErrUndecodable, ErrSuperseded},
		{"verifiers exchanged", func(m *tamperer) {
			a, o := m.alice.envelope(), m.own.envelope()
			a.verifier, o.verifier = o.verifier, a.verifier
			m.set(&m.alice, a)
			m.set(&m.own, o)
		}, ErrSuperseded, ErrSuperseded, ErrSuperseded},
		{"one's own verifier as the previous one, whose key is good for all", edited(func(m *tamperer, e *envelope) {
			e.state, e.previous, e.until = "n10", m.own.envelope().verifier, 1
		}), nil, nil, ErrSuperseded},
		{"the hash of one's own secret as verifier", edited(func(m *tamperer, e *envelope) {
			e.verifier = m.withOwnSecret().verifier()
		}), ErrSuperseded, nil, ErrSuperseded},
		{"the hash of one's own secret as the previous verifier", edited(func(m *tamperer, e *envelope) {
			e.state, e.previous = "n10", m.withOwnSecret().verifier()
		}), nil, nil, ErrSuperseded},
		{"the subject, in the indexes too", func(m *tamperer) {
			e := m.own.envelope()
			e.subject = "alice"
			m.set(&m.own, e)
			score := float64(m.own.ticket.ExpiresAt.UnixMilli())
			keys := m.store.indexKeys(partition("alice"), "alice")
			for key, member := range map[string]string{keys[0]: m.own.ticket.ID, keys[1]: shortID(m.own.ticket.ID) + "alice"} {
				if err := m.b.client.ZAdd(m.t.Context(), key, redis.Z{Score: score, Member: member}).Err(); err != nil {
					m.t.Fatal(err)
				}
			}
		}, nil, ErrUndecodable, ErrSuperseded},
		{"an unsealed record", func(m *tamperer) {
			k, _ := parseRedisKey(m.own.key)
			m.set(&m.own, envelope{state: keyInUse, revision: newRevision(), verifier: k.verifier(), previous: "-", subject: "alice", ticket: m.forged()})
		}, nil, ErrUndecodable, ErrSuperseded},
		{"an unsealed record in alice's place", edited(func(m *tamperer, e *envelope) {
			e.sealed, e.verifier, e.ticket = false, m.withOwnSecret().verifier(), m.forged()
		}), ErrUndecodable, nil, ErrUndecodable},
		{"an unsealed ticket in a sealed record", edited(func(m *tamperer, e *envelope) { e.ticket = m.forged() }), ErrUndecodable, nil, ErrUndecodable},
		{"a sealed record marked as unsealed", edited(func(_ *tamperer, e *envelope) { e.sealed = false }), ErrUndecodable, nil, ErrUndecodable},
		{"a record that another key has sealed", edited(func(m *tamperer, e *envelope) {
			other, err := newSealer(m.b.prefix, RedisConfig{SealKeys: []SealKey{testSealKey(7)}})
			if err != nil {
				m.t.Fatal(err)
			}
			e.verifier = other.verifier(m.withOwnSecret(), "alice")
			if e.ticket, err = other.seal(m.alice.ticket.ID, "alice", m.forged()); err != nil {
				m.t.Fatal(err)
			}
		}), ErrUndecodable, nil, ErrUndecodable},
		{"a record of another prefix", edited(func(m *tamperer, e *envelope) {
			// The other application lets the tamperer be called alice.
			other, err := newSealer("other-", RedisConfig{SealKeys: []SealKey{testSealKey(0)}})
			if err != nil {
				m.t.Fatal(err)
			}
			e.verifier = other.verifier(m.withOwnSecret(), "alice")
			if e.ticket, err = other.seal(m.alice.ticket.ID, "alice", m.forged()); err != nil {
				m.t.Fatal(err)
			}
		}), ErrUndecodable, nil, ErrUndecodable},
		{"a cut ticket", edited(func(_ *tamperer, e *envelope) { e.ticket = e.ticket[:len(e.ticket)-1] }), ErrUndecodable, nil, ErrUndecodable},
		{"a longer ticket", edited(func(_ *tamperer, e *envelope) { e.ticket = append(e.ticket, 0) }), ErrUndecodable, nil, ErrUndecodable},
		{"no ticket", edited(func(_ *tamperer, e *envelope) { e.ticket = nil }), ErrUndecodable, nil, ErrUndecodable},
		{"a bit of the nonce", edited(func(_ *tamperer, e *envelope) { e.ticket[3] ^= 1 }), ErrUndecodable, nil, ErrUndecodable},
		{"a bit of the ticket", edited(func(_ *tamperer, e *envelope) { e.ticket[20] ^= 0x80 }), ErrUndecodable, nil, ErrUndecodable},
		{"a bit of the tag", edited(func(_ *tamperer, e *envelope) { e.ticket[len(e.ticket)-1] ^= 1 }), ErrUndecodable, nil, ErrUndecodable},
	}
	eachBackend(t, func(t *testing.T, b *backend) {
		for _, of := range tamperings {
			for _, name := range []string{"mallory", "mallory in alice's partition"} {
				subject := name
				for i := 0; name != "mallory" && partition(subject) != partition("alice"); i++ {
					subject = fmt.Sprint(name, i)
				}
				m := &tamperer{t: t, b: b, store: b.store(t, RedisConfig{SealKeys: []SealKey{testSealKey(0), testSealKey(1)}})}
				for _, v := range []*victim{&m.alice, &m.own} {
					v.subject = subject
					if v == &m.alice {
						v.subject = "alice"
					}
					v.ticket = newTicket(b, v.subject)
					v.key = mustStore(t, b, m.store, v.ticket)
					var err error
					if v.record, err = b.client.Get(b.ctx(t), m.at(v)).Result(); err != nil {
						t.Fatal(err)
					}
				}
				of.do(m)
				name := of.name + " by " + subject
				m.checkReads(name, m.alice.key, &m.alice, of.alice)
				m.checkReads(name, m.own.key, &m.own, of.own)
				m.checkReads(name+", crossed", m.withOwnSecret().key(), &m.alice, of.crossed)
				m.checkWrites(name+", crossed", m.withOwnSecret().key(), &m.alice, of.crossed)
				m.checkWrites(name, m.alice.key, &m.alice, of.alice)
				m.checkWrites(name, m.own.key, &m.own, of.own)
				for _, v := range []*victim{&m.alice, &m.own} {
					if _, err := m.store.RevokeAll(b.ctx(t), v.subject); err != nil {
						t.Errorf("%s: RevokeAll: %v", of.name, err)
					}
					b.client.Del(t.Context(), m.at(v)) // which may be hidden
				}
			}
		}
	})
}

// checkReads reads and lists what key opens: v's ticket as it was, or nothing.
func (m *tamperer) checkReads(name string, key Key, v *victim, want error) {
	m.t.Helper()
	ctx := m.b.ctx(m.t)
	for range 2 { // the second time, the store has decoded it before
		got, err := m.store.Retrieve(ctx, key)
		if !errors.Is(err, want) || want != nil && got != nil {
			m.t.Errorf("%s: Retrieve: got %v, %v, want %v", name, got, err, want)
		}
		if want == nil && err == nil {
			m.checkTicket(name, got, v)
		}
	}
	sessions, err := m.store.Sessions(ctx, v.subject)
	if err != nil {
		m.t.Errorf("%s: Sessions: %v", name, err)
	}
	for _, sess := range sessions {
		if !sess.Undecodable && (sess.ID != v.ticket.ID || sess.Subject != v.subject) {
			m.t.Errorf("%s: Sessions: got %+v, which is no session of %s", name, sess, v.subject)
		}
	}
}

// checkWrites renews and rotates by key what v has read before: a ticket of
// theirs, whatever is in Redis. Nobody else's key may do so.
func (m *tamperer) checkWrites(name string, key Key, v *victim, want error) {
	m.t.Helper()
	ctx := m.b.ctx(m.t)
	refused := func(err error) bool { // the subject in Redis is not that of v, to whom the verifier belongs
		return want != nil && (errors.Is(err, want) || want == ErrUndecodable && errors.Is(err, ErrInvalidTicket))
	}
	tk := v.ticket.Clone()
	err := m.store.Renew(ctx, key, tk)
	if err == nil {
		key, err = m.store.Rotate(ctx, key, tk, time.Minute)
	} else if next, err := m.store.Rotate(ctx, key, tk, time.Minute); !refused(err) || next != "" {
		m.t.Errorf("%s: Rotate: got %v, want %v", name, err, want)
	}
	if err != nil {
		if !refused(err) {
			m.t.Errorf("%s: Renew: got %v, want %v", name, err, want)
		}
		return
	}
	got, err := m.store.Retrieve(ctx, key)
	if err != nil || strings.HasSuffix(name, "crossed") {
		m.t.Errorf("%s: renewed: got %+v, %v", name, got, err)
		return
	}
	m.checkTicket(name, got, v)
}

func (m *tamperer) checkTicket(name string, got *Ticket, v *victim) {
	m.t.Helper()
	if got.Subject != v.subject || got.ID != v.ticket.ID || !reflect.DeepEqual(got.Identities, v.ticket.Identities) {
		m.t.Errorf("%s: got %+v, want %+v", name, got, v.ticket)
	}
}

// Nor does one session of a user pass for another: what was revoked stays so, and
// what a device may do stays with it.
func TestSealedSessionsOfOneUser(t *testing.T) {
	b := miniBackend(t)
	s := b.store(t, RedisConfig{SealKeys: []SealKey{testSealKey(0)}})
	ctx := b.ctx(t)
	var keys [2]Key
	var at, records [2]string
	var own [2]envelope
	for i := range keys {
		tk := newTicket(b, "alice")
		keys[i] = mustStore(t, b, s, tk)
		at[i] = s.recordKey(partition("alice"), tk.ID)
		records[i] = b.client.Get(ctx, at[i]).Val()
		var err error
		if own[i], err = parseEnvelope([]byte(records[i])); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		exchange func(mine, others envelope) envelope
		want     error
	}{
		"records":   {func(_, others envelope) envelope { return others }, ErrUndecodable},
		"tickets":   {func(mine, others envelope) envelope { mine.ticket = others.ticket; return mine }, ErrUndecodable},
		"verifiers": {func(mine, others envelope) envelope { mine.verifier = others.verifier; return mine }, ErrSuperseded},
		"nothing":   {func(mine, _ envelope) envelope { return mine }, nil},
	} {
		for i, key := range keys {
			e := test.exchange(own[i], own[1-i])
			if err := b.client.Set(ctx, at[i], e.String()+string(e.ticket), redis.KeepTTL).Err(); err != nil {
				t.Fatal(err)
			}
			crossed, _ := parseRedisKey(key)
			other, _ := parseRedisKey(keys[1-i])
			crossed.secret = other.secret
			if tk, err := s.Retrieve(ctx, key); !errors.Is(err, test.want) {
				t.Errorf("%s: got %v, %v, want %v", name, tk, err, test.want)
			}
			if tk, err := s.Retrieve(ctx, crossed.key()); err == nil {
				t.Errorf("%s: the other's secret opens %v", name, tk)
			}
		}
	}
}

// A longer expiry in Redis keeps nobody in: the ticket has its own.
func TestSealedExpiryIsTheTickets(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := b.store(t, RedisConfig{SealKeys: []SealKey{testSealKey(0)}})
		tk := newTicket(b, "alice")
		key := mustStore(t, b, s, tk)
		if err := b.client.Persist(t.Context(), s.recordKey(partition("alice"), tk.ID)).Err(); err != nil {
			t.Fatal(err)
		}
		b.advance(time.Hour)
		if got, err := s.Retrieve(b.ctx(t), key); err != ErrNotFound {
			t.Errorf("got %v, %v, want ErrNotFound", got, err)
		}
	})
}

// A bystander is a go-redis hook that writes down what is sent.
type bystander struct {
	mu  sync.Mutex
	out strings.Builder
}

func (l *bystander) hear(cmd redis.Cmder) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(&l.out, "%s\n", cmd.Args())
}

func (l *bystander) DialHook(next redis.DialHook) redis.DialHook { return next }

func (l *bystander) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		l.hear(cmd)
		return next(ctx, cmd)
	}
}

func (l *bystander) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			l.hear(cmd)
		}
		return next(ctx, cmds)
	}
}

// Who reads Redis, or what is sent to it, finds no ticket; the ID and the subject
// they do.
func TestSealedShowsNoTicket(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		sent := &bystander{}
		b.client.AddHook(sent)
		for _, cfg := range []RedisConfig{{}, {SealKeys: []SealKey{testSealKey(0)}}} {
			s := b.store(t, cfg)
			ctx := b.ctx(t)
			tk := newTicket(b, "alice")
			tk.Scheme = "scheme-of-alice"
			tk.Identities = []Identity{{AuthenticationType: "kind-of-alice", Claims: []Claim{{Type: "type-of-claim", Value: "value-of-claim"}}}}
			tk.Properties = map[string]string{"name-of-property": "value-of-property"}
			tk.Device = Device{UserAgent: "agent-of-alice", Addr: netip.MustParseAddr("192.0.2.77")}
			tk.SeenFrom = Device{UserAgent: "later-agent-of-alice", Addr: netip.MustParseAddr("2001:db8::77")}
			inTicket := []string{"scheme-of-alice", "kind-of-alice", "type-of-claim", "value-of-claim", "name-of-property", "value-of-property",
				"agent-of-alice", "192.0.2.77", "2001:db8::77"}
			sent.out.Reset()
			key := mustStore(t, b, s, tk)
			if err := s.Renew(ctx, key, tk); err != nil {
				t.Fatal(err)
			}
			next, err := s.Rotate(ctx, key, tk, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Retrieve(ctx, next); err != nil {
				t.Fatal(err)
			}
			var dump strings.Builder
			for _, at := range b.keys(t) {
				fmt.Fprintln(&dump, at, b.client.Get(t.Context(), at).Val(), b.client.ZRange(t.Context(), at, 0, -1).Val())
			}
			if _, err := s.Sessions(ctx, "alice"); err != nil {
				t.Fatal(err)
			}
			for where, text := range map[string]string{"Redis": dump.String(), "what is sent": sent.out.String()} {
				for _, part := range inTicket {
					if got, want := strings.Contains(text, part), cfg.SealKeys == nil; got != want {
						t.Errorf("%d seal keys: %s has %q: got %v, want %v", len(cfg.SealKeys), where, part, got, want)
					}
				}
				for _, part := range []string{"alice", tk.ID} {
					if !strings.Contains(text, part) {
						t.Errorf("%s does not have %q: the test looks at the wrong thing", where, part)
					}
				}
			}
			if _, err := s.RevokeAll(ctx, "alice"); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// The limit is that of the serialized ticket.
func TestSealedTicketTooLarge(t *testing.T) {
	b := miniBackend(t)
	tk := newTicket(b, "alice")
	tk.ID = uuid.NewString()
	data, err := JSONSerializer{}.Serialize(tk)
	if err != nil {
		t.Fatal(err)
	}
	for size, want := range map[int]error{len(data): nil, len(data) - 1: ErrInvalidTicket} {
		s := b.store(t, RedisConfig{SealKeys: []SealKey{testSealKey(0)}, MaxTicketBytes: size})
		if _, err := s.Store(b.ctx(t), tk.Clone()); !errors.Is(err, want) {
			t.Errorf("%d bytes where %d are allowed: got %v, want %v", len(data), size, err, want)
		}
	}
}

func TestSeals(t *testing.T) {
	key := []SealKey{bytes.Repeat([]byte{1}, 32)}
	client := redis.NewClient(&redis.Options{})
	defer client.Close()
	for _, tt := range []struct {
		cfg  RedisConfig
		want bool
	}{
		{RedisConfig{}, false},
		{RedisConfig{SealKeys: key}, true},
		{RedisConfig{SealKeys: key, DangerouslyAcceptUnsealed: true}, true},
		{RedisConfig{SealKeys: key, DangerouslyWriteUnsealed: true}, false},
	} {
		s, err := NewRedisStore(client, tt.cfg)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Seals(); got != tt.want {
			t.Errorf("%v: got %t, want %t", tt.cfg, got, tt.want)
		}
	}
}
