package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore"
)

// A contestant is a way to keep sessions, or a part of the work of one.
type contestant struct {
	name string
	kind kind
	open func(context.Context, *place) (*system, error)
}

type kind int

const (
	part kind = iota // of the work
	ours
	peer
)

// What the others are compared to: the least that a session in Redis can cost,
// and for what that cannot do, the first of ours.
const (
	baseline = "one command, `securecookie`"
	first    = "**ticketstore**, `RedisStore`"
)

// contestants take part in this order, which the rounds rotate.
var contestants = []contestant{
	{"the handler alone", part, openBare},
	{"`securecookie` alone", part, openCookie},
	{baseline, part, openRaw},
	{first, ours, openOurs(ticketstore.RedisConfig{}, nil)},
	{first + ", batched", ours, openOurs(ticketstore.RedisConfig{BatchReads: true}, nil)},
	{first + ", cached", ours, openOurs(ticketstore.RedisConfig{MaxStaleness: staleness}, cache)},
	{"**ticketstore**, `aspnetcore.Store`", ours, openASPNETCore},
	{"scs", peer, openSCS(0)},
	{"scs, idle timeout", peer, openSCS(idleTimeout)},
	{"gorilla/sessions, redistore", peer, openGorilla},
	{"fiber session, idle timeout", peer, openFiber},
}

// All have the same limits, where they have any. Ours write the last use down
// once in renewAfter, which is longer than the tool runs.
const (
	idleTimeout = time.Hour
	renewAfter  = 30 * time.Minute
	lifetime    = 12 * time.Hour
)

// A place is where a contestant keeps its sessions: it has a database of Redis
// to itself.
type place struct {
	addr string
	db   int
}

// options are go-redis's defaults, but for a busy machine's sake: a command that
// is sent again is not what it should be.
func (p *place) options() *redis.Options {
	return &redis.Options{Addr: p.addr, DB: p.db, ContextTimeoutEnabled: true, MaxRetries: -1,
		DialTimeout: patience, ReadTimeout: patience, WriteTimeout: patience}
}

const patience = time.Minute

// A system is a contestant at work.
type system struct {
	// The application of it.
	app app

	// What Redis gets for each, other than that within scripts. A contestant
	// that lacks one cannot do it. A number is exact; see [commands.check].
	costs [operations]commands

	// list returns how many sessions a user has, count how many there are, and
	// of how many users.
	list     func(ctx context.Context, user string) (int, error)
	count    func(ctx context.Context) (ticketstore.Counts, error)
	iterates bool // over all sessions to do either

	stateless bool // its sessions cannot be ended
	cached    bool // it may read without Redis: costs are the most

	close func() error
}

// An operation is something that is measured.
type operation int

const (
	request operation = iota
	signIn
	signOut
	list
	count
	operations
)

func (o operation) String() string {
	return [...]string{"request", "sign-in", "sign-out", "list", "count"}[o]
}

// An app answers a request with the user of its session, 401 without one. A
// sign-in is of the user that a header names.
type app interface {
	// prepare returns a request that can be made any number of times.
	prepare(o operation, user, cookie string) any

	// caller returns what makes requests, one after the other. What it returns
	// is good until the next one.
	caller(ctx context.Context) func(prepared any) answer
}

type answer struct {
	status int
	body   []byte
	cookie string // name=value, of Set-Cookie
}

const userHeader = "X-User"

// A visitor is a user, with what a session says of them.
type visitor struct{ user, name, email, role, agent, addr string }

const userAgent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"

func visitorOf(user string) visitor {
	return visitor{user, "Amina Lindqvist", user + "@example.com", "customer", userAgent, "198.18.0.1"}
}

// values is what a session is made of where it is a bag of values.
func (v visitor) values() map[string]string {
	return map[string]string{"user": v.user, "name": v.name, "email": v.email, "role": v.role, "agent": v.agent, "addr": v.addr,
		"signedIn": time.Now().UTC().Format(time.RFC3339)}
}

func (v visitor) ticket() *ticketstore.Ticket {
	t := ticketstore.NewTicket(v.user,
		ticketstore.Claim{Type: "name", Value: v.name},
		ticketstore.Claim{Type: "email", Value: v.email},
		ticketstore.Claim{Type: "role", Value: v.role})
	t.Scheme = "password"
	return t // SignIn adds the rest
}

// refuse answers what should not happen.
func refuse(w http.ResponseWriter, err error) {
	http.Error(w, fmt.Sprint(err), http.StatusInternalServerError)
}
