package tickettest

import (
	"crypto/fips140"
	"net"
	"sync"

	"github.com/alicebob/miniredis/v2"
)

// A conn is a connection to a Redis in this process, which needs no port. Its
// writes never block: go-redis reads the first reply of a pipeline when it has
// written the last command, while miniredis reads on when a reply is written.
// On a net.Pipe alone each would wait for the other.
type conn struct {
	net.Conn
	mu      sync.Mutex
	wake    sync.Cond
	waiting []byte
	closed  bool
}

func dial(server *miniredis.Miniredis) (net.Conn, error) {
	var pipe net.Conn
	var err error
	// SHA-1 is its name of a script.
	fips140.WithoutEnforcement(func() { pipe, err = server.Dial() })
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: pipe}
	c.wake.L = &c.mu
	go c.send()
	return c, nil
}

func (c *conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, net.ErrClosed
	}
	c.waiting = append(c.waiting, p...)
	c.wake.Signal()
	return len(p), nil
}

// send writes what is waiting until c is closed.
func (c *conn) send() {
	for {
		c.mu.Lock()
		for len(c.waiting) == 0 && !c.closed {
			c.wake.Wait()
		}
		p := c.waiting
		c.waiting = nil
		c.mu.Unlock()
		if len(p) == 0 {
			return
		}
		if _, err := c.Conn.Write(p); err != nil {
			c.Close()
		}
	}
}

func (c *conn) Close() error {
	c.mu.Lock()
	c.closed, c.waiting = true, nil
	c.wake.Signal()
	c.mu.Unlock()
	return c.Conn.Close()
}
