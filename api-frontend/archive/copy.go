package archive

import (
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/containerd/errdefs"

	"github.com/arca-engine/arca/internal/join"
)

// copySize is what goes in one read and one write.
const copySize = 512 << 10

var buffers = sync.Pool{New: func() any { b := make([]byte, copySize); return &b }}

// Copy copies in large pieces.
func Copy(dst io.Writer, src io.Reader) error {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	_, err := io.CopyBuffer(onlyWriter{dst}, src, *buf)
	return err
}

type onlyWriter struct{ io.Writer }

// readError is a failure of the input of a copy, not of its output.
type readError struct{ err error }

func (e *readError) Error() string   { return fmt.Sprintf("read archive: %v", e.err) }
func (e *readError) Unwrap() []error { return []error{e.err, errdefs.ErrInvalidArgument} }

type inputReader struct{ r io.Reader }

func (i inputReader) Read(p []byte) (int, error) {
	n, err := i.r.Read(p)
	if err != nil && err != io.EOF {
		err = &readError{err}
	}
	return n, err
}

// whole fills what it is given before it returns. Clients send archives in small chunks: passed on one by one, each would
// wake the agent.
type whole struct{ r io.Reader }

func (w whole) Read(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = w.r.Read(p[n:])
		n += m
	}
	return n, err
}

// send passes src to the agent and closes that half.
func send(conn net.Conn, src io.Reader) error {
	if err := Copy(conn, whole{inputReader{src}}); err != nil {
		return err
	}
	return join.Of(conn).CloseWrite()
}
