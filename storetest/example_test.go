package storetest_test

import (
	"database/sql"
	"testing"
	"time"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/storetest"
)

// A SQLStore is a store of one's own. Here its methods are left out.
type SQLStore struct {
	ticketstore.TicketStore
	DB  *sql.DB
	Now func() time.Time
}

// newFixture returns a store over an empty database. It has a clock of its own,
// so that expiry need not be waited for.
func newFixture(t testing.TB) storetest.Fixture {
	db, err := sql.Open("postgres", "dbname="+t.Name())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	now := time.Now()
	s := &SQLStore{DB: db, Now: func() time.Time { return now }}
	return storetest.Fixture{
		Store:   s,
		Now:     s.Now,
		Advance: func(d time.Duration) { now = now.Add(d) },
		Unit:    time.Microsecond,
	}
}

// A store of one's own is checked by a test of its package.
func Example() {
	var _ = func(t *testing.T) { // TestSQLStore
		storetest.Run(t, newFixture)
	}
}
