package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"golang.org/x/crypto/bcrypt"
)

// A user is a row of the application's own table of users.
type user struct {
	ID    string // the subject of tickets: it stays when a name changes
	Login string // what the user types, and what the provider calls them
	Name  string
	Role  string
}

const operator = "operator" // a role

// users are all users. In your application they are in a database.
type users struct {
	list []user
	cost int    // of bcrypt
	none []byte // a hash of no password

	mu     sync.RWMutex
	hashes map[string][]byte // of passwords, by user ID
}

// newUsers returns users with one password for all.
func newUsers(list []user, password string, cost int) (*users, error) {
	hash, err := bcrypt.GenerateFromPassword([]byte(password), cost)
	if err != nil {
		return nil, err
	}
	none, err := bcrypt.GenerateFromPassword(nil, cost)
	if err != nil {
		return nil, err
	}
	u := &users{list: list, cost: cost, none: none, hashes: map[string][]byte{}}
	for _, who := range list {
		u.hashes[who.ID] = hash
	}
	return u, nil
}

func (u *users) byID(id string) (user, bool) {
	return u.first(func(who user) bool { return who.ID == id })
}

func (u *users) byLogin(login string) (user, bool) {
	return u.first(func(who user) bool { return who.Login == login })
}

func (u *users) first(is func(user) bool) (user, bool) {
	if i := slices.IndexFunc(u.list, is); i >= 0 {
		return u.list[i], true
	}
	return user{}, false
}

// check returns the user with that login and password. A login that nobody has
// takes as long as a wrong password: else it would be a way to ask who has an
// account.
func (u *users) check(login, password string) (user, bool) {
	who, ok := u.byLogin(login)
	u.mu.RLock()
	hash := u.hashes[who.ID]
	u.mu.RUnlock()
	if !ok {
		hash = u.none
	}
	return who, bcrypt.CompareHashAndPassword(hash, []byte(password)) == nil && ok
}

func (u *users) setPassword(id, password string) error {
	hash, err := bcrypt.GenerateFromPassword([]byte(password), u.cost)
	if err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.hashes[id] = hash
	return nil
}

// names is admin.Config.Name: what to call the users of a page, in one query.
func (u *users) names(_ context.Context, ids []string) (map[string]string, error) {
	names := map[string]string{}
	for _, who := range u.list {
		names[who.ID] = who.Name
	}
	maps.DeleteFunc(names, func(id, _ string) bool { return !slices.Contains(ids, id) })
	return names, nil
}

// find is admin.Config.Find: whom an operator may mean by what they type.
func (u *users) find(_ context.Context, query string) (ids []string, err error) {
	query = strings.ToLower(strings.TrimSpace(query))
	for _, who := range u.list {
		if who.ID == query || who.Login == query || strings.Contains(strings.ToLower(who.Name), query) {
			ids = append(ids, who.ID)
		}
	}
	return ids, nil
}
