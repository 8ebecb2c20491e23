package stdio

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/arca-engine/arca/internal/guestwire"
)

// Pump moves everything from f, a pipe or a terminal, into the spool as stream, until f ends or is closed. With
// discard it reads and forgets.
func (s *Spool) Pump(f *os.File, stream guestwire.Stream, discard bool) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return fmt.Errorf("pump output: %w", err)
	}
	var void []byte
	if discard {
		void = make([]byte, 64<<10)
	}
	for {
		var n int
		var rerr error
		cerr := raw.Read(func(fd uintptr) bool {
			read := func(b []byte) (int, error) { return readOnce(int(fd), b) }
			if discard {
				n, rerr = read(void)
			} else {
				n, rerr = s.fill(stream, read)
			}
			return rerr != unix.EAGAIN
		})
		switch {
		case cerr != nil:
			rerr = cerr
		case errors.Is(rerr, errFull):
			if rerr = s.waitRoom(); rerr == nil {
				continue
			}
		case rerr == unix.EIO: // The last process has closed a terminal.
			return nil
		case n == 0 && rerr == nil:
			return nil
		}
		if rerr != nil {
			if errors.Is(rerr, os.ErrClosed) || errors.Is(rerr, io.EOF) {
				return nil
			}
			return fmt.Errorf("pump output: %w", rerr)
		}
	}
}

func readOnce(fd int, b []byte) (int, error) {
	for {
		n, err := unix.Read(fd, b)
		if err == unix.EINTR {
			continue
		}
		return max(n, 0), err
	}
}
