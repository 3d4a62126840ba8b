package admin

import (
	"context"
	"log/slog"
	"strconv"

	"github.com/ticketstore/ticketstore/internal/ui"
)

// A User is somebody whom a page names.
type User struct {
	// Subject is exact; it may have any character but control characters. It
	// is empty if the session cannot be read at all.
	Subject string `json:"subject"`

	// Name is what Config.Name calls the user, in one line; empty if it knows
	// none. Two users may have the same: show Shown beside it. Put both in <bdi>.
	Name string `json:"name,omitempty"`

	// Shown is Subject as it may be shown: in one line, without marks that
	// reverse the text around them.
	Shown string `json:"-"`

	// Hidden is set if Shown is not all of Subject, so that two users may look
	// like one.
	Hidden bool `json:"-"`
}

const (
	maxSubject = 1024 // runes; a store allows as many bytes
	maxName    = 100  // runes
)

// Called returns what a title or a heading calls the user.
func (u User) Called() string {
	if u.Name != "" {
		return u.Name
	}
	return u.Shown
}

func newUser(subject string) User {
	shown := ui.Clean(subject, maxSubject)
	if shown == "" && subject != "" {
		shown = strconv.QuoteToASCII(subject) // a link needs a text
	}
	return User{Subject: subject, Shown: shown, Hidden: shown != subject}
}

// named asks Config.Name once about all users on p, and sets their names. They
// stay without if it fails.
func (v *visit) named(p *Page) {
	if v.cfg.Name == nil {
		return
	}
	var subjects []string
	seen := map[string]bool{"": true}
	p.eachUser(func(subject string, _ *string) {
		if !seen[subject] {
			seen[subject] = true
			subjects = append(subjects, subject)
		}
	})
	if len(subjects) == 0 {
		return
	}
	var names map[string]string
	err := v.ask(v.r.Context(), func(ctx context.Context) (err error) {
		names, err = v.cfg.Name(ctx, subjects)
		return err
	})
	if err != nil {
		v.Log(v.r, slog.LevelError, "the users cannot be named", "error", err)
		return
	}
	p.eachUser(func(subject string, name *string) {
		if called := ui.Clean(names[subject], maxName); called != subject { // which stands there already
			*name = called
		}
	})
}

// eachUser calls f with everybody whom p names, some more than once, and where
// the name goes.
func (p *Page) eachUser(f func(subject string, name *string)) {
	user := func(u *User) { f(u.Subject, &u.Name) }
	actor := func(a *Actor) {
		if a != nil {
			user(&a.User)
		}
	}
	user(&p.User)
	if p.Whom != nil {
		user(p.Whom)
	}
	for i := range p.Rows {
		user(&p.Rows[i].User)
		actor(p.Rows[i].Actor)
	}
	if p.History != nil {
		for i := range p.History.Ended {
			user(&p.History.Ended[i].User)
			actor(p.History.Ended[i].Actor)
			f(p.History.Ended[i].By, &p.History.Ended[i].ByName)
		}
	}
	if p.These != nil {
		for i := range p.These.Of {
			user(&p.These.Of[i].User)
		}
	}
	if p.People != nil {
		for i := range p.People.Of {
			user(&p.People.Of[i].User)
		}
	}
}
