package recent

import (
	"testing"
	"time"
)

func TestAt(t *testing.T) {
	var never time.Time
	early, late := time.Unix(1_000_000_000, 0), time.Unix(2_000_000_000, 0)
	for _, test := range []struct{ authenticated, signedIn, want time.Time }{
		{never, late, late},
		{early, late, early},
		{late, early, early},
		{early, early, early},
		{early, never, early},
		{never, never, never},
	} {
		if got := At(test.authenticated, test.signedIn); !got.Equal(test.want) {
			t.Errorf("authenticated %v, signed in %v: got %v, want %v", test.authenticated, test.signedIn, got, test.want)
		}
	}
}
