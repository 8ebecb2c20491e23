package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
)

// pings tells how many times a second an engine answers _ping on so many connections. The client is one thread that
// writes on every connection and then reads on each, blocks in the kernel and looks at nothing but an answer's end: a
// client of net/http costs more than both engines do, and one thread for each connection more than that.
func pings(connections int) figure {
	name := "_ping, 1 connection"
	if connections > 1 {
		name = fmt.Sprintf("_ping, %d connections", connections)
	}
	return figure{name: name, unit: "req/s", more: true, rounds: 5, measure: func(ctx context.Context, e *engine) (_ float64, err error) {
		const length = time.Second
		conns := make([]*pinger, connections)
		for i := range conns {
			if conns[i], err = dialPinger(e.socket); err != nil {
				return 0, err
			}
			defer func() { err = errors.Join(err, conns[i].close()) }()
		}
		n, start := 0, time.Now()
		for time.Since(start) < length && ctx.Err() == nil {
			for _, p := range conns {
				if err := p.ask(); err != nil {
					return 0, err
				}
			}
			for _, p := range conns {
				if err := p.answer(); err != nil {
					return 0, err
				}
				n++
			}
		}
		return float64(n) / time.Since(start).Seconds(), ctx.Err()
	}}
}

// pinger is one connection that blocks.
type pinger struct {
	f   *os.File
	fd  int
	buf []byte
}

func dialPinger(socket string) (*pinger, error) {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // of the duplicate's origin
	f, err := conn.File()
	if err != nil {
		return nil, err
	}
	return &pinger{f: f, fd: int(f.Fd()), buf: make([]byte, 4096)}, nil // Fd makes it block
}

func (p *pinger) close() error { return p.f.Close() }

var pingRequest = []byte("GET /_ping HTTP/1.1\r\nHost: engine\r\nUser-Agent: bench\r\n\r\n")

func (p *pinger) ask() error {
	_, err := syscall.Write(p.fd, pingRequest)
	return err
}

func (p *pinger) answer() error {
	have := 0
	for !bytes.HasSuffix(p.buf[:have], []byte("\r\n\r\nOK")) {
		n, err := syscall.Read(p.fd, p.buf[have:])
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		if have += n; n == 0 || have == len(p.buf) {
			return fmt.Errorf("unexpected answer: %q", p.buf[:have])
		}
	}
	if !bytes.HasPrefix(p.buf, []byte("HTTP/1.1 200")) {
		return fmt.Errorf("unexpected answer: %q", p.buf[:have])
	}
	return nil
}
