package storetest

import (
	"cmp"
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ticketstore/ticketstore"
)

type (
	ticket = ticketstore.Ticket
	key    = ticketstore.Key
)

// A memory is a store of all abilities that keeps every rule. Its steps are in
// do, where a mutant replaces some.
type memory struct {
	unit   time.Duration
	cap    int
	refuse bool
	do     steps

	mu        sync.Mutex // held during each step
	now       time.Time
	count     int // of sign-ins
	sessions  map[string]*record
	begun     []*begun
	endings   []ending
	marks     map[string]time.Time
	linkMarks map[string]linkMark
}

// A record is one session, live or expired.
type record struct {
	*ticket
	nth      int // sign-in
	key      key
	unused   bool          // key
	previous key           // that has been rotated away
	until    time.Time     // when previous stops reading only
	grace    time.Duration // of previous, once key is used
	spent    []key         // that opened it before
}

type steps struct {
	store        func(ctx context.Context, t *ticket) (key, error)
	renew        func(ctx context.Context, k key, t *ticket) error
	rotate       func(ctx context.Context, k key, t *ticket, grace time.Duration) (key, error)
	retrieve     func(ctx context.Context, k key) (*ticket, error)
	remove       func(k key) error
	list         func(subject string) []*record
	session      func(r *record) ticketstore.Session
	look         func(ctx context.Context, subject, id string) (ticketstore.Session, error)
	revoke       func(subject, id string) error
	revokeAll    func(subject string) int
	revokeOthers func(subject, keep string) (int, error)

	live     func(r *record) bool
	find     func(k key) (r *record, rotated bool)
	use      func(ctx context.Context, r *record, k key)
	one      func(subject, id string) *record
	end      func(r *record)
	valid    func(t *ticket) error
	current  func(r *record, t *ticket) bool
	own      func(t *ticket) *ticket
	replaced func(t *ticket) *record
	makeRoom func(subject string, replaced *record) error
	newKey   func(t *ticket) key
	newID    func(t *ticket) string

	tell   func(e ending)
	past   func(subject string) []ending
	read   func(cursor string, limit int) ([]ending, string, error)
	marked func(t *ticket) bool

	has          func(t *ticket, link string) bool
	markLink     func(link string, before time.Time)
	revokeLinked func(link string, before time.Time, progress func(int)) int
}

const memoryCap = 4

func newMemory(unit time.Duration, refuse bool) *memory {
	m := &memory{unit: unit, cap: memoryCap, refuse: refuse, sessions: map[string]*record{}, marks: map[string]time.Time{}, linkMarks: map[string]linkMark{},
		now: time.Date(2026, 5, 4, 3, 2, 1, 987654321, time.UTC)}
	m.do = steps{m.store, m.renew, m.rotate, m.retrieve, m.remove, m.list, m.session, m.look, m.revoke, m.revokeAll, m.revokeOthers,
		m.live, m.find, m.use, m.one, m.end, m.valid, m.current, m.own, m.replaced, m.makeRoom, m.newKey, m.newID,
		m.tell, m.past, m.read, m.marked, m.has, m.markLink, m.revokeLinked}
	return m
}

func (m *memory) fixture() Fixture {
	return Fixture{Store: m, Unit: m.unit, Cap: m.cap, Marks: true,
		Now: func() time.Time {
			m.mu.Lock()
			defer m.mu.Unlock()
			return m.now
		},
		Advance: func(d time.Duration) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.now = m.now.Add(d)
		},
	}
}

func (m *memory) Store(ctx context.Context, t *ticket) (key, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.do.marked(t) || m.unlinked(t) {
		return "", ticketstore.ErrConflict
	}
	k, err := m.do.store(ctx, t)
	m.notice("evicted")
	if r := m.sessions[t.ID]; err == nil && r != nil {
		m.begun = append(m.begun, &begun{session: m.session(r)})
	}
	return k, err
}

func (m *memory) store(_ context.Context, t *ticket) (key, error) {
	if err := m.do.valid(t); err != nil {
		return "", err
	}
	if err := m.do.makeRoom(t.Subject, m.do.replaced(t)); err != nil {
		return "", err
	}
	m.count++
	r := &record{ticket: m.do.own(t), nth: m.count, key: m.do.newKey(t)}
	r.ID, r.Revision = m.do.newID(t), rand.Text()
	m.sessions[r.ID] = r
	t.ID, t.Revision = r.ID, r.Revision
	return r.key, nil
}

