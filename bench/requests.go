package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// pings tells how many times a second an engine answers _ping on so many connections. The client blocks in the kernel
// and looks at nothing but the end of an answer: net/http's client costs more than both engines do.
func pings(connections int) figure {
	name := "_ping, 1 connection"
	if connections > 1 {
		name = fmt.Sprintf("_ping, %d connections", connections)
	}
	return figure{name: name, unit: "req/s", more: true, rounds: 5, measure: func(ctx context.Context, e *engine) (float64, error) {
		const length = time.Second
		counts := make([]int, connections)
		start := time.Now()
		var g errgroup.Group
		for i := range connections {
			g.Go(func() error {
				return ping(e.socket, func() bool {
					counts[i]++
					return time.Since(start) < length && ctx.Err() == nil
				})
			})
		}
		err := g.Wait()
		total := 0
		for _, n := range counts {
			total += n
		}
		return float64(total) / time.Since(start).Seconds(), err
	}}
}

// ping asks on one connection for as long as more says so.
func ping(socket string, more func() bool) error {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	f, err := conn.File()
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	fd := int(f.Fd()) // which puts it into blocking mode.
	request := []byte("GET /_ping HTTP/1.1\r\nHost: engine\r\nUser-Agent: bench\r\n\r\n")
	buf := make([]byte, 4096)
	for {
		if _, err := syscall.Write(fd, request); err != nil {
			return err
		}
		have := 0
		for !bytes.HasSuffix(buf[:have], []byte("\r\n\r\nOK")) {
			n, err := syscall.Read(fd, buf[have:])
			if err == syscall.EINTR {
				continue
			}
			if err != nil {
				return err
			}
			if n == 0 || have+n == len(buf) {
				return fmt.Errorf("unexpected answer: %q", buf[:have+n])
			}
			have += n
		}
		if !bytes.HasPrefix(buf, []byte("HTTP/1.1 200")) {
			return fmt.Errorf("unexpected answer: %q", buf[:have])
		}
		if !more() {
			return nil
		}
	}
}
