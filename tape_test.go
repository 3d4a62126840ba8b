package ticketstore

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/redis/go-redis/v9"
)

// A tape is a connection to Redis that remembers what Redis answers, and then
// answers by itself: what is allocated meanwhile, the client has allocated.
type tape struct {
	net.Conn
	playing bool
	written bool     // since the last Read
	answers [][]byte // each to all that was written before it
	next    int      // answer
	rest    []byte   // of the one before, to be read
}

// taped returns b with a client that has one connection, and that connection.
func (b *backend) taped(t *testing.T) (*backend, *tape) {
	c, tp := *b, &tape{}
	opt := redisOptions(b.addrs[0])
	opt.PoolSize = 1
	opt.Dialer = func(ctx context.Context, network, addr string) (_ net.Conn, err error) {
		if tp.Conn != nil {
			return nil, errors.New("the connection that is taped was lost")
		}
		tp.Conn, err = (&net.Dialer{}).DialContext(ctx, network, addr)
		return tp, err
	}
	c.client = redis.NewClient(opt)
	t.Cleanup(func() { c.client.Close() })
	if err := c.client.Ping(t.Context()).Err(); err != nil { // dials once, which a pipeline would do twice
		t.Fatal(err)
	}
	return &c, tp
}

// record begins an empty tape.
func (t *tape) record() { t.playing, t.written, t.answers = false, false, nil }

// play has the tape answer, in a loop.
func (t *tape) play() { t.playing, t.written, t.next, t.rest = true, false, 0, nil }

func (t *tape) Write(p []byte) (int, error) {
	if !t.playing {
		if !t.written {
			t.answers = append(t.answers, nil)
		}
		t.written = true
		return t.Conn.Write(p)
	}
	if !t.written {
		if len(t.answers) == 0 || len(t.rest) > 0 {
			return 0, errors.New("this is not what was taped")
		}
		t.rest = t.answers[t.next]
		t.next = (t.next + 1) % len(t.answers)
	}
	t.written = true
	return len(p), nil
}

func (t *tape) Read(p []byte) (n int, err error) {
	t.written = false
	if t.playing {
		n = copy(p, t.rest)
		t.rest = t.rest[n:]
		if n == 0 {
			return 0, errors.New("nothing more was taped")
		}
		return n, nil
	}
	n, err = t.Conn.Read(p)
	if i := len(t.answers) - 1; i >= 0 {
		t.answers[i] = append(t.answers[i], p[:n]...)
	}
	return n, err
}
