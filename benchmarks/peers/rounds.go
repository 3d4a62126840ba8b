package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/ticketstore/ticketstore"
)

// verify signs the users in, and checks that every contestant does what it is
// to be measured at.
func (b *bench) verify(ctx context.Context) error {
	var users []string
	for i := range b.sessions {
		users = append(users, fmt.Sprintf("user-%05d", i))
	}
	return b.inTurn(0, request, func(c *contender) (err error) {
		if c.sessions, err = c.begin(ctx, users, b.headline()); err != nil {
			return err
		}
		distinct := map[string]bool{}
		for _, one := range c.sessions {
			distinct[one.cookie] = true
		}
		if c.costs[signIn] != nil && len(distinct) != len(users) {
			return fmt.Errorf("%d sign-ins have %d cookies", len(users), len(distinct))
		}
		_, err = b.measure(ctx, c.system, request, func() (int, error) { // every session is there
			return len(users), c.each(ctx, c.prepareAll(request, c.sessions), b.headline(), func(i int, a answer) error {
				return c.sessions[i].check(a)
			})
		})
		if err != nil {
			return err
		}
		return c.checkRefusals(ctx)
	})
}

// begin returns a session of each user, with its request.
func (s *system) begin(ctx context.Context, users []string, goroutines int) (sessions []session, err error) {
	for _, user := range users {
		sessions = append(sessions, session{user: user})
	}
	if s.costs[signIn] != nil {
		if sessions, err = s.signInAll(ctx, s.prepareAll(signIn, sessions), users, goroutines); err != nil {
			return nil, err
		}
	}
	for i, prepared := range s.prepareAll(request, sessions) {
		sessions[i].request = prepared
	}
	return sessions, nil
}

// checkRefusals checks that the cookie decides who is there, and that without
// one, or after a sign-out, nobody is.
func (c *contender) checkRefusals(ctx context.Context) error {
	call := c.app.caller(ctx)
	expect := func(what string, status int, body, user, cookie string) error {
		if a := call(c.app.prepare(request, user, cookie)); a.status != status || status == 200 && string(a.body) != body {
			return fmt.Errorf("a request %s is answered with %d %s; want %d %s", what, a.status, a.body, status, body)
		}
		return nil
	}
	if err := expect("of nobody", 401, "", "", ""); err != nil {
		return err
	}
	one := c.sessions[0]
	if one.cookie != "" {
		if err := expect("that names another user", 200, one.user, "mallory", one.cookie); err != nil {
			return err
		}
	}
	if c.stateless {
		return nil
	}
	gone, err := c.begin(ctx, []string{"gone"}, 1)
	if err != nil {
		return err
	}
	if err := expect("after a sign-in", 200, "gone", "", gone[0].cookie); err != nil {
		return err
	}
	if err := c.signOutAll(ctx, c.prepareAll(signOut, gone), 1); err != nil {
		return err
	}
	return expect("after the sign-out", 401, "", "", gone[0].cookie)
}

// warmUp fills pools, and has Redis know the scripts.
func (b *bench) warmUp(ctx context.Context) error {
	err := b.inTurn(0, request, func(c *contender) error {
		if c.cached {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(b.settle):
			}
		}
		_, err := c.closedLoop(ctx, c.sessions, b.headline(), b.duration)
		return err
	})
	b.others = nil
	return err
}

// measureRounds measures what is done with one session.
func (b *bench) measureRounds(ctx context.Context) error {
	var users []string
	for i := range b.signIns {
		users = append(users, fmt.Sprintf("guest-%05d", i))
	}
	for round := range b.rounds {
		fmt.Fprintf(b.progress, "round %d of %d\n", round+1, b.rounds)
		for _, goroutines := range b.goroutines {
			if err := b.inTurn(round, request, func(c *contender) error {
				f, err := b.measure(ctx, c.system, request, func() (int, error) {
					return c.closedLoop(ctx, c.sessions, goroutines, b.duration)
				})
				c.add(cell{request, goroutines, 0}, f)
				return err
			}); err != nil {
				return err
			}
		}
		for _, rate := range b.rates {
			if err := b.inTurn(round, request, func(c *contender) error { return b.measureRate(ctx, c, rate) }); err != nil {
				return err
			}
		}
		if err := b.inTurn(round, signOut, func(c *contender) error { return b.measureSignIns(ctx, c, users) }); err != nil {
			return err
		}
	}
	return nil
}

