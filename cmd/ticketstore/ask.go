package main

import (
	"bufio"
	"context"
	"fmt"
	"slices"
	"strings"
)

// confirm asks at the terminal. It returns errDeclined for whatever is no yes,
// and where nobody can be asked.
func (j *job) confirm(ctx context.Context, question string) error {
	if j.yes {
		return nil
	}
	if !j.terminal(j.stdin) {
		return fmt.Errorf("%s Nobody is at a terminal to say so; -yes does: %w", question, errDeclined)
	}
	fmt.Fprint(j.stderr, question, " [y/N] ")
	answer := make(chan string, 1)
	go func() { // a read outlasts an interrupt
		text, _ := bufio.NewReader(j.stdin).ReadString('\n')
		answer <- strings.ToLower(strings.TrimSpace(text))
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(j.stderr)
		return errDeclined
	case text := <-answer:
		if !slices.Contains([]string{"y", "yes"}, text) {
			return errDeclined
		}
		return nil
	}
}
