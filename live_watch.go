package ticketstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/ticketstore/ticketstore/internal/clock"
)

const (
	liveInterval = 30 * time.Second // each open session is read so often
	liveTick     = time.Second      // what is due is looked for so often
	liveRetry    = 5 * time.Second  // until what should have been answered at once is asked again
	liveBatch    = 200              // sessions that are read at once
)

// lives has the sessions whose contexts Live has returned. Without any it does
// nothing.
type lives struct {
	mu    sync.Mutex
	watch *watch // from the first to the last
}

// A watch ends contexts when their sessions have ended. What the store says in
// answer to a question is the truth, at any time; hints say what to ask sooner.
type watch struct {
	*lives
	manager  *Manager
	sessions map[string]*liveSession // by ID
	hinted   lane
	due      lane
	done     chan struct{}
	unlisten func()
}

// A lane reads sessions in the order in which they came to it: whatever is slow
// there does not hold up the other one.
type lane struct {
	waiting []*liveSession
	wake    chan struct{}
}

type liveSession struct {
	sessionRef
	now         func() time.Time
	idleTimeout time.Duration // the ticket's own
	conns       []liveConn    // none once it has ended
	phase       time.Time     // it is read at this time and each liveInterval after it
	ask         time.Time     // when it is read next
	expires     time.Time     // unless others keep it alive
	end         time.Time     // however active; zero if never
	hinted, due bool          // is in a lane
}

type liveConn struct {
	ctx context.Context
	end context.CancelCauseFunc
}

func (l *lives) open(m *Manager, ctx context.Context, end context.CancelCauseFunc, res *resolution) (*watch, *liveSession) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.watch
	if w == nil {
		w = &watch{lives: l, manager: m, sessions: map[string]*liveSession{}, done: make(chan struct{})}
		w.hinted.wake, w.due.wake = make(chan struct{}, 1), make(chan struct{}, 1)
		w.unlisten = func() {}
		if store, ok := m.store.(liveStore); ok {
			w.unlisten = store.listen(w.hint)
		}
		l.watch = w
		go w.run()
		go w.serve(&w.hinted, true)
		go w.serve(&w.due, false)
	}
	t := res.ticket
	s := w.sessions[t.ID]
	if s == nil {
		clock := clock.Of(ctx)
		now := clock()
		s = &liveSession{
			now:        clock,
			sessionRef: sessionRef{id: t.ID, subject: t.Subject}, idleTimeout: t.IdleTimeout,
			phase: now.Add(-rand.N(liveInterval)), expires: m.deadline(t), end: m.end(t),
		}
		s.ask = s.next(now)
		w.sessions[t.ID] = s
	}
	s.key = res.key
	s.conns = append(s.conns, liveConn{ctx, end})
	context.AfterFunc(ctx, func() { w.leave(s, ctx) })
	return w, s
}

// next returns when s is read next after now.
func (s *liveSession) next(now time.Time) time.Time {
	return now.Add(liveInterval - now.Sub(s.phase)%liveInterval)
}

// leave forgets a connection whose context has ended.
func (w *watch) leave(s *liveSession, ctx context.Context) {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.IndexFunc(s.conns, func(c liveConn) bool { return c.ctx == ctx })
	if i < 0 {
		return
	}
	s.conns = slices.Delete(s.conns, i, i+1)
	if len(s.conns) == 0 {
		w.forget(s)
	}
}

// forget stops the watch if s was the last. The caller holds the lock.
func (w *watch) forget(s *liveSession) {
	delete(w.sessions, s.id)
	if len(w.sessions) == 0 {
		w.lives.watch = nil
		w.unlisten()
		close(w.done)
	}
}

// finish ends the contexts of s. The caller holds the lock.
func (w *watch) finish(s *liveSession, cause error) {
	for _, c := range s.conns {
		c.end(cause)
	}
	s.conns = nil
	w.forget(s)
}

func (w *watch) run() {
	ticker := time.NewTicker(liveTick)
	defer ticker.Stop()
	for {
		select {
		case <-w.done:
			return
		case <-ticker.C:
			w.tick()
		}
	}
}

// tick has read what is due. What has reached its lifetime has ended, whatever
// the store would say.
func (w *watch) tick() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.sessions {
		now := s.now()
		switch {
		case !s.end.IsZero() && !now.Before(s.end):
			w.finish(s, expired(s.id))
		case !s.due && !now.Before(s.ask):
			s.due = true
			w.due.add(s)
		}
	}
}

