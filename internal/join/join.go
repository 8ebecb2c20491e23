package join

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
)

// BufferSize is the size of the buffer of one direction where the kernel cannot copy by itself.
const BufferSize = 128 << 10

var buffers = sync.Pool{New: func() any { b := make([]byte, BufferSize); return &b }}

// Stream is one of two ends: a connection whose write half can be closed alone. Close ends blocked reads and writes.
type Stream interface {
	io.ReadWriteCloser
	CloseWrite() error
}

// Of returns c as a Stream. The write half of a connection that cannot be closed alone is closed by closing it whole.
func Of(c io.ReadWriteCloser) Stream {
	if s, ok := c.(Stream); ok {
		return s
	}
	return whole{c}
}

type whole struct{ io.ReadWriteCloser }

func (w whole) CloseWrite() error { return w.Close() }

// Join copies from a to b and from b to a until both directions have ended, then closes both streams. It returns nil
// when both ended by the end of their input, the first failure otherwise, and the cause of ctx when that ended it.
func Join(ctx context.Context, a, b Stream) error {
	var once sync.Once
	closeBoth := func() {
		once.Do(func() { _, _ = a.Close(), b.Close() }) // Closing is all that can still be done with them.
	}
	defer closeBoth()
	stop := context.AfterFunc(ctx, closeBoth)
	defer stop()

	errs := make(chan error, 1)
	go func() {
		err := oneWay(b, a)
		if err != nil {
			closeBoth()
		}
		errs <- err
	}()
	err := oneWay(a, b)
	if err != nil {
		closeBoth()
	}
	if other := <-errs; err == nil || (isClosed(err) && other != nil) {
		err = other
	}
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// oneWay copies until src ends and passes the end on.
func oneWay(dst, src Stream) error {
	if _, err := Copy(dst, src); err != nil {
		return err
	}
	err := dst.CloseWrite()
	if errors.Is(err, syscall.ENOTCONN) || isClosed(err) {
		return nil // The other side has gone already: its own direction tells why.
	}
	return err
}

func isClosed(err error) bool {
	return errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe)
}

// Copy is io.Copy with a large pooled buffer where neither side can do better.
func Copy(dst io.Writer, src io.Reader) (int64, error) {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	return io.CopyBuffer(dst, src, *buf)
}
