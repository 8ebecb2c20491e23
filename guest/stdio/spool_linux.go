package stdio

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/internal/guestwire"
)

// The sizes of a spool.
const (
	MemorySize = 1 << 20
	FileSize   = 64 << 20
	maxRecords = 16 << 10                // beyond, a record grows instead of a new one being made, or the process waits.
	mergeNanos = int64(time.Millisecond) // reads of one stream that come closer than this share a record.
	retryAfter = time.Second             // when the file cannot be written.
)

// errFull is returned by fill when nothing can be taken.
var errFull = errors.New("spool is full")

// record is one run of bytes of one stream.
type record struct {
	stream guestwire.Stream
	inFile bool
	length int32
	offset uint64 // of the stream.
	pos    int64  // in its ring.
	nanos  int64
}

// held is what was read but found no place: its file could not be written. Nothing more is read before it has one.
type held struct {
	stream guestwire.Stream
	data   []byte // in scratch.
	nanos  int64
}

// Spool keeps what a process has written until it is acknowledged.
type Spool struct {
	dir string

	mu      sync.Mutex
	cond    sync.Cond // signals: records, ended, reader or room changed.
	mem     *memory
	file    *spill
	records []record  // in use, oldest first.
	first   int64     // the number of records[0].
	total   [3]uint64 // bytes taken of each stream.
	acked   [3]uint64
	ended   bool
	closed  bool
	scratch []byte // what is on its way to the file.
	held    held
	broken  bool   // the file could not be made or written: nothing tells when it can.
	lossy   *lossy // nil: a process waits while the spool is full.

	turn   sync.Mutex // held by the reader that sends.
	cancel context.CancelCauseFunc
}

// NewSpool makes a spool whose file, should it need one, lies in dir.
func NewSpool(dir string) *Spool {
	s := &Spool{dir: dir}
	s.cond.L = &s.mu
	return s
}

// End tells that no more output comes.
func (s *Spool) End() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.cond.Broadcast()
}

// Close drops everything and ends the reader.
func (s *Spool) Close() error {
	s.mu.Lock()
	s.closed = true
	if s.cancel != nil {
		s.cancel(errdefs.ErrNotFound)
	}
	s.cond.Broadcast()
	s.mu.Unlock()
	s.turn.Lock() // The reader no longer looks into the rings.
	defer s.turn.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	if s.mem != nil {
		errs = append(errs, s.mem.close())
		s.mem = nil
	}
	if s.file != nil {
		errs = append(errs, s.file.f.Close())
		s.file = nil
	}
	s.records = nil
	return errors.Join(errs...)
}

// fill takes bytes of a stream with one call of read. It returns errFull when there is no room, and what read returned
// otherwise. read is called with the lock held and must not block.
func (s *Spool) fill(stream guestwire.Stream, read func([]byte) (int, error)) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, os.ErrClosed
	}
	now := time.Now().UnixNano()
	if !s.storeHeldLocked() || len(s.records) >= maxRecords && !s.mergesLocked(stream, now, true) {
		return 0, errFull
	}
	room, inFile := s.roomLocked()
	if room == 0 {
		return 0, errFull
	}
	room = min(room, guestwire.MaxData)
	if s.lossy != nil {
		if room = s.lossy.room(room, s.pendingLocked()); room == 0 {
			return 0, errFull
		}
	}
	if !inFile {
		b := s.mem.at(s.mem.tail, int(room))
		n, err := read(b)
		if took := s.keptLocked(stream, b, n); took > 0 {
			s.tookLocked(stream, took, now, false)
		}
		return n, err
	}
	if s.scratch == nil {
		s.scratch = make([]byte, guestwire.MaxData)
	}
	n, err := read(s.scratch[:room])
	if took := s.keptLocked(stream, s.scratch, n); took > 0 {
		s.held = held{stream, s.scratch[:took], now}
		s.storeHeldLocked()
	}
	return n, err
}

// tookLocked enters n bytes that lie at the tail of a ring.
func (s *Spool) tookLocked(stream guestwire.Stream, n int, nanos int64, inFile bool) {
	r := record{stream: stream, inFile: inFile, length: int32(n), offset: s.total[stream], nanos: nanos}
	if inFile {
		r.pos = s.file.tail
		s.file.tail += int64(n)
	} else {
		r.pos = s.mem.tail
		s.mem.tail += int64(n)
		s.mem.dirty = max(s.mem.dirty, r.pos%s.mem.size+int64(n))
	}
	s.appendLocked(r)
}

