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

// A state is that of a session. A revision or a key that nobody has seen, as the
// answer was lost, is "?".
type state struct {
	begun, ended           bool
	content, revision, key string
}

// model is one session. An operation whose outcome is unknown may take effect at
// any time after its call, or never: see [linearizable].
var model = (&porcupine.NondeterministicModel{
	Init: func() []any { return []any{state{}} },
	Step: func(from, input, _ any) []any {
		s, o := from.(state), input.(operation)
		next, ok := step(s, o)
		switch {
		case !ok:
			return nil
		case o.Kind == remove && !next.ended:
			// A key that has been rotated away may still end the session.
			ended := next
			ended.ended = next.begun
			return []any{next, ended}
		}
		return []any{next}
	},
}).ToModel()

func step(s state, o operation) (state, bool) {
	live := s.begun && !s.ended
	seen := func(known, got string) bool { return known == got || known == "?" }
	if o.Kind == store {
		return state{begun: true, content: o.Content, revision: o.Revision, key: o.Key}, !s.begun
	}
	// A key that has been rotated away may still read and, at a store, be taken
	// for the current one while nobody has used that: what matters is that it
	// changes nothing, and reads nothing that has ended.
	current := live && seen(s.key, o.Key)
	switch {
	case o.Result == unknown:
		switch o.Kind {
		case renew, rotate:
			if current && seen(s.revision, o.Replaces) {
				s.content, s.revision = o.Content, "?"
				if o.Kind == rotate {
					s.key = "?"
				}
			}
		case remove:
			s.ended = s.ended || current
		case revoke, sweep:
			s.ended = s.begun
		}
		return s, true

	case o.Kind == retrieve && o.Result == ok:
		if o.Revision == "" { // by a key that has been rotated away
			return s, live && s.content == o.Content
		}
		good := live && s.content == o.Content && seen(s.revision, o.Revision) && seen(s.key, o.Key)
		s.revision, s.key = o.Revision, o.Key
		return s, good

	case (o.Kind == renew || o.Kind == rotate) && o.Result == ok:
		good := current && seen(s.revision, o.Replaces)
		s.content, s.revision, s.key = o.Content, o.Revision, o.Key
		if o.Kind == rotate {
			s.key = o.NewKey
		}
		return s, good
	case o.Kind == renew || o.Kind == rotate || o.Kind == retrieve:
		if o.Result == conflict {
			return s, live && (o.Key != s.key || o.Replaces != s.revision)
		}
		return s, !live || o.Key != s.key

	case o.Kind == remove:
		s.ended = s.ended || live && (o.Key == s.key || s.key == "?")
		return s, true
	case o.Kind == look || o.Kind == keep:
		return s, live == (o.Result == ok)
	case o.Kind == revoke:
		s.ended = s.begun
		return s, live == (o.Result == ok)
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
