package admin

// A scan is how a page with a filter is filled: by pages of the store, more and
// more at once, up to so many that a request ends in time.
type scan struct {
	size  int // of the page to fill
	limit int // of the next page of the store
	left  int
	done  bool
}

// maxScan is how many sessions are looked at for one page.
const maxScan = 20_000

func newScan(size int) *scan { return &scan{size: size, limit: size, left: maxScan} }

// goes reports whether another page of the store is needed, of which found are
// on the page by now.
func (s *scan) goes(found int) bool { return !s.done && found < s.size && s.left > 0 }

// read notes that a page of the store had n.
func (s *scan) read(n int, next string) {
	s.left -= max(n, 1)
	s.done = next == ""
	s.limit = min(4*s.limit, maxPageSize)
}
