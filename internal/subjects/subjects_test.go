package subjects

import (
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	// OpenID Connect Core, section 2: a sub has at most 255 characters of ASCII.
	oidc := "https://" + strings.Repeat("i", 255-len("https://")) + "|" + strings.Repeat("s", 255)
	for _, subject := range []string{"a", " ", "Alice@example.com", "alice@example.com", oidc, strings.Repeat("x", 1024), strings.Repeat("🎫", 256)} {
		if err := Check(subject); err != nil {
			t.Errorf("%.20q: %v", subject, err)
		}
	}
	// What is wrong is said without the subject, which may be a person's name.
	for subject, want := range map[string]string{
		"":                             "the subject is empty",
		strings.Repeat("mallory", 147): "the subject has 1029 bytes; at most 1024 are allowed",
		strings.Repeat("🎫", 256) + "m": "the subject has 1025 bytes; at most 1024 are allowed",
		"mallory\xff":                  "the subject is not valid UTF-8",
		"mallory\xed\xa0\x80":          "the subject is not valid UTF-8", // a surrogate
		"mallory\n":                    "the subject has control characters",
		"\x00mallory":                  "the subject has control characters",
		"mallory\u0085":                "the subject has control characters",
	} {
		if err := Check(subject); err == nil || err.Error() != want {
			t.Errorf("%.20q: got %v, want %s", subject, err, want)
		}
	}
}
