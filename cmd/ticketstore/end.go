package main

import (
	"context"
	"fmt"
)

func revoke(ctx context.Context, j *job, args []string) error {
	subject := args[0]
	if len(args) == 2 {
		return j.revokeOne(ctx, subject, args[1])
	}
	list, err := j.store.Sessions(ctx, subject)
	if err != nil {
		return err
	}
	n := int64(len(list))
	if j.dryRun {
		if n > 0 && !j.json {
			if err := j.sessionTable(ctx, list); err != nil {
				return err
			}
		}
		return j.wouldEnd(n)
	}
	if n > 1 {
		if err := j.confirm(ctx, fmt.Sprintf("End %s of %s?", plural(n, "session"), cell(subject))); err != nil {
			return err
		}
	}
	// Also if there are none: a sign-in that is under way is refused.
	revoked, err := j.store.RevokeAll(j.cause(ctx), subject)
	return j.ended(revoked, err)
}

func (j *job) revokeOne(ctx context.Context, subject, id string) error {
	if j.dryRun {
		if _, err := j.store.Session(ctx, subject, id); err != nil {
			return err
		}
		return j.wouldEnd(1)
	}
	if err := j.store.Revoke(j.cause(ctx), subject, id); err != nil {
		return err
	}
	return j.ended(1, nil)
}

func revokeEverybody(ctx context.Context, j *job, _ []string) error {
	n, err := j.store.Count(ctx)
	if err != nil {
		return err
	}
	if j.dryRun {
		return j.wouldEnd(n.Sessions)
	}
	if n.Sessions > 1 {
		question := fmt.Sprintf("End %s of %s?", plural(n.Sessions, "session"), plural(n.Subjects, "user"))
		if err := j.confirm(ctx, question); err != nil {
			return err
		}
	}
	p := j.progress(n.Sessions, "sessions ended")
	revoked, err := j.store.RevokeEverybody(j.cause(ctx), func(n int) { p.show(int64(n)) })
	p.end()
	return j.ended(revoked, err)
}

// forget asks for a single session, too: what is erased nobody brings back.
func forget(ctx context.Context, j *job, args []string) error {
	subject := args[0]
	list, err := j.store.Sessions(ctx, subject)
	if err != nil {
		return err
	}
	past := 0
	if j.config.History > 0 {
		endings, err := j.store.History(ctx, subject)
		if err != nil {
			return err
		}
		past = len(endings)
	}
	n := int64(len(list))
	if j.dryRun {
		if n == 0 && past > 0 {
			return j.say(result{WouldEnd: new(n)}, "No session would end; the history would be erased.")
		}
		return j.wouldEnd(n)
	}
	if n > 0 || past > 0 {
		question := fmt.Sprintf("End %s of %s and erase all that is kept, %s too?", plural(n, "session"), cell(subject), plural(int64(past), "ending"))
		if err := j.confirm(ctx, question); err != nil {
			return err
		}
	}
	revoked, err := j.store.Forget(ctx, subject)
	if err == nil && revoked == 0 && past > 0 {
		return j.say(result{Ended: new(int64(0))}, "No session ended; the history is erased.")
	}
	return j.ended(revoked, err)
}

// A result is what a command that ends sessions says as JSON.
type result struct {
	Ended    *int64 `json:"ended,omitempty"`
	WouldEnd *int64 `json:"wouldEnd,omitempty"`
}

// ended says how many sessions have ended, even if not all have.
func (j *job) ended(n int, err error) error {
	if n > 0 || err == nil {
		said := j.say(result{Ended: new(int64(n))}, plural(int64(n), "session")+" ended.")
		if err == nil {
			err = said
		}
	}
	if err == nil && n == 0 {
		err = errNothing
	}
	return err
}

func (j *job) wouldEnd(n int64) error {
	err := j.say(result{WouldEnd: &n}, plural(n, "session")+" would end.")
	if err == nil && n == 0 {
		err = errNothing
	}
	return err
}

func (j *job) say(r result, text string) error {
	if j.json {
		return j.writeJSON(r)
	}
	_, err := fmt.Fprintln(j.stdout, text)
	return err
}
