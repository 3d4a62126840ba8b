package forwardauth

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/ticketstore/ticketstore"
)

const maxHeader = 4096 // bytes; proxies have a page for the head of an answer

// Subject returns t's subject.
func Subject(t *ticketstore.Ticket) []string { return []string{t.Subject} }

// SessionID returns the ID of t's session, which is no secret.
func SessionID(t *ticketstore.Ticket) []string { return []string{t.ID} }

// Roles returns all that [ticketstore.Ticket.HasRole] is true for.
func Roles(t *ticketstore.Ticket) (roles []string) {
	for _, id := range t.Identities {
		roleType := id.RoleClaimType
		if roleType == "" {
			roleType = "role"
		}
		for _, c := range id.Claims {
			if c.Type == roleType {
				roles = append(roles, c.Value)
			}
		}
	}
	return roles
}

// Claim returns a function that returns what [ticketstore.Ticket.Claim] does:
// the first claim of claimType.
func Claim(claimType string) func(*ticketstore.Ticket) []string {
	return func(t *ticketstore.Ticket) []string {
		if value, ok := t.Claim(claimType); ok {
			return []string{value}
		}
		return nil
	}
}

// tell sets the headers to what they say of t.
func (h *Handler) tell(w http.ResponseWriter, t *ticketstore.Ticket) error {
	for name, values := range h.cfg.Headers {
		v := encode(values(t))
		if len(v) > maxHeader {
			return fmt.Errorf("%s has %d bytes; at most %d fit: send less of what the ticket has", name, len(v), maxHeader)
		}
		w.Header().Set(name, v)
	}
	return nil
}

// encode returns the value of a header that stands for values; see the comment
// of the package.
func encode(values []string) string {
	var b strings.Builder
	for _, v := range values {
		if v == "" {
			continue // nothing, in a list, would be read as one more value
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		for i := range len(v) {
			c := v[i]
			edge := i == 0 || i == len(v)-1
			if c < ' ' || c > '~' || c == '%' || c == ',' || c == ' ' && edge {
				fmt.Fprintf(&b, "%%%02X", c)
			} else {
				b.WriteByte(c)
			}
		}
	}
	return b.String()
}
