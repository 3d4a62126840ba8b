package aspnetcore_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore/aspnetcore"
)

// What an ASP.NET Core application has protected, such as the token in a link
// that it has sent, is opened in Go:
//
//	services.AddDataProtection()
//	    .SetApplicationName("shop")
//	    .PersistKeysToStackExchangeRedis(redis);
//	provider.CreateProtector("links", "v1").Protect(bytes);
func ExampleNewProtector() {
	ctx := context.Background()
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:6379", ContextTimeoutEnabled: true})
	ring, err := aspnetcore.NewKeyRing(aspnetcore.KeyRingConfig{Client: client})
	if err != nil {
		panic(err)
	}
	if err := ring.Check(ctx); err != nil {
		panic(err)
	}
	links := aspnetcore.NewProtector(ring, "shop", "links", "v1")
	text, err := links.Unprotect(ctx, []byte("from the link, once base64 is decoded"))
	switch {
	case errors.Is(err, aspnetcore.ErrInvalidPayload):
		fmt.Println("a link that is not ours")
	case err != nil:
		fmt.Println("try again later")
	default:
		fmt.Printf("%s\n", text)
	}
}
