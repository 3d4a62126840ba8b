// Package decoded remembers what bytes decoded to, so that a store that reads
// the same ones again need not decode them again.
package decoded

import "sync"

const (
	shards = 16
	// MaxBytes bounds the bytes that a Cache remembers; with what they decode
	// to, they take about three times as much.
	MaxBytes = 16 << 20
	perShard = MaxBytes / shards / 2 // in each of two generations
)

// A Cache remembers, by an ID, some bytes and what they decoded to. It keeps
// two generations, so that what is in use stays. The zero value is ready to
// use, by several goroutines at once.
type Cache[V any] [shards]struct {
	mu         sync.RWMutex
	young, old map[string]*entry[V]
	bytes      int // of young
}

type entry[V any] struct {
	data  string
	value V
}

// Get returns what data decoded to, if those are the bytes that were put under
// id last.
func (c *Cache[V]) Get(id []byte, data string) (value V, ok bool) {
	s := &c[id[len(id)-1]%shards]
	s.mu.RLock()
	e, young := s.young[string(id)]
	if !young {
		e = s.old[string(id)]
	}
	s.mu.RUnlock()
	if e == nil || e.data != data {
		return value, false
	}
	if !young {
		c.put(id, e)
	}
	return e.value, true
}

// Put remembers that data decoded to value, which nobody may change.
func (c *Cache[V]) Put(id []byte, data string, value V) { c.put(id, &entry[V]{data, value}) }

func (c *Cache[V]) put(id []byte, e *entry[V]) {
	if len(e.data) > perShard {
		return
	}
	s := &c[id[len(id)-1]%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if last := s.young[string(id)]; last != nil {
		s.bytes -= len(last.data)
	}
	if s.young == nil || s.bytes+len(e.data) > perShard {
		s.young, s.old, s.bytes = make(map[string]*entry[V]), s.young, 0
	}
	s.young[string(id)] = e
	s.bytes += len(e.data)
}
