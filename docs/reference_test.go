package docs_test

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The reference has what the code has: errors, keys of Redis, causes, events,
// fields of JSON.
func TestReference(t *testing.T) {
	page := read(t, "reference.md")
	root := source(t, "../*.go")
	pages := source(t, "../devices/*.go", "../admin/*.go")
	oidc := source(t, "../oidc/*.go")
	lua := read(t, "../scripts/*.lua")
	section := func(title string) string {
		_, text, ok := strings.Cut(page, "\n## "+title+"\n")
		if !ok {
			t.Fatalf("there is no section %q", title)
		}
		text, _, _ = strings.Cut(text, "\n## ")
		return text
	}
	for _, test := range []struct {
		section, source, pattern string
		least                    int
		written                  string // how the section has it
	}{
		{"Errors", root, `(?m)^(?:var)?\s+(Err[A-Z]\w+)\s+=`, 7, "`%`"},
		{"Errors", oidc, `(?m)^var (Err[A-Z]\w+)\s+=`, 2, "`oidc.%`"},
		{"Errors", source(t, "../aspnetcore/*.go"), `(?m)^var (Err[A-Z]\w+)\s+=`, 1, "`aspnetcore.%`"},

		{"What is in Redis", root, `(?:tags\[\w+\]|tag|linkTag\(\w+\)|'\}'\)\+1\]) ?\+ ?"([a-z-]+)`, 10, "}%"},
		{"What is in Redis", oidc, `prefix \+ "([a-z-]+:)`, 1, "`P%"},

		{"Causes of endings", root, `(?m)^\t//\t([a-z-]+)  `, 10, "| `%` |"},
		{"Causes of endings", root, `cause\{cause: "([a-z-]+)`, 2, "| `%` |"},
		{"Causes of endings", root, `causeIn\(ctx, "([a-z-]+)`, 2, "| `%` |"},
		{"Causes of endings", lua, `cause == '([a-z-]+)'`, 2, "| `%` |"},
		{"Causes of endings", lua, `and '([a-z]+)' or 'idle'`, 1, "| `%` |"},
		{"Causes of endings", pages + oidc, `WithCause\(\w+(?:\.\w+\(\))?, "([a-z-]+)"`, 2, "| `%` |"},
		{"Causes of endings", pages, `(?m)^\t(?:reported|byOperator) += "([a-z-]+)"`, 1, "| `%` |"},

		{"Events of the Observer", root + pages, `Kind(?:: | = |, e\.Duration = )"([a-z-]+)"`, 6, "| `%` |"},
		{"Events of the Observer", root, `Cause(?:: | = )"([a-z-]+)"`, 8, "`%`"},
		{"Events of the Observer", root, `m\.rejected\(\S+, "([a-z-]+)"`, 5, "`%`"},

		{"JSON", pages, "json:\"([a-zA-Z]+)[,\"]", 15, "%"},
		{"JSON", read(t, "../status.go", "../ending.go"), "json:\"([a-zA-Z]+)[,\"]", 7, "%"},
		{"JSON", read(t, "../store.go"), "json:\"([a-zA-Z]+)[,\"]", 12, "`%`"},
	} {
		text := section(test.section)
		var found []string
		for _, m := range regexp.MustCompile(test.pattern).FindAllStringSubmatch(test.source, -1) {
			if !slices.Contains(found, m[1]) {
				found = append(found, m[1])
			}
		}
		for _, name := range found {
			want := regexp.MustCompile(`(^|\b|\W)` + regexp.QuoteMeta(strings.ReplaceAll(test.written, "%", name)) + `(\b|\W|$)`)
			if !want.MatchString(text) {
				t.Errorf("%s: there is no %s", test.section, name)
			}
		}
		if len(found) < test.least {
			t.Errorf("%s: %q finds only %q: this test looks at too little", test.section, test.pattern, found)
		}
	}
}

// What is said of others has a source: each number is one, and each source is
// used. The versions are those that the demonstrations run with.
func TestComparison(t *testing.T) {
	text, sources, ok := strings.Cut(read(t, "comparison.md"), "\n## Sources\n")
	if !ok {
		t.Fatal("there are no sources")
	}
	mod := read(t, "../benchmarks/go.mod")
	for n, line := range regexp.MustCompile(`(?m)^\d+\. .*$`).FindAllString(sources, -1) {
		number := strconv.Itoa(n + 1)
		if !strings.HasPrefix(line, number+". ") {
			t.Errorf("source %s is %q", number, line)
		}
		if !strings.Contains(text, "["+number+"]") {
			t.Errorf("source %s is not used", number)
		}
	}
	for _, m := range regexp.MustCompile(`\[(\d+)\]`).FindAllStringSubmatch(text, -1) {
		if !strings.Contains(sources, "\n"+m[1]+". ") {
			t.Errorf("there is no source %s", m[1])
		}
	}
	for _, m := range [][2]string{{"scs 2.9.0", "alexedwards/scs/v2 v2.9.0"}, {"gorilla/sessions 1.4.0", "gorilla/sessions v1.4.0"}, {"redistore 1.4.1", "boj/redistore v1.4.1"}, {"fiber\n3.1.0", "gofiber/fiber/v3 v3.1.0"}} {
		if !strings.Contains(text, m[0]) || !strings.Contains(mod, m[1]) {
			t.Errorf("%q, with %q in benchmarks/go.mod: one of them has changed", m[0], m[1])
		}
	}
}

// source returns Go files that are no tests.
func source(t *testing.T, patterns ...string) string {
	t.Helper()
	var all strings.Builder
	for _, file := range glob(t, patterns...) {
		if !strings.HasSuffix(file, "_test.go") {
			all.WriteString(read(t, file))
		}
	}
	return all.String()
}
