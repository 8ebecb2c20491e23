package logs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/klauspost/compress/gzip"
)

// fileReader reads records through the files of a log, from a place on. While it is registered no file before it is
// lost to rotation, within bounds.
type fileReader struct {
	l     *Log
	queue []*source // older files, opened at the start.
	src   *source
	off   int64
	stop  *mark // it reads no further; nil: to the end of what is written.
	run   *run  // with whose end it stops, if not before.
	buf   []byte
	at    int // buf[at:] is not yet consumed.
	data  []byte
	rec   record

	filled bool // the last read filled buf.
}

// idle gives large buffers back before a wait.
func (r *fileReader) idle() {
	if cap(r.buf) > 2*readSmall && len(r.buf) == r.at {
		r.buf, r.at, r.filled = nil, 0, false
	}
}

// source is an open file: the segment's own descriptor, or a rotated file of its own.
type source struct {
	gen  int64
	seg  *segment // nil for a file that was opened by name.
	f    *os.File
	size int64 // of f, when seg is nil and z is nil.
	z    *gzip.Reader
	meta gzipMeta
}

// releaseLocked gives the descriptor back; it was only read from.
func (s *source) releaseLocked() {
	if s.seg != nil {
		s.seg.unref()
	} else {
		_ = s.f.Close()
	}
}

// A reader's buffer begins small, so that an idle follower costs little, and grows while reads fill it.
const (
	readSmall = 32 << 10
	readLarge = 512 << 10
)

// newReaderLocked makes a registered reader that begins at m. Called with fsmu read-locked or not at all, and mu held.
func (l *Log) newReaderLocked(m mark) *fileReader {
	r := &fileReader{l: l, off: m.off}
	r.src = l.sourceLocked(m.gen)
	if r.src == nil || r.src.gen != m.gen {
		r.off = 0
	}
	l.readers[r] = struct{}{}
	return r
}

// openAll makes a reader of the whole log as it is now.
func (l *Log) openAll() (*fileReader, error) {
	l.fsmu.RLock()
	defer l.fsmu.RUnlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shut {
		return nil, errClosed
	}
	r := &fileReader{l: l}
	for age := l.ages; age > 0; age-- {
		s, err := l.openRotated(l.cur.gen-age, age)
		if err != nil {
			r.releaseLocked()
			return nil, err
		}
		if s != nil {
			r.queue = append(r.queue, s)
		}
	}
	r.queue = append(r.queue, l.sourceLocked(l.cur.gen))
	r.advanceLocked()
	l.readers[r] = struct{}{}
	return r, nil
}