func (m *memory) Renew(ctx context.Context, k key, t *ticket) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.do.renew(ctx, k, t)
}

func (m *memory) renew(ctx context.Context, k key, t *ticket) error {
	r, rotated := m.do.find(k)
	switch {
	case r == nil:
		return m.unknown(k)
	case rotated:
		return ticketstore.ErrConflict
	}
	if err := m.do.valid(t); err != nil {
		return err
	}
	switch {
	case t.Subject != r.Subject:
		return ticketstore.ErrInvalidTicket
	case !m.do.current(r, t):
		return ticketstore.ErrConflict
	}
	m.do.use(ctx, r, k)
	m.replace(r, t)
	return nil
}

// use is what a call with a key does to its record.
func (m *memory) use(ctx context.Context, r *record, k key) {
	if r.unused && r.key == k && !ticketstore.KeyUnsent(ctx) {
		r.unused, r.until = false, m.now.Add(r.grace)
	}
}

// unknown returns the error for a key that opens nothing.
func (m *memory) unknown(k key) error {
	for _, r := range m.sessions {
		if m.do.live(r) && (slices.Contains(r.spent, k) || k != "" && r.previous == k) {
			return ticketstore.ErrSuperseded
		}
	}
	return ticketstore.ErrNotFound
}

// replace is what a renewal does to the record, for which it was checked.
func (m *memory) replace(r *record, t *ticket) {
	id := r.ID
	r.ticket = m.do.own(t)
	r.ID, r.Revision = id, rand.Text()
	t.ID, t.Revision = r.ID, r.Revision
}

func (m *memory) Rotate(ctx context.Context, k key, t *ticket, grace time.Duration) (key, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.do.rotate(ctx, k, t, grace)
}

func (m *memory) rotate(ctx context.Context, k key, t *ticket, grace time.Duration) (key, error) {
	if err := m.renew(ctx, k, t); err != nil {
		return "", err
	}
	r := m.sessions[t.ID]
	if r.unused {
		r.spent = append(r.spent, r.key)
	} else {
		r.spent, r.previous = append(r.spent, r.previous), r.key
	}
	r.key, r.unused, r.grace, r.until = key(rand.Text()), true, grace, m.now.Add(grace)
	return r.key, nil
}

func (m *memory) Retrieve(ctx context.Context, k key) (*ticket, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.do.retrieve(ctx, k)
}

func (m *memory) retrieve(ctx context.Context, k key) (*ticket, error) {
	r, rotated := m.do.find(k)
	if r == nil {
		return nil, m.unknown(k)
	}
	m.do.use(ctx, r, k)
	t := r.ticket.Clone()
	if rotated {
		t.Revision = ""
	}
	return t, nil
}

func (m *memory) Remove(ctx context.Context, k key) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	defer m.notice("signed-out")
	return m.do.remove(k)
}

func (m *memory) remove(k key) error {
	if r, _ := m.do.find(k); r != nil {
		m.do.end(r)
		return nil
	}
	for _, r := range m.sessions {
		if k != "" && r.previous == k && m.do.live(r) {
			m.do.end(r)
			return nil
		}
	}
	if err := m.unknown(k); err != ticketstore.ErrNotFound {
		return err
	}
	return nil
}

func (m *memory) Sessions(ctx context.Context, subject string) ([]ticketstore.Session, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var sessions []ticketstore.Session
	for _, r := range m.do.list(subject) {
		sessions = append(sessions, m.do.session(r))
	}
	return sessions, nil
}

// list returns the live records of subject, newest sign-in first.
func (m *memory) list(subject string) []*record {
	var rs []*record
	for id := range m.sessions {
		if r := m.one(subject, id); r != nil {
			rs = append(rs, r)
		}
	}
	slices.SortFunc(rs, func(a, b *record) int { return cmp.Compare(b.nth, a.nth) })
	return rs
}

func (m *memory) session(r *record) ticketstore.Session {
	return ticketstore.Session{
		ID: r.ID, Subject: r.Subject, Scheme: r.Scheme, Device: r.Device, SeenFrom: r.SeenFrom, Persistent: r.Persistent,
		SignedInAt: r.SignedInAt, IssuedAt: r.IssuedAt, ExpiresAt: r.ExpiresAt, EndsAt: r.EndsAt,
	}
}

