package aspnetcore

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/ticketstore/ticketstore"
)

// FuzzCookies: no panic and no error, since the keys can be read; at most 64
// keys, none of them made up; and no more put together than is allowed.
func FuzzCookies(f *testing.F) {
	codec := mustCodec(f, testOptions(f))
	good := mustEncode(f, codec, "key")
	for _, header := range []string{
		"", "NAME=", "NAME=" + good, "NAME=" + good + "=", `NAME="` + good + `"`, "NAME=%43" + good[1:],
		"NAME=chunks-2; NAMEC1=" + good[:99] + "; NAMEC2=" + good[99:],
		"NAMEC1=" + good + "; NAME=chunks-1; NAME=bad; NAMEC1=" + good,
		"NAME=chunks-2147483647; NAMEC1=" + good,
		strings.Repeat("NAME=chunks-1; ", 6) + "NAMEC1=" + good,
		strings.Repeat("NAME="+good+"; ", 6),
		"NAMEC1=" + good + "; NAME=" + good[:len(good)-1] + "A; other=1",
	} {
		f.Add(strings.ReplaceAll(header, "NAME", cookieName))
	}
	f.Fuzz(func(t *testing.T, header string) {
		if len(header) > http.DefaultMaxHeaderBytes {
			t.Skip()
		}
		cookies := requestCookies(header)
		keys, err := codec.Decode(t.Context(), cookieName, cookies)
		if err != nil || len(keys) > maxCookies {
			t.Fatalf("got %d keys, %v, want at most %d", len(keys), err, maxCookies)
		}
		if i := slices.IndexFunc(keys, func(k ticketstore.Key) bool { return k != "key" }); i >= 0 {
			t.Fatalf("got %q, which nobody has protected", string(keys[i]))
		}
		for _, c := range cookies {
			if c.Name != cookieName {
				continue
			}
			if value, _ := joinChunks(c, cookies); len(value) > maxCookieValue+len(header) {
				t.Fatalf("got %d bytes put together of %d", len(value), len(header))
			}
		}
	})
}
