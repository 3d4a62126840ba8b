package ticketstore

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

// endingPages returns the IDs of the sessions on all pages of a size.
func endingPages(t *testing.T, b *backend, s *RedisStore, since time.Time, size int) (ids []string) {
	t.Helper()
	for cursor := ""; ; {
		page, next, err := s.EndingPage(b.ctx(t), since, cursor, size)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) > size || next != "" && len(page) < size {
			t.Fatalf("got %d on a page of %d, then %q", len(page), size, next)
		}
		for _, e := range page {
			ids = append(ids, e.Session.ID)
		}
		if next == "" {
			return ids
		}
		cursor = next
	}
}

// Each ending is on one page, those that were told last first, however they are
// spread over partitions and however many were told at one instant.
func TestEndingPage(t *testing.T) {
	eachBackend(t, func(t *testing.T, b *backend) {
		s := b.store(t, RedisConfig{History: time.Hour})
		if ids := endingPages(t, b, s, time.Time{}, 3); len(ids) > 0 {
			t.Errorf("got %q, want none", ids)
		}
		var want []string
		end := func(subject string) {
			tk := newTicket(b, subject)
			if err := s.Remove(b.ctx(t), mustStore(t, b, s, tk)); err != nil {
				t.Fatal(err)
			}
			want = append(want, tk.ID)
		}
		for i := range 40 {
			end(fmt.Sprint("user-", i))
			end("alice")
			if b.mini != nil && i%4 == 3 {
				b.advance(time.Second)
			}
		}
		for range 30 {
			end("alice")
		}
		first := endingPages(t, b, s, time.Time{}, 1000)
		if got := slices.Sorted(slices.Values(first)); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
			t.Fatalf("got %d endings, want %d", len(got), len(want))
		}
		for _, size := range []int{1, 7, 50, 110} {
			if got := endingPages(t, b, s, time.Time{}, size); !slices.Equal(got, first) {
				t.Errorf("in pages of %d: got\n%q\nwant\n%q", size, got, first)
			}
		}
		all, _, err := s.EndingPage(b.ctx(t), time.Time{}, "", 1000)
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range all {
			if b.mini != nil && i > 0 && e.EndedAt.After(all[i-1].EndedAt) {
				t.Fatalf("%d ended at %v, the one before it at %v", i, e.EndedAt, all[i-1].EndedAt)
			}
			if e.Cause != "signed-out" || e.Session.Undecodable || e.Session.Subject == "" {
				t.Errorf("got %+v", e)
			}
		}
		if b.mini == nil {
			return
		}
		since := all[len(all)/2].EndedAt
		later := 0
		for _, e := range all {
			if !e.EndedAt.Before(since.Add(-time.Second)) {
				later++
			}
		}
		if got := endingPages(t, b, s, since, 7); later == len(all) || !slices.Equal(got, first[:later]) {
			t.Errorf("since %v: got %d, want the last %d of %d", since, len(got), later, len(all))
		}
	})
}

// What has expired is on the first page, though nobody has looked.
func TestEndingPageTellsOfExpiry(t *testing.T) {
	b := miniBackend(t)
	s := b.store(t, remembering)
	tk := storeShort(t, b, s, "alice", false)
	b.advance(time.Second)
	if got := endingPages(t, b, s, time.Time{}, 10); !slices.Equal(got, []string{tk.ID}) {
		t.Errorf("got %q, want %s", got, tk.ID)
	}
}

// A page of endings that are spread evenly is one pipeline, beside what tells of
// expiry; of one subject's, two.
func TestEndingPageCosts(t *testing.T) {
	b := miniBackend(t)
	s := b.store(t, remembering)
	count := &counter{n: map[string]int{}}
	for i := range 60 {
		if err := s.Remove(b.ctx(t), mustStore(t, b, s, newTicket(b, fmt.Sprint("user-", i)))); err != nil {
			t.Fatal(err)
		}
	}
	_, next, err := s.EndingPage(b.ctx(t), time.Time{}, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	b.client.AddHook(count)
	if _, _, err := s.EndingPage(b.ctx(t), time.Time{}, next, 10); err != nil {
		t.Fatal(err)
	}
	if got := count.take(); got != "pipeline=1 xrevrange=256" {
		t.Errorf("got %s, want one pipeline", got)
	}
	for range 60 {
		if err := s.Remove(b.ctx(t), mustStore(t, b, s, newTicket(b, "alice"))); err != nil {
			t.Fatal(err)
		}
	}
	_, next, err = s.EndingPage(b.ctx(t), time.Time{}, "", 1)
	if err != nil {
		t.Fatal(err)
	}
	count.take()
	if page, _, err := s.EndingPage(b.ctx(t), time.Time{}, next, 50); err != nil || len(page) != 50 {
		t.Fatalf("got %d, %v", len(page), err)
	}
	if got := count.take(); got != "pipeline=2 xrevrange=257" {
		t.Errorf("of one subject: got %s, want two pipelines", got)
	}
}

func TestEndingPageRefuses(t *testing.T) {
	b := miniBackend(t)
	s := b.store(t, remembering)
	for _, cursor := range []string{"x", "00", "00.", "00.0-0", "00.5", "00.5-", "0.5-1", "100.5-1", "00.5-01", "00.+5-1", "00.5--1", "00.-5-1", "00.5-1 ", "00.99999999999999999999-1"} {
		if _, _, err := s.EndingPage(b.ctx(t), time.Time{}, cursor, 1); !errors.Is(err, ErrNotFound) {
			t.Errorf("%q: got %v, want ErrNotFound", cursor, err)
		}
	}
	for _, limit := range []int{-1, 0, 1001} {
		if _, _, err := s.EndingPage(b.ctx(t), time.Time{}, "", limit); err == nil {
			t.Errorf("a limit of %d was taken", limit)
		}
	}
	if _, _, err := b.store(t, RedisConfig{}).EndingPage(b.ctx(t), time.Time{}, "", 1); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("without History: got %v, want ErrUnsupported", err)
	}
	b.mini.SetError("LOADING")
	for _, cursor := range []string{"", "00.5-1"} {
		if _, _, err := s.EndingPage(b.ctx(t), time.Time{}, cursor, 1); err == nil || errors.Is(err, ErrNotFound) {
			t.Errorf("in an outage: got %v", err)
		}
	}
}

func FuzzEndingPosition(f *testing.F) {
	f.Add(endingPosition{streamID{1764371234567, 2}, 0xa7}.String())
	f.Add("")
	f.Add("00.5--1")
	f.Fuzz(func(t *testing.T, text string) {
		at, err := parseEndingPosition(text)
		if err == nil && text != "" && (at.String() != text || at.id.ms <= 0 || at.id.seq < 0) {
			t.Errorf("%q became %+v", text, at)
		}
	})
}
