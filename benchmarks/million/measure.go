package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/benchmarks/internal/rig"
)

const pageSize = 50

// verify checks that the store holds exactly what was stored, before calls are
// timed. What is done once, and for everything, is timed here.
func (b *bench) verify(ctx context.Context) error {
	if err := errors.Join(b.checkPerson(ctx, b.people[0]), b.checkCount(ctx)); err != nil {
		return err
	}
	for range b.samples {
		if err := b.checkPerson(ctx, pick(b, b.people)); err != nil {
			return err
		}
	}

	var ids, subjects []string
	for _, s := range b.stored {
		ids = append(ids, s.id)
	}
	for _, p := range b.people {
		subjects = append(subjects, p.subject)
	}
	for _, limit := range []int{1000, pageSize} {
		var seen []string
		pages := (b.sessions + limit - 1) / limit
		if err := b.total(ctx, fmt.Sprintf("`SessionPage`, all %s pages of %s", rig.Group(pages), rig.Group(limit)), func(ctx context.Context) (err error) {
			seen, err = b.walk(ctx, limit)
			return err
		}); err != nil {
			return err
		}
		if err := same("the sessions of all pages", seen, ids); err != nil {
			return err
		}
	}
	var seen []string
	if err := b.total(ctx, "`Subjects`, all", func(ctx context.Context) error {
		for subject, err := range b.store.Subjects(ctx) {
			if err != nil {
				return err
			}
			seen = append(seen, subject)
		}
		return nil
	}); err != nil {
		return err
	}
	return same("the subjects", seen, subjects)
}

// total times what is done once.
func (b *bench) total(ctx context.Context, what string, do func(context.Context) error) error {
	start, used := time.Now(), b.cpu(ctx)
	if err := do(ctx); err != nil {
		return err
	}
	b.add(totals, row{what, "1", seconds(time.Since(start)), "", seconds(b.cpu(ctx) - used), ""})
	return nil
}

// cpu returns the processor time that this process and Redis have used. On a
// busy machine it says more than the clock.
func (b *bench) cpu(ctx context.Context) time.Duration {
	redis, _ := rig.RedisCPU(ctx, b.client) // if it fails, so does the next call
	return rig.SelfCPU() + redis
}

// same compares got and want, in any order.
func same(what string, got, want []string) error {
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		return fmt.Errorf("%s: got %d, want %d, or they are not the same ones", what, len(got), len(want))
	}
	return nil
}

// checkPerson checks what finds a session of p: by user, by ID, by key.
func (b *bench) checkPerson(ctx context.Context, p person) error {
	list, err := b.store.Sessions(ctx, p.subject)
	if err != nil {
		return err
	}
	if !slices.EqualFunc(list, p.stored, func(got ticketstore.Session, want session) bool { return got.ID == want.id }) {
		return fmt.Errorf("%s has %d sessions; got %d, or not the same ones in order", p.subject, p.n, len(list))
	}
	i := b.rand.IntN(p.n)
	one, err1 := b.store.Session(ctx, p.subject, p.stored[i].id)
	t, err2 := b.store.Retrieve(ctx, p.stored[i].key)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if _, ok := t.Claim("email"); !ok || one != list[i] || t.ID != one.ID || t.Subject != p.subject || t.Device != one.Device {
		return fmt.Errorf("%+v is listed, Session returns %+v, Retrieve %+v", list[i], one, t)
	}
	return nil
}

func (b *bench) checkCount(ctx context.Context) error {
	got, err := b.store.Count(ctx)
	if want := (ticketstore.Counts{Subjects: int64(b.subjects), Sessions: int64(b.sessions)}); err == nil && got != want {
		err = fmt.Errorf("Count: got %+v, want %+v", got, want)
	}
	return err
}

// walk returns the IDs on all pages, and leaves the cursors in b.
func (b *bench) walk(ctx context.Context, limit int) (seen []string, err error) {
	b.cursors = nil
	for cursor, more := "", true; more; more = cursor != "" {
		page, next, err := b.store.SessionPage(ctx, cursor, limit)
		if err != nil {
			return nil, err
		}
		if len(page) < limit && next != "" {
			return nil, fmt.Errorf("page %d has %d sessions; want %d", len(b.cursors), len(page), limit)
		}
		for _, s := range page {
			seen = append(seen, s.ID)
		}
		b.cursors, cursor = append(b.cursors, cursor), next
	}
	return seen, nil
}

