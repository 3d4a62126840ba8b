package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/benchmarks/internal/rig"
)

const (
	maxSessions = 10_000 // the most that RedisConfig allows
	calls       = 50
)

// A user is one with sessions, oldest first.
type user struct {
	subject string
	more    string // a property
	keys    []ticketstore.Key
	tickets []*ticketstore.Ticket
}

func (u *user) ticket() *ticketstore.Ticket {
	t := ticketstore.NewTicket(u.subject, ticketstore.Claim{Type: "role", Value: "customer"})
	t.Device.UserAgent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
	t.SignedInAt = time.Now()
	t.IssuedAt = t.SignedInAt
	t.ExpiresAt = t.SignedInAt.Add(time.Hour)
	if u.more != "" {
		t.Properties = map[string]string{"more": u.more}
	}
	return t
}

// signIn gives u n sessions.
func (b *bench) signIn(ctx context.Context, u *user, n int) error {
	store, err := b.store(ticketstore.RedisConfig{MaxSessions: maxSessions})
	if err != nil {
		return err
	}
	u.keys, u.tickets = make([]ticketstore.Key, n), make([]*ticketstore.Ticket, n)
	errs := make([]error, n)
	var workers sync.WaitGroup
	for w := range 8 {
		workers.Go(func() {
			for i := w; i < n; i += 8 {
				u.tickets[i] = u.ticket()
				u.keys[i], errs[i] = store.Store(ctx, u.tickets[i])
			}
		})
	}
	workers.Wait()
	return errors.Join(errs...)
}

// time does something n times and adds a row. Redis' log says how long its
// commands took, in itself.
func (b *bench) time(ctx context.Context, what string, n int, call func(i int) error) error {
	runtime.GC()
	_, err1 := b.probe.longest()
	if err := errors.Join(err1, b.client.SlowLogReset(ctx).Err()); err != nil {
		return err
	}
	heap := watchHeap()
	var took []time.Duration
	for i := range n {
		start := time.Now()
		if err := call(i); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		took = append(took, time.Since(start))
	}
	r := row{what: what, calls: n, median: rig.Middle(took), longest: slices.Max(took), heap: heap()}
	var err error
	if r.ping, err = b.probe.longest(); err != nil {
		return err
	}
	slow, err := b.client.SlowLogGet(ctx, -1).Result()
	if err != nil {
		return err
	}
	for _, s := range slow {
		r.command = max(r.command, s.Duration)
	}
	b.rows = append(b.rows, r)
	fmt.Fprintf(b.progress, "%s: %s, longest %s, command %s, PING %s\n", what, ms(r.median), ms(r.longest), ms(r.command), ms(r.ping))
	return nil
}

