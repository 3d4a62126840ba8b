package storetest

import (
	"os"
	"strings"
	"testing"
)

// The suite and the documentation say the same: what a rule says stands in a
// doc comment of the root package, word for word.
func TestRulesAreDocumented(t *testing.T) {
	var docs strings.Builder
	for _, file := range []string{"../store.go", "../ticket.go", "../redis.go", "../ending.go", "../redis_history.go"} {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(source)) {
			if comment, ok := strings.CutPrefix(strings.TrimSpace(line), "//"); ok {
				docs.WriteString(comment + " ")
			}
		}
	}
	text := strings.Join(strings.Fields(docs.String()), " ")
	for _, r := range rules() {
		for part := range strings.SplitSeq(r.says, " [...] ") {
			if !strings.Contains(text, part) {
				t.Errorf("%s: %q is in no doc comment", r.name, part)
			}
		}
	}
}
