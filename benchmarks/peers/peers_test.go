package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ticketstore/ticketstore/internal/redistest"
)

// TestRun runs all of it, at a size at which times mean nothing.
func TestRun(t *testing.T) {
	redistest.Start(t) // skips without redis-server
	dir := t.TempDir()
	original, err := os.ReadFile("../../docs/benchmarks.md")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "benchmarks.md")
	if err := errors.Join(os.WriteFile(file, original, 0o644), os.Mkdir(filepath.Join(dir, "images"), 0o755)); err != nil {
		t.Fatal(err)
	}
	var out, progress bytes.Buffer
	if err := run(t.Context(), []string{"-short", "-write", dir}, &out, &progress); err != nil {
		t.Fatalf("%v\n%s", err, &progress)
	}
	checkReport(t, out.String())
	written, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	checkWritten(t, dir, string(original), string(written))
	if t.Failed() {
		t.Log(out.String())
	}
}

// How cells are written.
const (
	aNumber = `[\d,.]+`
	aRatio  = `(1|` + aNumber + ` \(` + aNumber + `–` + aNumber + `\))`
	aTime   = aNumber + ` (ns|µs|ms|s)`
)

// checkReport looks for the line of every contestant in each table.
func checkReport(t *testing.T, report string) {
	t.Helper()
	every := []string{"the handler alone", "`securecookie` alone", baseline, first, first + ", batched", first + ", cached", "**ticketstore**, `aspnetcore.Store`",
		"scs", "scs, idle timeout", "gorilla/sessions, redistore", "fiber session, idle timeout"}
	indexed := []string{first, first + ", batched", first + ", cached", "**ticketstore**, `aspnetcore.Store`", "scs"}
	costs := strings.Join([]string{aRatio, aTime, aRatio, aTime, aTime, aNumber + ` B`, aNumber, `[^|]+`}, ` \| `)
	tables := map[string]string{}
	for table := range strings.SplitSeq(report, "\n\n") {
		title, rest, _ := strings.Cut(table, " |")
		tables[strings.TrimPrefix(title, "| ")] = rest
	}
	for _, test := range []struct {
		title string
		names []string
		cells string
	}{
		{"Request with a session, 4 goroutines", every, costs},
		{"Sign-in, 4 goroutines", every[2:], costs},
		{"Sign-out, 4 goroutines", every[2:], costs},
		{"One user's sessions among 100", indexed, costs},
		{"How many users and sessions there are, of 100", indexed, costs},
		{"× of the time of a request, at goroutines", every, `(` + aRatio + `|` + aTime + `) \| (` + aRatio + `|` + aTime + `)`},
		{"time until the answer, at requests a second", every, aTime + ` \| ` + aRatio + ` \| ` + aTime},
	} {
		table, ok := tables[test.title]
		if !ok {
			t.Errorf("there is no table %q", test.title)
		}
		for _, name := range test.names {
			if !regexp.MustCompile(`(?m)^\| ` + regexp.QuoteMeta(name) + ` \| ` + test.cells + ` \|$`).MatchString(table) {
				t.Errorf("the table %q has no line %q with figures", test.title, name)
			}
		}
		if got, want := strings.Count(table, "\n| "), len(test.names); got != want {
			t.Errorf("the table %q has %d lines; want %d", test.title, got, want)
		}
	}
	for _, want := range []string{"`go run ./peers -short", "Redis ", "redis/go-redis/v9 ", "alexedwards/scs/v2 ", "boj/redistore 1.", "Load averages"} {
		if !strings.Contains(report, want) {
			t.Errorf("the report has no %q", want)
		}
	}
	for _, want := range []string{"| 1 `GET`, 1 `SET` |", "| 1 `EVALSHA`, 1 `GET`, 1 `GETRANGE`, ", "| 1 `EVALSHA`, 512 within |", "| 100 `GET`, "} {
		if !strings.Contains(report, want) {
			t.Errorf("no operation costs %q", want)
		}
	}
}

var image = regexp.MustCompile(`(?:srcset|src)="(images/[^"]+)"`)

// checkWritten checks what the document has become, and its charts.
func checkWritten(t *testing.T, dir, original, written string) {
	t.Helper()
	before, rest, _ := strings.Cut(original, beginMark)
	_, after, _ := strings.Cut(rest, endMark)
	between, ok := strings.CutPrefix(written, before+beginMark)
	between, ended := strings.CutSuffix(between, endMark+after)
	if !ok || !ended {
		t.Fatalf("what is around the report has changed:\n%s", written)
	}
	checkReport(t, between)
	images := image.FindAllStringSubmatch(between, -1)
	if len(images) != 6 {
		t.Errorf("got the images %q, want three in two themes", images)
	}
	for _, found := range images {
		svg, err := os.ReadFile(filepath.Join(dir, found[1]))
		if err != nil {
			t.Error(err)
			continue
		}
		if err := wellFormed(svg); err != nil {
			t.Errorf("%s: %v", found[1], err)
		}
		for _, want := range []string{"ticketstore, RedisStore", ">scs<"} {
			if !strings.Contains(string(svg), want) {
				t.Errorf("%s has no %q", found[1], want)
			}
		}
	}
}

func wellFormed(svg []byte) error {
	for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
		if _, err := d.Token(); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}

func TestWriteReplaces(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "benchmarks.md")
	for _, text := range []string{"no lines", beginMark + "no end"} {
		os.WriteFile(file, []byte(text), 0o644)
		if err := write(dir, nil); err == nil || !strings.Contains(err.Error(), "has no lines") {
			t.Errorf("%q: got %v", text, err)
		}
	}
	os.WriteFile(file, []byte("a\n"+beginMark+"old\n"+endMark+"b\n"), 0o644)
	for _, text := range []string{"first\n", "second\n"} {
		if err := write(dir, []section{{text: text}}); err != nil {
			t.Fatal(err)
		}
		if got, _ := os.ReadFile(file); string(got) != "a\n"+beginMark+"\n"+text+"\n"+endMark+"b\n" {
			t.Errorf("got %s", got)
		}
	}
}

func TestWrongFlags(t *testing.T) {
	for _, args := range []string{"more", "-sessions 0", "-sessions 10001", "-signins 0", "-crowd 3", "-rounds 0", "-duration 0s",
		"-goroutines 0", "-goroutines 1,x", "-rates 100001", "-unknown"} {
		if err := run(t.Context(), strings.Fields(args), io.Discard, io.Discard); err == nil {
			t.Errorf("%s: no error", args)
		}
	}
}