// openRotated opens a rotated file by its name; nil when there is none. Called with fsmu held.
func (l *Log) openRotated(gen, age int64) (*source, error) {
	f, err := os.Open(l.name(age))
	if err == nil {
		st, err := f.Stat()
		if err != nil {
			_ = f.Close()
			return nil, fmt.Errorf("open rotated log file: %w", err)
		}
		return &source{gen: gen, f: f, size: st.Size()}, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open rotated log file: %w", err)
	}
	f, z, meta, err := openGzip(l.name(age) + gzipSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &source{gen: gen, f: f, z: z, meta: meta}, nil
}

// sourceLocked finds the segment of a generation among those that are open, or the first after it.
func (l *Log) sourceLocked(gen int64) *source {
	for _, s := range l.kept {
		if s.gen >= gen {
			s.refs++
			return &source{gen: s.gen, seg: s, f: s.f}
		}
	}
	l.cur.refs++
	return &source{gen: l.cur.gen, seg: l.cur, f: l.cur.f}
}

// advanceLocked goes to the next file.
func (r *fileReader) advanceLocked() {
	gen := int64(0)
	if r.src != nil {
		gen = r.src.gen + 1
		r.src.releaseLocked()
		r.src = nil
	}
	if len(r.queue) > 0 {
		r.src, r.queue = r.queue[0], r.queue[1:]
	} else {
		r.src = r.l.sourceLocked(gen)
	}
	r.off = 0
}

func (r *fileReader) releaseLocked() {
	for _, s := range r.queue {
		s.releaseLocked()
	}
	if r.src != nil {
		r.src.releaseLocked()
	}
	r.queue, r.src = nil, nil
	delete(r.l.readers, r)
	r.l.pruneLocked()
}

func (r *fileReader) close() {
	r.l.mu.Lock()
	defer r.l.mu.Unlock()
	r.releaseLocked()
}

// gen is the oldest generation that r still needs from the log.
func (r *fileReader) gen() int64 {
	if r.src == nil {
		return 0
	}
	return r.src.gen
}

const (
	maxKept      = 256
	maxKeptBytes = 256 << 20
)

// pruneLocked lets go of the rotated files that nobody needs, and of the oldest beyond the bounds.
func (l *Log) pruneLocked() {
	need := int64(1) << 62
	for r := range l.readers {
		need = min(need, r.gen())
	}
	for s := range l.subs {
		if s.run != nil && s.run.ring != nil {
			need = min(need, s.run.ring.marks[0].gen)
		}
	}
	var total int64
	keep := len(l.kept)
	for keep > 0 {
		s := l.kept[keep-1]
		if total += s.size; s.gen < need || total > maxKeptBytes || len(l.kept)-keep >= maxKept {
			break
		}
		keep--
	}
	for _, s := range l.kept[:keep] {
		s.unref()
	}
	l.kept = append(l.kept[:0], l.kept[keep:]...)
	if l.shut && len(l.readers) == 0 && l.cur != nil && !l.released {
		l.released = true
		l.cur.unref()
	}
}

// more reads further bytes into buf. It tells false when there are none now.
func (r *fileReader) more() (bool, error) {
	if r.at > 0 {
		r.buf = r.buf[:copy(r.buf, r.buf[r.at:])]
		r.at = 0
	}
	if r.buf == nil {
		r.buf = make([]byte, 0, readSmall)
	} else if r.filled && cap(r.buf) < readLarge {
		r.buf = append(make([]byte, 0, 4*cap(r.buf)), r.buf...)
	}
	if len(r.buf) == cap(r.buf) {
		if len(r.buf) >= maxForeign {
			r.buf = r.buf[:0] // no record is that long.
		} else {
			r.buf = append(make([]byte, 0, 2*cap(r.buf)), r.buf...)
		}
	}
	for {
		limit, last := r.limit()
		room := r.buf[len(r.buf):cap(r.buf)]
		if r.src.z == nil && limit-r.off < int64(len(room)) {
			room = room[:max(limit-r.off, 0)]
		}
		n, err := 0, error(io.EOF)
		switch {
		case len(room) == 0:
		case r.src.z != nil:
			n, err = r.src.z.Read(room)
		default:
			n, err = r.src.f.ReadAt(room, r.off)
		}
		r.off += int64(n)
		r.buf = r.buf[:len(r.buf)+n]
		if n > 0 {
			r.filled = len(r.buf) == cap(r.buf)
			return true, nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return false, fmt.Errorf("read log: %w", err)
		}
		if r.src.z == nil && r.off < limit { // somebody cut the file: what is missing is skipped.
			r.off = limit
			continue
		}
		if last {
			return false, nil
		}
		r.buf = r.buf[:0] // a torn record at the end of a file.
		if err := r.advance(); err != nil {
			return false, err
		}
	}
}

// advance goes to the next file: one that is open, or one that still has a name.
func (r *fileReader) advance() error {
	l := r.l
	l.fsmu.RLock()
	defer l.fsmu.RUnlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	gen := r.src.gen + 1
	if age := l.cur.gen - gen; len(r.queue) == 0 && age > 0 && age <= l.ages && (len(l.kept) == 0 || l.kept[0].gen > gen) {
		s, err := l.openRotated(gen, age)
		if err != nil {
			return err
		}
		if s != nil {
			r.queue = append(r.queue, s)
		}
	}
	r.advanceLocked()
	l.pruneLocked()
	return nil
}

// limit tells how far the current file may be read, and whether that is the end of all.
func (r *fileReader) limit() (limit int64, last bool) {
	r.l.mu.Lock()
	defer r.l.mu.Unlock()
	return r.limitLocked()
}

func (r *fileReader) limitLocked() (limit int64, last bool) {
	if r.stop == nil && r.run != nil && r.run.ended {
		r.stop = &r.run.end
	}
	limit = r.src.size
	if r.src.seg != nil {
		limit = r.src.seg.size
		last = r.src.seg == r.l.cur
	}
	if r.stop != nil && r.src.gen >= r.stop.gen {
		if r.src.gen > r.stop.gen {
			return 0, true
		}
		limit, last = min(limit, r.stop.off), true
	}
	return limit, last
}
