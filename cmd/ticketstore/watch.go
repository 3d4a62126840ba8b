package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ticketstore/ticketstore"
)

const (
	watchEvery = time.Second            // without a hint
	watchPause = 100 * time.Millisecond // between two looks, however many hints
	watchLimit = 1000
)

// watch tells of endings from now on. An interrupt is how it ends.
func watch(ctx context.Context, j *job, _ []string) error {
	hints := j.hints(ctx)
	_, cursor, err := j.store.Endings(ctx, "", 0)
	if err != nil {
		return needsHistory(err)
	}
	if !j.json {
		fmt.Fprintf(j.stdout, watchFormat, "ENDED", "CAUSE", "ID", "USER", "DEVICE", "BY")
	}
	d, down := newDescriber(ctx), false
	for {
		next, more, err := j.look(ctx, cursor, d)
		cursor = next
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errOutput):
			return err
		case err != nil && !down:
			fmt.Fprintln(j.stderr, "ticketstore:", line(message(ctx, err)), "(it goes on)")
		}
		down = err != nil && !errors.Is(err, ticketstore.ErrEndingsLost)
		if more {
			continue
		}
		pause := time.After(watchPause)
		select {
		case <-ctx.Done():
			return nil
		case <-hints:
			<-pause
		case <-time.After(watchEvery):
		}
	}
}

const watchFormat = "%-20s  %-16s  %-36s  %-16s  %-18s  %s\n"

var errOutput = errors.New("cannot write")

// look writes what a cursor has not read, and returns the cursor behind it and
// whether there may be more.
func (j *job) look(ctx context.Context, cursor string, d *describer) (next string, more bool, err error) {
	endings, next, err := j.store.Endings(ctx, cursor, watchLimit)
	if err != nil && !errors.Is(err, ticketstore.ErrEndingsLost) {
		return cursor, false, err
	}
	for _, e := range endings {
		var written error
		if j.json {
			written = j.writeJSON(e)
		} else {
			device, _ := d.device(e.Session)
			_, written = fmt.Fprintf(j.stdout, watchFormat, instant(e.EndedAt), cell(e.Cause), e.Session.ID, cell(e.Session.Subject), device, cell(e.By))
		}
		if written != nil {
			return next, false, fmt.Errorf("%w: %w", errOutput, written)
		}
	}
	return next, len(endings) == watchLimit, err
}

// hints returns a channel that says when to look sooner. Without the permission
// to subscribe, it never does.
func (j *job) hints(ctx context.Context) <-chan struct{} {
	hints := make(chan struct{}, 1)
	sub := j.client.Subscribe(ctx, j.store.EndingsChannel())
	go func() {
		defer sub.Close()
		for messages := sub.Channel(); ; {
			select {
			case <-ctx.Done():
				return
			case _, ok := <-messages:
				if !ok {
					return
				}
				select {
				case hints <- struct{}{}:
				default:
				}
			}
		}
	}()
	return hints
}
