package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Between two containers of a network: one TCP stream, and requests and answers of one byte. The program that they run
// is this one, bound into them.
const (
	streamRole    = "stream"
	streamNetwork = "bench-streams"
	streamServer  = "bench-stream-server"
	streamClient  = "bench-stream-client"
	streamPort    = "5001"
)

func streams(dir string) group {
	ready := map[*engine]string{} // the server's address.
	prepare := func(ctx context.Context, e *engine) error {
		if ready[e] != "" {
			return nil
		}
		address, err := startStreams(ctx, e, dir)
		ready[e] = address
		return err
	}
	ask := func(ctx context.Context, e *engine, what, amount string) (float64, error) {
		out, err := e.docker(ctx, "exec", streamClient, "/bench", streamRole, what, ready[e], amount)
		if err != nil {
			return 0, err
		}
		return strconv.ParseFloat(out, 64)
	}
	return group{
		figures: []figure{
			{name: "TCP between two containers", unit: "MB/s", more: true, rounds: 5, prepare: prepare, measure: func(ctx context.Context, e *engine) (float64, error) {
				return ask(ctx, e, "send", "2")
			}},
			{name: "request and answer between two containers, p50", unit: "µs", rounds: 5, prepare: prepare, measure: func(ctx context.Context, e *engine) (float64, error) {
				return ask(ctx, e, "ask", "4000")
			}},
		},
		clean: func(ctx context.Context, e *engine) error {
			if ready[e] == "" {
				return nil
			}
			_, err := e.docker(ctx, "rm", "-f", streamServer, streamClient)
			_, err2 := e.docker(ctx, "network", "rm", streamNetwork)
			return errors.Join(err, err2)
		},
	}
}

func startStreams(ctx context.Context, e *engine, dir string) (string, error) {
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "bench-"+e.name)
	if err := os.WriteFile(path, program, 0o755); err != nil {
		return "", err
	}
	if _, err := e.docker(ctx, "network", "create", streamNetwork); err != nil {
		return "", err
	}
	run := []string{"run", "-d", "--network", streamNetwork, "-v", path + ":/bench:ro"}
	if _, err := e.docker(ctx, append(run, "--name", streamServer, "busybox", "/bench", streamRole, "serve")...); err != nil {
		return "", err
	}
	if _, err := e.docker(ctx, append(run, "--name", streamClient, "busybox", "sleep", "86400")...); err != nil {
		return "", err
	}
	address, err := e.docker(ctx, "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", streamServer)
	if err != nil {
		return "", err
	}
	for range 50 { // Until the server listens.
		if _, err = e.docker(ctx, "exec", streamClient, "/bench", streamRole, "ask", address, "1"); err == nil {
			return address, nil
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return "", err
		}
	}
	return "", err
}

// stream is what the program does in a container.
func stream(ctx context.Context, args []string) error {
	switch {
	case len(args) == 1 && args[0] == "serve":
		return serveStreams(ctx)
	case len(args) == 3 && (args[0] == "send" || args[0] == "ask"):
	default:
		return fmt.Errorf("stream: unknown arguments %q", strings.Join(args, " "))
	}
	amount, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(args[1], streamPort))
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	do := askStream
	if args[0] == "send" {
		do = sendStream
	}
	v, err := do(c.(*net.TCPConn), amount)
	if err == nil {
		_, err = fmt.Println(v)
	}
	return err
}

func serveStreams(ctx context.Context) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", ":"+streamPort)
	if err != nil {
		return err
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		answerStream(c)
	}
}

// answerStream answers single bytes, and at the end tells how many bytes came.
func answerStream(c net.Conn) {
	defer func() { _ = c.Close() }()
	buf := make([]byte, 128<<10)
	var total uint64
	for {
		n, err := c.Read(buf)
		total += uint64(n)
		if n == 1 {
			_, _ = c.Write(buf[:1])
		}
		if err != nil {
			break
		}
	}
	_, _ = c.Write(binary.LittleEndian.AppendUint64(nil, total))
}

// sendStream sends for some seconds and gives MB/s as the receiver counted them.
func sendStream(c *net.TCPConn, seconds int) (float64, error) {
	buf := make([]byte, 128<<10)
	begin := time.Now()
	for time.Since(begin) < time.Duration(seconds)*time.Second {
		if _, err := c.Write(buf); err != nil {
			return 0, err
		}
	}
	if err := c.CloseWrite(); err != nil {
		return 0, err
	}
	var total [8]byte
	if _, err := io.ReadFull(c, total[:]); err != nil {
		return 0, err
	}
	return float64(binary.LittleEndian.Uint64(total[:])) / 1e6 / time.Since(begin).Seconds(), nil
}

// askStream gives the median of the time from a request to its answer, in microseconds.
func askStream(c *net.TCPConn, requests int) (float64, error) {
	times := make([]float64, max(requests, 1))
	b := make([]byte, 1)
	for i := range times {
		begin := time.Now()
		if _, err := c.Write(b); err != nil {
			return 0, err
		}
		if _, err := io.ReadFull(c, b); err != nil {
			return 0, err
		}
		times[i] = float64(time.Since(begin).Nanoseconds()) / 1e3
	}
	slices.Sort(times)
	return times[len(times)/2], nil
}
