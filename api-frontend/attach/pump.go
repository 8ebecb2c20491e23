package attach

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/arca-engine/arca/internal/guestwire"
)

// readAhead is how much is read from an agent at once; ackEvery is how much may stay unacknowledged while more is at hand.
const (
	readAhead = 16 << 10
	ackEvery  = 256 << 10
)

var (
	readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, readAhead) }}
	frames  = sync.Pool{New: func() any { b := make([]byte, Headroom, Headroom+guestwire.MaxData); return &b }}
)

// Offsets says how much of each stream the host has.
type Offsets struct{ Stdout, Stderr uint64 }

func (o *Offsets) of(s guestwire.Stream) *uint64 {
	if s == guestwire.Stdout {
		return &o.Stdout
	}
	return &o.Stderr
}

// Pump reads the output of a process from a connection of the agent's OutputStream and hands each frame to sink, in
// order, each byte once, until the process has ended. What sink has taken is acknowledged. have is where the connection
// was opened and is kept up to date. A sink's error ends the pump; io.ErrUnexpectedEOF says that the agent left.
func Pump(conn io.ReadWriter, have *Offsets, sink Sink) error {
	r := readers.Get().(*bufio.Reader)
	r.Reset(conn)
	defer func() {
		r.Reset(nil)
		readers.Put(r)
	}()
	acks := acker{conn: conn, acked: *have}
	for {
		var head [guestwire.HeaderSize]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return left(err)
		}
		h, err := guestwire.ParseHeader(head[:])
		if err != nil {
			return err
		}
		if h.Stream == guestwire.End {
			return nil
		}
		at := have.of(h.Stream)
		if h.Offset < *at {
			return fmt.Errorf("output frame of stream %d at offset %d, expected %d", h.Stream, h.Offset, *at)
		}
		*at = h.Offset // What is missing a former frontend has taken.
		if err := pass(r, h, sink); err != nil {
			return err
		}
		*at += uint64(h.Length)
		acks.took(*have, r.Buffered() > 0)
	}
}

// pass reads the data of one frame and hands it on. An idle pump holds no frame's buffer.
func pass(r io.Reader, h guestwire.Header, sink Sink) error {
	buf := frames.Get().(*[]byte)
	defer frames.Put(buf)
	frame := (*buf)[:Headroom+h.Length]
	if _, err := io.ReadFull(r, frame[Headroom:]); err != nil {
		return left(err)
	}
	return sink(h.Stream, frame)
}

func left(err error) error {
	if errors.Is(err, io.EOF) || ended(err) == nil {
		return io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read output of the agent: %w", err)
}

// acker sends acknowledgements, few of them while the output flows.
type acker struct {
	conn  io.Writer
	acked Offsets
	buf   [2 * guestwire.AckSize]byte
}

func (a *acker) took(have Offsets, more bool) {
	if more && have.Stdout-a.acked.Stdout+have.Stderr-a.acked.Stderr < ackEvery {
		return
	}
	n := 0
	if have.Stdout != a.acked.Stdout {
		guestwire.PutAck(a.buf[n:], guestwire.Stdout, have.Stdout)
		n += guestwire.AckSize
	}
	if have.Stderr != a.acked.Stderr {
		guestwire.PutAck(a.buf[n:], guestwire.Stderr, have.Stderr)
		n += guestwire.AckSize
	}
	if n == 0 {
		return
	}
	a.acked = have
	// An agent that has sent its last frame may have left: what it sent is still to be read, and the read tells.
	_, _ = a.conn.Write(a.buf[:n])
}
