package ticketstore

import (
	"sync"
	"time"
)

const (
	repeatEvery = time.Minute
	maxRepeats  = 10_000 // what is remembered; beyond it, lines may come more often
)

// repeats keeps a line that each request would log again down to one a minute.
type repeats struct {
	mu   sync.Mutex
	seen map[string]repeat
}

type repeat struct {
	logged   time.Time
	unlogged int
}

// due reports whether to log the line called name now, and how often it was
// not since the last time.
func (l *repeats) due(name string, now time.Time) (unlogged int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	last, known := l.seen[name]
	if known && now.Sub(last.logged).Abs() < repeatEvery { // Abs: the clock may have been set back
		last.unlogged++
		l.seen[name] = last
		return 0, false
	}
	if l.seen == nil || len(l.seen) >= maxRepeats {
		l.seen = make(map[string]repeat)
	}
	l.seen[name] = repeat{logged: now}
	return last.unlogged, true
}
