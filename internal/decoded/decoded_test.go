package decoded

import (
	"strconv"
	"strings"
	"testing"
)

func TestCache(t *testing.T) {
	var c Cache[int]
	if v, ok := c.Get([]byte("a"), ""); ok {
		t.Errorf("nothing was put: got %d", v)
	}
	c.Put([]byte("a"), "one", 1)
	for _, data := range []string{"", "two", "one "} {
		if v, ok := c.Get([]byte("a"), data); ok {
			t.Errorf("other bytes, %q: got %d", data, v)
		}
	}
	c.Put([]byte("a"), "two", 2)
	if v, ok := c.Get([]byte("a"), "two"); v != 2 || !ok {
		t.Errorf("got %d, %v, want 2", v, ok)
	}
	if v, ok := c.Get([]byte("a"), "one"); ok {
		t.Errorf("the bytes before: got %d", v)
	}
}

// What is in use stays, what is not makes room, and one ID that is put again
// and again displaces nothing.
func TestBounded(t *testing.T) {
	var c Cache[int]
	size := func() (bytes, n int) {
		for i := range c {
			for _, generation := range []map[string]*entry[int]{c[i].young, c[i].old} {
				for _, e := range generation {
					bytes, n = bytes+len(e.data), n+1
				}
			}
		}
		return bytes, n
	}
	used, data := []byte("used"), strings.Repeat("x", 8<<10)
	c.Put(used, data, 1)
	for i := range 3 * MaxBytes / len(data) {
		c.Put([]byte(strconv.Itoa(i)), data, i)
		if _, ok := c.Get(used, data); !ok {
			t.Fatalf("after %d others: what is in use is gone", i)
		}
	}
	if bytes, _ := size(); bytes > MaxBytes || bytes < MaxBytes/4 {
		t.Errorf("got %d bytes, want at most %d, and not much less", bytes, MaxBytes)
	}
	for range 1000 {
		c.Put(used, data, 1)
	}
	if _, n := size(); n < MaxBytes/len(data)/4 {
		t.Errorf("got %d entries: one of them displaced the others", n)
	}
	huge := strings.Repeat("x", MaxBytes)
	c.Put(used, huge, 2)
	if _, ok := c.Get(used, huge); ok {
		t.Error("as many bytes as there is room for are remembered")
	}
}
