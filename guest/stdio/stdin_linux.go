package stdio

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

var errNoTerminal = fmt.Errorf("the process has no terminal: %w", errdefs.ErrFailedPrecondition)

// Feed copies r to the stdin of the process. The end of r closes stdin (not a terminal's), unless cut then tells that r
// did not end but broke; that, and an error of r, leaves it open for the next one.
func (s *Streams) Feed(r io.Reader, cut func() bool) error {
	s.mu.Lock()
	w := s.stdin
	s.mu.Unlock()
	if w == nil {
		return fmt.Errorf("stdin is closed: %w", errdefs.ErrFailedPrecondition)
	}
	buf := make([]byte, 64<<10)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if _, werr := w.Write(buf[:n]); werr != nil {
				if errors.Is(werr, os.ErrClosed) || errors.Is(werr, unix.EPIPE) || errors.Is(werr, unix.EIO) {
					return nil // Nobody reads any more, as a shell's pipe.
				}
				return fmt.Errorf("write stdin: %w", werr)
			}
		}
		if err == io.EOF {
			if !cut() {
				s.closeStdin()
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("read stdin: %w", err)
		}
	}
}

func (s *Streams) closeStdin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stdin != nil && s.tty == nil {
		_ = s.stdin.Close()
		s.stdin = nil
	}
}
