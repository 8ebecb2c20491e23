package stdio

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/internal/guestwire"
)

// discardSize is how much is read at once where nothing is kept.
const discardSize = 64 << 10

// Pump moves everything from f, a pipe or a terminal, into the spool as stream, until f ends or is closed. With
// discard it reads and forgets. When f's deadline has passed it takes what lies in f and waits for no more.
func (s *Spool) Pump(f *os.File, stream guestwire.Stream, discard bool) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return fmt.Errorf("pump output: %w", err)
	}
	p := &pump{s: s, stream: stream, raw: raw, left: -1}
	if p.discard = discard; discard || s.lossy != nil {
		p.void = make([]byte, discardSize)
	}
	for {
		more, err := p.once()
		if errors.Is(err, os.ErrClosed) || errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("pump output: %w", err)
		}
		if !more {
			return nil
		}
	}
}

// pump is the way of one file into a spool.
type pump struct {
	s       *Spool
	stream  guestwire.Stream
	raw     syscall.RawConn
	discard bool
	void    []byte // what dropped bytes go to.
	left    int    // how many bytes are still taken; -1: all.
}

// once moves what one read gives. It tells whether there may be more.
func (p *pump) once() (more bool, err error) {
	var n int
	var rerr error
	read := func(fd uintptr) bool {
		n, rerr = p.read(int(fd))
		return !errors.Is(rerr, unix.EAGAIN)
	}
	var cerr error
	if p.left < 0 {
		cerr = p.raw.Read(read)
	} else {
		cerr = p.raw.Control(func(fd uintptr) { read(fd) })
	}
	switch {
	case errors.Is(cerr, os.ErrDeadlineExceeded):
		return true, p.raw.Control(func(fd uintptr) { p.left = waiting(int(fd)) })
	case cerr != nil:
		return false, cerr
	case errors.Is(rerr, errFull):
		return true, p.s.waitRoom()
	case errors.Is(rerr, unix.EIO): // The last process has closed a terminal.
		return false, nil
	case errors.Is(rerr, unix.EAGAIN):
		return false, nil
	case rerr != nil:
		return false, rerr
	}
	if p.left > 0 {
		p.left = max(p.left-n, 0)
	}
	return n > 0, nil
}

func (p *pump) read(fd int) (int, error) {
	f := func(b []byte) (int, error) {
		if p.left >= 0 {
			b = b[:min(len(b), p.left)]
		}
		return readOnce(fd, b)
	}
	if p.discard {
		return f(p.void)
	}
	n, err := p.s.fill(p.stream, f)
	if p.void == nil || !errors.Is(err, errFull) {
		return n, err
	}
	n, err = f(p.void)
	p.s.dropped(p.stream, p.void[:n])
	return n, err
}

// waiting is how many bytes lie in a pipe or terminal.
func waiting(fd int) int {
	n, err := unix.IoctlGetInt(fd, unix.TIOCINQ)
	if err != nil {
		return 0
	}
	return n
}

func readOnce(fd int, b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for {
		n, err := unix.Read(fd, b)
		if err == unix.EINTR {
			continue
		}
		return max(n, 0), err
	}
}
