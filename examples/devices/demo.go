package main

import (
	"context"
	"net/netip"
	"time"

	"github.com/ticketstore/ticketstore"
)

const (
	iphone  = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
	android = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36"
	windows = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0"
)

// demo is what -demo signs in. The addresses are those kept for documentation.
var demo = []struct {
	user, agent, addr string
	signedIn, used    time.Duration // ago
}{
	{"alice", iphone, "192.0.2.17", 216 * time.Hour, 40 * time.Minute},
	{"alice", windows, "198.51.100.4", 75 * time.Hour, 26 * time.Hour},
	{"bob", android, "203.0.113.80", 122 * time.Hour, 3 * time.Hour},
	{"bob", "curl/8.9.1", "198.51.100.23", 50 * time.Hour, 50 * time.Hour},
}

// seed puts the sessions of demo in store, unless they are there. Nobody has
// their cookies: a Manager signs users in, the store alone keeps tickets.
func seed(ctx context.Context, store *ticketstore.RedisStore) error {
	if sessions, err := store.Sessions(ctx, demo[0].user); err != nil || len(sessions) > 0 {
		return err
	}
	now := time.Now()
	for _, d := range demo {
		t := ticketstore.NewTicket(d.user)
		t.Device = ticketstore.Device{UserAgent: d.agent, Addr: netip.MustParseAddr(d.addr)}
		t.SignedInAt, t.IssuedAt = now.Add(-d.signedIn), now.Add(-d.used)
		t.ExpiresAt, t.EndsAt = t.IssuedAt.Add(14*24*time.Hour), t.SignedInAt.Add(30*24*time.Hour)
		t.Persistent = true
		if _, err := store.Store(ctx, t); err != nil {
			return err
		}
	}
	return nil
}
