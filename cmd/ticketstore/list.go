package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ticketstore/ticketstore"
)

func count(ctx context.Context, j *job, _ []string) error {
	n, err := j.store.Count(ctx)
	if err != nil {
		return err
	}
	if j.json {
		return j.writeJSON(n)
	}
	_, err = fmt.Fprintf(j.stdout, "%s, %s\n", plural(n.Subjects, "user"), plural(n.Sessions, "session"))
	return err
}

func users(ctx context.Context, j *job, _ []string) error {
	found := false
	for subject, err := range j.store.Subjects(ctx) {
		if err != nil {
			return err
		}
		found = true
		if j.json {
			err = j.writeJSON(struct {
				Subject string `json:"subject"`
			}{subject})
		} else {
			_, err = fmt.Fprintln(j.stdout, cell(subject))
		}
		if err != nil {
			return err
		}
	}
	if !found {
		return errNothing
	}
	return nil
}

func sessions(ctx context.Context, j *job, args []string) error {
	list, err := j.store.Sessions(ctx, args[0])
	if err != nil {
		return err
	}
	if j.json {
		err = j.writeJSON(append([]ticketstore.Session{}, list...))
	} else if len(list) > 0 {
		err = j.sessionTable(ctx, list)
	}
	if err == nil && len(list) == 0 {
		err = errNothing
	}
	return err
}

func (j *job) sessionTable(ctx context.Context, list []ticketstore.Session) error {
	d := newDescriber(ctx)
	rows := [][]string{{"ID", "DEVICE", "ADDRESS", "SCHEME", "SIGNED IN", "LAST USED", "EXPIRES"}}
	impersonated := slices.ContainsFunc(list, func(s ticketstore.Session) bool { return s.Actor != nil })
	if impersonated {
		rows[0] = append(rows[0], "OPERATOR", "REASON")
	}
	for _, s := range list {
		device, addr := d.device(s)
		row := []string{s.ID, device, addr, cell(s.Scheme), instant(s.SignedInAt), instant(s.IssuedAt), instant(s.ExpiresAt)}
		switch {
		case s.Actor != nil:
			row = append(row, cell(s.Actor.Subject), cell(s.Actor.Reason))
		case impersonated:
			row = append(row, cell(""), cell(""))
		}
		rows = append(rows, row)
	}
	return j.table(rows)
}

func history(ctx context.Context, j *job, args []string) error {
	list, err := j.store.History(ctx, args[0])
	if err != nil {
		return needsHistory(err)
	}
	if j.json {
		err = j.writeJSON(append([]ticketstore.Ending{}, list...))
	} else if len(list) > 0 {
		d := newDescriber(ctx)
		rows := [][]string{{"ENDED", "CAUSE", "BY", "ID", "DEVICE", "ADDRESS", "SIGNED IN"}}
		for _, e := range list {
			device, addr := d.device(e.Session)
			rows = append(rows, []string{instant(e.EndedAt), cell(e.Cause), cell(e.By), e.Session.ID, device, addr, instant(e.Session.SignedInAt)})
		}
		err = j.table(rows)
	}
	if err == nil && len(list) == 0 {
		err = errNothing
	}
	return err
}

func needsHistory(err error) error {
	if errors.Is(err, errors.ErrUnsupported) {
		return usagef("no ending is remembered in that Redis; if the application has a RedisConfig.History, give it by -history")
	}
	return err
}

func export(ctx context.Context, j *job, args []string) error {
	list, err := j.store.Sessions(ctx, args[0])
	if err != nil {
		return err
	}
	ended := 0
	if j.config.History > 0 {
		past, err := j.store.History(ctx, args[0])
		if err != nil {
			return err
		}
		ended = len(past)
	}
	if len(list)+ended == 0 {
		return errNothing
	}
	all, err := j.store.Export(ctx, args[0])
	if err == nil {
		_, err = fmt.Fprintln(j.stdout, escape(all))
	}
	return err
}

func check(ctx context.Context, j *job, _ []string) error {
	warnings, err := j.store.Check(ctx)
	if j.json {
		said := struct {
			OK       bool     `json:"ok"`
			Warnings []string `json:"warnings"`
			Error    string   `json:"error,omitempty"`
		}{err == nil, append([]string{}, warnings...), ""}
		if err != nil {
			said.Error = message(ctx, err)
		}
		return errors.Join(j.writeJSON(said), err)
	}
	for _, w := range warnings {
		fmt.Fprintln(j.stdout, "warning:", line(w))
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(j.stdout, "Redis serves.")
	return err
}
