package faults

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore"
)

const (
	atCap  = 3  // sessions of a user
	shared = 24 // users whose sessions several end at once
)

// An ender begins sessions and ends them: those of users of its own, so that it
// knows why they have ended, and of users that others have as well.
type ender struct {
	place
	*ledger
	client  redis.UniversalClient
	store   *ticketstore.RedisStore
	manager *ticketstore.Manager
	begun   *atomic.Int64 // by all
	rand    *rand.Rand
	user    string // a new one each time
}

func newEnder(client redis.UniversalClient, store *ticketstore.RedisStore, p place, l *ledger, begun *atomic.Int64, random *rand.Rand) (*ender, error) {
	manager, err := ticketstore.NewManager(store, ticketstore.Config{
		CookieKeys: []ticketstore.CookieKey{{Hash: bytes.Repeat([]byte("h"), 32)}}, StoreTimeout: p.Patience,
		Logger: slog.New(slog.DiscardHandler),
	})
	return &ender{place: p, ledger: l, client: client, store: store, manager: manager, begun: begun, rand: random}, err
}

// ways are how a session ends.
var ways = []func(*ender, context.Context){
	(*ender).signOut, (*ender).replace, (*ender).revoke, (*ender).revokeAll, (*ender).revokeOthers, (*ender).evict,
	(*ender).idle, (*ender).lifetime, (*ender).deleteByHand, (*ender).forget, (*ender).leave, (*ender).together,
}

// begin begins a session, which has ended as the causes say.
func (e *ender) begin(ctx context.Context, change func(*ticketstore.Ticket), causes ...string) (t *ticketstore.Ticket, key ticketstore.Key, ok bool) {
	t = ticketstore.NewTicket(e.user)
	t.ExpiresAt = time.Now().Add(time.Hour)
	if change != nil {
		change(t)
	}
	ctx, cancel := context.WithTimeout(ctx, e.Patience)
	defer cancel()
	key, err := e.store.Store(ctx, t)
	if err != nil {
		e.unsure(e.user)
		return nil, "", false
	}
	e.begun.Add(1)
	e.note(t.ID, fate{user: e.user, causes: causes})
	return t, key, true
}

