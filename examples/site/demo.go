package main

import (
	"context"
	"net/netip"
	"time"

	"github.com/ticketstore/ticketstore"
)

// What is in this file is for the demonstration alone.

const demoPassword = "correct horse"

var demoUsers = []user{
	{"0197a3c0-5b1e-7d20-9c41-3f6a0c8e1d01", "alice", "Alice Martin", ""},
	{"0197a3c0-5b1e-7d20-9c41-3f6a0c8e1d02", "bob", "Bob Fischer", ""},
	{"0197a3c0-5b1e-7d20-9c41-3f6a0c8e1d03", "chiara", "Chiara Rossi", ""},
	{"0197a3c0-5b1e-7d20-9c41-3f6a0c8e1d04", "daniel", "Daniel Okafor", ""},
	{"0197a3c0-5b1e-7d20-9c41-3f6a0c8e1d05", "emi", "Emi Tanaka", ""},
	{"0197a3c0-5b1e-7d20-9c41-3f6a0c8e1d06", "farid", "فريد حداد", ""},
	{"0197a3c0-5b1e-7d20-9c41-3f6a0c8e1d07", "olivia", "Olivia Berg", operator},
	{"0197a3c0-5b1e-7d20-9c41-3f6a0c8e1d08", "oscar", "Oscar Lind", operator},
}

func demoLogins() (logins []string) {
	for _, who := range demoUsers {
		logins = append(logins, who.Login)
	}
	return logins
}

const (
	iphone  = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
	android = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36"
	windows = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0"
	mac     = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15"
)

// demoSessions are on devices that do not exist. The addresses are those kept for
// documentation.
var demoSessions = []struct {
	login, agent, addr string
	signedIn, used     time.Duration // ago
	ended              bool
}{
	{"alice", windows, "203.0.113.80", 260 * time.Hour, 170 * time.Hour, true},
	{"alice", iphone, "192.0.2.17", 216 * time.Hour, 40 * time.Minute, false},
	{"alice", windows, "198.51.100.4", 75 * time.Hour, 26 * time.Hour, false},
	{"bob", android, "203.0.113.80", 122 * time.Hour, 3 * time.Hour, false},
	{"bob", "curl/8.9.1", "198.51.100.23", 50 * time.Hour, 49 * time.Hour, false},
	{"chiara", mac, "192.0.2.41", 20 * time.Hour, 2 * time.Hour, false},
	{"daniel", windows, "198.51.100.77", 6 * time.Hour, 12 * time.Minute, false},
	{"emi", iphone, "203.0.113.5", 300 * time.Hour, 5 * time.Hour, false},
	{"farid", android, "192.0.2.99", 30 * time.Hour, 90 * time.Minute, false},
}

// seed puts demoSessions in the store, unless they are there. Nobody has their
// cookies: a Manager signs users in, the store alone keeps tickets.
func seed(ctx context.Context, store *ticketstore.RedisStore, people *users) error {
	if sessions, err := store.Sessions(ctx, demoUsers[0].ID); err != nil || len(sessions) > 0 {
		return err
	}
	now := time.Now()
	for _, d := range demoSessions {
		who, _ := people.byLogin(d.login)
		t := newTicket(who, "password")
		t.Device = ticketstore.Device{UserAgent: d.agent, Addr: netip.MustParseAddr(d.addr)}
		t.SignedInAt, t.IssuedAt = now.Add(-d.signedIn), now.Add(-d.used)
		t.ExpiresAt, t.EndsAt = t.IssuedAt.Add(14*24*time.Hour), t.SignedInAt.Add(30*24*time.Hour)
		t.Persistent = true
		if _, err := store.Store(ctx, t); err != nil {
			return err
		}
		if d.ended {
			if err := store.Revoke(ctx, t.Subject, t.ID); err != nil {
				return err
			}
		}
	}
	return nil
}
