package faults

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/ticketstore/ticketstore"
)

const (
	patience = 500 * time.Millisecond // of a call, when there are faults
	workers  = 3                      // of each process, in a round
	perRound = 12                     // operations of each worker
	begun    = 4                      // sessions that a round begins with
)

// sessionStore is all that a RedisStore does with sessions.
type sessionStore interface {
	ticketstore.TicketStore
	ticketstore.SessionIndex
	ticketstore.KeyRotator
}

// A round is what the workers of a process do with the sessions of one user.
type round struct {
	store    sessionStore
	user     string
	seed     uint64
	patience time.Duration

	mu       sync.Mutex
	sessions []*session
	history  []operation
}

// A session is one that the process has a key of.
type session struct {
	ID  string
	Key string // the last that the process knows of
}

// run returns what its workers saw.
func (r *round) run(ctx context.Context) []operation {
	var group sync.WaitGroup
	for i := range workers {
		group.Go(func() {
			w := &worker{round: r, rand: rand.New(rand.NewPCG(r.seed, uint64(i))), read: map[string]*ticketstore.Ticket{}}
			for range perRound {
				w.act(ctx)
			}
		})
	}
	group.Wait()
	return r.history
}

// begin signs the user in.
func (r *round) begin(ctx context.Context) {
	for i := range begun {
		(&worker{round: r, rand: rand.New(rand.NewPCG(r.seed, uint64(100+i)))}).signIn(ctx)
	}
}

func (r *round) add(o ...operation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.history = append(r.history, o...)
}

// pick returns one of the sessions, with its last key.
func (r *round) pick(n int) (s *session, key ticketstore.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.sessions) == 0 {
		return nil, ""
	}
	s = r.sessions[n%len(r.sessions)]
	return s, ticketstore.Key(s.Key)
}

type worker struct {
	*round
	rand *rand.Rand
	read map[string]*ticketstore.Ticket // by session ID, as it was read last
}

// act does one thing.
func (w *worker) act(ctx context.Context) {
	s, key := w.pick(w.rand.IntN(100))
	n := w.rand.IntN(100)
	if s == nil || n < 4 {
		w.signIn(ctx)
		return
	}
	o := operation{Session: s.ID, Key: name(key)}
	switch {
	case n < 46:
		w.retrieve(ctx, s, key, o)
	case n < 80:
		w.renew(ctx, s, key, o, renew)
	case n < 88:
		w.renew(ctx, s, key, o, rotate)
	case n < 94:
		o.Kind, o.Key = look, ""
		w.call(ctx, &o, func(ctx context.Context) error {
			_, err := w.store.Session(ctx, w.user, s.ID)
			return err
		})
		w.add(o)
	case n < 96:
		o.Kind = remove
		w.call(ctx, &o, func(ctx context.Context) error { return w.store.Remove(ctx, key) })
		w.add(o)
	case n < 98:
		o.Kind, o.Key = revoke, ""
		w.call(ctx, &o, func(ctx context.Context) error { return w.store.Revoke(ctx, w.user, s.ID) })
		w.add(o)
	case n < 99:
		w.sweep(ctx, s.ID, func(ctx context.Context) error {
			_, err := w.store.RevokeOthers(ctx, w.user, s.ID)
			return err
		})
	default:
		w.sweep(ctx, "", func(ctx context.Context) error {
			_, err := w.store.RevokeAll(ctx, w.user)
			return err
		})
	}
}

// call makes a call and notes when, and how it came out.
func (w *worker) call(ctx context.Context, o *operation, f func(context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, w.patience)
	defer cancel()
	o.Call = time.Now().UnixNano()
	err := f(ctx)
	o.Return = time.Now().UnixNano()
	switch {
	case err == nil:
		o.Result = ok
	case strings.Contains(err.Error(), "a reply was lost"):
		o.Result = unknown
	case errors.Is(err, ticketstore.ErrNotFound):
		o.Result = notFound
	case errors.Is(err, ticketstore.ErrConflict):
		o.Result = conflict
	case errors.Is(err, ticketstore.ErrInvalidTicket), errors.Is(err, ticketstore.ErrUndecodable), errors.Is(err, ticketstore.ErrTooManySessions):
		panic(fmt.Sprintf("%s: %v", o.Kind, err)) // nothing here is that
	default:
		o.Result = unknown
	}
}

func (w *worker) content() string { return fmt.Sprintf("%x", w.rand.Uint64()) }

func (w *worker) signIn(ctx context.Context) {
	t := ticketstore.NewTicket(w.user)
	t.ExpiresAt = time.Now().Add(time.Hour)
	o := operation{Kind: store, User: w.user, Content: w.content()}
	t.Properties = map[string]string{"content": o.Content}
	var key ticketstore.Key
	w.call(ctx, &o, func(ctx context.Context) (err error) {
		key, err = w.store.Store(ctx, t)
		return err
	})
	if o.Result != ok {
		return // there may be a session, but nobody has its key, or its ID
	}
	o.Session, o.Key, o.Revision = t.ID, name(key), t.Revision
	w.mu.Lock()
	defer w.mu.Unlock()
	w.history = append(w.history, o)
	w.sessions = append(w.sessions, &session{t.ID, string(key)})
}

func (w *worker) retrieve(ctx context.Context, s *session, key ticketstore.Key, o operation) {
	o.Kind = retrieve
	var t *ticketstore.Ticket
	w.call(ctx, &o, func(ctx context.Context) (err error) {
		t, err = w.store.Retrieve(ctx, key)
		return err
	})
	if o.Result == unknown {
		return // it changes nothing
	}
	if o.Result == ok {
		o.Content, o.Revision = t.Properties["content"], t.Revision
		w.read[s.ID] = t
	}
	w.add(o)
}

// renew renews or rotates what was read last, by whatever key there is now.
func (w *worker) renew(ctx context.Context, s *session, key ticketstore.Key, o operation, k kind) {
	t := w.read[s.ID]
	if t == nil || t.Revision == "" {
		w.retrieve(ctx, s, key, o)
		return
	}
	t = t.Clone()
	o.Kind, o.Replaces, o.Content = k, t.Revision, w.content()
	t.Properties["content"] = o.Content
	w.call(ctx, &o, func(ctx context.Context) error {
		if k == renew {
			return w.store.Renew(ctx, key, t)
		}
		next, err := w.store.Rotate(ctx, key, t, time.Hour)
		if err == nil {
			o.NewKey = name(next)
			w.mu.Lock()
			s.Key = string(next)
			w.mu.Unlock()
		}
		return err
	})
	if o.Result == ok {
		o.Revision = t.Revision
		w.read[s.ID] = t
	}
	w.add(o)
}

// sweep ends sessions of the user, all or all but kept.
func (w *worker) sweep(ctx context.Context, kept string, f func(context.Context) error) {
	o := operation{Kind: sweep, User: w.user, Kept: kept}
	w.call(ctx, &o, f)
	w.add(o)
}

// name is what a history calls a key.
func name(key ticketstore.Key) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:6])
}