// measure times calls, one after the other.
func (b *bench) measure(ctx context.Context) error {
	extra := make([]*ticketstore.Ticket, warm(b.samples)+b.samples) // to be stored, renewed, revoked
	var keys []ticketstore.Key
	for i := range extra {
		extra[i] = b.ticket(1+b.rand.IntN(b.subjects-1), uint64(b.sessions+i))
	}
	stored, renewed, revoked := -1, -1, -1
	few := b.samples / 10
	for _, m := range []struct {
		what    string
		samples int
		limit   time.Duration
		text    string
		call    func() error
	}{
		{"`Retrieve`", b.samples, 0, "", func() error {
			_, err := b.store.Retrieve(ctx, pick(b, b.stored).key)
			return err
		}},
		{"`Session`", b.samples, 0, "", func() error {
			s := pick(b, b.stored)
			_, err := b.store.Session(ctx, b.people[s.person].subject, s.id)
			return err
		}},
		{"`Sessions` of a user with 1 to 10", b.samples, time.Millisecond, "median under 1 ms", func() error {
			_, err := b.store.Sessions(ctx, pick(b, b.people[1:]).subject)
			return err
		}},
		{"`Sessions` of the user with 1,000", few, 0, "", func() error {
			_, err := b.store.Sessions(ctx, b.people[0].subject)
			return err
		}},
		{"`Count`", few, 5 * time.Millisecond, "median under 5 ms", func() error {
			_, err := b.store.Count(ctx)
			return err
		}},
		{"`SessionPage` of 50, the first", few, 5 * time.Millisecond, "median under 5 ms", func() error {
			_, _, err := b.store.SessionPage(ctx, "", pageSize)
			return err
		}},
		{"`SessionPage` of 50, from anywhere", b.samples, 5 * time.Millisecond, "median under 5 ms", func() error {
			_, _, err := b.store.SessionPage(ctx, pick(b, b.cursors), pageSize)
			return err
		}},
		{"`Store`", b.samples, 0, "", func() error {
			stored++
			key, err := b.store.Store(ctx, extra[stored])
			keys = append(keys, key)
			return err
		}},
		{"`Renew`", b.samples, 0, "", func() error {
			renewed++
			return b.store.Renew(ctx, keys[renewed], extra[renewed])
		}},
		{"`Revoke`", b.samples, 0, "", func() error {
			revoked++
			return b.store.Revoke(ctx, extra[revoked].Subject, extra[revoked].ID)
		}},
	} {
		runtime.GC()
		var took []time.Duration
		var used time.Duration
		for i := range warm(m.samples) + m.samples {
			if i == warm(m.samples) {
				took, used = nil, b.cpu(ctx)
			}
			start := time.Now()
			err := m.call()
			took = append(took, time.Since(start))
			if err != nil {
				return fmt.Errorf("%s: %w", m.what, err)
			}
		}
		used = b.cpu(ctx) - used
		slices.Sort(took)
		quantile := func(q float64) time.Duration { return took[int(q*float64(m.samples-1))] }
		b.add(calls, row{m.what, rig.Group(m.samples), ms(quantile(0.5)), ms(quantile(0.99)), ms(used / time.Duration(m.samples)), required(quantile(0.5), m.limit, m.text)})
	}
	return b.checkCount(ctx) // Store and Revoke have left all as it was
}

func warm(samples int) int { return samples / 10 }

// weigh adds what a session takes. A ticket grows when it is first renewed
// from another address than that of the sign-in, or in another browser, say the
// next version. So some are renewed.
func (b *bench) weigh(ctx context.Context) error {
	var ticket, record, usage, moved, updated int
	n := min(b.samples, b.sessions)
	for _, i := range b.rand.Perm(b.sessions)[:n] {
		s := b.stored[i]
		t, err := b.store.Retrieve(ctx, s.key)
		if err != nil {
			return err
		}
		data, err1 := b.config.Serializer.Serialize(t)
		key := fmt.Sprintf("%s{%02x}%s", b.prefix, sha256.Sum256([]byte(t.Subject))[0], s.id)
		size, err2 := b.client.StrLen(ctx, key).Result()
		renewed := func(seen ticketstore.Device) (int64, error) {
			t.IssuedAt = time.Now()
			t.ExpiresAt = t.IssuedAt.Add(24 * time.Hour)
			t.SeenFrom = seen
			if err := b.store.Renew(ctx, s.key, t); err != nil {
				return 0, err
			}
			return b.client.MemoryUsage(ctx, key).Result()
		}
		before, err3 := b.client.MemoryUsage(ctx, key).Result()
		there, err4 := renewed(ticketstore.Device{UserAgent: t.Device.UserAgent, Addr: device(b.rand).Addr})
		other, err5 := renewed(device(b.rand))
		if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
			return err
		}
		ticket, record, usage, moved, updated = ticket+len(data), record+int(size), usage+int(before), moved+int(there), updated+int(other)
	}
	limit := 1100
	if b.compact {
		limit = 700
	}
	bytes := func(what string, samples, got int, text string) {
		b.add(weights, row{what, rig.Group(samples), rig.Group(got) + " B", "", "", required(got, limit, text)})
	}
	goal := fmt.Sprintf("at most %s B", rig.Group(limit))
	bytes("memory of a session, with all indexes", b.sessions, b.perEach, goal)
	bytes("the same once last used from another address", n, b.perEach+(moved-usage)/n, goal)
	bytes("the same once last used in another browser, too", n, b.perEach+(updated-usage)/n, "")
	bytes("its record in Redis, with the key, before (mean)", n, usage/n, "")
	bytes("the text in it (mean)", n, record/n, "")
	bytes("the ticket in that (mean)", n, ticket/n, "")
	return nil
}

// memory returns what Redis has allocated.
func (b *bench) memory(ctx context.Context) (int, error) {
	info, err := b.client.InfoMap(ctx, "memory").Result()
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(info["Memory"]["used_memory"])
}

func pick[T any](b *bench, from []T) T { return from[b.rand.IntN(len(from))] }