func (b *bench) measure(ctx context.Context) error {
	err := b.time(ctx, "nothing", 10, func(int) error {
		select {
		case <-time.After(100 * time.Millisecond):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	if err != nil {
		return err
	}
	for _, n := range []int{10, min(1000, b.many/2), b.many} {
		if err := b.measureMany(ctx, n); err != nil {
			return err
		}
	}
	for _, n := range []int{10, min(1000, b.many/2), b.many} {
		if err := b.measureLarge(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// measureMany measures a user with n sessions.
func (b *bench) measureMany(ctx context.Context, n int) error {
	u := &user{subject: fmt.Sprint("user-", n)}
	open, err1 := b.store(ticketstore.RedisConfig{MaxSessions: maxSessions})
	evicts, err2 := b.store(ticketstore.RedisConfig{MaxSessions: n})
	refuses, err3 := b.store(ticketstore.RedisConfig{MaxSessions: n, RefuseNew: true})
	lowered, err4 := b.store(ticketstore.RedisConfig{MaxSessions: 1})
	few := min(n, calls) / 2
	if err := errors.Join(err1, err2, err3, err4, b.signIn(ctx, u, n-few)); err != nil {
		return err
	}
	name := rig.Group(n)
	store := func(s *ticketstore.RedisStore) func(int) error {
		return func(int) error {
			_, err := s.Store(ctx, u.ticket())
			return err
		}
	}
	var ids []string
	list := func(int) error {
		sessions, err := open.Sessions(ctx, u.subject)
		if err != nil || len(sessions) != n {
			return fmt.Errorf("got %d sessions, %w; want %d", len(sessions), err, n)
		}
		ids = nil
		for _, s := range sessions {
			ids = append(ids, s.ID)
		}
		if !slices.IsSortedFunc(ids, func(x, y string) int { return strings.Compare(y, x) }) {
			return errors.New("the sessions are not the newest first")
		}
		return nil
	}
	sizes := func(want int) error {
		counts, err := open.Count(ctx)
		if err != nil || counts.Sessions != int64(want) {
			return fmt.Errorf("Count: got %d sessions, %w; want %d", counts.Sessions, err, want)
		}
		return nil
	}
	if err := b.time(ctx, "`Store`, the user's "+name+" at most", few, store(open)); err != nil {
		return err
	}
	if err := b.time(ctx, "`Sessions`, "+name, max(1, 1000/n), list); err != nil {
		return err
	}
	oldest := slices.Clone(ids)
	slices.Reverse(oldest)
	if err := b.time(ctx, "`Store` at a cap of "+name, few, store(evicts)); err != nil {
		return err
	}
	if err := list(0); err != nil {
		return err
	}
	if slices.Contains(ids, oldest[few-1]) || !slices.Contains(ids, oldest[few]) && few < n {
		return errors.New("the cap did not end the oldest sign-ins")
	}
	if err := b.time(ctx, "`Store` refused at a cap of "+name, few, func(i int) error {
		if err := store(refuses)(i); !errors.Is(err, ticketstore.ErrTooManySessions) {
			return fmt.Errorf("got %w, want ErrTooManySessions", err)
		}
		return nil
	}); err != nil {
		return err
	}
	if err := sizes(n); err != nil {
		return err
	}
	if err := b.time(ctx, "`RevokeOthers`, "+name, 1, func(int) error {
		m, err := open.RevokeOthers(ctx, u.subject, ids[0])
		if err != nil || m != n-1 {
			return fmt.Errorf("got %d, %w; want %d", m, err, n-1)
		}
		return nil
	}); err != nil {
		return err
	}
	if err := b.signIn(ctx, u, n-1); err != nil {
		return err
	}
	if err := b.time(ctx, "`Store`, the cap lowered to 1 from "+name, 1, store(lowered)); err != nil {
		return err
	}
	if err := sizes(1); err != nil {
		return err
	}
	_, err := open.RevokeAll(ctx, u.subject)
	return err
}

// measureLarge measures a user with n sessions of large tickets.
func (b *bench) measureLarge(ctx context.Context, n int) error {
	u := &user{subject: fmt.Sprint("large-", n), more: strings.Repeat("x", b.large)}
	s, err := b.store(ticketstore.RedisConfig{MaxSessions: maxSessions})
	if err := errors.Join(err, b.signIn(ctx, u, n)); err != nil {
		return err
	}
	name := rig.Group(n) + " of " + rig.Group(b.large) + " bytes"
	few := min(n, calls) / 2
	if err := b.time(ctx, "`Renew`, "+name, few, func(i int) error { return s.Renew(ctx, u.keys[i], u.tickets[i]) }); err != nil {
		return err
	}
	if err := b.time(ctx, "`Remove`, "+name, few, func(i int) error { return s.Remove(ctx, u.keys[i]) }); err != nil {
		return err
	}
	left := n - few
	if err := b.time(ctx, "`Sessions`, "+name, max(1, 100/n), func(int) error {
		sessions, err := s.Sessions(ctx, u.subject)
		if err != nil || len(sessions) != left || slices.ContainsFunc(sessions, func(s ticketstore.Session) bool { return s.Undecodable }) {
			return fmt.Errorf("got %d sessions, %w; want %d that can be read", len(sessions), err, left)
		}
		return nil
	}); err != nil {
		return err
	}
	if err := b.time(ctx, "`SessionPage` of 1,000, "+name, 1, func(int) error {
		page, _, err := s.SessionPage(ctx, "", 1000)
		if want := min(left, 1000); err != nil || len(page) != want {
			return fmt.Errorf("got %d sessions, %w; want %d", len(page), err, want)
		}
		return nil
	}); err != nil {
		return err
	}
	return b.time(ctx, "`RevokeAll`, "+name, 1, func(int) error {
		m, err := s.RevokeAll(ctx, u.subject)
		if err != nil || m != left {
			return fmt.Errorf("got %d, %w; want %d", m, err, left)
		}
		return nil
	})
}
