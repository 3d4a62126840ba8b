package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"text/tabwriter"
)

// A command is one that the command line names.
type command struct {
	name, args  string
	least, most int    // how many arguments
	what        string // it does
	endings     bool   // whether it has to know if endings are remembered
	do          func(ctx context.Context, j *job, args []string) error
}

func commands() []command {
	return []command{
		{"count", "", 0, 0, "how many users and sessions there are", false, count},
		{"users", "", 0, 0, "who is signed in, one a line", false, users},
		{"sessions", "USER", 1, 1, "a user's sessions", false, sessions},
		{"history", "USER", 1, 1, "a user's sessions that have ended", true, history},
		{"top", "", 0, 0, "the most frequent devices and schemes, the oldest sessions", false, top},
		{"watch", "", 0, 0, "endings as they come, one a line, until interrupted", true, watch},
		{"revoke", "USER [ID]", 1, 2, "end all sessions of a user, or one", true, revoke},
		{"revoke-everybody", "", 0, 0, "end all sessions of all users", true, revokeEverybody},
		{"export", "USER", 1, 1, "all that is kept about a user, as JSON", true, export},
		{"forget", "USER", 1, 1, "end all sessions of a user and erase what is kept", true, forget},
		{"check", "", 0, 0, "how fit Redis is", true, check},
		{"completion", "bash|zsh|fish", 1, 1, "a script that completes command lines", false, nil},
	}
}

func find(name string) (command, error) {
	for _, c := range commands() {
		if c.name == name {
			return c, nil
		}
	}
	return command{}, usagef("there is no such command") // which may be a URL with a password
}

func help(w io.Writer) error {
	fmt.Fprint(w, "usage: ticketstore [flags] command [arguments]\n\n")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range commands() {
		fmt.Fprintf(t, "  %s %s\t%s\n", c.name, c.args, c.what)
	}
	t.Flush()
	fmt.Fprint(w, "\nFlags may stand anywhere; a user's name that begins with - comes after --.\n\n")
	t = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	new(options).flags().VisitAll(func(f *flag.Flag) {
		value, usage := flag.UnquoteUsage(f)
		fmt.Fprintf(t, "  -%s %s\t%s\n", f.Name, value, usage)
	})
	t.Flush()
	_, err := fmt.Fprint(w, `
Exit status: 0 done; 1 failed; 2 wrong command line; 3 nothing found; 4 not confirmed.
`)
	return err
}
