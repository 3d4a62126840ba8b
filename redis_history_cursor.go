package ticketstore

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// A streamID is the ID of an entry of a stream: when Redis has given it, and a
// number.
type streamID struct{ ms, seq int64 }

func (id streamID) String() string {
	return strconv.FormatInt(id.ms, 10) + "-" + strconv.FormatInt(id.seq, 10)
}

func (id streamID) before(other streamID) bool {
	return id.ms < other.ms || id.ms == other.ms && id.seq < other.seq
}

func parseStreamID(text string) (id streamID, err error) {
	ms, seq, _ := strings.Cut(text, "-")
	var err1, err2 error
	id.ms, err1 = strconv.ParseInt(ms, 10, 64)
	id.seq, err2 = strconv.ParseInt(seq, 10, 64)
	if err1 != nil || err2 != nil {
		return streamID{}, fmt.Errorf("unexpected ID %q in a stream", text)
	}
	return id, nil
}

// An endingsCursor is how far endings were read, and when.
type endingsCursor struct {
	read  int64 // Unix ms by the clock of Redis; 0 never
	first byte  // the partition to begin with
	seen  [partitions]streamID
}

func (c endingsCursor) String() string {
	b := binary.AppendUvarint([]byte{1, c.first}, uint64(c.read))
	for _, id := range c.seen {
		b = binary.AppendUvarint(b, uint64(id.ms))
		b = binary.AppendUvarint(b, uint64(id.seq))
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func parseEndingsCursor(text string) (c endingsCursor, err error) {
	if text == "" {
		return c, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil && len(b) > 2 && b[0] == 1 {
		c.first = b[1]
		b = b[2:]
		next := func() (v int64) {
			u, n := binary.Uvarint(b)
			if n <= 0 || int64(u) < 0 {
				b = nil
				return 0
			}
			b = b[n:]
			return int64(u)
		}
		c.read = next()
		for i := range c.seen {
			c.seen[i] = streamID{next(), next()}
		}
		if b != nil && len(b) == 0 && c.String() == text {
			return c, nil
		}
	}
	return endingsCursor{}, fmt.Errorf("%w: that is no cursor of Endings", ErrNotFound)
}
