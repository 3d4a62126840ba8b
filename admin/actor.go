package admin

import (
	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/ui"
)

// An Actor is the operator who acts in a user's session, see
// [ticketstore.Manager.Impersonate].
type Actor struct {
	User
	SessionID string `json:"sessionId"` // in which the operator does

	// Reason is why, in the operator's words, as it may be shown.
	Reason string `json:"reason"`
}

const maxReason = 256 // runes

func actor(a *ticketstore.Actor) *Actor {
	if a == nil {
		return nil
	}
	return &Actor{newUser(a.Subject), a.SessionID, ui.Clean(a.Reason, maxReason)}
}
