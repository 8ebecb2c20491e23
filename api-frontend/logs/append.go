package logs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/containerd/errdefs"

	"github.com/arca-engine/arca/internal/guestwire"
)

// Chunk is output as it came from the process.
type Chunk struct {
	Stream   guestwire.Stream
	Offset   uint64 // of the first byte, in the stream, in the run.
	UnixNano int64
	Data     []byte
}

// writeSize is how much is encoded before it is written.
const writeSize = 512 << 10

// encoder splits the streams into records and encodes them. It belongs to the writer.
type encoder struct {
	buf    []byte
	last   int      // where the last record in buf begins.
	sealed bool     // the last record has a position.
	first  bool     // the next record is the first of the run.
	pos    position // after the last record, written or not.
	part   [3]partial
	next   *os.File // a new file, when buf begins it.
	size   int64    // of the file that buf goes to.
}

// encodeBuffers are shared by all logs: one that is idle holds none.
var encodeBuffers = sync.Pool{New: func() any { return new([]byte) }}

// borrow takes a buffer to encode into; the function that it returns gives it back, empty.
func (e *encoder) borrow() (giveBack func()) {
	b := encodeBuffers.Get().(*[]byte)
	e.buf = (*b)[:0]
	return func() {
		*b, e.buf = e.buf[:0], nil
		encodeBuffers.Put(b)
	}
}

// partial is the line that has no end yet.
type partial struct {
	buf       []byte
	continued bool // a part of the line has been written.
	nano      int64
}

func (e *encoder) reset(p position) {
	e.buf, e.sealed, e.first, e.pos = e.buf[:0], false, true, p
	for i := range e.part {
		e.part[i] = partial{buf: e.part[i].buf[:0]}
	}
}