func (m *memory) Session(ctx context.Context, subject, id string) (ticketstore.Session, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.do.look(ctx, subject, id)
}

func (m *memory) look(_ context.Context, subject, id string) (ticketstore.Session, error) {
	r := m.do.one(subject, id)
	if r == nil {
		return ticketstore.Session{}, ticketstore.ErrNotFound
	}
	return m.do.session(r), nil
}

func (m *memory) Revoke(ctx context.Context, subject, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	defer m.notice("revoked")
	return m.do.revoke(subject, id)
}

func (m *memory) revoke(subject, id string) error {
	r := m.one(subject, id)
	if r == nil {
		return ticketstore.ErrNotFound
	}
	m.do.end(r)
	return nil
}

func (m *memory) RevokeAll(ctx context.Context, subject string) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	defer m.notice("revoked")
	m.marks[subject] = m.now
	return m.do.revokeAll(subject), nil
}

func (m *memory) revokeAll(subject string) int {
	rs := m.list(subject)
	for _, r := range rs {
		m.do.end(r)
	}
	return len(rs)
}

func (m *memory) RevokeOthers(ctx context.Context, subject, keep string) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	defer m.notice("revoked")
	m.marks[subject] = m.now
	return m.do.revokeOthers(subject, keep)
}

func (m *memory) revokeOthers(subject, keep string) (int, error) {
	if m.one(subject, keep) == nil {
		return 0, ticketstore.ErrNotFound
	}
	n := 0
	for _, r := range m.list(subject) {
		if r.ID != keep {
			m.do.end(r)
			n++
		}
	}
	return n, nil
}

func (m *memory) live(r *record) bool { return m.now.Before(r.ExpiresAt) }

// find returns the live record that a key opens, or nil, and whether the key
// only reads.
func (m *memory) find(k key) (found *record, rotated bool) {
	for _, r := range m.sessions {
		switch {
		case !m.do.live(r):
		case r.key == k:
			return r, false
		case r.previous != k || k == "":
		case m.now.Before(r.until):
			return r, true
		case r.unused:
			return r, false
		}
	}
	return nil, false
}

// one returns a live record of subject, or nil.
func (m *memory) one(subject, id string) *record {
	if r := m.sessions[id]; r != nil && r.Subject == subject && m.do.live(r) {
		return r
	}
	return nil
}

func (m *memory) end(r *record) { delete(m.sessions, r.ID) }

// valid reports what the store may not keep.
func (m *memory) valid(t *ticket) error {
	switch {
	case t.Subject == "", len(t.Subject) > 1024, !utf8.ValidString(t.Subject), strings.ContainsFunc(t.Subject, unicode.IsControl),
		!t.ExpiresAt.After(m.now), len(t.Links) > 0 && t.EndsAt.IsZero(), !t.EndsAt.IsZero() && t.ExpiresAt.After(t.EndsAt):
		return ticketstore.ErrInvalidTicket
	}
	return nil
}

// current reports whether t is what the caller has read last.
func (m *memory) current(r *record, t *ticket) bool { return t.Revision == r.Revision }

// own returns t as the store keeps it.
func (m *memory) own(t *ticket) *ticket {
	t = t.Clone()
	for _, v := range []*time.Time{&t.SignedInAt, &t.AuthenticatedAt, &t.IssuedAt, &t.ExpiresAt, &t.EndsAt, &t.LinkedAt} {
		*v = v.Truncate(m.unit)
	}
	return t
}

// replaced returns the record whose place a new session takes, or nil.
func (m *memory) replaced(t *ticket) *record { return m.one(t.Subject, t.ID) }

// makeRoom sees to it that there is room for one more session.
func (m *memory) makeRoom(subject string, replaced *record) error {
	others := slices.DeleteFunc(m.list(subject), func(r *record) bool { return r == replaced })
	switch {
	case len(others) < m.cap:
	case m.refuse:
		return ticketstore.ErrTooManySessions
	default:
		m.do.end(others[len(others)-1])
	}
	return nil
}

func (m *memory) newKey(*ticket) key   { return key(rand.Text()) }
func (m *memory) newID(*ticket) string { return rand.Text() }

// pause lets other calls in, where a mutant takes two steps for one.
func (m *memory) pause() {
	m.mu.Unlock()
	time.Sleep(100 * time.Microsecond)
	m.mu.Lock()
}
