package logs

import (
	"io"
	"sync"
	"syscall"

	"github.com/arca-engine/arca/internal/guestwire"
)

const pumpBuffer = 512 << 10

// pumpBuffers are shared by all pumps.
var pumpBuffers = sync.Pool{New: func() any { return new([pumpBuffer]byte) }}

// borrower reads from a connection into a buffer that it holds only while there is something to read, so that
// silent containers cost no memory. A connection without a descriptor keeps its buffer.
type borrower struct {
	conn io.Reader
	raw  syscall.RawConn // nil without a descriptor.
	buf  *[pumpBuffer]byte
	rest [guestwire.HeaderSize]byte // the beginning of a header.
	n    int                        // bytes in rest.
}

func newBorrower(conn io.Reader) *borrower {
	b := &borrower{conn: conn}
	if c, ok := conn.(syscall.Conn); ok {
		if raw, err := c.SyscallConn(); err == nil {
			b.raw = raw
		}
	}
	return b
}

// read returns what was kept and at least one more byte. It is good until the next read.
func (b *borrower) read() ([]byte, error) {
	if b.raw == nil {
		b.take()
		n, err := b.conn.Read(b.buf[b.n:])
		if n == 0 && err != nil {
			return nil, err
		}
		return b.buf[:b.n+n], nil
	}
	var n int
	var err error
	waitErr := b.raw.Read(func(fd uintptr) bool {
		b.take()
		for {
			if n, err = syscall.Read(int(fd), b.buf[b.n:]); err != syscall.EINTR {
				break
			}
		}
		if err == syscall.EAGAIN {
			b.giveBack()
			return false
		}
		return true
	})
	switch {
	case waitErr != nil:
		return nil, waitErr
	case err != nil:
		return nil, err
	case n == 0:
		return nil, io.EOF
	}
	return b.buf[:b.n+n], nil
}

// take borrows the buffer, with what was kept at its start.
func (b *borrower) take() {
	if b.buf == nil {
		b.buf = pumpBuffers.Get().(*[pumpBuffer]byte)
	}
	copy(b.buf[:], b.rest[:b.n])
}

// keep remembers the end of what was read, the beginning of a header, for the next read.
func (b *borrower) keep(rest []byte) { b.n = copy(b.rest[:], rest) }

func (b *borrower) giveBack() {
	if b.buf != nil {
		pumpBuffers.Put(b.buf)
		b.buf = nil
	}
}
