package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore/internal/redistest"
)

var (
	granted = regexp.MustCompile(`(?m)^ACL SETUSER tickets (.*)$`)
	more    = regexp.MustCompile("(?s)For `(Check|History)`, add `([^`]*)`")
)

// A user of Redis with the rights that docs/operations.md names can do all.
func TestACL(t *testing.T) {
	doc, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	rights := granted.FindStringSubmatch(string(doc))
	extra := more.FindAllStringSubmatch(string(doc), -1)
	if rights == nil || len(extra) != 2 {
		t.Fatalf("docs/operations.md names rights %q and %q", rights, extra)
	}
	args := []any{"ACL", "SETUSER", "tickets"}
	for _, right := range slices.Concat(strings.Fields(rights[1]), strings.Fields(extra[0][2]), strings.Fields(extra[1][2])) {
		args = append(args, strings.Replace(right, "PASSWORD", "hunter2", 1))
	}
	for _, subscribes := range []bool{false, true} {
		server := redistest.Start(t)
		client := redis.NewClient(redistest.Options(server.Addr))
		s := newSite(t, site{url: "redis://tickets:hunter2@" + server.Addr, ctx: t.Context(), client: client}, remembered)
		if subscribes {
			args = append(args, "+subscribe")
		}
		if err := client.Do(s.ctx, args...).Err(); err != nil {
			t.Fatal(err)
		}
		s.signIn(t, "alice", firefox, time.Hour)
		s.signIn(t, "bob", firefox, time.Hour)
		out, errs, stop := s.watching(t)
		for _, command := range []string{"count", "users", "sessions alice", "top", "revoke alice -history 720h", "history alice", "export bob", "forget bob -yes", "check"} {
			s.want(t, 0, strings.Fields(command)...)
		}
		s.want(t, statusNothing, "revoke-everybody")
		out.await(t, 3)
		if status := stop(); status != 0 || errs.String() != "" {
			t.Errorf("watch: got status %d and %q", status, errs)
		}
	}
}
