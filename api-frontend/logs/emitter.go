package logs

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/arca-engine/arca/internal/guestwire"
)

const (
	frameHeader = 8
	maxFrame    = 128 << 10
	emitSize    = 256 << 10
)

// emitter collects output and writes it in large pieces: as it is, or in Docker's frames, where neighbours of one stream
// share a frame.
type emitter struct {
	w     io.Writer
	mux   bool
	buf   []byte
	frame int // where the open frame begins, -1 for none.
	open  guestwire.Stream
}

func newEmitter(w io.Writer, mux bool) *emitter {
	return &emitter{w: w, mux: mux, frame: -1}
}

// claim makes a frame of the bytes of buf from start on, or joins them to the open frame.
func (e *emitter) claim(s guestwire.Stream, start int, join bool) {
	n := len(e.buf) - start
	if !e.mux || n == 0 {
		return
	}
	if join && e.frame >= 0 && e.open == s && len(e.buf)-e.frame-frameHeader <= maxFrame {
		return
	}
	e.seal(start)
	e.buf = append(e.buf, 0, 0, 0, 0, 0, 0, 0, 0)
	copy(e.buf[start+frameHeader:], e.buf[start:start+n])
	clear(e.buf[start : start+frameHeader])
	e.buf[start] = byte(s)
	e.frame, e.open = start, s
}

// seal writes the length of the open frame, which ends at end.
func (e *emitter) seal(end int) {
	if e.frame >= 0 {
		binary.BigEndian.PutUint32(e.buf[e.frame+4:], uint32(end-e.frame-frameHeader))
		e.frame = -1
	}
}

// add appends data of s.
func (e *emitter) add(s guestwire.Stream, data []byte) {
	start := len(e.buf)
	e.buf = append(e.buf, data...)
	e.claim(s, start, true)
}

// full tells that it is time to flush.
func (e *emitter) full() bool { return len(e.buf) >= emitSize }

// idle gives a large buffer back before a wait.
func (e *emitter) idle() {
	if cap(e.buf) > emitSize/4 && len(e.buf) == 0 {
		e.buf = nil
	}
}

// flush writes everything with one Write.
func (e *emitter) flush() error {
	if len(e.buf) == 0 {
		return nil
	}
	e.seal(len(e.buf))
	_, err := e.w.Write(e.buf)
	e.buf = e.buf[:0]
	if err != nil {
		return fmt.Errorf("%w: %w", ErrWrite, err)
	}
	return nil
}
