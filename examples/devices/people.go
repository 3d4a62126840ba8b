package main

import (
	"context"
	"slices"
	"strings"
)

// people are what your database knows of your users: what they are called, by
// the subject of their tickets, which often is a number or a UUID.
var people = map[string]string{
	"admin": "Ada Min",
	"alice": "Alice Archer",
	"bob":   "Bob Baker",
}

// names is admin's Config.Name: SELECT id, name FROM users WHERE id = ANY($1).
func names(_ context.Context, subjects []string) (map[string]string, error) {
	found := map[string]string{}
	for _, subject := range subjects {
		if name, ok := people[subject]; ok {
			found[subject] = name
		}
	}
	return found, nil
}

// find is admin's Config.Find: SELECT id FROM users WHERE name ILIKE $1 LIMIT 50.
func find(_ context.Context, query string) (subjects []string, err error) {
	for subject, name := range people {
		if strings.Contains(strings.ToLower(name), strings.ToLower(query)) {
			subjects = append(subjects, subject)
		}
	}
	slices.SortFunc(subjects, func(a, b string) int { return strings.Compare(people[a], people[b]) })
	return subjects, nil
}
