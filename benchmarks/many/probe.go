package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime/metrics"
	"time"
)

const probeEnv = "MANY_PROBE" // the address, in the process that pings

// A probe is another client of Redis, in a process of its own: what this one
// is busy with does not hold it up. It does nothing but PING.
type probe struct {
	cmd *exec.Cmd
	ask io.WriteCloser
	say *bufio.Reader
}

func startProbe(addr string) (*probe, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &probe{cmd: exec.Command(self)}
	p.cmd.Env = append(os.Environ(), probeEnv+"="+addr)
	p.cmd.Stderr = os.Stderr
	stdin, err1 := p.cmd.StdinPipe()
	stdout, err2 := p.cmd.StdoutPipe()
	if err := errors.Join(err1, err2, p.cmd.Start()); err != nil {
		return nil, err
	}
	p.ask, p.say = stdin, bufio.NewReader(stdout)
	return p, nil
}

func (p *probe) stop() {
	p.ask.Close()
	p.cmd.Wait() // it ends with its input
}

// longest returns how long the longest PING took since it was last asked.
func (p *probe) longest() (d time.Duration, err error) {
	if _, err = fmt.Fprintln(p.ask); err == nil {
		_, err = fmt.Fscanln(p.say, &d)
	}
	if err != nil {
		err = fmt.Errorf("the process that pings: %w", err)
	}
	return d, err
}

// ping is the probe's process. It answers each line.
func ping(addr string) {
	asked := make(chan bool)
	go func() {
		for in := bufio.NewReader(os.Stdin); ; {
			_, err := in.ReadString('\n')
			asked <- err == nil
		}
	}()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "ping:", err)
		return
	}
	defer conn.Close()
	var longest time.Duration
	pong := make([]byte, len("+PONG\r\n"))
	for {
		select {
		case more := <-asked:
			if !more {
				return
			}
			fmt.Println(int64(longest))
			longest = 0
		default:
		}
		start := time.Now()
		fmt.Fprint(conn, "PING\r\n")
		if _, err := io.ReadFull(conn, pong); err != nil {
			fmt.Fprintln(os.Stderr, "ping:", err)
			return
		}
		longest = max(longest, time.Since(start))
		time.Sleep(200 * time.Microsecond)
	}
}

// watchHeap looks at how much memory this process uses until stop is called,
// which returns the most that it was more than at the start.
func watchHeap() (stop func() uint64) {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	read := func() uint64 {
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	before := read()
	most, quit, done := before, make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			most = max(most, read())
			select {
			case <-quit:
				return
			case <-tick.C:
			}
		}
	}()
	return func() uint64 {
		close(quit)
		<-done
		return most - before
	}
}
