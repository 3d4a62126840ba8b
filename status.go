package ticketstore

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/ticketstore/ticketstore/internal/recent"
)

// status is what Status says, in whole seconds: durations and no instants,
// since the browser's clock is another. A number is cut, so that a page that
// goes by it is early rather than late.
type status struct {
	SignedIn    bool   `json:"signedIn"`
	SinceSignIn *int64 `json:"sinceSignIn,omitempty"`
	UntilIdle   *int64 `json:"untilIdle,omitempty"` // the session ends unless it is used
	UntilEnd    *int64 `json:"untilEnd,omitempty"`  // it ends, however active
}

// Status returns a handler for pages that want to know how long their session
// lasts, or whether it still does. It answers GET with JSON:
//
//	{"signedIn":true,"sinceSignIn":60,"untilIdle":1740,"untilEnd":43140}
//	{"signedIn":false}
//
// in whole seconds, and never prolongs the session; sinceSignIn is by
// [Ticket].AuthenticatedAt, as RequireRecent has it. POST answers the same, but
// counts as use: for a page whose user is active without asking the server for
// anything. Where there is no such limit, its field is missing.
//
// Mount it outside Wrap, which would have counted the request already; inside,
// it answers 500. Guard it against other sites with
// [http.CrossOriginProtection].
func (m *Manager) Status() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if res := attached(r.Context()).of(m); res != nil && res.manager == m {
			http.Error(w, "ticketstore: mount Status outside of Wrap, which has prolonged the session already", http.StatusInternalServerError)
			return
		}
		switch r.Method {
		case http.MethodGet, http.MethodHead, http.MethodPost:
		default:
			w.Header().Set("Allow", "GET, HEAD, POST")
			http.Error(w, "Method not allowed", http.StatusMethodNotAllowed)
			return
		}
		res, err := m.resolve(fresh(r))
		if err != nil {
			m.fail(w, r, err)
			return
		}
		if r.Method == http.MethodPost {
			m.use(r, res)
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Add("Vary", "Cookie")
		json.NewEncoder(w).Encode(m.status(r, res))
	})
}

func (m *Manager) status(r *http.Request, res *resolution) status {
	t := res.ticket
	if t == nil {
		return status{}
	}
	now := m.now(r.Context())
	seconds := func(d time.Duration) *int64 { return new(max(0, int64(d/time.Second))) }
	s := status{SignedIn: true, SinceSignIn: seconds(now.Sub(recent.At(t.AuthenticatedAt, t.SignedInAt)))}
	if m.idleTimeout(t) > 0 {
		deadline := m.deadline(t)
		if res.operator != nil {
			deadline = earlier(deadline, m.deadline(res.operator.ticket))
		}
		s.UntilIdle = seconds(deadline.Sub(now))
	}
	if end := m.end(t); !end.IsZero() {
		s.UntilEnd = seconds(end.Sub(now))
	}
	return s
}
