package redischeck

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

const subscribeTimeout = 3 * time.Second

// Subscribe returns why nobody could listen to channel: it does, by a connection
// of its own, and asks for a sign of life, as go-redis does.
func Subscribe(ctx context.Context, client redis.UniversalClient, channel string) error {
	ctx, cancel := context.WithTimeout(ctx, subscribeTimeout)
	defer cancel()
	pubsub := client.Subscribe(ctx)      // to nothing yet, which contacts nobody
	defer func() { go pubsub.Close() }() // which waits while it connects
	return await(ctx, func() error {
		if err := pubsub.Subscribe(ctx, channel); err != nil {
			return err
		}
		if _, err := pubsub.ReceiveTimeout(ctx, subscribeTimeout); err != nil {
			return err
		}
		if err := pubsub.Ping(ctx); err != nil {
			return err
		}
		_, err := pubsub.ReceiveTimeout(ctx, subscribeTimeout)
		return err
	})
}
