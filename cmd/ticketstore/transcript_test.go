package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore"
)

var update = flag.Bool("update", false, "write docs/command.md anew")

const transcript = "../../docs/command.md"

// What the consoles of docs/command.md show is what the commands say, but for the
// IDs of sessions.
func TestTranscript(t *testing.T) {
	doc, err := os.ReadFile(transcript)
	if err != nil {
		t.Fatal(err)
	}
	s := onMini(t, remembered)
	s.signIn(t, "carol", "curl/8.9.1", 26*time.Hour)
	if _, err := s.store.RevokeAll(ticketstore.WithCause(s.ctx, "password-changed", "carol"), "carol"); err != nil {
		t.Fatal(err)
	}
	ids := &names{}
	ids.name(s.signIn(t, "alice", firefox, 3*time.Hour))
	ids.name(s.signIn(t, "alice", iPhone, 26*time.Hour))
	ids.name(s.signIn(t, "alice", firefox, 90*time.Second))
	ids.name(s.signIn(t, "bob", "MyApp/3.2 (iPhone; iOS 18.1; Scale/3.00)", 20*time.Minute))
	for _, user := range []string{"dave", "frank", "frank"} {
		ids.name(s.signIn(t, user, "", time.Minute))
	}

	ran := map[string]bool{}
	got := consoles.ReplaceAllStringFunc(string(doc), func(block string) string {
		var said strings.Builder
		said.WriteString("```console\n")
		for _, text := range strings.Split(block, "\n") {
			command, ok := strings.CutPrefix(text, "$ ticketstore ")
			if !ok {
				continue
			}
			said.WriteString(text + "\n")
			s.at(s.now.Add(time.Minute))
			args := strings.Fields(ids.real(command))
			ran[args[0]] = true
			said.WriteString(ids.pretend(s.transcribe(t, args)))
		}
		return said.String() + "```"
	})
	if *update {
		if err := os.WriteFile(transcript, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if got != string(doc) {
		t.Errorf("docs/command.md is not what the commands say; run this test with -update, and read the difference:\n%s", got)
	}
	for _, c := range commands() {
		if !ran[c.name] && c.name != "check" && c.name != "completion" { // check depends on the server
			t.Errorf("docs/command.md does not show %s", c.name)
		}
	}
}

var consoles = regexp.MustCompile("(?s)```console\n.*?```")

// transcribe returns what somebody at a terminal sees, who always says yes.
func (s *site) transcribe(t *testing.T, args []string) string {
	if args[0] == "watch" {
		return s.transcribeWatch(t)
	}
	if args[0] == "help" {
		s = &site{ctx: s.ctx}
	}
	terminal := true
	if n := len(args) - 1; args[n] == "</dev/null" {
		terminal, args = false, args[:n]
	}
	seen := newBuffer()
	p := &program{&yes{screen: seen}, seen, seen, func(string) string { return "" }, func(v any) bool { return terminal && v != seen }}
	status := p.run(s.ctx, append(s.transcriptFlags(), args...))
	if status != 0 {
		fmt.Fprintf(seen, "(status %d)\n", status)
	}
	return seen.String()
}

func (s *site) transcriptFlags() []string {
	if s.url == "" {
		return nil
	}
	return s.flags()
}

func (s *site) transcribeWatch(t *testing.T) string {
	out, _, stop := s.watching(t)
	for i, user := range []string{"alice", "erin"} {
		s.signIn(t, user, firefox, 0)
		ctx := s.ctx
		if i == 0 {
			ctx = ticketstore.WithCause(ctx, "account-disabled", "hr")
		}
		if _, err := s.store.RevokeAll(ctx, user); err != nil {
			t.Fatal(err)
		}
		out.await(t, 2+i)
	}
	stop()
	return out.String() + "^C\n"
}

// yes is a keyboard at which somebody types y, and sees it.
type yes struct {
	screen io.Writer
	typed  bool
}

func (y *yes) Read(p []byte) (int, error) {
	if y.typed {
		return 0, io.EOF
	}
	y.typed = true
	io.WriteString(y.screen, "y\n")
	return copy(p, "y\n"), nil
}

// names gives the IDs of sessions others, which are always the same.
type names struct{ ids []string }

var sessionID = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`)

func (n *names) name(id string) string {
	for i, known := range n.ids {
		if known == id {
			return pretended(i)
		}
	}
	n.ids = append(n.ids, id)
	return pretended(len(n.ids) - 1)
}

func pretended(i int) string { return fmt.Sprintf("0195563e-a10%x-7c4d-9e21-5b0f3a6c8d1%x", i, i) }

func (n *names) pretend(text string) string { return sessionID.ReplaceAllStringFunc(text, n.name) }

func (n *names) real(text string) string {
	for i, id := range n.ids {
		text = strings.ReplaceAll(text, pretended(i), id)
	}
	return text
}

// An interrupt at the question ends nothing.
func TestInterruptedQuestion(t *testing.T) {
	s := onMini(t, 0)
	s.signIn(t, "alice", firefox, time.Hour)
	s.signIn(t, "alice", firefox, time.Hour)
	ctx, cancel := context.WithCancel(s.ctx)
	r, w := io.Pipe() // nobody types
	defer w.Close()
	stderr := newBuffer()
	p := &program{r, newBuffer(), stderr, func(string) string { return "" }, func(any) bool { return true }}
	status := make(chan int)
	go func() { status <- p.run(ctx, append(s.flags(), "revoke", "alice")) }()
	<-stderr.more
	cancel()
	if got := <-status; got != statusDeclined || s.left(t) != 2 || !strings.Contains(stderr.String(), errDeclined.Error()) {
		t.Errorf("got status %d, %d sessions: %s", got, s.left(t), stderr)
	}
	if got := message(ctx, errors.Join(context.Canceled)); got != "interrupted" {
		t.Errorf("got %q", got)
	}
}
