package ui

import (
	"testing"

	"github.com/ticketstore/ticketstore"
)

func TestMemoryIsBounded(t *testing.T) {
	var m Memory
	for i := range 3 * MaxMemory {
		m.Add(ticketstore.Session{ID: string(rune('a' + i)), Subject: "alice"})
	}
	if _, ok := m.Find("alice", string(rune('a'+3*MaxMemory-1))); !ok || len(m.sessions) != MaxMemory || cap(m.sessions) > 2*MaxMemory {
		t.Errorf("got %d of %d, and %v", len(m.sessions), cap(m.sessions), ok)
	}
	if _, ok := m.Find("bob", string(rune('a'+3*MaxMemory-1))); ok {
		t.Error("bob is told of alice's")
	}
}
