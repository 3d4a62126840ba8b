package faults

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// What is done with a session.
type kind string

const (
	store    kind = "Store"
	retrieve kind = "Retrieve"
	renew    kind = "Renew"
	rotate   kind = "Rotate"
	remove   kind = "Remove"
	look     kind = "Session"
	revoke   kind = "Revoke"
	keep     kind = "RevokeOthers, kept"
	sweep    kind = "RevokeAll" // or RevokeOthers, of a session that is not kept
)

// How it came out.
type result string

const (
	ok       result = "ok"
	notFound result = "not found"
	conflict result = "conflict"
	unknown  result = "unknown" // the store could not answer
)

// An operation is what one session saw of a call. Times are in Unix
// nanoseconds. Keys are short names, for nobody is to read them.
type operation struct {
	Session      string `json:",omitempty"`
	User         string `json:",omitempty"` // of Store, and of what ends all sessions
	Kept         string `json:",omitempty"` // the session that it does not end
	Kind         kind
	Key          string `json:",omitempty"`
	Replaces     string `json:",omitempty"` // the revision of Renew and Rotate
	Content      string `json:",omitempty"` // written, or read
	Result       result
	Revision     string `json:",omitempty"` // that of the ticket then
	NewKey       string `json:",omitempty"`
	Call, Return int64
}

// A state is that of a session. A revision that nobody has seen, as the answer
// was lost, is "?", and so is a key, which nobody has.
type state struct {
	begun, ended           bool
	content, revision, key string
	previous               string // the key that was rotated away, which only reads and removes
}

// model is one session. An operation whose outcome is unknown may take effect at
// any time after its call, or never: see [linearizable].
var model = porcupine.Model{
	Init: func() any { return state{} },
	Step: func(from, input, _ any) (bool, any) {
		next, ok := step(from.(state), input.(operation))
		return ok, next
	},
}

func step(s state, o operation) (state, bool) {
	if o.Kind == store {
		return state{begun: true, content: o.Content, revision: o.Revision, key: o.Key}, !s.begun
	}
	live := s.begun && !s.ended
	current, previous := live && o.Key == s.key, live && o.Key == s.previous
	seen := func(revision string) bool { return revision == s.revision || s.revision == "?" }
	change := func(revision, key string) {
		s.content, s.revision = o.Content, revision
		if o.Kind == rotate {
			s.key, s.previous = key, o.Key
		}
	}
	switch o.Kind {
	case retrieve:
		switch {
		case o.Result == notFound:
			return s, !current && !previous
		case o.Revision == "":
			return s, previous && s.content == o.Content
		}
		good := current && s.content == o.Content && seen(o.Revision)
		s.revision = o.Revision
		return s, good

	case renew, rotate:
		switch o.Result {
		case unknown:
			if current && seen(o.Replaces) {
				change("?", "?")
			}
			return s, true
		case notFound:
			return s, !current && !previous
		case conflict:
			return s, previous || current && o.Replaces != s.revision
		}
		good := current && seen(o.Replaces)
		change(o.Revision, o.NewKey)
		return s, good

	case remove:
		switch o.Result {
		case notFound: // superseded
			return s, live && !current && !previous
		case ok:
			s.ended = s.begun
			return s, !live || current || previous
		}
		s.ended = s.ended || current || previous
		return s, true

	case look, keep:
		return s, o.Result == unknown || live == (o.Result == ok)
	case revoke:
		s.ended = s.begun
		return s, o.Result == unknown || live == (o.Result == ok)
	default: // sweep
		s.ended = s.begun
		return s, true
	}
}

// linearizable checks the histories of all sessions, each by itself. What a read
// says may have been true for as long as stale before it.
func linearizable(all []operation, stale time.Duration) error {
	begun := map[string]int64{}
	users := map[string][]string{} // their sessions
	for _, o := range all {
		if o.Kind == store {
			begun[o.Session] = o.Return
			users[o.User] = append(users[o.User], o.Session)
		}
	}
	sessions := map[string][]porcupine.Operation{}
	add := func(o operation) {
		call, end := o.Call, o.Return
		switch {
		case o.Result == unknown:
			end = math.MaxInt64
		case o.Kind == retrieve:
			call -= stale.Nanoseconds()
		case o.Kind == sweep && call < begun[o.Session]:
			end = math.MaxInt64 // one that starts meanwhile may survive
		}
		sessions[o.Session] = append(sessions[o.Session], porcupine.Operation{Input: o, Call: call, Return: end})
	}
	for _, o := range all {
		if o.Kind != sweep {
			add(o)
			continue
		}
		for _, id := range users[o.User] {
			o.Session, o.Kind = id, sweep
			if id == o.Kept {
				o.Kind = keep
			} else if o.Result == notFound {
				continue // it has changed nothing
			}
			add(o)
		}
	}
	for id, history := range sessions {
		if got := porcupine.CheckOperationsTimeout(model, history, time.Minute); got != porcupine.Ok {
			return &violation{id, got, history}
		}
	}
	return nil
}

// A violation is a history that no session can have.
type violation struct {
	session string
	result  porcupine.CheckResult
	history []porcupine.Operation
}

func (v *violation) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "session %s: %s", v.session, v.result)
	slices.SortFunc(v.history, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	from := v.history[0].Call
	for _, op := range v.history {
		o := op.Input.(operation)
		fmt.Fprintf(&b, "\n%8d to %8d µs: %s %s", (o.Call-from)/1000, (o.Return-from)/1000, o.Kind, o.Result)
		for _, part := range [][2]string{{"key", o.Key}, {"replaces", o.Replaces}, {"content", o.Content}, {"revision", o.Revision}, {"new key", o.NewKey}} {
			if part[1] != "" {
				fmt.Fprintf(&b, ", %s %s", part[0], part[1])
			}
		}
	}
	return b.String()
}