// storeHeldLocked finds a place for what is held, and tells whether nothing is held any more.
func (s *Spool) storeHeldLocked() bool {
	for len(s.held.data) > 0 {
		room, inFile := s.roomLocked()
		n := int(min(room, int64(len(s.held.data))))
		switch {
		case n == 0:
			return false
		case !inFile:
			copy(s.mem.at(s.mem.tail, n), s.held.data)
		default:
			if _, err := s.file.f.WriteAt(s.held.data[:n], s.file.tail%s.file.size); err != nil {
				s.broken = true // No room on the disk, most likely.
				return false
			}
			s.broken = false
		}
		s.tookLocked(s.held.stream, n, s.held.nanos, inFile)
		s.held.data = s.held.data[n:]
	}
	return true
}

// roomLocked tells how much can be taken and where, and makes the rings when they are first needed.
func (s *Spool) roomLocked() (room int64, inFile bool) {
	if s.mem == nil {
		m, err := newMemory(MemorySize)
		if err != nil {
			s.broken = true
			return 0, false
		}
		s.mem = m
	}
	if s.file == nil || s.file.empty() {
		if r := s.mem.room(); r > 0 {
			return r, false
		}
	}
	if s.file == nil {
		f, err := newSpill(s.dir, FileSize)
		if err != nil {
			s.broken = true
			return 0, true
		}
		s.file, s.broken = f, false
	}
	return s.file.room(), true
}

func (s *Spool) mergesLocked(stream guestwire.Stream, now int64, full bool) bool {
	if len(s.records) == 0 {
		return false
	}
	l := &s.records[len(s.records)-1]
	return l.stream == stream && (full || now-l.nanos < mergeNanos) && l.length < guestwire.MaxData/2
}

func (s *Spool) appendLocked(r record) {
	s.total[r.stream] += uint64(r.length)
	if s.mergesLocked(r.stream, r.nanos, len(s.records) >= maxRecords) {
		l := &s.records[len(s.records)-1]
		if l.inFile == r.inFile && l.pos+int64(l.length) == r.pos && l.length+r.length <= guestwire.MaxData && s.samePlace(l, r) {
			l.length += r.length
			s.cond.Broadcast()
			return
		}
	}
	s.records = append(s.records, r)
	s.cond.Broadcast()
}

// samePlace tells whether r continues l without a wrap of the ring.
func (s *Spool) samePlace(l *record, r record) bool {
	size := s.mem.size
	if r.inFile {
		size = s.file.size
	}
	return l.pos/size == r.pos/size
}

// waitRoom waits until fill may succeed again.
func (s *Spool) waitRoom() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if s.closed {
			return os.ErrClosed
		}
		s.broken = false
		if s.storeHeldLocked() && len(s.records) < maxRecords {
			if room, _ := s.roomLocked(); room > 0 {
				return nil
			}
		}
		if s.broken {
			s.waitLocked(retryAfter)
		} else {
			s.cond.Wait()
		}
	}
}

// waitLocked waits for a change, or for d.
func (s *Spool) waitLocked(d time.Duration) {
	t := time.AfterFunc(d, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.cond.Broadcast()
	})
	defer t.Stop()
	s.cond.Wait()
}

// Acknowledge frees the bytes of a stream before offset.
func (s *Spool) Acknowledge(stream guestwire.Stream, offset uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.acknowledgeLocked(stream, offset)
}

func (s *Spool) acknowledgeLocked(stream guestwire.Stream, offset uint64) error {
	if offset > s.total[stream] {
		return fmt.Errorf("acknowledge byte %d of %d: %w", offset, s.total[stream], errdefs.ErrOutOfRange)
	}
	s.acked[stream] = max(s.acked[stream], offset)
	n := 0
	for ; n < len(s.records); n++ {
		r := &s.records[n]
		if r.offset+uint64(r.length) > s.acked[r.stream] {
			break
		}
		if r.inFile {
			s.file.head = r.pos + int64(r.length)
		} else if s.mem != nil {
			s.mem.head = r.pos + int64(r.length)
		}
	}
	if n == 0 {
		return nil
	}
	s.first += int64(n)
	if n == len(s.records) {
		s.records = s.records[:0]
	} else {
		s.records = s.records[n:] // The next growth leaves the front behind.
	}
	s.restLocked()
	s.cond.Broadcast()
	return nil
}

// restLocked gives memory and disk back when they hold nothing.
func (s *Spool) restLocked() {
	if s.file != nil && s.file.empty() {
		if s.file.tail > 0 {
			_ = s.file.f.Truncate(0) // Only space is lost when this fails.
		}
		s.file.head, s.file.tail = 0, 0
	}
	if m := s.mem; m != nil && m.empty() {
		m.head, m.tail = 0, 0
		if m.dirty > 64<<10 && s.ended {
			_ = unix.Madvise(m.b, unix.MADV_DONTNEED) // Only memory is lost when this fails.
			m.dirty = 0
		}
	}
}
