package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/ticketstore/ticketstore"
	"github.com/ticketstore/ticketstore/internal/clock"
	"github.com/ticketstore/ticketstore/internal/ui"
)

// cell returns s as a terminal may have it: as it is if all of it can be seen,
// else quoted as in Go. What is quoted begins with a quotation mark, and nothing
// else does.
func cell(s string) string {
	switch {
	case s == "":
		return "-"
	case s == "-" || s[0] == '"' || strings.TrimSpace(s) != s || strings.ContainsFunc(s, hidden):
		return strconv.Quote(s)
	}
	return s
}

// hidden reports whether r is no rune that can be seen: a control character, a
// mark that reverses what is around it, half a rune.
func hidden(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }

// line returns s, a message, as one line that a terminal may have.
func line(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n':
			b.WriteString("; ")
		case hidden(r):
			q := strconv.QuoteRuneToASCII(r)
			b.WriteString(q[1 : len(q)-1])
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// message says err to an operator.
func message(ctx context.Context, err error) string {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return "interrupted"
	}
	return strings.TrimPrefix(err.Error(), "ticketstore: ")
}

// writeJSON writes v as one line.
func (j *job) writeJSON(v any) error {
	b, err := json.Marshal(v)
	if err == nil {
		_, err = fmt.Fprintln(j.stdout, escape(b))
	}
	return err
}

// escape returns JSON in which what a terminal must not have is escaped:
// package json does that below U+0020 only.
func escape(b []byte) string {
	var out strings.Builder
	for _, r := range string(b) {
		switch {
		case r == '\n' || !hidden(r) || r == unicode.ReplacementChar:
			out.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	return out.String()
}

// table writes rows, the first of them the heading.
func (j *job) table(rows [][]string) error {
	t := tabwriter.NewWriter(j.stdout, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	return t.Flush()
}

// instant says t, which may be unknown.
func instant(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

// A describer names devices.
type describer struct {
	words ui.Words
	*ui.Describer
}

func newDescriber(ctx context.Context) *describer {
	d := &describer{words: ui.Fill(ui.Words{}, ui.Words{})}
	d.Describer = ui.NewDescriber(&d.words, nil, nil, clock.Now(ctx))
	return d
}

// device names that of a session, and its address.
func (d *describer) device(s ticketstore.Session) (name, addr string) {
	row := d.Row(s, "")
	if row.Undecodable {
		return "(unreadable)", "-"
	}
	if row.Addr == "" {
		row.Addr = "-"
	}
	return row.Device, row.Addr
}

// plural says n of something.
func plural(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return group(n) + " " + what + "s"
}

// group returns n with commas.
func group(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// isTerminal reports whether somebody is at file.
func isTerminal(file any) bool {
	f, ok := file.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}
