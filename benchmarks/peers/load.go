package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A session is what a browser has after a sign-in.
type session struct {
	user    string
	cookie  string // name=value
	request any    // prepared
}

// closedLoop has so many goroutines make requests, each the next one once it
// has been answered, for d.
func (s *system) closedLoop(ctx context.Context, sessions []session, goroutines int, d time.Duration) (int, error) {
	var stop atomic.Bool
	defer time.AfterFunc(d, func() { stop.Store(true) }).Stop()
	ns, errs := make([]int, goroutines), make([]error, goroutines)
	var all sync.WaitGroup
	for g := range goroutines {
		all.Go(func() {
			ctx, cancel := context.WithCancel(ctx) // as of a connection
			defer cancel()
			call, random := s.app.caller(ctx), rand.New(rand.NewPCG(uint64(g), 1))
			for n := 0; ; n++ {
				if stop.Load() && n > 0 {
					ns[g] = n
					return
				}
				one := &sessions[random.IntN(len(sessions))]
				if err := one.check(call(one.request)); err != nil {
					errs[g] = err
					stop.Store(true)
					return
				}
			}
		})
	}
	all.Wait()
	n := 0
	for _, each := range ns {
		n += each
	}
	return n, errors.Join(errs...)
}

// check checks an answer to the session's request.
func (s *session) check(a answer) error {
	if a.status != 200 || string(a.body) != s.user {
		return fmt.Errorf("a request of %s is answered with %d %s", s.user, a.status, a.body)
	}
	return nil
}

// openLoop makes requests at a rate, whether those before have been answered or
// not, for d. It returns how long each took from when it was due, sorted.
func (s *system) openLoop(ctx context.Context, sessions []session, rate int, d time.Duration) ([]time.Duration, error) {
	total := max(1, int(float64(rate)*d.Seconds()))
	took, errs := make([]time.Duration, total), make([]error, total)
	var idle sync.Pool // callers
	var all sync.WaitGroup
	random, start := rand.New(rand.NewPCG(uint64(rate), 2)), time.Now()
	for i := range total {
		due := start.Add(time.Duration(i) * time.Second / time.Duration(rate))
		time.Sleep(time.Until(due))
		one := &sessions[random.IntN(len(sessions))]
		all.Go(func() {
			call, ok := idle.Get().(func(any) answer)
			if !ok {
				call = s.app.caller(ctx)
			}
			errs[i] = one.check(call(one.request))
			took[i] = time.Since(due)
			idle.Put(call)
		})
	}
	all.Wait()
	slices.Sort(took)
	return took, errors.Join(errs...)
}

// each has so many goroutines make the requests, each of them once, and hands
// the answers to got, at once.
func (s *system) each(ctx context.Context, prepared []any, goroutines int, got func(i int, a answer) error) error {
	var next atomic.Int64
	errs := make([]error, goroutines)
	var all sync.WaitGroup
	for g := range goroutines {
		all.Go(func() {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			call := s.app.caller(ctx)
			for errs[g] == nil {
				i := int(next.Add(1)) - 1
				if i >= len(prepared) {
					return
				}
				errs[g] = got(i, call(prepared[i]))
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// signInAll signs users in, and returns their sessions.
func (s *system) signInAll(ctx context.Context, prepared []any, users []string, goroutines int) ([]session, error) {
	sessions := make([]session, len(users))
	err := s.each(ctx, prepared, goroutines, func(i int, a answer) error {
		sessions[i] = session{user: users[i], cookie: a.cookie}
		if a.status != 200 || string(a.body) != users[i] || a.cookie == "" {
			return fmt.Errorf("a sign-in of %s is answered with %d %s and the cookie %q", users[i], a.status, a.body, a.cookie)
		}
		return nil
	})
	return sessions, err
}

// signOutAll ends sessions by requests that are prepared.
func (s *system) signOutAll(ctx context.Context, prepared []any, goroutines int) error {
	return s.each(ctx, prepared, goroutines, func(i int, a answer) error {
		if a.status != 200 || string(a.body) != "out" {
			return fmt.Errorf("a sign-out is answered with %d %s", a.status, a.body)
		}
		return nil
	})
}

func (s *system) prepareAll(o operation, sessions []session) (prepared []any) {
	for _, one := range sessions {
		prepared = append(prepared, s.app.prepare(o, one.user, one.cookie))
	}
	return prepared
}
