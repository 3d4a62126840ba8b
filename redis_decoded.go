package ticketstore

import (
	"sync"

	"github.com/google/uuid"
)

const (
	decodedShards = 16
	// maxDecodedBytes bounds the records that are remembered; with what they
	// decode to, they take about three times as much.
	maxDecodedBytes = 16 << 20
)

// decodedRecords remembers what records decoded to, by session ID, for as long
// as their bytes are the same: a read still asks Redis, but does not decode
// again. It keeps two generations, so that what is in use stays.
type decodedRecords [decodedShards]struct {
	mu         sync.RWMutex
	young, old map[uuid.UUID]*decodedRecord
	bytes      int // of the records in young
}

// A decodedRecord is never changed.
type decodedRecord struct {
	record   string
	envelope envelope
	ticket   *Ticket
}

// get returns what record decoded to, nil if that is not known.
func (d *decodedRecords) get(id uuid.UUID, record string) *decodedRecord {
	s := &d[id[15]%decodedShards]
	s.mu.RLock()
	r, young := s.young[id]
	if !young {
		r = s.old[id]
	}
	s.mu.RUnlock()
	if r == nil || r.record != record {
		return nil
	}
	if !young {
		d.put(id, r)
	}
	return r
}

func (d *decodedRecords) put(id uuid.UUID, r *decodedRecord) {
	const most = maxDecodedBytes / decodedShards / 2
	if len(r.record) > most {
		return
	}
	s := &d[id[15]%decodedShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if last := s.young[id]; last != nil {
		s.bytes -= len(last.record)
	}
	if s.young == nil || s.bytes+len(r.record) > most {
		s.young, s.old, s.bytes = make(map[uuid.UUID]*decodedRecord), s.young, 0
	}
	s.young[id] = r
	s.bytes += len(r.record)
}
