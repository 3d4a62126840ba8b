package main

import (
	"fmt"
	"io"
	"time"
)

// A progress says on the standard error how far long work is: in a line that
// changes if that is a terminal, else in a line every ten seconds.
type progress struct {
	w        io.Writer
	terminal bool
	total    int64
	what     string
	now      func() time.Time
	began    time.Time
	said     time.Time
	written  int // characters in the line that changes
}

func (j *job) progress(total int64, what string) *progress {
	p := &progress{w: j.stderr, terminal: j.terminal(j.stderr), total: total, what: what, now: time.Now}
	p.began = p.now()
	p.said = p.began
	return p
}

func (p *progress) show(n int64) {
	now, every := p.now(), 10*time.Second
	if p.terminal {
		every = 100 * time.Millisecond
	}
	if now.Sub(p.said) < every {
		return
	}
	p.said = now
	text := fmt.Sprintf("%s of %s %s, %.0f a second", group(n), group(max(n, p.total)), p.what, float64(n)/now.Sub(p.began).Seconds())
	if !p.terminal {
		fmt.Fprintln(p.w, text)
		return
	}
	fmt.Fprintf(p.w, "\r%-*s", p.written, text)
	p.written = len(text)
}

// end takes the line that changes away.
func (p *progress) end() {
	if p.written > 0 {
		fmt.Fprintf(p.w, "\r%*s\r", p.written, "")
	}
}