func (c *contender) add(at cell, f figures) { c.results[at] = append(c.results[at], f) }

func (b *bench) measureRate(ctx context.Context, c *contender, rate int) error {
	var took []time.Duration
	f, err := b.measure(ctx, c.system, request, func() (n int, err error) {
		took, err = c.openLoop(ctx, c.sessions, rate, b.duration)
		return len(took), err
	})
	if err != nil {
		return err
	}
	f.p50, f.p99 = took[(len(took)-1)/2], took[(len(took)-1)*99/100]
	c.add(cell{request, 0, rate}, f)
	return nil
}

// measureSignIns signs users in and out again.
func (b *bench) measureSignIns(ctx context.Context, c *contender, users []string) error {
	guests := make([]session, len(users))
	for i := range guests {
		guests[i].user = users[i]
	}
	prepared := c.prepareAll(signIn, guests)
	f, err := b.measure(ctx, c.system, signIn, func() (n int, err error) {
		guests, err = c.signInAll(ctx, prepared, users, b.headline())
		return len(users), err
	})
	if err != nil {
		return err
	}
	c.add(cell{signIn, b.headline(), 0}, f)
	prepared = c.prepareAll(signOut, guests)
	f, err = b.measure(ctx, c.system, signOut, func() (int, error) {
		return len(users), c.signOutAll(ctx, prepared, b.headline())
	})
	c.add(cell{signOut, b.headline(), 0}, f)
	return err
}

const perVisitor = 4 // sessions of each user in the crowd

func (b *bench) visitors() int { return b.crowd / perVisitor }

func crowdUser(i int) string { return fmt.Sprintf("crowd-%06d", i) }

// fill signs the crowd in, where it can be listed.
func (b *bench) fill(ctx context.Context) error {
	var users []string
	for i := range b.visitors() {
		users = append(users, slices.Repeat([]string{crowdUser(i)}, perVisitor)...)
	}
	return b.inTurn(0, list, func(c *contender) error {
		fmt.Fprintf(b.progress, "%d sign-ins: %s\n", len(users), c.name)
		for some := range slices.Chunk(users, 10_000) { // for memory
			if _, err := c.begin(ctx, some, b.headline()); err != nil {
				return err
			}
		}
		return nil
	})
}

// Rounds of lists and counts, and how many there are in each where there is an
// index. Without one, a single one may take seconds.
const (
	listRounds = 3
	lists      = 200
)

// measureLists measures what is done with many sessions, one after the other.
func (b *bench) measureLists(ctx context.Context) error {
	random := rand.New(rand.NewPCG(1, 3))
	listOne := func(c *contender) error {
		user := crowdUser(random.IntN(b.visitors()))
		got, err := c.list(ctx, user)
		if err == nil && got != perVisitor {
			err = fmt.Errorf("%s has %d sessions; got %d", user, perVisitor, got)
		}
		return err
	}
	want := ticketstore.Counts{
		Subjects: int64(b.sessions + b.visitors()),
		Sessions: int64(b.sessions + b.visitors()*perVisitor),
	}
	countAll := func(c *contender) error {
		got, err := c.count(ctx)
		if err == nil && got != want {
			err = fmt.Errorf("there are %+v; got %+v", want, got)
		}
		return err
	}
	for round := range min(b.rounds, listRounds) {
		fmt.Fprintf(b.progress, "lists, round %d\n", round+1)
		for _, o := range []operation{list, count} {
			do := listOne
			if o == count {
				do = countAll
			}
			if err := b.inTurn(round, o, func(c *contender) error {
				n := lists
				if c.iterates {
					n = 1
				}
				f, err := b.measure(ctx, c.system, o, func() (int, error) {
					for range n {
						if err := do(c); err != nil {
							return 0, err
						}
					}
					return n, nil
				})
				c.add(cell{o, 1, 0}, f)
				return err
			}); err != nil {
				return err
			}
		}
	}
	return nil
}
