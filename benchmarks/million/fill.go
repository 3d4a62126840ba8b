package main

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/benchmarks/internal/rig"
)

const (
	capped    = 1_000 // sessions of the first person: RedisConfig's MaxSessions
	perPerson = 10    // at most, of any other
)

// A person is a user and what the tool has stored of them.
type person struct {
	subject string
	n       int
	stored  []session
}

type session struct {
	person int
	id     string
	key    ticketstore.Key
}

// fill stores the sessions: of all people in random order, as they come to a
// sign-in page.
func (b *bench) fill(ctx context.Context) error {
	b.people = make([]person, b.subjects)
	b.stored = make([]session, 0, b.sessions)
	give := func(p int) {
		b.people[p].n++
		b.stored = append(b.stored, session{person: p})
	}
	for p := range b.people {
		b.people[p].subject = uuid.NewSHA1(uuid.NameSpaceOID, fmt.Append(nil, p)).String()
		give(p)
	}
	for range capped - 1 {
		give(0)
	}
	for len(b.stored) < b.sessions {
		if p := 1 + b.rand.IntN(b.subjects-1); b.people[p].n < perPerson {
			give(p)
		}
	}
	b.rand.Shuffle(len(b.stored), func(i, j int) { b.stored[i], b.stored[j] = b.stored[j], b.stored[i] })

	before, err := b.memory(ctx)
	if err != nil {
		return err
	}
	if err := b.total(ctx, fmt.Sprintf("`Store`, all, %d clients at once", b.workers), b.storeAll); err != nil {
		return err
	}
	after, err := b.memory(ctx)
	if err != nil {
		return err
	}
	b.perEach = (after - before) / b.sessions

	// IDs are UUIDv7: the newest sign-in has the greatest.
	slices.SortFunc(b.stored, func(x, y session) int {
		return cmp.Or(cmp.Compare(x.person, y.person), strings.Compare(y.id, x.id))
	})
	rest := b.stored
	for p := range b.people {
		n := b.people[p].n
		b.people[p].stored, rest = rest[:n], rest[n:]
	}
	return nil
}

// storeAll has clients of its own, whose buffers are gone when memory is read.
func (b *bench) storeAll(ctx context.Context) error {
	client := newClient(b.addr, b.workers)
	defer client.Close()
	store, err := ticketstore.NewRedisStore(client, b.config)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next, done atomic.Int64
	var workers sync.WaitGroup
	for range b.workers {
		workers.Go(func() {
			for i := next.Add(1) - 1; i < int64(b.sessions) && ctx.Err() == nil; i = next.Add(1) - 1 {
				s := &b.stored[i]
				t := b.ticket(s.person, uint64(i))
				key, err := store.Store(ctx, t)
				if err != nil {
					cancel(err)
				}
				s.id, s.key = t.ID, key
				done.Add(1)
			}
		})
	}
	end := make(chan struct{})
	go func() {
		workers.Wait()
		close(end)
	}()
	start, tick := time.Now(), time.NewTicker(5*time.Second)
	defer tick.Stop()
	for {
		select {
		case <-end:
			return context.Cause(ctx)
		case <-tick.C:
			n := done.Load()
			fmt.Fprintf(b.progress, "stored %s of %s, %.0f/s\n", rig.Group(int(n)), rig.Group(b.sessions), float64(n)/time.Since(start).Seconds())
		}
	}
}

var (
	firstNames = []string{"Amina", "Jonas", "Mei", "Priya", "Mateusz", "Sofia", "Tariq", "Ingrid", "Kwame", "Lucía"}
	lastNames  = []string{"Okafor", "Lindqvist", "Zhang", "Raman", "Kowalski", "Rossi", "Haddad", "Berg", "Mensah", "Fernández"}
	roles      = []string{"customer", "customer", "customer", "editor", "administrator"}
	agents     = []string{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
		"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
	}
)

// ticket returns a ticket as SignIn makes it. It is the person's seed-th, and
// expires in 4 to 24 hours: none does while the tool runs.
func (b *bench) ticket(p int, seed uint64) *ticketstore.Ticket {
	r := rand.New(rand.NewPCG(seed, 2))
	first, last := firstNames[p%10], lastNames[p/10%10]
	t := ticketstore.NewTicket(b.people[p].subject,
		ticketstore.Claim{Type: "name", Value: first + " " + last},
		ticketstore.Claim{Type: "email", Value: fmt.Sprintf("%s.%s%d@example.com", strings.ToLower(first), strings.ToLower(last), p)},
		ticketstore.Claim{Type: "role", Value: roles[p%len(roles)]})
	t.Scheme = "password"
	t.Device = device(r)
	t.SignedInAt = time.Now().Add(-time.Duration(r.Int64N(int64(20 * time.Hour))))
	t.IssuedAt = t.SignedInAt
	t.ExpiresAt = t.IssuedAt.Add(24 * time.Hour)
	t.EndsAt = t.SignedInAt.Add(30 * 24 * time.Hour)
	t.Persistent = r.IntN(2) == 0
	if b.linked {
		t.Links = []string{link}
	}
	return t
}

func device(r *rand.Rand) ticketstore.Device {
	v := r.Uint32()
	return ticketstore.Device{
		UserAgent: agents[r.IntN(len(agents))],
		Addr:      netip.AddrFrom4([4]byte{198, 18 + byte(v>>24)&1, byte(v >> 8), byte(v)}), // RFC 2544
	}
}
