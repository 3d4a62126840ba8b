package redistest

import (
	"crypto/fips140"
	"testing"

	"github.com/alicebob/miniredis/v2"
)

// StartMini starts a miniredis, also under GODEBUG=fips140=only, and stops it
// at the end of the test: it names scripts by SHA-1, as Redis does.
func StartMini(tb testing.TB) (server *miniredis.Miniredis) {
	tb.Helper()
	fips140.WithoutEnforcement(func() { server = miniredis.RunT(tb) })
	return server
}
