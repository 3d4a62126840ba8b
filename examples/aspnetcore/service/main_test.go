package main

import (
	"io"
	"os"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9/logging"
)

func TestMain(m *testing.M) {
	logging.Disable()
	os.Exit(m.Run())
}

// What keeps it from starting is said with what to do.
func TestStartErrors(t *testing.T) {
	for want, args := range map[string][]string{
		"-help lists the flags":                      {"-bogus"},
		"start Redis, or say with -redis":            {"-redis", "127.0.0.1:1"},
		"start the ASP.NET Core application first":   {"-redis", miniredis.RunT(t).Addr()},
		"-certificate: open /nowhere/at/all.pem: no": {"-redis", miniredis.RunT(t).Addr(), "-certificate", "/nowhere/at/all.pem"},
	} {
		if err := run(t.Context(), args, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q in it", args, err, want)
		}
	}
}
