package stdio

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// ring is a bounded store of bytes that are freed in the order in which they were taken. Positions only grow; a
// position modulo size is a place. A run of bytes never wraps.
type ring struct {
	size       int64
	head, tail int64 // head: the oldest byte in use; tail: the next free one.
}

func (r *ring) empty() bool { return r.head == r.tail }

// room is the longest run that can be taken now.
func (r *ring) room() int64 { return min(r.size-(r.tail-r.head), r.size-r.tail%r.size) }

// memory is a ring in anonymous memory, which costs nothing before it is used and is given back when empty.
type memory struct {
	ring
	b     []byte
	dirty int64 // bytes touched since memory was last given back.
}

func newMemory(size int) (*memory, error) {
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("map spool memory: %w", err)
	}
	return &memory{ring: ring{size: int64(size)}, b: b}, nil
}

func (m *memory) at(pos int64, n int) []byte { p := pos % m.size; return m.b[p : p+int64(n)] }

func (m *memory) close() error {
	b := m.b
	m.b = nil
	return unix.Munmap(b)
}

// spill is a ring in an unlinked file.
type spill struct {
	ring
	f *os.File
}

func newSpill(dir string, size int64) (*spill, error) {
	f, err := os.OpenFile(dir, unix.O_TMPFILE|os.O_RDWR, 0o600)
	if err != nil {
		if f, err = os.CreateTemp(dir, "spool"); err == nil {
			err = os.Remove(f.Name())
		}
	}
	if err != nil {
		return nil, fmt.Errorf("make spool file: %w", err)
	}
	return &spill{ring: ring{size: size}, f: f}, nil
}
