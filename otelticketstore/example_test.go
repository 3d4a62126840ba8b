package otelticketstore_test

import (
	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/otelticketstore"
)

func Example() {
	var store *ticketstore.RedisStore // see ticketstore.NewRedisStore
	var keys []ticketstore.CookieKey

	observe, err := otelticketstore.New(otelticketstore.Config{Count: store.Count})
	check(err)
	m, err := ticketstore.NewManager(store, ticketstore.Config{CookieKeys: keys, Observer: observe})
	check(err)
	_ = m
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