// drop forgets a file that was never used.
func (e *encoder) drop() error {
	if e.next == nil {
		return nil
	}
	f := e.next
	e.next = nil
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// received is the offset of the next byte of s.
func (e *encoder) received(s guestwire.Stream) uint64 {
	return *e.pos.offset(s) + uint64(len(e.part[s].buf))
}

// Append takes chunks in the order of each stream's offsets: what was already taken is dropped, a gap is an error. It
// returns when all whole lines have been written; Offsets then tells what may be acknowledged. ctx matters for the
// driver none alone, whose subscribers may hold it back. After an error the log stands at its Offsets.
func (l *Log) Append(ctx context.Context, chunks []Chunk) error {
	l.wmu.Lock()
	defer l.wmu.Unlock()
	if l.closed || !l.active() {
		return fmt.Errorf("append to log: no run is active: %w", errdefs.ErrFailedPrecondition)
	}
	for _, c := range chunks {
		if c.Stream != guestwire.Stdout && c.Stream != guestwire.Stderr {
			return fmt.Errorf("append to log: stream %d: %w", c.Stream, errdefs.ErrInvalidArgument)
		}
	}
	l.mu.Lock()
	before := l.hereLocked()
	l.mu.Unlock()
	if l.codec != nil {
		defer l.enc.borrow()()
		for i := range chunks {
			if err := l.split(chunks[i]); err != nil {
				return l.fail(err)
			}
		}
		if err := l.flush(); err != nil {
			return l.fail(err)
		}
		l.mu.Lock()
		l.tellLocked()
		l.mu.Unlock()
	}
	return l.publish(ctx, before, chunks)
}

// fail goes back to what is in the file.
func (l *Log) fail(err error) error {
	l.mu.Lock()
	l.enc.reset(l.written)
	size, f := l.cur.size, l.cur.f
	l.mu.Unlock()
	l.enc.size = size
	return errors.Join(err, l.enc.drop(), f.Truncate(size))
}

func (l *Log) split(c Chunk) error {
	have := l.enc.received(c.Stream)
	data := c.Data
	switch {
	case c.Offset > have:
		return fmt.Errorf("append to log: bytes %d to %d of stream %d are missing: %w", have, c.Offset, c.Stream, errdefs.ErrOutOfRange)
	case have-c.Offset >= uint64(len(data)):
		return nil
	}
	data = data[have-c.Offset:]
	p := &l.enc.part[c.Stream]
	for len(data) > 0 {
		head := data[:min(len(data), maxRecord-len(p.buf))]
		line := bytes.IndexByte(head, '\n') + 1
		if line > 0 {
			head = head[:line]
		}
		data = data[len(head):]
		rec := head
		if len(p.buf) > 0 || line == 0 && len(head) < maxRecord {
			p.buf = append(p.buf, head...)
			rec = p.buf
		}
		if line == 0 && len(rec) < maxRecord {
			if !p.continued {
				p.nano = c.UnixNano
			}
			return nil
		}
		if err := l.record(c.Stream, c.UnixNano, rec, line > 0); err != nil {
			return err
		}
	}
	return nil
}

// record encodes one record; whole means that it ends its line. Parts of a line have the time of the first, as in Docker.
func (l *Log) record(s guestwire.Stream, nano int64, data []byte, whole bool) error {
	e := &l.enc
	p := &e.part[s]
	if p.continued {
		nano = p.nano
	}
	p.continued, p.nano = !whole, nano
	full := l.set.maxSize >= 0 && e.size+int64(len(e.buf)) >= l.set.maxSize && e.size+int64(len(e.buf)) > 0
	if full || len(e.buf) >= writeSize {
		if err := l.flush(); err != nil {
			return err
		}
	}
	if full {
		f, err := l.createNext()
		if err != nil {
			return err
		}
		e.next, e.size = f, 0
	}
	e.last = len(e.buf)
	e.buf = l.codec.encode(e.buf, s, nano, data)
	*e.pos.offset(s) += uint64(len(data))
	p.buf = p.buf[:0]
	e.sealed = false
	if e.first || e.size == 0 && e.last == 0 {
		e.buf = l.codec.seal(e.buf, e.last, e.pos)
		e.sealed, e.first = true, false
	}
	return nil
}

// flush writes what is encoded with one write(2).
func (l *Log) flush() error {
	e := &l.enc
	if len(e.buf) == 0 {
		return nil
	}
	if !e.sealed {
		e.buf = l.codec.seal(e.buf, e.last, e.pos)
	}
	f := e.next
	if f == nil {
		if err := l.reopenIfCut(); err != nil {
			return err
		}
		f = l.cur.f // changed by the writer alone.
	}
	if _, err := f.Write(e.buf); err != nil {
		return fmt.Errorf("write log: %w", err)
	}
	n := int64(len(e.buf))
	if e.next != nil {
		if err := l.rotate(); err != nil {
			return err
		}
	}
	e.buf = e.buf[:0]
	e.size += n
	l.mu.Lock()
	l.cur.size = e.size
	l.tellLocked()
	l.mu.Unlock()
	return nil
}

// reopenIfCut begins a new segment when somebody has truncated the file under us, as people do to free space.
func (l *Log) reopenIfCut() error {
	st, err := l.cur.f.Stat()
	if err != nil {
		return fmt.Errorf("write log: %w", err)
	}
	if st.Size() >= l.enc.size {
		return nil
	}
	f, err := os.OpenFile(l.path, os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		return fmt.Errorf("write log: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.cur
	l.cur = &segment{gen: old.gen + 1, f: f, size: st.Size(), refs: 1}
	l.enc.size = st.Size()
	l.kept = append(l.kept, old)
	l.pruneLocked()
	return nil
}

// tellLocked shows readers how far the writer is. Nothing is encoded that is not written.
func (l *Log) tellLocked() {
	l.written = l.enc.pos
	for t := range l.pending {
		l.pending[t] = append(l.pending[t][:0], l.enc.part[t].buf...)
	}
}

// rotate puts the new file in the place of the current one. Its content is not yet told to readers.
func (l *Log) rotate() error {
	l.fsmu.Lock()
	err := l.shift()
	if err == nil {
		l.mu.Lock()
		old := l.cur
		l.cur = &segment{gen: old.gen + 1, f: l.enc.next, refs: 1}
		l.enc.next = nil
		l.kept = append(l.kept, old)
		l.pruneLocked()
		l.mu.Unlock()
	}
	l.fsmu.Unlock()
	if err != nil {
		return err
	}
	l.compress()
	return nil
}

// finishLocked writes the lines that have no end. Called with wmu held.
func (l *Log) finishLocked() error {
	if l.codec == nil {
		return nil
	}
	defer l.enc.borrow()()
	for _, s := range []guestwire.Stream{guestwire.Stdout, guestwire.Stderr} {
		p := &l.enc.part[s]
		if len(p.buf) == 0 {
			continue
		}
		if err := l.record(s, p.nano, p.buf, false); err != nil {
			return l.fail(err)
		}
	}
	if err := l.flush(); err != nil {
		return l.fail(err)
	}
	return nil
}
