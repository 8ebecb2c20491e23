package attach

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/arca-engine/arca/internal/join"
)

// stdinChunk is what is read from a terminal at once.
const stdinChunk = 4 << 10

// LastWord is how long an attachment whose input has ended is kept for what the process answers to it.
const LastWord = 100 * time.Millisecond

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

// Feed is CopyStdin over a connection of the agent's StdinStream that was opened with Confirmed: once its half is closed it
// stays open until the agent has closed it too, by which the agent tells the end of input from a host that has died.
// keep is asked at the end of the client's input whether the process's stays open. Feed does not close the connection, and
// ends when somebody does.
func Feed(conn join.Stream, src io.Reader, tty bool, keep func() bool, keys []byte) error {
	dst := &half{Stream: conn, keep: keep}
	if err := CopyStdin(dst, src, tty, keys); err != nil && !dst.closed {
		return err
	}
	if dst.closed {
		var b [1]byte
		_, _ = conn.Read(b[:]) // Whatever ends the wait, the connection has served.
	}
	return nil
}

// Left tells whether a context has ended because the client left, and not because the frontend ends.
func Left(ctx context.Context) bool {
	var l interface{ ClientLeft() }
	return errors.As(context.Cause(ctx), &l)
}

// half remembers whether its write half was closed.
type half struct {
	join.Stream
	keep   func() bool
	closed bool
}

func (h *half) CloseWrite() error {
	if h.keep() {
		return nil
	}
	err := h.Stream.CloseWrite()
	h.closed = err == nil
	return err
}

// ReadFrom lets the kernel copy where it can.
func (h *half) ReadFrom(r io.Reader) (int64, error) { return join.Copy(h.Stream, r) }

// ended is nil for the errors by which the end of a process or the leaving of a client shows.
func ended(err error) error {
	for _, e := range []error{nil, syscall.EPIPE, syscall.ECONNRESET, syscall.ENOTCONN, net.ErrClosed, io.ErrClosedPipe} {
		if errors.Is(err, e) {
			return nil
		}
	}
	return fmt.Errorf("copy stdin: %w", err)
}
