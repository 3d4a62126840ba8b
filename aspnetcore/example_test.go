package aspnetcore_test

import (
	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/aspnetcore"
)

// A service that has written JSON so far changes to ASP.NET Core's format, and
// signs no one out.
func ExampleSerializer() {
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:6379", ContextTimeoutEnabled: true})
	store, err := ticketstore.NewRedisStore(client, ticketstore.RedisConfig{
		Serializer: ticketstore.ReadAlso(aspnetcore.Serializer{SubjectClaim: "sub"}, ticketstore.JSONSerializer{}),
	})
	if err != nil {
		panic(err)
	}
	_ = store // for NewManager
}
