package ticketstore

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/ticketstore/ticketstore/internal/refusal"
)

// Error answers r when a method of m or of its store has returned err, and logs
// what is for the operator to know. The cookie stays as it is.
//
//	ErrSuperseded       409 Conflict; SignOut has deleted the cookie, and the session goes on elsewhere
//	ErrNotFound         as Require: the session has ended; where Revoke returns it, the
//	                    ID is none of the user's: answer 404 instead
//	ErrConflict         409 Conflict; the user tries again or, after SignIn, signs in again
//	ErrTooManySessions  403 Forbidden; with RedisConfig.RefuseNew
//	ErrInvalidTicket    500 Internal Server Error; the ticket is the application's
//	ErrUnsupported      500 Internal Server Error, of package errors
//	any other           503 Service Unavailable, with Retry-After; the store cannot answer
//
// Call it before writing to w.
func (m *Manager) Error(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, ErrSuperseded), errors.Is(err, ErrConflict):
		m.answer(w, r, http.StatusConflict, err)
	case errors.Is(err, ErrNotFound):
		m.refuse(w, r, http.StatusUnauthorized, err, "ended")
	case errors.Is(err, ErrTooManySessions):
		m.answer(w, r, http.StatusForbidden, err)
	case errors.Is(err, ErrInvalidTicket), errors.Is(err, errors.ErrUnsupported):
		m.log(r, slog.LevelError, "ticketstore: what a handler asked for cannot be done", "error", err)
		m.answer(w, r, http.StatusInternalServerError, err)
	default:
		m.fail(w, r, err)
	}
}

var (
	errNotRecent    = errors.New("ticketstore: a recent sign-in is required")
	errImpersonated = errors.New("ticketstore: a recent sign-in of the user is required, and an operator acts as them")
)

// refuse sends a navigation to sign in, with the parameter why if that is not
// empty, or brings an operator back whose impersonation has ended, and answers
// anything else with status.
func (m *Manager) refuse(w http.ResponseWriter, r *http.Request, status int, err error, why string) {
	if status == http.StatusUnauthorized && m.resumes(w, r) {
		return
	}
	if login, status := m.loginURL(r, why); status != 0 {
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, login, status)
		return
	}
	if status == http.StatusUnauthorized {
		// RFC 9110, section 11.6.1: a 401 has a challenge. Browsers ignore
		// schemes that they do not know.
		w.Header().Set("WWW-Authenticate", "Cookie")
	}
	m.answer(w, r, status, err)
}

// fail answers 503 even if the client seems to have hung up: a server that
// stops may have cancelled the request, and then somebody reads the answer.
func (m *Manager) fail(w http.ResponseWriter, r *http.Request, err error) {
	if hungUp(r.Context()) {
		m.log(r, slog.LevelDebug, "ticketstore: the client hung up", "error", err)
	} else {
		m.log(r, slog.LevelError, "ticketstore: the store cannot answer", "error", err)
	}
	w.Header().Set("Retry-After", "5")
	m.answer(w, r, http.StatusServiceUnavailable, err)
}

func (m *Manager) answer(w http.ResponseWriter, r *http.Request, status int, err error) {
	w.Header().Set("Cache-Control", "no-store")
	switch refused := refusal.From(r.Context()); {
	case m.cfg.ErrorHandler != nil:
		m.cfg.ErrorHandler(w, r, status, err)
	case refused != nil: // by the handler that includes the Manager
		refused(w, r, status)
	default:
		http.Error(w, text(status, err), status)
	}
}

// text returns what a person is told.
func text(status int, err error) string {
	switch {
	case errors.Is(err, errImpersonated):
		return "Only the user can do this, not somebody who acts as them."
	case errors.Is(err, errNotRecent):
		return "A recent sign-in is required."
	case errors.Is(err, ErrSuperseded):
		return "This browser has been signed out, but its session goes on elsewhere. You can end it from the list of your sessions."
	case errors.Is(err, ErrTooManySessions):
		return "Too many devices are signed in. Please sign out on another one first."
	}
	switch status {
	case http.StatusUnauthorized:
		return "Sign-in is required."
	case http.StatusConflict:
		return "Something has changed in the meantime. Please try again."
	case http.StatusInternalServerError:
		return "Something is wrong on our side."
	}
	return "The service is temporarily unavailable. Please try again."
}
