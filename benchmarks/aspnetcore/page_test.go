package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore"
)

// BenchmarkPage says what the page costs without its session.
func BenchmarkPage(b *testing.B) {
	u := users["alice"]
	t := ticketstore.NewTicket("alice",
		ticketstore.Claim{Type: nameIdentifier, Value: "alice"},
		ticketstore.Claim{Type: nameClaim, Value: u.name},
		ticketstore.Claim{Type: roleClaim, Value: u.role},
		ticketstore.Claim{Type: "department", Value: u.department})
	t.Scheme, t.IssuedAt, t.ExpiresAt, t.SignedInAt = "Cookies", time.Now(), time.Now(), time.Now()
	id := &t.Identities[0]
	id.AuthenticationType, id.NameClaimType, id.RoleClaimType = "pwd", nameClaim, roleClaim
	r := httptest.NewRequest(http.MethodGet, "/me", nil)
	r = r.WithContext(ticketstore.NewContext(r.Context(), t))
	w := httptest.NewRecorder()
	me(w, r)
	if n := w.Body.Len(); w.Code != http.StatusOK || n < 1000 {
		b.Fatalf("got %d and %d bytes", w.Code, n)
	}
	b.ReportAllocs()
	for b.Loop() {
		w.Body.Reset()
		me(w, r)
	}
}