// hint has sessions read at once that may have ended; with nil, all.
func (w *watch) hint(ids []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		if s := w.sessions[id]; s != nil {
			w.suspect(s)
		}
	}
	if ids == nil {
		for _, s := range w.sessions {
			w.suspect(s)
		}
	}
}

// removed is hint for what the store has removed by keys.
func (l *lives) removed(keys []Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.watch == nil || len(keys) == 0 {
		return
	}
	for _, s := range l.watch.sessions {
		if slices.Contains(keys, s.key) {
			l.watch.suspect(s)
		}
	}
}

func (w *watch) suspect(s *liveSession) {
	if !s.hinted {
		s.hinted = true
		w.hinted.add(s)
	}
}

func (l *lane) add(s *liveSession) {
	l.waiting = append(l.waiting, s)
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// serve reads what is in a lane; hinted says why it is there.
func (w *watch) serve(l *lane, hinted bool) {
	for {
		select {
		case <-w.done:
			return
		case <-l.wake:
		}
		for {
			ctx, batch := w.take(l, hinted)
			if batch == nil {
				break
			}
			if err := w.check(ctx, batch, hinted); err != nil {
				w.manager.logRepeated(new(http.Request).WithContext(ctx), slog.LevelError,
					"ticketstore: the store cannot say whether open sessions have ended", "", "error", err)
			}
		}
	}
}

// take takes sessions out of a lane, and returns a context to read them with: of
// one of their connections, as clocks and the like are in it.
func (w *watch) take(l *lane, hinted bool) (context.Context, []*liveSession) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var batch []*liveSession
	for len(l.waiting) > 0 && len(batch) < liveBatch {
		s := l.waiting[0]
		l.waiting = l.waiting[1:]
		if hinted {
			s.hinted = false // a hint from now on may tell of what this read does not see
		}
		if len(s.conns) > 0 {
			batch = append(batch, s)
		}
	}
	if batch == nil {
		l.waiting = nil
		return nil, nil
	}
	return context.WithoutCancel(batch[0].conns[0].ctx), batch
}

// check reads sessions and ends the contexts of those that have ended. It returns
// the error of one that the store could not answer for, which ends none.
func (w *watch) check(ctx context.Context, sessions []*liveSession, hinted bool) (err error) {
	refs := make([]sessionRef, len(sessions))
	w.mu.Lock()
	for i, s := range sessions {
		refs[i] = s.sessionRef
	}
	w.mu.Unlock()
	answers := w.manager.readSessions(ctx, refs)
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, s := range sessions {
		s.due = s.due && hinted
		err = cmp.Or(w.settle(s, answers[i], hinted), err)
	}
	return err
}

// settle ends the contexts of s, if that is what the answer says, or returns why
// the store could not answer. The caller holds the lock.
func (w *watch) settle(s *liveSession, answer sessionAnswer, hinted bool) error {
	if len(s.conns) == 0 {
		return nil
	}
	m := w.manager
	now := s.now()
	sess, err := answer.session, answer.err
	if err == nil && !sess.Undecodable {
		t := &Ticket{
			SignedInAt: sess.SignedInAt, IssuedAt: sess.IssuedAt, ExpiresAt: sess.ExpiresAt, EndsAt: sess.EndsAt,
			Persistent: sess.Persistent, IdleTimeout: s.idleTimeout,
		}
		s.expires, s.end = m.deadline(t), m.end(t)
	}
	switch {
	case errors.Is(err, ErrSuperseded): // it is live by another key
		err = nil
	case errors.Is(err, ErrUndecodable), err == nil && sess.Undecodable:
		err = fmt.Errorf("%w: session %s: %w", ErrNotFound, s.id, ErrUndecodable)
	case errors.Is(err, ErrNotFound):
		err = fmt.Errorf("%w: session %s has ended", ErrNotFound, s.id)
	case err == nil && !now.Before(s.expires):
		err = expired(s.id)
	}
	if errors.Is(err, ErrNotFound) {
		w.finish(s, err)
		return nil
	}
	s.ask = s.next(now)
	switch {
	case err == nil && now.Before(s.expires):
		s.ask = earlier(s.ask, s.expires)
	case err != nil && (hinted || !now.Before(s.expires)):
		s.ask = earlier(s.ask, now.Add(liveRetry))
	}
	return err
}

func expired(id string) error { return fmt.Errorf("%w: session %s has expired", ErrNotFound, id) }