// insist does something until it is done.
func (e *ender) insist(ctx context.Context, do func(context.Context) error) {
	for ctx.Err() == nil {
		call, end := context.WithTimeout(ctx, e.Patience)
		err := do(call)
		end()
		if err == nil || errors.Is(err, ticketstore.ErrNotFound) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (e *ender) signOut(ctx context.Context) {
	if _, key, ok := e.begin(ctx, nil, "signed-out"); ok {
		e.insist(ctx, func(ctx context.Context) error { return e.store.Remove(ctx, key) })
	}
}

// replace signs in again in the same browser. That the old session could not be
// ended is logged, and no error.
func (e *ender) replace(ctx context.Context) {
	var cookies []*http.Cookie
	for _, causes := range [][]string{{"replaced", everybody}, {"signed-out"}} {
		r := httptest.NewRequestWithContext(ctx, "POST", "https://example.com/", nil)
		for _, c := range cookies {
			r.AddCookie(c)
		}
		w := httptest.NewRecorder()
		t := ticketstore.NewTicket(e.user)
		if e.manager.SignIn(w, r, t) != nil {
			e.unsure(e.user)
			return
		}
		e.begun.Add(1)
		e.note(t.ID, fate{user: e.user, causes: causes})
		cookies = w.Result().Cookies()
	}
	e.insist(ctx, func(ctx context.Context) error {
		r := httptest.NewRequestWithContext(ctx, "POST", "https://example.com/", nil)
		r.AddCookie(cookies[0])
		return e.manager.SignOut(httptest.NewRecorder(), r)
	})
}

func (e *ender) revoke(ctx context.Context) {
	t, _, ok := e.begin(ctx, nil)
	if !ok {
		return
	}
	e.note(t.ID, fate{user: e.user, causes: []string{"theft"}, by: "carol"})
	e.insist(ticketstore.WithCause(ctx, "theft", "carol"), func(ctx context.Context) error { return e.store.Revoke(ctx, e.user, t.ID) })
}

func (e *ender) revokeAll(ctx context.Context) {
	for range atCap {
		e.begin(ctx, nil, e.orEvicted("revoked")...)
	}
	e.insist(ctx, func(ctx context.Context) error {
		_, err := e.store.RevokeAll(ctx, e.user)
		return err
	})
}

// orEvicted adds that a session may have been evicted, if there may have been one
// of which nothing is known.
func (e *ender) orEvicted(causes ...string) []string {
	if e.faulty() {
		causes = append(causes, "evicted")
	}
	return causes
}

func (e *ender) revokeOthers(ctx context.Context) {
	for range atCap - 1 {
		e.begin(ctx, nil, e.orEvicted("revoked")...)
	}
	t, key, ok := e.begin(ctx, nil, e.orEvicted("signed-out")...)
	e.insist(ctx, func(ctx context.Context) (err error) {
		if ok {
			_, err = e.store.RevokeOthers(ctx, e.user, t.ID)
		} else {
			_, err = e.store.RevokeAll(ctx, e.user)
		}
		return err
	})
	e.insist(ctx, func(ctx context.Context) error { return e.store.Remove(ctx, key) })
}

func (e *ender) evict(ctx context.Context) {
	for i := range atCap + 1 {
		causes := e.orEvicted("revoked")
		if i == 0 && !e.faulty() {
			causes = []string{"evicted"}
		}
		e.begin(ctx, nil, causes...)
	}
	e.insist(ctx, func(ctx context.Context) error {
		_, err := e.store.RevokeAll(ctx, e.user)
		return err
	})
}

// soon returns an expiry that comes while the test runs.
func (e *ender) soon() time.Time {
	at := time.Now().Add(time.Duration(1000+e.rand.IntN(2000)) * time.Millisecond).Truncate(time.Millisecond)
	e.expires(at)
	return at
}

func (e *ender) idle(ctx context.Context) {
	t, key, ok := e.begin(ctx, func(t *ticketstore.Ticket) { t.ExpiresAt = e.soon() }, "idle")
	if ok && e.rand.IntN(2) == 0 {
		t.ExpiresAt = e.soon()
		ctx, cancel := context.WithTimeout(ctx, e.Patience)
		defer cancel()
		_ = e.store.Renew(ctx, key, t) // or it is idle before
	}
}

func (e *ender) lifetime(ctx context.Context) {
	at := e.soon()
	if t, _, ok := e.begin(ctx, func(t *ticketstore.Ticket) { t.ExpiresAt, t.EndsAt = at, at }); ok {
		e.note(t.ID, fate{user: e.user, causes: []string{"lifetime"}, at: at})
	}
}

// deleteByHand deletes a record, which is noticed when the user's sessions are
// listed.
func (e *ender) deleteByHand(ctx context.Context) {
	t, _, ok := e.begin(ctx, nil, "deleted", everybody)
	if !ok {
		return
	}
	record := fmt.Sprintf("%s{%02x}%s", e.Prefix, sha256.Sum256([]byte(e.user))[0], t.ID)
	e.insist(ctx, func(ctx context.Context) error { return e.client.Del(ctx, record).Err() })
	e.insist(ctx, func(ctx context.Context) error {
		_, err := e.store.Sessions(ctx, e.user)
		return err
	})
}

func (e *ender) forget(ctx context.Context) {
	for range atCap - 1 {
		e.begin(ctx, nil, "forgotten")
	}
	e.insist(ctx, func(ctx context.Context) error {
		_, err := e.store.Forget(ctx, e.user)
		return err
	})
}

func (e *ender) leave(ctx context.Context) { e.begin(ctx, nil, everybody) }

// together does something with a user's sessions while others do.
func (e *ender) together(ctx context.Context) {
	e.user = fmt.Sprint("shared-", e.rand.IntN(shared))
	e.know(e.user)
	t, key, ok := e.begin(ctx, func(t *ticketstore.Ticket) {
		if e.rand.IntN(3) == 0 {
			t.ExpiresAt = e.soon()
		}
	})
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, e.Patience)
	defer cancel()
	switch e.rand.IntN(6) { // whatever comes of it
	case 0:
		_ = e.store.Remove(ctx, key)
	case 1:
		_ = e.store.Revoke(ctx, e.user, t.ID)
	case 2:
		_, _ = e.store.RevokeAll(ctx, e.user)
	case 3:
		_, _ = e.store.RevokeOthers(ctx, e.user, t.ID)
	case 4:
		t.ExpiresAt = e.soon()
		_ = e.store.Renew(ctx, key, t)
	}
}
