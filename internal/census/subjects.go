package census

import (
	"context"
	"iter"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/ticketstore/ticketstore/internal/clock"
)

const pageSize = 1000 // members that a ZSCAN looks at

// Subjects returns the subjects in the census at key that are signed in, each
// once. After an error it ends.
func Subjects(ctx context.Context, client redis.UniversalClient, key string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		seen := map[string]bool{} // ZSCAN may repeat a member
		for cursor, more := uint64(0), true; more; more = cursor != 0 {
			var page []string
			var err error
			page, cursor, err = client.ZScan(ctx, key, cursor, "", pageSize).Result()
			if err != nil {
				yield("", err)
				return
			}
			now := clock.Now(ctx).UnixMilli()
			for pair := range slices.Chunk(page, 2) {
				expiry, _ := strconv.ParseFloat(pair[1], 64)
				if seen[pair[0]] || int64(expiry) <= now {
					continue
				}
				seen[pair[0]] = true
				if !yield(pair[0], nil) {
					return
				}
			}
		}
	}
}
