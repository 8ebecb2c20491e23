package layerdisk

import (
	"context"
	"io"
)

const (
	aheadBuffer = 256 << 10
	aheadCount  = 6
)

// ahead reads its source in a goroutine of its own, a few buffers ahead of its reader, so that decompression and disk
// writing overlap. Close waits for the goroutine.
type ahead struct {
	full chan []byte
	free chan []byte
	done chan struct{}
	stop context.CancelCauseFunc
	err  error // Of the source; valid once full is closed.
	cur  []byte
	buf  []byte
	src  io.ReadCloser
}

func newAhead(ctx context.Context, src io.ReadCloser) *ahead {
	ctx, stop := context.WithCancelCause(ctx)
	a := &ahead{
		full: make(chan []byte, aheadCount), free: make(chan []byte, aheadCount),
		done: make(chan struct{}), stop: stop, src: src,
	}
	for range aheadCount {
		a.free <- nil
	}
	go a.run(ctx)
	return a
}

func (a *ahead) run(ctx context.Context) {
	defer close(a.done)
	defer close(a.full)
	for {
		var b []byte
		select {
		case b = <-a.free:
		case <-ctx.Done():
			a.err = context.Cause(ctx)
			return
		}
		if b == nil {
			b = make([]byte, aheadBuffer)
		}
		n, err := fill(a.src, b[:aheadBuffer])
		if n > 0 {
			a.full <- b[:n] // Never blocks: there are as many places as buffers.
		}
		if err != nil {
			a.err = err
			return
		}
		if ctx.Err() != nil {
			a.err = context.Cause(ctx)
			return
		}
	}
}

// fill reads until b is full or the source ends or fails.
func fill(r io.Reader, b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var m int
		m, err = r.Read(b[n:])
		n += m
	}
	return n, err
}

// Read implements io.Reader.
func (a *ahead) Read(p []byte) (int, error) {
	if len(a.cur) == 0 {
		if a.buf != nil {
			a.free <- a.buf
			a.buf = nil
		}
		b, ok := <-a.full
		if !ok {
			return 0, a.err
		}
		a.buf, a.cur = b, b
	}
	n := copy(p, a.cur)
	a.cur = a.cur[n:]
	return n, nil
}

// Close stops the goroutine, waits for it and closes the source. The source's reads must end by themselves.
func (a *ahead) Close() error {
	a.stop(nil)
	<-a.done
	return a.src.Close()
}
