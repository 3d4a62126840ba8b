// Command ticketstore shows an operator who is signed in, and ends sessions, in
// the Redis of an application that keeps its tickets in a
// [ticketstore.RedisStore].
//
//	REDIS_URL=redis://127.0.0.1:6379 ticketstore sessions alice
//
// "ticketstore help" lists the commands; docs/command.md shows them. It has no
// keys to print. The exit status is
//
//	0  done
//	1  it failed; what had ended until then has
//	2  the command line is wrong
//	3  there is nothing of that: no such user or session
//	4  it was not confirmed, so that nothing has ended
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/redis/go-redis/v9/logging"

	"github.com/ticketstore/ticketstore"
)

func main() {
	logging.Disable() // go-redis prints failed dials, which it returns as well
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	p := &program{os.Stdin, os.Stdout, os.Stderr, os.Getenv, isTerminal}
	status := p.run(ctx, os.Args[1:])
	stop()
	os.Exit(status)
}

// A program is what the command has of the system.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	env            func(string) string
	terminal       func(any) bool // whether a reader or writer is one
}

const (
	statusFailed   = 1
	statusUsage    = 2
	statusNothing  = 3
	statusDeclined = 4
)

// A usageError says what is wrong with the command line.
type usageError string

func (e usageError) Error() string { return string(e) }

func usagef(format string, args ...any) error { return usageError(fmt.Sprintf(format, args...)) }

var (
	errNothing  = errors.New("nothing found")
	errDeclined = errors.New("not confirmed: nothing has ended")
)

// run does what args say, and returns the exit status.
func (p *program) run(ctx context.Context, args []string) int {
	err := p.do(ctx, args)
	if err == nil {
		return 0
	}
	fmt.Fprintln(p.stderr, "ticketstore:", line(message(ctx, err)))
	_, usage := errors.AsType[usageError](err)
	switch {
	case usage:
		fmt.Fprintln(p.stderr, `"ticketstore help" says more.`)
		return statusUsage
	case errors.Is(err, errNothing) || errors.Is(err, ticketstore.ErrNotFound):
		return statusNothing
	case errors.Is(err, errDeclined):
		return statusDeclined
	}
	return statusFailed
}

func (p *program) do(ctx context.Context, args []string) error {
	o, args, err := parse(args, p.env)
	if err != nil {
		return err
	}
	if o.help || len(args) == 0 || args[0] == "help" {
		if !o.help && len(args) == 0 {
			return usagef("which command?")
		}
		return help(p.stdout)
	}
	c, err := find(args[0])
	if err != nil {
		return err
	}
	args = args[1:]
	if len(args) < c.least || len(args) > c.most {
		return usagef("want: ticketstore %s %s", c.name, c.args)
	}
	if c.name == "completion" {
		return completion(p.stdout, args[0])
	}
	j, err := p.open(ctx, o, c, args)
	if err != nil {
		return err
	}
	defer j.client.Close()
	return c.do(ctx, j, args)
}
