package attach

import (
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"

	"github.com/arca-engine/arca/internal/join"
)

// stdinChunk is what is read from a terminal at once.
const stdinChunk = 4 << 10

// Stdin is where a client's input goes: a connection of the agent's StdinStream.
type Stdin interface {
	io.Writer
	CloseWrite() error
}

// CopyStdin copies a client's input to a process until it ends. It returns ErrDetached when a terminal sent the detach
// keys; else the process's stdin is closed when tty is false, whether the client closed its half or left. A process that
// no longer reads is no error: its input is dropped.
func CopyStdin(dst Stdin, src io.Reader, tty bool, keys []byte) error {
	if tty {
		err := copyEscape(dst, src, keys, make([]byte, stdinChunk))
		if errors.Is(err, ErrDetached) {
			return err
		}
		return ended(err)
	}
	_, err := join.Copy(dst, src)
	if cerr := dst.CloseWrite(); err == nil {
		err = cerr
	}
	return ended(err)
}

// ended is nil for the errors by which the end of a process or the leaving of a client shows.
func ended(err error) error {
	for _, e := range []error{nil, syscall.EPIPE, syscall.ECONNRESET, syscall.ENOTCONN, net.ErrClosed, io.ErrClosedPipe} {
		if errors.Is(err, e) {
			return nil
		}
	}
	return fmt.Errorf("copy stdin: %w", err)
}
