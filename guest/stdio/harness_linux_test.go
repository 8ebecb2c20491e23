package stdio

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/internal/guestwire"
)

const limit = 20 * time.Second // of anything that must happen.

// period is that of the bytes that a test writes: a prime, so that no block of the code's has it.
const period = 65521

var patterns = func() (out [3][]byte) {
	for i := range out {
		r := rand.New(rand.NewPCG(uint64(i), 3))
		out[i] = make([]byte, period)
		for j := range out[i] {
			out[i][j] = byte(r.Uint32())
		}
	}
	return out
}()

// pattern is what every test writes at an offset of a stream: a byte tells where it belongs.
func pattern(s guestwire.Stream, offset uint64, n int) []byte {
	b := make([]byte, 0, n)
	for len(b) < n {
		p := patterns[s][(offset+uint64(len(b)))%period:]
		b = append(b, p[:min(len(p), n-len(b))]...)
	}
	return b
}

// source is a process's end of one stream.
type source struct {
	s     guestwire.Stream
	w     *os.File
	total uint64
	done  chan error
}

// pumped makes a spool and a pump for each stream.
func pumped(t *testing.T, dir string) (*Spool, map[guestwire.Stream]*source) {
	t.Helper()
	s := NewSpool(dir)
	out := map[guestwire.Stream]*source{}
	for _, i := range []guestwire.Stream{guestwire.Stdout, guestwire.Stderr} {
		r, w, err := pipe()
		if err != nil {
			t.Fatal(err)
		}
		src := &source{s: i, w: w, done: make(chan error, 1)}
		go func() {
			err := s.Pump(r, i, false)
			src.done <- errors.Join(err, r.Close())
		}()
		t.Cleanup(func() { _ = w.Close() })
		out[i] = src
	}
	return s, out
}

func (s *source) write(n int) error {
	m, err := s.w.Write(pattern(s.s, s.total, n))
	s.total += uint64(m)
	return err
}

// finish closes both streams and ends the spool.
func finish(t *testing.T, s *Spool, out map[guestwire.Stream]*source) {
	t.Helper()
	for _, src := range out {
		_ = src.w.Close()
	}
	for _, src := range out {
		select {
		case err := <-src.done:
			if err != nil {
				t.Errorf("pump of stream %d: %v", src.s, err)
			}
		case <-time.After(limit):
			t.Fatal("a pump does not end")
		}
	}
	s.End()
}

// pair is a connected pair of unix sockets.
func pair(t testing.TB) (agent, host *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var out [2]*net.UnixConn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "socket")
		c, err := net.FileConn(f)
		_ = f.Close()
		if err != nil {
			t.Fatal(err)
		}
		out[i] = c.(*net.UnixConn)
	}
	return out[0], out[1]
}

// host is the host's end of an output: what it has, and what it checks.
type host struct {
	t    testing.TB
	mu   sync.Mutex
	have [3]uint64
	ends int
}

// session is one reader of a host.
type session struct {
	h    *host
	conn *net.UnixConn
	done chan error // of Serve.
}

func (h *host) open(s *Spool) *session {
	h.mu.Lock()
	o, e := h.have[guestwire.Stdout], h.have[guestwire.Stderr]
	h.mu.Unlock()
	agent, conn := pair(h.t)
	x := &session{h: h, conn: conn, done: make(chan error, 1)}
	go func() { x.done <- s.Serve(context.Background(), agent, o, e) }()
	return x
}

// frame takes one frame. It returns false at the end frame.
func (x *session) frame(ack bool) (bool, error) {
	var b [guestwire.HeaderSize]byte
	if _, err := io.ReadFull(x.conn, b[:]); err != nil {
		return true, err
	}
	f, err := guestwire.ParseHeader(b[:])
	if err != nil {
		x.h.t.Errorf("frame: %v", err)
		return false, err
	}
	if f.Stream == guestwire.End {
		x.h.ends++
		return false, nil
	}
	data := make([]byte, f.Length)
	if _, err := io.ReadFull(x.conn, data); err != nil {
		return true, err // Cut within a frame: none of it was taken.
	}
	x.h.mu.Lock()
	defer x.h.mu.Unlock()
	if want := x.h.have[f.Stream]; f.Offset != want {
		x.h.t.Errorf("stream %d: a frame of %d bytes at %d, expected at %d", f.Stream, f.Length, f.Offset, want)
	}
	if f.Length == 0 {
		x.h.t.Error("an empty frame")
	}
	if !bytes.Equal(data, pattern(f.Stream, f.Offset, f.Length)) {
		x.h.t.Errorf("stream %d: wrong bytes at %d", f.Stream, f.Offset)
	}
	x.h.have[f.Stream] = f.Offset + uint64(f.Length)
	if ack {
		return true, x.ack(f.Stream, x.h.have[f.Stream])
	}
	return true, nil
}

func (x *session) ack(s guestwire.Stream, offset uint64) error {
	var b [guestwire.AckSize]byte
	guestwire.PutAck(b[:], s, offset)
	_, err := x.conn.Write(b[:])
	return err
}

// drain takes everything up to the end frame.
func (x *session) drain() {
	x.h.t.Helper()
	_ = x.conn.SetDeadline(time.Now().Add(limit))
	for {
		more, err := x.frame(true)
		if err != nil {
			x.h.t.Fatalf("drain: %v", err)
		}
		if !more {
			break
		}
	}
	x.close()
}

func (x *session) close() {
	_ = x.conn.Close()
	select {
	case err := <-x.done:
		x.h.t.Log("the reader ended:", err)
	case <-time.After(limit):
		x.h.t.Fatal("a reader does not end")
	}
}

// eventually waits for f to come true.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func (s *Spool) taken(i guestwire.Stream) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total[i]
}
