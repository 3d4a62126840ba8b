package aspnetcore

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

var errLate = errors.New("the clock of the application is more than a minute from that of Redis, or the command has been held up for as long: nothing was done")

// refusesWrites reports whether err is that of a Redis that answers reads: a
// replica, one without the replicas that it wants, whose disk fails or whose
// memory is full. Redis 6 puts the error of a command into that of its script.
func refusesWrites(err error) bool {
	var reply redis.Error
	if !errors.As(err, &reply) {
		return false
	}
	return slices.ContainsFunc([]string{"READONLY ", "NOREPLICAS ", "MISCONF ", "OOM "}, func(code string) bool {
		return strings.Contains(err.Error(), code)
	})
}

// wrongType adds to err what is to be done where something else has been put in
// place of an index or census. Nothing but the records says what was there.
func (s *Store) wrongType(err error) error {
	if err != nil && strings.Contains(err.Error(), "WRONGTYPE") {
		return fmt.Errorf("%w: of %s*, delete what is no sorted set, and run Reindex", err, s.instance+indexName)
	}
	return err
}
